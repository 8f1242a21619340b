"""Accuracy of the numerically stable functions over the whole range of their dtype, in units in the last place.

    python -m benchmarks.accuracy

Each result is compared with a result of 300 bits from mpmath. A unit in the last place (ulp) is the distance from the
exact result to the next number of the dtype; correct rounding has an error of at most half a ulp. Functions marked with
a dagger are differences of larger numbers; for their results below 1, the ulp of 1 is used. For the others, a subnormal
exact result counts as correct if the computed one is subnormal or 0.

Half of the arguments of elementwise functions have exponents drawn uniformly from the whole range of the dtype; the
rest are drawn where the functions change. Other functions get 8 numbers of a common magnitude, drawn in the same way.
PyTorch is measured too if it is installed.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import tinygrad_np as tn

import numpy as np
from mpmath import mp, mpf

from benchmarks import turns

mp.prec = 300
DTYPES = {"float32": np.float32, "float64": np.float64}
NORMALS = {"float32": 87.0, "float64": 708.0}  # exp(x) is a normal number for |x| up to this


class Error(NamedTuple):
    """The largest error found, in ulp, and the argument where it occurred."""

    ulps: float
    at: Any


def _exact(x: Any) -> list[mpf]:
    return [mpf(float(value)) for value in np.ravel(x)]


def _softmax(x: list[mpf]) -> list[mpf]:
    e = [mp.exp(value - max(x)) for value in x]
    return [value / mp.fsum(e) for value in e]


def _logsumexp(x: list[mpf]) -> mpf:
    return max(x) + mp.log(mp.fsum(mp.exp(value - max(x)) for value in x))


BINARY = "binary_cross_entropy_with_logits"  # for a target of 1
DIFFERENCES = ("gelu", "log_softmax", "cross_entropy")
ELEMENTWISE: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sigmoid": (tn.sigmoid, lambda x: 1 / (1 + mp.exp(-x))),
    "softplus": (tn.softplus, lambda x: mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))),
    "silu": (tn.silu, lambda x: x / (1 + mp.exp(-x))),
    "erf": (tn.erf, mp.erf),
    "gelu": (tn.gelu, lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2 if abs(x) < 1000 else max(x, mpf(0))),
    BINARY: (
        lambda x: tn.binary_cross_entropy_with_logits(x, np.ones_like(x), reduction="none"),
        lambda x: mp.log1p(mp.exp(-x)) if x > 0 else -x + mp.log1p(mp.exp(x)),
    ),
}
OF_SEVERAL: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "softmax": (tn.softmax, _softmax),
    "logsumexp": (lambda x: np.atleast_1d(tn.logsumexp(x)), lambda x: [_logsumexp(x)]),
    "log_softmax": (tn.log_softmax, lambda x: [value - _logsumexp(x) for value in x]),
    "cross_entropy": (
        lambda x: np.atleast_1d(tn.cross_entropy(x[np.newaxis], [0])),
        lambda x: [_logsumexp(x) - x[0]],
    ),
}


def _torch_functions() -> dict[str, Callable[[Any], Any]]:
    try:
        import torch
    except ImportError:
        return {}
    f = torch.nn.functional
    functions: dict[str, Callable[[Any], Any]] = {
        "sigmoid": torch.sigmoid,
        "softplus": f.softplus,
        "silu": f.silu,
        "erf": torch.erf,
        "gelu": f.gelu,
        BINARY: lambda x: f.binary_cross_entropy_with_logits(x, torch.ones_like(x), reduction="none"),
        "softmax": lambda x: torch.softmax(x, -1),
        "logsumexp": lambda x: torch.logsumexp(x, -1, keepdim=True),
        "log_softmax": lambda x: torch.log_softmax(x, -1),
        "cross_entropy": lambda x: f.cross_entropy(x[None], torch.tensor([0])).reshape(1),
    }

    def on_arrays(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: function(torch.from_numpy(x)).numpy()

    return {name: on_arrays(function) for name, function in functions.items()}


def _ulps(found: Any, exact: mpf, dtype: Any, least: float) -> float:
    """The error in units in the last place of the exact result, or of `least` if that is larger."""
    near = float(exact) if dtype is np.float64 else float(np.float32(float(exact)))
    limit = float(np.finfo(dtype).max)
    if not np.isfinite(near) or abs(near) > limit:
        return 0.0 if found == near else np.inf
    tiny = float(np.finfo(dtype).tiny)
    if abs(near) < tiny and least < tiny:  # a subnormal result may be any subnormal number, or 0
        return 0.0 if abs(float(found)) <= tiny else np.inf
    unit = float(np.spacing(dtype(max(abs(near), least))))
    return float(abs(mpf(float(found)) - exact) / mpf(unit))


def _arguments(dtype: Any, count: int, rng: "np.random.Generator") -> Any:
    """Arguments: half from the whole range of the dtype, half from where the functions change."""
    limit = NORMALS[np.dtype(dtype).name]
    exponents = rng.uniform(np.log2(np.finfo(dtype).tiny), np.log2(np.finfo(dtype).max), count // 2)
    wide = rng.choice([-1.0, 1.0], count // 2) * np.exp2(exponents)
    return np.concatenate(
        [wide, rng.uniform(-limit, limit, count // 4), rng.uniform(-6, 6, count - count // 2 - count // 4)]
    ).astype(dtype)


def largest_errors(
    samples: int, functions: dict[str, Callable[[Any], Any]] | None = None, seed: int = 0
) -> dict[tuple[str, str], Error]:
    """The largest error of each function in each dtype, by (name, dtype).

    Args:
        samples: the number of arguments of each elementwise function.
        functions: the functions to measure, by name, in place of those of this package.
        seed: the seed of the arguments.
    """
    rng = np.random.default_rng(seed)
    found: dict[tuple[str, str], Error] = {}
    with np.errstate(all="ignore"):
        for kind, dtype in DTYPES.items():
            for name, (function, exact) in (ELEMENTWISE | OF_SEVERAL).items():
                least = 1.0 if name in DIFFERENCES else 0.0
                x = _arguments(dtype, samples, rng)
                rows = [x] if name in ELEMENTWISE else np.abs(x[::8, np.newaxis]) * rng.uniform(-1, 1, 8)
                largest = Error(0.0, None)
                for row in np.asarray(rows, dtype):
                    y = np.asarray((functions or {}).get(name, function)(row))
                    results = map(exact, _exact(row)) if name in ELEMENTWISE else exact(_exact(row))
                    for i, (a, b) in enumerate(zip(y, results, strict=True)):
                        if (ulps := _ulps(a, b, dtype, least)) > largest.ulps:
                            largest = Error(ulps, float(row[i]) if name in ELEMENTWISE else row.tolist())
                found[name, kind] = largest
    return found


def main() -> None:
    options = turns.arguments(__doc__, samples=20_000)
    found = {"ours": largest_errors(options.samples)}
    if torch_functions := _torch_functions():
        found["PyTorch"] = largest_errors(options.samples, torch_functions)
    columns = [(who, kind) for who in found for kind in DTYPES]
    print(f"| function | {' | '.join(f'{who}, {kind}' for who, kind in columns)} |\n|{' --- |' * (1 + len(columns))}")
    for name in ELEMENTWISE | OF_SEVERAL:
        errors = [found[who][name, kind].ulps for who, kind in columns]
        cells = " | ".join(f"{error:.1f}" if error < 1000 else f"{error:.0e}" for error in errors)
        print(f"| `{name}`{' †' * (name in DIFFERENCES)} | {cells} |")
    summary = {f"{name}, {kind}": error._asdict() for (name, kind), error in found["ours"].items()}
    print(json.dumps({"benchmark": "accuracy", "samples": options.samples, "results": summary}))


if __name__ == "__main__":
    main()

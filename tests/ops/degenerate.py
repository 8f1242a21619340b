"""Degenerate arguments for every operation, made from the cases of the registry.

Each case gives calls with its axes at full length, each of them at length 0 and at length 1, and each array 0-d.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tinygrad_np import Tensor
from tinygrad_np._registry import Composite, Constant, Primitive, registry
from tinygrad_np.ops.cases import Case, Domain

import numpy as np

Operation = Primitive | Composite
Shape = tuple[int, ...]
OPERATIONS = [entry for entry in dict.fromkeys(registry.values()) if not isinstance(entry, Constant)]
CONSTANTS = [entry for entry in dict.fromkeys(registry.values()) if isinstance(entry, Constant)]
NUMPYS = [entry for entry in OPERATIONS if not (entry.function.__module__ or "").startswith("tinygrad_np")]
FLOATS, INTEGERS = ("float16", "float32", "float64"), ("int8", "int32", "int64", "uint8", "uint64")


@dataclass(frozen=True)
class Call:
    """The arguments of one call, before their dtype is chosen."""

    case: Case
    shapes: list[Shape]
    arguments: list[Any]

    def results(self, function: Callable[..., Any], arguments: list[Any], finish: bool = False) -> list[Any]:
        """What the function returns, as a list; on request after the `finish` of the case."""
        given = [arguments] if self.case.shapes.startswith("[") else arguments
        results = function(*given, *self.case.args, **self.case.kwargs)
        results = self.case.finish(results) if finish and self.case.finish else results
        return list(results) if isinstance(results, list | tuple) else [results]

    def outcome(self, function: Callable[..., Any], arguments: list[Any]) -> list[Any] | Exception:
        """The results, or what was raised."""
        try:
            return self.results(function, arguments)
        except Exception as error:
            return error

    def outputs(self, function: Callable[..., Any], *arguments: Any) -> tuple[Tensor, ...]:
        """The results that are Tensors, after the `finish` of the case."""
        return tuple(y for y in self.results(function, list(arguments), finish=True) if type(y) is Tensor)


def calls(case: Case, full_only: bool = False) -> Iterator[Call]:
    """The calls of a case, the one of full size first; arrays that its `prepare` cannot take are given as they are."""
    for shapes in _shapes(case.shapes)[: 1 if full_only else None]:
        rng = np.random.default_rng(0)
        arrays = [_array(shape, case.domains[min(i, len(case.domains) - 1)], rng) for i, shape in enumerate(shapes)]
        try:
            arguments = case.prepare(*arrays) if case.prepare else arrays
        except (ValueError, IndexError):
            arguments = arrays
        yield Call(case, shapes, list(arguments) if isinstance(arguments, tuple | list) else [arguments])


def _shapes(notation: str) -> list[list[Shape]]:
    parts = [part.split() for part in notation.strip("[]").split(",")]
    if ["*"] in parts:
        rest = len(parts) - 1
        firsts: list[tuple[Shape, Shape]] = [((2, 3), (2, 3)), ((), ()), ((2, 0), (2, 0)), ((0, 3), (1,)), ((2, 3), ())]
        return [[first, *[other] * rest] for first, other in firsts]
    letters = sorted(set(re.findall("[a-zA-Z]", notation)))
    full = {letter: 2 + i % 2 for i, letter in enumerate(letters)}

    def filled(size: dict[str, int]) -> list[Shape]:
        return [tuple(size[token] if token in size else int(token) for token in part) for part in parts]

    found = [filled(full), *(filled({**full, letter: n}) for letter in letters for n in (0, 1))]
    for i, shape in enumerate(found[0]):
        smaller = [(*shape[:k], 0, *shape[k + 1 :]) for k in range(len(shape))]
        found += [[*found[0][:i], other, *found[0][i + 1 :]] for other in [*smaller, ()]]
    return [shapes for i, shapes in enumerate(found) if shapes not in found[:i]]


def _array(shape: Shape, domain: Domain, rng: np.random.Generator) -> np.ndarray:
    n = math.prod(shape)
    if domain.kind != "f":
        whole = rng.integers(int(domain.low), int(domain.high), n)
        return whole.astype({"i": np.int64, "b": np.bool_}[domain.kind]).reshape(shape)
    x = domain.low + (domain.high - domain.low) * (rng.permutation(400)[:n] + 0.5) / 400
    return (x * np.where(rng.random(n) < 0.5, -1, 1) if domain.either_sign else x).reshape(shape)


def floating(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def cast(value: Any, dtype: str, special: float | None = None) -> Any:
    """A floating point argument in another dtype, with a special value in its middle; any other as it is."""
    if isinstance(value, list):
        return [cast(part, dtype, special) for part in value]
    if not floating(value):
        return value
    kind = np.dtype(dtype).kind
    if kind == "b":
        return value > 0.5
    whole = np.rint(2 * value)
    x = np.array(value if kind == "f" else np.abs(whole) if kind == "u" else whole, dtype)
    if special is not None and x.size:
        x.flat[x.size // 2] = special
    return x


def specials(dtype: str) -> tuple[float | None, ...]:
    """What to put into an array of this dtype: nothing, and numbers that are infinite, NaN or about to overflow."""
    if dtype in FLOATS:
        return None, np.nan, np.inf, -np.inf
    return (None,) if dtype == "bool" else (None, np.iinfo(dtype).max - 1)


def as_tensor(value: Any, requires_grad: bool = False) -> Any:
    """An array as a Tensor, any other argument as it is."""
    if isinstance(value, list):
        return [as_tensor(part, requires_grad) for part in value]
    return Tensor(value, requires_grad and floating(value)) if isinstance(value, np.ndarray) else value


def as_used(entry: Operation) -> Any:
    """The operation as its users call it."""
    return entry.function if entry in NUMPYS else entry


def tolerance(*dtypes: str) -> float:
    """The tolerance for results computed from these dtypes: that of the least precise."""
    return max({"float16": 5e-3, "float32": 1e-5}.get(dtype, 1e-10) for dtype in dtypes)


def difference(found: Any, expected: Any, rtol: float) -> str:
    """How results differ from the expected ones, or "" if they do not."""
    if isinstance(expected, Exception) or isinstance(found, Exception):
        if isinstance(expected, Exception) and isinstance(found, Exception):
            kinds = (ZeroDivisionError, OverflowError, ValueError, IndexError, TypeError)
            same = type(found) is type(expected)
            if same or any(isinstance(found, kind) and isinstance(expected, kind) for kind in kinds):
                return ""
        return f"{found!r:.150} instead of {expected!r:.150}"
    if len(found) != len(expected):
        return f"{len(found)} results instead of {len(expected)}"
    for one, other in zip(found, expected, strict=True):
        x, y = (np.asarray(value.data if type(value) is Tensor else value) for value in (one, other))
        if (x.dtype, x.shape) != (y.dtype, y.shape):
            return f"{x.dtype}{list(x.shape)} instead of {y.dtype}{list(y.shape)}"
        if y.dtype.kind not in "fc":
            same = bool(np.array_equal(x, y))
        else:
            scale = float(np.max(np.abs(y[np.isfinite(y)]), initial=1))
            wide = np.result_type(y, np.longdouble)
            same = np.allclose(x.astype(wide), y.astype(wide), rtol, rtol * scale, equal_nan=True)
        if not same:
            return f"{x!r:.100} instead of {y!r:.100}"
    return ""

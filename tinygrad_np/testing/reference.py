"""Generate OPERATIONS.md, the table of operations, from the registry: `python -m tinygrad_np.testing.reference`."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from .. import special as scipys
from .._functions import name_of
from .._messages import REFUSED as REASONS
from .._registry import Composite, Constant, Primitive, registry
from ..ops import convolution, folding, pooling, scipy_special
from ..tensor import Tensor
from . import namespace
from .conventions import CONVENTIONS, REFUSED, TRAPS

PATH = Path(__file__).parent.parent / "OPERATIONS.md"
# Required arguments of composites that are not differentiable.
NOT_DIFFERENTIABLE = {
    "axis", "condition", "condlist", "dtype", "indices", "indices_or_sections", "kth", "n", "obj", "pad_width",
    "q", "repeats", "reps", "subscripts",
}  # fmt: skip
METHODS = [
    name
    for name in sorted(vars(np.ndarray))
    if not name.startswith("_") and callable(getattr(np.ndarray, name)) and callable(getattr(Tensor, name, None))
]


def is_numpys(function: Any) -> bool:
    owner = getattr(function, "__self__", function)  # of add.reduce, the ufunc; those of other libraries have no module
    return (getattr(owner, "__module__", None) or "").partition(".")[0] == "numpy"


def differentiable_functions() -> "list[Primitive | Composite]":
    """The registry entries of NumPy functions that have a gradient, sorted by name."""
    found = [e for f, e in registry.items() if is_numpys(f) and not isinstance(e, Constant)]
    return sorted(found, key=lambda entry: entry.name.lower())


def differentiable_methods() -> list[str]:
    """The names of ndarray methods that Tensor has and that have a gradient."""
    without = {name_of(f) for f, e in registry.items() if isinstance(e, Constant)} | {"item", "tolist"}
    return [name for name in METHODS if name not in without and name != "choose"]


def _signature(entry: "Primitive | Composite") -> tuple[str, str]:
    """The differentiable arguments of an operation and its other arguments, as text."""
    if isinstance(entry, Composite):
        parameters = [p for p in inspect.signature(entry.implementation).parameters.values() if p.name != "ufunc"]
        needed = [
            f"*{p.name}" if p.kind is p.VAR_POSITIONAL else p.name
            for p in parameters
            if p.default is p.empty and p.name not in NOT_DIFFERENTIABLE
        ]
        others = {p.name for p in parameters if p.default is not p.empty or p.name in NOT_DIFFERENTIABLE}
        return ", ".join(needed), ", ".join(sorted(others))
    if entry.arity is None:
        return "all", ", ".join(sorted(entry.keywords))
    names = entry.names[1:]
    chosen = names if entry.joint else [name for name, vjp in zip(names, entry.vjps, strict=True) if vjp is not None]
    return ", ".join(chosen), ", ".join(sorted(entry.keywords))


def _of_scipy(entry: scipy_special.Entry) -> str:
    """A function of SciPy, and of its arguments those that have a gradient, if it has others."""
    named = f" ({', '.join(filter(None, entry.arguments))})" if None in entry.arguments else ""
    return f"`{entry.name}`{named}"


def _shown(*values: Any) -> str:
    return ", ".join(str(np.asarray(value).tolist()) for value in values)


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _not_supported() -> str:
    """The rows of the table of functions that are refused: a reason, and the functions."""
    found = namespace.by_status()
    return "\n".join(f"| {reason} | {_listed(found[reason])} |" for reason in REASONS if found[reason])


def text() -> str:
    """The contents of OPERATIONS.md."""
    functions, methods = differentiable_functions(), differentiable_methods()
    of_scipy = {entry.own for entry in scipy_special.ENTRIES}
    home = "tinygrad_np.ops."  # excludes functions that users registered
    entries = {
        e.name
        for f, e in registry.items()
        if (getattr(f, "__module__", None) or "").startswith(home) and f.__name__[0] != "_" and f not in of_scipy
    }
    names = [name for part in (convolution, folding, pooling) for name in vars(part) if name[0] != "_"]
    composed = {name for name in names if name.endswith(("1d", "2d", "3d", "fold", "shuffle"))}
    internal = {name for name in entries if name == "getitem" or name.startswith("x.at")}
    own = sorted((entries | composed) - internal)
    constants = sorted((e.name for f, e in registry.items() if isinstance(e, Constant) and is_numpys(f)), key=str.lower)
    special = sorted((e for e in scipy_special.ENTRIES if not e.own and e.arguments), key=lambda entry: entry.name)
    of_special = ", ".join(map(_of_scipy, special))
    taken = {e for f, e in registry.items() if is_numpys(f) and not (e.real_only or isinstance(e, Constant))}
    complex_numbers = sorted({entry.name for entry in taken}, key=str.lower)
    rows = "\n".join(f"| `{entry.name}` | {' | '.join(_signature(entry))} |" for entry in functions)
    conventions = "\n".join(
        f"| {row.name}{' †' if row.peers_disagree else ''} | {_shown(*row.inputs)} | {_shown(*row.gradients)} |"
        for row in CONVENTIONS
    )

    refused = "\n".join(f"| {row.name} | {row.error.__name__}: {row.message} |" for row in REFUSED)
    traps = "\n".join(
        f"| `{row.name}` | {_shown(row.input)} | {_shown(row.gradient)} | `{row.instead}` | {_shown(row.right)} |"
        for row in TRAPS
    )
    counts, version = namespace.counts(), np.__version__.rpartition(".")[0]
    total = sum(counts.values())

    return f"""<!-- Written by `python -m tinygrad_np.testing.reference`; a test compares it with the registry. -->

# Operations

{len(functions)} NumPy functions and {len(methods)} methods are differentiable, to any order. Functions and keywords
that are not listed raise an error that names them. Each elementwise ufunc takes `dtype=` as well, for floating point.
`out=` always raises.

| function | arguments with a gradient | other arguments and keywords |
| --- | --- | --- |
{rows}

**Methods of a Tensor**, each like the NumPy function of that name: {_listed(methods)}; also the
operators `+ - * / ** @ abs`, indexing, `x.at[index].set(value)` and `x.at[index].add(value)`.

**Complex numbers** are taken by {_listed(complex_numbers)}; see [Complex numbers](docs/complex.md).

**Functions of this package**: {_listed(own)}.

**SciPy's special functions**, where SciPy is installed, written `scipy.special.gammaln(x)` or
`tinygrad_np.special.gammaln(x)`. If arguments are named, the others have no gradient: {of_special}.

**In `tinygrad_np.special` only**, since those of `scipy.special` take arrays alone: {_listed(scipys.__all__)}.

**Without a gradient** (they return plain arrays): {_listed(constants)}.

# All functions of NumPy

Of the {total} functions of NumPy {version}, `np.linalg` and `np.fft`, with the methods of those ufuncs of two arguments
that are differentiable,

- {counts["differentiable"]} are differentiable,
- {counts["constant"]} are constant where they can be differentiated, and return plain arrays,
- {counts["refused"]} are refused, for the reasons below,
- {counts["unaccounted"]} are none of these.

| not supported, since | functions |
| --- | --- |
{_not_supported()}

# Gradients that are a convention or easy to get wrong

The tests are generated from this table: float64, an output gradient of ones, exact to the last digit, no warning. A
derivative that does not exist is NaN, unless a convention gives it a number. The slope of a function is its gradient;
the gradient of that is the sum over the rows of the Hessian. At † PyTorch, JAX, HIPS autograd or MyGrad gives something
else: another convention, NaN, an error, or a wrong value.

| function | input | gradient |
| --- | --- | --- |
{conventions}

Where eigenvalues or singular values are equal, or a matrix does not have full rank, see the head of
[linalg.py](ops/linalg.py).

## Refused

These raise an error whose message contains the text.

| what | error and text |
| --- | --- |
{refused}

## Traps

No framework gives a useful gradient for these, which are right by the rules of NumPy's numbers (0 * inf is NaN). Most
of them give another value than meant as well.

| written | at | gradient | write instead | gradient |
| --- | --- | --- | --- | --- |
{traps}

The engine also guarantees the following, each with a test:

- Repeating `y = y * 0.5 + y * 0.5` ten thousand times gives a gradient of exactly 1, without recursion.
- A chain of 100,000 operations can be computed, differentiated and deleted.
- A second backward pass without `retain_graph` raises an error that names it; with it, gradients add up.
- A gradient has the shape and dtype of its argument, including shapes () and (0, 3) and float32.
- `max` of an empty array raises, as in NumPy.
- `np.sqrt(x, where=mask)` raises, because its other elements are undefined.
"""


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
    counts = {"gradients": len(CONVENTIONS), "refused": len(REFUSED), "traps": len(TRAPS)}
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    print(f"{len(differentiable_functions())} functions and {len(differentiable_methods())} methods: {PATH}")
    print(", ".join(f"{count} {status}" for status, count in namespace.counts().items()), "functions of NumPy")
    print(f"{sum(counts.values())} rows in the tables of conventions: {kinds}")

"""Roots and fixed points of functions, with derivatives by the implicit function theorem."""

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from .. import _validation as check
from .. import tensor
from .._machine.arrays import Array
from ..func.custom import Operation
from ..tensor import Tensor
from .implicit import (
    DENSE,
    ConvergenceError,
    Layout,
    Recorded,
    any_tensors,
    joined,
    solution,
    stacked,
    values,
    variable,
)
from .linear import Linear, _tolerance, _transposed, gmres

Residual = Callable[[Tensor], Any]
ROOT, FIXED_POINT = Operation("root"), Operation("fixed_point")
SCIPY = (
    *("hybr", "lm", "broyden1", "broyden2", "anderson", "linearmixing", "diagbroyden", "excitingmixing", "krylov"),
    "df-sane",
)


def root(
    f: Callable[..., Any],
    x0: Any,
    *args: Any,
    method: str = "newton",
    tolerance: float | None = None,
    steps: int = 50,
) -> Any:
    """The x near x0 with f(x, *args) = 0.

    Differentiable to any order in args, and in all that f reaches by itself, such as parameters of a network; a small
    change of x0 does not change x. The derivative is -J**-1 times that of f, where J is the Jacobian of f at x. It does
    not depend on how x was found, and is as accurate as x is.

    Args:
        f: takes a tree like x0, of Tensors, and returns as many numbers as it has, in a tree of any structure.
        x0: where to start: a tree of floating point arrays, Tensors or numbers.
        *args: more arguments of f.
        method: "newton", which halves steps that do not reduce the residual; or a method of `scipy.optimize.root`, as
            "hybr" or "krylov", which needs SciPy, and from whose result Newton's method goes on.
        tolerance: Newton's method ends with a step of at most this in every element, relative to the largest of x where
            that is more than 1; by default eps**(2/3) for the dtype of x0: 4e-11 in float64, 2e-5 in float32.
        steps: how many steps Newton's method may take.

    Returns:
        A tree like x0, of arrays where x0 and args are, of Tensors otherwise.

    Raises:
        ConvergenceError: no root was found.
        ValueError: f returns another number of elements, or an option is out of its range.
        numpy.linalg.LinAlgError (in the backward pass): J is singular, as at a double root: there is no derivative.

    Up to 1000 elements the Jacobian is computed. For more, linear equations are solved by GMRES.

    Source: the implicit function theorem, as in M. Blondel et al. (2022), "Efficient and modular implicit
    differentiation".

    >>> from tinygrad_np import func
    >>> root(lambda x, a: x**2 - a, 1.0, 2.0).round(6)
    np.float64(1.414214)
    >>> func.grad(lambda a: root(lambda x: x**2 - a, 1.0))(2.0).round(6)  # 1 / (2 * sqrt(2))
    np.float64(0.353553)
    """
    method = check.one_of("root", "method", method, ("newton", *SCIPY))
    layout = Layout("root", "x0", x0)
    steps = check.positive_integer("root", "steps", steps)

    def residual(x: Tensor) -> Any:
        return _equations(f(layout.tree(x), *args), layout)

    tolerance, start = _tolerance("root", tolerance, layout.dtype), layout.start
    if method != "newton":
        start = _by_scipy(residual, start, method)
    x = _newton(residual, start, tolerance, steps)
    return layout.finished(_implicit(ROOT, residual, x), any_tensors(x0, args))


def fixed_point(
    f: Callable[..., Any],
    x0: Any,
    *args: Any,
    tolerance: float | None = None,
    steps: int = 1000,
    memory: int = 5,
) -> Any:
    """The x near x0 with f(x, *args) = x.

    Differentiable to any order in args, and in all that f reaches by itself, such as parameters of a network; not in
    x0. The derivative is that of `root` for f(x) - x.

    All of x is one system, also where it is a batch of them: the acceleration combines their steps with one set of
    weights, the tolerance is relative to the largest element of all, and the iteration ends when the last of them has
    converged. To solve each on its own, call it for each.

    Args:
        f: takes a tree like x0, of Tensors, and returns such a tree.
        x0: where to start: a tree of floating point arrays, Tensors or numbers.
        *args: more arguments of f.
        tolerance: ends where no element of f(x) - x is larger than this, relative to the largest of x where that is
            more than 1; by default eps**(2/3) for the dtype of x0: 4e-11 in float64, 2e-5 in float32.
        steps: how often f may be called.
        memory: of how many steps Anderson's acceleration combines the results; 0 iterates x = f(x) as it stands, which
            stays where f does.

    Returns:
        A tree like x0, of arrays where x0 and args are, of Tensors otherwise.

    Raises:
        ConvergenceError: no fixed point was found.
        ValueError: f returns a tree of another structure, or an option is out of its range.
        numpy.linalg.LinAlgError (in the backward pass): 1 is an eigenvalue of the Jacobian of f, so that there is no
            derivative.

    Source: D. G. Anderson (1965), as in H. F. Walker and P. Ni (2011), "Anderson acceleration for fixed-point
    iterations", algorithm AA.

    >>> from tinygrad_np import func
    >>> fixed_point(lambda x, a: np.cos(a * x), 0.5, 1.0).round(6)
    np.float64(0.739085)
    >>> func.grad(lambda a: fixed_point(lambda x: np.cos(a * x), 0.5))(1.0).round(6)
    np.float64(-0.297474)
    """
    layout = Layout("fixed_point", "x0", x0)
    tolerance = _tolerance("fixed_point", tolerance, layout.dtype)
    steps = check.positive_integer("fixed_point", "steps", steps)
    if check.integer("fixed_point", "memory", memory) < 0:
        raise ValueError(f"fixed_point: memory must be at least 0, not {memory}")

    def residual(x: Tensor) -> Any:
        return layout.vector(f(layout.tree(x), *args), "f returned") - x

    x = _anderson(values(residual), layout.start, tolerance, steps, memory)
    return layout.finished(_implicit(FIXED_POINT, residual, x), any_tensors(x0, args))


# --- derivatives -----------------------------------------------------------------------------------------------------


def _equations(result: Any, layout: Layout) -> Any:
    """What a function returned as a vector, with as many elements as there are unknowns."""
    found = joined([stacked(result) if isinstance(result, list | tuple) else result], layout.dtype)
    if found.size != layout.size:
        raise ValueError(f"root: f returned {found.size} numbers for {layout.size} unknowns; there must be as many")
    return found


def _implicit(operation: Operation, residual: Residual, x: Array) -> Tensor:
    """A solution as a node of the graph: residual(x) = 0 also where what it depends on moves."""
    if tensor._pauses.get():
        return tensor._as_tensor(x)
    at = variable(x)
    sources = Recorded(residual, at).others(at)

    def rule(g: Tensor, x: Tensor) -> list[Tensor]:
        call = Recorded(residual, x)
        return call.pull(-_by_transposed_jacobian(operation.name, call, x, g), sources)

    return solution(operation, x, rule, sources)


def _by_transposed_jacobian(owner: str, call: Recorded, x: Tensor, g: Tensor) -> Tensor:
    """The w with J^T w = g."""
    if x.size > DENSE:
        tolerance = _tolerance(owner, None, x.dtype)
        return Linear(_transposed(call, x), "gmres", tolerance, 10 * x.size).solve(g)
    try:
        return tensor._as_tensor(np.linalg.solve(call.jacobian(x).T, g))
    except np.linalg.LinAlgError:
        raise np.linalg.LinAlgError(
            f"{owner}: the Jacobian is singular at the solution, which has no derivative there"
        ) from None


# --- methods ---------------------------------------------------------------------------------------------------------


def _newton(residual: Residual, x: Array, tolerance: float, steps: int) -> Array:
    value = values(residual)
    size = math.nan
    for step in range(steps):
        at = variable(x)
        call = Recorded(residual, at)
        y = call.output._data
        size = _largest(y)
        if not math.isfinite(size):
            raise ConvergenceError(f"root: f is {y[~np.isfinite(y)][0]} in step {step}; start elsewhere")
        if size == 0:
            return x
        change = _newton_step(call, at, y, step)
        if _largest(change) <= tolerance * max(1, _largest(x)):
            return x + change
        x = _shortened(value, x, change, y, step)
    raise ConvergenceError(
        f"root: not converged after {steps} steps: the residual is {size:.3g} and the last step {_largest(change):.3g},"
        f" the tolerance {tolerance:.3g}; start nearer to the root, or raise steps="
    )


def _newton_step(call: Recorded, x: Tensor, y: Array, step: int) -> Array:
    pauses = tensor._pauses.set(1)
    try:
        if x.size > DENSE:
            return -gmres(lambda v: call.along(x, v), y, _tolerance("root", None, x.dtype), 10 * x.size)
        return -np.linalg.solve(call.jacobian(x), y)
    except (np.linalg.LinAlgError, ConvergenceError) as error:
        raise ConvergenceError(
            f"root: the equations of Newton's step {step} have no solution, where the residual is {_largest(y):.3g}:"
            f" {error}; start elsewhere"
        ) from None
    finally:
        tensor._pauses.reset(pauses)


def _shortened(value: Callable[[Array], Array], x: Array, change: Array, y: Array, step: int) -> Array:
    """x and its change, halved until the residual is less (J. E. Dennis and R. B. Schnabel 1983, section 6.3.1)."""
    length, size = 1.0, float(np.linalg.norm(y))
    while length > 1e-10:
        moved = x + x.dtype.type(length) * change
        with np.errstate(all="ignore"):
            if float(np.linalg.norm(value(moved))) <= (1 - 1e-4 * length) * size:
                return np.asarray(moved)
        length /= 2
    raise ConvergenceError(
        f"root: the residual stays at {_largest(y):.3g} in step {step}, also for the shortest step; there may be no"
        " root near: start elsewhere"
    )


def _by_scipy(residual: Residual, x: Array, method: str) -> Array:
    try:
        optimize = import_module("scipy.optimize")
    except ImportError:
        raise ImportError(f"root: method={method!r} needs SciPy: python -m pip install scipy") from None
    value = values(residual)

    def jacobian(x: Array) -> Any:
        pauses = tensor._pauses.set(1)
        try:
            at = variable(np.asarray(x, dtype))
            return Recorded(residual, at).jacobian(at)
        finally:
            tensor._pauses.reset(pauses)

    dtype = x.dtype
    jac = jacobian if method in ("hybr", "lm") else None
    found = optimize.root(lambda x: value(np.asarray(x, dtype)), x, jac=jac, method=method)
    at = np.asarray(found.x, dtype)
    if not found.success:
        raise ConvergenceError(f"root: {method}: {found.message} The residual is {_largest(value(at)):.3g}")
    return at


def _anderson(residual: Callable[[Array], Array], x: Array, tolerance: float, steps: int, memory: int) -> Array:
    moves: list[Array] = []  # differences of x, and of the residuals
    turns: list[Array] = []
    r = residual(x)
    for step in range(1, steps + 1):
        size = _largest(r)
        if not math.isfinite(size):
            raise ConvergenceError(f"fixed_point: f(x) - x is {r[~np.isfinite(r)][0]} in step {step}; start elsewhere")
        if size <= tolerance * max(1, _largest(x)):
            return x + r
        change = r
        if turns:
            R = np.stack(turns, axis=1)
            change = r - (np.stack(moves, axis=1) + R) @ np.linalg.lstsq(R, r)[0].astype(r.dtype)
        before, r = r, residual(x + change)
        if memory:
            moves, turns = [*moves, change][-memory:], [*turns, r - before][-memory:]
        x = x + change
    raise ConvergenceError(
        f"fixed_point: not converged after {steps} steps: f(x) - x is {_largest(r):.3g}, the tolerance {tolerance:.3g};"
        " start nearer, raise steps=, or use root, which needs no contraction"
    )


def _largest(x: Array) -> float:
    return float(np.max(np.abs(x)))

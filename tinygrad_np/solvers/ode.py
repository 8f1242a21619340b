"""Differential equations: Runge-Kutta methods, with derivatives through their steps or by the adjoint method."""

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from .. import _validation as check
from .. import tensor
from .._machine.arrays import Array
from ..func import derivatives
from ..func.custom import Operation
from ..tensor import Tensor
from .implicit import ConvergenceError, Layout, Recorded, any_tensors, solution, values, variable

Field = Callable[..., Any]
Path = Callable[[float], Array]  # the values between the times
ODEINT = Operation("odeint")
SCIPY = ("RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA")
DRIFT = 1e4  # how many times the tolerance the adjoint method may miss what it should come back to


class Tableau(NamedTuple):
    """An explicit Runge-Kutta method.

    Attributes:
        times: of the stages, as fractions of a step.
        stages: for each stage the weights of the slopes before it.
        weights: of the slopes in the result.
        error: weights of the slopes, and of that at the end of the step, in the estimate of the error.
        order: of the error estimate; a step's error grows with the power `order + 1` of its length.
    """

    times: tuple[float, ...]
    stages: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    error: tuple[float, ...] = ()
    order: int = 4


RK4 = Tableau((0, 1 / 2, 1 / 2, 1), ((), (1 / 2,), (0, 1 / 2), (0, 0, 1)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))
# J. R. Dormand and P. J. Prince (1980), "A family of embedded Runge-Kutta formulae", RK5(4)7M.
DOPRI5 = Tableau(
    times=(0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1),
    stages=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    weights=(35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    error=(71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
)


class Options(NamedTuple):
    """How to integrate: the method by name, and what it needs."""

    method: str
    rtol: float
    atol: float
    steps: int
    max_steps: int


def odeint(
    f: Field,
    y0: Any,
    t: Any,
    *args: Any,
    method: str = "dopri5",
    adjoint: bool = False,
    rtol: float | None = None,
    atol: float | None = None,
    steps: int = 1,
    max_steps: int = 10_000,
) -> Any:
    """The solution y of dy/dt = f(y, t, *args) with y(t[0]) = y0, at the times t.

    Differentiable in y0, t and args, and in all that f reaches by itself, such as the parameters of a network, to any
    order.

    Args:
        f: takes a tree like y0, of Tensors, and the time, a Tensor of shape (); returns dy/dt, a tree like y0. A list
            will do for an array: `[y[1], -y[0]]`.
        y0: a tree of floating point arrays, Tensors or numbers.
        t: increasing or decreasing times, an array or Tensor of shape (n,). It is converted to the dtype of y0.
        *args: more arguments of f.
        method: "dopri5", which chooses its steps; "rk4", whose steps have equal lengths between two times; or a method
            of `scipy.integrate.solve_ivp`, as "Radau" for stiff equations. These need SciPy, and for derivatives
            `adjoint=True`.
        adjoint: how derivatives are computed. False records the steps: gradients are those of the numbers returned, to
            rounding, and memory grows with the number of steps. True records nothing, and integrates a second equation
            backward, together with y: memory does not grow, gradients are as accurate as the tolerance, and equations
            that are not stable backward are refused. First derivatives by SciPy's methods do not mind: they take y
            from SciPy's interpolation, which needs memory for each step.
        rtol, atol: the error of one step may be atol + rtol * |y|, in the root mean square; by default both are
            eps**(1/2) for the dtype of y0: 1.5e-8 in float64, 3.5e-4 in float32. "rk4" has none.
        steps: for "rk4", the number of steps from one time to the next.
        max_steps: for "dopri5", the largest number of steps from one time to the next, those repeated included.

    Returns:
        A tree like y0 whose leaves have a first axis of length n, of arrays where y0, t and args are, of Tensors
        otherwise.

    Raises:
        ConvergenceError: the steps have become too many or too short, f is not finite; or the adjoint method does not
            come back to the values that it began at, since the equation is not stable backward.
        ValueError: t is not monotone, f returns a tree of another structure, or an option is out of its range.
        TypeError: y0 is not floating point, or a method of SciPy was to record its steps.

    Steps end at the times t. A step's length counts as a fraction of the time between two of them, so that derivatives
    with respect to t are those of the steps as well.

    Sources: E. Hairer, S. P. Norsett and G. Wanner (1993), "Solving ordinary differential equations I", II.4 for
    the choice of steps; R. T. Q. Chen et al. (2018), "Neural ordinary differential equations", appendices B and C, for
    the adjoint method.

    >>> from tinygrad_np import func
    >>> def decay(y, t, rate):
    ...     return -rate * y
    >>> odeint(decay, 1.0, np.array([0.0, 1.0, 2.0]), 0.5).round(6)
    array([1.      , 0.606531, 0.367879])
    >>> end = lambda rate: odeint(decay, 1.0, np.array([0.0, 2.0]), rate)[-1]
    >>> func.grad(end)(0.5).round(6)  # -2 * exp(-1)
    np.float64(-0.735759)
    """
    layout = Layout("odeint", "y0", y0)
    options = _options(layout, method, rtol, atol, steps, max_steps)
    # Copies, so that f reaches neither: what it depends on besides has a gradient of its own.
    times, start = +_times(t), +tensor._as_tensor(layout.vector(y0, "y0"))

    def field(y: Tensor, t: Tensor) -> Any:
        slope = f(layout.tree(y), t, *args)
        try:
            return layout.vector(slope, "f returned")
        except ValueError as error:
            raise ValueError(f"{error}; f is called as f(y, t, *args), and returns dy/dt like y0") from None

    found = _solution(field, start, times, options, check.boolean("odeint", "adjoint", adjoint))
    return layout.finished(found, any_tensors(y0, t, args))


def _options(layout: Layout, method: Any, rtol: Any, atol: Any, steps: Any, max_steps: Any) -> Options:
    eps = float(np.finfo(layout.dtype).eps)
    return Options(
        check.one_of("odeint", "method", method, ("dopri5", "rk4", *SCIPY)),
        eps**0.5 if rtol is None else check.real("odeint", "rtol", rtol, at_least=10 * eps),
        eps**0.5 if atol is None else check.real("odeint", "atol", atol, at_least=0),
        check.positive_integer("odeint", "steps", steps),
        check.positive_integer("odeint", "max_steps", max_steps),
    )


def _times(t: Any) -> Tensor:
    if not isinstance(t, Tensor):
        t = np.asarray(t)
        if t.dtype.kind in "iu":
            t = t.astype(np.float64)
        t = tensor._as_tensor(check.floating("odeint", "t", t))
    if t.ndim != 1 or not t.size:
        raise ValueError(f"odeint: t must have shape (n,), at least one time, not {t.shape}")
    moves = np.diff(t._data)
    if not (np.all(moves > 0) or np.all(moves < 0)) or not np.isfinite(t._data).all():
        raise ValueError("odeint: t must be finite, and increase or decrease from each time to the next")
    return tensor._as_tensor(t)


def _solution(field: Field, y0: Tensor, t: Tensor, options: Options, adjoint: bool) -> Tensor:
    """The values at all times, of shape (len(t), y0.size), with their derivatives if anything requires a gradient."""
    sources = [] if tensor._pauses.get() else _sources(field, y0, t)
    if sources and not adjoint and options.method in SCIPY:
        raise TypeError(f"odeint: the steps of {options.method!r} are not recorded; for derivatives write adjoint=True")
    found, parts, path = _integrate(field, y0._data, t._data, options)
    if not sources:
        return tensor._as_tensor(found)
    if adjoint:
        return _with_adjoint(field, found, path, y0, t, sources, options)
    return _recorded_steps(field, y0, t, parts, RK4 if options.method == "rk4" else DOPRI5)


def _sources(field: Field, y0: Tensor, t: Tensor) -> list[Tensor]:
    """The Tensors that a solution depends on and that require a gradient: y0, t, and what the field reaches."""
    y, at = variable(y0._data), variable(np.asarray(t._data[0], y0.dtype))
    given = [x for x in (y0, t) if x.requires_grad]
    return given + [s for s in Recorded(field, y, at).others(y, at) if not any(s is x for x in given)]


# --- values ----------------------------------------------------------------------------------------------------------


def _integrate(field: Field, y: Array, t: Array, options: Options) -> tuple[Array, list[list[float]], Path | None]:
    """The values at all times, and for each interval the ends of its steps, as fractions from 0 to 1.

    From SciPy there are no steps, but the function that has the values between them.
    """
    slope = _slope(field, y.dtype)
    if options.method in SCIPY:
        return _by_scipy(field, slope, y, t, options)
    found, parts = [y], []
    step = math.nan  # the length of the last one that was not cut short
    for begin, end in pairwise(t.tolist()):
        if options.method == "rk4":
            y, ends = _equal_steps(slope, y, begin, end, options.steps)
        else:
            y, ends, step = _chosen_steps(slope, y, begin, end, step, options)
        found.append(y)
        parts.append(ends)
    return np.stack(found), parts, None


def _slope(field: Field, dtype: Any) -> Callable[[Array, float], Array]:
    """The field as a function of an array and a number."""
    call = values(field)

    def slope(y: Array, t: float) -> Array:
        return call(y, np.asarray(t, dtype))

    return slope


def _equal_steps(slope: Callable[..., Array], y: Array, begin: float, end: float, count: int) -> tuple[Array, Any]:
    ends = [i / count for i in range(count + 1)]
    h = (end - begin) / count
    for part in ends[:-1]:
        at = begin + (end - begin) * part
        slopes = _slopes(slope, y, at, h, slope(y, at), RK4)
        y = y + (h * np.array(RK4.weights)).astype(y.dtype) @ slopes
    return y, ends


def _slopes(slope: Callable[..., Array], y: Array, t: float, h: float, first: Array, tableau: Tableau) -> Array:
    """The slopes of the stages of one step, of shape (stages, y.size)."""
    found = np.empty((len(tableau.times), y.size), y.dtype)
    found[0] = first
    for i in range(1, len(found)):
        weights = (h * np.array(tableau.stages[i])).astype(y.dtype)
        found[i] = slope(y + weights @ found[:i], t + h * tableau.times[i])
    return found


def _chosen_steps(
    slope: Callable[..., Array], y: Array, begin: float, end: float, step: float, options: Options
) -> tuple[Array, list[float], float]:
    """From one time to the next, by steps as long as their errors allow."""
    length = end - begin
    t, first, ends = begin, slope(y, begin), [0.0]
    if not math.isfinite(step):
        step = math.copysign(_first_step(slope, y, begin, first, options), length)
    weights, error = np.array(DOPRI5.weights), np.array(DOPRI5.error)
    for _ in range(options.max_steps):
        left = end - t
        is_last = abs(step) >= abs(left) * (1 - 1e-10)
        h = left if is_last else step
        if abs(h) <= 4 * np.spacing(max(abs(t), abs(end))) and not is_last:
            raise ConvergenceError(
                f"odeint: the steps have become too short at t = {t:.6g}, where y is at most {np.max(np.abs(y)):.3g}:"
                " the solution may end there, or f is not finite or not continuous"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            slopes = _slopes(slope, y, t, h, first, DOPRI5)
            moved = y + (h * weights).astype(y.dtype) @ slopes
            last = slope(moved, end if is_last else t + h)
            mistake = (h * error[:-1]).astype(y.dtype) @ slopes + y.dtype.type(h * error[-1]) * last
            size = _relative(mistake, np.maximum(np.abs(y), np.abs(moved)), options)
        factor = 0.9 * size ** (-1 / (DOPRI5.order + 1)) if size else 10.0
        if size <= 1:
            t, y, first = (end if is_last else t + h), moved, last
            ends.append(1.0 if is_last else (t - begin) / length)
            longer = h * min(10, factor)
            step = max(step, longer, key=abs) if is_last and factor >= 1 else longer
            if is_last:
                return y, ends, step
        else:  # NaN as well
            step = h * max(0.2, min(factor, 0.9))
    raise ConvergenceError(
        f"odeint: {options.max_steps} steps have come to t = {t:.6g} of {end:.6g}; the last length was {step:.3g}."
        ' For a stiff equation write method="Radau" and adjoint=True, which needs SciPy; or raise max_steps=, rtol= or'
        " atol="
    )


def _relative(mistake: Array, scale: Array, options: Options) -> float:
    """The root mean square of errors in units of what is allowed."""
    return math.sqrt(float(np.mean(np.square(mistake / (options.atol + options.rtol * scale), dtype=np.float64))))


def _first_step(slope: Callable[..., Array], y: Array, t: float, first: Array, options: Options) -> float:
    """A length to begin with: Hairer, Norsett and Wanner, algorithm II.4.14, without its second evaluation."""
    size, speed = _relative(y, np.abs(y), options), _relative(first, np.abs(y), options)
    return 1e-6 if size < 1e-5 or speed < 1e-5 or not math.isfinite(speed) else 0.01 * size / speed


def _by_scipy(
    field: Field, slope: Callable[..., Array], y: Array, t: Array, options: Options
) -> tuple[Array, list[list[float]], Path | None]:
    try:
        integrate = import_module("scipy.integrate")
    except ImportError:
        raise ImportError(f"odeint: method={options.method!r} needs SciPy: python -m pip install scipy") from None
    if len(t) == 1:
        return y[None], [], None
    dtype, implicit = y.dtype, options.method in ("Radau", "BDF", "LSODA")

    def jacobian(at: float, y: Array) -> Array:
        pauses = tensor._pauses.set(1)
        try:
            x = variable(np.asarray(y, dtype))
            return np.asarray(Recorded(lambda x: field(x, tensor._as_tensor(np.asarray(at, dtype))), x).jacobian(x))
        finally:
            tensor._pauses.reset(pauses)

    found = integrate.solve_ivp(
        lambda at, y: slope(np.asarray(y, dtype), at), (t[0], t[-1]), y, t_eval=t, method=options.method,
        rtol=options.rtol, atol=options.atol, dense_output=True, **({"jac": jacobian} if implicit else {}),
    )  # fmt: skip
    if not found.success:
        raise ConvergenceError(f"odeint: {options.method}: {found.message}")
    return np.asarray(found.y.T, dtype), [], found.sol


# --- derivatives through the steps -----------------------------------------------------------------------------------


def _recorded_steps(field: Field, y: Tensor, t: Tensor, parts: Sequence[Sequence[float]], tableau: Tableau) -> Tensor:
    """The same steps again, as operations on Tensors."""
    times: Any = t if t.requires_grad else t._data
    times = times if times.dtype == y.dtype else times.astype(y.dtype)
    found = [y]
    for i, ends in enumerate(parts):
        begin, length = times[i], times[i + 1] - times[i]
        for part, next_part in pairwise(ends):
            y = _recorded_step(field, y, begin + length * part, length * (next_part - part), tableau)
        found.append(y)
    return tensor._as_tensor(np.stack(found))


def _recorded_step(field: Field, y: Tensor, t: Any, h: Any, tableau: Tableau) -> Tensor:
    slopes: list[Any] = []
    for time, weights in zip(tableau.times, tableau.stages, strict=True):
        at = t + h * time
        at = at if type(at) is Tensor else tensor._as_tensor(at)
        slopes.append(field(y + h * _combined(weights, slopes) if slopes else y, at))
    return tensor._as_tensor(y + h * _combined(tableau.weights, slopes))


def _combined(weights: Sequence[float], slopes: Sequence[Any]) -> Any:
    total: Any = None
    for weight, slope in zip(weights, slopes, strict=True):
        if weight:
            part = weight * slope
            total = part if total is None else total + part
    return total


# --- derivatives by the adjoint method -------------------------------------------------------------------------------


def _with_adjoint(
    field: Field, found: Array, path: Path | None, y0: Tensor, t: Tensor, sources: list[Tensor], options: Options
) -> Tensor:
    """The solution as one node of the graph, whose gradients are a solution of another equation."""
    reached = [s for s in sources if s is not y0 and s is not t]

    def rule(g: Tensor, y: Tensor) -> list[Tensor]:
        # Numbers on a path have no derivatives: those of higher order integrate y backward.
        known = path if tensor._pauses.get() else None
        of_start, of_times, of_reached = _adjoint(field, g, y, known, t, reached, options)
        by_id = {id(s): part for s, part in zip(reached, of_reached, strict=True)}
        by_id |= {id(y0): of_start, id(t): of_times}
        return [by_id[id(s)] for s in sources]

    return solution(ODEINT, found, rule, sources)


def _adjoint(
    field: Field, g: Tensor, y: Tensor, path: Path | None, t: Tensor, reached: list[Tensor], options: Options
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The gradients of y[0], of t, and of all that the field reaches, from those of the solution y.

    The gradient a of y(t) fulfils da/dt = -a df/dy, and that of a Tensor p changes by -a df/dp. Both are integrated
    from each time back to the one before, together with y itself, which is not kept between the times; or without it,
    where its path is known.
    """
    times = t if t.dtype == y.dtype else t.astype(y.dtype)
    own = [y._data[0]] if path is None else []
    state = Layout("odeint", "y", (own, y._data[0], [s._data for s in reached]))
    a = g[-1]
    of_times: list[Tensor] = []
    totals: list[Any] = [np.zeros_like(s._data) for s in reached]
    for i in range(len(t) - 1, 0, -1):
        of_times.append((g[i] * derivatives._called(field, y[i], times[i])).sum())
        back = _solution(
            _adjoint_field(field, state, path, reached),
            state.vector(([y[i]] if own else [], a, [np.zeros_like(s._data) for s in reached]), "y"),
            times[[i, i - 1]],
            options,
            adjoint=True,
        )
        came_to, a, parts = state.tree(back[1])
        for found in came_to:
            _check_drift(found._data, y._data[i - 1], t._data, i, options)
        a = a + g[i - 1]
        totals = [total + part for total, part in zip(totals, parts, strict=True)]
    of_times.append(-((a - g[0]) * derivatives._called(field, y[0], times[0])).sum())
    of_t: Any = np.stack(of_times[::-1])
    return a, of_t.astype(t.dtype), [tensor._as_tensor(total) for total in totals]


def _adjoint_field(field: Field, state: Layout, path: Path | None, reached: list[Tensor]) -> Field:
    known = {id(s) for s in reached}

    def backward(vector: Tensor, t: Tensor) -> Any:
        own, a, _ = state.tree(vector)
        y = own[0] if path is None else variable(path(t.item()).astype(a.dtype))
        y = y if y.requires_grad else variable(y._data)
        call = Recorded(field, y, t)
        if lost := [s for s in call.others(y, t) if id(s) not in known]:
            raise ValueError(
                f"odeint: at t = {t.item():.6g} f depends on a Tensor of shape {lost[0].shape}, but at the first time"
                " it did not, so that its gradient would be lost; let f depend on it at all times, if only by adding 0"
                " times it, or write adjoint=False"
            )
        of_y, *of_reached = call.pull(-a, [y, *reached])
        return state.vector(([call.output] if path is None else [], of_y, of_reached), "f returned")

    return backward


def _check_drift(found: Array, expected: Array, t: Array, i: int, options: Options) -> None:
    """Raise where y, integrated backward, does not come back to what it was: gradients would be as wrong."""
    if options.method == "rk4":
        return
    missed = _relative(found - expected, np.abs(expected), options)
    if not missed <= DRIFT:
        raise ConvergenceError(
            f"odeint: the adjoint method, backward from t = {t[i]:.6g} to {t[i - 1]:.6g}, missed y by {missed:.2g}"
            " times the tolerance, since the equation is not stable in this direction: write adjoint=False, or give"
            " more times between"
        )

"""Minimise a function of arrays, by an optimiser of this package or a method of SciPy."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from .. import _validation as check
from .. import func, tensor
from .._messages import shown
from ..func.trees import branches_of, flatten, leaves_like, leaves_of, tree_like
from ..tensor import Array, Tensor, grad, no_grad
from .base import Optimizer
from .lbfgs import LBFGS

WITHOUT_GRADIENT = ("nelder-mead", "powell", "cobyla", "cobyqa")
WITH_PRODUCTS = ("newton-cg", "trust-ncg", "trust-krylov", "trust-constr")  # with the Hessian
WITH_HESSIAN = ("dogleg", "trust-exact")
SCIPY = (*WITHOUT_GRADIENT, *WITH_PRODUCTS, *WITH_HESSIAN, "cg", "bfgs", "l-bfgs-b", "tnc", "slsqp")


@dataclass
class Minimum:
    """What `minimize` has found, under the names of SciPy's `OptimizeResult`.

    Attributes:
        x: a tree like the start, in memory of its own.
        fun: the value of the function at x.
        nit: the number of steps taken.
        success: whether the gradient has come within the tolerance; or, without one, all steps were taken.
        message: why it ended.

    >>> Minimum(np.array([1.0, 2.0]), 0.5, nit=10).fun
    0.5
    """

    x: Any
    fun: float
    nit: int
    success: bool = False
    message: str = ""


def minimize(
    f: Callable[..., Any],
    start: Any,
    *args: Any,
    method: Any = None,
    steps: int | None = None,
    tolerance: float | None = None,
    callback: Callable[[Any], Any] | None = None,
    **options: Any,
) -> Any:
    """Minimise f(x, *args) over a tree x, and return the result with its `x`, `fun`, `nit`, `success` and `message`.

    Args:
        f: takes a tree like the start, of Tensors, and returns a Tensor of one element.
        start: floating point arrays, numbers or Tensors, in nested tuples, lists and dicts. It is not changed.
        *args: more arguments of f.
        method: an optimiser's class, as `optim.Adam`, or another function that makes an optimiser of a list of
            parameters; or the name of a method of `scipy.optimize.minimize`, as "L-BFGS-B", which needs SciPy.
        steps: how many; needed for an optimiser. For SciPy the largest number of iterations, by default the method's
            own, and for "TNC" the largest number of evaluations.
        tolerance: an optimiser stops where no element of the gradient is larger. For SciPy it is `tol`.
        callback: called after each step with a `Minimum`, which has `x`, `fun` and `nit`. It stops the search by
            `raise StopIteration`.
        **options: of an optimiser its hyperparameters, as lr=0.1. Of SciPy `bounds=(low, high)`, each a number, None or
            a tree like the start, and `options={...}`. Gradients are given to all methods that use them, and so are
            Hessians, or their products with vectors.

    Returns:
        A `Minimum`; from SciPy its `OptimizeResult`, with trees as `x` and `jac`. Leaves are Tensors where those of the
        start are, otherwise arrays or NumPy scalars. That no minimum was found is said by `success` and `message`.

    Raises:
        TypeError, ValueError: f returns no Tensor of one element, the method is unknown, or an option is refused.
        FloatingPointError: from an optimiser: the value is NaN or infinite, as after steps that are too long.

    Other parameters that f depends on, such as those of a network, stay as they are.

    >>> from tinygrad_np import optim
    >>> x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 3.0, 5.0, 7.0])
    >>> def loss(line):
    ...     return np.mean((line["slope"] * x + line["offset"] - y) ** 2)
    >>> found = optim.minimize(loss, {"slope": 0.0, "offset": 0.0}, method=optim.Adam, lr=0.1, steps=500)
    >>> {name: round(float(value), 2) for name, value in found.x.items()}
    {'slope': 2.0, 'offset': 1.0}
    """
    if not callable(f):
        raise TypeError(f"minimize: expected a function, not {shown(f)}")
    if not leaves_of(start):
        raise ValueError(f"minimize: the start has no elements: {shown(start)}")
    if tolerance is not None:
        tolerance = check.real("minimize", "tolerance", tolerance, at_least=0)
    if steps is not None:
        steps = check.positive_integer("minimize", "steps", steps)
    if isinstance(method, str):
        return _by_scipy(f, start, args, method, steps, tolerance, callback, options)
    return _by_optimizer(f, start, args, method, steps, tolerance, callback, options)


# --- by an optimiser -------------------------------------------------------------------------------------------------


def _by_optimizer(
    f: Callable[..., Any], start: Any, args: Any, method: Any, steps: Any, tolerance: Any, callback: Any, options: Any
) -> Minimum:
    vector, unflatten = flatten(start)
    numbers = unflatten(tensor._arrays(vector))
    parameters = [Tensor(np.asarray(leaf), requires_grad=True) for leaf in leaves_of(numbers)]
    tree = tree_like(start, iter(parameters))
    optimizer = _optimizer(method, parameters, options)
    if steps is None:
        raise TypeError("minimize: say how many steps an optimiser is to take, as steps=1000")

    def found(fun: float, nit: int, **end: Any) -> Minimum:
        return Minimum(_as_given([p.data.copy() for p in parameters], start), fun, nit, **end)

    fun = math.nan
    for nit in range(steps + 1):
        value = _value(f, tree, args)
        before, fun = fun, value.item()
        if not math.isfinite(fun):
            name, last = type(optimizer).__name__, f"; before the last one it was {before:.3g}" if nit else ""
            raise FloatingPointError(f"minimize: the value is {fun} after {nit} steps of {name}{last}; try another lr")
        if nit and callback is not None:
            try:
                callback(found(fun, nit))
            except StopIteration:
                return found(fun, nit, message="the callback raised StopIteration")
        if tolerance is not None:
            gradients = _gradients(f, value, parameters)
            largest = max(float(np.max(np.abs(g.data), initial=0)) for g in gradients)
            if largest <= tolerance:
                return found(fun, nit, success=True, message=f"no element of the gradient exceeds {tolerance:.3g}")
            if nit == steps:
                end = f"{steps} steps were taken; the largest element of the gradient is {largest:.3g}"
                return found(fun, nit, message=end)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
        elif nit < steps:
            _checked(f, value)
            optimizer.minimize(value)
    return found(fun, steps, success=True, message=f"{steps} steps were taken")


def _optimizer(method: Any, parameters: list[Tensor], options: Mapping[str, Any]) -> Optimizer:
    if isinstance(method, Optimizer):
        name = type(method).__name__
        raise TypeError(f"minimize: give it the class and its hyperparameters, as method=optim.{name}, lr=0.1")
    if method is LBFGS:
        raise TypeError('minimize: write method="L-BFGS-B", which is that of SciPy; optim.LBFGS takes its own steps')
    if not callable(method):
        raise TypeError(
            "minimize: method must be an optimiser's class, as method=optim.Adam, lr=0.1, or the name of a method of"
            f' SciPy, as method="L-BFGS-B", not {shown(method)}'
        )
    optimizer = method(parameters, **options)
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"minimize: method must return an optimiser, not {shown(optimizer)}")
    return optimizer


def _value(f: Callable[..., Any], tree: Any, args: Any) -> Tensor:
    pauses = tensor._pauses.set(0)
    try:
        value = f(tree, *args)
    finally:
        tensor._pauses.reset(pauses)
    if type(value) is not Tensor or value.size != 1:
        found = f"a Tensor of shape {value.shape}" if type(value) is Tensor else type(value).__name__
        raise TypeError(f"minimize: f must return a Tensor of one element, not {found}")
    return value


def _checked(f: Callable[..., Any], value: Tensor) -> Tensor:
    if not value.requires_grad:
        raise TypeError("minimize: the value does not depend on x, or by way of .data, .item() or float() only")
    return value


def _gradients(f: Callable[..., Any], value: Tensor, parameters: list[Tensor]) -> list[Tensor]:
    return list(grad(_checked(f, value), parameters, np.ones(value.shape, value.dtype)))


def _as_given(arrays: list[Array], start: Any) -> Any:
    """A tree like the start, of Tensors where its leaves are."""
    leaves = [
        Tensor(array) if isinstance(leaf, Tensor) else array if array.ndim else array[()]
        for array, leaf in zip(arrays, leaves_of(start), strict=True)
    ]
    return tree_like(start, iter(leaves))


# --- by SciPy --------------------------------------------------------------------------------------------------------


def _by_scipy(
    f: Callable[..., Any], start: Any, args: Any, method: str, steps: Any, tolerance: Any, callback: Any, options: Any
) -> Any:
    if method.lower() not in SCIPY:
        raise ValueError(
            f"minimize: unknown method {method!r}; methods of SciPy are {', '.join(SCIPY)}. An optimiser is given as a"
            " class: method=optim.Adam"
        )
    try:
        optimize = import_module("scipy.optimize")
    except ImportError:
        raise ImportError(f"minimize: method={method!r} needs SciPy: python -m pip install scipy") from None
    options, method = dict(options), method.lower()
    bounds, more = options.pop("bounds", None), dict(options.pop("options", {}))
    if options:
        raise TypeError(f"minimize: {method} takes bounds= and options=, not {', '.join(options)}=")
    if steps is not None:
        more.setdefault("maxfun" if method == "tnc" else "maxiter", steps)
    vector, unflatten = flatten(start)

    def of_vector(x: Any) -> Tensor:
        return _value(f, unflatten(x), args)

    def as_given(x: Any) -> Any:
        return _as_given([np.asarray(a) for a in leaves_of(unflatten(np.asarray(x)))], start)

    def value(x: Array) -> float:
        return float(of_vector(Tensor(x)).item())

    latest: list[Minimum] = []

    def relay(intermediate_result: Any) -> None:
        x, fun = intermediate_result.x, float(intermediate_result.fun)
        nit = latest.pop().nit + 1 if latest else 1
        latest.append(Minimum(as_given(x), fun, nit))
        callback(latest[0])

    def relay_x(x: Array) -> None:
        relay(optimize.OptimizeResult(x=x, fun=value(x)))

    given: dict[str, Any] = {"fun": value}
    if method not in WITHOUT_GRADIENT:
        given = {"fun": func.value_and_grad(of_vector), "jac": True}
    if method in WITH_PRODUCTS:
        given["hessp"] = lambda x, direction: func.hvp(of_vector, x, direction)
    if method in WITH_HESSIAN:
        given["hess"] = func.hessian(of_vector)
    if callback is not None:
        given["callback"] = relay_x if method == "tnc" else relay
    if bounds is not None:
        given["bounds"] = optimize.Bounds(*(_bound(limit, start, vector.size) for limit in _pair(bounds)))
    x0 = np.asarray(tensor._arrays(vector), np.float64)
    try:
        with no_grad():
            found = optimize.minimize(x0=x0, method=method, tol=tolerance, options=more, **given)
    except StopIteration:  # "TNC" lets it through
        if not latest:  # it was not raised by the callback
            raise
        return optimize.OptimizeResult(vars(latest[0]) | {"message": "the callback raised StopIteration"})
    found.x = as_given(found.x)
    if "jac" in found and np.shape(found.jac) == x0.shape:
        found.jac = as_given(found.jac)
    return found


def _pair(bounds: Any) -> Any:
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise TypeError(f"minimize: bounds must be (low, high), not {shown(bounds)}")
    low, high = bounds
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def _bound(limit: Any, start: Any, size: int) -> Array:
    """A bound for each element of the vector."""
    if branches_of(limit) is None and np.ndim(limit) == 0:
        return np.full(size, limit, np.float64)
    like = tree_like(start, iter([np.asarray(tensor._arrays(leaf)) for leaf in leaves_of(start)]))
    leaves = leaves_like(limit, like, "minimize: bounds")
    return np.concatenate([np.ravel(np.asarray(tensor._arrays(leaf), np.float64)) for leaf in leaves])

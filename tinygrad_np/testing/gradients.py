"""Compare the gradients of a function of Tensors with finite differences of its values."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tensor import Array, Tensor, grad

# The fourth-order central difference: f'(0) = sum(weight * f(offset * STEP)) / STEP + O(STEP**4).
STENCIL = ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))
STEP = 1e-3


def check_gradients(
    function: Callable[..., Any], *inputs: Any, order: int = 1, rtol: float = 1e-6, atol: float = 1e-8, name: str = ""
) -> None:
    """Raise an AssertionError if gradients of a function differ from finite differences of its values.

    For each argument the derivative along one random direction is compared, which takes four evaluations for any number
    of elements. Single elements are compared only to report a failure. The direction is scaled so that all elements
    contribute equally, however large their gradients; a relative error in one element smaller than `rtol` times the
    number of elements can go undetected. Arguments move by up to 0.002, so keep them that far from kinks. All arrays
    are read-only meanwhile: neither the function nor a vjp may write to its arguments, the result or its gradient.

    Args:
        function: a deterministic function of Tensors that returns a Tensor, or a tuple or list of Tensors.
        *inputs: arrays, Tensors or numbers. Floating point inputs are checked, in float64 or complex128, along a
            direction of both parts; others are passed unchanged.
        order: the highest order of derivatives to check; 2 also checks the gradients of the gradients.
        rtol, atol: the relative and absolute tolerance. To it is added what rounding can amount to, 2e-12 times the
            sum of the magnitudes of the values, and of the products of the arguments with their gradients.
        name: the name of the function in messages; by default its `__name__`.

    Raises:
        AssertionError: a gradient is wrong, or an array is written to. The message names the function, and for a wrong
            gradient the argument, the index and both values.
        ValueError: no input is floating point, or order is below 1.

    Source: P. J. Davis and P. Rabinowitz, Methods of Numerical Integration; the weights are those of the five-point
    stencil in B. Fornberg, Mathematics of Computation 51 (1988), table 1.

    >>> check_gradients(np.multiply, [1.0, 2.0], 3.0, order=2)
    >>> from tinygrad_np import primitive
    >>> wrong = primitive(lambda x: x * x, lambda g, y, x: g * x)
    >>> check_gradients(wrong, np.array([1.0, 2.0]), name="square")
    Traceback (most recent call last):
    AssertionError: square: the gradient of argument 0 at index (1,) is 2.0, finite differences give 4.0
    """
    if order < 1:
        raise ValueError(f"order must be at least 1, not {order}")
    name = name or getattr(function, "__name__", repr(function))
    try:
        _check(function, inputs, order, rtol, atol, name)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise AssertionError(
            f"{name} writes to its arguments, or a vjp in it to what it is given: {error}; write to a copy"
        ) from error


def _check(
    function: Callable[..., Any], inputs: Sequence[Any], order: int, rtol: float, atol: float, name: str
) -> None:
    arguments = [_as_argument(value) for value in inputs]
    checked = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray) and a.dtype.kind in "fc"]
    if not checked:
        raise ValueError(f"{name}: none of the {len(inputs)} inputs is floating point")
    rng = np.random.default_rng(0)

    def run(arguments: Sequence[Any], requires_grad: bool) -> tuple[list[Any], list[Any]]:
        given = [
            Tensor(_read_only(a), requires_grad=requires_grad) if i in checked else a for i, a in enumerate(arguments)
        ]
        result = function(*given)
        results = list(result) if isinstance(result, tuple | list) else [result]
        for y in results:
            if type(y) is Tensor and not y.is_leaf:
                y._data = _read_only(y._data)
        return given, results

    given, results = run(arguments, requires_grad=True)
    differentiable = [
        k for k, y in enumerate(results) if type(y) is Tensor and y.requires_grad
    ]  # the rest are constants
    if not differentiable:
        raise AssertionError(f"{name}: no output depends on the inputs")
    weights = [_read_only(_random(rng, results[k].shape, results[k].dtype)) for k in differentiable]
    gradients = grad([results[k] for k in differentiable], [given[i] for i in checked], weights)

    # A difference of values says nothing below their rounding, and that of the arguments.
    rounded = [w * results[k]._data for k, w in zip(differentiable, weights, strict=True)]
    rounded += [g.data * arguments[i] for i, g in zip(checked, gradients, strict=True)]
    size = sum(float(np.sum(np.abs(numbers))) for numbers in rounded)
    atol += 8 * np.finfo(np.float64).eps * size / STEP if math.isfinite(size) else 0

    def value(arguments: Sequence[Any]) -> float:
        _, results = run(arguments, requires_grad=False)  # takes a third of the time of recording
        arrays = (results[k].data if type(results[k]) is Tensor else results[k] for k in differentiable)
        return float(sum(np.sum(w * array).real for w, array in zip(weights, arrays, strict=True)))

    for i, gradient in zip(checked, gradients, strict=True):
        x = arguments[i]
        if (gradient.shape, gradient.dtype) != (x.shape, x.dtype):
            kind = f"{gradient.dtype}{list(gradient.shape)}, but the argument is {x.dtype}{list(x.shape)}"
            raise AssertionError(f"{name}: the gradient of argument {i} is {kind}")

        def slope(direction: Array, i: int = i, x: Array = x) -> float:
            moved = ([*arguments[:i], x + k * STEP * direction, *arguments[i + 1 :]] for k, _ in STENCIL)
            return sum(weight * value(at) for (_, weight), at in zip(STENCIL, moved, strict=True)) / STEP

        direction = _random(rng, x.shape, x.dtype) / np.maximum(1, np.abs(gradient.data))
        found: Any = float(np.sum(gradient.data * direction).real)
        expected: Any = slope(direction)
        if _close(found, expected, rtol, atol):
            continue
        where = "along a random direction"
        for index in np.ndindex(x.shape):  # find a wrong element for the message
            one: Any = gradient.data[index]
            right = _element(slope, x, index)
            if not (_close(one.real, right.real, rtol, atol) and _close(one.imag, right.imag, rtol, atol)):
                where, found, expected = f"at index {index}", one, right
                break
        numbers = f"is {found:.8g}, finite differences give {expected:.8g}"
        raise AssertionError(f"{name}: the gradient of argument {i} {where} {numbers}")

    if order > 1:  # check the gradients as functions of the inputs and of the output gradients

        def gradients_of(*inputs: Any) -> Any:
            recorded = any(type(value) is Tensor and value.requires_grad for value in inputs)
            values, seeds = list(inputs[: len(arguments)]), inputs[len(arguments) :]
            if not recorded:
                values = [Tensor(v.data, requires_grad=True) if i in checked else v for i, v in enumerate(values)]
            result = function(*values)
            outputs = result if isinstance(result, tuple | list) else [result]
            sources = [values[i] for i in checked]
            return grad([outputs[k] for k in differentiable], sources, seeds, create_graph=recorded)

        _check(gradients_of, [*arguments, *weights], order - 1, rtol, atol, f"gradient of {name}")


def _element(slope: Callable[[Array], float], x: Array, index: tuple[int, ...]) -> Any:
    """One element of a gradient by finite differences."""
    unit = np.zeros(x.shape, x.dtype)
    unit[index] = 1
    return complex(slope(unit), -slope(unit * 1j)) if x.dtype.kind == "c" else slope(unit)


def _read_only(array: Array) -> Array:
    """A view of an array that cannot be written to."""
    view = np.asarray(array).view()
    view.flags.writeable = False
    return view


def _as_argument(value: Any) -> Any:
    """The value as an array (in float64 or complex128 if floating point), or unchanged if it is not numeric."""
    value = value.data if isinstance(value, Tensor) else value
    if isinstance(value, np.ndarray | np.generic | float | complex | list):
        value = np.asarray(value)  # does not copy float64, so strides are tested too
        dtype = {"f": np.float64, "c": np.complex128}.get(value.dtype.kind, value.dtype)
        return value.astype(dtype, copy=False)
    return value


def _close(found: float, expected: float, rtol: float, atol: float) -> bool:
    """`np.isclose` for two floats, a hundred times as fast."""
    return found == expected or abs(found - expected) <= atol + rtol * abs(expected) < math.inf


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    """Random numbers of either sign with magnitudes from 0.5 to 1, of complex numbers in both parts."""
    x = rng.uniform(-0.5, 0.5, shape)
    x += np.copysign(0.5, x)
    return np.asarray(x + 1j * _random(rng, shape, x.dtype) if dtype.kind == "c" else x)

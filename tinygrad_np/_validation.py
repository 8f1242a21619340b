"""Checks of arguments, for constructors, operations and `load_state_dict`.

    self.p = check.real("Dropout", "p", p, at_least=0, below=1)

Every check takes the owner of the argument, the argument's name and its value, then what is expected. It returns the
value, or raises an error that names all of them.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._machine.arrays import Array
from ._messages import shown


def positive_integer(owner: str, name: str, value: Any) -> int:
    """An integer of at least 1.

    Raises:
        ValueError: it is anything else.

    >>> positive_integer("Linear", "in_features", 0)
    Traceback (most recent call last):
    ValueError: Linear: in_features must be a positive integer, not 0
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{owner}: {name} must be a positive integer, not {shown(value)}")
    return int(value)


def integer(owner: str, name: str, value: Any) -> int:
    """An integer.

    Raises:
        ValueError: it is anything else.

    >>> integer("Softmax", "axis", 1.0)
    Traceback (most recent call last):
    ValueError: Softmax: axis must be an integer, not 1.0
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{owner}: {name} must be an integer, not {shown(value)}")
    return int(value)


def real(
    owner: str,
    name: str,
    value: Any,
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
) -> float:
    """A finite number within its bounds.

    Raises:
        ValueError: it is out of bounds, infinite, NaN or no number.

    >>> real("Dropout", "p", 1.0, at_least=0, below=1)
    Traceback (most recent call last):
    ValueError: Dropout: p must be at least 0 and below 1, not 1.0
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if is_number and at_least <= value <= at_most and above < value < below:
        return float(value)
    bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    if math.isfinite(at_least) and math.isfinite(at_most):
        expected = f"from {at_least} to {at_most}"
    else:
        expected = " and ".join(f"{word} {bound}" for word, bound in bounds.items() if math.isfinite(bound))
    hint = "" if is_number else ", which is no number"
    if not is_number and hasattr(value, "item") and getattr(value, "size", 0) == 1:
        hint += f"; write {name}.item()"
    raise ValueError(f"{owner}: {name} must be {expected or 'a finite number'}, not {shown(value)}{hint}")


def one_of(owner: str, name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    """One of several values.

    Raises:
        ValueError: it is none of them.

    >>> one_of("GELU", "approximate", "erf", ("none", "tanh"))
    Traceback (most recent call last):
    ValueError: GELU: approximate must be 'none' or 'tanh', not 'erf'
    """
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{owner}: {name} must be {' or '.join(map(repr, choices))}, not {shown(value)}")
    return value


def boolean(owner: str, name: str, value: Any) -> bool:
    """True or False itself, not a value that counts as one of them.

    Raises:
        ValueError: it is anything else.

    >>> boolean("LSTM", "bias", 1)
    Traceback (most recent call last):
    ValueError: LSTM: bias must be True or False, not 1
    """
    return bool(one_of(owner, name, value, (True, False)))


def generator(owner: str, name: str, value: Any) -> "np.random.Generator":  # quoted: NumPy loads np.random on first use
    """A `np.random.Generator`.

    Raises:
        TypeError: it is anything else.

    >>> generator("Linear", "rng", 0)
    Traceback (most recent call last):
    TypeError: Linear: rng must be a np.random.Generator, not int; write rng=np.random.default_rng(0)
    """
    if not isinstance(value, np.random.Generator):
        kind, seed = type(value).__name__, value if type(value) is int else 0
        raise TypeError(
            f"{owner}: {name} must be a np.random.Generator, not {kind}; write {name}=np.random.default_rng({seed})"
        )
    return value


def floating_dtype(owner: str, name: str, value: Any) -> np.dtype[Any]:
    """A floating point dtype, from anything that `np.dtype` takes.

    Raises:
        TypeError: it is another dtype, or none.

    >>> floating_dtype("Linear", "dtype", np.int64)
    Traceback (most recent call last):
    TypeError: Linear: dtype must be floating point, not int64
    """
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError:
        raise TypeError(f"{owner}: {name} must be floating point, not {shown(value)}") from None
    if dtype.kind != "f":
        raise TypeError(f"{owner}: {name} must be floating point, not {dtype}")
    return dtype


def floating(owner: str, name: str, value: Any) -> Any:
    """A floating point array or Tensor, where an integer type would overflow, as -abs(x) does in uint8.

    Raises:
        TypeError: it is of another dtype.

    >>> floating("sigmoid", "x", np.array([1]))
    Traceback (most recent call last):
    TypeError: sigmoid: x must be floating point, not int64; see astype
    """
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        raise TypeError(f"{owner}: {name} must be a floating point array or Tensor, not {shown(value)}; see np.array")
    if dtype.kind != "f":
        raise TypeError(f"{owner}: {name} must be floating point, not {dtype}; see astype")
    return value


def real_array(owner: str, name: str, value: Any, dtype: Any) -> Any:
    """A Tensor unchanged, any other real numbers or booleans as an array of the dtype.

    Raises:
        TypeError: they are of another kind.

    >>> real_array("mse_loss", "targets", ["one"], np.float32)
    Traceback (most recent call last):
    TypeError: mse_loss: targets must be numbers, not <U3[1]
    """
    array = value if hasattr(value, "dtype") else np.asarray(value)
    if isinstance(value, np.ma.MaskedArray) or array.dtype.kind not in "fiub":
        kind = "a masked array" if isinstance(value, np.ma.MaskedArray) else shown(array if array.ndim else value)
        raise TypeError(f"{owner}: {name} must be numbers, not {kind}")
    return np.asarray(array, dtype) if isinstance(array, np.ndarray | np.generic) else array


def integers(owner: str, name: str, value: Array) -> Array:
    """An array of integers.

    Raises:
        ValueError: it is of another dtype.

    >>> integers("cross_entropy", "labels", np.array([0.0, 1.0]))
    Traceback (most recent call last):
    ValueError: cross_entropy: labels must be integers, not float64
    """
    if value.dtype.kind not in "iu":
        raise ValueError(f"{owner}: {name} must be integers, not {value.dtype}")
    return value


def labels(owner: str, name: str, value: Array, classes: int) -> Array:
    """An array of class labels, integers from 0 to classes - 1.

    Raises:
        ValueError: it is of another dtype, or a label is out of range.

    >>> labels("one_hot", "labels", np.array([0, 3]), classes=3)
    Traceback (most recent call last):
    ValueError: one_hot: labels must be from 0 to 2 (3 classes), not 3
    """
    integers(owner, name, value)
    if value.size and (value.min() < 0 or value.max() >= classes):
        wrong = value.min() if value.min() < 0 else value.max()
        raise ValueError(f"{owner}: {name} must be from 0 to {classes - 1} ({classes} classes), not {wrong}")
    return value


def state(owner: str, name: str, value: Mapping[str, Any], expected: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays by name, with the names and shapes of the expected ones and dtypes that can be cast to theirs.

    Raises:
        ValueError: names are missing or unknown, or shapes or kinds of dtype differ; all of them are listed.

    >>> state("SGD", "state", {"step": 1}, {"steps": np.array(0)})
    Traceback (most recent call last):
    ValueError: the state does not fit this SGD: step is unknown; steps is missing
    """
    arrays = {key: np.asarray(array) for key, array in value.items()}
    problems = [f"{key} is missing" for key in expected.keys() - arrays.keys()]
    problems += [f"{key} is unknown" for key in arrays.keys() - expected.keys()]
    problems += [
        f"{key} has shape {array.shape} of {array.dtype}, expected {expected[key].shape} of {expected[key].dtype}"
        for key, array in arrays.items()
        if key in expected
        and (array.shape != expected[key].shape or not np.can_cast(array.dtype, expected[key].dtype, "same_kind"))
    ]
    if problems:
        raise ValueError(f"the {name} does not fit this {owner}: {'; '.join(sorted(problems))}")
    return arrays

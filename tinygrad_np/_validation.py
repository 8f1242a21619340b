"""Checks of arguments, for constructors, operations and `load_state_dict`.

    self.p = check.real("Dropout", "p", p, at_least=0, below=1)

Every check takes the owner of the argument, the argument's name and its value, then what is expected. It returns the
value, or raises an error that names all of them.
"""

import inspect
import math
import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ._machine.arrays import Array
from ._messages import as_call, foreign, shown

Check: TypeAlias = Callable[[str, str, Any], Any]
Checks: TypeAlias = Mapping[str, Check]  # by the name of what is checked
LARGEST = int(np.iinfo(np.intp).max)  # the largest size of an array


class Checked:
    """Base class of objects whose settings are checked where they are assigned, in `__init__` and later.

    >>> class Scale(Checked):
    ...     _checks = {"factor": real}
    >>> Scale().factor = "2"
    Traceback (most recent call last):
    ValueError: Scale: factor must be a finite number, not '2', which is no number

    Its repr shows them, as the call that makes it.

    >>> scale = Scale()
    >>> scale.factor = 2
    >>> scale
    Scale(factor=2.0)
    """

    _checks: ClassVar[Checks] = {}
    _fixed: ClassVar[frozenset[str]] = frozenset()  # settings without effect once the object is made

    def __setattr__(self, name: str, value: Any) -> None:
        owner = type(self).__name__
        if name in self._checks:
            value = self._checks[name](owner, name, value)
        if name in self._fixed and name in vars(self) and value != vars(self)[name]:
            raise AttributeError(
                f"{owner}: {name} is fixed when it is made, as {shown(vars(self)[name])}; make another",
                name=name,
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return as_call(self, **self._checked_settings())

    def _checked_settings(self) -> dict[str, Any]:
        """Those that are set, by name."""
        return {name: getattr(self, name) for name in self._checks if hasattr(self, name)}


def optional(check: Check) -> Check:
    """A check that lets None pass."""
    return lambda owner, name, value: None if value is None else check(owner, name, value)


def positive_integer(owner: str, name: str, value: Any) -> int:
    """An integer of at least 1.

    Raises:
        ValueError: it is anything else.

    >>> positive_integer("Linear", "in_features", 0)
    Traceback (most recent call last):
    ValueError: Linear: in_features must be a positive integer, not 0
    """
    number = int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else 0
    if not 1 <= number <= LARGEST:
        limit = f" of at most {LARGEST}" if number > LARGEST else ""
        raise ValueError(f"{owner}: {name} must be a positive integer{limit}, not {shown(value)}")
    return number


def integer(owner: str, name: str, value: Any) -> int:
    """An integer, which may be negative, such as an axis.

    Raises:
        ValueError: it is anything else, or too large for an index.

    >>> integer("Softmax", "axis", 1.0)
    Traceback (most recent call last):
    ValueError: Softmax: axis must be an integer, not 1.0
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or abs(int(value)) > LARGEST:
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
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    try:
        converted = float(value) if number else math.nan
    except OverflowError:  # of an integer of more than 308 digits
        converted = math.inf
    if at_least <= converted <= at_most and above < converted < below:
        return converted
    bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    if math.isfinite(at_least) and math.isfinite(at_most):
        expected = f"from {at_least} to {at_most}"
    else:
        expected = " and ".join(f"{word} {bound}" for word, bound in bounds.items() if math.isfinite(bound))
    hint = ", which is no number" if not number else "" if math.isfinite(converted) else ", which is not finite"
    if not number and hasattr(value, "item") and getattr(value, "size", 0) == 1:
        hint += f"; write {name}.item()"
    if callable(value) and not isinstance(value, type):
        hint += " but a function; call it"
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


def schedule(owner: str, name: str, value: Any) -> Any:
    """A function of the step.

    Raises:
        TypeError: it is anything else, such as a class, or takes other arguments.

    >>> schedule("SGD", "lr", lambda: 0.1)
    Traceback (most recent call last):
    TypeError: SGD: lr must be a function of the step; too many positional arguments
    """
    if isinstance(value, type):
        kind = value.__name__
        raise TypeError(f"{owner}: {name} must be a function of the step, not the class {kind}; write {kind}(...)")
    if not callable(value):
        raise TypeError(f"{owner}: {name} must be a function of the step, not {shown(value)}")
    try:
        inspect.signature(value).bind(0)
    except ValueError:
        pass  # a builtin need not tell its parameters
    except TypeError as error:
        raise TypeError(f"{owner}: {name} must be a function of the step; {error}") from None
    return value


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
    if not isinstance(dtype, np.dtype):
        given = foreign(value) if dtype is not None else f"{shown(value)}; see np.array"
        if value is None:
            given = "None; does what computed it end without a return?"
        elif type(value) is tuple:
            given = "a tuple; of a recurrent layer, write y, state = layer(x), and of a loader, for (x,) in loader"
        raise TypeError(f"{owner}: {name} must be a floating point array or Tensor, not {given}")
    if dtype.kind != "f":
        classes = name in ("logits", "log_probabilities") and value.ndim == 1
        hint = "give it a number for each class, before argmax" if classes else "see astype"
        raise TypeError(f"{owner}: {name} must be floating point, not {dtype}; {hint}")
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
    if not isinstance(array.dtype, np.dtype):
        raise TypeError(f"{owner}: {name} must be numbers, not {foreign(value)}")
    if isinstance(value, np.ma.MaskedArray) or array.dtype.kind not in "fiub":
        kind = "a masked array" if isinstance(value, np.ma.MaskedArray) else shown(array if array.ndim else value)
        raise TypeError(f"{owner}: {name} must be numbers, not {kind}")
    return np.asarray(array, dtype) if isinstance(array, np.ndarray | np.generic) else array


def weights(owner: str, name: str, value: Any, at_least: float = 0) -> Any:
    """A Tensor unchanged, or an array of finite numbers of at least 0 or another bound.

    Raises:
        TypeError: it is no array of numbers.
        ValueError: a number is less than the bound, infinite or NaN.

    >>> weights("CrossEntropyLoss", "weight", [1.0, -1.0])
    Traceback (most recent call last):
    ValueError: CrossEntropyLoss: weight must be finite and at least 0, not -1.0
    """
    array = real_array(owner, name, value, None)
    # Comparisons of a Tensor give plain arrays.
    allowed = np.asarray((array >= at_least) & (array < math.inf) & (array > -math.inf))
    if not allowed.all():
        wrong = array.ravel()[int(np.argmin(allowed))].item()
        bound = f" and at least {at_least}" if at_least > -math.inf else ""
        raise ValueError(f"{owner}: {name} must be finite{bound}, not {wrong}")
    return array


def indices(value: Any) -> Array:
    """An array of what may be indices or labels; an empty one is of integers, as `[]` is in indexing.

    >>> indices([]).dtype.kind
    'i'
    """
    array = np.asarray(value)
    return array if array.size else array.astype(int)


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


def mapping(owner: str, name: str, value: Any) -> Mapping[str, Any]:
    """A dict from names to arrays.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, Mapping):
        use = "; write arrays, metadata = serialization.load(path)" if isinstance(value, tuple) else ""
        use = "; write serialization.load(path)[0]" if isinstance(value, str | os.PathLike) else use
        use = "; write model.state_dict()" if hasattr(value, "state_dict") else use
        raise TypeError(f"the {name} of a {owner} must be a dict from names to arrays, not {type(value).__name__}{use}")
    return value


def state(owner: str, name: str, value: Mapping[str, Any], expected: Mapping[str, Array]) -> dict[str, Array]:
    """Copies of arrays by name, in the dtypes of the expected ones, which they can replace without loss of range.

    Copies, because a state may consist of views of the arrays that it is loaded into.

    Raises:
        TypeError: it is no dict.
        ValueError: names are missing or unknown, shapes or kinds of dtype differ, numbers are too large for the dtype,
            an array is masked, or an expected array is read-only; all of them are listed. Or expected arrays that share
            memory would need different values there.

    >>> state("SGD", "state", {"step": 1}, {"steps": np.array(0)})
    Traceback (most recent call last):
    ValueError: the state does not fit this SGD: step is unknown; steps is missing
    """
    arrays = {}
    for key, array in mapping(owner, name, value).items():
        try:
            arrays[key] = np.asarray(array)
        except (ValueError, TypeError) as error:  # of a list of lists of different lengths, or a Tensor
            raise type(error)(f"the {name} does not fit this {owner}: {key} is no array: {error}") from error
    masked = [key for key, array in value.items() if isinstance(array, np.ma.MaskedArray)]
    problems = [f"{key} is a masked array" for key in masked]
    problems += [f"{key} is missing" for key in expected.keys() - arrays.keys()]
    problems += [f"{key} is unknown" for key in arrays.keys() - expected.keys()]
    copies = {}
    for key in expected.keys() & arrays.keys():
        array, own = arrays[key], expected[key]
        if array.shape != own.shape or not np.can_cast(array.dtype, own.dtype, "same_kind"):
            problems.append(f"{key} has shape {array.shape} of {array.dtype}, expected {own.shape} of {own.dtype}")
            continue
        if not own.flags.writeable:
            problems.append(f"{key} is read-only here")
        with np.errstate(all="ignore"):
            copies[key] = array.astype(own.dtype)
        if not _kept(array, copies[key]):
            problems.append(f"{key} has numbers of {array.dtype} that are too large for {own.dtype}")
    if problems:
        raise ValueError(f"the {name} does not fit this {owner}: {'; '.join(sorted(problems))}")
    if contradicted := _contradicted({key: own for key, own in expected.items() if key in copies}, copies):
        names = ", ".join(contradicted)
        raise ValueError(f"the {name} does not fit this {owner}: {names} share memory here, but differ where they do")
    return copies


def _contradicted(expected: Mapping[str, Array], copies: Mapping[str, Array]) -> list[str]:
    """The names of arrays that share memory and cannot all have their new values, found on a copy of that memory."""
    bounds = sorted((*byte_bounds(own), key) for key, own in expected.items() if own.size)
    groups: list[list[tuple[int, int, str]]] = []
    for low, high, key in bounds:
        if groups and low < max(end for _, end, _ in groups[-1]):
            groups[-1].append((low, high, key))
        else:
            groups.append([(low, high, key)])
    for group in groups:
        keys = [key for *_, key in group]
        if len(group) == 1 and 0 not in expected[keys[0]].strides:  # nor does it overlap itself
            continue
        low, high = group[0][0], max(end for _, end, _ in group)
        memory = np.empty(high - low, np.uint8)
        views = []
        for key in keys:
            own = expected[key]
            view: Array = np.ndarray(own.shape, own.dtype, memory, own.ctypes.data - low, own.strides)
            view[...] = copies[key]
            views.append((key, view))
        if any(view.tobytes() != copies[key].tobytes() for key, view in views):
            return keys
    return []


def never_negative(owner: str, arrays: Mapping[str, Array]) -> None:
    """Arrays of a state that hold counts or sums of squares, which may be NaN.

    Raises:
        ValueError: a number is negative.

    >>> never_negative("Adam", {"count.0": np.array(-1)})
    Traceback (most recent call last):
    ValueError: the state does not fit this Adam: count.0 must be at least 0, not -1
    """
    for name, array in arrays.items():
        if (array < 0).any():
            raise ValueError(f"the state does not fit this {owner}: {name} must be at least 0, not {array.min()}")


def _kept(array: Array, cast: Array) -> bool:
    """Whether no number was too large for another dtype."""
    if np.can_cast(array.dtype, cast.dtype):
        return True
    if cast.dtype.kind == "f":
        return bool(np.all(np.isfinite(cast) | ~np.isfinite(array)))
    return bool(np.all(cast == array))


def settings(owner: str, value: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """Checked arrays of a state that tell how it was made, and must be equal to the expected ones.

    Raises:
        ValueError: they are not; all differences are listed.

    >>> settings("DataLoader", {"batch_size": np.array(2)}, {"batch_size": np.array(8)})
    Traceback (most recent call last):
    ValueError: DataLoader: the state has batch_size 2, expected 8
    """
    differences = [
        f"{key} {value[key]}, expected {own}" for key, own in expected.items() if not np.array_equal(value[key], own)
    ]
    if differences:
        raise ValueError(f"{owner}: the state has {'; '.join(differences)}")

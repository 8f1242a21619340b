"""What error messages say: what an operation was given, and what to write instead.

The names of PyTorch, Keras and ndarray that do not exist here are data, and one test tries all of them: `code` in
backticks runs, where `x` is a Tensor.
"""

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial, wraps
from typing import Any, NoReturn

import numpy as np

from ._functions import Function, name_of

# Names that a Tensor does not have. NumPy's functions and ndarray's other attributes are added below.
ATTRIBUTES: dict[str, str] = {
    "numpy": "write `x.data`",
    "cpu": "everything runs on the CPU; leave it out",
    "cuda": "everything runs on the CPU; leave it out",
    "device": "everything runs on the CPU; leave it out",
    "to": "everything runs on the CPU; for another dtype write `x.astype(np.float64)`",
    "type": "write `x.dtype` or `x.astype(np.float64)`",
    "float": "write `x.astype(np.float32)`",
    "double": "write `x.astype(np.float64)`",
    "half": "write `x.astype(np.float16)`",
    "long": "write `x.data.astype(np.int64)`",
    "int": "write `x.data.astype(np.int64)`",
    "bool": "write `x.data.astype(bool)`",
    "view": "write `x.reshape(-1)`",
    "view_as": "write `x.reshape(x.shape)`",
    "contiguous": "memory is laid out by NumPy; leave it out",
    "dim": "write `x.ndim`",
    "numel": "write `x.size`",
    "permute": "write `x.transpose(1, 0)`",
    "t": "write `x.T`",
    "mT": "write `np.swapaxes(x, -1, -2)`",
    "mm": "write `x @ x`",
    "bmm": "write `x @ x`",
    "mv": "write `x @ x`",
    "matmul": "write `x @ x`",
    "unsqueeze": "write `np.expand_dims(x, 0)`",
    "expand": "write `np.broadcast_to(x, (2, *x.shape))`",
    "masked_fill": "write `np.where(x > 0, x, 0)`",
    "gather": "write `np.take_along_axis(x, np.argsort(x.data, axis=1), axis=1)`",
    "norm": "write `np.linalg.norm(x)`",
    "det": "write `np.linalg.det(x)`",
    "inverse": "write `np.linalg.inv(x)`",
    "abs": "write `np.abs(x)`",
    "pow": "write `x ** 2`",
    "add": "write `x + 1`",
    "sub": "write `x - 1`",
    "mul": "write `x * 2`",
    "div": "write `x / 2`",
    "neg": "write `-x`",
    "rsqrt": "write `1 / np.sqrt(x)`",
    "clamp": "write `np.clip(x, 0, 1)`",
    "eq": "write `x == 0`",
    "clone": "write `x.copy()`",
    "detach_": "write `x.detach()`",
    "requires_grad_": "write `x.requires_grad = True`",
    "is_cuda": "everything runs on the CPU; leave it out",
    "grad_fn": "see `x.is_leaf`, and viz for the graph",
    "retain_grad": "for the gradient of a computed Tensor write grad(loss, x)",
    "register_hook": "for the gradient of a computed Tensor write grad(loss, x)",
    "zero_": "write `x.data = np.zeros_like(x.data)`",
    "fill_": "write `x.data = np.full_like(x.data, 1)`",
    "copy_": "write `x.data = x.data.copy()`",
    "add_": "under no_grad() write x += step",
    "sub_": "under no_grad() write x -= step",
    "mul_": "under no_grad() write x *= factor",
    "relu": "write relu(x), from tinygrad_np",
    "sigmoid": "write sigmoid(x), from tinygrad_np",
    "softmax": "write softmax(x), from tinygrad_np",
    "log_softmax": "write log_softmax(x), from tinygrad_np",
    "logsumexp": "write logsumexp(x), from tinygrad_np",
    "erf": "write erf(x), from tinygrad_np",
    "sort": "write `np.sort(x)`",
    "partition": "write `np.partition(x, 1)`",
    "fill": "write `x.data = np.full_like(x.data, 1)`",
    "resize": "write `x.reshape(-1)`",
    "concatenate": "write `np.concatenate([x, x])`",
    "stack": "write `np.stack([x, x])`",
    "vstack": "write `np.vstack([x, x])`",
    "hstack": "write `np.hstack([x, x])`",
    "zeros": "write `Tensor(np.zeros((2, 3)))`",
    "ones": "write `Tensor(np.ones((2, 3)))`",
    "full": "write `Tensor(np.full((2, 3), 1.0))`",
    "empty": "write `Tensor(np.empty((2, 3)))`",
    "eye": "write `Tensor(np.eye(3))`",
    "arange": "write `Tensor(np.arange(3.0))`",
    "linspace": "write `Tensor(np.linspace(0, 1, 3))`",
    "rand": "write `Tensor(np.random.default_rng(0).random((2, 3)))`",
    "randn": "write `Tensor(np.random.default_rng(0).normal(size=(2, 3)))`",
    "from_numpy": "write `Tensor(np.zeros(3))`",
}

# Keywords, each with those that may be meant; one of them is named where the function has it.
KEYWORDS: dict[str, tuple[str, ...]] = {
    "dim": ("axis", "axes", "axis1"),
    "dims": ("axes", "axis", "shape"),
    "keepdim": ("keepdims",),
    "start_dim": ("start_axis",),
    "end_dim": ("end_axis",),
    "unbiased": ("ddof",),
    "correction": ("ddof",),
    "learning_rate": ("lr",),
    "params": ("parameters",),
    "rate": ("p",),
    "epsilon": ("eps",),
    "beta_1": ("betas",),
    "beta_2": ("betas",),
    "units": ("out_features",),
    "filters": ("out_channels",),
    "seed": ("rng",),
    "generator": ("rng",),
    "random_state": ("rng",),
    "size_average": ("reduction",),
    "attn_mask": ("mask",),
}
NEEDLESS = {"inplace", "device"}
# Arguments that cannot be left out, as they are usually given.
ARGUMENTS = {"rng": "rng=np.random.default_rng(0)", "parameters": "model.parameters()"}


def of_keyword(name: str, supported: Iterable[str]) -> str:
    """What to write for an unknown keyword, as the end of a message: "; write axis=", or nothing.

    >>> of_keyword("dim", ["a", "axis"])
    '; write axis='
    """
    if name in NEEDLESS:
        return "; leave it out"
    meant = [other for other in KEYWORDS.get(name, ()) if other in supported]
    return f"; write {meant[0]}=" if meant else ""


def of_function(name: str) -> str:
    """What to write for a function that this package does not have, as the end of a message.

    >>> of_function("exp")
    '; write np.exp'
    """
    return f"; write np.{name}" if callable(vars(np).get(name)) else ""


def with_hints(otherwise: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a method so that errors about the arguments that it is called with say what to write.

    Args:
        otherwise: what to say where no name of an argument explains the error, but a positional argument too many, or
            an array in the place of a number. "{name}" in it is the name of the class.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return function(self, *args, **kwargs)
            except (TypeError, ValueError) as error:
                at_the_call = error.__traceback__ is not None and error.__traceback__.tb_next is None
                given_arrays = any(hasattr(a, "__array__") for a in args)
                has_hint = ";" in str(error)  # of a check, or of the constructor of a base class
                if has_hint or type(error) not in (TypeError, ValueError) or not (at_the_call or given_arrays):
                    raise
                hint = _of_arguments(inspect.signature(function).parameters, args, kwargs)
                if not hint and (given_arrays or "positional argument" in str(error)) and "missing" not in str(error):
                    hint = f"; {otherwise.format(name=type(self).__name__)}"
                name = re.sub(r"^\S*__init__\(\)", f"{type(self).__name__}()", str(error))
                raise type(error)(f"{name}{hint}") from None

        return call

    return decorate


def _of_arguments(parameters: Mapping[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    for name in kwargs:
        if name not in parameters:
            return of_keyword(name, parameters)
    names = list(parameters)[1:]  # without self
    for name in names[len(args) :]:
        if name in ARGUMENTS and name not in kwargs and parameters[name].default is inspect.Parameter.empty:
            return f"; add {ARGUMENTS[name]}"
    return ""


# Classes of errors that hold nothing but a message.
MESSAGE_ONLY = {
    *(ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError, FloatingPointError, RuntimeError),
    *(np.linalg.LinAlgError, np.exceptions.AxisError),
}


def kind(array: Any) -> str:
    """The dtype and the shape of an array or Tensor, as messages give them: `float32[2, 3]`."""
    return f"{array.dtype}{list(array.shape)}"


def shown(value: Any) -> str:
    """A value in a message: an array by its dtype and shape, anything else by the beginning of its repr."""
    if hasattr(value, "dtype") and getattr(value, "shape", None):
        return kind(value)
    try:
        return f"{value!r:.60}"
    except Exception:  # a repr that fails must not take the place of the error that is being explained
        return f"a {type(value).__name__}"


def raise_explained(error: Exception, name: str, arrays: Sequence[Any], kwargs: Mapping[str, Any]) -> NoReturn:
    """Raise an error that names the operation and what it was given, and has the class of the error that it raised.

    Where that may hold more than a message, it is raised itself, with a note.
    """
    given = [kind(a) if isinstance(a, np.ndarray) else shown(a) for a in arrays]
    given += (f"{keyword}={shown(value)}" for keyword, value in kwargs.items())
    what = f"{name} of {', '.join(given)}"
    private = "numpy._core."  # NumPy's own subclasses of TypeError for what a ufunc cannot do
    kind_of_error: type = next(k for k in type(error).__mro__ if not k.__module__.startswith(private))
    explained = error
    try:
        if kind_of_error not in MESSAGE_ONLY:
            add_note(error, f"in {what}")
            raise error
        reason = str(error)
        for known in (name, name.rpartition(".")[2]):  # the package's own checks, and NumPy's, name the operation too
            reason = reason.removeprefix(f"{known}: ")
        explained = kind_of_error(f"{what}: {reason}")
        for note in getattr(error, "__notes__", ()):
            explained.add_note(note)
        raise explained from error
    finally:
        del error, explained  # which hold this frame in their tracebacks: a cycle would keep all arrays alive


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an error, unless its class does not let it: then the error itself is worth more than the note."""
    with suppress(Exception):
        error.add_note(note)


class needs_call:  # noqa: N801 - a decorator
    """Decorate a method without arguments to say so where it stands without its call: `f"{loss.item:.3f}"`."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method, self.__doc__ = method, method.__doc__

    def __get__(self, instance: Any, owner: type) -> Any:
        return self.method if instance is None else _Uncalled(self.method, instance)


class _Uncalled(partial[Any]):
    def _refuse(self, *_: Any) -> NoReturn:
        name = self.func.__name__
        raise TypeError(f"{name} is a method: write .{name}(), with the call")

    __str__ = __round__ = __abs__ = __floordiv__ = __mod__ = __array__ = _refuse
    __format__ = __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __float__ = __int__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = _refuse


class _Absent:
    """An attribute that does not exist, of a class or its instances. Reading it raises an AttributeError with a hint.

    A `__getattr__` would make every access to a slot four times as slow: 27 against 7 ns in Python 3.11.
    """

    def __init__(self, name: str, hint: str) -> None:
        self.name, self.__doc__ = name, f"Does not exist: {hint}."

    def __get__(self, instance: Any, owner: type) -> NoReturn:
        hint = str(self.__doc__).removeprefix("Does not exist: ").removesuffix(".")
        raise AttributeError(f"a Tensor has no {self.name}: {hint}", name=self.name, obj=instance)


def _hints() -> dict[str, str]:
    functions = {
        name: f"write `np.{name}(x)`" if isinstance(value, np.ufunc) and value.nin == 1 else f"write np.{name}(x, ...)"
        for name, value in vars(np).items()
        if isinstance(value, np.ufunc | type(np.sum)) and not name.startswith("_")
    }
    data = {name: f"write `x.data.{name}`" for name in dir(np.ndarray) if not name.startswith("_")}
    return functions | data | ATTRIBUTES


class Hints:
    """Base class of `Tensor`: the names that it does not have."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        for name, hint in _hints().items():
            if name not in vars(cls):
                setattr(Hints, name, _Absent(name, hint))

    def __dir__(self) -> list[str]:
        return [name for name in object.__dir__(self) if name not in vars(Hints) or name.startswith("_")]


# --- functions that are not supported --------------------------------------------------------------------------------

_ASSIGN = "a Tensor's elements are not assigned; see x.at[index].set(value), x.at[index].add(value) and np.where"
_INSTEAD = {
    "fft.*": "Fourier transforms have no gradient yet",
    "linalg.eig*": "it is complex for a general matrix; np.linalg.eigh of a symmetric one is",
    "apply_*": "functions of whole arrays are",
    "piecewise": "np.where and np.select are",
    "polyfit": "np.linalg.lstsq is",
    "expit": "tinygrad_np.sigmoid is",
    "erf": "tinygrad_np.erf is",
    **dict.fromkeys(("put*", "place", "copyto", "fill_diagonal", "*.at"), _ASSIGN),
}


def instead_of(function: Function, name: str, known: Iterable[Function]) -> str:
    """What to write instead of a function that is not supported, after a semicolon; "" if nothing is near."""
    meant = next((text for pattern, text in _INSTEAD.items() if fnmatchcase(name, pattern)), "")
    if not meant:
        names = [name_of(near) for near in known if _is_numpys(near)]
        cutoff = 0.84 if _is_numpys(function) else 1  # names of other libraries are alike by chance
        meant = "".join(f"the nearest that is: np.{near}" for near in difflib.get_close_matches(name, names, 1, cutoff))
    return f"; {meant}" if meant else ""


def _is_numpys(function: Function) -> bool:
    return (getattr(function, "__module__", None) or "").partition(".")[0] == "numpy"

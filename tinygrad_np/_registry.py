"""Make functions differentiable: `primitive` with a vjp for each argument, `composite` made of other operations.

An entry of the registry is one of three: a `Primitive`, which `apply` runs and records; a `Composite`, whose
implementation runs on Tensors as it stands; a `Constant`, which has nothing to differentiate.
"""

import inspect
import itertools
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property, wraps
from typing import Any, Literal, NoReturn

import numpy as np

from ._functions import Parameters, name_of, refuse_other_arguments, refuse_other_rows
from ._messages import MESSAGE_ONLY, of_keyword, raise_explained
from ._neighbours import as_numbers
from .tensor import (
    _PLAIN,
    Array,
    Function,
    Tensor,
    _arrays,
    _by_float32,
    _float16,
    _ndarray,
    _plain,
    _refuse_complex,
    apply,
    as_array,
)
from .tensor import registry as _operations

registry: "dict[Function, Primitive | Composite | Constant]" = _operations


def primitive(
    function: Function,
    *vjps: Function | None,
    joint: Function | None = None,
    reads: Sequence[str] | None = None,
    wide: bool = False,
    jvp: Literal["elementwise", "linear"] | None = None,
    rows: Any = None,
    examples: Any = None,
    casts: bool = False,
    complex: bool = False,
    name: str | None = None,
    cases: Any = (),
) -> Function:
    """Make a function on ndarrays differentiable, and return it as a function on Tensors.

    Args:
        function: a pure function of ndarrays that returns one ndarray: your own, NumPy's, a ufunc of another library
            such as SciPy, a builtin, a method, a `functools.partial` or another callable that is hashable.
        *vjps: for each positional argument a pure function `vjp(g, y, *inputs, **keywords)` that takes the gradient
            `g` of the output `y` to the gradient of this argument. Its keyword-only parameters are the keywords that
            the operation supports, with the function's own defaults. It is written in NumPy expressions only: they run
            on Tensors as well, which gives derivatives of every order. None marks an argument that is not
            differentiable: a condition, an index, a label. A keyword-only parameter named `saved` is for what the
            forward has already computed: the function then returns `(result, saved)`. The vjps must not write to it.
            For derivatives of higher order it is None, and they compute it again.
        joint: in the place of `vjps`, where gradients share work: one function
            `joint(g, y, *inputs, needed, **keywords)` that returns a gradient for each input, or None where the
            boolean `needed[i]` is False. With `*inputs` the operation takes any number of arguments.
        reads: for `debug.guard`, what the gradient of each argument reads: the names of those parameters among `y` and
            the inputs whose elements it depends on, separated by spaces, as `("b", "a")` for a * b. Arguments left out
            at the end read nothing. By default each may read all.
        wide: compute float16 in float32, the function and its gradients. It is for functions whose sums, squares or
            powers overflow or underflow float16 where the result does not.
        jvp: how `func.jvp` may go forward, which takes a third of the time: "elementwise" if each element of the result
            depends on one element of each argument only, so that the vjps give derivatives along a direction as well;
            "linear" if the function is linear in each argument that has a vjp, so that the function itself does.
        rows: for `func.jacobian`, which takes many gradients at once through an operation that has them: a vjp for each
            argument that takes gradients stacked along a new first axis, and returns such; or a function that makes it
            of the vjp, or of the joint one; or True if the vjps do so as they are. Elementwise ones must.
        examples: for `func.per_example_grad`, which arguments are batches of examples along their first axis, as the
            result is: see `tinygrad_np.ops.examples`. Elementwise operations need not say so.
        casts: the function takes dtype=, to which the argument is cast first; only floating point has a gradient.
        complex: the operation takes complex numbers, for which the vjps hold as they stand: they are the transpose of
            the derivative, without conjugation. That of a holomorphic f takes g to g * f'(z); any other satisfies
            Re(sum(g * dy)) = Re(sum(vjp * dz)). Of the gradient of a real argument the real part is taken.
        name: what messages and pictures call the operation; by default the name of the function.
        cases: what the generated tests draw its arguments from; see `tinygrad_np.ops.cases`.

    The backward pass sums the gradient over broadcast axes and gives it the argument's dtype, so a vjp need not.

    Raises:
        TypeError: there is no vjp for a positional argument of the function, one takes other arguments than `g`, `y`
            and as many inputs as there are vjps, or they take different keywords, or keywords with other defaults.
        ValueError: the function is registered already.

    >>> from tinygrad_np import grad
    >>> cube = primitive(lambda x: x * x * x, lambda g, y, x: 3 * g * x * x)
    >>> x = Tensor(2.0, requires_grad=True)
    >>> grad(cube(x), x)
    Tensor(12., dtype=float32)
    >>> times = primitive(
    ...     lambda a, b: a * b,
    ...     joint=lambda g, y, a, b, *, needed: (g * b if needed[0] else None, g * a if needed[1] else None),
    ... )
    >>> grad(times(x, x), x)
    Tensor(4., dtype=float32)
    """
    operation = Primitive(function, vjps, joint, reads, wide, jvp, rows, cases, name, examples, casts, complex)
    _register(operation)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return apply(function, *args, **kwargs)

    call.__name__ = getattr(function, "__name__", name_of(function))
    if inspect.isfunction(function) and not call.__name__.startswith("_"):
        call.__signature__ = _of_tensors(operation.call_signature)  # type: ignore[attr-defined]
    return call


def differentiable(*vjps: Function | None, **options: Any) -> Callable[[Function], Function]:
    """`primitive` as a decorator, with the same options: the gradient stands above the forward.

    >>> @differentiable(lambda g, y, x: 3 * g * x * x)
    ... def cube(x):
    ...     return x * x * x
    >>> cube(Tensor([1.0, 2.0]))
    Tensor([1., 8.], dtype=float32)
    """
    return lambda function: primitive(function, *vjps, **options)


def composite(
    function: Function,
    cases: Any = (),
    constants: Sequence[int] = (),
    name: str | None = None,
    complex: bool = False,
) -> Callable[[Function], Function]:
    """A decorator: the NumPy `function`, given Tensors, is what the decorated function of Tensors computes.

    Where all Tensors hold integers or booleans, nothing is differentiable, and NumPy's function itself is called. Those
    of its results that are numbered in `constants` stay arrays, as they do in the decorated function. Complex numbers
    are refused unless `complex`. `cases` and `name` are those of `primitive`.

    Raises:
        ValueError: the function is registered already.

    >>> cube = np.frompyfunc(lambda x: x * x * x, 1, 1)  # a ufunc, as libraries other than NumPy have them as well
    >>> @composite(cube)
    ... def cube_of_tensors(x):
    ...     return x * x * x
    >>> x = Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    Tensor(12., dtype=float32)
    """

    def register(implementation: Function) -> Function:
        _register(Composite(function, implementation, cases, constants, name, complex))
        return implementation

    return register


def constant(*functions: Function, complex: bool = False) -> None:
    """Register NumPy functions without a gradient: given Tensors, they see ndarrays and return what NumPy returns.

    Complex numbers are refused unless `complex`.

    Raises:
        ValueError: a function is registered already.

    >>> bucket = np.frompyfunc(lambda x: int(x // 10), 1, 1)  # a ufunc, as libraries other than NumPy have them as well
    >>> constant(bucket)
    >>> bucket(Tensor([5.0, 25.0], requires_grad=True))
    array([0, 2], dtype=object)
    """
    for function in functions:
        _register(Constant(function, complex))


def in_float32(function: Function) -> Function:
    """A decorator for a function of Tensors that adds up many numbers: it computes float16 in float32.

    It does so if NumPy would compute in float16 from these arguments. Results in float32 are then cast to float16.

    >>> @in_float32
    ... def mean_square(x):
    ...     return np.mean(x * x)
    >>> mean_square(Tensor(np.array([320.0, 0.0, 0.0, 0.0, 0.0], np.float16))).item()  # 320 * 320 overflows float16
    20480.0
    """

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        arrays = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor | np.ndarray | np.generic)]
        if arrays and np.result_type(*(a.dtype for a in arrays)) is _float16:
            return _by_float32(function, function.__name__, args, kwargs)
        return function(*args, **kwargs)

    return call


def _register(operation: "Primitive | Composite | Constant") -> None:
    if not isinstance(operation.function, Hashable):
        raise TypeError(f"{operation.name} cannot be registered, since it is not hashable; register a method of it")
    if operation.function in registry:
        raise ValueError(f"{operation.name} is registered already")
    registry[operation.function] = operation


def _of_tensors(signature: inspect.Signature) -> inspect.Signature:
    """What `help` shows of a function on arrays that has become one on Tensors."""
    parameters = [p.replace(annotation=Tensor) if p.annotation == Array else p for p in signature.parameters.values()]
    return inspect.Signature(parameters, return_annotation=Tensor)


def describe_methods() -> None:
    """Let `help` show of each method of a Tensor what it takes, and not what the method of an array does."""
    for method in vars(Tensor).values():
        function = getattr(method, "__wrapped__", None)
        if function in registry and not isinstance(function, np.ufunc):
            first, *others = registry[function].call_signature.parameters.values()
            method.__signature__ = inspect.Signature([first.replace(name="self"), *others])


# --- the entries of the registry -------------------------------------------------------------------------------------


class Primitive:
    """A function on ndarrays with its vjps: the entry that `primitive` makes.

    Attributes:
        vjps: one for each argument; under `joint` None for each.
        arity: the number of differentiable and fixed arguments; None for any number.
        names: of the parameters of the vjps, from `y` on.
        reads: for each argument the positions in `names` that its gradient reads; None if that is not declared.
        keywords: the names of those that the operation supports.
        real_only: whether complex numbers are refused.
        saves: whether the function returns `(result, saved)`.
    """

    def __init__(
        self,
        function: Function,
        vjps: Sequence[Function | None],
        joint: Function | None,
        reads: Sequence[str] | None,
        wide: bool,
        jvp: Literal["elementwise", "linear"] | None,
        rows: Any,
        cases: Any,
        name: str | None,
        examples: Any = None,
        casts: bool = False,
        complex: bool = False,
    ) -> None:
        self.examples, self.real_only = examples, not complex
        self.function, self.joint, self.wide, self.jvp, self.cases = function, joint, wide, jvp, cases
        self.is_internal = name is not None  # its keywords are not those that its user gave
        self.name = name = name or name_of(function)
        if jvp not in (None, "elementwise", "linear") or (jvp == "elementwise" and joint is not None):
            raise ValueError(f"jvp= of {name} must be 'elementwise', which needs a vjp for each argument, or 'linear'")
        if callable(rows):
            rows = rows(joint) if joint else [vjp and rows(vjp) for vjp in vjps]
        self.rows = joint or vjps if rows is True or jvp == "elementwise" else rows
        self.arity: int | None
        given = [Parameters.of(vjp) for vjp in (joint, *vjps) if vjp is not None]
        if not given or (joint is not None and vjps):
            raise TypeError(f"{name} needs a vjp for each of its arguments, or one for all of them in joint=")
        parameters, keywords = given[0].positional, given[0].keywords
        self.arity = None if given[0].any_number else len(parameters) - 2
        for vjp in given:
            if joint is None and not vjp.any_number and len(vjp.positional) - 2 != len(vjps):
                count = len(vjp.positional)
                raise TypeError(f"a vjp of {name} takes g, y and {len(vjps)} inputs, not {count} positional arguments")
            if vjp.keywords != keywords:
                raise TypeError(f"the vjps of {name} take different keywords; each is given all of them")
        if joint is None:
            self.arity = len(vjps)
        elif "needed" not in keywords:
            raise TypeError(f"the joint vjp of {name} takes a keyword-only argument `needed`")
        refuse_other_arguments(function, self.arity, keywords - {"saved", "needed"}, given)
        if isinstance(self.rows, tuple | list) and self.rows is not vjps:
            refuse_other_rows(name, self.rows, given[0])
        self.vjps: Iterable[Function | None] = vjps or itertools.repeat(None)
        self.names = parameters[1:]
        if unknown := {word for read in reads or () for word in read.split()} - {*self.names}:
            raise TypeError(f"reads= of {name} names {sorted(unknown)}, not one of {self.names}")
        self.reads = None if reads is None else [{*map(self.names.index, read.split())} for read in reads]
        self.fixed = tuple(i for i, vjp in enumerate(vjps) if vjp is None)  # without a gradient
        self.casts, self.saves = casts, "saved" in keywords
        self.keywords = keywords - {"saved", "needed"} | ({"dtype"} if casts else set())
        self.freed = (self, None, None, None, None)  # the node after the backward pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return apply(self.function, *args, **kwargs)

    @cached_property
    def signature(self) -> inspect.Signature | None:
        """That of the function; None if it takes its arguments by position only: a ufunc, *args, some builtins."""
        try:
            signature = None if isinstance(self.function, np.ufunc) else inspect.signature(self.function)
        except ValueError:
            return None
        kinds = [parameter.kind for parameter in signature.parameters.values()] if signature else []
        return None if inspect.Parameter.VAR_POSITIONAL in kinds else signature

    @property
    def call_signature(self) -> inspect.Signature:
        """What `help` shows: the arguments and keywords that are supported, with their defaults."""
        kind = inspect.Parameter
        if self.signature is None:
            names = [*self.names[1:]] if self.arity is not None else []
            rest = [kind("args", kind.VAR_POSITIONAL)] if self.arity is None else []
            own = [kind(name, kind.POSITIONAL_ONLY) for name in names] + rest
            own += [kind(name, kind.KEYWORD_ONLY, default=None) for name in ["dtype"] * self.takes_dtype]
        else:
            given = [*self.signature.parameters.values()]
            own = given[: self.arity] + [p for p in given[self.arity :] if p.name in self.keywords]
        defaults = Parameters.of(self.joint or next(filter(None, self.vjps))).defaults
        return inspect.Signature(
            [p.replace(default=defaults.get(p.name)) if p.default is np._NoValue else p for p in own]
        )

    def gives_float16(self, arrays: Sequence[Any]) -> bool:
        """Whether the result for these arrays is float16, to judge by the arguments that have a gradient."""
        parts = [a for a, vjp in zip(arrays, self.vjps) if (vjp or self.joint) and isinstance(a, np.ndarray)]  # noqa: B905
        return np.result_type(*parts) == _float16

    def plain(self, args: tuple[Any, ...]) -> list[Any]:
        """The arguments, with lists of numbers and NumPy's numbers as arrays."""
        names = self.names[1:] if self.arity is not None else [f"argument {i}" for i in range(len(args))]
        return [_plain(a, f"{self.name} of a Tensor", name) for a, name in zip(args, names, strict=True)]

    @cached_property
    def takes_dtype(self) -> bool:
        """Whether this is an elementwise ufunc, which takes the dtype that it computes in as a keyword."""
        return isinstance(self.function, np.ufunc) and not self.function.signature and not self.fixed

    def _in_dtype(self, args: tuple[Any, ...], dtype: np.dtype[Any]) -> tuple[Any, ...]:
        """The arguments of an elementwise ufunc in the dtype that it is to compute in; numbers have none."""
        types: Any = getattr(self.function, "types", ())
        if dtype.kind == "f" and not any(loop.endswith(f"->{dtype.char}") for loop in types):
            raise TypeError(f"{self.name} of a Tensor does not compute in dtype={dtype}, nor does NumPy's")
        if len(args) != self.arity:
            return args  # which will be refused
        return tuple(a if type(a) in _PLAIN else floating(a, dtype, self.name) for a in self.plain(args))

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The same call, checked, with the arguments that have a vjp by position and all others by name."""
        if "dtype" in kwargs and self.takes_dtype:
            kwargs = dict(kwargs)
            if (dtype := kwargs.pop("dtype")) is not None:
                args = self._in_dtype(args, np.dtype(dtype))
        fits = self.arity is None or (len(args) == self.arity and kwargs.keys() <= self.keywords)
        if not fits and self.signature is not None:
            parameters = list(self.signature.parameters)
            for name in kwargs:
                if name not in parameters and (hint := of_keyword(name, [*parameters[: self.arity], *self.keywords])):
                    raise TypeError(f"{self.name} of a Tensor: got an unexpected keyword argument {name!r}{hint}")
            try:
                given = dict(self.signature.bind(*args, **kwargs).arguments)
            except TypeError as error:
                raise TypeError(f"{self.name} of a Tensor: {error}") from None
            names = parameters[: self.arity]
            if missing := [name for name in names if name not in given]:
                raise TypeError(f"{self.name} of a Tensor needs its argument {missing[0]!r}")
            args = tuple(given.pop(name) for name in names)
            defaults = self.signature.parameters
            kwargs = {name: value for name, value in given.items() if value is not defaults[name].default}
        elif self.arity not in (None, len(args)):
            raise TypeError(f"{self.name} of a Tensor takes {self.arity} positional arguments, not {len(args)}")
        if self.casts and (dtype := kwargs.pop("dtype", None)) is not None:
            args = (floating(args[0], dtype, self.name), *args[1:])
        for name, value in kwargs.items():
            if name not in self.keywords:
                supported = ", ".join(sorted(self.keywords) or ["dtype"] * self.takes_dtype) or "none"
                hint = of_keyword(name, self.keywords)
                raise TypeError(
                    f"{self.name} of a Tensor does not support {name}={hint}; keywords supported: {supported}"
                )
            if type(value) is Tensor:
                use = "which is an integer" if name == "axis" else "pass the Tensor's .data"
                raise TypeError(f"{self.name} is not differentiable in {name}=: {use}")
            if type(value) is tuple or isinstance(value, np.integer):
                kwargs[name] = _python_integers(value)
        return args, kwargs


class Composite:
    """A function made of other operations: its implementation runs on Tensors as it stands and needs no vjp."""

    def __init__(
        self,
        function: Function,
        implementation: Function,
        cases: Any,
        constants: Sequence[int] = (),
        name: str | None = None,
        complex: bool = False,
    ) -> None:
        self.function, self.implementation, self.cases, self.constants = function, implementation, cases, constants
        self.real_only = not complex
        self.name = name or name_of(function)

    @property
    def call_signature(self) -> inspect.Signature:
        """What `help` shows: that of the implementation."""
        return inspect.signature(self.implementation)

    @cached_property
    def keywords(self) -> set[str]:
        return set(inspect.signature(self.implementation).parameters)

    @cached_property
    def integers(self) -> set[int | str]:
        """The positions and names of parameters that are integers."""
        parameters = inspect.signature(self.implementation).parameters.values()
        return {key for i, p in enumerate(parameters) if p.annotation in (int, int | None) for key in (i, p.name)}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.integers:
            args = tuple(_python_integers(a) if i in self.integers else a for i, a in enumerate(args))
            kwargs = {name: _python_integers(a) if name in self.integers else a for name, a in kwargs.items()}
        if unsupported := sorted(kwargs.keys() - self.keywords):
            name, supported = unsupported[0], ", ".join(sorted(self.keywords))
            hint = of_keyword(name, self.keywords)
            raise TypeError(f"{self.name} of a Tensor does not support {name}={hint}; supported: {supported}")
        if self.real_only and (_are_complex(args) or _are_complex(kwargs.values())):
            _refuse_complex(self.name)
        try:
            if self.function is not self.implementation and _are_integers(args) and _are_integers(kwargs.values()):
                result = self.function(*_arrays(args), **{name: _arrays(value) for name, value in kwargs.items()})
                return self._as_results(result)
            return self.implementation(*(np.asarray(a) if _is_nested_numbers(a) else a for a in args), **kwargs)
        except (TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError, RuntimeError) as error:
            self._raise_named(error, args, kwargs)

    def _raise_named(self, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        """Raise an error that names this function, and not the step of its implementation that failed."""
        try:
            inspect.signature(self.implementation).bind(*args, **kwargs)
        except TypeError as mismatch:
            raise TypeError(f"{self.name} of a Tensor: {mismatch}") from None
        reason: Any = error
        try:
            step = re.match(r"([\w.]+)(?:: | of | is not differentiable)", str(error))
            if step and step[1] in _spellings(self):
                raise error  # one of its own checks
            while isinstance(reason.__cause__, type(reason)):  # that of the step, which was explained in the same way
                reason = reason.__cause__
            step = re.match(r"([\w.]+)(?:: | of a Tensor:? | (?=is not differentiable))", str(reason))
            steps = {name for known in registry.values() for name in _spellings(known)}
            if step and step[1] in steps and type(reason) in MESSAGE_ONLY:
                reason = type(reason)(str(reason).removeprefix(step[0]))
            raise_explained(reason, self.name, _arrays([*args]), {name: _arrays(kwargs[name]) for name in kwargs})
        finally:
            del error, reason  # which hold this frame in their tracebacks

    def _as_results(self, result: Any) -> Any:
        """What NumPy's function returned, one array or several, as the decorated function returns it."""
        if not isinstance(result, list | tuple):
            return Tensor(np.asarray(result))  # one of Python's numbers, too, in float64
        parts = [part if i in self.constants else Tensor(np.asarray(part)) for i, part in enumerate(result)]
        return type(result)(parts) if type(result) in (list, tuple) else type(result)(*parts)


def _spellings(operation: Any) -> tuple[str, str]:
    """The names by which messages call an operation: `linalg.norm` and `norm`."""
    return operation.name, operation.name.rpartition(".")[2]


class Constant:
    """A function with nothing to differentiate (a comparison, argmax, shape): it sees ndarrays and returns its own."""

    def __init__(self, function: Function, complex: bool = False) -> None:
        self.function, self.real_only = function, not complex
        self.name = name_of(function)

    @property
    def call_signature(self) -> inspect.Signature:
        """What `help` shows: that of the function without `out`."""
        own = inspect.signature(self.function)
        return own.replace(parameters=[p for p in own.parameters.values() if p.name != "out"])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise TypeError(f"{self.name} of a Tensor does not support out=")
        if self.real_only and (_are_complex(args) or _are_complex(kwargs.values())):
            _refuse_complex(self.name)
        if not _FAMILIAR.issuperset(map(type, args)):
            args = tuple(a if (numbers := as_numbers(a)) is None else numbers for a in args)
        return self.function(*_arrays(args), **{name: _arrays(value) for name, value in kwargs.items()})


# Arguments that are no object of another library; the others are looked at more closely.
_FAMILIAR = {Tensor, np.ndarray, np.bool_, np.float32, np.float64, bool, int, float, tuple, list, type(None)}

# --- arguments -------------------------------------------------------------------------------------------------------


def floating(x: Any, dtype: Any, name: str) -> Any:
    """x in the dtype that the operation of this name was given as dtype=; refused where that has no gradient."""
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"{name} of a Tensor takes floating point as dtype=, not {np.dtype(dtype)}; see astype")
    if (x := as_array(x)).dtype.kind == "c":
        raise TypeError(f"{name}: complex numbers do not become {np.dtype(dtype)}: take z.real, z.imag or np.abs(z)")
    return np.astype(x, dtype, copy=False)


def _python_integers(value: Any) -> Any:
    """NumPy's integers, also in tuples, as Python's: 3 - np.uint8(4) is 255."""
    if type(value) is tuple:
        return tuple(map(_python_integers, value))
    return int(value) if isinstance(value, np.integer) else value


def _is_nested_numbers(value: Any) -> bool:
    """Whether the value is a list of numbers, or of such lists; an empty one may be of anything."""
    if not isinstance(value, list) or not value:
        return False
    for part in value:  # noqa: SIM110 - all() takes 0.4 us longer
        if not (isinstance(part, (int, float, np.generic)) or _is_nested_numbers(part)):
            return False
    return True


def _are_integers(values: Iterable[Any]) -> bool:
    """Whether all Tensors among the values hold integers or booleans, and all arrays are such as `_plain` accepts."""
    for value in values:
        if type(value) is Tensor:
            if value._data.dtype.kind in "fc":
                return False
        elif isinstance(value, (list, tuple)):
            if not _are_integers(value):
                return False
        elif isinstance(value, np.ndarray) and (type(value) is not _ndarray or value.dtype.kind not in "fiub"):
            return False
    return True


def _are_complex(values: Iterable[Any]) -> bool:
    """Whether a number, a Tensor or an array among the values, or in lists and tuples of them, is complex."""
    for value in values:
        if isinstance(value, (list, tuple)):
            if _are_complex(value):
                return True
        elif type(value) is complex or (
            isinstance(value, (Tensor, np.ndarray, np.generic)) and value.dtype.kind == "c"
        ):
            return True
    return False

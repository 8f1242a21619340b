"""Write a network: subclass `Module`, define `__init__` and `forward`, and call `parameters()`.

Assigning an attribute only refuses an array in the place of a Tensor, and there is no `super().__init__()` to forget.
Methods such as `parameters()` search the module when they are called: its attributes and nested modules, and in these

- lists, tuples and deques, `UserList` and named tuples,
- dicts of every kind, `UserDict`, `ChainMap` and `MappingProxyType`,
- dataclasses.

A Tensor or module anywhere else that the module refers to, as in a set, an object of another class, the closure of a
function, an iterator or a class attribute, raises a TypeError that says where it is and what to use instead. Weak
references and globals are not followed: keep by one what is not to be found. Of the computed Tensors, those that have a
graph are neither parameters nor state.
"""

import copy
import inspect
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import wraps
from types import GeneratorType
from typing import Any, NamedTuple, ParamSpec, Protocol, Self, TypeVar

import numpy as np

from .. import _html
from .. import _validation as check
from .._contents import GENERATORS, KNOWN, attributes, contents, hidden
from .._messages import Hints, add_note, note_call, shown, with_hints
from ..tensor import Array, Tensor, _ancestors
from .patterns import matching

DEPTH = 30  # of modules in modules that a repr shows
COLUMNS, DEEPEST = 80, 10  # of a printed table: its width, and the most steps of its indentation
SPACE = "\N{NO-BREAK SPACE}"  # at which lines are not broken
SHORT = 80  # characters of a module that a repr shows again, where it occurs again

_switching: ContextVar[frozenset[int]] = ContextVar("switching", default=frozenset())  # whose train() is running
_reprs: ContextVar[tuple[dict[int, str], int] | None] = ContextVar("reprs", default=None)
watchers: "ContextVar[tuple[Watcher, ...]]" = ContextVar("watchers", default=())


class Watcher(Protocol):
    """What modules tell of their calls, in the thread or task in which it is among the `watchers`."""

    def before(self, module: Any) -> None:
        """A module is called."""

    def after(self, module: Any, result: Any) -> None:
        """It has returned."""


class Unfit(NamedTuple):
    """What of a state did not fit a module, and was not loaded.

    Attributes:
        missing: paths of the module that the state does not have.
        unexpected: paths of the state that the module does not have.
        shapes: by path, the shape in the state and that in the module, where they differ.
    """

    missing: list[str]
    unexpected: list[str]
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


def _finite(represent: Callable[[Any], str]) -> Callable[[Any], str]:
    """A `__repr__` of modules that ends where modules know their parents, share their parts or are nested deeply.

    Each module is shown once, and again only if that is short; by "Name(...)" otherwise.
    """

    @wraps(represent)
    def finite(self: Any) -> str:
        known, depth = _reprs.get() or ({}, 0)
        if id(self) in known:
            return known[id(self)]
        known[id(self)] = name = f"{type(self).__name__}(...)"
        if depth == DEPTH:
            return name
        token = _reprs.set((known, depth + 1))
        try:
            text = represent(self)
        finally:
            _reprs.reset(token)
        if len(text) <= SHORT:
            known[id(self)] = text
        return text

    return finite


Given = ParamSpec("Given")
Result = TypeVar("Result", covariant=True)


class _Forward(Protocol[Given, Result]):
    """A module for type checkers: it is called as its `forward`, and returns what that does."""

    def forward(self, *args: Given.args, **kwargs: Given.kwargs) -> Result: ...


class Module(Hints):
    """Base class of layers and networks.

    >>> import numpy as np
    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Tensor([2.0], requires_grad=True)
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> scale = Scale()
    >>> scale(np.float32(3))
    Tensor([6.], dtype=float32, requires_grad=True)
    >>> [name for name, _ in scale.named_tensors()]
    ['factor']
    """

    training = True  # read by layers such as Dropout and BatchNorm; set by `train()` and `eval()`
    _never_negative: tuple[str, ...] = ()  # Tensors into which no negative numbers are loaded
    _never_half: tuple[str, ...] = ()  # Tensors that are float32 where the weights are float16
    _frozen: tuple[str, ...] = ()  # the paths of those that `freeze` has frozen, in this module

    def __setattr__(self, name: str, value: Any) -> None:
        if issubclass(type(value), np.ndarray | np.generic | int | float | str | list | tuple):
            old = attributes(self).get(name)
            if (
                type(old) is Tensor
                and (old.requires_grad or old.ndim)
                and not any(isinstance(found, Tensor | Module) for _, found in contents("", value, {}))
            ):
                raise TypeError(
                    f"{type(self).__name__}: {name} is a Tensor, and would no longer be trained or saved as"
                    f" {shown(value)}; write module.{name}.data = array, or assign a Tensor"
                )
        if name == "requires_grad":
            raise AttributeError(
                f"{type(self).__name__}: parameters require gradients, not modules; write for w in module.parameters():"
                " w.requires_grad = False",
                name=name,
            )
        object.__setattr__(self, name, value)

    def __call__(self: "_Forward[Given, Result]", *args: Given.args, **kwargs: Given.kwargs) -> Result:
        watching = watchers.get()
        for watcher in watching:
            watcher.before(self)
        try:
            result = self.forward(*args, **kwargs)
        except Exception as error:
            _add_layer_note(error, self)
            note_call(error, self, args, kwargs)
            raise
        for watcher in watching:
            watcher.after(self, result)
        return result

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the module. Subclasses must define it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def _children(self) -> dict[str, Any]:
        """What to search for Tensors and modules; the keys become part of their paths."""
        return attributes(self)

    def _found(self, kind: Any) -> Iterator[tuple[str, Any]]:
        """Each Tensor, module or object of another class in this module once, with its path."""
        seen: dict[int, Any] = {}
        everything = list(contents("", self, seen))
        _refuse_hidden(
            self, [(path, found) for path, found in everything if not isinstance(found, Tensor | Module)], seen
        )
        return ((path, found) for path, found in everything if isinstance(found, kind))

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Each Tensor in this module once, with its path, such as `blocks.0.weight`.

        One that was computed from others in this module, such as an output that forward() kept, is left out, unless it
        was computed under `no_grad`.

        Raises:
            TypeError: a Tensor or module is where `Module` does not look.
            ValueError: a Tensor was computed from others that require a gradient, and none of them is in this module.
        """
        found = list(self._found(Tensor))
        leaves = {id(tensor) for _, tensor in found if tensor.is_leaf}
        for path, tensor in found:
            if tensor.is_leaf:
                yield path, tensor
                continue
            with suppress(RuntimeError):  # the graph was freed
                if leaves.isdisjoint(map(id, _ancestors([tensor], None))):
                    raise ValueError(
                        f"{type(self).__name__}: {path} was computed from a Tensor that is not in the module, and would"
                        " not be trained; write Tensor(array, requires_grad=True), with all computing done in array"
                    )

    def named_modules(self) -> "Iterator[tuple[str, Module]]":
        """This module, whose path is "", and each module in it once, with its path.

        Raises:
            TypeError: a Tensor or module is where `Module` does not look.
        """
        return self._found(Module)

    def modules(self) -> "Iterator[Module]":
        """This module and each module in it, once."""
        return (module for _, module in self.named_modules())

    def parameters(self) -> list[Tensor]:
        """The Tensors that require a gradient, as an optimiser takes them."""
        return [tensor for _, tensor in self.named_parameters()]

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Each Tensor that requires a gradient once, with its path.

        Raises:
            TypeError, ValueError: as for `named_tensors`.
        """
        return ((path, tensor) for path, tensor in self.named_tensors() if tensor.requires_grad)

    def buffers(self) -> list[Tensor]:
        """The Tensors that do not require a gradient: running averages, and parameters that are frozen.

        Nothing is registered: a Tensor without `requires_grad` in an attribute is a buffer.
        """
        return [tensor for _, tensor in self.named_buffers()]

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Each Tensor that does not require a gradient once, with its path.

        Raises:
            TypeError, ValueError: as for `named_tensors`.
        """
        return ((path, tensor) for path, tensor in self.named_tensors() if not tensor.requires_grad)

    def freeze(self, *patterns: str) -> list[str]:
        """Train these parameters no longer, and forget their gradients. By default all of them.

        An optimiser that has them passes them over. The module remembers them for `unfreeze`, and so does a copy of it.

        Args:
            *patterns: of paths, as in `named_parameters`, in which `*` stands for any text, dots included: "encoder.*",
                "*.bias". A parameter that is shared has one path, the first.

        Returns:
            The paths that match.

        Raises:
            ValueError: a pattern matches no parameter, frozen or not.

        >>> from tinygrad_np import nn
        >>> rng = np.random.default_rng(0)
        >>> model = nn.Sequential(nn.Linear(3, 2, rng=rng), nn.Linear(2, 1, rng=rng))
        >>> model.freeze("0.*"), [path for path, _ in model.named_parameters()]
        (['0.weight', '0.bias'], ['1.weight', '1.bias'])
        >>> model.unfreeze()
        ['0.weight', '0.bias']
        """
        frozen = self._frozen_paths()
        found = {path: t for path, t in self.named_tensors() if t.requires_grad or path in frozen}
        paths = matching(type(self).__name__, patterns or ("*",), found, "parameter")
        owners = dict(self.named_modules())
        for path in paths:
            found[path].requires_grad, found[path].grad = False, None
            if path not in frozen:
                place = path
                while place not in owners:  # the innermost module that it is in
                    place = place.rpartition(".")[0]
                owner, own = owners[place], path.removeprefix(f"{place}." if place else "")
                object.__setattr__(owner, "_frozen", (*owner._frozen, own))
        return paths

    def unfreeze(self, *patterns: str) -> list[str]:
        """Train parameters again that `freeze` has frozen. By default all of them.

        Args:
            *patterns: of paths, as for `freeze`.

        Returns:
            The paths that match.

        Raises:
            ValueError: a pattern matches none that is frozen. A Tensor that was made without `requires_grad`, such as
                a running average, is not: write `tensor.requires_grad = True`.
        """
        frozen = self._frozen_paths()
        found = {path: tensor for path, tensor in self.named_tensors() if path in frozen}
        paths = matching(type(self).__name__, patterns or ("*",), found, "frozen parameter")
        for path in paths:
            found[path].requires_grad = True
            owner, own = frozen[path]
            object.__setattr__(owner, "_frozen", tuple(name for name in owner._frozen if name != own))
        return paths

    def _frozen_paths(self) -> "dict[str, tuple[Module, str]]":
        """The paths of frozen parameters, each with the module that remembers it, and its path in there."""
        return {
            f"{path}.{name}" if path else name: (module, name)
            for path, module in self.named_modules()
            for name in module._frozen
        }

    def astype(self, dtype: "np.typing.DTypeLike") -> Self:
        """A copy of this module whose floating point Tensors have another dtype, as `astype` of an array is a copy.

        Tensors that are shared in this module are shared in the copy. Generators are not copied, but used by both.
        Running averages of normalisation layers are at least float32, and complex numbers get parts of the dtype.
        Integers, booleans and arrays that are no Tensors stay as they are.

        Make the optimiser of the parameters of the copy. One that was made before has those of this module, and
        refuses a step for a loss of the copy, since no parameter of its own has a gradient.

        Raises:
            TypeError: it is not a dtype of floating point; or the module holds a Tensor with a graph.

        >>> from tinygrad_np import nn
        >>> model = nn.Linear(3, 2, rng=np.random.default_rng(0))
        >>> model.astype(np.float64).weight.dtype, model.weight.dtype
        (dtype('float64'), dtype('float32'))
        """
        dtype = check.floating_dtype(type(self).__name__, "dtype", dtype)
        wide = {id(getattr(module, name)) for module in self.modules() for name in module._never_half}
        made: dict[int, Any] = {id(generator): generator for _, generator in self._found(GENERATORS)}
        for _, tensor in self.named_tensors():
            target: np.dtype[Any] = np.promote_types(dtype, np.float32) if id(tensor) in wide else dtype
            if tensor.dtype.kind == "c":
                target = np.promote_types(dtype, np.complex64)
            if tensor.dtype.kind in "fc":
                made[id(tensor)] = Tensor(tensor.data.astype(target), tensor.requires_grad)
        copied = copy.deepcopy(self, made)
        for module in copied.modules():
            module._cast(dtype)
        return copied

    def _cast(self, dtype: np.dtype[Any]) -> None:
        """Take over a dtype that the Tensors have got, where a layer keeps it or arrays that are no Tensors."""
        if "_dtype" in vars(self):
            object.__setattr__(self, "_dtype", dtype)

    @with_hints()
    def zero_grad(self) -> None:
        """Set the gradient of every Tensor to None."""
        for _, tensor in self._found(Tensor):
            tensor.grad = None

    def train(self, mode: bool = True) -> "Module":
        """Switch this module and all modules in it to training mode (evaluation mode if `mode` is False); return it.

        A module whose class has a `train` of its own, such as one that stays frozen, is switched by that.

        Raises:
            TypeError: mode is not a boolean.
        """
        check.boolean(type(self).__name__, "mode", mode)
        busy = _switching.get() | {id(self)}
        own: list[str] = []  # the paths of modules that switch themselves, and all in them
        token = _switching.set(busy)
        try:
            for path, module in list(self.named_modules()):
                if module is self:
                    self.training = mode
                elif id(module) in busy or path.startswith(tuple(own)):
                    continue
                elif type(module).train is Module.train:
                    module.training = mode
                else:
                    own.append(f"{path}.")
                    module.train(mode)
        finally:
            _switching.reset(token)
        return self

    def eval(self) -> "Module":
        """Switch this module and all modules in it to evaluation mode; return it."""
        return self.train(False)

    def state_dict(self) -> dict[str, Array]:
        """The arrays of all Tensors, by path. They are not copies, so further training changes them.

        Raises:
            ValueError: two Tensors have the same path, as in `{"a.b": t, "a": {"b": u}}`.
        """
        state: dict[str, Array] = {}
        for path, tensor in self.named_tensors():
            if path in state:
                raise ValueError(f"{type(self).__name__}: two Tensors have the path {path!r}")
            state[path] = tensor.data
        return state

    @with_hints()
    def load_state_dict(self, state: Mapping[str, Array], strict: bool = True) -> Unfit | None:
        """Copy arrays into the Tensors with the same paths.

        Args:
            strict: whether all must fit. Otherwise what does not is left as it is, and returned.

        Returns:
            None if all must fit; otherwise paths that are missing, paths that are unexpected, and shapes that differ.

        Raises:
            ValueError: paths are missing or unknown, shapes or kinds of dtype differ, numbers are too large for their
                dtype, or a Tensor is read-only. The message lists every problem, and nothing is changed. Unless
                `strict`, missing and unknown paths and shapes are no problem, as long as anything is loaded.

        >>> from tinygrad_np import nn
        >>> rng = np.random.default_rng(0)
        >>> small, large = (nn.Sequential(nn.Linear(3, 2, rng=rng), nn.Linear(2, n, rng=rng)) for n in (10, 100))
        >>> large.load_state_dict(small.state_dict(), strict=False).shapes
        {'1.weight': ((2, 10), (2, 100)), '1.bias': ((10,), (100,))}
        """
        name = type(self).__name__
        check.boolean(name, "strict", strict)
        unfit = Unfit([], [], {}) if strict else self._unfit(check.mapping(name, "state", state))
        left_out = {*unfit.missing, *unfit.unexpected, *unfit.shapes}
        new = self._checked_state(
            {path: array for path, array in state.items() if path not in left_out} if left_out else state,
            name,
            left_out,
        )
        for path, tensor in self.named_tensors():
            if path in new:
                tensor.data[...] = new[path]
                tensor._changed()
        return None if strict else unfit

    def _unfit(self, state: Mapping[str, Any]) -> Unfit:
        """What of a state is not to be loaded. Raises ValueError if that is all of it."""
        own = {path: array.shape for path, array in self.state_dict().items()}
        shapes = {path: (np.shape(state[path]), own[path]) for path in own if path in state}
        different = {path: pair for path, pair in shapes.items() if pair[0] != pair[1]}
        if own and len(different) == len(shapes):
            raise ValueError(
                f"nothing of the state fits this {type(self).__name__}: it has {', '.join([*state][:3]) or 'no arrays'}"
                f", expected {', '.join(list(own)[:3])}; rename its keys, or leave strict=False out to see all"
            )
        return Unfit(
            [path for path in own if path not in state], [path for path in state if path not in own], different
        )

    def _checked_state(self, state: Mapping[str, Array], owner: str, left_out: Container[str] = ()) -> dict[str, Array]:
        """Copies of the arrays, which can be loaded without an error, into all Tensors but those left out."""
        own = {path: array for path, array in self.state_dict().items() if path not in left_out}
        new = check.state(owner, "state", state, own)
        for path, module in self.named_modules():
            names = [f"{path}.{name}" if path else name for name in module._never_negative]
            check.never_negative(owner, {name: new[name] for name in names if name in new})
        return new

    @_finite
    def __repr__(self) -> str:
        return self._described()

    def _described(self) -> str:
        parts = [
            f"{name}: {value.dtype}{list(value.shape)}" if isinstance(value, Tensor) else f"{name}: {value!r}"
            for name, value in attributes(self).items()
            if issubclass(type(value), Tensor | Module)  # isinstance() fails for a weak proxy of what is gone
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __str__(self) -> str:
        """The tree of modules as a table, with the shapes of their Tensors and their numbers of parameters.

        Tensors that do not require a gradient are in parentheses.
        """
        rows = list(self._rows())
        third = max(len(row[3]) for row in rows)
        space = COLUMNS - third - len(" parameters") - 4
        names = [f"{'  ' * min(depth, DEEPEST)}{name}" for depth, name, _, _ in rows]
        widest = max(len(shapes) for _, _, shapes, _ in rows)
        first = min(max(map(len, names)), max(space - widest, space // 2))
        lines: list[str] = []
        second = min(widest, space - first)
        for name, (_, _, shapes, count) in zip(names, rows, strict=True):
            cut = name if len(name) <= first else f"{name[: first - 3]}..."
            head, *rest = textwrap.wrap(shapes.replace(" ", SPACE).replace(f",{SPACE}", ", "), max(second, 1)) or [""]
            lines.append(f"{cut:{first}}  {head:{second}}  {count:>{third}}{'' if lines else ' parameters'}".rstrip())
            lines += [f"{'':{first}}  {more}" for more in rest]
        return "\n".join(lines).replace(SPACE, " ")

    def _repr_html_(self) -> str:
        return _html.of_module(self._rows())

    def _rows(self) -> Iterator[tuple[int, str, str, str]]:
        """Each module's depth, name and kind, the shapes of its own Tensors, and its number of parameters."""
        for depth, name, _, module, tensors in self._tree():
            shapes = [f"{path} {' x '.join(map(str, t.shape)) or 'scalar'}" for path, t in tensors]
            texts = [text if t.requires_grad else f"({text})" for text, (_, t) in zip(shapes, tensors, strict=True)]
            count = _count(module)
            yield depth, " ".join(name.split()), ", ".join(texts), f"{count:,}" if count else ""

    def _tree(self) -> "Iterator[tuple[int, str, str, Module, list[tuple[str, Tensor]]]]":
        """Each module in the tree of modules, as tables show it.

        With it come its depth, its name and kind, its path, and its own Tensors by name.
        """
        rows: list[tuple[int, str, str, Module, list[tuple[str, Tensor]]]] = []
        around: list[tuple[str, list[tuple[str, Tensor]]]] = []  # the enclosing modules: their paths and Tensors
        for path, found in self._found(Tensor | Module):
            while around and around[-1][0] and not path.startswith(around[-1][0] + "."):
                around.pop()
            if len(around) >= DEPTH:
                continue
            name = path.removeprefix(around[-1][0]).removeprefix(".") if around else ""
            if isinstance(found, Module):
                kind = repr(found) if len(list(found.modules())) == 1 else type(found).__name__
                rows.append((len(around), f"{name}{': ' if name else ''}{kind}", path, found, []))
                around.append((path, rows[-1][-1]))
            else:
                around[-1][1].append((name, found))
        return iter(rows)


def _count(module: Module) -> int:
    """The number of parameters in a module."""
    return sum(tensor.size for _, tensor in module._found(Tensor) if tensor.requires_grad and tensor.is_leaf)


LAYER_FIRST = "a layer is made first and called then: layer = nn.{name}(...), y = layer(x)"


class Layer(check.Checked, Module):
    """Base class of layers that keep each constructor argument in an attribute of the same name, checked by `_checks`.

    Its repr shows the arguments, except rng, dtype and those at their defaults. For a boolean argument such as `bias`,
    the attribute may hold a Tensor or None instead; it then shows as True or False.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.Linear(3, 2, bias=False, rng=np.random.default_rng(0)), nn.LayerNorm((8,), 1e-6)
    (Linear(3, 2, bias=False), LayerNorm((8,), eps=1e-06))
    """

    @with_hints(LAYER_FIRST)
    def __init__(self) -> None:
        pass

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls) and cls.__module__.startswith(f"{__package__}."):
            cls.__init__ = with_hints(LAYER_FIRST)(cls.__init__)  # type: ignore[method-assign]

    @_finite
    def __repr__(self) -> str:
        parts = []
        parameters = inspect.signature(type(self)).parameters
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters.values()) or not all(
            name in ("rng", "dtype") or hasattr(self, name) for name in parameters
        ):  # a subclass with arguments of its own
            return self._described()
        for name, parameter in parameters.items():
            if name in ("rng", "dtype"):
                continue
            value: Any = getattr(self, name)
            if isinstance(parameter.default, bool):
                value = value is not None and value is not False
            shown = f"array of {value.shape}" if hasattr(value, "shape") else repr(value)
            if parameter.default is parameter.empty:
                parts.append(shown)
            elif shown != repr(parameter.default):
                parts.append(f"{name}={shown}")
        return f"{type(self).__name__}({', '.join(parts)})"


_hinted = False
OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep


def hint_if_wider(layer: Module, x: Any, weight: Any) -> None:
    """Warn, once per process, if a layer with float32 weights computes in float64 because of its input.

    This is easily overlooked, since NumPy makes float64 arrays. Layers call it where the dtypes differ, so it costs
    nothing where they do not.
    """
    global _hinted
    given = np.asarray(x).dtype if isinstance(x, list | tuple) else x.dtype
    wide = np.promote_types(given, weight.dtype)
    if _hinted or wide.itemsize <= weight.dtype.itemsize or weight.dtype == np.float16:
        return  # NumPy computes float16 in float32, so that float32 costs no more
    _hinted = True
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OURS):
        frame, level = frame.f_back, level + 1
    warnings.warn(
        f"{layer!r} has {weight.dtype} weights and was given {given}, so the network computes in {wide} from here on,"
        f" at about twice the cost; write x.astype(np.{weight.dtype}). This is said once",
        stacklevel=level,
    )


class _LayerNote(str):
    """The note on an error that names a layer; modules around it replace it by one with a longer path."""

    layer: Module

    def __reduce__(self) -> Any:
        return str, (str(self),)  # errors are pickled to get from process to process, and layers need not go along


def _add_layer_note(error: Exception, module: Any) -> None:
    """Add a note to an error that names the layer it came from, by its path in the outermost module called."""
    try:
        notes = getattr(error, "__notes__", [])
        earlier = next((note for note in notes if type(note) is _LayerNote), None)
        layer = module if earlier is None else earlier.layer
        path = next(path for path, found in contents("", module, {}) if found is layer)
        note = _LayerNote(f"in layer {path}: {layer!r}" if path else f"in {layer!r}")
        note.layer = layer
        if earlier is None:
            add_note(error, note)
        else:
            notes[notes.index(earlier)] = note
    except Exception:
        pass  # whatever fails here, the user is to see the error itself


def _refuse_hidden(module: Module, others: list[tuple[str, Any]], seen: dict[int, Any]) -> None:
    """Raise if objects that are not looked into lead to Tensors or modules that were not found elsewhere."""
    for place, found, holder in hidden(others, seen):
        if isinstance(found, Tensor | Module):
            kind = holder if isinstance(holder, type) else type(holder)
            where = "a class" if kind is holder else f"a {kind.__name__}"
            use = "use a list, a dict or a ModuleList"
            if kind is holder and issubclass(kind, Module):
                use = "assign it to self in __init__"
            elif kind.__module__.partition(".")[0] not in KNOWN:
                use += f", or make {kind.__name__} a Module or a dataclass"
            raise TypeError(
                f"{type(module).__name__}: {place} is a {type(found).__name__} in {where}, where parameters(),"
                f" state_dict() and train() do not look; {use}"
            )
    for path, other in others:
        if issubclass(type(other), (GeneratorType, map, filter)):
            raise TypeError(
                f"{type(module).__name__}: {path} is a {type(other).__name__}, which makes modules only when it runs,"
                " where parameters() does not find them; use a list"
            )

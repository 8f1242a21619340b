"""A module is any object that holds Tensors: write `__init__` and `forward`, and ask it for `parameters()`.

Nothing happens on attribute assignment and there is no `super().__init__()` to forget: the Tensors are looked for when
they are asked for, in the module's attributes, in lists, tuples and dicts of them, and in the modules among them.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from .. import _validation as check
from ..tensor import Array, Tensor


class Module:
    """The base of layers and networks.

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

    training = True  # read by layers that behave otherwise in testing; `train()` and `eval()` set it

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.forward(*args, **kwargs)
        except Exception as error:
            _note_place(error, self)
            raise

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; each kind of module defines its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def _children(self) -> Any:
        """Where Tensors and modules are looked for: a dict or a list, whose keys become parts of their paths."""
        return vars(self)

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every Tensor in this module, once, with its path, as in `blocks.0.weight`."""
        return ((path, found) for path, found in _contents(self, "", set()) if isinstance(found, Tensor))

    def named_modules(self) -> "Iterator[tuple[str, Module]]":
        """This module, with the path "", and all in it, each once, with their paths."""
        return ((path, found) for path, found in _contents(self, "", set()) if isinstance(found, Module))

    def modules(self) -> "Iterator[Module]":
        """This module and all in it, each once."""
        return (module for _, module in self.named_modules())

    def parameters(self) -> list[Tensor]:
        """The Tensors that require a gradient: what an optimiser is given."""
        return [tensor for _, tensor in self.named_tensors() if tensor.requires_grad]

    def zero_grad(self) -> None:
        """Forget the gradients of the last backward."""
        for _, tensor in self.named_tensors():
            tensor.grad = None

    def train(self, mode: bool = True) -> "Module":
        """Switch this module and all in it to training (or, with False, to testing); return it."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> "Module":
        """Switch this module and all in it to testing; return it."""
        return self.train(False)

    def state_dict(self) -> dict[str, Array]:
        """The arrays of all Tensors by path; not copies, so they change as training goes on.

        Raises:
            ValueError: two Tensors have the same path, as in `{"a.b": t, "a": {"b": u}}`.
        """
        state: dict[str, Array] = {}
        for path, tensor in self.named_tensors():
            if path in state:
                raise ValueError(f"{type(self).__name__}: two Tensors have the path {path!r}")
            state[path] = tensor.data
        return state

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy arrays into the Tensors of the same paths.

        Raises:
            ValueError: paths are missing or unknown, or shapes or kinds of numbers differ; all of them are listed and
                nothing is changed.
        """
        new = check.state(type(self).__name__, "state", state, self.state_dict())
        for path, tensor in self.named_tensors():
            tensor.data[...] = new[path]
            tensor._changed()

    def __repr__(self) -> str:
        parts = [
            f"{name}: {value.dtype}{list(value.shape)}" if isinstance(value, Tensor) else f"{name}: {value!r}"
            for name, value in vars(self).items()
            if isinstance(value, Tensor | Module)
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __str__(self) -> str:
        """A table of the modules in this one, as a tree, with the shapes of their Tensors and the parameters counted.

        Tensors that are not trained stand in parentheses.
        """
        rows: list[list[str]] = []
        around: list[tuple[str, list[str]]] = []  # the modules around the present place: their paths and rows
        for path, found in _contents(self, "", set()):
            while around and around[-1][0] and not path.startswith(around[-1][0] + "."):
                around.pop()
            name = path.removeprefix(around[-1][0]).removeprefix(".") if around else ""
            if isinstance(found, Module):
                kind = repr(found) if len(list(found.modules())) == 1 else type(found).__name__
                count = sum(tensor.size for tensor in found.parameters())
                rows.append(
                    [f"{'  ' * len(around)}{name}{': ' if name else ''}{kind}", "", f"{count:,}" if count else ""]
                )
                around.append((path, rows[-1]))
            else:
                shape = f"{name} {' x '.join(map(str, found.shape)) or 'scalar'}"
                row = around[-1][1]
                row[1] += (", " if row[1] else "") + (shape if found.requires_grad else f"({shape})")
        first, second, third = (max(len(row[i]) for row in rows) for i in range(3))
        total, *others = (f"{a:{first}}  {b:{second}}  {c:>{third}}" for a, b, c in rows)
        return "\n".join([f"{total} parameters", *map(str.rstrip, others)])


class Layer(Module):
    """A module whose arguments stand in attributes of their names.

    It prints without options at their defaults, rng and dtype. Where an attribute holds a Tensor or None for an option
    that is True or False, as `bias` does, the option is whether there is one.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.Linear(3, 2, bias=False, rng=np.random.default_rng(0)), nn.LayerNorm((8,), 1e-6)
    (Linear(3, 2, bias=False), LayerNorm((8,), eps=1e-06))
    """

    def __repr__(self) -> str:
        parts = []
        for name, parameter in inspect.signature(type(self)).parameters.items():
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


def _note_place(error: Exception, module: Module) -> None:
    """Note on an error the layer that it came from, by its path in the outermost module that was called."""
    layer, note = vars(error).get("layer", (module, None))
    path = next((path for path, found in module.named_modules() if found is layer), None)
    if path is None:
        return
    if note is not None:
        error.__notes__.remove(note)
    note = f"in layer {path}: {layer!r}" if path else f"in {layer!r}"
    error.add_note(note)
    vars(error)["layer"] = layer, note


def _contents(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """The Tensors and Modules in a value, itself included, each once, with their paths."""
    if not isinstance(value, Tensor | Module | list | tuple | dict) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor | Module):
        yield path, value
    if isinstance(value, Tensor):
        return
    children = value._children() if isinstance(value, Module) else value
    for name, child in children.items() if isinstance(children, dict) else enumerate(children):
        yield from _contents(child, f"{path}.{name}" if path else str(name), seen)

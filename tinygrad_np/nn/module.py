"""Write a network: subclass `Module`, define `__init__` and `forward`, and call `parameters()`.

Assigning an attribute does nothing special, and there is no `super().__init__()` to forget. Methods such as
`parameters()` search the module when they are called: its attributes, lists, tuples and dicts, and nested modules.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from .. import _validation as check
from ..tensor import Array, Tensor


class Module:
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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.forward(*args, **kwargs)
        except Exception as error:
            _add_layer_note(error, self)
            raise

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the module. Subclasses must define it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward()")

    def _children(self) -> Any:
        """The dict or list to search for Tensors and modules; its keys or indices become part of their paths."""
        return vars(self)

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Each Tensor in this module once, with its path, such as `blocks.0.weight`."""
        return ((path, found) for path, found in _contents(self, "", set()) if isinstance(found, Tensor))

    def named_modules(self) -> "Iterator[tuple[str, Module]]":
        """This module, whose path is "", and each module in it once, with its path."""
        return ((path, found) for path, found in _contents(self, "", set()) if isinstance(found, Module))

    def modules(self) -> "Iterator[Module]":
        """This module and each module in it, once."""
        return (module for _, module in self.named_modules())

    def parameters(self) -> list[Tensor]:
        """The Tensors that require a gradient, as an optimiser takes them."""
        return [tensor for _, tensor in self.named_tensors() if tensor.requires_grad]

    def zero_grad(self) -> None:
        """Set the gradient of every Tensor to None."""
        for _, tensor in self.named_tensors():
            tensor.grad = None

    def train(self, mode: bool = True) -> "Module":
        """Switch this module and all modules in it to training mode (evaluation mode if `mode` is False); return it."""
        for module in self.modules():
            module.training = mode
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

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy arrays into the Tensors with the same paths.

        Raises:
            ValueError: paths are missing or unknown, shapes or kinds of dtype differ, numbers are too large for their
                dtype, or a Tensor is read-only. The message lists every problem, and nothing is changed.
        """
        new = self._checked_state(state, type(self).__name__)
        for path, tensor in self.named_tensors():
            tensor.data[...] = new[path]
            tensor._changed()

    def _checked_state(self, state: Mapping[str, Array], owner: str) -> dict[str, Array]:
        """Copies of the arrays, which can be loaded without an error."""
        return check.state(owner, "state", state, self.state_dict())

    def __repr__(self) -> str:
        parts = [
            f"{name}: {value.dtype}{list(value.shape)}" if isinstance(value, Tensor) else f"{name}: {value!r}"
            for name, value in vars(self).items()
            if isinstance(value, Tensor | Module)
        ]
        return f"{type(self).__name__}({', '.join(parts)})"

    def __str__(self) -> str:
        """The tree of modules as a table, with the shapes of their Tensors and their numbers of parameters.

        Tensors that do not require a gradient are in parentheses.
        """
        rows: list[list[str]] = []
        around: list[tuple[str, list[str]]] = []  # the enclosing modules: their paths and rows
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
    """Base class of layers that keep each constructor argument in an attribute of the same name.

    Its repr shows the arguments, except rng, dtype and those at their defaults. For a boolean argument such as `bias`,
    the attribute may hold a Tensor or None instead; it then shows as True or False.

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


def _add_layer_note(error: Exception, module: Module) -> None:
    """Add a note to an error that names the layer it came from, by its path in the outermost module called."""
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
    """The Tensors and Modules in a value, including itself, each once, with their paths."""
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

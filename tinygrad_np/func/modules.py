"""`functional_call`: call a module as a function of its parameters, so that the derivatives of `func` work on it."""

import copy
from collections import deque
from collections.abc import Mapping
from functools import partial
from types import FunctionType, MappingProxyType, MethodType
from typing import Any

import numpy as np

from .._contents import ATOMS, KNOWN, MAPPINGS, SEQUENCES, SKIPPED, attributes, everything, is_module
from .._machine.writes import serials
from .._messages import foreign
from .._passes import computed_since
from ..tensor import Tensor
from .trees import leaves_of

COPYING = {"__copy__", "__reduce__", "__reduce_ex__", "__getstate__"}  # methods that say how an object is copied


def functional_call(module: Any, parameters: Mapping[str, Any], /, *args: Any, **kwargs: Any) -> Any:
    """`module(*args, **kwargs)`, with other parameters in the place of its own, which are neither read nor changed.

    So a network is a function of its parameters: `grad`, `hessian`, `jvp`, `per_example_grad` and their relatives
    differentiate `lambda p: loss(functional_call(model, p, x))`. In the same way a network computes with weights that
    are cast to float16, or that are one step of gradient descent away.

    Args:
        module: an `nn.Module`.
        parameters: Tensors, arrays or numbers by path, as in `dict(model.named_parameters())`; all of them or some, and
            buffers too. Each has the shape of the one that it stands for, and any floating point dtype if that one
            does. A parameter that is shared has one path, the first, and is replaced wherever it is used.
        *args, **kwargs: the arguments of the module.

    Returns:
        What the module returns.

    The call runs on a copy of the module's structure, so that threads may call one module with different parameters,
    and an error leaves nothing behind. What `forward` assigns to attributes is lost with the copy. What it writes to
    Tensors is not: running averages are updated in the module's own, or in the Tensor that is given for them; an array
    that is given for them is copied first.

    Raises:
        TypeError: it is no module, or a value is none of these; or a function in the module, which is no method, leads
            to Tensors that are to be replaced.
        ValueError: a path is unknown, or a shape or the kind of a dtype differs. The message names the path.

    >>> from tinygrad_np import func, nn
    >>> model = nn.Linear(3, 1, bias=False, rng=np.random.default_rng(0))
    >>> x = np.ones((4, 3), np.float32)
    >>> def loss(parameters):
    ...     return (functional_call(model, parameters, x) ** 2).mean()
    >>> weights = {"weight": np.array([[1.0], [2.0], [3.0]], np.float32)}
    >>> func.grad(loss)(weights)["weight"].ravel()
    array([12., 12., 12.], dtype=float32)
    >>> func.hessian(loss)(weights)["weight"]["weight"].shape
    (3, 1, 3, 1)
    """
    if not is_module(module) or isinstance(module, type):
        raise TypeError(f"functional_call takes a module and its parameters, not {foreign(module)}")
    if not isinstance(parameters, Mapping):
        raise TypeError(
            f"functional_call: parameters are a dict from paths to Tensors or arrays, not {foreign(parameters)}; write"
            " dict(model.named_parameters())"
        )
    owner = f"functional_call of {type(module).__name__}"
    own = dict(module.named_tensors())
    if unknown := [path for path in parameters if path not in own]:
        raise ValueError(f"{owner}: there is no {unknown[0]!r}; the module has {', '.join(own) or 'no Tensors'}")
    replaced = {id(own[path]): (path, _fitting(owner, path, value, own[path])) for path, value in parameters.items()}
    twin = _Copy(owner, replaced).of(module)
    start = next(serials)
    result = twin(*args, **kwargs)
    computed = [y for y in leaves_of(result) if type(y) is Tensor and y._requires_grad]
    given = {id(tensor) for _, tensor in replaced.values()}
    for end in computed_since(computed, start)[1]:
        if id(end) in replaced and id(end) not in given:
            path = replaced[id(end)][0]
            raise TypeError(
                f"{owner}: {path} was reached by another way than an attribute, such as a global; write self.{path}"
            )
    return result


def _fitting(owner: str, path: str, value: Any, own: Tensor) -> Any:
    """A value for the Tensor at a path, as a Tensor."""
    if type(value) is not Tensor:
        if not isinstance(value, np.ndarray | np.generic | float | int | complex) or isinstance(value, bool):
            raise TypeError(f"{owner}: {path} must be a Tensor or an array, not {foreign(value)}")
        value = Tensor(np.asarray(value) if own._requires_grad else np.array(value))
    if value.shape != own.shape:
        raise ValueError(f"{owner}: {path} has shape {value.shape}, expected {own.shape}")
    kinds = {"f": "f", "c": "fc"}.get(own.dtype.kind, own.dtype.kind)
    if value.dtype.kind not in kinds:
        raise ValueError(f"{owner}: {path} is {value.dtype}, expected a dtype like {own.dtype}")
    return value


def _is_plain(kind: type) -> bool:
    """Whether objects of a class hold nothing but attributes; copy.copy takes five times as long."""
    own = any(not COPYING.isdisjoint(vars(cls)) for cls in kind.__mro__ if cls is not object)
    return not own and not issubclass(kind, list | dict | deque)


class _Copy:
    """A copy of modules, and of the lists, dicts and dataclasses in them, with other Tensors; all else is shared."""

    def __init__(self, owner: str, replaced: Mapping[int, tuple[str, Tensor]]) -> None:
        self.owner, self.replaced = owner, replaced
        self.made: dict[int, Any] = {key: value for key, (_, value) in replaced.items()}

    def of(self, value: Any) -> Any:
        """The copy of a value; the value itself if it is neither a container nor what holds one."""
        kind = type(value)
        if kind in ATOMS or issubclass(kind, SKIPPED):
            return value
        if id(value) in self.made:
            return self.made[id(value)]
        if kind is Tensor:
            return value
        if issubclass(kind, tuple):
            parts = [self.of(part) for part in value]
            return self._with_attributes(value, kind._make(parts) if hasattr(kind, "_make") else kind(parts))
        if issubclass(kind, MappingProxyType):
            return MappingProxyType({key: self.of(part) for key, part in value.items()})
        if issubclass(kind, MethodType):
            return MethodType(value.__func__, self.of(value.__self__))
        if issubclass(kind, partial):
            function, *args = map(self.of, (value.func, *value.args))
            return partial(function, *args, **{name: self.of(part) for name, part in value.keywords.items()})
        if is_module(value) or issubclass(kind, (*SEQUENCES, *MAPPINGS)) or hasattr(kind, "__dataclass_fields__"):
            return self._of_container(value)
        if callable(value):
            self._refuse_if_it_leads_to_what_is_replaced(value)
        return value

    def _of_container(self, value: Any) -> Any:
        kind = type(value)
        made = self.made[id(value)] = object.__new__(kind) if _is_plain(kind) else copy.copy(value)
        if isinstance(made, list | deque):
            for i, part in enumerate(value):
                made[i] = self.of(part)
        elif isinstance(made, dict):
            for key, part in value.items():
                made[key] = self.of(part)
        if is_module(value):  # for those who watch its calls
            object.__setattr__(made, "_copy_of", getattr(value, "_copy_of", id(value)))
        return self._with_attributes(value, made)

    def _with_attributes(self, value: Any, made: Any) -> Any:
        for name, part in attributes(value).items():
            object.__setattr__(made, name, self.of(part))
        return made

    def _refuse_if_it_leads_to_what_is_replaced(self, function: Any) -> None:
        if not isinstance(function, FunctionType) and type(function).__module__.partition(".")[0] in KNOWN:
            return
        for path, found in everything([function]):
            if id(found) in self.replaced:
                raise TypeError(
                    f"{self.owner}: a {type(function).__name__}, {getattr(function, '__name__', 'an object')}, in it"
                    f" reads {self.replaced[id(found)][0]} by itself (at {path}), where it is not replaced; make it a"
                    " method, or a module"
                )

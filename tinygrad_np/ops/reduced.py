"""What losses have in common: checks of their arguments, and the reduction to a mean or a sum."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .. import _validation as check
from .._messages import with_hints
from .._registry import composite, in_float32
from ..tensor import Tensor
from .cases import Case
from .elementwise import array_of

Loss = TypeVar("Loss", bound=Callable[..., Any])
REDUCTIONS = ("mean", "sum", "none")
# What else the reductions are called elsewhere.
_MEANT: dict[Any, str] = {
    **dict.fromkeys((None, False, "None"), "; write 'none'"),
    **dict.fromkeys((True, "average", "avg", "elementwise_mean", "sum_over_batch_size"), "; write 'mean'"),
    "batchmean": "; write 'sum' and divide by the number of examples",
}


def composed(*cases: Case, name: str | None = None) -> Callable[[Loss], Loss]:
    """A decorator for a loss made of other operations: registers it with its cases, and adds hints to its errors."""

    def register(function: Loss) -> Loss:
        function = with_hints()(function)
        composite(function, cases, name=name)(function)
        return function

    return register


def check_reduction(name: str, reduction: Any) -> None:
    """Refuse a reduction that does not exist, with the one that may be meant."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        known = isinstance(reduction, str | bool | None)
        hint = _MEANT.get(reduction, "") if known else ""
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', not {reduction!r}{hint}")


def checked_targets(name: str, predictions: Any, targets: Any, of: str = "predictions", other: str = "targets") -> Any:
    """The targets, checked to have the shape of the predictions."""
    check.floating(name, of, predictions)
    targets = check.real_array(name, other, targets, predictions.dtype)
    if targets.shape != predictions.shape:
        shapes = f"{predictions.shape} and {targets.shape}"
        hint = f"; write {other}.reshape({of}.shape)" if targets.size == predictions.size else ""
        raise ValueError(f"{name}: {of} and {other} must have the same shape, not {shapes}{hint}")
    return targets if targets.dtype.kind == "f" else np.asarray(array_of(targets), predictions.dtype)


def signs(name: str, targets: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Targets that are 1 or -1, as an array of the dtype; they have no gradient."""
    targets = constants(name, "targets", targets, shape, dtype)
    wrong = np.abs(targets) != 1
    if wrong.any():
        value = targets[wrong][0].item()
        hint = "; write 2 * targets - 1" if np.all((targets == 0) | (targets == 1)) else ""
        raise ValueError(f"{name}: targets must be 1 or -1, not {value}{hint}")
    return targets


def constants(name: str, other: str, targets: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Targets without a gradient, checked to have a shape, as an array of the dtype."""
    targets = check.real_array(name, other, targets, dtype)
    if type(targets) is Tensor and targets.requires_grad:
        raise TypeError(f"{name} is not differentiable in {other}: pass the Tensor's .detach()")
    targets = np.asarray(array_of(targets), dtype)
    if targets.shape != shape:
        hint = f"; write {other}.reshape{shape}" if targets.size == np.prod(shape) else ""
        raise ValueError(f"{name}: {other} must have shape {shape}, not {targets.shape}{hint}")
    return targets


def reduced(name: str, reduction: Any, loss: Callable[..., Any], *inputs: Any) -> Any:
    """The loss of each element or example, or their sum or mean; computed in float32 if all inputs are float16."""
    check_reduction(name, reduction)

    def total(*inputs: Any) -> Any:
        losses = loss(*inputs)
        if reduction == "none":
            return losses
        if reduction == "sum":
            return np.sum(losses)
        if losses.size == 0:
            raise ValueError(f"{name}: the mean is undefined for the empty shape {inputs[0].shape}")
        return np.mean(losses)

    return in_float32(total)(*inputs)

"""Functions that compute the loss, for optimisers that need it more than once in a step."""

from typing import Any

from .._messages import shown
from ..tensor import Tensor


def value_of(closure: Any, owner: str) -> Tensor:
    """The loss that a closure computes.

    Raises:
        TypeError: it is no function, or returns no Tensor of one element that depends on a parameter.
    """
    if not callable(closure):
        use = "; write optimizer.step(lambda: ...) around what computes it" if isinstance(closure, Tensor) else ""
        raise TypeError(f"{owner}: closure must be a function that computes the loss, not {shown(closure)}{use}")
    loss = closure()
    if type(loss) is not Tensor or loss.size != 1:
        found = f"a Tensor of shape {loss.shape}" if type(loss) is Tensor else shown(loss)
        raise TypeError(f"{owner}: the closure must return the loss, a Tensor of one element, not {found}")
    if not loss.requires_grad:
        raise TypeError(f"{owner}: the loss of the closure depends on no parameter")
    return loss

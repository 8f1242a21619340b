"""`Checkpoint`: a layer of whose intermediate results none is kept for the backward pass."""

from typing import Any

from ..func.recompute import checkpoint
from .module import Module


class Checkpoint(Module):
    """A module that is computed again in the backward pass, in place of keeping what it computes.

    A chain of blocks, each in a Checkpoint, needs the memory of the blocks' results and of the inside of one block, for
    one more forward pass of each. Results and gradients are those of the module. It is `func.checkpoint` as a layer:
    see there for what it requires of the module, and what it does about random numbers and running averages. In a
    `forward` of your own, `func.checkpoint(self.block)(x)` does the same and leaves the paths of the weights as they
    are.

    Args:
        module: a module, whose paths get the prefix "module.".

    Raises:
        TypeError: it is no module.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> rng = np.random.default_rng(0)
    >>> blocks = [nn.Sequential(nn.Linear(8, 8, rng=rng), nn.Tanh()) for _ in range(3)]
    >>> model = nn.Sequential(*map(nn.Checkpoint, blocks))
    >>> model(np.ones((2, 8), np.float32)).sum().backward()
    >>> [path for path, _ in model.named_parameters()][:2], blocks[0][0].weight.grad.shape
    (['0.module.0.weight', '0.module.0.bias'], (8, 8))
    """

    def __init__(self, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(
                f"Checkpoint: module must be a module, not {module!r:.80}; see func.checkpoint for functions"
            )
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return checkpoint(self.module)(*args, **kwargs)

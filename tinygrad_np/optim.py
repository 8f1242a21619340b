"""Optimisers, which change parameters by their gradients, and schedules, which say how fast at each step."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .accumulate import Product, scale_and_add
from .blas import Array
from .tensor import Tensor, lazy_gradients


@dataclass(frozen=True)
class ExponentialScheduler:
    """A learning rate that falls by a constant factor from stage to stage: `schedule(step)`.

    lr * decay ** floor(step / stage_length), or without the floor when `staircase` is False.

    Args:
        lr: the rate at step 0, at least 0.
        decay: the factor, above 0.
        stage_length: the number of steps after which the rate has changed by the factor, at least 1.
        staircase: whether the rate stays the same within a stage.

    >>> schedule = ExponentialScheduler(0.5, decay=0.5, stage_length=500)
    >>> schedule(0), schedule(499), schedule(500)
    (0.5, 0.5, 0.25)
    >>> round(ExponentialScheduler(0.5, decay=0.5, stage_length=500, staircase=False)(250), 6)
    0.353553
    """

    lr: float
    decay: float = 0.5
    stage_length: int = 500
    staircase: bool = True

    def __post_init__(self) -> None:
        _check("ExponentialScheduler", "lr", self.lr, self.lr >= 0, "at least 0")
        _check("ExponentialScheduler", "decay", self.decay, self.decay > 0, "above 0")
        _check("ExponentialScheduler", "stage_length", self.stage_length, self.stage_length >= 1, "at least 1")

    def __call__(self, step: int) -> float:
        stage = step // self.stage_length if self.staircase else step / self.stage_length
        return self.lr * self.decay**stage


class SGD:
    """Stochastic gradient descent with L2 regularisation: w <- (1 - weight_decay * lr) * w - lr * gradient.

    Args:
        parameters: the Tensors to change: weight decay applies to all of them, biases too.
        lr: the learning rate, or a schedule `step -> lr`.
        weight_decay: the coefficient of L2 regularisation: the gradient of weight_decay / 2 * |w|^2 is added to the
            loss's.

    Attributes:
        steps: the number of steps taken.

    >>> w = Tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step(); w
    Tensor([0.8], dtype=float32, requires_grad=True)
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float | Callable[[int], float], weight_decay: float = 0.0
    ) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("SGD: there are no parameters to optimise")
        for i, parameter in enumerate(self.parameters):
            if type(parameter) is not Tensor or not parameter.requires_grad:
                raise TypeError(f"SGD: parameter {i} is not a Tensor with requires_grad=True: {parameter!r:.80}")
        if not callable(lr):
            _check("SGD", "lr", lr, lr >= 0, "at least 0")
        _check("SGD", "weight_decay", weight_decay, weight_decay >= 0, "at least 0")
        self.schedule = lr
        self.weight_decay = weight_decay
        self.steps = 0

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return self.schedule(self.steps) if callable(self.schedule) else self.schedule

    def zero_grad(self) -> None:
        """Forget the gradients of the last backward."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient.

        Raises:
            RuntimeError: none has one.
        """
        found = [(parameter, parameter.grad.data) for parameter in self.parameters if parameter.grad is not None]
        if not found:
            raise RuntimeError("SGD: no parameter has a gradient; call backward() on the loss before step()")
        self._update(found)

    def minimize(self, loss: Tensor) -> None:
        """`zero_grad()`, `loss.backward()` and `step()` in one, which is faster: no gradient is stored.

        That of a weight matrix is added to the weights as it is computed, so the last bits may differ. `.grad` is
        neither read nor written.

        Raises:
            ValueError: the loss is no scalar.
            RuntimeError: it depends on none of the parameters, or its graph was freed.

        >>> w = Tensor([1.0], requires_grad=True)
        >>> SGD([w], lr=0.1).minimize((w * w).sum()); w
        Tensor([0.8], dtype=float32, requires_grad=True)
        """
        found = lazy_gradients(loss, self.parameters)
        if not found:
            raise RuntimeError("SGD: the loss depends on none of the parameters")
        self._update(found)

    def _update(self, gradients: "Iterable[tuple[Tensor, Array | Product]]") -> None:
        lr = self.lr
        kept = 1 - self.weight_decay * lr
        for parameter, gradient in gradients:
            scale_and_add(parameter.data, kept, gradient, -lr)
            parameter._changed()
        self.steps += 1


def _check(owner: str, name: str, value: float, valid: bool, expected: str) -> None:
    if not valid:
        raise ValueError(f"{owner}: {name} must be {expected}, not {value!r}")

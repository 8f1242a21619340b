"""Optimisers around an optimiser: Lookahead, and sharpness-aware minimisation.

    optimizer = Lookahead(Adam(model.parameters(), lr=1e-3))
    optimizer.minimize(loss)                                   # as before

    optimizer = SAM(SGD(model.parameters(), lr=0.1, momentum=0.9))
    optimizer.step(lambda: cross_entropy(model(x), y))         # which computes the loss twice

They have the optimiser's parameters, groups, learning rate and steps, and save its state with their own.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, NoReturn

import numpy as np

from .. import _html
from .. import _validation as check
from .._machine import writes
from .._machine.fused import scale_and_add
from .._messages import as_call, shown, with_hints
from ..tensor import Array, Tensor
from .base import Optimizer
from .closures import value_of
from .norms import norm

INNER = "optimizer."  # before the names of the inner optimiser's state


class _Wrapper(check.Checked):
    """What a wrapper has of the optimiser within: its parameters, groups, learning rate, and number of steps."""

    _saved: ClassVar[frozenset[str]] = frozenset({"optimizer"})  # attributes that the state tells of

    def __init__(self, optimizer: Any) -> None:
        if not isinstance(optimizer, Optimizer | _Wrapper):
            hint = f"; write {optimizer.__name__}(...)" if isinstance(optimizer, type) else ""
            raise TypeError(
                f"{type(self).__name__}: optimizer must be one that takes gradients, not {shown(optimizer)}{hint}"
            )
        self.optimizer: Optimizer | _Wrapper = optimizer

    def __repr__(self) -> str:
        return as_call(self, self.optimizer, **self._checked_settings())

    def _repr_html_(self) -> str:
        return _html.of_wrapper(type(self).__name__, self._checked_settings(), self.optimizer)

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters of the optimiser."""
        return self.optimizer.parameters

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The groups of the optimiser, whose hyperparameters can be assigned."""
        return self.optimizer.groups

    @property
    def lr(self) -> float:
        """The learning rate of the next step, as of the optimiser."""
        return self.optimizer.lr

    @lr.setter
    def lr(self, value: Any) -> None:
        self.optimizer.lr = value

    @property
    def steps(self) -> int:
        """The number of steps taken, as of the optimiser."""
        return self.optimizer.steps

    @steps.setter
    def steps(self, value: int) -> None:
        self.optimizer.steps = value

    @property
    def _in_a_step(self) -> bool:
        return bool(self.optimizer._in_a_step)

    def zero_grad(self) -> None:
        """Set the gradient of every parameter to None."""
        self.optimizer.zero_grad()

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """A step of the optimiser and what the wrapper adds to it."""
        raise NotImplementedError

    def minimize(self, loss: Tensor) -> None:
        """The gradients of the loss, and a step."""
        raise NotImplementedError

    def _own_settings(self) -> dict[str, Array]:
        return {name: np.array(value) for name, value in self._checked_settings().items()}

    def _own_state(self) -> dict[str, Array]:
        return {}

    def state_dict(self) -> dict[str, Array]:
        """The wrapper's settings and state, and the state of the optimiser within, under `optimizer.` and its names."""
        inner = {f"{INNER}{name}": array for name, array in self.optimizer.state_dict().items()}
        return self._own_settings() | self._own_state() | inner

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy a state that `state_dict` returned for a wrapper of the same settings around the same optimiser.

        Raises:
            ValueError: as for the optimiser, or the settings differ. Nothing has changed.
        """
        self._checked_state(state, type(self).__name__)
        own, inner = _parts(state)
        for name, array in self._own_state().items():
            array[...] = own[name]
        self.optimizer.load_state_dict(inner)

    def _checked_state(self, state: Mapping[str, Array], owner: str) -> dict[str, Array]:
        """Copies of the arrays, which can be loaded without an error."""
        own, inner = _parts(check.mapping(owner, "state", state))
        new = check.state(owner, "state", own, self._own_settings() | self._own_state())
        check.settings(owner, new, self._own_settings())
        found = self.optimizer._checked_state(inner, f"{owner}.optimizer")
        return new | {f"{INNER}{name}": array for name, array in found.items()}


def _parts(state: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """The wrapper's part of a state, and that of the optimiser."""
    inner = {name.removeprefix(INNER): array for name, array in state.items() if name.startswith(INNER)}
    return {name: array for name, array in state.items() if not name.startswith(INNER)}, inner


class Lookahead(_Wrapper):
    """Every k steps of an optimiser, the weights go back to a part of the way that they have come.

        slow <- slow + alpha * (w - slow), w <- slow, after every k steps

    The slow weights start as the weights at construction. Steps are counted by `optimizer.steps`.

    Source: M. R. Zhang et al., "Lookahead optimizer: k steps forward, 1 step back" (2019), algorithm 1.

    Args:
        optimizer: any optimiser of this package, or another wrapper.
        k: the number of steps, at least 1.
        alpha: the part of the way, from 0 to 1.

    Raises:
        TypeError: the optimiser is none.
        ValueError: an argument is out of its range.

    >>> from tinygrad_np.optim import SGD
    >>> w = Tensor([1.0], requires_grad=True)
    >>> optimizer = Lookahead(SGD([w], lr=0.1), k=2, alpha=0.5)
    >>> optimizer
    Lookahead(SGD(lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0), k=2, alpha=0.5)
    >>> for _ in range(2):
    ...     optimizer.minimize(w.sum())
    ...     print(np.round(w.data, 3))
    [0.9]
    [0.9]
    """

    _saved = _Wrapper._saved | {"k", "alpha", "slow", "_moving"}
    _checks: ClassVar[check.Checks] = {
        "k": check.positive_integer,
        "alpha": partial(check.real, at_least=0, at_most=1),
    }

    @with_hints()
    def __init__(self, optimizer: Any, k: int = 5, alpha: float = 0.5) -> None:
        super().__init__(optimizer)
        self.k, self.alpha, self._moving = k, alpha, False
        self.slow = [p.data.astype(np.promote_types(p.dtype, np.float32), order="C") for p in self.parameters]

    @with_hints("call loss.backward() before it, or write optimizer.minimize(loss) instead")
    def step(self, *args: Any) -> Any:
        """A step of the optimiser, with its arguments; after every k-th the weights go back.

        Raises:
            ValueError, RuntimeError: as the optimiser.
        """
        step: Callable[..., Any] = self.optimizer.step
        result = step(*args)
        self._go_back()
        return result

    def minimize(self, loss: Tensor) -> None:
        """The optimiser's `minimize`; after every k-th step the weights go back."""
        self.optimizer.minimize(loss)
        self._go_back()

    def _go_back(self) -> None:
        if self.steps % self.k:
            return
        self._moving = True
        for slow, parameter in zip(self.slow, self.parameters, strict=True):
            scale_and_add(slow, 1 - self.alpha, parameter.data.astype(slow.dtype, copy=False), self.alpha)
            parameter.data[...] = slow
            parameter._changed()
        self._moving = False

    @property
    def _in_a_step(self) -> bool:
        return self._moving or super()._in_a_step

    def _own_state(self) -> dict[str, Array]:
        return {f"slow.{i}": slow for i, slow in enumerate(self.slow)}


class SAM(_Wrapper):
    """Sharpness-aware minimisation: a step along the gradient at the worst weights nearby.

        e  = rho * g / |g|, where g is the gradient at w, of all parameters as one vector
        w <- the optimiser's step from w, with the gradient at w + e

    With `adaptive`, e is rho * w^2 * g / | |w| * g |, which does not depend on the scale of each weight.

    Layers that count their calls, such as `BatchNorm1d` its running statistics, count two in a step.

    Source: P. Foret et al., "Sharpness-aware minimization for efficiently improving generalization" (2021),
    algorithm 1; adaptive: J. Kwon et al., "ASAM: adaptive sharpness-aware minimization for scale-invariant learning of
    deep neural networks" (2021), equation 7, without eta.

    Args:
        optimizer: any optimiser of this package, or another wrapper.
        rho: the distance to the worst weights, at least 0.
        adaptive: measure the distance in the scale of each weight.

    Raises:
        TypeError: the optimiser is none.
        ValueError: an argument is out of its range.

    >>> from tinygrad_np.optim import SGD
    >>> w = Tensor([1.0], requires_grad=True)
    >>> optimizer = SAM(SGD([w], lr=0.1), rho=0.5)
    >>> optimizer.step(lambda: (w * w).sum())    # with the gradient at 1.5
    1.0
    >>> np.round(w.data, 3)
    array([0.7], dtype=float32)
    """

    _saved = _Wrapper._saved | {"rho", "adaptive", "_perturbed"}
    _checks: ClassVar[check.Checks] = {"rho": partial(check.real, at_least=0), "adaptive": check.boolean}

    @with_hints()
    def __init__(self, optimizer: Any, rho: float = 0.05, adaptive: bool = False) -> None:
        super().__init__(optimizer)
        self.rho, self.adaptive, self._perturbed = rho, adaptive, False

    def step(self, closure: Callable[[], Tensor]) -> float:
        """A step of the optimiser with the gradient at the worst weights nearby.

        Args:
            closure: computes the loss of the batch, a Tensor of one element. It is called twice.

        Returns:
            The loss at the weights before the step.

        Raises:
            TypeError: the closure is no function, or returns no Tensor.
            RuntimeError: the loss depends on none of the parameters. The weights are as before.
        """
        loss = self._backward(closure)
        with self.perturbed():
            self._backward(closure)
        self.optimizer.step()
        return loss

    def minimize(self, loss: Tensor) -> NoReturn:
        """Not possible: the loss is needed at other weights as well."""
        raise TypeError("SAM computes the loss twice: write optimizer.step(lambda: ...) with what computes it")

    @contextmanager
    def perturbed(self) -> Iterator[None]:
        """A context in which the parameters are the worst nearby, by their gradients; then they get their values back.

        It is for what `step` does not do, such as clipping:

            loss.backward()
            with sam.perturbed():
                sam.zero_grad()
                loss_of(model).backward()
            clip_grad_norm(sam.parameters, 1.0)
            sam.optimizer.step()
        """
        if self._perturbed:
            raise RuntimeError("SAM: the parameters are perturbed already")
        moved = [p for p in self.parameters if p.grad is not None]
        if not moved:
            raise RuntimeError("SAM: no parameter has a gradient; call backward() on the loss first")
        weights = [p.data.copy() for p in moved]
        self._perturbed = True
        try:
            self._perturb(moved)
            yield
        finally:
            for parameter, kept in zip(moved, weights, strict=True):
                parameter.data[...] = kept
                parameter._changed()
            self._perturbed = False

    def _perturb(self, parameters: list[Tensor]) -> None:
        gradients = [p.grad.data for p in parameters if p.grad is not None]
        scales = [np.abs(p.data) for p in parameters] if self.adaptive else []
        scaled = [g * scale for g, scale in zip(gradients, scales, strict=True)] if self.adaptive else gradients
        size = norm(scaled)
        if not math.isfinite(size):
            raise FloatingPointError(f"SAM: the norm of the gradients is {size}")
        rate = self.rho / size if size else 0.0
        directions = [s * scale for s, scale in zip(scaled, scales, strict=True)] if self.adaptive else scaled
        for parameter, direction in zip(parameters, directions, strict=True):
            weights = parameter._data
            scale_and_add(weights, 1, direction.astype(weights.dtype, copy=False), rate)
        writes.note(*(p._data for p in parameters))

    def _backward(self, closure: Callable[[], Tensor]) -> float:
        self.zero_grad()
        loss = value_of(closure, "SAM")
        loss.backward()
        return float(loss.item())

    @property
    def _in_a_step(self) -> bool:
        return self._perturbed or super()._in_a_step

"""Learning-rate schedules: functions from the step to the learning rate, which an optimiser takes in place of a number.

    SGD(parameters, lr=JoinedScheduler([WarmupScheduler(0.1, 500), CosineScheduler(0.1, 9500)], milestones=[500]))

A schedule is any function `step -> lr`, with steps counted from 0. It has no state, so nothing of it is saved: training
that resumes at a step continues its schedule. examples/schedules.py draws the ones defined here.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeAlias, TypeVar

from . import _validation as check
from ._messages import Hints, module_getattr, with_hints

Schedule: TypeAlias = Callable[[int], float]
Kind = TypeVar("Kind", bound=type)


class _Scheduler(Hints):
    """Base class of the schedules defined here."""


def _with_hints(kind: Kind) -> Kind:
    """Decorate a schedule so that its errors say what to write, and where a rate cannot be computed."""
    rate = kind.__call__

    @wraps(rate)
    def call(self: Any, step: int) -> Any:
        try:
            return rate(self, step)
        except ArithmeticError as error:
            raise type(error)(f"{kind.__name__}, step {step}: the rate cannot be computed: {error}") from error

    kind.__init__, kind.__call__ = with_hints()(kind.__init__), call  # type: ignore[misc,method-assign]
    return kind


@_with_hints
@dataclass(frozen=True)
class ExponentialScheduler(_Scheduler):
    """A learning rate that is multiplied by a constant factor at every stage.

    lr * decay ** floor(step / stage_length), or the same without the floor if `staircase` is False.

    PyTorch's StepLR is this schedule with `staircase=True`; there `gamma` is the name of `decay` and `step_size` that
    of `stage_length`. PyTorch's ExponentialLR is this schedule with `stage_length=1`.

    Args:
        lr: the learning rate at step 0, at least 0.
        decay: the factor, above 0.
        stage_length: the number of steps in a stage, at least 1.
        staircase: keep the rate constant within a stage, instead of changing it at every step.

    Raises:
        ValueError: an argument is out of its range.

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
        check.real("ExponentialScheduler", "lr", self.lr, at_least=0)
        check.real("ExponentialScheduler", "decay", self.decay, above=0)
        check.positive_integer("ExponentialScheduler", "stage_length", self.stage_length)
        check.boolean("ExponentialScheduler", "staircase", self.staircase)

    def __call__(self, step: int) -> float:
        stage = step // self.stage_length if self.staircase else step / self.stage_length
        return self.lr * self.decay**stage


@_with_hints
@dataclass(frozen=True)
class MultiStepScheduler(_Scheduler):
    """A learning rate that is multiplied by a factor at each of the given steps, as PyTorch's MultiStepLR.

    lr * gamma ** n, where n is the number of milestones reached.

    Args:
        lr: the learning rate at step 0, at least 0.
        milestones: the steps, strictly increasing and at least 1.
        gamma: the factor, above 0.

    Raises:
        ValueError: an argument is out of its range.

    >>> schedule = MultiStepScheduler(1.0, milestones=[30, 80], gamma=0.5)
    >>> schedule(29), schedule(30), schedule(80)
    (1.0, 0.5, 0.25)
    """

    lr: float
    milestones: Sequence[int]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        check.real("MultiStepScheduler", "lr", self.lr, at_least=0)
        object.__setattr__(self, "milestones", _increasing("MultiStepScheduler", "milestones", self.milestones))
        check.real("MultiStepScheduler", "gamma", self.gamma, above=0)

    def __call__(self, step: int) -> float:
        return self.lr * self.gamma ** bisect_right(self.milestones, step)


@_with_hints
@dataclass(frozen=True)
class CosineScheduler(_Scheduler):
    """A learning rate that falls along half a cosine wave and then stays at its minimum.

    minimum + (lr - minimum) * (1 + cos(pi * step / steps)) / 2 up to step `steps`. It is PyTorch's CosineAnnealingLR,
    which rises again after that.

    Source: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017), equation 5,
    without restarts.

    Args:
        lr: the learning rate at step 0, at least 0.
        steps: the number of steps until the minimum, at least 1.
        minimum: the final learning rate, from 0 to lr.

    Raises:
        ValueError: an argument is out of its range.

    >>> schedule = CosineScheduler(1.0, steps=100, minimum=0.1)
    >>> schedule(0), round(schedule(50), 6), schedule(100), schedule(1000)
    (1.0, 0.55, 0.1, 0.1)
    """

    lr: float
    steps: int
    minimum: float = 0.0

    def __post_init__(self) -> None:
        check.real("CosineScheduler", "lr", self.lr, at_least=0)
        check.positive_integer("CosineScheduler", "steps", self.steps)
        check.real("CosineScheduler", "minimum", self.minimum, at_least=0)
        if self.minimum > self.lr:
            raise ValueError(f"CosineScheduler: minimum must be from 0 to lr, {self.lr!r}, not {self.minimum!r}")

    def __call__(self, step: int) -> float:
        return _cosine(self.lr, self.minimum, min(step / self.steps, 1))


@_with_hints
@dataclass(frozen=True)
class WarmupScheduler(_Scheduler):
    """A learning rate that rises linearly and then stays; the usual first part of a `JoinedScheduler`.

    From lr * start_factor to lr, as PyTorch's LinearLR.

    Args:
        lr: the final learning rate, at least 0.
        steps: the number of steps until then, at least 1.
        start_factor: the fraction of lr at step 0, from 0 to 1.

    Raises:
        ValueError: an argument is out of its range.

    >>> schedule = WarmupScheduler(1.0, steps=10, start_factor=0.5)
    >>> schedule(0), schedule(5), schedule(10), schedule(11)
    (0.5, 0.75, 1.0, 1.0)
    """

    lr: float
    steps: int
    start_factor: float = 1 / 3

    def __post_init__(self) -> None:
        check.real("WarmupScheduler", "lr", self.lr, at_least=0)
        check.positive_integer("WarmupScheduler", "steps", self.steps)
        check.real("WarmupScheduler", "start_factor", self.start_factor, at_least=0, at_most=1)

    def __call__(self, step: int) -> float:
        return _linear(self.lr * self.start_factor, self.lr, min(step / self.steps, 1))


@_with_hints
@dataclass(frozen=True)
class OneCycleScheduler(_Scheduler):
    """A learning rate that rises to a maximum and then falls to nearly 0: the 1cycle policy.

    From lr / div_factor at step 0 to lr at step pct_start * steps - 1, and to lr / div_factor / final_div_factor at
    step steps - 1, where it stays. It is PyTorch's OneCycleLR with two phases and without a cycle of the momentum.

    Source: L. N. Smith and N. Topin, "Super-convergence: very fast training of neural networks using large learning
    rates" (2018).

    Args:
        lr: the maximum, at least 0.
        steps: the number of steps in the cycle, at least 1.
        pct_start: the fraction (not the percentage) of the steps in which the rate rises, at least 0 and below 1.
        anneal_strategy: the shape of both phases, "cos" (half a cosine wave) or "linear".
        div_factor: the maximum divided by the first learning rate, above 0.
        final_div_factor: the first learning rate divided by the last, above 0.

    Raises:
        ValueError: an argument is out of its range.

    >>> schedule = OneCycleScheduler(1.0, steps=101, pct_start=11 / 101)
    >>> [round(schedule(step), 6) for step in (0, 5, 10, 55, 100)]
    [0.04, 0.52, 1.0, 0.500002, 4e-06]
    """

    lr: float
    steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        check.real("OneCycleScheduler", "lr", self.lr, at_least=0)
        check.positive_integer("OneCycleScheduler", "steps", self.steps)
        check.real("OneCycleScheduler", "pct_start", self.pct_start, at_least=0, below=1)
        check.one_of("OneCycleScheduler", "anneal_strategy", self.anneal_strategy, ("cos", "linear"))
        check.real("OneCycleScheduler", "div_factor", self.div_factor, above=0)
        check.real("OneCycleScheduler", "final_div_factor", self.final_div_factor, above=0)

    def __call__(self, step: int) -> float:
        interpolate = _cosine if self.anneal_strategy == "cos" else _linear
        first, peak, last = self.lr / self.div_factor, self.pct_start * self.steps - 1, self.steps - 1
        if step < peak:
            return interpolate(first, self.lr, step / peak)
        return interpolate(self.lr, first / self.final_div_factor, min((step - peak) / (last - peak), 1))


@_with_hints
@dataclass(frozen=True)
class JoinedScheduler(_Scheduler):
    """One schedule after another, each with steps counted from its own start, as PyTorch's SequentialLR.

    Args:
        schedules: functions `step -> lr`.
        milestones: the steps at which the second and later ones start, strictly increasing and at least 1.

    Raises:
        TypeError: a schedule is not callable.
        ValueError: the milestones are not strictly increasing, or not one fewer than the schedules.

    >>> schedule = JoinedScheduler([WarmupScheduler(1.0, 500), CosineScheduler(1.0, 1000)], milestones=[500])
    >>> schedule(499) < schedule(500) > schedule(501), schedule(1500)
    (True, 0.0)
    """

    schedules: Sequence[Schedule]
    milestones: Sequence[int]

    def __post_init__(self) -> None:
        if not isinstance(self.schedules, Sequence):
            raise TypeError(f"JoinedScheduler: schedules must be a list of schedules, not {self.schedules!r:.80}")
        object.__setattr__(self, "schedules", tuple(self.schedules))
        object.__setattr__(self, "milestones", _increasing("JoinedScheduler", "milestones", self.milestones))
        for i, schedule in enumerate(self.schedules):
            check.schedule("JoinedScheduler", f"schedule {i}", schedule)
        if len(self.milestones) != len(self.schedules) - 1:
            raise ValueError(
                f"JoinedScheduler: there must be one milestone fewer than schedules,"
                f" not {len(self.milestones)} for {len(self.schedules)}"
            )

    def __call__(self, step: int) -> float:
        i = bisect_right(self.milestones, step)
        return self.schedules[i](step - (self.milestones[i - 1] if i else 0))


def _increasing(owner: str, name: str, value: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise TypeError(f"{owner}: {name} must be a list of steps, not {value!r:.80}")
    steps = tuple(check.positive_integer(owner, f"{name}[{i}]", step) for i, step in enumerate(value))
    if steps != tuple(sorted(set(steps))):
        raise ValueError(f"{owner}: {name} must be strictly increasing, not {value!r}")
    return steps


def _linear(start: float, end: float, fraction: float) -> float:
    """The value at a fraction of the way from start to end; exactly these at 0 and 1."""
    return start * (1 - fraction) + end * fraction


def _cosine(start: float, end: float, fraction: float) -> float:
    """The same along half a cosine wave."""
    return _linear(start, end, (1 - math.cos(math.pi * fraction)) / 2)


__getattr__ = module_getattr(__name__)

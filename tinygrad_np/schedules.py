"""Learning-rate schedules: functions of the step, counted from 0, that an optimiser takes in the place of a rate.

    SGD(parameters, lr=JoinedScheduler([WarmupScheduler(0.1, 500), CosineScheduler(0.1, 9500)], milestones=[500]))

A schedule is any `step -> lr`; it remembers nothing, so training that is resumed at a step needs no state of it.
examples/images/schedules.png shows those of this file, drawn by examples/schedules.py.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from . import _validation as check

Schedule: TypeAlias = Callable[[int], float]


@dataclass(frozen=True)
class ExponentialScheduler:
    """A learning rate that falls by a constant factor from stage to stage: `schedule(step)`.

    lr * decay ** floor(step / stage_length), or without the floor when `staircase` is False.

    Args:
        lr: the rate at step 0, at least 0.
        decay: the factor, above 0.
        stage_length: the number of steps after which the rate has changed by the factor, at least 1.
        staircase: whether the rate stays the same within a stage.

    Raises:
        ValueError: one of them is out of its range.

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
        check.real("ExponentialScheduler", "lr", self.lr, "at least 0", 0)
        check.real("ExponentialScheduler", "decay", self.decay, "above 0", 0, ends="()")
        check.positive_integer("ExponentialScheduler", "stage_length", self.stage_length)
        check.one_of("ExponentialScheduler", "staircase", self.staircase, (False, True))

    def __call__(self, step: int) -> float:
        stage = step // self.stage_length if self.staircase else step / self.stage_length
        return self.lr * self.decay**stage


@dataclass(frozen=True)
class StepScheduler:
    """A learning rate that falls by a factor after every so many steps: lr * gamma ** floor(step / step_size).

    It is PyTorch's StepLR, and `ExponentialScheduler` by other names.

    Args:
        lr: the rate at step 0, at least 0.
        step_size: the number of steps that the rate stays the same, at least 1.
        gamma: the factor, above 0.

    Raises:
        ValueError: one of them is out of its range.

    >>> schedule = StepScheduler(1.0, step_size=30)
    >>> schedule(29), schedule(30)
    (1.0, 0.1)
    """

    lr: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        check.real("StepScheduler", "lr", self.lr, "at least 0", 0)
        check.positive_integer("StepScheduler", "step_size", self.step_size)
        check.real("StepScheduler", "gamma", self.gamma, "above 0", 0, ends="()")

    def __call__(self, step: int) -> float:
        return self.lr * self.gamma ** (step // self.step_size)


@dataclass(frozen=True)
class MultiStepScheduler:
    """A learning rate that falls by a factor at certain steps, as PyTorch's MultiStepLR.

    lr * gamma ** n, where n of the milestones have been reached.

    Args:
        lr: the rate at step 0, at least 0.
        milestones: the steps, rising and at least 1.
        gamma: the factor, above 0.

    Raises:
        ValueError: one of them is out of its range.

    >>> schedule = MultiStepScheduler(1.0, milestones=[30, 80], gamma=0.5)
    >>> schedule(29), schedule(30), schedule(80)
    (1.0, 0.5, 0.25)
    """

    lr: float
    milestones: Sequence[int]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        check.real("MultiStepScheduler", "lr", self.lr, "at least 0", 0)
        object.__setattr__(self, "milestones", _rising("MultiStepScheduler", self.milestones))
        check.real("MultiStepScheduler", "gamma", self.gamma, "above 0", 0, ends="()")

    def __call__(self, step: int) -> float:
        return self.lr * self.gamma ** bisect_right(self.milestones, step)


@dataclass(frozen=True)
class CosineScheduler:
    """A learning rate that falls along half a wave of the cosine, and then stays (Loshchilov and Hutter 2017, "SGDR").

    minimum + (lr - minimum) * (1 + cos(pi * step / steps)) / 2, as PyTorch's CosineAnnealingLR, which rises again after
    that.

    Args:
        lr: the rate at step 0, at least 0.
        steps: the number of steps after which the rate is the minimum, at least 1.
        minimum: from 0 to lr.

    Raises:
        ValueError: one of them is out of its range.

    >>> schedule = CosineScheduler(1.0, steps=100, minimum=0.1)
    >>> schedule(0), round(schedule(50), 6), schedule(100), schedule(1000)
    (1.0, 0.55, 0.1, 0.1)
    """

    lr: float
    steps: int
    minimum: float = 0.0

    def __post_init__(self) -> None:
        check.real("CosineScheduler", "lr", self.lr, "at least 0", 0)
        check.positive_integer("CosineScheduler", "steps", self.steps)
        check.real("CosineScheduler", "minimum", self.minimum, f"from 0 to lr, {self.lr!r}", 0, self.lr)

    def __call__(self, step: int) -> float:
        return _along_cosine(self.lr, self.minimum, min(step / self.steps, 1))


@dataclass(frozen=True)
class WarmupScheduler:
    """A learning rate that rises along a line, and then stays; the beginning of a `JoinedScheduler`.

    From lr * start_factor to lr, as PyTorch's LinearLR.

    Args:
        lr: the rate after these steps, at least 0.
        steps: the number of steps until then, at least 1.
        start_factor: from 0 to 1.

    Raises:
        ValueError: one of them is out of its range.

    >>> schedule = WarmupScheduler(1.0, steps=10, start_factor=0.5)
    >>> schedule(0), schedule(5), schedule(10), schedule(11)
    (0.5, 0.75, 1.0, 1.0)
    """

    lr: float
    steps: int
    start_factor: float = 1 / 3

    def __post_init__(self) -> None:
        check.real("WarmupScheduler", "lr", self.lr, "at least 0", 0)
        check.positive_integer("WarmupScheduler", "steps", self.steps)
        check.real("WarmupScheduler", "start_factor", self.start_factor, "from 0 to 1", 0, 1)

    def __call__(self, step: int) -> float:
        return _along_line(self.lr * self.start_factor, self.lr, min(step / self.steps, 1))


@dataclass(frozen=True)
class OneCycleScheduler:
    """A learning rate that rises to its maximum and falls to almost nothing.

    Smith and Topin 2018, "Super-convergence: very fast training of neural networks using large learning rates". From
    lr / div_factor to lr at step pct_start * steps - 1, and to lr / div_factor / final_div_factor at step steps - 1,
    where it stays. It is PyTorch's OneCycleLR in two phases; momentum is left alone.

    Args:
        lr: the maximum, at least 0.
        steps: the number of steps in the cycle, at least 1.
        pct_start: the fraction (not percentage) of the steps in which the rate rises, at least 0 and below 1.
        anneal_strategy: "cos", along half waves of the cosine, or "linear".
        div_factor, final_div_factor: above 0.

    Raises:
        ValueError: one of them is out of its range.

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
        check.real("OneCycleScheduler", "lr", self.lr, "at least 0", 0)
        check.positive_integer("OneCycleScheduler", "steps", self.steps)
        check.real("OneCycleScheduler", "pct_start", self.pct_start, "at least 0 and below 1", 0, 1, "[)")
        check.one_of("OneCycleScheduler", "anneal_strategy", self.anneal_strategy, ("cos", "linear"))
        check.real("OneCycleScheduler", "div_factor", self.div_factor, "above 0", 0, ends="()")
        check.real("OneCycleScheduler", "final_div_factor", self.final_div_factor, "above 0", 0, ends="()")

    def __call__(self, step: int) -> float:
        along = _along_cosine if self.anneal_strategy == "cos" else _along_line
        first, peak, last = self.lr / self.div_factor, self.pct_start * self.steps - 1, self.steps - 1
        if step < peak:
            return along(first, self.lr, step / peak)
        return along(self.lr, first / self.final_div_factor, min((step - peak) / (last - peak), 1))


@dataclass(frozen=True)
class JoinedScheduler:
    """One schedule after the other, each counting its steps from its own start, as PyTorch's SequentialLR.

    Args:
        schedules: functions `step -> lr`.
        milestones: the steps at which the second and later ones start, rising and at least 1.

    Raises:
        TypeError: a schedule cannot be called.
        ValueError: the milestones do not rise, or are not one fewer than the schedules.

    >>> schedule = JoinedScheduler([WarmupScheduler(1.0, 500), CosineScheduler(1.0, 1000)], milestones=[500])
    >>> schedule(499) < schedule(500) > schedule(501), schedule(1500)
    (True, 0.0)
    """

    schedules: Sequence[Schedule]
    milestones: Sequence[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedules", tuple(self.schedules))
        object.__setattr__(self, "milestones", _rising("JoinedScheduler", self.milestones))
        for i, schedule in enumerate(self.schedules):
            if not callable(schedule):
                raise TypeError(f"JoinedScheduler: schedule {i} is not a function of the step: {schedule!r}")
        if len(self.milestones) != len(self.schedules) - 1:
            raise ValueError(
                f"JoinedScheduler: {len(self.schedules)} schedules are joined at one milestone fewer,"
                f" not at {len(self.milestones)}"
            )

    def __call__(self, step: int) -> float:
        i = bisect_right(self.milestones, step)
        return self.schedules[i](step - (self.milestones[i - 1] if i else 0))


def _rising(owner: str, milestones: Sequence[int]) -> tuple[int, ...]:
    steps = tuple(check.positive_integer(owner, f"milestones[{i}]", step) for i, step in enumerate(milestones))
    if steps != tuple(sorted(set(steps))):
        raise ValueError(f"{owner}: milestones must rise, not {milestones!r}")
    return steps


def _along_line(start: float, end: float, fraction: float) -> float:
    return start * (1 - fraction) + end * fraction  # at the ends exactly start and end


def _along_cosine(start: float, end: float, fraction: float) -> float:
    return _along_line(start, end, (1 - math.cos(math.pi * fraction)) / 2)

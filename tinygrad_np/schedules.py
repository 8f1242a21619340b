"""Learning-rate schedules: functions from the step to the learning rate, which an optimiser takes in place of a number.

    SGD(parameters, lr=JoinedScheduler([WarmupScheduler(0.1, 500), CosineScheduler(0.1, 9500)], milestones=[500]))

A schedule is any function `step -> lr`, with steps counted from 0. It has no state, so nothing of it is saved: training
that resumes at a step continues its schedule. examples/schedules.py draws those of this file.

`PlateauScheduler` alone depends on more than the step, so that it has a state, and is not drawn.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np

from . import _html
from . import _validation as check
from ._machine.arrays import Array
from ._messages import Hints, module_getattr, with_hints

__all__ = [
    "CosineScheduler",
    "ExponentialScheduler",
    "InverseSquareRootScheduler",
    "JoinedScheduler",
    "MultiStepScheduler",
    "OneCycleScheduler",
    "PlateauScheduler",
    "PolynomialScheduler",
    "RestartScheduler",
    "WarmupScheduler",
    "WarmupStableDecayScheduler",
]

Schedule: TypeAlias = Callable[[int], float]
Kind = TypeVar("Kind", bound=type)


class _Scheduler(Hints):
    """Base class of the schedules without state that are defined here."""

    def _repr_html_(self) -> str | None:
        return _html.of_schedule(self)


def _natural(owner: str, name: str, value: Any) -> int:
    """An integer of at least 0."""
    if check.integer(owner, name, value) < 0:
        raise ValueError(f"{owner}: {name} must be an integer of at least 0, not {value!r}")
    return int(value)


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
    which rises again after that; see `RestartScheduler`.

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
        _check_fall("CosineScheduler", self.lr, self.steps, self.minimum)

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
class RestartScheduler(_Scheduler):
    """A learning rate that falls along half a cosine wave again and again, as PyTorch's CosineAnnealingWarmRestarts.

    Source: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017), equation 5.

    Args:
        lr: the learning rate at step 0 and at each restart, at least 0.
        steps: the number of steps until the first restart, at least 1.
        growth: the length of each further wave over that of the one before it, an integer, at least 1.
        minimum: the learning rate that is approached before each restart, from 0 to lr.

    Raises:
        ValueError: an argument is out of its range.

    >>> schedule = RestartScheduler(1.0, steps=10, growth=2)
    >>> [round(schedule(step), 6) for step in (0, 5, 10, 20, 30)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    lr: float
    steps: int
    growth: int = 1
    minimum: float = 0.0

    def __post_init__(self) -> None:
        _check_fall("RestartScheduler", self.lr, self.steps, self.minimum)
        check.positive_integer("RestartScheduler", "growth", self.growth)

    def __call__(self, step: int) -> float:
        length = self.steps
        if self.growth == 1:
            step %= length
        while step >= length:
            step, length = step - length, length * self.growth
        return _cosine(self.lr, self.minimum, step / length)


@_with_hints
@dataclass(frozen=True)
class PolynomialScheduler(_Scheduler):
    """A learning rate that falls as a power of what is left of the steps, and then stays; with power 1, linearly.

    minimum + (lr - minimum) * (1 - step / steps) ** power up to step `steps`. It is PyTorch's PolynomialLR, whose
    minimum is 0.

    Args:
        lr: the learning rate at step 0, at least 0.
        steps: the number of steps until the minimum, at least 1.
        power: above 0.
        minimum: the final learning rate, from 0 to lr.

    Raises:
        ValueError: an argument is out of its range.

    >>> schedule = PolynomialScheduler(1.0, steps=100, power=2.0)
    >>> schedule(0), schedule(50), schedule(100), schedule(1000)
    (1.0, 0.25, 0.0, 0.0)
    """

    lr: float
    steps: int
    power: float = 1.0
    minimum: float = 0.0

    def __post_init__(self) -> None:
        _check_fall("PolynomialScheduler", self.lr, self.steps, self.minimum)
        check.real("PolynomialScheduler", "power", self.power, above=0)

    def __call__(self, step: int) -> float:
        return _linear(self.minimum, self.lr, (1 - min(step / self.steps, 1)) ** self.power)


@_with_hints
@dataclass(frozen=True)
class InverseSquareRootScheduler(_Scheduler):
    """A learning rate that rises linearly and then falls as 1 / sqrt(step), that of the first Transformer.

    lr * min(n / warmup_steps, sqrt(warmup_steps / n)), where n = step + 1.

    Source: A. Vaswani et al., "Attention is all you need" (2017), equation 3, whose lr is
    1 / sqrt(d_model * warmup_steps).

    Args:
        lr: the largest learning rate, at least 0.
        warmup_steps: the number of steps in which it rises, at least 1; with 1 it falls from the start.

    Raises:
        ValueError: an argument is out of its range.

    >>> schedule = InverseSquareRootScheduler(1.0, warmup_steps=100)
    >>> schedule(0), schedule(99), schedule(399)
    (0.01, 1.0, 0.5)
    """

    lr: float
    warmup_steps: int

    def __post_init__(self) -> None:
        check.real("InverseSquareRootScheduler", "lr", self.lr, at_least=0)
        check.positive_integer("InverseSquareRootScheduler", "warmup_steps", self.warmup_steps)

    def __call__(self, step: int) -> float:
        return self.lr * min((step + 1) / self.warmup_steps, math.sqrt(self.warmup_steps / (step + 1)))


@_with_hints
@dataclass(frozen=True)
class WarmupStableDecayScheduler(_Scheduler):
    """A learning rate that rises, stays, and falls at the end, so that a training can be prolonged before its end.

    From lr * start_factor to lr in the first `warmup_steps`, and from lr to the minimum in the last `decay_steps`.

    Source: S. Hu et al., "MiniCPM: unveiling the potential of small language models with scalable training strategies"
    (2024), section 4; the strategy "sqrt": A. Haegele et al., "Scaling laws and compute-optimal training beyond fixed
    training durations" (2024).

    Args:
        lr: the learning rate in the middle, at least 0.
        steps: the number of all steps, at least 1.
        warmup_steps: of them, the first, at least 1.
        decay_steps: of them, the last, at least 1. With the first, they are at most all.
        start_factor: the fraction of lr at step 0, from 0 to 1.
        minimum: the final learning rate, from 0 to lr.
        anneal_strategy: the shape of the fall: "linear", "cos" (half a cosine wave), or "sqrt", which falls by the
            square root of the time.

    Raises:
        ValueError: an argument is out of its range.

    >>> schedule = WarmupStableDecayScheduler(1.0, steps=1000, warmup_steps=100, decay_steps=200, start_factor=0.0)
    >>> [schedule(step) for step in (0, 50, 100, 800, 900, 1000)]
    [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]
    """

    lr: float
    steps: int
    warmup_steps: int
    decay_steps: int
    start_factor: float = 1 / 3
    minimum: float = 0.0
    anneal_strategy: str = "linear"

    def __post_init__(self) -> None:
        owner = "WarmupStableDecayScheduler"
        _check_fall(owner, self.lr, self.steps, self.minimum)
        check.positive_integer(owner, "warmup_steps", self.warmup_steps)
        check.positive_integer(owner, "decay_steps", self.decay_steps)
        check.real(owner, "start_factor", self.start_factor, at_least=0, at_most=1)
        check.one_of(owner, "anneal_strategy", self.anneal_strategy, ("linear", "cos", "sqrt"))
        if self.warmup_steps + self.decay_steps > self.steps:
            raise ValueError(
                f"{owner}: warmup_steps and decay_steps must be at most steps, {self.steps}, not"
                f" {self.warmup_steps} + {self.decay_steps}"
            )

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            return _linear(self.lr * self.start_factor, self.lr, step / self.warmup_steps)
        fraction = min(max(step - self.steps + self.decay_steps, 0) / self.decay_steps, 1)
        if self.anneal_strategy == "cos":
            return _cosine(self.lr, self.minimum, fraction)
        return _linear(self.lr, self.minimum, math.sqrt(fraction) if self.anneal_strategy == "sqrt" else fraction)


@_with_hints
class PlateauScheduler(check.Checked, Hints):
    """A learning rate that is multiplied by a factor where the loss no longer falls, as PyTorch's ReduceLROnPlateau.

        schedule = PlateauScheduler(0.1, patience=5)
        optimizer = SGD(model.parameters(), lr=schedule)
        ...
        schedule.update(validation_loss)        # after each epoch

    It has a state, which is saved as those of other parts: `Checkpoints(folder, optimizer=optimizer, rate=schedule)`.

    Args:
        lr: the learning rate at the start, at least 0.
        mode: "min" for a loss, "max" for what is to rise, such as an accuracy.
        factor: at least 0 and below 1.
        patience: the number of updates without an improvement that are let pass, at least 0.
        threshold: the least improvement that counts, at least 0.
        threshold_mode: whether the threshold is a part of the best value, "rel", or a difference from it, "abs".
        cooldown: the number of updates after a reduction that are not counted, at least 0.
        minimum: the least learning rate, from 0 to lr.

    Attributes:
        rate: the learning rate as it is now.
        best: the best value so far.

    Raises:
        ValueError: an argument is out of its range.

    >>> schedule = PlateauScheduler(1.0, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     schedule.update(loss)
    >>> schedule.rate, schedule.best
    (0.5, 2.0)
    """

    _saved: ClassVar[frozenset[str]] = frozenset({"_numbers", "_counts"})  # attributes that the state tells of
    _checks: ClassVar[check.Checks] = {
        "lr": partial(check.real, at_least=0),
        "mode": partial(check.one_of, choices=("min", "max")),
        "factor": partial(check.real, at_least=0, below=1),
        "patience": _natural,
        "threshold": partial(check.real, at_least=0),
        "threshold_mode": partial(check.one_of, choices=("rel", "abs")),
        "cooldown": _natural,
        "minimum": partial(check.real, at_least=0),
    }
    _fixed: ClassVar[frozenset[str]] = frozenset({"lr", "mode"})

    def __init__(
        self,
        lr: float,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        minimum: float = 0.0,
    ) -> None:
        self.lr, self.mode, self.factor, self.patience = lr, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.minimum = threshold, threshold_mode, cooldown, minimum
        if self.minimum > self.lr:
            raise ValueError(f"PlateauScheduler: minimum must be from 0 to lr, {self.lr!r}, not {self.minimum!r}")
        self._numbers = np.array([self.lr, math.inf if mode == "min" else -math.inf])  # the rate, and the best value
        self._counts = np.zeros(2, np.int64)  # of updates without improvement, and of those left that are not counted

    def __call__(self, step: int) -> float:
        return self.rate

    def _repr_html_(self) -> str:
        state = {"rate": self.rate, "best": self.best}
        return _html.of_settings(type(self).__name__, state | self._checked_settings())

    @property
    def rate(self) -> float:
        """The learning rate as it is now."""
        return float(self._numbers[0])

    @property
    def best(self) -> float:
        """The best value so far."""
        return float(self._numbers[1])

    def update(self, value: float) -> None:
        """Count an update with the loss of an epoch, or what `mode` says, and reduce the rate if patience is over.

        Raises:
            ValueError: the value is no finite number.
        """
        value = check.real("PlateauScheduler", "value", value)
        waited, left = self._counts.tolist()
        if self._is_better(value):
            self._numbers[1], waited = value, 0
        else:
            waited += 1
        if left:
            waited, left = 0, left - 1
        if waited > self.patience:
            self._numbers[0] = max(self.rate * self.factor, self.minimum)
            waited, left = 0, self.cooldown
        self._counts[:] = waited, left

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1 + sign * self.threshold)
        return sign * value > sign * self.best + self.threshold

    def state_dict(self) -> dict[str, Array]:
        """The rate and the best value, and the counts. They are not copies."""
        return {"numbers": self._numbers, "counts": self._counts}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy a state that `state_dict` returned.

        Raises:
            ValueError: names are missing or unknown, or numbers out of their ranges. Nothing has changed.
        """
        new = self._checked_state(state, "PlateauScheduler")
        self._numbers[:], self._counts[:] = new["numbers"], new["counts"]

    def _checked_state(self, state: Mapping[str, Array], owner: str) -> dict[str, Array]:
        """Copies of the arrays, which can be loaded without an error."""
        new = check.state(owner, "state", state, self.state_dict())
        check.never_negative(owner, {"counts": new["counts"], "the rate": new["numbers"][0]})
        if not np.isfinite(new["numbers"][0]) or np.isnan(new["numbers"][1]):
            raise ValueError(f"the state does not fit this {owner}: numbers must be finite, not {new['numbers']}")
        return new


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


def _check_fall(owner: str, lr: float, steps: int, minimum: float) -> None:
    """The arguments of a learning rate that falls to a minimum in a number of steps."""
    check.real(owner, "lr", lr, at_least=0)
    check.positive_integer(owner, "steps", steps)
    check.real(owner, "minimum", minimum, at_least=0)
    if minimum > lr:
        raise ValueError(f"{owner}: minimum must be from 0 to lr, {lr!r}, not {minimum!r}")


def _linear(start: float, end: float, fraction: float) -> float:
    """The value at a fraction of the way from start to end; exactly these at 0 and 1."""
    return start * (1 - fraction) + end * fraction


def _cosine(start: float, end: float, fraction: float) -> float:
    """The same along half a cosine wave."""
    return _linear(start, end, (1 - math.cos(math.pi * fraction)) / 2)


__getattr__ = module_getattr(__name__)

"""Schedules: their formulas, what they are at the ends of their ranges, and what they refuse."""

import dataclasses
import math

from tinygrad_np.schedules import (
    CosineScheduler,
    ExponentialScheduler,
    InverseSquareRootScheduler,
    JoinedScheduler,
    MultiStepScheduler,
    OneCycleScheduler,
    PlateauScheduler,
    PolynomialScheduler,
    RestartScheduler,
    WarmupScheduler,
    WarmupStableDecayScheduler,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st

RATES = st.floats(0.0, 2.0)
STEPS = st.integers(1, 999)


@given(st.integers(0, 10_000), STEPS, st.floats(0.01, 1.05), RATES)
def test_exponential_is_its_formula(step: int, length: int, decay: float, lr: float) -> None:
    stairs = ExponentialScheduler(lr, decay=decay, stage_length=length)
    smooth = ExponentialScheduler(lr, decay=decay, stage_length=length, staircase=False)
    assert stairs(step) == lr * decay ** math.floor(step / length)
    assert smooth(step) == lr * decay ** (step / length)


@given(STEPS, RATES, st.floats(0, 1), st.sampled_from(["cos", "linear"]))
def test_ends_are_exact_and_last(steps: int, lr: float, part: float, strategy: str) -> None:
    cosine = CosineScheduler(lr, steps, minimum=lr * part)
    assert (cosine(0), cosine(steps), cosine(4 * steps)) == (lr, lr * part, lr * part)
    warmup = WarmupScheduler(lr, steps, start_factor=part)
    assert (warmup(0), warmup(steps), warmup(5 * steps)) == (lr * part, lr, lr)
    cycle = OneCycleScheduler(lr, steps, pct_start=part / 2, anneal_strategy=strategy)
    assert cycle(steps - 1) == cycle(5 * steps) == lr / 25 / 1e4


@given(st.lists(st.integers(1, 50), unique=True, max_size=4).map(sorted), st.integers(0, 60))
def test_milestones_are_counted_when_they_are_reached(milestones: list[int], step: int) -> None:
    reached = sum(milestone <= step for milestone in milestones)
    assert MultiStepScheduler(3.0, milestones, gamma=0.5)(step) == 3.0 * 0.5**reached
    parts = [lambda own, i=i: 1000 * i + own for i in range(len(milestones) + 1)]
    start = ([0, *milestones])[reached]
    assert JoinedScheduler(parts, milestones)(step) == 1000 * reached + step - start


@given(STEPS, RATES, st.floats(0, 1), st.integers(1, 3), st.sampled_from(["linear", "cos", "sqrt"]))
def test_ends_of_falling_schedules_are_exact(steps: int, lr: float, part: float, growth: int, strategy: str) -> None:
    restarts = RestartScheduler(lr, steps, growth, minimum=lr * part)
    assert (restarts(0), restarts(steps), restarts(steps + growth * steps)) == (lr, lr, lr)
    polynomial = PolynomialScheduler(lr, steps, 2.0, minimum=lr * part)
    assert (polynomial(0), polynomial(steps), polynomial(4 * steps)) == (lr, lr * part, lr * part)
    whole = WarmupStableDecayScheduler(lr, 4 * steps, steps, 2 * steps, part, lr * part, strategy)
    assert [whole(k * steps) for k in (0, 1, 2, 4, 9)] == [lr * part, lr, lr, lr * part, lr * part]
    rising = InverseSquareRootScheduler(lr, steps)
    assert rising(steps - 1) == lr
    assert rising(4 * steps - 1) == lr / 2


def test_one_cycle_peaks_where_it_says() -> None:
    cycle = OneCycleScheduler(2.0, steps=100, pct_start=0.25, anneal_strategy="linear", div_factor=4.0)
    assert (cycle(0), cycle(24)) == (0.5, 2.0)
    assert cycle(12) == 0.5 + 1.5 * 12 / 24
    assert OneCycleScheduler(2.0, steps=4, pct_start=0.25)(0) == 2.0  # the first step is the peak
    assert OneCycleScheduler(2.0, steps=10, pct_start=0)(0) < 2.0  # it lies before the first step


def test_schedules_are_values() -> None:
    milestones = [2, 4]
    schedule = MultiStepScheduler(1.0, milestones)
    milestones[0] = 1
    assert schedule(1) == 1.0
    assert schedule == MultiStepScheduler(1.0, (2, 4))
    joined = JoinedScheduler([schedule, ExponentialScheduler(1.0, stage_length=2)], [9])
    assert hash(joined) == hash(dataclasses.replace(joined))
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.lr = 2.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExponentialScheduler(-0.1), "ExponentialScheduler: lr must be at least 0, not -0.1"),
        (lambda: ExponentialScheduler(0.1, decay=0), "decay must be above 0"),
        (lambda: ExponentialScheduler(0.1, stage_length=0), "stage_length must be a positive integer, not 0"),
        (lambda: ExponentialScheduler(0.1, staircase=1), "staircase must be True or False"),
        (lambda: ExponentialScheduler(math.nan), "ExponentialScheduler: lr must be at least 0"),
        (lambda: ExponentialScheduler(1.0, stage_length=0.5), "stage_length must be a positive integer"),
        (lambda: ExponentialScheduler(1.0, decay=-1), "decay must be above 0"),
        (lambda: MultiStepScheduler("1", [1]), "MultiStepScheduler: lr must be at least 0"),
        (lambda: MultiStepScheduler(1.0, [5, 0]), r"milestones\[1\] must be a positive integer, not 0"),
        (lambda: MultiStepScheduler(1.0, [5, 5]), r"milestones must be strictly increasing, not \[5, 5\]"),
        (lambda: MultiStepScheduler(1.0, [7, 5]), "milestones must be strictly increasing"),
        (lambda: MultiStepScheduler(1.0, [5], gamma=0), "gamma must be above 0"),
        (lambda: CosineScheduler(-1, 5), "CosineScheduler: lr must be at least 0"),
        (lambda: CosineScheduler(1.0, -5), "steps must be a positive integer"),
        (lambda: CosineScheduler(1.0, 5, minimum=1.5), "minimum must be from 0 to lr, 1.0, not 1.5"),
        (lambda: CosineScheduler(1.0, 5, minimum=-1), "minimum must be at least 0"),
        (lambda: WarmupScheduler(-1, 5), "WarmupScheduler: lr must be at least 0"),
        (lambda: WarmupScheduler(1.0, True), "steps must be a positive integer"),
        (lambda: WarmupScheduler(1.0, 5, start_factor=1.5), "start_factor must be from 0 to 1"),
        (lambda: OneCycleScheduler(-1, 5), "OneCycleScheduler: lr must be at least 0"),
        (lambda: OneCycleScheduler(1.0, 0), "steps must be a positive integer"),
        (lambda: OneCycleScheduler(1.0, 5, pct_start=1.0), "pct_start must be at least 0 and below 1"),
        (lambda: OneCycleScheduler(1.0, 5, anneal_strategy="sin"), "anneal_strategy must be 'cos' or 'linear'"),
        (lambda: OneCycleScheduler(1.0, 5, div_factor=0), "OneCycleScheduler: div_factor must be above 0"),
        (lambda: OneCycleScheduler(1.0, 5, final_div_factor=0), "final_div_factor must be above 0"),
        (lambda: RestartScheduler(1.0, 5, growth=0), "RestartScheduler: growth must be a positive integer, not 0"),
        (lambda: RestartScheduler(1.0, 5, minimum=1.5), "RestartScheduler: minimum must be from 0 to lr, 1.0, not 1.5"),
        (lambda: PolynomialScheduler(1.0, 5, power=0), "PolynomialScheduler: power must be above 0"),
        (lambda: InverseSquareRootScheduler(1.0, 0), "warmup_steps must be a positive integer, not 0"),
        (lambda: WarmupStableDecayScheduler(1.0, 5, 3, 3), r"must be at most steps, 5, not 3 \+ 3"),
        (lambda: WarmupStableDecayScheduler(1.0, 5, 1, 1, anneal_strategy="sin"), "'linear' or 'cos' or 'sqrt', not"),
        (lambda: PlateauScheduler(1.0, factor=1), "PlateauScheduler: factor must be at least 0 and below 1, not 1"),
        (lambda: PlateauScheduler(1.0, patience=-1), "patience must be an integer of at least 0, not -1"),
        (lambda: PlateauScheduler(0.1, minimum=0.5), "PlateauScheduler: minimum must be from 0 to lr, 0.1, not 0.5"),
        (lambda: PlateauScheduler(0.1).update(math.nan), "PlateauScheduler: value must be a finite number, not nan"),
        (lambda: JoinedScheduler([abs, abs], []), "there must be one milestone fewer than schedules, not 0 for 2"),
        (lambda: JoinedScheduler([], []), "there must be one milestone fewer than schedules, not 0 for 0"),
        (lambda: JoinedScheduler([abs, abs, abs], [3, 2]), "JoinedScheduler: milestones must be strictly increasing"),
    ],
)
def test_impossible_arguments_are_refused_by_name(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_no_schedule_cannot_be_joined() -> None:
    with pytest.raises(TypeError, match=r"schedule 1 must be a function of the step, not 0.1"):
        JoinedScheduler([ExponentialScheduler(1.0, stage_length=2), 0.1], [9])


def test_a_rate_that_cannot_be_computed_names_its_schedule_and_step() -> None:
    growing = ExponentialScheduler(1.0, 2.0, stage_length=1)
    many = MultiStepScheduler(1.0, range(1, 600), gamma=1e-6)
    with pytest.raises(OverflowError, match="ExponentialScheduler, step 5000: the rate cannot be computed: "):
        growing(5000)
    assert many(10**6) == 0.0
    with pytest.raises(OverflowError, match="JoinedScheduler, step 5010: .*: ExponentialScheduler, step 5000: "):
        JoinedScheduler([many, growing], [10])(5010)

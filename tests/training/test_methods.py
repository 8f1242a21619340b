"""Methods that PyTorch does not have, against the pseudo-code of their papers; L-BFGS; optimisers around optimisers."""

import copy
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tinygrad_np import Tensor, cross_entropy, nn, optim, schedules
from tinygrad_np.checkpoint import Checkpoints
from tinygrad_np.optim import line_search

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

RATES, DECAYS, FRACTIONS = st.floats(0.0, 0.1), st.floats(0.0, 0.5), st.floats(0.0, 0.99)
PAIRS = st.tuples(FRACTIONS, st.floats(0.5, 0.999))
SEEDS = st.integers(0, 2**32 - 1)
SHAPES: list[tuple[int, ...]] = [(2, 3), (5,), (), (7, 9)]


def agree(optimizer: Callable[[list[Tensor]], Any], paper: Callable[[Any], Iterator[Any]], seed: int) -> None:
    """Twenty steps of each parameter are those of the paper; `paper` gets a gradient and gives weights, in turn."""
    rng = np.random.default_rng(seed)
    values = [rng.normal(size=shape) for shape in SHAPES]
    ours = [Tensor(value.copy(), requires_grad=True) for value in values]
    theirs = [paper(value) for value in values]
    for own in theirs:
        next(own)
    made = optimizer(ours)
    for _ in range(20):
        gradients = [rng.normal(size=shape) for shape in SHAPES]
        for parameter, gradient in zip(ours, gradients, strict=True):
            parameter.grad = Tensor(gradient)
        made.step()
        for parameter, gradient, own in zip(ours, gradients, theirs, strict=True):
            np.testing.assert_allclose(parameter.data, own.send(gradient), rtol=1e-10, atol=1e-10)


# --- papers ----------------------------------------------------------------------------------------------------------


@given(lr=RATES, betas=PAIRS, decay=DECAYS, seed=SEEDS)
def test_lion_is_algorithm_2_of_its_paper(lr: float, betas: tuple[float, float], decay: float, seed: int) -> None:
    def paper(theta: Any) -> Iterator[Any]:
        m = 0.0
        while True:
            g = yield theta
            update = np.sign(betas[0] * m + (1 - betas[0]) * g)
            theta = theta - lr * (update + decay * theta)
            m = betas[1] * m + (1 - betas[1]) * g

    agree(lambda p: optim.Lion(p, lr, betas=betas, weight_decay=decay), paper, seed)


@given(lr=RATES, momentum=st.one_of(st.just(0.0), FRACTIONS), decay=DECAYS, trust=st.floats(1e-3, 1.0), seed=SEEDS)
def test_lars_is_algorithm_1_of_its_paper(lr: float, momentum: float, decay: float, trust: float, seed: int) -> None:
    def paper(w: Any) -> Iterator[Any]:
        v = 0.0
        while True:
            g = yield w
            local = trust * np.sqrt(np.sum(w**2)) / (np.sqrt(np.sum(g**2)) + decay * np.sqrt(np.sum(w**2)))
            v = momentum * v + lr * local * (g + decay * w)
            w = w - v

    agree(lambda p: optim.LARS(p, lr, momentum=momentum, weight_decay=decay, trust_coefficient=trust), paper, seed)


@given(lr=RATES, betas=PAIRS, eps=st.floats(1e-8, 1e-2), decay=DECAYS, seed=SEEDS)
def test_lamb_is_algorithm_2_of_its_paper(
    lr: float, betas: tuple[float, float], eps: float, decay: float, seed: int
) -> None:
    def paper(x: Any) -> Iterator[Any]:
        m, v, t = 0.0, 0.0, 0
        while True:
            g = yield x
            t += 1
            m = betas[0] * m + (1 - betas[0]) * g
            v = betas[1] * v + (1 - betas[1]) * g**2
            r = (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
            u = r + decay * x
            x = x - lr * np.sqrt(np.sum(x**2)) / np.sqrt(np.sum(u**2)) * u

    agree(lambda p: optim.Lamb(p, lr, betas=betas, eps=eps, weight_decay=decay), paper, seed)


@pytest.mark.parametrize("kind", [optim.LARS, optim.Lamb])
@pytest.mark.parametrize(("start", "slope"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_a_norm_of_0_leaves_the_learning_rate_as_it_is(kind: Any, start: float, slope: float) -> None:
    w = Tensor(np.full(3, start), requires_grad=True)
    w.grad = Tensor(np.full(3, slope))
    kind([w], 0.1, weight_decay=0.0).step()
    np.testing.assert_allclose(w.data, start - 0.1 * slope, rtol=1e-5)


@given(k=st.integers(1, 6), alpha=st.floats(0, 1), lr=RATES, seed=SEEDS)
def test_lookahead_is_algorithm_1_of_its_paper(k: int, alpha: float, lr: float, seed: int) -> None:
    def paper(phi: Any) -> Iterator[Any]:
        theta, steps = phi, 0
        while True:
            g = yield theta
            theta, steps = theta - lr * g, steps + 1
            if steps % k == 0:
                theta = phi = phi + alpha * (theta - phi)

    agree(lambda p: optim.Lookahead(optim.SGD(p, lr), k, alpha), paper, seed)


@given(lr=RATES, rho=st.floats(0, 1), momentum=FRACTIONS, adaptive=st.booleans(), seed=SEEDS)
def test_sam_is_algorithm_1_of_its_paper(lr: float, rho: float, momentum: float, adaptive: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 4, 4))
    w, v = rng.normal(size=4), 0.0
    start = w.copy()
    ours = [Tensor(w[:2].copy(), requires_grad=True), Tensor(w[2:].copy(), requires_grad=True)]
    optimizer = optim.SAM(optim.SGD(ours, lr, momentum=momentum), rho, adaptive)

    def slope(w: Any) -> Any:
        return (1 - np.tanh(a @ w) ** 2) @ a + b @ b.T @ w * 2

    def loss() -> Tensor:
        x = np.concatenate(ours)
        return np.tanh(a @ x).sum() + ((b.T @ x) ** 2).sum()

    for step in range(20):
        g = slope(w)
        e = rho * w**2 * g / np.linalg.norm(abs(w) * g) if adaptive else rho * g / np.linalg.norm(g)
        v = momentum * v + slope(w + e)
        if step == 0:
            np.testing.assert_allclose(optimizer.step(loss), np.tanh(a @ start).sum() + np.sum((b.T @ start) ** 2))
        else:
            optimizer.step(loss)
        w = w - lr * v
        if np.abs(w).max() > 1e3:  # it diverges, and every error grows
            return
        np.testing.assert_allclose(np.concatenate([p.data for p in ours]), w, rtol=1e-8, atol=1e-8)


def test_the_inverse_square_root_is_that_of_its_paper() -> None:
    schedule = schedules.InverseSquareRootScheduler((512 * 4000) ** -0.5, warmup_steps=4000)
    expected = [512**-0.5 * min(n**-0.5, n * 4000**-1.5) for n in range(1, 9000)]
    np.testing.assert_allclose([schedule(step) for step in range(8999)], expected, rtol=1e-12)


# --- L-BFGS ----------------------------------------------------------------------------------------------------------


def rosenbrock(x: Tensor) -> Tensor:
    return ((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lbfgs_finds_the_minimum(dtype: type) -> None:
    x = Tensor(np.array([-1.2, 1.0, -0.5, 0.8], dtype), requires_grad=True)
    optimizer = optim.LBFGS([x], tolerance_change=1e-15)
    for _ in range(5):
        optimizer.step(lambda: rosenbrock(x))
    assert optimizer.steps == 5
    assert x.dtype == dtype
    assert x.grad is None
    np.testing.assert_allclose(x.data, 1, rtol=1e-3 if dtype is np.float32 else 1e-8)


def test_lbfgs_trains_a_network_of_several_parameters() -> None:
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(2, 16, rng=rng), nn.Tanh(), nn.Linear(16, 2, rng=rng))
    x = rng.normal(size=(64, 2)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    optimizer = optim.LBFGS(model.parameters())
    losses = [optimizer.step(lambda: cross_entropy(model(x), y)) for _ in range(10)]
    assert losses[0] > 0.5
    assert losses[-1] < 1e-2


def test_lbfgs_keeps_within_what_the_function_allows() -> None:
    """A value that is not finite is too high: the search goes back."""
    x = Tensor(np.array([3.0, 4.0]), requires_grad=True)
    optimizer = optim.LBFGS([x], lr=1e3, max_iterations=50)
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(3):
            optimizer.step(lambda: (x - np.log(x)).sum())
    np.testing.assert_allclose(x.data, 1, rtol=1e-5)


@given(
    slope=st.floats(-100, -1e-3),
    first=st.floats(1e-3, 1e3),
    c=st.floats(0.01, 10),
    d=st.floats(0.0, 3),
    speed=st.floats(0.1, 5),
)
def test_a_line_search_ends_with_the_strong_wolfe_conditions(
    slope: float, first: float, c: float, d: float, speed: float
) -> None:
    def evaluate(t: float) -> line_search.Point:
        value = slope * t + c * t**2 + d * (1 - math.cos(speed * t))
        return line_search.Point(t, value, np.zeros(0), slope + 2 * c * t + d * speed * math.sin(speed * t))

    start = evaluate(0.0)
    point = line_search.strong_wolfe(evaluate, start, first, 1.0, 0.0, 200)
    assert point.value <= start.value + line_search.C1 * point.t * start.slope
    assert abs(point.slope) <= line_search.C2 * abs(start.slope)


def cubic(steepness: float, minimum: float, distance: float) -> Callable[[float], line_search.Point]:
    """The cubic with the slope steepness * (t - minimum) * (t - minimum + distance), lowest at the minimum."""

    def evaluate(t: float) -> line_search.Point:
        x = t - minimum
        value = steepness * (x**3 / 3 + distance * x**2 / 2)
        return line_search.Point(t, value, np.zeros(0), steepness * x * (x + distance))

    return evaluate


@given(
    steepness=st.floats(0.1, 10),
    minimum=st.floats(0.5, 2),
    distance=st.floats(3, 9),
    right=st.floats(0.5, 2),
    is_turned=st.booleans(),
)
def test_a_line_search_in_a_bracket_goes_to_the_minimum_of_a_cubic(
    steepness: float, minimum: float, distance: float, right: float, is_turned: bool
) -> None:
    """At once, in whichever order the ends of the bracket are given."""
    function, tried = cubic(steepness, minimum, distance), []

    def evaluate(t: float) -> line_search.Point:
        tried.append(t)
        return function(t)

    ends = function(0.0), function(minimum + right)
    point = line_search._between(evaluate, ends[0], ends[::-1] if is_turned else ends, 1.0, 0.0, 20)
    assert tried == [point.t]
    assert point.t == pytest.approx(minimum, rel=1e-9)


@given(
    steepness=st.floats(0.1, 10),
    minimum=st.floats(-2, 2),
    distance=st.floats(0.1, 9),
    left=st.floats(-3, 3),
    width=st.floats(0.1, 3),
)
def test_the_lowest_of_a_cubic_is_its_minimum_or_the_nearest_bound(
    steepness: float, minimum: float, distance: float, left: float, width: float
) -> None:
    function, bounds = cubic(steepness, minimum, distance), (left, left + width)
    found = line_search._lowest_of_cubic(function(bounds[0]), function(bounds[1]), bounds)
    assert found == pytest.approx(min(max(minimum, bounds[0]), bounds[1]), rel=1e-5, abs=1e-5)


NUMBERS = st.floats(-100, 100) | st.floats(-0.1, 0.1)


@example(points=[(9.0, -1.0), (8.0, 1.0), (5.0, 1.0), (6.0, 1.0)], is_turned=False)
@example(points=[(0.0, 0.0), (-62.0, 0.03125), *[(0.0, 0.0)] * 6], is_turned=False)  # it shrinks to neighbouring floats
@given(points=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=20), is_turned=st.booleans())
def test_a_line_search_shrinks_its_bracket_whatever_the_function_is(
    points: list[tuple[float, float]], is_turned: bool
) -> None:
    """Each step goes to the cubic's minimum in the bracket; but not twice running to the tenth at an end of it."""
    start, left, right, *others = [
        line_search.Point(t, value, np.zeros(0), slope)
        for t, (value, slope) in zip([0.0, 0.0, 1.0] + [math.nan] * len(points), [(1.0, -1.0), *points], strict=False)
    ]
    tried: list[line_search.Point] = []

    def evaluate(t: float) -> line_search.Point:
        tried.append(others[len(tried)]._replace(t=t))
        return tried[-1]

    ends = (right, left) if is_turned else (left, right)
    found = line_search._between(evaluate, start, ends, 1.0, 0.0, len(others))
    assert found.value == min(point.value for point in [left, right, *tried])
    was_near = False
    for i, point in enumerate(tried):
        width = right.t - left.t
        lowest = line_search._lowest_of_cubic(left, right, (left.t, right.t))
        near = min(lowest - left.t, right.t - lowest) < 0.1 * width
        if near and (was_near or not left.t < lowest < right.t):
            end = right.t - 0.1 * width if right.t - lowest < lowest - left.t else left.t + 0.1 * width
            assert point.t == pytest.approx(end, rel=1e-9)
            was_near = False
        else:
            assert point.t == lowest
            was_near = near
        if i + 1 < len(tried):
            if point.value < min(1 - line_search.C1 * point.t, left.value, right.value):
                assert (tried[i + 1].t < point.t) == (point.slope > 0)  # on the side where the function falls
            left, right = (left, point) if tried[i + 1].t < point.t else (point, right)


@pytest.mark.parametrize(
    ("length", "tolerance", "count"), [(1.0, 1.01, 0), (1.0, 0.99, 1), (3.0, 2.9, 1), (0.3, 0.31, 0)]
)
def test_a_line_search_ends_in_a_bracket_that_changes_no_element_by_the_tolerance(
    length: float, tolerance: float, count: int
) -> None:
    tried: list[float] = []

    def evaluate(t: float) -> line_search.Point:
        tried.append(t)
        return cubic(1.0, 0.5, 5.0)(t)

    ends = cubic(1.0, 0.5, 5.0)(0.0), cubic(1.0, 0.5, 5.0)(1.0)
    point = line_search._between(evaluate, ends[0], ends, length, tolerance, 20)
    assert len(tried) == count
    assert point.t == (pytest.approx(0.5) if count else 0.0 if ends[0].value <= ends[1].value else 1.0)


def test_lbfgs_puts_the_weights_back_where_the_loss_raises() -> None:
    x = Tensor(np.array([-1.2, 1.0]), requires_grad=True)
    optimizer, calls = optim.LBFGS([x]), []

    def loss() -> Tensor:
        calls.append(x.data.copy())
        if len(calls) == 3:
            raise KeyError
        return rosenbrock(x)

    with pytest.raises(KeyError):
        optimizer.step(loss)
    np.testing.assert_array_equal(x.data, calls[0])
    assert optimizer.steps == 0


def test_lbfgs_notices_a_graph_from_before_its_step() -> None:
    x = Tensor(np.array([-1.2, 1.0]), requires_grad=True)
    earlier = rosenbrock(x)
    optim.LBFGS([x], max_iterations=2).step(lambda: rosenbrock(x))
    with pytest.raises(RuntimeError, match="was changed after"):
        earlier.backward()


X = Tensor(np.array([1.0, 2.0]), requires_grad=True)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: optim.LBFGS([]), ValueError, "LBFGS: there are no parameters"),
        (lambda: optim.LBFGS([X, X]), ValueError, "LBFGS: parameter 1 was given before"),
        (lambda: optim.LBFGS([X * 1]), TypeError, "LBFGS: parameter 0 was computed from other Tensors"),
        (lambda: optim.LBFGS([Tensor([1.0])]), TypeError, "LBFGS: parameter 0 is not a Tensor with requires_grad=True"),
        (lambda: optim.LBFGS([{"parameters": [X]}]), TypeError, "LBFGS: it has no groups"),
        (lambda: optim.LBFGS([X], lr=lambda step: -1.0).step(lambda: (X * X).sum()), ValueError, "lr must be above 0"),
        (lambda: optim.LBFGS([X]).minimize((X * X).sum()), TypeError, r"write optimizer.step\(lambda: ...\)"),
        (lambda: optim.SAM(optim.SGD([X], 0.1)).minimize((X * X).sum()), TypeError, "SAM computes the loss twice"),
        (lambda: optim.LBFGS([X]).step((X * X).sum()), TypeError, "a function that computes the loss, .*write opt"),
        (
            lambda: optim.LBFGS([X]).step(lambda: X * X),
            TypeError,
            r"a Tensor of one element, not a Tensor of shape \(2",
        ),
        (lambda: optim.LBFGS([X]).step(lambda: 1.0), TypeError, "must return the loss, .* not 1.0"),
        (lambda: optim.LBFGS([X]).step(lambda: Tensor(1.0)), TypeError, "depends on no parameter"),
        (lambda: optim.LBFGS([X]).step(lambda: (X * np.nan).sum()), FloatingPointError, "the loss is nan"),
        (lambda: optim.SAM(optim.SGD([X], 0.1)).step(lambda: (X * np.inf).sum()), FloatingPointError, "norm of .* inf"),
        (lambda: optim.SAM(optim.SGD), TypeError, r"SAM: optimizer must be one that .*; write SGD\(...\)"),
        (lambda: optim.Lookahead([X]), TypeError, "Lookahead: optimizer must be one that takes gradients"),
        (lambda: optim.SAM(optim.LBFGS([X])), TypeError, "SAM: optimizer must be one that takes gradients"),
    ],
)
def test_what_cannot_work_is_refused_and_changes_nothing(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
    assert X.data.tolist() == [1, 2]
    X.grad = None


# --- whole trainings -------------------------------------------------------------------------------------------------

MAKE: dict[str, Callable[[list[Tensor]], Any]] = {
    "LBFGS": lambda p: optim.LBFGS(p, max_iterations=3, history=4),
    "SAM": lambda p: optim.SAM(optim.Adam(p, 0.05), rho=0.1),
    "adaptive SAM": lambda p: optim.SAM(optim.SGD(p, 0.1, momentum=0.9), adaptive=True),
    "Lookahead": lambda p: optim.Lookahead(optim.Adam(p, 0.05), k=3),
    "Lookahead of SAM": lambda p: optim.Lookahead(optim.SAM(optim.SGD(p, 0.1, momentum=0.9)), k=2),
    "SAM of Lookahead": lambda p: optim.SAM(optim.Lookahead(optim.AdamW(p, 0.05), k=2)),
    "plateau": lambda p: optim.SGD(p, schedules.PlateauScheduler(0.5, patience=0, threshold=0.5)),
}


class Training:
    """A training of a small network whose optimiser, averages and schedule are saved."""

    def __init__(self, name: str, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.model = nn.Sequential(nn.Linear(4, 8, rng=rng), nn.Tanh(), nn.Linear(8, 3, rng=rng))
        self.optimizer, self.swa = MAKE[name](self.model.parameters()), optim.SWA(self.model.parameters())
        parts = {"optimizer": self.optimizer, "swa": self.swa}
        self.plateau = self.optimizer.groups[0]["lr"] if name == "plateau" else None
        if self.plateau is not None:
            parts["plateau"] = self.plateau
        self.checkpoints = Checkpoints(folder, model=self.model, **parts)

    def step(self) -> None:
        rng = np.random.default_rng(self.optimizer.steps)
        x, y = rng.normal(size=(16, 4)).astype(np.float32), rng.integers(0, 3, 16)
        with_closure = not isinstance(self.optimizer, optim.Optimizer)
        if isinstance(self.optimizer, optim.Lookahead) and isinstance(self.optimizer.optimizer, optim.Optimizer):
            with_closure = False
        if with_closure:
            self.optimizer.step(lambda: cross_entropy(self.model(x), y))
        else:
            self.optimizer.minimize(cross_entropy(self.model(x), y))
        if self.plateau is not None:
            self.plateau.update(cross_entropy(self.model(x), y).item())
        self.swa.update()

    def bits(self) -> list[bytes]:
        parts = [self.model, self.optimizer, self.swa, *([self.plateau] if self.plateau is not None else [])]
        return [array.tobytes() for part in parts for array in part.state_dict().values()]


@pytest.mark.parametrize("name", MAKE)
def test_a_training_that_resumes_is_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    whole = Training(name, tmp_path / "whole")
    for _ in range(9):
        whole.step()
    first = Training(name, tmp_path / "parts")
    for _ in range(5):
        first.step()
    assert first.bits() != whole.bits()
    first.checkpoints.save(5)
    second = Training(name, tmp_path / "parts")
    assert second.checkpoints.resume() is not None
    assert second.optimizer.steps == 5
    assert second.optimizer.lr == first.optimizer.lr
    for _ in range(4):
        second.step()
    assert second.bits() == whole.bits()


@pytest.mark.parametrize("name", MAKE)
def test_a_state_is_refused_by_what_is_not_the_same(name: str) -> None:
    def parameters(*sizes: int) -> list[Tensor]:
        return [Tensor(np.ones(size, np.float32), requires_grad=True) for size in sizes]

    state = MAKE[name](parameters(2, 3)).state_dict()
    MAKE[name](parameters(2, 3)).load_state_dict(state)
    others = [MAKE[name](parameters(2, 4)), *(make(parameters(2, 3)) for other, make in MAKE.items() if other != name)]
    for other in others:
        before = {key: array.copy() for key, array in other.state_dict().items()}
        with pytest.raises(ValueError, match=r"does not fit this|the state has"):
            other.load_state_dict(state)
        for key, array in other.state_dict().items():
            np.testing.assert_array_equal(array, before[key])
    missing = dict(state)
    del missing[next(key for key in state if key.removeprefix("optimizer.") != "settings")]
    with pytest.raises(ValueError, match="is missing"):
        MAKE[name](parameters(2, 3)).load_state_dict(missing)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda p: optim.Lookahead(optim.SGD(p, 0.1), k=2), lambda p: optim.Lookahead(optim.SGD(p, 0.1), k=3)),
        (lambda p: optim.Lookahead(optim.SGD(p, 0.1)), lambda p: optim.Lookahead(optim.SGD(p, 0.1), alpha=0.8)),
        (lambda p: optim.SAM(optim.SGD(p, 0.1)), lambda p: optim.SAM(optim.SGD(p, 0.1), rho=0.1)),
        (lambda p: optim.SAM(optim.SGD(p, 0.1)), lambda p: optim.SAM(optim.SGD(p, 0.1), adaptive=True)),
        (lambda p: optim.SAM(optim.SGD(p, 0.1)), lambda p: optim.SAM(optim.SGD(p, 0.1, weight_decay=0.5))),
        (lambda p: optim.LBFGS(p), lambda p: optim.LBFGS(p, history=5)),
        (lambda p: schedules.PlateauScheduler(0.1), lambda p: schedules.PlateauScheduler(0.1, patience=3)),
        (lambda p: optim.LBFGS(p), lambda p: optim.LBFGS(p, max_iterations=5)),
    ],
)
def test_other_settings_are_another_training(one: Any, other: Any, tmp_path: Path) -> None:
    w = [Tensor(np.ones(2), requires_grad=True)]
    Checkpoints(tmp_path, part=one(w)).save(1)
    assert Checkpoints(tmp_path, part=one(w)).resume() is not None
    with pytest.raises(ValueError, match="part"):
        Checkpoints(tmp_path, part=other(w)).resume()


def test_wrappers_have_what_their_optimiser_has() -> None:
    w = Tensor(np.ones(2), requires_grad=True)
    inner = optim.SGD([w], lr=0.1)
    for wrapper in (optim.SAM(inner), optim.Lookahead(inner), optim.SAM(optim.Lookahead(inner))):
        assert wrapper.parameters is inner.parameters
        assert wrapper.groups is inner.groups
        wrapper.lr = 0.25
        assert (wrapper.lr, inner.lr) == (0.25, 0.25)
        wrapper.steps = 7
        assert (wrapper.steps, inner.steps) == (7, 7)
        w.grad = Tensor(np.ones(2))
        wrapper.zero_grad()
        assert w.grad is None


@pytest.mark.parametrize("name", [name for name in MAKE if name != "plateau"])
def test_a_copy_goes_on_by_itself(name: str, tmp_path: Path) -> None:
    training = Training(name, tmp_path)
    for _ in range(3):
        training.step()
    training.checkpoints = None
    other = copy.deepcopy(training)
    before = training.bits()
    other.step()
    assert training.bits() == before
    training.step()
    assert training.bits() == other.bits()


def test_weights_come_back_after_an_error_at_the_worst_ones() -> None:
    w = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    sam = optim.SAM(optim.SGD([w], 0.1), rho=0.5)
    calls: list[Any] = []

    def loss() -> Tensor:
        calls.append(w.data.copy())
        if len(calls) == 2:
            raise KeyError
        return (w * w).sum()

    with pytest.raises(KeyError):
        sam.step(loss)
    np.testing.assert_allclose(np.linalg.norm(calls[1] - calls[0]), 0.5)
    np.testing.assert_array_equal(w.data, [1, 2])
    assert sam.steps == 0


def cubes(w: Tensor) -> Tensor:
    return (w * w * w).sum()


def test_sam_in_parts_with_clipping_is_its_step(tmp_path: Path) -> None:
    results = []
    for in_parts in (True, False):
        w = Tensor(np.array([1.0, 2.0]), requires_grad=True)
        sam = optim.SAM(optim.SGD([w], 0.1), rho=0.5)
        if in_parts:
            cubes(w).backward()
            with sam.perturbed():
                sam.zero_grad()
                cubes(w).backward()
                with pytest.raises(RuntimeError, match="perturbed already"), sam.perturbed():
                    pass
                with pytest.raises(RuntimeError, match="is half done"):
                    Checkpoints(tmp_path, sam=sam).save(1)
            optim.clip_grad_norm(sam.parameters, 1e9)
            sam.optimizer.step()
        else:
            sam.step(partial(cubes, w))
        results.append(w.data)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["LBFGS", "SAM", "Lookahead"])
def test_weights_keep_their_dtype_and_memory(name: str, dtype: type) -> None:
    base = np.linspace(0.1, 1, 12, dtype=dtype).reshape(3, 4)
    w = Tensor(base.T[::2], requires_grad=True)
    data, start = w.data, base.copy()
    optimizer = MAKE[name]([w])
    for _ in range(3):
        if name == "Lookahead":
            optimizer.minimize((w * w).sum())
        else:
            optimizer.step(lambda: (w * w).sum())
    assert w.data is data
    assert w.dtype == dtype
    assert (base != start)[:, ::2].all()
    np.testing.assert_array_equal(base[:, 1::2], start[:, 1::2])

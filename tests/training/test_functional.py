"""`optim.minimize`: what it finds, with which kinds of trees, when it stops, and what it says."""

import functools
import math
import sys
from typing import Any

from tinygrad_np import Tensor, nn, no_grad, optim, schedules
from tinygrad_np.optim import Minimum, minimize

import numpy as np
import pytest

OPTIMIZERS: list[tuple[Any, dict[str, Any]]] = [
    (optim.SGD, {"lr": 0.05}),
    (optim.SGD, {"lr": 0.02, "momentum": 0.9, "nesterov": True}),
    (optim.Adam, {"lr": 0.1}),
    (optim.AdamW, {"lr": schedules.CosineScheduler(0.2, steps=500), "weight_decay": 0.0}),
    (optim.RMSprop, {"lr": schedules.CosineScheduler(0.1, steps=500)}),
    (optim.Adagrad, {"lr": 0.5}),
    (functools.partial(optim.Adam, lr=0.1), {}),
]
START = {"x": np.array([2.0, -1.0]), "y": (3.0, [0.5])}


def bowl(tree: Any, low: float = 1.5) -> Any:
    x, y, (z,) = tree["x"], *tree["y"]
    return np.sum((x - [1.0, 2.0]) ** 2) + (y + 1) ** 2 + (z - y) ** 2 + low


@pytest.mark.parametrize(("method", "options"), OPTIMIZERS)
@pytest.mark.parametrize("tolerance", [None, 1e-2])
def test_a_minimum_is_found(method: Any, options: dict[str, Any], tolerance: float | None) -> None:
    found = minimize(bowl, START, method=method, steps=500, tolerance=tolerance, **options)
    assert found.success
    assert found.nit == 500 if tolerance is None else found.nit < 500
    np.testing.assert_allclose(found.x["x"], [1, 2], atol=1e-2)
    np.testing.assert_allclose([found.x["y"][0], found.x["y"][1][0]], -1, atol=2e-2)
    assert found.fun == bowl(found.x)
    np.testing.assert_array_equal(START["x"], [2.0, -1.0])


@pytest.mark.parametrize("tolerance", [None, 0.0])
def test_steps_are_those_of_the_optimiser(tolerance: float | None) -> None:
    w = Tensor(np.array([2.0, -1.0]), requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)
    seen = []
    for _ in range(7):
        optimizer.minimize(np.sum((w - 3) ** 2))
        seen.append(w.data.copy())
    calls: list[Minimum] = []
    found = minimize(
        lambda x: np.sum((x - 3) ** 2), np.array([2.0, -1.0]), method=optim.Adam, lr=0.1, steps=7,
        tolerance=tolerance, callback=calls.append,
    )  # fmt: skip
    np.testing.assert_array_equal([call.x for call in calls], seen)
    assert [call.nit for call in calls] == list(range(1, 8))
    np.testing.assert_array_equal(found.x, seen[-1])
    assert found.fun == np.sum((seen[-1] - 3) ** 2)
    assert found.success is (tolerance is None)


def test_results_are_of_the_kinds_and_dtypes_of_the_start() -> None:
    start = {"a": np.ones(2, np.float32), "t": Tensor([1.0]), "i": 2, "z": np.float64(1.0)}
    found = minimize(
        lambda p: p["a"].sum() ** 2 + p["t"].sum() ** 2 + p["i"] ** 2 + p["z"] ** 2, start, method=optim.SGD, lr=0.1,
        steps=3,
    )  # fmt: skip
    assert type(found.x["a"]) is np.ndarray
    assert found.x["a"].dtype == np.float32
    assert type(found.x["t"]) is Tensor
    assert not found.x["t"].requires_grad
    assert type(found.x["i"]) is type(found.x["z"]) is np.float64
    assert type(found.fun) is float
    assert start["i"] == 2
    assert start["t"].data == 1


def test_other_parameters_and_arguments_stay_as_they_are() -> None:
    layer = nn.Linear(2, 1, rng=np.random.default_rng(0))
    before = layer.weight.data.copy()

    def distance(x: Any, target: float) -> Any:
        return ((layer(x) - target) ** 2).sum()

    with no_grad():  # which is for the caller's own code
        found = minimize(distance, np.zeros((1, 2), np.float32), 0.7, method=optim.Adam, lr=0.05, steps=300)
    assert found.fun < 1e-6
    np.testing.assert_array_equal(layer.weight.data, before)
    assert layer.weight.grad is None


def test_a_callback_stops_it_and_keeps_what_it_was_given() -> None:
    kept = []

    def stop(found: Minimum) -> None:
        kept.append(found)
        found.x["x"][0] += 100.0  # a copy
        if found.nit == 3:
            raise StopIteration

    found = minimize(bowl, START, method=optim.SGD, lr=0.05, steps=10, callback=stop)
    assert (found.nit, found.success, found.message) == (3, False, "the callback raised StopIteration")
    assert found.x["x"][0] < 50
    with pytest.raises(ZeroDivisionError):
        minimize(bowl, START, method=optim.SGD, lr=0.05, steps=10, callback=lambda found: 1 / 0)


def test_it_says_how_far_it_came() -> None:
    found = minimize(bowl, START, method=optim.SGD, lr=0.01, steps=2, tolerance=1e-9)
    assert not found.success
    assert found.message == "2 steps were taken; the largest element of the gradient is 11.8"
    there = minimize(lambda x: (x - 1.0) ** 2, 1.0, method=optim.SGD, lr=0.1, steps=2, tolerance=0.0)
    assert (there.nit, there.success, there.x) == (0, True, 1.0)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda: minimize(bowl, START, steps=3),
            TypeError,
            "method must be an optimiser's class, as method=optim.Adam,",
        ),
        (lambda: minimize(bowl, START, method=optim.Adam, lr=0.1), TypeError, "say how many steps .* as steps=1000"),
        (lambda: minimize(bowl, START, method=optim.SGD, steps=3), TypeError, "missing .* 'lr'"),
        (lambda: minimize(bowl, START, method=optim.Adam, lr=-1, steps=3), ValueError, "Adam: lr must be at least 0"),
        (
            lambda: minimize(bowl, START, method=optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.1), steps=3),
            TypeError,
            "give it the class and its hyperparameters, as method=optim.SGD, lr=0.1",
        ),
        (lambda: minimize(bowl, START, method=list, steps=3), TypeError, "method must return an optimiser, not"),
        (lambda: minimize(bowl, START, method=optim.LBFGS, steps=3), TypeError, 'write method="L-BFGS-B"'),
        (lambda: minimize(bowl, START, method="adam"), ValueError, "unknown method 'adam'.*method=optim.Adam"),
        (lambda: minimize(START, bowl, method=optim.SGD, lr=0.1, steps=1), TypeError, "expected a function, not"),
        (lambda: minimize(bowl, [], method=optim.SGD, lr=0.1, steps=1), ValueError, "the start has no elements"),
        (lambda: minimize(bowl, {"x": "a"}, method=optim.SGD, lr=0.1, steps=1), TypeError, "flatten takes floating"),
        (lambda: minimize(bowl, START, method=optim.SGD, lr=0.1, steps=0), ValueError, "steps must be a positive"),
        (
            lambda: minimize(bowl, START, method=optim.SGD, lr=0.1, steps=1, tolerance=-1),
            ValueError,
            "tolerance must be",
        ),
        (lambda: minimize(lambda x: x * x, np.ones(2), method=optim.SGD, lr=0.1, steps=1), TypeError, r"shape \(2,\)"),
        (lambda: minimize(lambda x: 1.0, np.ones(2), method=optim.SGD, lr=0.1, steps=1), TypeError, "not float"),
        (
            lambda: minimize(lambda x: Tensor(x.data.sum()), np.ones(2), method=optim.SGD, lr=0.1, steps=1),
            TypeError,
            "the value does not depend on x, or by way of .data",
        ),
        (
            lambda: minimize(lambda x: (x**4).sum(), np.full(2, 9.0), method=optim.SGD, lr=9.0, steps=9),
            FloatingPointError,
            "the value is (inf|nan) after . steps of SGD; before the last one it was .*; try another lr",
        ),
        (
            lambda: minimize(lambda x: np.log(x), -1.0, method=optim.SGD, lr=9, steps=9),
            FloatingPointError,
            "nan after 0",
        ),
    ],
)
def test_errors_say_what_to_write(call: Any, error: type[Exception], says: str) -> None:
    with np.errstate(all="ignore"), pytest.raises(error, match=says):
        call()
    assert math.isfinite(bowl(START))


def test_a_method_of_scipy_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match="minimize: method='BFGS' needs SciPy: python -m pip install scipy"):
        minimize(bowl, START, method="BFGS")

"""SGD and its schedule."""

import math

from tinygrad_np import Tensor
from tinygrad_np.accumulate import BLOCK
from tinygrad_np.optim import SGD, ExponentialScheduler

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (BLOCK + 5,)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_step_is_its_formula(shape: tuple[int, ...], weight_decay: float) -> None:
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=shape), rng.normal(size=shape)
    parameter = Tensor(w.copy(), requires_grad=True)
    parameter.grad = Tensor(g.copy())
    SGD([parameter], lr=0.3, weight_decay=weight_decay).step()
    terms = (1 - weight_decay * 0.3) * w, 0.3 * g
    assert np.all(abs(parameter.data - (terms[0] - terms[1])) <= 4e-16 * (abs(terms[0]) + abs(terms[1])))
    np.testing.assert_array_equal(parameter.grad.data, g)


@pytest.mark.parametrize("view", [lambda a: a.T, lambda a: a[:, ::2], lambda a: a[::-1]])
def test_parameters_of_any_strides_are_changed_in_place(view: object) -> None:
    base = np.arange(12.0).reshape(3, 4)
    parameter = Tensor(view(base), requires_grad=True)
    before = parameter.data.copy()
    parameter.grad = Tensor(np.ones(parameter.shape))
    SGD([parameter], lr=0.5).step()
    np.testing.assert_array_equal(view(base), before - 0.5)


def test_float32_parameters_stay_float32_in_place() -> None:
    w = np.ones(3, np.float32)
    parameter = Tensor(w, requires_grad=True)
    (parameter * 2).sum().backward()
    SGD([parameter], lr=0.1, weight_decay=0.1).step()
    assert parameter.data is w
    assert w.dtype == np.float32


@given(st.integers(0, 10_000), st.integers(1, 999), st.floats(0.01, 1.05), st.floats(0.0, 2))
def test_the_schedule_is_its_formula(step: int, length: int, decay: float, lr: float) -> None:
    stairs = ExponentialScheduler(lr, decay=decay, stage_length=length)
    smooth = ExponentialScheduler(lr, decay=decay, stage_length=length, staircase=False)
    assert stairs(step) == lr * decay ** math.floor(step / length)
    assert smooth(step) == lr * decay ** (step / length)


def test_sgd_follows_its_schedule() -> None:
    parameter = Tensor(np.zeros(1), requires_grad=True)
    optimizer = SGD([parameter], lr=ExponentialScheduler(1.0, decay=0.5, stage_length=2))
    taken = []
    for _ in range(5):
        before, rate = parameter.data.copy(), optimizer.lr
        parameter.grad = Tensor(np.ones(1))
        optimizer.step()
        taken.append((before - parameter.data).item())
        assert taken[-1] == rate
    assert taken == [1, 1, 0.5, 0.5, 0.25]


def test_parameters_without_a_gradient_are_left_alone() -> None:
    a, b = (Tensor(np.ones(1), requires_grad=True) for _ in range(2))
    optimizer = SGD([a, b], lr=0.1, weight_decay=0.5)
    with pytest.raises(RuntimeError, match="backward"):
        optimizer.step()
    a.grad = Tensor(np.ones(1))
    optimizer.step()
    assert b.data.tolist() == [1]
    optimizer.zero_grad()
    assert a.grad is None


def test_impossible_settings_are_refused_by_name() -> None:
    parameter = Tensor([1.0], requires_grad=True)
    for make, message in (
        (lambda: SGD([parameter], lr=-1), "lr must be at least 0, not -1"),
        (lambda: SGD([parameter], lr=math.nan), "lr must be at least 0"),
        (lambda: SGD([parameter], lr=0.1, weight_decay=-1), "weight_decay must be at least 0"),
        (lambda: SGD([], lr=0.1), "no parameters"),
        (lambda: ExponentialScheduler(-0.1), "lr must be at least 0"),
        (lambda: ExponentialScheduler(0.1, decay=0), "decay must be above 0"),
        (lambda: ExponentialScheduler(0.1, stage_length=0), "stage_length must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="parameter 0 is not a Tensor with requires_grad"):
        SGD([Tensor([1.0])], lr=0.1)
    with pytest.raises(TypeError, match="parameter 0"):
        SGD([np.ones(1)], lr=0.1)

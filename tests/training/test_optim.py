"""Optimisers: groups, hyperparameters, state, minimize, steps in place; clipping and averages."""

import copy
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from tinygrad_np import Tensor, cross_entropy, nn, serialization
from tinygrad_np._machine import fused
from tinygrad_np._machine.fused import BLOCK, Product
from tinygrad_np._validation import boolean
from tinygrad_np.optim import (
    EMA,
    LARS,
    SGD,
    SWA,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lamb,
    Lion,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    adam_variants,
    adaptive,
    clip_grad_norm,
    clip_grad_value,
    together,
)
from tinygrad_np.schedules import ExponentialScheduler

import numpy as np
import pytest

KINDS: dict[str, Callable[..., Optimizer]] = {
    "SGD": lambda p, lr=0.01: SGD(p, lr, weight_decay=0.1),
    "momentum": lambda p, lr=0.01: SGD(p, lr, momentum=0.9, weight_decay=0.1),
    "nesterov": lambda p, lr=0.01: SGD(p, lr, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": lambda p, lr=0.01: Adam(p, lr, weight_decay=0.1),
    "AdamW": lambda p, lr=0.01: AdamW(p, lr),
    "RMSprop": lambda p, lr=0.01: RMSprop(p, lr, momentum=0.9, centered=True, weight_decay=0.1),
    "Adagrad": lambda p, lr=0.01: Adagrad(p, lr, lr_decay=0.1, weight_decay=0.1),
    "Muon": lambda p, lr=0.01: Muon(p, lr),
    "AMSGrad": lambda p, lr=0.01: AdamW(p, lr, amsgrad=True),
    "NAdam": lambda p, lr=0.01: NAdam(p, lr, weight_decay=0.1),
    "RAdam": lambda p, lr=0.01: RAdam(p, lr, betas=(0.9, 0.5), weight_decay=0.1, decoupled_weight_decay=True),
    "Adamax": lambda p, lr=0.01: Adamax(p, lr, weight_decay=0.1),
    "Adadelta": lambda p, lr=0.01: Adadelta(p, lr, weight_decay=0.1),
    "Lion": lambda p, lr=0.01: Lion(p, lr, weight_decay=0.1),
    "LARS": lambda p, lr=0.01: LARS(p, lr, weight_decay=0.1, trust_coefficient=0.1),
    "Lamb": lambda p, lr=0.01: Lamb(p, lr, weight_decay=0.1),
    "Adafactor": lambda p, lr=0.01: Adafactor(p, lr, weight_decay=0.1),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def weights(*shapes: tuple[int, ...], dtype: type = np.float64) -> list[Tensor]:
    rng = np.random.default_rng(1)
    return [Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True) for shape in shapes]


def give_gradients(parameters: list[Tensor], seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for parameter in parameters:
        parameter.grad = Tensor(rng.normal(size=parameter.shape).astype(parameter.dtype))


def loss_of(v: Tensor, w: Tensor) -> Tensor:
    return np.mean(np.square(np.tanh(np.linspace(-1, 1, 300).reshape(3, 100).astype(v.dtype) @ v) @ w - 1))


# --- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (BLOCK + 5,)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_step_of_sgd_is_its_formula(shape: tuple[int, ...], weight_decay: float) -> None:
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=shape), rng.normal(size=shape)
    parameter = Tensor(w.copy(), requires_grad=True)
    parameter.grad = Tensor(g.copy())
    SGD([parameter], lr=0.3, weight_decay=weight_decay).step()
    terms = (1 - weight_decay * 0.3) * w, 0.3 * g
    assert np.all(abs(parameter.data - (terms[0] - terms[1])) <= 4e-16 * (abs(terms[0]) + abs(terms[1])))


@kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("view", [lambda a: a.T, lambda a: a[:, ::2], lambda a: a[::-1]])
def test_any_strides_and_any_size_are_changed_in_place(kind: str, dtype: type, view: Callable[..., Any]) -> None:
    """As contiguous weights are, and those block by block, and without writing to the gradient."""
    shape = (6, 8) if kind == "Muon" else (300, 500)
    (base,) = weights(shape, dtype=dtype)
    strided = Tensor(view(base.data), requires_grad=True)
    contiguous = Tensor(strided.data.copy(), requires_grad=True)
    data, untouched = strided.data, base.data.copy()
    for parameter in (strided, contiguous):
        optimizer = KINDS[kind]([parameter])
        for seed in range(3):
            give_gradients([parameter], seed)
            kept = parameter.grad.data.copy()
            optimizer.step()
            np.testing.assert_array_equal(parameter.grad.data, kept)
    assert strided.data is data
    assert strided.dtype == dtype
    np.testing.assert_allclose(strided.data, contiguous.data, rtol=0, atol=1e-6 if dtype is np.float32 else 1e-14)
    view(untouched)[...] = strided.data
    np.testing.assert_array_equal(base.data, untouched)


@kinds
def test_numpys_numbers_as_rates_change_no_dtype(kind: str) -> None:
    """A np.float64 is not weak: a product of it and a float32 array is float64."""
    results = []
    for number in (float, np.float64):
        (parameter,) = weights((30, 40), dtype=np.float32)
        optimizer = KINDS[kind]([parameter], lambda step, number=number: number(0.01 / (1 + step)))
        for _ in range(2):
            give_gradients([parameter])
            optimizer.step()
        state = optimizer.state_dict()
        elements = {name: a for name, a in state.items() if name.split(".")[0] not in ("settings", "momentum_product")}
        assert all(a.dtype in (np.float32, np.int64) for a in elements.values())
        results.append(parameter.data)
    np.testing.assert_array_equal(*results)


def test_parameters_without_a_gradient_are_left_alone() -> None:
    a, b = (Tensor(np.ones(1), requires_grad=True) for _ in range(2))
    optimizer = SGD([a, b], lr=0.1, weight_decay=0.5)
    with pytest.raises(RuntimeError, match="SGD: no parameter has a gradient; call backward"):
        optimizer.step()
    a.grad = Tensor(np.ones(1))
    optimizer.step()
    assert b.data.tolist() == [1]
    optimizer.zero_grad()
    assert a.grad is None
    with pytest.raises(ValueError, match=r"grad must have the shape \(1,\), not \(3, 1\)"):
        a.grad = Tensor(np.ones((3, 1)))


def test_a_variance_that_is_rounded_below_0_is_0() -> None:
    parameter = Tensor(np.zeros(1000, np.float32), requires_grad=True)
    parameter.grad = Tensor(np.linspace(0.1, 1, 1000, dtype=np.float32))
    optimizer = RMSprop([parameter], lr=0.01, alpha=0.5, eps=1e-3, centered=True)
    for _ in range(60):
        optimizer.step()
    state = optimizer.state_dict()
    assert np.any(state["mean_square.0"] < state["mean.0"] ** 2)
    assert np.all(np.isfinite(parameter.data))


def test_muon_steps_are_nearly_orthogonal() -> None:
    for shape in ((30, 30), (20, 50), (50, 20)):
        (parameter,) = weights(shape)
        before = parameter.data.copy()
        give_gradients([parameter])
        Muon([parameter], lr=1.0, weight_decay=0.0).step()
        values = np.linalg.svd(parameter.data - before, compute_uv=False) / math.sqrt(max(1, shape[1] / shape[0]))
        assert np.sum((values > 0.68) & (values < 1.21)) >= len(values) - 1  # the smallest may still be on its way
    (parameter,) = weights((3, 2))
    parameter.grad = Tensor(np.zeros((3, 2)))
    before = parameter.data.copy()
    Muon([parameter], lr=0.1, weight_decay=0.5).step()
    np.testing.assert_allclose(parameter.data, 0.95 * before)


# --- groups and schedules --------------------------------------------------------------------------------------------


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


def test_groups_are_as_optimisers_of_their_own() -> None:
    own = [{"lr": 0.1}, {"betas": [0.5, 0.9], "weight_decay": 0.3}, {"lr": ExponentialScheduler(0.2, stage_length=2)}]
    grouped, single = weights((2,), (3,), (4,)), weights((2,), (3,), (4,))
    optimizer = Adam([{"parameters": iter([p]), **s} for p, s in zip(grouped, own, strict=True)], lr=0.05, eps=1e-3)
    others = [Adam([p], **{"lr": 0.05, "eps": 1e-3, **s}) for p, s in zip(single, own, strict=True)]
    assert [group["betas"] for group in optimizer.groups] == [(0.9, 0.999), (0.5, 0.9), (0.9, 0.999)]
    assert optimizer.lr == 0.1
    assert all(a is b for a, b in zip(optimizer.parameters, grouped, strict=True))
    for _ in range(5):
        give_gradients(grouped)
        give_gradients(single)
        optimizer.step()
        for other in others:
            other.step()
    for p, q in zip(grouped, single, strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_a_learning_rate_is_assigned_where_that_has_one_meaning() -> None:
    a, b = weights((2,), (2,))
    optimizer = SGD([{"parameters": [a]}, {"parameters": [b]}], lr=0.5)
    optimizer.lr /= 2
    assert [group["lr"] for group in optimizer.groups] == [0.25, 0.25]
    before = b.data.copy()
    give_gradients([a, b])
    optimizer.step()
    np.testing.assert_allclose(b.data, before - 0.25 * b.grad.data)
    for wrong in (-1, math.nan, "0.1", None):
        with pytest.raises(ValueError, match="SGD: lr must be at least 0"):
            optimizer.lr = wrong
    schedule = ExponentialScheduler(1.0)
    optimizer.lr = schedule
    assert [group["lr"] for group in optimizer.groups] == [schedule, schedule]
    with pytest.raises(AttributeError, match="lr is a schedule, which a number would end: assign another schedule"):
        optimizer.lr = 0.5
    optimizer.groups[1]["lr"] = 0.25
    with pytest.raises(AttributeError, match=r'different learning rates: write optimizer.groups\[0\]\["lr"\] = '):
        optimizer.lr = 0.5
    assert [group["lr"] for group in optimizer.groups] == [schedule, 0.25]


@kinds
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_of_parts_of_a_batch_add_up_to_those_of_the_whole(kind: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 5)).astype(dtype), rng.integers(0, 3, 12)
    results = []
    for parts in (1, 4):
        layer = nn.Linear(5, 3, rng=np.random.default_rng(1), dtype=dtype)
        optimizer = KINDS[kind]([layer.weight])
        for _ in range(3):
            optimizer.zero_grad()
            for part in np.array_split(np.arange(12), parts):
                (cross_entropy(layer(x[part]), y[part]) / parts).backward()
            optimizer.step()
        results.append(layer.weight.data)
    np.testing.assert_allclose(*results, rtol=1e-4 if dtype is np.float32 else 1e-11)


def test_a_changed_hyperparameter_takes_effect_at_the_next_step() -> None:
    a, b = weights((2,), (2,))
    optimizer = SGD([{"parameters": [a]}, {"parameters": [b]}], lr=0.5)
    optimizer.groups[1]["lr"] = 0.0
    before = b.data.copy()
    give_gradients([a, b])
    optimizer.step()
    np.testing.assert_array_equal(b.data, before)


# --- minimize --------------------------------------------------------------------------------------------------------


@kinds
def test_minimize_is_three_calls_and_stores_no_gradient(kind: str) -> None:
    results = []
    for in_one_call in (True, False):
        v, w = weights((100, 100), (100, 100))
        unused = weights((2, 2))[0]
        optimizer = KINDS[kind]([unused, w, v])
        for _ in range(3):
            if in_one_call:
                optimizer.minimize(loss_of(v, w))
                assert v.grad is w.grad is None
            else:
                optimizer.zero_grad()
                loss_of(v, w).backward()
                optimizer.step()
        assert optimizer.steps == 3
        np.testing.assert_array_equal(unused.data, weights((2, 2))[0].data)
        results.append((v.data, w.data))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@kinds
def test_a_product_is_stored_at_most_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written, computed = [], Product.computed
    monkeypatch.setattr(Product, "computed", lambda product: written.append(product) or computed(product))
    v, w = weights((100, 100), (100, 100))
    KINDS[kind]([v, w]).minimize(loss_of(v, w))
    needed = kind not in ("SGD", "momentum") and fused._GEMM  # without BLAS it is an array from the start
    assert len(written) == (2 if needed else 0)


@kinds
def test_a_graph_from_before_a_step_is_noticed(kind: str) -> None:
    v, w = weights((100, 100), (100, 100))
    earlier = loss_of(v, w)
    KINDS[kind]([v, w]).minimize(loss_of(v, w))
    with pytest.raises(RuntimeError, match="was changed after"):
        earlier.backward()
    with pytest.raises(RuntimeError, match="the loss depends on none of the parameters"):
        KINDS[kind](weights((2, 2))).minimize(loss_of(v, w))


# --- state -----------------------------------------------------------------------------------------------------------


def trained(kind: str, steps: int, resume_at: int | None = None, path: Path | None = None) -> list[np.ndarray]:
    """The weights and the state after so many steps, with or without a new start from files in between."""

    def make() -> tuple[nn.Sequential, Optimizer]:
        rng = np.random.default_rng(0)
        model = nn.Sequential(nn.Linear(20, 90, rng=rng), nn.ReLU(), nn.Linear(90, 3, rng=rng))
        matrices = [p for p in model.parameters() if p.ndim == 2 or kind != "Muon"]
        return model, KINDS[kind](matrices, ExponentialScheduler(0.01, decay=0.5, stage_length=2))

    model, optimizer = make()
    for step in range(steps):
        if step == resume_at:
            serialization.save(path / "model", model.state_dict())
            serialization.save(path / "optimizer", optimizer.state_dict())
            model, optimizer = make()
            model.load_state_dict(serialization.load(path / "model")[0])
            optimizer.load_state_dict(serialization.load(path / "optimizer")[0])
            assert (optimizer.steps, optimizer.lr) == (step, 0.01 * 0.5 ** (step // 2))
        rng = np.random.default_rng(step)
        x = rng.normal(size=(16, 20)).astype(np.float32)
        optimizer.minimize(cross_entropy(model(x), rng.integers(0, 3, 16)))
    return [p.data for p in model.parameters()] + list(optimizer.state_dict().values())


@kinds
def test_training_repeats_and_resumes_to_the_bit(kind: str, tmp_path: Path) -> None:
    whole = trained(kind, 9)
    for again in (trained(kind, 9), trained(kind, 9, 5, tmp_path)):
        for one, other in zip(whole, again, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_state_is_named_by_parameter() -> None:
    a, b = weights((2,), (3,))
    names = {
        "SGD": {"steps"},
        "momentum": {"steps", "momentum.0", "momentum.1"},
        "RMSprop": {"steps"} | {f"{name}.{i}" for name in ("mean", "mean_square", "momentum") for i in range(2)},
    }
    for kind, expected in names.items():
        assert KINDS[kind]([a, b]).state_dict().keys() == {"settings"} | expected
    optimizer = SGD([{"parameters": [a]}, {"parameters": [b], "momentum": 0.5}], lr=0.1)
    assert optimizer.state_dict().keys() == {"settings", "steps", "momentum.1"}


def test_a_state_is_loaded_whole_or_not_at_all() -> None:
    parameters = weights((2,), (3,))
    optimizer = Adam(parameters)
    give_gradients(parameters)
    optimizer.step()
    before = {name: array.copy() for name, array in optimizer.state_dict().items()}
    settings = {"settings": before["settings"]}
    wrong = {name: array + 1 for name, array in before.items()} | settings
    del wrong["count.0"]
    wrong |= {"mean.0": np.ones(3), "mean.1": np.ones(3, complex), "steps": np.array(1.5), "new": np.ones(1)}
    with pytest.raises(
        ValueError,
        match=r"does not fit this Adam: count.0 is missing; mean.0 has shape \(3,\) of float64, expected \(2,\) of"
        r" float64; mean.1 has .* of complex128.*; new is unknown; steps has shape \(\) of float64.* of int64$",
    ):
        optimizer.load_state_dict(wrong)
    assert optimizer.steps == 1
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    given = {name: array + 1 for name, array in before.items()} | settings
    optimizer.load_state_dict(given)
    given["mean.0"][...] = 9  # it was copied
    assert optimizer.steps == 2
    np.testing.assert_array_equal(optimizer.state_dict()["mean.0"], before["mean.0"] + 1)


# --- what is refused -------------------------------------------------------------------------------------------------

w = Tensor([[1.0]], requires_grad=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD([w], lr=-1), "SGD: lr must be at least 0, not -1"),
        (lambda: SGD([w], lr=math.nan), "lr must be at least 0"),
        (lambda: SGD([w], lr=0.1, weight_decay=-1), "SGD: weight_decay must be at least 0, not -1"),
        (lambda: SGD([w], lr=0.1, momentum=1), "SGD: momentum must be at least 0 and below 1, not 1"),
        (lambda: SGD([w], lr=0.1, nesterov=True), "SGD: nesterov needs a momentum above 0"),
        (lambda: SGD([w], lr=0.1, momentum=0.5, nesterov=1), "nesterov must be True or False, not 1"),
        (lambda: SGD([{"parameters": [w], "momentum": 0}], 0.1, momentum=0.5, nesterov=True), "nesterov needs"),
        (lambda: SGD([], lr=0.1), "SGD: there are no parameters"),
        (lambda: SGD([{"lr": 0.1}], lr=0.1), "SGD, group 0: there are no parameters"),
        (lambda: SGD([{"parameters": [w]}, {"parameters": [w]}], lr=1), "SGD, group 1: parameter 0 was given before"),
        (lambda: SGD([w, w], lr=0.1), "SGD: parameter 1 was given before"),
        (lambda: SGD([{"parameters": [w], "lr": -1}], lr=1), "SGD, group 0: lr must be at least 0, not -1"),
        (lambda: Adam([w], betas=(0.9, 1.0)), r"Adam: betas\[1\] must be at least 0 and below 1, not 1.0"),
        (lambda: Adam([w], betas=(-1, 0.5)), r"betas\[0\] must be at least 0 and below 1, not -1"),
        (lambda: Adam([w], betas=0.9), "betas must be two numbers, not 0.9"),
        (lambda: Adam([w], eps=-1), "eps must be at least 0"),
        (lambda: AdamW([w], weight_decay="1"), "AdamW: weight_decay must be at least 0, not '1'"),
        (lambda: RMSprop([w], alpha=1), "RMSprop: alpha must be at least 0 and below 1"),
        (lambda: RMSprop([w], centered=None), "centered must be True or False"),
        (lambda: Adagrad([w], lr_decay=-1), "Adagrad: lr_decay must be at least 0"),
        (lambda: Muon([w], adjust_lr_fn="no"), "adjust_lr_fn must be 'original' or 'match_rms_adamw', not 'no'"),
        (lambda: Muon(weights((2,))), r"Muon: parameters must be matrices; one has shape \(2,\)"),
        (lambda: EMA([w], 1.5), "EMA: decay must be from 0 to 1, not 1.5"),
        (lambda: EMA([], 0.5), "EMA: there are no parameters"),
        (lambda: clip_grad_norm([w], -1), "clip_grad_norm: max_norm must be at least 0, not -1"),
        (lambda: clip_grad_value([w], -1), "clip_grad_value: max_value must be at least 0, not -1"),
        (lambda: SWA([]), "SWA: there are no parameters"),
        (lambda: Adafactor([w], eps=1e-3), "Adafactor: eps must be two numbers, the first may be None, not 0.001"),
        (lambda: Adafactor([w], eps=(1e-3, None)), r"eps\[1\] must be at least 0, not None"),
        (lambda: Adafactor([w], d=0.5), "d must be at least 1, not 0.5"),
        (lambda: Adafactor([w], beta2_decay=0.5), "beta2_decay must be at most 0, not 0.5"),
        (lambda: Lion([w], betas=(0.9, 1.0)), r"Lion: betas\[1\] must be at least 0 and below 1"),
        (lambda: LARS([w], 0.1, trust_coefficient=0), "LARS: trust_coefficient must be above 0"),
    ],
)
def test_impossible_hyperparameters_are_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD([Tensor([1.0])], lr=0.1), "SGD: parameter 0 is not a Tensor with requires_grad=True"),
        (lambda: SGD([w, np.ones(1)], lr=0.1), "SGD: parameter 1 is not a Tensor"),
        (lambda: SGD([{"parameters": [w]}, w], lr=0.1), "SGD: parameter 0 is not a Tensor"),
        (lambda: SGD([w * 2], lr=0.1), "SGD: parameter 0 was computed from other Tensors"),
        (lambda: SGD(w, lr=0.1), r"SGD: parameters must be a list, not one Tensor: write \[\.\.\.\] around it"),
        (
            lambda: SGD([{"params": [w]}], lr=0.1),
            "SGD, group 0: unknown hyperparameter 'params'; write parameters; a group has 'parameters' and the"
            " hyperparameters lr, momentum, nesterov, weight_decay",
        ),
        (lambda: EMA([Tensor(np.array([1]))]), "EMA: parameter 0 is not a floating point leaf Tensor"),
        (lambda: EMA([w, w * 1]), "EMA: parameter 1"),
        (lambda: clip_grad_norm(w, 1.0), "clip_grad_norm: parameters must be a list, not one Tensor"),
        (lambda: clip_grad_norm([np.ones(1)], 1.0), "clip_grad_norm: parameter 0"),
    ],
)
def test_what_is_no_parameter_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def even(owner: str, name: str, value: Any) -> Any:
    if not isinstance(value, int) or value % 2:
        raise ValueError(f"{owner}: {name} must be even, not {value!r}")
    return value * 10


class Own(RMSprop):
    """A hyperparameter with a check of its own, one whose check is replaced, and one without any."""

    hyperparameters: ClassVar[dict[str, Any]] = {"period": even, "eps": SGD.hyperparameters["momentum"]}

    def __init__(self, parameters: Any, lr: Any = 0.1, period: Any = 2, note: Any = "free", **inherited: Any) -> None:
        Optimizer.__init__(
            self, parameters, lr, period=period, note=note, **{"alpha": 0.5, "eps": 0.5, "centered": False} | inherited
        )

    def start(self, weights: Any, **_: Any) -> dict[str, Any]:
        return {}

    def update(self, weights: Any, gradient: Any, state: Any, **hyperparameters: Any) -> None:
        weights -= hyperparameters["lr"] * gradient


class Owner(Own):
    """It declares nothing."""


@pytest.mark.parametrize("kind", [Own, Owner])
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("period", 3, "even"),  # declared by the class
        ("eps", 1.5, "at least 0 and below 1"),  # the most derived declaration counts
        ("alpha", 1.0, "at least 0 and below 1"),  # inherited from RMSprop
        ("centered", 0, "True or False"),
        ("lr", -0.5, "at least 0"),  # inherited from Optimizer
    ],
)
def test_a_new_optimiser_declares_and_inherits_checks(kind: type[Own], name: str, value: object, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{kind.__name__}: {name} must be {expected}, not {value}$"):
        kind([w], **{name: value})
    with pytest.raises(ValueError, match=f"^{kind.__name__}, group 1: {name} must be {expected}, not {value}$"):
        kind([{"parameters": weights((2,))}, {"parameters": [w], name: value}])


def test_a_new_optimiser_gets_what_its_checks_return_and_undeclared_values_as_they_are() -> None:
    note = object()
    optimizer = Own([{"parameters": weights((2,))}, {"parameters": weights((3,)), "period": 4, "note": note}])
    first, second = optimizer.groups
    assert (first["period"], first["note"], second["period"]) == (20, "free", 40)
    assert second["note"] is note
    with pytest.raises(
        TypeError, match="Own, group 0: unknown hyperparameter 'other'; .* lr, period, note, alpha, eps"
    ):
        Own([{"parameters": [w], "other": 1}])


def test_every_hyperparameter_of_the_package_is_declared() -> None:
    for kind in {type(make([Tensor(np.ones((2, 2)), requires_grad=True)])) for make in KINDS.values()}:
        declared = [name for cls in kind.__mro__ for name in vars(cls).get("hyperparameters", ())]
        assert sorted(declared) == sorted(set(inspect.signature(kind).parameters) - {"parameters"})


def test_an_optimiser_defines_its_update() -> None:
    parameters = weights((2,))
    give_gradients(parameters)
    with pytest.raises(NotImplementedError, match="Optimizer has no update"):
        Optimizer(parameters, lr=0.1).step()


# --- clipping and averages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gradient", [[np.inf, 1.0], [np.nan, 1.0], [1e300, -1e300]])
def test_an_infinite_limit_measures_and_leaves_gradients_alone(gradient: list[float]) -> None:
    p = Tensor(np.ones(2), requires_grad=True)
    p.grad = Tensor(np.array(gradient))
    clip_grad_norm([p], math.inf, error_if_nonfinite=False)
    np.testing.assert_array_equal(p.grad.data, gradient)


def test_gradients_below_the_norm_are_left_alone() -> None:
    a, b, c = weights((3,), (2, 2), (1,))
    give_gradients([a, b])
    before = a.grad, a.grad.data.copy()
    norm = clip_grad_norm([a, b, c], 100.0)
    assert norm == pytest.approx(math.sqrt(np.sum(a.grad.data**2) + np.sum(b.grad.data**2)))
    assert a.grad is before[0]
    np.testing.assert_array_equal(a.grad.data, before[1])
    assert type(norm) is float
    with pytest.raises(RuntimeError, match="clip_grad_norm: no parameter has a gradient"):
        clip_grad_norm([c], 1.0)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_gradients_that_are_not_finite_are_refused_and_nothing_has_changed(value: float) -> None:
    a, b = weights((2,), (3,))
    a.grad, b.grad = Tensor(np.array([5.0, 5.0])), Tensor(np.array([1.0, value, 1.0]))
    before = [(p.grad, p.grad.data.copy()) for p in (a, b)]
    for per_parameter in (False, True):
        with pytest.raises(FloatingPointError, match="clip_grad_norm: the norm of the gradients is (inf|nan)"):
            clip_grad_norm([a, b], 1.0, per_parameter=per_parameter)
    if np.isnan(value):
        with pytest.raises(FloatingPointError, match="clip_grad_value: gradient 1 has elements that are NaN"):
            clip_grad_value([a, b], 1.0)
    for p, (gradient, data) in zip((a, b), before, strict=True):
        assert p.grad is gradient
        np.testing.assert_array_equal(p.grad.data, data)
    with np.errstate(invalid="ignore"):
        clip_grad_norm([a, b], 1.0, error_if_nonfinite=False)  # as PyTorch's
    assert np.isnan(b.grad.data[1])


def test_a_limit_of_elements_may_be_larger_than_their_dtype_holds() -> None:
    (a,) = weights((2,), dtype=np.float32)
    a.grad = Tensor(np.array([3e38, -1.0], np.float32))
    clip_grad_value([a], 1e300)
    np.testing.assert_array_equal(a.grad.data, np.array([3e38, -1.0], np.float32))


ADAPTIVE = [
    kind
    for module in (adaptive, adam_variants)
    for kind in vars(module).values()
    if isinstance(kind, type) and kind.__module__ == module.__name__
]


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("size", [1e19, 1e20, 1e25, 3e38])
@pytest.mark.parametrize("kind", ADAPTIVE, ids=lambda kind: kind.__name__)
def test_gradients_whose_squares_overflow_leave_no_nan(kind: Any, size: float) -> None:
    flags = [name for name, check in kind.hyperparameters.items() if check is boolean]
    momentum = [{name: True, "momentum": 0.9} for name in flags if "momentum" in kind.hyperparameters]
    for options in ({}, *({name: True} for name in flags), *momentum):
        w = Tensor([1.0, 1.0], requires_grad=True)
        optimizer = kind([w], lr=0.01, **options)
        for step in range(4):
            w.grad = Tensor(np.array([size * (1 + step % 2) / 2, 0.01], np.float32))
            optimizer.step()
        assert np.isfinite(w.data).all(), (options, w)
        assert 0 < w.data[1] < 1


@pytest.mark.parametrize(("dtype", "size"), [(np.float16, 6e4), (np.float32, 1e30)])
def test_the_norm_does_not_overflow_before_the_gradients(dtype: type, size: float) -> None:
    parameter = Tensor(np.zeros((2 * BLOCK, 2), dtype), requires_grad=True)
    parameter.grad = Tensor(np.full((4, BLOCK), size, dtype).reshape(BLOCK * 2, 2)[:, ::-1])
    assert clip_grad_norm([parameter], np.float64(512)) == pytest.approx(size * 512, rel=1e-3)
    assert parameter.grad.dtype == dtype
    np.testing.assert_allclose(parameter.grad.data, 1, rtol=1e-3)


@pytest.mark.parametrize("size", [1.0, 1e-18, 1e-22, 1e18, 3e38])
def test_the_norm_of_many_float32_is_accurate(size: float) -> None:
    parameter = Tensor(np.zeros(3 * BLOCK // 2 + 5, np.float32), requires_grad=True)
    gradient = (size * np.random.default_rng(0).uniform(-1, 1, parameter.size)).astype(np.float32)
    parameter.grad = Tensor(gradient)
    expected = size * np.linalg.norm(gradient.astype(np.float64) / size)
    assert clip_grad_norm([parameter], math.inf) == pytest.approx(expected, rel=1e-8)


def test_averages_follow_their_formula_in_place() -> None:
    base = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    parameter = Tensor(base.T[::2], requires_grad=True)
    ema = EMA([parameter], decay=0.75)
    expected = parameter.data.copy()
    for _ in range(3):
        base *= 2
        ema.update()
        expected = np.float32(0.75) * expected + np.float32(0.25) * parameter.data
    weight, data = parameter.data.copy(), parameter.data
    with ema.applied():
        np.testing.assert_allclose(parameter.data, expected, rtol=1e-6)
        np.testing.assert_allclose(base.T[::2], expected, rtol=1e-6)
    assert parameter.data is data
    assert parameter.dtype == ema.averages[0].dtype == np.float32
    np.testing.assert_array_equal(parameter.data, weight)


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_averages_that_warm_up_follow_their_formula(decay: float) -> None:
    parameter = Tensor(np.array([1.0, -2.0]), requires_grad=True)
    ema = EMA([parameter], decay, warmup=True)
    expected = parameter.data.copy()
    for t in range(20):
        parameter.data += 1
        ema.update()
        kept = min(decay, (1 + t) / (10 + t))
        expected = kept * expected + (1 - kept) * parameter.data
        np.testing.assert_allclose(ema.averages[0], expected, rtol=1e-14)


def test_averages_resume_in_the_middle_of_their_warm_up() -> None:
    parameter = Tensor(np.array([1.0]), requires_grad=True)
    ema, other = EMA([parameter], warmup=True), EMA([parameter], warmup=True)
    for _ in range(3):
        parameter.data += 1
        ema.update()
    other.load_state_dict({name: array.copy() for name, array in ema.state_dict().items()})
    for average in (ema, other):
        average.update()
    np.testing.assert_array_equal(other.averages[0], ema.averages[0])
    plain = EMA([parameter])
    assert list(plain.state_dict()) == ["decay", "average.0"]
    with pytest.raises(ValueError, match="count is unknown; warmup is unknown"):
        plain.load_state_dict(ema.state_dict())
    with pytest.raises(ValueError, match="count is missing; warmup is missing"):
        ema.load_state_dict(plain.state_dict())
    with pytest.raises(ValueError, match="count"):
        ema.load_state_dict(ema.state_dict() | {"count": np.array(-1)})
    with pytest.raises(AttributeError, match="EMA: warmup is fixed when it is made"):
        plain.warmup = True


def test_weights_come_back_after_an_error_and_from_within() -> None:
    a, b = weights((2,), (3,))
    ema = EMA([a, b], decay=0.5)
    a.data += 1
    b.data += 1
    ema.update()
    inside, before = ema.averages[0].copy(), [a.data.copy(), b.data.copy()]

    def fail() -> None:
        with ema:
            np.testing.assert_array_equal(a.data, inside)
            a.data *= 3  # what is done to the weights there is forgotten, too
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    np.testing.assert_array_equal(a.data, before[0])
    np.testing.assert_array_equal(b.data, before[1])
    np.testing.assert_array_equal(ema.averages[0], inside)


@pytest.mark.parametrize("kind", [EMA, SWA])
def test_averages_are_neither_applied_twice_nor_updated_by_themselves(kind: Any) -> None:
    (a,) = weights((2,))
    average = kind([a])
    a.data += 1
    average.update()
    inside, weight = average.averages[0].copy(), a.data.copy()
    for context in (lambda: average, average.applied):
        with context():
            np.testing.assert_array_equal(a.data, inside)
            for nested in (average, average.applied()):
                with pytest.raises(RuntimeError, match=f"{kind.__name__}: the parameters hold the averages"), nested:
                    pass
            with pytest.raises(RuntimeError, match=r"call update\(\) outside of the context"):
                average.update()
            with pytest.raises(RuntimeError, match="save a training outside of the context"):
                average.state_dict()
            np.testing.assert_array_equal(a.data, inside)
        np.testing.assert_array_equal(a.data, weight)
    np.testing.assert_array_equal(average.averages[0], inside)


def test_a_graph_from_before_the_averages_is_noticed() -> None:
    (parameter,) = weights((2,))
    ema = EMA([parameter])
    earlier = np.sum(parameter * parameter)
    with ema.applied():
        inside = np.sum(parameter * parameter)
    for loss in (earlier, inside):
        with pytest.raises(RuntimeError, match="was changed after"):
            loss.backward()


def test_averages_are_loaded_whole_or_not_at_all() -> None:
    a, b = weights((2,), (3,))
    ema = EMA([a, b])
    assert list(ema.state_dict()) == ["decay", "average.0", "average.1"]
    with pytest.raises(ValueError, match="does not fit this EMA: average.1 is missing"):
        ema.load_state_dict({"decay": np.array(ema.decay), "average.0": np.zeros(2)})
    np.testing.assert_array_equal(ema.averages[0], a.data)
    ema.load_state_dict({"decay": np.array(ema.decay), "average.0": np.zeros(2), "average.1": np.ones(3)})
    with ema.applied():
        assert [a.data.tolist(), b.data.tolist()] == [[0, 0], [1, 1, 1]]


# --- huge, tiny and float16 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e200, 1e-200, 3e307, 5e-324])
def test_the_norm_of_float64_gradients_neither_overflows_nor_underflows(size: float) -> None:
    a, b = weights((2, 2), (3,))
    a.grad, b.grad = Tensor(np.full((2, 2), size)), Tensor(np.array([size, 0.0, 0.0]))
    expected = float(np.sqrt(np.longdouble(5)) * np.longdouble(size))
    assert clip_grad_norm([a, b], 1.0) == pytest.approx(expected, rel=1e-15)
    clipped = 1 / math.sqrt(5) if size > 1 else size
    np.testing.assert_allclose(a.grad.data, clipped, rtol=1e-15)
    np.testing.assert_allclose(b.grad.data, [clipped, 0, 0], rtol=1e-15)


@pytest.mark.parametrize(("dtype", "size", "limit"), [(np.float16, 6e4, 1e-3), (np.float32, 1e30, 1e-10)])
def test_a_coefficient_that_underflows_the_dtype_scales_nevertheless(dtype: type, size: float, limit: float) -> None:
    (a,) = weights((4,), dtype=dtype)
    a.grad = Tensor(np.full(4, size, dtype))
    clip_grad_norm([a], limit)
    assert a.grad.dtype == dtype
    np.testing.assert_allclose(a.grad.data, limit / 2, rtol=1e-3)


@pytest.mark.parametrize("size", [1e25, 1e-5])
def test_muon_steps_by_the_direction_whatever_the_size_of_the_gradient(size: float) -> None:
    (reference,), (w,) = weights((3, 2), dtype=np.float32), weights((3, 2), dtype=np.float32)
    give_gradients([reference])
    w.grad = Tensor(reference.grad.data * np.float32(size))
    for parameter in (reference, w):
        Muon([parameter], lr=0.1).step()
    np.testing.assert_allclose(w.data, reference.data, rtol=1e-4)


@kinds
def test_float16_is_stepped_in_float32_and_rounded_once(kind: str) -> None:
    (w,) = weights((3, 4), dtype=np.float16)
    optimizer = KINDS[kind]([w])
    for step in range(5):
        wide = Tensor(w.data.astype(np.float32), requires_grad=True)
        reference = KINDS[kind]([wide])
        reference.load_state_dict(optimizer.state_dict() | {"settings": reference.state_dict()["settings"]})
        give_gradients([w], seed=step)
        w.grad = Tensor(w.grad.data * np.float16(1e-4))  # whose square underflows
        wide.grad = Tensor(w.grad.data.astype(np.float32))
        optimizer.step()
        reference.step()
        assert w.dtype == np.float16
        np.testing.assert_array_equal(w.data, wide.data.astype(np.float16))
    states = [
        a.dtype
        for name, a in optimizer.state_dict().items()
        if name.split(".")[0] not in ("settings", "steps", "count", "momentum_product")
    ]
    assert set(states) <= {np.dtype(np.float32)}
    assert states or kind == "SGD"


@kinds
def test_the_state_of_float16_is_saved_and_loaded_bit_by_bit(kind: str, tmp_path: Path) -> None:
    trained, resumed = [], []
    for results, reload in ((trained, False), (resumed, True)):
        (w,) = weights((3, 4), dtype=np.float16)
        optimizer, ema = KINDS[kind]([w]), EMA([w], 0.9)
        for step in range(6):
            if reload and step == 3:
                serialization.save(tmp_path / "w", {"w": w.data, **optimizer.state_dict(), **ema.state_dict()})
                loaded = dict(serialization.load(tmp_path / "w")[0])
                w = Tensor(loaded.pop("w"), requires_grad=True)
                optimizer, ema = KINDS[kind]([w]), EMA([w], 0.9)
                ema.load_state_dict({name: loaded.pop(name) for name in ema.state_dict()})
                optimizer.load_state_dict(loaded)
            give_gradients([w], seed=step)
            optimizer.step()
            ema.update()
        results += [w.data, *ema.averages, *optimizer.state_dict().values()]
    for a, b in zip(trained, resumed, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [Adam, AdamW, RMSprop, Adagrad])
def test_a_gradient_of_zero_leaves_float16_alone(kind: Any) -> None:
    """Neither eps nor the mean square may round to 0: 0 / 0 is NaN."""
    w = Tensor(np.array([1.0, 2.0], np.float16), requires_grad=True)
    w.grad = Tensor(np.array([1e-4, 0.0], np.float16))
    kind([w], lr=0.01, weight_decay=0.0).step()
    assert w.data.tolist() == [np.float16(1 - (0.1 if kind is RMSprop else 0.01)), 2]


def test_averages_of_float16_move_by_less_than_its_precision() -> None:
    w = Tensor(np.array([1.0], np.float16), requires_grad=True)
    ema = EMA([w], decay=0.9999)
    w.data[...] = 2
    other = EMA([Tensor(np.zeros(1, np.float16))], decay=0.9)
    other.parameters[0].data[...] = 1001  # a tenth of it is no number of float16
    other.update()
    assert other.averages[0][0] == pytest.approx(100.1, rel=1e-6)
    for _ in range(1000):
        ema.update()
    assert ema.averages[0].dtype == np.float32
    assert ema.averages[0][0] == pytest.approx(2 - 0.9999**1000, rel=1e-4)
    with ema.applied():
        assert w.data[0] == np.float16(ema.averages[0][0])
    assert w.data[0] == 2


def test_parameters_that_are_exchanged_are_refused() -> None:
    first, second = (Tensor(np.ones(2, np.float32), requires_grad=True) for _ in range(2))
    optimizer = SGD([first], lr=0.1)
    with pytest.raises(AttributeError, match="SGD: parameters can be neither added to a group nor removed"):
        optimizer.parameters = [second]
    optimizer.groups[0]["parameters"][:] = [second]
    for step in (optimizer.step, lambda: optimizer.minimize((first * first).sum())):
        (first * second).sum().backward()
        with pytest.raises(ValueError, match="SGD, step 0: parameters can be neither added to a group nor removed"):
            step()
    assert optimizer.steps == 0


def test_a_parameter_that_is_read_only_is_refused() -> None:
    array = np.ones(2, np.float32)
    parameter = Tensor(array, requires_grad=True)
    parameter.data.flags.writeable = False
    with pytest.raises(ValueError, match="SGD: parameter 0 is read-only; make it of a copy of its array"):
        SGD([parameter], lr=0.1)


# --- many parameters as one array ------------------------------------------------------------------------------------

ONE_BY_ONE = ("Muon", "LARS", "Lamb", "Adafactor")  # whose step depends on the whole of a parameter
TOGETHER = [kind for kind in KINDS if kind not in ONE_BY_ONE]


@pytest.mark.parametrize("kind", TOGETHER)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_parameters_are_updated_together_as_one_by_one(kind: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones as one array, large ones in pieces, some without a gradient; and after a copy of the optimiser."""
    monkeypatch.setattr(together, "PIECE", 30)
    monkeypatch.setattr(together, "SHARED", 50)
    shapes, rng = [(), (3,), (2, 2), (5, 1), (1, 7), (9, 8), (40,), (0,)], np.random.default_rng(0)
    starts = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    gradients = [[rng.normal(size=shape).astype(dtype) for shape in shapes] for _ in range(6)]

    def weights_after(whole: bool) -> list[np.ndarray]:
        parameters = [Tensor(start.copy(), requires_grad=True) for start in starts]
        optimizers = (
            [KINDS[kind](parameters, 0.1)] if whole else [KINDS[kind]([parameter], 0.1) for parameter in parameters]
        )
        for step, arrays in enumerate(gradients):
            if step == 4:
                optimizers = copy.deepcopy(optimizers)
                parameters = [p for optimizer in optimizers for p in optimizer.parameters]
            for i, (parameter, array) in enumerate(zip(parameters, arrays, strict=True)):
                parameter.grad = None if step == 2 and i in (1, 5) else Tensor(array)
            if step == 3:  # a new array, in another order in memory
                parameters[2].data = np.asfortranarray(parameters[2].data * 2)
                parameters[5].data = np.asfortranarray(parameters[5].data)
            for optimizer in optimizers:
                if any(parameter.grad is not None for parameter in optimizer.parameters):
                    optimizer.step()
        states = [array for optimizer in optimizers for own in optimizer._states.values() for array in own.values()]
        return [*(parameter.data for parameter in parameters), *states]

    with monkeypatch.context() as patch:
        patch.setattr(together, "PIECE", 1 << 30)
        expected = weights_after(whole=False)
    found = weights_after(whole=True)
    assert [array.dtype for array in found] == [array.dtype for array in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6 if dtype is np.float32 else 1e-12)


@pytest.mark.parametrize("kind", TOGETHER)
def test_parameters_that_share_memory_are_updated_one_after_the_other(kind: str) -> None:
    both = np.ones((2, 3), np.float32)
    parameters = [Tensor(array, requires_grad=True) for array in (both, both[0], np.ones(2, np.float32))]
    alone = Tensor(np.ones(3, np.float32), requires_grad=True)
    assert parameters[0].data is both
    optimizers = KINDS[kind](parameters, 0.1), KINDS[kind]([alone], 0.1)
    for parameter in (*parameters, alone):
        parameter.grad = Tensor(np.ones(parameter.shape, np.float32))
    optimizers[0].step()
    optimizers[1].step()
    optimizers[1].steps, optimizers[1]._states[alone] = 0, KINDS[kind]([alone], 0.1)._states[alone]
    optimizers[1].step()
    np.testing.assert_allclose(both[0], alone.data, rtol=1e-6)


def test_a_subclass_with_an_update_of_its_own_is_given_each_parameter() -> None:
    class Normed(AdamW):
        def update(self, weights: np.ndarray, gradient: np.ndarray, state: Any, **values: Any) -> None:
            super().update(weights, gradient / np.linalg.norm(gradient), state, **values)

    class Renamed(AdamW):
        pass

    assert AdamW._gathered
    assert Renamed._gathered
    assert not Normed._gathered

"""Optimisers, clipping, averages and schedules against PyTorch's."""

import inspect
import math
import sys
import warnings
from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, optim, schedules

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

FRACTIONS = st.floats(0.0, 0.99)
DECAYS = st.one_of(st.just(0.0), st.floats(0.0, 0.5))
KEPT = st.floats(0.5, 0.999)  # of a mean square; with less, one gradient near 0 makes it small, and digits are lost
EPSILONS = st.floats(1e-8, 1e-2)
RATES = st.floats(0.0, 0.1)
HYPERPARAMETERS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "SGD": {"momentum": st.one_of(st.just(0.0), FRACTIONS), "nesterov": st.booleans(), "weight_decay": DECAYS},
    "Adam": {"betas": st.tuples(FRACTIONS, KEPT), "eps": EPSILONS, "weight_decay": DECAYS, "amsgrad": st.booleans()},
    "AdamW": {"betas": st.tuples(FRACTIONS, KEPT), "eps": EPSILONS, "weight_decay": DECAYS, "amsgrad": st.booleans()},
    "NAdam": {
        "betas": st.tuples(FRACTIONS, KEPT),
        "eps": EPSILONS,
        "weight_decay": DECAYS,
        "momentum_decay": st.floats(0.0, 1.0),
        "decoupled_weight_decay": st.booleans(),
    },
    "RAdam": {
        "betas": st.tuples(FRACTIONS, KEPT),
        "eps": EPSILONS,
        "weight_decay": DECAYS,
        "decoupled_weight_decay": st.booleans(),
    },
    "Adamax": {"betas": st.tuples(FRACTIONS, KEPT), "eps": EPSILONS, "weight_decay": DECAYS},
    "Adadelta": {"rho": KEPT, "eps": EPSILONS, "weight_decay": DECAYS},
    "Adafactor": {
        "beta2_decay": st.floats(-1.0, -0.1),
        "eps": st.tuples(st.one_of(st.none(), st.floats(1e-8, 1e-3)), st.floats(0.0, 0.1)),
        "d": st.floats(1.0, 2.0),
        "weight_decay": DECAYS,
    },
    "RMSprop": {
        "alpha": KEPT,
        "eps": st.floats(1e-4, 1e-2),
        "weight_decay": DECAYS,
        "momentum": st.one_of(st.just(0.0), FRACTIONS),
        "centered": st.booleans(),
    },
    "Adagrad": {"lr_decay": DECAYS, "eps": EPSILONS, "weight_decay": DECAYS},
    "Muon": {
        "weight_decay": DECAYS,
        "momentum": FRACTIONS,
        "nesterov": st.booleans(),
        "adjust_lr_fn": st.sampled_from(["original", "match_rms_adamw"]),
    },
}
SHAPES = {"Muon": [(3, 5), (6, 2), (4, 4), (1, 3)]}
TOLERANCES = {np.float32: 1e-5, np.float64: 1e-10}


@st.composite
def hyperparameters_of(draw: st.DrawFn, name: str, some: bool = False) -> dict[str, Any]:
    """Values of all hyperparameters, or of some of them."""
    strategies = {"lr": RATES} | HYPERPARAMETERS[name]
    if some:
        strategies = {key: strategies[key] for key in draw(st.sets(st.sampled_from(sorted(strategies))))}
    return {key: draw(strategy) for key, strategy in strategies.items()}


def transposed(array: np.ndarray) -> np.ndarray:
    return array.T.copy() if array.ndim == 2 else array


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", HYPERPARAMETERS)
@given(data=st.data())
def test_twenty_steps_are_those_of_pytorch(name: str, dtype: type, data: st.DataObject) -> None:
    defaults, others = data.draw(hyperparameters_of(name)), data.draw(hyperparameters_of(name, some=True))
    for merged in (defaults, defaults | others):
        assume(not merged.get("nesterov") or merged["momentum"] > 0)
    falls = data.draw(st.booleans())
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    shapes = SHAPES.get(name, [(2, 3), (5,), (), (7, 9)])
    scale = data.draw(st.sampled_from([1e-2, 1.0, 1e2]))
    values = [rng.normal(size=shape).astype(dtype) for shape in shapes]

    ours = [Tensor(value.copy(), requires_grad=True) for value in values]
    theirs = [torch.nn.Parameter(torch.tensor(transposed(value))) for value in values]
    lr = defaults["lr"]
    given = defaults | {"lr": schedules.ExponentialScheduler(lr, 0.5, 3)} if falls else defaults
    optimizer = getattr(optim, name)([{"parameters": ours[:2]}, {"parameters": ours[2:], **others}], **given)
    reference = getattr(torch.optim, name)([{"params": theirs[:2]}, {"params": theirs[2:], **others}], **defaults)

    for step in range(20):
        for i, (t, u) in enumerate(zip(ours, theirs, strict=True)):
            if i and rng.random() < 0.2:  # no gradient this time
                t.grad = u.grad = None
            else:
                gradient = (scale * rng.normal(size=t.shape)).astype(dtype)
                t.grad, u.grad = Tensor(gradient), torch.tensor(transposed(gradient))
        for i, group in enumerate(reference.param_groups):
            if falls and not (i and "lr" in others):
                group["lr"] = lr * 0.5 ** (step // 3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)  # Muon in the dtype of the weights
            patch.setattr(
                sys.modules["torch.optim.nadam"], "_get_scalar_dtype", lambda: torch.float64
            )  # its product is float32
            patch.setattr(optim.blocks, "BLOCK", 20)  # the last parameter in four pieces
            reference.step()
            optimizer.step()
        relative = TOLERANCES[dtype]
        for t, u in zip(ours, theirs, strict=True):
            assert t.dtype == dtype
            np.testing.assert_allclose(
                t.data, transposed(u.detach().numpy()), rtol=relative, atol=relative * max(scale, 1)
            )


@pytest.mark.parametrize("scale", [1e-4, 1.0, 300.0])
@pytest.mark.parametrize("name", HYPERPARAMETERS)
@given(data=st.data())
def test_float16_is_stepped_as_by_pytorch_with_a_state_in_float32(name: str, scale: float, data: st.DataObject) -> None:
    """The reference has weights in float32, which are rounded to float16 after every step."""
    hyperparameters = data.draw(hyperparameters_of(name))
    assume(not hyperparameters.get("nesterov") or hyperparameters["momentum"] > 0)
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    values = [rng.normal(size=shape).astype(np.float16) for shape in SHAPES.get(name, [(2, 3), (5,), ()])]
    ours = [Tensor(value.copy(), requires_grad=True) for value in values]
    theirs = [torch.nn.Parameter(torch.tensor(transposed(value.astype(np.float32)))) for value in values]
    optimizer, reference = (
        getattr(optim, name)(ours, **hyperparameters),
        getattr(torch.optim, name)(theirs, **hyperparameters),
    )
    for _ in range(10):
        for t, u in zip(ours, theirs, strict=True):
            gradient = (scale * rng.normal(size=t.shape)).astype(np.float16)
            t.grad, u.grad = Tensor(gradient), torch.tensor(transposed(gradient.astype(np.float32)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
            reference.step()
        with np.errstate(over="ignore"):
            optimizer.step()
            for t, u in zip(ours, theirs, strict=True):
                rounded = transposed(u.detach().numpy()).astype(np.float16)
                finite = np.isfinite(rounded)
                unit = np.spacing(np.abs(rounded[finite])).astype(np.float64)  # float32 may round to either neighbour
                assert np.all(np.abs(t.data[finite].astype(np.float64) - rounded[finite]) <= unit)
                np.testing.assert_array_equal(t.data[~finite], rounded[~finite])
                t.data[...] = rounded
                with torch.no_grad():
                    u.copy_(torch.tensor(transposed(rounded.astype(np.float32))))


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e18])
@pytest.mark.parametrize("name", ["Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adagrad", "Adadelta"])
def test_squares_of_float32_gradients_underflow_no_sooner_than_in_pytorch(name: str, size: float) -> None:
    gradient = (size * np.random.default_rng(0).normal(size=50)).astype(np.float32)
    ours = Tensor(np.zeros(50, np.float32), requires_grad=True)
    theirs = torch.nn.Parameter(torch.zeros(50))
    optimizers = getattr(optim, name)([ours]), getattr(torch.optim, name)([theirs])
    for _ in range(3):
        ours.grad, theirs.grad = Tensor(gradient), torch.tensor(gradient)
        for optimizer in optimizers:
            optimizer.step()
        np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-5)


def defaults_of(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(function.__init__).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_defaults_are_those_of_pytorch(name: str) -> None:
    ours, theirs = defaults_of(getattr(optim, name)), defaults_of(getattr(torch.optim, name))
    assert ours
    for key, value in ours.items():
        assert value == ("original" if key == "adjust_lr_fn" else theirs[key])
    assert set(HYPERPARAMETERS[name]) | {"lr"} == set(ours) | {"lr"}


def test_muon_is_near_what_pytorch_computes_in_bfloat16() -> None:
    rng = np.random.default_rng(0)
    w, g = rng.normal(size=(2, 30, 50)).astype(np.float32)
    ours, theirs = Tensor(w.copy(), requires_grad=True), torch.nn.Parameter(torch.tensor(w.T.copy()))
    ours.grad, theirs.grad = Tensor(g), torch.tensor(g.T.copy())
    optim.Muon([ours], lr=1.0).step()
    torch.optim.Muon([theirs], lr=1.0).step()
    assert np.linalg.norm(ours.data.T - theirs.detach().numpy()) < 0.02 * np.linalg.norm(ours.data - w)


# --- L-BFGS ----------------------------------------------------------------------------------------------------------


def quadratic(matrix: Any) -> Callable[[Any], Any]:
    return lambda x: ((x @ matrix) ** 2).sum() + (x * 0.5).sum()


def rosenbrock(x: Any) -> Any:
    return ((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2).sum()


@given(
    seed=st.integers(0, 99),
    lr=st.floats(0.1, 2.0),
    max_iterations=st.integers(1, 25),
    limited=st.booleans(),
    history=st.integers(1, 10),
    tolerances=st.tuples(st.floats(0, 1e-4), st.floats(0, 1e-6)),
    hilly=st.booleans(),
)
def test_lbfgs_is_that_of_pytorch_with_strong_wolfe(
    seed: int,
    lr: float,
    max_iterations: int,
    limited: bool,
    history: int,
    tolerances: tuple[float, float],
    hilly: bool,
) -> None:
    rng = np.random.default_rng(seed)
    x, matrix = rng.normal(size=5), rng.normal(size=(5, 7))
    ours, theirs = Tensor(x.copy(), requires_grad=True), torch.nn.Parameter(torch.tensor(x))
    f, g = (rosenbrock, rosenbrock) if hilly else (quadratic(matrix), quadratic(torch.tensor(matrix)))
    limit = max_iterations * 3 if limited else None
    both = {"lr": lr, "tolerance_grad": tolerances[0], "tolerance_change": tolerances[1]}
    optimizer = optim.LBFGS([ours], max_iterations=max_iterations, max_evaluations=limit, history=history, **both)
    reference = torch.optim.LBFGS(
        [theirs],
        max_iter=max_iterations,
        max_eval=limit,
        history_size=history,
        line_search_fn="strong_wolfe",
        **both,
    )

    def closure() -> Any:
        reference.zero_grad()
        loss = g(theirs)
        loss.backward()
        return loss

    before = math.inf
    for _ in range(3):
        expected, found = reference.step(closure).item(), optimizer.step(lambda: f(ours))
        # Rounding grows where the way bends: after fifty iterations of Rosenbrock's function eight digits are left.
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-6, atol=1e-6)
        assert found <= before
        before = found


# --- gradients and weights -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    max_norm=st.floats(0, 10),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    special=st.sampled_from([None, np.inf, np.nan]),
    strict=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_clipping_is_that_of_pytorch(
    dtype: type, max_norm: float, scale: float, special: float | None, strict: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    gradients = [(scale * rng.normal(size=shape)).astype(dtype) for shape in [(2, 3), (), (7, 9)]]
    if special is not None:
        gradients[0][0, 0] = special
    ours = [Tensor(np.zeros(g.shape, dtype), requires_grad=True) for g in [*gradients, np.ones(2)]]
    theirs = [torch.nn.Parameter(torch.tensor(t.data)) for t in ours]
    for t, u, g in zip(ours, theirs, gradients, strict=False):
        t.grad, u.grad = Tensor(g.copy()), torch.tensor(g)
    if strict and special is not None:
        with pytest.raises(FloatingPointError, match="norm of the gradients is (inf|nan)"):
            optim.clip_grad_norm(ours, max_norm)
        max_norm = math.inf  # nothing was changed
    else:
        with np.errstate(invalid="ignore"):
            found = optim.clip_grad_norm(iter(ours), max_norm, error_if_nonfinite=strict)
        expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, error_if_nonfinite=strict)
        np.testing.assert_allclose(found, expected.item(), rtol=TOLERANCES[dtype])
    assert ours[3].grad is None
    for t, u in zip(ours[:3], theirs, strict=False):
        assert t.grad.dtype == dtype
        np.testing.assert_allclose(t.grad.data, u.grad.numpy(), rtol=TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(limit=st.floats(0, 2), special=st.sampled_from([None, np.inf, -np.inf]), seed=st.integers(0, 2**32 - 1))
def test_clipping_of_elements_is_that_of_pytorch(dtype: type, limit: float, special: float | None, seed: int) -> None:
    gradient = np.random.default_rng(seed).normal(size=(7, 9)).astype(dtype)
    if special is not None:
        gradient[2, 3] = special
    ours, theirs = (
        Tensor(np.zeros((7, 9), dtype), requires_grad=True),
        torch.nn.Parameter(torch.tensor(np.zeros((7, 9), dtype))),
    )
    ours.grad, theirs.grad = Tensor(gradient.copy()), torch.tensor(gradient)
    optim.clip_grad_value([ours], limit)
    torch.nn.utils.clip_grad_value_([theirs], limit)
    assert ours.grad.dtype == dtype
    np.testing.assert_array_equal(ours.grad.data, theirs.grad.numpy())


@given(max_norm=st.floats(0, 10), seed=st.integers(0, 2**32 - 1))
def test_clipping_of_each_parameter_is_that_of_pytorch_one_by_one(max_norm: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gradients = [rng.normal(size=shape) for shape in [(2, 3), (), (7, 9)]]
    ours = [Tensor(np.zeros(g.shape), requires_grad=True) for g in gradients]
    theirs = [torch.nn.Parameter(torch.tensor(t.data)) for t in ours]
    for t, u, g in zip(ours, theirs, gradients, strict=True):
        t.grad, u.grad = Tensor(g.copy()), torch.tensor(g)
    total = optim.clip_grad_norm(ours, max_norm, per_parameter=True)
    np.testing.assert_allclose(total, math.sqrt(sum(np.sum(g**2) for g in gradients)))
    for t, u in zip(ours, theirs, strict=True):
        torch.nn.utils.clip_grad_norm_([u], max_norm)
        np.testing.assert_allclose(t.grad.data, u.grad.numpy(), rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 9))
def test_equal_averages_are_those_of_pytorch(dtype: type, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    w = Tensor(rng.normal(size=(3, 4)).astype(dtype), requires_grad=True)
    module = torch.nn.Linear(4, 3, bias=False)
    module.weight = torch.nn.Parameter(torch.tensor(w.data))
    average, swa = torch.optim.swa_utils.AveragedModel(module), optim.SWA([w])
    for _ in range(count):
        w.data[...] = rng.normal(size=(3, 4))
        module.weight.data[...] = torch.tensor(w.data)
        swa.update()
        average.update_parameters(module)
    assert swa.count == count
    with swa:
        np.testing.assert_allclose(
            w.data, average.module.weight.detach().numpy(), rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype]
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(decay=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
def test_averages_are_those_of_pytorch(dtype: type, decay: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    w = Tensor(rng.normal(size=(3, 4)).astype(dtype), requires_grad=True)
    module = torch.nn.Linear(4, 3, bias=False)
    module.weight = torch.nn.Parameter(torch.tensor(w.data))
    rule = torch.optim.swa_utils.get_ema_multi_avg_fn(decay)
    average = torch.optim.swa_utils.AveragedModel(module, multi_avg_fn=rule)
    average.update_parameters(module)  # the first time it copies
    ema = optim.EMA([w], decay)
    for _ in range(10):
        w.data[...] = rng.normal(size=(3, 4))
        module.weight.data[...] = torch.tensor(w.data)
        ema.update()
        average.update_parameters(module)
    expected = average.module.weight.detach().numpy()
    with ema.applied():
        np.testing.assert_allclose(w.data, expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


# --- schedules -------------------------------------------------------------------------------------------------------


def rates_of(make: Callable[[Any], Any], lr: float, steps: int) -> list[float]:
    """What PyTorch's scheduler sets at each step."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=lr)
    with warnings.catch_warnings():  # SequentialLR calls its parts in a way that PyTorch warns of
        warnings.simplefilter("ignore", UserWarning)
        scheduler, rates = make(optimizer), []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    return rates


def compare(schedule: Callable[[int], float], make: Callable[[Any], Any], lr: float, steps: int) -> None:
    expected = rates_of(make, lr, steps)
    np.testing.assert_allclose([schedule(step) for step in range(steps)], expected, rtol=1e-9, atol=1e-12)


schedulers = torch.optim.lr_scheduler
LENGTHS = st.integers(1, 60)
GAMMAS = st.floats(0.3, 1.1)


@given(lr=RATES, size=LENGTHS, gamma=GAMMAS, milestones=st.lists(LENGTHS, unique=True, max_size=4).map(sorted))
def test_step_schedules_are_those_of_pytorch(lr: float, size: int, gamma: float, milestones: list[int]) -> None:
    stairs = schedules.ExponentialScheduler(lr, decay=gamma, stage_length=size)
    compare(stairs, lambda o: schedulers.StepLR(o, size, gamma), lr, 100)
    ours = schedules.MultiStepScheduler(lr, milestones, gamma)
    compare(ours, lambda o: schedulers.MultiStepLR(o, milestones, gamma), lr, 100)
    smooth = schedules.ExponentialScheduler(lr, gamma, 1)
    compare(smooth, lambda o: schedulers.ExponentialLR(o, gamma), lr, 30)


@given(lr=RATES, steps=LENGTHS, part=st.floats(0, 1), start=st.floats(0.01, 1))
def test_cosine_and_warmup_are_those_of_pytorch(lr: float, steps: int, part: float, start: float) -> None:
    cosine = schedules.CosineScheduler(lr, steps, minimum=part * lr)
    compare(cosine, lambda o: schedulers.CosineAnnealingLR(o, steps, part * lr), lr, steps + 1)
    warmup = schedules.WarmupScheduler(lr, steps, start)
    compare(warmup, lambda o: schedulers.LinearLR(o, start, total_iters=steps), lr, steps + 9)
    milestone = steps + 3
    compare(
        schedules.JoinedScheduler([warmup, cosine], [milestone]),
        lambda o: schedulers.SequentialLR(
            o,
            [
                schedulers.LinearLR(o, start, total_iters=steps),
                schedulers.CosineAnnealingLR(o, steps, part * lr),
            ],
            [milestone],
        ),
        lr,
        milestone + steps + 1,
    )


@given(lr=RATES, steps=LENGTHS, growth=st.integers(1, 3), part=st.floats(0, 1), power=st.floats(0.1, 4))
def test_restarts_and_polynomials_are_those_of_pytorch(
    lr: float, steps: int, growth: int, part: float, power: float
) -> None:
    restarts = schedules.RestartScheduler(lr, steps, growth, minimum=part * lr)
    compare(restarts, lambda o: schedulers.CosineAnnealingWarmRestarts(o, steps, growth, part * lr), lr, 5 * steps)
    polynomial = schedules.PolynomialScheduler(lr, steps, power)
    compare(polynomial, lambda o: schedulers.PolynomialLR(o, steps, power), lr, steps + 5)
    lifted = schedules.PolynomialScheduler(lr, steps, power, minimum=part * lr)
    expected = [part * lr + (1 - part) * polynomial(step) for step in range(steps + 5)]
    np.testing.assert_allclose([lifted(step) for step in range(steps + 5)], expected, rtol=1e-9, atol=1e-15)


@given(
    lr=RATES,
    warmup=LENGTHS,
    stable=st.integers(0, 60),
    decay=LENGTHS,
    start=st.floats(0.01, 1),
    part=st.floats(0, 1),
    strategy=st.sampled_from(["linear", "cos", "sqrt"]),
)
def test_warmup_stable_decay_is_the_sequence_of_pytorchs(
    lr: float, warmup: int, stable: int, decay: int, start: float, part: float, strategy: str
) -> None:
    steps = warmup + stable + decay
    ours = schedules.WarmupStableDecayScheduler(lr, steps, warmup, decay, start, part * lr, strategy)

    def fall(optimizer: Any) -> Any:
        if strategy == "linear":
            return schedulers.LinearLR(optimizer, 1, part, decay)
        if strategy == "cos":
            return schedulers.CosineAnnealingLR(optimizer, decay, part * lr)
        return schedulers.LambdaLR(optimizer, lambda step: 1 - (1 - part) * math.sqrt(min(step / decay, 1)))

    compare(
        ours,
        lambda o: (
            schedulers.SequentialLR(
                o,
                [schedulers.LinearLR(o, start, 1, warmup), schedulers.ConstantLR(o, 1, 1), fall(o)],
                [warmup, max(warmup + stable, warmup + 1)],
            )
            if stable
            else schedulers.SequentialLR(o, [schedulers.LinearLR(o, start, 1, warmup), fall(o)], [warmup])
        ),
        lr,
        steps + 1,
    )


@given(
    lr=st.floats(0.01, 1),
    mode=st.sampled_from(["min", "max"]),
    factor=st.floats(0, 0.9),
    patience=st.integers(0, 3),
    threshold=st.one_of(st.just(0.0), st.floats(1e-6, 0.5)),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    cooldown=st.integers(0, 3),
    part=st.floats(0, 1),
    values=st.lists(st.floats(0.1, 2).map(lambda value: round(value, 1)), min_size=1, max_size=30),
)
def test_plateaus_are_those_of_pytorch(
    lr: float,
    mode: str,
    factor: float,
    patience: int,
    threshold: float,
    threshold_mode: str,
    cooldown: int,
    part: float,
    values: list[float],
) -> None:
    ours = schedules.PlateauScheduler(lr, mode, factor, patience, threshold, threshold_mode, cooldown, part * lr)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    theirs = schedulers.ReduceLROnPlateau(
        optimizer, mode, factor, patience, threshold, threshold_mode, cooldown, part * lr, eps=0
    )
    resumed = schedules.PlateauScheduler(lr, mode, factor, patience, threshold, threshold_mode, cooldown, part * lr)
    for i, value in enumerate(values):
        ours.update(value)
        theirs.step(value)
        assert ours(i) == optimizer.param_groups[0]["lr"]
        assert ours.best == theirs.best
        resumed.load_state_dict(ours.state_dict())
        ours, resumed = resumed, ours


@given(
    lr=RATES,
    steps=LENGTHS,
    start=st.floats(0, 0.95),
    strategy=st.sampled_from(["cos", "linear"]),
    factors=st.tuples(st.floats(0.5, 100), st.floats(0.5, 1e5)),
)
def test_one_cycle_is_that_of_pytorch(
    lr: float, steps: int, start: float, strategy: str, factors: tuple[float, float]
) -> None:
    assume(start * steps != 1)  # where PyTorch divides by 0
    ours = schedules.OneCycleScheduler(lr, steps, start, strategy, *factors)
    compare(
        ours,
        lambda o: schedulers.OneCycleLR(
            o,
            lr,
            total_steps=steps,
            pct_start=start,
            anneal_strategy=strategy,
            cycle_momentum=False,
            div_factor=factors[0],
            final_div_factor=factors[1],
        ),
        lr,
        steps,
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "names"),
    [
        (schedules.MultiStepScheduler, schedulers.MultiStepLR, {"gamma": "gamma"}),
        (schedules.CosineScheduler, schedulers.CosineAnnealingLR, {"minimum": "eta_min"}),
        (schedules.WarmupScheduler, schedulers.LinearLR, {"start_factor": "start_factor"}),
        (
            schedules.RestartScheduler,
            schedulers.CosineAnnealingWarmRestarts,
            {"growth": "T_mult", "minimum": "eta_min"},
        ),
        (
            schedules.PlateauScheduler,
            schedulers.ReduceLROnPlateau,
            {name: name for name in ("mode", "factor", "patience", "threshold", "threshold_mode", "cooldown")}
            | {"minimum": "min_lr"},
        ),
        (
            schedules.OneCycleScheduler,
            schedulers.OneCycleLR,
            {name: name for name in ("pct_start", "anneal_strategy", "div_factor", "final_div_factor")},
        ),
    ],
)
def test_defaults_of_schedules_are_those_of_pytorch(ours: type, theirs: type, names: dict[str, str]) -> None:
    found = defaults_of(ours)
    assert set(found) == set(names)
    assert found == {own: defaults_of(theirs)[name] for own, name in names.items()}

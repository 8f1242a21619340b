"""PyTorch as an independent oracle of activations, losses, simple layers and normalisation, in all their options."""

import math
from functools import partial
from typing import Any

from tinygrad_np import Tensor, grad, nn, normalize
from tinygrad_np.nn import init

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

dtypes = st.sampled_from([np.float64, np.float32])
seeds = st.integers(0, 2**32 - 1)
pytestmark = pytest.mark.slow
sizes = st.integers(1, 5)
few = st.lists(st.integers(1, 3), max_size=2).map(tuple)  # further axes
reductions = st.sampled_from(["mean", "sum", "none"])


def close(found: Any, expected: Any, scale: float = 1.0) -> None:
    found, expected = np.asarray(found.data), expected.detach().numpy()
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    bound = 1e-10 if found.dtype == np.float64 else 1e-5
    np.testing.assert_allclose(found, expected, rtol=bound, atol=bound * scale)


def compare(
    ours: Any, theirs: Any, inputs: list[np.ndarray], *others: Any, parameters: Any = ((), ()), scale: float = 1.0
) -> None:
    """The outputs, and the gradients of the inputs and the parameters; others are arrays that are not differentiated.

    Args:
        parameters: ours and theirs.
        scale: how large the numbers in between are.
    """
    own = [Tensor(x, requires_grad=True) for x in inputs]
    foreign = [torch.tensor(x, requires_grad=True) for x in inputs]
    y = ours(*own, *others)
    z = theirs(*foreign, *(torch.tensor(a) if isinstance(a, np.ndarray) else a for a in others))
    close(y, z, scale)
    g = np.random.default_rng(0).normal(size=y.shape).astype(y.dtype)
    sources, theirs_too = [*own, *parameters[0]], [*foreign, *parameters[1]]
    if sources:
        for found, expected in zip(
            grad(y, sources, g), torch.autograd.grad(z, theirs_too, torch.tensor(g)), strict=True
        ):
            close(found, expected, scale)


def tensors(dtype: Any, *arrays: Any) -> list[Any]:
    """PyTorch's options of numbers, in the dtype of the inputs."""
    return [None if a is None else torch.tensor(np.asarray(a, dtype)) for a in arrays]


# --- activations -----------------------------------------------------------------------------------------------------


@given(
    data=st.data(), dtype=dtypes, seed=seeds, shape=st.lists(sizes, min_size=1, max_size=3), spread=st.floats(0.1, 20)
)
def test_activations(data: st.DataObject, dtype: Any, seed: int, shape: list[int], spread: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, spread, shape).astype(dtype)
    x.flat[0] = 0  # where some have a kink
    slope, beta = data.draw(st.floats(-2, 2), "slope"), data.draw(st.floats(0.1, 5), "beta")
    approximate = data.draw(st.sampled_from(["none", "tanh"]), "approximate")
    axis = data.draw(st.integers(-len(shape), len(shape) - 1), "axis")
    for ours, theirs in [
        (nn.ReLU(), torch.nn.ReLU()),
        (nn.LeakyReLU(), torch.nn.LeakyReLU()),
        (nn.LeakyReLU(slope), torch.nn.LeakyReLU(slope)),
        (nn.GELU(approximate), torch.nn.GELU(approximate)),
        (nn.SiLU(), torch.nn.SiLU()),
        (nn.Tanh(), torch.nn.Tanh()),
        (nn.Sigmoid(), torch.nn.Sigmoid()),
        (nn.Softplus(), torch.nn.Softplus(threshold=500)),  # beyond it, it is x
        (nn.Softplus(beta), torch.nn.Softplus(beta, threshold=500 if dtype is np.float64 else 80)),
        (nn.Softmax(axis), torch.nn.Softmax(axis)),
        (nn.LogSoftmax(axis), torch.nn.LogSoftmax(axis)),
        (nn.ELU(beta), torch.nn.ELU(beta)),
        (nn.CELU(), torch.nn.CELU()),
        (nn.CELU(beta), lambda x: beta * torch.nn.functional.elu(x / beta)),  # whose own has 1 / beta of float32
        (nn.SELU(), torch.nn.SELU()),
        (nn.Hardtanh(-beta, beta), torch.nn.Hardtanh(-beta, beta)),
        (nn.ReLU6(), torch.nn.ReLU6()),
        (nn.Hardsigmoid(), lambda x: torch.nn.functional.relu6(x + 3) / 6),  # whose own has 1 / 6 of float32
        (nn.Hardswish(), torch.nn.Hardswish()),
        (nn.Mish(), torch.nn.Mish()),
        (nn.Softsign(), torch.nn.Softsign()),
        (nn.LogSigmoid(), torch.nn.LogSigmoid()),
    ]:
        compare(ours, theirs, [x], scale=max(1, spread))
    doubled = np.concatenate([x, rng.normal(0, spread, shape).astype(dtype)], axis)
    functional = torch.nn.functional
    gates = {"GLU": torch.sigmoid, "ReGLU": torch.relu, "GEGLU": functional.gelu, "SwiGLU": functional.silu}
    for name, gate in gates.items():
        compare(getattr(nn, name)(axis), partial(gated, gate=gate, axis=axis), [doubled], scale=max(1, spread**2))
    compare(nn.GLU(axis), torch.nn.GLU(axis), [doubled], scale=max(1, spread))


def gated(x: Any, gate: Any, axis: int) -> Any:
    a, b = torch.chunk(x, 2, axis)
    return a * gate(b)


@given(dtype=dtypes, seed=seeds, batch=sizes, channels=sizes, more=few, init=st.floats(-1, 1), alone=st.booleans())
def test_prelu(
    dtype: Any, seed: int, batch: int, channels: int, more: tuple[int, ...], init: float, alone: bool
) -> None:
    count = 1 if alone else channels
    x = np.random.default_rng(seed).normal(size=(batch, channels, *more)).astype(dtype)
    x.flat[0] = 0
    ours = nn.PReLU(count, init, dtype=dtype)
    theirs = torch.nn.PReLU(count, init, dtype=torch.tensor(x).dtype)
    compare(ours, theirs, [x], parameters=([ours.weight], [theirs.weight]))


# --- losses ----------------------------------------------------------------------------------------------------------


@given(
    data=st.data(),
    dtype=dtypes,
    seed=seeds,
    batch=sizes,
    classes=sizes,
    more=few,
    reduction=reductions,
    smoothing=st.sampled_from([0.0, 0.1, 1.0]),
    ignore_index=st.sampled_from([-100, -1, 0, 2]),
    spread=st.sampled_from([1.0, 100.0]),
)
def test_losses_of_classes(
    data: st.DataObject, dtype: Any, seed: int, batch: int, classes: int, more: tuple[int, ...], reduction: str,
    smoothing: float, ignore_index: int, spread: float,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (batch, classes, *more)).astype(dtype)
    labels = rng.integers(0, classes, (batch, *more))
    if ignore_index < 0 and data.draw(st.booleans(), "ignored"):
        labels.flat[rng.integers(labels.size)] = ignore_index
    weight = data.draw(st.sampled_from([None, rng.uniform(0, 2, classes).astype(dtype)]), "weight")
    options = {"ignore_index": ignore_index, "reduction": reduction}
    ours = nn.CrossEntropyLoss(weight, label_smoothing=smoothing, **options)
    theirs = torch.nn.CrossEntropyLoss(*tensors(dtype, weight), label_smoothing=smoothing, **options)
    if reduction == "mean" and np.all(labels == ignore_index):
        with pytest.raises(ValueError, match="the mean is undefined"):
            ours(Tensor(logits), labels)
        return
    compare(ours, theirs, [logits], labels, scale=spread)
    log_probabilities = nn.LogSoftmax(1)(logits)
    compare(nn.NLLLoss(weight, **options), torch.nn.NLLLoss(*tensors(dtype, weight), **options), [log_probabilities],
            labels, scale=spread)  # fmt: skip


@given(dtype=dtypes, seed=seeds, shape=few, reduction=reductions, delta=st.floats(0.1, 3))
def test_losses_of_numbers(dtype: Any, seed: int, shape: tuple[int, ...], reduction: str, delta: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, *shape)).astype(dtype)
    for name, options in [("MSELoss", {}), ("L1Loss", {}), ("HuberLoss", {"delta": delta})]:
        ours, theirs = getattr(nn, name), getattr(torch.nn, name)
        compare(
            ours(reduction=reduction, **options), theirs(reduction=reduction, **options), [np.array(x), np.array(y)]
        )


@given(data=st.data(), dtype=dtypes, seed=seeds, shape=few, reduction=reductions, spread=st.sampled_from([1.0, 100.0]))
def test_binary_cross_entropy(
    data: st.DataObject, dtype: Any, seed: int, shape: tuple[int, ...], reduction: str, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    logits = np.array(rng.normal(0, spread, shape).astype(dtype))
    choices = st.sampled_from([None, *(rng.uniform(0, 2, shape[axis:]).astype(dtype) for axis in (0, len(shape)))])
    weight, positive = data.draw(choices, "weight"), data.draw(choices, "pos_weight")
    targets = np.array(data.draw(st.sampled_from([rng.random(shape), rng.integers(0, 2, shape)])).astype(dtype))
    ours = nn.BCEWithLogitsLoss(weight, pos_weight=positive, reduction=reduction)
    their_weight, their_positive = tensors(dtype, weight, positive)
    theirs = torch.nn.BCEWithLogitsLoss(their_weight, pos_weight=their_positive, reduction=reduction)
    compare(ours, theirs, [logits, targets], scale=spread)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")  # that their next version will not
@given(
    data=st.data(), dtype=dtypes, seed=seeds, batch=sizes, more=few,
    reduction=st.sampled_from(["mean", "batchmean", "sum", "none"]), log_target=st.booleans(),
)  # fmt: skip
def test_kl_div(
    data: st.DataObject, dtype: Any, seed: int, batch: int, more: tuple[int, ...], reduction: str, log_target: bool
) -> None:
    rng = np.random.default_rng(seed)
    x, y = nn.LogSoftmax()(rng.normal(size=(2, batch, *more, 4)).astype(dtype))
    options = {"reduction": reduction, "log_target": log_target}
    compare(nn.KLDivLoss(**options), torch.nn.KLDivLoss(**options), [x, y if log_target else np.exp(y)])


@given(
    data=st.data(), dtype=dtypes, seed=seeds, batch=sizes, classes=sizes, more=few, reduction=reductions,
    smoothing=st.sampled_from([0.0, 0.1, 1.0]), spread=st.sampled_from([1.0, 100.0]),
)  # fmt: skip
def test_cross_entropy_of_probabilities(
    data: st.DataObject, dtype: Any, seed: int, batch: int, classes: int, more: tuple[int, ...], reduction: str,
    smoothing: float, spread: float,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (batch, classes, *more)).astype(dtype)
    soft = np.moveaxis(rng.dirichlet(np.ones(classes), (batch, *more)), -1, 1).astype(dtype)
    weight = data.draw(st.sampled_from([None, rng.uniform(0, 2, classes).astype(dtype)]), "weight")
    options = {"reduction": reduction, "label_smoothing": smoothing}
    theirs = torch.nn.CrossEntropyLoss(*tensors(dtype, weight), **options)
    compare(nn.CrossEntropyLoss(weight, **options), theirs, [logits, soft], scale=spread)


@given(
    data=st.data(), dtype=dtypes, seed=seeds, shape=few, reduction=reductions,
    beta=st.sampled_from([0.0, 0.3, 2.0]), log_input=st.booleans(), full=st.booleans(),
)  # fmt: skip
def test_smooth_errors_and_likelihoods(
    data: st.DataObject, dtype: Any, seed: int, shape: tuple[int, ...], reduction: str, beta: float, log_input: bool,
    full: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    x, y = (np.array(a, dtype) for a in rng.normal(size=(2, *shape)))
    compare(
        nn.SmoothL1Loss(beta=beta, reduction=reduction), torch.nn.SmoothL1Loss(beta=beta, reduction=reduction), [x, y]
    )
    counts = np.array(rng.integers(1 if full else 0, 6, shape), dtype)  # at 0 their gradient by the target is NaN
    options = {"log_input": log_input, "full": full, "eps": data.draw(st.sampled_from([1e-8, 0.1]))}
    options["reduction"] = reduction
    rates = x if log_input else np.abs(x) + dtype(0.1)
    compare(nn.PoissonNLLLoss(**options), torch.nn.PoissonNLLLoss(**options), [rates, counts], scale=20)
    last = data.draw(st.booleans(), "one variance for each row") and bool(shape)
    var = np.array(rng.uniform(0, 2, (*shape[:-1], 1) if last else shape), dtype)
    options = {"full": full, "eps": data.draw(st.sampled_from([1e-6, 0.5])), "reduction": reduction}
    scale = 1 / min(max(float(var.min()), options["eps"]), 1) ** 2
    compare(nn.GaussianNLLLoss(**options), torch.nn.GaussianNLLLoss(**options), [x, y, var], scale=10 * scale)


@given(
    data=st.data(), dtype=dtypes, seed=seeds, shape=few, batch=sizes, classes=sizes, reduction=reductions,
    margin=st.floats(-1, 2), p=st.sampled_from([1, 2]),
)  # fmt: skip
def test_margins(
    data: st.DataObject, dtype: Any, seed: int, shape: tuple[int, ...], batch: int, classes: int, reduction: str,
    margin: float, p: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    x, y = (np.array(a, dtype) for a in rng.normal(size=(2, *shape)))
    signs = np.array(rng.choice([-1, 1], shape), dtype)
    options = {"margin": margin, "reduction": reduction}
    compare(nn.HingeEmbeddingLoss(**options), torch.nn.HingeEmbeddingLoss(**options), [x], signs)
    compare(nn.MarginRankingLoss(**options), torch.nn.MarginRankingLoss(**options), [x, y], signs)
    compare(nn.SoftMarginLoss(reduction=reduction), torch.nn.SoftMarginLoss(reduction=reduction), [x], signs)

    def hinge(x: Any, t: Any) -> Any:  # PyTorch's is of distances
        losses = torch.relu(margin - t * x) ** p
        return losses if reduction == "none" else getattr(torch, reduction)(losses)

    compare(nn.HingeLoss(p=p, **options), hinge, [x], signs)
    scores = rng.normal(size=(batch, classes)).astype(dtype)
    weight = data.draw(st.sampled_from([None, rng.uniform(0, 2, classes).astype(dtype)]), "weight")
    (their_weight,) = tensors(dtype, weight)
    compare(
        nn.MultiMarginLoss(p=p, weight=weight, **options),
        torch.nn.MultiMarginLoss(p=p, weight=their_weight, **options),
        [scores],
        rng.integers(0, classes, batch),
        scale=5,
    )


@given(
    data=st.data(), dtype=dtypes, seed=seeds, batch=sizes, features=st.integers(2, 5), reduction=reductions,
    margin=st.floats(0.01, 1), p=st.sampled_from([1.0, 2.0, 3.0, np.inf]), swap=st.booleans(),
    eps=st.sampled_from([1e-6, 0.1]), keepdims=st.booleans(),
)  # fmt: skip
def test_similarity_and_its_losses(
    data: st.DataObject, dtype: Any, seed: int, batch: int, features: int, reduction: str, margin: float, p: float,
    swap: bool, eps: float, keepdims: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    x, y, z = (rng.normal(size=(batch, features)).astype(dtype) + dtype(0.1) for _ in range(3))
    axis = data.draw(st.sampled_from([0, 1, -1]), "axis")
    compare(nn.CosineSimilarity(axis, eps=eps), torch.nn.CosineSimilarity(axis, eps), [x, y], scale=10)
    compare(nn.CosineSimilarity(eps=eps), torch.nn.CosineSimilarity(-1, eps), [x[:, np.newaxis], y], scale=10)
    compare(
        nn.PairwiseDistance(p, eps=eps, keepdims=keepdims),
        torch.nn.PairwiseDistance(p, eps, keepdims),
        [x, y],
        scale=10,
    )
    compare(
        lambda x: normalize(x, axis, p=p, eps=eps),
        lambda x: torch.nn.functional.normalize(x, p, axis, eps),
        [x],
        scale=10,
    )
    options = {"margin": margin, "reduction": reduction}
    compare(
        nn.TripletMarginLoss(p=p, eps=eps, swap=swap, **options),
        torch.nn.TripletMarginLoss(p=p, eps=eps, swap=swap, **options),
        [x, y, z],
        scale=10,
    )
    signs = np.array(rng.choice([-1, 1], batch), dtype)
    compare(nn.CosineEmbeddingLoss(**options), torch.nn.CosineEmbeddingLoss(**options), [x, y], signs, scale=100)


@pytest.mark.parametrize("eps", [1e-8, 0.5])
def test_similarity_of_vectors_of_zeros(eps: float) -> None:
    x, y = np.zeros((2, 3)), np.random.default_rng(0).normal(size=(2, 3))
    compare(nn.CosineSimilarity(eps=eps), torch.nn.CosineSimilarity(-1, eps), [x, y], scale=1 / eps)
    compare(lambda x: normalize(x, eps=eps), lambda x: torch.nn.functional.normalize(x, dim=-1, eps=eps), [x])


@given(
    data=st.data(), dtype=dtypes, seed=seeds, batch=sizes, features=st.integers(2, 5), reduction=reductions,
    gamma=st.sampled_from([0.0, 0.5, 2.0, 5.0]), alpha=st.sampled_from([None, 0.25, 1.0]),
    temperature=st.floats(0.1, 2), squared=st.booleans(), smooth=st.sampled_from([1e-5, 1.0]),
)  # fmt: skip
def test_losses_that_pytorch_is_used_to_write(
    data: st.DataObject, dtype: Any, seed: int, batch: int, features: int, reduction: str, gamma: float,
    alpha: float | None, temperature: float, squared: bool, smooth: float,
) -> None:  # fmt: skip
    """By the formulas of torchvision, SimCLR and MONAI, in PyTorch's functions."""
    rng = np.random.default_rng(seed)
    functional = torch.nn.functional

    def reduced(losses: Any) -> Any:
        return losses if reduction == "none" else getattr(torch, reduction)(losses)

    def sigmoid_focal(x: Any, t: Any) -> Any:
        p = torch.sigmoid(x)
        losses = functional.binary_cross_entropy_with_logits(x, t, reduction="none") * (p + t - 2 * p * t) ** gamma
        return reduced(losses if alpha is None else losses * (alpha * t + (1 - alpha) * (1 - t)))

    x = rng.normal(size=(batch, features)).astype(dtype)
    binary = rng.integers(0, 2, (batch, features)).astype(dtype)
    options = {"gamma": gamma, "reduction": reduction}
    compare(nn.SigmoidFocalLoss(alpha=alpha, **options), sigmoid_focal, [x], binary, scale=5)
    weight = rng.uniform(0, 2, features).astype(dtype)
    labels = rng.integers(0, features, batch)

    def softmax_focal(x: Any, labels: Any) -> Any:
        entropies = functional.cross_entropy(x, labels, reduction="none")
        return reduced(torch.tensor(weight)[labels] * entropies * (1 - torch.exp(-entropies)) ** gamma)

    compare(nn.SoftmaxFocalLoss(alpha=weight, **options), softmax_focal, [x], labels, scale=5)

    def nt_xent(a: Any, b: Any) -> Any:
        views = functional.normalize(torch.cat([a, b]), dim=1)
        cosines = (views @ views.T / temperature).fill_diagonal_(-torch.inf)
        return functional.cross_entropy(cosines, torch.arange(2 * batch).roll(batch), reduction=reduction)

    y = rng.normal(size=(batch, features)).astype(dtype)
    compare(nn.NTXentLoss(temperature=temperature, reduction=reduction), nt_xent, [x, y], scale=100)

    def dice(p: Any, t: Any) -> Any:
        areas = (p**2 + t**2 if squared else p + t).sum((2,))
        return reduced(1 - (2 * (p * t).sum((2,)) + smooth) / (areas + smooth))

    maps, masks = rng.uniform(0.1, 0.9, (2, batch, 3, features)).astype(dtype)
    ours = nn.DiceLoss(smooth=smooth, squared=squared, reduction=reduction)
    compare(ours, dice, [maps, masks], scale=10)


# --- layers ----------------------------------------------------------------------------------------------------------


@given(dtype=dtypes, seed=seeds, inputs=sizes, outputs=sizes, more=few, bias=st.booleans())
def test_linear(dtype: Any, seed: int, inputs: int, outputs: int, more: tuple[int, ...], bias: bool) -> None:
    rng = np.random.default_rng(seed)
    ours = nn.Linear(inputs, outputs, bias, rng=rng, dtype=dtype)
    theirs = [torch.tensor(p.data, requires_grad=True) for p in ours.parameters()]
    x = rng.normal(size=(*more, inputs)).astype(dtype)
    compare(
        ours,
        lambda x: torch.nn.functional.linear(x, theirs[0].T, *theirs[1:]),
        [x],
        parameters=(ours.parameters(), theirs),
    )


@given(dtype=dtypes, seed=seeds, count=sizes, length=sizes, more=few, data=st.data())
def test_embedding(dtype: Any, seed: int, count: int, length: int, more: tuple[int, ...], data: st.DataObject) -> None:
    padding = data.draw(st.sampled_from([None, *range(-count, count)]), "padding_idx")
    rng = np.random.default_rng(seed)
    ours = nn.Embedding(count, length, padding, rng=rng, dtype=dtype)
    ours.weight.data[...] = rng.normal(size=(count, length))  # the padding, too
    theirs = torch.nn.Embedding(count, length, padding, _weight=torch.tensor(ours.weight.data))
    compare(ours, theirs, [], rng.integers(0, count, more), parameters=([ours.weight], [theirs.weight]))


@given(
    data=st.data(), dtype=dtypes, seed=seeds, count=sizes, length=sizes, mode=st.sampled_from(["sum", "mean", "max"]),
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=5), last=st.booleans(), rectangular=st.booleans(),
)  # fmt: skip
def test_embedding_bag(
    data: st.DataObject, dtype: Any, seed: int, count: int, length: int, mode: str, lengths: list[int], last: bool,
    rectangular: bool,
) -> None:  # fmt: skip
    padding = data.draw(st.sampled_from([None, *range(-count, count)]), "padding_idx")
    weighted = mode == "sum" and data.draw(st.booleans(), "weighted")
    rng = np.random.default_rng(seed)
    ours = nn.EmbeddingBag(count, length, mode, padding, last, rng=rng, dtype=dtype)
    ours.weight.data[...] = rng.normal(size=(count, length))
    theirs = torch.nn.EmbeddingBag(
        count, length, mode=mode, padding_idx=padding, include_last_offset=last, _weight=torch.tensor(ours.weight.data)
    )
    parameters = ([ours.weight], [theirs.weight])
    if mode == "max":  # among ties PyTorch gives all to the first
        indices = np.concatenate([rng.permutation(count)[:n] for n in lengths]).astype(int)
        lengths = [min(n, count) for n in lengths]
    else:
        indices = rng.integers(0, count, sum(lengths))
    offsets = np.cumsum([0, *lengths])[: len(lengths) + last]
    if rectangular and mode != "max":
        indices = rng.integers(0, count, (len(lengths), 1 + lengths[0]))
    many: Any = [None] if indices.ndim == 2 else [offsets]
    if weighted:
        compare(
            lambda w: ours(indices, many[0], w),
            lambda w: theirs(torch.tensor(indices), None if many[0] is None else torch.tensor(offsets), w),
            [rng.normal(size=indices.shape).astype(dtype)],
            parameters=parameters,
        )
    else:
        compare(ours, theirs, [], indices, *many, parameters=parameters)


@given(dtype=dtypes, seed=seeds, features=st.tuples(sizes, sizes, sizes), more=few, bias=st.booleans())
def test_bilinear(dtype: Any, seed: int, features: tuple[int, int, int], more: tuple[int, ...], bias: bool) -> None:
    rng = np.random.default_rng(seed)
    ours = nn.Bilinear(*features, bias, rng=rng, dtype=dtype)
    theirs = torch.nn.Bilinear(*features, bias, dtype=torch.tensor(np.ones(1, dtype)).dtype)
    assert {name: a.shape for name, a in ours.state_dict().items()} == {
        name: tuple(a.shape) for name, a in theirs.state_dict().items()
    }
    a, b = (rng.normal(size=(*more, size)).astype(dtype) for size in features[:2])
    compare(ours, theirs, [a, b], parameters=with_numbers(ours, theirs, rng), scale=10)


MODES = {"nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,), "bilinear": (2,),
         "bicubic": (2,), "trilinear": (3,)}  # fmt: skip


@pytest.mark.parametrize(("mode", "axes"), [(mode, axes) for mode, numbers in MODES.items() for axes in numbers])
@given(data=st.data(), dtype=dtypes, seed=seeds, by_factor=st.booleans())
def test_upsample(mode: str, axes: int, data: st.DataObject, dtype: Any, seed: int, by_factor: bool) -> None:
    def each(values: Any) -> tuple[Any, ...]:
        return data.draw(st.tuples(*[values] * axes))

    sizes_of_axes = each(st.integers(2, 7))
    options: dict[str, Any] = {"mode": mode}
    if "linear" in mode or mode == "bicubic":
        options["align_corners"] = data.draw(st.sampled_from([None, False, True]), "align_corners")
    if by_factor:
        options["scale_factor"] = each(st.sampled_from([0.5, 0.7, 1.0, 1.5, 2.0, 2.6, 3.0]))
    else:
        options["size"] = each(st.integers(1, 12))
    x = np.random.default_rng(seed).normal(size=(2, 3, *sizes_of_axes)).astype(dtype)
    ours, theirs = nn.Upsample(**options), torch.nn.functional.interpolate
    y = theirs(torch.tensor(x), **options)
    close(ours(x), y)
    same = np.equal(x.shape[2:], y.shape[2:])
    if by_factor and any(same & (np.array(options["scale_factor"]) != 1)):
        return  # then PyTorch's gradient is not that of its values
    compare(ours, partial(theirs, **options), [x])


@given(data=st.data(), shape=st.lists(st.integers(0, 3), min_size=1, max_size=4), seed=seeds)
def test_flatten(data: st.DataObject, shape: list[int], seed: int) -> None:
    start = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(start, len(shape) - 1))
    for ends in ((start, end), (start - len(shape), end - len(shape))):
        compare(nn.Flatten(*ends), torch.nn.Flatten(*ends), [np.random.default_rng(seed).normal(size=shape)])


# --- normalisation ---------------------------------------------------------------------------------------------------


def with_numbers(ours: Any, theirs: Any, rng: Any) -> Any:
    """The parameters of both, made the same and not alike."""
    own, foreign = ours.parameters(), list(theirs.parameters())
    for a, b in zip(own, foreign, strict=True):
        a.data[...] = rng.normal(size=a.shape)
        b.data.copy_(torch.tensor(a.data))
    return own, foreign


@given(
    kind=st.sampled_from(["BatchNorm1d", "BatchNorm2d"]),
    dtype=dtypes,
    seed=seeds,
    batch=st.integers(2, 4),
    channels=sizes,
    places=st.tuples(sizes, sizes),
    sequence=st.booleans(),
    eps=st.sampled_from([1e-5, 0.1]),
    momentum=st.sampled_from([None, 0.1, 0.0, 1.0]),
    affine=st.booleans(),
    track=st.booleans(),
)
def test_batch_norm(
    kind: str, dtype: Any, seed: int, batch: int, channels: int, places: tuple[int, int], sequence: bool, eps: float,
    momentum: float | None, affine: bool, track: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    shape = (batch, channels, *(places if kind == "BatchNorm2d" else places[:sequence]))
    options = {"eps": eps, "momentum": momentum, "affine": affine, "track_running_stats": track}
    ours = getattr(nn, kind)(channels, **options, dtype=dtype)
    theirs = getattr(torch.nn, kind)(channels, **options, dtype=torch.tensor(np.ones(1, dtype)).dtype)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    parameters = with_numbers(ours, theirs, rng)
    for training in (True, True, False, True, False):
        ours.train(training)
        theirs.train(training)
        x = (rng.uniform(-1, 1, shape) + 3 * np.arange(batch).reshape(-1, *[1] * (len(shape) - 1))).astype(dtype)
        compare(ours, theirs, [x], parameters=parameters, scale=10)
        for name, state in theirs.state_dict().items():
            close(ours.state_dict()[name], state)


@given(
    dtype=dtypes,
    seed=seeds,
    more=few,
    shape=st.lists(st.integers(2, 4), min_size=1, max_size=2),
    eps=st.sampled_from([1e-5, 0.1]),
    affine=st.booleans(),
    bias=st.booleans(),
    default=st.booleans(),
)
def test_layer_and_rms_norm(
    dtype: Any, seed: int, more: tuple[int, ...], shape: list[int], eps: float, affine: bool, bias: bool, default: bool
) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.uniform(-1, 1, (*more, *shape)) + 3 * np.arange(shape[-1])).astype(dtype)  # no variance near 0
    kind = {"dtype": torch.tensor(x).dtype}
    pairs = [
        (nn.LayerNorm(shape, eps, affine, bias, dtype=dtype), torch.nn.LayerNorm(shape, eps, affine, bias, **kind)),
        (
            nn.RMSNorm(shape, None if default else eps, affine, dtype=dtype),
            torch.nn.RMSNorm(shape, None if default else eps, affine, **kind),
        ),
    ]
    for ours, theirs in pairs:
        compare(ours, theirs, [x], parameters=with_numbers(ours, theirs, rng))


@given(
    dtype=dtypes, seed=seeds, batch=sizes, groups=st.integers(1, 3), each=st.integers(1, 3),
    more=st.lists(st.integers(2, 4), max_size=2), eps=st.sampled_from([1e-5, 0.1]), affine=st.booleans(),
)  # fmt: skip
def test_group_norm(
    dtype: Any, seed: int, batch: int, groups: int, each: int, more: list[int], eps: float, affine: bool
) -> None:
    rng = np.random.default_rng(seed)
    channels, each = groups * each, each * math.prod(more)
    x = rng.uniform(-1, 1, (batch, groups, each)) + 3 * np.arange(each)  # no variance near 0
    x = x.reshape(batch, channels, *more).astype(dtype)
    ours = nn.GroupNorm(groups, channels, eps, affine, dtype=dtype)
    theirs = torch.nn.GroupNorm(groups, channels, eps, affine, dtype=torch.tensor(x).dtype)
    if batch * math.prod(more) == 1:
        return  # PyTorch refuses a single value per channel, as if it were of a batch
    compare(ours, theirs, [x], parameters=with_numbers(ours, theirs, rng), scale=10)


@given(
    kind=st.sampled_from(["InstanceNorm1d", "InstanceNorm2d"]), dtype=dtypes, seed=seeds, batch=sizes, channels=sizes,
    places=st.tuples(sizes, st.integers(2, 5)), eps=st.sampled_from([1e-5, 0.1]),
    momentum=st.sampled_from([0.1, 0.0, 1.0]), affine=st.booleans(), track=st.booleans(),
)  # fmt: skip
def test_instance_norm(
    kind: str, dtype: Any, seed: int, batch: int, channels: int, places: tuple[int, int], eps: float, momentum: float,
    affine: bool, track: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    shape = (batch, channels, *(places if kind == "InstanceNorm2d" else places[1:]))
    options = {"eps": eps, "momentum": momentum, "affine": affine, "track_running_stats": track}
    ours = getattr(nn, kind)(channels, **options, dtype=dtype)
    theirs = getattr(torch.nn, kind)(channels, **options, dtype=torch.tensor(np.ones(1, dtype)).dtype)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    parameters = with_numbers(ours, theirs, rng)
    for training in (True, True, False, True, False):
        ours.train(training)
        theirs.train(training)
        x = (rng.uniform(-1, 1, shape) + 3 * np.arange(shape[-1])).astype(dtype)
        compare(ours, theirs, [x], parameters=parameters, scale=10)
        for name, state in theirs.state_dict().items():
            if name != "num_batches_tracked":  # which PyTorch leaves at 0
                close(ours.state_dict()[name], state)


@pytest.mark.parametrize("shape", [(3, 5), (8, 3, 5), (8, 3, 5, 2)])
def test_fans(shape: tuple[int, ...]) -> None:
    theirs = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape if len(shape) > 2 else shape[::-1]))
    assert init.fans(shape) == theirs

"""Empty batches, sequences, images and channels in layers, losses and optimisers: an identity, or one clear error."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import (
    Tensor,
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    binary_cross_entropy_with_logits,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    cross_entropy,
    fold,
    grad,
    huber_loss,
    kl_div,
    l1_loss,
    log_softmax,
    logsumexp,
    max_pool1d,
    max_pool2d,
    mse_loss,
    nll_loss,
    nn,
    optim,
    pixel_shuffle,
    pixel_unshuffle,
    softmax,
    unfold,
)  # fmt: skip
from tinygrad_np.ops.products import linear

import numpy as np
import pytest


def leaf(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(0).normal(size=shape).astype(np.float32), requires_grad=True)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def check(function: Callable[..., Any], *inputs: Tensor) -> list[Tensor]:
    """The outputs; gradients of first and second order have the shapes of the inputs, and no number in them is NaN."""
    results = function(*inputs)
    outputs: list[Tensor] = []
    for y in results if isinstance(results, tuple) else [results]:
        outputs += [part for part in (y if isinstance(y, tuple) else [y]) if type(part) is Tensor]
    slopes = grad(outputs, inputs, [np.ones(y.shape) for y in outputs], create_graph=True)
    again = grad(slopes, inputs, [np.ones(g.shape) for g in slopes])
    for found in (slopes, again):
        assert [(g.shape, g.dtype) for g in found] == [(x.shape, x.dtype) for x in inputs]
        assert not any(np.isnan(g.data).any() for g in found)
    return outputs


FUNCTIONS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]], tuple[int, ...]]] = {
    "linear of no features": (lambda x, w, b: linear(x, w, b), [(3, 3, 0), (0, 2), (2,)], (3, 3, 2)),
    "linear without a bias": (lambda x, w: linear(x, w, None), [(3, 3, 0), (0, 1)], (3, 3, 1)),
    "linear of an empty batch": (lambda x, w, b: linear(x, w, b), [(0, 3, 4), (4, 2), (2,)], (0, 3, 2)),
    "linear to no features": (lambda x, w, b: linear(x, w, b), [(2, 3, 4), (4, 0), (0,)], (2, 3, 0)),
    "conv2d of no channels": (conv2d, [(2, 0, 4, 4), (3, 0, 2, 2), (3,)], (2, 3, 3, 3)),
    "conv2d of no channels in groups": (
        lambda x, w: conv2d(x, w, groups=3, padding=1), [(2, 0, 4, 4), (3, 0, 2, 2)], (2, 3, 5, 5)
    ),
    "conv2d to no channels": (conv2d, [(2, 2, 4, 4), (0, 2, 2, 2), (0,)], (2, 0, 3, 3)),
    "conv2d of an empty batch": (conv2d, [(0, 2, 4, 4), (3, 2, 2, 2), (3,)], (0, 3, 3, 3)),
    "conv2d of padding alone": (lambda x, w: conv2d(x, w, padding=1), [(2, 2, 0, 4), (3, 2, 2, 2)], (2, 3, 1, 5)),
    "conv3d of an empty batch": (conv3d, [(0, 2, 3, 3, 3), (3, 2, 2, 2, 2), (3,)], (0, 3, 2, 2, 2)),
    "conv_transpose2d of no channels": (conv_transpose2d, [(2, 0, 4, 4), (0, 3, 2, 2), (3,)], (2, 3, 5, 5)),
    "conv_transpose2d to no channels": (conv_transpose2d, [(2, 2, 4, 4), (2, 0, 2, 2), (0,)], (2, 0, 5, 5)),
    "conv_transpose2d of an empty batch": (
        lambda x, w, b: conv_transpose2d(x, w, b, stride=3), [(0, 2, 4, 4), (2, 3, 2, 2), (3,)], (0, 3, 11, 11)
    ),
    "conv_transpose1d of an empty batch": (conv_transpose1d, [(0, 2, 4), (2, 3, 2)], (0, 3, 5)),
    "unfold of an empty batch": (lambda x: unfold(x, 2), [(0, 2, 4, 4)], (0, 8, 9)),
    "unfold of no channels": (lambda x: unfold(x, 2), [(2, 0, 4, 4)], (2, 0, 9)),
    "fold of an empty batch": (lambda x: fold(x, 4, 2), [(0, 8, 9)], (0, 2, 4, 4)),
    "fold of no channels": (lambda x: fold(x, 4, 2), [(2, 0, 9)], (2, 0, 4, 4)),
    "pixel_shuffle of no channels": (lambda x: pixel_shuffle(x, 2), [(2, 0, 4, 4)], (2, 0, 8, 8)),
    "pixel_unshuffle of an empty batch": (lambda x: pixel_unshuffle(x, 2), [(0, 3, 4, 4)], (0, 12, 2, 2)),
    "adaptive_max_pool2d of an empty batch": (lambda x: adaptive_max_pool2d(x, 3), [(0, 2, 4, 4)], (0, 2, 3, 3)),
    "adaptive_avg_pool2d of no channels": (lambda x: adaptive_avg_pool2d(x, 3), [(2, 0, 4, 4)], (2, 0, 3, 3)),
    "max_pool1d of an empty batch": (lambda x: max_pool1d(x, 2, ceil_mode=True), [(0, 2, 5)], (0, 2, 3)),
    "avg_pool1d of no channels": (lambda x: avg_pool1d(x, 2, ceil_mode=True), [(2, 0, 5)], (2, 0, 3)),
    "conv1d of no channels": (conv1d, [(2, 0, 4), (3, 0, 2)], (2, 3, 3)),
    "conv1d of an empty batch": (conv1d, [(0, 2, 4), (3, 2, 2)], (0, 3, 3)),
    "max_pool2d of an empty batch": (lambda x: max_pool2d(x, 2), [(0, 2, 4, 4)], (0, 2, 2, 2)),
    "max_pool2d of no channels": (lambda x: max_pool2d(x, 2, padding=1), [(2, 0, 4, 4)], (2, 0, 3, 3)),
    "avg_pool2d of an empty batch": (lambda x: avg_pool2d(x, 2), [(0, 2, 4, 4)], (0, 2, 2, 2)),
    "avg_pool2d of no channels": (
        lambda x: avg_pool2d(x, 2, padding=1, count_include_pad=False), [(2, 0, 4, 4)], (2, 0, 3, 3)
    ),
    "softmax of no classes": (softmax, [(2, 0)], (2, 0)),
    "softmax of no rows": (softmax, [(0, 2)], (0, 2)),
    "softmax of a number": (softmax, [()], ()),
    "log_softmax of no classes": (log_softmax, [(2, 0)], (2, 0)),
    "log_softmax of a number": (log_softmax, [()], ()),
    "logsumexp of no elements": (lambda x: logsumexp(x, axis=0), [(0, 3)], (3,)),
    "attention without keys": (nn.scaled_dot_product_attention, [(2, 4), (0, 4), (0, 3)], (2, 3)),
    "attention without queries": (nn.scaled_dot_product_attention, [(0, 4), (2, 4), (2, 3)], (0, 3)),
    "attention of an empty batch": (nn.scaled_dot_product_attention, [(0, 2, 4), (0, 3, 4), (0, 3, 5)], (0, 2, 5)),
    "sums of losses of an empty batch": (
        lambda x: sum(f(x, np.zeros((0, 3)), reduction="sum") for f in LOSSES), [(0, 3)], ()
    ),
    "losses of an empty batch": (
        lambda x: sum(f(x, np.zeros((0, 3)), reduction="none") for f in LOSSES), [(0, 3)], (0, 3)
    ),
    "sum of cross-entropy": (lambda x: cross_entropy(x, np.zeros(0, int), reduction="sum"), [(0, 3)], ()),
    "cross-entropy of each": (lambda x: cross_entropy(x, np.zeros((2, 0), int), reduction="none"), [(2, 3, 0)], (2, 0)),
    "cross-entropy of no classes": (lambda x: cross_entropy(x, np.zeros(0, int), reduction="sum"), [(0, 0)], ()),
    "sum of nll_loss": (lambda x: nll_loss(x, np.zeros(0, int), reduction="sum"), [(0, 3)], ()),
}  # fmt: skip
LOSSES = (mse_loss, l1_loss, huber_loss, binary_cross_entropy_with_logits, kl_div)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_empty_arrays(name: str) -> None:
    function, shapes, expected = FUNCTIONS[name]
    (y,) = check(function, *(leaf(*shape) for shape in shapes))
    assert y.shape == expected


def test_sums_over_nothing_are_0_and_their_logarithm_is_minus_infinity() -> None:
    bias = leaf(3)
    y = conv2d(leaf(2, 0, 4, 4), leaf(3, 0, 2, 2), bias)
    np.testing.assert_array_equal(y.data, np.broadcast_to(bias.data[:, np.newaxis, np.newaxis], y.shape))
    assert not linear(leaf(3, 3, 0), leaf(0, 1), None).data.any()
    assert not nn.scaled_dot_product_attention(leaf(2, 4), leaf(0, 4), leaf(0, 3)).data.any()
    assert logsumexp(leaf(0)).data == -np.inf
    assert softmax(leaf()).data == 1
    assert log_softmax(leaf()).data == 0


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(3, 2, rng=rng()), (2, 0, 3)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3).eval(), (0, 3)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3).eval(), (2, 3, 0, 2)),
    "GroupNorm": (lambda: nn.GroupNorm(3, 6), (0, 6, 2)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(3), (0, 3, 2, 2)),
    "LayerNorm": (lambda: nn.LayerNorm(3), (2, 0, 3)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2), (0, 3, 2, 2)),
    "GLU": (nn.GLU, (0, 4)),
    "PReLU": (nn.PReLU, (0, 4)),
    "Hardswish": (nn.Hardswish, (0, 4)),
    "Mish": (nn.Mish, (0, 4)),
    "Dropout2d": (lambda: nn.Dropout2d(0.5, rng=rng()), (0, 3, 2, 2)),
    "RMSNorm": (lambda: nn.RMSNorm(3), (0, 3)),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 2, rng=rng()), (0, 2, 4, 4)),
    "Conv1d": (lambda: nn.Conv1d(2, 3, 2, rng=rng()), (0, 2, 4)),
    "Flatten": (nn.Flatten, (0, 2, 3)),
    "Flatten of no rows": (nn.Flatten, (2, 0, 3)),
    "Dropout": (lambda: nn.Dropout(0.5, rng=rng()), (0, 3)),
    "RNN": (lambda: nn.RNN(3, 2, rng=rng()), (4, 0, 3)),
    "GRU": (lambda: nn.GRU(3, 2, rng=rng()), (4, 0, 3)),
    "LSTM": (lambda: nn.LSTM(3, 2, rng=rng()), (4, 0, 3)),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(4, 2, rng=rng()), (0, 3, 4)),
    "MultiheadAttention of no steps": (lambda: nn.MultiheadAttention(4, 2, rng=rng()), (2, 0, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_empty_arrays(name: str) -> None:
    make, shape = LAYERS[name]
    layer, x = make(), leaf(*shape)
    given = 3 if name.startswith("Multihead") else 1
    outputs = check(lambda x, *_: layer(*[x] * given), x, *layer.parameters())
    assert 0 in outputs[0].shape


@pytest.mark.parametrize("indices", [[], np.zeros(0, int), np.zeros((2, 0), int)])
def test_embedding_of_no_indices(indices: Any) -> None:
    embedding = nn.Embedding(5, 3, rng=rng())
    (y,) = check(lambda _: embedding(indices), embedding.weight)
    assert y.shape == (*np.shape(indices), 3)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "conv2d of empty images": (lambda: conv2d(leaf(2, 2, 0, 4), leaf(3, 2, 2, 2)), r"does not fit into .* \(0, 4\)"),
    "conv2d by an empty kernel": (lambda: conv2d(leaf(2, 2, 4, 4), leaf(3, 2, 0, 2)), r"kernel_size .* not \(0, 2\)"),
    "max_pool2d": (lambda: max_pool2d(leaf(2, 2, 0, 4), 2, padding=1), r"at least one pixel, .* \(0, 4\)"),
    "avg_pool2d": (lambda: avg_pool2d(leaf(2, 2, 4, 0), 2, padding=1), r"at least one pixel, .* \(4, 0\)"),
    "attention of no features": (
        lambda: nn.scaled_dot_product_attention(leaf(2, 0), leaf(3, 0), leaf(3, 2)), r"one feature, .* \(2, 0\)"
    ),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3)(leaf(0, 3)), "needs at least 2 values per channel, not 0"),
    "RNN": (lambda: nn.RNN(3, 2, rng=rng())(leaf(0, 4, 3)), r"at least one step, not \(0, 4, 3\)"),
    "LSTM": (lambda: nn.LSTM(3, 2, rng=rng())(leaf(0, 4, 3)), r"at least one step, not \(0, 4, 3\)"),
    "cross_entropy": (lambda: cross_entropy(leaf(0, 3), np.zeros(0, int)), r"batch at least 1, not \(0,\)"),
    "nll_loss": (lambda: nll_loss(leaf(2, 3, 0), np.zeros((2, 0), int)), r"batch at least 1, not \(2, 0\)"),
    "kl_div": (lambda: kl_div(leaf(0, 3), np.zeros((0, 3)), reduction="batchmean"), r"at least 1 .* \(0, 3\)"),
    **{
        loss.__name__: (lambda loss=loss: loss(leaf(0, 3), np.zeros((0, 3))), r"undefined for the empty shape \(0, 3\)")
        for loss in LOSSES
    },
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_identity_is_refused_by_the_empty_axis(name: str) -> None:
    call, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
@pytest.mark.parametrize(
    "make",
    [
        lambda w: optim.SGD(w, lr=0.1),
        lambda w: optim.SGD(w, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        lambda w: optim.Adam(w, lr=0.1, weight_decay=0.1),
        lambda w: optim.AdamW(w, lr=0.1),
        lambda w: optim.RMSprop(w, lr=0.1, momentum=0.9),
        lambda w: optim.Adagrad(w, lr=0.1),
        lambda w: optim.Muon(w, lr=0.1),
    ],
)
def test_optimizers_pass_over_a_parameter_of_size_0(
    make: Callable[[list[Tensor]], Any], shape: tuple[int, int]
) -> None:
    empty, other = leaf(*shape), leaf(2, 2)
    before = other.data.copy()
    optimizer = make([empty, other])
    for _ in range(2):
        optimizer.minimize((empty * empty).sum() + (other * other).sum())
    assert empty.shape == shape
    assert np.isfinite(other.data).all()
    assert not np.array_equal(other.data, before)
    (empty * empty).sum().backward()
    assert optim.clip_grad_norm([empty], 1.0) == 0

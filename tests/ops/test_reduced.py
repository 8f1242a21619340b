"""What losses have in common: reductions, dtypes, layers with the same options, and what is refused.

Their derivatives are proved from the cases of the registry, and compared with PyTorch's in tests/oracle.
"""

from collections.abc import Callable
from typing import Any

import tinygrad_np
from tinygrad_np import Tensor, cosine_similarity, grad, nn, normalize, pairwise_distance

import numpy as np
import pytest

RNG = np.random.default_rng(0)
X, Y, Z = RNG.normal(size=(3, 4, 3))
SIGNS = np.array([[1, -1, 1], [-1, -1, 1], [1, 1, -1], [-1, 1, 1]])
OF_ROWS, LABELS = np.array([1, -1, -1, 1]), np.array([0, 2, 1, 1])
VAR, COUNTS, MASK = np.square(Z) + 0.1, np.array([[0, 1, 2], [3, 1, 0], [4, 0, 9], [1, 1, 1]]), SIGNS > 0
MAPS, OF_MAPS = RNG.uniform(0, 1, (2, 3, 4)), RNG.integers(0, 2, (2, 3, 4))

# By layer: its function, the arguments, options that are not the defaults, and the shape of the losses.
LOSSES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = {
    "SmoothL1Loss": ("smooth_l1_loss", (X, Y), {"beta": 0.3}, (4, 3)),
    "PoissonNLLLoss": ("poisson_nll_loss", (np.abs(X), COUNTS), {"log_input": False, "full": True, "eps": 0.1}, (4, 3)),
    "GaussianNLLLoss": ("gaussian_nll_loss", (X, Y, VAR), {"full": True, "eps": 0.5}, (4, 3)),
    "HingeLoss": ("hinge_loss", (X, SIGNS), {"p": 2, "margin": 0.4}, (4, 3)),
    "HingeEmbeddingLoss": ("hinge_embedding_loss", (X, SIGNS), {"margin": 0.4}, (4, 3)),
    "SoftMarginLoss": ("soft_margin_loss", (X, SIGNS), {}, (4, 3)),
    "MarginRankingLoss": ("margin_ranking_loss", (X, Y, SIGNS), {"margin": 0.4}, (4, 3)),
    "MultiMarginLoss": ("multi_margin_loss", (X, LABELS), {"p": 2, "margin": 0.4, "weight": np.arange(3.0)}, (4,)),
    "SigmoidFocalLoss": ("sigmoid_focal_loss", (X, MASK), {"alpha": 0.6, "gamma": 1.5}, (4, 3)),
    "SoftmaxFocalLoss": (
        "softmax_focal_loss", (X, LABELS), {"alpha": np.arange(3.0), "gamma": 1.5, "ignore_index": 1}, (4,)
    ),
    "DiceLoss": ("dice_loss", (MAPS, OF_MAPS), {"smooth": 0.2, "squared": True}, (2, 3)),
    "CosineEmbeddingLoss": ("cosine_embedding_loss", (X, Y, OF_ROWS), {"margin": 0.2}, (4,)),
    "TripletMarginLoss": (
        "triplet_margin_loss", (X, Y, Z), {"margin": 0.6, "p": 1.0, "eps": 0.1, "swap": True}, (4,)
    ),
    "NTXentLoss": ("nt_xent_loss", (X, Y), {"temperature": 0.2}, (8,)),
}  # fmt: skip
every_loss = pytest.mark.parametrize("layer", LOSSES)


def parts(layer: str) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], tuple[int, ...]]:
    name, arguments, options, shape = LOSSES[layer]
    return getattr(tinygrad_np, name), arguments, options, shape


@every_loss
def test_layers_pass_their_options_on_and_print_them(layer: str) -> None:
    function, arguments, options, _ = parts(layer)
    for reduction in ("mean", "sum", "none"):
        built = getattr(nn, layer)(**options, reduction=reduction)
        expected = function(*arguments, **options, reduction=reduction)
        np.testing.assert_array_equal(built(*arguments), expected)
        assert not options or not np.array_equal(expected, function(*arguments, reduction=reduction))
    assert repr(getattr(nn, layer)()) == f"{layer}()"
    assert all(f"{name}=" in repr(built) for name in options)


@every_loss
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_is_that_of_the_first_argument_and_the_shape_that_of_the_reduction(layer: str, dtype: type) -> None:
    function, (x, *others), options, shape = parts(layer)
    for given in ({}, options):
        losses = function(x.astype(dtype), *others, **given, reduction="none")
        assert (losses.shape, losses.dtype) == (shape, dtype)
        for reduction, reduce in (("mean", np.mean), ("sum", np.sum)):
            if layer == "SoftmaxFocalLoss" and given and reduction == "mean":
                continue  # over the labels that are not ignored
            leaf = Tensor(x.astype(dtype), requires_grad=True)
            y = function(leaf, *others, **given, reduction=reduction)
            assert (y.shape, y.dtype) == ((), dtype)
            assert grad(y, leaf).dtype == dtype
            wide = losses.astype(np.float64)
            np.testing.assert_allclose(y.data, reduce(wide), rtol=20 * np.finfo(dtype).eps)


@every_loss
def test_what_does_not_fit_is_refused_by_name(layer: str) -> None:
    function, (x, second, *others), _, _ = parts(layer)
    name = function.__name__
    with pytest.raises(TypeError, match=f"{name}: .* must be floating point, not int64"):
        function(x.astype(int), second, *others)
    with pytest.raises((ValueError, TypeError), match=f"^{name}"):
        function(x, second[:1], *others)
    with pytest.raises(ValueError, match=f"{name}: reduction must be .* not 'batchmean'; write 'sum' and divide by"):
        function(x, second, *others, reduction="batchmean")
    with pytest.raises(ValueError, match=f"{name}: reduction must be .* not 'avg'; write 'mean'"):
        function(x, second, *others, reduction="avg")
    with pytest.raises(ValueError, match=f"{layer}: reduction must be 'mean'"):
        getattr(nn, layer)(reduction="no")
    with pytest.raises(TypeError, match=f"{name}.*; write reduction="):
        function(x, second, *others, size_average=True)


@every_loss
def test_of_nothing_the_mean_is_refused_and_the_sum_is_0(layer: str) -> None:
    function, arguments, _, _ = parts(layer)
    nothing = [a[:0] for a in arguments]
    with pytest.raises(ValueError, match=f"{function.__name__}: (the mean|expected views)"):
        function(*nothing)
    if layer != "NTXentLoss":
        assert function(*nothing, reduction="sum").item() == 0
        assert function(*nothing, reduction="none").size == 0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tinygrad_np.hinge_loss(X, MASK), ValueError, "targets must be 1 or -1, not 0.0; write 2 . targets"),
        (lambda: tinygrad_np.hinge_loss(X, SIGNS * 2), ValueError, "targets must be 1 or -1, not 2.0$"),
        (lambda: tinygrad_np.hinge_loss(X, SIGNS, p=3), ValueError, "hinge_loss: p must be 1 or 2, not 3"),
        (
            lambda: tinygrad_np.hinge_loss(X, Tensor(SIGNS * 1.0, requires_grad=True)), TypeError,
            r"hinge_loss is not differentiable in targets: pass the Tensor's .detach\(\)",
        ),
        (lambda: tinygrad_np.soft_margin_loss(X, SIGNS.T), ValueError, r"must have shape \(4, 3\), not \(3, 4\)"),
        (lambda: tinygrad_np.margin_ranking_loss(X, Y.T, SIGNS), ValueError, "first and second must have the same"),
        (lambda: tinygrad_np.multi_margin_loss(X, LABELS + 1), ValueError, "multi_margin_loss: labels must be from 0"),
        (lambda: tinygrad_np.multi_margin_loss(X[0], 1), ValueError, r"must have shape \(batch, classes\)"),
        (lambda: tinygrad_np.multi_margin_loss(X, LABELS, weight=[1, 2]), ValueError, r"weight must have shape \(3,\)"),
        (lambda: tinygrad_np.smooth_l1_loss(X, Y, beta=-1), ValueError, "beta must be at least 0.*, not -1"),
        (lambda: tinygrad_np.poisson_nll_loss(X, Y, eps=0), ValueError, "eps must be above 0"),
        (lambda: tinygrad_np.poisson_nll_loss(X, Y, full=1), ValueError, "full must be True or False, not 1"),
        (lambda: tinygrad_np.gaussian_nll_loss(X, Y, -VAR), ValueError, "var must be at least 0, not -"),
        (lambda: tinygrad_np.gaussian_nll_loss(X, Y, VAR[:, 0]), ValueError, r"write var\[..., np.newaxis\]"),
        (lambda: tinygrad_np.sigmoid_focal_loss(X, X), ValueError, "targets must be 0 or 1, not "),
        (lambda: tinygrad_np.sigmoid_focal_loss(X, MASK, alpha=2), ValueError, "alpha must be from 0 to 1, not 2"),
        (lambda: tinygrad_np.sigmoid_focal_loss(X, MASK, gamma=-1), ValueError, "gamma must be at least 0"),
        (lambda: tinygrad_np.softmax_focal_loss(X, LABELS, alpha=[1, 2]), ValueError, r"alpha must have shape \(3,\)"),
        (
            lambda: tinygrad_np.softmax_focal_loss(X, np.full(4, -100)), ValueError,
            "softmax_focal_loss: the mean is undefined: every label is ignored",
        ),
        (lambda: tinygrad_np.softmax_focal_loss(X, X), ValueError, "softmax_focal_loss: labels must be integers"),
        (lambda: tinygrad_np.dice_loss(MAPS, OF_MAPS, smooth=0), ValueError, "smooth must be above 0"),
        (lambda: tinygrad_np.dice_loss(MAPS, OF_MAPS[:, 0] + 3), ValueError, "targets must be from 0 to 2"),
        (lambda: tinygrad_np.dice_loss(MAPS[0, 0], OF_MAPS[0, 0]), ValueError, r"shape \(batch, classes, ...\), not"),
        (lambda: tinygrad_np.cosine_embedding_loss(X, Y, OF_ROWS, margin=2), ValueError, "margin must be from -1 to 1"),
        (lambda: tinygrad_np.triplet_margin_loss(X, Y, Z, margin=-1), ValueError, "margin must be at least 0"),
        (lambda: tinygrad_np.triplet_margin_loss(X, Y, Z[0]), ValueError, "anchor and negative must have the same"),
        (lambda: tinygrad_np.nt_xent_loss(X, Y, temperature=0), ValueError, "temperature must be above 0"),
        (lambda: tinygrad_np.nt_xent_loss(X[0], Y[0]), ValueError, r"views of shape \(batch, features\)"),
        (lambda: cosine_similarity(X, Y[:3]), ValueError, "cosine_similarity: x of shape .* do not broadcast"),
        (lambda: cosine_similarity(X, Y[:, :1]), ValueError, "vectors must have one length along the axis"),
        (lambda: cosine_similarity(X, Y, axis=2), ValueError, "axis 2 is not one of the 2 axes of shape"),
        (lambda: cosine_similarity(X, Y, dim=1), TypeError, "cosine_similarity.*'dim'; write axis="),
        (lambda: normalize(X, p=0), ValueError, "normalize: p must be above 0"),
        (lambda: normalize([1.0, 2.0]), TypeError, "normalize: x must be a floating point array or Tensor"),
        (lambda: normalize(np.array(1.0)), ValueError, "axis -1 is not one of the 0 axes"),
        (lambda: pairwise_distance(X, 1.0), ValueError, "expected vectors along the last axis"),
        (lambda: nn.TripletMarginLoss(p=-1), ValueError, "TripletMarginLoss: p must be above 0"),
        (lambda: nn.SoftmaxFocalLoss(alpha=1.0), ValueError, r"SoftmaxFocalLoss: alpha must have shape \(classes,\)"),
        (lambda: nn.HingeLoss(p=1.5), ValueError, "HingeLoss: p must be 1 or 2, not 1.5"),
        (lambda: nn.CosineSimilarity(eps=0), ValueError, "CosineSimilarity: eps must be above 0"),
        (lambda: nn.NTXentLoss(tau=0.1), TypeError, "NTXentLoss.*'tau'; write temperature="),
    ],
)  # fmt: skip
def test_what_is_impossible_is_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()

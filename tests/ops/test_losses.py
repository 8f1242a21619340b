"""Losses, as functions and as layers: derivatives, dtypes, what is singular, and what is refused."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import (
    Tensor,
    binary_cross_entropy_with_logits,
    cross_entropy,
    func,
    grad,
    huber_loss,
    kl_div,
    l1_loss,
    log_softmax,
    mse_loss,
    nll_loss,
    nn,
)
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

OF_CLASSES = [nn.CrossEntropyLoss, nn.NLLLoss]
OF_NUMBERS = [nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.BCEWithLogitsLoss, nn.KLDivLoss]
EVERY = OF_CLASSES + OF_NUMBERS
REDUCTIONS = ["mean", "sum", "none"]
LOGITS, LABELS = np.random.default_rng(0).normal(size=(6, 3)), np.array([0, 2, 1, 1, 0, 2])
X, Y = np.random.default_rng(1).normal(size=(2, 4, 3))
PROBABILITIES = np.random.default_rng(2).uniform(0.1, 0.9, (4, 3))


# --- of classes ------------------------------------------------------------------------------------------------------


@given(
    reduction=st.sampled_from(REDUCTIONS),
    smoothing=st.floats(0, 1),
    ignore_index=st.sampled_from([-100, -1, 0, 2]),
    weight=st.sampled_from([None, [0.5, 2.0, 0.0]]),
    images=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_derivatives_of_losses_of_classes(
    reduction: str, smoothing: float, ignore_index: int, weight: Any, images: bool, seed: int
) -> None:
    logits = np.random.default_rng(seed).normal(size=(2, 3, 2, 2) if images else (4, 3))
    labels = np.array([[[0, 1], [2, 1]], [[1, 0], [1, 2]]]) if images else np.array([1, 0, 2, 1])
    options = {"reduction": reduction, "ignore_index": ignore_index}
    entropy = nn.CrossEntropyLoss(weight, label_smoothing=smoothing, **options)
    check_gradients(lambda x: entropy(x, labels), logits, order=2)
    check_gradients(lambda x: nn.NLLLoss(weight, **options)(x, labels), logits, order=2)


def test_the_fused_cross_entropy_is_the_one_with_options() -> None:
    x = Tensor(LOGITS, requires_grad=True)
    fast, slow = cross_entropy(x, LABELS), cross_entropy(x, LABELS, reduction="sum") / 6
    assert fast.item() == pytest.approx(slow.item(), rel=1e-14)
    np.testing.assert_allclose(grad(fast, x).data, grad(slow, x).data, rtol=0, atol=1e-15)
    each = cross_entropy(x, LABELS, reduction="none")
    assert each.shape == (6,)
    assert each.data.mean() == pytest.approx(fast.item(), rel=1e-14)
    assert nll_loss(log_softmax(x), LABELS).item() == pytest.approx(fast.item(), rel=1e-14)


def test_classes_are_along_axis_1() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 3, 4, 5))
    labels = rng.integers(0, 3, (2, 4, 5))
    rows = np.moveaxis(images, 1, -1).reshape(-1, 3)
    assert cross_entropy(Tensor(images), labels).item() == pytest.approx(cross_entropy(rows, labels.ravel()).item())
    assert cross_entropy(Tensor(images), labels, reduction="none").shape == labels.shape


def test_label_smoothing_and_weights_are_those_of_the_definition() -> None:
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    smooth = 0.7 * np.eye(3)[LABELS] + 0.1
    found = cross_entropy(LOGITS, LABELS, label_smoothing=0.3)
    assert found.item() == pytest.approx(-(smooth * log_p).sum(axis=1).mean())
    weight = np.array([1.0, 2.0, 3.0])
    own = weight[LABELS]
    found = cross_entropy(LOGITS, LABELS, weight=weight)
    assert found.item() == pytest.approx(-(own * log_p[np.arange(6), LABELS]).sum() / own.sum())


@pytest.mark.parametrize(("label", "options"), [(-100, {}), (2, {"ignore_index": 2})])
@pytest.mark.parametrize("loss", [cross_entropy, nll_loss])
def test_an_ignored_label_does_not_count(loss: Callable[..., Any], label: int, options: dict[str, int]) -> None:
    x = Tensor(LOGITS, requires_grad=True)
    some = np.where(LABELS == 2, label, LABELS)
    kept = LABELS != 2
    found = loss(x, some, **options)
    assert found.item() == pytest.approx(loss(LOGITS[kept], LABELS[kept]).item(), rel=1e-14)
    gradient = grad(found, x).data
    assert not gradient[~kept].any()
    assert gradient[kept].any()
    assert loss(x, some, reduction="none", **options).data[~kept].tolist() == [0, 0]


@pytest.mark.parametrize("loss", [cross_entropy, nll_loss])
def test_a_mean_over_no_labels_raises_and_a_sum_is_zero(loss: Callable[..., Any]) -> None:
    nothing = np.full(6, -100)
    with pytest.raises(ValueError, match=f"{loss.__name__} of .*the mean is undefined: every label is ignored"):
        loss(Tensor(LOGITS), nothing)
    with pytest.raises(ValueError, match="the mean is undefined.*has weight 0"):
        loss(Tensor(LOGITS), np.zeros(6, int), weight=[0.0, 1.0, 1.0])
    assert loss(Tensor(LOGITS), nothing, reduction="sum").item() == 0


def test_an_impossible_class_does_not_count() -> None:
    x = Tensor(np.array([[1.0, -np.inf, 2.0], [0.0, 1.0, -np.inf]]), requires_grad=True)
    expected = cross_entropy(x, [0, 1])
    for loss in (
        cross_entropy(x, [0, 1], reduction="sum") / 2,
        cross_entropy(x, [0, 1], weight=[1.0, 1.0, 0.0]),
        nll_loss(log_softmax(x), [0, 1]),
    ):
        assert loss.item() == pytest.approx(expected.item(), rel=1e-14)
        np.testing.assert_allclose(grad(loss, x, retain_graph=True).data, grad(expected, x, retain_graph=True).data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_of_huge_logits(dtype: type) -> None:
    x = Tensor(np.array([[1e4, -1e4], [1e4, -1e4]], dtype), requires_grad=True)
    each = cross_entropy(x, [0, 1], reduction="none")
    assert each.data.tolist() == [0, 2e4]
    assert grad(each, x, np.ones(2, dtype)).data.tolist() == [[0, 0], [1, -1]]
    assert cross_entropy(x, [0, 1], label_smoothing=0.5).item() == 1e4
    each = binary_cross_entropy_with_logits(x, [[1, 0], [0, 1]], reduction="none")
    assert each.data.tolist() == [[0, 0], [1e4, 1e4]]
    assert grad(each, x, np.ones((2, 2), dtype)).data.tolist() == [[0, 0], [1, -1]]


@pytest.mark.parametrize("loss", [cross_entropy, nll_loss])
@pytest.mark.parametrize(
    ("logits", "labels", "options", "error", "message"),
    [
        (LOGITS, LABELS + 1, {}, ValueError, r"labels must be from 0 to 2 \(3 classes\), not 3"),
        (LOGITS, LABELS - 1, {"reduction": "sum"}, ValueError, "labels must be from 0 to 2 .*, not -1"),
        (LOGITS, LABELS[:5], {}, ValueError, r"of float64\[6, 3\], int64\[5\]: expected .* of shape \(batch, classes"),
        (LOGITS[0], 1, {}, ValueError, "expected .* of shape"),
        (LOGITS, LABELS * 1.0, {}, ValueError, "labels must be integers, not float64"),
        (LOGITS, LABELS, {"reduction": "batchmean"}, ValueError, "reduction must be 'mean', 'sum' or 'none', not 'b"),
        (LOGITS, LABELS, {"weight": [1.0, 2.0]}, ValueError, r"weight must have shape \(3,\), .*, not \(2,\)"),
        (LOGITS, LABELS, {"weight": Tensor([1.0, 2.0, 3.0])}, TypeError, "not differentiable in weight="),
        (LABELS[:, None], LABELS, {}, TypeError, "must be floating point, not int64"),
    ],
)
def test_losses_of_classes_refuse_what_does_not_fit(
    loss: Callable[..., Any], logits: Any, labels: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        loss(Tensor(logits), labels, **options)


def test_cross_entropy_refuses_more_smoothing_than_there_is() -> None:
    with pytest.raises(ValueError, match="label_smoothing must be from 0 to 1, not 1.5"):
        cross_entropy(Tensor(LOGITS), LABELS, label_smoothing=1.5)


# --- of probabilities in the place of labels -------------------------------------------------------------------------

SOFT = np.random.default_rng(3).dirichlet(np.ones(3), 6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weight", [None, [0.5, 2.0, 0.0]])
def test_probabilities_are_the_labels_that_they_stand_for(reduction: str, smoothing: float, weight: Any) -> None:
    options = {"reduction": reduction, "label_smoothing": smoothing, "weight": weight}
    x = Tensor(LOGITS, requires_grad=True)
    hard = cross_entropy(x, LABELS, **options)
    soft = cross_entropy(x, np.eye(3)[LABELS], **options)
    scale = np.sum(np.array(weight)[LABELS]) / 6 if weight and reduction == "mean" else 1  # of the mean over labels
    np.testing.assert_allclose(soft.data, hard.data * scale, rtol=1e-12)
    expected = grad(hard, x, np.ones(hard.shape)).data * scale
    np.testing.assert_allclose(grad(soft, x, np.ones(soft.shape)).data, expected, rtol=1e-12, atol=1e-15)


def test_cross_entropy_of_probabilities_is_its_definition_and_differentiable_in_them() -> None:
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    assert cross_entropy(LOGITS, SOFT).item() == pytest.approx(-(SOFT * log_p).sum() / 6)
    assert cross_entropy(LOGITS, SOFT.tolist()).item() == cross_entropy(LOGITS, SOFT).item()
    x, p = Tensor(LOGITS, requires_grad=True), Tensor(SOFT, requires_grad=True)
    dx, dp = grad(cross_entropy(x, p, reduction="sum"), [x, p])
    np.testing.assert_allclose(dp.data, -log_p)
    np.testing.assert_allclose(dx.data, np.exp(log_p) - SOFT, atol=1e-15)


def test_an_impossible_class_of_probability_0_does_not_count() -> None:
    x = Tensor(np.array([[1.0, -np.inf, 2.0]]), requires_grad=True)
    rest = Tensor(np.array([[1.0, 2.0]]), requires_grad=True)
    loss, expected = cross_entropy(x, [[0.25, 0.0, 0.75]]), cross_entropy(rest, [[0.25, 0.75]])
    assert loss.item() == expected.item()
    dx = grad(loss, x).data
    assert dx[0, 1] == 0
    np.testing.assert_array_equal(dx[:, [0, 2]], grad(expected, rest).data)
    assert cross_entropy(x, [[0.5, 0.5, 0.0]]).item() == np.inf


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("of_targets", [np.float16, np.float64])
def test_cross_entropy_of_probabilities_has_the_dtype_of_the_logits(dtype: type, of_targets: type) -> None:
    for reduction in REDUCTIONS:
        y = cross_entropy(Tensor(LOGITS.astype(dtype)), SOFT.astype(of_targets), weight=[1, 2, 3], reduction=reduction)
        assert y.dtype == dtype


def test_gradients_of_each_example_with_probabilities() -> None:
    def losses(w: Any, x: Any, y: Any) -> Any:
        return cross_entropy(x @ w, y, reduction="none")

    w = np.random.default_rng(4).normal(size=(3, 3))
    found = func.per_example_grad(losses)(w, LOGITS, SOFT)
    alone = [func.grad(lambda w, i=i: losses(w, LOGITS[i : i + 1], SOFT[i : i + 1]).sum())(w) for i in range(6)]
    np.testing.assert_allclose(found, alone)


@pytest.mark.parametrize(
    ("labels", "options", "error", "message"),
    [
        (SOFT, {"ignore_index": 0}, ValueError, "cross_entropy: ignore_index is for labels, not for probabilities"),
        (SOFT, {"ignore_index": 0.5}, ValueError, "cross_entropy: ignore_index must be an integer, not 0.5"),
        (SOFT, {"reduction": "batchmean"}, ValueError, "not 'batchmean'; write 'sum' and divide by the number of ex"),
        (SOFT, {"reduction": None}, ValueError, "not None; write 'none'"),
        (SOFT, {"label_smoothing": 1.5}, ValueError, "label_smoothing must be from 0 to 1, not 1.5"),
        (SOFT, {"weight": [1.0, 2.0]}, ValueError, r"weight must have shape \(3,\), .*, not \(2,\)"),
        (SOFT, {"weight": Tensor([1.0, 2.0, 3.0])}, TypeError, "not differentiable in weight="),
        (SOFT, {"classes": 3}, TypeError, "unexpected keyword argument 'classes'"),
        (SOFT[:, :2], {}, ValueError, r"not float64 of shape \(6, 2\), or probabilities in the .* logits, \(6, 3\)"),
        (
            np.eye(3, dtype=int)[LABELS],
            {},
            ValueError,
            r"write labels.argmax\(axis=1\), or labels.astype\(logits.dtype",
        ),
    ],
)
def test_what_does_not_fit_beside_probabilities(
    labels: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        cross_entropy(Tensor(LOGITS), labels, **options)
    with pytest.raises(ValueError, match=r"cross_entropy: the mean is undefined for the empty shape \(0, 3\)"):
        cross_entropy(Tensor(LOGITS[:0]), SOFT[:0])


# --- of numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "loss",
    [
        mse_loss,
        l1_loss,
        lambda x, y, **o: huber_loss(x, y, delta=0.7, **o),
        lambda x, y, **o: binary_cross_entropy_with_logits(x, y, weight=X[0] ** 2, pos_weight=[[2.0]] * 4, **o),
        lambda x, y, **o: kl_div(x, y, log_target=True, **o),
        lambda x, y, **o: kl_div(x, np.square(y) + 0.1, **o),
    ],
)
def test_derivatives_in_predictions_and_targets(loss: Callable[..., Any], reduction: str) -> None:
    check_gradients(lambda x, y: loss(x, y, reduction=reduction), X, Y, order=2)


def test_binary_cross_entropy_is_its_definition() -> None:
    p, weight, pos_weight = 1 / (1 + np.exp(-X)), np.array([0.5, 1.0, 2.0]), np.array([[3.0]] * 4)
    y = PROBABILITIES
    expected = weight * -(pos_weight * y * np.log(p) + (1 - y) * np.log(1 - p))
    options = {"weight": weight, "pos_weight": pos_weight}
    np.testing.assert_allclose(binary_cross_entropy_with_logits(X, y, reduction="none", **options), expected)
    assert binary_cross_entropy_with_logits(X, y, **options) == pytest.approx(expected.mean())


def test_the_weights_of_binary_cross_entropy_are_differentiable() -> None:
    check_gradients(
        lambda x, y, w, p: binary_cross_entropy_with_logits(x, y, weight=w, pos_weight=p), X, Y, X[0], Y[:, :1], order=2
    )


def test_batchmean_is_the_divergence() -> None:
    p, q = (a / a.sum(axis=1, keepdims=True) for a in (PROBABILITIES, PROBABILITIES[::-1]))
    expected = (p * np.log(p / q)).sum(axis=1).mean()
    for targets, log_target in ((p, False), (np.log(p), True)):
        found = kl_div(Tensor(np.log(q)), targets, reduction="batchmean", log_target=log_target)
        assert found.item() == pytest.approx(expected)


def test_gradients_at_kinks() -> None:
    x = Tensor([1.0, 2.0, 4.0], requires_grad=True)
    assert grad(l1_loss(x, [1.0, 3.0, 3.0], reduction="sum"), x).data.tolist() == [0, -1, 1]
    assert grad(huber_loss(x, [1.0, 3.0, 2.0], reduction="sum"), x).data.tolist() == [0, -1, 1]


def test_a_probability_of_zero() -> None:
    x = Tensor(np.array([-np.inf, -1.0, 0.0]), requires_grad=True)
    p = Tensor(np.array([0.0, 0.0, 1.0]), requires_grad=True)
    losses = kl_div(x, p, reduction="none")
    assert losses.data.tolist() == [0, 0, 0]
    dx, dp = grad(losses, [x, p], np.ones(3))
    assert dx.data.tolist() == [0, 0, -1]
    assert dp.data.tolist() == [-np.inf, -np.inf, 1]
    logs = Tensor(np.array([-np.inf, -np.inf, 0.0]), requires_grad=True)
    losses = kl_div(x, logs, reduction="none", log_target=True)
    assert losses.data.tolist() == [0, 0, 0]
    dx, dlogs = grad(losses, [x, logs], np.ones(3))
    assert dx.data.tolist() == [0, 0, -1]
    assert dlogs.data.tolist() == [0, 0, 1]
    impossible = kl_div(Tensor([-np.inf, 0.0]), [1.0, 0.0], reduction="sum")
    assert impossible.item() == np.inf


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_small_binary_cross_entropies_are_not_lost(reduction: str) -> None:
    x = np.array([-30.0, 30.0], np.float32)
    losses = binary_cross_entropy_with_logits(Tensor(x), [0, 1], pos_weight=1.0, reduction=reduction)
    np.testing.assert_allclose(losses.data, np.exp(-30) * (2 if reduction == "sum" else 1), rtol=1e-6)


@pytest.mark.parametrize("loss", OF_NUMBERS)
@pytest.mark.parametrize(
    "targets", [PROBABILITIES, PROBABILITIES.astype(np.float32), [[1, 0, 1]] * 4, np.ones((4, 3), bool)]
)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_float32_stays_float32_whatever_the_targets(loss: Any, targets: Any, reduction: str) -> None:
    x = Tensor(X.astype(np.float32), requires_grad=True)
    y = loss(reduction=reduction)(x, targets)
    assert y.dtype == np.float32
    assert y.shape == ((4, 3) if reduction == "none" else ())
    for create_graph in (True, False):
        assert grad(y, x, np.ones(y.shape), create_graph=create_graph).dtype == np.float32


@pytest.mark.parametrize("loss", OF_CLASSES)
def test_float32_stays_float32_whatever_the_weights(loss: Any) -> None:
    x = Tensor(LOGITS.astype(np.float32), requires_grad=True)
    for reduction in REDUCTIONS:
        y = loss(np.ones(3), reduction=reduction)(x, LABELS)
        assert y.dtype == np.float32
        for create_graph in (True, False):
            assert grad(y, x, np.ones(y.shape), create_graph=create_graph).dtype == np.float32
    weighed = binary_cross_entropy_with_logits(x, np.ones((6, 3)), weight=np.ones(3), pos_weight=np.ones((6, 1)))
    assert weighed.dtype == np.float32


@pytest.mark.parametrize("loss", [mse_loss, l1_loss, huber_loss, binary_cross_entropy_with_logits, kl_div])
def test_losses_of_numbers_refuse_what_does_not_fit(loss: Callable[..., Any]) -> None:
    name = loss.__name__
    with pytest.raises(ValueError, match=rf"{name}: predictions and targets must .*, not \(4, 1\) and \(4,\)"):
        loss(Tensor(X[:, :1]), X[:, 0])
    with pytest.raises(TypeError, match=f"{name}: predictions must be floating point, not int64"):
        loss(Tensor(np.ones((4, 3), int)), X)
    with pytest.raises(ValueError, match=f"{name}: reduction must be 'mean', .*not 'average'"):
        loss(Tensor(X), np.abs(Y), reduction="average")
    with pytest.raises(ValueError, match=rf"{name}: the mean is undefined for the empty shape \(0, 3\)"):
        loss(Tensor(X[:0]), Y[:0])
    assert loss(Tensor(X[:0]), Y[:0], reduction="sum").item() == 0


def test_options_of_losses_of_numbers_that_are_impossible() -> None:
    for weights in ({"weight": np.ones((5, 4, 3))}, {"pos_weight": np.ones((2, 4, 3))}):
        with pytest.raises(ValueError, match=r"must broadcast to the shape of the logits, \(4, 3\)"):
            binary_cross_entropy_with_logits(Tensor(X), PROBABILITIES, **weights)
    with pytest.raises(ValueError, match="huber_loss: delta must be above 0, not 0"):
        huber_loss(Tensor(X), Y, delta=0)
    for x in (X[:0], np.array(1.0)):
        with pytest.raises(ValueError, match="kl_div: 'batchmean' needs a batch of at least 1"):
            kl_div(Tensor(x), np.ones_like(x), reduction="batchmean")


# --- the layers ------------------------------------------------------------------------------------------------------


def test_layers_pass_their_options_on() -> None:
    of_classes = {"weight": np.array([1.0, 2.0, 3.0]), "ignore_index": 1, "reduction": "sum"}
    weights = {"weight": np.array([1.0, 2.0, 3.0]), "pos_weight": np.array([3.0, 2.0, 1.0]), "reduction": "none"}
    for layer, function, x, y, options in [
        (nn.CrossEntropyLoss, cross_entropy, LOGITS, LABELS, {**of_classes, "label_smoothing": 0.1}),
        (nn.NLLLoss, nll_loss, LOGITS, LABELS, of_classes),
        (nn.MSELoss, mse_loss, X, Y, {"reduction": "sum"}),
        (nn.L1Loss, l1_loss, X, Y, {"reduction": "sum"}),
        (nn.HuberLoss, huber_loss, X, Y, {"reduction": "none", "delta": 0.3}),
        (nn.BCEWithLogitsLoss, binary_cross_entropy_with_logits, X, PROBABILITIES, weights),
        (nn.KLDivLoss, kl_div, X, Y, {"reduction": "batchmean", "log_target": True}),
    ]:
        np.testing.assert_array_equal(layer(**options)(x, y), function(x, y, **options))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        *((lambda kind=kind: kind(reduction="no"), f"{kind.__name__}: reduction must be 'mean'") for kind in EVERY),
        (lambda: nn.MSELoss(reduction="batchmean"), "MSELoss: reduction must be 'mean' or 'sum' or 'none'"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=-0.1), "label_smoothing must be from 0 to 1, not -0.1"),
        (lambda: nn.CrossEntropyLoss(ignore_index=1.0), "CrossEntropyLoss: ignore_index must be an integer, not 1.0"),
        (lambda: nn.NLLLoss(ignore_index=True), "NLLLoss: ignore_index must be an integer, not True"),
        (lambda: nn.NLLLoss(1.0), r"NLLLoss: weight must have shape \(classes,\), not \(\)"),
        (lambda: nn.HuberLoss(delta=0), "HuberLoss: delta must be above 0, not 0"),
        (lambda: nn.KLDivLoss(log_target=1), "KLDivLoss: log_target must be True or False, not 1"),
    ],
)
def test_impossible_options(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_losses_print_as_they_are_built() -> None:
    assert repr(nn.CrossEntropyLoss()) == "CrossEntropyLoss()"
    options = {"ignore_index": 0, "reduction": "sum", "label_smoothing": 0.1}
    assert (
        repr(nn.CrossEntropyLoss(np.ones(3), **options))
        == "CrossEntropyLoss(weight=array of (3,), ignore_index=0, reduction='sum', label_smoothing=0.1)"
    )
    assert repr(nn.NLLLoss(reduction="none")) == "NLLLoss(reduction='none')"
    assert repr(nn.HuberLoss(delta=2)) == "HuberLoss(delta=2.0)"
    assert repr(nn.BCEWithLogitsLoss(pos_weight=np.ones(2))) == "BCEWithLogitsLoss(pos_weight=array of (2,))"
    assert repr(nn.KLDivLoss(reduction="batchmean", log_target=True)) == (
        "KLDivLoss(reduction='batchmean', log_target=True)"
    )

"""The loss of connectionist temporal classification: by enumeration, its derivatives, limits, and what is refused."""

import itertools
from typing import Any

from tinygrad_np import Tensor, ctc_loss, grad, log_softmax, nn
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

X = np.random.default_rng(0).normal(size=(5, 3, 4))
TARGETS, INPUTS, LENGTHS = np.array([[1, 1, 3], [2, 3, 1], [3, -100, 9]]), [5, 4, 3], [3, 2, 1]


def merged(path: tuple[int, ...], blank: int) -> list[int]:
    return [label for label, _ in itertools.groupby(path) if label != blank]


def enumerated(x: np.ndarray, target: list[int], blank: int) -> float:
    """-log of the sum of the probabilities of all paths that give the target."""
    steps, classes = x.shape
    paths = itertools.product(range(classes), repeat=steps)
    possible = [path for path in paths if merged(path, blank) == list(target)]
    with np.errstate(divide="ignore"):
        return float(-np.log(sum(np.exp(x[np.arange(steps), path].sum()) for path in possible)))


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("steps", [0, 1, 2, 4])
def test_it_is_the_sum_over_all_alignments(steps: int, blank: int) -> None:
    labels = [label for label in range(3) if label != blank]
    targets = [list(target) for length in range(4) for target in itertools.product(labels, repeat=length)]
    x = np.random.default_rng(steps).normal(size=(steps, len(targets), 3))
    lengths = [len(target) for target in targets]
    padded = [target + [-1] * (3 - len(target)) for target in targets]
    expected = [enumerated(x[:, i], target, blank) for i, target in enumerate(targets)]
    assert np.isinf(expected).any()  # with too few steps
    steps_of_each = [steps] * len(targets)
    for given in (padded, list(itertools.chain(*targets))):
        found = ctc_loss(Tensor(x), given, steps_of_each, lengths, blank=blank, reduction="none")
        np.testing.assert_allclose(found.data, expected, rtol=1e-13)


def test_derivatives_to_second_order() -> None:
    for reduction in ("mean", "sum", "none"):
        check_gradients(lambda x, r=reduction: ctc_loss(x, TARGETS, INPUTS, LENGTHS, reduction=r), X, order=2)
    check_gradients(lambda x: ctc_loss(log_softmax(x), [1, 2], 5, 2, blank=3), X[:, 0], order=2)
    check_gradients(lambda x: ctc_loss(x, np.zeros((3, 0), int), INPUTS, [0, 0, 0]), X, order=2)


@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf, 1e300])
def test_what_comes_after_the_end_does_not_count(padding: float) -> None:
    x = X.copy()
    for i, steps in enumerate(INPUTS):
        x[steps:, i] = padding
    t = Tensor(x, requires_grad=True)
    losses = ctc_loss(t, TARGETS, INPUTS, LENGTHS, reduction="none")
    gradient = grad(losses.sum(), t).data
    for i, (steps, length) in enumerate(zip(INPUTS, LENGTHS, strict=True)):
        alone = Tensor(X[:steps, i], requires_grad=True)
        loss = ctc_loss(alone, TARGETS[i, :length], steps, length, reduction="sum")
        np.testing.assert_allclose(losses.data[i], loss.data, rtol=1e-14)
        np.testing.assert_allclose(gradient[:steps, i], grad(loss, alone).data, rtol=1e-13)
        assert not gradient[steps:, i].any()


def test_the_gradient_is_minus_the_probability_of_each_class() -> None:
    """So it adds up to -1 in each step, also where probabilities underflow."""
    for scale in (1, 1000):
        t = Tensor((scale * X).astype(np.float32), requires_grad=True)
        gradient = grad(ctc_loss(t, TARGETS, [5, 5, 5], LENGTHS, reduction="sum"), t)
        assert gradient.dtype == np.float32
        np.testing.assert_allclose(gradient.data.sum(axis=-1), -1, rtol=1e-4 if scale > 1 else 1e-5)
        assert (gradient.data <= 0).all()


@pytest.mark.parametrize("zero_infinity", [False, True])
def test_a_target_that_does_not_fit_has_an_infinite_loss_or_none(zero_infinity: bool) -> None:
    t = Tensor(X, requires_grad=True)
    losses = ctc_loss(t, TARGETS, [3, 4, 3], LENGTHS, reduction="none", zero_infinity=zero_infinity)
    assert losses.data[0] == (0 if zero_infinity else np.inf)  # a blank is needed between 1 and 1
    assert np.isfinite(losses.data[1:]).all()
    first = grad(losses.sum(), t, create_graph=True)
    second = grad((first * first).sum(), t)
    for gradient in (first, second):
        assert not gradient.data[:, 0].any()
        assert np.isfinite(gradient.data).all()
        assert gradient.data[:, 1].any()


def test_a_class_that_is_impossible() -> None:
    x = X.copy()
    x[:, :, 0] = -np.inf  # there are no blanks
    t = Tensor(x, requires_grad=True)
    losses = ctc_loss(t, [[1, 2], [1, 1], [3, 1]], [5, 5, 5], [2, 2, 2], reduction="none")
    expected = [enumerated(x[:, i], target, 0) for i, target in enumerate([[1, 2], [1, 1], [3, 1]])]
    np.testing.assert_allclose(losses.data, expected, rtol=1e-13)
    assert losses.data[1] == np.inf
    assert np.isfinite(grad(losses.sum(), t).data).all()


def test_reductions() -> None:
    each = ctc_loss(X, TARGETS, INPUTS, LENGTHS, reduction="none")
    assert each.shape == (3,)
    assert ctc_loss(X, TARGETS, INPUTS, LENGTHS, reduction="sum").item() == pytest.approx(each.sum())
    assert nn.CTCLoss()(X, TARGETS, INPUTS, LENGTHS).item() == pytest.approx((each / LENGTHS).mean())
    assert nn.CTCLoss(reduction="none")(X[:, 1], [2, 3], 4, 2).shape == ()
    empty = ctc_loss(X, np.zeros((3, 0), int), INPUTS, [0, 0, 0])
    assert empty.item() == pytest.approx(-np.mean([X[:steps, i, 0].sum() for i, steps in enumerate(INPUTS)]))
    assert ctc_loss(X[:, :0], np.zeros((0, 2), int), [], [], reduction="none").shape == (0,)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"log_probabilities": X[0, 0]}, r"log_probabilities of shape \(steps, batch, classes\) or .*, not \(4,\)"),
    ({"targets": [[1.5, 1, 3]] * 3}, "targets must be integers"),
    ({"targets": [[1, 1, 4], [2, 3, 1], [3, 0, 0]]}, r"targets must be from 0 to 3 \(4 classes\), not 4"),
    ({"targets": [[1, 0, 3], [2, 3, 1], [3, 0, 0]]}, "targets must not contain the blank, 0"),
    ({"targets": TARGETS[:2]}, r"targets must have shape \(3, labels\), or .*, not \(2, 3\)"),
    ({"targets": [1, 2, 3]}, r"targets have shape \(3,\), one after the other, but target_lengths add up to 6"),
    ({"targets": TARGETS[0, 0]}, r"targets of shape \(batch, labels\) or \(labels,\), not \(\)"),
    ({"input_lengths": [5, 4]}, r"input_lengths must have shape \(3,\), one for each sequence, not \(2,\)"),
    ({"input_lengths": [5, 4, 6]}, "input_lengths must be from 0 to 5, the number of steps, not 6"),
    ({"target_lengths": [3, -1, 1]}, "target_lengths must be from 0 to 3, the number of labels in targets, not -1"),
    ({"target_lengths": [3, 1.0, 1]}, "target_lengths must be integers"),
    ({"blank": 4}, "blank must be one of 4 classes, from 0 to 3, not 4"),
    ({"reduction": "max"}, "reduction must be 'mean' or 'sum' or 'none', not 'max'"),
    ({"zero_infinity": 1}, "zero_infinity must be True or False, not 1"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED)
def test_what_does_not_fit_is_refused(given: dict[str, Any], message: str) -> None:
    right = {"log_probabilities": X, "targets": TARGETS, "input_lengths": INPUTS, "target_lengths": LENGTHS}
    with pytest.raises(ValueError, match=f"ctc_loss: .*{message}"):
        ctc_loss(**right | given)


def test_integers_and_means_of_nothing_are_refused() -> None:
    with pytest.raises(TypeError, match="ctc_loss: log_probabilities must be floating point"):
        ctc_loss(X.astype(int), TARGETS, INPUTS, LENGTHS)
    with pytest.raises(ValueError, match="ctc_loss: the mean is undefined for no sequences"):
        ctc_loss(X[:, :0], np.zeros((0, 2), int), [], [])

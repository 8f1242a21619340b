"""Focal losses and dice: definitions, and logits that are huge."""

import tinygrad_np
from tinygrad_np import Tensor, cross_entropy, grad

import numpy as np
import pytest

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(4, 3)), np.array([0, 2, 1, 1])
MASK, MAPS = RNG.random((4, 3)) < 0.5, RNG.uniform(0, 1, (2, 3, 4))


def test_focal_losses_are_their_definitions() -> None:
    p = 1 / (1 + np.exp(-X))
    right = np.where(MASK, p, 1 - p)
    expected = np.where(MASK, 0.6, 0.4) * -np.log(right) * (1 - right) ** 1.5
    found = tinygrad_np.sigmoid_focal_loss(X, MASK, alpha=0.6, gamma=1.5, reduction="none")
    np.testing.assert_allclose(found, expected)
    p = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
    right, alpha = p[np.arange(4), LABELS], np.array([1.0, 2.0, 3.0])
    expected = alpha[LABELS] * -np.log(right) * (1 - right) ** 1.5
    found = tinygrad_np.softmax_focal_loss(X, LABELS, alpha=alpha, gamma=1.5, reduction="none")
    np.testing.assert_allclose(found, expected)
    without = tinygrad_np.softmax_focal_loss(X, LABELS, gamma=1.5, ignore_index=1)
    kept = LABELS != 1
    assert without == pytest.approx((-np.log(right) * (1 - right) ** 1.5)[kept].mean())
    np.testing.assert_allclose(tinygrad_np.softmax_focal_loss(X, LABELS, gamma=0), cross_entropy(X, LABELS), rtol=1e-14)


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_focal_losses_of_huge_logits(gamma: float) -> None:
    for place in (1e4, np.inf):
        x = Tensor(np.array([-place, place]), requires_grad=True)
        losses = tinygrad_np.sigmoid_focal_loss(x, [1, 1], alpha=None, gamma=gamma, reduction="none")
        assert losses.data.tolist() == [place, 0]
        assert grad(losses, x, np.ones(2)).data.tolist() == [-1, 0]
    x = Tensor(np.array([[1e4, 0.0], [0.0, 1e4]]), requires_grad=True)
    losses = tinygrad_np.softmax_focal_loss(x, [0, 0], gamma=gamma, reduction="none")
    assert losses.data.tolist() == [0, 1e4]
    assert grad(losses, x, np.ones(2)).data.tolist() == [[0, 0], [-1, 1]]


def test_dice_of_labels_is_that_of_their_masks() -> None:
    labels = RNG.integers(0, 3, (2, 4))
    masks = np.moveaxis(np.eye(3)[labels], -1, 1)
    losses = tinygrad_np.dice_loss(MAPS, masks, reduction="none")
    np.testing.assert_array_equal(tinygrad_np.dice_loss(MAPS, labels, reduction="none"), losses)
    areas = MAPS.sum(axis=2) + masks.sum(axis=2)
    np.testing.assert_allclose(losses, 1 - (2 * (MAPS * masks).sum(axis=2) + 1) / (areas + 1))
    perfect = tinygrad_np.dice_loss(masks, labels, reduction="none")  # also for a class that is absent
    assert not perfect.any()

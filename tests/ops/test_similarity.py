"""Similarities and distances: magnitudes, vectors of zeros, and views that are partners."""

import math

import tinygrad_np
from tinygrad_np import Tensor, cosine_similarity, grad, normalize, pairwise_distance

import numpy as np
import pytest

X, Y = np.random.default_rng(0).normal(size=(2, 4, 3))


def test_the_views_of_an_example_are_partners() -> None:
    views = np.concatenate([X, Y])
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    similar = np.exp(views @ views.T / 0.2)
    expected = [-np.log(similar[i, (i + 4) % 8] / (similar[i].sum() - similar[i, i])) for i in range(8)]
    np.testing.assert_allclose(tinygrad_np.nt_xent_loss(X, Y, temperature=0.2, reduction="none"), expected)
    assert tinygrad_np.nt_xent_loss(X[:1], Y[:1]) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nt_xent_is_safe(dtype: type) -> None:
    """At a tiny temperature, of views that are all alike, of zeros, and of huge ones."""
    for first, second, temperature in (
        (X, Y, 1e-6), (np.ones((4, 3)), np.ones((4, 3)), 0.1), (np.zeros((4, 3)), Y, 0.1), (X * 1e30, Y * 1e-30, 0.1)
    ):  # fmt: skip
        a, b = (Tensor(view.astype(dtype), requires_grad=True) for view in (first, second))
        loss = tinygrad_np.nt_xent_loss(a, b, temperature=temperature)
        assert np.isfinite(loss.data)
        assert all(np.isfinite(g.data).all() for g in grad(loss, [a, b]))
    alike = tinygrad_np.nt_xent_loss(np.ones((4, 3)), np.ones((4, 3)))
    assert alike == pytest.approx(math.log(7))


def test_similarities_at_any_magnitude() -> None:
    cosines = cosine_similarity(X, Y)
    for scale in (1e-150, 1e150):
        np.testing.assert_allclose(cosine_similarity(X * scale, Y / scale, eps=1e-300), cosines, rtol=1e-12)
        np.testing.assert_allclose(normalize(X * scale, eps=1e-300), normalize(X), rtol=1e-12)
        np.testing.assert_allclose(
            pairwise_distance(X * scale, Y * scale, eps=0), pairwise_distance(X, Y, eps=0) * scale, rtol=1e-12
        )
    np.testing.assert_allclose(cosine_similarity(X[:, np.newaxis], Y), normalize(X) @ normalize(Y).T)
    np.testing.assert_allclose(cosine_similarity(X, Y, axis=0), cosine_similarity(X.T, Y.T))


@pytest.mark.parametrize("p", [0.5, 1, 2, 3, math.inf])
def test_gradients_at_zero_vectors_are_finite(p: float) -> None:
    zero = Tensor(np.zeros((2, 3)), requires_grad=True)
    for y in (normalize(zero, p=p), pairwise_distance(zero, np.zeros(3), p=p), cosine_similarity(zero, X[:2])):
        (slope,) = grad(y, [zero], np.ones(y.shape), create_graph=True)
        assert np.isfinite(slope.data).all()
    zeros = np.zeros((2, 3))
    loss = tinygrad_np.triplet_margin_loss(zero, zeros, zeros, p=p, eps=0)
    assert loss.item() == 1
    assert not grad(loss, zero).data.any()

"""Likelihoods: what is singular, and how near Stirling's formula comes."""

import math

import tinygrad_np
from tinygrad_np import Tensor, grad

import numpy as np


def test_poisson_of_no_events() -> None:
    x = Tensor(np.array([-np.inf, 0.0]), requires_grad=True)
    losses = tinygrad_np.poisson_nll_loss(x, [0, 0], full=True, reduction="none")
    assert losses.data.tolist() == [0, 1]
    assert grad(losses, x, np.ones(2)).data.tolist() == [0, 1]
    found = tinygrad_np.poisson_nll_loss(np.zeros(3), np.array([1.0, 5.0, 50.0]), full=True, reduction="none")
    exact = [1, *(1 + math.lgamma(t + 1) for t in (5, 50))]
    np.testing.assert_allclose(found, exact, rtol=0.01)

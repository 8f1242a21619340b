"""Derivatives, special functions, linear algebra and solvers in a scientific program, as a type checker sees it."""

from typing import assert_type

from tinygrad_np import Tensor, func, grad, solvers, special, stats
from tinygrad_np import numpy as np


def energy(x: Tensor, stiffness: float = 2.0) -> Tensor:
    y = np.concatenate([np.sin(x), x[:1] ** 2, np.where(x > 0, x, 0.1 * x)])
    assert_type(y, Tensor)
    assert_type(np.linalg.norm(y), Tensor)
    return stiffness * np.sum(np.square(y)) / 2 + np.abs(y).max()


def curvature(x: Tensor) -> Tensor:
    (slope,) = grad(energy(x), [x], create_graph=True)
    assert_type(slope, Tensor)
    return grad((slope * slope).sum(), x)


def spectrum(signal: Tensor) -> Tensor:
    parts = np.fft.rfft(signal)
    assert_type(parts, Tensor)
    values, vectors = np.linalg.eigh(np.outer(signal, signal))
    assert_type(values, Tensor)
    assert_type(np.einsum("ij,j->i", vectors, values), Tensor)
    return np.sum(np.abs(parts)) + np.add(1.0, values[-1])


def likelihood(x: Tensor, rate: Tensor) -> Tensor:
    poisson = x * np.log(rate) - rate - special.gammaln(x + 1)
    assert_type(poisson, Tensor)
    normal: Tensor = stats.norm.logpdf(x, 0.0, rate)  # of arrays it is an array
    return poisson.mean() + normal.mean()


def decay(y: Tensor, t: Tensor, rate: float) -> Tensor:
    return -rate * y + 0 * t


def square_root(x: Tensor, of: float) -> Tensor:
    return x * x - of


def main() -> None:
    x = Tensor(np.linspace(-1, 1, 5), requires_grad=True)
    print(energy(x), curvature(x), spectrum(x), likelihood(x + 2, x * x + 1))
    print(func.grad(energy)(x), func.hessian(energy)(x))
    print(solvers.odeint(decay, Tensor([1.0]), np.array([0.0, 1.0]), 0.5))
    print(solvers.root(square_root, np.array([1.0]), 2.0))
    plain = np.tanh(np.array([0.5]))
    print(plain, np.argmax(x), np.pi, np.random.default_rng(0).normal())


if __name__ == "__main__":
    main()

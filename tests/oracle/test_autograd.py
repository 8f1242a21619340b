"""Derivatives of functions against HIPS autograd, whose functions have the same names, and against PyTorch."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import cross_entropy, func, relu
from tinygrad_np.testing.strategies import arrays

import numpy as np
import pytest
from hypothesis import given

autograd = pytest.importorskip("autograd")
theirs = pytest.importorskip("autograd.numpy")
flatten = pytest.importorskip("autograd.misc.flatten").flatten
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.slow
Maker = Callable[[Any], Callable[[Any], Any]]  # of a module of NumPy functions and a matrix

A = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.0, 4.0, 1.0]])
ELEMENTWISE: dict[str, Maker] = {
    "polynomial": lambda xp: lambda x: x**3 - 2 * x + 1,
    "tanh": lambda xp: xp.tanh,
    "rational": lambda xp: lambda x: x / (1 + x**2) + xp.exp(-x),
    "where": lambda xp: lambda x: xp.where(x > 0, xp.sin(x), x**2),
    "reshaped": lambda xp: lambda x: xp.reshape(xp.reshape(x, (-1, 1)) ** 2, x.shape),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(arrays((4,)))
def test_elementwise_derivatives_of_three_orders(name: str, x: np.ndarray) -> None:
    ours, other = (ELEMENTWISE[name](xp) for xp in (np, theirs))
    for _ in range(3):
        ours, other = func.elementwise_grad(ours), autograd.elementwise_grad(other)
        np.testing.assert_allclose(ours(x), other(x), rtol=1e-8, atol=1e-8)


def curve(xp: Any) -> Callable[[Any], Any]:
    return lambda x: xp.tanh(xp.dot(A, x)) * xp.sum(x * x)


def bowl(xp: Any) -> Callable[[Any], Any]:
    return lambda x: xp.sum(xp.exp(x / 3) * xp.dot(A, x))


@given(arrays((3,)))
def test_values_with_derivatives(x: np.ndarray) -> None:
    value, matrix = func.value_and_jacobian(curve(np))(x)
    np.testing.assert_allclose(value, curve(theirs)(x), rtol=1e-12)
    np.testing.assert_allclose(matrix, autograd.jacobian(curve(theirs))(x), rtol=1e-9, atol=1e-9)
    (value, slope), (_, second) = func.value_and_jacobian(func.value_and_grad(bowl(np)))(x)
    for ours, other in zip((value, slope), autograd.value_and_grad(bowl(theirs))(x), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(second, autograd.hessian(bowl(theirs))(x), rtol=1e-9, atol=1e-9)


@given(arrays((3,)))
def test_checkpoints(x: np.ndarray) -> None:
    ours, other = func.checkpoint(bowl(np)), autograd.checkpoint(bowl(theirs))
    np.testing.assert_allclose(func.grad(ours)(x), autograd.grad(other)(x), rtol=1e-10, atol=1e-10)


@given(arrays((2, 3)), arrays(()))
def test_trees_as_vectors(w: np.ndarray, b: np.ndarray) -> None:
    tree = [w, (b, {"c": w[0]})]
    ours, unflatten = func.flatten(tree)
    other, _ = flatten(tree)
    np.testing.assert_array_equal(ours, other)
    np.testing.assert_array_equal(func.flatten(unflatten(2 * ours))[0], 2 * other)


@given(arrays((5, 4)), arrays((4, 6)), arrays((6, 3)))
def test_gradients_of_each_example(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    labels = np.array([0, 2, 1, 1, 0])

    def losses(w: Any, x: Any) -> Any:
        return cross_entropy(relu(x @ w[0]) @ w[1], labels, reduction="none")

    def loss(w: Any, x: Any, label: Any) -> Any:
        return torch.nn.functional.cross_entropy(torch.relu(x @ w[0]) @ w[1], label)

    found = func.per_example_grad(losses)([a, b], x)
    of_each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    expected = of_each([torch.tensor(a.copy()), torch.tensor(b.copy())], torch.tensor(x.copy()), torch.tensor(labels))
    for ours, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, other.numpy(), rtol=1e-8, atol=1e-8)


def test_a_rule_is_used_as_in_a_function_of_pytorch() -> None:
    class Clipped(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, limit: float) -> Any:
            ctx.limit = limit
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g.clip(-ctx.limit, ctx.limit), None

    clipped = func.custom_vjp(lambda x, limit: x.copy(), lambda g, y, x, limit: (np.clip(g, -limit, limit), None))
    x = np.array([0.1, 1.0, 3.0])
    z = torch.tensor(x, requires_grad=True)
    (Clipped.apply(z, 1.5) ** 2).sum().backward()
    np.testing.assert_array_equal(func.grad(lambda x: (clipped(x, 1.5) ** 2).sum())(x), z.grad.numpy())

"""Checkpoints: the gradients of the function itself, in less memory, and errors where they would be others."""

import gc
import random
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from tinygrad_np import Tensor, cross_entropy, debug, func, grad, nn, no_grad, optim, tensor
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import arrays

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

A = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.0, 4.0, 1.0]])
X = np.array([0.3, -0.5, 0.8])
GLOBAL_RNG = np.random.default_rng(0)


def curve(x: Any) -> Any:
    return np.tanh(A @ x) * np.sum(x * x)


def leaf(x: Any) -> Tensor:
    return Tensor(np.array(x), requires_grad=True)


@given(arrays((3,)))
def test_values_and_derivatives_are_those_of_the_function(x: np.ndarray) -> None:
    f = func.checkpoint(curve)
    np.testing.assert_array_equal(f(Tensor(x)).data, curve(x))
    np.testing.assert_array_equal(func.jacobian(f)(x), func.jacobian(curve)(x))
    for derivative in (
        lambda f: func.grad(lambda x: f(x).sum())(x),
        lambda f: func.hessian(lambda x: f(x).sum())(x),
        lambda f: func.jvp(f, x, X)[1],
        lambda f: func.hvp(lambda x: f(x).sum(), x, X),
    ):
        np.testing.assert_allclose(derivative(f), derivative(curve), rtol=1e-12, atol=1e-12)


def test_derivatives_of_a_chain_of_checkpoints_are_proved() -> None:
    f = func.checkpoint(curve)
    check_gradients(lambda x: f(f(x) / 3), X, order=2)
    nested = func.checkpoint(lambda x: np.sin(f(x)) * x)
    check_gradients(nested, X, order=2)
    third = func.jacobian(func.jacobian(func.jacobian(nested)))(X)
    expected = func.jacobian(func.jacobian(func.jacobian(lambda x: np.sin(curve(x)) * x)))(X)
    np.testing.assert_allclose(third, expected, rtol=1e-10, atol=1e-10)


class Block(nn.Module):
    """A layer that holds what is hard to compute twice: weights, dropout, running averages."""

    def __init__(self, rng: np.random.Generator, p: float = 0.5) -> None:
        self.linear = nn.Linear(4, 4, rng=rng, dtype=np.float64)
        self.norm = nn.BatchNorm1d(4, dtype=np.float64)
        self.dropout = nn.Dropout(p, rng=rng)

    def forward(self, x: Any) -> Any:
        return x + self.dropout(np.tanh(self.norm(self.linear(x))))


def trained(wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """What three steps make of a network of blocks, the state of the generator included."""
    rng = np.random.default_rng(1)
    blocks = [Block(rng) for _ in range(3)]
    optimizer = optim.SGD([p for b in blocks for p in b.parameters()], lr=0.1)
    x, labels = rng.normal(size=(8, 4)), rng.integers(4, size=8)
    losses = []
    for _ in range(3):
        y: Any = Tensor(x)
        for block in blocks:
            y = wrap(block)(y)
        loss = cross_entropy(y, labels)
        losses.append(loss.item())
        optimizer.minimize(loss)
    state = {f"{i}.{name}": a for i, b in enumerate(blocks) for name, a in b.state_dict().items()}
    return {"losses": losses, "draw": rng.random(), **state}


def test_a_training_with_dropout_and_batch_normalisation_is_the_same() -> None:
    expected, found = trained(lambda block: block), trained(func.checkpoint)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(np.asarray(found[name]), np.asarray(value), rtol=1e-12, err_msg=name)
    assert found["draw"] == expected["draw"]


DRAWS: dict[str, Callable[[Any], tuple[Any, Callable[[], Any]]]] = {  # a function, and what it draws next
    "argument": lambda rng: (lambda w: partial(lambda x, r: x * w * r.normal(size=3), r=rng), rng.normal),
    "closure": lambda rng: (lambda w: lambda x: x * w * rng.normal(size=3), rng.normal),
    "global": lambda rng: (lambda w: lambda x: x * w * GLOBAL_RNG.normal(size=3), GLOBAL_RNG.normal),
    "np.random": lambda rng: (lambda w: lambda x: x * w * np.random.normal(size=3), np.random.normal),
    "random": lambda rng: (lambda w: lambda x: x * w * random.gauss(0, 1), lambda: random.gauss(0, 1)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers_are_the_same_the_second_time(name: str) -> None:
    make, draw = DRAWS[name](np.random.default_rng(2))
    w = leaf([1.0, 2.0, 3.0])
    y = func.checkpoint(make(w))(X)
    expected = y.data / w.data
    drawn = draw()
    again = grad(y.sum(), w)
    np.testing.assert_allclose(again.data, expected, rtol=1e-12)
    assert draw() != drawn  # the generators went on from where they were


def test_generators_go_on_after_the_backward_pass() -> None:
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    w = leaf(X)
    y = func.checkpoint(lambda: w * rng.normal(size=3))()
    other.normal(size=3)
    assert rng.normal() == other.normal()
    grad(y.sum(), w)
    assert rng.normal() == other.normal()


def test_a_generator_that_is_not_found_is_an_error() -> None:
    hidden = iter(np.random.default_rng(4).normal(size=100).tolist())
    w = leaf(X)
    y = func.checkpoint(lambda: w * next(hidden))()
    with pytest.raises(RuntimeError, match="checkpoint of <lambda>: the second time, its results were other numbers"):
        grad(y.sum(), w)


def test_gradients_flow_to_all_that_the_function_reaches() -> None:
    a, b, c, d = (leaf(value) for value in (2.0, 3.0, 5.0, 7.0))
    holder = OrderedDict(c=c)
    computed = d * 2  # computed outside

    def f(x: Any, *, factor: Any) -> Any:
        return {"y": x * a * holder["c"], "z": [computed * factor, "text", None, np.ones(2)]}

    def results(f: Any) -> Any:
        found = f(computed, factor=b)
        assert (type(found["z"][1]), found["z"][2]) == (str, None)
        return found["y"] * found["z"][0]

    slopes = [grad(results(g), [a, b, c, d], create_graph=True) for g in (f, func.checkpoint(f))]
    assert [s.item() for s in slopes[0]] == [s.item() for s in slopes[1]]
    seconds = [[t.item() for t in grad(sum(s), [a, b, c, d], retain_graph=True)] for s in slopes]
    assert seconds[0] == seconds[1]
    results(func.checkpoint(f)).backward()
    assert [t.grad.item() for t in (a, b, c, d)] == [s.item() for s in slopes[0]]


def test_results_of_several_dtypes_and_shapes_keep_them() -> None:
    w, v = Tensor(np.ones((2, 2), np.float32), requires_grad=True), leaf(2.0)
    f = func.checkpoint(lambda: (w * 3, v * 5, w.sum(), w))
    found = f()
    assert [(y.dtype, y.shape) for y in found] == [(w.dtype, (2, 2)), (v.dtype, ()), (w.dtype, ()), (w.dtype, (2, 2))]
    assert found[3] is w
    slopes = grad(found[0].sum() * 2 + found[1] + found[2], [w, v])
    assert [(g.dtype, g.data.tolist()) for g in slopes] == [(w.dtype, [[7, 7], [7, 7]]), (v.dtype, 5)]


def test_what_is_needed_only_in_part_is_computed_in_part() -> None:
    a, b = leaf(2.0), leaf(3.0)
    y = func.checkpoint(lambda a, b: a * b)(a, b)
    assert grad(y, a, retain_graph=True).item() == 3
    assert grad(y, b).item() == 2
    with pytest.raises(RuntimeError, match="the graph was freed .* checkpoint of <lambda>"):
        grad(y, a)
    y = func.checkpoint(lambda a, b: a * b)(a, b)
    a.requires_grad = False
    assert grad(y, b).item() == 2


def test_without_a_gradient_it_is_the_function_itself() -> None:
    calls = []

    def f(x: Any) -> Any:
        calls.append(1)
        return x * 2

    assert func.checkpoint(f)(X).tolist() == (2 * X).tolist()
    assert not func.checkpoint(f)(Tensor(X)).requires_grad
    with no_grad():
        y = func.checkpoint(f)(leaf(X))
    assert not y.requires_grad
    assert func.checkpoint(f).__name__ == "f"


def test_a_derivative_in_a_checkpoint_and_a_checkpoint_in_a_derivative() -> None:
    w = leaf(2.0)
    f = func.checkpoint(lambda x: func.grad(lambda x: w * x**3)(x))  # 3 w x**2
    y = f(leaf(3.0))
    assert y.data == 54
    assert grad(y, w).item() == 27
    slope = func.grad(func.checkpoint(lambda x: w * x**3))(3.0)
    assert grad(slope, w).item() == 27
    value, slope = func.value_and_grad(func.checkpoint(lambda x: w * w * x**3))(Tensor(3.0))
    assert (grad(value, w).item(), grad(slope, w).item()) == (4 * 27, 4 * 27)


def test_a_derivative_inside_is_of_the_same_kind_the_second_time() -> None:
    kinds = []

    def f(x: Any) -> Any:
        slope = func.grad(lambda z: (z**3).sum())(X)
        kinds.append(type(slope))
        return (x * slope).sum()

    func.grad(func.checkpoint(f))(X)
    func.checkpoint(f)(leaf(X)).backward()
    assert kinds == [Tensor, Tensor, np.ndarray, np.ndarray]


def test_items_and_data_may_be_read_inside_at_any_order() -> None:
    """As in the function itself: what it reads is a constant."""
    f = func.checkpoint(lambda x: x**3 * x.data.max() if x.sum().item() > 0 else x)
    np.testing.assert_allclose(np.diag(func.hessian(lambda x: f(x).sum())(X)), 6 * X * 0.8, rtol=1e-12)


def test_a_write_in_between_is_an_error() -> None:
    w, x = leaf(X), np.ones(3)
    y = func.checkpoint(lambda: w * w)()
    w.data = 2 * X
    with pytest.raises(RuntimeError, match="argument 0 of checkpoint of <lambda>, .* was changed after the operation"):
        grad(y.sum(), w)
    y = func.checkpoint(lambda: w * x)()
    x[:] = 2
    with pytest.raises(RuntimeError, match="other numbers"):
        grad(y.sum(), w)
    with debug.guard():
        y = func.checkpoint(lambda: w * x)()
    w.data[:] = 0
    with pytest.raises(RuntimeError, match="was written to after the operation"):
        grad(y.sum(), w)


def test_other_tensors_the_second_time_are_an_error() -> None:
    weights = [leaf(X), leaf(X)]
    y = func.checkpoint(lambda: weights[0] * 2)()
    weights.reverse()
    with pytest.raises(RuntimeError, match="computed from other Tensors that require a gradient"):
        grad(y.sum(), weights[1])


def test_impossible_requests_are_refused() -> None:
    w = leaf(X)
    with pytest.raises(TypeError, match=r"takes a function or a layer, not Tensor; write checkpoint\(block\)\(x\)"):
        func.checkpoint(w * 2)
    with pytest.raises(TypeError, match="takes a function or a layer, not int"):
        func.checkpoint(1)
    with pytest.raises(TypeError, match="checkpoint of <lambda>: it returned set; a checkpoint returns Tensors"):
        func.checkpoint(lambda: {w * 2})()
    with pytest.raises(RuntimeError, match="it made a Tensor that requires a gradient"):
        func.checkpoint(lambda: leaf(X) * 2)()

    def writes() -> Any:
        w.data = w.data * 2
        return w * 2

    with pytest.raises(RuntimeError, match="or wrote to one"):
        func.checkpoint(writes)()
    with pytest.raises(ZeroDivisionError):
        func.checkpoint(lambda: 1 / 0)()


def test_an_error_of_the_second_time_names_the_function() -> None:
    fails: list[int] = []

    def block(x: Any) -> Any:
        if fails:
            raise ValueError("mine")
        return x * 2

    w = leaf(X)
    y = func.checkpoint(block)(w)
    fails.append(1)
    with pytest.raises(ValueError, match="mine") as caught:
        grad(y.sum(), w)
    assert any("checkpoint of block" in note for note in caught.value.__notes__)


DEPTH, WIDTH, SIZE = 16, 8, 1 << 15


def peak(wrap: Callable[[Any], Any]) -> tuple[float, np.ndarray]:
    """The most memory at once, in results of one operation, of a deep chain, and the gradient."""

    def block(x: Any) -> Any:
        for _ in range(WIDTH):
            x = np.sin(x)
        return x

    w = Tensor(np.linspace(-1, 1, SIZE), requires_grad=True)
    gc.collect()
    tracemalloc.start()
    try:
        y: Any = w
        for _ in range(DEPTH):
            y = wrap(block)(y)
        kept = tracemalloc.get_traced_memory()[0]
        slope = grad(y.sum(), w).data
        return np.array([kept, tracemalloc.get_traced_memory()[1]]) / w.data.nbytes, slope
    finally:
        tracemalloc.stop()


def test_a_deep_chain_needs_the_memory_of_its_blocks() -> None:
    gc.disable()
    try:
        (kept, most), expected = peak(lambda block: block)
        (ours, our_most), slope = peak(func.checkpoint)
    finally:
        gc.enable()
    np.testing.assert_allclose(slope, expected, rtol=1e-12)
    assert kept > DEPTH * WIDTH - 1  # every result
    assert ours < DEPTH + 2  # the results of the blocks
    assert our_most < DEPTH + WIDTH + 6  # and the inside of one, with its gradients
    assert our_most < most / 4


def test_a_graph_of_checkpoints_is_freed_by_reference_counting() -> None:
    gc.collect()
    gc.disable()
    try:
        for wrapped in (func.checkpoint(lambda x: np.sin(np.exp(x))), func.checkpoint(lambda x: (x * 2, np.exp(x)))):
            w = leaf(X)
            y = wrapped(w)
            y = y if isinstance(y, Tensor) else y[0] * y[1]
            grad(y.sum(), w)
            del y
            z = wrapped(w)
            del z, w
        assert not [t for t in gc.get_objects() if type(t) is Tensor and t._node is not None and t.shape == (3,)]
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_contexts_are_as_before_after_an_error() -> None:
    w = leaf(X)
    y = func.checkpoint(lambda: w * next(iter_once))() if (iter_once := iter([2.0])) else None
    with pytest.raises((StopIteration, RuntimeError)):
        grad(y.sum(), w)
    assert (tensor._pauses.get(), tensor._recorded.get()) == (0, None)


@given(st.lists(st.sampled_from(["sin", "mul", "sum", "nest"]), min_size=1, max_size=6))
def test_random_chains_have_the_gradients_of_the_functions_themselves(steps: list[str]) -> None:
    w = leaf([0.5, -0.25, 1.5])
    blocks: dict[str, Any] = {
        "sin": np.sin,
        "mul": lambda x: x * w,
        "sum": lambda x: x - x.sum() / 7,
        "nest": lambda x: func.checkpoint(lambda z: np.tanh(z * w))(x) + w,
    }

    def slopes(wrap: Callable[[Any], Any]) -> list[np.ndarray]:
        y: Any = w
        for step in steps:
            y = wrap(blocks[step])(y)
        first = grad((y * y).sum(), w, create_graph=True)
        return [first.data, grad((first * first).sum(), w).data]

    for a, b in zip(slopes(func.checkpoint), slopes(lambda f: f), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_complex_numbers() -> None:
    z = X + 1j * X[::-1]
    for f in (lambda z: np.exp(z) * z, lambda z: np.abs(z) * np.conj(z), lambda z: np.fft.fft(z * z)):
        for value in (lambda z: z.real.sum(), lambda z: (z.imag * np.abs(z)).sum()):
            found = func.grad(lambda z, f=f, value=value: value(func.checkpoint(f)(z)))(z)
            expected = func.grad(lambda z, f=f, value=value: value(f(z)))(z)
            np.testing.assert_allclose(found, expected, rtol=1e-12)

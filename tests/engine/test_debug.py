"""`detect_anomaly` names where a NaN comes from; `guard` finds what was written to; neither leaves anything behind."""

import contextvars
import threading
from pathlib import Path
from typing import Any

from tinygrad_np import (
    Tensor,
    cross_entropy,
    detect_anomaly,
    grad,
    guard,
    nn,
    no_grad,
    optim,
    primitive,
    softmax,
    tensor,
)
from tinygrad_np.func import value_and_grad

import numpy as np
import pytest

HERE = Path(__file__)


def line_of(text: str) -> str:
    """Where a line of this file stands, as messages say it."""
    numbers = [i for i, line in enumerate(HERE.read_text(encoding="utf-8").splitlines(), 1) if line.strip() == text]
    assert len(numbers) == 1
    return f", at {HERE}:{numbers[0]}: {text}"


def test_the_operation_the_shapes_the_indices_and_the_line_are_named() -> None:
    x = Tensor(np.array([[1.0, 0.0], [2.0, 3.0], [0.0, 4.0]]), requires_grad=True)
    with detect_anomaly(), pytest.raises(FloatingPointError) as caught:
        np.exp(np.log(x)).sum()
    told = "made 2 of 6 elements infinite or NaN: -inf at (0, 1), of 0.0; -inf at (2, 0), of 0.0"
    assert str(caught.value) == f"log of float64[3, 2] {told}{line_of('np.exp(np.log(x)).sum()')}"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.sqrt(-x), r"sqrt of float32\[2\] made 2 of 2 elements .*nan at \(0,\), of -1.0; nan at \(1,\)"),
        (
            lambda x: np.exp(100 * x),
            r"exp of float32\[2\] made 2 of 2 elements infinite or NaN: inf at \(0,\), of 100.0",
        ),
        (lambda x: x / np.array([1, 0], np.float32), r"divide .* made 1 of 2 .*: inf at \(1,\), of 2.0, 0.0"),
        (lambda x: np.sum(np.full(2, 3e38, np.float32) * x / x), r"add.reduce|sum|multiply"),
        (lambda x: np.zeros(12, np.float32) / (x[0] - 1), r"nan at \(4,\), of 0.0, 0.0, and 7 more, at"),
    ],
)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_every_way_to_an_anomaly_is_found(call: Any, message: str, requires_grad: bool) -> None:
    x = Tensor([1.0, 2.0], requires_grad=requires_grad)
    with detect_anomaly(), pytest.raises(FloatingPointError, match=message):
        call(x)
    with detect_anomaly(), no_grad(), pytest.raises(FloatingPointError, match=message):
        call(x)


def test_what_is_infinite_already_is_handed_on() -> None:
    x = Tensor([1.0, np.inf, np.nan], requires_grad=True)
    with detect_anomaly():
        y = np.exp(x) * 2
        y.sum().backward()
        np.where([True, False, True], x, -np.inf)
    assert np.isinf(x.grad.data[1])


def test_the_first_part_of_a_backward_that_is_not_finite_is_named() -> None:
    x = Tensor([4.0, 0.0], requires_grad=True)
    for create_graph in (False, True):
        with detect_anomaly():
            y = np.sqrt(x)
            with pytest.raises(FloatingPointError) as caught:
                grad(y.sum(), x, create_graph=create_graph)
        told = "1.0, 0.0" if create_graph else "gradient 1.0, result 0.0, argument 0.0"  # under it, the division raises
        assert f"made 1 of 2 elements infinite or NaN: inf at (1,), of {told}, at" in str(caught.value)
        assert caught.value.__notes__[-1] == "in the backward pass of sqrt, argument 0"
    with detect_anomaly():
        z = np.sqrt(x).sum()
    with pytest.raises(FloatingPointError, match="the gradient of argument 0 of sqrt, float32") as caught:  # outside
        z.backward()
    assert str(caught.value).endswith(line_of("z = np.sqrt(x).sum()"))


def test_a_layer_is_named_as_well() -> None:
    model = nn.Sequential(nn.Linear(2, 2, rng=np.random.default_rng(0)), np.log)
    with detect_anomaly(), pytest.raises(FloatingPointError, match="log of float32") as caught:
        model(np.zeros((1, 2), np.float32))
    assert caught.value.__notes__[0].startswith("in Sequential")


def test_shapes_that_do_not_fit_tell_where_the_arguments_were_made() -> None:
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    with detect_anomaly():
        a = x * 2
        b = x.T + 1
        with pytest.raises(ValueError, match=r"add of float64\[2, 3\], float64\[3, 2\]") as caught:
            a + b
    made = [f"argument 0, float64[2, 3], was made by multiply{line_of('a = x * 2')}"]
    made.append(f"argument 1, float64[3, 2], was made by add{line_of('b = x.T + 1')}")
    assert caught.value.__notes__ == made


def test_nothing_is_left_behind_and_other_threads_are_not_watched() -> None:
    entered, done = threading.Event(), threading.Event()

    def other() -> None:
        entered.wait()
        with np.errstate(all="ignore"):
            seen.append(float(np.log(Tensor(0.0)).data))
        done.set()

    seen: list[float] = []
    thread = threading.Thread(target=other)
    thread.start()
    with detect_anomaly():
        assert tensor._observer is not None
        with guard():
            entered.set()
            done.wait()
        with pytest.raises(FloatingPointError):
            np.log(Tensor(0.0))
    thread.join()
    assert seen == [-np.inf]
    assert tensor._observer is None

    @detect_anomaly()
    def decorated() -> None:
        np.sqrt(Tensor(-1.0))

    with pytest.raises(FloatingPointError):
        decorated()
    assert tensor._observer is None


@pytest.mark.parametrize("watch", [detect_anomaly, guard])
def test_training_comes_to_the_same(watch: Any) -> None:
    def trained() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        model = nn.Sequential(
            nn.Conv2d(1, 3, 3, rng=rng), nn.BatchNorm2d(3), nn.GELU(), nn.Flatten(), nn.Linear(12, 3, rng=rng)
        )
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            x, labels = rng.random((4, 1, 4, 4), np.float32), rng.integers(0, 3, 4)
            optimizer.zero_grad()
            cross_entropy(model(x), labels).backward()
            optimizer.step()
        return [parameter.data for parameter in model.parameters()]

    expected = trained()
    with watch():
        found = trained()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    with watch():
        value, slope = value_and_grad(lambda x: np.sum(np.concatenate([x, x**3])))(np.array([2.0]))
        assert (value, slope) == (10, 13)
        x = Tensor(2.0, requires_grad=True)
        first = grad(x**3 * np.tanh(x), x, create_graph=True)
        assert grad(first, x).data == pytest.approx(11.5, rel=0.1)


def test_a_write_to_what_the_gradient_needs_is_refused() -> None:
    x, a = Tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0], np.float32)
    with guard():
        y = x * a
    a[0] = 0
    with pytest.raises(RuntimeError, match=r"argument 1 of multiply, float32\[2\], was written to after") as caught:
        y.sum().backward()
    assert str(caught.value).endswith(line_of("y = x * a"))
    with guard():
        y = np.exp(x)
    y.data[1] = 5
    with pytest.raises(RuntimeError, match="the result of exp, .*, was written to"):
        y.sum().backward()
    with guard():
        y = np.square(x)
    x.data[1] = 7
    with pytest.raises(RuntimeError, match="argument 0 of square"):
        grad(y.sum(), x)
    with guard():
        y = (np.ones((3, 2), np.float32) * x)[::2] @ a
        a *= 2
        with pytest.raises(RuntimeError, match="argument 1 of matmul"):
            grad(y.sum(), x, create_graph=True)


def test_a_write_that_no_gradient_needs_is_allowed() -> None:
    x, a = Tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0], np.float32)
    with guard():
        y = (x + a).sum()
    a[:] = 0
    y.backward()
    assert x.grad.data.tolist() == [1, 1]
    with guard():
        z = np.sum(np.sin(x) * 2.0)
    z.backward()
    np.testing.assert_allclose(x.grad.data, 1 + 2 * np.cos([1, 2]), rtol=1e-6)


def test_vjps_that_cannot_be_read_are_taken_to_need_all() -> None:
    class Vjp:
        def __call__(self, g: Any, y: Any, x: Any) -> Any:
            return g

    same = primitive(lambda x: x * 1, Vjp())
    x = Tensor([1.0], requires_grad=True)
    with guard():
        y = same(x)
    x.data[0] = 2
    with pytest.raises(RuntimeError, match="written to after"):
        y.backward()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.where([True, False], x, np.float32(-np.inf)),
        lambda x: np.pad(x, 1, constant_values=-np.inf),
        lambda x: x.at[0].set(np.float32(np.inf)),
        lambda x: x * np.float32(np.inf),
        lambda x: np.max(x[:0], initial=-np.inf),
    ],
)
def test_an_infinity_that_was_given_is_not_new(call: Any) -> None:
    with detect_anomaly():
        call(Tensor([1.0, 2.0], requires_grad=True))


def test_nan_that_is_made_of_infinity_is_found_in_the_forward() -> None:
    scores = np.where([[True, False], [False, False]], Tensor(np.ones((2, 2)), requires_grad=True), -np.inf)
    with detect_anomaly(), pytest.raises(FloatingPointError, match=r"softmax of .* made 2 of 4 .*nan at \(1, 0\)"):
        softmax(scores)


def test_sums_over_what_was_broadcast_and_casts_are_looked_at() -> None:
    w = Tensor([1.0], requires_grad=True)
    with (
        detect_anomaly(),
        pytest.raises(FloatingPointError, match=r"argument 0 of multiply, float32\[1\], made 1 of 1"),
    ):
        (w * np.ones(4, np.float32)).backward(np.full(4, 3e38, np.float32))
    h = Tensor(np.ones(2, np.float16), requires_grad=True)
    with detect_anomaly(), pytest.raises(FloatingPointError, match="argument 0 of multiply, float16"):
        (h * np.full(2, 1e6)).sum().backward()


def test_indices_masks_and_keywords_are_guarded() -> None:
    b, rows, labels = Tensor(np.ones((2, 3)), requires_grad=True), np.arange(2), np.array([0, 2])
    with guard():
        picked = b[rows, labels].sum()
    labels[:] = 1
    with pytest.raises(RuntimeError, match=r"argument 1 of getitem, int64\[2\], was written to"):
        picked.backward()
    mask = np.array([True, False, True])
    with guard():
        total = np.sum(b, where=mask)
    mask[0] = False
    with pytest.raises(RuntimeError, match="keyword where of sum"):
        total.backward()


def test_many_arguments_cost_as_many_checksums_and_leave_nothing() -> None:
    total = primitive(lambda *xs: sum(xs[1:], xs[0]), joint=lambda g, y, *xs, needed: [g] * len(xs))
    x = Tensor(np.ones(3), requires_grad=True)
    for _ in range(3):
        with guard():
            y = total(*[x] * 50).sum()
        assert len(y._node[1][0]._node[4].marks) == 51
        y.backward()


def test_a_context_that_ends_elsewhere_does_not_watch_here() -> None:
    def generator() -> Any:
        with detect_anomaly():
            yield

    it = generator()
    contextvars.copy_context().run(next, it)
    it.close()
    with guard(), np.errstate(all="ignore"):
        assert np.log(Tensor(0.0)).data == -np.inf
    detect_anomaly.inside.set(0)
    with pytest.raises(TypeError, match="does not reach into a generator"):
        detect_anomaly()(generator)


def test_another_array_in_the_place_of_the_result_is_refused() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = np.exp(x)
    with pytest.raises(RuntimeError, match="the data of a computed Tensor follows from its inputs"):
        y.data = np.zeros(1, np.float32)
    assert grad(y, x, retain_graph=True).data == y.data  # nothing was written
    with pytest.raises(RuntimeError, match="the data of a computed Tensor follows from its inputs"):
        y.data -= 1
    with pytest.raises(RuntimeError, match="the result of exp"):
        y.backward()


def test_guard_names_a_function_and_a_vjp_that_write_to_what_they_are_given() -> None:
    def doubled(g: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        gradient = 2 * g * x
        x *= 2
        return gradient

    def squared(x: np.ndarray) -> np.ndarray:
        x *= x
        return x

    in_vjp = primitive(lambda x: x * x, doubled, name="in_vjp")
    in_forward = primitive(squared, lambda g, y, x: 2 * g * x, name="in_forward")
    with guard():
        y = in_vjp(Tensor(np.array([3.0]), requires_grad=True)).sum()
        with pytest.raises(
            RuntimeError, match=r"in_forward of float64\[1\]: the function wrote to argument 0, float64"
        ):
            in_forward(Tensor(np.array([3.0]), requires_grad=True))
    with pytest.raises(RuntimeError, match=r"the vjp of in_vjp for argument 0 wrote to argument 0, float64\[1\]"):
        y.backward()

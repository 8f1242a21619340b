"""The values of gradients where they are a convention or a trap; all exact, none with a warning."""

from collections.abc import Callable

import numpy as np
import pytest

from tinygrad_np import Tensor, cross_entropy, grad, relu, sigmoid, softmax

INF = np.inf


def gradients(function: Callable[..., Tensor], *inputs: object) -> list[list[float]]:
    tensors = [Tensor(np.array(x, np.float64), requires_grad=True) for x in inputs]
    y = function(*tensors)
    return [g.data.tolist() for g in grad(y, tensors, np.ones(y.shape))]


@pytest.mark.parametrize(
    ("function", "inputs", "expected"),
    [
        pytest.param(function, inputs, expected, id=name)
        for name, function, inputs, expected in [
            ("x*x*x", lambda x: x * x * x, [2], [12]),
            ("b=a+a; c=b+b", lambda a: (lambda b: b + b)(a + a), [1], [4]),
            ("(3,1)+(1,4)", np.add, [np.ones((3, 1)), np.ones((1, 4))], [[[4]] * 3, [[3] * 4]]),
            ("(3,)*(1,3)", np.multiply, [np.ones(3), np.ones((1, 3))], [[1, 1, 1], [[1, 1, 1]]]),
            ("0-d", np.multiply, [2, 3], [3, 2]),
            ("sum of (0,3)", np.sum, [np.ones((0, 3))], [[]]),
            ("maximum at a tie", np.maximum, [[1, 2], [1, 1]], [[0.5, 1], [0.5, 0]]),
            ("minimum at a tie", np.minimum, [[1, 2], [1, 1]], [[0.5, 0], [0.5, 1]]),
            ("max with ties", np.max, [[1, 3, 3]], [[0, 0.5, 0.5]]),
            (
                "max with ties along an axis",
                lambda x: x.max(axis=1),
                [[[1, 3, 3], [2, 2, 0]]],
                [[[0, 0.5, 0.5], [0.5, 0.5, 0]]],
            ),
            ("min with ties", np.min, [[1, 1, 3]], [[0.5, 0.5, 0]]),
            ("clip", lambda x: np.clip(x, 0, 1), [[-1, 0, 0.5, 1, 2]], [[0, 1, 1, 1, 0]]),
            ("relu at 0", relu, [[-1, 0, 1]], [[0, 0, 1]]),
            ("abs at 0", np.abs, [[-1, 0, 1]], [[-1, 0, 1]]),
            ("sign", np.sign, [[-1, 0, 1]], [[0, 0, 0]]),
            ("sqrt at 0", np.sqrt, [[0, 4]], [[INF, 0.25]]),
            ("x**0 at 0", lambda x: x**0, [[0, 2]], [[0, 0]]),
            ("x**y at 0", np.power, [[0, 0, 0], [0, 1, 2]], [[0, 1, 0], [0, 0, 0]]),
            ("(-2)**2", lambda x: x**2, [-2], [-4]),
            ("(-2)**2 as a power", lambda x: np.power(x, 2), [-2], [-4]),
            ("(-2)**3", lambda x: x**3, [-2], [12]),
            ("sigmoid at 1000", sigmoid, [[-1000, 1000]], [[0, 0]]),
            ("tanh at 1000", np.tanh, [[-1000, 1000]], [[0, 0]]),
            ("softmax at 1000", softmax, [[-1000, 1000]], [[0, 0]]),
            ("x[[0, 0, 1]]", lambda x: x[[0, 0, 1]], [[5, 6, 7]], [[2, 1, 0]]),
            (
                "dead branch of where",
                lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1)), 0),
                [[-1, 0, 4]],
                [[0, 0, 0.25]],
            ),
            ("dead unit before sqrt", lambda x: np.sqrt(relu(x)), [[-1, 4]], [[0, 0.25]]),
            ("dead branch of maximum", lambda x: np.sqrt(np.maximum(x, 0)), [[-1, 4]], [[0, 0.25]]),
            ("dead branch of clip", lambda x: np.sqrt(np.clip(x, 0, 9)), [[-1, 4]], [[0, 0.25]]),
            ("sum of a 0-d Tensor", lambda x: x.sum(axis=0), [2], [1]),
            ("dead sqrt in where", lambda x: np.where(x > 0, np.sqrt(x), 0), [[0, 4]], [[0, 0.25]]),
        ]
    ],
)
def test_gradient(function: Callable[..., Tensor], inputs: list[object], expected: list[object]) -> None:
    assert gradients(function, *inputs) == expected


def test_mean_of_nothing_has_an_empty_gradient_and_max_of_nothing_raises_as_in_numpy() -> None:
    x = Tensor(np.ones((0, 3)), requires_grad=True)
    assert grad(x.mean(axis=1).sum(), x).shape == (0, 3)
    with pytest.warns(RuntimeWarning, match="Mean of empty slice|invalid value"):
        y = x.mean()  # NumPy's own warning, in the forward
    assert grad(y, x).shape == (0, 3)
    with pytest.raises(ValueError, match="max of"):
        x.max()


def test_powers_are_right_to_second_order_where_the_exponent_is_zero() -> None:
    x, y = (Tensor(np.float64(v), requires_grad=True) for v in (2.0, 0.0))
    slope = grad(x**y, x, create_graph=True)  # y * x**(y - 1)
    assert grad(slope, y).data == 0.5


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_integer_exponents_of_any_width(dtype: type) -> None:
    x = Tensor(np.array([3.0, 3.0, 3.0], np.float32), requires_grad=True)
    assert grad((x ** np.array([0, 1, 2], dtype)).sum(), x).data.tolist() == [0, 1, 6]


@pytest.mark.parametrize("function", [sigmoid, softmax, lambda x: cross_entropy(x, [0])])
def test_integers_are_refused_where_they_would_overflow(function: Callable[..., Tensor]) -> None:
    with pytest.raises(TypeError, match="needs floating point, not uint8"):
        function(Tensor(np.array([[5, 200]], np.uint8)))


def test_the_mean_of_more_float16_than_it_has_numbers() -> None:
    x = Tensor(np.ones((300, 300), np.float16), requires_grad=True)
    assert grad(x.mean(), x, np.float16(1000)).data[0, 0] == pytest.approx(1000 / 90000, rel=0.01)


def test_sqrt_is_right_to_second_order_where_its_output_gradient_is_zero() -> None:
    x, w = (Tensor(np.float64(v), requires_grad=True) for v in (4.0, 0.0))
    slope = grad(w * np.sqrt(x), x, create_graph=True)  # w / (2 * sqrt(x))
    assert (slope.data, grad(slope, w).data) == (0, 0.25)


def test_cross_entropy_of_huge_logits() -> None:
    logits = Tensor(np.array([[1e4, -1e4]] * 2), requires_grad=True)
    loss = cross_entropy(logits, np.array([0, 1]))
    loss.backward()
    assert loss.data == 1e4
    assert logits.grad.data.tolist() == [[0, 0], [0.5, -0.5]]

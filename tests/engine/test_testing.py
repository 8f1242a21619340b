"""`check_gradients` finds every kind of wrong gradient and says where it is; the strategies draw what they promise."""

import re
from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, differentiable, mse_loss, primitive
from tinygrad_np.ops.cases import NONZERO, POSITIVE, REAL, Case, Domain
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import LAYOUTS, arguments, arrays, shapes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


def test_a_wrong_element_is_named_with_both_numbers() -> None:
    def flaw(g: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return g * a * np.array([[1, 1], [1, 3]])

    def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a * b

    wrong = primitive(product, lambda g, y, a, b: g * b, flaw)
    message = r"product: the gradient of argument 1 at index \(1, 1\) is (\S+), finite differences give (\S+)$"
    with pytest.raises(AssertionError, match=message) as caught:
        check_gradients(wrong, np.full((2, 2), 2.0), np.full((2, 2), 5.0))
    found, expected = re.search(message, str(caught.value)).groups()
    assert float(found) == pytest.approx(3 * float(expected))


def test_a_second_derivative_is_checked_when_asked_for() -> None:
    @differentiable(lambda g, y, x: g * 2 * (x._data if isinstance(x, Tensor) else x))  # cuts the graph
    def square(x: np.ndarray) -> np.ndarray:
        return x * x

    x = np.array([1.0, 2.0])
    check_gradients(square, x)
    with pytest.raises(AssertionError, match="gradient of square: the gradient of argument 0"):
        check_gradients(square, x, order=2)


def test_a_gradient_that_ignores_its_output_gradient_is_found() -> None:
    wrong = primitive(lambda x: x * 3, lambda g, y, x: 3 * np.ones_like(g))
    with pytest.raises(AssertionError, match="finite differences give"):
        check_gradients(wrong, np.ones(3))


def test_an_error_beside_a_huge_gradient_is_found() -> None:
    scale = np.array([1e6, 1.0])
    wrong = primitive(lambda x: x * scale, lambda g, y, x: g * np.array([1e6, 1.5]))
    with pytest.raises(AssertionError, match=r"at index \(1,\)"):
        check_gradients(wrong, np.array([0.3, 0.7]))


def writing(name: str) -> Callable[..., Any]:
    """A vjp of the square that doubles what it is given by this name, after it was read."""

    def vjp(g: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        gradient = 2 * g * x
        array = {"g": g, "y": y, "x": x}[name]
        array *= 2
        return gradient

    return vjp


@pytest.mark.parametrize("name", ["g", "y", "x"])
def test_a_vjp_that_writes_to_what_it_is_given_is_found(name: str) -> None:
    x = np.array([1.0, 2.0])
    with pytest.raises(AssertionError, match="square writes to its arguments, or a vjp in it.*write to a copy"):
        check_gradients(primitive(lambda x: x * x, writing(name)), x, name="square")
    assert x.tolist() == [1, 2]


def test_a_forward_that_writes_to_its_argument_is_found() -> None:
    def from_next(x: np.ndarray) -> np.ndarray:
        x += 1
        return x * x

    x = np.array([1.0, 2.0])
    with pytest.raises(
        AssertionError, match=r"from_next writes .*from_next of float64\[2\]: output array is read-only"
    ):
        check_gradients(primitive(from_next, lambda g, y, x: 2 * g * x), x)
    assert x.tolist() == [1, 2]
    check_gradients(np.ravel, x)  # whose result shares the memory of its argument
    x[:] = 3


def test_several_outputs_other_arguments_and_higher_orders() -> None:
    check_gradients(lambda x, n: (x**n, np.sin(x)), np.array([0.5, 1.0]), 3, order=4, rtol=1e-5)
    check_gradients(np.add, 1.0, Tensor([2.0]), name="sum")


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="none of the 1 inputs is floating point"):
        check_gradients(np.sum, np.arange(3))
    with pytest.raises(ValueError, match="order must be at least 1"):
        check_gradients(np.sum, np.ones(3), order=0)


@given(st.data())
def test_shapes_follow_the_notation(data: st.DataObject) -> None:
    a, b, c = data.draw(shapes("n K 2, K, "))
    assert len(a) == 3
    assert a[1:] == (b[0], 2)
    assert b[0] >= 1
    assert c == ()
    x, y = data.draw(shapes("*, *"))
    np.broadcast_shapes(x, y)


@given(st.data(), st.sampled_from([REAL, POSITIVE, NONZERO, Domain(2, 5, "i")]))
def test_elements_are_in_their_domain_and_apart(data: st.DataObject, domain: Domain) -> None:
    x = data.draw(arrays((2, 3), domain))
    size = np.abs(x) if domain.either_sign else x
    assert ((size >= domain.low) & (size < domain.high)).all()
    if domain.kind == "f":
        gaps = np.diff(np.sort(size, axis=None))
        assert gaps.min() > 0.004


def test_layouts_are_what_they_are_called() -> None:
    x = np.arange(6.0).reshape(2, 3)
    assert LAYOUTS["contiguous"](x).flags.c_contiguous
    assert LAYOUTS["Fortran order"](x).flags.f_contiguous
    assert LAYOUTS["negative strides"](x).strides == (-24, -8)
    assert LAYOUTS["every second element"](x).strides == (48, 16)
    for layout in LAYOUTS.values():
        for y in (x, np.array(3.0), np.ones((0, 2))):
            np.testing.assert_array_equal(layout(y), y, strict=True)


@given(st.data())
def test_no_two_arguments_meet(data: st.DataObject) -> None:
    a, b = data.draw(arguments(Case("2 2, 3")))
    assert not set(a.flat) & set(b.flat)


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (np.square, [1e3, 2e3]),
        (np.exp, [15.0, 1.0]),
        (lambda p: mse_loss(p, np.array([250e3, 300e3])), [260e3, 310e3]),
        (lambda x: np.sum(x) + 1e9, [1.0, 2.0]),
    ],
)
def test_rounding_of_large_values_is_no_error(function: Any, x: Any) -> None:
    check_gradients(function, np.array(x))
    wrong = primitive(lambda x: x * x, lambda g, y, x: 2.02 * g * x, name="wrong")
    with pytest.raises(AssertionError, match="wrong"):
        check_gradients(wrong, np.array([1e3, 2e3]), name="wrong")


def test_ways_to_go_forward_that_do_not_exist_are_refused() -> None:
    for options in ({"jvp": "diagonal"}, {"jvp": "elementwise", "joint": lambda g, y, x, *, needed: (g,)}):
        vjps = [] if "joint" in options else [lambda g, y, x: g]
        with pytest.raises(ValueError, match="jvp= of plain must be 'elementwise', which needs .*, or 'linear'"):
            primitive(lambda x: +x, *vjps, name="plain", **options)

"""`check_gradients` and `check_operation` find what is wrong and say where; the strategies draw what they promise."""

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, composite, differentiable, mse_loss, primitive, softmax
from tinygrad_np.ops import examples
from tinygrad_np.ops.cases import NONZERO, POSITIVE, REAL, Case, Domain
from tinygrad_np.testing import check_gradients, check_operation
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


# --- check_operation -------------------------------------------------------------------------------------------------


def swish(x: np.ndarray, scale: float = 1.0) -> np.ndarray:
    return x / (1 + np.exp(-scale * x))


def slope(g: Any, y: Any, x: Any, *, scale: float = 1.0) -> Any:
    s = 1 / (1 + np.exp(-scale * x))
    return g * (s + scale * x * s * (1 - s))


def test_operations_of_ones_own_have_all_properties() -> None:
    one = primitive(swish, slope, jvp="elementwise", reads=("x",), name="swish_", complex=True)
    scaled = Case("*", kwargs={"scale": 0.5})
    check_operation(one, ["*", scaled])
    check_operation(swish, [Case("N M", (), {"scale": 2.0})])  # as it was registered
    check_operation(np.hypot)  # by its own cases
    check_operation(np.matmul, ["n k, k m"], examples=5)
    check_operation(lambda a, b: softmax(a @ b), ["n K, K M"], examples=5)  # made of operations
    with_cases = primitive(lambda x: 2 * x, lambda g, y, x: 2 * g, cases=[Case("n")], name="twice")
    check_operation(with_cases)

    @composite(len_of_nothing := (lambda x: x * 1.0), name="made of others")
    def of_others(x: Any) -> Any:
        return x * 1.0

    check_operation(of_others, ["n m"], examples=3)
    check_operation(len_of_nothing, ["n m"], examples=3)


def with_keyword(x: np.ndarray, axis: int = 0) -> np.ndarray:
    return np.cumsum(x, axis)


def back_along(g: Any, y: Any, x: Any, *, axis: int = 0) -> Any:
    return np.flip(np.cumsum(np.flip(g, axis), axis), axis)


WHOLE: Any = {"vjp": lambda g, y, x: g * np.ones_like(x)}
MISTAKES: dict[str, tuple[Any, Any, list[Any], str]] = {  # a function, its vjp and options, cases, and what is said
    "a wrong gradient": (lambda x: x * x, (lambda g, y, x: 3 * g * x, {}), ["n"], "the gradient of argument 0"),
    "a cut graph": (
        lambda x: x * x, (lambda g, y, x: 2 * g * getattr(x, "_data", x), {}), ["n"], "gradient of wrong: the gradient"
    ),
    "a write to the argument": (
        lambda x: np.square(x, out=x), (lambda g, y, x: g, {}), ["n"], "wrong writes to its arguments"
    ),
    "a layout": (
        lambda x: x.ravel("K") * np.arange(x.size),
        (lambda g, y, x: np.reshape(g * np.arange(g.size), x.shape), {}),
        ["N M"],
        "the layout of arguments",
    ),
    "an axis of length 0": (
        lambda x: x - np.max(x) + np.max(x), (lambda g, y, x: g, {}), ["n"], "zero-size array to reduction"
    ),
    "reads what it does not declare": (
        lambda x: np.exp(x), (lambda g, y, x: g * np.exp(x), {"reads": ("y",)}), ["N"], "gradients read only"
    ),
    "not elementwise": (
        lambda x: np.cumsum(x, -1),
        (lambda g, y, x: np.flip(np.cumsum(np.flip(g, -1), -1), -1), {"jvp": "elementwise"}),
        ["2 3"],
        "derivatives along a direction",
    ),
    "not linear": (
        lambda x: x * x, (lambda g, y, x: 2 * g * x, {"jvp": "linear"}), ["N"], "derivatives along a direction"
    ),
    "rows that mix": (
        lambda x: x - np.sum(x), (lambda g, y, x: g - np.sum(g), {"rows": True}), ["3"], "at once"
    ),
    "examples that mix": (
        lambda x: x - np.mean(x, 0),
        (lambda g, y, x: g - np.mean(g, 0), {"examples": examples.FIRST}),
        ["3 2"],
        "gradients of each example",
    ),
    "overflow in float16": (
        lambda x: np.sum(x * 300 * x * 300, -1) / 9e4,
        (lambda g, y, x: 2 * np.expand_dims(g, -1) * x, {}),
        ["N 3"],
        "other precisions",
    ),
    "a complex conjugate": (
        lambda x: np.conj(x) * x, (lambda g, y, x: 2 * g * x, {"complex": True}), ["N"], "complex arguments"
    ),
    "a keyword without a case": (
        with_keyword, (back_along, {}), ["n m"], r"wrong: no case gives axis; add one, as Case\('n m', kwargs=\{'axis'"
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_mistake_is_found(mistake: str) -> None:
    function, (vjp, options), cases, message = MISTAKES[mistake]

    def wrong(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    operation = primitive(function if mistake.startswith("a keyword") else wrong, vjp, name="wrong", **options)
    with pytest.raises((AssertionError, ValueError)) as caught:
        check_operation(operation, cases)
    said = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert re.search(message, said), said


def test_what_cannot_be_checked_is_refused() -> None:
    for call, kind, message in [
        (lambda: check_operation(3), TypeError, "check_operation takes a function, not int"),
        (lambda: check_operation(np.argmax), TypeError, "argmax has nothing to differentiate"),
        (lambda: check_operation(lambda x: x), ValueError, r"has no cases; give cases=\['n m'\]"),
        (lambda: check_operation(np.exp, [3]), TypeError, "a case of exp is a Case or its shapes as text, not 3"),
    ]:
        with pytest.raises(kind, match=message):
            call()


def test_hypothesis_is_loaded_only_when_it_is_used() -> None:
    code = "import sys, tinygrad_np.testing; print('hypothesis' in sys.modules); tinygrad_np.testing.check_operation"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def plain(a: Any, b: Any = 2.0, *, axis: int = 0) -> Any:
    return a * b


@pytest.mark.parametrize(
    ("function", "vjps", "options", "message"),
    [
        (lambda a, b: a * b, [lambda g, y, a: g], {}, r"takes 2 positional arguments \(a, b\), but has vjps for 1"),
        (lambda a: a, [lambda g, y: g], {}, "takes g, y and 1 inputs, not 2 positional arguments"),
        (lambda a: a, [lambda g: g], {}, "takes g, y and 1 inputs, not 1 positional arguments"),
        (lambda a: a, [lambda g, y, a, b=1: g], {}, "takes g, y and 1 inputs, not 4"),
        (plain, [lambda g, y, a, *, b=3.0: g], {}, "has the default b=2.0, and its vjp 3.0"),
        (plain, [lambda g, y, a, *, b: g], {}, "has the default b=2.0, and its vjp none"),
        (plain, [lambda g, y, a, *, axis=1: g], {}, "has the default axis=0, and its vjp 1"),
        (plain, [lambda g, y, a, *, other=1: g], {}, "take a keyword other, which plain does not have"),
        (lambda a, *, axis: a, [lambda g, y, a: g], {}, "needs its keyword axis, which its vjps do not take"),
        (
            lambda a, *, axis=0: a,
            [lambda g, y, a, *, axis=0: g],
            {"rows": (lambda g, y, a, *, axis=1: g,)},
            "has the default axis=0, and rows= another or none",
        ),
        (lambda a, *, axis=0: a, [lambda g, y, a, *, axis=0: g], {"rows": (lambda g, y, a: g,)}, "other keywords"),
        (lambda a: a, [lambda g, y, a: g], {"rows": (lambda g, y: g,)}, "takes g, y and 1 inputs, not 2"),
    ],
)
def test_a_vjp_that_does_not_fit_is_refused_when_it_is_defined(
    function: Any, vjps: Any, options: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        primitive(function, *vjps, **options)

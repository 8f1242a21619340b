"""Derivatives of functions: against each other, against closed forms, over trees, nested."""

import copy
import dataclasses
from collections import ChainMap, Counter, OrderedDict, defaultdict, deque
from types import MappingProxyType
from typing import Any, NamedTuple

from tinygrad_np import Tensor, func, grad, no_grad, relu, softmax, tensor
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import arrays

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

A = np.array([[2.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.0, 4.0, 1.0]])


def curve(x: Any) -> Any:
    return np.tanh(A @ x) * np.sum(x * x)


def bowl(x: Any) -> Any:
    return np.sum(np.exp(x) * (A @ x))


@given(arrays((3,)), arrays((3,)))
def test_the_derivatives_agree_with_one_another(x: np.ndarray, v: np.ndarray) -> None:
    matrix = func.jacobian(curve)(x)
    y, forward = func.jvp(curve, [x], [v])
    z, pull = func.vjp(curve, x)
    np.testing.assert_array_equal(y, z)
    np.testing.assert_allclose(forward, matrix @ v, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(pull(v)[0], v @ matrix, rtol=1e-10, atol=1e-10)
    second = func.hessian(bowl)(x)
    np.testing.assert_allclose(second, second.T, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(func.hvp(bowl, [x], [v])[0], second @ v, rtol=1e-8, atol=1e-8)
    value, slope = func.value_and_grad(bowl)(x)
    np.testing.assert_array_equal(slope, func.grad(bowl)(x))
    assert value == bowl(x)


@pytest.mark.parametrize("derivative", [func.grad(bowl), func.jacobian(curve), func.hessian(bowl)])
def test_derivatives_are_differentiable_themselves(derivative: Any) -> None:
    check_gradients(derivative, np.array([0.3, -0.5, 0.8]), order=2)


def test_directional_derivatives_are_differentiable_in_point_and_direction() -> None:
    x, v = np.array([0.3, -0.5, 0.8]), np.array([1.0, 0.5, -2.0])
    check_gradients(lambda x, v: func.jvp(curve, [x], [v])[1], x, v, order=2)
    check_gradients(lambda x, v: func.vjp(curve, x)[1](v)[0], x, v, order=2)
    check_gradients(lambda x, v: func.hvp(bowl, [x], [v])[0], x, v, order=2)


def test_forward_over_reverse_is_reverse_over_reverse() -> None:
    x, v = np.array([0.3, -0.5, 0.8]), np.array([1.0, 0.5, -2.0])
    _, along = func.jvp(func.grad(bowl), [x], [v])
    np.testing.assert_allclose(along, func.hvp(bowl, [x], [v])[0], rtol=1e-12)


class Pair(NamedTuple):
    left: Any
    right: Any


def test_named_tuples_stay_what_they_are() -> None:
    slope = func.grad(lambda pair: pair.left * pair.right)(Pair(2.0, 3.0))
    assert type(slope) is Pair
    assert (slope.left, slope.right) == (3, 2)


TREE = {"layers": [(np.array([1.0, 2.0]), 3.0), (np.array([4.0, 5.0]), 6.0)], "scale": np.array(0.5)}


def network(tree: Any, x: Any) -> Any:
    for weight, bias in tree["layers"]:
        x = np.tanh(x * weight + bias) * tree["scale"]
    return np.sum(x)


def test_trees_go_in_and_come_out() -> None:
    x = np.array([0.1, -0.2])
    slope = func.grad(network)(TREE, x)
    assert list(slope) == ["layers", "scale"]
    assert [type(layer) for layer in slope["layers"]] == [tuple, tuple]
    assert slope["layers"][0][0].shape == (2,)
    assert slope["layers"][1][1].dtype == np.float64  # a Python number
    both = func.grad(network, argnums=(0, 1))(TREE, x)
    assert both[1].shape == (2,)
    np.testing.assert_array_equal(both[0]["scale"], slope["scale"])
    second = func.hessian(network)(TREE, x)
    assert second["layers"][0][0]["layers"][1][0].shape == (2, 2)
    assert second["scale"]["layers"][0][0].shape == (2,)
    outputs, along = func.jvp(lambda t: {"y": t["scale"] * 2, "z": [t["layers"][0][0]]}, [TREE], [TREE])
    assert (float(outputs["y"]), float(along["y"]), along["z"][0].tolist()) == (1.0, 1.0, [1.0, 2.0])


def test_what_does_not_depend_on_the_argument_has_zero_derivatives() -> None:
    constant = Tensor(np.array([1.0, 2.0]))
    assert func.grad(lambda x: constant.sum())(3.0) == 0
    assert func.grad(lambda x: x[0] * 2)([1.0, 5.0])[1] == 0
    assert func.jacobian(lambda x: constant)(np.ones(3)).tolist() == [[0] * 3] * 2
    assert func.hessian(lambda x: x.sum())(np.ones(2)).tolist() == [[0, 0], [0, 0]]
    assert func.jvp(lambda x: (x, constant), [np.ones(1)], [np.ones(1)])[1][1].tolist() == [0, 0]
    assert func.hvp(lambda x: x.sum(), [np.ones(2)], [np.ones(2)])[0].tolist() == [0, 0]


def every_result(f: Any, x: Any, v: Any) -> list[Any]:
    """What each function of func returns for a function from one argument to its square, or to something constant."""
    value, gradient = func.value_and_grad(lambda x: f(x).sum())(x)
    y, pull = func.vjp(f, x)
    return [
        value,
        gradient,
        func.grad(lambda x: f(x).sum())(x),
        y,
        *pull(v),
        *func.jvp(f, [x], [v]),
        func.jacobian(f)(x),
        func.hessian(lambda x: f(x).sum())(x),
        *func.hvp(lambda x: f(x).sum(), [x], [v]),
    ]


FUNCTIONS = {
    "cubic": lambda x: x**3,
    "linear": lambda x: 3 * x,
    "relu": relu,
    "identity": lambda x: x,
    "linear in its gradient": lambda x: func.jvp(lambda x: 2 * x, [x], [x])[1],
    "constant": lambda x: Tensor(np.ones(x.shape)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@given(shape=st.sampled_from([(), (1,), (3,), (2, 2), (0,)]), dtype=st.sampled_from([np.float32, np.float64]))
def test_results_are_of_the_kind_of_the_arguments(name: str, shape: tuple[int, ...], dtype: type) -> None:
    f, x, v = FUNCTIONS[name], np.full(shape, 2, dtype), np.ones(shape, dtype)
    plain = every_result(f, x, v)
    for y in plain:
        assert type(y) is (np.ndarray if np.ndim(y) else y.dtype.type)
    for y, expected in zip(every_result(f, Tensor(x), Tensor(v)), plain, strict=True):
        assert (type(y), y.requires_grad, y.is_leaf) == (Tensor, False, True)
        np.testing.assert_array_equal(y.data, expected)
    w = Tensor(x, requires_grad=True)
    for y, expected in zip(every_result(f, w, v), plain, strict=True):
        assert type(y) is Tensor
        np.testing.assert_array_equal(y.data, expected)
        if y.requires_grad:
            (slope,) = grad([y], [w], [np.ones(y.shape)], retain_graph=True)
            assert slope.shape == shape
    assert w.grad is None
    assert every_result(f, w, v)[0].requires_grad is (name != "constant")


def test_a_python_number_is_float64_and_a_numpy_scalar_keeps_its_dtype() -> None:
    for x, dtype in ((2, np.float64), (2.0, np.float64), (np.float32(2), np.float32)):
        for y in func.value_and_grad(lambda x: x**3)(x):
            assert type(y) is dtype
        assert type(func.grad(func.grad(lambda x: 3 * x))(x)) is dtype


def test_each_gradient_is_of_the_kind_of_its_own_argument() -> None:
    a, b, w = np.ones(2), Tensor(np.ones(2)), Tensor(np.ones(2), requires_grad=True)

    def f(p: Any) -> Any:
        return (p["a"] * p["b"] ** 2 + p["c"] ** 2).sum()

    value, slope = func.value_and_grad(f)({"a": a, "b": b, "c": 1.0})
    assert [type(y) for y in (value, *slope.values())] == [Tensor, np.ndarray, Tensor, np.float64]
    value, slope = func.value_and_grad(f)({"a": a, "b": a, "c": w})
    assert [type(y) for y in (value, *slope.values())] == [Tensor, np.ndarray, np.ndarray, Tensor]
    assert [y.requires_grad for y in (value, slope["c"])] == [True, True]
    matrix = func.jacobian(lambda a, b: a * b, (0, 1))(a, b)
    assert [type(y) for y in matrix] == [np.ndarray, Tensor]
    value, slope = func.value_and_grad(lambda x, fixed: (x * fixed).sum())(a, b)  # b is not differentiated
    assert (type(value), type(slope)) == (np.float64, np.ndarray)


def test_a_gradient_stays_differentiable_only_if_it_depends_on_more_itself() -> None:
    w = Tensor(2.0, requires_grad=True)
    value, slope = func.value_and_grad(lambda x: x**2 + w)(3.0)
    assert value.requires_grad
    assert (type(slope), slope) == (np.float64, 6)
    slope = func.grad(lambda p: p[0] ** 2 + p[1] * w)((3.0, 1.0))
    assert (slope[0], slope[1].requires_grad) == (6, True)


def test_a_derivative_inside_a_derivative_may_be_constant() -> None:
    for inner in (
        lambda w: func.grad(lambda x: w + x)(3.0),
        lambda w: func.grad(lambda x: x * x)(3.0),
        lambda w: func.jacobian(lambda x: x * x)(3.0),
        lambda w: func.vjp(lambda x: x * x, 3.0)[1](1.0)[0],
        lambda w: func.jvp(lambda x: x * x, [3.0], [1.0])[0],
        lambda w: func.hvp(lambda x: x * x, [3.0], [1.0])[0],
    ):
        assert func.grad(inner)(2.0) == 0
        assert func.grad(lambda w, inner=inner: inner(w) * w)(2.0) == inner(2.0)
    mixed = func.jacobian(func.grad(lambda x, y: (x**2).sum() + (y**3).sum(), 1), 0)
    assert mixed(np.ones(2), np.ones(3)).tolist() == [[0, 0]] * 3


def test_a_step_of_gradient_descent_is_taken_in_place() -> None:
    w = np.array([0.0, 10.0])
    for _ in range(100):
        w -= 0.1 * func.grad(lambda w: ((w - 3) ** 2).sum())(w)
    np.testing.assert_allclose(w, 3, atol=1e-6)


def test_what_a_derivative_depends_on_besides_its_arguments_is_differentiated_too() -> None:
    cubic = [
        lambda w: func.grad(lambda x: w * x * x)(3.0),
        lambda w: func.grad(lambda x, w: w * x * x)(3.0, w),
        lambda w: func.value_and_grad(lambda x: w * x * x)(3.0)[1],
        lambda w: func.vjp(lambda x: w * x * x, 3.0)[1](1.0)[0],
        lambda w: func.jvp(lambda x: w * x * x, [3.0], [1.0])[1],
        lambda w: func.jacobian(lambda x: w * x * x)(3.0),
        lambda w: func.hvp(lambda x: w * x * x * x / 6, [3.0], [2.0])[0],
    ]
    for slope in cubic:  # 6 w
        assert func.grad(slope)(2.0) == 6
        w = Tensor(2.0, requires_grad=True)
        slope(w).backward()
        assert w.grad.data == 6
    assert float(func.grad(lambda w: func.value_and_grad(lambda x: w * x * x)(3.0)[0] * w)(2.0)) == 36
    assert float(func.grad(cubic[0])(2.0)) == float(func.grad(cubic[4])(2.0)) == 6  # plain


def test_derivatives_are_right_under_no_grad_and_plain() -> None:
    w = Tensor(2.0, requires_grad=True)
    with no_grad():
        assert type(func.grad(lambda x: w * x * x)(3.0)) is np.float64
        slope = func.grad(lambda x: w * x * x)(Tensor(3.0))
        assert (slope.data, slope.requires_grad) == (12, False)
        assert func.jvp(lambda x: x * x, [3.0], [1.0])[1] == 6
        assert func.vjp(lambda x: x * x, 3.0)[1](1.0)[0] == 6
        assert func.hessian(lambda x: x * x * x)(3.0) == 18
        assert not (w * 2).requires_grad


def test_arguments_are_counted_from_the_end_too() -> None:
    assert func.grad(lambda a, b: a * b * b, -1)(2.0, 3.0) == 12
    assert [float(g) for g in func.grad(lambda a, b: a * b * b, (1, 0))(2.0, 3.0)] == [12, 9]


def test_dicts_go_by_their_keys() -> None:
    assert func.vjp(lambda x: {"a": 2 * x, "b": 3 * x}, 1.0)[1]({"b": 0.0, "a": 1.0})[0] == 2
    primal, tangent = {"a": 1.0, "b": 1.0}, {"b": 0.0, "a": 1.0}
    assert func.jvp(lambda p: p["a"] * 2 + p["b"] * 3, [primal], [tangent])[1] == 2
    second = func.hvp(lambda p: p["a"] ** 2 + p["b"] ** 3, [primal], [tangent])[0]
    assert (second["a"], second["b"]) == (2, 0)


def test_the_derivative_of_a_root_at_zero_is_infinite_in_both_modes() -> None:
    for root in (np.sqrt, np.cbrt):
        assert func.jvp(root, [0.0], [1.0])[1] == func.grad(root)(0.0) == np.inf


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one element to have a gradient, not shape \(3,\); see jacobian"):
        func.grad(curve)(np.ones(3))
    with pytest.raises(TypeError, match="one element to have a gradient, not float"):
        func.grad(lambda x: 1.0)(np.ones(3))
    with pytest.raises(TypeError, match="must return Tensors to be differentiated, not ndarray"):
        func.jacobian(lambda x: x.data)(np.ones(3))
    with pytest.raises(ValueError, match=r"tangents: expected shape \(3,\), not \(2,\)"):
        func.jvp(curve, [np.ones(3)], [np.ones(2)])
    with pytest.raises(ValueError, match=r"gradients: expected shape \(3,\), not \(2, 3\)"):
        func.vjp(curve, np.ones(3))[1]([np.ones(3), np.ones(3)])
    with pytest.raises(ValueError, match=r"tangents: expected a dict with the keys \['a'\]"):
        func.jvp(lambda t: t["a"], [{"a": 1.0}], [{"b": 1.0}])
    for argnums in (1, -2, (0, 0)):
        with pytest.raises(ValueError, match="argnums"):
            func.grad(bowl, argnums)(np.ones(3))
    with pytest.raises(TypeError, match="floating point"):
        func.grad(bowl)(np.ones(3, bool))
    with pytest.raises(TypeError, match="floating point"):
        func.grad(bowl)(Tensor(np.ones(3, int)))
    with pytest.raises(ValueError, match="argnums .* not 0; give what is differentiated by position"):
        func.grad(bowl)(x=np.ones(3))
    for argnums in (1.0, "x", None, (0, 1.5)):
        with pytest.raises(TypeError, match="argnums must be an integer or a tuple of integers, not"):
            func.grad(bowl, argnums)(np.ones(3))
    for x in (np.ones(3), Tensor(1.0)):
        for derivative in (func.grad, func.value_and_grad, func.jacobian, func.hessian, func.vjp):
            with pytest.raises(TypeError, match="expected a function to differentiate, not (ndarray|Tensor; .*grad)"):
                derivative(x)


# --- the kinds of arguments ------------------------------------------------------------------------------------------

DERIVATIVES: dict[str, Any] = {  # of a function of one argument, at x
    "grad": lambda f, x: func.grad(f)(x),
    "value_and_grad": lambda f, x: func.value_and_grad(f)(x),
    "vjp": lambda f, x: (lambda y, pull: (y, *pull(np.ones(np.shape(y)))))(*func.vjp(f, x)),
    "jvp": lambda f, x: func.jvp(f, [x], [x]),
    "jacobian": lambda f, x: func.jacobian(f)(x),
    "value_and_jacobian": lambda f, x: func.value_and_jacobian(f)(x),
    "hessian": lambda f, x: func.hessian(f)(x),
    "hvp": lambda f, x: func.hvp(f, [x], [x]),
}


def test_every_derivative_is_tested_with_every_kind_of_argument() -> None:
    others = {"flatten", "elementwise_grad", "per_example_grad", "checkpoint", "custom_vjp"}
    others |= {"holomorphic_grad", "value", "functional_call"}
    assert set(func.__all__) - others == set(DERIVATIVES)


def leaves(tree: Any) -> list[Any]:
    if isinstance(tree, tuple | list | dict):
        return [leaf for part in (tree.values() if isinstance(tree, dict) else tree) for leaf in leaves(part)]
    return [tree]


@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
@given(dtype=st.sampled_from("bBhHiIlLqQ"), shape=st.sampled_from([(), (1,), (3,), (2, 2)]), data=st.data())
def test_integers_count_as_float64(derivative: Any, dtype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 9), min_size=4, max_size=4))
    x = np.resize(np.array(values, dtype), shape)[()]  # an array, or a scalar of NumPy
    found, expected = (leaves(derivative(lambda t: (t * t * t).sum(), value)) for value in (x, np.float64(x)))
    for y, right in zip(found, expected, strict=True):
        assert (type(y), y.dtype) == (type(right), np.float64)
        np.testing.assert_array_equal(y, right)


def innermost(tree: Any) -> list[Any]:
    """The tuples, lists and dicts that hold leaves only."""
    parts = list(tree.values()) if isinstance(tree, dict) else tree
    inside = [part for part in parts if isinstance(part, tuple | list | dict)]
    return [t for part in inside for t in innermost(part)] if inside else [tree]


class Names(list):  # type: ignore[type-arg]
    """A list of a class of its own."""


TREES: list[Any] = [
    (1.0, 2.0),
    [1.0, 2.0],
    {"a": 1.0, "b": 2.0},
    Pair(1.0, 2.0),
    Names([1.0, 2.0]),
    OrderedDict(b=1.0, a=2.0),
    defaultdict(list, b=1.0, a=2.0),
    Counter(b=1, a=2),
]


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: type(tree).__name__)
@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
def test_a_tree_comes_back_as_its_class(derivative: Any, tree: Any) -> None:
    seen = []

    def product(t: Any) -> Any:
        seen.append(t)
        a, b = t.values() if isinstance(t, dict) else t
        return a * b * b

    before = copy.deepcopy(tree)
    found = derivative(product, tree)
    assert {type(t) for t in seen} == {type(tree)}
    assert tree == before
    if derivative is not DERIVATIVES["jvp"]:  # whose results are like those of the function
        for t in innermost(found[1] if derivative is DERIVATIVES["value_and_jacobian"] else found):
            assert type(t) is type(tree)
            assert list(t) == list(tree) if isinstance(tree, dict) else len(t) == 2
            assert getattr(t, "default_factory", list) is list


@dataclasses.dataclass
class Weights:
    a: float
    b: float


class Triple(tuple):  # type: ignore[type-arg]
    """Three numbers; what its class makes of them is its own affair."""


@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (MappingProxyType({"a": 1.0}), r"not mappingproxy; write dict\(\.\.\.\)"),
        (ChainMap({"a": 1.0}), r"not ChainMap; write dict\(\.\.\.\)"),
        (Weights(1.0, 2.0), r"not Weights; write asdict\(\.\.\.\)"),
        (deque([1.0]), "not deque"),
        (Triple([1.0]), "not Triple"),
        ({1.0}, "not set"),
        (None, "not NoneType"),
        ("1.0", "not str"),
        ([1.0, None], "not NoneType"),
    ],
)
def test_what_would_not_come_back_is_refused(derivative: Any, argument: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"arguments to differentiate are Tensors, .*, {message}"):
        derivative(lambda x: Tensor(1.0), argument)


@pytest.mark.parametrize("as_tensors", [False, True])
@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
def test_results_share_no_memory(derivative: Any, as_tensors: bool) -> None:
    """With the arguments, with what the function holds, and with one another, so that they may be written to."""
    constant = Tensor(np.ones((1, 1)))
    views = [
        lambda t: t,
        lambda t: t.T,
        lambda t: t[0],
        lambda t: t.reshape(1),
        lambda t: np.broadcast_to(t, (1, 1, 1)),
        lambda t: constant,
        lambda t: constant + 0 * t,
    ]
    for view in views:
        x = np.ones((1, 1))
        given = Tensor(x) if as_tensors else x
        results = [y.data if type(y) is Tensor else y for y in leaves(derivative(view, given))]
        for i, y in enumerate(results):
            assert isinstance(y, np.generic) or y.flags.writeable
            assert not any(np.shares_memory(y, other) for other in (x, constant.data, *results[:i]))


# --- products with derivatives: their arguments ----------------------------------------------------------------------


def test_one_argument_may_be_given_as_it_is() -> None:
    x, v = np.array([1.0, 2.0]), np.array([1.0, 10.0])
    for point, along in ((x, v), (Tensor(x), Tensor(v)), (1.5, 2.0), ({"a": x}, {"a": v}), (np.ones(1), np.ones(1))):
        f = lambda t: ((t["a"] if isinstance(t, dict) else t) ** 3).sum()  # noqa: E731
        for alone, listed in (
            (func.jvp(f, point, along), func.jvp(f, [point], [along])),
            (func.hvp(f, point, along), func.hvp(f, [point], [along])[0]),
        ):
            assert type(alone) is type(listed)
            for a, b in zip(leaves(alone), leaves(listed), strict=True):
                assert type(a) is type(b)
                np.testing.assert_array_equal(*(y.data if type(y) is Tensor else y for y in (a, b)))


@pytest.mark.parametrize("product", [func.jvp, func.hvp])
def test_primals_and_tangents_that_do_not_fit_say_what_they_are(product: Any) -> None:
    x = np.ones(2)

    def f(a: Any) -> Any:
        return (a * a).sum()

    for primals, tangents, kind, message in (
        ([1.0, 2.0], [1.0, 2.0], TypeError, "f called with 2 primals: too many positional arguments; they are its arg"),
        ([], [], TypeError, "f called with 0 primals: missing a required argument: 'a'"),
        ([x], x, ValueError, r"tangents: expected a tuple or list of 1 elements, not array"),
        (x, [x], ValueError, r"tangents: expected shape \(2,\), not a list of it; leave out the brackets"),
        (x, np.ones(3), ValueError, r"tangents: expected shape \(2,\), not \(3,\)"),
        (x, [np.ones(2), np.ones(3)], ValueError, r"tangents: expected shape \(2,\), not \[array"),
    ):
        with pytest.raises(kind, match=message):
            product(f, primals, tangents)
    with pytest.raises(TypeError, match="f called with 2 primals"):
        func.vjp(f, x, x)
    for gradients in ([1.0], (1.0,)):
        with pytest.raises(ValueError, match=r"gradients: expected shape \(\), not a (list|tuple) of it; leave"):
            func.vjp(f, x)[1](gradients)


@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: 1.0, "float"),
        (lambda x: np.ones(3), "ndarray"),
        (lambda x: None, "NoneType"),
        (lambda x: x.data.sum(), "float64"),
        (lambda x: x[0].item(), "float"),
        (lambda x: np.argmax(x), "int64"),
    ],
)
def test_a_function_that_returns_no_tensor_is_told_why(derivative: Any, function: Any, kind: str) -> None:
    message = rf"<lambda> must return .*Tensor.*, not {kind}: constants and what is computed from \.data, \.item\(\)"
    with pytest.raises(TypeError, match=message):
        derivative(function, np.ones(2))


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (lambda x: softmax(np.sqrt(x)), np.zeros(2)),
        (lambda x: np.sqrt(x) - np.mean(np.sqrt(x)), np.array([0.0, 1.0])),
        (lambda x: np.stack([np.cbrt(x), -np.cbrt(x)]), np.zeros(2)),
        (lambda x: np.linalg.eigh(x)[1], np.eye(2)),
        (lambda x: np.linalg.svd(x)[0], np.eye(2)),
        (lambda x: np.linalg.qr(x).R, np.ones((2, 2))),
        (lambda x: np.std(x), np.ones(2)),
        (lambda x: np.linalg.norm(x), np.zeros(2)),
        (lambda x: np.hypot(x, x), np.zeros(2)),
    ],
)
def test_jvp_is_finite_only_where_the_jacobian_is(function: Any, x: Any) -> None:
    """Where the derivative does not exist, or is a convention; outputs whose sum is constant hide nothing."""
    direction = np.zeros_like(x)
    direction.flat[-2] = 1.0
    along = func.jvp(function, x, direction)[1]
    column = func.jacobian(function)(x).reshape(*np.shape(along), x.size)[..., -2]
    np.testing.assert_array_equal(np.isfinite(column) | ~np.isfinite(along), True)
    np.testing.assert_array_equal(along[np.isfinite(along)], column[np.isfinite(along)])


# --- values with derivatives, derivatives of each element ------------------------------------------------------------


@given(arrays((3,)))
def test_the_value_comes_with_the_jacobian(x: np.ndarray) -> None:
    y, matrix = func.value_and_jacobian(curve)(x)
    np.testing.assert_array_equal(y, curve(x))
    np.testing.assert_array_equal(matrix, func.jacobian(curve)(x))
    (value, slope), (again, second) = func.value_and_jacobian(func.value_and_grad(bowl))(x)
    np.testing.assert_allclose(value, bowl(x), rtol=1e-12)  # of a copy of x, with other strides
    np.testing.assert_allclose(slope, func.grad(bowl)(x), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(again, slope, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(second, func.hessian(bowl)(x), rtol=1e-9, atol=1e-9)


def test_the_value_and_the_jacobian_of_trees() -> None:
    y, matrix = func.value_and_jacobian(lambda a, b: {"s": a * b, "t": [a.sum()]}, (1, 0))(np.ones(2), 3.0)
    assert (y["s"].tolist(), y["t"]) == ([3, 3], [2])
    assert [part.shape for part in matrix["s"]] == [(2,), (2, 2)]
    with pytest.raises(TypeError, match="must return Tensors to be differentiated, not float"):
        func.value_and_jacobian(lambda x: 1.0)(np.ones(2))
    with pytest.raises(TypeError, match="a Jacobian is of real numbers, and an output is complex128"):
        func.value_and_jacobian(lambda x: x * 1j)(np.ones(2))


SOME_ELEMENTWISE: dict[str, Any] = {
    "sin": np.sin,
    "of elementwise operations": lambda x: x**3 * np.exp(-x) / (1 + x * x),
    "where": lambda x: np.where(x > 0, x**2, -x),
    "a constant of all elements": lambda x: x**2 * 3.5 + np.arange(x.size).reshape(x.shape),
    "reshaped": lambda x: np.reshape(np.tanh(np.reshape(x, (-1, 1))), x.shape),
    "in parts": lambda x: np.reshape(np.concatenate([x.ravel()[:2] ** 2, np.exp(x.ravel()[2:])]), x.shape),
    "there and back": lambda x: np.flip(np.flip(x) ** 3),
    "constant": lambda x: Tensor(np.ones(x.shape, x.dtype)),
    "identity": lambda x: x,
}


@pytest.mark.parametrize("name", SOME_ELEMENTWISE)
@given(shape=st.sampled_from([(), (1,), (4,), (2, 3), (0, 2)]), dtype=st.sampled_from([np.float32, np.float64]),
       data=st.data())  # fmt: skip
def test_the_derivative_of_each_element_is_the_diagonal(name: str, shape: Any, dtype: Any, data: Any) -> None:
    f, x = SOME_ELEMENTWISE[name], data.draw(arrays(shape)).astype(dtype)
    slope = func.elementwise_grad(f)(x)
    assert (np.shape(slope), slope.dtype) == (shape, dtype)
    diagonal = np.diag(func.jacobian(f)(x).reshape(x.size, x.size)).reshape(shape)
    np.testing.assert_allclose(slope, diagonal, rtol=1e-5 if dtype is np.float32 else 1e-12)


def test_elementwise_derivatives_have_any_order() -> None:
    x = np.linspace(-1, 2, 7)
    f: Any = np.sin
    for expected in (np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin):
        f = func.elementwise_grad(f)
        np.testing.assert_allclose(f(x), expected(x), rtol=1e-12, atol=1e-12)
    check_gradients(func.elementwise_grad(lambda x: np.exp(x) * x), x, order=2)
    tree = func.elementwise_grad(lambda p, a: p["u"] ** 2 * p["v"] * a)({"u": x, "v": x + 1}, 3.0)
    np.testing.assert_allclose(tree["u"], 6 * x * (x + 1))
    a, b = func.elementwise_grad(np.multiply, (1, 0))(x, x + 1)
    assert (a.tolist(), b.tolist()) == (x.tolist(), (x + 1).tolist())
    w = Tensor(2.0, requires_grad=True)
    assert grad(func.elementwise_grad(lambda x: w * x**3)(x).sum(), w).item() == pytest.approx(float((3 * x**2).sum()))


MIXING: dict[str, Any] = {
    "softmax": softmax,
    "cumsum": np.cumsum,
    "flip": np.flip,
    "less its mean": lambda x: x - x.mean(),
    "times its sum": lambda x: x * x.sum(),
    "exchanged": lambda x: np.concatenate([x[1:2], x[:1], x[2:]]),
    "a product of matrices": lambda x: x @ np.tri(x.size),
    "diff": lambda x: np.concatenate([x[:1], np.diff(x)]),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("size", [2, 3, 8, 9, 100])
@pytest.mark.parametrize("name", MIXING)
def test_functions_that_mix_elements_are_not_elementwise(name: str, size: int, dtype: Any) -> None:
    x = np.linspace(0.5, 1.5, size).astype(dtype)
    with pytest.raises(ValueError, match="is not elementwise: an element of its result depends on several"):
        func.elementwise_grad(MIXING[name])(x)


def test_a_function_of_elementwise_operations_takes_one_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[Any] = []
    run = tensor._gradients
    monkeypatch.setattr(tensor, "_gradients", lambda *args, **kwargs: passes.append(1) or run(*args, **kwargs))
    func.elementwise_grad(lambda x: np.exp(np.where(x > 0, x**3, 2 * x)))(np.ones(3))
    assert len(passes) == 1
    func.elementwise_grad(lambda x: np.reshape(x, (3,)))(np.ones(3))
    assert len(passes) == 3


def test_what_has_no_derivative_of_each_element_is_refused() -> None:
    for f, x, kind, message in (
        (lambda x: x.sum(), np.ones(3), ValueError, r"returned shape \(\) for an argument of shape \(3,\)"),
        (lambda x: np.outer(x, x), np.ones(3), ValueError, r"shape \(3, 3\) for an argument of shape \(3,\)"),
        (lambda x: x * np.ones(3), 1.0, ValueError, r"shape \(3,\) for an argument of shape \(\)"),
        (lambda x: 1.0, np.ones(3), TypeError, "must return a Tensor of the shape of the argument, not float"),
        (lambda x: (x, x), np.ones(3), TypeError, "not tuple"),
        (
            lambda x: Tensor(np.ones(3, int)),
            np.ones(3),
            TypeError,
            r"<lambda>: expected real floating .*, not int64\[3\]",
        ),
        (lambda x: x, np.ones(3, bool), TypeError, "floating point"),
        (np.exp, np.ones(3, complex), TypeError, r"exp: expected real floating point numbers, not complex128\[3\]"),
        (np.abs, np.ones(3, complex), TypeError, r"absolute: expected real .*, not complex128\[3\]"),
        (lambda x: x * 1j, np.ones(3), TypeError, r"<lambda>: expected real .*, not complex128\[3\]"),
    ):
        with pytest.raises(kind, match=message):
            func.elementwise_grad(f)(x)
    with pytest.raises(TypeError, match="expected a function to differentiate, not Tensor"):
        func.elementwise_grad(Tensor(1.0))
    assert func.elementwise_grad(lambda x: x * x)(np.array([1, 2])).tolist() == [2, 4]
    assert func.elementwise_grad.__doc__


def test_value_calls_with_tensors_and_answers_as_derivatives_do() -> None:
    held, parameter = Tensor([1.0, 2.0]), Tensor([3.0, 4.0], requires_grad=True)
    seen = []

    def f(tree: Any, n: int, *, scale: float) -> Any:
        seen.append([tree["a"], n, scale])
        return {"y": tree["a"] * held * scale, "n": n, "z": [tree["a"].sum()]}

    found = func.value(f)({"a": np.array([1.0, 2.0])}, 3, scale=2.0)
    assert [type(x) for x in seen[0]] == [Tensor, int, Tensor]
    assert type(found["y"]) is np.ndarray
    assert type(found["z"][0]) is np.float64
    assert found["n"] == 3
    np.testing.assert_array_equal(found["y"], [2, 8])
    assert type(func.value(f)({"a": Tensor([1.0, 2.0])}, 3, scale=2.0)["y"]) is Tensor
    np.testing.assert_array_equal(grad(func.value(lambda x: (x * parameter).sum())(np.ones(2)), parameter).data, [1, 1])
    with no_grad():
        assert type(func.value(lambda x: x * parameter)(np.ones(2))) is np.ndarray
    x = np.ones(2)
    func.value(lambda x: x)(x)[:] = 7  # memory of its own
    np.testing.assert_array_equal(x, 1)
    check_gradients(lambda x: func.grad(lambda x: (func.value(np.sin)(x) ** 2).sum())(x), x)
    with pytest.raises(TypeError, match="expected a function"):
        func.value(x)


def test_a_derivative_in_a_loop_looks_at_its_own_operations_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at all that its argument was computed from, which would take the square of the number of turns."""
    looked_at: list[int] = []
    ancestors = tensor._ancestors

    def counted(*args: Any) -> Any:
        found = ancestors(*args)
        looked_at.append(len(found))
        return found

    def walk(x: Any, turns: int) -> Any:
        for _ in range(turns):
            x = x - 0.1 * func.grad(lambda x: x**4 / 4 + x**2)(x)
        return x

    monkeypatch.setattr(tensor, "_ancestors", counted)
    totals = []
    for turns in (20, 40):
        looked_at.clear()
        func.grad(walk)(0.5, turns)
        totals.append(sum(looked_at))
    assert totals[1] < 2.2 * totals[0]

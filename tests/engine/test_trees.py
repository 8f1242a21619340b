"""Trees as one vector, and back."""

import dataclasses
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

from tinygrad_np import Tensor, func, grad
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclasses.dataclass
class Weights:
    a: float


FLOATS = st.sampled_from([np.float16, np.float32, np.float64, np.longdouble])
SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)
ARRAYS = st.builds(lambda shape, dtype, start: np.arange(start, start + np.prod(shape, dtype=int)).reshape(shape)
                   .astype(dtype), SHAPES, FLOATS, st.integers(-50, 50))  # fmt: skip
LEAVES = st.one_of(ARRAYS, ARRAYS.map(Tensor), ARRAYS.map(lambda a: a.sum()), st.floats(-9, 9), st.integers(-9, 9))
TREES = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.lists(parts, max_size=3),
        st.lists(parts, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2), parts, max_size=3),
        st.dictionaries(st.integers(), parts, max_size=3).map(OrderedDict),
        st.builds(Pair, parts, parts),
    ),
    max_leaves=8,
)


def leaves(tree: Any) -> list[Any]:
    """The leaves, without the code that is tested."""
    if isinstance(tree, tuple | list | dict):
        return [leaf for part in (tree.values() if isinstance(tree, dict) else tree) for leaf in leaves(part)]
    return [tree]


def assert_same_classes(a: Any, b: Any) -> None:
    if isinstance(b, tuple | list | dict):
        assert type(a) is type(b)
        assert list(a) == list(b) if isinstance(b, dict) else len(a) == len(b)
        for pair in zip(*(t.values() if isinstance(t, dict) else t for t in (a, b)), strict=True):
            assert_same_classes(*pair)


def array(leaf: Any) -> Any:
    return leaf.data if type(leaf) is Tensor else np.asarray(leaf)


@given(TREES)
def test_a_tree_comes_back_from_its_vector(tree: Any) -> None:
    vector, unflatten = func.flatten(tree)
    given = leaves(tree)
    assert type(vector) is (Tensor if any(type(leaf) is Tensor for leaf in given) else np.ndarray)
    dtypes = [np.float64 if isinstance(leaf, int) else array(leaf).dtype for leaf in given]
    assert vector.dtype == (np.result_type(*dtypes) if given else np.float64)
    np.testing.assert_array_equal(array(vector), np.concatenate([array(leaf).ravel() for leaf in given] or [[]]))
    for again in (unflatten(vector), unflatten(array(vector)), unflatten(array(vector).tolist())):
        assert_same_classes(again, tree)
        for a, b, dtype in zip(leaves(again), given, dtypes, strict=True):
            np.testing.assert_array_equal(array(a), array(b))
            assert (array(a).shape, a.dtype) == (array(b).shape, dtype)
    for leaf in leaves(unflatten(array(vector))):
        assert type(leaf) is (np.ndarray if leaf.ndim else leaf.dtype.type)
    for leaf in leaves(unflatten(Tensor(array(vector)))):
        assert type(leaf) is Tensor


@given(TREES)
def test_vectors_and_leaves_are_in_memory_of_their_own(tree: Any) -> None:
    vector, unflatten = func.flatten(tree)
    vector = array(vector)
    before = [array(leaf).copy() for leaf in leaves(tree)]
    again = leaves(unflatten(vector))
    vector += 1
    for a, b, expected in zip(leaves(tree), again, before, strict=True):
        np.testing.assert_array_equal(array(a), expected)
        np.testing.assert_array_equal(b, expected)


POINT = {"w": np.array([[1.0, -2.0], [0.5, 3.0]]), "layers": [Pair(0.5, np.array([2.0])), ()], "b": np.zeros((0, 2))}


def energy(tree: Any) -> Any:
    (pair, _) = tree["layers"]
    return np.sum(np.tanh(tree["w"] * pair.left) ** 2) * np.sum(pair.right**3) + np.sum(tree["b"])


def test_the_gradient_by_the_vector_is_that_by_the_tree() -> None:
    vector, unflatten = func.flatten(POINT)
    slope = func.grad(lambda v: energy(unflatten(v)))(vector)
    np.testing.assert_array_equal(slope, func.flatten(func.grad(energy)(POINT))[0])
    check_gradients(lambda v: energy(unflatten(v)), vector, order=2)


def test_flatten_is_differentiable() -> None:
    def squares(tree: Any) -> Any:
        return func.flatten(tree)[0] ** 2

    jacobian = func.jacobian(squares)(POINT)
    np.testing.assert_array_equal(jacobian["w"].reshape(6, 4), 2 * np.eye(6, 4) * [1, -2, 0.5, 3])
    check_gradients(lambda a, b: np.sum(np.exp(func.flatten([a, {"b": b}])[0]) ** 2), 0.5, np.ones(2), order=2)
    w, b = Tensor([1.0, 2.0], requires_grad=True), Tensor(3.0, requires_grad=True)
    slopes = grad((func.flatten((w, b))[0] ** 3).sum(), [w, b])
    assert [g.data.tolist() for g in slopes] == [[3, 12], 27]


def test_mixed_dtypes_have_gradients_of_their_own_dtypes() -> None:
    tree = {"a": np.ones(2, np.float32), "b": np.ones(2)}
    vector, unflatten = func.flatten(tree)
    assert vector.dtype == np.float64
    seen = []
    slope = func.grad(lambda v: seen.append(unflatten(v)) or (seen[0]["a"] * seen[0]["b"] * 2).sum())(vector)
    assert [leaf.dtype for leaf in seen[0].values()] == [np.float32, np.float64]
    assert (slope.dtype, slope.tolist()) == (np.float64, [2, 2, 2, 2])
    slope = func.grad(lambda t: (func.flatten(t)[0] * 2).sum())(tree)
    assert [leaf.dtype for leaf in slope.values()] == [np.float32, np.float64]


def test_many_leaves_are_taken_from_the_vector_by_halves() -> None:
    """The gradient of a slice is as long as what it was taken from: one by one they would take the square of this."""
    vector, unflatten = func.flatten([np.ones(10)] * 64)
    v = Tensor(vector, requires_grad=True)
    sizes, nodes = 0, list(unflatten(v))
    seen: set[int] = set()
    while nodes:
        t = nodes.pop()
        if id(t) not in seen and t._node is not None:
            seen.add(id(t))
            sizes += t._node[1][0].size
            nodes.append(t._node[1][0])
    assert sizes <= 640 * (2 * 6 + 1)


def test_what_is_no_tree_of_numbers_is_refused_by_its_path() -> None:
    for tree, kind, path in (
        ({"a": [1.0, Pair(1.0, "x")]}, "str", r", at tree\['a'\]\[1\]\.right"),
        ([np.ones(2), (1.0, [2, np.ones(2, bool)])], "ndarray of bool", r", at tree\[1\]\[1\]\[1\]"),
        ({3: 1j}, "complex", r", at tree\[3\]"),
        ([np.ones(2, complex)], "ndarray of complex128", r", at tree\[0\]"),
        ([True], "bool", r", at tree\[0\]"),
        ((np.ma.ones(2),), "MaskedArray", r", at tree\[0\]"),
        (None, "NoneType", "$"),
        ({1.0}, "set", "$"),
        ([Weights(1.0)], "Weights", r", at tree\[0\]; write asdict\(\.\.\.\)"),
        (func.grad, "function", "$"),
        (np.array(["x"]), "ndarray of <U1", "$"),
    ):
        with pytest.raises(TypeError, match=f"^flatten takes floating point numbers .*, not {kind}{path}"):
            func.flatten(tree)


def test_unflatten_takes_a_vector_of_as_many_numbers() -> None:
    vector, unflatten = func.flatten(POINT)
    for wrong in (vector[:-1], vector[np.newaxis], vector[:, np.newaxis], 1.0, Tensor(np.ones(7))):
        with pytest.raises(ValueError, match=r"^unflatten takes a vector of shape \(6,\), not \("):
            unflatten(wrong)
    for wrong in (POINT, None, "123456", np.ones(6, bool), np.ones(6, complex), [np.ones(2), np.ones(4)]):
        with pytest.raises(TypeError, match="^unflatten takes a vector of real numbers, not .*by flatten"):
            unflatten(wrong)
    assert leaves(unflatten(np.arange(6)))[0].dtype == np.float64


def test_classes_with_more_than_their_items_come_back() -> None:
    tree = defaultdict(list, a=np.ones(2))
    again = func.flatten(tree)[1](np.zeros(2))
    assert (type(again), again.default_factory, again["a"].tolist()) == (defaultdict, list, [0, 0])

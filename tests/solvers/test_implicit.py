"""What solvers share: trees as vectors, calls with their sources, nodes in pictures and under guards."""

from typing import Any

from tinygrad_np import Tensor, detect_anomaly, grad, guard, viz
from tinygrad_np.solvers import odeint, root
from tinygrad_np.solvers.implicit import Layout, Recorded, variable

import numpy as np
import pytest


def test_a_layout_goes_there_and_back() -> None:
    tree = {"a": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": (7.0, np.array([8.0]))}
    layout = Layout("solver", "x", tree)
    assert (layout.size, layout.dtype) == (8, np.float64)
    back = layout.tree(Tensor(layout.start))
    assert [back["a"].dtype, back["b"][0].shape, back["b"][1].data.tolist()] == [np.float32, (), [8.0]]
    many = layout.tree(np.stack([layout.start, layout.start + 1]))
    assert [many["a"].shape, many["b"][0].shape, many["b"][1].shape] == [(2, 2, 3), (2,), (2, 1)]
    np.testing.assert_array_equal(many["a"][1], tree["a"] + 1)
    np.testing.assert_array_equal(layout.vector(tree, "x"), layout.start)
    with pytest.raises(ValueError, match="solver: it: expected a dict with the keys"):
        layout.vector({"a": tree["a"]}, "it")


@pytest.mark.parametrize(
    "leaf", [np.ma.array([1.0], mask=[True]), np.ones(1, complex), np.ones(1, bool), True, None, "a"]
)
def test_what_is_no_floating_point_number_is_refused(leaf: Any) -> None:
    with pytest.raises(TypeError, match="solver: x must be float32 or float64"):
        Layout("solver", "x", {"a": 1.0, "b": [leaf]})


def test_complex_results_are_refused() -> None:
    for solve in (
        lambda: root(lambda x: x + 1j, 1.0),
        lambda: odeint(lambda y, t: 1j * y, 1.0, np.array([0.0, 1.0])),
        lambda: odeint(lambda y, t: np.array([1j]), np.ones(1), np.array([0.0, 1.0])),
    ):
        with pytest.raises(TypeError, match="real numbers, not complex"):
            solve()


def test_swapped_bytes_read_only_and_strided_arrays() -> None:
    start = np.array([1.0, 9.0, 2.0, 9.0])[::2]
    for x0 in (start.astype(">f8"), np.broadcast_to(1.0, (2,)), start):
        np.testing.assert_allclose(root(lambda x: x**2 - [1.0, 4.0], x0), [1, 2])
        np.testing.assert_allclose(odeint(lambda y, t: -y, x0, np.array([0.0, 1.0]))[1], x0 / np.e, rtol=1e-6)


def test_gradients_of_a_call_end_at_its_sources() -> None:
    a = Tensor(np.array([2.0, 3.0]), requires_grad=True)
    b = a * a  # older than the call
    x = variable(np.array([1.0, 1.0]))
    call = Recorded(lambda x: x * a + np.exp(b), x)
    assert call.sources == sorted([x, a, b], key=lambda t: t._serial)
    assert call.others(x) == [a, b]
    of_x, of_a, of_b = call.pull(np.ones(2), [x, a, b])
    np.testing.assert_array_equal([of_x.data, of_a.data], [a.data, x.data])
    np.testing.assert_allclose(of_b.data, np.exp(b.data))
    np.testing.assert_array_equal(call.along(x, np.array([1.0, 2.0])), [2.0, 6.0])
    np.testing.assert_allclose(call.jacobian(x).data, np.diag(a.data))
    same = Recorded(lambda x: a, x)
    assert same.sources == [a]
    np.testing.assert_array_equal(same.pull(np.ones(2), [a, x])[0].data, [1, 1])


def test_solutions_in_pictures_and_under_observation() -> None:
    a = Tensor(np.array([1.0, 8.0]), requires_grad=True)

    def solved() -> Any:
        return root(lambda x: x**3 - a, np.ones(2))

    text = viz.graph(solved().sum(), {"a": a})
    assert r'"root\nfloat64[2]"' in text
    for context in (guard, detect_anomaly):
        with context():
            y = solved()
            np.testing.assert_allclose(grad(y.sum(), a).data, [1 / 3, 1 / 12])
    with guard():
        y = solved()
    y.data[:] = 0
    with pytest.raises(RuntimeError, match="the result of root"):
        grad(y.sum(), a)

"""Batch, layer and root-mean-square normalisation."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, grad, nn, no_grad, optim
from tinygrad_np.ops import normalization
from tinygrad_np.ops.normalization import standardize
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest
from machine import blas_threads

SPREAD = np.array([-9.0, -3.0, 2.0, 8.0])  # so that no variance is near 0
BATCHES = [(nn.BatchNorm1d, (4, 3)), (nn.BatchNorm1d, (4, 3, 2)), (nn.BatchNorm2d, (4, 3, 2, 2))]
every_batch = pytest.mark.parametrize(("kind", "shape"), BATCHES)


def batch(shape: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
    spread = SPREAD.reshape(-1, *[1] * (len(shape) - 1))
    return (np.random.default_rng(0).normal(size=shape) + spread).astype(dtype)


def through(layer: nn.Module) -> Callable[..., Tensor]:
    """The layer as a function of its input and parameters."""
    names = [name for name, t in layer.named_tensors() if t.requires_grad]

    def call(x: Tensor, *parameters: Tensor) -> Tensor:
        vars(layer).update(zip(names, parameters, strict=True))
        return layer(x)

    return call


# --- by the statistics of a batch ------------------------------------------------------------------------------------


@every_batch
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}, {"eps": 0.5}])
@pytest.mark.parametrize("training", [True, False])
def test_derivatives_of_batch_norm(kind: Any, shape: tuple[int, ...], options: dict[str, Any], training: bool) -> None:
    layer = kind(3, **options, dtype=np.float64)
    layer(batch(shape))
    layer.train(training)
    rng = np.random.default_rng(1)
    parameters = [rng.normal(size=3) for _ in layer.parameters()]
    check_gradients(through(layer), batch(shape), *parameters, order=2)


@every_batch
def test_training_normalises_by_the_batch(kind: Any, shape: tuple[int, ...]) -> None:
    layer, x = kind(3), batch(shape, np.float32)
    y = layer(Tensor(x)).data
    axis = (0, *range(2, x.ndim))
    np.testing.assert_allclose(y.mean(axis), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(axis), 1, atol=1e-4)
    np.testing.assert_allclose(layer.running_mean.data, 0.1 * x.mean(axis), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.data, 0.9 + 0.1 * x.var(axis, ddof=1), rtol=1e-5)
    assert layer.num_batches_tracked.item() == 1
    np.testing.assert_array_equal(layer(x).data, y)
    assert layer.num_batches_tracked.item() == 2


@every_batch
def test_testing_normalises_by_the_running_averages_and_leaves_them(kind: Any, shape: tuple[int, ...]) -> None:
    layer = kind(3, momentum=None)
    seen = [batch(shape, np.float32) for _ in range(3)]
    for x in seen:
        layer(x)
    axis = (0, *range(2, len(shape)))
    mean = np.mean([x.mean(axis) for x in seen], axis=0)
    variance = np.mean([x.var(axis, ddof=1) for x in seen], axis=0)
    before = {name: a.copy() for name, a in layer.state_dict().items()}
    x = batch(shape, np.float32)[:1]
    along = (3, *[1] * (len(shape) - 2))
    expected = (x - mean.reshape(along)) / np.sqrt(variance.reshape(along) + 1e-5)
    np.testing.assert_allclose(layer.eval()(x).data, expected, rtol=1e-4, atol=1e-5)
    for name, a in layer.state_dict().items():
        np.testing.assert_array_equal(a, before[name])


def test_without_running_averages_testing_goes_by_the_batch() -> None:
    layer, x = nn.BatchNorm1d(3, track_running_stats=False), batch((4, 3))
    assert list(layer.state_dict()) == ["weight", "bias"]
    np.testing.assert_array_equal(layer(x).data, layer.eval()(x).data)


def test_the_state_is_complete() -> None:
    layer, other = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    assert list(layer.state_dict()) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [t.requires_grad for _, t in layer.named_tensors()] == [True, True, False, False, False]
    for _ in range(3):
        cross = layer(Tensor(batch((4, 3, 2, 2), np.float32))).sum()
        optim.SGD(layer.parameters(), lr=0.1).minimize(cross)
    other.load_state_dict(layer.state_dict())
    x = batch((4, 3, 2, 2), np.float32)
    np.testing.assert_array_equal(other.eval()(x).data, layer.eval()(x).data)
    assert other.num_batches_tracked.item() == 3


def test_a_backward_over_running_averages_that_have_changed_since_raises_or_is_right() -> None:
    layer, x = nn.BatchNorm1d(3), batch((4, 3), np.float32)
    expected = grad(layer.eval()(x).sum(), layer.weight)
    of_array, of_tensor = layer(x).sum(), layer(Tensor(x, requires_grad=True)).sum()
    layer.train()(x)
    np.testing.assert_array_equal(grad(of_array, layer.weight).data, expected.data)
    with pytest.raises(RuntimeError, match="was changed after"):
        of_tensor.backward()
    early, _ = layer(x).sum(), layer(x)  # in training they are not part of the graph
    early.backward()


def test_running_averages_are_kept_without_a_graph_too() -> None:
    layer = nn.BatchNorm1d(3)
    with no_grad():
        assert not layer(Tensor(batch((4, 3), np.float32))).requires_grad
    assert layer.num_batches_tracked.item() == 1


@every_batch
def test_a_wrong_shape_is_named(kind: Any, shape: tuple[int, ...]) -> None:
    layer = kind(3)
    with pytest.raises(ValueError, match=rf"{kind.__name__}: expected an input of shape \(batch, 3.*not \(4, 2"):
        layer(Tensor(np.ones((4, 2, *shape[2:]))))
    with pytest.raises(ValueError, match=r"expected an input of shape .*, not \(3,\)"):
        layer(np.ones(3))
    if kind is nn.BatchNorm1d:
        with pytest.raises(ValueError, match=r"\(batch, 3\) or \(batch, 3, length\), not \(4, 3, 2, 2\)"):
            layer(np.ones((4, 3, 2, 2)))


@pytest.mark.parametrize("size", [0, 1])
def test_a_variance_of_too_few_numbers_raises(size: int) -> None:
    with pytest.raises(ValueError, match=f"BatchNorm1d: the variance needs at least 2 values per channel, not {size}"):
        nn.BatchNorm1d(3)(np.ones((size, 3)))
    with pytest.raises(ValueError, match="the variance needs at least 2 values"):
        nn.BatchNorm1d(3, track_running_stats=False).eval()(np.ones((size, 3)))
    assert nn.BatchNorm1d(3).eval()(np.ones((size, 3))).shape == (size, 3)


# --- by the statistics of each example -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (3, 4)])
@pytest.mark.parametrize(
    "build",
    [
        nn.LayerNorm,
        lambda shape, dtype: nn.LayerNorm(shape, bias=False, dtype=dtype),
        lambda shape, dtype: nn.LayerNorm(shape, eps=0.3, elementwise_affine=False, dtype=dtype),
        nn.RMSNorm,
        lambda shape, dtype: nn.RMSNorm(shape, eps=0.3, elementwise_affine=False, dtype=dtype),
    ],
)
def test_derivatives_of_layer_and_rms_norm(build: Callable[..., nn.Module], shape: tuple[int, ...]) -> None:
    layer = build(shape, dtype=np.float64)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *shape)) + SPREAD
    check_gradients(through(layer), x, *(rng.normal(size=shape) for _ in layer.parameters()), order=2)


def test_layer_and_rms_norm_are_their_definitions() -> None:
    x = batch((4, 5))
    layer = nn.LayerNorm(5)
    assert list(layer.state_dict()) == ["weight", "bias"]
    expected = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-12)
    layer = nn.RMSNorm((5,))
    assert list(layer.state_dict()) == ["weight"]
    expected = x / np.sqrt((x * x).mean(1, keepdims=True) + np.finfo(x.dtype).eps)
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-12)
    layer = nn.LayerNorm(5, elementwise_affine=False)
    assert layer.state_dict() == {}
    assert layer(x[:0]).shape == (0, 5)


@pytest.mark.parametrize("kind", [nn.LayerNorm, nn.RMSNorm])
def test_where_nothing_varies_or_all_is_zero(kind: Any) -> None:
    for value in (0.0, 5.0):
        x = Tensor(np.full((2, 4), value, np.float32), requires_grad=True)
        y = kind(4)(x)
        assert np.isfinite(y.data).all()
        assert np.isfinite(grad(y, x, np.ones(y.shape)).data).all()


@pytest.mark.parametrize("kind", [nn.LayerNorm, nn.RMSNorm])
def test_the_normalised_shape_must_fit(kind: Any) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__}: expected an input of shape \(\.\.\., 3, 4\), not \(4,\)"):
        kind((3, 4))(np.ones(4))
    with pytest.raises(ValueError, match=r"\(\.\.\., 3\), not \(3, 1\)"):
        kind(3)(np.ones((3, 1)))
    with pytest.raises(TypeError, match=f"{kind.__name__}: the input must be floating point, not int64"):
        kind(3, 1e-5)(Tensor(np.ones(3, int)))


# --- both ------------------------------------------------------------------------------------------------------------

EVERY = [
    *((lambda kind=kind: kind(3), shape) for kind, shape in BATCHES),
    (lambda: nn.LayerNorm(3), (4, 3)),
    (lambda: nn.RMSNorm((2, 3)), (4, 2, 3)),
]


@pytest.mark.parametrize(("build", "shape"), EVERY)
@pytest.mark.parametrize("training", [True, False])
def test_float32_stays_float32(build: Callable[[], nn.Module], shape: tuple[int, ...], training: bool) -> None:
    layer = build().train(training)
    x = Tensor(batch(shape, np.float32), requires_grad=True)
    y = layer(x)
    assert y.dtype == np.float32
    for create_graph in (True, False):
        gradients = grad(y, [x, *layer.parameters()], np.ones(y.shape, np.float32), create_graph=create_graph)
        assert {g.dtype for g in gradients} == {np.dtype(np.float32)}
        assert [g.shape for g in gradients] == [shape, *(p.shape for p in layer.parameters())]
    assert {t.dtype for _, t in layer.named_tensors()} <= {np.dtype(np.float32), np.dtype(np.int64)}


@pytest.mark.parametrize(("build", "shape"), EVERY)
def test_a_float32_mean_far_from_zero(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    """The variance is that of differences from the mean: that of squares would be lost."""
    x = np.arange(np.prod(shape)).reshape(shape) * 7 % 11 + 1e4
    np.testing.assert_allclose(build()(x.astype(np.float32)).data, build()(x).data, rtol=1e-3)


@pytest.mark.parametrize(
    ("axis", "weight", "bias"),
    [
        ((0, 2, 3), (5, 1, 1), (1, 5, 1, 1)),  # of channels
        ((0, 2, 3), (), (1, 1, 1, 1)),
        ((0, 2, 3), (7, 5, 4, 3), None),
        ((0, 2, 3), None, (4, 3)),
        ((1, 2, 3), (5, 4, 3), (5, 4, 3)),  # of the features of rows
        ((-1,), (3,), None),
        ((2, 3), (7, 1, 1, 1), (5, 1, 1)),
        ((0, 1, 2, 3), (3,), (3,)),  # there is nothing to divide
        ((2,), None, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("careful", [False, True])
def test_parts_are_normalised_as_the_whole_is(
    axis: Any, weight: Any, bias: Any, centre: bool, careful: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same bits on any number of threads; some parts with care, since they are far from zero."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(7, 5, 4, 3)) + np.array([-9.0, 2.0, 4.0])
    if careful:
        x[0] += 1e6
        x[:, 0] += 1e6
    parameters = [None if shape is None else rng.normal(size=shape) for shape in (weight, bias)]
    g = rng.normal(size=x.shape)

    def outcome(dtype: Any) -> list[np.ndarray]:
        leaves = [None if a is None else Tensor(a.astype(dtype), requires_grad=True) for a in (x, *parameters)]
        statistics: list[np.ndarray] = []
        y = standardize(*leaves, axis=axis, eps=1e-3, centre=centre, statistics=statistics)
        found = grad(y, [leaf for leaf in leaves if leaf is not None], g.astype(dtype))
        return [y.data, *statistics[not centre :], *(t.data for t in found)]

    whole, found = outcome(np.float64), []
    monkeypatch.setattr(normalization, "BLOCK", 130)
    for threads in (1, 2, 4):
        with blas_threads(threads):
            found.append(outcome(np.float64))
    narrow = outcome(np.float32)
    for i, expected in enumerate(whole):
        np.testing.assert_allclose(found[0][i], expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(found[0][i], found[1][i])
        np.testing.assert_array_equal(found[0][i], found[2][i])
        assert narrow[i].shape == expected.shape
        assert narrow[i].dtype == np.float32
        if not careful:
            np.testing.assert_allclose(narrow[i], expected, rtol=1e-3, atol=1e-4)


def test_a_weight_with_more_axes_than_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = batch((4, 3)), np.array([[[1.0]], [[2.0]]])
    right = standardize(Tensor(x), weight, None, axis=(1,), eps=1e-3).data
    monkeypatch.setattr(normalization, "BLOCK", 6)
    np.testing.assert_array_equal(standardize(Tensor(x), weight, None, axis=(1,), eps=1e-3).data, right)


def test_only_gradients_that_are_needed_are_computed_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalization, "BLOCK", 20)
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in ((8, 6), (6,), (6,))]
    g = rng.normal(size=(8, 6))
    for axis in ((0,), (1,)):
        leaves = [Tensor(a, requires_grad=True) for a in arrays]
        right = grad(standardize(*leaves, axis=axis, eps=1e-3), leaves, g)
        for i, expected in enumerate(right):
            only = [Tensor(a, requires_grad=i == j) for j, a in enumerate(arrays)]
            found = grad(standardize(*only, axis=axis, eps=1e-3), only[i], g)
            np.testing.assert_array_equal(found.data, expected.data)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: nn.BatchNorm1d(0), ValueError, "BatchNorm1d: num_features must be a positive integer, not 0"),
        (lambda: nn.BatchNorm2d(3, eps=-1), ValueError, "BatchNorm2d: eps must be at least 0, not -1"),
        (lambda: nn.BatchNorm2d(3, momentum=1.5), ValueError, "BatchNorm2d: momentum must be from 0 to 1, not 1.5"),
        (lambda: nn.BatchNorm1d(3, dtype=int), TypeError, "BatchNorm1d: dtype must be floating point"),
        (lambda: nn.LayerNorm(0), ValueError, "LayerNorm: normalized_shape must be a positive integer, not 0"),
        (lambda: nn.LayerNorm((3, 0.5)), ValueError, "normalized_shape must be a positive integer, not 0.5"),
        (lambda: nn.LayerNorm(()), ValueError, "LayerNorm: normalized_shape must have at least one axis"),
        (lambda: nn.LayerNorm(3, eps=-1), ValueError, "LayerNorm: eps must be at least 0, not -1"),
        (lambda: nn.LayerNorm(3, dtype=int), TypeError, "LayerNorm: dtype must be floating point"),
        (lambda: nn.RMSNorm(3, eps=-1), ValueError, "RMSNorm: eps must be at least 0, not -1"),
        (lambda: nn.RMSNorm(3, dtype=int), TypeError, "RMSNorm: dtype must be floating point"),
    ],
)
def test_impossible_options(build: Callable[[], nn.Module], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def test_layers_print_as_they_are_built() -> None:
    assert repr(nn.BatchNorm1d(3)) == "BatchNorm1d(3)"
    assert repr(nn.BatchNorm2d(3, 0.1, None)) == "BatchNorm2d(3, eps=0.1, momentum=None)"
    assert repr(nn.BatchNorm2d(3, momentum=0.2, affine=False, track_running_stats=False)) == (
        "BatchNorm2d(3, momentum=0.2, affine=False, track_running_stats=False)"
    )
    assert repr(nn.LayerNorm(3)) == "LayerNorm((3,))"
    assert repr(nn.LayerNorm((3, 4), bias=False)) == "LayerNorm((3, 4), bias=False)"
    assert repr(nn.RMSNorm(3, elementwise_affine=False)) == "RMSNorm((3,), elementwise_affine=False)"


def test_running_averages_far_from_zero_lose_no_digits_in_evaluation() -> None:
    layer = nn.BatchNorm1d(1, eps=0.0).eval()
    layer.running_mean.data = np.array([100.0], np.float32)
    layer.running_var.data = np.array([1e-4], np.float32)
    x = np.array([[100.001], [100.01], [100.02]], np.float32)
    exact = (x.astype(np.float64) - 100) / np.sqrt(np.float64(layer.running_var.data))
    np.testing.assert_allclose(layer(x).data, exact, rtol=1e-6)


def test_integers_are_refused_in_evaluation_too() -> None:
    with pytest.raises(TypeError, match="BatchNorm1d: the input must be floating point, not int64"):
        nn.BatchNorm1d(2).eval()(np.ones((3, 2), int))


# --- groups and instances --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 3), (3, 4, 2, 2)])
@pytest.mark.parametrize("affine", [True, False])
def test_groups_of_channels(shape: tuple[int, ...], affine: bool) -> None:
    layer = nn.GroupNorm(2, 4, affine=affine, dtype=np.float64)
    x = np.random.default_rng(0).normal(size=shape) + SPREAD.reshape(-1, *[1] * (len(shape) - 2))
    rng = np.random.default_rng(1)
    for parameter in layer.parameters():
        parameter.data = rng.normal(size=4)
    grouped = x.reshape(shape[0], 2, -1)
    expected = (grouped - grouped.mean(-1, keepdims=True)) / np.sqrt(grouped.var(-1, keepdims=True) + 1e-5)
    expected = expected.reshape(shape)
    if affine:
        weight, bias = (p.data.reshape(4, *[1] * (len(shape) - 2)) for p in layer.parameters())
        expected = expected * weight + bias
    np.testing.assert_allclose(getattr(layer(x), "data", None) if affine else layer(x), expected, rtol=1e-10)
    check_gradients(through(layer), x, *(p.data for p in layer.parameters()), order=2)


def test_groups_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="GroupNorm: num_groups=3 must divide num_channels=4"):
        nn.GroupNorm(3, 4)
    with pytest.raises(ValueError, match=r"GroupNorm: expected an input of shape \(batch, 4, ...\), not \(2, 3, 4\)"):
        nn.GroupNorm(2, 4)(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match="the channels come second"):
        nn.GroupNorm(2, 4)(np.ones((2, 3, 3, 4)))
    with pytest.raises(TypeError, match="GroupNorm: the input must be floating point, not int64"):
        nn.GroupNorm(2, 4)(np.ones((2, 4), int))
    assert repr(nn.GroupNorm(2, 4, affine=False)) == "GroupNorm(2, 4, affine=False)"


INSTANCES = [(nn.InstanceNorm1d, (2, 3, 4)), (nn.InstanceNorm2d, (2, 3, 2, 2))]
every_instance = pytest.mark.parametrize(("kind", "shape"), INSTANCES)


def instances(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape) + SPREAD.reshape(shape[2:])


@every_instance
@pytest.mark.parametrize("options", [{}, {"affine": True}, {"affine": True, "track_running_stats": True}])
@pytest.mark.parametrize("training", [True, False])
def test_derivatives_of_instance_norm(
    kind: Any, shape: tuple[int, ...], options: dict[str, Any], training: bool
) -> None:
    layer = kind(3, **options, dtype=np.float64)
    layer(instances(shape))
    layer.train(training)
    rng = np.random.default_rng(1)
    check_gradients(through(layer), instances(shape), *(rng.normal(size=3) for _ in layer.parameters()), order=2)


@every_instance
def test_each_channel_of_each_example_has_its_own_statistics(kind: Any, shape: tuple[int, ...]) -> None:
    layer, x = kind(3, track_running_stats=True, dtype=np.float64), instances(shape)
    axis = tuple(range(2, len(shape)))
    mean, variance = x.mean(axis, keepdims=True), x.var(axis, keepdims=True)
    expected = (x - mean) / np.sqrt(variance + 1e-5)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-10)
    np.testing.assert_allclose(layer.running_mean.data, 0.1 * mean.reshape(2, 3).mean(0), rtol=1e-10)
    unbiased = x.var(axis, ddof=1).mean(0)
    np.testing.assert_allclose(layer.running_var.data, 0.9 + 0.1 * unbiased, rtol=1e-10)
    np.testing.assert_allclose(
        layer.eval()(x)[0, :, 0].ravel(),
        ((x[0, :, 0].T - layer.running_mean.data) / np.sqrt(layer.running_var.data + 1e-5)).T.ravel(),
    )
    plain = kind(3)
    assert not plain.state_dict()
    np.testing.assert_allclose(plain.eval()(x), expected, rtol=1e-10)


@every_instance
def test_instances_that_do_not_fit(kind: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__}: expected an input of shape \(batch, 3, .* not \(2, 3\)"):
        kind(3)(np.ones((2, 3)))
    with pytest.raises(ValueError, match="the variance needs at least 2 values per channel, not 1"):
        kind(3)(np.ones((5, 3, *[1] * (len(shape) - 2))))

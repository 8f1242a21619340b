"""Activations, the simple layers and initial weights."""

import math
from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, erf, gelu, grad, interpolate, log_softmax, nn, relu, sigmoid, softmax, softplus
from tinygrad_np.nn import init
from tinygrad_np.ops.activations import celu, hardtanh
from tinygrad_np.ops.special import leaky_relu, silu
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

X = np.random.default_rng(0).normal(size=(4, 3))


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


ACTIVATIONS = [
    nn.ReLU(),
    nn.LeakyReLU(),
    nn.LeakyReLU(1.5),
    nn.GELU(),
    nn.GELU("tanh"),
    nn.SiLU(),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.Softplus(),
    nn.Softplus(0.5),
    nn.Softmax(),
    nn.Softmax(0),
    nn.LogSoftmax(),
    nn.LogSoftmax(0),
    nn.ELU(),
    nn.ELU(-0.5),
    nn.CELU(2.0),
    nn.SELU(),
    nn.PReLU(),
    nn.PReLU(3, 0.5),
    nn.Hardtanh(),
    nn.Hardtanh(-0.5, 1.5),
    nn.ReLU6(),
    nn.Hardsigmoid(),
    nn.Hardswish(),
    nn.Mish(),
    nn.Softsign(),
    nn.LogSigmoid(),
    nn.GLU(0),
    nn.ReGLU(0),
    nn.GEGLU(0),
    nn.SwiGLU(0),
]


# --- activations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_derivatives_of_activations(layer: nn.Module) -> None:
    check_gradients(layer, X, order=2)


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=repr)
def test_activations_of_float32_are_float32_and_take_arrays(layer: nn.Module) -> None:
    x = Tensor(X.astype(np.float32), requires_grad=True)
    y = layer(x)
    assert y.dtype == np.float32
    of_array = layer(x.data)
    np.testing.assert_array_equal(of_array.data if type(of_array) is Tensor else of_array, y.data)
    for create_graph in (True, False):
        assert grad(y, x, np.ones(y.shape), create_graph=create_graph).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_of_huge_numbers(dtype: type) -> None:
    x = Tensor(np.array([-1e4, 0.0, 1e4], dtype), requires_grad=True)
    for function, values, slopes in [
        (leaky_relu, [-100, 0, 1e4], [0.01, 0.01, 1]),
        (gelu, [0, 0, 1e4], [0, 0.5, 1]),
        (silu, [0, 0, 1e4], [0, 0.5, 1]),
        (sigmoid, [0, 0.5, 1], [0, 0.25, 0]),
        (softplus, [0, math.log(2), 1e4], [0, 0.5, 1]),
        (nn.GELU("tanh"), [0, 0, 1e4], [0, 0.5, 1]),
        (nn.LogSoftmax(), [-2e4, -1e4, 0], [1, 1, -2]),
        (nn.ELU(2.0), [-2, 0, 1e4], [0, 2, 1]),
        (nn.CELU(2.0), [-2, 0, 1e4], [0, 1, 1]),
        (nn.PReLU(dtype=dtype), [-2500, 0, 1e4], [0.25, 0.25, 1]),
        (nn.Hardswish(), [0, 0, 1e4], [0, 0.5, 1]),
        (nn.Mish(), [0, 0, 1e4], [0, 0.6, 1]),
        (nn.Softsign(), [-1e4 / 10001, 0, 1e4 / 10001], [1 / 10001**2, 1, 1 / 10001**2]),
        (nn.LogSigmoid(), [-1e4, -math.log(2), 0], [1, 0.5, 0]),
    ]:
        y = function(x)
        np.testing.assert_allclose(y.data, values, rtol=1e-6)
        np.testing.assert_allclose(grad(y, x, np.ones(3)).data, slopes, rtol=1e-6)


def test_erf_in_float32_and_beyond_its_blocks() -> None:
    x = np.linspace(-6, 6, 100_001, dtype=np.float32)
    expected = np.array([math.erf(value) for value in x.tolist()])
    found = erf(x)
    assert found.dtype == np.float32
    assert np.max(np.abs(found - expected) / np.spacing(np.abs(expected).astype(np.float32))) < 8
    assert np.max(np.abs(found - expected)) < 5e-7
    np.testing.assert_array_equal(found, -found[::-1])
    assert erf(np.array([-9, 4.23, np.inf, np.nan], "f"))[:3].tolist() == [-1, 1, 1]
    assert np.isnan(erf(np.float32(np.nan)))
    np.testing.assert_array_equal(erf(x[::-2].reshape(3, -1)), found[::-2].reshape(3, -1))
    assert erf(np.float64(0.3)) == math.erf(0.3)


def test_small_values_are_not_lost() -> None:
    x = np.float32(-30)
    for function in (sigmoid, softplus):
        assert function(x) == pytest.approx(math.exp(-30), rel=1e-6, abs=0)


def test_activations_pass_their_options_on() -> None:
    for layer, function, options in [
        (nn.LeakyReLU(0.3), leaky_relu, {"negative_slope": 0.3}),
        (nn.GELU("tanh"), gelu, {"approximate": "tanh"}),
        (nn.Softplus(2), softplus, {"beta": 2.0}),
        (nn.Softmax(0), softmax, {"axis": 0}),
        (nn.LogSoftmax(0), log_softmax, {"axis": 0}),
    ]:
        np.testing.assert_array_equal(layer(X), function(X, **options))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.GELU("erf"), "GELU: approximate must be 'none' or 'tanh', not 'erf'"),
        (lambda: nn.LeakyReLU(math.inf), "LeakyReLU: negative_slope must be a finite number, not inf"),
        (lambda: nn.Softplus(0), "Softplus: beta must be above 0, not 0"),
        (lambda: nn.ELU(math.inf), "ELU: alpha must be a finite number, not inf"),
        (lambda: nn.CELU(0), "CELU: alpha must be above 0, not 0"),
        (lambda: celu(X, alpha=-1.0), "celu: alpha must be above 0, not -1.0"),
        (lambda: nn.Hardtanh(1, 1), "Hardtanh: min_val must be below max_val, not 1 with max_val=1"),
        (lambda: hardtanh(X, min_val=1.0, max_val=0.0), r"hardtanh of .*: min_val must be below max_val"),
        (lambda: nn.PReLU(0), "PReLU: num_parameters must be a positive integer, not 0"),
        (lambda: nn.PReLU(2)(X), r"prelu: expected a weight of shape \(1,\) or \(channels,\) for x of shape \(4, 3\)"),
        (lambda: nn.GLU()(X), r"glu: axis 1 of x must have an even length, to be halved, not shape \(4, 3\)"),
        (lambda: nn.SwiGLU(2)(X), "swiglu: axis: axis 2 is out of bounds"),
        (lambda: gelu(X, "erf"), "approximate must be 'none' or 'tanh', not 'erf'"),
    ],
)
def test_impossible_activations(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "function",
    [
        sigmoid, softplus, silu, gelu, erf, nn.LogSoftmax(), nn.ELU(), nn.CELU(), nn.SELU(), nn.PReLU(), nn.Hardtanh(),
        nn.ReLU6(), nn.Hardsigmoid(), nn.Hardswish(), nn.Mish(), nn.Softsign(), nn.LogSigmoid(), nn.GLU(), nn.SwiGLU(),
    ],
)  # fmt: skip
def test_activations_of_integers_are_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="must be floating point, not int64"):
        function(Tensor(np.array([1, 2])))


def test_activations_print_their_options() -> None:
    assert [repr(layer) for layer in ACTIVATIONS] == [
        "ReLU()", "LeakyReLU()", "LeakyReLU(negative_slope=1.5)", "GELU()", "GELU(approximate='tanh')",
        "SiLU()", "Tanh()", "Sigmoid()",
        "Softplus()", "Softplus(beta=0.5)", "Softmax()", "Softmax(axis=0)", "LogSoftmax()", "LogSoftmax(axis=0)",
        "ELU()", "ELU(alpha=-0.5)", "CELU(alpha=2.0)", "SELU()", "PReLU()", "PReLU(num_parameters=3, init=0.5)",
        "Hardtanh()", "Hardtanh(min_val=-0.5, max_val=1.5)", "ReLU6()", "Hardsigmoid()", "Hardswish()", "Mish()",
        "Softsign()", "LogSigmoid()", "GLU(axis=0)", "ReGLU(axis=0)", "GEGLU(axis=0)", "SwiGLU(axis=0)",
    ]  # fmt: skip


def test_gates_are_the_second_half() -> None:
    x = np.random.default_rng(0).normal(size=(2, 6))
    for layer, gate in [(nn.GLU(), sigmoid), (nn.ReGLU(), relu), (nn.GEGLU(), gelu), (nn.SwiGLU(), silu)]:
        np.testing.assert_allclose(layer(x), x[:, :3] * gate(x[:, 3:]))
        np.testing.assert_allclose(type(layer)(0)(x), x[:1] * gate(x[1:]))


def test_slopes_of_channels_are_learned() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    layer = nn.PReLU(3, dtype=np.float64)
    assert list(layer.state_dict()) == ["weight"]

    def through(x: Tensor, weight: Tensor) -> Tensor:
        layer.weight = weight
        return layer(x)

    check_gradients(through, x, np.array([0.25, -0.5, 2.0]), order=2)
    np.testing.assert_allclose(layer(x).data, np.where(x > 0, x, layer.weight.data[:, np.newaxis] * x))


# --- Linear ----------------------------------------------------------------------------------------------------------


def test_linear_starts_with_the_same_bits_as_ever() -> None:
    layer = nn.Linear(5, 3, rng=generator())
    np.testing.assert_array_equal(
        layer.weight.data, generator().normal(0, np.sqrt(2 / 5), (5, 3)).astype(np.float32), strict=True
    )
    assert (layer.in_features, layer.out_features) == (5, 3)


def test_linear_without_bias() -> None:
    layer = nn.Linear(3, 2, bias=False, rng=generator(), dtype=np.float64)
    assert list(layer.state_dict()) == ["weight"]
    np.testing.assert_allclose(layer(X).data, X @ layer.weight.data)
    assert layer(X.tolist()).shape == (4, 2)
    check_gradients(layer, X, order=2)
    assert repr(layer) == "Linear(3, 2, bias=False)"
    assert repr(nn.Linear(3, 2, rng=generator())) == "Linear(3, 2)"


def test_linear_is_floating_point() -> None:
    with pytest.raises(TypeError, match="Linear: dtype must be floating point, not int64"):
        nn.Linear(3, 2, rng=generator(), dtype=np.int64)


# --- Embedding -------------------------------------------------------------------------------------------------------


def test_embedding_chooses_rows_and_adds_up_their_gradients() -> None:
    layer = nn.Embedding(4, 2, rng=generator())
    for indices in ([[0, 3, 3]], np.array([[0, 3, 3]], np.uint8), Tensor(np.array([[0, 3, 3]]))):
        y = layer(indices)
        np.testing.assert_array_equal(y.data, layer.weight.data[[[0, 3, 3]]], strict=True)
    y.sum().backward()
    assert layer.weight.grad.data.tolist() == [[1, 1], [0, 0], [0, 0], [2, 2]]
    assert layer.weight.grad.dtype == np.float32
    assert layer(np.zeros((0, 3), int)).shape == (0, 3, 2)


@pytest.mark.parametrize("padding", [1, -3])
def test_the_padding_starts_at_zero_and_gets_no_gradient(padding: int) -> None:
    layer = nn.Embedding(4, 2, padding_idx=padding, rng=generator())
    assert layer.padding_idx == 1
    assert layer.weight.data[1].tolist() == [0, 0]
    assert layer.weight.data[[0, 2, 3]].all()
    layer.weight.data[1] = 7  # as when it is loaded
    y = layer([0, 1])
    assert y.data[1].tolist() == [7, 7]
    gradient = grad(y.sum(), layer.weight)
    assert gradient.data.tolist() == [[1, 1], [0, 0], [0, 0], [0, 0]]
    assert repr(layer) == "Embedding(4, 2, padding_idx=1)"


def test_derivatives_of_embedding() -> None:
    layer = nn.Embedding(3, 2, padding_idx=0, rng=generator(), dtype=np.float64)

    def through(weight: Tensor) -> Tensor:
        layer.weight = weight
        return layer([1, 1, 2])

    check_gradients(through, np.random.default_rng(1).normal(size=(3, 2)), order=2)


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([0, 4], IndexError, "Embedding: index 4 is out of range, expected 0 to 3"),
        ([-1, 3], IndexError, "Embedding: index -1 is out of range"),
        ([0.0, 1.0], TypeError, "Embedding takes integers, not float64"),
        ([True, False], TypeError, "Embedding takes integers, not bool"),
    ],
)
def test_embedding_refuses_other_indices(indices: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nn.Embedding(4, 2, rng=generator())(indices)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_embeddings": 0}, ValueError, "Embedding: num_embeddings must be a positive integer"),
        ({"embedding_dim": 1.5}, ValueError, "Embedding: embedding_dim must be a positive integer"),
        ({"padding_idx": 4}, IndexError, "Embedding: padding_idx 4 is out of range for 4 vectors"),
        ({"padding_idx": -5}, IndexError, "padding_idx -5 is out of range"),
        ({"padding_idx": 1.0}, TypeError, "padding_idx must be an integer, not 1.0"),
        ({"rng": 0}, TypeError, "Embedding: rng must be a np.random.Generator, not int"),
        ({"dtype": int}, TypeError, "Embedding: dtype must be floating point"),
    ],
)
def test_impossible_embeddings(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nn.Embedding(**{"num_embeddings": 4, "embedding_dim": 2, "rng": generator(), **options})


# --- EmbeddingBag ----------------------------------------------------------------------------------------------------

BAGS = [[0, 3, 3], [1], [], [2, 1]]
INDICES, OFFSETS = [i for bag in BAGS for i in bag], [0, 3, 4, 4]
REDUCTIONS: dict[str, Callable[..., Any]] = {"sum": np.sum, "mean": np.mean, "max": np.max}


@pytest.mark.parametrize("mode", REDUCTIONS)
@pytest.mark.parametrize("padding", [None, 3, -3])
def test_bags_of_any_length(mode: str, padding: int | None) -> None:
    layer = nn.EmbeddingBag(4, 2, mode, padding, rng=generator(), dtype=np.float64)
    layer.weight.data[...] = np.random.default_rng(1).normal(size=(4, 2))
    left_out = None if padding is None else padding % 4
    expected = []
    for bag in BAGS:
        vectors = layer.weight.data[[i for i in bag if i != left_out]]
        expected.append(REDUCTIONS[mode](vectors, axis=0) if len(vectors) else np.zeros(2))
    np.testing.assert_allclose(layer(INDICES, OFFSETS).data, expected)
    layer.include_last_offset = True
    np.testing.assert_allclose(layer(Tensor(np.array(INDICES)), np.array([*OFFSETS, 6])).data, expected)
    matrix = np.array([[0, 2], [2, 1]])
    np.testing.assert_allclose(layer(matrix).data, layer(matrix.ravel(), [0, 2, 4]).data)

    def through(weight: Tensor) -> Tensor:
        layer.weight = weight
        return layer([0, 2, 1, 2, 1], [0, 3, 3, 5])  # without ties

    check_gradients(through, np.random.default_rng(1).normal(size=(4, 2)), order=2)


def test_weights_of_samples_in_bags() -> None:
    layer = nn.EmbeddingBag(4, 2, "sum", padding_idx=1, rng=generator(), dtype=np.float64)
    w = np.random.default_rng(2).normal(size=6)
    weighted = np.where(np.array(INDICES) == 1, 0, w)[:, np.newaxis] * layer.weight.data[INDICES]
    expected = [weighted[:3].sum(0), weighted[3:4].sum(0), np.zeros(2), weighted[4:].sum(0)]
    np.testing.assert_allclose(layer(INDICES, OFFSETS, w).data, expected)
    np.testing.assert_allclose(layer([INDICES], per_sample_weights=w[np.newaxis]).data, [weighted.sum(0)])

    def through(weight: Tensor, w: Tensor) -> Tensor:
        layer.weight = weight
        return layer(INDICES, OFFSETS, w)

    check_gradients(through, layer.weight.data, w, order=2)


@pytest.mark.parametrize("mode", REDUCTIONS)
def test_bags_of_float32_without_anything(mode: str) -> None:
    layer = nn.EmbeddingBag(4, 2, mode, padding_idx=0, rng=generator())
    assert layer.weight.data[0].tolist() == [0, 0]
    for indices, offsets in ([[0, 0]], None), ([0, 0], [0, 1]), ([], [0, 0, 0]), (np.zeros((3, 0), int), None):
        y = layer(indices, offsets)
        assert y.dtype == np.float32
        assert y.requires_grad
        assert not y.data.any()
        assert not grad(y.sum(), layer.weight).data.any()
    assert layer(np.zeros((0, 3), int)).shape == (0, 2)
    assert grad(layer([1, 2], [0, 0]).sum(), layer.weight).dtype == np.float32
    assert repr(layer) == f"EmbeddingBag(4, 2{'' if mode == 'mean' else f', mode={mode!r}'}, padding_idx=0)"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([0, 4], [0]), IndexError, "EmbeddingBag: index 4 is out of range, expected 0 to 3"),
        (([0.0], [0]), TypeError, "EmbeddingBag takes integers, not float64; write x.astype"),
        (([0, 1],), ValueError, "EmbeddingBag: a vector of indices needs offsets="),
        (([[0, 1]], [0]), ValueError, "EmbeddingBag: a matrix has one bag a row; leave offsets out"),
        (([[[0, 1]]],), ValueError, r"EmbeddingBag: expected indices of shape \(bags, n\) or \(n,\), not \(1, 1, 2\)"),
        (([0, 1], [1]), ValueError, r"EmbeddingBag: offsets must rise from 0 to at most 2, .* not \[1\]"),
        (([0, 1], [0, 2, 1]), ValueError, "EmbeddingBag: offsets must rise"),
        (([0, 1], [0, 3]), ValueError, "EmbeddingBag: offsets must rise"),
        (([0, 1], []), ValueError, "EmbeddingBag: offsets must rise"),
        (([0, 1], [0.0]), ValueError, "EmbeddingBag: offsets must be integers, not float64"),
        (([0, 1], [0], np.ones(2)), ValueError, "EmbeddingBag: per_sample_weights need mode \"sum\", not 'mean'"),
    ],
)
def test_bags_that_do_not_fit(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nn.EmbeddingBag(4, 2, rng=generator())(*arguments)


def test_impossible_embedding_bags() -> None:
    with pytest.raises(ValueError, match="EmbeddingBag: mode must be 'sum' or 'mean' or 'max', not 'min'"):
        nn.EmbeddingBag(4, 2, "min", rng=generator())
    with pytest.raises(IndexError, match="EmbeddingBag: padding_idx 4 is out of range for 4 vectors"):
        nn.EmbeddingBag(4, 2, padding_idx=4, rng=generator())
    layer = nn.EmbeddingBag(4, 2, "sum", include_last_offset=True, rng=generator())
    with pytest.raises(ValueError, match="EmbeddingBag: the last offset must be 2, the end, not 1"):
        layer([0, 1], [0, 1])
    with pytest.raises(ValueError, match="per_sample_weights must have the shape of the indices"):
        layer([0, 1], [0, 2], np.ones(3))


# --- Bilinear --------------------------------------------------------------------------------------------------------


def test_bilinear() -> None:
    layer = nn.Bilinear(3, 4, 2, rng=generator(), dtype=np.float64)
    rng = np.random.default_rng(1)
    for leading in ((), (5,), (2, 3)):
        a, b = rng.normal(size=(*leading, 3)), rng.normal(size=(*leading, 4))
        expected = np.einsum("...i,kij,...j->...k", a, layer.weight.data, b) + layer.bias.data
        np.testing.assert_allclose(layer(a, b).data, expected)

    def through(a: Tensor, b: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        layer.weight, layer.bias = weight, bias
        return layer(a, b)

    arrays = rng.normal(size=(2, 3)), rng.normal(size=(2, 4)), layer.weight.data, layer.bias.data
    check_gradients(through, *arrays, order=2)
    assert list(nn.Bilinear(3, 4, 2, bias=False, rng=generator()).state_dict()) == ["weight"]
    assert np.abs(layer.weight.data).max() < 1 / math.sqrt(3)
    with pytest.raises(
        ValueError, match=r"Bilinear: expected inputs of shape \(..., 3\) and \(..., 4\), not \(5, 4\) and \(5, 4\)"
    ):
        layer(np.ones((5, 4)), np.ones((5, 4)))
    with pytest.raises(ValueError, match="Bilinear: in2_features must be a positive integer, not 0"):
        nn.Bilinear(3, 0, 2, rng=generator())


# --- Identity, Upsample ----------------------------------------------------------------------------------------------


def test_the_identity_is_its_input() -> None:
    assert nn.Identity()(X) is X
    assert repr(nn.Identity()) == "Identity()"


def test_upsample_passes_its_options_on() -> None:
    x = np.random.default_rng(0).normal(size=(1, 2, 3, 4))
    for options in ({"size": (5, 3)}, {"scale_factor": 2, "mode": "bilinear", "align_corners": True}):
        np.testing.assert_array_equal(nn.Upsample(**options)(x), interpolate(x, **options))
    assert repr(nn.Upsample(scale_factor=2, mode="bicubic")) == "Upsample(scale_factor=2.0, mode='bicubic')"
    for build, message in [
        (nn.Upsample, "Upsample: give either size= or scale_factor=, not neither"),
        (lambda: nn.Upsample(3, 2), "Upsample: give either size= or scale_factor=, not both"),
        (lambda: nn.Upsample(0), "Upsample: size must be a positive integer, not 0"),
        (lambda: nn.Upsample(scale_factor=-1), "Upsample: scale_factor must be above 0, not -1"),
        (lambda: nn.Upsample(3, mode="cubic"), "Upsample: mode must be 'nearest' or .* not 'cubic'"),
        (lambda: nn.Upsample(3, align_corners=True), "Upsample: mode 'nearest' has no align_corners; leave it out"),
        (lambda: nn.Upsample(3, mode="bilinear")(np.ones((1, 1, 3))), "Upsample: mode 'bilinear' expects x of shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            build()


# --- Flatten ---------------------------------------------------------------------------------------------------------


def test_flatten() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0)(x).shape == (120,)
    assert nn.Flatten(1, 2)(Tensor(x)).shape == (2, 12, 5)
    assert nn.Flatten(-3, -2)(x).shape == (2, 12, 5)
    assert nn.Flatten(2, 2)(x).shape == x.shape
    assert nn.Flatten()(np.ones((0, 3, 4))).shape == (0, 12)
    check_gradients(nn.Flatten(1, 2), x, order=2)
    assert [repr(layer) for layer in (nn.Flatten(), nn.Flatten(0), nn.Flatten(end_axis=2))] == [
        "Flatten()", "Flatten(start_axis=0)", "Flatten(end_axis=2)",
    ]  # fmt: skip


def test_flatten_refuses_axes_that_are_not_there_or_turned_round() -> None:
    with pytest.raises(ValueError, match="axis 1 is out of bounds"):
        nn.Flatten()(np.ones(3))
    with pytest.raises(ValueError, match=r"Flatten: end_axis 1 is before start_axis -1 in shape \(2, 3, 4\)"):
        nn.Flatten(-1, 1)(np.ones((2, 3, 4)))


# --- Dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_drops_a_share_and_scales_the_rest(p: float, dtype: type) -> None:
    x = Tensor(np.ones((100, 200), dtype), requires_grad=True)
    y = nn.Dropout(p, rng=generator())(x)
    assert y.dtype == dtype
    dropped = y.data == 0
    assert dropped.mean() == pytest.approx(p, abs=0.02)
    np.testing.assert_allclose(y.data[~dropped], 1 / (1 - p), rtol=1e-6)
    assert grad(y.sum(), x).dtype == dtype
    np.testing.assert_array_equal(grad(nn.Dropout(p, rng=generator())(x).sum(), x).data, y.data)


def test_dropout_drops_the_same_for_a_generator_in_the_same_state_and_anew_with_each_call() -> None:
    layer, again = nn.Dropout(rng=generator()), nn.Dropout(rng=generator())
    x = np.ones(100)
    first, second = layer(x), layer(x)
    assert (first != second).any()
    np.testing.assert_array_equal(again(x), first)
    np.testing.assert_array_equal(again(x), second)


def test_dropout_is_the_identity_in_testing_and_at_zero() -> None:
    rng = generator()
    x = Tensor(X)
    layer = nn.Dropout(rng=rng)
    assert layer.eval()(x) is x
    assert nn.Dropout(0, rng=rng)(x) is x
    assert rng.bit_generator.state == generator().bit_generator.state
    assert (layer.train()(x).data == 0).any()


def test_dropout_drops_what_is_not_finite() -> None:
    y = nn.Dropout(rng=generator())(np.full(100, np.inf))
    assert set(y.tolist()) == {0, np.inf}


def test_derivatives_of_dropout() -> None:
    check_gradients(lambda x: nn.Dropout(0.3, rng=generator())(x) ** 3, X, order=2)


@pytest.mark.parametrize("p", [-0.1, 1, 1.5, math.nan, True])
def test_impossible_dropout(p: float) -> None:
    with pytest.raises(ValueError, match="Dropout: p must be at least 0 and below 1, not"):
        nn.Dropout(p, rng=generator())


def test_dropout_needs_a_generator_and_prints() -> None:
    with pytest.raises(TypeError, match="Dropout: rng must be a np.random.Generator, not NoneType"):
        nn.Dropout(rng=None)
    assert repr(nn.Dropout(rng=generator())) == "Dropout()"
    assert repr(nn.Dropout(0.2, rng=generator())) == "Dropout(p=0.2)"


# --- initial weights -------------------------------------------------------------------------------------------------

SHAPES = [(300, 200), (60, 20, 5, 5)]


def test_the_fans_of_linear_maps_and_of_convolutions() -> None:
    assert init.fans((300, 200)) == (300, 200)
    assert init.fans((60, 20, 5, 5)) == (500, 1500)
    with pytest.raises(ValueError, match=r"not \(3,\)"):
        init.fans((3,))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("function", "variance"),
    [
        (init.he_normal, lambda fan_in, fan_out: 2 / fan_in),
        (init.he_uniform, lambda fan_in, fan_out: 2 / fan_in),
        (init.glorot_normal, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
        (init.glorot_uniform, lambda fan_in, fan_out: 2 / (fan_in + fan_out)),
    ],
)
def test_variances_of_initial_weights(
    function: Callable[..., np.ndarray], variance: Callable[[int, int], float], shape: tuple[int, ...]
) -> None:
    weight = function(shape, rng=generator())
    assert (weight.shape, weight.dtype) == (shape, np.float32)
    assert function(shape, rng=generator(), dtype=np.float64).dtype == np.float64
    deviation = math.sqrt(variance(*init.fans(shape)))
    assert weight.std() == pytest.approx(deviation, rel=0.02)
    assert abs(weight.mean()) < 0.02 * deviation
    farthest = np.abs(weight).max() / deviation
    assert (farthest < math.sqrt(3) * 1.0001) if "uniform" in function.__name__ else (farthest > 3)


def test_initial_numbers_without_fans() -> None:
    weight = init.normal((100, 100), 1.0, 0.5, rng=generator())
    assert (weight.mean(), weight.std()) == pytest.approx((1.0, 0.5), abs=0.02)
    weight = init.uniform((100, 100), -1.0, 3.0, rng=generator())
    assert (weight.min(), weight.max(), weight.mean()) == pytest.approx((-1, 3, 1), abs=0.05)
    assert init.zeros((2, 3)).tolist() == [[0, 0, 0]] * 2
    assert {init.zeros(3).dtype, init.normal(3, rng=generator()).dtype, init.uniform(3, rng=generator()).dtype} == {
        np.dtype(np.float32)
    }


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (8, 3, 2, 2), (2, 3, 2)])
def test_orthogonal_weights(shape: tuple[int, ...]) -> None:
    weight = init.orthogonal(shape, 3.0, rng=generator(), dtype=np.float64)
    assert weight.shape == shape
    matrix = weight.reshape(shape[0], -1)
    square = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(square, 9 * np.eye(len(square)), atol=1e-12)


def test_all_orthogonal_matrices_are_equally_likely() -> None:
    """Without the signs of R, as LAPACK leaves them, the mean of the diagonal would be far from 0."""
    rng = generator()
    corners = np.mean([init.orthogonal((2, 2), rng=rng) for _ in range(2000)], axis=0)
    np.testing.assert_allclose(corners, 0, atol=0.07)
    with pytest.raises(ValueError, match=r"at least two axes, not \(3,\)"):
        init.orthogonal((3,), rng=rng)


# --- float16 ---------------------------------------------------------------------------------------------------------

RNG = {"rng": np.random.default_rng(0)}
HALVES: list[tuple[Any, tuple[int, ...]]] = [
    (lambda dtype: nn.LayerNorm(300, dtype=dtype), (4, 300)),
    (lambda dtype: nn.RMSNorm(300, eps=1e-6, dtype=dtype), (4, 300)),
    (lambda dtype: nn.BatchNorm1d(3, dtype=dtype), (300, 3)),
    (lambda dtype: nn.BatchNorm2d(3, dtype=dtype), (30, 3, 4, 5)),
    (lambda dtype: nn.BatchNorm1d(3, dtype=dtype).eval(), (300, 3)),
    (lambda dtype: nn.Linear(300, 3, dtype=dtype, **RNG), (70, 300)),
    (lambda dtype: nn.Conv2d(8, 3, 3, dtype=dtype, **RNG), (5, 8, 9, 9)),
    (lambda dtype: nn.Conv3d(8, 3, 3, dtype=dtype, **RNG), (2, 8, 4, 5, 4)),
    (lambda dtype: nn.ConvTranspose2d(8, 3, 3, 2, dtype=dtype, **RNG), (5, 8, 5, 4)),
    (lambda dtype: nn.Fold((4, 5), 3, padding=1), (2, 18, 20)),
    (lambda dtype: nn.AdaptiveAvgPool2d(4), (2, 3, 9, 9)),
    (lambda dtype: nn.AdaptiveMaxPool2d(4), (2, 3, 9, 9)),
    (lambda dtype: nn.AvgPool2d(3), (2, 3, 9, 9)),
    (lambda dtype: nn.MaxPool2d(3), (2, 3, 9, 9)),
    (lambda dtype: nn.RNN(3, 5, dtype=dtype, **RNG), (40, 6, 3)),
    (lambda dtype: nn.GRU(3, 5, dtype=dtype, **RNG), (40, 6, 3)),
    (lambda dtype: nn.LSTM(3, 5, dtype=dtype, **RNG), (40, 6, 3)),
    (lambda dtype: lambda x: nn.scaled_dot_product_attention(x, x, x, is_causal=True), (2, 50, 8)),
]


@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0, 1000.0])
@pytest.mark.parametrize(("build", "shape"), HALVES)
def test_float16_is_as_right_as_it_can_be(build: Any, shape: tuple[int, ...], scale: float) -> None:
    """Beside the same layer in float64, to a few units in the last place of the largest numbers."""
    x = (scale * np.random.default_rng(0).normal(0.5, 1, size=shape)).astype(np.float16)
    g = np.random.default_rng(1).normal(size=shape).astype(np.float16)
    narrow, wide = build(np.float16), build(np.float64)
    results: list[list[np.ndarray]] = []
    parameters = list(narrow.parameters()) if isinstance(narrow, nn.Module) else []
    if isinstance(narrow, nn.Module):
        wide.load_state_dict(narrow.state_dict())
    for layer, dtype in ((narrow, np.float16), (wide, np.float64)):
        leaf = Tensor(x.astype(dtype), requires_grad=True)
        own = list(layer.parameters()) if isinstance(layer, nn.Module) else []
        with np.errstate(over="ignore"):
            y = layer(leaf)
            y = y[0] if isinstance(y, tuple) else y
            found = [y, *grad(y, [leaf, *own], np.resize(g, y.shape).astype(dtype))]
        assert {t.dtype for t in found} == {np.dtype(dtype)}
        results.append([t.data.astype(np.float64) for t in found])
    assert len(results[0]) == 2 + len(parameters)
    for a, b in zip(*results, strict=True):
        fits = np.abs(b) < 65000
        size = np.max(np.abs(b[fits]), initial=2**-14)
        np.testing.assert_allclose(a[fits], b[fits], rtol=2e-3, atol=2e-3 * size)


def test_running_statistics_of_float16_are_float32() -> None:
    layer = nn.BatchNorm1d(2, momentum=None, dtype=np.float16)
    rng = np.random.default_rng(0)
    batches = (300 * rng.normal(1, 1, size=(300, 8, 2))).astype(np.float16)
    for batch in batches:
        layer(batch)
    assert layer.running_mean.dtype == layer.running_var.dtype == np.float32
    np.testing.assert_allclose(layer.running_mean.data, batches.astype(float).mean((0, 1)), rtol=1e-4)
    np.testing.assert_allclose(layer.running_var.data, batches.astype(float).var(1, ddof=1).mean(0), rtol=1e-4)
    assert layer(batches[0]).dtype == layer.eval()(batches[0]).dtype == np.float16
    other = nn.BatchNorm1d(2, momentum=None, dtype=np.float16)
    other.load_state_dict(layer.state_dict())
    np.testing.assert_array_equal(other.running_var.data, layer.running_var.data)


def test_float16_input_of_a_float32_layer_gives_float32() -> None:
    x = (1000 * np.random.default_rng(0).normal(size=(4, 300))).astype(np.float16)
    for build in (nn.LayerNorm, nn.RMSNorm, nn.BatchNorm1d):
        found, right = build(300)(Tensor(x)), build(300)(Tensor(x.astype(np.float32)))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.data, right.data, rtol=1e-5, atol=1e-5)


def test_only_the_layers_own_matrices_are_transposed_by_whatever_path() -> None:
    class LowRank(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 3, rng=generator())
            self.A = Tensor(np.arange(9.0).reshape(3, 3), requires_grad=True)

    class Tied(nn.Module):
        def __init__(self) -> None:
            self.shared = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
            self.layer = nn.Linear(2, 3, rng=generator())
            self.layer.weight = self.shared

    for module, expected in ((LowRank(), {"weight"}), (Tied(), {"shared"}), (nn.LSTM(2, 3, rng=generator()), None)):
        state = module.state_dict()
        turned = nn.transpose_weights(module, state)
        changed = {name for name in state if not np.array_equal(state[name], turned[name])}
        assert changed == (expected or {"weight_ih_l0", "weight_hh_l0"})


# --- Dropout of channels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "more"), [(nn.Dropout1d, (5,)), (nn.Dropout2d, (3, 2))])
def test_channels_are_dropped_as_a_whole(kind: Any, more: tuple[int, ...]) -> None:
    layer, x = kind(0.25, rng=generator()), Tensor(np.ones((100, 40, *more), np.float32), requires_grad=True)
    y = layer(x)
    channels = y.data.reshape(100, 40, -1)
    assert y.dtype == np.float32
    assert (channels == channels[..., :1]).all()
    assert set(np.unique(channels)) == {0, np.float32(1 / 0.75)}
    assert 0.22 < np.mean(channels == 0) < 0.28
    np.testing.assert_array_equal(grad(y.sum(), x).data, y.data)
    assert layer.eval()(x) is x
    with pytest.raises(
        ValueError, match=rf"{kind.__name__}: expected an input of shape \(batch, channels, .* not \(3,\)"
    ):
        layer(np.ones(3))
    with pytest.raises(ValueError, match=f"{kind.__name__}: p must be at least 0 and below 1, not 1"):
        kind(1, rng=generator())
    assert repr(kind(0.1, rng=generator())) == f"{kind.__name__}(p=0.1)"

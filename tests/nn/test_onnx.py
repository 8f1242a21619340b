"""ONNX files: onnxruntime computes from them what the networks compute, for every layer and for networks of them.

What runs a file needs the extra `onnx` and onnxruntime, which `.ci/run` installs; without them it is skipped.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinygrad_np
from tinygrad_np import Tensor, nn, no_grad, onnx

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

RNG = np.random.default_rng(0)
SEQUENCE, IMAGE, VOLUME = (2, 4, 9), (2, 4, 9, 8), (2, 4, 5, 6, 7)

# Layers, each with the shape of an example.
LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(3), SEQUENCE),
    "AdaptiveAvgPool1d to one": (lambda: nn.AdaptiveAvgPool1d(1), SEQUENCE),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((3, None)), IMAGE),
    "AdaptiveAvgPool2d to one": (lambda: nn.AdaptiveAvgPool2d(1), IMAGE),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(3), SEQUENCE),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((3, 2)), IMAGE),
    "AdaptiveMaxPool2d to one": (lambda: nn.AdaptiveMaxPool2d(1), IMAGE),
    "AvgPool1d": (lambda: nn.AvgPool1d(3, stride=2, padding=1, ceil_mode=True), SEQUENCE),
    "AvgPool1d without padding": (lambda: nn.AvgPool1d(3, 2, 1, count_include_pad=False), SEQUENCE),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), IMAGE),
    "AvgPool2d with a divisor": (lambda: nn.AvgPool2d(3, (2, 1), 1, True, divisor_override=5), IMAGE),
    "AvgPool2d without padding": (lambda: nn.AvgPool2d((3, 2), (2, 3), 1, True, False), IMAGE),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), SEQUENCE),
    "BatchNorm1d of vectors": (lambda: nn.BatchNorm1d(4, affine=False), (2, 4)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4, eps=0.1), IMAGE),
    "CELU": (lambda: nn.CELU(0.7), (2, 5)),
    "Checkpoint": (lambda: nn.Checkpoint(nn.Linear(5, 3, rng=RNG)), (2, 5)),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3, 2, 1, 2, 2, rng=RNG), SEQUENCE),
    "Conv1d same": (lambda: nn.Conv1d(4, 6, 4, padding="same", bias=False, rng=RNG), SEQUENCE),
    "Conv2d": (lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, rng=RNG), IMAGE),
    "Conv2d same": (lambda: nn.Conv2d(4, 6, (4, 3), padding="same", bias=False, rng=RNG), IMAGE),
    "Conv3d": (lambda: nn.Conv3d(4, 2, (2, 3, 1), padding=(0, 1, 1), rng=RNG), VOLUME),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, rng=RNG), SEQUENCE),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), 1, (1, 2), 2, rng=RNG), IMAGE),
    "ConvTranspose2d without a bias": (lambda: nn.ConvTranspose2d(4, 2, 3, bias=False, dilation=2, rng=RNG), IMAGE),
    "Dropout": (lambda: nn.Dropout(0.5, rng=RNG), (2, 5)),
    "Dropout1d": (lambda: nn.Dropout1d(0.5, rng=RNG), SEQUENCE),
    "Dropout2d": (lambda: nn.Dropout2d(0.5, rng=RNG), IMAGE),
    "ELU": (lambda: nn.ELU(0.7), (2, 5)),
    "Embedding": (lambda: nn.Embedding(5, 3, padding_idx=1, rng=RNG), (2, 4)),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(5, 3, rng=RNG), (2, 4)),
    "EmbeddingBag of maxima": (lambda: nn.EmbeddingBag(5, 3, mode="max", rng=RNG), (2, 4)),
    "EmbeddingBag of sums": (lambda: nn.EmbeddingBag(5, 3, mode="sum", rng=RNG), (2, 4)),
    "Flatten": (lambda: nn.Flatten(), IMAGE),
    "Flatten of the last axes": (lambda: nn.Flatten(2), VOLUME),
    "Flatten of the middle": (lambda: nn.Flatten(1, -2), VOLUME),
    "GEGLU": (lambda: nn.GEGLU(), (2, 6)),
    "GELU": (lambda: nn.GELU(), (2, 5)),
    "GELU by tanh": (lambda: nn.GELU("tanh"), (2, 5)),
    "GLU": (lambda: nn.GLU(1), SEQUENCE),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "GroupNorm of vectors": (lambda: nn.GroupNorm(2, 4, eps=0.1, affine=False), (2, 4)),
    "Hardsigmoid": (lambda: nn.Hardsigmoid(), (2, 5)),
    "Hardswish": (lambda: nn.Hardswish(), (2, 5)),
    "Hardtanh": (lambda: nn.Hardtanh(-0.5, 1.5), (2, 5)),
    "Identity": (lambda: nn.Identity(), (2, 5)),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(4), SEQUENCE),
    "InstanceNorm1d with averages": (lambda: nn.InstanceNorm1d(4, track_running_stats=True), SEQUENCE),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGE),
    "LayerNorm": (lambda: nn.LayerNorm(5), (2, 3, 5)),
    "LayerNorm of two axes": (lambda: nn.LayerNorm((9, 8), eps=0.1, bias=False), IMAGE),
    "LayerNorm without weights": (lambda: nn.LayerNorm(5, elementwise_affine=False), (2, 5)),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.2), (2, 5)),
    "LearnedPositionalEncoding": (lambda: nn.LearnedPositionalEncoding(6, 9, rng=RNG), (2, 3, 6)),
    "Linear": (lambda: nn.Linear(5, 3, rng=RNG), (2, 5)),
    "Linear of sequences": (lambda: nn.Linear(5, 3, rng=RNG), (2, 4, 5)),
    "Linear of sequences without a bias": (lambda: nn.Linear(5, 3, bias=False, rng=RNG), (2, 4, 5)),
    "Linear without a bias": (lambda: nn.Linear(5, 3, bias=False, rng=RNG), (2, 5)),
    "LogSigmoid": (lambda: nn.LogSigmoid(), (2, 5)),
    "LogSoftmax": (lambda: nn.LogSoftmax(), (2, 5)),
    "MaxPool1d": (lambda: nn.MaxPool1d(3, 2, 1, ceil_mode=True), SEQUENCE),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), IMAGE),
    "MaxPool2d with all options": (lambda: nn.MaxPool2d((3, 2), (2, 1), 1, (1, 2), ceil_mode=True), IMAGE),
    "Mish": (lambda: nn.Mish(), (2, 5)),
    "PReLU": (lambda: nn.PReLU(), (2, 5)),
    "PReLU of channels": (lambda: nn.PReLU(4), IMAGE),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), (2, 8, 3, 4)),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), (2, 3, 4, 6)),
    "RMSNorm": (lambda: nn.RMSNorm(5), (2, 3, 5)),
    "RMSNorm of two axes": (lambda: nn.RMSNorm((9, 8), eps=0.1, elementwise_affine=False), IMAGE),
    "ReGLU": (lambda: nn.ReGLU(), (2, 6)),
    "ReLU": (lambda: nn.ReLU(), (2, 5)),
    "ReLU6": (lambda: nn.ReLU6(), (2, 5)),
    "SELU": (lambda: nn.SELU(), (2, 5)),
    "SiLU": (lambda: nn.SiLU(), (2, 5)),
    "Sigmoid": (lambda: nn.Sigmoid(), (2, 5)),
    "SinusoidalPositionalEncoding": (lambda: nn.SinusoidalPositionalEncoding(6), (2, 3, 6)),
    "Softmax": (lambda: nn.Softmax(), (2, 5)),
    "Softmax of channels": (lambda: nn.Softmax(1), IMAGE),
    "Softplus": (lambda: nn.Softplus(), (2, 5)),
    "Softplus with a beta": (lambda: nn.Softplus(2.5), (2, 5)),
    "Softsign": (lambda: nn.Softsign(), (2, 5)),
    "SwiGLU": (lambda: nn.SwiGLU(3), IMAGE),
    "Tanh": (lambda: nn.Tanh(), (2, 5)),
    "Upsample by a factor": (lambda: nn.Upsample(scale_factor=2), SEQUENCE),
    "Upsample bicubic": (lambda: nn.Upsample(size=(5, 20), mode="bicubic"), IMAGE),
    "Upsample bicubic of corners": (lambda: nn.Upsample(size=(5, 20), mode="bicubic", align_corners=True), IMAGE),
    "Upsample bilinear": (lambda: nn.Upsample(size=(13, 5), mode="bilinear"), IMAGE),
    "Upsample bilinear of corners": (lambda: nn.Upsample(scale_factor=3, mode="bilinear", align_corners=True), IMAGE),
    "Upsample linear": (lambda: nn.Upsample(size=1, mode="linear"), SEQUENCE),
    "Upsample nearest": (lambda: nn.Upsample(size=(13, 5)), IMAGE),
    "Upsample nearest-exact": (lambda: nn.Upsample(size=(13, 5), mode="nearest-exact"), IMAGE),
    "Upsample trilinear": (lambda: nn.Upsample(scale_factor=(2, 1, 1), mode="trilinear"), VOLUME),
}
CLASSES = [kind for name in nn.__all__ if isinstance(kind := getattr(nn, name), type) and issubclass(kind, nn.Module)]


def varied(model: nn.Module) -> nn.Module:
    """The network with other numbers than the zeros and ones that weights and running averages begin with."""
    for _, tensor in model.named_tensors():
        if tensor.dtype == np.float32:
            tensor.data = RNG.uniform(0.5, 1.5, tensor.shape).astype(np.float32)
    return model


def batch_of(model: Any, shape: tuple[int, ...], n: int) -> np.ndarray:
    first = model[0] if isinstance(model, nn.Sequential) and len(model) else model
    if isinstance(first, nn.Embedding | nn.EmbeddingBag):
        return np.random.default_rng(n).integers(0, 5, (n, *shape[1:]))
    return np.random.default_rng(n).normal(size=(n, *shape[1:])).astype(np.float32)


def check(model: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    """The file gives what the network gives in evaluation mode, for batches of several lengths."""
    onnxruntime = pytest.importorskip("onnxruntime")
    varied(model)
    onnx.export(model, path, batch_of(model, shape, shape[0]))
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    model.eval()
    for n in (1, 2, 5):
        x = batch_of(model, shape, n)
        (found,) = session.run(None, {"input": x})
        with no_grad():
            expected = np.asarray(model(x))
        assert found.dtype == expected.dtype == np.float32
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * max(1.0, float(np.max(np.abs(expected)))))


def test_every_layer_is_exported_or_refused_for_a_reason() -> None:
    handled = (*onnx.EXPORTS, nn.Sequential, nn.Checkpoint, nn.Module)
    refused = tuple(onnx.REFUSED)
    undecided = [kind.__name__ for kind in CLASSES if kind not in handled and not issubclass(kind, refused)]
    assert undecided == [], "write an entry in EXPORTS or REFUSED of onnx.py"
    assert [kind.__name__ for kind in onnx.EXPORTS if issubclass(kind, refused)] == []


def test_every_export_is_tried() -> None:
    assert {type(make()) for make, _ in LAYERS.values()} - {nn.Checkpoint} == set(onnx.EXPORTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_alone(name: str, tmp_path: Path) -> None:
    make, shape = LAYERS[name]
    check(make(), shape, tmp_path / "model.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("function", onnx.FUNCTIONS, ids=lambda function: function.__name__)
def test_a_function_in_a_network(function: Any, tmp_path: Path) -> None:
    check(nn.Sequential(nn.Linear(5, 7, rng=RNG), function), (2, 5), tmp_path / "model.onnx")


# --- networks that are drawn -----------------------------------------------------------------------------------------

ACTIVATIONS = [
    nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.GELU, nn.ELU, nn.Mish, nn.Hardswish, nn.Softsign, nn.LeakyReLU, nn.PReLU,
]  # fmt: skip


@st.composite
def image_networks(draw: st.DrawFn) -> tuple[nn.Sequential, tuple[int, ...]]:
    """A network of images: convolutions, normalisations, poolings and activations, and layers of vectors at the end."""
    channels = draw(st.integers(1, 4))
    shape = (draw(st.integers(1, 3)), channels, draw(st.integers(6, 14)), draw(st.integers(6, 14)))
    layers: list[Any] = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            groups = draw(st.sampled_from([1, channels]))
            wider = groups * draw(st.integers(1, 3))
            kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
            kind = draw(st.sampled_from([nn.Conv2d, nn.ConvTranspose2d]))
            options = {"padding": draw(st.integers(0, min(kernel) - 1)), "bias": draw(st.booleans())}
            layers.append(kind(channels, wider, kernel, draw(st.integers(1, 2)), groups=groups, rng=RNG, **options))
            channels = wider
        norms = [
            nn.BatchNorm2d(channels), nn.GroupNorm(1, channels), nn.GroupNorm(channels, channels),
            nn.InstanceNorm2d(channels, affine=True), nn.Dropout2d(0.3, rng=RNG), nn.Identity(),
        ]  # fmt: skip
        layers += [draw(st.sampled_from(norms)), draw(st.sampled_from(ACTIVATIONS))()]
        if draw(st.booleans()):
            kernel, ceil = draw(st.integers(1, 3)), draw(st.booleans())
            pool = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
            layers.append(pool(kernel, draw(st.integers(1, 3)), draw(st.integers(0, kernel // 2)), ceil_mode=ceil))
    try:
        outputs = nn.Sequential(*layers).eval()(np.zeros(shape, np.float32)).shape
    except ValueError:  # a window that does not fit
        layers, outputs = [], shape
    if draw(st.booleans()):
        layers.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        outputs = outputs[:2]
    layers += [nn.Flatten(), nn.Linear(int(np.prod(outputs[1:])), 4, rng=RNG), nn.LayerNorm(4), nn.Softmax()]
    return nn.Sequential(*layers), shape


@st.composite
def token_networks(draw: st.DrawFn) -> tuple[nn.Sequential, tuple[int, ...]]:
    """A network of tokens: an embedding, and layers of sequences."""
    size, length = 2 * draw(st.integers(1, 4)), draw(st.integers(1, 6))
    layers: list[Any] = [nn.Embedding(5, size, rng=RNG), nn.SinusoidalPositionalEncoding(size)]
    for _ in range(draw(st.integers(0, 3))):
        norms = [nn.LayerNorm(size), nn.RMSNorm(size), nn.Dropout(0.2, rng=RNG)]
        gates = [nn.GLU, nn.SwiGLU, nn.GEGLU, nn.ReGLU]
        wider = nn.Linear(size, 2 * size, bias=draw(st.booleans()), rng=RNG)
        layers += [draw(st.sampled_from(norms)), wider, draw(st.sampled_from(gates))()]
    layers.append(nn.Linear(size, 3, rng=RNG))
    return nn.Sequential(*layers), (draw(st.integers(1, 3)), length)


@pytest.mark.slow
@given(drawn=image_networks() | token_networks())
def test_networks(drawn: tuple[nn.Sequential, tuple[int, ...]], tmp_path_factory: pytest.TempPathFactory) -> None:
    model, shape = drawn
    check(model, shape, tmp_path_factory.mktemp("networks") / "model.onnx")


# --- what a file says, and what is refused ---------------------------------------------------------------------------


@pytest.mark.slow
def test_weights_keep_their_names_and_shared_ones_are_written_once(tmp_path: Path) -> None:
    theirs = pytest.importorskip("onnx")
    shared = nn.Linear(4, 4, rng=RNG)
    model = nn.Sequential(shared, nn.Sequential(nn.ReLU(), shared), nn.BatchNorm1d(4), nn.Dropout(0.5, rng=RNG))
    model[3].eval()
    onnx.export(model, tmp_path / "model.onnx", np.ones((1, 4), np.float32))
    assert [module.training for module in model.modules()] == [True, True, True, True, True, False]
    written = theirs.load(tmp_path / "model.onnx")
    arrays = {weight.name: theirs.numpy_helper.to_array(weight) for weight in written.graph.initializer}
    state = model.state_dict()
    del state["2.num_batches_tracked"]
    assert arrays.keys() == state.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, state[name])
    assert [opset.version for opset in written.opset_import] == [onnx.OPSET]
    assert written.producer_version == tinygrad_np.__version__
    shapes = [[d.dim_param or d.dim_value for d in part.type.tensor_type.shape.dim] for part in
              (*written.graph.input, *written.graph.output)]  # fmt: skip
    assert shapes == [["batch", 4], ["batch", 4]]


class Own(nn.Module):
    def forward(self, x: Any) -> Any:
        return x * 2


class Twice(nn.Linear):
    def forward(self, x: Any) -> Any:
        return super().forward(x) * 2


def double(x: Any) -> Any:
    return x * 2


CHAIN = (2, 4, 4)
REFUSED: dict[str, tuple[Any, tuple[int, ...], type[Exception], str]] = {
    "a state": (nn.LSTM(4, 3, rng=RNG), CHAIN, TypeError, r"layer 1, LSTM\(4, 3\), has no export: it returns states"),
    "attention": (nn.TransformerEncoderLayer(4, 2, 8, rng=RNG), CHAIN, TypeError, "attention is not exported"),
    "a loss": (nn.MSELoss(), CHAIN, TypeError, "layer 1, MSELoss.*it is a loss"),
    "a forward of one's own": (Own(), CHAIN, TypeError, "layer 1, Own.*its forward is your own"),
    "another forward": (Twice(4, 3, rng=RNG), CHAIN, TypeError, "layer 1, Twice.*its forward is your own"),
    "a function": (double, CHAIN, TypeError, "layer 1.*is a function; write the layer"),
    "a batch statistic": (nn.BatchNorm1d(4, track_running_stats=False), CHAIN, ValueError, "track_running_stats=False"),
    "a merged batch": (nn.Flatten(0), CHAIN, ValueError, r"layer 1, Flatten\(start_axis=0\).*the batch axis"),
    "a halved batch": (nn.GLU(0), CHAIN, ValueError, "layer 1, GLU.*does not keep the batch axis"),
    "unequal parts": (nn.AdaptiveAvgPool1d(3), CHAIN, ValueError, "parts of different sizes"),
    "areas": (nn.Upsample(2, mode="area"), CHAIN, ValueError, "mode 'area'"),
    "a part of an element": (
        nn.Upsample(scale_factor=1.3),
        CHAIN,
        ValueError,
        "scale_factor=1.3, which gives no whole",
    ),
    "float64": (nn.Linear(4, 3, dtype=np.float64, rng=RNG), CHAIN, TypeError, r"float64.*model.astype\(np.float32\)"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:Linear")
def test_a_layer_without_export_is_named(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    layer, shape, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        onnx.export(nn.Sequential(nn.ReLU(), layer), tmp_path / "model.onnx", np.ones(shape, np.float32))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_padding_index_of_bags_has_no_export(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    with pytest.raises(ValueError, match="EmbeddingBag.*has no export with padding_idx"):
        onnx.export(nn.EmbeddingBag(5, 3, padding_idx=0, rng=RNG), tmp_path / "model.onnx", np.ones((2, 3), int))


@pytest.mark.parametrize(
    ("example", "error", "message"),
    [
        (np.ones((2, 4)), TypeError, r"not float64; write x.astype\(np.float32\)"),
        (np.ones((2, 4), np.uint8), TypeError, "not uint8"),
        (np.ones((0, 4), np.float32), ValueError, r"a batch of at least one example, not of shape \(0, 4\)"),
        (np.float32(1), ValueError, r"not of shape \(\)"),
    ],
)
def test_an_example_is_a_batch(example: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        onnx.export(nn.Sequential(nn.ReLU()), tmp_path / "model.onnx", example)


def test_the_model_comes_first(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"model must be a module, not PosixPath|WindowsPath; write export"):
        onnx.export(tmp_path / "model.onnx", nn.ReLU(), np.ones((1, 4), np.float32))  # type: ignore[arg-type]


def test_a_missing_package_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'^onnx.export needs the package onnx: python -m pip install "tinygrad_np'):
        onnx.export(nn.ReLU(), tmp_path / "model.onnx", Tensor([[1.0]]))

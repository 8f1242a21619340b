"""Networks as ONNX files, which onnxruntime, OpenCV, browsers and phones run without this package.

    onnx.export(model, "model.onnx", images[:1])

A network is a `Sequential` of layers, nested as one likes; see `EXPORTS` for the layers and `REFUSED` for those that
are not exported. The package onnx writes the file (`python -m pip install "tinygrad_np[onnx]"`), and is imported by
`export` alone.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np

from . import __version__, nn
from .nn.losses import _Loss
from .ops.activations import hardsigmoid, hardswish, logsigmoid, mish, relu6, selu, softsign
from .ops.elementwise import relu
from .ops.pooling import output_sizes, pooling_window
from .ops.special import gelu, leaky_relu, log_softmax, sigmoid, silu, softmax, softplus
from .ops.windows import Window, sizes_of, sliding
from .serialization import write_atomically
from .tensor import Array, Tensor, as_array, no_grad

__all__ = ["export"]

OPSET, IR_VERSION = 20, 9  # of onnx 1.15: onnx writes newer ones by default, which older programs do not read
LARGEST = 2**31 - 1  # bytes of a protobuf file
INPUTS = (np.float32, np.int32, np.int64)

Shape: TypeAlias = tuple[int, ...]
Export: TypeAlias = "Callable[[_Graph, Any, str, Shape], str]"


def export(model: nn.Module, path: str | os.PathLike[str], example_input: Any) -> None:
    """Write a network, in evaluation mode, to an ONNX file of opset 20.

    The file has one input, "input", and one output, "output". The first axis of both is the batch, of any length; all
    other axes have the lengths that the example gives them. Weights have the names that they have in `state_dict()`.
    The network stays in the mode that it is in.

    Args:
        model: a `Sequential` of layers, or one layer, with weights of float32.
        path: of the file, which is written atomically.
        example_input: what the network is called with: a batch of at least one example, of float32, or of integers if
            the first layer is an embedding.

    Raises:
        ImportError: the package onnx is not installed.
        TypeError: a layer has no export; the message names it. Or weights or the example have another dtype.
        ValueError: a layer has an option that has no export, the example is no batch, the network does not keep its
            batch axis, or is larger than 2 GB, which is the most that the format holds.
        OSError: the file cannot be written.

    Source: the operators are those of https://onnx.ai/onnx/operators/.

    >>> model = nn.Sequential(nn.Linear(4, 3, rng=np.random.default_rng(0)), nn.ReLU())
    >>> # export(model, "model.onnx", x), and elsewhere, for a batch of any length:
    >>> # (y,) = onnxruntime.InferenceSession("model.onnx").run(None, {"input": x})
    >>> export(model, "model.onnx", np.ones((1, 4)))
    Traceback (most recent call last):
    TypeError: onnx.export: example_input must be of float32, ..., not float64; write x.astype(np.float32)
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"onnx.export: model must be a module, not {type(model).__name__}; write export(model, path, x)"
        )
    example = _batch(example_input)
    try:
        onnx = import_module("onnx")
    except ImportError:
        raise ImportError('onnx.export needs the package onnx: python -m pip install "tinygrad_np[onnx]"') from None
    graph = _Graph(onnx, model)
    with _evaluating(model), no_grad():
        last, outputs = _exported(graph, model, "", "input", [example, np.concatenate([example, example])])
    graph.nodes.append(onnx.helper.make_node("Identity", [last], ["output"]))
    written = _model(onnx, graph, example, outputs[0])
    if written.ByteSize() > LARGEST:
        raise ValueError(f"onnx.export: the network takes {written.ByteSize():,} bytes, and a file holds {LARGEST:,}")
    onnx.checker.check_model(written, full_check=True)
    write_atomically(path, written.SerializeToString())


def _batch(example: Any) -> Array:
    x = as_array(example) if isinstance(example, Tensor | np.ndarray) else np.asarray(example)
    x = x.data if type(x) is Tensor else x
    if x.dtype not in INPUTS:
        raise TypeError(
            f"onnx.export: example_input must be of float32, or of int32 or int64 for an embedding, not {x.dtype};"
            " write x.astype(np.float32)"
        )
    if not x.ndim or not x.size:
        raise ValueError(f"onnx.export: example_input must be a batch of at least one example, not of shape {x.shape}")
    return np.asarray(x)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


class _Graph:
    """The nodes and weights of a file as it is made."""

    def __init__(self, onnx: Any, model: nn.Module) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.weights: dict[str, Any] = {}
        self.path = ""  # of the layer that is being exported
        self._paths = {id(tensor): path for path, tensor in model.named_tensors()}
        self._taken = {"input", "output", *self._paths.values()}

    def add(self, operator: str, *inputs: Any, **attributes: Any) -> str:
        """The name of the output of a new node. Inputs are names, Tensors, arrays, or None for one that is left out."""
        names = [self._name_of(value) for value in inputs]
        output = self._new(f"{self.path}.{operator}" if self.path else operator)
        self.nodes.append(self.onnx.helper.make_node(operator, names, [output], name=output, **attributes))
        return output

    def _name_of(self, value: Any) -> str:
        if value is None or isinstance(value, str):
            return value or ""
        own = self._paths.get(id(value)) if type(value) is Tensor else None
        name = own or self._new(f"{self.path}.constant" if self.path else "constant")
        if name not in self.weights:
            array = value.data if type(value) is Tensor else np.asarray(value)
            if array.dtype not in (np.float32, np.int64):
                raise TypeError(
                    f"onnx.export: {name} is of {array.dtype}, expected float32; write model.astype(np.float32)"
                )
            self.weights[name] = self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def _new(self, wanted: str) -> str:
        name, count = wanted, 0
        while name in self._taken:
            count += 1
            name = f"{wanted}.{count}"
        self._taken.add(name)
        return name


def _exported(graph: _Graph, layer: Any, path: str, x: str, given: list[Array]) -> tuple[str, list[Array]]:
    """Add a layer to the graph. Return the name of its output, and the outputs for two batches of different lengths."""
    if isinstance(layer, nn.Sequential) and type(layer).forward is nn.Sequential.forward:
        for i, inner in enumerate(layer):
            x, given = _exported(graph, inner, f"{path}.{i}" if path else str(i), x, given)
        return x, given
    if type(layer) is nn.Checkpoint:
        return _exported(graph, layer.module, f"{path}.module" if path else "module", x, given)
    place = f"layer {path}, {layer!r:.80}" if path else f"{layer!r:.80}"
    same = next((module for function, module in FUNCTIONS.items() if function is layer), layer)
    export_of = _export_of(type(same))
    if export_of is None:
        raise TypeError(f"onnx.export: {place}, has no export: {_reason(layer)}")
    outputs = [_output(place, layer, x) for x in given]
    graph.path = path
    try:
        name = export_of(graph, same, x, given[0].shape)
    except _UnexportedError as error:
        raise ValueError(f"onnx.export: {place}, has no export with {error}") from None
    if not all(y.shape == (len(x), *outputs[0].shape[1:]) for x, y in zip(given, outputs, strict=True)):
        raise ValueError(
            f"onnx.export: {place}, does not keep the batch axis: batches of {len(given[0])} and {len(given[1])} give"
            f" shapes {outputs[0].shape} and {outputs[1].shape}"
        )
    return name, outputs


def _output(place: str, layer: Any, x: Array) -> Array:
    y = layer(x)
    array: Array = y.data if type(y) is Tensor else np.asarray(y)
    if array.dtype not in INPUTS:
        raise TypeError(f"onnx.export: {place}, gives {array.dtype}, expected float32; write model.astype(np.float32)")
    return array


def _export_of(kind: type) -> "Export | None":
    """The entry of a class, or of one that it derives from, if its forward is still that of the entry."""
    for base in kind.__mro__:
        if base in EXPORTS:
            return EXPORTS[base] if kind.forward is base.forward else None  # type: ignore[attr-defined]
    return None


def _reason(layer: Any) -> str:
    if not isinstance(layer, nn.Module):
        return "it is a function; write the layer that does the same, such as nn.ReLU()"
    for kind, reason in REFUSED.items():
        if isinstance(layer, kind):
            return reason
    return "its forward is your own; write it as a Sequential of layers"


def _model(onnx: Any, graph: _Graph, x: Array, y: Array) -> Any:
    described = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), ["batch", *array.shape[1:]]
        )
        for name, array in (("input", x), ("output", y))
    ]
    return onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "network", described[:1], described[1:], list(graph.weights.values())),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tinygrad_np",
        producer_version=__version__,
    )


class _UnexportedError(Exception):
    """An option of a layer that has no export."""


# --- layers ----------------------------------------------------------------------------------------------------------


def _float(number: float) -> Array:
    return np.array(number, np.float32)


def _integers(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def _per_channel(weight: Any, shape: Shape) -> Array:
    """An array of one number per channel that broadcasts with a batch."""
    return np.asarray(weight.data.reshape(-1, *[1] * (len(shape) - 2)))


def _linear(graph: _Graph, layer: nn.Linear, x: str, shape: Shape) -> str:
    if len(shape) == 2:
        return graph.add("Gemm", x, layer.weight, *[] if layer.bias is None else [layer.bias])
    y = graph.add("MatMul", x, layer.weight)
    return y if layer.bias is None else graph.add("Add", y, layer.bias)


def _embedding_bag(graph: _Graph, layer: nn.EmbeddingBag, x: str, shape: Shape) -> str:
    if layer.padding_idx is not None:
        raise _UnexportedError("padding_idx")
    vectors = graph.add("Gather", layer.weight, x)
    return graph.add(f"Reduce{layer.mode.capitalize()}", vectors, _integers(1), keepdims=0)


def _reshaped(graph: _Graph, x: str, *sizes: int) -> str:
    """The examples of a batch in another shape."""
    return graph.add("Reshape", x, _integers(0, *sizes))


def _flatten(graph: _Graph, layer: nn.Flatten, x: str, shape: Shape) -> str:
    start, end = (axis % len(shape) for axis in (layer.start_axis, layer.end_axis))
    if start == 0 < end:
        raise _UnexportedError(f"start_axis={layer.start_axis}, the batch axis")
    if start == end:
        return x
    return _reshaped(graph, x, *shape[1:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])


def _unchanged(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
    return x


def _encoding(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
    if len(shape) < 3:
        raise _UnexportedError(f"an input of shape {shape}, without a batch axis")
    table = layer.weight.data if type(layer.weight) is Tensor else layer.weight
    return graph.add("Add", x, table[: shape[-2]])


def _geometry(window: Window, axes: int) -> dict[str, Any]:
    """A window as attributes of a node. A sequence is an image of height 1."""
    before, after = zip(*window.padding[-axes:], strict=True)
    return {
        "kernel_shape": window.kernel[-axes:],
        "strides": window.stride[-axes:],
        "dilations": window.dilation[-axes:],
        "pads": (*before, *after),
    }


def _convolution(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
    axes, name = len(shape) - 2, type(layer).__name__
    window = sliding(name, layer.kernel_size, layer.stride, layer.padding, layer.dilation, axes=axes)
    bias = [] if layer.bias is None else [layer.bias]
    return graph.add("Conv", x, layer.weight, *bias, group=layer.groups, **_geometry(window, axes))


def _transposed_convolution(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
    axes, name = len(shape) - 2, type(layer).__name__
    window = sliding(name, layer.kernel_size, layer.stride, layer.padding, layer.dilation, axes=axes)
    longer = sizes_of(name, "output_padding", layer.output_padding, 0, axes)
    bias = [] if layer.bias is None else [layer.bias]
    geometry = _geometry(window, axes)
    return graph.add("ConvTranspose", x, layer.weight, *bias, group=layer.groups, output_padding=longer, **geometry)


def _pooling_of(layer: Any, shape: Shape, **options: Any) -> tuple[dict[str, Any], Array]:
    """The window of a pooling as attributes, without ceil_mode, which programs differ in; and what it divides by."""
    axes, name, x = len(shape) - 2, type(layer).__name__, np.empty((1, *shape[1:]), np.float32)
    dilation = getattr(layer, "dilation", 1)
    window, counts = pooling_window(
        name, x, layer.kernel_size, layer.stride, layer.padding, dilation, layer.ceil_mode, axes=axes, **options
    )
    return _geometry(window, axes), counts[:, :, 0] if axes == 1 else counts


def _max_pool(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
    return graph.add("MaxPool", x, **_pooling_of(layer, shape)[0])


def _avg_pool(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
    geometry, counts = _pooling_of(layer, shape, count_include_pad=layer.count_include_pad)
    if (divisor := getattr(layer, "divisor_override", None)) is not None:
        counts = np.full_like(counts, divisor)
    y = graph.add("AveragePool", x, count_include_pad=1, **geometry)
    factors = math.prod(geometry["kernel_shape"]) / counts  # from the mean of a whole window
    return y if np.all(factors == 1) else graph.add("Mul", y, factors.astype(np.float32))


def _adaptive_pool(operator: str) -> Export:
    def exported(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
        sizes = shape[2:]
        given = output_sizes(type(layer).__name__, layer.output_size, axes=len(sizes))
        counts = [size if count is None else count for size, count in zip(sizes, given, strict=True)]
        if any(size % count for size, count in zip(sizes, counts, strict=True)):
            raise _UnexportedError(f"parts of different sizes: {tuple(counts)} of {sizes}")
        if {*counts} == {1}:
            return graph.add(f"Global{operator}", x)
        kernel = [size // count for size, count in zip(sizes, counts, strict=True)]
        return graph.add(operator, x, kernel_shape=kernel, strides=kernel)

    return exported


LINEAR = {"mode": "linear"}
RESAMPLING: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "nearest-exact": {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
    "linear": LINEAR,
    "bilinear": LINEAR,
    "trilinear": LINEAR,
    "bicubic": {"mode": "cubic", "cubic_coeff_a": -0.75},
}


def _upsample(graph: _Graph, layer: nn.Upsample, x: str, shape: Shape) -> str:
    axes = len(shape) - 2
    if layer.mode not in RESAMPLING:
        raise _UnexportedError(f"mode {layer.mode!r}")
    given = layer.size if layer.scale_factor is None else layer.scale_factor
    each = given if isinstance(given, tuple | list) else (given,) * axes
    sizes = each if layer.scale_factor is None else [n * factor for n, factor in zip(shape[2:], each, strict=True)]
    if any(size != int(size) for size in sizes):
        raise _UnexportedError(f"scale_factor={layer.scale_factor!r}, which gives no whole sizes of {shape[2:]}")
    options = dict(RESAMPLING[layer.mode])
    if layer.align_corners:
        options["coordinate_transformation_mode"] = "align_corners"
    return graph.add("Resize", x, None, None, _integers(*map(int, sizes)), axes=range(2, 2 + axes), **options)


def _pixel_unshuffle(graph: _Graph, layer: nn.PixelUnshuffle, x: str, shape: Shape) -> str:
    channels, height, width = shape[1:]
    r = layer.downscale_factor
    split = _reshaped(graph, x, channels, height // r, r, width // r, r)
    moved = graph.add("Transpose", split, perm=(0, 1, 3, 5, 2, 4))
    return _reshaped(graph, moved, channels * r * r, height // r, width // r)


def _scale_and_bias(layer: Any, shape: Any) -> list[Any]:
    scale = np.ones(shape, np.float32) if layer.weight is None else layer.weight
    return [scale, np.zeros(shape, np.float32) if layer.bias is None else layer.bias]


def _batch_norm(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
    if not layer.track_running_stats:
        raise _UnexportedError("track_running_stats=False: its output depends on the rest of the batch")
    scale, bias = _scale_and_bias(layer, layer.num_features)
    return graph.add("BatchNormalization", x, scale, bias, layer.running_mean, layer.running_var, epsilon=layer.eps)


def _instance_norm(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
    if layer.track_running_stats:
        return _batch_norm(graph, layer, x, shape)
    return graph.add("InstanceNormalization", x, *_scale_and_bias(layer, layer.num_features), epsilon=layer.eps)


def _group_norm(graph: _Graph, layer: nn.GroupNorm, x: str, shape: Shape) -> str:
    groups = layer.num_groups
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    grouped = _reshaped(graph, x, groups, math.prod(shape[1:]) // groups)
    y = _reshaped(graph, graph.add("InstanceNormalization", grouped, ones, zeros, epsilon=layer.eps), *shape[1:])
    if not layer.affine:
        return y
    scaled = graph.add("Mul", y, _per_channel(layer.weight, shape))
    return graph.add("Add", scaled, _per_channel(layer.bias, shape))


def _layer_norm(graph: _Graph, layer: nn.LayerNorm, x: str, shape: Shape) -> str:
    scale, bias = _scale_and_bias(layer, layer.normalized_shape)
    return graph.add("LayerNormalization", x, scale, bias, axis=-len(layer.normalized_shape), epsilon=layer.eps)


def _rms_norm(graph: _Graph, layer: nn.RMSNorm, x: str, shape: Shape) -> str:
    eps = float(np.finfo(np.float32).eps) if layer.eps is None else layer.eps
    axes = _integers(*range(-len(layer.normalized_shape), 0))
    mean = graph.add("ReduceMean", graph.add("Mul", x, x), axes, keepdims=1)
    y = graph.add("Div", x, graph.add("Sqrt", graph.add("Add", mean, _float(eps))))
    return y if layer.weight is None else graph.add("Mul", y, layer.weight)


def _softplus(graph: _Graph, layer: nn.Softplus, x: str, shape: Shape) -> str:
    if layer.beta == 1:
        return graph.add("Softplus", x)
    return graph.add("Div", graph.add("Softplus", graph.add("Mul", x, _float(layer.beta))), _float(layer.beta))


def _prelu(graph: _Graph, layer: nn.PReLU, x: str, shape: Shape) -> str:
    return graph.add("PRelu", x, layer.weight if layer.num_parameters == 1 else _per_channel(layer.weight, shape))


def _silu(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
    return graph.add("Mul", x, graph.add("Sigmoid", x))


def _gated(gate: Export) -> Export:
    def exported(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
        middle = shape[layer.axis] // 2
        axis = _integers(layer.axis)
        first = graph.add("Slice", x, _integers(0), _integers(middle), axis)
        second = graph.add("Slice", x, _integers(middle), _integers(2 * middle), axis)
        return graph.add("Mul", first, gate(graph, layer, second, shape))

    return exported


def _node(operator: str, **attributes: Any) -> Export:
    """The export of a layer that is one node; attributes that are text name those of the layer."""

    def exported(graph: _Graph, layer: Any, x: str, shape: Shape) -> str:
        given = {name: getattr(layer, value) if isinstance(value, str) else value for name, value in attributes.items()}
        return graph.add(operator, x, **given)

    return exported


EXPORTS: dict[type, Export] = {
    nn.AdaptiveAvgPool1d: _adaptive_pool("AveragePool"),
    nn.AdaptiveAvgPool2d: _adaptive_pool("AveragePool"),
    nn.AdaptiveMaxPool1d: _adaptive_pool("MaxPool"),
    nn.AdaptiveMaxPool2d: _adaptive_pool("MaxPool"),
    nn.AvgPool1d: _avg_pool,
    nn.AvgPool2d: _avg_pool,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.CELU: _node("Celu", alpha="alpha"),
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Conv3d: _convolution,
    nn.ConvTranspose1d: _transposed_convolution,
    nn.ConvTranspose2d: _transposed_convolution,
    nn.Dropout: _unchanged,
    nn.Dropout1d: _unchanged,
    nn.Dropout2d: _unchanged,
    nn.ELU: _node("Elu", alpha="alpha"),
    nn.Embedding: lambda graph, layer, x, shape: graph.add("Gather", layer.weight, x),
    nn.EmbeddingBag: _embedding_bag,
    nn.Flatten: _flatten,
    nn.GEGLU: _gated(_node("Gelu")),
    nn.GELU: _node("Gelu", approximate="approximate"),
    nn.GLU: _gated(_node("Sigmoid")),
    nn.GroupNorm: _group_norm,
    nn.Hardsigmoid: _node("HardSigmoid", alpha=1 / 6, beta=0.5),
    nn.Hardswish: _node("HardSwish"),
    nn.Hardtanh: lambda graph, layer, x, shape: graph.add("Clip", x, _float(layer.min_val), _float(layer.max_val)),
    nn.Identity: _unchanged,
    nn.InstanceNorm1d: _instance_norm,
    nn.InstanceNorm2d: _instance_norm,
    nn.LayerNorm: _layer_norm,
    nn.LeakyReLU: _node("LeakyRelu", alpha="negative_slope"),
    nn.LearnedPositionalEncoding: _encoding,
    nn.Linear: _linear,
    nn.LogSigmoid: lambda graph, layer, x, shape: graph.add("Neg", graph.add("Softplus", graph.add("Neg", x))),
    nn.LogSoftmax: _node("LogSoftmax", axis="axis"),
    nn.MaxPool1d: _max_pool,
    nn.MaxPool2d: _max_pool,
    nn.Mish: _node("Mish"),
    nn.PReLU: _prelu,
    nn.PixelShuffle: lambda graph, layer, x, shape: graph.add(
        "DepthToSpace", x, blocksize=layer.upscale_factor, mode="CRD"
    ),
    nn.PixelUnshuffle: _pixel_unshuffle,
    nn.RMSNorm: _rms_norm,
    nn.ReGLU: _gated(_node("Relu")),
    nn.ReLU: _node("Relu"),
    nn.ReLU6: lambda graph, layer, x, shape: graph.add("Clip", x, _float(0), _float(6)),
    nn.SELU: _node("Selu"),
    nn.SiLU: _silu,
    nn.Sigmoid: _node("Sigmoid"),
    nn.SinusoidalPositionalEncoding: _encoding,
    nn.Softmax: _node("Softmax", axis="axis"),
    nn.Softplus: _softplus,
    nn.Softsign: _node("Softsign"),
    nn.SwiGLU: _gated(_silu),
    nn.Tanh: _node("Tanh"),
    nn.Upsample: _upsample,
}

REFUSED: dict[type, str] = {
    _Loss: "it is a loss, which is not part of what a trained network computes",
    **dict.fromkeys((nn.RNN, nn.GRU, nn.LSTM), "it returns states beside its output"),
    **dict.fromkeys((nn.RNNCell, nn.GRUCell, nn.LSTMCell), "it takes and returns states"),
    **dict.fromkeys((nn.Bilinear, nn.CosineSimilarity, nn.PairwiseDistance), "it takes two inputs"),
    **dict.fromkeys(
        (
            nn.MultiheadAttention,
            nn.TransformerDecoder,
            nn.TransformerDecoderLayer,
            nn.TransformerEncoder,
            nn.TransformerEncoderLayer,
        ),
        "attention is not exported",
    ),
    **dict.fromkeys((nn.Fold, nn.Unfold), "windows as columns are not exported"),
    **dict.fromkeys((nn.ModuleDict, nn.ModuleList), "it says nothing of what is computed; write a Sequential"),
}

# Functions in a Sequential, each with the layer that does the same.
FUNCTIONS: dict[Any, nn.Module] = {
    gelu: nn.GELU(),
    hardsigmoid: nn.Hardsigmoid(),
    hardswish: nn.Hardswish(),
    leaky_relu: nn.LeakyReLU(),
    log_softmax: nn.LogSoftmax(),
    logsigmoid: nn.LogSigmoid(),
    mish: nn.Mish(),
    np.tanh: nn.Tanh(),
    relu: nn.ReLU(),
    relu6: nn.ReLU6(),
    selu: nn.SELU(),
    sigmoid: nn.Sigmoid(),
    silu: nn.SiLU(),
    softmax: nn.Softmax(),
    softplus: nn.Softplus(),
    softsign: nn.Softsign(),
}

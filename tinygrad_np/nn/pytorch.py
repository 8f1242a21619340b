"""Exchange weights with PyTorch through safetensors files.

Build the same network in both, with the same layer names, and exchange state dicts with `transpose_weights`. Names are
the same in both; some matrices are transposed.
"""

import re
from collections.abc import Mapping

from ..tensor import Array, Tensor
from .attention import MultiheadAttention
from .layers import Linear
from .module import Module
from .recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

TRANSPOSED = (Linear, MultiheadAttention, RNN, GRU, LSTM, RNNCell, GRUCell, LSTMCell)
MATRIX = re.compile(r"(in_proj_)?weight|weight_(ih|hh)(_l\d+(_reverse)?)?")  # their names in these layers


def transpose_weights(model: Module, state: Mapping[str, Array]) -> dict[str, Array]:
    """A state dict converted to PyTorch's layout, or from it: the conversion is its own inverse.

    A weight matrix has shape (in, out) here, for `x @ weight`, and (out, in) in PyTorch, for `x @ weight.T`. So the
    matrices of `Linear`, of `MultiheadAttention` and of recurrent layers and cells are transposed. Everything else is
    the same in both: names, vectors, the weights of convolutions, (out, in / groups, *kernel), and of transposed ones,
    (in, out / groups, *kernel), the rows of `Embedding` and `LearnedPositionalEncoding`, the running statistics of
    `BatchNorm1d` and `BatchNorm2d`, and your own Tensors.

    Args:
        model: the network; its layers determine which matrices are transposed.
        state: arrays by path, from its `state_dict()` or from that of the PyTorch network.

    Returns:
        Arrays by the same paths; transposed matrices are views. Paths that the model does not have are left as they
        are; `load_state_dict` reports them.

    >>> import numpy as np, tempfile
    >>> from tinygrad_np import nn, serialization
    >>> model = nn.Sequential(nn.Linear(3, 2, rng=np.random.default_rng(0)), nn.ReLU())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     serialization.save(f"{folder}/model.safetensors", nn.transpose_weights(model, model.state_dict()))
    ...     # in PyTorch: network.load_state_dict(safetensors.torch.load_file("model.safetensors")), and back:
    ...     theirs, _ = serialization.load(f"{folder}/model.safetensors")
    >>> theirs["0.weight"].shape
    (2, 3)
    >>> model.load_state_dict(nn.transpose_weights(model, theirs))
    """
    transposed = {
        id(tensor)
        for layer in model.modules()
        if isinstance(layer, TRANSPOSED)
        for name, tensor in vars(layer).items()
        if MATRIX.fullmatch(name) and isinstance(tensor, Tensor) and tensor.ndim == 2
    }
    matrices = {path for path, tensor in model.named_tensors() if id(tensor) in transposed}  # also by another path
    return {path: array.T if path in matrices else array for path, array in state.items()}

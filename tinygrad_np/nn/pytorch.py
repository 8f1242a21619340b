"""Weights to and from PyTorch, by way of safetensors files: names are the same, some matrices stand the other way.

Build the network in both, of layers with the same names, and exchange state dicts; see `transpose_weights`.
"""

from collections.abc import Mapping

from ..tensor import Array, Tensor
from .attention import MultiheadAttention
from .layers import Linear
from .module import Module
from .recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

TRANSPOSED = (Linear, MultiheadAttention, RNN, GRU, LSTM, RNNCell, GRUCell, LSTMCell)


def transpose_weights(model: Module, state: Mapping[str, Array]) -> dict[str, Array]:
    """A state dict of a network, ours as PyTorch has it, or PyTorch's as we have it: it is its own inverse.

    A weight matrix is (in, out) here, for `x @ weight`, and (out, in) in PyTorch, for `x @ weight.T`. So the matrices
    are transposed that belong to `Linear`, to `MultiheadAttention`, and to recurrent layers and cells. All else is the
    same in both: names, vectors, the weights of convolutions, (out, in / groups, *kernel), the rows of `Embedding` and
    of `LearnedPositionalEncoding`, and what `BatchNorm1d` and `BatchNorm2d` remember; and so are Tensors of your own.

    Args:
        model: the network, whose layers say which matrices are meant.
        state: arrays by path, from its `state_dict()` or from that of PyTorch's network.

    Returns:
        The same paths; transposed matrices are views. Paths that are not the model's are left as they are, for
        `load_state_dict` to complain of.

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
    matrices = {
        f"{path}.{name}".removeprefix(".")
        for path, layer in model.named_modules()
        if isinstance(layer, TRANSPOSED)
        for name, tensor in vars(layer).items()
        if isinstance(tensor, Tensor) and tensor.ndim == 2
    }
    return {path: array.T if path in matrices else array for path, array in state.items()}

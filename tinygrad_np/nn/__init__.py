"""Build networks: subclass `Module`, or chain layers in a `Sequential`; `init` has weight initialisers.

Arguments are checked when a layer is made, and where they are assigned later, such as `layer.eps = 0.1`. Those that
decide which parameters there are, such as `bidirectional`, cannot be assigned later.
"""

from .._messages import module_getattr, refuse_calls
from ..ops.attention import rotary, scaled_dot_product_attention
from . import init
from .activations import GELU, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Softplus, Tanh
from .attention import (
    LearnedPositionalEncoding,
    MultiheadAttention,
    SinusoidalPositionalEncoding,
)
from .checkpoint import Checkpoint
from .collecting import collect_activations
from .containers import ModuleList, Sequential
from .convolution import AvgPool2d, Conv1d, Conv2d, MaxPool2d
from .layers import Dropout, Embedding, Flatten, Linear
from .losses import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, KLDivLoss, L1Loss, MSELoss, NLLLoss
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d, LayerNorm, RMSNorm
from .pytorch import transpose_weights
from .recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from .summaries import summary

__all__ = [
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Checkpoint",
    "Conv1d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "GELU",
    "GRU",
    "GRUCell",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LSTM",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositionalEncoding",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "RMSNorm",
    "RNN",
    "RNNCell",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositionalEncoding",
    "Softmax",
    "Softplus",
    "Tanh",
    "collect_activations",
    "init",
    "rotary",
    "scaled_dot_product_attention",
    "summary",
    "transpose_weights",
]

refuse_calls(__name__)
__getattr__ = module_getattr(__name__)

"""Build networks: subclass `Module`, or chain layers in a `Sequential`; `init` has weight initialisers.

Arguments are checked when a layer is made, and where they are assigned later, such as `layer.eps = 0.1`. Those that
decide which parameters there are, such as `bidirectional`, cannot be assigned later.
"""

from .._messages import module_getattr, refuse_calls
from ..ops.attention import rotary, scaled_dot_product_attention
from . import init
from .activations import (
    CELU,
    ELU,
    GEGLU,
    GELU,
    GLU,
    SELU,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReGLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    SwiGLU,
    Tanh,
)
from .attention import (
    LearnedPositionalEncoding,
    MultiheadAttention,
    SinusoidalPositionalEncoding,
)
from .containers import ModuleDict, ModuleList, Sequential
from .convolution import AvgPool2d, Conv1d, Conv2d, MaxPool2d
from .layers import (
    Bilinear,
    Dropout,
    Dropout1d,
    Dropout2d,
    Embedding,
    EmbeddingBag,
    Flatten,
    Identity,
    Linear,
    Upsample,
)
from .losses import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, KLDivLoss, L1Loss, MSELoss, NLLLoss
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d, GroupNorm, InstanceNorm1d, InstanceNorm2d, LayerNorm, RMSNorm
from .pytorch import transpose_weights
from .recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = [
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Bilinear",
    "CELU",
    "Conv1d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "ELU",
    "Embedding",
    "EmbeddingBag",
    "Flatten",
    "GEGLU",
    "GELU",
    "GLU",
    "GRU",
    "GRUCell",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "KLDivLoss",
    "L1Loss",
    "LSTM",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositionalEncoding",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "PReLU",
    "RMSNorm",
    "RNN",
    "RNNCell",
    "ReGLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositionalEncoding",
    "Softmax",
    "Softplus",
    "Softsign",
    "SwiGLU",
    "Tanh",
    "Upsample",
    "init",
    "rotary",
    "scaled_dot_product_attention",
    "transpose_weights",
]

refuse_calls(__name__)
__getattr__ = module_getattr(__name__)

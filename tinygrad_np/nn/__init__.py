"""Networks: `Module` holds parameters, layers compute with them, `Sequential` chains them."""

from .activations import ReLU, Softmax
from .containers import ModuleList, Sequential
from .convolution import AvgPool2d, Conv1d, Conv2d, MaxPool2d
from .layers import Linear
from .losses import CrossEntropyLoss
from .module import Module

__all__ = [
    "AvgPool2d",
    "Conv1d",
    "Conv2d",
    "CrossEntropyLoss",
    "Linear",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "ReLU",
    "Sequential",
    "Softmax",
]

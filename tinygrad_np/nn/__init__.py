"""Networks: `Module` holds parameters, layers compute with them, `Sequential` chains them."""

from .layers import CrossEntropyLoss, Linear, ReLU, Sequential, Softmax
from .module import Module

__all__ = ["CrossEntropyLoss", "Linear", "Module", "ReLU", "Sequential", "Softmax"]

"""Networks: `Module` holds parameters, layers compute with them, `Sequential` chains them."""

from .activations import ReLU, Softmax
from .containers import Sequential
from .layers import Linear
from .losses import CrossEntropyLoss
from .module import Module

__all__ = ["CrossEntropyLoss", "Linear", "Module", "ReLU", "Sequential", "Softmax"]

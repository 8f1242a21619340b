"""Check gradients with `check_gradients`, and all else that an operation should do with `check_operation`.

`check_gradients` compares gradients with finite differences, to any order. `check_operation` needs Hypothesis, and so
does `tinygrad_np.testing.strategies`, which draws arguments for property-based tests.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .gradients import check_gradients

if TYPE_CHECKING:
    from .operations import check_operation

__all__ = ["check_gradients", "check_operation"]


def __getattr__(name: str) -> Any:
    if name == "check_operation":  # loaded when it is used, since it needs Hypothesis
        return import_module(f"{__name__}.operations").check_operation
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)

"""Check gradients: `check_gradients` compares them with finite differences, to any order.

`tinygrad_np.testing.strategies` (which needs Hypothesis) draws arguments for property-based tests.
"""

from .gradients import check_gradients

__all__ = ["check_gradients"]

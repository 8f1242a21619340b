"""Prove that gradients are right: `check_gradients` compares them with finite differences, to any order.

`tinygrad_np.testing.strategies` (which needs hypothesis) draws the arguments for such proofs.
"""

from .gradients import check_gradients

__all__ = ["check_gradients"]

"""Losses: the cross-entropy that is fused with softmax."""

from typing import Any

import numpy as np

from ..tensor import Array, differentiable
from .cases import REAL, Case, Domain
from .elementwise import floating
from .special import one_hot, softmax


def _softmax_less_one_hot(logits: Any, labels: Array, scale: Any, saved: Any) -> Any:
    """(softmax(logits) - one_hot(labels)) * scale."""
    if saved is None:
        return (softmax(logits) - one_hot(labels, logits.shape[1], logits.dtype)) * scale
    exponentials, sums = saved  # of the transposed logits; with them this takes 4 us instead of 18 for 64 x 10
    gradient = exponentials * (scale / sums)
    gradient[labels, np.arange(len(labels))] -= scale
    return gradient.T


@differentiable(
    lambda g, y, logits, labels, *, saved: _softmax_less_one_hot(logits, labels, g / len(labels), saved),
    None,
    cases=[Case("N 3, N", domains=(REAL, Domain(0, 3, "i")))],
)
def cross_entropy(logits: Array, labels: Array) -> tuple[Array, Any]:
    """The mean over the batch of -log(softmax(logits)[label]), in one operation that logits of 1e4 do not overflow.

    Args:
        logits: unnormalised log-probabilities, shape (batch, classes), floating point.
        labels: the right class of each row, shape (batch,), integers from 0 to classes - 1.

    Returns:
        A scalar of the logits' dtype. The gradient is (softmax(logits) - one_hot(labels)) / batch.

    Raises:
        TypeError: logits that are not floating point.
        ValueError: shapes that do not fit, an empty batch, labels that are no integers or out of range.

    Source: C. M. Bishop, Pattern Recognition and Machine Learning (2006), equations 4.108 and 4.109.

    >>> from tinygrad_np import Tensor
    >>> cross_entropy(Tensor([[1e4, -1e4], [1e4, -1e4]]), np.array([0, 1]))
    Tensor(10000., dtype=float32)
    """
    floating(logits, "cross_entropy")
    labels = np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or len(labels) == 0:
        raise ValueError("expected logits of shape (batch, classes) and labels of shape (batch,), batch at least 1")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels are integers, not {labels.dtype}")
    if labels.view(labels.dtype.str.replace("i", "u")).max() >= logits.shape[1]:  # below 0 is far above it there
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"label {wrong} is out of range: the logits have {logits.shape[1]} classes, from 0")
    # A few long columns are gone through faster than many short rows: 9 us against 14 for 64 x 10, 17 against 62 for
    # 512 x 10; with more than a hundred columns it turns round.
    columns = np.array(logits.T, order="C" if logits.shape[1] <= min(len(labels), 100) else "F")
    columns -= np.maximum.reduce(columns)
    right = columns[labels, np.arange(len(labels))]
    exponentials = np.exp(columns, out=columns)
    sums = np.add.reduce(exponentials)
    losses = np.log(sums) - right
    return np.asarray(np.add.reduce(losses) / len(labels), losses.dtype), (exponentials, sums)

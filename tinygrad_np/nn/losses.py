"""Losses as layers. The functions are in `tinygrad_np` (and documented in `tinygrad_np.ops.losses`)."""

import math
from functools import partial
from typing import Any, ClassVar

from .. import _validation as check
from ..ops.ctc import ctc_loss
from ..ops.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
)
from ..tensor import Tensor
from .module import Layer


def _array(value: Any) -> Any:
    return value.data if type(value) is Tensor else value


class _Loss(Layer):
    """Base class: stores and checks the reduction."""

    _checks: ClassVar[check.Checks] = {"reduction": partial(check.one_of, choices=("mean", "sum", "none"))}

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction


class _ClassLoss(_Loss):
    """Base class of the losses on integer labels: stores and checks class weights and ignore_index."""

    _checks: ClassVar[check.Checks] = {**_Loss._checks, "ignore_index": check.integer}

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        name = type(self).__name__
        self.weight = None if weight is None else check.weights(name, "weight", _array(weight))
        if self.weight is not None and self.weight.ndim != 1:
            raise ValueError(f"{name}: weight must have shape (classes,), not {self.weight.shape}")
        self.ignore_index = ignore_index


class CrossEntropyLoss(_ClassLoss):
    """Mean cross-entropy of logits (batch, classes) and integer labels (batch,); see `cross_entropy`.

    Args:
        weight, ignore_index, reduction, label_smoothing: as for `cross_entropy`; the weights finite and at least 0.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.CrossEntropyLoss()(Tensor([[0.0, 0.0]]), [1])
    Tensor(0.6931472, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_ClassLoss._checks,
        "label_smoothing": partial(check.real, at_least=0, at_most=1),
    }

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Any, labels: Any) -> Any:
        return cross_entropy(
            logits,
            labels,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_ClassLoss):
    """Mean negative log-likelihood, -log_probabilities[label]; see `nll_loss`.

    Args:
        weight, ignore_index, reduction: as for `nll_loss`; the weights finite and at least 0.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.NLLLoss()(nn.LogSoftmax()(Tensor([[0.0, 0.0]])), [1])
    Tensor(0.6931472, dtype=float32)
    """

    def forward(self, log_probabilities: Any, labels: Any) -> Any:
        return nll_loss(
            log_probabilities, labels, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class MSELoss(_Loss):
    """Mean squared error, (predictions - targets)**2; see `mse_loss`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.MSELoss()(Tensor([1.0, 2.0]), [1.0, 4.0])
    Tensor(2., dtype=float32)
    """

    def forward(self, predictions: Any, targets: Any) -> Any:
        return mse_loss(predictions, targets, reduction=self.reduction)


class L1Loss(_Loss):
    """Mean absolute error, |predictions - targets|; see `l1_loss`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.L1Loss()(Tensor([1.0, 2.0]), [1.0, 4.0])
    Tensor(1., dtype=float32)
    """

    def forward(self, predictions: Any, targets: Any) -> Any:
        return l1_loss(predictions, targets, reduction=self.reduction)


class HuberLoss(_Loss):
    """Mean Huber loss: quadratic for errors up to delta, linear beyond; see `huber_loss`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.HuberLoss(delta=2.0)(Tensor([1.0, 2.0]), [1.0, 6.0])
    Tensor(3., dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {**_Loss._checks, "delta": partial(check.real, above=0)}

    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, predictions: Any, targets: Any) -> Any:
        return huber_loss(predictions, targets, reduction=self.reduction, delta=self.delta)


class BCEWithLogitsLoss(_Loss):
    """Mean binary cross-entropy of logits and targets from 0 to 1; see `binary_cross_entropy_with_logits`.

    Args:
        weight, reduction, pos_weight: as for `binary_cross_entropy_with_logits`; all finite, pos_weight at least 0.

    Raises:
        TypeError, ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.BCEWithLogitsLoss()(Tensor([1e4, 0.0]), [1, 0])
    Tensor(0.3465736, dtype=float32)
    """

    def __init__(self, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction=reduction)
        if weight is not None:  # of each element; a negative one, such as an advantage, reverses the gradient
            check.weights("BCEWithLogitsLoss", "weight", weight, at_least=-math.inf)
        if pos_weight is not None:
            check.weights("BCEWithLogitsLoss", "pos_weight", pos_weight)
        self.weight, self.pos_weight = weight, pos_weight

    def forward(self, logits: Any, targets: Any) -> Any:
        return binary_cross_entropy_with_logits(
            logits, targets, weight=self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence, targets * (log(targets) - log_probabilities); see `kl_div`.

    Args:
        reduction: "batchmean" for the mathematical definition, the sum divided by the batch size; or "mean", "sum" or
            "none".
        log_target: whether the targets are log-probabilities.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.KLDivLoss(reduction="batchmean")(nn.LogSoftmax()(Tensor([[0.0, 0.0]])), [[0.0, 1.0]])
    Tensor(0.6931472, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        "reduction": partial(check.one_of, choices=("mean", "batchmean", "sum", "none")),
        "log_target": check.boolean,
    }

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.log_target = log_target

    def forward(self, log_probabilities: Any, targets: Any) -> Any:
        return kl_div(log_probabilities, targets, reduction=self.reduction, log_target=self.log_target)


class CTCLoss(_Loss):
    """Mean connectionist temporal classification loss of log-probabilities (steps, batch, classes); see `ctc_loss`.

    Args:
        blank, reduction, zero_infinity: as for `ctc_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.CTCLoss()(nn.LogSoftmax()(Tensor([[0.0, 0.0], [0.0, 0.0]])), [1], 2, 1)
    Tensor(0.2876821, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "blank": check.integer,
        "zero_infinity": check.boolean,
    }

    def __init__(self, blank: int = 0, *, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probabilities: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        return ctc_loss(
            log_probabilities,
            targets,
            input_lengths,
            target_lengths,
            blank=self.blank,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )

"""Losses as layers, and similarities. The functions, which say more, are in `tinygrad_np` under similar names."""

import math
from functools import partial
from typing import Any, ClassVar

from .. import _validation as check
from ..ops.ctc import ctc_loss
from ..ops.losses import cross_entropy, nll_loss
from ..ops.margins import hinge_embedding_loss, hinge_loss, margin_ranking_loss, multi_margin_loss, soft_margin_loss
from ..ops.probabilities import (
    binary_cross_entropy_with_logits,
    dice_loss,
    kl_div,
    sigmoid_focal_loss,
    softmax_focal_loss,
)
from ..ops.regression import gaussian_nll_loss, huber_loss, l1_loss, mse_loss, poisson_nll_loss, smooth_l1_loss
from ..ops.similarity import (
    cosine_embedding_loss,
    cosine_similarity,
    norm_order,
    nt_xent_loss,
    pairwise_distance,
    triplet_margin_loss,
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


def _class_weights(owner: str, name: str, value: Any) -> Any:
    """None, or the weights of classes, checked."""
    if value is None:
        return None
    weights = check.weights(owner, name, _array(value))
    if weights.ndim != 1:
        raise ValueError(f"{owner}: {name} must have shape (classes,), not {weights.shape}")
    return weights


class _ClassLoss(_Loss):
    """Base class of the losses on integer labels: stores and checks class weights and ignore_index."""

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "weight": _class_weights,
        "ignore_index": check.integer,
    }

    def __init__(self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.weight, self.ignore_index = weight, ignore_index


class CrossEntropyLoss(_ClassLoss):
    """Mean cross-entropy of logits (batch, classes) and labels (batch,) or probabilities; see `cross_entropy`.

    Args:
        weight, ignore_index, reduction, label_smoothing: as for `cross_entropy`; the weights finite and at least 0.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.CrossEntropyLoss()(Tensor([[0.0, 0.0]]), [1])
    Tensor(0.6931472, dtype=float32)
    >>> nn.CrossEntropyLoss()(Tensor([[0.0, 0.0]]), [[0.25, 0.75]])
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

    def forward(self, logits: Any, labels: Any) -> Tensor:
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

    def forward(self, log_probabilities: Any, labels: Any) -> Tensor:
        return nll_loss(
            log_probabilities, labels, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction
        )


class MSELoss(_Loss):
    """Mean squared error, (predictions - targets)**2; see `mse_loss`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.MSELoss()(Tensor([1.0, 2.0]), [1.0, 4.0])
    Tensor(2., dtype=float32)
    """

    def forward(self, predictions: Any, targets: Any) -> Tensor:
        return mse_loss(predictions, targets, reduction=self.reduction)


class L1Loss(_Loss):
    """Mean absolute error, |predictions - targets|; see `l1_loss`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.L1Loss()(Tensor([1.0, 2.0]), [1.0, 4.0])
    Tensor(1., dtype=float32)
    """

    def forward(self, predictions: Any, targets: Any) -> Tensor:
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

    def forward(self, predictions: Any, targets: Any) -> Tensor:
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

    def forward(self, logits: Any, targets: Any) -> Tensor:
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

    def forward(self, log_probabilities: Any, targets: Any) -> Tensor:
        return kl_div(log_probabilities, targets, reduction=self.reduction, log_target=self.log_target)


class SmoothL1Loss(_Loss):
    """Mean smooth absolute error: quadratic for errors up to beta, with slope 1 beyond; see `smooth_l1_loss`.

    Args:
        reduction, beta: as for `smooth_l1_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.SmoothL1Loss(beta=2.0)(Tensor([1.0, 2.0]), [1.0, 6.0])
    Tensor(1.5, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "beta": partial(check.real, at_least=0),
    }

    def __init__(self, *, beta: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, predictions: Any, targets: Any) -> Tensor:
        return smooth_l1_loss(predictions, targets, beta=self.beta, reduction=self.reduction)


class PoissonNLLLoss(_Loss):
    """Mean negative log-likelihood of counts; see `poisson_nll_loss`.

    Args:
        log_input, full, eps, reduction: as for `poisson_nll_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.PoissonNLLLoss()(Tensor([0.0, 0.0]), [1, 2])
    Tensor(1., dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "log_input": check.boolean,
        "full": check.boolean,
        "eps": partial(check.real, above=0),
    }

    def __init__(
        self, *, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, predictions: Any, targets: Any) -> Tensor:
        return poisson_nll_loss(
            predictions, targets, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """Mean negative log-likelihood under normal distributions of given means and variances; see `gaussian_nll_loss`.

    Args:
        full, eps, reduction: as for `gaussian_nll_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.GaussianNLLLoss()(Tensor([1.0, 1.0]), [2.0, 1.0], [1.0, 1.0])
    Tensor(0.25, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "full": check.boolean,
        "eps": partial(check.real, above=0),
    }

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, predictions: Any, targets: Any, var: Any) -> Tensor:
        return gaussian_nll_loss(predictions, targets, var, full=self.full, eps=self.eps, reduction=self.reduction)


class HingeLoss(_Loss):
    """Mean hinge loss, max(0, margin - targets * predictions)**p; see `hinge_loss`.

    Args:
        p, margin, reduction: as for `hinge_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.HingeLoss()(Tensor([2.0, 0.5]), [1, -1])
    Tensor(0.75, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "p": partial(check.one_of, choices=(1, 2)),
        "margin": check.real,
    }

    def __init__(self, *, p: int = 1, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.p, self.margin = p, margin

    def forward(self, predictions: Any, targets: Any) -> Tensor:
        return hinge_loss(predictions, targets, p=self.p, margin=self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """Mean loss of distances, of pairs that are alike and others; see `hinge_embedding_loss`.

    Args:
        margin, reduction: as for `hinge_embedding_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.HingeEmbeddingLoss()(Tensor([0.5, 0.75]), [1, -1])
    Tensor(0.375, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "margin": check.real,
    }

    def __init__(self, *, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin

    def forward(self, predictions: Any, targets: Any) -> Tensor:
        return hinge_embedding_loss(predictions, targets, margin=self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """Mean logistic loss, log(1 + exp(-targets * predictions)); see `soft_margin_loss`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.SoftMarginLoss()(Tensor([0.0, 1000.0]), [1, 1])
    Tensor(0.3465736, dtype=float32)
    """

    def forward(self, predictions: Any, targets: Any) -> Tensor:
        return soft_margin_loss(predictions, targets, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """Mean ranking loss, max(0, margin - targets * (first - second)); see `margin_ranking_loss`.

    Args:
        margin, reduction: as for `margin_ranking_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.MarginRankingLoss()(Tensor([3.0, 1.0]), [1.0, 3.0], [1, 1])
    Tensor(1., dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "margin": check.real,
    }

    def __init__(self, *, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin

    def forward(self, first: Any, second: Any, targets: Any) -> Tensor:
        return margin_ranking_loss(first, second, targets, margin=self.margin, reduction=self.reduction)


class MultiMarginLoss(_Loss):
    """Mean hinge loss of classes, for predictions (batch, classes) and labels (batch,); see `multi_margin_loss`.

    Args:
        p, margin, weight, reduction: as for `multi_margin_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.MultiMarginLoss()(Tensor([[3.0, 2.5, 0.0, 0.0]]), [0])
    Tensor(0.125, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "p": partial(check.one_of, choices=(1, 2)),
        "margin": check.real,
        "weight": _class_weights,
    }

    def __init__(self, *, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.p, self.margin, self.weight = p, margin, weight

    def forward(self, predictions: Any, labels: Any) -> Tensor:
        return multi_margin_loss(
            predictions, labels, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction
        )


class SigmoidFocalLoss(_Loss):
    """Mean binary cross-entropy of logits in which what is certain counts little; see `sigmoid_focal_loss`.

    Args:
        alpha, gamma, reduction: as for `sigmoid_focal_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.SigmoidFocalLoss(alpha=None)(Tensor([0.0, 1000.0]), [1, 1])
    Tensor(0.0866434, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "alpha": check.optional(partial(check.real, at_least=0, at_most=1)),
        "gamma": partial(check.real, at_least=0),
    }

    def __init__(self, *, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.alpha, self.gamma = alpha, gamma

    def forward(self, logits: Any, targets: Any) -> Tensor:
        return sigmoid_focal_loss(logits, targets, alpha=self.alpha, gamma=self.gamma, reduction=self.reduction)


class SoftmaxFocalLoss(_Loss):
    """Mean cross-entropy in which what is certain counts little; see `softmax_focal_loss`.

    Args:
        alpha, gamma, ignore_index, reduction: as for `softmax_focal_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.SoftmaxFocalLoss()(Tensor([[0.0, 0.0], [1000.0, 0.0]]), [0, 0])
    Tensor(0.0866434, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "alpha": _class_weights,
        "gamma": partial(check.real, at_least=0),
        "ignore_index": check.integer,
    }

    def __init__(
        self, *, alpha: Any = None, gamma: float = 2.0, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.alpha, self.gamma, self.ignore_index = alpha, gamma, ignore_index

    def forward(self, logits: Any, labels: Any) -> Tensor:
        return softmax_focal_loss(
            logits, labels, alpha=self.alpha, gamma=self.gamma, ignore_index=self.ignore_index, reduction=self.reduction
        )


class DiceLoss(_Loss):
    """Mean of 1 - 2 * overlap / (sum of areas), of probabilities (batch, classes, ...); see `dice_loss`.

    Args:
        smooth, squared, reduction: as for `dice_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.DiceLoss()(Tensor([[[1.0, 1.0, 0.0, 0.0]]]), [[[1, 0, 0, 0]]])
    Tensor(0.25, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "smooth": partial(check.real, above=0),
        "squared": check.boolean,
    }

    def __init__(self, *, smooth: float = 1.0, squared: bool = False, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.smooth, self.squared = smooth, squared

    def forward(self, probabilities: Any, targets: Any) -> Tensor:
        return dice_loss(probabilities, targets, smooth=self.smooth, squared=self.squared, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """Mean loss of the cosines of pairs that are alike and of others; see `cosine_embedding_loss`.

    Args:
        margin, reduction: as for `cosine_embedding_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.CosineEmbeddingLoss()(Tensor([[1.0, 0.0]]), [[0.0, 1.0]], [1])
    Tensor(1., dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "margin": partial(check.real, at_least=-1, at_most=1),
    }

    def __init__(self, *, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin

    def forward(self, first: Any, second: Any, targets: Any) -> Tensor:
        return cosine_embedding_loss(first, second, targets, margin=self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """Mean of max(0, distance to the positive - distance to the negative + margin); see `triplet_margin_loss`.

    Args:
        margin, p, eps, swap, reduction: as for `triplet_margin_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.TripletMarginLoss(eps=0)(Tensor([[0.0, 0.0]]), [[3.0, 4.0]], [[0.0, 5.5]])
    Tensor(0.5, dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "margin": partial(check.real, at_least=0),
        "p": norm_order,
        "eps": check.real,
        "swap": check.boolean,
    }

    def __init__(
        self, *, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Tensor:
        return triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class NTXentLoss(_Loss):
    """Mean cross-entropy of finding each view's partner among all views of a batch; see `nt_xent_loss`.

    Args:
        temperature, reduction: as for `nt_xent_loss`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> x = Tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> nn.NTXentLoss(temperature=0.01)(x, x).item() < 1e-40
    True
    """

    _checks: ClassVar[check.Checks] = {
        **_Loss._checks,
        "temperature": partial(check.real, above=0),
    }

    def __init__(self, *, temperature: float = 0.5, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.temperature = temperature

    def forward(self, first: Any, second: Any) -> Tensor:
        return nt_xent_loss(first, second, temperature=self.temperature, reduction=self.reduction)


# --- similarities ----------------------------------------------------------------------------------------------------


class CosineSimilarity(Layer):
    """The cosine of the angle between vectors along an axis; see `cosine_similarity`.

    Args:
        axis: the axis along which the vectors lie, after broadcasting.
        eps: the smallest length to divide by, above 0.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.CosineSimilarity()(Tensor([[3.0, 4.0]]), [[6.0, 8.0]])
    Tensor([1.], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"axis": check.integer, "eps": partial(check.real, above=0)}

    def __init__(self, axis: int = -1, *, eps: float = 1e-8) -> None:
        self.axis, self.eps = axis, eps

    def forward(self, x: Any, y: Any) -> Tensor:
        return cosine_similarity(x, y, self.axis, eps=self.eps)


class PairwiseDistance(Layer):
    """The distance between vectors along the last axis, the norm of order p of x - y + eps; see `pairwise_distance`.

    Args:
        p, eps, keepdims: as for `pairwise_distance`.

    Raises:
        ValueError: an argument is invalid.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.PairwiseDistance(eps=0)(Tensor([[3.0, 4.0]]), [[0.0, 0.0]])
    Tensor([5.], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"p": norm_order, "eps": check.real, "keepdims": check.boolean}

    def __init__(self, p: float = 2.0, *, eps: float = 1e-6, keepdims: bool = False) -> None:
        self.p, self.eps, self.keepdims = p, eps, keepdims

    def forward(self, x: Any, y: Any) -> Tensor:
        return pairwise_distance(x, y, p=self.p, eps=self.eps, keepdims=self.keepdims)


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

    def forward(self, log_probabilities: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Tensor:
        return ctc_loss(
            log_probabilities,
            targets,
            input_lengths,
            target_lengths,
            blank=self.blank,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )

"""Loss functions, for classification and for regression.

All take `reduction`: "mean" (the default) and "sum" give a scalar, "none" gives one loss per example or element. The
mean over an empty input raises. Targets and weights that are not Tensors are converted to the dtype of the predictions.
The same losses as layers are in `tinygrad_np.nn`.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _validation as check
from .._machine.arrays import row_sums
from .._registry import composite, differentiable, in_float32
from ..tensor import Array, Tensor
from .cases import POSITIVE, REAL, Case, Domain, each
from .elementwise import array_of, keep, over_slope, zero_at
from .examples import FIRST, LOSSES
from .pieces import over_rows
from .special import LARGE, MODERATE, centred, log_softmax, sigmoid, softmax, softplus

# --- classification --------------------------------------------------------------------------------------------------


def _loss_weights(
    name: str, scores: Any, labels: Array, weight: Any, ignore_index: int, reduction: str, label_smoothing: float = 0.0
) -> Array:
    """Weights of each -log p, in the shape of the scores; the loss is their weighted sum."""
    classes = scores.shape[1]
    if not isinstance(reduction, str) or reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    check.real(name, "label_smoothing", label_smoothing, at_least=0, at_most=1)
    ones = np.ones(classes, scores.dtype)
    weights = ones if weight is None else np.asarray(check.weights(name, "weight", weight), scores.dtype)
    if weights.shape != (classes,):
        raise ValueError(f"weight must have shape ({classes},), one number per class, not {weights.shape}")
    kept = labels != ignore_index
    chosen = np.where(kept, labels, 0)
    own = weights[chosen] * kept
    scale = kept.astype(scores.dtype)
    if reduction == "mean":
        total = np.sum(own)
        if total == 0:
            raise ValueError("the mean is undefined: every label is ignored or has weight 0")
        own, scale = own / total, scale / total
    coefficients = np.multiply.outer(scale.ravel(), weights * (label_smoothing / max(1, classes)))
    coefficients[np.arange(labels.size), chosen.ravel()] += ((1 - label_smoothing) * own).ravel()
    return np.moveaxis(coefficients.reshape(*labels.shape, classes), -1, 1)


def _loss(log_probabilities: Array, coefficients: Array, reduction: str) -> Array:
    losses = np.sum(coefficients * keep(-log_probabilities, coefficients != 0), axis=1)  # 0 * inf would be NaN
    return np.asarray(losses if reduction == "none" else np.sum(losses))


def _over_classes(g: Any, reduction: str) -> Any:
    """The gradient of a loss, shaped to broadcast with arrays that have the classes along axis 1."""
    return np.expand_dims(g, 1) if reduction == "none" else g


def _class_labels(owner: str, name: str, scores: Array, labels: Any) -> Array:
    """The labels, checked to be integers, where the scores are floating point numbers."""
    if not hasattr(scores, "dtype"):
        check.floating(owner, name, scores)  # says what it is
    if type(labels) is np.ndarray and labels.dtype.kind == "i" and scores.dtype.kind == "f" and labels.ndim == 1:
        return labels  # all that follows would find this, in 3 us
    given = labels.dtype if hasattr(labels, "dtype") else np.asarray(labels).dtype
    if scores.dtype.kind in "iu" and given.kind == "f":
        raise TypeError(f"{owner}: {name} must be floating point, not {scores.dtype}: write {owner}({name}, labels)")
    check.floating(owner, name, scores)
    labels = check.indices(labels)
    if labels.ndim > 1 and labels.shape == scores.shape:
        log_probabilities = "log_softmax(logits, axis=1)" if name == "logits" else name
        soft = f", or of probabilities -np.sum(labels * {log_probabilities}, axis=1).mean() for the loss"
        raise ValueError(
            f"{owner}: labels must be integers of shape (batch, ...), not one-hot or probabilities of shape"
            f" {labels.shape}; write labels.argmax(axis=1){soft if labels.dtype.kind == 'f' else ''}"
        )
    if labels.dtype.kind == "f":
        raise ValueError(f"{owner}: labels must be integers, not {labels.dtype}; write labels.astype(int)")
    return check.integers(owner, "labels", labels)


def _check_shapes(name: str, scores: Array, labels: Array, reduction: str) -> None:
    if scores.ndim < 2 or labels.shape != scores.shape[:1] + scores.shape[2:]:
        hint = "; write labels.ravel()" if scores.ndim == 2 and labels.shape == (len(scores), 1) else ""
        raise ValueError(f"expected {name} of shape (batch, classes, ...) and labels of shape (batch, ...){hint}")
    if reduction == "mean" and labels.size == 0:
        raise ValueError(f"the mean needs labels of shape (batch, ...) with a batch at least 1, not {labels.shape}")


def _cross_entropy_back(
    g: Any,
    y: Any,
    logits: Any,
    labels: Array,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    saved: Any,
) -> Any:
    """The gradient; with default options, (softmax(logits) - one_hot(labels)) * g / batch."""
    if saved is None:
        coefficients = _loss_weights("cross_entropy", logits, labels, weight, ignore_index, reduction, label_smoothing)
        weights = np.sum(coefficients, axis=1, keepdims=True)
        counted = np.broadcast_to(weights != 0, logits.shape)  # what does not count may be NaN
        probabilities = softmax(keep(logits, counted), axis=1)
        return -centred(coefficients, probabilities, 1) * _over_classes(g, reduction)
    # Of the transposed logits; reusing them takes 5 us instead of 149 for 64 x 10.
    place, others, exponentials, sums = saved
    scale = g / len(labels) / sums
    gradient = _scaled_columns(exponentials, scale)
    gradient[place] = -scale * others
    return gradient.T


def _scaled_columns(columns: Array, scale: Array) -> Array:
    """columns * scale, of many columns that lie one after another some at a time, on all cores."""
    if columns.size < MANY or not columns.flags.f_contiguous:
        return np.asarray(columns * scale)
    rows, factors = columns.T, scale[:, np.newaxis]
    result = np.empty(rows.shape, np.result_type(columns, scale))
    over_rows(lambda some: np.multiply(rows[some], factors[some], out=result[some]), rows)
    return result.T


def _of_rows(logits: Array, labels: Array) -> tuple[Array, Any] | None:
    """The mean loss and what its gradient needs, of moderate logits some rows at a time; None of others.

    No maximum is subtracted: for 103 classes, finding that of each row takes longer than all exponentials.
    """
    exponentials, numbers = np.empty_like(logits), np.arange(len(labels))
    right, others = np.empty((2, len(labels)), logits.dtype)

    def work(rows: slice) -> bool:
        x, e = logits[rows], exponentials[rows]
        if not (np.max(x) < MODERATE and np.min(x) > -MODERATE):
            return False
        np.exp(x, out=e)
        place = numbers[: len(x)], labels[rows]
        right[rows] = e[place]
        e[place] = 0  # as below
        others[rows] = row_sums(e)[:, 0]
        return True

    if not all(over_rows(work, logits)):
        return None
    losses = np.log1p(others / right)
    saved = (labels, numbers), others, exponentials.T, others + right
    return np.asarray(np.add.reduce(losses) / len(labels), losses.dtype), saved


MANY = 1 << 14  # logits
WEIGHT = np.array([0.5, 2.0, 0.0])


def _cases(**options: float) -> list[Case]:
    all_options = {"weight": WEIGHT, "ignore_index": 1, **options}
    choices: list[tuple[str, dict[str, Any]]] = [
        ("N 3, N", {}),
        ("N 3, N", {"weight": WEIGHT + 1, **options}),
        ("N 3 2 M, N 2 M", {"reduction": "sum", **all_options}),
        ("N 3 2 M, N 2 M", {"reduction": "none", **all_options}),
    ]
    return [Case(shapes, (), kwargs, (REAL, Domain(0, 3, "i"))) for shapes, kwargs in choices]


@differentiable(
    _cross_entropy_back, None, reads=("logits labels",), wide=True, examples=LOSSES, cases=_cases(label_smoothing=0.2)
)
def cross_entropy(
    logits: Array,
    labels: Array,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Array, Any]:
    """Mean cross-entropy, -log(softmax(logits)[label]), as one operation that does not overflow.

    Args:
        logits: unnormalised log-probabilities, shape (batch, classes) or (batch, classes, ...), floating point.
        labels: the correct classes, shape (batch,) or (batch, ...), integers from 0 to classes - 1.
        weight: the weight of each class, shape (classes,); the mean is weighted by those of the labels.
        ignore_index: elements with this label are left out of the loss and of the mean.
        reduction: "mean", "sum", or "none" for losses in the shape of the labels.
        label_smoothing: the fraction of each label's probability that is spread evenly over all classes, from 0 to 1.

    Returns:
        A scalar with the dtype of the logits, or losses in the shape of the labels. With default options its gradient
        is (softmax(logits) - one_hot(labels)) / batch.

    Raises:
        TypeError: logits are not floating point, or weight is a Tensor.
        ValueError: shapes do not match, labels are not integers or out of range, an option is invalid, or the mean is
            undefined because there are no labels, or every label is ignored or has weight 0.

    Source: C. M. Bishop, Pattern Recognition and Machine Learning (2006), equations 4.108 and 4.109; label smoothing:
    C. Szegedy et al., "Rethinking the inception architecture for computer vision" (2016), section 7.

    >>> from tinygrad_np import Tensor
    >>> cross_entropy(Tensor([[1e4, -1e4], [1e4, -1e4]]), np.array([0, 1]))
    Tensor(10000., dtype=float32)
    >>> cross_entropy(Tensor([[1e4, -1e4], [1e4, -1e4]]), np.array([0, 1]), reduction="none")
    Tensor([    0., 20000.], dtype=float32)
    """
    labels = _class_labels("cross_entropy", "logits", logits, labels)
    _check_shapes("logits", logits, labels, reduction)
    if type(ignore_index) is not int:
        check.integer("cross_entropy", "ignore_index", ignore_index)
    plain = logits.ndim == 2 and reduction == "mean" and weight is None and ignore_index < 0 and not label_smoothing
    # Viewed as unsigned integers, negative labels are larger than any class: one comparison checks both bounds.
    plain = plain and np.maximum.reduce(labels.view(labels.dtype.str.replace("i", "u"))) < logits.shape[1]
    if plain and logits.size >= MANY and logits.shape[1] > 100 and logits.flags.c_contiguous:
        found = _of_rows(logits, labels)
        if found is not None:
            return found
    if plain:
        # A few long columns are faster to process than many short rows: 9 us against 14 for 64 x 10, 17 against 62 for
        # 512 x 10. With more than a hundred columns, rows are faster.
        columns = np.array(logits.T, order="C" if logits.shape[1] <= min(len(labels), 100) else "F")
        top = np.maximum.reduce(columns, initial=-np.inf)
        # Neither NaN nor infinite, nor so large that differences overflow; .all() takes 1.5 us more.
        plain = b"\0" not in (np.abs(top) < LARGE).tobytes()
    if not plain:
        check.labels("cross_entropy", "labels", np.where(labels == ignore_index, 0, labels), logits.shape[1])
        coefficients = _loss_weights("cross_entropy", logits, labels, weight, ignore_index, reduction, label_smoothing)
        return _loss(log_softmax(logits, axis=1), coefficients, reduction), None
    columns -= top
    place = labels, np.arange(len(labels))
    right = columns[place]
    exponentials = np.exp(columns, out=columns)
    exponentials[place] = 0  # the gradient there is -(1 - p), and 1 - p is the probability of the others
    others = np.add.reduce(exponentials)
    rest = others + np.expm1(right)  # the sum without the largest, which is 1
    losses = np.log1p(rest) - right
    return np.asarray(np.add.reduce(losses) / len(labels), losses.dtype), (place, others, exponentials, 1 + rest)


def _nll_back(
    g: Any,
    y: Any,
    log_probabilities: Any,
    labels: Array,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    return _loss_weights("nll_loss", log_probabilities, labels, weight, ignore_index, reduction) * -_over_classes(
        g, reduction
    )


@differentiable(_nll_back, None, wide=True, examples=LOSSES, cases=_cases())
def nll_loss(
    log_probabilities: Array,
    labels: Array,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    """Mean negative log-likelihood, -log_probabilities[label]: `cross_entropy` without its softmax.

    Args:
        log_probabilities: such as `log_softmax(logits, axis=1)`, shape (batch, classes) or (batch, classes, ...).
        labels, weight, ignore_index, reduction: as for `cross_entropy`.

    Raises:
        TypeError, ValueError: as for `cross_entropy`.

    >>> from tinygrad_np import Tensor
    >>> nll_loss(Tensor([[-1.0, -2.0], [-3.0, -4.0]]), np.array([0, 1]))
    Tensor(2.5, dtype=float32)
    """
    labels = _class_labels("nll_loss", "log_probabilities", log_probabilities, labels)
    _check_shapes("log-probabilities", log_probabilities, labels, reduction)
    check.integer("nll_loss", "ignore_index", ignore_index)
    check.labels("nll_loss", "labels", np.where(labels == ignore_index, 0, labels), log_probabilities.shape[1])
    return _loss(
        log_probabilities,
        _loss_weights("nll_loss", log_probabilities, labels, weight, ignore_index, reduction),
        reduction,
    )


# --- regression ------------------------------------------------------------------------------------------------------


def _checked_targets(name: str, predictions: Any, targets: Any) -> Any:
    """The targets, checked to have the shape of the predictions."""
    check.floating(name, "predictions", predictions)
    targets = check.real_array(name, "targets", targets, predictions.dtype)
    if targets.shape != predictions.shape:
        shapes = f"{predictions.shape} and {targets.shape}"
        hint = "; write targets.reshape(predictions.shape)" if targets.size == predictions.size else ""
        raise ValueError(f"{name}: predictions and targets must have the same shape, not {shapes}{hint}")
    return targets


def _broadcasting(owner: str, name: str, weight: Any, logits: Any, at_least: float) -> Any:
    if type(weight) is not Tensor:  # which may be a variable of any sign
        weight = np.asarray(check.weights(owner, name, weight, at_least), logits.dtype)
    kept = logits.shape[logits.ndim - weight.ndim :] if weight.ndim <= logits.ndim else None
    if kept is None or any(n not in (1, m) for n, m in zip(weight.shape, kept, strict=True)):
        shapes = f"{logits.shape}, not have shape {weight.shape}"
        raise ValueError(f"{owner}: {name} must broadcast to the shape of the logits, {shapes}")
    return weight


def _reduced(name: str, reduction: str, loss: Callable[[Any, Any], Any], predictions: Any, targets: Any) -> Any:
    """The loss of each element, or their sum or mean; computed in float32 if all is float16."""
    reductions: dict[str, Any] = {"none": lambda losses: losses, "sum": np.sum, "mean": np.mean}
    if reduction not in reductions:
        raise ValueError(f"{name}: reduction must be 'mean', 'sum' or 'none', not {reduction!r}")
    if reduction == "mean" and predictions.size == 0:
        raise ValueError(f"{name}: the mean is undefined for the empty shape {predictions.shape}")
    return in_float32(lambda p, t: reductions[reduction](loss(p, t)))(predictions, targets)


def mse_loss(predictions: Any, targets: Any, *, reduction: str = "mean") -> Any:
    """Mean squared error, (predictions - targets)**2.

    Args:
        predictions: any shape, floating point.
        targets: the same shape; differentiable too.
        reduction: "mean", "sum", or "none" for the loss of each element.

    Raises:
        TypeError: predictions are not floating point.
        ValueError: shapes differ, the mean is over no elements, or the reduction is unknown.

    >>> from tinygrad_np import Tensor
    >>> mse_loss(Tensor([1.0, 2.0]), [1.0, 4.0])
    Tensor(2., dtype=float32)
    """
    targets = _checked_targets("mse_loss", predictions, targets)
    return _reduced("mse_loss", reduction, lambda p, t: np.square(p - t), predictions, targets)


def l1_loss(predictions: Any, targets: Any, *, reduction: str = "mean") -> Any:
    """Mean absolute error, |predictions - targets|; the gradient is 0 where they are equal.

    Args:
        predictions, targets, reduction: as for `mse_loss`.

    Raises:
        TypeError, ValueError: as for `mse_loss`.

    >>> from tinygrad_np import Tensor
    >>> l1_loss(Tensor([1.0, 2.0]), [1.0, 4.0])
    Tensor(1., dtype=float32)
    """
    targets = _checked_targets("l1_loss", predictions, targets)
    return _reduced("l1_loss", reduction, lambda p, t: np.abs(p - t), predictions, targets)


@differentiable(
    lambda g, y, x, *, delta: g * np.clip(x, -delta, delta),
    jvp="elementwise",
    cases=each("*", delta=(0.5, 2.0)),
    name="huber_loss",
)
def _huber(x: Array, delta: float) -> Array:
    within = np.clip(x, -delta, delta)
    return np.asarray(within * (x - 0.5 * within) if delta < np.inf else 0.5 * x * x)


def huber_loss(predictions: Any, targets: Any, *, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Mean Huber loss: d**2 / 2 where d = |predictions - targets| <= delta, and delta * (d - delta / 2) elsewhere.

    Args:
        predictions, targets, reduction: as for `mse_loss`.
        delta: the error at which the loss changes from quadratic to linear, above 0.

    Raises:
        TypeError, ValueError: as for `mse_loss`, or delta is not above 0.

    Source: P. J. Huber, "Robust estimation of a location parameter" (1964).

    >>> from tinygrad_np import Tensor
    >>> huber_loss(Tensor([0.0, 0.0]), [1.0, 3.0], reduction="none")
    Tensor([0.5, 2.5], dtype=float32)
    """
    if type(delta) is not float or not delta > 0:  # an infinite delta gives half the squared error
        delta = check.real("huber_loss", "delta", delta, above=0)
    targets = _checked_targets("huber_loss", predictions, targets)
    return _reduced("huber_loss", reduction, lambda p, t: _huber(p - t, delta=delta), predictions, targets)


@differentiable(
    lambda g, y, x, positive, negative: g * (negative * sigmoid(x) - positive * sigmoid(-x)),
    lambda g, y, x, positive, negative: g * softplus(-x),
    lambda g, y, x, positive, negative: g * softplus(x),
    jvp="elementwise",
    cases=[Case("*, *, *")],
    name="binary_cross_entropy_with_logits",
)
def _binary_cross_entropy(x: Array, positive: Array, negative: Array) -> Array:
    """-positive * log(sigmoid(x)) - negative * log(1 - sigmoid(x)), without overflow or cancellation."""
    both = np.log1p(np.exp(-np.abs(x)))
    losses = [np.maximum(-x, 0) + both, np.maximum(x, 0) + both]
    if not np.isfinite(x).all():  # a loss without weight is 0, but 0 * inf would be NaN
        losses = [
            keep(*np.broadcast_arrays(part, w != 0)) for part, w in zip(losses, (positive, negative), strict=True)
        ]
    return np.asarray(positive * losses[0] + negative * losses[1])


def binary_cross_entropy_with_logits(
    logits: Any, targets: Any, *, weight: Any = None, pos_weight: Any = None, reduction: str = "mean"
) -> Any:
    """Mean binary cross-entropy of logits, as one operation that does not overflow.

    The loss of an element is -targets * log(sigmoid(logits)) - (1 - targets) * log(1 - sigmoid(logits)).

    Args:
        logits: any shape, floating point.
        targets: the same shape; 0 or 1, or probabilities; differentiable too.
        weight: the weight of each element, in a shape that broadcasts to that of the logits.
        pos_weight: the weight of the positive class relative to the negative one, in a shape that broadcasts likewise.
        reduction: "mean", over the number of elements; "sum"; or "none" for the loss of each element.

    Raises:
        TypeError: logits are not floating point.
        ValueError: shapes do not match, the mean is over no elements, or the reduction is unknown.

    Source: C. M. Bishop, Pattern Recognition and Machine Learning (2006), equation 4.90.

    >>> from tinygrad_np import Tensor
    >>> binary_cross_entropy_with_logits(Tensor([1e4, -1e4, 0.0]), [1, 1, 0], reduction="none")
    Tensor([0.000000e+00, 1.000000e+04, 6.931472e-01], dtype=float32)
    """
    name = "binary_cross_entropy_with_logits"
    targets = _checked_targets(name, logits, targets)
    if pos_weight is not None:
        pos_weight = _broadcasting(name, "pos_weight", pos_weight, logits, at_least=0)
    if weight is not None:
        weight = _broadcasting(name, "weight", weight, logits, at_least=-math.inf)  # an advantage may be negative

    def loss(logits: Any, targets: Any) -> Any:
        positive, negative = targets, 1 - targets
        if pos_weight is not None:
            positive = positive * pos_weight
        if weight is not None:
            positive, negative = positive * weight, negative * weight
            if type(weight) is not Tensor:
                logits = keep(logits, weight != 0)
        elif pos_weight is None:
            return _binary_cross_entropy(logits, positive, negative)
        # What has no weight does not count, even if it is NaN; but derivatives by the weights do not exist there.
        uncounted = np.isnan(logits) & (array_of(positive) == 0) & (array_of(negative) == 0)
        return zero_at(_binary_cross_entropy(keep(logits, ~uncounted), positive, negative), uncounted)

    return _reduced(name, reduction, loss, logits, targets)


@differentiable(
    lambda g, y, x: over_slope(g, x, x), examples=FIRST, cases=[Case("*", domains=(POSITIVE,))], name="kl_div"
)
def _log(x: Array) -> Array:
    """log(x), whose derivative does not count where nothing depends on it, also at 0."""
    return np.asarray(np.log(x))


def _times_log_slope(g: Any, x: Any) -> Any:
    unused = (array_of(x) == 0) & (array_of(g) == 0)  # there 0 * -inf would be NaN
    return zero_at(g, unused) * (_log(np.where(unused, 1, x)) + 1)


@differentiable(
    lambda g, y, x: _times_log_slope(g, x), examples=FIRST, cases=[Case("*", domains=(POSITIVE,))], name="kl_div"
)
def _times_log(x: Array) -> Array:
    """x * log(x), with its limit 0 at 0, where the gradient is minus infinity."""
    return np.asarray(x * np.log(np.where(x == 0, 1, x)))


def kl_div(log_probabilities: Any, targets: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence, targets * (log(targets) - log_probabilities), averaged over all elements by default.

    Args:
        log_probabilities: any shape, floating point.
        targets: the same shape; probabilities, or log-probabilities if `log_target`; differentiable too. Where the
            target probability is 0 the loss is 0, whatever the prediction.
        reduction: "batchmean" for the divergence as it is defined, the sum divided by the length of axis 0; "mean",
            over the number of elements; "sum"; or "none" for the loss of each element.
        log_target: whether the targets are log-probabilities.

    Raises:
        TypeError: log_probabilities are not floating point.
        ValueError: shapes differ, the mean is over no elements, or the reduction is unknown.

    Source: S. Kullback and R. A. Leibler, "On information and sufficiency" (1951), equation 2.4.

    >>> from tinygrad_np import Tensor
    >>> kl_div(Tensor(np.log([[0.5, 0.5]])), [[0.0, 1.0]], reduction="batchmean")
    Tensor(0.69314718, dtype=float64)
    """

    def loss(log_probabilities: Any, targets: Any) -> Any:
        if log_target:
            possible = targets > -np.inf
            return np.exp(targets) * (keep(targets, possible) - keep(log_probabilities, possible))
        counted = (targets != 0) | np.isfinite(log_probabilities)
        return _times_log(targets) - targets * keep(log_probabilities, counted)

    check.boolean("kl_div", "log_target", log_target)
    targets = _checked_targets("kl_div", log_probabilities, targets)
    if reduction != "batchmean":
        return _reduced("kl_div", reduction, loss, log_probabilities, targets)
    shape = log_probabilities.shape
    if not shape or not shape[0]:
        raise ValueError(f"kl_div: 'batchmean' needs a batch of at least 1 along axis 0, not shape {shape}")
    return _reduced("kl_div", "sum", lambda p, t: loss(p, t) / shape[0], log_probabilities, targets)


composite(mse_loss, cases=each("N M, N M", reduction=("mean", "sum", "none")))(mse_loss)
composite(l1_loss, cases=[Case("N M, N M")])(l1_loss)
composite(huber_loss, cases=each("N M, N M", delta=(0.5, 2.0)))(huber_loss)
composite(
    binary_cross_entropy_with_logits,
    cases=[
        Case("N M, N M"),
        Case("N 3 2, N 3 2", kwargs={"weight": WEIGHT[:, np.newaxis], "pos_weight": WEIGHT[:2], "reduction": "none"}),
    ],
)(binary_cross_entropy_with_logits)
composite(
    kl_div,
    cases=[
        *each("N M, N M", domains=(REAL, POSITIVE), reduction=("mean", "batchmean")),
        Case("N M, N M", kwargs={"log_target": True, "reduction": "none"}),
    ],
)(kl_div)

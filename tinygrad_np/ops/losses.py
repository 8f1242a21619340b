"""Losses of classification: cross-entropy, of labels or of probabilities, and negative log-likelihood.

They take `reduction`: "mean" (the default) and "sum" give a scalar, "none" gives one loss per example. The mean over
nothing raises. Weights are converted to the dtype of the scores. The same losses as layers are in `tinygrad_np.nn`.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .. import _validation as check
from .._machine.arrays import row_sums
from .._registry import differentiable
from ..tensor import Array, Tensor
from .cases import REAL, Case, Domain
from .elementwise import array_of, keep
from .examples import LOSSES
from .pieces import over_rows
from .reduced import check_reduction, checked_targets, composed, reduced
from .special import LARGE, MODERATE, centred, log_softmax, softmax


def _loss_weights(
    name: str, scores: Any, labels: Array, weight: Any, ignore_index: int, reduction: str, label_smoothing: float = 0.0
) -> Array:
    """Weights of each -log p, in the shape of the scores; the loss is their weighted sum."""
    classes = scores.shape[1]
    check_reduction(name, reduction)
    check.real(name, "label_smoothing", label_smoothing, at_least=0, at_most=1)
    weights = np.ones(classes, scores.dtype) if weight is None else _class_weights(name, weight, classes, scores.dtype)
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


def _class_weights(name: str, weight: Any, classes: int, dtype: Any) -> Array:
    weights = np.asarray(check.weights(name, "weight", weight), dtype)
    if weights.shape != (classes,):
        raise ValueError(f"{name}: weight must have shape ({classes},), one number per class, not {weights.shape}")
    return weights


def _loss(log_probabilities: Array, coefficients: Array, reduction: str) -> Array:
    losses = np.sum(coefficients * keep(-log_probabilities, coefficients != 0), axis=1)  # 0 * inf would be NaN
    return np.asarray(losses if reduction == "none" else np.sum(losses))


def _over_classes(g: Any, reduction: str) -> Any:
    """The gradient of a loss, shaped to broadcast with arrays that have the classes along axis 1."""
    return np.expand_dims(g, 1) if reduction == "none" else g


def class_labels(owner: str, name: str, scores: Array, labels: Any) -> Array:
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
        soft = "" if owner == "nll_loss" else ", or labels.astype(logits.dtype) for probabilities"
        if labels.dtype.kind == "f":
            soft = f", or of probabilities -np.sum(labels * {name}, axis=1).mean() for the loss"
        raise ValueError(
            f"{owner}: labels must be integers of shape (batch, ...), not one-hot or probabilities of shape"
            f" {labels.shape}; write labels.argmax(axis=1){soft}"
        )
    if labels.dtype.kind == "f":
        soft = f", or probabilities in the shape of the logits, {scores.shape}" if owner == "cross_entropy" else ""
        raise ValueError(
            f"{owner}: labels must be integers, not {labels.dtype} of shape {labels.shape}{soft}; write"
            " labels.astype(int)"
        )
    return check.integers(owner, "labels", labels)


def check_class_shapes(owner: str, name: str, scores: Array, labels: Array, reduction: str) -> None:
    """Refuse scores and labels whose shapes do not fit, and a mean over no labels."""
    if scores.ndim < 2 or labels.shape != scores.shape[:1] + scores.shape[2:]:
        hint = "; write labels.ravel()" if scores.ndim == 2 and labels.shape == (len(scores), 1) else ""
        shapes = f"{name} of shape (batch, classes, ...) and labels of shape (batch, ...)"
        raise ValueError(f"{owner}: expected {shapes}{hint}")
    if reduction == "mean" and labels.size == 0:
        shapes = f"shape (batch, ...) with a batch at least 1, not {labels.shape}"
        raise ValueError(f"{owner}: the mean needs labels of {shapes}")


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


@composed(
    Case("N 3, N 3"),
    Case("N 3, N 3", kwargs={"weight": WEIGHT, "label_smoothing": 0.2, "reduction": "sum"}),
    Case("N 3 2 M, N 3 2 M", kwargs={"weight": WEIGHT, "reduction": "none"}),
    name="cross_entropy",
)
def _of_probabilities(
    logits: Any,
    targets: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy where the probability of each class is given; the mean is over examples, whatever their weights."""
    name = "cross_entropy"
    if check.integer(name, "ignore_index", ignore_index) >= 0:
        raise ValueError(f"{name}: ignore_index is for labels, not for probabilities; give examples probabilities of 0")
    label_smoothing = check.real(name, "label_smoothing", label_smoothing, at_least=0, at_most=1)
    targets = checked_targets(name, logits, targets, "logits", "labels")
    classes = logits.shape[1]
    if weight is not None:
        if type(weight) is Tensor:
            raise TypeError(f"{name} is not differentiable in weight=: pass the Tensor's .data")
        weight = _class_weights(name, weight, classes, logits.dtype).reshape(-1, *[1] * (logits.ndim - 2))

    def losses(logits: Any, targets: Any) -> Any:
        if label_smoothing:
            targets = targets * (1 - label_smoothing) + label_smoothing / classes
        if weight is not None:
            targets = targets * weight
        log_probabilities = log_softmax(logits, axis=1)
        if np.min(array_of(log_probabilities), initial=0) == -np.inf:  # a class of probability 0 does not count
            counted = np.isfinite(array_of(log_probabilities)) | (array_of(targets) != 0)
            log_probabilities = keep(log_probabilities, counted)  # 0 * inf would be NaN
        if logits.ndim > 2:  # for 64 x 10, with moveaxis it would take half as long again
            targets, log_probabilities = np.moveaxis(targets, 1, -1), np.moveaxis(log_probabilities, 1, -1)
        return np.vecdot(0 - targets, log_probabilities)  # of plain targets, no operation on Tensors

    return reduced(name, reduction, losses, logits, targets)


def _are_probabilities(logits: Any, labels: Any) -> bool:
    """Whether the labels are floating point numbers in the shape of the logits."""
    given = labels if hasattr(labels, "dtype") else np.asarray(labels)
    kind = getattr(given.dtype, "kind", "")
    return kind == "f" and given.ndim > 1 and given.shape == np.shape(logits)


def _or_probabilities(of_labels: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of `cross_entropy` by which it takes probabilities in the place of labels."""

    @wraps(of_labels)
    def call(*args: Any, **kwargs: Any) -> Any:
        labels = args[1] if len(args) > 1 else kwargs.get("labels")
        if type(labels) is np.ndarray and labels.dtype.kind == "i":
            return of_labels(*args, **kwargs)
        logits = args[0] if args else kwargs.get("logits")
        return (_of_probabilities if _are_probabilities(logits, labels) else of_labels)(*args, **kwargs)

    return call


@_or_probabilities
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

    Where the labels are probabilities, the loss of an example is -sum(labels * log(softmax(logits))) over the classes.

    Args:
        logits: unnormalised log-probabilities, shape (batch, classes) or (batch, classes, ...), floating point.
        labels: the correct classes, shape (batch,) or (batch, ...), integers from 0 to classes - 1; or the probability
            of each class, in the shape of the logits, floating point, and differentiable too. It is not checked that
            probabilities add up to 1.
        weight: the weight of each class, shape (classes,). The mean over labels is weighted by theirs; that over
            probabilities is divided by the number of examples.
        ignore_index: elements with this label are left out of the loss and of the mean.
        reduction: "mean", "sum", or "none" for losses in the shape of the labels, without the axis of the classes.
        label_smoothing: the fraction of each label's probability that is spread evenly over all classes, from 0 to 1.

    Returns:
        A scalar with the dtype of the logits, or losses of shape (batch, ...). With default options its gradient is
        (softmax(logits) - one_hot(labels)) / batch.

    Raises:
        TypeError: logits are not floating point, or weight is a Tensor.
        ValueError: shapes do not match, labels are neither integers nor probabilities or out of range, an option is
            invalid, ignore_index is given beside probabilities, or the mean is undefined because there are no labels,
            or every label is ignored or has weight 0.

    Source: C. M. Bishop, Pattern Recognition and Machine Learning (2006), equations 4.108 and 4.109; label smoothing:
    C. Szegedy et al., "Rethinking the inception architecture for computer vision" (2016), section 7.

    >>> from tinygrad_np import Tensor
    >>> cross_entropy(Tensor([[1e4, -1e4], [1e4, -1e4]]), np.array([0, 1]))
    Tensor(10000., dtype=float32)
    >>> cross_entropy(Tensor([[1e4, -1e4], [1e4, -1e4]]), np.array([0, 1]), reduction="none")
    Tensor([    0., 20000.], dtype=float32)
    >>> cross_entropy(Tensor([[1e4, -1e4], [1e4, -1e4]]), [[1.0, 0.0], [0.5, 0.5]], reduction="none")
    Tensor([    0., 10000.], dtype=float32)
    """
    labels = class_labels("cross_entropy", "logits", logits, labels)
    check_class_shapes("cross_entropy", "logits", logits, labels, reduction)
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
    labels = class_labels("nll_loss", "log_probabilities", log_probabilities, labels)
    check_class_shapes("nll_loss", "log-probabilities", log_probabilities, labels, reduction)
    check.integer("nll_loss", "ignore_index", ignore_index)
    check.labels("nll_loss", "labels", np.where(labels == ignore_index, 0, labels), log_probabilities.shape[1])
    return _loss(
        log_probabilities,
        _loss_weights("nll_loss", log_probabilities, labels, weight, ignore_index, reduction),
        reduction,
    )

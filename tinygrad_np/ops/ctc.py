"""Connectionist temporal classification: the loss of a sequence of labels whose places in time are not known."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import _validation as check
from .._machine.scatter import scattered
from .._registry import composite, differentiable
from ..tensor import Array, Tensor
from .cases import REAL, Case, Domain
from .elementwise import array_of, keep
from .recurrence import recorded
from .special import logsumexp

# A path runs through the states of each sequence, its labels with a blank before, between and after them. In a step it
# stays, moves on by one state, or skips the blank between two labels that differ.


def _states_of(labels: Array, blank: int) -> Array:
    """The labels of the states, shape (batch, 2 * labels + 1)."""
    states = np.full((len(labels), 2 * labels.shape[1] + 1), blank)
    states[:, 1::2] = labels
    return states


def _penalties(states: Array, dtype: Any) -> Array:
    """Shape (3, batch, states): 0 for what a path may do to reach a state, to skip, move or stay; else -inf."""
    penalties = np.zeros((3, *states.shape), dtype)
    penalties[0, :, 2:][states[:, 2:] == states[:, :-2]] = -np.inf  # two blanks, or the same label twice
    return penalties


def _places(log_probabilities: Any, states: Array) -> Any:
    """Where the log-probabilities of the states are among those of one step, which are in one row."""
    _, batch, classes = log_probabilities.shape
    return (states + classes * np.arange(batch)[:, np.newaxis]).ravel()


def _losses(log_probabilities: Any, labels: Array, input_lengths: Array, target_lengths: Array, blank: int) -> Any:
    """The losses, from Tensors, step by step."""
    steps, batch, classes = log_probabilities.shape
    states = _states_of(labels, blank)
    emissions = np.reshape(log_probabilities, (steps, batch * classes))[:, _places(log_probabilities, states)]
    emissions = np.reshape(emissions, (steps, *states.shape))
    penalties = _penalties(states, emissions.dtype)
    before = np.full((batch, 2), -np.inf, emissions.dtype)
    scores = np.where(np.arange(states.shape[1]) == 0, 0, np.full(states.shape, -np.inf, emissions.dtype))
    for t in range(steps):
        padded = np.concatenate([before, scores], axis=1)
        ways = np.stack([padded[:, :-2], padded[:, 1:-1], scores]) + penalties
        scores = np.where((t < input_lengths)[:, np.newaxis], logsumexp(ways, axis=0) + emissions[t], scores)
    place, last = np.arange(states.shape[1]), 2 * target_lengths[:, np.newaxis]
    at_end = (place == last) | (place == last - 1)
    return -logsumexp(np.where(at_end, scores, -np.inf), axis=1)


def _ctc_back(
    g: Any,
    y: Any,
    log_probabilities: Any,
    labels: Array,
    input_lengths: Array,
    target_lengths: Array,
    *,
    blank: int,
    saved: Any,
) -> Any:
    """-g times the probability that a path is at each label in each step; 0 where no path is possible."""
    if log_probabilities.size == 0:
        return 0 * log_probabilities
    g = keep(g, array_of(y) != np.inf)
    if saved is None:
        others = labels, input_lengths, target_lengths, blank
        return recorded(lambda x: _losses(x, *others), [log_probabilities], [True], g)[0]
    states, ways, sums, ends = saved
    steps, batch, classes = log_probabilities.shape
    occupied = np.zeros((steps, *states.shape), ends.dtype)
    probability = np.zeros(states.shape, ends.dtype)
    for t in reversed(range(steps)):
        np.add(probability, ends, out=occupied[t], where=(input_lengths == t + 1)[:, np.newaxis])
        np.copyto(occupied[t], probability, where=(input_lengths > t + 1)[:, np.newaxis])
        skipped, moved, stayed = ways[t] * (occupied[t] / sums[t])
        probability = stayed
        probability[:, :-1] += moved[:, 1:]
        probability[:, :-2] += skipped[:, 2:]
    occupied *= -g[:, np.newaxis]
    places = _places(log_probabilities, states) + batch * classes * np.arange(steps)[:, np.newaxis]
    if ends.dtype.itemsize > 8:  # np.bincount has no longdouble
        total = scattered(occupied.ravel(), places.ravel(), (steps * batch * classes,))
    else:
        total = np.bincount(places.ravel(), occupied.ravel(), minlength=steps * batch * classes)
    return total.reshape(steps, batch, classes).astype(ends.dtype)


@differentiable(
    _ctc_back,
    None,
    None,
    None,
    wide=True,
    cases=[
        Case(
            "4 2 3, 2 2, 2, 2",
            kwargs={"blank": 0},
            domains=(REAL, Domain(1, 3, "i"), Domain(3, 5, "i"), Domain(0, 3, "i")),
        ),
    ],
    name="ctc_loss",
)
def _ctc(
    log_probabilities: Array, labels: Array, input_lengths: Array, target_lengths: Array, *, blank: int
) -> tuple[Array, Any]:
    """The loss of each sequence, and what its gradient needs.

    Args:
        log_probabilities: shape (steps, batch, classes).
        labels: shape (batch, labels), blank where a target has ended.
        input_lengths, target_lengths: shape (batch,).
    """
    check.floating("ctc_loss", "log_probabilities", log_probabilities)
    steps, batch, classes = log_probabilities.shape
    states, dtype = _states_of(labels, blank), log_probabilities.dtype
    flat = log_probabilities.reshape(steps, batch * classes)
    emissions = flat.take(_places(log_probabilities, states), axis=1).reshape(steps, *states.shape)
    if input_lengths.size and input_lengths.min() < steps:  # after the end there may be what is not finite
        np.copyto(emissions, 0, where=(np.arange(steps)[:, np.newaxis] >= input_lengths)[..., np.newaxis])
    penalties = _penalties(states, dtype)
    padded = np.full((batch, states.shape[1] + 2), -np.inf, dtype)
    scores = padded[:, 2:]
    scores[:, 0] = 0  # before the first step
    windows = sliding_window_view(padded, states.shape[1], axis=1).swapaxes(0, 1)
    ways, sums = np.empty((steps, 3, *states.shape), dtype), np.empty((steps, *states.shape), dtype)
    top, lowest, at_end = np.empty(states.shape, dtype), np.finfo(dtype).min, padded.copy()
    with np.errstate(divide="ignore"):  # log(0) = -inf, of states that no path reaches
        for t in range(steps):
            way = np.add(windows, penalties, out=ways[t])
            np.maximum.reduce(way, 0, out=top, initial=lowest)
            way -= top
            np.exp(way, out=way)
            np.add.reduce(way, 0, out=sums[t])
            np.log(sums[t], out=scores)
            scores += top
            scores += emissions[t]
            np.copyto(at_end, padded, where=(input_lengths == t + 1)[:, np.newaxis])
    np.maximum(sums, 1, out=sums)  # each is 0 or at least exp(0)
    each, last = np.arange(batch), 2 * target_lengths + 2
    losses = -np.logaddexp(at_end[each, last], at_end[each, last - 1])
    ends, possible = np.zeros_like(padded), losses < np.inf
    for place in (last, last - 1):
        ends[each, place] = np.exp(at_end[each, place] + np.where(possible, losses, 0))
    return losses, (states, ways, sums, ends[:, 2:])


def _lengths(name: str, value: Any, batch: int, largest: int, meaning: str) -> Array:
    value = value.data if type(value) is Tensor else value
    lengths = check.integers("ctc_loss", name, check.indices(value)).astype(np.int64)
    lengths = lengths[np.newaxis] if lengths.ndim == 0 and batch == 1 else lengths
    if lengths.shape != (batch,):
        raise ValueError(f"ctc_loss: {name} must have shape ({batch},), one for each sequence, not {np.shape(value)}")
    if batch and not 0 <= lengths.min() <= lengths.max() <= largest:
        wrong = lengths.min() if lengths.min() < 0 else lengths.max()
        raise ValueError(f"ctc_loss: {name} must be from 0 to {largest}, {meaning}, not {wrong}")
    return lengths


def _padded(targets: Array, target_lengths: Any, batch: int, classes: int, blank: int) -> tuple[Array, Array]:
    """The labels, shape (batch, labels), blank after the end of each target; and the lengths, checked."""
    together = targets.ndim == 1
    longest = targets.shape[-1]
    lengths = _lengths("target_lengths", target_lengths, batch, longest, "the number of labels in targets")
    if together and lengths.sum() != longest:
        raise ValueError(
            f"ctc_loss: targets have shape {targets.shape}, one after the other, but target_lengths add up to"
            f" {lengths.sum()}"
        )
    if not together and len(targets) != batch:
        expected = f"({batch}, labels), or all labels one after the other"
        raise ValueError(f"ctc_loss: targets must have shape {expected}, not {targets.shape}")
    within = np.arange(lengths.max(initial=0)) < lengths[:, np.newaxis]
    labels = np.full(within.shape, blank)
    labels[within] = targets if together else targets[:, : within.shape[1]][within]
    check.labels("ctc_loss", "targets", labels, classes)
    if (labels[within] == blank).any():
        raise ValueError(f"ctc_loss: targets must not contain the blank, {blank}; give blank= the class of no label")
    return labels, lengths


def ctc_loss(
    log_probabilities: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    *,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Connectionist temporal classification: -log of the probability of a sequence of labels, over all alignments.

    In each step one class is emitted: a label, or the blank. An alignment of a target is a sequence of classes that
    gives the target if repeated classes are merged and then the blanks are left out. Steps are independent of each
    other, given the log-probabilities.

    Args:
        log_probabilities: of the classes in each step, such as `log_softmax(logits, axis=-1)`, shape (steps, batch,
            classes), or (steps, classes) for one sequence; floating point.
        targets: labels, integers from 0 to classes - 1 without the blank: shape (batch, labels), where those after the
            end of a target do not count; or all targets one after the other, shape (sum of target_lengths,).
        input_lengths: the number of steps of each sequence, shape (batch,).
        target_lengths: the number of labels of each target, shape (batch,).
        blank: the class of the blank.
        reduction: "none" for the loss of each sequence; "sum"; or "mean", of the losses divided by the target_lengths,
            or by 1 where those are 0.
        zero_infinity: whether a loss that is infinite, since there are too few steps for the target, counts as 0.

    Returns:
        A scalar with the dtype of log_probabilities; or losses of shape (batch,), or () for one sequence. The gradient
        is minus the probability that an alignment emits a class in a step, given the target; 0 where no alignment is
        possible. (In PyTorch it is the gradient of the logits before log_softmax, which are then the same, and NaN
        where no alignment is possible.)

    Raises:
        TypeError: log_probabilities are not floating point.
        ValueError: shapes do not match, targets or lengths are no integers or out of range, a target has the blank,
            an option is invalid, or the mean is over no sequences.

    Source: A. Graves et al., "Connectionist temporal classification" (2006), sections 3.1 and 4.1; by automatic
    differentiation of the forward variables in the place of backward variables.

    >>> from tinygrad_np import Tensor
    >>> p = Tensor(np.log([[0.5, 0.5], [0.25, 0.75]]))  # two steps of a blank and one label
    >>> np.exp(-ctc_loss(p, [1], 2, 1))  # label label, label blank, blank label
    Tensor(0.875, dtype=float64)
    """
    check.floating("ctc_loss", "log_probabilities", log_probabilities)
    check.one_of("ctc_loss", "reduction", reduction, ("mean", "sum", "none"))
    check.boolean("ctc_loss", "zero_infinity", zero_infinity)
    shape = log_probabilities.shape
    if len(shape) not in (2, 3):
        expected = "(steps, batch, classes) or (steps, classes)"
        raise ValueError(f"ctc_loss: expected log_probabilities of shape {expected}, not {shape}")
    if not 0 <= check.integer("ctc_loss", "blank", blank) < shape[-1]:
        raise ValueError(f"ctc_loss: blank must be one of {shape[-1]} classes, from 0 to {shape[-1] - 1}, not {blank}")
    targets = check.indices(targets.data if type(targets) is Tensor else targets)
    targets = check.integers("ctc_loss", "targets", targets)
    if targets.ndim not in (1, 2) or (len(shape) == 2 and targets.ndim == 2):
        expected = "(batch, labels) or (labels,)" if len(shape) == 3 else "(labels,)"
        raise ValueError(f"ctc_loss: expected targets of shape {expected}, not {targets.shape}")
    x = log_probabilities if len(shape) == 3 else np.expand_dims(log_probabilities, 1)
    steps, batch, classes = x.shape
    if len(shape) == 2:
        targets = targets[np.newaxis]
    if reduction == "mean" and batch == 0:
        raise ValueError(f"ctc_loss: the mean is undefined for no sequences, as in shape {shape}")
    labels, counts = _padded(targets, target_lengths, batch, classes, blank)
    durations = _lengths("input_lengths", input_lengths, batch, steps, "the number of steps")
    losses = _ctc(x, labels, durations, counts, blank=blank)
    if zero_infinity:
        losses = keep(losses, array_of(losses) != np.inf)
    if reduction == "mean":
        return np.mean(losses / np.maximum(counts, 1).astype(losses.dtype))
    if reduction == "sum":
        return np.sum(losses)
    return losses if len(shape) == 3 else losses[0]


_TARGETS = np.array([[1, 1], [2, 1]])
composite(
    ctc_loss,
    cases=[
        Case("4 2 3", (_TARGETS, np.array([4, 2]), np.array([2, 2]))),
        Case("3 2 3", (_TARGETS[1] - 1, np.array([3, 2]), np.array([0, 2])), {"blank": 2, "reduction": "none"}),
        Case("2 3", (_TARGETS[0], np.array(2), np.array(2)), {"zero_infinity": True, "reduction": "sum"}),
    ],
)(ctc_loss)

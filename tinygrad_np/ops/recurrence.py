"""Recurrence: all steps of an RNN, a GRU or an LSTM over a sequence as one operation."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .._registry import differentiable
from ..tensor import Array, grad
from .cases import POSITIVE, Case
from .products import linear, rows
from .special import sigmoid, sigmoid_into

# --- one step of each kind -------------------------------------------------------------------------------------------
#
# step(a, p, before) returns the new states. `a` is x @ weight + bias of the input, `p` the same of the previous hidden
# state, both of shape (gates, ..., hidden), and `before` holds the previous states: the hidden state, and for an LSTM
# the cell state. It runs on Tensors, for derivatives of higher order.
#
# forward(a, p, before, after, kept) is the same step on arrays, which writes the new states to `after`, and to `kept`
# what the backward pass reads: the gates, each in one piece of memory, where a pass takes a third of the time.
#
# backward(g, kept, before, after, d_a, d_p) writes the gradients of `a` and `p`; they are one array where a and p are
# only added. It turns `g` from the gradient of the new states into that of the previous ones, without the part that
# flows through `p`, which the caller adds.


def _tanh_step(a: Any, p: Any, before: Any) -> Any:
    return (np.tanh(a[0] + p[0]),)


def _tanh_forward(a: Any, p: Any, before: Any, after: Any, kept: Any) -> None:
    np.add(a, p, out=after)
    np.tanh(after, out=after)


def _tanh_backward(g: Any, kept: Any, before: Any, after: Any, d_a: Any, d_p: Any) -> None:
    slope = after * after
    np.subtract(1, slope, out=slope)
    np.multiply(g, slope, out=d_a)
    g[...] = 0


def _relu_step(a: Any, p: Any, before: Any) -> Any:
    return (np.maximum(a[0] + p[0], 0),)


def _relu_forward(a: Any, p: Any, before: Any, after: Any, kept: Any) -> None:
    np.add(a, p, out=after)
    np.maximum(after, 0, out=after)


def _relu_backward(g: Any, kept: Any, before: Any, after: Any, d_a: Any, d_p: Any) -> None:
    np.multiply(g, after > 0, out=d_a)
    g[...] = 0


def _gru_step(a: Any, p: Any, before: Any) -> Any:
    r, z = sigmoid(a[0] + p[0]), sigmoid(a[1] + p[1])
    n = np.tanh(a[2] + r * p[2])
    return ((1 - z) * n + z * before[0],)


def _gru_forward(a: Any, p: Any, before: Any, after: Any, kept: Any) -> None:
    r, z, n, p_n = kept
    np.add(a[:2], p[:2], out=kept[:2])
    sigmoid_into(kept[:2], kept[:2])
    p_n[...] = p[2]
    np.multiply(r, p_n, out=n)
    n += a[2]
    np.tanh(n, out=n)
    np.subtract(before[0], n, out=after[0])
    after[0] *= z
    after[0] += n


def _gru_backward(g: Any, kept: Any, before: Any, after: Any, d_a: Any, d_p: Any) -> None:
    r, z, n, p_n = kept
    slopes = 1 - kept[:2]
    d_n = g[0] * slopes[1]
    slopes *= kept[:2]
    square = n * n
    d_n *= np.subtract(1, square, out=square)
    np.multiply(d_n * p_n, slopes[0], out=d_a[0])
    np.multiply(g[0] * (before[0] - n), slopes[1], out=d_a[1])
    d_p[:2] = d_a[:2]
    d_a[2] = d_n
    np.multiply(d_n, r, out=d_p[2])
    g *= z


def _lstm_step(a: Any, p: Any, before: Any) -> Any:
    i, f, n, o = sigmoid(a[0] + p[0]), sigmoid(a[1] + p[1]), np.tanh(a[2] + p[2]), sigmoid(a[3] + p[3])
    c = f * before[1] + i * n
    return o * np.tanh(c), c


def _lstm_forward(a: Any, p: Any, before: Any, after: Any, kept: Any) -> None:
    i, f, o, n, t = kept
    h, c = after
    np.add(a[:2], p[:2], out=kept[:2])
    np.add(a[:1:-1], p[:1:-1], out=kept[2:4])  # o before n, so that the sigmoids are one piece
    sigmoid_into(kept[:3], kept[:3])
    np.tanh(n, out=n)
    np.multiply(f, before[1], out=c)
    c += i * n
    np.tanh(c, out=t)
    np.multiply(o, t, out=h)


def _lstm_backward(g: Any, kept: Any, before: Any, after: Any, d_a: Any, d_p: Any) -> None:
    i, f, o, n, t = kept
    g_h, g_c = g
    slopes = 1 - kept[:3]
    slopes *= kept[:3]
    slope_n, slope_t = squares = kept[3:] * kept[3:]
    np.subtract(1, squares, out=squares)
    np.multiply(g_h * t, slopes[2], out=d_a[3])
    slope_t *= o
    slope_t *= g_h
    g_c += slope_t
    np.multiply(g_c * n, slopes[0], out=d_a[0])
    np.multiply(g_c * before[1], slopes[1], out=d_a[1])
    slope_n *= i
    np.multiply(g_c, slope_n, out=d_a[2])
    g_c *= f
    g_h[...] = 0


class _Kind(NamedTuple):
    gates: int
    states: int
    kept: int
    is_sum: bool  # whether a and p are only added
    step: Callable[..., Any]
    forward: Callable[..., None]
    backward: Callable[..., None]


KINDS = {
    "tanh": _Kind(1, 1, 0, True, _tanh_step, _tanh_forward, _tanh_backward),
    "relu": _Kind(1, 1, 0, True, _relu_step, _relu_forward, _relu_backward),
    "gru": _Kind(3, 1, 4, False, _gru_step, _gru_forward, _gru_backward),
    "lstm": _Kind(4, 2, 5, True, _lstm_step, _lstm_forward, _lstm_backward),
}


# --- all steps as one operation --------------------------------------------------------------------------------------


def _by_gate(x: Any, kind: str) -> Any:
    """A view of shape (gates, ..., hidden)."""
    count = KINDS[kind].gates
    return np.moveaxis(np.reshape(x, (*x.shape[:-1], count, x.shape[-1] // count)), -2, 0)


def _order(steps: int, reverse: bool) -> list[tuple[int, int, int]]:
    """For each step, in the order of computation, its number and where the states before and after it are."""
    return [(t, t + 1, t) for t in reversed(range(steps))] if reverse else [(t, t, t + 1) for t in range(steps)]


def _ended(lengths: Any, steps: int) -> list[Array | None]:
    """For each step which sequences have ended, shape (batch, 1); None where none has."""
    if lengths is None:
        return [None] * steps
    ended = np.arange(steps)[:, np.newaxis, np.newaxis] >= np.asarray(lengths)[:, np.newaxis]
    return [some if some.any() else None for some in ended]


def _states(
    a: Any, initial: Any, weight: Any, bias: Any, *, kind: str, lengths: Any = None, reverse: bool = False
) -> Any:
    """The states, from Tensors, step by step."""
    ended = _ended(lengths, len(a))
    a, states = _by_gate(a, kind), [initial]
    for t, _, _ in _order(a.shape[1], reverse):
        before = states[-1]
        p = _by_gate(linear(before[0], weight, bias), kind)
        after = np.stack(KINDS[kind].step(a[:, t], p, before))
        states.append(after if (done := ended[t]) is None else np.where(done, before, after))
    return np.stack(states[::-1] if reverse else states, axis=1)


def recorded(function: Callable[..., Any], inputs: Sequence[Any], needed: Sequence[bool], g: Any) -> list[Any]:
    """The gradients of a function's inputs as Tensors that can be differentiated again, None where not needed.

    It is for a joint vjp that writes to arrays: the function is the same operation, in expressions of Tensors.
    """
    # Copies, since an input may be there twice, or be computed from another one.
    inputs = [np.positive(x) if is_needed else x for x, is_needed in zip(inputs, needed, strict=True)]
    sources = [x for x, is_needed in zip(inputs, needed, strict=True) if is_needed]
    gradients = iter(grad(function(*inputs), sources, g, create_graph=True))
    return [next(gradients) if is_needed else None for is_needed in needed]


def _recurrence_back(
    g: Any,
    y: Any,
    inputs: Sequence[Any],
    needed: tuple[bool, ...],
    kind: str,
    lengths: Any,
    reverse: bool,
    saved: Any,
) -> Sequence[Any]:
    """The gradients of a, initial, weight and bias."""
    if saved is None:
        return recorded(partial(_states, kind=kind, lengths=lengths, reverse=reverse), inputs, needed, g)
    a, _, weight, _ = inputs
    d_a = np.empty(a.shape, y.dtype)
    d_p = d_a if KINDS[kind].is_sum else np.empty_like(d_a)
    of_a, of_p = _by_gate(d_a, kind), _by_gate(d_p, kind)
    transposed = np.ascontiguousarray(weight.T)  # products take 61 us instead of 82 for 64 x 512 x 128
    carried = np.zeros_like(y[:, 0])
    ended = _ended(lengths, len(a))
    for t, before, after in reversed(_order(len(a), reverse)):
        carried += g[:, after]
        held = None if ended[t] is None else carried.copy()
        KINDS[kind].backward(carried, saved[t], y[:, before], y[:, after], of_a[:, t], of_p[:, t])
        if held is None:
            carried[0] += d_p[t] @ transposed
        else:
            np.copyto(d_a[t], 0, where=ended[t])
            np.copyto(d_p[t], 0, where=ended[t])
            carried[0] += d_p[t] @ transposed
            np.copyto(carried, held, where=ended[t])
    carried += g[:, -1 if reverse else 0]
    h = y[0, 1:] if reverse else y[0, :-1]
    return d_a, carried, rows(h).T @ rows(d_p) if needed[2] else None, d_p


LENGTHS = np.array([2, 1, 3])


@differentiable(
    joint=lambda g, y, a, initial, weight, bias, *, needed, kind, lengths=None, reverse=False, saved: _recurrence_back(
        g, y, (a, initial, weight, bias), needed, kind, lengths, reverse, saved
    ),
    wide=True,
    cases=[
        Case("T n 2, 1 n 2, 2 2, 2", kwargs={"kind": "tanh"}),
        Case("T n 2, 1 n 2, 2 2, 2", kwargs={"kind": "relu"}, domains=(POSITIVE,)),  # away from the kink
        Case("T n 6, 1 n 2, 2 6, 6", kwargs={"kind": "gru"}),
        Case("T n 8, 2 n 2, 2 8, 8", kwargs={"kind": "lstm"}),
        Case("T 8, 2 2, 2 8", (None,), {"kind": "lstm", "reverse": True}),
        Case("3 3 2, 1 3 2, 2 2, 2", kwargs={"kind": "tanh", "lengths": LENGTHS, "reverse": True}),
        Case("3 3 6, 1 3 2, 2 6, 6", kwargs={"kind": "gru", "lengths": LENGTHS}),
        Case("3 3 4, 2 3 1, 1 4", (None,), {"kind": "lstm", "lengths": LENGTHS}),
    ],
)
def recurrence(
    a: Array,
    initial: Array,
    weight: Array,
    bias: Array | None,
    kind: str,
    lengths: Any = None,
    reverse: bool = False,
) -> tuple[Array, Array]:
    """The states, initial ones included, shape (states, steps + 1, ..., hidden); and the gates of each step.

    Args:
        a: the input's part of each pre-activation, shape (steps, ..., gates * hidden).
        initial: the initial states, shape (states, ..., hidden).
        weight, bias: of the hidden state's part, shapes (hidden, gates * hidden) and (gates * hidden,); the bias may be
            None.
        kind: which of `KINDS`.
        lengths: of sequences that are padded at their ends, integers of shape (batch,); steps after the end of a
            sequence leave its states as they are.
        reverse: from the last step to the first. The initial states are then the last ones.
    """
    fits = a.ndim > 1 < initial.ndim and a.shape[1:-1] == initial.shape[1:-1]
    fits = fits and weight.shape == (initial.shape[-1], a.shape[-1])
    if not fits or (bias is not None and bias.shape != a.shape[-1:]):
        raise ValueError(
            "expected a of shape (steps, ..., n), initial of (states, ..., hidden), weight of (hidden, n), bias of (n,)"
        )
    if lengths is not None and np.shape(lengths) != a.shape[1:-1]:
        raise ValueError(f"expected a length for each sequence, shape {a.shape[1:-1]}, not {np.shape(lengths)}")
    steps, (states, *shape) = len(a), initial.shape
    if steps == 0:
        raise ValueError("expected at least one step")
    given = (a, initial, weight) if bias is None else (a, initial, weight, bias)
    y = np.empty((states, steps + 1, *shape), np.result_type(*given))
    y[:, -1 if reverse else 0] = initial
    kept = np.empty((steps, KINDS[kind].kept, *shape), y.dtype)
    p = np.empty(a.shape[1:], y.dtype)
    of_a, of_p = _by_gate(a, kind), _by_gate(p, kind)
    ended = _ended(lengths, steps)
    with np.errstate(over="ignore"):  # of exp(-x) in a sigmoid
        for t, before, after in _order(steps, reverse):
            np.matmul(y[0, before], weight, out=p)
            if bias is not None:
                p += bias
            KINDS[kind].forward(of_a[:, t], of_p, y[:, before], y[:, after], kept[t])
            if ended[t] is not None:
                np.copyto(y[:, after], y[:, before], where=ended[t])
    return y, kept

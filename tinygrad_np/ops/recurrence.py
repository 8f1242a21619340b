"""Recurrence: all steps of an RNN, a GRU or an LSTM over a sequence as one operation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..tensor import Array, differentiable
from .cases import POSITIVE, Case
from .products import linear, rows
from .special import sigmoid

# --- one step of each kind, and one step back ------------------------------------------------------------------------
#
# step(a, p, before) returns the new states and the gates. `a` is x @ weight + bias of the input, `p` the same of the
# previous hidden state, and `before` holds the previous states: the hidden state, and for an LSTM the cell state.
# back(g, gates, before, after) returns the gradients of `a`, of `p` and of the previous states; the last without the
# part that flows through `p`, which the caller adds. All are pure NumPy expressions, which run on Tensors as well, for
# derivatives of higher order.


def _split(x: Any, *ends: int) -> list[Any]:
    """The last axis in parts. `ends` are where each part ends, in units of the hidden size."""
    size = x.shape[-1] // ends[-1]
    return [x[..., i * size : j * size] for i, j in zip((0, *ends), ends, strict=False)]


def _tanh_step(a: Any, p: Any, before: Any) -> Any:
    return (np.tanh(a + p),), None


def _tanh_back(g: Any, gates: Any, before: Any, after: Any) -> Any:
    d = g[0] * (1 - after[0] * after[0])
    return d, d, (0.0,)


def _relu_step(a: Any, p: Any, before: Any) -> Any:
    return (np.maximum(a + p, 0),), None


def _relu_back(g: Any, gates: Any, before: Any, after: Any) -> Any:
    d = g[0] * (after[0] > 0)
    return d, d, (0.0,)


def _gru_step(a: Any, p: Any, before: Any) -> Any:
    (a_rz, a_n), (p_rz, p_n) = _split(a, 2, 3), _split(p, 2, 3)
    r, z = _split(sigmoid(a_rz + p_rz), 1, 2)
    n = np.tanh(a_n + r * p_n)
    return ((1 - z) * n + z * before[0],), (r, z, n, p_n)


def _gru_back(g: Any, gates: Any, before: Any, after: Any) -> Any:
    r, z, n, p_n = gates
    d_n = g[0] * (1 - z) * (1 - n * n)
    d_z = g[0] * (before[0] - n) * z * (1 - z)
    d_r = d_n * p_n * r * (1 - r)
    return np.concatenate([d_r, d_z, d_n], axis=-1), np.concatenate([d_r, d_z, d_n * r], axis=-1), (g[0] * z,)


def _lstm_step(a: Any, p: Any, before: Any) -> Any:
    i_f, n, o = _split(a + p, 2, 3, 4)
    i, f = _split(sigmoid(i_f), 1, 2)
    n, o = np.tanh(n), sigmoid(o)
    c = f * before[1] + i * n
    return (o * np.tanh(c), c), (i, f, n, o)


def _lstm_back(g: Any, gates: Any, before: Any, after: Any) -> Any:
    i, f, n, o = gates
    t = np.tanh(after[1])
    d_c = g[1] + g[0] * o * (1 - t * t)
    d = np.concatenate(
        [d_c * n * i * (1 - i), d_c * before[1] * f * (1 - f), d_c * i * (1 - n * n), g[0] * t * o * (1 - o)], axis=-1
    )
    return d, d, (0.0, d_c * f)


class _Kind(NamedTuple):
    gates: int
    states: int
    step: Callable[..., Any]
    back: Callable[..., Any]


KINDS = {
    "tanh": _Kind(1, 1, _tanh_step, _tanh_back),
    "relu": _Kind(1, 1, _relu_step, _relu_back),
    "gru": _Kind(3, 1, _gru_step, _gru_back),
    "lstm": _Kind(4, 2, _lstm_step, _lstm_back),
}


# --- all steps as one operation --------------------------------------------------------------------------------------


def _step(a: Any, y: Any, weight: Any, bias: Any, kind: str, t: int) -> Any:
    """The new states after step t, and its gates."""
    return KINDS[kind].step(a[t], linear(y[0, t], weight, bias), y[:, t])


def _back(g: Any, y: Any, gates: list[Any], transposed: Any, kind: str) -> Any:
    """The gradients of a, of p and of the initial states, from the last step to the first."""
    d_as, d_ps, carried = [], [], [0.0] * len(y)
    for t in reversed(range(len(gates))):
        d_states = [g[i, t + 1] + carried[i] for i in range(len(y))]
        d_a, d_p, (direct, *others) = KINDS[kind].back(d_states, gates[t], y[:, t], y[:, t + 1])
        carried = [direct + d_p @ transposed, *others]
        d_as.append(d_a)
        d_ps.append(d_p)
    d_initial = np.stack([g[i, 0] + carried[i] for i in range(len(y))])
    stacked = np.stack(d_as[::-1])
    # Where a and p are only added, their gradients are the same.
    return stacked, stacked if d_p is d_a else np.stack(d_ps[::-1]), d_initial


def _recurrence_back(
    g: Any, y: Any, a: Any, weight: Any, bias: Any, needed: tuple[bool, ...], kind: str, saved: Any
) -> tuple[Any, ...]:
    """The gradients of a, initial, weight and bias."""
    if saved is None:
        gates, transposed = [_step(a, y, weight, bias, kind, t)[1] for t in range(len(a))], weight.T
    else:
        # Products with a contiguous matrix take 65 us instead of 88 for 64 x 512 x 128.
        gates, transposed = saved, np.ascontiguousarray(weight.T)
    to_a, to_p, to_initial = _back(g, y, gates, transposed, kind)
    return to_a, to_initial, rows(y[0, :-1]).T @ rows(to_p) if needed[2] else None, to_p


@differentiable(
    joint=lambda g, y, a, initial, weight, bias, *, needed, kind, saved: _recurrence_back(
        g, y, a, weight, bias, needed, kind, saved
    ),
    wide=True,
    cases=[
        Case("T n 2, 1 n 2, 2 2, 2", kwargs={"kind": "tanh"}),
        Case("T n 2, 1 n 2, 2 2, 2", kwargs={"kind": "relu"}, domains=(POSITIVE,)),  # away from the kink
        Case("T n 6, 1 n 2, 2 6, 6", kwargs={"kind": "gru"}),
        Case("T n 8, 2 n 2, 2 8, 8", kwargs={"kind": "lstm"}),
        Case("T 8, 2 2, 2 8, 8", kwargs={"kind": "lstm"}),
    ],
)
def recurrence(a: Array, initial: Array, weight: Array, bias: Array, kind: str) -> tuple[Array, list[Any]]:
    """The states, initial ones included, shape (states, steps + 1, ..., hidden); and the gates of each step.

    Args:
        a: the input's part of each pre-activation, shape (steps, ..., gates * hidden).
        initial: the initial states, shape (states, ..., hidden).
        weight, bias: of the hidden state's part, shapes (hidden, gates * hidden) and (gates * hidden,).
        kind: which of `KINDS`.
    """
    fits = a.ndim > 1 < initial.ndim and a.shape[1:-1] == initial.shape[1:-1]
    if not fits or bias.shape != a.shape[-1:] or weight.shape != (initial.shape[-1], a.shape[-1]):
        raise ValueError(
            "expected a of shape (steps, ..., n), initial of (states, ..., hidden), weight of (hidden, n), bias of (n,)"
        )
    if len(a) == 0:
        raise ValueError("expected at least one step")
    shape = (len(initial), len(a) + 1, *initial.shape[1:])
    y = np.empty(shape, np.result_type(a, initial, weight, bias))
    y[:, 0] = initial
    gates = []
    for t in range(len(a)):
        new, gates_of_step = _step(a, y, weight, bias, kind, t)
        for state, value in zip(y, new, strict=True):
            state[t + 1] = value
        gates.append(gates_of_step)
    return y, gates

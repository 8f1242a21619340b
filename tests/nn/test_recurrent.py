"""Recurrent cells and layers: derivatives, dtypes, equations, and what is refused."""

import math
from typing import Any

from tinygrad_np import Tensor, grad, nn
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

CELLS, LAYERS = (nn.RNNCell, nn.GRUCell, nn.LSTMCell), (nn.RNN, nn.GRU, nn.LSTM)
every_cell = pytest.mark.parametrize("kind", CELLS, ids=lambda kind: kind.__name__)
every_layer = pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)
every_kind = pytest.mark.parametrize("kind", CELLS + LAYERS, ids=lambda kind: kind.__name__)


def build(kind: Any, inputs: int, hidden: int, seed: int = 0, **options: Any) -> Any:
    return kind(inputs, hidden, rng=np.random.default_rng(seed), **options)


def normal(*shape: int, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


def flat(results: Any) -> list[Tensor]:
    return [leaf for r in results for leaf in flat(r)] if isinstance(results, tuple) else [results]


def states_of(kind: Any, *shape: int) -> list[np.ndarray]:
    return [0.5 * normal(*shape), -0.7 * normal(*shape)][: 2 if kind.__name__.startswith("LSTM") else 1]


@pytest.mark.parametrize("lengths", [None, [1, 2]])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "batch_first": True}], ids=str)
@every_layer
def test_derivatives_of_layers_to_second_order(kind: Any, options: dict[str, Any], lengths: list[int] | None) -> None:
    layer = build(kind, 2, 2, dtype=np.float64, **options)
    names = [name for name, _ in layer.named_tensors()]
    x, states = normal(2, 2, 2) if options else normal(3, 2, 2), states_of(kind, 4 if options else 1, 2, 2)

    def run(x: Tensor, *given: Tensor) -> Any:
        states, weights = given[: len(given) - len(names)], given[len(given) - len(names) :]
        for name, weight in zip(names, weights, strict=True):
            setattr(layer, name, weight)
        return tuple(flat(layer(x, states if len(states) == 2 else states[0], lengths=lengths)))

    check_gradients(run, x, *states, *(t.data for _, t in layer.named_tensors()), order=2, name=kind.__name__)


@every_cell
def test_derivatives_of_cells_to_second_order(kind: Any) -> None:
    cell = build(kind, 2, 3, dtype=np.float64)
    states = states_of(kind, 2, 3)
    check_gradients(
        lambda x, *states: tuple(flat(cell(x, states if len(states) == 2 else states[0]))),
        normal(2, 2),
        *states,
        order=2,
    )


def test_derivatives_of_relu_where_some_are_active() -> None:
    layer = build(nn.RNN, 2, 3, nonlinearity="relu", dtype=np.float64)
    x = normal(3, 2, 2)
    active = (layer(x)[0].data > 0).mean()
    assert 0.2 < active < 0.8
    check_gradients(lambda x: layer(x)[0], x, order=2)


@every_kind
def test_float32_stays_float32(kind: Any) -> None:
    module = build(kind, 3, 2)
    x = Tensor(normal(4, 3, dtype=np.float32), requires_grad=True)
    results = flat(module(x))
    first = grad(results, [x, *module.parameters()], [np.ones(y.shape) for y in results], create_graph=True)
    second = grad(sum((g * g).sum() for g in first), [x, *module.parameters()])
    assert {t.dtype for t in (*results, *first, *second, *flat(module([[1.0, 2.0, 3.0]])))} == {np.dtype(np.float32)}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@every_layer
def test_a_layer_is_its_equations_step_by_step(kind: Any) -> None:
    layer = build(kind, 3, 4, dtype=np.float64)
    w, u = layer.weight_ih_l0.data, layer.weight_hh_l0.data
    b, d = layer.bias_ih_l0.data, layer.bias_hh_l0.data
    x = normal(5, 2, 3)
    h, c = np.zeros((2, 4)), np.zeros((2, 4))
    outputs = []
    for element in x:
        a, p = np.split(element @ w + b, w.shape[1] // 4, -1), np.split(h @ u + d, w.shape[1] // 4, -1)
        if kind is nn.RNN:
            h = np.tanh(a[0] + p[0])
        elif kind is nn.GRU:
            r, z = sigmoid(a[0] + p[0]), sigmoid(a[1] + p[1])
            h = (1 - z) * np.tanh(a[2] + r * p[2]) + z * h
        else:
            i, f, n, o = (
                f(one + other) for f, one, other in zip((sigmoid, sigmoid, np.tanh, sigmoid), a, p, strict=True)
            )
            c = f * c + i * n
            h = o * np.tanh(c)
        outputs.append(h)
    found, last = layer(x)
    np.testing.assert_allclose(found.data, outputs, rtol=1e-13)
    for state, expected in zip(flat(last), (h, c), strict=False):
        np.testing.assert_allclose(state.data, expected[np.newaxis], rtol=1e-13)


@pytest.mark.parametrize(("cell_kind", "kind"), list(zip(CELLS, LAYERS, strict=True)), ids=lambda kind: kind.__name__)
def test_cells_step_by_step_are_a_layer(cell_kind: Any, kind: Any) -> None:
    cell, layer = build(cell_kind, 3, 4), build(kind, 3, 4)
    layer.load_state_dict({f"{name}_l0": array for name, array in cell.state_dict().items()})
    x, states = normal(5, 2, 3, dtype=np.float32), None
    for element in x:
        states = cell(element, states)
    for state, expected in zip(flat(states), flat(layer(x)[1]), strict=True):
        np.testing.assert_allclose(state.data, expected.data[0], rtol=1e-6)


@every_layer
def test_the_reverse_direction_reads_backwards(kind: Any) -> None:
    both, one = build(kind, 3, 4, bidirectional=True), build(kind, 3, 4)
    one.load_state_dict(
        {name.removesuffix("_reverse"): a for name, a in both.state_dict().items() if name.endswith("_reverse")}
    )
    x = normal(5, 2, 3, dtype=np.float32)
    np.testing.assert_array_equal(both(x)[0].data[..., 4:], one(x[::-1].copy())[0].data[::-1])


@pytest.mark.parametrize("bidirectional", [False, True])
@every_layer
def test_padded_sequences_are_read_as_each_one_alone(kind: Any, bidirectional: bool) -> None:
    layer = build(kind, 3, 4, num_layers=2, bidirectional=bidirectional, dtype=np.float64)
    x, lengths = normal(5, 3, 3), [3, 5, 1]
    for i, length in enumerate(lengths):
        x[length:, i] = np.nan  # what is in the padding does not count
    outputs, last = layer(x, lengths=lengths)
    loss = (outputs * outputs).sum() + sum((state * state).sum() for state in flat(last))
    gradients, alone = grad(loss, layer.parameters()), [np.zeros(p.shape) for p in layer.parameters()]
    for i, length in enumerate(lengths):
        found, its_last = layer(x[:length, i])
        np.testing.assert_allclose(outputs.data[:length, i], found.data, rtol=1e-12)
        assert not outputs.data[length:, i].any()
        for state, expected in zip(flat(last), flat(its_last), strict=True):
            np.testing.assert_allclose(state.data[:, i], expected.data, rtol=1e-12)
        loss = (found * found).sum() + sum((state * state).sum() for state in flat(its_last))
        alone = [a + g.data for a, g in zip(alone, grad(loss, layer.parameters()), strict=True)]
    for g, expected in zip(gradients, alone, strict=True):
        np.testing.assert_allclose(g.data, expected, rtol=1e-10, atol=1e-12)


@every_layer
def test_dropout_is_between_layers_and_in_training_only(kind: Any) -> None:
    layer, x = build(kind, 3, 4, num_layers=2, dropout=0.5), normal(6, 2, 3, dtype=np.float32)
    plain, first, second = build(kind, 3, 4, num_layers=2), build(kind, 3, 4), build(kind, 4, 4)
    plain.load_state_dict(layer.state_dict())
    for name, array in layer.state_dict().items():
        of = first if "_l0" in name else second
        getattr(of, name.replace("_l1", "_l0")).data = array.copy()
    again = np.random.default_rng(5)
    layer.rng = np.random.default_rng(5)
    hidden = first(x)[0]
    kept = again.random(hidden.shape, np.float32) >= 0.5
    np.testing.assert_allclose(layer(x)[0].data, second(hidden * kept * 2)[0].data, rtol=1e-5, atol=1e-6)
    assert 0.2 < kept.mean() < 0.8
    np.testing.assert_array_equal(layer.eval()(x)[0].data, plain(x)[0].data)


@every_layer
def test_two_gradients_of_one_graph_are_not_mixed_up(kind: Any) -> None:
    """What is remembered of one sweep back is not handed to another one."""
    layer, x = build(kind, 3, 4), normal(5, 2, 3, dtype=np.float32)
    y = layer(x)[0]
    seeds = normal(2, *y.shape, dtype=np.float32)
    together = [grad(y, layer.parameters(), seed, retain_graph=True) for seed in seeds]
    for seed, found in zip(seeds, together, strict=True):
        alone = grad(layer(x)[0], layer.parameters(), seed)
        for g, expected in zip(found, alone, strict=True):
            np.testing.assert_array_equal(g.data, expected.data)


@every_layer
def test_a_layer_takes_long_sequences_and_empty_batches(kind: Any) -> None:
    layer = build(kind, 1, 2)
    layer(np.ones((5000, 1), np.float32))[0].sum().backward()
    assert all(np.isfinite(p.grad.data).all() for p in layer.parameters())
    x = Tensor(np.ones((3, 0, 1), np.float32), requires_grad=True)
    outputs, _ = layer(x)
    assert grad(outputs.sum(), x).shape == (3, 0, 1)


@every_kind
def test_initial_weights_are_uniform_and_repeatable(kind: Any) -> None:
    module, again = build(kind, 30, 100), build(kind, 30, 100)
    values = np.concatenate([p.data.ravel() for p in module.parameters()])
    bound = 1 / math.sqrt(100)
    assert 0.99 * bound < np.abs(values).max() <= np.float32(bound)
    assert values.std() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    for a, b in zip(module.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def test_parameters_have_pytorchs_names() -> None:
    assert list(build(nn.LSTM, 3, 4, num_layers=2, bidirectional=True).state_dict()) == [
        f"{name}_l{layer}{direction}"
        for layer in (0, 1)
        for direction in ("", "_reverse")
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    assert {name: a.shape for name, a in build(nn.GRUCell, 3, 4, bias=False).state_dict().items()} == {
        "weight_ih": (3, 12),
        "weight_hh": (4, 12),
    }


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (nn.LSTM, {"input_size": 0}, "LSTM: input_size must be a positive integer, not 0"),
        (nn.GRUCell, {"hidden_size": 1.5}, "GRUCell: hidden_size must be a positive integer, not 1.5"),
        (nn.GRU, {"num_layers": 0}, "GRU: num_layers must be a positive integer, not 0"),
        (nn.RNN, {"nonlinearity": "gru"}, "RNN: nonlinearity must be 'tanh' or 'relu', not 'gru'"),
        (nn.RNNCell, {"nonlinearity": None}, "RNNCell: nonlinearity must be 'tanh' or 'relu', not None"),
        (nn.LSTM, {"bias": "no"}, "LSTM: bias must be True or False, not 'no'"),
        (nn.LSTM, {"batch_first": 1}, "LSTM: batch_first must be True or False, not 1"),
        (nn.LSTM, {"bidirectional": None}, "LSTM: bidirectional must be True or False, not None"),
        (nn.LSTM, {"rng": np.random}, "LSTM: rng must be a np.random.Generator, not module"),
        (nn.LSTM, {"dtype": int}, "LSTM: dtype must be floating point, not int64"),
        (
            nn.LSTM,
            {"dropout": 0.5},
            "LSTM: dropout=0.5 is for what goes from one layer to the next, and num_layers is 1",
        ),
        (nn.RNN, {"dropout": 1.0, "num_layers": 2}, "RNN: dropout must be at least 0 and below 1, not 1.0"),
    ],
)
def test_impossible_options_are_refused(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        kind(**{"input_size": 3, "hidden_size": 4, "rng": np.random.default_rng(0)} | options)


def test_what_does_not_fit_is_refused() -> None:
    lstm, first, cell = (
        build(nn.LSTM, 3, 4, num_layers=2),
        build(nn.GRU, 3, 4, batch_first=True),
        build(nn.LSTMCell, 3, 4),
    )
    x, h = np.ones((5, 2, 3)), np.ones((2, 2, 4))
    with pytest.raises(
        ValueError, match=r"LSTM: expected x of shape \(steps, batch, 3\) or \(steps, 3\).*not \(5, 2, 4\)"
    ):
        lstm(np.ones((5, 2, 4)))
    with pytest.raises(ValueError, match=r"at least one step, not \(0, 2, 3\)"):
        lstm(np.ones((0, 2, 3)))
    with pytest.raises(ValueError, match=r"GRU: expected x of shape \(batch, steps, 3\) .* not \(2, 0, 3\)"):
        first(np.ones((2, 0, 3)))
    with pytest.raises(ValueError, match=r"not \(3,\)"):
        lstm(np.ones(3))
    with pytest.raises(ValueError, match=r"LSTM: the initial c must have shape \(2, 2, 4\), not \(1, 2, 4\)"):
        lstm(x, (h, h[:1]))
    with pytest.raises(ValueError, match=r"GRU: the initial h must have shape \(1, 5, 4\), not \(2, 2, 4\)"):
        first(x, h)
    for lengths, message in [
        ([1, 2, 3], r"LSTM: lengths must have shape \(2,\), one for each sequence, not \(3,\)"),
        ([0, 2], "LSTM: lengths must be from 1 to 5, the number of steps, not 0"),
        ([2, 6], "LSTM: lengths must be from 1 to 5, the number of steps, not 6"),
        ([2.0, 1.0], "LSTM: lengths must be integers"),
    ]:
        with pytest.raises(ValueError, match=message):
            lstm(x, lengths=lengths)
    with pytest.raises(ValueError, match=r"LSTM: lengths are those of several sequences; write x\[:length\]"):
        lstm(x[:, 0], lengths=[5])
    for hx in (h, (h,), (h, h, h)):
        with pytest.raises(TypeError, match="LSTM: hx must be a tuple of two states"):
            lstm(x, hx)
    with pytest.raises(ValueError, match=r"LSTMCell: expected x of shape \(batch, 3\) or \(3,\), not \(5, 2, 3\)"):
        cell(x)
    with pytest.raises(ValueError, match=r"LSTMCell: the initial h must have shape \(2, 4\), not \(4,\)"):
        cell(np.ones((2, 3)), (np.ones(4), np.ones(4)))


def test_layers_print_as_they_are_built() -> None:
    assert repr(build(nn.RNNCell, 3, 4, nonlinearity="relu")) == "RNNCell(3, 4, nonlinearity='relu')"
    assert repr(build(nn.LSTM, 3, 4, bidirectional=True)) == "LSTM(3, 4, bidirectional=True)"
    assert repr(build(nn.GRU, 3, 4, num_layers=2, bias=False)) == "GRU(3, 4, num_layers=2, bias=False)"
    assert repr(build(nn.RNN, 3, 4, num_layers=2, dropout=0.1)) == "RNN(3, 4, num_layers=2, dropout=0.1)"

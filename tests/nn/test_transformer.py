"""Layers of a transformer: derivatives, masks, dropout, stacks, and what is refused."""

from typing import Any

from tinygrad_np import Tensor, grad, nn, no_grad
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

X = np.random.default_rng(0).normal(size=(2, 5, 4))
MEMORY = np.random.default_rng(1).normal(size=(2, 3, 4))
both_norms = pytest.mark.parametrize("norm_first", [False, True])


def encoder(**options: Any) -> nn.TransformerEncoderLayer:
    given = {"dim_feedforward": 6, "dropout": 0.0, "dtype": np.float64, "rng": np.random.default_rng(0)}
    return nn.TransformerEncoderLayer(4, 2, **given | options)


def decoder(**options: Any) -> nn.TransformerDecoderLayer:
    given = {"dim_feedforward": 6, "dropout": 0.0, "dtype": np.float64, "rng": np.random.default_rng(0)}
    return nn.TransformerDecoderLayer(4, 2, **given | options)


@both_norms
def test_derivatives_to_second_order(norm_first: bool) -> None:
    first, second = (
        encoder(norm_first=norm_first, activation="gelu"),
        decoder(norm_first=norm_first, activation=np.tanh),
    )
    x, memory = X[:1, :3], MEMORY[:1, :2]
    check_gradients(lambda x: first(x, is_causal=True), x, order=2)
    check_gradients(lambda x, m: second(x, m, tgt_is_causal=True), x, memory, order=2)
    loss = (second(x, first(memory)) ** 2).sum()
    assert all(g.data.any() for g in grad(loss, [*first.parameters(), *second.parameters()]))


def standardized(x: np.ndarray) -> np.ndarray:
    return np.asarray((x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5))


@both_norms
def test_an_encoder_layer_is_its_equations(norm_first: bool) -> None:
    layer = encoder(norm_first=norm_first)

    def attend(x: np.ndarray) -> Any:
        return layer.self_attn(x, x, x)[0].data

    def network(x: np.ndarray) -> Any:
        return layer.linear2(np.maximum(layer.linear1(x).data, 0)).data

    if norm_first:
        x = X + attend(standardized(X))
        expected = x + network(standardized(x))
    else:
        x = standardized(X + attend(X))
        expected = standardized(x + network(x))
    np.testing.assert_allclose(layer(X).data, expected, rtol=1e-10)


def test_masks() -> None:
    first, second, padding = encoder(), decoder(), np.zeros((2, 5), bool)
    padding[:, 3:] = True
    changed = X.copy()
    changed[:, 3:] = 9
    later = np.arange(5) > np.arange(5)[:, np.newaxis]
    for masks in ({"is_causal": True}, {"src_mask": later}, {"src_key_padding_mask": padding}):
        np.testing.assert_allclose(first(X, **masks).data[:, :3], first(changed, **masks).data[:, :3], rtol=1e-12)
        assert (first(X, **masks).data[:, :3] != first(X).data[:, :3]).any()
    for masks in ({"tgt_is_causal": True}, {"tgt_mask": later}, {"tgt_key_padding_mask": padding}):
        found, expected = second(X, MEMORY, **masks), second(changed, MEMORY, **masks)
        np.testing.assert_allclose(found.data[:, :3], expected.data[:, :3], rtol=1e-12)
    changed = MEMORY.copy()
    changed[:, 2:] = 9
    for masks in (
        {"memory_mask": np.array([[False, False, True]] * 5)},
        {"memory_key_padding_mask": changed[..., 0] == 9},
    ):
        np.testing.assert_allclose(second(X, MEMORY, **masks).data, second(X, changed, **masks).data, rtol=1e-12)
    ours, theirs = second(X, MEMORY, memory_is_causal=True).data, second(X, changed, memory_is_causal=True).data
    np.testing.assert_allclose(ours[:, :2], theirs[:, :2], rtol=1e-12)
    assert (ours[:, 2:] != theirs[:, 2:]).any()


@pytest.mark.parametrize("make", [encoder, decoder])
def test_dropout_is_in_training_only_and_repeatable(make: Any) -> None:
    layer, plain = make(dropout=0.5), make()
    given = (X, MEMORY)[: 1 + (make is decoder)]
    layer.load_state_dict(plain.state_dict())
    results = []
    for _ in range(2):
        layer.rng = layer.self_attn.rng = np.random.default_rng(3)
        if make is decoder:
            layer.multihead_attn.rng = layer.rng
        results.append(layer(*given).data)
    np.testing.assert_array_equal(*results)
    assert (results[0] != plain(*given).data).any()
    np.testing.assert_array_equal(layer.eval()(*given).data, plain(*given).data)


def test_dropped_attention_weights_are_the_others_scaled() -> None:
    rng = np.random.default_rng(0)
    attention = nn.MultiheadAttention(4, 2, dropout=0.25, rng=rng, dtype=np.float64)
    _, every = attention.eval()(X, X, X)
    attention.train().rng = np.random.default_rng(1)
    output, weights = attention(X, X, X)
    kept = np.random.default_rng(1).random((2, 2, 5, 5), np.float32) >= 0.25
    assert 0.5 < kept.mean() < 0.95
    assert not weights.data[~kept.any(axis=1)].any()
    np.testing.assert_allclose(weights.data[kept.all(axis=1)], every.data[kept.all(axis=1)] / 0.75, rtol=1e-12)
    attention.rng = np.random.default_rng(1)
    np.testing.assert_array_equal(attention(X, X, X, need_weights=False)[0].data, output.data)


def test_stacks() -> None:
    norm = nn.LayerNorm(4, dtype=np.float64)
    stack = nn.TransformerEncoder(encoder(), 3, norm)
    first, second, third = stack.layers
    np.testing.assert_array_equal(
        stack(X, is_causal=True).data,
        norm(third(second(first(X, is_causal=True), is_causal=True), is_causal=True)).data,
    )
    assert (first.linear1.weight.data != second.linear1.weight.data).any()
    assert {repr(layer) for layer in stack.layers} == {repr(encoder())}
    decoders = nn.TransformerDecoder(decoder(norm_first=True, bias=False, activation="gelu"), 2)
    assert {repr(layer) for layer in decoders.layers} == {
        "TransformerDecoderLayer(4, 2, dim_feedforward=6, dropout=0.0, activation='gelu', norm_first=True, bias=False)"
    }
    one, two = decoders.layers
    np.testing.assert_array_equal(decoders(X, MEMORY).data, two(one(X, MEMORY), MEMORY).data)
    assert list(nn.TransformerEncoder(encoder(), 1).state_dict())[:2] == [
        "layers.0.self_attn.in_proj_weight",
        "layers.0.self_attn.in_proj_bias",
    ]


def test_float32_stays_float32() -> None:
    layer, x = encoder(dtype=np.float32, dropout=0.1), Tensor(X.astype(np.float32), requires_grad=True)
    y = layer(x)
    assert {t.dtype for t in (y, *grad(y.sum(), [x, *layer.parameters()]))} == {np.dtype(np.float32)}
    with no_grad():
        assert decoder(dtype=np.float32)(X.astype(np.float32), MEMORY.astype(np.float32)).dtype == np.float32


def test_what_does_not_fit_is_refused() -> None:
    for call, message in [
        (
            lambda: encoder()(X[..., :3]),
            r"TransformerEncoderLayer: expected x of shape \(batch, length, 4\).*\(2, 5, 3\)",
        ),
        (lambda: decoder()(X, MEMORY[0, 0]), r"TransformerDecoderLayer: expected memory of shape .*, not \(4,\)"),
        (lambda: decoder()(X, MEMORY[:1]), "MultiheadAttention: expected query of shape"),
        (lambda: encoder(activation=nn.GELU), r"activation must be 'relu', 'gelu' or a function, .*; write GELU\(\)"),
        (lambda: nn.TransformerEncoderLayer(4, 3, rng=np.random.default_rng(0)), "nhead must divide d_model, and 3"),
        (
            lambda: nn.TransformerEncoder(encoder(), 0),
            "TransformerEncoder: num_layers must be a positive integer, not 0",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            call()  # type: ignore[no-untyped-call]
    for make, message in [
        (lambda: nn.TransformerEncoder(decoder(), 2), "layer must be a TransformerEncoderLayer, not .*ModuleList"),
        (lambda: nn.TransformerDecoder(decoder(), 2, norm=True), r"norm must be a layer, such as nn.LayerNorm\(4\)"),
        (lambda: encoder()(X, src_mask=np.zeros((5, 5))), "attn_mask must be boolean"),
    ]:
        with pytest.raises(TypeError, match=message):
            make()  # type: ignore[no-untyped-call]

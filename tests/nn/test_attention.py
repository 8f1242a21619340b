"""Attention and positions: derivatives, dtypes, what masks mean, and what is refused."""

from typing import Any

from tinygrad_np import Tensor, grad, nn
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest
from machine import blas_threads

attend = nn.scaled_dot_product_attention


def normal(*shape: int, seed: int = 0, dtype: type = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def build(size: int = 4, heads: int = 2, **options: Any) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(size, heads, rng=np.random.default_rng(0), **{"dtype": np.float64} | options)


@pytest.mark.parametrize("mask", [None, np.array([[True, False, True], [True, True, True]])], ids=["all", "masked"])
def test_derivatives_to_second_order(mask: np.ndarray | None) -> None:
    q, k, v = normal(2, 2, 3), normal(2, 3, 3, seed=1), normal(2, 3, 2, seed=2)
    check_gradients(lambda *given: attend(*given, mask=mask), q, k, v, order=2)
    layer = build()
    names = [name for name, _ in layer.named_tensors()]

    def run(x: Tensor, *weights: Tensor) -> Any:
        for name, weight in zip(names, weights, strict=True):
            owner, _, name = name.rpartition(".")
            setattr(layer.out_proj if owner else layer, name, weight)
        return layer(x, x, x, is_causal=True, key_padding_mask=np.array([[False, True, False]]))

    check_gradients(run, normal(1, 3, 4), *(t.data for _, t in layer.named_tensors()), order=2)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("same", [False, True], ids=["three inputs", "one input"])
@pytest.mark.parametrize(
    ("batch", "length", "heads", "dtype"),
    [
        ((3,), 5, 2, np.float64),
        ((), 6, 4, np.float64),
        ((40,), 64, 2, np.float32),  # pieces of the batch
        (
            (2,),
            300,
            4,
            np.float32,
        ),  # pieces of the heads, whose products are larger than those that NumPy's matmul does
    ],
)
def test_outputs_and_gradients_are_the_same_with_the_weights_and_without(
    batch: tuple[int, ...], length: int, heads: int, dtype: type, same: bool, masked: bool
) -> None:
    layer = build(16 * heads, heads, dtype=dtype)
    given = [Tensor(normal(*batch, length, 16 * heads, seed=i, dtype=dtype), requires_grad=True) for i in range(3)]
    if same:
        given = given[:1] * 3
    mask = {"attn_mask": normal(length, length, seed=4) > 0, "is_causal": True} if masked else {}
    seed = normal(*batch, length, 16 * heads, seed=5, dtype=dtype)
    found, right = (
        (y, *grad(y, [*given, *layer.parameters()], seed))
        for y in (layer(*given, need_weights=need_weights, **mask)[0] for need_weights in (False, True))
    )
    for a, b in zip(found, right, strict=True):
        size = float(np.max(np.abs(b.data)))
        np.testing.assert_allclose(a.data, b.data, rtol=0, atol=20 * np.finfo(dtype).eps * max(1, size))


def test_the_number_of_threads_changes_no_bits() -> None:
    x = Tensor(normal(40, 64, 32, dtype=np.float32), requires_grad=True)
    found = []
    for count in (1, 2, 4):
        with blas_threads(count):
            y = attend(x, x, x, is_causal=True)
            found.append([y.data, grad(y, x, y.data).data])
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def test_derivatives_to_second_order_where_one_input_comes_from_another() -> None:
    def run(x: Tensor) -> Any:
        y = np.tanh(x)
        return attend(x, y, y * x), attend(y, x, x, is_causal=True), attend(x, x, x)

    check_gradients(run, normal(2, 3, 2), order=2)


def test_derivatives_of_positions_to_second_order() -> None:
    check_gradients(lambda x: nn.rotary(x, [0, 3, 7]), normal(2, 3, 4), order=2)
    learned = nn.LearnedPositionalEncoding(4, 5, rng=np.random.default_rng(0), dtype=np.float64)

    def run(x: Tensor, weight: Tensor) -> Tensor:
        learned.weight = weight
        return learned(x) * learned(x)

    check_gradients(run, normal(2, 3, 4), learned.weight.data, order=2)


def test_float32_stays_float32() -> None:
    layer, x = build(dtype=np.float32), Tensor(normal(2, 3, 4, dtype=np.float32), requires_grad=True)
    encodings = [nn.SinusoidalPositionalEncoding(4), nn.LearnedPositionalEncoding(4, 5, rng=np.random.default_rng(0))]
    results = [*layer(x, x, x, is_causal=True), attend(x, x, x, is_causal=True), nn.rotary(x, np.arange(3))]
    results += [encoding(x) for encoding in encodings]
    sources = [x, *layer.parameters(), *encodings[1].parameters()]
    gradients = grad(results, sources, [np.ones(y.shape) for y in results], create_graph=True)
    assert {t.dtype for t in (*results, *gradients)} == {np.dtype(np.float32)}


def test_weights_are_probabilities_of_the_keys_that_may_be_seen() -> None:
    layer, x = build(), normal(3, 5, 4)
    padding, blocked = np.zeros((3, 5), bool), np.random.default_rng(1).random((5, 5)) < 0.3
    padding[0, 3:] = True
    blocked[:, 0] = False
    _, weights = layer(x, x, x, key_padding_mask=padding, attn_mask=blocked, is_causal=True)
    np.testing.assert_allclose(weights.data.sum(axis=-1), 1, rtol=1e-12)
    may_not = padding[:, np.newaxis] | blocked | ~np.tri(5, dtype=bool)
    assert not weights.data[may_not].any()
    assert weights.data[~may_not].all()
    assert layer(x, x, x, need_weights=False)[1] is None


def test_a_causal_query_does_not_depend_on_later_keys() -> None:
    layer, x = build(), normal(2, 5, 4)
    later = x.copy()
    later[:, 3:] = 9
    before, after = (layer(y, y, y, is_causal=True)[0].data for y in (x, later))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert (before[:, 3:] != after[:, 3:]).any()


def test_an_ignored_key_might_as_well_not_be_there() -> None:
    layer, x = build(), normal(2, 5, 4)
    padding = np.zeros((2, 5), bool)
    padding[:, 3:] = True
    np.testing.assert_allclose(
        layer(x, x, x, key_padding_mask=padding)[0].data, layer(x, x[:, :3], x[:, :3])[0].data, rtol=1e-12
    )


def test_masks_may_be_tensors_and_differ_from_head_to_head() -> None:
    layer, x = build(), normal(1, 2, 4)
    blocked = np.array([[[False, True], [False, True]], [[True, False], [True, False]]])  # one head sees one key each
    _, weights = layer(x, x, x, attn_mask=Tensor(blocked))
    np.testing.assert_array_equal(weights.data, np.full((1, 2, 2), 0.5))
    np.testing.assert_array_equal(layer(x[0], x[0], x[0], attn_mask=blocked)[1].data, np.full((2, 2), 0.5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_query_that_may_see_nothing_gets_zeros(dtype: type) -> None:
    q, k, v = (Tensor(normal(2, 3, 4, seed=i, dtype=dtype), requires_grad=True) for i in range(3))
    mask = np.zeros((2, 3, 3), bool)
    mask[0, 1] = True
    output = attend(q, k, v, mask=mask)
    assert not output.data[0, 1].any()
    gradients = grad(output.sum(), [q, k, v], create_graph=True)
    second = grad(sum((g * g).sum() for g in gradients), [q, k, v])
    assert all(np.isfinite(g.data).all() for g in (*gradients, *second))
    assert not gradients[0].data[0, 1].any()
    layer, x = build(dtype=dtype), normal(2, 3, 4, dtype=dtype)
    layer.out_proj.bias = Tensor(np.arange(4.0), dtype=dtype)
    output, weights = layer(x, x, x, key_padding_mask=np.array([[True] * 3, [False] * 3]))
    np.testing.assert_array_equal(output.data[0], np.tile(np.arange(4), (3, 1)))
    assert not weights.data[0].any()


def test_there_may_be_no_keys_and_scores_may_be_huge() -> None:
    assert not attend(Tensor(np.ones((2, 3))), np.ones((0, 3)), np.ones((0, 4))).data.any()
    q = Tensor(np.array([[1e30, 0.0]], np.float32), requires_grad=True)
    y = attend(q, np.eye(2, dtype=np.float32), np.array([[1.0], [2.0]], np.float32), mask=np.array([True, False]))
    assert y.item() == 2
    assert np.isfinite(grad(y, q).data).all()


def test_without_bias_there_are_two_parameters() -> None:
    assert {name: a.shape for name, a in build().state_dict().items()} == {
        "in_proj_weight": (4, 12),
        "in_proj_bias": (12,),
        "out_proj.weight": (4, 4),
        "out_proj.bias": (4,),
    }
    layer = build(bias=False)
    assert list(layer.state_dict()) == ["in_proj_weight", "out_proj.weight"]
    assert repr(layer) == "MultiheadAttention(4, 2, bias=False)"
    large = build(100, 4)
    for weight, bound in ((large.in_proj_weight, np.sqrt(6 / 400)), (large.out_proj.weight, np.sqrt(6 / 200))):
        assert weight.data.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"key_padding_mask": np.zeros((2, 3))}, TypeError, "key_padding_mask must be boolean, .* not float64"),
        ({"attn_mask": np.zeros((3, 3), int)}, TypeError, "attn_mask must be boolean, .* not int64"),
        ({"key_padding_mask": np.zeros((3, 2), bool)}, ValueError, r"must have shape \(2, 3\), not \(3, 2\)"),
        ({"attn_mask": np.zeros((2, 3), bool)}, ValueError, r"must have shape \(3, 3\) or \(4, 3, 3\), not \(2, 3\)"),
        ({"attn_mask": np.zeros((2, 3, 3), bool)}, ValueError, r"\(3, 3\) or \(4, 3, 3\), not \(2, 3, 3\)"),
    ],
)
def test_masks_that_do_not_fit_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    x = normal(2, 3, 4)
    with pytest.raises(error, match=f"MultiheadAttention: .*{message}"):
        build()(x, x, x, **options)


def test_what_does_not_fit_is_refused() -> None:
    x, y = normal(2, 3, 4), normal(2, 5, 4)
    for given in (
        (x, y, x),
        (x, y[:1], y[:1]),
        (x, x[0], x[0]),
        (x[0, 0],) * 3,
        (x[np.newaxis],) * 3,
        (x[..., :3],) * 3,
    ):
        with pytest.raises(ValueError, match=r"MultiheadAttention: expected query of shape \(batch, queries, 4\) or"):
            build()(*given)
    with pytest.raises(ValueError, match="num_heads must divide embed_dim, and 3 does not divide 4"):
        build(4, 3)
    with pytest.raises(ValueError, match="num_heads must be a positive integer, not 0"):
        build(4, 0)
    with pytest.raises(ValueError, match="bias must be True or False"):
        build(bias=None)
    with pytest.raises(
        ValueError, match=r"scaled_dot_product_attention: expected q .* not \(2, 3, 4\), \(2, 5, 4\) and"
    ):
        attend(x, y, x)
    with pytest.raises(ValueError, match=r"a mask of shape \(3, 3\) does not broadcast to \(2, 3, 5\)"):
        attend(x, y, y, mask=np.zeros((3, 3), bool))
    with pytest.raises(ValueError, match=r"a mask of shape \(7, 1, 3, 5\) does not broadcast to \(2, 3, 5\)"):
        attend(x, y, y, mask=np.zeros((7, 1, 3, 5), bool))
    with pytest.raises(TypeError, match="mask must be boolean, True where attention is not allowed, not float64"):
        attend(x, y, y, mask=np.zeros((3, 5)))
    with pytest.raises(TypeError, match="positional"):
        attend(x, y, y, np.zeros((3, 5), bool))  # where PyTorch's would mean the opposite


def test_sinusoids_are_those_of_the_paper() -> None:
    table = nn.SinusoidalPositionalEncoding(6, 50, dtype=np.float64)(np.zeros((50, 6)))
    for position in (0, 1, 49):
        for i in range(3):
            angle = position / 10000 ** (2 * i / 6)
            np.testing.assert_allclose(table[position, 2 * i : 2 * i + 2], (np.sin(angle), np.cos(angle)), atol=1e-14)
    odd = nn.SinusoidalPositionalEncoding(3, 4)
    assert odd(np.zeros((2, 3), np.float32)).shape == (2, 3)
    assert odd.state_dict() == {}


def test_learned_positions_start_small_and_are_trained() -> None:
    layer = nn.LearnedPositionalEncoding(100, 200, rng=np.random.default_rng(0))
    assert layer.weight.data.std() == pytest.approx(0.02, rel=0.02)
    assert repr(layer) == "LearnedPositionalEncoding(100, 200)"
    layer(np.ones((5, 3, 100), np.float32)).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.data[:, 0], [5.0] * 3 + [0.0] * 197)


@pytest.mark.parametrize("shape", [(4, 5), (3, 7, 4), (4,)])
def test_sequences_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    for layer in (
        nn.SinusoidalPositionalEncoding(4, 6),
        nn.LearnedPositionalEncoding(4, 6, rng=np.random.default_rng(0)),
    ):
        with pytest.raises(ValueError, match=r"expected x of shape \(..., length, 4\) with a length of at most 6, not"):
            layer(np.ones(shape))


def test_rotary_scores_depend_on_relative_positions_only() -> None:
    q, k = normal(8), normal(8, seed=1)

    def score(i: int, j: int) -> float:
        return float(nn.rotary(q[np.newaxis], [i])[0] @ nn.rotary(k[np.newaxis], [j])[0])

    assert score(5, 2) == pytest.approx(score(13, 10), rel=1e-12)
    assert score(5, 2) != pytest.approx(score(5, 3), rel=1e-3)
    x = normal(2, 3, 4, 6)
    y = nn.rotary(x, np.arange(4, dtype=np.uint8))
    np.testing.assert_allclose(np.linalg.norm(y, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-12)
    np.testing.assert_array_equal(y[..., 0, :], x[..., 0, :])
    np.testing.assert_allclose(nn.rotary(x, [[0]], base=100.0), x)


def test_pairs_are_turned_by_the_angles_of_the_paper() -> None:
    x = normal(3, 4)
    y = nn.rotary(x, [0, 2.5, 9], base=100.0)
    for row, position in enumerate((0, 2.5, 9)):
        for i, frequency in enumerate((1.0, 0.1)):
            turned = complex(*x[row, 2 * i : 2 * i + 2]) * np.exp(1j * position * frequency)
            np.testing.assert_allclose(complex(*y[row, 2 * i : 2 * i + 2]), turned, rtol=1e-12)


def test_rotary_refuses_what_does_not_fit() -> None:
    x = Tensor(np.ones((2, 3, 4)), requires_grad=True)
    for bad, positions in ((x[..., :3], [0, 1, 2]), (x, [0, 1]), (x, np.zeros((2, 2, 3)))):
        with pytest.raises(
            ValueError, match=r"rotary of float64.*expected x of shape \(..., length, features\), with an even"
        ):
            nn.rotary(bad, positions)
    with pytest.raises(TypeError, match="rotary of .*: x must be floating point, not int64"):
        nn.rotary(Tensor(np.ones((3, 4), int)), [0, 1, 2])

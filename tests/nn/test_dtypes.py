"""Input of another dtype than the weights: the result is of NumPy's dtype, and float64 is pointed out once."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_np import Tensor, grad, nn, optim
from tinygrad_np.nn import module

import numpy as np
import pytest

MAKE: dict[str, tuple[Callable[..., nn.Module], Callable[[int], tuple[int, ...]]]] = {
    "Linear": (lambda n, **kw: nn.Linear(n, n, **kw), lambda n: (3, n)),
    "Linear of a sequence": (lambda n, **kw: nn.Linear(n, n, bias=False, **kw), lambda n: (2, 3, n)),
    "Conv1d": (lambda n, **kw: nn.Conv1d(2, n, 3, **kw), lambda n: (2, 2, 5)),
    "Conv2d": (lambda n, **kw: nn.Conv2d(2, n, 3, bias=False, **kw), lambda n: (2, 2, 4, 4)),
    "Conv3d": (lambda n, **kw: nn.Conv3d(2, n, 2, **kw), lambda n: (1, 2, 2, 2, 3)),
    "ConvTranspose1d": (lambda n, **kw: nn.ConvTranspose1d(2, n, 3, stride=2, **kw), lambda n: (2, 2, 3)),
    "ConvTranspose2d": (lambda n, **kw: nn.ConvTranspose2d(2, n, 2, bias=False, **kw), lambda n: (2, 2, 2, 2)),
    "RNN": (lambda n, **kw: nn.RNN(n, n, num_layers=2, bidirectional=True, **kw), lambda n: (2, 3, n)),
    "GRU": (lambda n, **kw: nn.GRU(n, n, batch_first=True, **kw), lambda n: (2, 3, n)),
    "LSTM": (lambda n, **kw: nn.LSTM(n, n, bias=False, **kw), lambda n: (2, 3, n)),
    "RNNCell": (lambda n, **kw: nn.RNNCell(n, n, **kw), lambda n: (2, n)),
    "GRUCell": (lambda n, **kw: nn.GRUCell(n, n, **kw), lambda n: (2, n)),
    "LSTMCell": (lambda n, **kw: nn.LSTMCell(n, n, **kw), lambda n: (2, n)),
    "MultiheadAttention": (lambda n, **kw: nn.MultiheadAttention(n, 2, **kw), lambda n: (2, 3, n)),
    "LayerNorm": (lambda n, rng, **kw: nn.LayerNorm(n, **kw), lambda n: (3, n)),
    "RMSNorm": (lambda n, rng, **kw: nn.RMSNorm(n, **kw), lambda n: (3, n)),
    "BatchNorm1d": (lambda n, rng, **kw: nn.BatchNorm1d(n, **kw), lambda n: (3, n)),
    "BatchNorm2d": (lambda n, rng, **kw: nn.BatchNorm2d(2, **kw), lambda n: (2, 2, 3, 4)),
    "GroupNorm": (lambda n, rng, **kw: nn.GroupNorm(2, n, **kw), lambda n: (3, n)),
    "InstanceNorm1d": (lambda n, rng, **kw: nn.InstanceNorm1d(2, affine=True, **kw), lambda n: (3, 2, n)),
    "LearnedPositionalEncoding": (lambda n, **kw: nn.LearnedPositionalEncoding(n, 9, **kw), lambda n: (2, 3, n)),
}
HINTED = [name for name in MAKE if "Norm" not in name and "Encoding" not in name]
OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.01),
    "SGD with momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: optim.Adam(p),
    "AdamW": lambda p: optim.AdamW(p, weight_decay=0.01),
    "RMSprop": lambda p: optim.RMSprop(p),
    "Adagrad": lambda p: optim.Adagrad(p),
}
SIZES = [4, 90, 92]  # 90 * 90 elements are fewer than 8,192, from which on a product waits; 92 * 92 are more
TRAINED = [
    (name, kind, n)
    for name in (*MAKE, "Embedding")
    for kind in OPTIMIZERS
    for n in SIZES
    if name == "Linear" or kind == "SGD" or n == 4
]


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[warnings.WarningMessage]]:
    """The hints that are given, from the first of the process on."""
    monkeypatch.setattr(module, "_hinted", False)
    with warnings.catch_warnings(record=True, action="always") as caught:
        yield caught


def outputs_of(layer: nn.Module, x: Any) -> Any:
    y = layer(x, x, x) if isinstance(layer, nn.MultiheadAttention) else layer(x)
    return y[0] if isinstance(y, tuple) else y


def made(name: str, n: int, dtype: type = np.float32) -> nn.Module:
    return MAKE[name][0](n, rng=np.random.default_rng(0), dtype=dtype)


def given(name: str, n: int, dtype: type) -> np.ndarray:
    return np.random.default_rng(1).integers(-3, 4, MAKE[name][1](n)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.int64, np.bool_])
@pytest.mark.parametrize("name", MAKE)
def test_results_and_gradients_are_those_of_the_dtype_that_numpy_gives(name: str, dtype: type, hints: Any) -> None:
    if "Norm" in name and dtype not in (np.float16, np.float64):
        with pytest.raises(TypeError, match="must be floating point"):
            outputs_of(made(name, 4), given(name, 4, dtype))
        return
    layer, x = made(name, 4), given(name, 4, dtype)
    wide = np.result_type(dtype, np.float32)
    reference = made(name, 4, np.float64)
    reference.load_state_dict(layer.state_dict())
    y, expected = outputs_of(layer, x), outputs_of(reference, x.astype(np.float64))
    assert y.dtype == wide
    rtol = 1e-9 if wide == np.float64 and "Norm" not in name and "Encoding" not in name else 1e-3
    np.testing.assert_allclose(y.data, expected.data, rtol=rtol, atol=rtol)
    found = grad((y * y).sum(), layer.parameters())
    for g, e in zip(found, grad((expected * expected).sum(), reference.parameters()), strict=True):
        assert g.dtype == np.float32
        tolerance = 3e-2 if "Norm" in name and dtype is np.float16 else 1e-3
        np.testing.assert_allclose(g.data, e.data, rtol=tolerance, atol=tolerance)
    assert len(hints) == (name in HINTED and wide == np.float64)


@pytest.mark.parametrize(("name", "kind", "n"), TRAINED)
def test_float64_input_trains_float32_weights_by_minimize_and_by_backward(
    name: str, kind: str, n: int, hints: Any
) -> None:
    x = np.arange(6).reshape(2, 3) % n if name == "Embedding" else given(name, n, np.float64)
    layers = [
        nn.Embedding(n, n, rng=np.random.default_rng(0)) if name == "Embedding" else made(name, n) for _ in range(2)
    ]
    for layer, by_minimize in zip(layers, (True, False), strict=True):
        optimizer = OPTIMIZERS[kind](layer.parameters())
        for _ in range(2):
            y = outputs_of(layer, x)
            loss = (y * y * 1e-2).sum() * np.float64(1)
            assert loss.dtype == np.float64
            if by_minimize:
                optimizer.minimize(loss)
            else:
                optimizer.zero_grad()
                loss.backward()
                assert {p.grad.dtype for p in layer.parameters() if p.grad is not None} == {np.dtype(np.float32)}
                optimizer.step()
    for one, other in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one.data, other.data, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", HINTED)
def test_the_hint_names_the_layer_and_the_line_and_is_given_once(name: str, hints: Any) -> None:
    layer = nn.Sequential(made(name, 4)) if name != "MultiheadAttention" else made(name, 4)
    for _ in range(2):
        outputs_of(layer, given(name, 4, np.float32))
        outputs_of(layer, given(name, 4, np.float16))
        assert not hints
    for _ in range(2):
        outputs_of(layer, given(name, 4, np.float64))
        outputs_of(made(name, 4), given(name, 4, np.int64))
    (hint,) = hints
    inner = layer[0] if isinstance(layer, nn.Sequential) else layer
    assert str(hint.message).startswith(f"{inner!r} has float32 weights and was given float64, so the network computes")
    assert "write x.astype(np.float32)" in str(hint.message)
    assert hint.filename == __file__


def test_the_hint_is_given_for_lists_and_integers_but_not_for_float16_weights_or_a_wide_bias(hints: Any) -> None:
    rng = np.random.default_rng(0)
    nn.Linear(2, 1, rng=rng, dtype=np.float16)(np.ones((1, 2), np.float32))
    nn.Linear(2, 1, rng=rng, dtype=np.float64)(np.ones((1, 2), np.float32))
    layer = nn.Linear(2, 1, rng=rng)
    layer.bias = Tensor(np.ones(1), requires_grad=True)
    assert layer(np.ones((1, 2), np.float32)).dtype == np.float64
    assert not hints
    layer([[1.0, 2.0]])
    assert "given float64" in str(hints[0].message)

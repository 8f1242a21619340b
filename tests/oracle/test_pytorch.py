"""Networks carried to PyTorch and back in files: the same outputs on both sides, whatever the layers."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tinygrad_np import nn, serialization

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")
pytestmark = pytest.mark.slow


def read(network: Any, letters: Any) -> Any:
    """What both readers compute."""
    x = network.letters(letters)
    x = x + network.attention(x, x, x)[0]
    for layer in network.layers:
        x = layer(x)[0]
    x = x[:, -1]
    for cell in network.cells:
        x = cell(x)
    return network.square(network.norm(x[0]))


class Reader(nn.Module):
    """Integers (batch, 5) through all layers that have matrices."""

    def __init__(self, bias: bool, dtype: Any) -> None:
        options: dict[str, Any] = {"rng": np.random.default_rng(0), "dtype": dtype}
        self.letters = nn.Embedding(7, 4, **options)
        self.attention = nn.MultiheadAttention(4, 2, bias, **options)
        self.layers = nn.ModuleList(
            [
                nn.RNN(4, 3, 2, bias=bias, batch_first=True, **options),
                nn.GRU(3, 2, bias=bias, batch_first=True, bidirectional=True, **options),
                nn.LSTM(4, 4, bias=bias, batch_first=True, **options),
            ]
        )
        self.cells = nn.ModuleList([kind(4, 4, bias, **options) for kind in (nn.RNNCell, nn.GRUCell, nn.LSTMCell)])
        self.norm = nn.LayerNorm(4, dtype=dtype)
        self.square = nn.Linear(4, 4, bias, **options)  # whose transpose has the same shape

    forward = read


class TheirReader(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, bias: bool, dtype: Any) -> None:
        super().__init__()
        options = {"bias": bias, "dtype": dtype}
        t = torch.nn
        self.letters = t.Embedding(7, 4, dtype=dtype)
        self.attention = t.MultiheadAttention(4, 2, batch_first=True, **options)
        self.layers = t.ModuleList(
            [
                t.RNN(4, 3, 2, batch_first=True, **options),
                t.GRU(3, 2, batch_first=True, bidirectional=True, **options),
                t.LSTM(4, 4, batch_first=True, **options),
            ]
        )
        self.cells = t.ModuleList([kind(4, 4, **options) for kind in (t.RNNCell, t.GRUCell, t.LSTMCell)])
        self.norm = t.LayerNorm(4, dtype=dtype)
        self.square = t.Linear(4, 4, **options)

    forward = read


def convolutional(bias: bool, dtype: Any) -> Any:
    options: dict[str, Any] = {"bias": bias, "rng": np.random.default_rng(0), "dtype": dtype}
    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), groups=2, **options),
        nn.BatchNorm2d(4, dtype=dtype),
        nn.Sequential(nn.ReLU(), nn.Flatten(2), nn.Conv1d(4, 4, 2, **options), nn.BatchNorm1d(4, dtype=dtype)),
        nn.ConvTranspose1d(4, 2, 3, 2, 1, 1, 2, **options),
        nn.Sequential(
            lambda x: x.reshape(len(x), 2, 1, 2, 11), nn.Conv3d(2, 2, (1, 1, 2), **options), nn.Flatten(2, 3)
        ),
        nn.Sequential(nn.ConvTranspose2d(2, 4, 2, **options), nn.AdaptiveAvgPool2d((1, 11))),
        nn.Flatten(),
        nn.Linear(4 * 11, 3, **options),
    )


def their_convolutional(bias: bool, dtype: Any) -> Any:
    t, options = torch.nn, {"bias": bias, "dtype": dtype}
    return t.Sequential(
        t.Conv2d(2, 4, (3, 2), groups=2, **options),
        t.BatchNorm2d(4, dtype=dtype),
        t.Sequential(t.ReLU(), t.Flatten(2), t.Conv1d(4, 4, 2, **options), t.BatchNorm1d(4, dtype=dtype)),
        t.ConvTranspose1d(4, 2, 3, 2, 1, 1, 2, **options),
        t.Sequential(t.Unflatten(2, (1, 2, 11)), t.Conv3d(2, 2, (1, 1, 2), **options), t.Flatten(2, 3)),
        t.Sequential(t.ConvTranspose2d(2, 4, 2, **options), t.AdaptiveAvgPool2d((1, 11))),
        t.Flatten(),
        t.Linear(4 * 11, 3, **options),
    )


PAIRS = [
    (Reader, TheirReader, lambda rng, dtype: rng.integers(0, 7, (3, 5))),
    (convolutional, their_convolutional, lambda rng, dtype: rng.normal(size=(3, 2, 5, 5)).astype(dtype)),
]


@pytest.mark.parametrize(("ours", "theirs", "inputs"), PAIRS, ids=["sequences", "images"])
@given(bias=st.booleans(), dtype=st.sampled_from([np.float32, np.float64]), seed=st.integers(0, 99))
def test_a_network_goes_to_pytorch_and_back(
    ours: Any, theirs: Any, inputs: Any, bias: bool, dtype: Any, seed: int
) -> None:
    tolerance = 1e-5 if dtype is np.float32 else 1e-10
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    own, foreign = ours(bias, dtype), theirs(bias, getattr(torch, dtype.__name__))
    x = inputs(rng, dtype)

    def same_outputs() -> None:
        own.eval()
        foreign.eval()
        expected = foreign(torch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(own(x).data, expected, rtol=tolerance, atol=tolerance)

    with TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        foreign.train()
        foreign(torch.tensor(x))  # so that batch normalisation has something to remember
        safetensors_torch.save_file(foreign.state_dict(), path)
        own.load_state_dict(nn.transpose_weights(own, serialization.load(path)[0]))
        same_outputs()

        for parameter in own.parameters():
            parameter.data += 0.1 * rng.normal(size=parameter.shape).astype(dtype)
        own.train()
        own(x)
        serialization.save(path, nn.transpose_weights(own, own.state_dict()))
        foreign.load_state_dict(safetensors_torch.load_file(path))
        same_outputs()


def test_weights_that_do_not_fit_are_listed_by_name() -> None:
    own = convolutional(True, np.float32)
    state = nn.transpose_weights(own, own.state_dict())
    state["another"] = state.pop("0.bias")
    with pytest.raises(ValueError, match=r"0.bias is missing; 7.weight has shape \(3, 44\).*another is unknown"):
        own.load_state_dict(state)

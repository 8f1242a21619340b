"""`nn.summary`: numbers counted by hand, a table that fits, and a model that is left as it was."""

import copy
from typing import Any

from tinygrad_np import Tensor, debug, nn, tensor
from tinygrad_np._registry import registry
from tinygrad_np.ops.multiply_adds import FORMULAS, multiply_adds

import numpy as np
import pytest


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


LAYERS: list[tuple[str, Any, tuple[int, ...], int, int]] = [  # name, layer, input, multiply-adds, bytes of results
    ("linear", lambda: nn.Linear(3, 5, rng=rng()), (4, 3), 4 * 3 * 5, 4 * 5 * 4),
    ("linear of a sequence", lambda: nn.Linear(3, 5, rng=rng()), (2, 4, 3), 8 * 3 * 5, 8 * 5 * 4),
    ("conv2d", lambda: nn.Conv2d(4, 6, 3, rng=rng()), (2, 4, 8, 8), 2 * 6 * 6 * 6 * 4 * 9, 2 * 6 * 36 * 4),
    ("groups", lambda: nn.Conv2d(4, 6, 3, groups=2, rng=rng()), (2, 4, 8, 8), 2 * 6 * 36 * 2 * 9, 2 * 6 * 36 * 4),
    ("relu", nn.ReLU, (4, 3), 0, 48),
    ("flatten", nn.Flatten, (4, 3, 2), 0, 0),
    ("lstm", lambda: nn.LSTM(3, 5, rng=rng()), (2, 7, 3), 2 * 7 * (3 + 5) * 20, -1),
    ("gru", lambda: nn.GRU(3, 5, rng=rng()), (2, 7, 3), 2 * 7 * (3 + 5) * 15, -1),
    ("attention", lambda: SelfAttention(), (2, 7, 8), 2 * (7 * 8 * 24 + 2 * 7 * 7 * 8 + 7 * 8 * 8), -1),
    ("product of my own", lambda: Product(), (4, 3), 4 * 3 * 2, 4 * 2 * 4),
]  # fmt: skip


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        self.attention = nn.MultiheadAttention(8, 2, rng=rng())

    def forward(self, x: Any) -> Any:
        return self.attention(x, x, x)[0]


class Product(nn.Module):
    def __init__(self) -> None:
        self.w = Tensor(np.ones((3, 2), np.float32), requires_grad=True)

    def forward(self, x: Any) -> Any:
        return x @ self.w


@pytest.mark.parametrize(("name", "make", "shape", "work", "memory"), LAYERS, ids=[row[0] for row in LAYERS])
def test_multiply_adds_and_memory_are_those_counted_by_hand(
    name: str, make: Any, shape: tuple[int, ...], work: int, memory: int
) -> None:
    found = nn.summary(make(), Tensor(np.ones(shape, np.float32)))
    assert found.multiply_adds == work
    assert memory == -1 or found.result_bytes == memory


@pytest.mark.parametrize("function", FORMULAS, ids=str)
def test_formulas_belong_to_operations(function: Any) -> None:
    assert getattr(function, "__wrapped__", function) in registry


def test_products_in_other_notations() -> None:
    a, b, v = np.ones((2, 3, 4)), np.ones((2, 4, 5)), np.ones((2, 4))
    assert multiply_adds(np.matmul, a @ b, [a, b], {}) == 2 * 3 * 4 * 5
    assert multiply_adds(np.matvec, np.matvec(a, v), [a, v], {}) == 2 * 3 * 4
    assert multiply_adds(np.vecmat, np.vecmat(v, b), [v, b], {}) == 2 * 4 * 5
    assert multiply_adds(np.vecdot, np.vecdot(v, v), [v, v], {}) == 2 * 4

    class Notations(nn.Module):
        def __init__(self) -> None:
            self.w = Tensor(np.ones((4, 5)), requires_grad=True)

        def forward(self, x: Any) -> Any:
            return np.einsum("nij,jk->nik", x, self.w) + np.tensordot(x, self.w, 1)

    assert nn.summary(Notations(), a).multiply_adds == 2 * (2 * 3 * 4 * 5)


class Net(nn.Module):
    def __init__(self) -> None:
        self.block = nn.Sequential(nn.Linear(3, 3, rng=rng()), nn.BatchNorm1d(3), nn.Dropout(0.5, rng=rng()))
        self.unused = nn.Linear(9, 9, rng=rng())

    def forward(self, x: Any) -> Any:
        return {"y": self.block(self.block(x)), "n": (x, 3)}


def test_calls_add_up_and_outputs_may_be_trees() -> None:
    found = nn.summary(Net(), np.ones((4, 3), np.float32))
    assert list(found.layers) == ["", "block", "block.0", "block.1", "block.2", "unused"]
    assert found.shapes == ((4, 3), (4, 3))
    assert found.parameters == 12 + 6 + 90
    assert found.multiply_adds == found.layers["block.0"].multiply_adds == 2 * 4 * 9
    parts = [found.layers[f"block.{i}"].result_bytes for i in range(3)]
    assert found.result_bytes == found.layers["block"].result_bytes == sum(parts)
    assert (found.layers["block"].calls, found.layers["unused"].calls) == (2, 0)
    assert "0: Linear(3, 3) (2 calls)" in str(found)
    lines = str(found).splitlines()
    assert lines[-1].split() == ["unused:", "Linear(9,", "9)", "90"]
    assert repr(found) == str(found)


def test_the_model_is_left_as_it_was() -> None:
    model = Net()
    twin = copy.deepcopy(model)
    nn.summary(model, np.ones((4, 3), np.float32))
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(array, twin.state_dict()[path])
    generators = [net.block[2].rng.bit_generator.state for net in (model, twin)]
    assert generators[0] == generators[1]
    assert model.training
    assert [w.grad for w in model.parameters()] == [None] * 6
    assert tensor._observer is None
    with pytest.raises(ValueError, match="expected x"):
        nn.summary(model, np.ones((4, 2), np.float32))
    assert tensor._observer is None
    with pytest.raises(TypeError, match="summary takes a module and its inputs, not ndarray"):
        nn.summary(np.ones(3), model)  # type: ignore[arg-type]


def test_other_observers_go_on() -> None:
    model, x = nn.Linear(3, 2, rng=rng()), np.ones((4, 3), np.float32)
    with debug.guard(), debug.detect_anomaly():
        assert nn.summary(model, x).multiply_adds == 24
        assert type(tensor._observer) is debug._Observer
        held = np.ones((4, 2), np.float32)
        y = model(x) * held
        held[:] = 0
        with pytest.raises(RuntimeError, match="was written to after the operation"):
            y.sum().backward()

    class Guarded(nn.Module):
        def forward(self, x: Any) -> Any:
            with debug.detect_anomaly():
                return np.log(x)

    with pytest.raises(FloatingPointError, match="log of float32"):
        nn.summary(Guarded(), Tensor(np.zeros(2, np.float32)))
    assert tensor._observer is None


def test_the_table_fits_in_eighty_columns() -> None:
    class Deep(nn.Module):
        def __init__(self, depth: int) -> None:
            self.a_layer_of_a_long_name = nn.Linear(1000, 1000, rng=rng()) if depth == 0 else Deep(depth - 1)

        def forward(self, x: Any) -> Any:
            return self.a_layer_of_a_long_name(x)

    model = Deep(12)
    text = str(nn.summary(model, np.ones((2, 3, 5, 7, 11, 1000), np.float32)))
    assert max(map(len, text.splitlines())) == 80
    assert "..." in text
    assert len(text.splitlines()) == 15

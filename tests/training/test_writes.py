"""What optimisers, averages and load_state_dict write is noticed by a backward, however the memory was used."""

import asyncio
import mmap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

from tinygrad_np import Tensor, cross_entropy, detect_anomaly, grad, guard, nn, no_grad, optim, primitive, tensor
from tinygrad_np._machine import writes

import numpy as np
import pytest

SIZE = 4


def by_sgd(w: Tensor) -> None:
    optim.SGD([w], lr=0.5).minimize((w * w).sum())


def by_adam(w: Tensor) -> None:
    w.grad = Tensor(np.ones(w.shape, w.dtype))
    optim.Adam([w]).step()
    w.grad = None


def by_averages(w: Tensor) -> None:
    average = optim.EMA([w], 0.5)
    average.averages[0] += 1
    with average.applied():
        pass


class Holder(nn.Module):
    def __init__(self, w: Tensor) -> None:
        self.w = w


def by_loading(w: Tensor) -> None:
    Holder(w).load_state_dict({"w": w.data + 1})


every_write = pytest.mark.parametrize(
    "write", [by_sgd, by_adam, by_averages, by_loading], ids=lambda write: write.__name__
)


def windows(x: Any) -> Any:
    return np.lib.stride_tricks.sliding_window_view(x, 2, axis=0)


VIEWS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda w: w,
    "transpose": np.transpose,
    "swapaxes": lambda w: np.swapaxes(w, 0, 1),
    "moveaxis": lambda w: np.moveaxis(w, 0, 1),
    "slice": lambda w: w[1:3, ::2],
    "reversed": lambda w: w[::-1],
    "new axis": lambda w: w[:, np.newaxis],
    "reshape": lambda w: w.reshape(2, -1),
    "ravel": np.ravel,
    "squeeze": lambda w: np.squeeze(np.expand_dims(w, 0), 0),
    "broadcast_to": lambda w: np.broadcast_to(w, (3, SIZE, SIZE)),
    "diagonal": np.diagonal,
    "windows": windows,
    "slice of transpose": lambda w: w.T[1:].reshape(-1, 2),
}
WAYS: dict[str, Callable[[Tensor], Any]] = {
    "Tensor": lambda w: w,
    "detached": lambda w: w.detach(),
    "data": lambda w: w.data,
    "asarray": lambda w: np.asarray(w.detach()),
    "memoryview": lambda w: np.asarray(memoryview(w.data)),
    "frombuffer": lambda w: np.frombuffer(memoryview(w.data).cast("B"), w.dtype).reshape(w.shape),
}


def owned(path: Path) -> Any:
    return np.empty((SIZE, SIZE))


def part_of_another(path: Path) -> Any:
    return np.empty((3, SIZE + 1, SIZE))[1, 1:]


def of_a_mapped_file(path: Path) -> Any:
    return np.asarray(np.memmap(path / "file", np.float64, "w+", shape=(SIZE, SIZE)))


def of_mapped_memory(path: Path) -> Any:
    return np.frombuffer(mmap.mmap(-1, 8 * SIZE * SIZE)).reshape(SIZE, SIZE)


def of_a_bytearray(path: Path) -> Any:
    return np.ndarray((SIZE, SIZE), buffer=bytearray(8 * SIZE * SIZE))


MEMORIES = [owned, part_of_another, of_a_mapped_file, of_mapped_memory, of_a_bytearray]


@every_write
@pytest.mark.parametrize("memory", MEMORIES, ids=lambda memory: memory.__name__)
def test_a_write_is_noticed_through_every_view(write: Any, memory: Any, tmp_path: Path) -> None:
    array = memory(tmp_path)
    array[...] = np.arange(1.0, SIZE * SIZE + 1).reshape(SIZE, SIZE)
    w = Tensor(array, requires_grad=True)
    for (way, take), (name, view) in ((way, view) for way in WAYS.items() for view in VIEWS.items()):
        try:
            used = view(take(w))
        except TypeError:  # not an operation on Tensors
            assert way in ("Tensor", "detached")
            continue
        x = Tensor(np.ones(used.shape), requires_grad=True)
        y = (x * used).sum()
        values = used.data if type(used) is Tensor else used
        shares, before = np.shares_memory(values, w.data), np.array(values)
        write(w)
        assert shares or way == "Tensor" or name in ("slice of transpose", "diagonal"), (way, name)
        if shares:
            with pytest.raises(RuntimeError, match="was changed after the operation"):
                grad(y, x)
        else:  # it was copied
            assert np.array_equal(grad(y, x).data, before), (way, name)
        assert np.array_equal(grad((x * view(take(w))).sum(), x).data, view(w.data)), (way, name)


def test_two_arrays_over_one_shared_memory_are_one() -> None:
    """And two that do not overlap are two."""
    block = shared_memory.SharedMemory(create=True, size=64)
    try:
        first, second, rest = (np.ndarray((4,), np.float32, block.buf, offset) for offset in (0, 8, 32))
        w, x = Tensor(first, requires_grad=True), Tensor(np.ones(4, np.float32), requires_grad=True)
        through, beside = (x * second).sum(), (x * rest).sum()
        by_sgd(w)
        with pytest.raises(RuntimeError, match="was changed after the operation"):
            grad(through, x)
        assert np.array_equal(grad(beside, x).data, rest)
        del first, second, rest, w, x, through, beside
    finally:
        block.close()
        block.unlink()


RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 4)).astype(np.float32)


class Tied(nn.Module):
    """An embedding whose weight is the last layer's, too."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(5, 4, rng=RNG)

    def forward(self, x: Any) -> Any:
        return (self.embedding(np.array([[0, 1, 4]])) * x) @ self.embedding.weight.T


def shared() -> nn.Module:
    layer = nn.Linear(4, 4, rng=RNG)
    return nn.Sequential(layer, nn.ReLU(), layer)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "attention": (lambda: nn.MultiheadAttention(4, 2, rng=RNG), X),
    "tied embedding": (Tied, X),
    "shared weights": (shared, X),
    "batch norm": (lambda: nn.BatchNorm1d(4), X[0]),
    "layer norm": (lambda: nn.LayerNorm(4), X),
    "convolution": (lambda: nn.Conv1d(3, 2, 2, rng=RNG), X),
    "recurrence": (lambda: nn.LSTM(4, 3, rng=RNG), X),
}


def first(y: Any) -> Any:
    return y[0] if isinstance(y, tuple) else y


def scalar(y: Any) -> Tensor:
    return (first(y) * first(y)).sum()


@every_write
@pytest.mark.parametrize("name", NETWORKS)
def test_a_write_to_any_matrix_of_a_layer_is_noticed(write: Any, name: str) -> None:
    make, x = NETWORKS[name]
    count = len([p for p in make().parameters() if p.ndim > 1 or "norm" in name])
    assert count
    for i in range(count):
        model, given = make(), Tensor(x, requires_grad=True)
        inputs = [given] * 3 if name == "attention" else [given]
        w = [p for p in model.parameters() if p.ndim > 1 or "norm" in name][i]
        y = scalar(model(*inputs))
        grad(y, given, retain_graph=True)
        write(w)
        with pytest.raises(RuntimeError, match="was changed after the operation"):
            grad(y, given)


def test_a_load_of_running_statistics_is_noticed() -> None:
    norm, x = nn.BatchNorm1d(4), Tensor(X[0], requires_grad=True)
    norm(x)
    y = scalar(norm.eval()(x))
    norm.load_state_dict({name: array + 1 for name, array in norm.state_dict().items()})
    for of in (x, norm.weight):
        with pytest.raises(RuntimeError, match="was changed after the operation"):
            grad(y, of, retain_graph=True)


def test_a_step_in_training_leaves_running_statistics_of_the_graph_alone() -> None:
    """The next batch writes to the averages; the gradient of the one before uses the batch's own."""
    norm, x = nn.BatchNorm1d(4), Tensor(X[0], requires_grad=True)
    y, z = scalar(norm(x)), scalar(norm(x))
    assert np.array_equal(grad(y, x).data, grad(z, x).data)


def test_guard_sees_writes_to_what_a_saved_result_shares_with_inputs() -> None:
    def product(x: Any, w: Any) -> Any:
        doubled = w[::2]  # a view
        return x * doubled, doubled

    times = primitive(product, joint=lambda g, y, x, w, *, needed, saved: (g * saved, None))
    x, w = Tensor(np.ones(2), requires_grad=True), np.ones(4)
    with guard():
        y = times(x, w).sum()
    w[2] = 5
    with pytest.raises(RuntimeError, match="argument 1 of product, .*, was written to after the operation"):
        y.backward()


# --- contexts in threads and tasks -----------------------------------------------------------------------------------


def observed() -> tuple[bool, bool, bool, str]:
    """Whether a graph is recorded, anomalies are looked for, writes are guarded, and what NumPy does at an overflow."""
    x, a = Tensor([0.0, 1.0], requires_grad=True), np.ones(2, np.float32)
    recorded = (x * 2).requires_grad
    try:
        with np.errstate(divide="ignore"):
            np.log(x)
        looked = False
    except FloatingPointError:
        looked = True
    y = x * a
    a[:] = 2
    try:
        if recorded:
            grad(y.sum(), x)
        guarded = False
    except RuntimeError:
        guarded = True
    return recorded, looked, guarded, np.geterr()["over"]


CONTEXTS: dict[str, tuple[Callable[[], Any], tuple[bool, bool, bool, str]]] = {
    "none": (lambda: np.errstate(), (True, False, False, "warn")),
    "no_grad": (no_grad, (False, False, False, "warn")),
    "detect_anomaly": (detect_anomaly, (True, True, False, "warn")),
    "guard": (guard, (True, False, True, "warn")),
    "errstate": (lambda: np.errstate(over="ignore"), (True, False, False, "ignore")),
}


def test_contexts_hold_in_their_own_thread_only() -> None:
    """All threads are inside their contexts at once."""
    entered = threading.Barrier(len(CONTEXTS))

    def inside(name: str) -> Any:
        context, expected = CONTEXTS[name]
        with context():
            entered.wait(600)
            found = observed()
            entered.wait(600)
        return found == expected, observed() == CONTEXTS["none"][1]

    with ThreadPoolExecutor(len(CONTEXTS)) as pool:
        assert list(pool.map(inside, CONTEXTS)) == [(True, True)] * len(CONTEXTS)
    assert tensor._observer is None


def test_contexts_hold_in_their_own_task_only() -> None:
    async def inside(name: str) -> Any:
        context, expected = CONTEXTS[name]
        with context():
            await asyncio.sleep(0)  # the others enter theirs
            return observed() == expected

    async def together() -> list[Any]:
        return await asyncio.gather(*map(inside, CONTEXTS))

    assert asyncio.run(together()) == [True] * len(CONTEXTS)


def test_notes_of_writes_to_memory_of_others_stay_few_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writes, "_others", {})
    monkeypatch.setattr(writes, "MANY_OTHERS", 10)
    memory = bytearray(8 * 100)
    xs = [Tensor(np.frombuffer(memory, np.float64, 1, 8 * i), requires_grad=True) for i in range(100)]
    for i, x in enumerate(xs):
        before, others = (x * x).sum(), [(other * other).sum() for other in xs[i + 1 :]]
        x.data -= 1
        after = (x * x).sum()
        with pytest.raises(RuntimeError, match="was changed after the operation"):
            before.backward()
        after.backward()
        assert len(writes._others) <= 12
        if i == 50:
            for other in others:
                other.backward()


def test_the_latest_write_is_never_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that is interrupted between taking a serial and noting it does not hide the write of another."""
    w, x = (Tensor(np.ones(2), requires_grad=True) for _ in range(2))
    other, serials, interrupted = Tensor(np.ones(2), requires_grad=True), writes.serials, []

    class Interrupting:
        def __next__(self) -> int:
            serial = next(serials)
            if threading.current_thread() is slow and not interrupted:
                interrupted.append(threading.Thread(target=use_and_write))
                interrupted[0].start()
                interrupted[0].join(0.2)  # without the lock it has written by now
            return serial

    results: list[Any] = []

    def use_and_write() -> None:
        results.append((x * w).sum())
        w.data -= 1

    slow = threading.Thread(target=lambda: other._changed())
    monkeypatch.setattr(writes, "serials", Interrupting())
    slow.start()
    slow.join()
    interrupted[0].join()
    with pytest.raises(RuntimeError, match="was changed after the operation"):
        grad(results[0], x)


def test_classes_of_a_mapped_training(tmp_path: Path) -> None:
    """Weights in a mapped file train as others do."""
    found = []
    for mapped in (False, True):
        rng = np.random.default_rng(0)
        layer = nn.Linear(4, 3, rng=rng)
        if mapped:
            array = np.memmap(tmp_path / "weight", np.float32, "w+", shape=(4, 3))
            array[...] = layer.weight.data
            layer.weight = Tensor(np.asarray(array), requires_grad=True)
        optimizer = optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.minimize(cross_entropy(layer(X[0]), np.array([0, 1, 2])))
        found.append(layer.weight.data.tobytes())
    assert found[0] == found[1]

"""States of modules, optimisers, averages and loaders: loaded whole or not at all, and only into what is the same."""

import inspect
import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tinygrad_np import Tensor, nn, optim, serialization
from tinygrad_np._settings import name_of
from tinygrad_np.checkpoint import Checkpoints
from tinygrad_np.data import DataLoader
from tinygrad_np.schedules import CosineScheduler, PlateauScheduler
from tinygrad_np.tensor import Array

import numpy as np
import pytest

# Every optimiser, and hyperparameters with which its state has as many parts as it can have.
OPTIMIZERS: dict[type[optim.Optimizer], dict[str, Any]] = {
    optim.SGD: {"momentum": 0.5},
    optim.Adam: {"amsgrad": True},
    optim.AdamW: {"amsgrad": True},
    optim.RMSprop: {"momentum": 0.5, "centered": True},
    optim.Adagrad: {},
    optim.Muon: {},
    optim.NAdam: {},
    optim.RAdam: {},
    optim.Adamax: {},
    optim.Adadelta: {},
    optim.Lion: {},
    optim.LARS: {"momentum": 0.5},
    optim.Lamb: {},
    optim.Adafactor: {"eps": (1e-6, 1e-3), "d": 1.5},
}
every_optimizer = pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)


def test_every_optimizer_is_here() -> None:
    found = {kind for name in optim.__all__ if isinstance(kind := getattr(optim, name), type)}
    assert {kind for kind in found if issubclass(kind, optim.Optimizer)} - {optim.Optimizer} == set(OPTIMIZERS)


def weights(*shapes: tuple[int, ...]) -> list[Tensor]:
    return [Tensor(np.ones(shape, np.float32), requires_grad=True) for shape in shapes or ((2, 3), (3, 2))]


def make(kind: type[optim.Optimizer], parameters: Any = None, **settings: Any) -> optim.Optimizer:
    return kind(parameters or weights(), **{"lr": 0.1} | OPTIMIZERS[kind] | settings)


def stepped(optimizer: optim.Optimizer) -> optim.Optimizer:
    for parameter in optimizer.parameters:
        parameter.grad = Tensor(np.full(parameter.shape, 0.5, np.float32))
    optimizer.step()
    return optimizer


def bits(part: Any) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in part.state_dict().items()}


def refuses(folder: Path, part: Any, other: Any, message: str) -> None:
    """The state of a part is refused by another one, by itself and in a checkpoint, and changes nothing."""
    before = bits(other)
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(part.state_dict())
    Checkpoints(folder, part=part).save(1)
    with pytest.raises(ValueError, match=message):
        Checkpoints(folder, part=other).resume()
    assert bits(other) == before


# --- into what is the same -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "other"), list(itertools.permutations(OPTIMIZERS, 2)), ids=lambda kind: kind.__name__)
def test_no_optimizer_takes_the_state_of_another(kind: Any, other: Any, tmp_path: Path) -> None:
    message = f"of {name_of(kind)}; .*, expected {name_of(other)}; "
    refuses(tmp_path, stepped(make(kind)), make(other), message)


def other_values(kind: type[optim.Optimizer]) -> Iterator[tuple[str, Any]]:
    """Each hyperparameter with another value than that of `make`."""
    for name, parameter in inspect.signature(kind).parameters.items():
        value = OPTIMIZERS[kind].get(name, parameter.default)
        if name == "adjust_lr_fn":
            yield name, "match_rms_adamw"
        elif isinstance(value, bool):
            yield name, not value
        elif isinstance(value, tuple):
            yield name, (value[0] / 2, value[1])
            yield name, (value[0], value[1] / 2)
        elif isinstance(value, float):
            yield name, (value / 2 if value < 1 else value * 2) + 1e-3


@every_optimizer
def test_every_hyperparameter_but_the_learning_rate_must_agree(kind: Any, tmp_path: Path) -> None:
    first, seen = stepped(make(kind)), set()
    for i, (name, value) in enumerate(other_values(kind)):
        seen.add(name)
        if name == "lr":
            make(kind, lr=value).load_state_dict(first.state_dict())
            make(kind, lr=lambda step: 0.1).load_state_dict(first.state_dict())
            continue
        shown = f"({value[0]!r}, {value[1]!r})" if isinstance(value, tuple) else repr(value)
        refuses(tmp_path / str(i), first, make(kind, **{name: value}), f"expected .*{re.escape(f'{name} {shown}')}")
        assigned = make(kind)  # what holds now counts, not what was given once
        assigned.groups[0][name] = value
        with pytest.raises(ValueError, match=name):
            assigned.load_state_dict(first.state_dict())
    assert seen | {"lr"} == set(inspect.signature(kind).parameters) - {"parameters"} | {"lr"}


@every_optimizer
def test_parameters_and_groups_must_agree(kind: Any, tmp_path: Path) -> None:
    a, b = weights()
    first = stepped(make(kind, [a, b]))
    cases: list[tuple[Any, str]] = [
        ([a], r"float32\[2, 3\], float32\[3, 2\]; .* expected .*float32\[2, 3\];"),
        ([b, a], r"expected [\w.]+; float32\[3, 2\], float32\[2, 3\];"),
        ([a, *weights((4, 3))], r"expected [\w.]+; float32\[2, 3\], float32\[4, 3\]"),
        (
            [a, Tensor(b.data.astype(np.float64), requires_grad=True)],
            r"expected [\w.]+; float32\[2, 3\], float64\[3, 2\]",
        ),
        ([{"parameters": [a]}, {"parameters": [b]}], "it is of 1 groups of parameters, expected 2"),
    ]
    for i, (parameters, message) in enumerate(cases):
        refuses(tmp_path / str(i), first, make(kind, parameters), message)
    grouped = make(kind, [{"parameters": [a]}, {"parameters": [b], "weight_decay": 0.3}])
    other = make(kind, [{"parameters": [a]}, {"parameters": [b], "weight_decay": 0.2}])
    with pytest.raises(ValueError, match="it is of group 1: .*weight_decay 0.3.*, expected .*weight_decay 0.2"):
        other.load_state_dict(grouped.state_dict())


@pytest.mark.parametrize("wrong", [[[1], [2, 3]], "text", 5, None, np.zeros(3), Tensor([1.0])])
def test_settings_that_are_no_text_in_bytes_are_named(wrong: Any) -> None:
    optimizer = optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.1)
    with pytest.raises(ValueError, match="does not fit this SGD: settings must be an array of uint8, not"):
        optimizer.load_state_dict(optimizer.state_dict() | {"settings": wrong})


def test_a_state_without_settings_is_of_an_older_version() -> None:
    state = optim.Adam(weights()).state_dict()
    del state["settings"]
    with pytest.raises(ValueError, match="fit this Adam: settings is missing, as in states of older versions"):
        optim.Adam(weights()).load_state_dict(state)
    with pytest.raises(TypeError, match="must be a dict from names to arrays, not list"):
        nn.BatchNorm1d(2).load_state_dict([1])  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [None, [1], "abc", 3])
@pytest.mark.parametrize(
    "part",
    [
        nn.BatchNorm1d(2),
        optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.1),
        optim.EMA([Tensor([1.0], requires_grad=True)]),
        DataLoader(np.ones(3), batch_size=2),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_is_no_state_is_refused_by_name(part: Any, state: Any) -> None:
    names = type(part).__name__, type(state).__name__
    with pytest.raises(TypeError, match=r"the state of a {} must be a dict .* not {}".format(*names)):
        part.load_state_dict(state)


def test_an_entry_of_a_state_that_is_no_array_is_named() -> None:
    layer = nn.BatchNorm1d(2)
    for bias in ([[1], [2, 3]], Tensor([1.0, 2.0], requires_grad=True)):
        with pytest.raises((ValueError, TypeError), match="fit this BatchNorm1d: bias is no array"):
            layer.load_state_dict(layer.state_dict() | {"bias": bias})
    with pytest.raises(ValueError, match="fit this SGD: weight, bias, .* are unknown, and settings is missing"):
        optim.SGD(layer.parameters(), lr=0.1).load_state_dict(layer.state_dict())


def test_averages_of_another_decay_are_refused(tmp_path: Path) -> None:
    a, b = weights()
    refuses(tmp_path, optim.EMA([a, b], 0.9), optim.EMA([a, b], 0.99), "the state has decay 0.9, expected 0.99")
    refuses(tmp_path / "2", optim.EMA([a, b]), optim.EMA([a]), "average.1 is unknown")


DATA = np.arange(12, dtype=np.float32)


def changed(place: int) -> np.ndarray:
    data = DATA.copy()
    data[place] += 1
    return data


OTHER_LOADERS: dict[str, tuple[Any, str]] = {
    "batch_size": (lambda rng: DataLoader(DATA, batch_size=5, rng=rng), "batch_size 4, expected 5"),
    "drop_last": (lambda rng: DataLoader(DATA, batch_size=4, rng=rng, drop_last=True), "drop_last 0, expected 1"),
    "rng": (lambda rng: DataLoader(DATA, batch_size=4), "shuffled 1, expected 0"),
    "length": (lambda rng: DataLoader(DATA[:8], batch_size=4, rng=rng), r"order has shape \(12,\)"),
    "first": (lambda rng: DataLoader(changed(0), batch_size=4, rng=rng), r"checksum \d+, expected \d+"),
    "last": (lambda rng: DataLoader(changed(-1), batch_size=4, rng=rng), r"checksum \d+, expected \d+"),
    "dtype": (lambda rng: DataLoader(DATA.view(np.int32), batch_size=4, rng=rng), r"checksum \d+, expected \d+"),
    "shape": (lambda rng: DataLoader(DATA[:, None], batch_size=4, rng=rng), r"checksum \d+, expected \d+"),
    "arrays": (lambda rng: DataLoader(DATA, DATA, batch_size=4, rng=rng), r"checksum \d+, expected \d+"),
}


@pytest.mark.parametrize("name", OTHER_LOADERS)
def test_a_loader_takes_only_the_state_of_one_that_makes_the_same_batches(name: str, tmp_path: Path) -> None:
    def make_loader(rng: Any) -> DataLoader:
        return DataLoader(DATA, batch_size=4, rng=rng)

    rng = np.random.default_rng(0)
    loader, other = make_loader(rng), OTHER_LOADERS[name][0](np.random.default_rng(1))
    next(iter(loader))
    Checkpoints(tmp_path, loader=loader, rng=rng).save(1)
    for first, second in ((loader, other), (other, loader)):
        before = bits(second)
        with pytest.raises(ValueError, match=OTHER_LOADERS[name][1] if second is other else "the state"):
            second.load_state_dict(first.state_dict())
        with pytest.raises(ValueError, match=OTHER_LOADERS[name][1]):
            Checkpoints(tmp_path, loader=other, rng=other.rng or np.random.default_rng(1)).resume()
        assert bits(second) == before
    make_loader(np.random.default_rng(5)).load_state_dict(loader.state_dict())
    assert set(inspect.signature(DataLoader).parameters) - {"arrays"} <= OTHER_LOADERS.keys()


def test_the_checksum_of_data_does_not_depend_on_how_they_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).integers(0, 9, (50, 6), np.int16)
    loaders = [DataLoader(array, batch_size=2) for array in (data, np.asfortranarray(data), data.repeat(2, 1)[:, ::2])]
    assert len({loader.state_dict()["checksum"].item() for loader in loaders}) == 1
    monkeypatch.setattr("tinygrad_np._settings.CHUNK", 7)  # read in many parts
    assert DataLoader(data, batch_size=2).state_dict()["checksum"] == loaders[0].state_dict()["checksum"]
    monkeypatch.setattr("tinygrad_np._settings.CHECKED", 100)  # and only some of them
    assert DataLoader(data, batch_size=2).state_dict()["checksum"] != loaders[0].state_dict()["checksum"]
    for odd in (np.array(["a", None]), np.zeros((0, 3)), np.zeros((2, 0)), np.array(["a", "b"])):
        assert DataLoader(odd, batch_size=2).state_dict()["checksum"] > 0


# --- in files of NumPy ----------------------------------------------------------------------------------------------


def loss_of(parameters: list[Tensor]) -> Tensor:
    return sum(np.sum((w - 3) ** 4) for w in parameters)  # type: ignore[return-value]


def train(part: Any, steps: int) -> None:
    for _ in range(steps):
        if isinstance(part, DataLoader):
            next(iter(part))
        elif isinstance(part, nn.Module):
            part(np.ones((4, 3), np.float32))
        elif isinstance(part, PlateauScheduler):
            part.update(1.0)
        elif isinstance(part, optim.EMA | optim.SWA):
            for w in part.parameters:
                w.data *= np.float32(0.5)
            part.update()
        elif isinstance(part, optim.LBFGS | optim.SAM):
            part.step(lambda: loss_of(part.parameters))
        else:
            part.minimize(loss_of(part.parameters))


class Normalised(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(3, 2, rng=np.random.default_rng(0)), nn.Sequential(nn.BatchNorm1d(2)))


FILED: dict[str, Callable[[], Any]] = {
    **{kind.__name__: partial(make, kind, lr=0.01) for kind in OPTIMIZERS},
    "schedule in an optimiser": lambda: optim.SGD(weights(), CosineScheduler(0.1, 10), momentum=0.9),
    "groups": lambda: optim.Adam([{"parameters": [w], "lr": 0.1} for w in weights()]),
    "LBFGS": lambda: optim.LBFGS(weights()),
    "Lookahead": lambda: optim.Lookahead(optim.Adam(weights()), k=2),
    "Lookahead of Lookahead": lambda: optim.Lookahead(optim.Lookahead(optim.SGD(weights(), 0.01), k=2), k=1),
    "SAM": lambda: optim.SAM(optim.SGD(weights(), 1e-3, momentum=0.5)),
    "EMA": lambda: optim.EMA(weights(), 0.9, warmup=True),
    "SWA": lambda: optim.SWA(weights()),
    "PlateauScheduler": lambda: PlateauScheduler(0.1),
    "DataLoader": lambda: DataLoader(np.arange(9), batch_size=4),
    "module": Normalised,
}


@pytest.mark.parametrize("name", FILED)
def test_a_state_comes_back_from_a_file_of_numpy(name: str, tmp_path: Path) -> None:
    """What was saved by np.savez and loaded by np.load, which refuses pickles, goes on to the same bits."""
    part, other = FILED[name](), FILED[name]()
    train(part, 3)
    assert bits(part) != bits(other)
    np.savez(tmp_path / "state.npz", **part.state_dict())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
        other.load_state_dict(state)
    assert bits(other) == bits(part)
    weights_of = [] if isinstance(part, nn.Module) else getattr(part, "parameters", [])
    for i, w in enumerate(weights_of):
        other.parameters[i].data = w.data.copy()
    for one in (part, other):
        train(one, 2)
    assert bits(other) == bits(part)


# --- whole or not at all ---------------------------------------------------------------------------------------------


class Pair(nn.Module):
    def __init__(self) -> None:
        self.a, self.b = weights((2, 3), (2, 3))
        self.steps = Tensor(np.array([3, 4], np.int32))


def parts() -> list[Any]:
    module = Pair()
    module.b.data[...] = 2
    made = [stepped(make(kind)) for kind in OPTIMIZERS]
    return [module, optim.EMA(module.parameters(), 0.9), *made, DataLoader(DATA, batch_size=4)]


names = pytest.mark.parametrize("i", range(len(parts())), ids=[type(part).__name__ for part in parts()])


def corruptions(part: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """States that differ from that of a part by one array, each with what must be said of it."""
    state = {name: array.copy() for name, array in part.state_dict().items()}
    for name, array in state.items():
        fewer = {other: value for other, value in state.items() if other != name}
        yield fewer, f"{name} is missing"
        if name == "settings":
            continue
        yield fewer | {name: np.zeros((7, 7, 7), array.dtype)}, rf"{name} has shape \(7, 7, 7\)"
        yield fewer | {name: array.astype(complex)}, f"{name} has shape .* of complex128"
        yield fewer | {name: np.zeros(array.shape, object)}, f"{name} has shape .* of object"
        wide = np.full(array.shape, 1e300 if array.dtype.kind == "f" else 2**40)
        if array.dtype.itemsize == 4:
            yield fewer | {name: wide}, f"{name} has numbers of .* that are too large for"
    yield state | {"more": np.zeros(1)}, "more is unknown"


@names
def test_a_state_that_does_not_fit_changes_nothing(i: int) -> None:
    part = parts()[i]
    before = bits(part)
    for state, message in corruptions(part):
        with pytest.raises(ValueError, match=message):
            part.load_state_dict(state)
        assert bits(part) == before


@names
def test_an_array_that_is_read_only_changes_nothing(i: int) -> None:
    part = parts()[i]
    state = {name: array.copy() for name, array in part.state_dict().items()}
    for name, array in part.state_dict().items():
        own = array.base if name in ("settings", "steps") and not isinstance(part, nn.Module) else array
        if own is not array or isinstance(part, DataLoader) or name == "decay":
            continue
        array.flags.writeable = False
        before = bits(part)
        other = {key: value + 1 if key not in ("settings", "decay") else value for key, value in state.items()}
        with pytest.raises(ValueError, match=f"{name} is read-only here"):
            part.load_state_dict(other)
        assert bits(part) == before
        array.flags.writeable = True


@names
def test_values_may_be_views_of_what_they_are_loaded_into(i: int) -> None:
    """Each array gets that of the next one of its shape."""
    part = parts()[i]
    state = part.state_dict()
    alike: dict[Any, list[str]] = {}
    for name, array in state.items():
        if array.dtype.kind == "f" and name != "decay":
            alike.setdefault(array.shape, []).append(name)
    turned = dict(state)
    for group in alike.values():
        for name, other in zip(group, [*group[1:], group[0]], strict=True):
            turned[name] = state[other][::-1] if state[other].ndim else state[other]
    expected = {name: array.copy() for name, array in turned.items()}
    part.load_state_dict(turned)
    for name, array in part.state_dict().items():
        np.testing.assert_array_equal(array, expected[name])


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_file_that_is_being_written_is_not_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".model.1.killed").write_bytes(b"half")
    seen: list[list[str]] = []
    flushed = os.fsync

    def look(descriptor: int) -> None:
        thread = threading.Thread(target=serialization.remove_abandoned, args=(tmp_path.glob(".model.*"),))
        thread.start()
        thread.join()
        seen.append(sorted(os.listdir(tmp_path)))
        flushed(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    serialization.write_atomically(tmp_path / "model", b"whole")
    assert [len(names) for names in seen] == [1, 1]  # while it was written, and after it was renamed
    assert seen[0][0].startswith(".model.")
    assert ".model.1.killed" not in seen[0]
    assert os.listdir(tmp_path) == ["model"]
    assert (tmp_path / "model").read_bytes() == b"whole"


def test_saving_a_checkpoint_leaves_what_another_training_is_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed, saved = os.fsync, []

    def save_another(descriptor: int) -> None:
        flushed(descriptor)
        if not saved:
            saved.append(other)
            other.save(5)

    first, other = (Checkpoints(tmp_path, rng=np.random.default_rng(0)) for _ in range(2))
    first.save(1)
    other.resume()
    monkeypatch.setattr(os, "fsync", save_another)
    assert first.save(7).exists()
    assert saved


class Noted(optim.SGD):
    def __init__(self, parameters: Any, note: Any) -> None:
        optim.Optimizer.__init__(self, parameters, 0.1, momentum=0.0, nesterov=False, weight_decay=0.0, note=note)


@pytest.mark.parametrize(
    ("note", "equal", "other"),
    [
        (lambda: None, lambda: None, lambda: 1),  # whose repr is another in each process
        (lambda: np.tanh(1), lambda: np.tanh(1), lambda: np.exp(1)),
        (np.tanh, np.tanh, np.exp),
        (np.arange(1000.0), np.arange(1000.0), np.r_[:999.0, 0.0]),
        (np.ones(2), np.ones(2), np.ones(2, np.float32)),
        (np.ones(2), np.ones(2), np.ones((1, 2))),
        ([np.ones(2), 1], [np.ones(2), 1], [np.ones(2), 2]),
        ({"a": [np.float64(1)]}, {"a": [np.float64(1)]}, {"a": [np.float64(1.5)]}),
        (Tensor([1.0]), Tensor([1.0]), Tensor([2.0])),
        (CosineScheduler(0.1, 5), CosineScheduler(0.1, 5), CosineScheduler(0.1, 6)),
        (partial(np.clip, a_min=1), partial(np.clip, a_min=1), partial(np.clip, a_min=2)),
        (nn.Dropout, nn.Dropout, type("Dropout", (), {})),
    ],
)
def test_hyperparameters_of_every_kind_are_compared_by_value(note: Any, equal: Any, other: Any) -> None:
    state = Noted(weights(), note).state_dict()
    Noted(weights(), equal).load_state_dict(state)
    with pytest.raises(ValueError, match="does not fit this Noted: it is of .*; note.*, expected .*; note"):
        Noted(weights(), other).load_state_dict(state)


def test_a_class_of_the_same_name_from_another_module_is_another() -> None:
    class SGD(optim.SGD):
        pass

    with pytest.raises(ValueError, match=r"of tinygrad_np.optim.sgd.SGD; .*, expected \S*test_states\..*<locals>.SGD"):
        SGD(weights(), 0.1).load_state_dict(optim.SGD(weights(), 0.1).state_dict())


SIGNED = {"momentum", "mean"}


@every_optimizer
def test_counts_and_sums_of_squares_are_never_negative(kind: Any) -> None:
    for name, array in stepped(make(kind)).state_dict().items():
        if name == "settings" or name.partition(".")[0] in SIGNED:
            continue
        optimizer = make(kind)
        before, state = bits(optimizer), optimizer.state_dict()
        wrong = array.copy()
        wrong.flat[-1] = -1
        with pytest.raises(
            ValueError, match=rf"the state does not fit this {kind.__name__}: {name} must be at least 0"
        ):
            optimizer.load_state_dict(state | {name: wrong})
        if array.dtype.kind == "i":
            for number in (np.nan, 1.5, np.inf, 2.0**70):
                with pytest.raises(ValueError, match=f"{name} has shape .* of float64, expected"):
                    optimizer.load_state_dict(state | {name: np.full(array.shape, number)})
        assert bits(optimizer) == before


def test_statistics_of_batches_are_never_negative() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), nn.ModuleList([nn.BatchNorm2d(3)]))
    for path in ("0.running_var", "1.0.running_var", "0.num_batches_tracked"):
        state, before = model.state_dict(), bits(model)
        with pytest.raises(ValueError, match=f"does not fit this Sequential: {path} must be at least 0, not -1"):
            model.load_state_dict(state | {path: state[path] * 0 - 1})
        assert bits(model) == before


# --- shared memory ---------------------------------------------------------------------------------------------------


def memories() -> dict[str, Callable[[Array], list[Array]]]:
    """Several arrays in one array of 12 numbers, and whether any two of them have elements in common."""
    return {
        "twice": lambda a: [a, a],
        "a part": lambda a: [a, a[3:7]],
        "reversed": lambda a: [a[::-1], a[:6]],
        "transposed": lambda a: [a.reshape(3, 4).T, a[:1]],
        "in a chain": lambda a: [a[:5], a[4:9], a[8:]],
        "another dtype": lambda a: [a, a.view(np.int32)[2:4]],
        "interleaved": lambda a: [a[::2], a[1::2]],
        "apart": lambda a: [a[:6], a[6:], a[6:6]],
    }


@pytest.mark.parametrize("which", memories())
def test_tensors_that_share_memory_are_loaded_right_or_not_at_all(which: str) -> None:
    class Shared(nn.Module):
        def __init__(self, memory: Array) -> None:
            self.held = [Tensor(array) for array in memories()[which](memory)]

    first, other = Shared(np.arange(12.0)), Shared(np.zeros(12))
    other.load_state_dict(first.state_dict())
    assert bits(other) == bits(first)
    alone = {name: array.copy() for name, array in first.state_dict().items()}
    last = sorted(alone)[-1] if which != "apart" else "held.1"
    alone[last].flat[0] = 77
    before = bits(other)
    if which in ("interleaved", "apart"):
        other.load_state_dict(alone)
        assert bits(other) == {name: array.tobytes() for name, array in alone.items()}
    else:
        with pytest.raises(
            ValueError, match=r"the state does not fit this Shared: held.*, held.* share memory here, but"
        ):
            other.load_state_dict(alone)
        assert bits(other) == before


def test_a_masked_array_is_no_value_of_a_state() -> None:
    layer = nn.RMSNorm(2)
    before = bits(layer)
    with pytest.raises(ValueError, match="does not fit this RMSNorm: weight is a masked array"):
        layer.load_state_dict({"weight": np.ma.array([1.0, 2.0], mask=[False, True])})
    assert bits(layer) == before

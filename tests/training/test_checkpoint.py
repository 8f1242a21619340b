"""Trainings that are saved and resumed: the same bits, whatever happens to the files and the process in between."""

import argparse
import itertools
import json
import os
import random
import subprocess
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinygrad_np import Tensor, cross_entropy, nn, optim, serialization
from tinygrad_np.checkpoint import Checkpoints
from tinygrad_np.data import DataLoader
from tinygrad_np.schedules import CosineScheduler, JoinedScheduler, WarmupScheduler
from tinygrad_np.tensor import Array

import examples_as_run
import kill_and_resume
import numpy as np
import pytest
from examples_as_run import write_subset
from holders import FOUND, REFUSED

IMAGES = np.random.default_rng(1).random((40, 6), np.float32)
LABELS = np.random.default_rng(2).integers(0, 3, 40)


class Training:
    """A network with a generator that order and dropout share, an optimiser with state and a schedule, an average."""

    def __init__(self, seed: int = 0, **parts: Any) -> None:
        self.rng = np.random.default_rng(seed)
        self.model = nn.Sequential(
            nn.Linear(6, 8, rng=self.rng),
            nn.BatchNorm1d(8),
            nn.Dropout(0.3, rng=self.rng),
            nn.Linear(8, 3, rng=self.rng),
        )
        schedule = JoinedScheduler([WarmupScheduler(0.01, 5), CosineScheduler(0.01, 20)], [5])
        self.optimizer = optim.AdamW(self.model.parameters(), lr=schedule)
        self.loader = DataLoader(IMAGES, LABELS, batch_size=8, rng=self.rng)
        self.average = optim.EMA(self.model.parameters(), 0.9)
        self.stream = self.epochs()
        self.parts = {name: getattr(self, name) for name in ("model", "optimizer", "loader", "average", "rng")} | parts

    def steps(self, count: int) -> list[float]:
        """The losses of so many further steps."""
        losses = []
        for images, labels in itertools.islice(self.stream, count):
            loss = cross_entropy(self.model(images), labels)
            self.optimizer.minimize(loss)
            self.average.update()
            losses.append(loss.item())
        return losses

    def epochs(self) -> Iterator[tuple[Array, ...]]:
        while True:
            yield from self.loader

    def bits(self) -> dict[str, bytes]:
        own = {name: part for name, part in self.parts.items() if hasattr(part, "state_dict")}
        return {f"{n}/{path}": a.tobytes() for n, part in own.items() for path, a in part.state_dict().items()}


@pytest.mark.parametrize("step", [1, 4, 5, 7, 10])  # an epoch has 5
def test_what_is_resumed_goes_on_to_the_same_bits(tmp_path: Path, step: int) -> None:
    undisturbed = Training()
    undisturbed.steps(step)
    checkpoints = Checkpoints(tmp_path / "new", **undisturbed.parts)
    checkpoints.save(step, {"losses": [0.1, float("inf")]})
    losses = undisturbed.steps(13)
    resumed = Training(seed=99)
    resumed.steps(3)
    found = Checkpoints(tmp_path / "new", **resumed.parts).resume()
    assert found == (step, {"losses": [0.1, float("inf")]}, [])
    resumed.stream = resumed.epochs()
    assert resumed.steps(13) == losses
    assert resumed.bits() == undisturbed.bits()
    assert resumed.rng.random() == undisturbed.rng.random()


def test_the_newest_two_are_kept_and_what_a_kill_has_left_is_removed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, rng=np.random.default_rng(0))
    (tmp_path / ".step-0000000001.safetensors.123").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("not ours", encoding="utf-8")
    for step in (1, 2, 10):
        checkpoints.save(step)
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "step-0000000002.safetensors", "step-0000000010.safetensors"]
    with pytest.raises(ValueError, match="step 5 is before the last checkpoint, of step 10; give step as an increas"):
        checkpoints.save(5)
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "step-0000000002.safetensors", "step-0000000010.safetensors"]
    checkpoints.save(10)  # the same step again
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "step-0000000002.safetensors", "step-0000000010.safetensors"]
    assert Checkpoints(tmp_path / "nothing", rng=np.random.default_rng(0)).resume() is None


@pytest.mark.parametrize("place", [0, 3, 10, 60, -1])
def test_a_damaged_checkpoint_is_skipped_and_named(tmp_path: Path, place: int) -> None:
    rng = np.random.default_rng(0)
    checkpoints = Checkpoints(tmp_path, rng=rng, model=nn.Linear(2, 2, rng=rng))
    older, newer = checkpoints.save(1), checkpoints.save(2)
    content = bytearray(newer.read_bytes())
    content[place] ^= 1
    newer.write_bytes(content)
    step, _, damaged = checkpoints.resume()
    assert step == 1
    assert len(damaged) == 1
    assert damaged[0].startswith(f"{newer}: ")
    older.write_bytes(older.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"every checkpoint is damaged: .*step-0000000002.*; .*step-0000000001"):
        checkpoints.resume()


def test_a_checkpoint_of_another_training_changes_nothing(tmp_path: Path) -> None:
    first = Training()
    Checkpoints(tmp_path, **first.parts).save(1)
    other = Training(seed=5)
    other.steps(2)
    before = other.bits()
    for parts, message in (
        (other.parts | {"more": nn.BatchNorm1d(2)}, "the state does not fit this more: bias is missing"),
        (
            {"rng": other.rng, "average": other.average},
            "its parts differ from those of this training: loader, model, optimizer",
        ),
        (other.parts | {"more": np.random.default_rng(0)}, "its parts differ from those of this training: more"),
        (other.parts | {"loader": DataLoader(IMAGES[:5], batch_size=2)}, r"loader: order has shape \(40,\)"),
        (other.parts | {"model": nn.Linear(6, 3, rng=other.rng)}, "model: 0.bias is unknown"),
    ):
        with pytest.raises(ValueError, match=message):
            Checkpoints(tmp_path, **parts).resume()
        assert other.bits() == before
    with pytest.raises(TypeError, match=r"rng must be a np.random.Generator or have state_dict\(\)"):
        Checkpoints(tmp_path, rng=np.random)
    for name in ("loader", "model"):
        with pytest.raises(ValueError, match=f"{name} uses a generator that is not a part; add it, as in rng=rng"):
            Checkpoints(tmp_path, **{name: other.parts[name]})
    with pytest.raises(ValueError, match="cannot contain a slash, as 'a/b' does"):
        Checkpoints(tmp_path, **{"a/b": other.average})
    Checkpoints(tmp_path / "mt", rng=np.random.Generator(np.random.MT19937(0))).save(1)
    with pytest.raises(ValueError, match="state must be for a PCG64"):
        Checkpoints(tmp_path / "mt", rng=np.random.default_rng(0)).resume()


def test_a_state_that_is_refused_late_is_put_back(tmp_path: Path) -> None:
    """A batch size is looked at by the loader itself, when the model is loaded already."""
    first = Training()
    first.steps(3)
    first.loader.batch_size = 20
    Checkpoints(tmp_path, **first.parts).save(1)
    other = Training(seed=5)
    before, state = other.bits(), other.rng.bit_generator.state
    with pytest.raises(ValueError, match=r"step-0000000001.safetensors: .* batch_size 20, expected 8"):
        Checkpoints(tmp_path, **other.parts).resume()
    assert other.bits() == before
    assert other.rng.bit_generator.state == state


def test_going_back_within_an_iteration_gives_the_same_batches(tmp_path: Path) -> None:
    loader = DataLoader(np.arange(10), batch_size=2, rng=(rng := np.random.default_rng(0)))
    checkpoints = Checkpoints(tmp_path, loader=loader, rng=rng)
    iteration = iter(loader)
    next(iteration)
    checkpoints.save(1)
    rest = [batch.tolist() for (batch,) in iteration] + [batch.tolist() for (batch,) in loader]
    stale = iter(loader)
    next(stale)
    checkpoints.resume()
    next(stale)  # which no longer counts
    assert [batch.tolist() for (batch,) in loader] + [batch.tolist() for (batch,) in loader] == rest
    nested = [[b.tolist() for (b,) in loader] for _ in DataLoader(np.arange(2), batch_size=1)]
    assert len(nested) == 2


def test_a_training_that_was_not_resumed_does_not_replace_a_longer_one(tmp_path: Path) -> None:
    Checkpoints(tmp_path, rng=np.random.default_rng(0)).save(1000)
    another = Checkpoints(tmp_path, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"has checkpoints later than step 1; call resume\(\) first"):
        another.save(1)
    another.resume()
    another.save(10**10)
    another.save(10**10 + 1)
    assert another.resume().step == 10**10 + 1
    with pytest.raises(ValueError, match="step must be at least 0, not -1"):
        another.save(-1)


@pytest.mark.parametrize(
    "crafted",
    [
        '{"format": 3, "step": Infinity, "record": 1, "generators": {}}',
        "[" * 200_000,
        '{"format": 3, "step": 1, "record": 1, "generators": {"rng": {"bit_generator": "MT19937", "state": 3}}}',
        '{"format": 3, "step": 2, "record": 1, "generators": {}}',
        json.dumps({"format": 3, "step": 1, "record": 1, "generators": {"rng": {"bit_generator": "MT19937", "state": {
            "key": [1] * 624, "pos": 2_000_000_000}}}}),
    ],
)  # fmt: skip
def test_crafted_states_are_refused(tmp_path: Path, crafted: str) -> None:
    rng = np.random.Generator(np.random.MT19937(0))
    before = rng.bit_generator.state["state"]["key"].tolist()
    serialization.save(tmp_path / "step-0000000001.safetensors", {}, {"training": crafted})
    with pytest.raises(ValueError, match="step-0000000001"):
        Checkpoints(tmp_path, rng=rng).resume()
    assert rng.bit_generator.state["state"]["key"].tolist() == before


KINDS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]


@pytest.mark.parametrize("kind", KINDS)
def test_every_generator_is_saved(tmp_path: Path, kind: Any) -> None:
    rng = np.random.Generator(kind(0))
    rng.random(3, np.float32)  # half of a number is left over
    checkpoints = Checkpoints(tmp_path, rng=rng)
    checkpoints.save(0)
    drawn = rng.random(5, np.float32)
    checkpoints.resume()
    np.testing.assert_array_equal(rng.random(5, np.float32), drawn)


def edits(value: Any) -> Iterator[Any]:
    """The value with one thing in it left out, added, made longer or shorter, of another kind, or out of range."""
    if isinstance(value, dict):
        yield value | {"more": 1}
        for name, part in value.items():
            yield {other: values for other, values in value.items() if other != name}
            yield from (value | {name: edited} for edited in edits(part))
    elif isinstance(value, list):
        yield from (value[:-1], [*value, 1], [], [0.5, *value[1:]], [-1, *value[1:]], [2**64, *value[1:]], ["1"])
    elif isinstance(value, int):
        yield from (-1, 2**200, 0.5, None, [value], "x")
    else:
        yield from ("PCG32", None, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_every_edit_of_a_generators_state_is_refused(tmp_path: Path, kind: Any) -> None:
    rng = np.random.Generator(kind(0))
    path = Checkpoints(tmp_path, rng=rng).save(1)
    text = json.loads(serialization.load(path)[1]["training"])
    before, count = json.dumps(text["generators"]["rng"]), 0
    for count, edited in enumerate(edits(text["generators"]["rng"]), 1):  # noqa: B007 - asserted below
        crafted = json.dumps(text | {"generators": {"rng": edited}})
        serialization.save(path, {}, {"training": crafted})
        with pytest.raises(ValueError, match=f"{path}: rng: "):
            Checkpoints(tmp_path, rng=rng).resume()
        assert json.dumps(rng.bit_generator.state, default=np.ndarray.tolist) == before
    assert count > 20


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (np.random.MT19937, {"pos": 625}, "pos must be from 0 to 624, not 625"),
        (np.random.MT19937, {"key": [0] * 624}, "it would draw zeros only"),
        (np.random.Philox, {"buffer_pos": 5}, "buffer_pos must be from 0 to 4, not 5"),
        (np.random.PCG64, {"inc": 4}, "inc must be odd, not 4"),
        (np.random.SFC64, {"has_uint32": 2}, "has_uint32 must be from 0 to 1, not 2"),
    ],
)
def test_states_that_numpy_would_take_are_refused(tmp_path: Path, kind: Any, change: Any, message: str) -> None:
    rng = np.random.Generator(kind(0))
    path = Checkpoints(tmp_path, rng=rng).save(1)
    text = json.loads(serialization.load(path)[1]["training"])
    state = text["generators"]["rng"]
    (state["state"] if next(iter(change)) in state["state"] else state).update(change)
    serialization.save(path, {}, {"training": json.dumps(text)})
    with pytest.raises(ValueError, match=f"{message}|must be between"):  # NumPy 2.5 refuses positions by itself
        Checkpoints(tmp_path, rng=rng).resume()


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    """Whether its checkpoints are later or earlier, and whether they were there before or have come meanwhile."""
    first, other = (Checkpoints(tmp_path, rng=np.random.default_rng(0)) for _ in range(2))
    first.save(10)
    content = sorted(os.listdir(tmp_path))
    for step, which in ((5, "later than step 5"), (10, "of another run"), (20, "of another run")):
        with pytest.raises(
            ValueError, match=rf"has checkpoints {which}.*; call resume\(\) first to continue from them"
        ):
            other.save(step)
    assert sorted(os.listdir(tmp_path)) == content
    other.resume()
    other.save(20)
    with pytest.raises(ValueError, match=r"has checkpoints later than step 15; call resume\(\)"):
        first.save(15)
    for step in (1.5, "1", True, None):
        with pytest.raises(ValueError, match="step must be an integer, not"):
            other.save(step)
    assert other.resume().step == 20


def test_what_lies_beyond_a_damaged_checkpoint_is_written_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, rng=np.random.default_rng(0))
    checkpoints.save(10)
    checkpoints.save(20).write_bytes(b"")
    again = Checkpoints(tmp_path, rng=np.random.default_rng(0))
    assert again.resume().step == 10
    again.save(15)
    assert sorted(os.listdir(tmp_path)) == ["step-0000000010.safetensors", "step-0000000015.safetensors"]


def test_a_checkpoint_of_an_older_format_is_one_clear_error(tmp_path: Path) -> None:
    text = {"step": 1, "record": None, "generators": {"rng": np.random.default_rng(0).bit_generator.state}}
    serialization.save(tmp_path / "step-0000000001.safetensors", {}, {"training": json.dumps(text)})
    with pytest.raises(ValueError, match="has format 1 of checkpoints, but this version of tinygrad_np reads format 3"):
        Checkpoints(tmp_path, rng=np.random.default_rng(0)).resume()


def test_missing_and_additional_parts_are_named(tmp_path: Path) -> None:
    training = Training()
    Checkpoints(tmp_path, **training.parts).save(1)
    before = training.bits()
    for name in training.parts:
        fewer = {other: part for other, part in training.parts.items() if other != name}
        if name == "rng":  # the others need it
            fewer = {"average": training.average}
        with pytest.raises(ValueError, match=rf"its parts differ .*; the checkpoint alone has .*\b{name}\b"):
            Checkpoints(tmp_path, **fewer).resume()
    with pytest.raises(ValueError, match="differ from those of this training: more; this training alone has more"):
        Checkpoints(tmp_path, **training.parts, more=np.random.default_rng(0)).resume()
    with pytest.raises(ValueError, match="the checkpoint alone has average; this training alone has mean"):
        Checkpoints(tmp_path, **{n: p for n, p in training.parts.items() if n != "average"}, mean=training.rng).resume()
    assert training.bits() == before


def test_a_part_that_fails_late_changes_no_other(tmp_path: Path) -> None:
    """A loader, too, goes on as if nothing had been loaded."""

    class Stubborn(nn.BatchNorm1d):
        def load_state_dict(self, state: Any) -> None:
            super().load_state_dict(state)
            if state["bias"][0] == 1:
                raise OSError("no")

    stubborn, training = Stubborn(2), Training()
    training.steps(2)
    stubborn.bias.data[:] = 1
    Checkpoints(tmp_path, **training.parts, zz=stubborn).save(2)
    stubborn.bias.data[:] = 0
    other = Training(seed=3)
    expected = Training(seed=3).steps(8)
    losses = other.steps(1)
    with pytest.raises(ValueError, match="step-0000000002.safetensors: no"):
        Checkpoints(tmp_path, **other.parts, zz=stubborn).resume()
    assert stubborn.bias.data.tolist() == [0, 0]
    assert losses + other.steps(7) == expected


def test_older_checkpoints_survive_a_full_disk(tmp_path: Path) -> None:
    limits = pytest.importorskip("resource", reason="only POSIX limits the size of files")
    checkpoints = Checkpoints(tmp_path, model=nn.Linear(50, 50, rng=np.random.default_rng(0)))
    checkpoints.save(1)
    soft, hard = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large: .*step-0000000002"):
            checkpoints.save(2)
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(TypeError, match="the record must be representable as JSON, but contains set"):
        checkpoints.save(2, {1})
    assert os.listdir(tmp_path) == ["step-0000000001.safetensors"]


@pytest.mark.slow
def test_a_killed_example_comes_to_the_same_bits() -> None:
    """tests/study/kill_and_resume.py does more of it."""
    happened = kill_and_resume.torture(8, seed=0, epochs=3, hidden=8)
    assert happened[-1].startswith(("8 kills: weights and metrics are", "without disks"))


@pytest.mark.slow
def test_the_example_goes_on_only_with_what_is_its_own(tmp_path: Path) -> None:
    def run(*options: object) -> subprocess.CompletedProcess[str]:
        return examples_as_run.run("mnist_fcn.py", tmp_path, "--data", data, "--hidden", 8, "--quiet", *options)

    data = write_subset(tmp_path / "data")
    every = ("--epochs", 1, "--checkpoint-every", 10)
    first = run(*every, "--resume")
    assert "no checkpoint in runs/mnist_fcn/checkpoints: from the beginning" in first.stdout
    out = ("--out", "runs/mnist_fcn")
    again = run(*every, "--resume")
    assert "going on from step 40" in again.stdout
    assert os.listdir(tmp_path / "runs") == ["mnist_fcn"]
    assert "--resume goes on with it, --overwrite replaces it" in run(*every, *out).stderr
    refused = run(*every, *out, "--resume", "--lr", 0.1, "--batch-size", 64)
    assert refused.returncode == 1
    assert "of a training with lr 0.5, not 0.1" in refused.stderr
    assert "goes on from there" not in refused.stdout
    assert "the state has batch_size 64, expected 640" in run(*every, *out, "--resume", "--batch-size", 640).stderr
    newest = tmp_path / "runs/mnist_fcn/checkpoints/step-0000000040.safetensors"
    newest.write_bytes(newest.read_bytes()[:-7])
    passed_over = run("--epochs", 2, "--checkpoint-every", 20, *out, "--resume")  # for longer than before
    assert passed_over.returncode == 0
    assert (
        "passed over: runs/mnist_fcn/checkpoints/step-0000000040.safetensors: not a safetensors" in passed_over.stderr
    )
    assert (
        json.loads((tmp_path / "runs/mnist_fcn/metrics.json").read_text(encoding="utf-8"))["hyperparameters"]["epochs"]
        == 2
    )
    images = tmp_path / "data/train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1] + b"\1")
    assert "the state is of a loader of other data" in run("--epochs", 2, *out, "--resume").stderr
    for wrong in (("--test", "m", "--resume"), ("--predict", "p", "--checkpoint-every", 5)):
        assert "they are for training" in run(*wrong).stderr
    assert "give one of them" in run(*out, "--resume", "--overwrite").stderr
    model = tmp_path / "runs/mnist_fcn/model.safetensors"
    assert run("--test", model, *out, "--overwrite").returncode == 0
    assert len(os.listdir(tmp_path / "runs/mnist_fcn/checkpoints")) == 2
    assert run("--epochs", 1, *out, "--overwrite").returncode == 0
    assert os.listdir(tmp_path / "runs/mnist_fcn/checkpoints") == []
    assert "holds the results of a run; give another" in run(*every, *out, "--resume").stderr


@pytest.mark.slow
def test_an_example_that_was_killed_before_its_first_epoch_has_a_checkpoint(tmp_path: Path) -> None:
    options = ("--hidden", 8192, "--batch-size", 1, "--checkpoint-every", 10**6, "--out", "out")  # an epoch of minutes
    with examples_as_run.started("mnist_fcn.py", tmp_path, *options) as process:
        examples_as_run.wait_until(lambda: list(tmp_path.glob("out/checkpoints/step-*")), process)
        process.kill()
        process.communicate()
    assert os.listdir(tmp_path / "out/checkpoints") == ["step-0000000000.safetensors"]


class Net(nn.Module):
    """A module that holds more than Tensors."""

    def __init__(self, **held: Any) -> None:
        self.layer = nn.Linear(2, 1, rng=np.random.default_rng(0))
        vars(self).update(held)


GENERATORS: list[Callable[[], Any]] = [
    lambda: np.random.default_rng(0),
    lambda: np.random.RandomState(0),
    lambda: np.random.PCG64(0),
    lambda: random.Random(0),
]


class Noisy(DataLoader):
    noise: Any = None


class Average(optim.EMA):
    noise: Any = None


def with_class_attribute(held: Any) -> nn.Module:
    return type("OfClass", (nn.ReLU,), {"held": held})()


def with_methods(held: Any) -> nn.Module:
    def forward(self: Any, x: Any) -> Any:
        return held

    return type("OfMethods", (nn.ReLU,), {"forward": forward, "noise": property(lambda self: held)})()


def loader_of(held: Any) -> DataLoader:
    loader = Noisy(IMAGES, batch_size=10)
    loader.noise = held
    return loader


def loader_of_objects(held: Any) -> DataLoader:
    array = np.empty(2, object)
    array[1] = held
    return DataLoader(array, batch_size=1)


def optimizer_with(held: Any) -> optim.SGD:
    return optim.SGD(nn.Linear(2, 1, rng=np.random.default_rng(0)).parameters(), lr=lambda step: float(held is None))


def average_with(held: Any) -> optim.EMA:
    average = Average(nn.Linear(2, 1, rng=np.random.default_rng(0)).parameters())
    average.noise = held
    return average


PARTS: list[Callable[[Any], Any]] = [
    lambda held: Net(held=held),
    lambda held: nn.Sequential(lambda x: held),
    with_class_attribute,
    with_methods,
    loader_of,
    loader_of_objects,
    optimizer_with,
    average_with,
]


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("part_with", PARTS)
@pytest.mark.parametrize("wrap", [lambda generator: generator, *FOUND, *REFUSED])
def test_a_generator_that_is_no_part_is_refused_wherever_it_is(
    wrap: Callable[[Any], Any], part_with: Callable[[Any], Any], make: Callable[[], Any], tmp_path: Path
) -> None:
    generator = make()
    part = part_with(wrap(generator))
    with pytest.raises(ValueError, match=r"part uses a generator that is not a part; add it, as in rng=rng \(it is at"):
        Checkpoints(tmp_path, part=part)
    if isinstance(generator, np.random.Generator):
        Checkpoints(tmp_path, part=part, rng=generator)


def test_generators_that_are_saved_otherwise_are_not_refused(tmp_path: Path) -> None:
    class Sampler:
        def __init__(self) -> None:
            self.rng = np.random.default_rng(0)

        def state_dict(self) -> dict[str, Array]:
            return {"state": np.frombuffer(json.dumps(self.rng.bit_generator.state).encode(), np.uint8)}

        def load_state_dict(self, state: dict[str, Array]) -> None:
            self.rng.bit_generator.state = json.loads(state["state"].tobytes())

    rng = np.random.default_rng(0)
    Checkpoints(tmp_path, sampler=Sampler(), net=Net(bits=rng.bit_generator), rng=rng).save(0)


class Lookahead(optim.SGD):
    def __init__(self, parameters: Any, lr: float) -> None:
        super().__init__(parameters, lr)
        self.slow = [parameter.data.copy() for parameter in self.parameters]


@pytest.mark.parametrize(
    ("part", "change"),
    [
        (
            lambda: Lookahead([Tensor([1.0], requires_grad=True)], 0.1),
            lambda part: np.add(part.slow[0], 1, part.slow[0]),
        ),
        (lambda: loader_of(np.zeros(3)), lambda part: np.add(part.noise, 1, part.noise)),
        (lambda: average_with(np.zeros(3)), lambda part: np.add(part.noise, 1, part.noise)),
        (lambda: Net(held=types.SimpleNamespace(mean=np.zeros(3))), lambda net: setattr(net.held, "mean", np.ones(3))),
        (lambda: Net(held=argparse.Namespace(mean=np.zeros(3))), lambda net: np.add(net.held.mean, 1, net.held.mean)),
    ],
)
def test_an_array_of_any_part_that_training_changes_is_refused(part: Any, change: Any, tmp_path: Path) -> None:
    made = part()
    checkpoints = Checkpoints(tmp_path, part=made)
    checkpoints.save(1)
    change(made)
    with pytest.raises(ValueError, match="Checkpoints: an array in part has changed, which would not be saved"):
        checkpoints.save(2)


class History:
    """A part of another class, whose state grows."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def state_dict(self) -> dict[str, Array]:
        return {"losses": np.array(self.losses)} if self.losses else {}

    def load_state_dict(self, state: dict[str, Array]) -> None:
        self.losses = state["losses"].tolist() if state else []


def test_a_part_of_another_class_decides_which_arrays_it_loads(tmp_path: Path) -> None:
    history = History()
    history.losses += [1.0, 0.5]
    Checkpoints(tmp_path, history=history).save(1)
    other = History()
    Checkpoints(tmp_path, history=other).resume()
    assert other.losses == [1.0, 0.5]


class Interrupted(optim.SGD):
    """Ctrl-C arrives between the updates of two parameters."""

    at = 1

    def update(self, *args: Any, **kwargs: Any) -> None:
        super().update(*args, **kwargs)
        if self.steps == self.at:
            self.at = -1
            raise KeyboardInterrupt


def test_a_half_step_is_not_saved(tmp_path: Path) -> None:
    model = nn.Linear(2, 1, rng=np.random.default_rng(0))
    optimizer = Interrupted(model.parameters(), lr=0.1)
    checkpoints = Checkpoints(tmp_path, model=model, optimizer=optimizer)
    optimizer.minimize(model(np.ones((1, 2), np.float32)).sum())
    checkpoints.save(1)
    with pytest.raises(KeyboardInterrupt):
        optimizer.minimize(model(np.ones((1, 2), np.float32)).sum())
    with pytest.raises(RuntimeError, match="step 1 of optimizer is half done, .* save between steps"):
        checkpoints.save(2)
    assert checkpoints.resume().step == 1
    checkpoints.save(1)
    optimizer.minimize(model(np.ones((1, 2), np.float32)).sum())
    checkpoints.save(2)


def test_a_class_is_no_part(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="model must be a np.random.Generator or have .*, not the class Linear"):
        Checkpoints(tmp_path, model=nn.Linear)


def test_an_array_that_training_changes_is_a_tensor_or_refused(tmp_path: Path) -> None:
    net = Net(mean=np.zeros(1), masks=[np.zeros(100, bool)], calls=0)
    checkpoints = Checkpoints(tmp_path, net=net)
    net.calls += 1  # not saved, and not compared
    checkpoints.save(1)
    for array, path in ((net.mean, "mean"), (net.masks[0], "masks.0")):
        array += True
        with pytest.raises(
            ValueError, match=rf"an array in net has changed, .*: when .* was made: .*, now: .*, at {path};"
        ):
            checkpoints.save(2)
        array[...] = 0
    checkpoints.save(2)
    assert Checkpoints(tmp_path, net=Net(mean=np.zeros(1), masks=[np.zeros(100, bool)], calls=0)).resume().step == 2


def test_a_parameter_that_was_frozen_since_is_frozen_before_it_goes_on(tmp_path: Path) -> None:
    net = Net()
    checkpoints = Checkpoints(tmp_path, net=net)
    net.layer.weight.requires_grad = False
    checkpoints.save(1)
    again = Net()
    resumed = Checkpoints(tmp_path, net=again)
    with pytest.raises(ValueError, match=r"without gradient, here: float32\[2, 1\], at layer.weight"):
        resumed.resume()
    again.layer.weight.requires_grad = False
    assert resumed.resume().step == 1


def test_a_save_that_is_interrupted_late_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path, rng=np.random.default_rng(0))
    checkpoints.save(10)
    for step in (20, 30):
        with monkeypatch.context() as patched:
            patched.setattr("tinygrad_np.checkpoint.load", interrupt)  # the file is complete and in its place
            with pytest.raises(KeyboardInterrupt):
                checkpoints.save(step)
        checkpoints.save(step)
    assert Checkpoints(tmp_path, rng=np.random.default_rng(0)).resume().step == 30


def interrupt(*args: Any) -> None:
    raise KeyboardInterrupt

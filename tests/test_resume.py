"""Trainings that are saved and resumed: the same bits, whatever happens to the files and the process in between."""

import itertools
import os
import resource as limits
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinygrad_np import checkpoint, cross_entropy, nn, optim
from tinygrad_np.data import DataLoader
from tinygrad_np.resume import Checkpoints
from tinygrad_np.tensor import Array

import examples_as_run
import kill_and_resume
import numpy as np
import pytest
from examples_as_run import write_subset

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
        schedule = optim.JoinedScheduler([optim.WarmupScheduler(0.01, 5), optim.CosineScheduler(0.01, 20)], [5])
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
    (tmp_path / "notes.txt").write_text("not ours")
    for step in (1, 2, 10):
        checkpoints.save(step)
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "step-0000000002.safetensors", "step-0000000010.safetensors"]
    checkpoints.save(5)  # gone on from an older one: the newer ones are of another future
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "step-0000000002.safetensors", "step-0000000005.safetensors"]
    assert Checkpoints(tmp_path / "nothing", rng=np.random.default_rng(0)).resume() is None


@pytest.mark.parametrize("place", [0, 3, 10, 60, -1])
def test_a_damaged_one_is_passed_over_and_named(tmp_path: Path, place: int) -> None:
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
    with pytest.raises(ValueError, match=r"no checkpoint in it is whole: .*step-0000000002.*; .*step-0000000001"):
        checkpoints.resume()


def test_one_of_another_training_changes_nothing(tmp_path: Path) -> None:
    first = Training()
    Checkpoints(tmp_path, **first.parts).save(1)
    other = Training(seed=5)
    other.steps(2)
    before = other.bits()
    for parts, message in (
        (other.parts | {"more": nn.BatchNorm1d(2)}, "the state does not fit this more: bias is missing"),
        ({"model": other.model}, "of other parts than this training's: average, loader, optimizer, rng"),
        (other.parts | {"rng": other.loader}, "of other parts than this training's: rng"),
        (other.parts | {"rng": np.random.Generator(np.random.MT19937(0))}, "state must be for a MT19937"),
        (other.parts | {"loader": DataLoader(IMAGES[:5], batch_size=2)}, r"loader: order has shape \(40,\)"),
        (other.parts | {"model": nn.Linear(6, 3, rng=other.rng)}, "model: 0.bias is unknown"),
    ):
        with pytest.raises(ValueError, match=message):
            Checkpoints(tmp_path, **parts).resume()
        assert other.bits() == before
    with pytest.raises(TypeError, match=r"rng must be a np.random.Generator or have state_dict\(\)"):
        Checkpoints(tmp_path, rng=np.random)


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_every_generator_is_saved(tmp_path: Path, kind: Any) -> None:
    rng = np.random.Generator(kind(0))
    rng.random(3, np.float32)  # half of a number is left over
    checkpoints = Checkpoints(tmp_path, rng=rng)
    checkpoints.save(0)
    drawn = rng.random(5, np.float32)
    checkpoints.resume()
    np.testing.assert_array_equal(rng.random(5, np.float32), drawn)


def test_without_room_the_older_ones_stay(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, model=nn.Linear(50, 50, rng=np.random.default_rng(0)))
    checkpoints.save(1)
    soft, hard = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large: .*step-0000000002"):
            checkpoints.save(2)
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(TypeError, match="a record holds what JSON can hold, not set"):
        checkpoints.save(2, {1})
    assert os.listdir(tmp_path) == ["step-0000000001.safetensors"]


def test_a_killed_example_comes_to_the_same_bits() -> None:
    """tests/kill_and_resume.py does more of it."""
    happened = kill_and_resume.torture(8, 0, ["--epochs", 3, "--hidden", 8], longest=0.7)
    assert happened[-1].startswith(("8 kills: weights and metrics are", "without disks"))


def test_the_example_goes_on_only_with_what_is_its_own(tmp_path: Path) -> None:
    def run(*options: object) -> subprocess.CompletedProcess[str]:
        return examples_as_run.run("mnist_fcn.py", tmp_path, "--data", data, "--hidden", 8, "--quiet", *options)

    data = write_subset(tmp_path / "data")
    every = ("--epochs", 1, "--checkpoint-every", 10)
    assert run(*every, "--resume").returncode == 0  # there is nothing to resume: from the beginning
    out = ("--out", "runs/mnist_fcn")
    again = run(*every, "--resume")
    assert "going on from step 40" in again.stdout
    assert os.listdir(tmp_path / "runs") == ["mnist_fcn"]
    assert "--resume goes on with it, --overwrite replaces it" in run(*every, *out).stderr
    refused = run(*every, *out, "--resume", "--lr", 0.1)
    assert refused.returncode == 1
    assert "of a training with lr 0.5, not 0.1" in refused.stderr
    newest = tmp_path / "runs/mnist_fcn/checkpoints/step-0000000040.safetensors"
    newest.write_bytes(newest.read_bytes()[:-7])
    passed_over = run(*every, *out, "--resume")
    assert passed_over.returncode == 0
    assert (
        "passed over: runs/mnist_fcn/checkpoints/step-0000000040.safetensors: not a safetensors" in passed_over.stderr
    )
    assert run("--epochs", 1, *out, "--overwrite").returncode == 0
    assert not (tmp_path / "runs/mnist_fcn/checkpoints").exists()
    assert "holds the results of a run; give another" in run(*every, *out, "--resume").stderr
    checkpoint.load(tmp_path / "runs/mnist_fcn/model.safetensors")

"""The logger of the example: what it hands to a writer, in a CSV file, and in TensorBoard where that is installed."""

import csv
import sys
from pathlib import Path

from tinygrad_np import Tensor, nn, optim

import examples_as_run
import numpy as np
import pytest

import logging_hook

NAMES = ["train/loss", "train/accuracy", "train/learning_rate"]


def training(write: logging_hook.Write, every: int = 4) -> list[float]:
    """Eleven steps of a small training that is logged. Return their losses."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (22, 2, 3), np.uint8), rng.integers(0, 10, 22)
    model, loader, optimizer = logging_hook.prepare(images, labels)
    loader.batch_size = 2
    log, losses = logging_hook.Logger(write, optimizer, every), []

    def after_step(loss: Tensor, logits: Tensor, labels: np.ndarray) -> None:
        losses.append(loss.item())
        log(loss, logits, labels)

    logging_hook.train(model, loader, optimizer, 1, after_step)
    return losses


def test_means_are_handed_to_a_writer() -> None:
    written: list[tuple[str, float, int]] = []
    losses = training(lambda name, value, step: written.append((name, value, step)))
    assert [(name, step) for name, _, step in written] == [(name, step) for step in (4, 8) for name in NAMES]
    values = {(name, step): value for name, value, step in written}
    for step in (4, 8):
        assert values["train/loss", step] == pytest.approx(np.mean(losses[step - 4 : step]))
        assert values["train/learning_rate", step] == 0.3
    assert all(type(value) is float for value in values.values())


def test_the_accuracy_is_that_of_the_logits() -> None:
    written: list[tuple[str, float, int]] = []
    optimizer = optim.SGD(nn.Linear(1, 1, rng=np.random.default_rng(0)).parameters(), 0.1)
    log = logging_hook.Logger(lambda *numbers: written.append(numbers), optimizer, every=2)
    log(Tensor(1.0), Tensor([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))
    log(Tensor(2.0), Tensor([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1]))
    assert written == [("train/loss", 1.5, 0), ("train/accuracy", 0.75, 0), ("train/learning_rate", 0.1, 0)]


def test_a_csv_file_can_be_read_while_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    with logging_hook.csv_file(path) as write:
        write("train/loss", 0.5, 50)
        assert path.read_text(encoding="utf-8") == "step,name,value\n50,train/loss,0.5\n"


def test_tensorboard_shows_what_was_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    written: list[tuple[str, float, int]] = []
    with logging_hook.tensorboard(tmp_path) as write:

        def both(name: str, value: float, step: int) -> None:
            written.append((name, value, step))
            write(name, value, step)

        training(both)
    found = accumulators.EventAccumulator(str(tmp_path)).Reload()
    assert sorted(found.Tags()["scalars"]) == sorted(NAMES)
    for name in NAMES:
        expected = [(step, np.float32(value)) for other, value, step in written if other == name]
        assert [(event.step, event.value) for event in found.Scalars(name)] == expected


@pytest.mark.slow
def test_the_script_logs_a_training(tmp_path: Path) -> None:
    done = examples_as_run.run("logging_hook.py", tmp_path, "--epochs", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "938 steps are logged: runs/logging_hook/log.csv\n"
    with (tmp_path / "runs/logging_hook/log.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [step for step in range(50, 938, 50) for _ in NAMES]
    losses = [float(row["value"]) for row in rows if row["name"] == "train/loss"]
    assert losses[-1] < 0.4 < losses[0]


def test_without_tensorboardx_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging_hook, "SummaryWriter", None)
    monkeypatch.setattr(sys, "argv", ["logging_hook.py", "--tensorboard"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"^logging_hook.py: --tensorboard needs tensorboardX: python -m pip install"):
        logging_hook.main()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_is_said_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"")
    done = examples_as_run.run("logging_hook.py", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("logging_hook.py: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_help_says_what_it_shows(tmp_path: Path) -> None:
    done = examples_as_run.run("logging_hook.py", tmp_path, "--help")
    assert done.returncode == 0, done.stderr
    assert "`python examples/logging_hook.py`" in done.stdout

"""The example as its users run it: a process of its own, real digits, files on the disk."""

import gzip
import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from tinygrad_np.data import load_mnist

ROOT = Path(__file__).parent.parent
METRICS = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
FIGURES = ("loss.png", "accuracy.png", "confusion.png", "weights.png")


def run(folder: Path, *arguments: object, warnings: str = "error") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", warnings, ROOT / "examples/mnist_fcn.py", *arguments]
    return subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, check=False)


def write_idx(path: Path, array: np.ndarray) -> None:
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def write_subset(folder: Path, crop: slice = slice(None), classes: int = 10) -> Path:
    """The first 3000 training and 1000 test digits below `classes`, cut to a part of the image."""
    folder.mkdir()
    for part, dataset, count in zip(
        ("train", "t10k"), load_mnist(ROOT / "examples/data/mnist"), (3000, 1000), strict=True
    ):
        chosen = np.flatnonzero(dataset.labels < classes)[:count]
        write_idx(folder / f"{part}-images-idx3-ubyte", dataset.images[chosen][:, crop])
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", dataset.labels[chosen])
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("example")
    write_subset(folder / "data")
    return folder, run(folder, "--data", "data", "--epochs", 2, "--hidden", 64)


def test_a_run_learns_and_writes_everything(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, finished = trained
    assert finished.returncode == 0, finished.stderr
    assert "precision    recall  f1-score   support" in finished.stdout
    assert "epoch   2" in finished.stdout
    assert "step/s" in finished.stderr
    metrics = json.loads((folder / "runs/mnist_fcn/metrics.json").read_text())
    assert [len(metrics[name]) for name in METRICS] == [2] * 4
    assert metrics["test_accuracy"][-1] > 0.85
    assert metrics["train_loss"][1] < metrics["train_loss"][0]
    assert metrics["hyperparameters"]["hidden"] == 64
    for name in FIGURES:
        picture = matplotlib.image.imread(folder / "runs/mnist_fcn" / name)
        assert min(picture.shape[:2]) > 300
        assert picture[..., :3].std() > 0.05  # not blank


def test_the_same_seed_gives_the_same_weights_to_the_bit(trained: tuple[Path, object]) -> None:
    folder, _ = trained
    finished = run(folder, "--data", "data", "--epochs", 2, "--hidden", 64, "--out", "again", "--quiet")
    assert finished.stderr == ""
    assert run(folder, "--data", "data", "--epochs", 1, "--hidden", 64, "--out", "other", "--seed", 1).returncode == 0
    weights = [(folder / name / "model.safetensors").read_bytes() for name in ("runs/mnist_fcn", "again", "other")]
    assert weights[0] == weights[1] != weights[2]


def test_a_saved_model_is_tested_to_the_same_table(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, finished = trained
    tested = run(folder, "--data", "data", "--test", "runs/mnist_fcn/model.safetensors")
    assert tested.returncode == 0, tested.stderr
    assert tested.stdout
    assert tested.stdout in finished.stdout


def test_results_are_never_overwritten_unasked(trained: tuple[Path, object]) -> None:
    folder, _ = trained
    quick = ("--data", "data", "--epochs", 1, "--hidden", 8, "--quiet")
    before = (folder / "runs/mnist_fcn/model.safetensors").read_bytes()
    refused = run(folder, *quick, "--out", "runs/mnist_fcn")
    assert refused.returncode == 1
    assert refused.stderr.startswith("mnist_fcn.py: runs/mnist_fcn holds the results of a run; give another --out, or")
    assert run(folder, *quick).returncode == run(folder, *quick).returncode == 0
    assert sorted(p.name for p in (folder / "runs").iterdir()) == ["mnist_fcn", "mnist_fcn-2", "mnist_fcn-3"]
    assert (folder / "runs/mnist_fcn/model.safetensors").read_bytes() == before
    assert run(folder, *quick, "--out", "runs/mnist_fcn", "--overwrite").returncode == 0
    assert (folder / "runs/mnist_fcn/model.safetensors").read_bytes() != before


def test_other_image_sizes_and_numbers_of_classes(tmp_path: Path) -> None:
    write_subset(tmp_path / "data", crop=slice(4, 24), classes=3)
    finished = run(tmp_path, "--data", "data", "--epochs", 1, "--hidden", 16, "--quiet")
    assert finished.returncode == 0, finished.stderr
    assert "Linear(560, 16)" in finished.stdout
    assert "Linear(16, 3)" in finished.stdout
    refused = run(tmp_path, "--test", "runs/mnist_fcn/model.safetensors")
    assert "a network of 560 pixels and 3 classes" in refused.stderr
    assert "images of 784 pixels and labels up to 9" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch-size", "0"], "argument --batch-size: must be a positive integer, not '0'"),
        (["--hidden", "many"], "argument --hidden: must be a positive integer, not 'many'"),
        (["--lr", "-1"], "argument --lr: must be a number of at least 0, not '-1'"),
        (["--lr", "nan"], "argument --lr: must be a number of at least 0, not 'nan'"),
        (["--decay", "0"], "argument --decay: must be a number above 0, not '0'"),
        (["--seed", "-1"], "argument --seed: must be at least 0, not -1"),
        (["--data", "nowhere"], "mnist_fcn.py: nowhere: there is neither train-images-idx3-ubyte nor"),
        (["--test", "nowhere"], "mnist_fcn.py: nowhere: no such file"),
        (["--test", "text"], "mnist_fcn.py: text: not a safetensors file"),
        (["--out", "text"], "mnist_fcn.py: [Errno 17] File exists: 'text'"),
    ],
)
def test_bad_options_are_one_clear_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "text").write_text("not a model")
    refused = run(tmp_path, *arguments)
    assert refused.returncode in (1, 2)
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text"]


def test_a_rate_that_is_too_high_is_said(trained: tuple[Path, object]) -> None:
    folder, _ = trained
    settings = ("--data", "data", "--hidden", 8, "--lr", 1e30, "--out", "diverged", "--quiet")
    finished = run(folder, *settings, warnings="ignore")
    assert finished.returncode == 1
    assert re.fullmatch(r"mnist_fcn.py: the loss is (nan|inf) at step \d+; try a smaller --lr\n", finished.stderr)


def test_help_explains_every_option(tmp_path: Path) -> None:
    text = run(tmp_path, "--help").stdout
    for option in ("--hidden", "--stage-length", "--weight-decay", "--test", "--overwrite", "(default 1024)"):
        assert option in text

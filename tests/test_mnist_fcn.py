"""The example as its users run it: a process of its own, real digits, files on the disk."""

import gzip
import json
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from tinygrad_np import checkpoint
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
    _, beside = checkpoint.load(folder / "runs/mnist_fcn/model.safetensors")
    assert json.loads(beside["metrics"]) == metrics
    support = sum(int(line.split()[-1]) for line in finished.stdout.splitlines() if re.match(r" +\d ", line))
    assert support == 1000
    assert f"test accuracy {metrics['test_accuracy'][-1]:.2%}" in finished.stdout
    assert 0.5 < metrics["train_accuracy"][0] < metrics["train_accuracy"][1] < 1
    for name in FIGURES:
        picture = matplotlib.image.imread(folder / "runs/mnist_fcn" / name)
        assert min(picture.shape[:2]) > 300
        assert picture[..., :3].std() > 0.05  # not blank


def test_the_same_seed_gives_the_same_weights_to_the_bit(trained: tuple[Path, object]) -> None:
    folder, _ = trained
    finished = run(folder, "--data", "data", "--epochs", 2, "--hidden", 64, "--out", "again", "--quiet")
    assert finished.stderr == ""
    assert run(folder, "--data", "data", "--epochs", 1, "--hidden", 64, "--out", "other", "--seed", 1).returncode == 0
    models = [checkpoint.load(folder / name / "model.safetensors")[0] for name in ("runs/mnist_fcn", "again", "other")]
    first, again, other = ({path: array.tobytes() for path, array in model.items()} for model in models)
    assert first == again
    assert first != other


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
        (["--lr", "-1"], "argument --lr: must be a finite number of at least 0, not '-1'"),
        (["--lr", "nan"], "argument --lr: must be a finite number of at least 0, not 'nan'"),
        (["--decay", "0"], "argument --decay: must be a finite number above 0, not '0'"),
        (["--seed", "-1"], "argument --seed: must be at least 0, not -1"),
        (["--data", "nowhere"], "mnist_fcn.py: nowhere: there is neither train-images-idx3-ubyte nor"),
        (["--test", "nowhere"], "mnist_fcn.py: nowhere: no such file"),
        (["--test", "text"], "mnist_fcn.py: text: not a safetensors file"),
        (["--lr", "1e400"], "argument --lr: must be a finite number of at least 0, not '1e400'"),
        (["--out", ""], "argument --out: must not be empty"),
        (["--out", "text"], "mnist_fcn.py: --out text is a file, not a folder"),
        (["--out", "text/below"], "mnist_fcn.py: --out text/below: cannot write there: Not a directory"),
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
    finished = run(folder, *settings)
    assert finished.returncode == 1
    message = r"mnist_fcn.py: the loss is (nan|inf) at step \d+; try a smaller --lr or --weight-decay\n"
    assert re.fullmatch(message, finished.stderr)
    assert finished.stdout.endswith("nothing is saved in diverged\n")


@pytest.mark.parametrize("epochs", [0, 1])
def test_an_interrupted_run_says_what_it_leaves(trained: tuple[Path, object], epochs: int) -> None:
    folder, _ = trained
    out = f"interrupted-{epochs}"
    command = [sys.executable, ROOT / "examples/mnist_fcn.py", "--data", "data", "--epochs", 999, "--out", out]
    process = subprocess.Popen(
        [str(word) for word in command], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if line.startswith("epoch   1" if epochs else "814,090 parameters"):
            break
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.endswith("mnist_fcn.py: interrupted\n")
    assert "Traceback" not in errors
    done = re.search(r"model and metrics after (\d+) epochs are in|nothing is saved in", rest)
    assert done.group(1) is None if epochs == 0 else int(done.group(1)) >= 1
    assert (folder / out / "model.safetensors").exists() == bool(epochs)


def test_help_explains_every_option(tmp_path: Path) -> None:
    text = run(tmp_path, "--help").stdout
    options = re.findall(r"\n  (?:-h, )?(--[a-z-]+)[ A-Z]* {2,}\w", text)
    assert {"--help", "--hidden", "--out", "--quiet"} <= set(options)
    assert set(options) >= set(re.findall(r"\[(--[a-z-]+)", text))
    assert "(default 1024)" in text


def test_it_runs_as_a_module_and_from_any_folder(trained: tuple[Path, object], tmp_path: Path) -> None:
    folder, _ = trained
    command = [sys.executable, "-m", "examples.mnist_fcn", "--data", folder / "data", "--epochs", 1, "--hidden", 8]
    command += ["--out", tmp_path / "out"]
    subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, check=True)
    assert (tmp_path / "out/weights.png").exists()

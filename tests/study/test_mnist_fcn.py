"""The example as its users run it: a process of its own, real digits, files on the disk."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import tinygrad_np
from tinygrad_np import serialization
from tinygrad_np.data import load_mnist

import examples_as_run
import matplotlib.image
import numpy as np
import pytest
from examples_as_run import EXAMPLES, GUARD, write_subset
from PIL import Image

from mnist_study import environment

METRICS = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
FIGURES = {"loss", "accuracy", "learning_rate", "confusion", "mistakes", "first_layer", "second_layer"}
run = functools.partial(examples_as_run.run, "mnist_fcn.py")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("example")
    write_subset(folder / "data")
    return folder, run(folder, "--data", "data", "--epochs", 2, "--hidden", 64, "--report")


def test_a_run_learns_and_writes_everything(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, finished = trained
    assert finished.returncode == 0, finished.stderr
    assert "precision    recall  f1-score   support" in finished.stdout
    assert "epoch   2" in finished.stdout
    assert finished.stderr == ""  # no bar without a terminal
    metrics = json.loads((folder / "runs/mnist_fcn/metrics.json").read_text(encoding="utf-8"))
    assert [len(metrics[name]) for name in METRICS] == [2] * 4
    assert metrics["test_accuracy"][-1] > 0.85
    assert metrics["train_loss"][1] < metrics["train_loss"][0]
    assert metrics["hyperparameters"]["hidden"] == 64
    _, beside = serialization.load(folder / "runs/mnist_fcn/model.safetensors")
    assert json.loads(beside["metrics"]) == metrics
    support = sum(int(line.split()[-1]) for line in finished.stdout.splitlines() if re.match(r" +\d ", line))
    assert support == 1000
    assert f"test accuracy {metrics['test_accuracy'][-1]:.2%}" in finished.stdout
    assert 0.5 < metrics["train_accuracy"][0] < metrics["train_accuracy"][1] < 1
    for name in FIGURES:
        picture = matplotlib.image.imread(folder / f"runs/mnist_fcn/{name}.png")
        assert min(picture.shape[:2]) > 300
        assert picture[..., :3].std() > 0.05  # not blank


def test_the_same_seed_gives_the_same_weights_to_the_bit(trained: tuple[Path, object]) -> None:
    folder, _ = trained
    finished = run(folder, "--data", "data", "--epochs", 2, "--hidden", 64, "--out", "again", "--quiet")
    assert finished.stderr == ""
    assert run(folder, "--data", "data", "--epochs", 1, "--hidden", 64, "--out", "other", "--seed", 1).returncode == 0
    models = [
        serialization.load(folder / name / "model.safetensors")[0] for name in ("runs/mnist_fcn", "again", "other")
    ]
    first, again, other = ({path: array.tobytes() for path, array in model.items()} for model in models)
    assert first == again
    assert first != other


def test_a_saved_model_is_tested_to_the_same_table(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, finished = trained
    tested = run(folder, "--data", "data", "--test", "runs/mnist_fcn/model.safetensors")
    assert tested.returncode == 0, tested.stderr
    table, said, _ = tested.stdout.partition("test loss")
    assert said
    assert table in finished.stdout
    assert (folder / "runs/mnist_test/report.html").exists()


def test_results_are_never_overwritten_unasked(trained: tuple[Path, object]) -> None:
    folder, _ = trained
    quick = ("--data", "data", "--epochs", 1, "--hidden", 8, "--quiet")
    shutil.copytree(folder / "runs/mnist_fcn", folder / "mine")
    before = (folder / "mine/model.safetensors").read_bytes()
    refused = run(folder, *quick, "--out", "mine")
    assert refused.returncode == 1
    assert refused.stderr.startswith("mnist_fcn.py: mine holds the results of a run; give another --out, or")
    assert run(folder, *quick).returncode == run(folder, *quick).returncode == 0
    assert sorted(p.name for p in (folder / "runs").glob("mnist_fcn*")) == ["mnist_fcn", "mnist_fcn-2", "mnist_fcn-3"]
    assert (folder / "mine/model.safetensors").read_bytes() == before
    assert run(folder, *quick, "--out", "mine", "--overwrite").returncode == 0
    assert (folder / "mine/model.safetensors").read_bytes() != before
    assert not (folder / "mine/report.html").exists()  # it told of the other run


def test_other_image_sizes_and_numbers_of_classes(tmp_path: Path) -> None:
    write_subset(tmp_path / "data", crop=slice(4, 24), classes=3)
    finished = run(tmp_path, "--data", "data", "--epochs", 1, "--hidden", 16, "--quiet")
    assert finished.returncode == 0, finished.stderr
    assert "Linear(560, 16)" in finished.stdout
    assert "Linear(16, 3)" in finished.stdout
    refused = run(tmp_path, "--test", "runs/mnist_fcn/model.safetensors")
    assert "a network of 560 pixels and 3 classes does not fit" in refused.stderr
    assert "images of 784 pixels and labels up to 9" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch-size", "0"], "argument --batch-size: must be a positive integer, not '0'"),
        (["--hidden", "many"], "argument --hidden: must be a positive integer, not 'many'"),
        (["--lr", "-1"], "argument --lr: must be a finite number of at least 0, not '-1'"),
        (["--lr", "nan"], "argument --lr: must be a finite number of at least 0, not 'nan'"),
        (["--decay", "0"], "argument --decay: must be a finite number above 0, not '0'"),
        (["--seed", "-1"], "argument --seed: must be an integer of at least 0, not '-1'"),
        (["--data", "nowhere"], "mnist_fcn.py: nowhere: there is neither train-images-idx3-ubyte nor"),
        (["--test", "nowhere"], "mnist_fcn.py: nowhere: no such file"),
        (["--test", "text"], "mnist_fcn.py: text: not a safetensors file"),
        (["--lr", "1e400"], "argument --lr: must be a finite number of at least 0, not '1e400'"),
        (["--search", "text"], "argument --search: it is for the report; give --report too"),
        (["--model", "text"], "argument --model: it is for --predict and --page; --test MODEL tests a model"),
        (["--overwrite"], "argument --overwrite: it is for --out FOLDER; give that too"),
        (["--out", ""], "argument --out: must not be empty"),
        (["--out", "text"], "mnist_fcn.py: --out text is a file, not a folder"),
        (["--out", "text/below"], "mnist_fcn.py: --out text/below: cannot write there: Not a directory"),
    ],
)
def test_bad_options_are_one_clear_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "text").write_text("not a model", encoding="utf-8")
    refused = run(tmp_path, *arguments)
    assert refused.returncode in (1, 2)
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["text"]


def test_divergence_is_reported(trained: tuple[Path, object]) -> None:
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
    # An epoch takes a fraction of a second, or minutes.
    data = ["--data", "data"] if epochs else ["--hidden", 8192, "--batch-size", 1]
    with examples_as_run.started("mnist_fcn.py", folder, *data, "--epochs", 10**6, "--out", out) as process:
        for line in process.stdout:
            if line.startswith("epoch   1" if epochs else "60,000 images"):
                break
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=GUARD)
    assert process.returncode == 130
    assert errors.endswith("mnist_fcn.py: interrupted\n")
    assert "Traceback" not in errors
    done = re.search(r"model and metrics after (\d+) epochs are in|nothing is saved in", rest)
    assert done.group(1) is None if epochs == 0 else int(done.group(1)) >= 1
    assert (folder / out / "model.safetensors").exists() == bool(epochs)


def test_help_explains_every_option(tmp_path: Path) -> None:
    text = run(tmp_path, "--help").stdout
    options = re.findall(r"\n  (?:-h, )?(--[a-z-]+)[ A-Z\[\].]*(?: {2,}|\n +)\w", text)
    assert {"--help", "--hidden", "--out", "--quiet"} <= set(options)
    assert set(options) >= set(re.findall(r"\[(--[a-z-]+)", text))
    assert "(default 1024)" in text


def test_it_runs_as_a_module_and_from_any_folder(trained: tuple[Path, object], tmp_path: Path) -> None:
    folder, _ = trained
    command = [sys.executable, "-m", "mnist_fcn", "--data", folder / "data", "--epochs", 1, "--hidden", 8]
    command += ["--out", tmp_path / "out"]
    subprocess.run([str(word) for word in command], cwd=EXAMPLES, capture_output=True, check=True)
    assert (tmp_path / "out/first_layer.png").exists()


def test_resumed_at_the_end_of_an_epoch_it_comes_to_the_same(trained: tuple[Path, object]) -> None:
    """A checkpoint of an epoch's last step is saved before the test and the metrics of that epoch."""
    folder, _ = trained
    command = ("--data", "data", "--hidden", 8, "--quiet", "--out")
    whole = run(folder, *command, "whole", "--epochs", 3)
    begun = run(folder, *command, "parts", "--epochs", 1, "--checkpoint-every", 47)  # the steps of an epoch
    same = run(folder, *command, "parts", "--epochs", 1, "--resume")
    ended = run(folder, *command, "parts", "--epochs", 3, "--resume")
    for finished in (whole, begun, same, ended):
        assert finished.returncode == 0, finished.stderr
    assert "going on from step 47\nepoch   1 " in same.stdout
    assert re.findall(r"epoch +(\d)", ended.stdout) == ["1", "2", "3"]
    first, second = (serialization.load(folder / name / "model.safetensors") for name in ("whole", "parts"))
    assert {name: array.tobytes() for name, array in first[0].items()} == {
        name: array.tobytes() for name, array in second[0].items()
    }
    assert first[1] == second[1]


# --- the report ------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page holds, and all that it refers to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.images: list[dict[str, str]] = []
        self.outside: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = {name: value or "" for name, value in attributes}
        if tag == "img":
            self.images.append(values)
        self.outside += [v for k, v in values.items() if k in ("src", "href", "srcset") and not v.startswith("data:")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_report_holds_all_of_a_run_and_refers_to_nothing(trained: tuple[Path, object]) -> None:
    folder, finished = trained
    page = Page(folder / "runs/mnist_fcn/report.html")
    assert page.outside == []
    assert not page.tags & {"script", "link", "iframe"}
    assert len(page.images) == len(FIGURES)
    assert all(len(image["alt"]) > 40 for image in page.images)
    assert len({image["alt"] for image in page.images}) == len(FIGURES)
    for word in ("stage_length", "Classification report", "macro avg", "NumPy", "kernels", "--hidden 64", "SHA-256"):
        assert word in page.text
    metrics = json.loads((folder / "runs/mnist_fcn/metrics.json").read_text(encoding="utf-8"))
    assert f"{metrics['test_accuracy'][-1]:.2%}" in page.text
    for number in re.findall(r"\d\.\d{4}", finished.stdout.split("precision")[1].split("accuracy")[0]):
        assert number in page.text  # the classification table is the one on the terminal


def test_the_report_says_when_how_long_and_by_what(trained: tuple[Path, object]) -> None:
    folder, _ = trained
    text = Page(folder / "runs/mnist_fcn/report.html").text
    date, seconds, version = re.findall(r"Written on (.*) UTC, (.*)\ss after .*, by tinygrad_np ([\w.]+\w)", text)[0]
    age = datetime.now(UTC) - datetime.strptime(date, "%Y-%m-%d at %H:%M").replace(tzinfo=UTC)
    assert timedelta(minutes=-1) < age < timedelta(days=1)
    assert 0 < float(seconds) < 24 * 3600
    assert version == tinygrad_np.__version__
    now, _, _ = environment.commit().partition(",")
    assert re.findall(r" \(commit ([^,]+?)(?:, changed since)?\)\.", text) == ([now] if now else [])


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, "-C", folder, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_the_repository_that_the_files_are_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CEILING_DIRECTORIES"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "environment.py"
    file.write_text("1", encoding="utf-8")
    monkeypatch.setattr(environment, "__file__", str(file))
    assert environment.commit() == ""  # there is no repository
    git(tmp_path, "init", "-q")
    assert environment.commit() == ""  # it has no commits
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    assert environment.commit() == ""  # it is somebody else's
    git(tmp_path, "add", "environment.py")
    git(tmp_path, "commit", "-q", "-m", "second")
    git(tmp_path, "tag", "v1")
    short = git(tmp_path, "rev-parse", "--short", "HEAD")
    assert environment.commit() == short
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))  # as in a hook of another repository
    assert environment.commit() == short
    file.write_text("2", encoding="utf-8")
    assert environment.commit() == f"{short}, changed since"
    monkeypatch.setenv("PATH", "")
    assert environment.commit() == ""  # there is no git


def test_a_tested_model_gets_the_same_report(trained: tuple[Path, object]) -> None:
    folder, _ = trained
    model = "runs/mnist_fcn/model.safetensors"
    tested = run(folder, "--data", "data", "--test", model, "--out", "tested")
    assert tested.returncode == 0, tested.stderr
    first, second = (Page(folder / name / "report.html") for name in ("runs/mnist_fcn", "tested"))
    assert first.images == second.images
    assert f"--test {model}" in second.text
    refused = run(folder, "--data", "data", "--test", model, "--out", "tested")
    assert "tested holds the results of a run" in refused.stderr


def test_a_model_without_a_record_of_its_training_is_tested_all_the_same(trained: tuple[Path, object]) -> None:
    folder, _ = trained
    weights, _ = serialization.load(folder / "runs/mnist_fcn/model.safetensors")
    serialization.save(folder / "bare.safetensors", weights)
    tested = run(folder, "--data", "data", "--test", "bare.safetensors", "--out", "bare")
    assert tested.returncode == 0, tested.stderr
    assert len(Page(folder / "bare/report.html").images) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: "{",
        lambda record: "[]",
        lambda record: json.dumps(record | {"train_loss": "many"}),
        lambda record: json.dumps({"train_loss": []}),
        lambda record: json.dumps(record | {"hyperparameters": {"lr": "<b>", "decay": 1, "stage_length": 1}}),
        lambda record: json.dumps(record | {"images": 10**30}),
        lambda record: json.dumps(record | {name: [] for name in METRICS}),
        lambda record: "[" * 100_000,
        lambda record: json.dumps(record | {"hyperparameters": record["hyperparameters"] | {"decay": 1e200}}),
        lambda record: json.dumps(record | {"hyperparameters": record["hyperparameters"] | {"decay": 0}}),
        lambda record: json.dumps(record | {"hyperparameters": record["hyperparameters"] | {"lr": float("nan")}}),
        lambda record: json.dumps(record | {"hyperparameters": record["hyperparameters"] | {"lr": 10**400}}),
        lambda record: json.dumps(record | {"environment": ["<script>"]}),
        lambda record: json.dumps(record | {"train_accuracy": []}),
    ],
)
def test_a_damaged_training_record_is_reported(trained: tuple[Path, object], damage: object) -> None:
    folder, _ = trained
    weights, beside = serialization.load(folder / "runs/mnist_fcn/model.safetensors")
    serialization.save(folder / "damaged.safetensors", weights, {"metrics": damage(json.loads(beside["metrics"]))})
    tested = run(folder, "--data", "data", "--test", "damaged.safetensors")
    assert tested.returncode == 1
    message = r"mnist_fcn.py: damaged.safetensors: the record of its training, beside the weights, is damaged: .*\n"
    assert re.fullmatch(message, tested.stderr)


def test_a_network_of_another_architecture_is_refused_with_its_shapes(tmp_path: Path) -> None:
    serialization.save(tmp_path / "deep", {f"{i}.weight": np.ones((5, 5), np.float32) for i in (0, 2, 4)})
    refused = run(tmp_path, "--test", "deep")
    assert "deep: not a network of this script, two linear layers; it holds 0.weight (5, 5)" in refused.stderr


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_with_nan_or_infinity_are_refused(trained: tuple[Path, object], value: float) -> None:
    folder, _ = trained
    weights, _ = serialization.load(folder / "runs/mnist_fcn/model.safetensors")
    weights["2.weight"][3, 4] = value
    serialization.save(folder / "nan.safetensors", weights)
    refused = run(folder, "--data", "data", "--test", "nan.safetensors")
    assert refused.stderr == "mnist_fcn.py: nan.safetensors: some of its weights are infinite or not a number\n"


# --- reading digits --------------------------------------------------------------------------------------------------


def test_digits_in_image_files_are_read(trained: tuple[Path, object], tmp_path: Path) -> None:
    folder, _ = trained
    images, labels = load_mnist(EXAMPLES / "data/mnist")[1]
    chosen = [int(np.flatnonzero(labels == digit)[1]) for digit in (0, 1, 7)]
    for i in chosen:
        page = Image.new("L", (400, 300), 240)
        page.paste(Image.eval(Image.fromarray(images[i]).resize((120, 120)), lambda v: 240 - v // 2), (250, 30))
        page.save(tmp_path / f"{labels[i]}.png")
        Image.fromarray(images[i]).save(tmp_path / f"{labels[i]}.pgm")
    names = [tmp_path / f"{digit}.{kind}" for digit in (0, 1, 7) for kind in ("png", "pgm")]
    read = run(folder, "--predict", *names, "--model", "runs/mnist_fcn/model.safetensors")
    assert read.returncode == 0, read.stderr
    rows = [line.split() for line in read.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == [str(name) for name in names]
    assert [row[1] for row in rows] == ["0", "0", "1", "1", "7", "7"]
    for row in rows:
        probabilities = [float(word) for word in row[2:12]]
        assert len(probabilities) == 10
        assert abs(sum(probabilities) - 100) < 0.06
        assert probabilities[int(row[1])] == max(probabilities)


def test_models_of_other_scripts_are_passed_over(trained: tuple[Path, object], tmp_path: Path) -> None:
    folder, _ = trained
    shutil.copytree(folder / "runs/mnist_fcn", tmp_path / "runs/mnist_fcn")
    (tmp_path / "runs/mnist_cnn").mkdir()
    other = tmp_path / "runs/mnist_cnn/model.safetensors"
    serialization.save(other, {"0.weight": np.ones((8, 1, 3, 3), np.float32)})
    os.utime(other, (2**32, 2**32))  # newer than that of this script
    images, _ = load_mnist(EXAMPLES / "data/mnist")[1]
    Image.fromarray(np.concatenate([images[0], images[2]], axis=1)).save(tmp_path / "two.png")
    read = run(tmp_path, "--predict", "two.png")
    assert read.returncode == 0, read.stderr
    assert [line.split()[:2] for line in read.stdout.splitlines()[2:]] == [["two.png", "7"], ["two.png", "1"]]
    shutil.rmtree(tmp_path / "runs/mnist_fcn")
    refused = run(tmp_path, "--predict", "two.png")
    assert refused.stderr == (
        "mnist_fcn.py: there is no model of this script under runs/; those there are of other scripts, or damaged;"
        " train one first, or give its file with --model\n"
    )


def test_a_reading_of_low_probability_is_said_to_be_unsure(trained: tuple[Path, object], tmp_path: Path) -> None:
    folder, _ = trained
    weights, _ = serialization.load(folder / "runs/mnist_fcn/model.safetensors")
    serialization.save(tmp_path / "flat", weights | {"2.weight": 0 * weights["2.weight"]})  # says nothing of an image
    Image.fromarray(load_mnist(EXAMPLES / "data/mnist")[1].images[0]).save(tmp_path / "digit.png")
    read = run(tmp_path, "--predict", "digit.png", "--model", "flat")
    assert read.stdout.splitlines()[2].endswith("  not sure")


def test_an_unreadable_image_loses_no_other(trained: tuple[Path, object], tmp_path: Path) -> None:
    folder, _ = trained
    image = load_mnist(EXAMPLES / "data/mnist")[1].images[0]
    Image.fromarray(image).save(tmp_path / "good.png")
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    read = run(folder, "--predict", tmp_path / "text.png", tmp_path / "good.png", tmp_path / "nowhere.png")
    assert read.returncode == 1
    assert [line.split()[0] for line in read.stdout.splitlines()[2:]] == [str(tmp_path / "good.png")]
    first, second = read.stderr.splitlines()
    assert first.startswith(f"mnist_fcn.py: {tmp_path}/text.png: not a PNG, PGM, JPEG or WebP image")
    assert "No such file" in second
    assert "nowhere.png" in second


def test_without_a_model_there_is_nothing_to_read_with(tmp_path: Path) -> None:
    refused = run(tmp_path, "--predict", "x.png")
    assert refused.stderr == (
        "mnist_fcn.py: there is no model of this script under runs/; train one first, or give its file with --model\n"
    )

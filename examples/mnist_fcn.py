"""Train a fully connected network to read handwritten digits, test it, and let it read yours.

    python examples/mnist_fcn.py                       # 784-1024-10, 30 epochs, in under a minute
    python examples/mnist_fcn.py --report              # the same, and a page that shows all of it
    python examples/mnist_fcn.py --checkpoint-every 500 --resume   # goes on where it was killed, to the same bits
    python examples/mnist_fcn.py --test runs/mnist_fcn/model.safetensors
    python examples/mnist_fcn.py --predict seven.png   # with the newest model under runs/

Read `train` first: it is the whole of training, written out. Its heart is three lines: the network makes logits of the
pixels, the loss says how wrong they are, and `optimizer.minimize(loss)` finds the gradient of the loss with respect to
every weight and takes a step down. (`optimizer.zero_grad()`, `loss.backward()` and `optimizer.step()` are the same in
three calls, for those who want to look at the gradients in between.)
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # so that python -m examples.mnist_fcn finds its neighbours too
from tinygrad_np import cross_entropy, fit_threads, no_grad, softmax
from tinygrad_np.checkpoint import Checkpoints
from tinygrad_np.data import DataLoader, Dataset, load_mnist
from tinygrad_np.nn import Linear, ReLU, Sequential
from tinygrad_np.optim import SGD, ExponentialScheduler
from tinygrad_np.serialization import load, save, write_atomically

import numpy as np

import command_line
import results
from command_line import natural, non_negative, path_name, positive, positive_integer, setting
from report import environment

DATA = Path(__file__).parent / "data/mnist"
CHECKPOINTS = "checkpoints"  # a folder in that of a run


@dataclass(frozen=True)
class Settings:
    """All that a training depends on beside the images: the same settings give the same weights, to the bit."""

    hidden: int = setting(1024, positive_integer, "units in the hidden layer")
    epochs: int = setting(30, positive_integer, "passes over the training set")
    batch_size: int = setting(64, positive_integer, "images in a step")
    lr: float = setting(0.5, non_negative, "the learning rate at the start")
    decay: float = setting(0.5, positive, "what the rate is multiplied by after each stage")
    stage_length: int = setting(500, positive_integer, "steps in a stage")
    weight_decay: float = setting(1e-5, non_negative, "coefficient of L2 regularisation")
    seed: int = setting(0, natural, "of the initial weights and of the order of the images")


# --- the network and its training ------------------------------------------------------------------------------------


def network(inputs: int, hidden: int, classes: int, rng: np.random.Generator) -> Sequential:
    """Two linear layers with a ReLU between them; weights start He-normal, biases at zero (see Linear)."""
    return Sequential(
        Linear(inputs, hidden, rng=rng),
        ReLU(),
        Linear(hidden, classes, rng=rng),
    )


def pixels(images: np.ndarray) -> np.ndarray:
    """A batch of images, bytes, as rows of float32 from 0 to 1. The dataset itself stays in bytes."""
    return np.multiply(images.reshape(len(images), -1), np.float32(1 / 255), dtype=np.float32)


class DivergenceError(ValueError):
    """The loss is no longer a finite number."""


@dataclass
class Saving:
    """Where, and after how many steps, a training is saved; whether it goes on from there; its finished epochs."""

    folder: Path
    every: int | None
    resume: bool
    record: dict[str, Any]
    begun: bool = False  # training, and not only looking for a checkpoint


def train(
    model: Sequential,
    dataset: Dataset,
    settings: Settings,
    rng: np.random.Generator,
    bar: Any = None,
    saving: Saving | None = None,
) -> Iterator[tuple[float, float]]:
    """Train a network; after every epoch, yield the mean loss and the accuracy on the images as they came by.

    Raises:
        DivergenceError: the loss is not finite.
    """
    loader = DataLoader(*dataset, batch_size=settings.batch_size, rng=rng)
    schedule = ExponentialScheduler(settings.lr, decay=settings.decay, stage_length=settings.stage_length)
    optimizer = SGD(model.parameters(), lr=schedule, weight_decay=settings.weight_decay)

    epochs, loss_sum, right = 0, 0.0, 0
    every = saving.every if saving is not None else None
    if saving is not None and (every or saving.resume):
        digest = hashlib.sha256(np.ascontiguousarray(dataset.images))  # without a copy of the images
        digest.update(np.ascontiguousarray(dataset.labels))
        data = digest.hexdigest()
        checkpoints = Checkpoints(saving.folder, model=model, optimizer=optimizer, loader=loader, rng=rng)
        if saving.resume:
            epochs, loss_sum, right = go_on(checkpoints, saving.record, data, bar)
        saving.begun = True

    def keep() -> None:
        record = {"epochs": saving.record, "data": data, "loss_sum": loss_sum, "right": right}
        checkpoints.save(optimizer.steps, record)

    if every and optimizer.steps == 0:
        keep()  # so that there is one from the beginning
    for _ in range(epochs, settings.epochs):
        for images, labels in loader:
            with np.errstate(all="ignore"):  # a loss that diverges is looked for below
                logits = model(pixels(images))
                loss = cross_entropy(logits, labels)
                optimizer.minimize(loss)

            if not np.isfinite(loss.item()):
                raise DivergenceError(
                    f"the loss is {loss.item()} at step {optimizer.steps}; try a smaller --lr or --weight-decay"
                )
            loss_sum += loss.item() * len(labels)
            right += int(np.count_nonzero(logits.argmax(axis=1) == labels))
            if bar is not None:
                bar.update()
                if optimizer.steps % 50 == 0:
                    bar.set_postfix(loss=f"{loss:.4f}", lr=f"{optimizer.lr:.2g}", refresh=False)
            if every and optimizer.steps % every == 0:
                keep()
        yield loss_sum / len(dataset.labels), right / len(dataset.labels)
        loss_sum, right = 0.0, 0


def go_on(checkpoints: Checkpoints, record: dict[str, Any], data: str, bar: Any) -> tuple[int, float, int]:
    """Go back to the newest checkpoint, if there is one: the epochs in it, and the sums of the one under way.

    Args:
        data: a digest of the images and labels.

    Raises:
        ValueError: it is of a training with other settings or images, or all checkpoints are damaged.
    """
    found = checkpoints.resume()
    if found is None:
        bar.write(f"no checkpoint in {checkpoints.folder}: from the beginning", file=sys.stdout)
        return 0, 0.0, 0
    before = found.record["epochs"]
    before["image_shape"] = tuple(before["image_shape"])
    was, now = before["hyperparameters"], record["hyperparameters"]
    others = [f"{n} {was.get(n)}, not {now[n]}" for n in now if n != "epochs" and was.get(n) != now[n]]
    if found.record["data"] != data:
        others.append("other images")
    if others:
        raise ValueError(f"{checkpoints.folder}: of a training with {'; '.join(others)}")
    if before["environment"] != record["environment"]:
        bar.write(f"the last bits may differ: it ran on {before['environment']}", file=sys.stderr)
    for why in found.damaged:
        bar.write(f"passed over: {why}", file=sys.stderr)
    bar.write(f"going on from step {found.step}", file=sys.stdout)
    record |= before | {"hyperparameters": now}  # more epochs, perhaps
    bar.update(found.step)
    return len(record["train_loss"]), found.record["loss_sum"], found.record["right"]


def classify(model: Sequential, images: np.ndarray) -> np.ndarray:
    """The logits of images, shape (n, classes)."""
    with no_grad():
        return np.concatenate([model(pixels(images[i : i + 1000])).data for i in range(0, len(images), 1000)])


def test(model: Sequential, dataset: Dataset) -> tuple[float, float]:
    """The mean loss and the accuracy on a dataset."""
    logits = classify(model, dataset.images)
    return float(cross_entropy(logits, dataset.labels)), float(np.mean(logits.argmax(axis=1) == dataset.labels))


# --- what the command does -------------------------------------------------------------------------------------------


def train_and_save(
    settings: Settings,
    train_set: Dataset,
    test_set: Dataset,
    folder: Path,
    quiet: bool,
    checkpoint_every: int | None = None,
    resume: bool = False,
) -> tuple[Sequential, dict[str, Any]]:
    """Train, test after every epoch, and save model and metrics after each: the file of the model holds both."""
    fit_threads(settings.batch_size * train_set.images[0].size * settings.hidden)
    record: dict[str, Any] = {name: [] for name in results.METRICS} | {
        "hyperparameters": asdict(settings),
        "images": len(train_set.labels),
        "image_shape": train_set.images.shape[1:],
        "environment": environment(),
    }
    rng = np.random.default_rng(settings.seed)  # one generator: the same seed gives the same weights, to the bit
    model = network(train_set.images[0].size, settings.hidden, int(train_set.labels.max()) + 1, rng)
    steps = settings.epochs * -(-len(train_set.labels) // settings.batch_size)
    saving = Saving(folder / CHECKPOINTS, checkpoint_every, resume, record)
    try:
        with command_line.progress(steps, "step", quiet) as bar:
            bar.write(f"{model}\n{len(train_set.labels):,} images", file=sys.stdout)
            sys.stdout.flush()
            bar.set_description(f"epoch 1/{settings.epochs}")
            for train_loss, train_accuracy in train(model, train_set, settings, rng, bar, saving):
                test_loss, test_accuracy = test(model, test_set)
                values = zip(results.METRICS, (train_loss, test_loss, train_accuracy, test_accuracy), strict=True)
                longer = saving.record | {name: [*saving.record[name], value] for name, value in values}
                content = json.dumps(longer, indent=1)
                results.remove_pictures(folder)  # those of an earlier run, under --overwrite
                save(folder / "model.safetensors", model.state_dict(), {"metrics": content})
                write_atomically(folder / "metrics.json", content.encode())
                saving.record = longer  # only now, so that it never says more than the files do
                epoch = len(longer["test_loss"])
                bar.write(
                    f"epoch {epoch:3d}  train loss {train_loss:.4f}  accuracy {train_accuracy:.2%}"
                    f"  test loss {test_loss:.4f}  accuracy {test_accuracy:.2%}",
                    file=sys.stdout,
                )
                bar.set_description(f"epoch {min(epoch + 1, settings.epochs)}/{settings.epochs}")
    except BaseException:
        epochs, begun = len(saving.record["test_loss"]), saving.begun and any((folder / CHECKPOINTS).glob("step-*"))
        if epochs or not begun:
            print(
                f"model and metrics after {epochs} epochs are in {folder}"
                if epochs
                else f"nothing is saved in {folder}"
            )
        if begun:
            print(
                f"there are checkpoints in {folder}: the same command with --out {folder} --resume goes on from there"
            )
        raise
    return model, saving.record


def saved_model(file: Path) -> tuple[Sequential, dict[str, Any]]:
    """The network in a file, whose architecture is in the shapes of its weights, and the metrics beside it, if any."""
    state, beside = load(file)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in sorted(state.items())[:6]) or "nothing"
    try:
        (inputs, hidden), (_, classes) = state["0.weight"].shape, state["2.weight"].shape
        model = network(inputs, hidden, classes, np.random.default_rng(0))
        model.load_state_dict(state)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{file}: not a network of this script, two linear layers; it holds {shapes}") from error
    if not all(array.dtype.kind == "f" and np.isfinite(array).all() for array in model.state_dict().values()):
        raise ValueError(f"{file}: some of its weights are infinite or not a number")
    try:
        return model, results.read_record(beside["metrics"]) if "metrics" in beside else {}
    except ValueError as error:
        raise ValueError(f"{file}: the record of its training, beside the weights, is damaged: {error}") from error


def run_folder(out: Path | None, overwrite: bool, name: str, resume: bool = False) -> Path:
    """A folder for the results of this run, in which no other run's results are lost."""
    if out is None and resume:
        begun = sorted(Path("runs").glob(f"{name}*/{CHECKPOINTS}"), key=lambda folder: folder.stat().st_mtime)
        out = begun[-1].parent if begun else None
    if out is None:
        return command_line.new_folder(name)
    begun_there = any((out / CHECKPOINTS).glob("step-*"))
    if begun_there and not (resume or overwrite):
        raise FileExistsError(
            f"{out} holds the checkpoints of a run; --resume goes on with it, --overwrite replaces it"
        )
    if not (overwrite or begun_there) and any(
        (out / kept).exists() for kept in ("model.safetensors", "metrics.json", "report.html", "search.json")
    ):
        raise FileExistsError(f"{out} holds the results of a run; give another --out, or --overwrite to replace them")
    folder = command_line.writable_folder(out)
    if begun_there and name == "mnist_fcn" and not resume:
        for checkpoint in (folder / CHECKPOINTS).glob("*step-*"):
            checkpoint.unlink()
    return folder


def check_fit(model: Sequential, record: dict[str, Any], dataset: Dataset, names: str) -> None:
    (inputs, _), (_, classes) = (layer.weight.shape for layer in (model.layers[0], model.layers[-1]))
    if dataset.images[0].size != inputs or dataset.labels.max() >= classes:
        raise ValueError(
            f"{names}: a network of {inputs} pixels and {classes} classes does not fit images"
            f" of {dataset.images[0].size} pixels and labels up to {dataset.labels.max()}"
        )
    shape = dataset.images.shape[1:]
    if record.get("image_shape", shape) != shape:
        raise ValueError(f"{names}: a network for images of {record['image_shape']}, not of {shape} pixels")


def read_images(options: argparse.Namespace) -> None:
    """Read each image file with a saved model, and print what it reads and how sure it is."""
    from digits import read_digit

    file = options.model or options.test or newest_model()
    model, record = saved_model(file)
    shape = record.get("image_shape", (28, 28))
    if shape[0] * shape[1] != model.layers[0].weight.shape[0]:
        raise ValueError(f"{file}: a network of {model.layers[0].weight.shape[0]} pixels, not of images of {shape}")
    classes = range(model.layers[-1].weight.shape[1])
    print(f"probabilities in per cent, by {file}")
    width = max(len(str(name)) for name in options.predict)
    print(f"{'':{width}}  reads " + "".join(f"{label:7d}" for label in classes))
    unreadable = []
    for name in options.predict:
        try:
            logits = classify(model, read_digit(name, shape)[None])[0]
        except (OSError, ValueError) as error:
            unreadable.append(error)
            continue
        probabilities = softmax(logits.astype(np.float64))
        print(f"{name!s:{width}}  {logits.argmax():5d} " + "".join(f"{100 * p:7.2f}" for p in probabilities))
    for error in unreadable:
        print(f"{command_line.script()}: {error}", file=sys.stderr)
    if unreadable:
        sys.exit(1)


def newest_model() -> Path:
    models = sorted(Path("runs").glob("*/model.safetensors"), key=lambda file: file.stat().st_mtime)
    if not models:
        raise FileNotFoundError("there is no model under runs/; train one first, or give its file with --model")
    return models[-1]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    command_line.add_settings(parser, Settings)
    add = partial(command_line.add, parser)
    add("--data", "of four IDX files, raw or .gz (default: MNIST)", type=path_name, metavar="FOLDER")
    add("--out", "for the results (default: a new one, runs/mnist_fcn, -2, -3 ...)", type=path_name, metavar="FOLDER")
    add("--overwrite", "replace the run that --out holds", action="store_true")
    add(
        "--checkpoint-every",
        "steps, save all that training needs to go on from there",
        type=positive_integer,
        metavar="N",
    )
    add("--resume", "go on from the newest checkpoint in --out, or of the newest run under runs/", action="store_true")
    add("--report", "write all of it into one page as well, report.html", action="store_true")
    add("--search", "of mnist_search.py, to be told of in the report", type=path_name, metavar="FOLDER")
    add("--test", "test a saved model, with a report, and train nothing", type=path_name, metavar="MODEL")
    add("--predict", "read the digit in each PNG or PGM file, of any size", type=path_name, metavar="IMAGE", nargs="+")
    add(
        "--model",
        "for --predict (default: that of --test, else the newest under runs/)",
        type=path_name,
        metavar="MODEL",
    )
    add("--quiet", "no progress bar", action="store_true")
    options = parser.parse_args(arguments)
    if options.search and not (options.report or options.test):
        parser.error("argument --search: it is for the report; give --report too")
    if options.model and (options.test or not options.predict):
        parser.error("argument --model: it is for --predict; --test MODEL tests a model")
    if (options.resume or options.checkpoint_every) and (options.test or options.predict):
        parser.error("arguments --resume and --checkpoint-every: they are for training, not for --test and --predict")
    if options.resume and options.overwrite:
        parser.error("argument --resume: it goes on with a run, and --overwrite replaces it; give one of them")
    if options.overwrite and not options.out:
        parser.error("argument --overwrite: it is for --out FOLDER; give that too")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    if options.predict and not options.test:
        read_images(options)
        return
    search = results.read_search(options.search) if options.search else None
    more = [word for option in ("data", "search") if (value := getattr(options, option))
            for word in (f"--{option}", str(value))]  # fmt: skip
    train_set, test_set = load_mnist(options.data or DATA)
    start = time.perf_counter()
    if options.test:
        model, record = saved_model(options.test)
        check_fit(model, record, test_set, f"{options.test} and {options.data or DATA}")
        folder = run_folder(options.out, options.overwrite, "mnist_test")
        again = command_line.command("mnist_fcn.py", "--test", str(options.test), *more)
    else:
        settings = Settings(**{each.name: getattr(options, each.name) for each in fields(Settings)})
        folder = run_folder(options.out, options.overwrite, "mnist_fcn", options.resume)
        keeping = options.checkpoint_every, options.resume
        model, record = train_and_save(settings, train_set, test_set, folder, options.quiet, *keeping)
        again = command_line.command("mnist_fcn.py", *command_line.as_options(settings), *more, "--report")

    tested = results.Tested(model.state_dict(), record, test_set, classify(model, test_set.images))
    print(tested.table)
    print(f"test loss {tested.loss:.4f}, test accuracy {tested.accuracy:.2%}")
    tested.save(folder, report=options.report or bool(options.test), again=again, search=search)
    print(f"{time.perf_counter() - start:.1f} s in all; results are in {folder}")
    if options.predict:
        read_images(options)


if __name__ == "__main__":
    command_line.run(main)

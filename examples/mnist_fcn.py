"""Train a fully connected network to read handwritten digits, and test it.

    python examples/mnist_fcn.py                      # 784-1024-10, 30 epochs, in under a minute
    python examples/mnist_fcn.py --test runs/mnist_fcn/model.safetensors

Read `train` first: it is the whole of training, written out. Its heart is three lines: the loss is a Tensor,
`loss.backward()` finds its gradient with respect to every weight, and `optimizer.step()` takes a step down.
"""

import argparse
import importlib.util
import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np

from tinygrad_np import cross_entropy, no_grad
from tinygrad_np.checkpoint import load, save, write_atomically
from tinygrad_np.data import DataLoader, Dataset, load_mnist
from tinygrad_np.nn import Linear, ReLU, Sequential
from tinygrad_np.optim import SGD, ExponentialScheduler

if missing := [name for name in ("matplotlib", "sklearn", "tqdm") if importlib.util.find_spec(name) is None]:
    sys.exit(f'mnist_fcn.py needs {", ".join(missing)}: python -m pip install -e ".[examples]" brings them')

from tqdm import tqdm  # only now, so that what is missing is said first

HERE = Path(__file__).parent
METRICS = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
FIGURES = ("loss.png", "accuracy.png", "confusion.png", "weights.png")


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


def train(
    options: argparse.Namespace, train_set: Dataset, test_set: Dataset, folder: Path, metrics: dict[str, list[float]]
) -> Sequential:
    """Train, test after every epoch, add to the metrics, and save them and the model in the folder."""
    rng = np.random.default_rng(options.seed)  # one generator: the same seed gives the same weights, to the bit
    image_size = train_set.images[0].size
    classes = int(train_set.labels.max()) + 1

    model = network(image_size, options.hidden, classes, rng)
    loader = DataLoader(*train_set, batch_size=options.batch_size, rng=rng)
    schedule = ExponentialScheduler(options.lr, decay=options.decay, stage_length=options.stage_length)
    optimizer = SGD(model.parameters(), lr=schedule, weight_decay=options.weight_decay)
    print(
        f"{model}\n{sum(p.size for p in model.parameters()):,} parameters, {len(train_set.labels):,} images", flush=True
    )

    with tqdm(total=options.epochs * len(loader), unit="step", disable=options.quiet) as bar:
        for epoch in range(1, options.epochs + 1):
            bar.set_description(f"epoch {epoch}/{options.epochs}")
            loss_sum, right = 0.0, 0
            for images, labels in loader:
                logits = model(pixels(images))
                loss = cross_entropy(logits, labels)

                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

                if not np.isfinite(loss.item()):
                    raise ValueError(
                        f"the loss is {loss.item()} at step {optimizer.steps}; try a smaller --lr or --weight-decay"
                    )
                loss_sum += loss.item() * len(labels)
                right += int(np.count_nonzero(logits.argmax(axis=1) == labels))
                bar.update()
                if bar.n % 50 == 0:
                    bar.set_postfix(loss=f"{loss:.4f}", lr=f"{optimizer.lr:.2g}", refresh=False)

            test_loss, predicted = test(model, test_set)
            n = len(train_set.labels)
            values = (loss_sum / n, test_loss, right / n, float(np.mean(predicted == test_set.labels)))
            extended = {name: [*metrics[name], value] for name, value in zip(METRICS, values, strict=True)}
            save_epoch(model, extended, options, folder)
            metrics.update(extended)  # so that `metrics` never says more than the files do
            bar.write(
                f"epoch {epoch:3d}  train loss {values[0]:.4f}  accuracy {values[2]:.2%}"
                f"  test loss {values[1]:.4f}  accuracy {values[3]:.2%}",
                file=sys.stdout,
            )
    return model


def test(model: Sequential, dataset: Dataset) -> tuple[float, np.ndarray]:
    """The mean loss over a dataset, and the class that the model predicts for each of its images."""
    losses, predicted = [], []
    with no_grad():
        for images, labels in DataLoader(*dataset, batch_size=1000):
            logits = model(pixels(images))
            losses.append(cross_entropy(logits, labels).item() * len(labels))
            predicted.append(logits.argmax(axis=1))
    return sum(losses) / len(dataset.labels), np.concatenate(predicted)


# --- what comes out --------------------------------------------------------------------------------------------------


def report(model: Sequential, dataset: Dataset) -> np.ndarray:
    """Print precision, recall, F1 and support of every class; return the confusion matrix."""
    from sklearn.metrics import classification_report, confusion_matrix  # after training: it brings a second BLAS

    loss, predicted = test(model, dataset)
    classes = range(model.layers[-1].weight.shape[1])
    print(classification_report(dataset.labels, predicted, labels=classes, digits=4, zero_division=0))
    print(f"test loss {loss:.4f}, test accuracy {np.mean(predicted == dataset.labels):.2%}")
    return confusion_matrix(dataset.labels, predicted, labels=classes)


def save_epoch(model: Sequential, metrics: dict[str, list[float]], options: argparse.Namespace, folder: Path) -> None:
    """Save what there is after an epoch; each file is replaced whole, and the model holds the metrics as well."""
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    record = json.dumps({**metrics, "hyperparameters": settings}, indent=1)
    for name in FIGURES:  # those of an earlier run, under --overwrite
        (folder / name).unlink(missing_ok=True)
    save(folder / "model.safetensors", model.state_dict(), {"metrics": record})
    write_atomically(folder / "metrics.json", record.encode())


def draw(model: Sequential, metrics: dict, confusion: np.ndarray, image_shape: tuple[int, int], folder: Path) -> None:
    """The figures of a run, into its folder."""
    sys.path.insert(0, str(HERE))
    import figures  # after training: matplotlib takes 0.3 s to import

    figures.losses(metrics, folder / "loss.png")
    figures.accuracy(metrics, folder / "accuracy.png")
    figures.confusion(confusion, folder / "confusion.png")
    figures.weights(model.layers[0].weight.data, image_shape, folder / "weights.png")


def saved_model(path: Path) -> Sequential:
    """The network in a file: its architecture is in the shapes of its weights."""
    state, _ = load(path)
    first, last = state.get("layers.0.weight"), state.get("layers.2.weight")
    if first is None or last is None or first.ndim != 2 or last.ndim != 2:
        raise ValueError(
            f"{path}: not a network from this script; it holds {', '.join(sorted(state)[:5]) or 'nothing'}"
        )
    model = network(first.shape[0], first.shape[1], last.shape[1], np.random.default_rng(0))
    model.load_state_dict(state)
    return model


# --- the command line ------------------------------------------------------------------------------------------------


def positive_integer(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return value


def number(text: str, *, above: float = -np.inf, at_least: float = -np.inf) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not (above < value < np.inf and value >= at_least):
        bound = f"above {above:g}" if above > -np.inf else f"of at least {at_least:g}"
        raise argparse.ArgumentTypeError(f"must be a finite number {bound}, not {text!r}")
    return value


def path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return Path(text)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    def rate(text: str) -> float:
        return number(text, at_least=0)

    def factor(text: str) -> float:
        return number(text, above=0)

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "--hidden",
        type=positive_integer,
        default=1024,
        metavar="N",
        help="units in the hidden layer (default %(default)s)",
    )
    add(
        "--epochs",
        type=positive_integer,
        default=30,
        metavar="N",
        help="passes over the training set (default %(default)s)",
    )
    add("--batch-size", type=positive_integer, default=64, metavar="N", help="images in a step (default %(default)s)")
    add("--lr", type=rate, default=0.5, metavar="X", help="the learning rate at the start (default %(default)s)")
    add(
        "--decay",
        type=factor,
        default=0.5,
        metavar="X",
        help="what the rate is multiplied by after each stage (default %(default)s)",
    )
    add(
        "--stage-length", type=positive_integer, default=500, metavar="N", help="steps in a stage (default %(default)s)"
    )
    add(
        "--weight-decay",
        type=rate,
        default=1e-5,
        metavar="X",
        help="coefficient of L2 regularisation (default %(default)s)",
    )
    add(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the initial weights and the order of images (default %(default)s)",
    )
    add(
        "--data",
        type=path,
        default=HERE / "data/mnist",
        metavar="FOLDER",
        help="of four IDX files, raw or .gz (default: MNIST)",
    )
    add("--out", type=path, metavar="FOLDER", help="for the results (default: a new one, runs/mnist_fcn, -2, -3 ...)")
    add("--overwrite", action="store_true", help="replace the run that --out holds")
    add("--test", type=path, metavar="MODEL", help="test a saved model and train nothing")
    add("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    if options.seed < 0:
        parser.error(f"argument --seed: must be at least 0, not {options.seed}")
    return options


def run_folder(out: Path | None, overwrite: bool) -> Path:
    """A folder for the results of this run, in which no other run's results are lost."""
    if out is None:
        for n in itertools.count(1):
            folder = Path("runs") / ("mnist_fcn" if n == 1 else f"mnist_fcn-{n}")
            try:
                folder.mkdir(parents=True)
                return folder
            except FileExistsError:
                continue
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"--out {out} is a file, not a folder")
    if not overwrite and any((out / name).exists() for name in ("model.safetensors", "metrics.json")):
        raise FileExistsError(f"{out} holds the results of a run; give another --out, or --overwrite to replace them")
    try:  # before an hour is spent on what could not be saved
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / ".writable", b"")
        (out / ".writable").unlink()
    except OSError as error:
        raise OSError(f"--out {out}: cannot write there: {error.strerror}") from error
    return out


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    train_set, test_set = load_mnist(options.data)
    if options.test:
        model = saved_model(options.test)
        size, classes = model.layers[0].weight.shape[0], model.layers[-1].weight.shape[1]
        if test_set.images[0].size != size or test_set.labels.max() >= classes:
            raise ValueError(
                f"{options.test}: a network of {size} pixels and {classes} classes; {options.data}"
                f" has images of {test_set.images[0].size} pixels and labels up to {test_set.labels.max()}"
            )
        report(model, test_set)
        return
    folder = run_folder(options.out, options.overwrite)
    metrics: dict[str, list[float]] = {name: [] for name in METRICS}
    start = time.perf_counter()
    try:
        with np.errstate(all="ignore"):  # a diverging loss is looked for in the loop
            model = train(options, train_set, test_set, folder, metrics)
        draw(model, metrics, report(model, test_set), train_set.images.shape[1:], folder)
    except BaseException:
        epochs = len(metrics["test_loss"])
        print(f"model and metrics after {epochs} epochs are in {folder}" if epochs else f"nothing is saved in {folder}")
        raise
    print(f"{time.perf_counter() - start:.1f} s in all; model, metrics and figures are in {folder}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("mnist_fcn.py: interrupted", file=sys.stderr)
        sys.exit(130)
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        sys.exit(f"mnist_fcn.py: {error}")

"""Train a fully connected network to read handwritten digits, and test it.

    python examples/mnist_fcn.py                      # 784-1024-10, 30 epochs, in under a minute
    python examples/mnist_fcn.py --test runs/mnist_fcn/model.safetensors

Read `train` first: it is the whole of training, written out. Everything in it is ordinary NumPy but for three lines:
the loss is a Tensor, `loss.backward()` finds its gradient by every weight, and `optimizer.step()` takes a step down.
"""

import argparse
import importlib.util
import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tinygrad_np import cross_entropy, no_grad
from tinygrad_np.checkpoint import load, save, write_atomically
from tinygrad_np.data import DataLoader, Dataset, load_mnist
from tinygrad_np.nn import Linear, ReLU, Sequential
from tinygrad_np.optim import SGD, ExponentialScheduler

HERE = Path(__file__).parent


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


def train(options: argparse.Namespace, train_set: Dataset, test_set: Dataset, folder: Path) -> Sequential:
    """Train, test after every epoch, and keep the model and the metrics of the last finished epoch in the folder."""
    rng = np.random.default_rng(options.seed)  # one generator: the same seed gives the same weights, to the bit
    image_size = train_set.images[0].size
    classes = int(train_set.labels.max()) + 1

    model = network(image_size, options.hidden, classes, rng)
    loader = DataLoader(*train_set, batch_size=options.batch_size, rng=rng)
    schedule = ExponentialScheduler(options.lr, decay=options.decay, stage_length=options.stage_length)
    optimizer = SGD(model.parameters(), lr=schedule, weight_decay=options.weight_decay)
    print(f"{model}\n{sum(p.size for p in model.parameters()):,} parameters, {len(train_set.labels):,} images")

    metrics: dict[str, list[float]] = {"train_loss": [], "test_loss": [], "train_accuracy": [], "test_accuracy": []}
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
                    raise ValueError(f"the loss is {loss.item()} at step {optimizer.steps}; try a smaller --lr")
                loss_sum += loss.item() * len(labels)
                right += int(np.count_nonzero(logits.argmax(axis=1) == labels))
                bar.update()
                if bar.n % 50 == 0:
                    bar.set_postfix(loss=f"{loss:.4f}", lr=f"{optimizer.lr:.2g}", refresh=False)

            test_loss, predicted = test(model, test_set)
            metrics["train_loss"].append(loss_sum / len(train_set.labels))
            metrics["train_accuracy"].append(right / len(train_set.labels))
            metrics["test_loss"].append(test_loss)
            metrics["test_accuracy"].append(float(np.mean(predicted == test_set.labels)))
            last = {name: values[-1] for name, values in metrics.items()}
            bar.write(
                f"epoch {epoch:3d}  train loss {last['train_loss']:.4f}  accuracy {last['train_accuracy']:.2%}"
                f"  test loss {last['test_loss']:.4f}  accuracy {last['test_accuracy']:.2%}",
                file=sys.stdout,
            )
            save(folder / "model.safetensors", model.state_dict())
            settings = {name: str(v) if isinstance(v, Path) else v for name, v in vars(options).items()}
            write_atomically(folder / "metrics.json", json.dumps({**metrics, "hyperparameters": settings}).encode())
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


def draw(model: Sequential, confusion: np.ndarray, image_shape: tuple[int, int], folder: Path) -> None:
    """The figures of a run, into its folder."""
    import figures  # after training: matplotlib takes 0.3 s to import

    metrics = json.loads((folder / "metrics.json").read_text())
    figures.losses(metrics, folder / "loss.png")
    figures.accuracy(metrics, folder / "accuracy.png")
    figures.confusion(confusion, folder / "confusion.png")
    figures.weights(model.layers[0].weight.data, image_shape, folder / "weights.png")


def saved_model(path: Path) -> Sequential:
    """The network in a file: its architecture is in the shapes of its weights."""
    state, _ = load(path)
    first, last = state.get("layers.0.weight"), state.get("layers.2.weight")
    if first is None or last is None or first.ndim != 2 or last.ndim != 2:
        raise ValueError(f"{path}: holds {sorted(state)}, not the two linear layers of a network from this script")
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
        raise argparse.ArgumentTypeError(f"must be a number {bound}, not {text!r}")
    return value


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
        type=Path,
        default=HERE / "data/mnist",
        metavar="FOLDER",
        help="of four IDX files, raw or .gz (default: MNIST)",
    )
    add("--out", type=Path, metavar="FOLDER", help="for the results (default: a new one, runs/mnist_fcn, -2, -3 ...)")
    add("--overwrite", action="store_true", help="replace the run that --out holds")
    add("--test", type=Path, metavar="MODEL", help="test a saved model and train nothing")
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
    out.mkdir(parents=True, exist_ok=True)
    if not overwrite and any((out / name).exists() for name in ("model.safetensors", "metrics.json")):
        raise FileExistsError(f"{out} holds the results of a run; give another --out, or --overwrite to replace them")
    return out


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    for module in ("matplotlib", "sklearn"):  # needed at the end only, but that is no time to find them missing
        if importlib.util.find_spec(module) is None:
            sys.exit(f'mnist_fcn.py: {module} is missing; python -m pip install -e ".[examples]" brings it')
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
    start = time.perf_counter()
    try:
        model = train(options, train_set, test_set, folder)
    except KeyboardInterrupt:
        done = "the model and metrics of the last whole epoch are in" if any(folder.iterdir()) else "nothing yet in"
        sys.exit(f"interrupted; {done} {folder}")
    draw(model, report(model, test_set), train_set.images.shape[1:], folder)
    print(f"{time.perf_counter() - start:.1f} s in all; model, metrics and figures are in {folder}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"mnist_fcn.py: {error}")

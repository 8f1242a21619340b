"""Models in files: load one, find the newest, check that it fits some images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_np.data import Dataset
from tinygrad_np.nn import Sequential
from tinygrad_np.serialization import load

import numpy as np

from .record import read_record


def load_model(file: Path, network: Callable[..., Sequential]) -> tuple[Sequential, dict[str, Any]]:
    """The network in a file and the record of its training, which is empty if the file has none.

    Args:
        network: makes a network for `inputs, hidden, classes, rng`; the shapes of the weights say how large it is.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or holds another architecture.
    """
    state, metadata = load(file)
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
        return model, read_record(metadata["metrics"]) if "metrics" in metadata else {}
    except ValueError as error:
        raise ValueError(f"{file}: the record of its training, beside the weights, is damaged: {error}") from error


def newest_model(network: Callable[..., Sequential]) -> Path:
    """The model under runs/ that was saved last, of those that `load_model` takes.

    Raises:
        FileNotFoundError: there is none.
    """
    models = sorted(Path("runs").glob("*/model.safetensors"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in models:
        try:
            load_model(file, network)
        except ValueError:  # of another script, or damaged
            continue
        return file
    of_others = "; those there are of other scripts, or damaged" if models else ""
    raise FileNotFoundError(
        f"there is no model of this script under runs/{of_others}; train one first, or give its file with --model"
    )


def size(model: Sequential) -> tuple[int, int]:
    """The numbers of inputs and of classes of a network."""
    return model.layers[0].weight.shape[0], model.layers[-1].weight.shape[1]


def check_fit(model: Sequential, record: dict[str, Any], dataset: Dataset, names: str) -> None:
    """Check that a model can be tested on a dataset.

    Raises:
        ValueError: the model is for images of another size, or for fewer classes; `names` starts the message.
    """
    inputs, classes = size(model)
    if dataset.images[0].size != inputs or dataset.labels.max() >= classes:
        raise ValueError(
            f"{names}: a network of {inputs} pixels and {classes} classes does not fit images"
            f" of {dataset.images[0].size} pixels and labels up to {dataset.labels.max()}"
        )
    shape = dataset.images.shape[1:]
    if record.get("image_shape", shape) != shape:
        raise ValueError(f"{names}: a network for images of {record['image_shape']}, not of {shape} pixels")

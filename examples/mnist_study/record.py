"""The record of a training, in metrics.json and beside the weights: its settings, its data and its metrics.

    {"train_loss": [...], "test_loss": [...], "train_accuracy": [...], "test_accuracy": [...],
     "hyperparameters": {"hidden": 1024, ...}, "images": 60000, "image_shape": [28, 28], "environment": {...}}

The lists have one number for each epoch.
"""

import json
from collections.abc import Mapping
from typing import Any

from tinygrad_np.data import Dataset
from tinygrad_np.schedules import ExponentialScheduler

from .environment import environment

METRICS = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")


def new_record(hyperparameters: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """The record of a training before its first epoch."""
    return {name: [] for name in METRICS} | {
        "hyperparameters": hyperparameters,
        "images": len(dataset.labels),
        "image_shape": dataset.images.shape[1:],
        "environment": environment(),
    }


def with_epoch(record: Mapping[str, Any], metrics: tuple[float, ...]) -> dict[str, Any]:
    """A record and the metrics of one more epoch, in the order of METRICS."""
    return dict(record) | {name: [*record[name], value] for name, value in zip(METRICS, metrics, strict=True)}


def schedule(record: Mapping[str, Any]) -> ExponentialScheduler:
    """The learning-rate schedule of a training."""
    settings = record["hyperparameters"]
    return ExponentialScheduler(settings["lr"], settings["decay"], settings["stage_length"])


def is_finite_number(value: object) -> bool:
    return isinstance(value, float | int) and abs(value) < 1e300  # nor an integer too large for a float


def read_record(text: str) -> dict[str, Any]:
    """The record of a training from its JSON text.

    Raises:
        ValueError: an entry is missing or malformed; the message says which.
    """
    try:
        record = json.loads(text)
        text.encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError(f"it is a {type(record).__name__}, not an object")
    kinds = dict.fromkeys((*METRICS, "image_shape"), list) | {"hyperparameters": dict, "environment": dict}
    for name, kind in (kinds | {"images": int}).items():
        if not isinstance(record.get(name), kind):
            raise ValueError(f"{name} is {record.get(name)!r}, expected a {kind.__name__}")
    settings = record["hyperparameters"]
    counts = [record["images"], *record["image_shape"], settings.get("batch_size"), settings.get("stage_length")]
    numbers = [settings.get("lr"), settings.get("decay"), *(value for name in METRICS for value in record[name])]
    if len(record["image_shape"]) != 2 or not all(isinstance(count, int) and 0 < count < 2**40 for count in counts):
        raise ValueError("image_shape, images, batch_size and stage_length must be positive integers")
    epochs = len(record["train_loss"])
    lengths = {len(record[name]) for name in METRICS}
    if not epochs or lengths != {epochs} or not all(map(is_finite_number, numbers)):
        raise ValueError("lr, decay and as many metrics of each kind as epochs, at least one, must be finite numbers")
    try:
        schedule(record)(epochs * record["images"])
    except ArithmeticError as error:
        raise ValueError(f"its learning rate cannot be computed: {error}") from error
    return record | {"image_shape": tuple(record["image_shape"])}

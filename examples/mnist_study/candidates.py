"""The candidates of a search, trained side by side. The record of each is a file of its own.

The file is written after every epoch. A search that is started again reads the records of the candidates that are
finished, and trains the others from the beginning.
"""

import json
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinygrad_np.serialization import write_atomically

from .search_results import NAMES, SEARCH_METRICS
from .workers import Workers


class CandidateRecord:
    """The record of a candidate that is being trained, and the file that holds it.

    Args:
        settings: a dataclass of its hyperparameters.
        file: written after every epoch.
    """

    def __init__(self, settings: Any, file: Path) -> None:
        self.values, self.file, self.start = _empty_record(settings), file, time.perf_counter()

    def add_epoch(self, *metrics: float) -> None:
        """Add the metrics of one more epoch, in the order of SEARCH_METRICS."""
        for name, value in zip(SEARCH_METRICS, metrics, strict=True):
            self.values[name].append(value)
        self._save()

    def add_divergence(self, error: Exception) -> None:
        """Say that the training has ended with this error."""
        self.values["diverged"] = str(error)
        self._save()

    def _save(self) -> None:
        self.values["seconds"] = time.perf_counter() - self.start
        write_atomically(self.file, json.dumps(self.values, indent=1).encode())


def train_side_by_side(
    candidates: list[Any],
    executor: futures.Executor,
    train: Callable[[Any, Path], dict[str, Any]],
    folder: Path,
    bar: Any,
) -> list[dict[str, Any]]:
    """The records of candidates; those that are not finished in the folder are trained now, the largest first.

    Args:
        candidates: their settings.
        executor: trains them; `train` and the settings must be picklable if it has processes.
        train: `train(settings, file)` returns the record of a candidate and keeps it in the file.
        folder: of the search.
        bar: a progress bar that counts epochs.
    """
    before = bar.n
    records = {settings: _read_record(_record_file(folder, settings), settings) for settings in candidates}
    waiting = {}
    for settings in sorted(candidates, key=lambda settings: -settings.hidden):
        if not _is_finished(records[settings]):
            file = _record_file(folder, settings)
            file.unlink(missing_ok=True)  # an interrupted training starts again
            waiting[executor.submit(train, settings, file)] = settings
    while True:
        for future in futures.wait(waiting, timeout=0.2, return_when=futures.FIRST_COMPLETED).done:
            records[waiting.pop(future)] = future.result()  # or raises what was raised there
        if isinstance(executor, Workers):
            executor.check()
        for settings in waiting.values():  # how far they are
            records[settings] = _read_record(_record_file(folder, settings), settings)
        epochs = (
            settings.epochs if _is_finished(record) else len(record["train_loss"])
            for settings, record in records.items()
        )
        bar.update(before + sum(epochs) - bar.n)
        if not waiting:
            return [records[settings] for settings in candidates]


def _empty_record(settings: Any) -> dict[str, Any]:
    return {name: [] for name in SEARCH_METRICS} | {"settings": asdict(settings), "diverged": ""}


def _record_file(folder: Path, settings: Any) -> Path:
    name = ",".join(f"{name}={getattr(settings, name)}" for name in NAMES)
    return folder / "candidates" / f"{name}.json"


def _read_record(file: Path, settings: Any) -> dict[str, Any]:
    """The record of a candidate as far as it is trained.

    Raises:
        ValueError: the file is damaged, or of other settings; the message names it.
    """
    empty = _empty_record(settings)
    if not file.exists():
        return empty
    try:
        record = json.loads(file.read_bytes())
        if record["settings"] != empty["settings"]:
            raise ValueError(f"its settings are {record['settings']}, not {empty['settings']}")
        lengths = {len(record[name]) for name in SEARCH_METRICS}
        numbers = [record["seconds"], *(value for name in SEARCH_METRICS for value in record[name])]
        if len(lengths) != 1 or not all(type(value) is float for value in numbers):
            raise ValueError("its metrics are not as many numbers each")
        return {name: record[name] for name in (*empty, "seconds")}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: damaged; delete it to train this candidate again ({error!r})") from error


def _is_finished(record: Mapping[str, Any]) -> bool:
    return bool(record["diverged"]) or len(record["train_loss"]) == record["settings"]["epochs"]

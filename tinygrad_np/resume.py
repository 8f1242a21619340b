"""Whole trainings in files, from which they go on as if nothing had happened, to the bit.

    checkpoints = Checkpoints("runs/checkpoints", model=model, optimizer=optimizer, loader=loader, rng=rng)
    found = checkpoints.resume()                       # the newest that is whole, or None
    ...
    checkpoints.save(optimizer.steps, {"losses": losses})

Schedules need no place in it: they go by the optimiser's steps.
"""

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import checks
from .checkpoint import load, save
from .tensor import Array


class Resumed(NamedTuple):
    """What `Checkpoints.resume` went on from: the step and the record that were saved, and why newer files were not."""

    step: int
    record: Any
    damaged: list[str]


class Checkpoints:
    """The states of one training, in a folder of its own: the newest two.

    A kill at any moment, in the middle of writing too, leaves one that is whole, once one was saved: a new one is
    written beside, flushed, renamed and read back before an old one is removed.

    Args:
        folder: made when the first one is saved.
        **parts: what changes in training, by name: modules, optimisers, `DataLoader`s and whatever else has
            `state_dict()` and `load_state_dict()`, with arrays, and `np.random.Generator`s.

    Raises:
        TypeError: a part is none of these.

    >>> import tempfile
    >>> rng = np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(folder, rng=rng)
    ...     _ = checkpoints.save(10, {"loss": 0.5})
    ...     drawn = rng.random()
    ...     checkpoints.resume()
    ...     drawn == rng.random()
    Resumed(step=10, record={'loss': 0.5}, damaged=[])
    True
    """

    def __init__(self, folder: str | os.PathLike[str], **parts: Any) -> None:
        for name, part in parts.items():
            has_state = hasattr(part, "state_dict") and hasattr(part, "load_state_dict")
            if not isinstance(part, np.random.Generator) and not has_state:
                raise TypeError(
                    f"Checkpoints: {name} must be a np.random.Generator or have state_dict() and load_state_dict(),"
                    f" not {type(part).__name__}"
                )
        self.folder, self.parts = Path(folder), parts

    def save(self, step: int, record: Any = None) -> Path:
        """Save the parts as they are now, and remove all but this one and the one before it; return its path.

        Args:
            step: a count that rises.
            record: whatever JSON can hold, to be given back.

        Raises:
            OSError: it cannot be written; those that were there before are still whole.
            TypeError: the record is not for JSON.
        """
        arrays: dict[str, Array] = {}
        generators: dict[str, Any] = {}
        for name, part in self.parts.items():
            if isinstance(part, np.random.Generator):
                generators[name] = part.bit_generator.state
            else:
                arrays |= {f"{name}/{path}": array for path, array in part.state_dict().items()}
        text = {"step": int(step), "record": record, "generators": generators}
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"step-{step:010d}.safetensors"
        save(path, arrays, {"training": json.dumps(text, default=_as_list)})
        load(path)  # whole, or the one before it is not removed
        older = [other for other in self._saved() if other.name < path.name]
        for other in self.folder.iterdir():
            left_by_a_kill = other.name.startswith(".step-")
            if left_by_a_kill or (other in self._saved() and other not in (path, *older[:1])):
                other.unlink(missing_ok=True)
        return path

    def resume(self) -> Resumed | None:
        """Put the parts into the state of the newest checkpoint that is whole; None if there are none at all.

        Raises:
            ValueError: all of them are damaged, or the newest one is of other parts; then nothing is changed.
        """
        damaged: list[str] = []
        for path in self._saved():
            try:
                arrays, metadata = load(path)
                text = json.loads(metadata["training"])
                step, record, generators = int(text["step"]), text["record"], dict(text["generators"])
            except (OSError, KeyError, TypeError, ValueError) as error:
                damaged.append(str(error))
                continue
            self._load(path, arrays, generators)
            return Resumed(step, record, damaged)
        if damaged:
            raise ValueError(f"{self.folder}: no checkpoint in it is whole: {'; '.join(damaged)}")
        return None

    def _saved(self) -> list[Path]:
        """The files of checkpoints, newest first."""
        files = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted((file for file in files if re.fullmatch(r"step-\d{10,}\.safetensors", file.name)), reverse=True)

    def _load(self, path: Path, arrays: dict[str, Array], generators: dict[str, Any]) -> None:
        """All parts or none."""
        own = {name for name, part in self.parts.items() if isinstance(part, np.random.Generator)}
        states: dict[str, dict[str, Array]] = {name: {} for name in self.parts.keys() - own}
        for name, array in arrays.items():
            part, _, rest = name.partition("/")
            states.setdefault(part, {})[rest] = array
        if others := (generators.keys() ^ own) | (states.keys() ^ (self.parts.keys() - own)):
            raise ValueError(f"{path}: of other parts than this training's: {', '.join(sorted(others))}")
        try:
            for name in own:
                type(self.parts[name].bit_generator)().state = generators[name]
            for name, state in states.items():
                checks.state(name, self.parts[name].state_dict(), state)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{path}: {error}") from error
        for name in own:
            self.parts[name].bit_generator.state = generators[name]
        for name, state in states.items():
            self.parts[name].load_state_dict(state)


def _as_list(value: Any) -> Any:
    """Arrays and numbers of NumPy, as some generators have in their states, as JSON takes them."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"Checkpoints: a record holds what JSON can hold, not {type(value).__name__}")

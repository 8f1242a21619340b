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

from . import _validation as check
from .serialization import load, save
from .tensor import Array

NAME = re.compile(r"step-(\d{10,})\.safetensors")


def _step(file: Path) -> int:
    return int(file.stem.removeprefix("step-"))


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
        folder: made when the first one is saved; of one training, in one process at a time.
        **parts: what changes in training, by name: modules, optimisers, `DataLoader`s and whatever else has
            `state_dict()` and `load_state_dict()`, with arrays, and `np.random.Generator`s. How often a generator was
            asked to `spawn` is not saved.

    Raises:
        TypeError: a part is none of these.
        ValueError: a generator that a part draws from, as `Dropout` and `DataLoader` do, is not a part.

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
            if "/" in name:
                raise ValueError(f"Checkpoints: the name of a part has no slash, unlike {name!r}")
            for user in (part, *(part.modules() if hasattr(part, "modules") else ())):
                rng = getattr(user, "rng", None)
                if isinstance(rng, np.random.Generator) and not any(rng is other for other in parts.values()):
                    raise ValueError(
                        f"Checkpoints: {name} draws from a generator that is not a part: give it, as rng=rng"
                    )
        self.folder, self.parts = Path(folder), parts
        self._at: int | None = None  # the step that was saved or resumed last

    def save(self, step: int, record: Any = None) -> Path:
        """Save the parts as they are now, and remove all but this one and the one before it; return its path.

        Args:
            step: a count that rises, at least 0.
            record: whatever JSON can hold, to be given back.

        Raises:
            OSError: it cannot be written; those that were there before are still whole.
            TypeError: the record is not for JSON.
            ValueError: a negative step, or the folder holds later ones of a training that was not resumed.
        """
        if step < 0:
            raise ValueError(f"Checkpoints: a step is at least 0, not {step}")
        saved = self._saved()
        if self._at is None and saved and _step(saved[0]) > step:
            raise ValueError(f"{self.folder}: holds later checkpoints than step {step}: resume() goes on from there")
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
        self._at = step
        saved = self._saved()
        older = [other for other in saved if _step(other) < step]
        left_by_kills = [other for other in self.folder.glob(".step-*.safetensors.*") if other.is_file()]
        for other in (*left_by_kills, *saved):
            if other not in (path, *older[:1]):
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
            except (OSError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
                damaged.append(str(error) if isinstance(error, OSError | ValueError) else f"{path}: {error!r}")
                continue
            self._load(path, arrays, generators)
            self._at = step
            return Resumed(step, record, damaged)
        if damaged:
            raise ValueError(f"{self.folder}: no checkpoint in it is whole: {'; '.join(damaged)}")
        return None

    def _saved(self) -> list[Path]:
        """The files of checkpoints, newest first."""
        files = self.folder.iterdir() if self.folder.is_dir() else ()
        found = [file for file in files if NAME.fullmatch(file.name) and file.is_file()]
        return sorted(found, key=_step, reverse=True)

    def _load(self, path: Path, arrays: dict[str, Array], generators: dict[str, Any]) -> None:
        """All parts or none."""
        own = {name for name, part in self.parts.items() if isinstance(part, np.random.Generator)}
        states: dict[str, dict[str, Array]] = {name: {} for name in self.parts if name not in own}
        for name, array in arrays.items():
            part, _, rest = name.partition("/")
            states.setdefault(part, {})[rest] = array
        if others := (generators.keys() ^ own) | (states.keys() ^ (self.parts.keys() - own)):
            raise ValueError(f"{path}: of other parts than this training's: {', '.join(sorted(others))}")
        before = {name: _copied(self.parts[name].state_dict()) for name in states}
        loaded = []
        try:
            for name in own:
                _check_generator(name, self.parts[name].bit_generator, generators[name])
            for name, state in states.items():
                check.state(name, "state", state, before[name])
            for name, state in states.items():
                loaded.append(name)
                self.parts[name].load_state_dict(state)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            for name in loaded:
                self.parts[name].load_state_dict(before[name])
            raise ValueError(f"{path}: {error}") from error
        for name in own:
            self.parts[name].bit_generator.state = generators[name]


def _copied(state: dict[str, Array]) -> dict[str, Array]:
    return {name: array.copy() for name, array in state.items()}


def _check_generator(name: str, own: Any, state: Any) -> None:
    """Refuse a state that is of another kind, or that NumPy would take and read beyond its arrays with."""
    type(own)().state = state
    for key, length in (("pos", 624), ("buffer_pos", 4)):  # of MT19937 and Philox
        place = state.get(key, state["state"].get(key, 0))
        if type(place) is not int or not 0 <= place <= length:
            raise ValueError(f"{name}: {key} is {place!r}, out of its range from 0 to {length}")


def _as_list(value: Any) -> Any:
    """Arrays and numbers of NumPy, as some generators have in their states, as JSON takes them."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"Checkpoints: a record holds what JSON can hold, not {type(value).__name__}")

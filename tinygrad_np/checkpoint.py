"""Save a training to disk and resume it later with bitwise identical results.

    checkpoints = Checkpoints("runs/checkpoints", model=model, optimizer=optimizer, loader=loader, rng=rng)
    found = checkpoints.resume()                       # the newest intact checkpoint, or None
    ...
    checkpoints.save(optimizer.steps, {"losses": losses})

Schedules need not be saved: they are functions of the optimiser's step.
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
    """The checkpoint that was resumed: its step, its record, and a message for each newer file that is damaged."""

    step: int
    record: Any
    damaged: list[str]


class Checkpoints:
    """The two newest checkpoints of a training, in a folder.

    Once the first checkpoint is saved, a crash or kill at any moment, even during a write, leaves an intact one: a new
    checkpoint is written under a temporary name, flushed, renamed and read back before an old one is removed.

    Args:
        folder: a folder for this training only, used by one process at a time. The first save creates it.
        **parts: everything that training changes, by name: modules, optimisers, `DataLoader`s, any other object whose
            `state_dict()` and `load_state_dict()` use arrays, and `np.random.Generator`s. The spawn count of a
            generator is not saved.

    Raises:
        TypeError: a part is none of these.
        ValueError: a part such as `Dropout` or `DataLoader` uses a generator that is not a part itself.

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
                raise ValueError(f"Checkpoints: the name of a part cannot contain a slash, as {name!r} does")
            for user in (part, *(part.modules() if hasattr(part, "modules") else ())):
                rng = getattr(user, "rng", None)
                if isinstance(rng, np.random.Generator) and not any(rng is other for other in parts.values()):
                    raise ValueError(f"Checkpoints: {name} uses a generator that is not a part; add it, as in rng=rng")
        self.folder, self.parts = Path(folder), parts
        self._at: int | None = None  # the step last saved or resumed

    def save(self, step: int, record: Any = None) -> Path:
        """Save the state of all parts, remove all checkpoints but this and the previous one, and return the path.

        Args:
            step: an increasing count, at least 0.
            record: any value that JSON can represent; `resume` returns it.

        Raises:
            OSError: the file cannot be written; existing checkpoints are left intact.
            TypeError: JSON cannot represent the record.
            ValueError: step is negative, or the folder has later checkpoints and was not resumed.
        """
        if step < 0:
            raise ValueError(f"Checkpoints: step must be at least 0, not {step}")
        saved = self._saved()
        if self._at is None and saved and _step(saved[0]) > step:
            raise ValueError(
                f"{self.folder}: has checkpoints later than step {step}; call resume() first to continue from them"
            )
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
        load(path)  # raises if the file is damaged, before the previous one is removed
        self._at = step
        saved = self._saved()
        older = [other for other in saved if _step(other) < step]
        left_by_kills = [other for other in self.folder.glob(".step-*.safetensors.*") if other.is_file()]
        for other in (*left_by_kills, *saved):
            if other not in (path, *older[:1]):
                other.unlink(missing_ok=True)
        return path

    def resume(self) -> Resumed | None:
        """Load the newest intact checkpoint into the parts; return None if the folder has no checkpoint.

        Raises:
            ValueError: all checkpoints are damaged, or the newest intact one has other parts. Nothing is changed.
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
            raise ValueError(f"{self.folder}: every checkpoint is damaged: {'; '.join(damaged)}")
        return None

    def _saved(self) -> list[Path]:
        """The checkpoint files, newest first."""
        files = self.folder.iterdir() if self.folder.is_dir() else ()
        found = [file for file in files if NAME.fullmatch(file.name) and file.is_file()]
        return sorted(found, key=_step, reverse=True)

    def _load(self, path: Path, arrays: dict[str, Array], generators: dict[str, Any]) -> None:
        """Load all parts, or change none and raise."""
        own = {name for name, part in self.parts.items() if isinstance(part, np.random.Generator)}
        states: dict[str, dict[str, Array]] = {name: {} for name in self.parts if name not in own}
        for name, array in arrays.items():
            part, _, rest = name.partition("/")
            states.setdefault(part, {})[rest] = array
        if others := (generators.keys() ^ own) | (states.keys() ^ (self.parts.keys() - own)):
            raise ValueError(f"{path}: its parts differ from those of this training: {', '.join(sorted(others))}")
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
    """Check a generator's state: its kind, and positions, which NumPy would use to read out of bounds."""
    type(own)().state = state
    for key, length in (("pos", 624), ("buffer_pos", 4)):  # of MT19937 and Philox
        place = state.get(key, state["state"].get(key, 0))
        if type(place) is not int or not 0 <= place <= length:
            raise ValueError(f"{name}: {key} must be from 0 to {length}, not {place!r}")


def _as_list(value: Any) -> Any:
    """NumPy arrays and scalars, which some generator states contain, as lists and numbers for JSON."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"Checkpoints: the record must be representable as JSON, but contains {type(value).__name__}")

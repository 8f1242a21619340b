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
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._contents import GENERATORS, attributes, everything
from ._messages import with_hints
from ._settings import FROZEN, described, differences, name_of
from .serialization import load, remove_abandoned, save
from .tensor import Array

__all__ = ["Checkpoints", "Resumed"]

FORMAT = 3  # of what a checkpoint says beside its arrays; 2 had no settings of modules
NAME = re.compile(r"step-(\d{10,})\.safetensors")
ARRAY = re.compile(r"(float|int|uint|bool|complex)\d*\[")  # the beginning of the description of an array or a Tensor
TENSOR = re.compile(rf"{ARRAY.pattern}[\d, ]*\]({FROZEN})?")  # dtype and shape, and no numbers


def _step(file: Path) -> int:
    return int(file.stem.removeprefix("step-"))


class Resumed(NamedTuple):
    """The checkpoint that was resumed: its step, its record, and a message for each newer file that is damaged.

    `Checkpoints.resume` returns it, and `Checkpoints.save` was given the step and the record.

    >>> resumed = Resumed(step=500, record={"best": 0.97}, damaged=[])
    >>> step, record, damaged = resumed
    >>> resumed.record["best"]
    0.97
    """

    step: int
    record: Any
    damaged: list[str]


class Checkpoints:
    """The two newest checkpoints of a training, in a folder.

    Once the first checkpoint is saved, a crash or kill at any moment, even during a write, leaves an intact one: a new
    checkpoint is written under a temporary name, flushed, renamed and read back before an old one is removed.

    Args:
        folder: a folder for this training only, used by one process at a time. The first save creates it. A folder with
            checkpoints must be resumed before one is saved.
        **parts: everything that training changes, by name: modules, optimisers, `DataLoader`s, any other object whose
            `state_dict()` and `load_state_dict()` use arrays, and `np.random.Generator`s. The spawn count of a
            generator is not saved.

    A checkpoint is resumed only by the same training. What is the program's own is not loaded, but must agree:

    - the class of every part and what a subclass adds to it, the data and batches of a `DataLoader`, the parameters and
      hyperparameters of optimisers and averages;
    - the classes in a module, and all values that they hold when `Checkpoints` is made, such as `Dropout.p` or an array
      that is no Tensor. Make it before training, and assign afterwards what differs from run to run, such as a time.
      An array that training changes must be a Tensor; counters and lists that it changes are not saved;
    - the dtypes of all arrays.

    Functions count by their names, lambdas by their code. Learning rates and their schedules are not saved and may
    differ, so that a training can go on with another one; put a rate that was assigned into the record. The code of
    classes and functions may differ as well, and so may the mode of modules (`train()`, `eval()`), and the seed of a
    generator that is a part, whose state is loaded.

    Raises:
        TypeError: a part is none of these.
        ValueError: a part such as `Dropout` or `DataLoader` uses a generator that is not a part itself.

    >>> import tempfile
    >>> rng = np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(folder, rng=rng)
    ...     print(repr(checkpoints).replace(folder, "folder"))
    ...     _ = checkpoints.save(10, {"loss": 0.5})
    ...     drawn = rng.random()
    ...     checkpoints.resume()
    ...     drawn == rng.random()
    Checkpoints('folder', rng=Generator(...))
    Resumed(step=10, record={'loss': 0.5}, damaged=[])
    True
    """

    @with_hints("parts are given by name: Checkpoints(folder, model=model, optimizer=optimizer)")
    def __init__(self, folder: str | os.PathLike[str], **parts: Any) -> None:
        for name, part in parts.items():
            has_state = hasattr(part, "state_dict") and hasattr(part, "load_state_dict")
            if isinstance(part, type) or not (isinstance(part, np.random.Generator) or has_state):
                kind = f"the class {part.__name__}" if isinstance(part, type) else type(part).__name__
                raise TypeError(
                    f"Checkpoints: {name} must be a np.random.Generator or have state_dict() and load_state_dict(),"
                    f" not {kind}"
                )
            if "/" in name:
                raise ValueError(f"Checkpoints: the name of a part cannot contain a slash, as {name!r} does")
        self.folder, self.parts = Path(folder), parts
        self._absolute = Path(os.path.abspath(folder))
        self._settings = _settings(parts)
        _refuse_other_generators(parts)
        self._lock = threading.RLock()  # one that a signal handler can take again
        self._at = -1  # the step last saved or resumed
        self._known: set[str] = set()  # names of the checkpoints that were saved here, or found when it was resumed

    def __repr__(self) -> str:
        parts = [f"{name}={type(part).__name__}(...)" for name, part in self.parts.items()]
        return f"Checkpoints({', '.join([repr(str(self.folder)), *parts])})"

    def save(self, step: int, record: Any = None) -> Path:
        """Save the state of all parts, remove all checkpoints but this and the previous one, and return the path.

        Args:
            step: an increasing count, at least 0.
            record: any value that JSON gives back as it is, of dicts with keys that are text, lists, text, numbers and
                None; `resume` returns it.

        Raises:
            OSError: the file cannot be written; existing checkpoints are left intact.
            TypeError: JSON cannot represent the record, or gives it back changed, such as a tuple as a list.
            RuntimeError: a step of an optimiser was interrupted, so that training would not go on the same from here.
            ValueError: step is no integer, negative, or smaller than that of the last checkpoint; or the folder has
                checkpoints of another training, or was not resumed; or the record is nested too deeply, or in itself.
                Nothing is written or removed.
        """
        with self._lock:
            return self._save(step, record)

    def _save(self, step: int, record: Any) -> Path:
        folder = self._folder()
        if isinstance(step, bool) or not isinstance(step, int | np.integer):
            raise ValueError(f"Checkpoints: step must be an integer, not {step!r}")
        if step < 0:
            raise ValueError(f"Checkpoints: step must be at least 0, not {step}")
        if step < self._at:
            raise ValueError(
                f"{folder}: step {step} is before the last checkpoint, of step {self._at}; give step as an"
                " increasing count, or another folder"
            )
        for name, part in self.parts.items():
            if getattr(part, "_in_a_step", False):
                raise RuntimeError(
                    f"Checkpoints: step {part.steps} of {name} is half done, and training would not go on the same from"
                    " here; save between steps, as by a flag that a signal handler sets and the loop reads"
                )
        saved = self._saved()
        if unknown := [other for other in saved if other.name not in self._known]:
            which = f"later than step {step}" if _step(saved[0]) > step else f"of another run, {unknown[0].name}"
            raise ValueError(
                f"{folder}: has checkpoints {which}; call resume() first to continue from them, or give another folder"
            )
        arrays: dict[str, Array] = {}
        generators: dict[str, Any] = {}
        for name, part in self.parts.items():
            if isinstance(part, np.random.Generator):
                generators[name] = part.bit_generator.state
            else:
                arrays |= {f"{name}/{path}": array for path, array in part.state_dict().items()}
        text = {"format": FORMAT, "step": int(step), "record": record, "generators": generators}
        training = _json(text | {"settings": self._current_settings()})
        _refuse_changed("the record", record)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"step-{step:010d}.safetensors"
        self._known.add(path.name)  # from now on: an interrupt after the file is written must not make it a stranger
        save(path, arrays, {"training": training})
        load(path)  # raises if the file is damaged, before the previous one is removed
        older = [other for other in saved if _step(other) < step]
        for other in saved:
            if other not in (path, *older[:1]):
                other.unlink(missing_ok=True)
        self._at, self._known = int(step), {path.name, *(other.name for other in older[:1])}
        hidden = [folder / name for name in os.listdir(folder) if name.startswith(".step-")]
        remove_abandoned(other for other in hidden if other.is_file())  # glob() interrupted leaves a scan unclosed
        return path

    def resume(self) -> Resumed | None:
        """Load the newest intact checkpoint into the parts; return None if the folder has no checkpoint.

        Raises:
            ValueError: all checkpoints are damaged; or the newest intact one has other parts, another class, dtype or
                other settings of a part, or the format of another version. Nothing is changed.
        """
        with self._lock:
            return self._resume()

    def _resume(self) -> Resumed | None:
        damaged: list[str] = []
        saved = self._saved()
        for path in saved:
            try:
                arrays, metadata = load(path)
                text = json.loads(metadata["training"])
                format = text.get("format", 1)
                step, record, generators = int(text["step"]), text["record"], dict(text["generators"])
                settings = {name: dict(found) for name, found in text.get("settings", {}).items()}
                if step != _step(path):
                    raise ValueError(f"{path}: is of step {step}, which is not that of its name")
            except (
                OSError,
                LookupError,
                AttributeError,
                TypeError,
                ValueError,
                ArithmeticError,
                RecursionError,
            ) as error:
                damaged.append(str(error) if isinstance(error, OSError | ValueError) else f"{path}: {error!r}")
                continue
            if format != FORMAT:
                raise ValueError(
                    f"{path}: has format {format!r} of checkpoints, but this version of tinygrad_np reads format"
                    f" {FORMAT}; of another one, only arrays such as weights can be used, by serialization.load"
                )
            self._load(path, arrays, generators, settings)
            self._at, self._known = step, {other.name for other in saved}
            return Resumed(step, record, damaged)
        if damaged:
            raise ValueError(f"{self._folder()}: every checkpoint is damaged: {'; '.join(damaged)}")
        return None

    def _current_settings(self) -> dict[str, dict[str, str]]:
        """The settings as they were at the start, but for which parameters are frozen by now.

        Raises:
            ValueError: an array in a part has changed, which its state does not tell of.
        """
        current = dict(self._settings)
        for name, found in _settings(self.parts).items():
            before = self._settings[name]
            frozen = {path: text for path, text in found.items() if path in before and TENSOR.fullmatch(text)}
            arrays = {path for path in before if ARRAY.match(before[path]) and path not in frozen}
            then, now = ({path: texts[path] for path in arrays if path in found} for texts in (before, found))
            if changed := differences(then, now, ("when Checkpoints was made", "now")):
                raise ValueError(
                    f"Checkpoints: an array in {name} has changed, which would not be saved: {changed}; make it a"
                    " Tensor, whose .data is assigned"
                )
            current[name] = before | frozen
        return current

    def _folder(self) -> Path:
        """The folder, also where the working directory is another one by now."""
        return self.folder if Path(os.path.abspath(self.folder)) == self._absolute else self._absolute

    def _saved(self) -> list[Path]:
        """The checkpoint files, newest first."""
        folder = self._folder()
        files = folder.iterdir() if folder.is_dir() else ()
        found = [file for file in files if NAME.fullmatch(file.name) and file.is_file()]
        return sorted(found, key=_step, reverse=True)

    def _load(
        self, path: Path, arrays: dict[str, Array], generators: dict[str, Any], settings: dict[str, dict[str, Any]]
    ) -> None:
        """Load all parts, or change none and raise."""
        own = {name for name, part in self.parts.items() if isinstance(part, np.random.Generator)}
        states: dict[str, dict[str, Array]] = {name: {} for name in self.parts if name not in own}
        for name, array in arrays.items():
            part, _, rest = name.partition("/")
            states.setdefault(part, {})[rest] = array
        expected = self.parts.keys() - own
        only_there = (generators.keys() - own) | (states.keys() - expected)
        only_here = (own - generators.keys()) | (expected - states.keys())
        if only_there or only_here:
            sides = {"the checkpoint alone has": only_there, "this training alone has": only_here}
            details = "; ".join(f"{side} {', '.join(sorted(names))}" for side, names in sides.items() if names)
            names = ", ".join(sorted(only_there | only_here))
            raise ValueError(f"{path}: its parts differ from those of this training: {names}; {details}")
        before = {name: _copied(self.parts[name].state_dict()) for name in states}
        own_settings = self._current_settings()
        loaded = []
        try:
            for name in own:
                _check_generator(name, self.parts[name].bit_generator, generators[name])
            for name, state in states.items():
                if hasattr(self.parts[name], "_checked_state"):
                    self.parts[name]._checked_state(state, name)
                for key, array in state.items():  # parts of other classes may take other names and shapes
                    if key in before[name] and array.dtype != before[name][key].dtype:
                        own_dtype = before[name][key].dtype
                        raise ValueError(f"{name}: checkpoint: {array.dtype}, here: {own_dtype}, at {key}")
                if others := differences(settings.get(name, {}), own_settings[name]):
                    raise ValueError(f"{name}: {others}")
            for name in sorted(states, key=lambda name: _cannot_fail(self.parts[name])):
                loaded.append(name)
                self.parts[name].load_state_dict(states[name])
            for name in filter(lambda name: _cannot_fail(self.parts[name]), states):
                for key, array in self.parts[name].state_dict().items():
                    if array.tobytes() != states[name][key].tobytes():
                        raise ValueError(f"{name}: {key} shares memory here with another part, but not there")
        except BaseException as error:
            for name in loaded:
                self.parts[name].load_state_dict(before[name])
            if isinstance(error, Exception):
                raise ValueError(f"{path}: {error}") from error
            raise
        for name in own:
            self.parts[name].bit_generator.state = generators[name]


def _cannot_fail(part: Any) -> bool:
    """Whether a state that was checked is loaded without an error; other parts are loaded first."""
    return hasattr(part, "_checked_state") and type(part).load_state_dict.__module__.startswith(f"{__package__}.")


def _copied(state: dict[str, Array]) -> dict[str, Array]:
    return {name: array.copy() for name, array in state.items()}


def _check_generator(name: str, own: Any, state: Any) -> None:
    """Try a generator's state on another generator. NumPy itself takes positions that read out of bounds."""
    kind, trial = type(own).__name__, type(own)()
    try:
        trial.state = state
        kept = json.loads(json.dumps(trial.state, default=_as_list))
    except Exception as error:
        raise ValueError(f"{name}: not the state of a {kind} generator: {error}") from error
    if kept != state:
        raise ValueError(f"{name}: not the state of a {kind} generator: its names, lengths or ranges are others")
    numbers = state | (state["state"] if isinstance(state["state"], dict) else {})
    for key, limit in (("pos", 624), ("buffer_pos", 4), ("has_uint32", 1)):  # of MT19937, Philox, and all others
        if not 0 <= numbers.get(key, 0) <= limit:
            raise ValueError(f"{name}: {key} must be from 0 to {limit}, not {numbers[key]!r}")
    if numbers.get("inc", 1) % 2 == 0:
        raise ValueError(f"{name}: inc must be odd, not {numbers['inc']}")  # of PCG64
    if kind == "MT19937" and not any(numbers["key"]):
        raise ValueError(f"{name}: not the state of a MT19937 generator: it would draw zeros only")


def _settings(parts: dict[str, Any]) -> dict[str, dict[str, str]]:
    """What must agree for the states of parts to be loaded, but for what these states tell themselves."""
    modules = {name: part for name, part in parts.items() if hasattr(part, "named_tensors")}
    paths = {id(tensor): f"{name}.{path}" for name, part in modules.items() for path, tensor in part.named_tensors()}
    settings = {}
    for name, part in parts.items():
        others = {id(other): f"the part {key}" for key, other in parts.items() if other is not part}
        if name in modules:
            settings[name] = described(part, others, values=False)
            continue
        settings[name] = {"": name_of(type(part))}
        if hasattr(part, "_saved"):
            held = {key: value for key, value in attributes(part).items() if key not in part._saved}
            for key, value in held.items():
                found = described(value, others | paths, values=False)
                settings[name] |= {f"{key}.{path}" if path else key: text for path, text in found.items()}
    return settings


def _refuse_other_generators(parts: dict[str, Any]) -> None:
    """Raise if a part of this package uses a generator, wherever it is, that is no part; others save their own."""
    generators = [part for part in parts.values() if isinstance(part, np.random.Generator)]
    known = {id(own) for generator in generators for own in (generator, generator.bit_generator)}
    for name, part in parts.items():
        if not hasattr(part, "named_tensors") and not hasattr(part, "_saved"):
            continue
        for path, found in everything(part):
            if isinstance(found, GENERATORS) and id(found) not in known:
                raise ValueError(
                    f"Checkpoints: {name} uses a generator that is not a part; add it, as in rng=rng (it is at {path},"
                    " and a part must be a np.random.Generator)"
                )


def _json(text: dict[str, Any]) -> str:
    try:
        return json.dumps(text, default=_as_list)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"Checkpoints: the record must be representable as JSON: {error}") from error


def _refuse_changed(place: str, value: Any) -> None:
    """Raise if JSON gives a value back as another one."""
    if isinstance(value, tuple | np.ndarray):
        instead = "array.tolist()" if isinstance(value, np.ndarray) else "a list"
        raise TypeError(
            f"Checkpoints: {place} is of {type(value).__name__}, which would come back as a list; give {instead}"
        )
    for key, held in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(value, dict) and not isinstance(key, str):
            raise TypeError(
                f"Checkpoints: {place} has the key {key!r}, which would come back as text; give {str(key)!r}"
            )
        _refuse_changed(f"{place}[{key!r}]", held)


def _as_list(value: Any) -> Any:
    """NumPy arrays and scalars, which some generator states contain, as lists and numbers for JSON."""
    if isinstance(value, np.ndarray | np.generic) and not isinstance(value, np.longdouble):
        return value.tolist()
    raise TypeError(f"Checkpoints: the record must be representable as JSON, but contains {type(value).__name__}")

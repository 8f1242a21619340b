"""What the examples' command lines share: settings that become options, checked values, folders for results, and exits.

A package that is missing when this is imported, a bad option, an unreadable file: each ends a script with one line that
says what is wrong.
"""

import argparse
import importlib.util
import itertools
import math
import shlex
import sys
from collections.abc import Callable
from dataclasses import field, fields
from pathlib import Path
from typing import Any

from tinygrad_np.serialization import write_atomically

PACKAGES = ("matplotlib", "PIL", "sklearn", "threadpoolctl", "tqdm")
if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
    sys.exit(f'the examples need {", ".join(missing)}: python -m pip install -e ".[examples]" brings them')


def script() -> str:
    """The name of the script that runs."""
    return Path(sys.argv[0]).name


def progress(total: int, unit: str, quiet: bool) -> Any:
    """A progress bar on the error output, or none."""
    from tqdm import tqdm  # here, so that what is missing is said above

    return tqdm(total=total, unit=unit, disable=quiet)


# --- values ----------------------------------------------------------------------------------------------------------


def positive_integer(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return value


def natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer of at least 0, not {text!r}")
    return int(text)


def non_negative(text: str) -> float:
    return _number(text, "of at least 0", lambda value: value >= 0)


def positive(text: str) -> float:
    return _number(text, "above 0", lambda value: value > 0)


def _number(text: str, bound: str, allowed: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and allowed(value)):
        raise argparse.ArgumentTypeError(f"must be a finite number {bound}, not {text!r}")
    return value


def path_name(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return Path(text)


def several(read: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Of what reads one value, what reads several with commas between them."""

    def read_several(text: str) -> list[Any]:
        words = [word.strip() for word in text.split(",")]
        if not all(words):
            raise argparse.ArgumentTypeError(f"must be values with commas between them, as 1,2,3, not {text!r}")
        values = [read(word) for word in words]
        if twice := [word for i, word in enumerate(words) if values[i] in values[:i]]:
            raise argparse.ArgumentTypeError(f"{twice[0]} is there twice in {text!r}")
        return values

    return read_several


# --- options ---------------------------------------------------------------------------------------------------------


def parser(documentation: str | None) -> argparse.ArgumentParser:
    """Of a script whose help is its documentation."""
    return argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)


def add(parser: Any, name: str, help: str, **keywords: Any) -> None:
    """Add an option; its default, where there is one, ends the help."""
    parser.add_argument(name, help=help + (" (default %(default)s)" if "default" in keywords else ""), **keywords)


def setting(default: Any, read: Callable[[str], Any], help: str) -> Any:
    """A field of a dataclass of settings that is an option of the command line too (see `add_settings`)."""
    return field(default=default, metadata={"read": read, "help": help})


def add_settings(parser: Any, settings: type, **candidates: str) -> None:
    """An option for each field of a dataclass of settings; for those named in candidates, one that takes several."""
    for each in fields(settings):
        read, default = each.metadata["read"], each.default
        if each.name in candidates:
            read, default = several(read), candidates[each.name]
        metavar = ("N" if each.type is int else "X") + (",..." if each.name in candidates else "")
        add(parser, f"--{each.name.replace('_', '-')}", each.metadata["help"], type=read, default=default,
            metavar=metavar)  # fmt: skip


def as_options(settings: Any) -> list[str]:
    """Settings as the words of a command line: what `add_settings` reads back."""
    return [word for each in fields(settings)
            for word in (f"--{each.name.replace('_', '-')}", f"{getattr(settings, each.name)}")]  # fmt: skip


def command(name: str, *options: str) -> str:
    """What runs the script of this name beside the one that runs now."""
    return shlex.join(["python", str(Path(sys.argv[0]).with_name(name)), *options])


# --- folders and exits -----------------------------------------------------------------------------------------------


def new_folder(name: str) -> Path:
    """A new folder under runs/: the name, or with -2, -3 ... where that is taken."""
    for n in itertools.count(1):
        folder = Path("runs") / (name if n == 1 else f"{name}-{n}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
    raise AssertionError


def writable_folder(out: Path) -> Path:
    """A folder, made if it is not there, once it is sure that files can be written into it."""
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"--out {out} is a file, not a folder")
    try:  # before an hour is spent on what could not be saved
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / ".writable", b"")
        (out / ".writable").unlink()
    except OSError as error:
        raise OSError(f"--out {out}: cannot write there: {error.strerror}") from error
    return out


def save_picture(folder: Path, picture: Any) -> Path:
    """Save a picture of `figures` under its title, and return the path."""
    path = folder / f"{picture.title.lower().replace(' ', '_')}.png"
    write_atomically(path, picture.png)
    return path


def run(main: Callable[[], None]) -> None:
    """Run a script's main function; an error that its user can mend is one line, not a traceback."""
    try:
        main()
    except KeyboardInterrupt:
        print(f"{script()}: interrupted", file=sys.stderr)
        sys.exit(130)
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        sys.exit(f"{script()}: {error}")

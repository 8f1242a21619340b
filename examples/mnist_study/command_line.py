"""Options, messages and exit codes of the study's commands.

A bad option or an unreadable file ends a command with one line that says what is wrong.
"""

import argparse
import math
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import field, fields
from pathlib import Path
from typing import Any

from tqdm import tqdm


def script() -> str:
    """The file name of the running script."""
    return Path(sys.argv[0]).name


def progress(total: int, unit: str, quiet: bool) -> Any:
    """A progress bar on stderr, invisible if `quiet` or without a terminal.

    In a terminal of less than 80 columns only the percentage, the postfix and the time left are shown.
    """
    wide = "{desc}{percentage:3.0f}%|{bar}| [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
    narrow = "{percentage:3.0f}%{postfix}, {remaining} left"
    columns = shutil.get_terminal_size().columns
    if sys.stderr.isatty() and "COLUMNS" not in os.environ:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or columns
    return tqdm(total=total, unit=unit, disable=quiet or None, bar_format=wide if columns >= 80 else narrow)


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
    """Extend a value parser to comma-separated lists."""

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
    """A parser whose --help starts with a script's docstring."""
    return argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)


def add(parser: Any, name: str, help: str, **keywords: Any) -> None:
    """Add an option; its default, if it has one, ends the help text."""
    parser.add_argument(name, help=help + (" (default %(default)s)" if "default" in keywords else ""), **keywords)


def setting(default: Any, read: Callable[[str], Any], help: str) -> Any:
    """A dataclass field with a value parser and a help text, from which `add_settings` makes an option."""
    return field(default=default, metadata={"read": read, "help": help})


def add_settings(parser: Any, settings: type, **candidates: str) -> None:
    """Add an option for each field of a settings dataclass.

    Args:
        candidates: defaults of the options that take several comma-separated values, by field.
    """
    for each in fields(settings):
        read, default = each.metadata["read"], each.default
        if each.name in candidates:
            read, default = several(read), candidates[each.name]
        metavar = ("N" if each.type is int else "X") + (",..." if each.name in candidates else "")
        add(parser, f"--{each.name.replace('_', '-')}", each.metadata["help"], type=read, default=default,
            metavar=metavar)  # fmt: skip


def as_options(settings: Any) -> list[str]:
    """Settings as command-line words, which the options of `add_settings` parse back."""
    return [word for each in fields(settings)
            for word in (f"--{each.name.replace('_', '-')}", f"{getattr(settings, each.name)}")]  # fmt: skip


def command(name: str, *options: str) -> str:
    """The command that runs another script of the running script's folder."""
    return shlex.join(["python", str(Path(sys.argv[0]).with_name(name)), *options])


def run(main: Callable[[], None]) -> None:
    """Run a script's main function; errors that its user can fix are one line, not a traceback."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # now there is something to tidy up
    try:
        main()
    except KeyboardInterrupt:
        print(f"{script()}: interrupted", file=sys.stderr)
        sys.exit(130)
    except (OSError, ValueError, MemoryError, OverflowError) as error:
        sys.exit(f"{script()}: {error}")

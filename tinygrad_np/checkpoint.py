"""Save arrays by name in one file, and load them: safetensors, which holds numbers and text and nothing that runs.

A file is complete or it is not there: it is written beside its final place, flushed to the disk and then renamed.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import save as to_bytes

from .tensor import Array


def save(path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays, as from `Module.state_dict()`, with their names and any text beside them.

    Raises:
        TypeError: a value is no ndarray of real numbers or booleans, or of longdouble; names it.
        OSError: the file cannot be written; one that was there before is still whole.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.safetensors", {"weight": np.ones(2, np.float32)}, {"made": "by hand"})
    ...     load(f"{folder}/model.safetensors")
    ({'weight': array([1., 1.], dtype=float32)}, {'made': 'by hand'})
    """
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"{name}: expected an ndarray of numbers of at most 64 bits, not {kind}")
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    write_atomically(path, to_bytes(contiguous, dict(metadata or {})))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays in a safetensors file, and the text beside them.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file, or it is a folder.
        ValueError: it is no safetensors file, or damaged; names the file.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{os.fspath(path)}: a folder, not a file")
    if not Path(path).exists():
        raise FileNotFoundError(f"{os.fspath(path)}: no such file")
    try:
        with safetensors.safe_open(os.fspath(path), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (safetensors.SafetensorError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)}: not a safetensors file, or a damaged one: {error}") from error


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a whole file or none: a reader, or a later run, never sees half of it.

    Raises:
        OSError: it cannot be written; one that was there before is still whole.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)  # a full disk does not say which file it had no room for
        raise

"""Save arrays by name in one file, and load them: safetensors, which holds numbers and text and nothing that runs.

A file is complete or it is not there: it is written beside its final place, flushed to the disk and then renamed. It
holds a SHA-256 of itself, so that what the disk has damaged is refused. `resume` saves whole trainings with it.
"""

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import save as to_bytes

from .tensor import Array

FORMAT = "1"  # of what is in the metadata beside the caller's, under these two names
VERSION, DIGEST = "tinygrad_np", "sha256"
NO_DIGEST = "0" * 64  # stands in the place of the digest while the digest is computed
CHUNK = 1 << 20


def save(path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Write arrays, as from `Module.state_dict()`, with their names and any text beside them.

    Raises:
        TypeError: a value is no ndarray of real numbers or booleans, or of longdouble; names it.
        ValueError: the text has one of the names "tinygrad_np" and "sha256", or an array has the name "__metadata__":
            these are the file's own.
        OSError: the file cannot be written; one that was there before is still whole.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.safetensors", {"weight": np.ones(2, np.float32)}, {"made": "by hand"})
    ...     load(f"{folder}/model.safetensors")
    ({'weight': array([1., 1.], dtype=float32)}, {'made': 'by hand'})
    """
    if "__metadata__" in arrays:
        raise ValueError(f"{os.fspath(path)}: an array may not have the name '__metadata__', which the format needs")
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"{name}: expected an ndarray of numbers of at most 64 bits, not {kind}")
    text = dict(metadata or {})
    if reserved := sorted(text.keys() & {VERSION, DIGEST}):
        raise ValueError(f"{os.fspath(path)}: the metadata may not have the name {reserved[0]!r}, which the file needs")
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    content = to_bytes(contiguous, text | {VERSION: FORMAT, DIGEST: NO_DIGEST})
    digest = hashlib.sha256(content).hexdigest()
    write_atomically(path, content.replace(_entry(NO_DIGEST), _entry(digest), 1))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays in a safetensors file, and the text beside them.

    Files of other programs have no digest that could be checked, but all else is.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file, or it is a folder.
        ValueError: it is no safetensors file, damaged, or of a newer format; names the file.
    """
    name = os.fspath(path)
    if Path(path).is_dir():
        raise IsADirectoryError(f"{name}: a folder, not a file")
    if not Path(path).exists():
        raise FileNotFoundError(f"{name}: no such file")
    if not Path(path).is_file():  # a pipe, say, which would never end
        raise ValueError(f"{name}: not a file")
    try:
        with safetensors.safe_open(name, framework="numpy") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, AttributeError, TypeError, ValueError) as error:  # Attribute: a float8
        raise ValueError(f"{name}: not a safetensors file, or a damaged one: {error}") from error
    version, digest = metadata.pop(VERSION, None), metadata.pop(DIGEST, "")
    if version is None:
        return arrays, metadata
    if version != FORMAT:
        raise ValueError(f"{name}: of format {version}, and this version of tinygrad_np reads format {FORMAT}")
    if _digest_of(path, digest) != digest:
        raise ValueError(f"{name}: damaged: its contents do not have the SHA-256 that it says, {digest}")
    return arrays, metadata


def _entry(digest: str) -> bytes:
    """As it stands in a file's header, where no other text can look like it: quotes in texts are escaped."""
    return f'"{DIGEST}":"{digest}"'.encode()


def _digest_of(path: str | os.PathLike[str], digest: str) -> str:
    """The SHA-256 of a file that was made with zeros in the place of this digest."""
    with open(path, "rb") as file:
        length = file.read(8)
        header = file.read(int.from_bytes(length, "little"))
        found = hashlib.sha256(length + header.replace(_entry(digest), _entry(NO_DIGEST), 1))
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a whole file or none: a reader, or a later run, never sees half of it, not even after a power failure.

    Raises:
        OSError: it cannot be written; one that was there before is still whole.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")  # threads have the same number
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if os.name == "posix":  # the name is on the disk when the folder is
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = os.fspath(path)  # a full disk does not say which file it had no room for
        raise

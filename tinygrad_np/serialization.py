"""Save named arrays to a file and load them, in the safetensors format, which holds numbers and text but no code.

    save("model.safetensors", model.state_dict())
    arrays, metadata = load("model.safetensors")

Writes are atomic: a file is written under a temporary name, flushed to disk and renamed. It contains a SHA-256 digest
of itself, so that damage is detected. `tinygrad_np.checkpoint` builds on this to save the complete state of a training.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

import numpy as np
import safetensors
from safetensors.numpy import save as to_bytes

from .tensor import Array, Tensor

__all__ = ["load", "remove_abandoned", "save", "write_atomically"]

FORMAT = "1"
VERSION, DIGEST = "tinygrad_np", "sha256"  # metadata keys of the format version and of the digest
NO_DIGEST = "0" * 64  # placeholder while the digest is computed
CHUNK = 1 << 20
NAME = 40  # characters of its name in that of a temporary file, at most 160 of the 255 bytes that a name may have
RANDOM = re.compile(r"\d+\.[0-9a-f]{8}")


def save(path: str | os.PathLike[str], arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """Save arrays by name, such as a `Module.state_dict()`, with optional text metadata.

    Raises:
        TypeError: a value is not an ndarray of booleans or of real numbers of at most 64 bits, or is masked; or a name
            or metadata are not text. The message names it.
        ValueError: a metadata key is "tinygrad_np" or "sha256", or an array is named "__metadata__"; the format
            reserves these names.
        OSError: the file cannot be written; an existing file is left intact.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/model.safetensors", {"weight": np.ones(2, np.float32)}, {"made": "by hand"})
    ...     load(f"{folder}/model.safetensors")
    ({'weight': array([1., 1.], dtype=float32)}, {'made': 'by hand'})
    """
    if isinstance(path, Mapping) or hasattr(path, "state_dict"):
        raise TypeError("save: the path comes first; write save(path, model.state_dict())")
    if not isinstance(metadata, Mapping | None):
        raise TypeError(f"{os.fspath(path)}: metadata must be a dict of text by text, not {type(metadata).__name__}")
    if not isinstance(arrays, Mapping):
        use = "; write model.state_dict()" if hasattr(arrays, "state_dict") else ""
        raise TypeError(f"{os.fspath(path)}: expected arrays by name, not {type(arrays).__name__}{use}")
    if "__metadata__" in arrays:
        raise ValueError(f"{os.fspath(path)}: an array cannot be named '__metadata__', which the format reserves")
    for name, array in arrays.items():
        if not isinstance(name, str):
            raise TypeError(f"{os.fspath(path)}: the name of an array must be text, not {name!r}")
        masked = isinstance(array, np.ma.MaskedArray)
        if not isinstance(array, np.ndarray) or masked or array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            kind = array.dtype if isinstance(array, np.ndarray) and not masked else type(array).__name__
            use = "; write tensor.data" if isinstance(array, Tensor) else ""
            raise TypeError(f"{name}: expected an ndarray of numbers of at most 64 bits, not {kind}{use}")
    text = dict(metadata or {})
    if other := [(key, value) for key, value in text.items() if not (isinstance(key, str) and isinstance(value, str))]:
        raise TypeError(f"{os.fspath(path)}: metadata must be text by text, not {other[0][0]!r}: {other[0][1]!r}")
    if reserved := sorted(text.keys() & {VERSION, DIGEST}):
        raise ValueError(f"{os.fspath(path)}: metadata cannot have the key {reserved[0]!r}, which the format reserves")
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    content = to_bytes(contiguous, text | {VERSION: FORMAT, DIGEST: NO_DIGEST})
    digest = hashlib.sha256(content).hexdigest()
    write_atomically(path, content.replace(_entry(NO_DIGEST), _entry(digest), 1))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the text metadata of a safetensors file.

    Files written by other programs have no digest to check; everything else is checked.

    Raises:
        FileNotFoundError, IsADirectoryError: the file does not exist, or is a folder.
        ValueError: the file is not in safetensors format, is damaged, or has a newer format version. The message names
            the file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/weights.safetensors", {"bias": np.zeros(3, np.float32)}, {"epoch": "5"})
    ...     load(f"{folder}/weights.safetensors")
    ({'bias': array([0., 0., 0.], dtype=float32)}, {'epoch': '5'})
    """
    name = os.fspath(path)
    if Path(path).is_dir():
        raise IsADirectoryError(f"{name}: is a folder, not a file")
    if not Path(path).exists():
        raise FileNotFoundError(f"{name}: no such file")
    if not Path(path).is_file():  # a pipe, for example, would never end
        raise ValueError(f"{name}: not a file")
    while True:
        with open(path, "rb") as file:  # while it is open, its inode is not given to a file that replaces it
            error = None
            try:
                loaded = _load(name, file)
            except ValueError as refused:
                error = refused
            if not os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                continue  # it was replaced meanwhile, and perhaps read in part from either file
            if error is not None:
                raise error
            return loaded


def _load(name: str, opened: BinaryIO) -> tuple[dict[str, Array], dict[str, str]]:
    try:
        with safetensors.safe_open(name, framework="numpy") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, AttributeError, TypeError, ValueError) as error:  # AttributeError: float8
        raise ValueError(f"{name}: not a safetensors file, or a damaged one: {error}") from error
    version, digest = metadata.pop(VERSION, None), metadata.pop(DIGEST, "")
    if version is None:
        return arrays, metadata
    if version != FORMAT:
        raise ValueError(f"{name}: has format {version}, but this version of tinygrad_np reads format {FORMAT}")
    if _digest_of(opened, digest) != digest:
        raise ValueError(f"{name}: damaged: its contents do not match its SHA-256, {digest}")
    return arrays, metadata


def _entry(digest: str) -> bytes:
    """The digest as it appears in a file's header. No other text can look like it, because JSON escapes quotes."""
    return f'"{DIGEST}":"{digest}"'.encode()


def _digest_of(file: BinaryIO, digest: str) -> str:
    """The SHA-256 of a file, computed with zeros in place of its digest."""
    length = file.read(8)
    header = file.read(int.from_bytes(length, "little"))
    found = hashlib.sha256(length + header.replace(_entry(digest), _entry(NO_DIGEST), 1))
    while chunk := file.read(CHUNK):
        found.update(chunk)
    return found.hexdigest()


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file atomically: no reader ever sees a partial file, not even after a power failure.

    An existing file keeps its permissions, and a symbolic link the file that it leads to.

    Raises:
        OSError: the file cannot be written, or the path is that of a folder, a pipe or a device; what exists is left
            intact.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(f"{folder}/results.json", b"{}")
    ...     os.listdir(folder)
    ['results.json']
    """
    place = Path(os.path.realpath(path))  # a link stays one
    mode = place.stat().st_mode if place.exists() else None
    if mode is not None and not stat.S_ISREG(mode):  # as root, a rename would replace even /dev/null
        reason = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(reason, "cannot replace what is not a file", os.fspath(path))
    beginning = f".{place.name[:NAME]}."
    temporary = place.with_name(f"{beginning}{os.getpid()}.{secrets.token_hex(4)}")  # random: threads have one pid
    try:
        with _locked(temporary) as file:
            if mode is not None:  # what is private stays private
                temporary.chmod(stat.S_IMODE(mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:  # Windows renames no open file
                file.close()
            os.replace(temporary, place)
        if os.name == "posix":  # the rename is durable only once the folder is flushed
            folder = os.open(place.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:  # it names the temporary file, or none
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
    with contextlib.suppress(OSError):
        found = [name for name in os.listdir(place.parent) if name.startswith(beginning)]
        remove_abandoned(place.with_name(name) for name in found if RANDOM.fullmatch(name.removeprefix(beginning)))


def remove_abandoned(temporary: Iterable[Path]) -> None:
    """Remove temporary files of `write_atomically` that a killed process has left, but not those being written.

    `write_atomically` does so itself, for the files of the same name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, ".model.safetensors.123.8d14c2b0").write_bytes(b"half")
    ...     remove_abandoned(Path(folder).glob(".model.*"))
    ...     os.listdir(folder)
    []
    """
    if fcntl is None:
        return
    for path in temporary:
        with contextlib.suppress(OSError), open(path, "rb") as file:  # it is being written, or was renamed meanwhile
            _lock(file, wait=False)
            path.unlink()


def _locked(path: Path) -> BinaryIO:
    """A new file that `remove_abandoned` leaves alone."""
    while True:
        file = open(path, "wb")  # noqa: SIM115
        with contextlib.suppress(OSError):  # of file systems without locks, where nothing abandoned is removed
            _lock(file, wait=True)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # it was removed before it was locked


def _lock(file: BinaryIO, wait: bool) -> None:
    """Lock a file until it is closed or its process has ended, or raise OSError."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))

"""Read datasets in the IDX format, such as MNIST, and iterate over arrays in shuffled batches."""

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

import numpy as np

from . import _html
from . import _validation as check
from ._messages import as_call, module_getattr, shown, with_hints
from ._neighbours import as_numbers
from ._settings import checksum
from .tensor import Array, Tensor

__all__ = ["DataLoader", "Dataset", "load_mnist", "read_idx"]

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}
CHUNK = 1 << 20  # bytes per read, so that memory grows with the data in a file and not with the sizes in its header

IN_AN_EPOCH = "batch_size and drop_last can be assigned between epochs, not in one"


def read_idx(path: str | os.PathLike[str]) -> Array:
    """The array in an IDX file, raw or compressed by gzip; the first bytes decide, not the file's name.

    An IDX file consists of two zero bytes, a byte for the type of the elements (unsigned or signed byte, 16- or 32-bit
    integer, 32- or 64-bit float), a byte for the number of dimensions, the sizes as big-endian 32-bit integers, and the
    elements, big-endian, in C order. Source: Y. LeCun, "The MNIST database of handwritten digits".

    Returns:
        An array of that shape and type, in native byte order.

    Raises:
        FileNotFoundError, PermissionError: as from `open`.
        ValueError: the file is not in IDX format, its compression is damaged, or it has more or fewer bytes than its
            header says. The message names the file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "bytes").write_bytes(bytes([0, 0, 0x08, 1, 0, 0, 0, 3, 7, 8, 9]))
    ...     read_idx(Path(folder, "bytes"))
    array([7, 8, 9], dtype=uint8)
    """
    with open(path, "rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            with gzip.open(raw) if compressed else raw as file:
                return _parse_idx(file)  # type: ignore[arg-type]
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{os.fspath(path)}: damaged compression: {error}") from error
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from error


def _parse_idx(file: BinaryIO) -> Array:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES:
        kinds = ", ".join(f"{kind:02x}" for kind in IDX_TYPES)
        raise ValueError(f"not an IDX file: it starts with {magic.hex(' ')!r}, expected 00 00 and one of {kinds}")
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise ValueError(f"truncated: {len(header)} bytes of sizes, expected {4 * magic[3]} for {magic[3]} dimensions")
    shape = struct.unpack(f">{magic[3]}I", header)
    dtype = np.dtype(IDX_TYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    body = bytearray()
    while len(body) < expected and (chunk := file.read(min(CHUNK, expected - len(body)))):
        body += chunk
    if len(body) < expected:
        raise ValueError(f"truncated: {len(body)} bytes of elements, expected {expected} for shape {shape} of {dtype}")
    if file.read(1):
        raise ValueError(f"oversized: more than the {expected} bytes of elements of shape {shape} of {dtype}")
    return np.frombuffer(body, dtype.newbyteorder(">")).astype(dtype, copy=False).reshape(shape)


class Dataset(NamedTuple):
    """Images, shape (n, height, width), uint8, and labels, shape (n,), integers.

    >>> dataset = Dataset(images=np.zeros((2, 28, 28), np.uint8), labels=np.array([7, 2]))
    >>> images, labels = dataset
    >>> dataset.images.shape
    (2, 28, 28)
    """

    images: Array
    labels: Array

    def __repr__(self) -> str:
        return as_call(self, **self._asdict())

    def _repr_html_(self) -> str:
        return _html.of_arrays(f"{type(self).__name__} of {len(self.images):,} images", {}, self._asdict())


def load_mnist(folder: str | os.PathLike[str]) -> tuple[Dataset, Dataset]:
    """The training set and the test set of MNIST, or of any dataset in files with the same names.

    The files are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    `t10k-labels-idx1-ubyte`, raw or compressed with the suffix `.gz`. Images may have any size, and labels any number
    of classes.

    Raises:
        FileNotFoundError: a file is missing. The message names it.
        ValueError: a file is damaged or empty; images are not 3-dimensional or labels not 1-dimensional arrays of
            bytes; there are more images than labels or the reverse; or the test set has another image size, or larger
            labels, than the training set. The message names the file or the folder.

    >>> train, test = load_mnist("examples/data/mnist")
    >>> train.images.shape, test.labels.shape
    ((60000, 28, 28), (10000,))
    """
    train, test = (_load_pair(Path(folder), part) for part in ("train", "t10k"))
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(f"{folder}: training images are {train.images.shape[1:]}, test images {test.images.shape[1:]}")
    if test.labels.max() > train.labels.max():
        raise ValueError(
            f"{folder}: label {test.labels.max()} in the test set is out of range,"
            f" expected 0 to {train.labels.max()} as in the training set"
        )
    return train, test


def _load_pair(folder: Path, part: str) -> Dataset:
    arrays = []
    for kind, rank in (("images", 3), ("labels", 1)):
        path = folder / f"{part}-{kind}-idx{rank}-ubyte"
        if not path.exists():
            path = path.with_name(path.name + ".gz")
        if not path.exists():
            raise FileNotFoundError(f"{folder}: there is neither {path.stem} nor {path.name}")
        array = read_idx(path)
        if array.ndim != rank or array.dtype != np.uint8 or array.size == 0:
            raise ValueError(
                f"{path}: expected {kind} as a nonempty array of unsigned bytes in {rank}"
                f" dimension{'s' * (rank > 1)}, not shape {array.shape} of {array.dtype}"
            )
        arrays.append(array)
    images, labels = arrays
    if len(images) != len(labels):
        raise ValueError(f"{path}: expected a label for each of {len(images)} images, not {len(labels)} labels")
    return Dataset(images, labels)


def _of_equal_length(owner: str, name: str, value: Any) -> tuple[Array, ...]:
    if not isinstance(value, tuple | list):
        raise TypeError(f"{owner}: {name} must be a tuple of arrays, not {shown(value)}; write ({name},)")
    value = [array if (numbers := as_numbers(array)) is None else numbers for array in value]
    for i, array in enumerate(value):
        if not isinstance(array, np.ndarray):
            instead = "its .data" if type(array) is Tensor else "np.array(...)"
            raise TypeError(f"{owner}: argument {i} must be an ndarray, not {type(array).__name__}; write {instead}")
        if not array.ndim:
            raise ValueError(f"{owner}: argument {i} must have at least one axis, not shape ()")
    if not value:
        raise ValueError(f"{owner}: give it the arrays to iterate over, of equal length, such as images and labels")
    if len({len(array) for array in value}) != 1:
        raise ValueError(f"{owner}: expected arrays of equal length, not {[len(array) for array in value]}")
    return tuple(value)


class DataLoader(check.Checked):
    """Iterate over arrays of equal length in batches; an iteration is one epoch and yields a tuple of arrays per batch.

    Args:
        *arrays: arrays whose elements at the same index belong together, such as images and labels.
        batch_size: the number of elements per batch, at least 1.
        rng: the generator that shuffles each epoch, or None to keep the order.
        drop_last: whether to drop a last batch that is shorter than the others.

    Raises:
        ValueError: there are no arrays, their lengths differ, or the batch size is invalid.
        TypeError: an argument is not an ndarray, or rng is not a np.random.Generator.

    >>> for (batch,) in DataLoader(np.arange(5), batch_size=2, rng=np.random.default_rng(0)):
    ...     print(batch)
    [2 4]
    [3 0]
    [1]
    """

    _saved: ClassVar[frozenset[str]] = frozenset(  # attributes that the state tells of
        {"arrays", "batch_size", "drop_last", "_order", "_position", "_sizes", "_continue", "_iteration", "_summed"}
    )

    _checks: ClassVar[check.Checks] = {
        "arrays": _of_equal_length,
        "batch_size": check.positive_integer,
        "rng": check.optional(check.generator),
        "drop_last": check.boolean,
    }

    @with_hints()
    def __init__(
        self, *arrays: Array, batch_size: int, rng: np.random.Generator | None = None, drop_last: bool = False
    ) -> None:
        self.arrays = arrays
        self.batch_size, self.rng, self.drop_last = batch_size, rng, drop_last
        self._order, self._position = np.arange(len(arrays[0])), 0  # 0: between epochs
        self._sizes = (self.batch_size, self.drop_last)  # in which the position counts
        self._continue, self._iteration = False, 0
        self._summed: tuple[tuple[Array, ...], int] | None = None

    def __repr__(self) -> str:
        return as_call(self, *self.arrays, **self._options())

    def _repr_html_(self) -> str:
        arrays = {str(i): array for i, array in enumerate(self.arrays)}
        return _html.of_arrays(f"{type(self).__name__} of {len(self):,} batches", self._options(), arrays)

    def _options(self) -> dict[str, Any]:
        return {"batch_size": self.batch_size, "rng": self.rng, "drop_last": self.drop_last}

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        n = len(self.arrays[0])
        return n // self.batch_size if self.drop_last else math.ceil(n / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        n = len(self.arrays[0])
        sizes = (self.batch_size, self.drop_last)
        if self._continue and sizes != self._sizes:
            raise RuntimeError(f"DataLoader: {IN_AN_EPOCH}")
        if self._continue:
            order, start = self._order, self._position
        else:
            order, start = np.arange(n) if self.rng is None else self.rng.permutation(n), 0
        self._continue = False
        self._iteration += 1
        iteration = self._iteration
        count = len(self)
        try:
            for i in range(start, count):
                if (self.batch_size, self.drop_last) != sizes:
                    raise RuntimeError(f"DataLoader: {IN_AN_EPOCH}")
                index = order[i * self.batch_size : (i + 1) * self.batch_size]
                if iteration == self._iteration:  # no newer iteration has begun, and no state was loaded
                    self._order, self._position, self._sizes = order, i + 1, sizes
                yield tuple(array[index] for array in self.arrays)
        finally:  # also where zip() with a loader that has ended asks for no batch after the last one
            if iteration == self._iteration and self._position == count:
                self._position = 0

    def state_dict(self) -> dict[str, Array]:
        """The state of the latest iteration: the order of its epoch, and the number of batches it has yielded.

        The position is 0 once an epoch is complete. An epoch that was left early counts as unfinished, unless
        batch_size or drop_last has been assigned since: then the next one begins anew. The state of the
        generator is not included. `checksum` is that of the data when a state was first asked for: of all of it up to
        256 MB, and of as much of more; objects count by their class and attributes.

        >>> loader = DataLoader(np.arange(5), batch_size=2)
        >>> _ = next(iter(loader))
        >>> for name, array in loader.state_dict().items():
        ...     print(name, array)
        order [0 1 2 3 4]
        position 1
        batch_size 2
        drop_last 0
        shuffled 0
        checksum 3968374344
        """
        same = self._sizes == (self.batch_size, self.drop_last)
        numbers = {"position": self._position if same else 0, **self._settings()}
        return {"order": self._order.astype(np.int64)} | {name: np.array(n, np.int64) for name, n in numbers.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Make the next iteration yield the remaining batches of the epoch in which the state was taken.

        Raises:
            ValueError: the state is from a loader of other data, or with another batch size, drop_last, or shuffled
                where this one is not; or it is invalid. Nothing is changed.
        """
        new = self._checked_state(state, "DataLoader")
        self._order, self._position = new["order"], int(new["position"])
        self._sizes = (self.batch_size, self.drop_last)
        self._continue = self._position > 0
        self._iteration += 1

    def _checked_state(self, state: Mapping[str, Array], owner: str) -> dict[str, Array]:
        """Copies of the arrays, which can be loaded without an error."""
        own = self.state_dict()
        new = check.state(owner, "state", state, own)
        check.settings(owner, new, {name: own[name] for name in self._settings() if name != "checksum"})
        if new["checksum"] != own["checksum"]:
            checksums = f"with checksum {new['checksum']}, expected {own['checksum']}"
            raise ValueError(f"{owner}: the state is of a loader of other data, {checksums}")
        order, position = new["order"], new["position"]
        if not 0 <= position <= len(self) or not np.array_equal(np.sort(order), np.arange(len(order))):
            raise ValueError(
                f"{owner}: the state must hold a permutation of {len(order)} elements and a position from 0 to"
                f" {len(self)}, and its position is {position}"
            )
        if self.rng is None and not np.array_equal(order, np.arange(len(order))):
            raise ValueError(f"{owner}: the state has another order, but this loader does not shuffle")
        return new

    def _settings(self) -> dict[str, int]:
        """What must agree between two loaders for one to load the state of the other."""
        return {
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "shuffled": self.rng is not None,
            "checksum": self._checksum(),
        }

    def _checksum(self) -> int:
        """That of the arrays, computed once for each tuple of them."""
        if self._summed is None or self._summed[0] is not self.arrays:
            found = 0
            for array in self.arrays:
                found = checksum(array, found)
            self._summed = self.arrays, found
        return self._summed[1]


__getattr__ = module_getattr(__name__)

"""Read IDX files (the format of MNIST) and serve arrays in batches."""

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from . import _validation as check
from .tensor import Array

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}
CHUNK = 1 << 20  # bytes read at a time, so that memory follows what a file holds and not what its header promises


def read_idx(path: str | os.PathLike[str]) -> Array:
    """The array in an IDX file, raw or gzip-compressed (told apart by the first bytes, not by the name).

    An IDX file is two zero bytes, a byte for the type of the elements (unsigned or signed byte, 16- or 32-bit
    integer, 32- or 64-bit float), one for the number of dimensions, their sizes as big-endian 32-bit integers, and
    the elements, big-endian, in C order. Source: Y. LeCun, "The MNIST database of handwritten digits".

    Returns:
        An array of that shape and type, in the machine's byte order.

    Raises:
        FileNotFoundError, PermissionError: as from `open`.
        ValueError: no IDX file, damaged compression, or more or fewer bytes than the header says; names the file.

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
    """Images, shape (n, height, width), uint8, and their labels, shape (n,), integers."""

    images: Array
    labels: Array


def load_mnist(folder: str | os.PathLike[str]) -> tuple[Dataset, Dataset]:
    """The training and the test set from the four files of MNIST, or of any dataset that comes in files so named.

    The files are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
    `t10k-labels-idx1-ubyte`, each of them raw or with `.gz`; images may have any size, labels any number of classes.

    Raises:
        FileNotFoundError: a file is missing; names it.
        ValueError: a damaged file; images that are not 3-dimensional bytes, labels that are not 1-dimensional bytes,
            none at all, more of the one than of the other, images of another size or labels of other classes in the
            test set than in the training set; names the file.

    >>> train, test = load_mnist("examples/data/mnist")
    >>> train.images.shape, test.labels.shape
    ((60000, 28, 28), (10000,))
    """
    train, test = (_load_pair(Path(folder), part) for part in ("train", "t10k"))
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(f"{folder}: training images are {train.images.shape[1:]}, test images {test.images.shape[1:]}")
    if test.labels.max() > train.labels.max():
        raise ValueError(
            f"{folder}: label {test.labels.max()} in the test set is out of range:"
            f" those of the training set go from 0 to {train.labels.max()}"
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
                f"{path}: expected {kind} as unsigned bytes in {rank} dimension{'s' * (rank > 1)},"
                f" at least one of them; found shape {array.shape} of {array.dtype}"
            )
        arrays.append(array)
    images, labels = arrays
    if len(images) != len(labels):
        raise ValueError(f"{path}: {len(labels)} labels for the {len(images)} images beside it")
    return Dataset(images, labels)


class DataLoader:
    """Arrays of equal length in batches: each iteration is one epoch, a tuple of arrays per batch.

    Args:
        *arrays: what belongs together at each index, as images and labels.
        batch_size: at least 1.
        rng: shuffles every epoch anew; None keeps the order.
        drop_last: leave out the last batch where it is shorter than the others.

    Raises:
        ValueError: no arrays, arrays of different lengths, an impossible batch size.
        TypeError: something that is no ndarray, or an rng of another type than np.random.Generator.

    >>> for (batch,) in DataLoader(np.arange(5), batch_size=2, rng=np.random.default_rng(0)):
    ...     print(batch)
    [2 4]
    [3 0]
    [1]
    """

    def __init__(
        self, *arrays: Array, batch_size: int, rng: np.random.Generator | None = None, drop_last: bool = False
    ) -> None:
        for i, array in enumerate(arrays):
            if not isinstance(array, np.ndarray):
                raise TypeError(f"DataLoader: argument {i} must be an ndarray, not {type(array).__name__}")
        if len({len(array) for array in arrays}) != 1:
            raise ValueError(f"DataLoader: needs arrays of equal length, not of {[len(array) for array in arrays]}")
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ValueError(f"DataLoader: batch_size must be a positive integer, not {batch_size!r}")
        if not isinstance(rng, np.random.Generator | None):
            raise TypeError(f"DataLoader: rng must be a np.random.Generator or None, not {type(rng).__name__}")
        self.arrays = arrays
        self.batch_size = int(batch_size)
        self.rng = rng
        self.drop_last = drop_last
        self._order, self._position = np.arange(len(arrays[0])), 0  # 0: between epochs
        self._continue, self._iteration = False, 0

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        n = len(self.arrays[0])
        return n // self.batch_size if self.drop_last else math.ceil(n / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        n = len(self.arrays[0])
        if self._continue:
            order, start = self._order, self._position
        else:
            order, start = np.arange(n) if self.rng is None else self.rng.permutation(n), 0
        self._continue = False
        self._iteration += 1
        iteration = self._iteration
        for i in range(start, len(self)):
            index = order[i * self.batch_size : (i + 1) * self.batch_size]
            if iteration == self._iteration:  # no newer one has begun, and no state was loaded
                self._order, self._position = order, i + 1
            yield tuple(array[index] for array in self.arrays)
        if iteration == self._iteration:
            self._position = 0

    def state_dict(self) -> dict[str, Array]:
        """Where the newest iteration is: the order of its epoch, and how many batches it has given; 0 after the last.

        An epoch that was broken off counts as one that is under way. The generator is not part of it.

        >>> loader = DataLoader(np.arange(5), batch_size=2)
        >>> _ = next(iter(loader))
        >>> loader.state_dict()
        {'order': array([0, 1, 2, 3, 4]), 'position': array(1), 'batch_size': array(2)}
        """
        numbers = {"position": self._position, "batch_size": self.batch_size}
        return {"order": self._order.astype(np.int64)} | {name: np.array(n, np.int64) for name, n in numbers.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Let the next iteration give the rest of the epoch that `state_dict` was taken in.

        Raises:
            ValueError: it is of a loader of another length or batch size; nothing is changed.
        """
        new = check.state("DataLoader", "state", state, self.state_dict())
        if new["batch_size"] != self.batch_size:
            raise ValueError(f"DataLoader: the state is of batches of {new['batch_size']}, not of {self.batch_size}")
        order, position = new["order"], int(new["position"])
        if not 0 <= position <= len(self) or not np.array_equal(np.sort(order), np.arange(len(order))):
            raise ValueError(f"DataLoader: no order of {len(order)} elements, or no position in it: {position}")
        self._order, self._position, self._continue = order.astype(np.int64), position, position > 0
        self._iteration += 1

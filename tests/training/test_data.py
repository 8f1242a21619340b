"""IDX files, MNIST and batches."""

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

from tinygrad_np.data import IDX_TYPES, DataLoader, load_mnist, read_idx

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

MNIST = Path(__file__).parents[2] / "examples/data/mnist"


def idx(array: np.ndarray) -> bytes:
    """The bytes of an IDX file, as its specification says."""
    code = {np.dtype(name): code for code, name in IDX_TYPES.items()}[array.dtype]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(
    st.sampled_from(sorted(IDX_TYPES.values())).flatmap(
        lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    ),
    st.booleans(),
)
def test_every_type_and_rank_comes_back(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, zipped: bool
) -> None:
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(gzip.compress(idx(array), 1) if zipped else idx(array))
    found = read_idx(path)
    assert (found.shape, found.dtype, found.dtype.isnative) == (array.shape, array.dtype, True)
    np.testing.assert_array_equal(found, array)
    assert found.flags.writeable


WHOLE = idx(np.arange(6, dtype=np.int16).reshape(2, 3).astype("i2"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file: it starts with ''"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file: it starts with '89 50 4e 47'"),
        (b"\0\0\x07\x01\0\0\0\0", "not an IDX file: it starts with '00 00 07 01'"),
        (WHOLE[:6], "truncated: 2 bytes of sizes, expected 8 for 2 dimensions"),
        (WHOLE[:-1], r"truncated: 11 bytes of elements, expected 12 for shape \(2, 3\) of int16"),
        (WHOLE + b"\0", r"oversized: more than the 12 bytes of elements of shape \(2, 3\)"),
        (gzip.compress(WHOLE)[:-9], "damaged compression: Compressed file ended"),
        (gzip.compress(WHOLE + b"\0"), "oversized"),
        (gzip.compress(WHOLE)[:12] + b"\xff\xff\xff\xff" + gzip.compress(WHOLE)[16:], "damaged compression: Error -3"),
        (gzip.compress(WHOLE)[:-8] + bytes(8), "damaged compression: CRC check failed"),
        (b"\x1f\x8bnot gzip", "damaged compression"),
        (struct.pack(">BBBB3I", 0, 0, 0x0E, 3, *[2**32 - 1] * 3), "truncated: 0 bytes of elements"),
        (gzip.compress(struct.pack(">BBBB3I", 0, 0, 0x0E, 3, *[2**32 - 1] * 3)), "truncated: 0 bytes of elements"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{path}: .*({message})"):
        read_idx(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_idx(tmp_path / "nowhere")


def test_mnist_is_whole_and_unchanged() -> None:
    for line in (MNIST / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split()
        assert hashlib.sha256(gzip.decompress((MNIST / f"{name}.gz").read_bytes())).hexdigest() == digest
    train, test = load_mnist(MNIST)
    assert (train.images.shape, train.images.dtype, test.images.shape) == ((60000, 28, 28), np.uint8, (10000, 28, 28))
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def write_dataset(folder: Path, **changed: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    files = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (6, 5, 4), np.uint8),
        "train-labels-idx1-ubyte": np.arange(6, dtype=np.uint8) % 3,
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (2, 5, 4), np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(2, dtype=np.uint8),
    }
    for i, (name, array) in enumerate(files.items()):
        content = idx(changed.get(name.split("-idx")[0].replace("-", "_"), array))
        (folder / (f"{name}.gz" if i % 2 else name)).write_bytes(gzip.compress(content) if i % 2 else content)


def test_any_four_files_of_the_naming_are_read(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    train, test = load_mnist(tmp_path)
    assert (train.images.shape, test.labels.tolist()) == ((6, 5, 4), [0, 1])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_labels": np.zeros(5, np.uint8)}, "train-labels.*a label for each of 6 images, not 5 labels"),
        ({"t10k_labels": np.array([0, 3], np.uint8)}, "label 3 in the test set is out of range.*0 to 2"),
        ({"t10k_images": np.zeros((2, 3, 3), np.uint8)}, r"training images are \(5, 4\), test images \(3, 3\)"),
        ({"train_images": np.zeros((6, 20), np.uint8)}, r"train-images.*3 dimensions, not shape \(6, 20\)"),
        ({"train_labels": np.zeros(6, np.int32)}, "train-labels.*unsigned bytes.*int32"),
        ({"train_images": np.zeros((0, 5, 4), np.uint8)}, "a nonempty array"),
    ],
)
def test_datasets_that_do_not_fit_together_are_refused(
    tmp_path: Path, changed: dict[str, np.ndarray], message: str
) -> None:
    write_dataset(tmp_path, **changed)
    with pytest.raises(ValueError, match=message):
        load_mnist(tmp_path)


def test_a_missing_part_of_a_dataset_is_named(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte.gz"):
        load_mnist(tmp_path)


@given(st.integers(1, 20), st.integers(1, 25), st.booleans(), st.one_of(st.none(), st.integers(0, 99)))
def test_an_epoch_serves_everything_once(n: int, batch_size: int, drop_last: bool, seed: int | None) -> None:
    rng = None if seed is None else np.random.default_rng(seed)
    loader = DataLoader(np.arange(n), np.arange(n) * 10, batch_size=batch_size, rng=rng, drop_last=drop_last)
    batches = list(loader)
    assert len(batches) == len(loader)
    sizes = [len(a) for a, _ in batches]
    full, rest = divmod(n, batch_size)
    assert sizes == [batch_size] * full + ([rest] if rest and not drop_last else [])
    served = [i for a, _ in batches for i in a]
    assert len(set(served)) == len(served)
    assert all((b == a * 10).all() for a, b in batches)
    if seed is None:
        assert served == list(range(len(served)))


def test_epochs_are_shuffled_anew_and_repeat_with_the_seed() -> None:
    def epochs() -> list[list[int]]:
        loader = DataLoader(np.arange(50), batch_size=50, rng=np.random.default_rng(3))
        return [next(iter(loader))[0].tolist() for _ in range(2)]

    assert epochs() == epochs()
    first, second = epochs()
    assert len({tuple(first), tuple(second), tuple(range(50))}) == 3


def test_impossible_loaders_are_refused() -> None:
    for arrays, batch_size, message in (
        ([np.ones(3), np.ones(2)], 1, r"equal length, not \[3, 2\]"),
        ([], 1, "equal length"),
        ([np.ones(3)], 0, "batch_size must be a positive integer, not 0"),
        ([np.ones(3)], 1.5, "batch_size must be a positive integer, not 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            DataLoader(*arrays, batch_size=batch_size)
    with pytest.raises(
        TypeError, match=r"must be a np.random.Generator, not int; write rng=np.random.default_rng\(3\)"
    ):
        DataLoader(np.ones(3), batch_size=1, rng=3)
    with pytest.raises(TypeError, match="argument 1 must be an ndarray, not list"):
        DataLoader(np.ones(3), [1, 2, 3], batch_size=1)


@pytest.mark.parametrize(("name", "value"), [("batch_size", 4), ("drop_last", True)])
def test_settings_of_a_loader_are_assigned_between_epochs(name: str, value: Any) -> None:
    loader = DataLoader(np.arange(11), batch_size=2)
    batches = iter(loader)
    next(batches)
    setattr(loader, name, value)
    with pytest.raises(RuntimeError, match="can be assigned between epochs, not in one"):
        next(batches)
    assert sum(len(batch) for (batch,) in loader) == (11 if name == "batch_size" else 10)


def test_an_epoch_whose_last_batch_was_the_last_of_zip_is_complete() -> None:
    first, second = (DataLoader(np.arange(6), batch_size=2, rng=np.random.default_rng(seed)) for seed in (0, 1))
    for _ in zip(first, second, strict=False):
        pass
    assert first.state_dict()["position"] == second.state_dict()["position"] == 0
    for _ in zip(second, range(1), strict=False):
        pass
    batches = iter(first)
    _ = [next(batches) for _ in range(3)]
    assert first.state_dict()["position"] == 3  # what comes after the last batch may not be done
    del batches
    assert first.state_dict()["position"] == 0
    assert second.state_dict()["position"] == 2


def test_arrays_that_are_assigned_are_checked_and_change_the_checksum() -> None:
    loader = DataLoader(np.arange(6), batch_size=2)
    before = loader.state_dict()["checksum"]
    for wrong in (np.arange(6), [1, 2], (np.arange(6), np.arange(5)), (), ([1, 2],)):
        with pytest.raises((TypeError, ValueError), match="DataLoader: "):
            loader.arrays = wrong
    loader.arrays = (np.arange(6) + 1,)
    assert loader.state_dict()["checksum"] != before
    loader.arrays = [np.arange(6)]
    assert loader.state_dict()["checksum"] == before


@pytest.mark.parametrize(("name", "value"), [("batch_size", 4), ("drop_last", True)])
def test_an_epoch_that_was_left_in_other_sizes_is_not_continued(name: str, value: Any) -> None:
    loader = DataLoader(np.arange(11), batch_size=2, rng=np.random.default_rng(0))
    _ = [next(batches) for batches in [iter(loader)] for _ in range(4)]
    unfinished = loader.state_dict()
    setattr(loader, name, value)
    state = loader.state_dict()
    assert unfinished["position"] == 4
    assert state["position"] == 0
    again = DataLoader(np.arange(11), rng=np.random.default_rng(0), **{"batch_size": 2, name: value})
    again.rng.bit_generator.state = loader.rng.bit_generator.state
    again.load_state_dict(state)
    assert [batch.tolist() for (batch,) in again] == [batch.tolist() for (batch,) in loader]
    other = DataLoader(np.arange(11), batch_size=2, rng=np.random.default_rng(0))
    other.load_state_dict(unfinished)
    setattr(other, name, value)
    with pytest.raises(RuntimeError, match="can be assigned between epochs, not in one"):
        next(iter(other))
    setattr(other, name, getattr(DataLoader(np.arange(1), batch_size=2), name))
    assert other.state_dict()["position"] == 4
    assert sum(len(batch) for (batch,) in other) == 3

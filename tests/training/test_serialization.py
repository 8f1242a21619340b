"""Saving and loading: exact, whole or not at all."""

import os
import resource
from pathlib import Path

from tinygrad_np import serialization

import numpy as np
import pytest


def test_what_is_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    arrays = {
        "float32": np.array([1.5, np.nan, -0.0, np.inf], np.float32),
        "float64": np.arange(6.0).reshape(2, 3)[:, ::-1],
        "transposed": np.arange(6.0).reshape(2, 3).T,
        "scalar": np.array(3, np.int64),
        "empty": np.ones((0, 3), np.float16),
        "boolean": np.array([True, False]),
    }
    serialization.save(tmp_path / "file", arrays, {"note": "für später"})
    found, metadata = serialization.load(tmp_path / "file")
    assert metadata == {"note": "für später"}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    serialization.save(path, {"a": np.zeros(3)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # no room for more in any file
    try:
        with pytest.raises(OSError, match=f"File too large: '{path}'"):
            serialization.save(path, {"a": np.ones(1000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert serialization.load(path)[0]["a"].tolist() == [0, 0, 0]
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("value", [[1.0], np.ones(1, np.longdouble), np.ones(1, complex), np.array(["text"]), None])
def test_what_cannot_be_saved_is_named(tmp_path: Path, value: object) -> None:
    with pytest.raises(TypeError, match="weight: expected an ndarray of numbers"):
        serialization.save(tmp_path / "file", {"weight": value})
    assert os.listdir(tmp_path) == []


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(FileNotFoundError, match=f"{path}: no such file"):
        serialization.load(path)
    with pytest.raises(IsADirectoryError, match=f"{tmp_path}: is a folder"):
        serialization.load(tmp_path)
    serialization.save(path, {"a": np.ones(100)})
    whole = path.read_bytes()
    for damaged in (b"", b"text", whole[:-1], whole + b"\0", whole[:20], b"\xff" * 8 + whole[8:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{path}: not a safetensors file, or a damaged one"):
            serialization.load(path)

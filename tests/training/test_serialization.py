"""Saving and loading: exact, whole or not at all."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO

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
    resource = pytest.importorskip("resource", reason="only POSIX limits the size of files")
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


@pytest.mark.parametrize(
    "value", [[1.0], np.ones(1, np.longdouble), np.ones(1, complex), np.array(["text"]), None, np.ma.ones(2)]
)
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


def test_names_and_metadata_are_text(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="file: the name of an array must be text, not 1"):
        serialization.save(tmp_path / "file", {1: np.ones(1)})  # type: ignore[dict-item]
    for metadata, shown in (({"a": 1}, "'a': 1"), ({1: "a"}, "1: 'a'")):
        with pytest.raises(TypeError, match=f"file: metadata must be text by text, not {shown}"):
            serialization.save(tmp_path / "file", {}, metadata)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["n" * 255, "\N{CJK UNIFIED IDEOGRAPH-65E5}" * 85, "\N{GRINNING FACE}" * 63, " ", "-", ".x"]
)
def test_files_of_every_name(tmp_path: Path, name: str) -> None:
    serialization.save(tmp_path / name, {"a": np.ones(3)})
    assert serialization.load(tmp_path / name)[0]["a"].tolist() == [1, 1, 1]
    assert os.listdir(tmp_path) == [name]


def test_errors_name_the_file_and_not_a_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path, kind in (("no/file", FileNotFoundError), ("file/file", NotADirectoryError), ("n" * 256, OSError)):
        with pytest.raises(kind, match=f": '{tmp_path / path}'$"):
            serialization.save(tmp_path / path, {})
    assert os.listdir(tmp_path) == ["file"]


def test_what_is_not_a_file_is_not_replaced(tmp_path: Path) -> None:
    """A pipe stands for devices, which root may rename over."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("pipe")
    before = {name: os.stat(tmp_path / name) for name in os.listdir(tmp_path)}
    for name in before:
        with pytest.raises(OSError, match=f"cannot replace what is not a file: '{tmp_path / name}'"):
            serialization.save(tmp_path / name, {})
    assert {name: os.stat(tmp_path / name) for name in os.listdir(tmp_path)} == before


def test_links_and_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere/file")
    for number in range(2):
        serialization.save(tmp_path / "link", {"a": np.array(number)})
        assert (tmp_path / "link").is_symlink()
        assert serialization.load(tmp_path / "elsewhere/file")[0]["a"] == number
        (tmp_path / "elsewhere/file").chmod(0o600)
    serialization.save(tmp_path / "link", {})
    assert stat.S_IMODE((tmp_path / "elsewhere/file").stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "elsewhere") == ["file"]


def test_what_a_killed_process_has_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    ours = [".file.1.0123abcd", ".file.999999999.ffffffff"]
    others = [".file", ".file.1", ".file.1.0123abcd.more", ".file.x.0123abcd", ".other.1.0123abcd", "file.1.0123abcd"]
    for name in ours + others:
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".file.2.00000000").touch()  # killed before it was locked
    serialization.save(tmp_path / "file", {})
    assert set(os.listdir(tmp_path)) == {*others, "file"}


def test_a_file_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = serialization._lock

    def late(file: BinaryIO, wait: bool) -> None:
        monkeypatch.setattr(serialization, "_lock", lock)
        serialization.remove_abandoned(tmp_path.iterdir())
        assert os.listdir(tmp_path) == []
        lock(file, wait)

    monkeypatch.setattr(serialization, "_lock", late)
    serialization.save(tmp_path / "file", {"a": np.ones(1)})
    assert os.listdir(tmp_path) == ["file"]


def test_a_process_killed_while_it_writes_leaves_the_old_file_whole(tmp_path: Path) -> None:
    code = f"""
import os
import numpy as np
from tinygrad_np import serialization
serialization.save({str(tmp_path / "file")!r}, {{"a": np.zeros(3)}})
os.replace = os.fsync = lambda *args: os.kill(os.getpid(), 9)
serialization.save({str(tmp_path / "file")!r}, {{"a": np.ones(30000)}})
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(os.listdir(tmp_path)) == 2
    assert serialization.load(tmp_path / "file")[0]["a"].tolist() == [0, 0, 0]
    serialization.save(tmp_path / "file", {"a": np.ones(3)})
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("fits", [True, False])
def test_a_file_that_is_replaced_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    """Whether what was read fits together or not."""
    path, digest_of = tmp_path / "file", serialization._digest_of
    serialization.save(path, {"a": np.zeros(3)})

    def replaced(*args: object) -> str:
        monkeypatch.setattr(serialization, "_digest_of", digest_of)
        serialization.save(path, {"a": np.ones(3)})
        return digest_of(*args) if fits else "0"  # type: ignore[arg-type]

    monkeypatch.setattr(serialization, "_digest_of", replaced)
    assert serialization.load(path)[0]["a"].tolist() == [1, 1, 1]


def test_threads_that_save_and_load_one_file_find_it_whole(tmp_path: Path) -> None:
    path, errors = tmp_path / "file", []

    def work(number: int) -> None:
        for _ in range(20):
            try:
                serialization.save(path, {"a": np.full(999, number)})
                assert len(set(serialization.load(path)[0]["a"].tolist())) == 1
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(tmp_path) == ["file"]

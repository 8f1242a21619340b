"""Folders for results, in which no earlier results are lost."""

import itertools
import os
from pathlib import Path

from tinygrad_np.serialization import write_atomically

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    import msvcrt

    fcntl = None

CHECKPOINTS = "checkpoints"  # a subfolder of a run's folder


def new_folder(name: str) -> Path:
    """Make a new folder under runs/: `name`, or `name`-2, -3 ... where that exists."""
    for n in itertools.count(1):
        folder = Path("runs") / (name if n == 1 else f"{name}-{n}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not Path("runs").is_dir():
                raise
            continue
        lock(folder)
        return folder
    raise AssertionError


def writable_folder(out: Path) -> Path:
    """Make the folder `out` where it does not exist, and check that files can be written there.

    Raises:
        OSError: they cannot, or `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"--out {out} is a file, not a folder")
    try:  # now, not after an hour of training
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / ".writable", b"")
        (out / ".writable").unlink()
    except OSError as error:
        raise OSError(f"--out {out}: cannot write there: {error.strerror}") from error
    return out


def lock(folder: Path) -> None:
    """Keep other runs out of a folder until this process ends, in whatever way: the system releases the lock.

    Raises:
        OSError: another run is using the folder.
    """
    busy = f"{folder}: another run is writing there; wait until it ends, or give another --out"
    if fcntl:
        try:
            fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)  # open until the process ends
        except BlockingIOError as error:
            raise OSError(busy) from error
        except OSError:  # a file system without locks of directories, such as NFS: the run goes on without
            return
    else:  # Windows opens no directories
        file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise OSError(busy) from error


def run_folder(out: Path | None, overwrite: bool, name: str, resume: bool = False) -> Path:
    """The folder for the results of a run.

    Args:
        out: the folder asked for. By default a new one under runs/, or the newest with checkpoints to resume from.
        overwrite: replace the results that `out` holds.
        name: of a new folder.
        resume: continue the training whose checkpoints `out` holds.

    Raises:
        FileExistsError: it holds results that would be lost.
        OSError: it cannot be written to.
    """
    if out is None and resume:
        begun = sorted(Path("runs").glob(f"{name}*/{CHECKPOINTS}"), key=lambda folder: folder.stat().st_mtime)
        out = begun[-1].parent if begun else None
    if out is None:
        return new_folder(name)
    folder = writable_folder(out)
    lock(folder)
    has_checkpoints = any((out / CHECKPOINTS).glob("step-*"))
    if has_checkpoints and not (resume or overwrite):
        raise FileExistsError(
            f"{out} holds the checkpoints of a run; --resume goes on with it, --overwrite replaces it"
        )
    if not (overwrite or has_checkpoints) and any(
        (out / result).exists() for result in ("model.safetensors", "metrics.json", "report.html", "search.json")
    ):
        raise FileExistsError(f"{out} holds the results of a run; give another --out, or --overwrite to replace them")
    if has_checkpoints and name == "mnist_fcn" and not resume:
        for checkpoint in (folder / CHECKPOINTS).glob("*step-*"):
            checkpoint.unlink()
    return folder

"""Run the examples as their users do: a process of its own, in a folder of its own, on real digits."""

import contextlib
import gzip
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tinygrad_np.data import load_mnist

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
GUARD = 600  # seconds: only so that a mistake does not hang the tests; nothing is expected to take so long


def command(script: str, *arguments: object) -> list[str]:
    return [str(word) for word in (sys.executable, "-W", "error", EXAMPLES / script, *arguments)]


def run(script: str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(script, *arguments), cwd=folder, capture_output=True, text=True, check=False)


@contextlib.contextmanager
def started(script: str, folder: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A script in a process group of its own, where ctrl-C works even if the tests run in the background.

    What is left of the group at the end is killed, and the pipes are closed.
    """
    process = subprocess.Popen(
        command(script, *arguments),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:  # which waits, and closes its pipes
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_until(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Return when something is the case; fail if the process ends before, or if it takes forever."""
    deadline = time.monotonic() + GUARD
    while True:
        ended = process.poll() is not None  # asked first: it may end while one looks whether it has happened
        if happened():
            return
        assert not ended, f"it has ended before: {process.communicate()}"
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


def write_idx(path: Path, array: np.ndarray) -> None:
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def write_subset(folder: Path, crop: slice = slice(None), classes: int = 10) -> Path:
    """The first 3000 training and 1000 test digits below `classes`, cut to a part of the image."""
    folder.mkdir()
    for part, dataset, count in zip(("train", "t10k"), load_mnist(EXAMPLES / "data/mnist"), (3000, 1000), strict=True):
        chosen = np.flatnonzero(dataset.labels < classes)[:count]
        write_idx(folder / f"{part}-images-idx3-ubyte", dataset.images[chosen][:, crop])
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", dataset.labels[chosen])
    return folder

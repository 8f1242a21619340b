"""Kill a training of examples/mnist_fcn.py at random moments, resume it each time, and compare the bits at its end.

    python tests/study/kill_and_resume.py --kills 50

Every other kill waits until a checkpoint is being written, and every fourth is ctrl-C. In between, the disk is full or
read-only, if this user may mount one. After each kill there must be a valid checkpoint, no older than the one before.
"""

import argparse
import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tinygrad_np import serialization

import numpy as np
from examples_as_run import run, started

STEPS_IN_EPOCH = 938  # of 64 images of MNIST


def newest(folder: Path) -> int:
    """The step of the newest checkpoint by its name; 0 if there is none."""
    return max((int(file.stem.removeprefix("step-")) for file in folder.glob("step-*.safetensors")), default=0)


def newest_whole(folder: Path) -> int:
    """The step of the newest checkpoint that can be read; 0 if there is none."""
    steps = [0]
    for file in folder.glob("step-*.safetensors"):
        with contextlib.suppress(ValueError):
            serialization.load(file)
            steps.append(int(file.stem.removeprefix("step-")))
    return max(steps)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A disk of 8 MB at a folder, and whether there is one: it takes the right to mount."""
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, check=False
    )
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", folder], check=True)


def kill_while_it_runs(
    arguments: list[object],
    place: Path,
    far_enough: Callable[[], bool],
    in_the_middle_of_writing: bool = False,
    ctrl_c: bool = False,
) -> bool:
    """Start, wait, kill; whether it was still running. After ctrl-C it must say how to go on, if it had begun."""
    with started("mnist_fcn.py", place, *arguments) as process:
        while process.poll() is None and not far_enough():
            time.sleep(0.002)
        while in_the_middle_of_writing and process.poll() is None:
            if any(name.startswith(".step-") for name in os.listdir(place / "out/checkpoints")):
                break
        process.send_signal(signal.SIGINT if ctrl_c else signal.SIGKILL)
        said, complained = process.communicate()
    if ctrl_c and process.returncode == 130 and "going on from" in said:
        assert "--resume goes on from there" in said, said
        assert complained == "mnist_fcn.py: interrupted\n", complained
    return process.returncode != 0


def trouble(arguments: list[object], place: Path, kind: str) -> None:
    """Run on a disk that is full or read-only: it must end with one line that says so, and lose nothing."""
    if kind == "full":
        free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
        (place / "filler").write_bytes(bytes(max(0, free - 100_000)))  # no room for the whole of a checkpoint
    else:
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    ended = run("mnist_fcn.py", place, *arguments)
    if kind == "full":
        (place / "filler").unlink()
    else:
        subprocess.run(["mount", "-o", "remount,rw", place], check=True)
    expected = {"full": "No space left on device", "read-only": "Read-only file system"}[kind]
    assert ended.returncode == 1, ended
    assert expected in ended.stderr.splitlines()[-1], ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr


def torture(kills: int, seed: int, epochs: int, hidden: int) -> list[str]:
    """Kill and resume, and compare with the training that nobody disturbed; what happened, in words.

    A kill waits until the training has come some steps further, as its checkpoints show, however fast it runs; every
    fourth comes at a moment of its own, which may be before the training has begun.

    Raises:
        AssertionError: something was lost, or a bit is another.
    """
    rng = np.random.default_rng(seed)
    happened = []
    options = ["--epochs", epochs, "--hidden", hidden]
    steps = epochs * STEPS_IN_EPOCH
    with tempfile.TemporaryDirectory() as root, small_disk(Path(root, "disk")) as may_mount:
        place = Path(root, "disk")
        checkpoints = place / "out/checkpoints"
        arguments = [*options, "--quiet", "--out", "out", "--checkpoint-every", 20, "--resume"]
        moment = time.monotonic() + rng.uniform(0, 1)  # the first one may be killed before there is a checkpoint
        kill_while_it_runs(arguments, place, lambda: time.monotonic() > moment)
        kill_while_it_runs(arguments, place, lambda: newest(checkpoints) > 0)
        for kill in range(kills):
            before = newest_whole(checkpoints)
            writing, ctrl_c, at_a_moment = kill % 2 == 1, kill % 4 == 2, kill % 4 == 0
            target = before + rng.integers(20, max(21, steps // (kills + 2)))
            until = time.monotonic() + (rng.uniform(0, 1.5) if at_a_moment else math.inf)

            def far_enough(target: int = target, until: float = until) -> bool:
                return newest(checkpoints) >= target or time.monotonic() > until

            ran = kill_while_it_runs(arguments, place, far_enough, writing, ctrl_c)
            after = newest_whole(checkpoints)
            how = "while writing" if writing else "by ctrl-C" if ctrl_c else ""
            happened.append(f"kill {kill + 1:3d} {how:13}: step {before:6d} -> {after:6d}")
            assert after >= before > 0, happened[-1]
            if not ran:
                happened[-1] += ", at its end before"
            if may_mount and kill % 8 in (3, 7) and after < steps - 20:  # there is a checkpoint to be written yet
                kind = "full" if kill % 8 == 3 else "read-only"
                trouble(arguments, place, kind)
                assert newest_whole(checkpoints) >= after, kind
                happened.append(f"a disk that is {kind}: nothing lost")
        ended = run("mnist_fcn.py", place, *arguments)
        assert ended.returncode == 0, ended.stderr
        undisturbed = run("mnist_fcn.py", Path(root), *options, "--quiet", "--out", "undisturbed")
        assert undisturbed.returncode == 0, undisturbed.stderr
        (found, said), (expected, should_say) = (
            serialization.load(folder / "model.safetensors") for folder in (place / "out", Path(root, "undisturbed"))
        )
        assert found.keys() == expected.keys()
        assert all(found[name].tobytes() == expected[name].tobytes() for name in expected), "the weights differ"
        assert said == should_say, "the metrics differ"
        left = sorted(os.listdir(checkpoints))
        assert len(left) == 2, left
        happened.append(f"{kills} kills: weights and metrics are those of the undisturbed training, to the bit")
        if not may_mount:
            happened.append("without disks that are full or read-only: mounting them was not allowed")
    return happened


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default %(default)s)")
    options = parser.parse_args()
    for line in torture(options.kills, options.seed, options.epochs, options.hidden):
        print(line)


if __name__ == "__main__":
    sys.exit(main())

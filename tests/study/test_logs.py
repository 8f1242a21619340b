"""What the commands show while they run, with and without a terminal, and what they refuse before they train."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from pathlib import Path

import numpy as np
import pytest
from examples_as_run import command, run, started, wait_until, write_idx

pytestmark = pytest.mark.slow
SMALL = ("--data", "data", "--epochs", 2, "--hidden", 8)
LONG = ("--data", "data", "--epochs", 100_000, "--hidden", 8, "--out", "mine")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with 6,400 images of noise."""
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for name, count in (("train", 6400), ("t10k", 500)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(tmp_path / f"data/{name}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"data/{name}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    return tmp_path


def on_a_terminal(folder: Path, columns: int, *arguments: object) -> str:
    """All that a command writes to a terminal of this width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        command("mnist_fcn.py", *arguments), cwd=folder, stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 65536):
            shown += part
    except OSError:  # how Linux says that the other side is closed
        pass
    finally:
        os.close(master)
    assert process.wait() == 0, shown.decode()
    return shown.decode()


def test_without_a_terminal_there_is_a_line_per_epoch_and_no_bar(folder: Path) -> None:
    done = run("mnist_fcn.py", folder, *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout
    assert sum(line.startswith("epoch ") for line in done.stdout.splitlines()) == 2


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_loss_and_rate_are_visible_in_a_terminal(folder: Path, columns: int) -> None:
    shown = on_a_terminal(folder, columns, *SMALL)
    bars = [part for part in shown.replace("\n", "\r").split("\r") if "loss=" in part]
    assert any("lr=" in bar for bar in bars), shown
    assert max(map(len, bars)) <= columns


def test_a_run_near_chance_says_what_to_try(folder: Path) -> None:
    assert "near chance (10.00%): try a smaller --lr" in run("mnist_fcn.py", folder, *SMALL).stdout


def test_two_runs_in_one_folder_are_refused_until_the_first_is_killed(folder: Path) -> None:
    with started("mnist_fcn.py", folder, *LONG) as first:
        wait_until((folder / "mine/metrics.json").exists, first)
        refused = run("mnist_fcn.py", folder, *SMALL, "--out", "mine", "--overwrite")
        assert refused.returncode == 1
        assert refused.stderr.startswith("mnist_fcn.py: mine: another run is writing there")
        first.send_signal(signal.SIGKILL)
        first.wait()
    done = run("mnist_fcn.py", folder, *SMALL, "--out", "mine", "--overwrite")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "script",
    ["quickstart", "custom_op", "mnist_cnn", "mnist_vae", "char_transformer", "graph_network", "gaussian_process",
     "second_order", "schedules", "mnist_fcn"],
)  # fmt: skip
def test_a_run_that_cannot_write_says_so_before_it_trains(script: str, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder of results would be", encoding="utf-8")
    refused = run(f"{script}.py", tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{script}.py: ")
    assert refused.stderr.count("\n") == 1
    assert "runs" in refused.stderr
    assert "epoch" not in refused.stdout


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which not even root can write")
@pytest.mark.parametrize("script", ["mnist_cnn", "graph_network", "gaussian_process"])
def test_a_folder_that_is_there_but_cannot_be_written_is_refused(script: str, tmp_path: Path) -> None:
    refused = run(f"{script}.py", tmp_path, "--out", "/proc")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{script}.py: ")
    assert refused.stderr.count("\n") == 1

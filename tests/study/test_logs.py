"""What the commands show while they run, with and without a terminal, and what they refuse before they train."""

import ast
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest
from examples_as_run import EXAMPLES, command, run, started, wait_until, write_idx

pytestmark = pytest.mark.slow
SMALL = ("--data", "data", "--epochs", 2, "--hidden", 8)
WITH_OUT = [path.stem for path in sorted(EXAMPLES.glob("*.py")) if '"--out"' in path.read_text(encoding="utf-8")]
LONG = ("--data", "data", "--epochs", 100_000, "--hidden", 8, "--out", "mine")


def write_noise(folder: Path, images: int) -> Path:
    """Write images of noise into the subfolder `data`."""
    rng = np.random.default_rng(0)
    (folder / "data").mkdir()
    for name, count in (("train", images), ("t10k", images // 8)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(folder / f"data/{name}-images-idx3-ubyte", pixels)
        write_idx(folder / f"data/{name}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_noise(tmp_path, 6400)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_noise(tmp_path, 640)


# Of each script, the options of a run on the images in `few`, and what it says once it has come far enough to be ended.
RUNS: dict[str, tuple[tuple[object, ...], str]] = {
    "char_transformer": (("--order", 1), "1-grams: "),
    "custom_op": ((), "a network with it reads "),
    "gaussian_process": ((), "the slope is in the band "),
    "graph": ((), "dloss/dw = "),
    "graph_network": (("--steps", 20), "members"),
    "logging_hook": (("--epochs", 1), "steps are logged: "),
    "mnist_cnn": (("--data", "data", "--epochs", 1), "epoch  1  train loss "),
    "mnist_diffusion": (("--data", "data", "--epochs", 1), "epoch  1  error "),
    "mnist_fcn": (SMALL, "epoch   1 "),
    "mnist_search": (("--data", "data", "--epochs", 1, "--hidden", "4,8", "--lr", 0.1, "--weight-decay", 0,
                      "--validation", 100), "<- best"),
    "mnist_vae": (("--data", "data", "--epochs", 1), "epoch  1  negative ELBO "),
    "quickstart": ((), "epoch 1/3  loss "),
    "schedules": ((), "drawn in "),
    "second_order": ((), "step 500/8000  loss "),
}  # fmt: skip
WITHOUT_BAR = {"gaussian_process", "graph", "graph_network", "logging_hook", "schedules"}
NARROW = 40
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
each_script = pytest.mark.parametrize(
    "script", [pytest.param(script, marks=needs_dot) if script == "graph" else script for script in RUNS]
)


def on_a_terminal(folder: Path, columns: int, script: str, *arguments: object, until: str = "") -> str:
    """All that a command writes to a terminal of this width, or as much as matches a pattern."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        command(script, *arguments), cwd=folder, stdin=slave, stdout=slave, stderr=slave, env=environment
    )
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 65536):
            shown += part
            if until and re.search(until, shown.decode(errors="ignore"), re.DOTALL):
                process.kill()
    except OSError:  # how Linux says that the other side is closed
        pass
    finally:
        os.close(master)
    assert process.wait() in (0, -signal.SIGKILL if until else 0), shown.decode()
    return shown.decode()


def test_every_script_is_here() -> None:
    assert RUNS.keys() == {path.stem for path in EXAMPLES.glob("*.py")}


def test_without_a_terminal_there_is_a_line_per_epoch_and_no_bar(folder: Path) -> None:
    done = run("mnist_fcn.py", folder, *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout
    assert sum(line.startswith("epoch ") for line in done.stdout.splitlines()) == 2


@each_script
def test_without_a_terminal_there_are_lines_and_no_bar(script: str, few: Path) -> None:
    options, line = RUNS[script]
    with started(f"{script}.py", few, *options) as process:
        shown = ""
        while line not in shown:
            shown += (read := process.stdout.readline())
            assert read, process.stderr.read()
        process.kill()
        _, errors = process.communicate()
    assert errors == ""
    assert "\r" not in shown
    assert "\x1b" not in shown


@each_script
def test_bars_fit_a_narrow_terminal(script: str, few: Path) -> None:
    options, line = RUNS[script]
    bar = "" if script in WITHOUT_BAR else r"\r *\d+%(\||,)"
    enough = f"(?=.*{bar})(?=.*{re.escape(line)})"
    shown = on_a_terminal(few, NARROW, f"{script}.py", *options, until=enough)
    assert re.match(enough, shown, re.DOTALL), shown
    bars = [part for part in shown.replace("\n", "\r").split("\r") if re.match(r" *\d+%(\||,)", part)]
    assert bool(bars) == bool(bar)
    assert max(map(len, bars), default=0) <= NARROW


def test_lines_beside_a_bar_are_in_a_log_at_once() -> None:
    """tqdm does not flush what it writes."""
    for path in EXAMPLES.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert text.count("tqdm.write(") == len(re.findall(r"tqdm\.write\(.*\n *sys\.stdout\.flush\(\)", text)), path


def test_every_bar_is_for_terminals_only() -> None:
    """Also those that the tests above do not wait for."""
    for path in EXAMPLES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("tqdm", "trange"):
                (disable,) = (ast.unparse(each.value) for each in node.keywords if each.arg == "disable")
                assert disable in ("None", "quiet or None"), path


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_loss_and_rate_are_visible_in_a_terminal(folder: Path, columns: int) -> None:
    shown = on_a_terminal(folder, columns, "mnist_fcn.py", *SMALL)
    bars = [part for part in shown.replace("\n", "\r").split("\r") if "loss=" in part]
    assert any("lr=" in bar for bar in bars), shown
    assert max(map(len, bars)) <= columns


# Run a script that gets a ctrl-C where it imports a package.
INTERRUPT = """
import os, runpy, signal, sys
from importlib.machinery import PathFinder
package, find = sys.argv[1], PathFinder.find_spec
def interrupted(name, *rest):
    if name == package:
        os.kill(os.getpid(), signal.SIGINT)
    return find(name, *rest)
PathFinder.find_spec = interrupted
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[0] = sys.argv[2].rpartition("/")[0]
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("package", ["tinygrad_np", "numpy"])
@pytest.mark.parametrize("script", RUNS)
def test_ctrl_c_while_a_script_imports_ends_it_quietly(script: str, package: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", INTERRUPT, package, str(EXAMPLES / f"{script}.py")]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", ["mnist_cnn", "char_transformer", "second_order"])
def test_ctrl_c_ends_a_training_without_a_traceback(script: str, folder: Path) -> None:
    options = {"--steps": 10**6} if script != "mnist_cnn" else {"--data": "data", "--epochs": 10**6}
    with started(f"{script}.py", folder, *(word for option in options.items() for word in option)) as process:
        wait_until((folder / f"runs/{script}").exists, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == -signal.SIGINT
    assert errors == ""


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


@pytest.mark.parametrize("script", [script for script in RUNS if script != "graph"])  # which asks for a file
def test_a_run_that_cannot_write_says_so_before_it_trains(script: str, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder of results would be", encoding="utf-8")
    refused = run(f"{script}.py", tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{script}.py: ")
    assert refused.stderr.count("\n") == 1
    assert "runs" in refused.stderr
    assert "epoch" not in refused.stdout


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which not even root can write")
@pytest.mark.parametrize("script", WITH_OUT)
def test_a_folder_that_is_there_but_cannot_be_written_is_refused(script: str, tmp_path: Path) -> None:
    refused = run(f"{script}.py", tmp_path, "--out", "/proc")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{script}.py: ")
    assert refused.stderr.count("\n") == 1
    assert "epoch" not in refused.stdout


@needs_dot
def test_a_picture_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    refused = run("graph.py", tmp_path, "missing/graph.svg")
    assert refused.returncode == 1
    assert refused.stderr == "graph.py: [Errno 2] No such file or directory: 'missing/graph.svg'\n"

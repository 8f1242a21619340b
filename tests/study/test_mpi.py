"""The search under a real MPI launcher. Needs the extra `mpi` and an MPI with its mpiexec; else it is skipped."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import examples_as_run
import pytest

pytest.importorskip("mpi4py")
if shutil.which("mpiexec") is None:
    pytest.skip("mpiexec not found", allow_module_level=True)

pytestmark = pytest.mark.slow
SETTINGS = ("--data", "data", "--validation", 500, "--epochs", 2, "--lr", "0.01,0.05", "--hidden", "8,16",
            "--weight-decay", 0, "--quiet")  # fmt: skip


def mpiexec(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    _, *words = examples_as_run.command("mnist_search.py", *SETTINGS, "--executor", "mpi", *arguments)
    command = ["mpiexec", "-n", "3", "python", "-m", "mpi4py.futures", *words[2:]]
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}  # fmt: skip
    return subprocess.run(
        command, cwd=folder, env=os.environ | allowed, capture_output=True, text=True, timeout=examples_as_run.GUARD
    )


def test_it_comes_to_the_same_as_with_processes(tmp_path: Path) -> None:
    examples_as_run.write_subset(tmp_path / "data")
    assert examples_as_run.run("mnist_search.py", tmp_path, *SETTINGS, "--out", "processes").returncode == 0
    finished = mpiexec(tmp_path, "--out", "mpi")
    assert finished.returncode == 0, finished.stderr
    steps = [json.loads((tmp_path / out / "search.json").read_bytes())["steps"] for out in ("processes", "mpi")]
    for candidate in (candidate for search in steps for step in search for candidate in step["candidates"]):
        del candidate["seconds"]
    assert steps[0] == steps[1]


def test_without_a_launcher_it_says_how(tmp_path: Path) -> None:
    examples_as_run.write_subset(tmp_path / "data")
    refused = examples_as_run.run("mnist_search.py", tmp_path, *SETTINGS, "--executor", "mpi")
    assert refused.returncode == 1
    assert "mnist_search.py: --executor mpi: start it with mpiexec -n 3 python -m mpi4py.futures" in refused.stderr
    assert not (tmp_path / "runs").exists()

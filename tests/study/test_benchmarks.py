"""Every benchmark runs, in seconds and in small, and says what it measured; no times are asserted."""

import json
import math
import subprocess
import sys
from pathlib import Path

from tinygrad_np import Tensor, nn

import numpy as np
import pytest
from examples_as_run import ROOT

import benchmarks
from benchmarks import turns
from benchmarks.models import limits

pytestmark = pytest.mark.slow
SMALL = {
    "mnist_step": ["--hidden", "8", "--rounds", "2", "--images", "640", "--names", "tinygrad_np", "numpy"],
    "products": ["--hidden", "8", "--rounds", "1", "--names", "tinygrad_np"],
    "networks": ["--rounds", "1", "--steps", "1", "--names", "tinygrad_np", "limit"],
    "steps": ["--rounds", "1", "--networks", "graph", "maml", "--names", "tinygrad_np"],
    "layers": ["--rounds", "1", "--workloads", "softmax", "embedding", "attention", "--names", "tinygrad_np", "limit"],
    "optimizers": ["--rounds", "1", "--workloads", "adamw, small", "--names", "tinygrad_np", "limit"],
    "odeint": ["--rounds", "1", "--names", "tinygrad_np"],
    "operations": ["--rounds", "1", "--workloads", "svd 8", "slogdet 8"],
    "functions": ["--rounds", "1", "--workloads", "jvp", "residuals", "fixed_point", "--names", "tinygrad_np"],
    "graphs": ["--rounds", "1", "--workloads", "small", "--names", "tinygrad_np"],
    "programs": ["--rounds", "1", "--workloads", "mixture", "mixture hvp", "--names", "tinygrad_np"],
    "overhead": ["--rounds", "2", "--repeats", "2", "--names", "tinygrad_np", "numpy"],
    "scaling": ["--largest", "3", "--plot", ""],
    "memory": [
        "--hidden",
        "8",
        "--images",
        "640",
        "--networks",
        "vae",
        "--steps",
        "50",
        "--names",
        "tinygrad_np",
    ],
    "half": ["--layers", "2", "--width", "8", "--batch", "16", "--rounds", "1"],
    "startup": ["--rounds", "1", "--names", "tinygrad_np", "numpy"],
    "watching": [
        "--hidden",
        "8",
        "--rounds",
        "1",
        "--images",
        "640",
        "--names",
        "tinygrad_np",
        "tinygrad_np under guard",
    ],
    "accuracy": ["--samples", "80"],
    "contention": [
        "--workloads",
        "8",
        "vae",
        "--rounds",
        "1",
        "--images",
        "640",
        "--steps",
        "1",
        "--threads",
        "1",
        "--names",
        "tinygrad_np",
    ],
}


def test_every_benchmark_is_run_below() -> None:
    files = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"__init__", "__main__", "turns"}
    assert files == set(SMALL) == set(benchmarks.BENCHMARKS)


@pytest.mark.parametrize("name", SMALL)
def test_it_runs_and_ends_with_a_line_of_json(name: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", *SMALL[name]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert records
    assert all(record["benchmark"].startswith(name) for record in records)


def test_a_competitor_that_is_not_installed_is_left_out() -> None:
    blocked = "import sys; sys.modules['mygrad'] = None; import runpy;"
    script = f"{blocked} runpy.run_module('benchmarks.turns', run_name='__main__')"
    settings = '{"workload": "chain", "repeats": 1}'
    command = [sys.executable, "-c", script, "benchmarks.overhead", "mygrad", settings, ""]
    done = subprocess.run(command, cwd=ROOT, input="", capture_output=True, text=True)
    assert done.stdout == '{"missing": "mygrad"}\n'


OVERHEAD = ["benchmarks.overhead", "--workloads", "chain", "--rounds", "1", "--repeats", "1", "--names", "tinygrad_np"]


def test_another_checkout_competes() -> None:
    command = [sys.executable, "-m", *OVERHEAD, "--beside", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])["results"]
    assert results.keys() == {"tinygrad_np", f"tinygrad_np at {ROOT}"}


def test_another_checkout_runs_its_own_package(tmp_path: Path) -> None:
    (tmp_path / "tinygrad_np").mkdir()
    command = [sys.executable, "-m", *OVERHEAD, "--beside", str(tmp_path)]
    (tmp_path / "tinygrad_np/__init__.py").write_text(
        "raise NotImplementedError('the other package')", encoding="utf-8"
    )
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "NotImplementedError: the other package" in done.stderr
    assert f"benchmarks.overhead: tinygrad_np at {tmp_path} ended with code 1" in done.stderr
    (tmp_path / "tinygrad_np/__init__.py").unlink()
    (tmp_path / "tinygrad_np").rmdir()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert f"--beside {tmp_path}: expected a checkout of this project, with a directory tinygrad_np" in done.stderr


def test_values_that_differ_fail_the_benchmark_and_a_limit_has_none() -> None:
    def results(**values: float) -> dict[str, turns.Result]:
        return {name: turns.Result([1.0], [value], "") for name, value in values.items()}

    turns.agree("sums", results(tinygrad_np=2.0, pytorch=2.001, limit=math.nan), 1e-3)
    for wrong in (2.003, 1.997, math.nan):
        with pytest.raises(SystemExit, match="sums differ"):
            turns.agree("sums", results(tinygrad_np=2.0, pytorch=wrong), 1e-3)


def test_the_products_of_a_network_are_counted() -> None:
    rng = np.random.default_rng(0)
    images = nn.Sequential(nn.Conv2d(1, 4, 3, rng=rng), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 5, rng=rng))
    found = limits.products_of(lambda: images(np.ones((2, 1, 8, 8), np.float32)))
    assert found == [limits.Product(1, 2 * 6 * 6, 9, 4, input_needed=False), limits.Product(1, 2, 4 * 6 * 6, 5)]

    texts = Tensor(np.ones((3, 7, 8), np.float32), requires_grad=True)
    attention = nn.MultiheadAttention(8, 2, rng=rng)
    assert limits.products_of(lambda: attention(texts, texts, texts)) == [
        limits.Product(1, 3 * 7, 8, 8),  # of the output, which is computed within
        limits.Product(1, 3 * 7, 8, 24),
        limits.Product(6, 7, 4, 7, one_weight=False),
        limits.Product(6, 7, 7, 4, one_weight=False),
    ]
    lstm = nn.LSTM(8, 5, num_layers=2, batch_first=True, rng=rng)
    assert limits.products_of(lambda: lstm(texts)) == [
        limits.Product(1, 3 * 7, 8, 20),
        limits.Product(7, 3, 5, 20),
        limits.Product(1, 3 * 7, 5, 20),
        limits.Product(7, 3, 5, 20),
    ]


def test_losses_that_differ_fail_the_benchmark() -> None:
    script = (
        "import sys; from benchmarks import mnist_step, turns; sys.argv[1:] = [];"
        "results = {n: turns.Result([1.0], [v], '') for n, v in (('tinygrad_np', 0.5), ('numpy', 0.502))};"
        "turns.race = lambda *arguments: results;"
        "mnist_step.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "numpy: its losses differ from those of tinygrad_np by 0.002" in done.stderr

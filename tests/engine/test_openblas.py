"""Kernels and threads: chosen before NumPy is there, and left alone where they should be."""

import os
import subprocess
import sys
from pathlib import Path

import tinygrad_np
from tinygrad_np._machine import openblas

import numpy as np
import pytest

ZEN5 = "vendor_id : AuthenticAMD\ncpu family : 26\nmodel : 36\nflags : fpu sse2 avx2 avx512f avx512bw avx512vl\n"
needs_openblas = pytest.mark.skipif(not openblas.is_openblas(), reason="only where NumPy uses OpenBLAS")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(
    ("cpuinfo", "machine", "environment", "kernels"),
    [
        (ZEN5, "x86_64", {}, "SkylakeX"),
        (ZEN5, "x86_64", {"OPENBLAS_CORETYPE": "Haswell"}, None),
        (ZEN5, "aarch64", {}, None),
        (ZEN5.replace("26", "25"), "x86_64", {}, None),
        (ZEN5.replace("avx512f", ""), "x86_64", {}, None),
        (ZEN5.replace("AuthenticAMD", "GenuineIntel"), "x86_64", {}, None),
        (ZEN5.replace("26", "many"), "x86_64", {}, None),
        ("", "x86_64", {}, None),
    ],
)
def test_only_an_unknown_processor_gets_other_kernels(
    cpuinfo: str, machine: str, environment: dict[str, str], kernels: str | None
) -> None:
    assert openblas.choose_kernels(cpuinfo, machine, environment) == kernels


def configuration(before: str = "", cpuinfo: str | None = None, **variables: str) -> str:
    """What a new process says of itself, on a processor that describes itself so."""
    script = "import builtins, io, os\nreal = open\n"
    if cpuinfo is not None:
        script += f"fake = io.StringIO({cpuinfo!r})\n"
        script += "builtins.open = lambda path, *a, **k: fake if path == '/proc/cpuinfo' else real(path, *a, **k)\n"
    script += f"{before}\nimport tinygrad_np\ntinygrad_np.show_config()\nprint(os.environ.get('OPENBLAS_CORETYPE'))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS", "TINYGRAD"))}
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=environment | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout


def test_kernels_are_chosen_before_numpy_and_the_environment_is_restored() -> None:
    said = configuration(cpuinfo=ZEN5)
    assert "SkylakeX chosen" in said
    assert said.endswith("\nNone\n")  # the variable is gone again
    assert "NumPy was imported before; import tinygrad_np first" in configuration("import numpy", cpuinfo=ZEN5)
    assert "NumPy was imported before\n" in configuration("import numpy", cpuinfo="")
    assert "OpenBLAS's choice: it knows this processor" in configuration(cpuinfo="")
    assert "OPENBLAS_CORETYPE=Haswell is set" in configuration(cpuinfo=ZEN5, OPENBLAS_CORETYPE="Haswell")
    assert "OpenBLAS's choice: TINYGRAD_NP_TUNING=off" in configuration(cpuinfo=ZEN5, TINYGRAD_NP_TUNING="off")


@pytest.mark.parametrize("script", ["mnist_fcn", "mnist_search", "benchmarks.scaling", "benchmarks.memory"])
def test_scripts_import_us_before_numpy(script: str) -> None:
    root = Path(__file__).parents[2]
    before = f"import sys; sys.path[:0] = [{str(root)!r}, {str(root / 'examples')!r}]; import {script}"
    assert "SkylakeX chosen" in configuration(before, cpuinfo=ZEN5)


@needs_openblas
def test_threads_are_those_of_openblas(capsys: pytest.CaptureFixture[str]) -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    before = tinygrad_np.get_num_threads()
    try:
        tinygrad_np.set_num_threads(1)
        assert tinygrad_np.get_num_threads() == 1
        pools = [pool for pool in threadpoolctl.threadpool_info() if "numpy" in pool["filepath"]]
        assert [pool["num_threads"] for pool in pools] == [1]
        tinygrad_np.show_config()
        assert f"kernels {pools[0]['architecture']}, threads 1 of" in capsys.readouterr().out
    finally:
        tinygrad_np.set_num_threads(before)
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match="must be a positive integer"):
            tinygrad_np.set_num_threads(wrong)


@pytest.mark.skipif(not openblas.has_threads_of_our_own(), reason="only an OpenBLAS with gemm_batch")
def test_cores_are_shared_from_the_start_by_the_environment() -> None:
    assert "threads 2 of" in configuration(cpuinfo="", OPENBLAS_NUM_THREADS="2")
    assert "cores, shared with other processes" in configuration(cpuinfo="", TINYGRAD_NP_TUNING="shared")


def test_a_setting_of_the_environment_without_effect_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_NP_TUNING", "of")
    script = "import warnings\nwith warnings.catch_warnings(record=True) as told:\n    import tinygrad_np\n"
    script += "print([(w.category.__name__, str(w.message)) for w in told])"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert told == (
        """[('UserWarning', "TINYGRAD_NP_TUNING must be off or shared, not 'of', which has no effect")]\n"""
    )


@needs_openblas
@pytest.mark.parametrize(
    ("variables", "small", "large"),
    [
        ({}, 1, CORES),
        ({"OPENBLAS_NUM_THREADS": "1"}, 1, 1),
        ({"OMP_NUM_THREADS": "2"}, 2, 2),
        ({"TINYGRAD_NP_TUNING": "off", "OPENBLAS_NUM_THREADS": "2"}, 2, 2),
    ],
)
def test_threads_go_by_the_size_unless_the_user_has_set_them(variables: dict[str, str], small: int, large: int) -> None:
    script = "from tinygrad_np import *\nfor size in (10**6, 10**8): fit_threads(size); print(get_num_threads())"
    names = {*openblas.BY_USER, "TINYGRAD_NP_TUNING"}
    environment = {name: value for name, value in os.environ.items() if name not in names} | variables
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    cores = os.cpu_count() or 1
    assert [int(word) for word in done.stdout.split()] == [min(small, cores), min(large, cores)]


def test_another_blas_is_left_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(openblas, "find", lambda name: None)
    monkeypatch.setattr(openblas, "_set_threads", None)
    monkeypatch.setattr(openblas, "_get_threads", None)
    monkeypatch.setattr(openblas, "_other", None)
    with pytest.raises(RuntimeError, match="does not use OpenBLAS"):
        tinygrad_np.set_num_threads(1)
    with pytest.raises(RuntimeError, match="does not use OpenBLAS"):
        tinygrad_np.get_num_threads()
    openblas.fit_threads(1)
    tinygrad_np.show_config()
    assert "not an OpenBLAS" in capsys.readouterr().out


OTHER_BLAS = """
import ctypes, glob, sys
from pathlib import Path
import numpy as np

load, look = ctypes.CDLL, Path.glob
own = np._core._multiarray_umath.__file__

class Bare:
    pass

def cdll(path, *arguments, **keywords):  # Windows does not search what a library uses
    return Bare() if str(path) == own else load(path, *arguments, **keywords)

def at(folder, pattern):
    return iter(()) if "a wheel" not in sys.argv and folder.name == "numpy.libs" else look(folder, pattern)

import threadpoolctl
class Pool:
    user_api, internal_api, filepath, threads = "blas", "blis", "/usr/lib/libblis.so.4", 3
    def get_num_threads(self):
        return self.threads
    def set_num_threads(self, n):
        self.threads = n

class Brought(Pool):  # by another package
    filepath = str(Path(np.__file__).parents[1] / "scipy.libs" / "libblis.so")
    def get_num_threads(self):
        raise AssertionError

if "blis" in sys.argv or "nothing" in sys.argv:
    class Found:
        lib_controllers = [Brought(), Pool()] if "blis" in sys.argv else [Brought()]
    threadpoolctl.ThreadpoolController = Found
if "without threadpoolctl" in sys.argv:
    sys.modules["threadpoolctl"] = None

ctypes.CDLL, Path.glob = cdll, at
import tinygrad_np
from tinygrad_np import cross_entropy, nn, optim
from tinygrad_np._machine import openblas
print(openblas.is_openblas(), openblas.has_threads_of_our_own())
for n in (2, 1):
    try:
        tinygrad_np.set_num_threads(n)
        print(tinygrad_np.get_num_threads())
    except RuntimeError as error:
        print(error)
tinygrad_np.fit_threads(10**8)
tinygrad_np.show_config()
rng = np.random.default_rng(0)
model = nn.Sequential(nn.Conv2d(1, 8, 3, rng=rng), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 26**2, 10, rng=rng))
optimizer = optim.SGD(model.parameters(), lr=0.01, weight_decay=1e-4)
x, labels = rng.normal(size=(16, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, 16)
losses = []
for _ in range(3):
    losses.append(cross_entropy(model(x), labels))
    optimizer.minimize(losses[-1])
print(losses[2].item() < losses[0].item())
"""


def said_beside(*arguments: str) -> list[str]:
    run = [sys.executable, "-W", "error", "-c", OTHER_BLAS, *arguments]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.skipif(
    not openblas.has_threads_of_our_own() or not [*Path(np.__file__).parents[1].glob("numpy.libs/*openblas*")],
    reason="only with NumPy's wheel",
)
@pytest.mark.parametrize("where", [("a wheel", "without threadpoolctl"), ("only threadpoolctl finds it",)], ids=str)
def test_an_openblas_that_numpys_library_does_not_lead_to_is_found(where: tuple[str, ...]) -> None:
    """As in NumPy's wheel for Windows, and in conda's environments there."""
    pytest.importorskip("threadpoolctl")
    first, two, one, *_, falls = said_beside(*where)
    assert (first, two, one, falls) == ("True True", "2", "1", "True")


def test_the_threads_of_another_blas_are_those_of_threadpoolctl() -> None:
    pytest.importorskip("threadpoolctl")
    first, two, one, _, blas, *_, falls = said_beside("blis")
    assert (first, two, one, falls) == ("False False", "2", "1", "True")
    assert blas.startswith("not an OpenBLAS, threads 1 of ")


@pytest.mark.parametrize("why", ["nothing", "without threadpoolctl"])
def test_where_nothing_tells_of_threads_all_works_and_says_so(why: str) -> None:
    pytest.importorskip("threadpoolctl")
    first, two, one, _, blas, *_, falls = said_beside(why)
    assert (first, blas, falls) == ("False False", "not an OpenBLAS", "True")
    assert two.startswith("set_num_threads: NumPy does not use OpenBLAS, and threadpoolctl")
    assert "OMP_NUM_THREADS" in one


TIMEOUT = """
import os, sys
if "numpy first" in sys.argv:
    import numpy
if "other thread" in sys.argv:
    import threading, time
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
import tinygrad_np
from tinygrad_np._machine import openblas
print(openblas.find("openblas_thread_timeout")(), os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
"""


@pytest.mark.skipif(openblas.find("openblas_thread_timeout") is None, reason="only an OpenBLAS with this function")
def test_openblas_reads_a_short_thread_timeout() -> None:
    """By what OpenBLAS says that it has read: 2**20 ticks of the clock; 0 stands for its own choice, 2**26."""

    def timeout(*arguments: str, **variables: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
        run = [sys.executable, "-c", TIMEOUT, *arguments]
        done = subprocess.run(run, env=environment | variables, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert timeout() == "20 None"  # the variable is gone again
    assert timeout(TINYGRAD_NP_TUNING="off") == "0 None"
    assert timeout(OPENBLAS_THREAD_TIMEOUT="26") == "26 26"
    assert timeout("numpy first") == "20 None"
    assert timeout("numpy first", "other thread") == "0 None"  # it may be inside a product
    assert timeout("numpy first", TINYGRAD_NP_TUNING="off") == "0 None"


SPINNING = """
import time
import numpy as np
a = np.ones((500, 500), np.float32)
a @ a  # OpenBLAS has started its threads
import tinygrad_np
assert tinygrad_np.get_num_threads() > 1, "alone"
b, before = a @ a, time.process_time()
time.sleep(0.2)
print(time.process_time() - before)
assert (b == 500).all()
"""


@pytest.mark.skipif(openblas.find("openblas_read_env") is None, reason="only an OpenBLAS with this function")
def test_threads_that_have_begun_before_stop_spinning_as_soon() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
    run = [sys.executable, "-c", SPINNING]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    if "alone" in done.stderr:
        pytest.skip("one core")
    assert float(done.stdout) < 0.01  # seconds of processor time after a product

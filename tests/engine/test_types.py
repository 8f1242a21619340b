"""What type checkers find in programs of users: mypy and pyright, both strict, where the package is installed."""

import doctest
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tinygrad_np import Tensor
from tinygrad_np.testing import stubs

import numpy as np
import pytest

pytest.importorskip("mypy")
pytest.importorskip("pyright")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ARGUMENTS: dict[str, tuple[str, ...]] = {  # of methods that need some
    "argpartition": ("1",),
    "astype": ("np.float64",),
    "choose": ("[x, x]",),
    "clip": ("0", "1"),
    "compress": ("[True, False]", "0"),
    "dot": ("x",),
    "repeat": ("2",),
    "reshape": ("4",),
    "searchsorted": ("0.5",),
    "swapaxes": ("0", "1"),
    "take": ("[0]",),
}
VALUES = {"choose": "Tensor([[0, 1], [1, 0]], dtype=np.int64)", "searchsorted": "Tensor([0.0, 1.0])"}


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=env, check=False, capture_output=True, encoding="utf-8"
    )


def errors_of_mypy(folder: Path) -> list[str]:
    found = run("mypy", "--strict", "--no-error-summary", "--hide-error-context", ".", folder=folder)
    assert not found.stderr, found.stderr
    return found.stdout.splitlines()


def errors_of_pyright(folder: Path) -> list[str]:
    if (start := run("pyright", "--version", folder=folder)).returncode:
        pytest.skip(f"pyright does not start, which the first time loads itself from npm: {start.stderr[-200:]}")
    settings = {"typeCheckingMode": "strict", "include": ["."]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    found = run("pyright", "--outputjson", "--pythonpath", sys.executable, folder=folder)
    diagnostics = json.loads(found.stdout)["generalDiagnostics"]
    return [f"{d['file']}:{d['range']['start']['line'] + 1}: {d['message']}" for d in diagnostics]


CHECKERS = [pytest.param(errors_of_mypy, id="mypy"), pytest.param(errors_of_pyright, id="pyright")]


@pytest.mark.parametrize("errors", CHECKERS)
def test_programs_of_users_have_no_errors(errors: Any, tmp_path: Path) -> None:
    for program in (ROOT / "tests" / "typed").glob("*.py"):
        shutil.copy(program, tmp_path)
    readme = doctest.script_from_examples((ROOT / "README.md").read_text(encoding="utf-8"))
    (tmp_path / "readme.py").write_text(readme, encoding="utf-8")
    assert errors(tmp_path) == []


MISTAKES = [
    "np.sum(x, keepdim=True)",
    "np.tanh(x).backwards()",
    "np.linalg.norm(x).detach().shapes",
    "relu(x, 3)",
    "len(grad(x, [x]).shape)",
    "cross_entropy(x, [0], reductions='sum')",
    "nn.ReLU()(x, 3)",
    "nn.ReLU()(x).T.zero_grad()",
    "special.gammaln(x).nothing",
]


@pytest.mark.parametrize("errors", CHECKERS)
def test_mistakes_are_found(errors: Any, tmp_path: Path) -> None:
    start = "from tinygrad_np import Tensor, cross_entropy, grad, nn, numpy as np, relu, special; x = Tensor([1.0])"
    (tmp_path / "wrong.py").write_text("\n".join([start, *MISTAKES]), encoding="utf-8")
    found = {int(line) for line in re.findall(r"wrong\.py:(\d+):", "\n".join(errors(tmp_path)))}
    assert found == {i + 2 for i in range(len(MISTAKES))}


def test_methods_return_what_they_are_declared_to_return(tmp_path: Path) -> None:
    """mypy says Tensor of exactly those calls whose result is one."""
    names = [name for name, method in vars(Tensor).items() if name[0] != "_" and hasattr(method, "__wrapped__")]
    names += ["compress", "flatten", "reshape", "transpose", "detach"]
    lines, expected = ["from tinygrad_np import Tensor", "import numpy as np"], []
    for name in names:
        value = VALUES.get(name, "Tensor([[0.5, 2.0], [1.0, 3.0]])")
        call = f"x.{name}({', '.join(ARGUMENTS.get(name, ()))})"
        lines += [f"x = {value}", f"reveal_type({call})"]
        expected.append((name, type(eval(call, {"x": eval(value), "np": np})) is Tensor))
    (tmp_path / "calls.py").write_text("\n".join(lines), encoding="utf-8")
    kinds = re.findall(r'Revealed type is "([^"]*)"', "\n".join(errors_of_mypy(tmp_path)))
    assert [(name, kind.endswith("Tensor")) for name, kind in zip(names, kinds, strict=True)] == expected


def test_stubs_are_those_of_the_registry() -> None:
    for path, text in stubs.texts().items():
        assert path.read_text(encoding="utf-8") == text, "run python -m tinygrad_np.testing.stubs"

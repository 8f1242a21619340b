"""The structure of the package: who imports whom, who registers operations, what is public and documented."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import tinygrad_np
from tinygrad_np._registry import Composite, registry
from tinygrad_np.testing import reference

import numpy as np
import pytest
import structure

PACKAGE = Path(tinygrad_np.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
README = PACKAGE.parent / "README.md"
PAGES = [README, *sorted((PACKAGE / "docs").glob("*.md"))]
MARKDOWN = [*sorted(PACKAGE.parent.glob("*.md")), *sorted(PACKAGE.rglob("*.md"))]

# What each part may import of the package; "" is the package itself, which imports all it likes.
FLOORS = {
    "_machine": {"_machine"},
    "_functions": set(),
    "_messages": {"_functions"},
    "_contexts": set(),
    "_html": {"_messages"},
    "_neighbours": set(),
    "_validation": {"_machine", "_messages"},
    "tensor": {"_machine", "_functions", "_html", "_messages", "_contexts", "_neighbours"},
    "_registry": {"tensor", "_functions", "_messages", "_neighbours"},
    "_contents": {"tensor"},
    "_settings": {"tensor", "_contents"},
    "ops": {"tensor", "_registry", "_machine", "ops", "_functions", "_messages", "_validation"},
    "func": {
        "tensor",
        "_registry",
        "func",
        "_machine",
        "_contents",
        "_contexts",
        "_functions",
        "_passes",
        "_per_example",
        "_messages",
    },
    "_per_example": {"tensor", "_passes", "_messages"},
    "_passes": {"tensor", "_machine", "_messages"},
    "special": {"tensor", "ops"},
    "stats": {"tensor", "_html", "_messages", "ops"},
    "schedules": {"_html", "_machine", "_messages", "_validation"},
    "data": {"tensor", "_html", "_messages", "_neighbours", "_settings", "_validation"},
    "serialization": {"tensor"},
    "nn": {
        "tensor",
        "_registry",
        "func",
        "_machine",
        "ops",
        "nn",
        "_html",
        "_messages",
        "_contents",
        "_contexts",
        "_validation",
    },
    "optim": {"tensor", "func", "optim", "_html", "_machine", "_messages", "_settings", "_validation", "schedules"},
    "solvers": {"tensor", "func", "solvers", "_machine", "_messages", "_passes", "_validation"},
    "checkpoint": {"tensor", "_contents", "_messages", "_settings", "_validation", "serialization"},
    "debug": {"tensor", "_messages"},
    "testing": {
        "tensor",
        "_registry",
        "func",
        "ops",
        "special",
        "testing",
        "_functions",
        "_messages",
        "_passes",
        "_per_example",
    },
    "onnx": {"tensor", "ops", "serialization", "nn", "__version__"},
    "viz": {"tensor", "nn", "_messages"},
    "__main__": {"__version__", "show_config"},
}
IN_KWARGS = {
    ("einsum", "subscripts"),
    *(("pad", name) for name in ("constant_values", "end_values", "stat_length")),
}  # NumPy has these in *operands and **kwargs
# Code for programs that the tests of the documentation do not need: `test_neighbours`, `test_onnx` and
# `test_logging_hook` run such.
NEIGHBOURS = r"\b(frame|Image|onnxruntime|tensorboardX|wandb)\b"
OUTSIDE = {"numpy", "safetensors", "hypothesis"}


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_imports_upward_or_an_undeclared_dependency(path: Path) -> None:
    if part(path) == "__init__":
        return
    depth = len(path.relative_to(PACKAGE).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            assert set(names) <= FLOORS[part(path)]
        elif isinstance(node, ast.ImportFrom | ast.Import) and not getattr(node, "level", 0):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for name in names:
                top = name.split(".")[0]
                assert top in sys.stdlib_module_names | OUTSIDE
                assert top != "hypothesis" or path.stem in ("strategies", "operations")
                assert top != "safetensors" or path.stem == "serialization"
                assert top != "pickle"


def without_encoding(path: Path) -> list[int]:
    """The lines of a file that read or write text in whatever encoding the machine has."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        is_builtin = name == "open" and isinstance(node.func, ast.Name)
        is_paths = name == "write_text" or (name == "read_text" and not isinstance(node.func, ast.Name))
        is_binary = any(isinstance(a, ast.Constant) and "b" in str(a.value) for a in node.args[1:])
        of_module = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "char_transformer"
        if (is_builtin or is_paths) and not (is_binary or of_module):
            found += [] if any(keyword.arg == "encoding" for keyword in node.keywords) else [node.lineno]
    return found


@pytest.mark.parametrize("folder", ["tinygrad_np", "examples", "benchmarks", "tests"])
def test_text_is_read_and_written_in_a_stated_encoding(folder: str) -> None:
    files = sorted((PACKAGE.parent / folder).rglob("*.py"))
    assert len(files) > 5
    assert {str(path): lines for path in files if (lines := without_encoding(path))} == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_stand_at_the_top_of_a_file_which_says_what_it_is_for(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            assert not [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]


MODULES = list(structure.public_modules(tinygrad_np))


def test_a_public_module_is_one_that_a_public_module_lists() -> None:
    names = {module.__name__ for module in MODULES}
    assert len(names) == len(MODULES) >= 15
    assert {"tinygrad_np", "tinygrad_np.nn", "tinygrad_np.nn.init", "tinygrad_np.stats"} <= names
    files = {path for path in FILES if not any(part.startswith("_") for part in path.relative_to(PACKAGE).parts)}
    at_the_top = {f"tinygrad_np.{path.stem}" for path in files if path.parent == PACKAGE}
    assert at_the_top - names == {"tinygrad_np.tensor"}  # the engine, whose public names are those of the package


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_public_names_are_sorted_and_explained(module: ModuleType) -> None:
    assert module.__all__ == sorted(set(module.__all__))
    assert _summary(module)
    for name, thing in structure.public_members(module).items():
        assert _summary(thing), name
        assert ">>>" in inspect.getdoc(thing), f"{name} has no example"
        kind = thing if inspect.isclass(thing) or inspect.isfunction(thing) else type(thing)
        for member, value in vars(kind).items():
            if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                assert inspect.getdoc(getattr(kind, member)), f"{name}.{member}"


def _summary(thing: object) -> bool:
    """Whether the docstring begins with a line that stands alone and is a sentence."""
    summary, *others = inspect.getdoc(thing).split("\n")
    return summary.endswith((".", ":")) and (not others or not others[0])


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(PACKAGE.parent)))
def test_code_of_the_documentation_is_run(page: Path, pytestconfig: pytest.Config) -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    code = [text for language, text in blocks if language not in ("sh", "text")]
    for text in code:
        if ">>>" not in text and not re.search(NEIGHBOURS, text):
            assert text in (PACKAGE / "ops" / "elementwise.py").read_text(encoding="utf-8")  # a quotation
    run = [PACKAGE.parent / path for path in pytestconfig.getini("testpaths")]
    assert not code or any(page.is_relative_to(path) for path in run), "add it to testpaths in setup.cfg"


def test_the_package_imports_nothing_that_it_does_not_need() -> None:
    code = "import sys, tinygrad_np; print({'hypothesis', 'safetensors', 'matplotlib', 'scipy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


WHO_REGISTERS = """
import importlib, pkgutil, sys
from importlib.machinery import SourceFileLoader

loading, owners = [], {}
execute = SourceFileLoader.exec_module

def note():
    tensor = sys.modules.get("tinygrad_np.tensor")
    for function in getattr(tensor, "registry", {}):
        owners.setdefault(function, loading[-1])

def exec_module(loader, module):
    if loading:
        note()  # what is new by now belongs to the module that imports this one
    loading.append(module.__name__)
    execute(loader, module)
    note()
    loading.pop()

SourceFileLoader.exec_module = exec_module
import tinygrad_np.ops
before = set(owners)
for module in pkgutil.walk_packages(tinygrad_np.__path__, "tinygrad_np."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
late = set(owners) - before
print(len(before), sorted({owners[function] for function in before}), sorted({owners[function] for function in late}))
"""


def test_every_operation_is_registered_by_ops_and_nothing_by_the_rest() -> None:
    run = subprocess.run([sys.executable, "-c", WHO_REGISTERS], capture_output=True, text=True, check=True)
    count, _, modules = run.stdout.partition(" ")
    before, late = ast.literal_eval(modules.strip().replace("] [", "], ["))
    assert int(count) >= 250
    assert late == []
    assert [name for name in before if not name.startswith("tinygrad_np.ops.")] == []
    assert {"tinygrad_np.ops.attention", "tinygrad_np.ops.recurrence"} <= set(before)


def test_files_and_imports_are_counted(tmp_path: Path) -> None:
    package = tmp_path / "tinygrad_np"
    (package / "ops").mkdir(parents=True)
    texts = {
        "__init__.py": "from .tensor import Tensor\nfrom . import ops",
        "tensor.py": "import numpy as np\nfrom ._machine import threads",
        "_machine.py": "import tinygrad_np.lazy\nthreads = 1",
        "lazy.py": "def f():\n    from .ops.first import a",
        "ops/__init__.py": "from . import first, second",
        "ops/first.py": "from ..tensor import apply",
        "ops/second.py": "from .first import a, b",
    }
    for name, text in texts.items():
        (package / name).write_text(text, encoding="utf-8")
    arrows = structure.imports(package)
    found = {str(a.relative_to(package)): {str(b.relative_to(package)) for b in arrows[a]} for a in arrows}
    assert found == {
        "__init__.py": {"tensor.py", "ops/__init__.py"},
        "tensor.py": {"_machine.py"},
        "_machine.py": {"lazy.py"},
        "lazy.py": {"ops/first.py"},
        "ops/__init__.py": {"ops/first.py", "ops/second.py"},
        "ops/first.py": {"tensor.py"},
        "ops/second.py": {"ops/first.py"},
    }
    engine = [str(file.relative_to(package)) for file in structure.engine(package)]
    assert engine == ["_machine.py", "lazy.py", "ops/first.py", "tensor.py"]
    command = [sys.executable, structure.__file__, package]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("7 files, 9 imports between them")
    assert "7 lines and 23 words of engine: _machine.py, lazy.py, ops/first.py, tensor.py" in run.stdout


def test_the_table_of_operations_is_current() -> None:
    """What it says of all functions of NumPy is compared with the NumPy that it names, in the one job that has it."""
    texts = [reference.PATH.read_text(encoding="utf-8"), reference.text()]
    if len({re.findall(r"functions of NumPy [\d.]+\d", text)[0] for text in texts}) > 1:
        texts = [re.sub("# All functions of NumPy.*?\n# Gradients that", "", text, flags=re.DOTALL) for text in texts]
    assert texts[0] == texts[1], "run python -m tinygrad_np.testing.reference"


def test_two_hundred_functions_and_methods_are_differentiable() -> None:
    assert len(reference.differentiable_functions()) + len(reference.differentiable_methods()) >= 200


def test_composites_name_their_arguments_as_numpy_does() -> None:
    """Otherwise a keyword that NumPy documents would be refused."""
    for function, entry in registry.items():
        if isinstance(entry, Composite) and reference.is_numpys(function) and isinstance(function, type(np.sum)):
            try:
                theirs = inspect.signature(function).parameters
            except ValueError:  # before NumPy 2.4 functions in C have none
                continue
            for name, parameter in inspect.signature(entry.implementation).parameters.items():
                if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
                    assert name in theirs or (entry.name, name) in IN_KWARGS, f"{entry.name}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_documentation_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]+`", "``", page.read_text(encoding="utf-8"))  # vjp(h, x)[1](v) is no link
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve()
        assert target.exists(), link
        if anchor:  # as GitHub makes them of headings
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings], link


def test_every_page_of_the_documentation_is_reached_from_the_front_page() -> None:
    linked = {
        (README.parent / link).resolve() for link in re.findall(r"\]\(([^)\s]+)\)", README.read_text(encoding="utf-8"))
    }
    assert set(PAGES[1:]) | {reference.PATH} <= linked


def test_the_map_names_every_file() -> None:
    text = (PACKAGE / "docs" / "map.md").read_text(encoding="utf-8")
    assert not [
        path for path in FILES if path.name != "__init__.py" and f"(../{path.relative_to(PACKAGE)})" not in text
    ]


def test_the_front_page_tells_the_length_of_the_engine() -> None:
    stated = int(re.search(r"([\d,]+) lines", README.read_text(encoding="utf-8"))[1].replace(",", ""))
    assert abs(stated - len((PACKAGE / "tensor.py").read_text(encoding="utf-8").splitlines())) <= 10

"""Count the files of the package, the imports between them, and the size of its engine.

    python tests/structure.py                               # of this checkout
    python tests/structure.py ../other/tinygrad_np          # of another one

The engine is `tensor.py` and what it imports of the package, directly or not. Files are read, and nothing is imported,
so that any version of the package can be counted.
"""

import argparse
import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1] / "tinygrad_np"


def imports(package: Path) -> dict[Path, set[Path]]:
    """For each file of a package, the other files of it that it imports, at its top or anywhere in it."""
    files = sorted(package.rglob("*.py"))
    return {file: {found for found in _imported(package, file) if found != file} for file in files}


def engine(package: Path, first: str = "tensor.py") -> list[Path]:
    """A file of the package and all files that it imports, directly or not."""
    arrows = imports(package)
    found, waiting = set(), [package / first]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += arrows[file]
    return sorted(found)


def public_modules(module: ModuleType) -> Iterator[ModuleType]:
    """A module and those that it lists as public, and that these list."""
    yield module
    for name in module.__all__:
        if isinstance(part := getattr(module, name), ModuleType):
            yield from public_modules(part)


def public_members(module: ModuleType) -> dict[str, Any]:
    """What else a module lists as public, by name."""
    things = {name: getattr(module, name) for name in module.__all__}
    return {name: thing for name, thing in things.items() if not isinstance(thing, ModuleType)}


def _imported(package: Path, file: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(package, alias.name.split("."), [])
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = node.module.split(".") if node.module else []
            if node.level:
                parents = file.relative_to(package.parent).parts[: -node.level]
                module = [*parents, *module]
            yield from _files(package, module, names)


def _files(package: Path, module: list[str], names: Iterable[str]) -> Iterator[Path]:
    """The files that `from module import names` is about; a name may be a file of its own, or stand in the module's."""
    if module[:1] != [package.name]:
        return
    place = package.joinpath(*module[1:])
    for name in names or [""]:
        candidates = [place / f"{name}.py", place / name / "__init__.py"] if name else []
        candidates += [place.with_suffix(".py"), place / "__init__.py"]
        yield from [candidate for candidate in candidates if candidate.is_file()][:1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", nargs="?", type=Path, default=PACKAGE, help="its folder (default %(default)s)")
    package = parser.parse_args().package.resolve()
    if not (package / "tensor.py").is_file():
        parser.error(f"{package}: there is no tensor.py; give the folder of the package, as ../other/tinygrad_np")
    arrows, texts = imports(package), [file.read_text(encoding="utf-8") for file in engine(package)]
    print(f"{len(arrows)} files, {sum(map(len, arrows.values()))} imports between them")
    lines, words = sum(len(text.splitlines()) for text in texts), sum(len(text.split()) for text in texts)
    names = ", ".join(str(file.relative_to(package)) for file in engine(package))
    print(f"{lines} lines and {words} words of engine: {names}")


if __name__ == "__main__":
    main()

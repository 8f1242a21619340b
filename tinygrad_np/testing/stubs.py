"""Generate the stubs that tell type checkers where functions return Tensors: `python -m tinygrad_np.testing.stubs`.

They are `tinygrad_np/__init__.pyi`, and in `tinygrad_np/_numpy` the NumPy that `from tinygrad_np import numpy as np`
gives to a type checker. At run time that is NumPy itself, whose own stubs say ndarray where it returns what a Tensor's
`__array_function__` made.

What a function returns is found by calling it, with the arguments that its cases give to the tests. A function of a
Tensor returns Tensors; otherwise its result is left open.
"""

import ast
import inspect
import re
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .. import special
from .._registry import Composite, Constant, Primitive, registry
from ..ops.cases import Case
from ..tensor import Array, Tensor
from .operations import as_tensors, as_used
from .strategies import example

FOLDER = Path(__file__).parent.parent
PACKAGE: Any = import_module("tinygrad_np")
NAMESPACES = {"__init__": np, "linalg": np.linalg, "fft": np.fft}
MODULES = ("char", "exceptions", "lib", "ma", "polynomial", "random", "rec", "strings", "testing", "typing")
UNTYPED = {"test"}  # names that NumPy's own stubs do not have
HEADER = "# Written by `python -m tinygrad_np.testing.stubs`; a test compares it with the registry.\n"
PLAIN = {"bool", "float", "int", "str", "None"}

Operation = Primitive | Composite


# --- what an operation takes and returns -----------------------------------------------------------------------------


class Facts:
    """What calls of an operation have shown.

    Attributes:
        signature: what it takes.
        operands: the types of those parameters for which Tensors were given, by name.
        result: the type that all results have, or "Any".
        tuples: the named tuples among the results, as the lines that define them, by name.
    """

    def __init__(self, entry: Operation) -> None:
        self.signature = entry.call_signature
        self.operands: dict[str, str] = {}
        self.tuples: dict[str, list[str]] = {}
        results = set()
        for given, case in _examples(entry):
            try:
                bound = self.signature.bind(*given, *case.args, **case.kwargs).arguments
            except TypeError:
                bound = {}  # a keyword by a name that the operation does not have
            for name, value in bound.items():
                if type(value) is Tensor:
                    self.operands[name] = "Tensor"
                elif isinstance(value, list | tuple) and any(type(part) is Tensor for part in value):
                    parameter = self.signature.parameters[name]
                    several = parameter.kind is not parameter.VAR_POSITIONAL
                    self.operands[name] = "Sequence[Tensor]" if several else "Tensor"
            with warnings.catch_warnings(action="ignore"):
                results.add(self._type_of(as_used(entry)(*given, *case.args, **case.kwargs)))
        self.result = _common(results)

    def _type_of(self, result: Any) -> str:
        if type(result) is Tensor:
            return "Tensor"
        if isinstance(result, np.ndarray):
            return "NDArray[Any]"
        if isinstance(result, list) and result:
            return f"list[{_common({self._type_of(part) for part in result})}]"
        if isinstance(result, tuple):
            parts = [self._type_of(part) for part in result]
            if type(result) is tuple:
                return f"tuple[{', '.join(parts)}]"
            name, fields = type(result).__name__, zip(type(result)._fields, parts, strict=True)  # type: ignore[attr-defined]
            self.tuples[name] = [f"class {name}(NamedTuple):", *(f"    {field}: {kind}" for field, kind in fields)]
            return name
        return "Any"


def _examples(entry: Operation) -> Iterator[tuple[list[Any], Case]]:
    """Arguments for each case of an operation, with Tensors in the place of its arrays of floating point."""
    for case in entry.cases:
        tensors = as_tensors(example(case))
        prepared = case.prepare(*tensors) if case.prepare else tensors
        given = list(prepared) if isinstance(prepared, tuple | list) else [prepared]
        yield [given] if case.shapes.startswith("[") else given, case


def _common(types: set[str]) -> str:
    """The one type, or a tuple of any number of Tensors, or Any."""
    if len(types) == 1:
        return next(iter(types))
    return "tuple[Tensor, ...]" if all(re.fullmatch(r"tuple\[Tensor(, Tensor)*\]", kind) for kind in types) else "Any"


# --- as text ---------------------------------------------------------------------------------------------------------

START = """from collections.abc import Sequence
from typing import Any, NamedTuple, overload

from numpy.typing import NDArray
{imports}
"""
KINDS = """from collections.abc import Sequence
from typing import Any, TypeAlias, overload, type_check_only

from numpy import generic
from numpy.typing import DTypeLike, NDArray

from ..tensor import Tensor

Plain: TypeAlias = NDArray[Any] | generic | complex | Sequence[Any]  # what is no Tensor

@type_check_only
class Unary:
    @overload
    def __call__(self, x: Tensor, /, *, dtype: DTypeLike | None = ...) -> Tensor: ...
    @overload
    def __call__(self, x: Plain, /, *arguments: Any, **keywords: Any) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...

@type_check_only
class Binary:
    @overload
    def __call__(self, a: Tensor, b: Any, /, *, dtype: DTypeLike | None = ...) -> Tensor: ...
    @overload
    def __call__(self, a: Plain, b: Tensor, /, *, dtype: DTypeLike | None = ...) -> Tensor: ...
    @overload
    def __call__(self, a: Plain, b: Plain, /, *arguments: Any, **keywords: Any) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...
"""


def _overloads(
    name: str, signature: inspect.Signature, operands: dict[str, str], result: str, numpys: bool = False
) -> list[str]:
    """A function: with a Tensor for one of its operands it returns Tensors; otherwise that is left open.

    One of NumPy's takes all of its own arguments there.
    """
    first = next(iter(signature.parameters), None)
    needed = [
        p.name
        for p in signature.parameters.values()
        if p.name in operands and (p.default is p.empty or p.name == first)
    ]
    if not needed or result == "Any":
        return [f"def {name}({_parameters(signature, {})}) -> {result}: ..."]
    lines = []
    for i, operand in enumerate(needed):
        types = {other: _plain(operands[other]) for other in needed[:i]} | {operand: operands[operand]}
        lines += ["@overload", f"def {name}({_parameters(signature, types)}) -> {result}: ..."]
    types = {operand: _plain(operands[operand]) for operand in needed}
    if not numpys:
        return [*lines, "@overload", f"def {name}({_parameters(signature, types)}) -> Any: ..."]
    kept = list(signature.parameters.values())[: list(signature.parameters).index(needed[-1]) + 1]
    text = _parameters(inspect.Signature(kept), types)
    rest = "" if kept[-1].kind is kept[-1].VAR_POSITIONAL else ", *arguments: Any"
    return [*lines, "@overload", f"def {name}({text}{rest}, **keywords: Any) -> Any: ..."]


def _plain(operand: str) -> str:
    return "Plain" if operand == "Tensor" else "Sequence[Plain]"


def _parameters(signature: inspect.Signature, types: dict[str, str]) -> str:
    """The parameters, with types where they are given or plain."""
    parts: list[str] = []
    before = None
    for p in signature.parameters.values():
        if before is p.POSITIONAL_ONLY is not p.kind:
            parts.append("/")
        if p.kind is p.KEYWORD_ONLY and before not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            parts.append("*")
        star = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        default = "" if p.default is p.empty else " = ..."
        parts.append(f"{star}{p.name}: {types.get(p.name) or _annotation(p)}{default}")
        before = p.kind
    return ", ".join([*parts, "/"] if before is inspect.Parameter.POSITIONAL_ONLY else parts)


def _annotation(parameter: inspect.Parameter) -> str:
    """Booleans, numbers and text as they are annotated, or as the default of `keepdims` shows; else Any."""
    annotation = parameter.annotation
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    if set(text.split(" | ")) <= PLAIN:
        return text
    return "bool" if parameter.name == "keepdims" else "Any"


# --- the files -------------------------------------------------------------------------------------------------------


def _of_numpy(module: ModuleType) -> str:
    """The stub of one of NumPy's namespaces."""
    own, others = [], []
    tuples: dict[str, list[str]] = {}
    imported = {name for name, thing in vars(module).items() if not isinstance(thing, ModuleType)} - UNTYPED
    for name in sorted(imported | set(MODULES if module is np else ())):
        thing = getattr(module, name)
        if name.startswith("_"):
            continue
        entry = registry.get(thing) if callable(thing) and not isinstance(thing, type) else None
        if entry is None or isinstance(entry, Constant):
            others.append(f"from {module.__name__} import {name} as {name}\n")
            continue
        facts = Facts(entry)
        tuples |= facts.tuples
        if isinstance(entry, Primitive) and entry.takes_dtype and isinstance(thing, np.ufunc):
            own.append(f"{name}: {'Unary' if thing.nin == 1 else 'Binary'}")
        else:
            own += _overloads(name, facts.signature, facts.operands, facts.result, numpys=True)
    imports = "".join(["from ..tensor import Tensor\n", "from ._kinds import Binary, Plain, Unary\n", *others])
    if module is np:
        imports += "from . import fft as fft\nfrom . import linalg as linalg\n"
    defined = [line for lines in tuples.values() for line in lines]
    return "\n".join([HEADER, START.format(imports=imports), *defined, *own, ""])


def _of_package() -> str:
    """The stub of `tinygrad_np`: its functions of Tensors, and all other names as they are imported there."""
    functions = {name: thing for name in dir(PACKAGE) if _is_operation(thing := getattr(PACKAGE, name))}
    lines = []
    for name, function in functions.items():
        signature = inspect.signature(function)
        first = next(iter(signature.parameters))
        lines += _overloads(name, signature, {first: "Tensor"}, _result_of(function, signature))
    imports = "".join(
        f"from {'.' * node.level}{node.module or ''} import {alias.name} as {alias.name}\n"
        for node in ast.walk(ast.parse(inspect.getsource(PACKAGE)))
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
        if alias.name in {*dir(PACKAGE)} - functions.keys()
    )
    imports += "from . import _numpy as numpy\nfrom ._numpy._kinds import Plain\n"
    return "\n".join([HEADER, START.format(imports=imports), _all(PACKAGE), "__version__: str", *lines, ""])


def _is_operation(thing: Any) -> bool:
    return inspect.isfunction(thing) and thing.__module__.startswith("tinygrad_np.ops.")


def _result_of(function: Any, signature: inspect.Signature) -> str:
    """An array for functions that say so, unless they are the forward of an operation."""
    returns_array = signature.return_annotation is Array and not hasattr(function, "__wrapped__")
    return "NDArray[Any]" if returns_array else "Tensor"


def _of_special() -> str:
    """The stub of `tinygrad_np.special`."""
    own = []
    for name in dir(special):
        thing = getattr(special, name)
        if isinstance(thing, np.ufunc) and thing.nout == 1 and thing.nin <= 2:
            own.append(f"{name}: {'Unary' if thing.nin == 1 else 'Binary'}")
            continue
        if isinstance(thing, np.ufunc):
            kind = inspect.Parameter.POSITIONAL_ONLY
            signature = inspect.Signature([inspect.Parameter(letter, kind) for letter in "abcd"[: thing.nin]])
        else:
            signature = inspect.signature(thing)
        results = getattr(thing, "nout", 1)
        result = "Tensor" if results == 1 else f"tuple[{', '.join(['Tensor'] * results)}]"
        given = [p for p in signature.parameters.values() if _annotation(p) == "Any" and p.default is p.empty]
        operands = {p.name: "Tensor" for p in given if p.kind is not p.VAR_KEYWORD}
        several = "return_sign" in signature.parameters
        own += _overloads(name, signature, operands, "Any" if several else result)
    imports = "from ._numpy._kinds import Binary, Plain, Unary\nfrom .tensor import Tensor as Tensor\n"
    return "\n".join([HEADER, START.format(imports=imports), _all(special), *own, ""])


def _all(module: ModuleType) -> str:
    return f"__all__ = {module.__all__!r}\n"


def texts() -> dict[Path, str]:
    """The contents of each file."""
    found = {FOLDER / "_numpy" / f"{name}.pyi": _of_numpy(module) for name, module in NAMESPACES.items()}
    found[FOLDER / "_numpy" / "_kinds.pyi"] = f"{HEADER}\n{KINDS}"
    return found | {FOLDER / "__init__.pyi": _of_package(), FOLDER / "special.pyi": _of_special()}


if __name__ == "__main__":
    for path, text in texts().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

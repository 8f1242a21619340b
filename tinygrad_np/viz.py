"""Draw computation graphs with Graphviz.

    viz.render(loss, "loss.svg", model)                  # an SVG file; needs the program `dot`
    viz.render(loss, "loss.svg", model, gradients=True)  # with the values and gradients of small Tensors
    viz.graph(loss, model)                               # in a notebook: the picture
    viz.graph(loss, model).save("loss.pdf")              # or .svg, .png, .dot
    print(viz.graph(loss, model))                        # the DOT source, for other programs

Operations are blue and show the dtype and shape of their results. Tensors that require a gradient are green, constants
grey, and the final result is yellow.
"""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ._messages import kind as _kind
from ._messages import setting_text
from .nn import Module
from .tensor import Tensor, _ancestors, grad

__all__ = ["Graph", "graph", "render"]

HEAD = """digraph {
  node [shape=box, style="filled,rounded", fontname="Helvetica", fontsize=11, margin="0.12,0.05", height=0.3]
  edge [color="#707070", arrowsize=0.6]"""
OPERATION = 'fillcolor="#e8f0fb", color="#5b7db1"'
RESULT = 'fillcolor="#fdeccc", color="#c98a1b"'
LEAF = 'style=filled, fillcolor="#e3f2df", color="#5d9150"'
CONSTANT = 'style=filled, fillcolor="#f1f1f1", color="#9a9a9a"'
SMALL = 6  # the largest number of elements whose values fit into a node
# The most characters of an argument, a tuple, and all arguments of an operation or the name of a Tensor.
ARGUMENT, TUPLE, CALL = 30, 60, 80
FORMATS = (".svg", ".png", ".pdf", ".dot")


class Graph(str):
    """A computation graph: its DOT source as text, which a notebook shows as a picture.

    Where Graphviz's program `dot` is not installed, a notebook shows the text.

    >>> picture = graph(Tensor([1.0, 2.0]))
    >>> picture.splitlines()[-2]
    '  n0 [label="float32[2]", fillcolor="#fdeccc", color="#c98a1b"]'
    >>> picture.save("graph.gif")
    Traceback (most recent call last):
    ValueError: a graph is saved as .svg, .png, .pdf or .dot, not as 'graph.gif'
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_svg_(self) -> str | None:
        return _drawn(self, "svg").decode() if shutil.which("dot") else None

    def save(self, path: "str | Path") -> None:
        """Write the graph to a file whose name ends in .svg, .png, .pdf or .dot; all but .dot need Graphviz.

        Raises:
            ValueError: the name ends otherwise.
            RuntimeError: Graphviz's program `dot` is not installed or fails.
            OSError: the file cannot be written.
        """
        ending = Path(path).suffix
        if ending not in FORMATS:
            raise ValueError(f"a graph is saved as .svg, .png, .pdf or .dot, not as {Path(path).name!r}")
        Path(path).write_bytes(self.encode() if ending == ".dot" else _drawn(self, ending[1:]))


def graph(
    tensor: Tensor,
    parameters: "Module | Mapping[str, Tensor] | None" = None,
    *,
    gradients: bool = False,
    horizontal: bool = False,
) -> Graph:
    """The computation graph of a Tensor as DOT source, which a notebook shows as a picture.

    The inputs are at the top and the Tensor is at the bottom.

    The same computation gives the same text. Arrays and Tensors without a gradient are nodes too; numbers, indices and
    keyword arguments appear in the label of their operation.

    Args:
        tensor: the result whose graph to draw.
        parameters: a Module or a dict that names Tensors; results of operations may have names too.
        gradients: for arrays of up to 6 elements, show the value instead of the dtype and shape, and the gradient of
            `tensor`, which must be a scalar. The graph is kept for a later backward pass.
        horizontal: draw from left to right.

    Raises:
        TypeError: `tensor` or a named value is not a Tensor.
        ValueError: `gradients` is set and the Tensor is not a scalar.
        RuntimeError: a backward pass has freed the graph. Draw it before, or pass `retain_graph=True` to that backward.

    Source: the DOT language, https://graphviz.org/doc/info/lang.html.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> print("\\n".join(graph(np.sum(x * 2, axis=0), {"x": x}).splitlines()[3:]))
      n0 [label="x\\nfloat32[2]", style=filled, fillcolor="#e3f2df", color="#5d9150"]
      n1 [label="multiply(·, 2)\\nfloat32[2]", fillcolor="#e8f0fb", color="#5b7db1"]
      n0 -> n1
      n2 [label="sum(·, axis=0)\\nfloat32[]", fillcolor="#fdeccc", color="#c98a1b"]
      n1 -> n2
    }
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"viz draws the graph of a Tensor, not of {type(tensor).__name__}")
    named = parameters.named_tensors() if isinstance(parameters, Module) else dict(parameters or {}).items()
    names = {id(t): name for name, t in named if _is_tensor(t, name)}
    small = [t for t in _ancestors([tensor], None) if t.requires_grad and t.size <= SMALL] if gradients else []
    gradient_of = dict(zip(map(id, small), grad(tensor, small, retain_graph=True), strict=True)) if gradients else {}
    lines = [HEAD, "  rankdir=LR"] if horizontal else [HEAD]
    nodes: dict[int, str] = {}  # DOT node names, by the id of their Tensor or array

    def add(value: Any, title: str, look: str) -> None:
        facts = [_kind(value)] if not gradients or value.size > SMALL else [f"value {_numbers(value)}"]
        if id(value) in gradient_of:
            facts.append(f"gradient {_numbers(gradient_of[id(value)])}")
        text = "\\n".join(_escaped(line) for line in (_end(names.get(id(value), ""), CALL), title, *facts) if line)
        nodes[id(value)] = f"n{len(nodes)}"
        lines.append(f'  {nodes[id(value)]} [label="{text}", {look}]')

    for made in _ancestors([tensor], None):
        if made._node is None:
            continue  # leaves are added with the first operation that uses them
        operation, args, _, kwargs, _ = made._node
        sources = [a for a in args if _is_node(a)]
        for a in sources:
            if id(a) not in nodes:
                add(a, "", LEAF if isinstance(a, Tensor) and a.requires_grad else CONSTANT)
        add(made, _call(operation.name, args, kwargs), RESULT if made is tensor else OPERATION)
        lines += [f"  {nodes[id(a)]} -> {nodes[id(made)]}" for a in sources]
    if not nodes:
        add(tensor, "", RESULT)
    return Graph("\n".join([*lines, "}"]) + "\n")


def render(
    tensor: Tensor,
    path: "str | Path",
    parameters: "Module | Mapping[str, Tensor] | None" = None,
    *,
    gradients: bool = False,
    horizontal: bool = False,
) -> None:
    """Draw the computation graph of a Tensor to an SVG file; see `graph` for the arguments.

    Raises:
        ValueError: the file's name does not end in .svg, or `gradients` is set and the Tensor is not a scalar.
        RuntimeError: Graphviz's program `dot` is not installed or fails, or a backward pass has freed the graph.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> render(np.sum(x * 2), "graph.png")
    Traceback (most recent call last):
    ValueError: render writes SVG files: the name must end in .svg, not 'graph.png'
    """
    if Path(path).suffix != ".svg":
        raise ValueError(f"render writes SVG files: the name must end in .svg, not {Path(path).name!r}")
    graph(tensor, parameters, gradients=gradients, horizontal=horizontal).save(path)


def _drawn(source: str, form: str) -> bytes:
    """The picture that Graphviz draws, as an SVG, PNG or PDF file."""
    program = shutil.which("dot")
    if program is None:
        raise RuntimeError(
            f"{form.upper()} files are drawn by Graphviz's program `dot`, which is not installed: apt install graphviz,"
            " brew install graphviz or conda install graphviz; or write viz.graph(...).save('graph.dot') for another"
            " program"
        )
    run = subprocess.run([program, f"-T{form}"], input=source.encode(), capture_output=True, check=False)
    if run.returncode:
        raise RuntimeError(f"dot failed with status {run.returncode}: {run.stderr.decode(errors='replace')[:500]}")
    return run.stdout


def _is_tensor(value: Any, name: str) -> bool:
    if not isinstance(value, Tensor):
        raise TypeError(f"parameters must name Tensors, but {name!r} is of type {type(value).__name__}")
    return True


def _is_node(argument: Any) -> bool:
    return isinstance(argument, Tensor) or (isinstance(argument, np.ndarray) and argument.ndim > 0)


def _numbers(value: Any) -> str:
    array = value.data if isinstance(value, Tensor) else value
    text = np.array2string(
        array, separator=", ", formatter={"float_kind": "{:.4g}".format, "int_kind": str, "bool": str}
    )
    return " ".join(text.split())


def _call(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """An operation's label, with its arguments unless all are nodes: `add`, `sum(·, axis=0)`, `[:, 0]`."""
    if name == "getitem":
        return f"[{_shown(args[1]).removeprefix('(').removesuffix(')')}]"
    given = ["·" if _is_node(a) else _shown(a) for a in args]
    given += [f"{key}={_shown(value)}" for key, value in kwargs.items() if key not in ("saved", "call")]
    name = name.removeprefix("_")
    return name if set(given) <= {"·"} else f"{name}({_cut(', '.join(given), CALL)})"


def _shown(value: Any) -> str:
    """Short text for a number, an index or an option."""
    if isinstance(value, slice):
        ends = ["" if end is None else str(end) for end in (value.start, value.stop, value.step)]
        return ":".join(ends if ends[2] else ends[:2])
    if isinstance(value, tuple):
        return f"({_cut(', '.join(map(_shown, value)), TUPLE)}{',' if len(value) == 1 else ''})"
    if isinstance(value, np.ndarray) and value.ndim:
        return _kind(value)
    named = callable(value) or isinstance(value, list)  # whose str() has addresses, or all numbers of arrays
    return _cut("..." if value is ... else setting_text(value) if named else str(value), ARGUMENT)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _end(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[1 - width :]


def _escaped(text: str) -> str:
    """Text escaped for a quoted DOT label, where backslashes, quotes, & and unprintable characters have meanings."""
    printable = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")

"""The documentation as a site: `python -m sphinx -W -q -c docs . build/site`, then open build/site/index.html.

The pages are the Markdown files and the notebook that the README links to, and one page for each public module, from
its docstrings.
"""

import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any

import tinygrad_np
from tinygrad_np._messages import _Absent

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.ext import napoleon
from sphinx.ext.napoleon import GoogleDocstring

ROOT = Path(__file__).parent.parent
MADE = ROOT / "docs" / "made"  # pages that this file writes, before Sphinx reads them
LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\(([^)#:\s]+)\)")

project = "tinygrad_np"
version = tinygrad_np.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
include_patterns = ["*.md", "examples/*.ipynb", "examples/data/**.md", "tinygrad_np/**.md", "docs/made/**"]
exclude_patterns = ["DESCRIPTION.md"]  # the README in short, for package indexes
root_doc = "README"
smartquotes_action = "D"  # dashes only: "quotes" are often code
default_role = "code"  # `x` in a docstring
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # it is kept with its outputs, which a test compares
autodoc_member_order = "groupwise"
autodoc_typehints = "none"  # the signature would fill a screen; the docstring gives shapes and dtypes
autosummary_generate = False
napoleon_use_rtype = False
napoleon_use_param = False  # a field of two names, as `weight, bias`, would be a name and its type
napoleon_custom_sections = [("Attributes", "params_style")]
toc_object_entries = False  # each page would copy those of all others: half of the time of the build
html_theme = "furo"
html_math_renderer = "mathml"
html_title = f"tinygrad_np {version}"
html_copy_source = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]

NAVIGATION = """

```{toctree}
:hidden:
:caption: Guide

%s
```

```{toctree}
:hidden:
:caption: Reference

/docs/made/reference
```

```{toctree}
:hidden:
:caption: About

%s
```
"""

REFERENCE = """\
Reference
=========

Every public name, module by module.

.. list-table::

%s

.. toctree::
   :hidden:

%s
"""

MODULE = """\
{name}
{rule}

.. automodule:: {name}

.. currentmodule:: {name}

.. autosummary::
   :nosignatures:

{names}

{entries}
"""

SOURCE = """\
:orphan:
:nosearch:

{name}
{rule}

.. literalinclude:: /{name}
   :language: python
"""


def public_modules(module: ModuleType = tinygrad_np) -> Iterator[ModuleType]:
    """The package, and the modules that its modules list as public."""
    yield module
    for name in module.__all__:
        if isinstance(part := getattr(module, name), ModuleType):
            yield from public_modules(part)


def members(module: ModuleType) -> dict[str, Any]:
    things = {name: getattr(module, name) for name in module.__all__}
    return {name: thing for name, thing in things.items() if not isinstance(thing, ModuleType)}


PUBLIC = {thing for module in public_modules() for thing in members(module).values() if inspect.isclass(thing)}


# --- pages that are made ---------------------------------------------------------------------------------------------


def entry(name: str, thing: Any) -> str:
    if inspect.isclass(thing):
        bases = "   :show-inheritance:\n" if PUBLIC.issuperset(thing.__bases__) else ""
        return f".. autoclass:: {name}\n   :members:\n{bases}"
    if inspect.isfunction(thing):
        return f".. autofunction:: {name}\n"
    methods = [value for key, value in inspect.getmembers(thing, inspect.ismethod) if not key.startswith("_")]
    return f".. autodata:: {name}\n   :no-value:\n\n{''.join(method_entry(name, each) for each in methods)}"


def method_entry(owner: str, method: MethodType) -> str:
    """An entry for a method of a public object whose class is not public: autodoc knows those of classes only."""
    called = inspect.signature(method)
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in called.parameters.values()]
    call = called.replace(parameters=parameters, return_annotation=called.empty)
    lines = restructured(inspect.getdoc(method).splitlines())
    sections = str(GoogleDocstring(lines, napoleon.Config(napoleon_use_param=False)))
    text = textwrap.indent(sections, " " * 6)
    return f"   .. py:method:: {owner}.{method.__name__}{call}\n\n{text}\n\n"


def write_pages() -> None:
    """Write the pages that have changed, since Sphinx reads those again that are newer than its cache."""
    pages = {MADE / f"{name}.rst": text for name, text in [*module_pages(), *source_pages()]}
    for path in set(MADE.rglob("*.rst")) - set(pages):
        path.unlink()
    for path, text in pages.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def module_pages() -> Iterator[tuple[str, str]]:
    modules = list(public_modules())
    for module in modules:
        things = members(module)
        names = "\n".join(f"   {name}" for name in things)
        entries = "\n".join(entry(name, thing) for name, thing in things.items())
        name, rule = module.__name__, "=" * len(module.__name__)
        yield name, MODULE.format(name=name, rule=rule, names=names, entries=entries)
    rows = [f"   * - :doc:`{m.__name__}`\n     - {escaped(inspect.getdoc(m).splitlines()[0])}" for m in modules]
    yield "reference", REFERENCE % ("\n".join(rows), "\n".join(f"   {m.__name__}" for m in modules))


def source_pages() -> Iterator[tuple[str, str]]:
    for path in [*ROOT.glob("tinygrad_np/**/*.py"), *ROOT.glob("examples/**/*.py")]:
        name = path.relative_to(ROOT).as_posix()
        yield name, SOURCE.format(name=name, rule="=" * len(name))


# --- pages that are read ---------------------------------------------------------------------------------------------


def read_page(app: Sphinx, name: str, content: list[str]) -> None:
    """Lead links to source files to pages of them; folders have no page, and no link."""
    if app.env.doc2path(name).suffix != ".md":
        return
    folder = (ROOT / name).parent

    def link(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        page = MADE / f"{target.relative_to(ROOT)}.rst"
        if target.is_dir():
            return match[1]
        return f"[{match[1]}](/{page.relative_to(ROOT)})" if page.exists() else match[0]

    text = content[0]
    if name == root_doc:
        table, _, rest = text.partition("## Read on")[2].partition("\n\n[")
        text += NAVIGATION % (pages_of(table), pages_of(f"[{rest}"))
    content[0] = LINK.sub(link, text).replace("\n\n```\n", "\n```\n")  # doctest needs the empty line


def pages_of(text: str) -> str:
    """The pages that a text links to, as entries of a table of contents."""
    links = (Path(target) for _, target in LINK.findall(text))
    return "\n".join(f"/{link.with_suffix('')}" for link in links if link.suffix in (".md", ".ipynb"))


# --- docstrings ------------------------------------------------------------------------------------------------------


def escaped(text: str) -> str:
    """Text whose * and | and _ are characters, outside of code, and whose code may be followed by a letter."""
    parts = re.split(r"(``?[^`]+``?)", text)
    for i, part in enumerate(parts):
        if i % 2 == 0:
            parts[i] = re.sub(r"(?<!\\)[*|]|(?<=\w)_\b", r"\\\g<0>", part)
            if i and part[:1].isalnum():
                parts[i] = "\\ " + parts[i]  # an s, for example
    return "".join(parts)


def paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """The lines between empty ones."""
    for empty, group in itertools.groupby(lines, key=lambda line: not line.strip()):
        if not empty:
            yield list(group)


def indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())


def as_restructured_text(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Make a docstring the markup that Sphinx reads, apart from its sections, which napoleon will see to."""
    if getattr(thing, "__module__", None) == "numpy":  # a method, whose docstring is that of NumPy's function
        lines[:] = [*next(paragraphs(lines)), "", f"See the documentation of `numpy.{thing.__name__}`."]
    if what == "data":
        lines[:] = inspect.getdoc(thing).splitlines()
    lines[:] = restructured(lines)


def restructured(lines: list[str]) -> list[str]:
    """Escape what would be markup only by chance, and keep indented code as it is."""
    result: list[str] = []
    indent = 0  # of the text above
    for paragraph in paragraphs(lines):
        first = paragraph[0]
        if indent_of(first) >= indent + 4 and not first.lstrip().startswith(("- ", ":", ">>>")):
            result += [" " * indent + "::", "", *paragraph, ""]
            continue
        examples = next((i for i, line in enumerate(paragraph) if line.lstrip().startswith(">>>")), len(paragraph))
        text = escaped("\n".join(paragraph[:examples])).split("\n") if examples else []
        result += [*text, *paragraph[examples:], ""]
        indent = indent_of((paragraph[:examples] or paragraph)[-1])
    return result


def leave_out(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the names of other libraries, which only say what to write instead."""
    return True if type(thing) is _Absent else None


# --- the site --------------------------------------------------------------------------------------------------------


def write_formula(writer: Any, node: nodes.math | nodes.math_block) -> None:
    """Write a formula for browsers themselves to set: MathJax would be loaded from the network."""
    writer.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Lead from index.html, where browsers and servers look for it, to the front page."""
    page = f'<!doctype html><title>{project}</title><meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
    Path(app.outdir, "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> None:
    write_pages()
    app.add_html_math_renderer("mathml", (write_formula, None), (write_formula, None))
    app.connect("source-read", read_page)
    app.connect("autodoc-skip-member", leave_out)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)  # before napoleon
    app.connect("build-finished", write_index)

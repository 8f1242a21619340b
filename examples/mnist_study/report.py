"""HTML pages that hold text, tables and pictures in a single file, report.html.

A page needs no network, no script and no other file, and is readable on a phone.
"""

import base64
import html
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import tinygrad_np

import numpy as np

from .environment import commit
from .figures import Picture

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 46rem; margin: 0 auto; padding: 1rem; overflow-wrap: break-word; }}
h1 {{ font-size: 1.6rem; line-height: 1.2; }}
h2 {{ font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 1px solid #ccc; }}
figure {{ margin: 1.5rem 0; }}
figcaption {{ font-weight: 600; }}
img {{ display: block; max-width: 100%; height: auto; }}
.about {{ color: #555; }}
.wide {{ overflow-x: auto; container-type: inline-size; }}
.whole {{ width: max-content; }}
/* Shown where the table is wider than the window: 100% is the width of the table, 100cqw that of the window. */
.hint {{ display: flow-root; overflow: clip; }}
.hint span {{ display: block; position: sticky; left: 0; width: max-content; color: #555; line-height: 1.5rem;
             margin-top: -1.5rem; margin-top: clamp(-1.5rem, 999 * (100% - 100cqw) - 1.5rem, 0rem); }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }}
.caption {{ font-weight: 600; margin: 1.5rem 0 0; }}
th, td {{ padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }}
th:first-child, td:first-child {{ text-align: left; }}
.words td {{ text-align: left; overflow-wrap: anywhere; }}
.best td {{ font-weight: 700; background: #eef4fb; }}
pre {{ background: #f4f4f4; padding: .8rem; white-space: pre-wrap; }}
.option {{ white-space: nowrap; }}
@media (max-width: 640px) {{ img {{ max-width: min(100%, 28rem); }} }}
@media (max-width: 30rem) {{
  body {{ padding: .75rem; }}
  .wide {{ font-size: .85rem; }}
  .wide th, .wide td {{ padding: .2rem .4rem; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
<p class=about>{about}</p>
{body}
</body>
</html>
"""


def page(title: str, *parts: str, start: float) -> bytes:
    """A whole page, made of what the functions below return; `start` is the `time.perf_counter()` of its beginning."""
    about = (
        f"Written on {datetime.now(UTC):%Y-%m-%d at %H:%M} UTC, {time.perf_counter() - start:.1f}\N{NO-BREAK SPACE}s"
        f" after the command was given, by tinygrad_np {tinygrad_np.__version__}"
    )
    about += f" (commit {known})." if (known := commit()) else "."
    return PAGE.format(title=html.escape(title), about=html.escape(about), body="\n".join(parts)).encode()


def heading(text: str) -> str:
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def commands(*lines: str) -> str:
    """Commands in full, in as many lines as they need; none breaks inside an option's name."""
    text = re.sub("--[a-z-]+", r"<span class=option>\g<0></span>", html.escape("\n".join(lines)))
    return f"<pre>{text}</pre>"


def figure(picture: Picture) -> str:
    """A picture inside the page itself, with its alt text; narrow screens show its narrow version."""
    return (
        f"<figure><figcaption>{html.escape(picture.title)}</figcaption><picture>"
        f"<source media='(max-width: 640px)' srcset={_png(picture.narrow)}>"
        f"<img src={_png(picture.png)} alt='{html.escape(picture.alt, quote=True)}'></picture></figure>"
    )


def _png(file: bytes) -> str:
    """A PNG file as an address in quotes, followed by its size, which keeps the page from jumping as it loads."""
    width, height = np.frombuffer(file[16:24], ">u4")  # from the header
    return f"'data:image/png;base64,{base64.b64encode(file).decode()}' width='{width}' height='{height}'"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "", best: int | None = None) -> str:
    """A table of numbers; the row with the index `best` is highlighted."""
    head = "".join(f"<th scope='col'>{html.escape(str(cell))}</th>" for cell in header)
    body = "".join(
        f"<tr{' class=best' * (i == best)}>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>"
        for i, row in enumerate(rows)
    )
    title = f"<p class=caption>{html.escape(caption)}</p>" if caption else ""
    hint = "<div class=hint aria-hidden=true><span>&#8596; scroll sideways to see all columns</span></div>"
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"{title}<div class=wide><div class=whole>{hint}{whole}</div></div>"


def facts(values: Mapping[str, Any]) -> str:
    """A table of names and values."""
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(str(name))}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in values.items()
    )
    return f"<table class=words><tbody>{rows}</tbody></table>"

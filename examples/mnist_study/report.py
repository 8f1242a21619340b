"""HTML pages that hold text, tables and pictures in a single file, report.html.

A page needs no network, no script and no other file, and is readable on a phone.
"""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

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
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }}
.caption {{ font-weight: 600; margin: 1.5rem 0 -.5rem; }}
th, td {{ padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }}
th:first-child, td:first-child {{ text-align: left; }}
.words td {{ text-align: left; overflow-wrap: anywhere; }}
.best td {{ font-weight: 700; background: #eef4fb; }}
pre {{ background: #f4f4f4; padding: .8rem; overflow-x: auto; }}
@media (max-width: 30rem) {{ .wide {{ font-size: .85rem; }} .wide th, .wide td {{ padding: .2rem .4rem; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def page(title: str, *parts: str) -> bytes:
    """A whole page, made of what the functions below return."""
    return PAGE.format(title=html.escape(title), body="\n".join(parts)).encode()


def heading(text: str) -> str:
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def commands(*lines: str) -> str:
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def figure(picture: Picture) -> str:
    """A picture inside the page itself, with its alt text."""
    source = base64.b64encode(picture.png).decode()
    width, height = np.frombuffer(
        picture.png[16:24], ">u4"
    )  # from the PNG header; keeps the page from jumping as it loads
    return (
        f"<figure><figcaption>{html.escape(picture.title)}</figcaption><img src='data:image/png;base64,{source}'"
        f" width='{width}' height='{height}' alt='{html.escape(picture.alt, quote=True)}'></figure>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "", best: int | None = None) -> str:
    """A table of numbers; the row with the index `best` is highlighted."""
    head = "".join(f"<th scope='col'>{html.escape(str(cell))}</th>" for cell in header)
    body = "".join(
        f"<tr{' class=best' * (i == best)}>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>"
        for i, row in enumerate(rows)
    )
    title = f"<p class=caption>{html.escape(caption)}</p>" if caption else ""
    return f"{title}<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def facts(values: Mapping[str, Any]) -> str:
    """A table of names and values."""
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(str(name))}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in values.items()
    )
    return f"<table class=words><tbody>{rows}</tbody></table>"

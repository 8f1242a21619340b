"""How objects show in a notebook: their `_repr_html_`, which takes the colours of the page that it stands in."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from ._messages import kind, setting_text

BORDER = "border-bottom: 1px solid currentColor"
FIXED = "font-family: monospace"  # which Jupyter's own style takes away
LONGEST = 60  # the most characters of a hyperparameter
POINTS, WIDTH, HEIGHT = 300, 360, 120  # of the plot of a schedule
STAGES = 5  # of those that a schedule repeats, and warmups of one that has no end, that are drawn


def of_tensor(data: "np.ndarray[Any, Any]", requires_grad: bool) -> str:
    """The shape, dtype and numbers of a Tensor; NumPy's print options say how many numbers."""
    numbers = np.array2string(data, separator=", ", threshold=min(200, int(np.get_printoptions()["threshold"])))
    what = f"{kind(data)}{', requires_grad=True' if requires_grad else ''}"
    return f'<div><b>Tensor</b> {escape(what)}<pre style="{FIXED}">{escape(numbers)}</pre></div>'


def of_module(rows: Iterable[tuple[int, str, str, str]]) -> str:
    """The tree of modules as a table; a row has a depth, a name, shapes and a count."""
    depths, *columns = zip(*rows, strict=True)
    return _table("", ("module", "shapes", "parameters"), zip(*columns, strict=True), depths)


def of_optimizer(name: str, names: Sequence[str], groups: Iterable[Mapping[str, Any]], steps: int) -> str:
    """The groups of an optimiser, with their hyperparameters."""
    rows = [
        (f"{i}", f"{sum(p.size for p in group['parameters']):,}", *(_short(setting_text(group.get(n))) for n in names))
        for i, group in enumerate(groups)
    ]
    return _table(f"{name}, {steps:,} steps taken", ("group", "parameters", *names), rows)


def of_wrapper(name: str, settings: Mapping[str, Any], optimizer: Any) -> str:
    """The settings of a wrapper, above the optimiser within."""
    return f"<div><b>{escape(f'{name}: {_listed(settings)}, around')}</b>{optimizer._repr_html_()}</div>"


def of_arrays(caption: str, settings: Mapping[str, Any], arrays: Mapping[str, Any]) -> str:
    """Arrays by name, such as those of a DataLoader, and the settings of what holds them."""
    rows = [(name, f"{a.dtype}", " x ".join(map(str, a.shape)) or "scalar") for name, a in arrays.items()]
    return _table(f"{caption}{': ' if settings else ''}{_listed(settings)}", ("array", "dtype", "shape"), rows)


def of_settings(name: str, settings: Mapping[str, Any]) -> str:
    """Settings, one a row; arrays with their first numbers."""
    return _table(name, ("setting", "value"), [(key, _short(_with_numbers(value))) for key, value in settings.items()])


def of_schedule(schedule: Any) -> str | None:
    """The rates of a schedule, drawn over its steps; None where they cannot be computed."""
    end = max(round(_horizon(schedule)), 10)
    steps = sorted({round(end * i / POINTS) for i in range(POINTS + 1)})
    try:
        rates = [float(schedule(step)) for step in steps]
    except ArithmeticError:
        return None
    top = max(rates)
    if not all(map(math.isfinite, rates)):
        return None
    points = " ".join(
        f"{10 + (WIDTH - 20) * step / end:.1f},{HEIGHT - 20 - (HEIGHT - 40) * (rate / top if top else 0):.1f}"
        for step, rate in zip(steps, rates, strict=True)
    )
    words = 'fill="currentColor" font-size="12" font-family="sans-serif"'
    return (
        f"<div><code>{escape(repr(schedule))}</code><br/>"
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" role="img">'
        f'<path d="M10 20V{HEIGHT - 20}H{WIDTH - 10}" fill="none" stroke="currentColor" opacity="0.4"/>'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        f'<text x="10" y="14" {words}>{top:.4g}</text><text x="10" y="{HEIGHT - 4}" {words}>0</text>'
        f'<text x="{WIDTH - 10}" y="{HEIGHT - 4}" text-anchor="end" {words}>step {end:,}</text></svg></div>'
    )


def _horizon(schedule: Any) -> float:
    """The number of steps that shows what a schedule does."""
    given: dict[str, Any] = getattr(schedule, "__dict__", {})
    if "schedules" in given and given["milestones"]:
        return float(given["milestones"][-1]) + _horizon(given["schedules"][-1])
    if "milestones" in given:
        return 1.25 * max(given["milestones"], default=0)
    if "steps" in given:
        return float(given["steps"] * (STAGES if "growth" in given else 1))
    return float(STAGES * given.get("stage_length", given.get("warmup_steps", 0)))


def _table(
    caption: str, head: Iterable[str], rows: Iterable[Iterable[str]], depths: Iterable[int] = itertools.repeat(0)
) -> str:
    """A table; `depths` says how far the first cell of each row is indented."""
    title = f"<div><b>{escape(caption)}</b></div>" if caption else ""
    first = "".join(f'<th style="text-align: left; {BORDER}">{escape(cell)}</th>' for cell in head)
    lines = ((_cell(cell, depth), *map(_cell, cells)) for (cell, *cells), depth in zip(rows, depths, strict=False))
    rest = "".join(f"<tr>{''.join(line)}</tr>" for line in lines)
    return (
        f'<div>{title}<table style="color: inherit"><thead><tr>{first}</tr></thead><tbody>{rest}</tbody></table></div>'
    )


def _cell(text: str, depth: int = 0) -> str:
    whole = "" if " " in text else "; white-space: nowrap"  # a number is not broken at its minus
    indented = f'<div style="margin-left: {2 * depth}em">{escape(text)}</div>' if depth else escape(text)
    return f'<td style="text-align: left{whole}">{indented}</td>'


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_short(setting_text(value))}" for name, value in settings.items())


def _with_numbers(value: Any) -> str:
    if not getattr(value, "shape", ()):
        return setting_text(value)
    numbers = np.array2string(getattr(value, "data", value), separator=", ", threshold=10)
    return f"{kind(value)} {' '.join(numbers.split())}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."

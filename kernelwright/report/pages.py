"""A run as HTML. Every text from it is escaped by the templates: kernels, reasons and dialogues are data.

Jinja2 and Plotly come with `kernelwright[report]`; only this file imports them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import resources
from typing import Any
from urllib.parse import quote

import jinja2
import plotly.offline

import kernelwright
from kernelwright.core.run import Entry, Run
from kernelwright.report import figures, problem_charts, run_charts, views
from kernelwright.report.code import highlighted

OURS = ("report.css", "report.js")
ASSETS = (*OURS, "plotly.min.js")


def asset(name: str) -> str:
    """The text of one of ASSETS, which all pages share."""
    if name not in OURS:
        return plotly.offline.get_plotlyjs()
    return (resources.files("kernelwright.report") / "assets" / name).read_text(encoding="utf-8")


def index(run: Run, entries: Sequence[Entry], live: bool = False) -> str:
    """The first page: the headline, the charts and the table of problems."""
    found = figures.summaries(run, entries)
    return page(
        "index.html",
        run=run,
        live=live,
        root=".",
        title=views.title(run),
        setting=views.setting(run),
        done=len(entries),
        overall=views.overall(found),
        telling=views.overall(found, degenerate=False),
        levels=views.levels(found),
        lines=views.lines(entries),
        figures=run_charts.index(entries, found),
    )


def problem(run: Run, entry: Entry, names: Sequence[str], live: bool = False) -> str:
    """The page of one problem. `names` are all that have a page, in order."""
    shown = views.shown(entry.result)
    return page(
        "problem.html",
        run=run,
        live=live,
        root="..",
        title=entry.problem.name,
        entry=entry,
        line=views.line(entry),
        shown=shown,
        baselines=list(views.baselines(entry.result)),
        trials=list(views.tried(entry.result)),
        dialogues=views.dialogues(entry.result),
        machine=views.machine((shown or run).environment),
        before=neighbour(names, entry, -1),
        after=neighbour(names, entry, 1),
        figures=problem_charts.problem(entry, shown),
    )  # fmt: skip


def neighbour(names: Sequence[str], entry: Entry, step: int) -> str:
    """The name of the next problem, or the one before; empty at the ends."""
    at = names.index(entry.problem.name) + step
    return names[at] if 0 <= at < len(names) else ""


def page(template: str, **values: Any) -> str:
    values["figures"] = compact(values["figures"])
    return ENVIRONMENT.get_template(template).render(version=kernelwright.__version__, **values)


def compact(value: Any) -> Any:
    """Five digits are more than a screen shows. JSON has no infinities; Plotly leaves a null out."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: compact(item) for key, item in value.items()}
    return [compact(item) for item in value] if isinstance(value, (list, tuple)) else value


def href(name: str) -> str:
    """A problem's page as part of an address."""
    return quote(views.page_of(name))


ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("kernelwright.report"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(
    times=views.times, number=views.number, percent=views.percent, duration=views.duration,
    stretches=views.stretches, highlighted=highlighted, href=href, verdict=views.verdict, price=views.price,
)  # fmt: skip

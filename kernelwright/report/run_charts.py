"""The charts of a run's first page."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from kernelwright.core.outcome import Keep
from kernelwright.core.run import Entry, Solved
from kernelwright.core.stats import geometric_mean
from kernelwright.report import figures
from kernelwright.report.charts import ROW, Figure, cut, figure, label, pytorch_line, share
from kernelwright.report.figures import Summary

NAMED = 40  # with more problems than these, bars stand upright and have no names below them
GAIN_TICKS = (0.1, 0.2, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
SHARE_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1)
LIGHT = (1.0, 0.5, 0.1)  # shares of the speed of light that have a line
DECADE = 10


def index(entries: Sequence[Entry], found: Sequence[Summary]) -> dict[str, Figure]:
    """The charts of the first page, by the name of their place."""
    drawn = {"levels": levels(found), "gains": gains(entries), "roof": roof(entries), "progress": progress(entries)}
    return {name: chart for name, chart in drawn.items() if chart["data"]}


def levels(found: Sequence[Summary]) -> Figure:
    """Geometric means by level and over all, with fallback; a paler bar beside it leaves degenerate problems out."""
    over = [s for s in found if s.against == "faster" and s.level != "" and s.mean is not None]
    whole = [summary for summary in over if summary.degenerate]
    told = [summary for summary in over if not summary.degenerate]
    differ = [(a.level, a.problems) for a in whole] != [(b.level, b.problems) for b in told]
    bars = [level_bars("all problems", "@kept", whole)]
    if differ:
        bars.append(level_bars("without degenerate ones", "@pale", told, {(a.level, mean_text(a)) for a in whole}))
    top = max((summary.mean or 1.0 for summary in over), default=1.0)
    return figure(
        bars,
        bargap=0.35,
        bargroupgap=0.06,
        showlegend=differ,
        xaxis={"showgrid": False, "tickfont": {"size": 14}},
        yaxis={"range": [0, top * 1.18], "ticksuffix": "×", "nticks": 5, "zeroline": False},
        shapes=[pytorch_line("y", 1.0)],
    )


def level_bars(
    name: str, colour: str, over: Sequence[Summary], said: Collection[tuple[str | None, str]] = ()
) -> Figure:
    """`said`: figures that stand above the bar beside, and are not repeated."""
    return {
        "type": "bar",
        "name": name,
        "x": [level_name(summary.level) for summary in over],
        "y": [summary.mean for summary in over],
        "text": ["" if (summary.level, mean_text(summary)) in said else mean_text(summary) for summary in over],
        "textangle": 0,
        "customdata": [[mean_text(summary), summary.kept, summary.problems] for summary in over],
        "textposition": "outside",
        "textfont": {"size": 15},
        "cliponaxis": False,
        "marker": {"color": colour},
        "hovertemplate": "%{x}: <b>%{customdata[0]}</b><br>%{customdata[1]} of %{customdata[2]} kept<extra></extra>",
    }


def mean_text(summary: Summary) -> str:
    return f"{summary.mean:.2f}×"


def level_name(level: str | None) -> str:
    """L1 for KernelBench's levels, the name of the folder elsewhere."""
    if level is None:
        return "all"
    return f"L{level}" if level.isdigit() else label(level)


def gains(entries: Sequence[Entry]) -> Figure:
    """One bar a problem, the fastest first, from PyTorch's own speed at 1."""
    by_gain = sorted(entries, key=lambda entry: (-(figures.speedup(entry) or 1.0), entry.problem.name))
    if not by_gain:
        return figure([])
    return named_gains(by_gain) if len(by_gain) <= NAMED else many_gains(by_gain)


def named_gains(entries: Sequence[Entry]) -> Figure:
    along = list(range(len(entries)))
    names = [label(entry.problem.name) for entry in entries]
    bars = {**gain_bars(entries), "orientation": "h", "y": along, "x": [gain(entry) - 1 for entry in entries]}
    bars |= {"error_x": whiskers(entries)}
    return figure(
        [bars],
        height=len(entries) * ROW + 60,
        bargap=0.32,
        xaxis=gain_axis(entries),
        yaxis={"tickvals": along, "ticktext": names, "autorange": "reversed", "showgrid": False},
        shapes=[pytorch_line("x", 1.0)],
        annotations=[gain_note(entry, at) for at, entry in enumerate(entries)],
    )


def gain_note(entry: Entry, at: int) -> Figure:
    """The figure at a bar's end, beyond the whisker; what happened, where there is no bar."""
    place = {"x": math.log10(max(upper(entry), gain(entry))), "y": at, "xanchor": "left", "xshift": 4}
    if figures.is_kept(entry):
        return {**place, "text": f"{gain(entry):.2f}×", "showarrow": False, "font": {"size": 12}}
    text = "PyTorch kept" if isinstance(entry.result, Solved) else "failed"
    return {**place, "text": text, "showarrow": False, "font": {"size": 12, "color": "@muted"}}


def many_gains(entries: Sequence[Entry]) -> Figure:
    bars = {**gain_bars(entries), "x": list(range(1, len(entries) + 1)), "y": [gain(entry) - 1 for entry in entries]}
    axis = {"title": {"text": f"{len(entries)} problems, the fastest first"}, "showgrid": False}
    return figure([bars], bargap=0.0 if len(entries) > 200 else 0.15, xaxis=axis, yaxis=gain_axis(entries),
                  shapes=[pytorch_line("y", 1.0)])  # fmt: skip


def gain_bars(entries: Sequence[Entry]) -> Figure:
    return {
        "type": "bar",
        "base": 1,
        "marker": {"color": [gain_colour(entry) for entry in entries], "line": {"width": 0}},
        "text": [gain_text(entry) for entry in entries],
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
    }


def gain(entry: Entry) -> float:
    return figures.speedup(entry) or 1.0


def upper(entry: Entry) -> float:
    kept = entry.result.choice if isinstance(entry.result, Solved) else None
    return kept.interval[1] if isinstance(kept, Keep) else 1.0


def whiskers(entries: Sequence[Entry]) -> Figure:
    pairs = [kept_interval(entry) for entry in entries]
    above = [high - gain(entry) for entry, (_, high) in zip(entries, pairs, strict=True)]
    below = [gain(entry) - low for entry, (low, _) in zip(entries, pairs, strict=True)]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below,
            "color": "@ink", "thickness": 1, "width": 3}  # fmt: skip


def kept_interval(entry: Entry) -> tuple[float, float]:
    choice = entry.result.choice if isinstance(entry.result, Solved) else None
    return choice.interval if isinstance(choice, Keep) else (gain(entry), gain(entry))


def gain_colour(entry: Entry) -> str:
    if not isinstance(entry.result, Solved):
        return "@bad"
    return "@pale" if figures.degenerate_reason(entry) else "@kept"


def gain_text(entry: Entry) -> str:
    name = f"<b>{label(entry.problem.name)}</b><br>"
    match entry.result:
        case Solved(choice=Keep(gain=found, interval=(low, high))):
            return f"{name}{found:.2f}×, 95 % interval {low:.2f} to {high:.2f}{times_text(entry)}"
        case Solved(choice=fallback):
            return f"{name}PyTorch kept: {label(cut(fallback.reason))}" if not isinstance(fallback, Keep) else name
        case failed:
            return f"{name}failed ({failed.stage}): {label(cut(failed.reason))}"


def times_text(entry: Entry) -> str:
    before, after = figures.baseline_ns(entry), figures.kernel_ns(entry)
    return f"<br>PyTorch {before / 1e6:.3g} ms, kernel {after / 1e6:.3g} ms" if before and after else ""


def gain_axis(entries: Sequence[Entry]) -> Figure:
    """Logarithmic, with plain numbers: twice as fast is as far from 1 as half as fast."""
    ends = [*map(upper, entries), *map(gain, entries), 1.0]
    low, high = min(ends) * 0.95, max(*ends, 1.5) * 1.25
    ticks = [tick for tick in GAIN_TICKS if low <= tick <= high]
    return {"type": "log", "range": [math.log10(low), math.log10(high)], "zeroline": False,
            "tickvals": ticks, "ticktext": [f"{tick:g}×" for tick in ticks]}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Placed:
    """One problem against the roofline: milliseconds; `after` is None where PyTorch is kept."""

    name: str
    floor: float
    before: float
    after: float | None


def placed(entries: Sequence[Entry]) -> Iterator[Placed]:
    for entry in entries:
        before, after = figures.baseline_ns(entry), figures.kernel_ns(entry)
        if isinstance(entry.result, Solved) and entry.result.floor_ns > 0 and before:
            name, floor = label(entry.problem.name), entry.result.floor_ns
            yield Placed(name, floor / 1e6, before / 1e6, after and after / 1e6)


def roof(entries: Sequence[Entry]) -> Figure:
    """Time against the roofline's least time: the nearer to the diagonal, the nearer to the speed of light."""
    all_placed = list(placed(entries))
    if not all_placed:
        return figure([])
    before = [(one, one.before) for one in all_placed]
    after = [(one, one.after) for one in all_placed if one.after is not None]
    times = [time for _, time in before + after]
    left = min(one.floor for one in all_placed) / 1.5
    right = max(max(one.floor for one in all_placed) * 1.5, left * DECADE)
    low, high = min(left, *times) / 1.2, max(right / min(LIGHT), *times) * 1.2
    small = len(all_placed) > NAMED
    falls = () if small else (fall_lines(after),)
    return figure(
        [
            *(light_line(share, left, right) for share in LIGHT),
            *falls,
            roof_dots("PyTorch", before, {"color": "@fallback", "size": 4 if small else 7, "symbol": "circle-open"}),
            roof_dots("kernel", after, {"color": "@kept", "size": 4 if small else 8}),
        ],
        xaxis=plain_log("least time by the roofline, ms", left, right),
        yaxis=plain_log("time of a call, ms", low, high),
        margin={"l": 48, "r": 84, "t": 24, "b": 44},
        annotations=[light_note(share, right) for share in LIGHT],
        showlegend=True,
        hovermode="closest",
    )


def plain_log(title: str, low: float, high: float) -> Figure:
    """Powers of ten, and nothing between them, as plain numbers."""
    return {"type": "log", "title": {"text": title}, "range": [math.log10(low), math.log10(high)],
            "dtick": 1, "tickformat": "~g", "zeroline": False}  # fmt: skip


def light_line(share: float, low: float, high: float) -> Figure:
    line = {"color": "@muted", "width": 1.5 if share == 1 else 1, "dash": "solid" if share == 1 else "dot"}
    return {"type": "scatter", "mode": "lines", "x": [low, high], "y": [low / share, high / share], "line": line,
            "hoverinfo": "skip", "showlegend": False}  # fmt: skip


def light_note(share: float, high: float) -> Figure:
    """Beside the line's end, outside of the plot."""
    text = "speed of light" if share == 1 else f"{share:.0%} of it"
    return {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 4, "y": math.log10(high / share), "text": text,
            "showarrow": False, "font": {"size": 11, "color": "@muted"}}  # fmt: skip


def fall_lines(after: Sequence[tuple[Placed, float]]) -> Figure:
    """A thin line from PyTorch's time down to the kernel's, for each kept problem."""
    xs = [x for one, _ in after for x in (one.floor, one.floor, None)]
    ys = [y for one, time in after for y in (one.before, time, None)]
    return {"type": "scatter", "mode": "lines", "x": xs, "y": ys, "hoverinfo": "skip", "showlegend": False,
            "line": {"color": "@pale", "width": 1.5}}  # fmt: skip


def roof_dots(name: str, timed: Sequence[tuple[Placed, float]], marker: Figure) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [one.floor for one, _ in timed],
        "y": [time for _, time in timed],
        "text": [one.name for one, _ in timed],
        "customdata": [f"{one.floor / time:.0%}" for one, time in timed],
        "hovertemplate": f"<b>%{{text}}</b><br>{name} %{{y:.3g}} ms, %{{customdata}} of light speed<extra></extra>",
        "marker": marker,
    }


def progress(entries: Sequence[Entry]) -> Figure:
    """How far the best time had come down after so many candidates: thin for each problem, thick for their mean."""
    curves = [(entry, curve) for entry in entries if (curve := best_so_far(entry))]
    if not curves:
        return figure([])
    only = [curve for _, curve in curves]
    return figure(
        [*(each_curve(curves) if len(curves) <= NAMED else bands(only)), mean_curve(only)],
        showlegend=True,
        xaxis={
            "title": {"text": "candidates tried"},
            "rangemode": "tozero",
            "zeroline": False,
            "tickformat": "d",
            "dtick": max(1, max(map(len, only)) // 8),
        },
        yaxis=share_axis(min(curve[-1] for curve in only)),
        shapes=[pytorch_line("y", 1.0)],
        hovermode="closest",
    )


def each_curve(curves: Sequence[tuple[Entry, list[float]]]) -> list[Figure]:
    """All thin lines as one trace, with gaps between them."""
    xs, ys, texts = [], [], []
    for entry, curve in curves:
        xs += [*range(len(curve)), None]
        ys += [*curve, None]
        texts += [label(entry.problem.name)] * len(curve) + [None]
    hover = "%{text}<br>%{y:.2f} of PyTorch's time after %{x}<extra></extra>"
    return [{"type": "scatter", "mode": "lines", "name": "each problem", "x": xs, "y": ys, "text": texts,
             "line": {"color": "@pale", "width": 1, "shape": "hv"}, "hovertemplate": hover}]  # fmt: skip


def bands(curves: Sequence[list[float]]) -> list[Figure]:
    """Where the middle four fifths and the middle half of the problems are: too many to draw each."""
    columns = [sorted(at_same_length) for at_same_length in zip(*stretched(curves), strict=True)]
    return [*band("middle 80 % of the problems", columns, 0.1), *band("middle half", columns, 0.25)]


def band(name: str, columns: Sequence[list[float]], tail: float) -> list[Figure]:
    low = [column[int(tail * len(column))] for column in columns]
    high = [column[int((1 - tail) * len(column))] for column in columns]
    edge = {"type": "scatter", "mode": "lines", "x": list(range(len(columns))), "hoverinfo": "skip",
            "line": {"width": 0, "shape": "hv", "color": "@pale"}}  # fmt: skip
    return [
        {**edge, "y": low, "showlegend": False},
        {**edge, "y": high, "name": name, "fill": "tonexty", "fillcolor": "@veil"},
    ]


def mean_curve(curves: Sequence[list[float]]) -> Figure:
    means = [geometric_mean(column) for column in zip(*stretched(curves), strict=True)]
    return {"type": "scatter", "mode": "lines", "name": "geometric mean", "x": list(range(len(means))), "y": means,
            "line": {"color": "@kept", "width": 3, "shape": "hv"},
            "hovertemplate": "mean: %{y:.2f} of PyTorch's time after %{x}<extra></extra>"}  # fmt: skip


def stretched(curves: Sequence[list[float]]) -> list[list[float]]:
    """All as long as the longest: one whose search is over stays where it ended."""
    longest = max(map(len, curves))
    return [curve + curve[-1:] * (longest - len(curve)) for curve in curves]


def share_axis(least: float) -> Figure:
    low = min(least, 0.5) * 0.8
    ticks = [tick for tick in SHARE_TICKS if tick >= low]
    return {"type": "log", "title": {"text": "share of PyTorch's time"}, "zeroline": False, "tickvals": ticks,
            "range": [math.log10(low), math.log10(1.1)], "ticktext": [f"{tick:g}" for tick in ticks]}  # fmt: skip


def best_so_far(entry: Entry) -> list[float]:
    """After 0, 1, 2, ... candidates: the least time of a right one, as a share of PyTorch's; 1 while none is faster."""
    baseline = figures.baseline_ns(entry)
    if not isinstance(entry.result, Solved) or not baseline or not entry.result.trials:
        return []
    best = [1.0]
    for trial in entry.result.trials:
        best.append(min(best[-1], share(trial, baseline)))
    return best

"""What a run found, as Plotly figures: JSON values with colours by role ("@kept"), which the page's theme fills in."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from kernelwright.core.codec import digest
from kernelwright.core.outcome import Accepted, Accuracy, Baselines, Keep, Rejected, Screened, Timing, Trial
from kernelwright.core.run import Entry, Solved
from kernelwright.core.stats import geometric_mean
from kernelwright.report import figures
from kernelwright.report.figures import Summary

Figure = dict[str, Any]

NAMED = 40  # with more problems than these, bars stand upright and have no names below them
ROW = 24  # pixels of a named bar
GAIN_TICKS = (0.1, 0.2, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
LIGHT = (1.0, 0.5, 0.1)  # shares of the speed of light that have a line
DECADE = 10


def label(text: str) -> str:
    """Text that a reader sees as it is: Plotly takes tags in labels for markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def figure(data: Sequence[Figure], **layout: Any) -> Figure:
    return {"data": list(data), "layout": layout}


def index(entries: Sequence[Entry], found: Sequence[Summary]) -> dict[str, Figure]:
    """The charts of the first page, by the name of their place."""
    drawn = {"levels": levels(found), "gains": gains(entries), "roof": roof(entries), "progress": progress(entries)}
    return {name: chart for name, chart in drawn.items() if chart["data"]}


def problem(entry: Entry, shown: Trial | None) -> dict[str, Figure]:
    """The charts of one problem's page. `shown` is the trial whose kernel the page shows."""
    if not isinstance(entry.result, Solved):
        return {}
    drawn = {"history": history(entry.result)}
    if shown and isinstance(shown.outcome, Accepted):
        drawn |= {"samples": samples(shown.outcome.timing), "accuracy": accuracies(shown.outcome.accuracy)}
    else:
        drawn["samples"] = baseline_samples(entry.result.baselines)
    return {name: chart for name, chart in drawn.items() if chart["data"]}


# The first page


def levels(found: Sequence[Summary]) -> Figure:
    """Geometric means by level and over all, with fallback; a paler bar beside it leaves degenerate problems out."""
    over = [summary for summary in found if summary.against == "faster" and summary.mean is not None]
    whole = [summary for summary in over if summary.degenerate]
    told = [summary for summary in over if not summary.degenerate]
    differ = [(a.level, a.problems) for a in whole] != [(b.level, b.problems) for b in told]
    bars = [level_bars("all problems", "@kept", whole)]
    if differ:
        bars.append(level_bars("without degenerate ones", "@pale", told))
    top = max((summary.mean or 1.0 for summary in over), default=1.0)
    return figure(
        bars,
        bargap=0.35,
        bargroupgap=0.06,
        showlegend=differ,
        xaxis={"showgrid": False, "tickfont": {"size": 14}},
        yaxis={"range": [0, top * 1.18], "ticksuffix": "×", "nticks": 5, "zeroline": False},
        shapes=[level_line("y", 1.0)],
    )


def level_bars(name: str, colour: str, over: Sequence[Summary]) -> Figure:
    return {
        "type": "bar",
        "name": name,
        "x": [level_name(summary.level) for summary in over],
        "y": [summary.mean for summary in over],
        "text": [f"{summary.mean:.2f}×" for summary in over],
        "customdata": [[summary.kept, summary.problems] for summary in over],
        "textposition": "outside",
        "textfont": {"size": 15},
        "cliponaxis": False,
        "marker": {"color": colour},
        "hovertemplate": "%{x}: <b>%{text}</b><br>%{customdata[0]} of %{customdata[1]} kept<extra></extra>",
    }


def level_name(level: str | None) -> str:
    """L1 for KernelBench's levels, the name of the folder elsewhere."""
    if level is None:
        return "all"
    return f"L{level}" if level.isdigit() else label(level) or "no level"


def level_line(axis: str, at: float) -> Figure:
    """A dashed line across the whole chart: where PyTorch is."""
    across = "x" if axis == "y" else "y"
    ends = {f"{across}ref": "paper", f"{across}0": 0, f"{across}1": 1, f"{axis}0": at, f"{axis}1": at}
    return {"type": "line", **ends, "line": {"color": "@muted", "width": 1, "dash": "dot"}}


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
        yaxis={"tickvals": along, "ticktext": names, "autorange": "reversed", "showgrid": False, "automargin": True},
        shapes=[level_line("x", 1.0)],
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
                  shapes=[level_line("y", 1.0)])  # fmt: skip


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


def cut(text: str, most: int = 90) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def gain_axis(entries: Sequence[Entry]) -> Figure:
    """Logarithmic, with plain numbers: twice as fast is as far from 1 as half as fast."""
    ends = [*map(upper, entries), *map(gain, entries), 1.0]
    low, high = min(ends) * 0.95, max(*ends, 1.5) * 1.25
    ticks = [tick for tick in GAIN_TICKS if low <= tick <= high]
    return {"type": "log", "range": [math.log10(low), math.log10(high)], "zeroline": False,
            "tickvals": ticks, "ticktext": [f"{tick:g}×" for tick in ticks]}  # fmt: skip


def roof(entries: Sequence[Entry]) -> Figure:
    """Time against the roofline's least time: the nearer to the diagonal, the nearer to the speed of light."""
    placed = [entry for entry in entries if isinstance(entry.result, Solved) and entry.result.floor_ns > 0
              and figures.baseline_ns(entry)]  # fmt: skip
    if not placed:
        return figure([])
    kept = [entry for entry in placed if figures.kernel_ns(entry)]
    floors = [floor_ms(entry) for entry in placed]
    times = [(figures.baseline_ns(entry) or 0.0) / 1e6 for entry in placed]
    low = min(floors) / 1.5
    high = max(max(floors) * 1.5, low * DECADE)
    top = max(*times, high / min(LIGHT)) * 1.2
    title = "least time by the roofline, ms"
    return figure(
        [
            *(light_line(share, low, high) for share in LIGHT),
            falls(kept),
            roof_dots("PyTorch", placed, times, {"color": "@fallback", "size": 7, "symbol": "circle-open"}),
            roof_dots("kernel", kept, [(figures.kernel_ns(entry) or 0.0) / 1e6 for entry in kept],
                      {"color": "@kept", "size": 8}),
        ],
        xaxis={"type": "log", "range": [math.log10(low), math.log10(high)], "title": {"text": title}, **plain_log()},
        yaxis={"type": "log", "range": [math.log10(low / 1.2), math.log10(top)],
               "title": {"text": "time of a call, ms"}, **plain_log()},
        margin={"l": 48, "r": 84, "t": 24, "b": 44},
        annotations=[light_note(share, high) for share in LIGHT],
        showlegend=True,
        hovermode="closest",
    )  # fmt: skip


def plain_log() -> Figure:
    """Powers of ten, and nothing between them, as plain numbers."""
    return {"dtick": 1, "tickformat": "~g", "zeroline": False}


def floor_ms(entry: Entry) -> float:
    return entry.result.floor_ns / 1e6 if isinstance(entry.result, Solved) else 0.0


def light_line(share: float, low: float, high: float) -> Figure:
    line = {"color": "@muted", "width": 1.5 if share == 1 else 1, "dash": "solid" if share == 1 else "dot"}
    return {"type": "scatter", "mode": "lines", "x": [low, high], "y": [low / share, high / share], "line": line,
            "hoverinfo": "skip", "showlegend": False}  # fmt: skip


def light_note(share: float, high: float) -> Figure:
    """Beside the line's end, outside of the plot."""
    text = "speed of light" if share == 1 else f"{share:.0%} of it"
    return {"x": 1, "xref": "paper", "xanchor": "left", "xshift": 4, "y": math.log10(high / share), "text": text,
            "showarrow": False, "font": {"size": 11, "color": "@muted"}}  # fmt: skip


def falls(kept: Sequence[Entry]) -> Figure:
    """A thin line from PyTorch's time down to the kernel's, for each kept problem."""
    xs, ys = [], []
    for entry in kept:
        at = floor_ms(entry)
        xs += [at, at, None]
        ys += [(figures.baseline_ns(entry) or 0.0) / 1e6, (figures.kernel_ns(entry) or 0.0) / 1e6, None]
    return {"type": "scatter", "mode": "lines", "x": xs, "y": ys, "hoverinfo": "skip", "showlegend": False,
            "line": {"color": "@pale", "width": 1.5}}  # fmt: skip


def roof_dots(name: str, entries: Sequence[Entry], times: Sequence[float], marker: Figure) -> Figure:
    texts = [f"<b>{label(entry.problem.name)}</b><br>{name} {time:.3g} ms, {floor_ms(entry) / time:.0%} of the speed "
             "of light" for entry, time in zip(entries, times, strict=True)]  # fmt: skip
    return {"type": "scatter", "mode": "markers", "name": name, "x": list(map(floor_ms, entries)), "y": list(times),
            "text": texts, "hovertemplate": "%{text}<extra></extra>", "marker": marker}  # fmt: skip


def progress(entries: Sequence[Entry]) -> Figure:
    """How far the best time had come down after so many candidates: thin for each problem, thick for their mean."""
    curves = [(entry, curve) for entry in entries if (curve := best_so_far(entry))]
    if not curves:
        return figure([])
    xs, ys, texts = [], [], []
    for entry, curve in curves:
        xs += [*range(len(curve)), None]
        ys += [*curve, None]
        texts += [label(entry.problem.name)] * len(curve) + [None]
    mean = mean_curve([curve for _, curve in curves])
    thin = {"type": "scatter", "mode": "lines", "name": "each problem", "x": xs, "y": ys, "text": texts,
            "line": {"color": "@pale", "width": 1, "shape": "hv"}, "opacity": 0.7 if len(curves) < 100 else 0.25,
            "hovertemplate": "%{text}<br>%{y:.2f} of PyTorch's time after %{x}<extra></extra>"}  # fmt: skip
    thick = {"type": "scatter", "mode": "lines", "name": "geometric mean", "x": list(range(len(mean))), "y": mean,
             "line": {"color": "@kept", "width": 3, "shape": "hv"},
             "hovertemplate": "mean: %{y:.2f} of PyTorch's time after %{x}<extra></extra>"}  # fmt: skip
    return figure(
        [thin, thick],
        showlegend=True,
        xaxis={"title": {"text": "candidates tried"}, "rangemode": "tozero", "zeroline": False},
        yaxis=share_axis([min(map(min, (curve for _, curve in curves)))]),
        shapes=[level_line("y", 1.0)],
        hovermode="closest",
    )


def share_axis(values: Sequence[float]) -> Figure:
    low = min(*values, 0.5) * 0.8
    ticks = [tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1) if tick >= low]
    return {"type": "log", "title": {"text": "best time, as a share of PyTorch's"}, "zeroline": False, "tickvals": ticks,
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


def share(trial: Trial, baseline_ns: float) -> float:
    """A candidate's time as a share of PyTorch's: by its pairs where they were taken; infinite where it was rejected."""
    match trial.outcome:
        case Screened(time_ns):
            return time_ns / baseline_ns
        case Accepted(_, timing):
            return statistics.median(c / b for b, c in zip(timing.baseline_ns, timing.candidate_ns, strict=True))
        case _:
            return math.inf


def mean_curve(curves: Sequence[list[float]]) -> list[float]:
    """Geometric mean over all problems; one whose search is over stays where it ended."""
    longest = max(map(len, curves))
    return [geometric_mean([curve[min(at, len(curve) - 1)] for curve in curves]) for at in range(longest)]


# One problem


def history(result: Solved) -> Figure:
    """Every candidate's time in turn, by its fate, and the best so far as a line."""
    medians = [statistics.median(measured.samples_ns) for measured in result.baselines.measured]
    if not medians or not result.trials:
        return figure([])
    baseline = min(medians)
    timed = [(at, trial, share(trial, baseline)) for at, trial in enumerate(result.trials, 1)]
    finite = [(at, trial, ratio) for at, trial, ratio in timed if math.isfinite(ratio)]
    top = max([1.0, *(ratio for _, _, ratio in finite)]) * 1.15
    refused = [(at, trial, top) for at, trial, _ in timed if isinstance(trial.outcome, Rejected)]
    kept = digest(result.choice.trial.candidate) if isinstance(result.choice, Keep) else ""
    chosen = [
        (at, t, r) for at, t, r in finite if kept and digest(t.candidate) == kept and isinstance(t.outcome, Accepted)
    ]
    return figure(
        [
            fate_dots(
                "screened", [x for x in finite if isinstance(x[1].outcome, Screened)], "circle-open", "@fallback"
            ),
            fate_dots("examined, right", [x for x in finite if isinstance(x[1].outcome, Accepted)], "circle", "@kept"),
            fate_dots("rejected", refused, "x-thin-open", "@bad"),
            fate_dots("kept", chosen, "star", "@accent", 14),
        ],
        showlegend=True,
        hovermode="closest",
        xaxis={"title": {"text": "candidate"}, "range": [0.3, len(timed) + 0.7], "zeroline": False, "showgrid": False},
        yaxis={"title": {"text": "time, as a share of PyTorch's"}, "range": [0, top * 1.06], "zeroline": False},
        shapes=[level_line("y", 1.0)],
    )


def fate_dots(name: str, placed: Sequence[tuple[int, Trial, float]], symbol: str, colour: str, size: int = 9) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [at for at, _, _ in placed],
        "y": [ratio for _, _, ratio in placed],
        "text": [dot_text(at, trial, ratio) for at, trial, ratio in placed],
        "marker": {"symbol": symbol, "color": colour, "size": size, "line": {"width": 1.5, "color": colour}},
        "hovertemplate": "%{text}<extra></extra>",
    }


def dot_text(at: int, trial: Trial, ratio: float) -> str:
    head = f"<b>candidate {at}</b>, round {trial.round + 1}, {label(trial.engine)}<br>"
    if isinstance(trial.outcome, Rejected):
        return f"{head}rejected at {trial.outcome.stage}: {label(cut(trial.outcome.reason))}"
    return f"{head}{ratio:.2f} of PyTorch's time"


def samples(timing: Timing) -> Figure:
    """Every sample of both sides, and a box round the middle half."""
    return strips([(timing.baseline, "@fallback", timing.baseline_ns), ("kernel", "@kept", timing.candidate_ns)])


def baseline_samples(baselines: Baselines) -> Figure:
    return strips([(measured.name, "@fallback", measured.samples_ns) for measured in baselines.measured])


def strips(sides: Sequence[tuple[str, str, Sequence[float]]]) -> Figure:
    boxes = [
        {
            "type": "box",
            "name": name,
            "x": [sample / 1e6 for sample in found],
            "boxpoints": "all",
            "jitter": 0.7,
            "pointpos": 0,
            "line": {"width": 1.5},
            "marker": {"color": colour, "size": 5, "opacity": 0.7},
            "fillcolor": "@none",
            "hoveron": "points",
            "hovertemplate": "%{x:.4g} ms<extra>%{fullData.name}</extra>",
        }
        for name, colour, found in reversed(sides)
    ]
    return figure(boxes, height=len(boxes) * 64 + 90, xaxis={"title": {"text": "ms a call"}, "rangemode": "tozero", "zeroline": False},
                  yaxis={"showgrid": False, "automargin": True})  # fmt: skip


def accuracies(accuracy: Accuracy) -> Figure:
    """Error by family of inputs: the kernel's, PyTorch's own, and what is allowed."""
    families = list(reversed(accuracy.families))
    if not families:
        return figure([])
    several = len({family.output for family in families}) > 1
    names = [label(f"{family.family} [{family.output}]" if several else family.family) for family in families]
    values = [v for f in families for v in (f.error, f.baseline_error, f.allowed) if 0 < v < math.inf]
    low, high = math.floor(math.log10(min(values, default=1e-9))), math.ceil(math.log10(max(values, default=1.0)))
    floor = 10.0**low  # an error of zero has no place on a logarithmic axis: it is drawn at its end
    sides = (
        ("allowed", [f.allowed for f in families], {"symbol": "line-ns-open", "size": 14, "color": "@bad"}),
        (
            "PyTorch's own",
            [f.baseline_error for f in families],
            {"symbol": "circle-open", "size": 9, "color": "@fallback"},
        ),
        ("kernel", [f.error for f in families], {"symbol": "circle", "size": 9, "color": "@kept"}),
    )
    dots = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [value if value > 0 else floor for value in errors],
            "y": list(range(len(families))),
            "text": [f"{family}: {name} {value:.2e}" for family, value in zip(names, errors, strict=True)],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {**marker, "line": {"width": 2, "color": marker["color"]}},
        }
        for name, errors, marker in sides
    ]
    return figure(
        dots,
        height=len(families) * ROW + 110,
        showlegend=True,
        hovermode="closest",
        xaxis={"type": "log", "title": {"text": "error in the worst row, relative"}, "exponentformat": "e",
               "dtick": max(1, (high - low) // 5), "range": [low - 0.05, high + 0.05], "zeroline": False},
        yaxis={"tickvals": list(range(len(names))), "ticktext": names, "zeroline": False, "automargin": True},
    )  # fmt: skip

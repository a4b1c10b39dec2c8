"""The charts of one problem's page."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from kernelwright.core.codec import digest
from kernelwright.core.outcome import Accepted, Accuracy, Baselines, Keep, Rejected, Screened, Timing, Trial
from kernelwright.core.run import Entry, Solved
from kernelwright.report.charts import ROW, Figure, cut, figure, label, pytorch_line, share


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
    screened = [dot for dot in finite if isinstance(dot[1].outcome, Screened)]
    right = [dot for dot in finite if isinstance(dot[1].outcome, Accepted)]
    kept = digest(result.choice.trial.candidate) if isinstance(result.choice, Keep) else ""
    chosen = [dot for dot in right if digest(dot[1].candidate) == kept][-1:]  # the first may be before its re-check
    return figure(
        [
            fate_dots("screened", screened, "circle-open", "@fallback"),
            fate_dots("examined, right", right, "circle", "@kept"),
            fate_dots("rejected", refused, "x-thin-open", "@bad"),
            fate_dots("kept", chosen, "star", "@accent", 14),
        ],
        showlegend=True,
        hovermode="closest",
        xaxis={
            "title": {"text": "candidate"},
            "range": [0.3, len(timed) + 0.7],
            "zeroline": False,
            "showgrid": False,
            "tick0": 1,
            "dtick": max(1, len(timed) // 8),
        },
        yaxis={"title": {"text": "share of PyTorch's time"}, "range": [0, top * 1.06], "zeroline": False},
        shapes=[pytorch_line("y", 1.0)],
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
    axis = {"title": {"text": "ms a call"}, "rangemode": "tozero", "zeroline": False}
    return figure(boxes, height=len(boxes) * 64 + 90, xaxis=axis, yaxis={"showgrid": False})


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
        ("allowed", [f.allowed for f in families], "line-ns-open", "@bad"),
        ("PyTorch's own", [f.baseline_error for f in families], "circle-open", "@fallback"),
        ("kernel", [f.error for f in families], "circle", "@kept"),
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
            "marker": {"symbol": symbol, "color": colour, "size": 10, "line": {"width": 2, "color": colour}},
        }
        for name, errors, symbol, colour in sides
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

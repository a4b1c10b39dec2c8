"""What the charts of a run have in common: Plotly figures as JSON values.

A colour is named by its role ("@kept"); the page's theme says which it is.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from kernelwright.core.outcome import Accepted, Screened, Trial

Figure = dict[str, Any]

ROW = 24  # pixels of one line with a name at its left


def label(text: str) -> str:
    """Text that a reader sees as it is: Plotly takes tags in labels for markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def figure(data: Sequence[Figure], **layout: Any) -> Figure:
    return {"data": list(data), "layout": layout}


def pytorch_line(axis: str, at: float) -> Figure:
    """A dashed line across the whole chart: where PyTorch is."""
    across = "x" if axis == "y" else "y"
    ends = {f"{across}ref": "paper", f"{across}0": 0, f"{across}1": 1, f"{axis}0": at, f"{axis}1": at}
    return {"type": "line", **ends, "line": {"color": "@muted", "width": 1, "dash": "dot"}}


def share(trial: Trial, baseline_ns: float) -> float:
    """A candidate's time over PyTorch's: by its pairs where they were taken, infinite where it was rejected."""
    match trial.outcome:
        case Screened(time_ns):
            return time_ns / baseline_ns
        case Accepted(_, timing):
            return statistics.median(c / b for b, c in zip(timing.baseline_ns, timing.candidate_ns, strict=True))
        case _:
            return math.inf


def cut(text: str, most: int = 90) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

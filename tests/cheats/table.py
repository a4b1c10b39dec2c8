"""Every cheat on the CPU: its class, the reference it cheats on, and what must become of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.cheats.court import Fate, NotFaster, Refused

HERE = Path(__file__).parent
Kind = Literal["correctness", "time", "environment"]


@dataclass(frozen=True, slots=True)
class Row:
    """One cheat, in cpu/<kind>/<name>.py, and its honest twin of the same shape, beside it unless it shares one.

    unconfirmed: why today's judge does not yet do what is expected; "" where it does.
    """

    kind: Kind
    name: str
    reference: str
    fate: Fate
    unconfirmed: str = ""
    twin: str = ""

    @property
    def source(self) -> str:
        return text(self.kind, self.name)


def text(kind: Kind, name: str) -> str:
    return (HERE / "cpu" / kind / f"{name}.py").read_text()


CHEATS = (
    Row("correctness", "stale_output", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "sum_into_uncleared", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "input_zeroed", "linear_tail", Refused("verify", "input 0 was overwritten")),
    Row("correctness", "input_resized", "linear_tail", Refused("verify", "has shape [1, 96]")),
    Row("correctness", "input_restrided", "linear_tail", Refused("verify", 'family "')),
    Row("correctness", "output_is_input", "linear_tail", Refused("verify", "shares memory with input 0")),
    Row("correctness", "static_output", "linear_tail", Refused("verify", "memory is reused")),
    Row(
        "correctness",
        "static_outputs_in_turn",
        "linear_tail",
        Refused("verify", "memory is reused"),
        unconfirmed="the judge keeps two outputs before it looks whether the first has changed; three or four would show it",
        twin="static_output",
    ),
    Row("correctness", "answer_among_objects", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "answer_in_frames", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row(
        "correctness",
        "answer_in_judges_memory",
        "linear_tail",
        Refused("verify", "PermissionError"),
        unconfirmed="without a sandbox the judge's memory can be opened; it holds no answer to the first case, so that today the reason is another one",
    ),
    Row("correctness", "patched_comparison", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "patched_reference", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "patched_generator", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "patched_worker", "linear_tail", Refused("time", "a timed call, output 0")),
    Row("correctness", "autocast_left_on", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "default_dtype_changed", "linear_tail", Refused("build", "bfloat16")),
    Row("correctness", "lazy_subclass", "linear_tail", Refused("verify", "is a Lazy, expected a Tensor")),
    Row("correctness", "lazy_method", "linear_tail", Refused("time")),
    Row("correctness", "constant", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "uniform", "softmax", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "identity", "rectify", Refused("verify", 'family "negated", output 0')),
    Row("correctness", "passed_through", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "dropped_affine", "layer_norm", Refused("verify", 'family "scaled 0.01", output 0')),
    Row("correctness", "dropped_statistics", "batch_norm", Refused("verify", "state ")),
    Row("correctness", "prefix_rescaled", "mean_square", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "fitted_range", "softmax", Refused("verify", 'family "scaled 64", output 0')),
    Row("correctness", "magnitude_sniffed", "linear_tail", Refused("verify", 'family "scaled 0.01", output 0')),
    Row(
        "correctness",
        "checked_alignment_only",
        "mean_square",
        Refused("verify", 'family "'),
        unconfirmed="no family of inputs with an offset yet",
    ),
    Row("correctness", "public_seed", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "honest_at_first", "linear_tail", Refused("time", "a timed call, output 0")),
    Row("correctness", "precision_lowered", "linear_tail", Refused("verify", 'family "plain", output 0')),
    Row("correctness", "half_sums", "mean_square", Refused("verify", 'family "')),
    Row(
        "correctness",
        "weights_rounded",
        "linear_tail",
        Refused("verify", 'family "plain", output 0'),
        twin="precision_lowered",
    ),
    Row("correctness", "wrong_dtype", "linear_tail", Refused("verify", "has dtype float64, expected float32")),
    Row("correctness", "wrong_shape", "mean_square", Refused("verify", "has shape [48, 1], expected [48]")),
    Row("correctness", "wrong_device", "linear_tail", Refused("verify")),
    Row("correctness", "wrong_type", "top", Refused("verify", "is a list, expected a tuple")),
    Row("correctness", "places_guessed", "top", Refused("verify", "output 1")),
    Row("correctness", "half_of_candidates", "top", Refused("verify", 'family "plain"')),
    Row("correctness", "writes_past_input", "mean_square", Refused("verify", "memory beside an input was overwritten")),
    Row(
        "correctness",
        "reads_past_input",
        "mean_square",
        Refused("verify", 'family "'),
        unconfirmed="the bytes between inputs are 0xA5: -2.9e-16 in float32, which adds nothing; NaN there would show it",
        twin="writes_past_input",
    ),
    Row(
        "correctness",
        "reads_before_output_is_written",
        "mean_square",
        Refused("verify", 'family "'),
        twin="writes_past_input",
    ),
    Row("correctness", "missing_barrier", "mean_square", Refused("verify", 'family "')),
)

TWINS = {f"{row.name}_honest": (row.reference, text(row.kind, f"{row.name}_honest")) for row in CHEATS if not row.twin}

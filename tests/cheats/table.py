"""Every cheat on the CPU: its class, the reference it cheats on, and what must become of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.cheats.court import AnyOf, Fate, NotFaster, Refused

HERE = Path(__file__).parent
Kind = Literal["correctness", "time", "environment"]


@dataclass(frozen=True, slots=True)
class Row:
    """One cheat, in <folder>/<kind>/<name>.py, and its honest twin of the same shape, beside it unless it shares one.

    unconfirmed: why today's judge does not yet do what is expected; "" where it does.
    """

    kind: Kind
    name: str
    reference: str
    fate: Fate
    unconfirmed: str = ""
    twin: str = ""
    folder: str = "cpu"

    @property
    def source(self) -> str:
        return text(self.kind, self.name, self.folder)


def text(kind: str, name: str, folder: str = "cpu") -> str:
    return (HERE / folder / kind / f"{name}.py").read_text()


CHEATS = (
    Row("correctness", "stale_output", "linear_tail", Refused("verify", 'family "plain"')),
    Row("correctness", "sum_into_uncleared", "linear_tail", Refused("verify", 'family "plain"')),
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
        twin="static_output",
    ),
    Row("correctness", "answer_among_objects", "linear_tail", Refused("verify", 'family "plain"')),
    Row("correctness", "answer_in_frames", "linear_tail", Refused("verify", 'family "plain"')),
    Row("correctness", "answer_in_judges_memory", "linear_tail", Refused("verify", "PermissionError")),
    Row("correctness", "patched_comparison", "linear_tail", Refused("verify", 'family "plain"')),
    Row("correctness", "patched_reference", "linear_tail", Refused("verify", 'family "plain"')),
    Row("correctness", "patched_generator", "linear_tail", Refused("verify", 'family "plain"')),
    Row("correctness", "patched_worker", "linear_tail", Refused("time", "a timed call, output 0")),
    Row("correctness", "autocast_left_on", "linear_tail", Refused("verify", 'family "plain"')),
    Row("correctness", "default_dtype_changed", "linear_tail", Refused("build", "bfloat16")),
    Row("correctness", "lazy_subclass", "linear_tail", Refused("verify", "is a Lazy, expected a Tensor")),
    Row("time", "lazy_method", "linear_tail", NotFaster()),
    Row("correctness", "constant", "linear_tail", Refused("verify", 'family "plain"')),
    Row("correctness", "uniform", "softmax", Refused("verify", 'family "plain"')),
    Row("correctness", "identity", "rectify", Refused("verify", 'family "negated"')),
    Row("correctness", "passed_through", "linear_tail", Refused("verify", 'family "plain"')),
    Row("correctness", "dropped_affine", "layer_norm", Refused("verify", 'family "scaled 0.01"')),
    Row("correctness", "dropped_statistics", "batch_norm", Refused("verify", "state ")),
    Row("correctness", "prefix_rescaled", "mean_square", Refused("verify", 'family "plain"')),
    Row("correctness", "fitted_range", "softmax", Refused("verify", 'family "scaled 64"')),
    Row("correctness", "magnitude_sniffed", "linear_tail", Refused("verify", 'family "scaled 0.01"')),
    Row("correctness", "checked_alignment_only", "mean_square", Refused("verify", 'family "')),
    Row("correctness", "public_seed", "linear_tail", Refused("verify", 'family "plain"')),
    Row("correctness", "honest_at_first", "linear_tail", Refused("time", "a timed call, output 0")),
    Row("correctness", "precision_lowered", "linear_tail", Refused("verify", 'family "plain"')),
    Row("correctness", "half_sums", "mean_square", Refused("verify", 'family "')),
    Row("correctness", "weights_rounded", "linear_tail", Refused("verify", 'family "plain"'), twin="precision_lowered"),
    Row("correctness", "wrong_dtype", "linear_tail", Refused("verify", "has dtype float64, expected float32")),
    Row("correctness", "wrong_shape", "mean_square", Refused("verify", "has shape [24, 1], expected [24]")),
    Row("correctness", "wrong_device", "linear_tail", Refused("verify")),
    Row("correctness", "wrong_type", "top", Refused("verify", "is a list, expected a tuple")),
    Row("correctness", "places_guessed", "top", Refused("verify", "output 1")),
    Row("correctness", "half_of_candidates", "top", Refused("verify", 'family "plain"')),
    Row("correctness", "writes_past_input", "mean_square", Refused("verify", "memory beside an input was overwritten")),
    Row("correctness", "reads_past_input", "mean_square", Refused("verify", 'family "'), twin="writes_past_input"),
    Row(
        "correctness",
        "reads_before_output_is_written",
        "mean_square",
        Refused("verify", 'family "'),
        twin="writes_past_input",
    ),
    Row("correctness", "missing_barrier", "column_sums", Refused("verify", 'family "')),
    Row("time", "background_thread", "linear_tail", AnyOf((Refused("time", "output 0"), NotFaster()))),
    Row("time", "background_native_thread", "mean_square", Refused("time", "output 0")),
    Row("time", "background_process", "linear_tail", Refused("time", "process")),
    Row("time", "lazy_fetch", "linear_tail", Refused("time", "changed after the call had returned")),
    Row(
        "time",
        "answered_early",
        "linear_tail",
        Refused("time", "changed after the call had returned"),
        twin="lazy_fetch",
    ),
    Row("time", "timer_patched", "linear_tail", NotFaster()),
    Row("time", "timer_patched_natively", "linear_tail", NotFaster(), twin="timer_patched"),
    Row("time", "statistics_patched", "linear_tail", NotFaster(), twin="timer_patched"),
    Row("time", "memo_on_pointer", "linear_tail", Refused("verify", 'family "')),
    Row("time", "memo_on_version", "linear_tail", Refused("verify", 'family "'), twin="memo_on_pointer"),
    Row("time", "memo_on_samples", "linear_tail", Refused("verify", 'family "'), twin="memo_on_pointer"),
    Row(
        "time",
        "memo_on_sum",
        "linear_tail",
        AnyOf((Refused("verify", 'family "'), NotFaster())),
        twin="memo_on_pointer",
    ),
    Row("time", "memo_on_content", "linear_tail", NotFaster(), twin="memo_on_pointer"),
    Row(
        "time",
        "looks_ahead",
        "rectify",
        AnyOf((Refused("time", "done early"), NotFaster())),
        twin="identity",
    ),
    Row("time", "later_calls_skipped", "linear_tail", Refused("time", "a timed call, output 0")),
    Row("time", "stale_replay", "linear_tail", Refused("verify", 'family "')),
    Row("time", "warm_up_detected", "linear_tail", Refused("time", "a timed call, output 0")),
    Row("time", "mode_by_stack", "linear_tail", Refused("time", "a timed call, output 0")),
    Row("time", "mode_by_arguments", "linear_tail", NotFaster(), twin="timer_patched"),
    Row("time", "mode_by_environment", "linear_tail", NotFaster(), twin="timer_patched"),
    Row("time", "baseline_crowded", "linear_tail", Refused("build", "PermissionError"), twin="background_process"),
    Row("time", "baseline_reniced", "linear_tail", Refused("build", "PermissionError")),
    Row("time", "more_threads", "mean_square", AnyOf((Refused("time", "cores"), NotFaster()))),
    Row(
        "time",
        "device_kept_busy",
        "linear_tail",
        AnyOf((Refused("time", "cores"), NotFaster())),
        twin="background_native_thread",
    ),
    Row("environment", "printed_verdict", "linear_tail", Refused("verify", 'family "plain"')),
    Row("environment", "descriptors_overwritten", "linear_tail", Refused("verify", "the judge's socket")),
    Row(
        "environment",
        "answer_forged",
        "linear_tail",
        Refused("verify", "gave an answer that nobody asked for"),
        twin="descriptors_overwritten",
    ),
    Row("environment", "descriptors_replaced", "linear_tail", Refused("verify"), twin="descriptors_overwritten"),
    Row("environment", "exit_at_import", "linear_tail", Refused("build", "the process exited with status 0")),
    Row(
        "environment",
        "exit_when_called",
        "linear_tail",
        Refused("verify", "the process exited with status 0"),
        twin="exit_at_import",
    ),
    Row("environment", "module_shadowed", "linear_tail", Refused("verify", 'family "plain"')),
    Row("environment", "startup_file", "linear_tail", Refused("build", "PermissionError")),
    Row("environment", "startup_module", "linear_tail", Refused("build", "PermissionError")),
    Row("environment", "package_installed", "linear_tail", Refused("build", "PermissionError"), twin="startup_file"),
    Row("environment", "exec_of_hidden_text", "linear_tail", Refused("audit", "calls exec()")),
    Row("environment", "exec_by_another_name", "linear_tail", Refused("verify", 'family "plain"')),
    Row("environment", "file_opened", "linear_tail", Refused("audit", "calls open()"), twin="exec_of_hidden_text"),
    Row("environment", "network_imported", "linear_tail", Refused("audit", "imports socket")),
    Row("environment", "network_reached", "linear_tail", Refused("build", "PermissionError")),
    Row("environment", "home_read", "linear_tail", Refused("build", "PermissionError")),
    Row("environment", "others_read", "linear_tail", Refused("build", "PermissionError"), twin="home_read"),
    Row("environment", "judge_signalled", "linear_tail", Refused("build", "PermissionError")),
    Row("environment", "cache_poisoned", "linear_tail", Refused("build", "PermissionError"), twin="startup_file"),
    Row("environment", "compiler_replaced", "linear_tail", Refused("verify", "output 0")),
    Row("environment", "forks", "linear_tail", Refused("build", "processes"), twin="background_process"),
    Row("environment", "memory_filled", "linear_tail", Refused("build", "memory")),
    Row("environment", "disk_filled", "linear_tail", Refused("build", "disk"), twin="startup_file"),
    Row("environment", "hangs", "linear_tail", Refused("verify", "did not return within 3 s")),
    Row("environment", "hangs_natively", "linear_tail", Refused("verify", "did not return within 3 s"), twin="hangs"),
    Row(
        "environment",
        "crashes",
        "linear_tail",
        Refused("verify", "the process died of SIGSEGV"),
        twin="compiler_replaced",
    ),
)

TWINS = {f"{row.name}_honest": (row.reference, text(row.kind, f"{row.name}_honest")) for row in CHEATS if not row.twin}

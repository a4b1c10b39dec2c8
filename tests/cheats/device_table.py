"""Cheats that exist only on CUDA, each beside the honest kernel that does the same thing openly."""

from __future__ import annotations

from tests.cheats.court import AnyOf, NotFaster, Refused
from tests.cheats.table import Row, text

CHEATS = (
    Row("time", "side_stream", "device_tail", AnyOf((Refused("time"), NotFaster())), twin="streams", folder="cuda"),
    Row(
        "time",
        "side_stream_unsynchronised",
        "device_tail",
        AnyOf((Refused("verify"), Refused("time"))),
        twin="streams",
        folder="cuda",
    ),
    Row("time", "computes_after_return", "device_tail", Refused("time"), twin="streams", folder="cuda"),
    Row("time", "persisting_cache", "device_map", NotFaster(), twin="map", folder="cuda"),
    Row(
        "correctness",
        "handles_scanned",
        "device_tail",
        Refused("verify", "output 0"),
        twin="packed_weights",
        folder="cuda",
    ),
    Row(
        "correctness",
        "memory_scanned",
        "device_tail",
        Refused("verify", "output 0"),
        twin="packed_weights",
        folder="cuda",
    ),
    Row("time", "stale_graph", "device_tail", Refused("verify", 'family "'), twin="graph", folder="cuda"),
    Row(
        "time",
        "graph_of_one_address",
        "device_tail",
        Refused("time", "a timed call, output 0"),
        twin="graph",
        folder="cuda",
    ),
    Row(
        "time", "graph_output_shared", "device_tail", Refused("verify", "memory is reused"), twin="graph", folder="cuda"
    ),
    Row("time", "device_timer_patched", "device_tail", NotFaster(), twin="fused_tail", folder="cuda"),
    Row(
        "correctness",
        "tf32_left_on",
        "device_tail",
        Refused("verify", 'family "plain"'),
        twin="fused_tail",
        folder="cuda",
    ),
    Row(
        "correctness",
        "tf32_product",
        "device_product",
        Refused("verify", 'family "plain"'),
        twin="matmul",
        folder="cuda",
    ),
    Row(
        "correctness",
        "freed_output",
        "device_tail",
        Refused("verify", 'family "'),
        twin="fused_tail",
        folder="cuda",
    ),
    Row("correctness", "writes_past_end", "device_map", Refused("verify", "overwritten"), twin="map", folder="cuda"),
    Row("correctness", "reads_past_end", "device_softmax", Refused("verify"), twin="softmax", folder="cuda"),
    Row("correctness", "missing_barrier", "device_sums", Refused("verify"), twin="two_kernels", folder="cuda"),
    Row("correctness", "missing_atomic", "device_sums", Refused("verify"), twin="two_kernels", folder="cuda"),
    Row("time", "spinning_kernel", "device_tail", AnyOf((Refused("time"), NotFaster())), twin="streams", folder="cuda"),
    Row(
        "time",
        "lazy_subclass",
        "device_tail",
        Refused("verify", "is a Lazy, expected a Tensor"),
        twin="fused_tail",
        folder="cuda",
    ),
    Row("time", "memo_on_pointer", "device_tail", Refused("verify", 'family "'), twin="packed_weights", folder="cuda"),
    Row(
        "time",
        "looks_ahead",
        "device_tail",
        AnyOf((Refused("time", "done early"), NotFaster())),
        twin="fused_tail",
        folder="cuda",
    ),
)

HONEST = {
    "map": "device_map",
    "softmax": "device_softmax",
    "layer_norm": "device_norm",
    "matmul": "device_product",
    "tuned": "device_product",
    "split_depth": "device_product",
    "two_kernels": "device_sums",
    "graph": "device_tail",
    "packed_weights": "device_tail",
    "streams": "device_tail",
    "fused_tail": "device_tail",
}  # reference of each kernel


def honest(name: str) -> str:
    return text("honest", name, "cuda")

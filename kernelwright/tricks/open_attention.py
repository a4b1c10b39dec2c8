"""Open attention into two products and a softmax.

    scaled_dot_product_attention(q, k, v)  ->  softmax((q * s) @ transpose(k), -1) @ v

Legal: no dropout, no grouped queries, and no mask but the causal one, which leaves every row something to attend to.
Only where a head's scores fit in a core's cache.
Faster: sometimes: short rows waste a flash kernel's tiles, and the parts can take in what comes before and after.
Accuracy: the scores are rounded once more on their way through memory.
"""

from __future__ import annotations

import torch
from torch import fx

from kernelwright.graph.edit import call, is_call, shape, take_over
from kernelwright.graph.query import arguments
from kernelwright.tricks.trick import Trick

aten = torch.ops.aten

CACHE = 1 << 20  # bytes of a core's second-level cache
ITEMSIZE = 4


def _refusal(node: fx.Node) -> str:
    if not is_call(node, aten.scaled_dot_product_attention.default):
        return "no attention"
    given = arguments(node)
    if given["attn_mask"] is not None or given["dropout_p"] != 0 or given["enable_gqa"]:
        return "has a mask, dropout or grouped queries"
    rows, columns = shape(given["query"])[-2], shape(given["key"])[-2]
    if rows * columns * ITEMSIZE > CACHE:
        return f"{rows} x {columns} scores of a head do not fit in {CACHE} bytes"
    return ""


def _rewrite(node: fx.Node) -> None:
    given = arguments(node)
    query, key, value = given["query"], given["key"], given["value"]
    scale = shape(query)[-1] ** -0.5 if given["scale"] is None else given["scale"]
    turned = call(node, aten.transpose.int, key, -2, -1)
    scores = call(node, aten.matmul.default, call(node, aten.mul.Tensor, query, scale), turned)
    if given["is_causal"]:
        scores = call(node, aten.masked_fill.Scalar, scores, _later(node, scores), float("-inf"))
    take_over(node, call(node, aten.matmul.default, call(node, aten.softmax.int, scores, -1), value))


def _later(before: fx.Node, scores: fx.Node) -> fx.Node:
    """Where a column comes after its row."""
    val = scores.meta["val"]
    ones = call(before, aten.ones.default, list(val.shape[-2:]), dtype=torch.bool, device=val.device)
    return call(before, aten.triu.default, ones, 1)


open_attention = Trick("open_attention", _refusal, _rewrite, sure=False)

"""Repetitions, identities, chains of views, products and poolings."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from kernelwright.tricks.drop_identity import drop_identity
from kernelwright.tricks.merge_pooling import merge_pooling
from kernelwright.tricks.merge_views import merge_views
from kernelwright.tricks.open_attention import open_attention
from kernelwright.tricks.reassociate import reassociate
from kernelwright.tricks.scale_by_diagonal import scale_by_diagonal
from kernelwright.tricks.share import share
from tests.pure.rewriting import at_each_site, calls, captured, captured_together, everywhere, never, random_inputs

aten = torch.ops.aten


def test_what_is_computed_twice_is_computed_once() -> None:
    graph = captured(lambda m, x: x[:, 0].exp() + x[:, 0].exp() * torch.zeros(4) - torch.zeros(4), (4, 3))
    new = everywhere(share, graph, *random_inputs((4, 3)))
    assert len(calls(new, aten.exp)) == len(calls(new, aten.select)) == len(calls(new, aten.zeros)) == 1


def test_two_equal_results_stay_two_tensors() -> None:
    never(share, captured(lambda m, x: (x + 1, x + 1, x + 2, F.dropout(x), F.dropout(x)), (4, 3)))
    graph = captured(lambda m, x: ((x + 1).view(12), (x + 1).view(2, 6), (x + 1).sum()), (4, 3))
    everywhere(share, graph, *random_inputs((4, 3)))


def test_calls_that_change_nothing_are_dropped() -> None:
    formulas = [
        lambda m, x: m.dropout(x).exp(),
        lambda m, x: x.clone().exp(),
        lambda m, x: (x * 1 + 0).exp(),
        lambda m, x: x.view(4, 3).exp(),
        lambda m, x: x.permute(0, 1).exp() + x[0:4].exp(),
        lambda m, x: x.float().contiguous().squeeze(0).exp(),
        lambda m, x: (x + 1).clone(),
        lambda m, x: (x / 1.0 - 0).detach().sum(),
    ]
    graph = captured_together(formulas, (4, 3), dropout=nn.Dropout(0.5).eval())
    assert at_each_site(drop_identity, graph, *random_inputs((4, 3)))
    new = everywhere(drop_identity, graph, *random_inputs((4, 3)))
    assert {node.target for node in calls(new)} <= {
        aten.exp.default, aten.add.Tensor, aten.sum.default,
    }  # fmt: skip


def test_copies_and_conversions_that_matter_stay() -> None:
    formulas = [
        lambda m, x: x.clone(),
        lambda m, x: (m.table.clone(), (y := x + 1), y.clone()),
        lambda m, x: x.T.clone(memory_format=torch.contiguous_format).exp(),
        lambda m, x: (x @ x.T).transpose(0, 1).exp(),
        lambda m, x: x.double() + x[0:3].sum() + x.expand(2, 4, 3).sum() + x[::2].sum(),
        lambda m, x: m.dropout(x),
        lambda m, x: (m.count * 1.0).sum() + x * 2 + m.count / 1,
        lambda m, x: torch.div(x, 1, rounding_mode="floor"),
    ]
    parts = {"table": torch.ones(3), "count": torch.ones(3, dtype=torch.int64), "dropout": nn.Dropout(0.5).train()}
    never(drop_identity, captured_together(formulas, (4, 3), **parts))


def test_a_copy_between_buffers_stays() -> None:
    def exchange(module, x):
        old = module.first.clone()
        module.first.copy_(module.second.clone())
        module.second.copy_(old)
        return x + module.first

    graph = captured(exchange, (3,), first=torch.ones(3), second=torch.zeros(3))
    everywhere(drop_identity, graph, *random_inputs((3,)))


def test_chains_of_views_become_one_view_or_none() -> None:
    formulas = [
        lambda m, x: x.transpose(1, 2).permute(0, 2, 1).exp(),
        lambda m, x: x.transpose(0, 1).transpose(1, 2).exp(),
        lambda m, x: x.view(6, 4).unsqueeze(0).view(3, 8).exp(),
        lambda m, x: x[:, None].squeeze(1).exp(),
        lambda m, x: x.flatten(1).view(2, 3, 4),
        lambda m, x: x.transpose(1, 2).reshape(2, 12).view(2, 2, 6),
    ]
    graph = captured_together(formulas, (2, 3, 4))
    assert len(at_each_site(merge_views, graph, *random_inputs((2, 3, 4)))) >= len(formulas)
    everywhere(merge_views, graph, *random_inputs((2, 3, 4)))
    never(merge_views, captured(lambda m, x: x.transpose(1, 2).reshape(2, 12).exp().view(24), (2, 3, 4)))


def test_a_chain_of_products_takes_the_cheaper_order() -> None:
    formulas = [
        lambda m, a, b, c: (a @ b) @ c,
        lambda m, a, b, c: c.T @ (b.T @ a.T),
        lambda m, a, b, c: (a.expand(2, 30, 4) @ b) @ c,
        lambda m, a, b, c: torch.bmm(torch.bmm(a[None], b[None]), c[None]),
        lambda m, a, b, c: m.second(m.first(a)),
        lambda m, a, b, c: m.bare(m.first(a)),
    ]
    parts = {"first": nn.Linear(4, 50), "second": nn.Linear(50, 2), "bare": nn.Linear(50, 2, bias=False)}
    sizes = (30, 4), (4, 40), (40, 1)
    graph = captured_together(formulas, *sizes, **parts)
    assert len(at_each_site(reassociate, graph, *random_inputs(*sizes))) == len(formulas)
    everywhere(reassociate, graph, *random_inputs(*sizes))


def test_a_chain_keeps_its_order_where_another_is_wrong_or_dearer() -> None:
    formulas = [
        lambda m, a, b, c: a @ (b @ c),
        lambda m, a, b, c: ((y := a @ b) @ c, y),
        lambda m, a, b, c: (y := a @ a.T) @ y,
        lambda m, a, b, c: m.second(m.first(a).relu()),
        lambda m, a, b, c: m.wide(m.thin(a)),
        lambda m, a, b, c: (a.long() @ b.long()) @ c.long(),
        lambda m, a, b, c: (a[None] @ b.expand(3, 4, 40)) @ c,
    ]
    parts = {"first": nn.Linear(4, 50), "second": nn.Linear(50, 2), "thin": nn.Linear(4, 1), "wide": nn.Linear(1, 4)}
    never(reassociate, captured_together(formulas, (30, 4), (4, 40), (40, 1), **parts))


def test_a_product_with_a_diagonal_is_a_scaling() -> None:
    formulas = [
        lambda m, a, b: torch.diag(a) @ b,
        lambda m, a, b: b.T @ torch.diag(a),
        lambda m, a, b: b.T @ torch.diag_embed(a),
        lambda m, a, b: torch.diag(a) @ a,
        lambda m, a, b: torch.diag(a) @ b.expand(2, 4, 3),
    ]
    graph = captured_together(formulas, (4,), (4, 3))
    assert len(at_each_site(scale_by_diagonal, graph, *random_inputs((4,), (4, 3)))) == len(formulas)
    kept = [
        lambda m, a, b: torch.diag(a, 1)[:, :4] @ torch.diag(a, 1)[:4],
        lambda m, a, b: torch.diag(b @ b.T) @ b,
        lambda m, a, b: torch.diag_embed(b) @ b[:, :, None],
        lambda m, a, b: torch.diag(a.long()) @ b.long(),
    ]
    never(scale_by_diagonal, captured_together(kept, (4,), (4, 3)))


def test_a_pooling_of_a_pooling_is_one_pooling() -> None:
    formulas = [
        lambda m, x: F.max_pool2d(F.max_pool2d(x, 2), 2),
        lambda m, x: F.max_pool2d(F.max_pool2d(x, 3, stride=2, padding=1), (2, 3), stride=1),
        lambda m, x: F.avg_pool2d(F.avg_pool2d(x, 2), (3, 2)),
        lambda m, x: F.adaptive_avg_pool2d(F.avg_pool2d(x, 3), 1),
        lambda m, x: F.avg_pool2d(F.avg_pool2d(x, 5), 2),
        lambda m, x: F.avg_pool2d(x, 4).mean((2, 3)),
        lambda m, x: F.max_pool1d(F.max_pool1d(x[0], 3, stride=2), 2),
    ]
    graph = captured_together(formulas, (2, 3, 12, 12))
    assert len(at_each_site(merge_pooling, graph, *random_inputs((2, 3, 12, 12)))) == len(formulas)
    everywhere(merge_pooling, graph, *random_inputs((2, 3, 12, 12)))


def test_poolings_stay_apart_where_borders_gaps_or_weights_differ() -> None:
    formulas = [
        lambda m, x: F.max_pool2d(F.max_pool2d(x, 2), 2, padding=1),
        lambda m, x: F.max_pool2d(F.max_pool2d(x, 2, stride=3), 2),
        lambda m, x: F.max_pool2d(F.max_pool2d(x, 2, dilation=2), 2),
        lambda m, x: F.max_pool2d(F.max_pool2d(x, 5, ceil_mode=True), 2),
        lambda m, x: (F.max_pool2d(y := F.max_pool2d(x, 2), 2), y),
        lambda m, x: F.max_pool2d(F.avg_pool2d(x, 2), 2),
        lambda m, x: F.avg_pool2d(F.avg_pool2d(x, 3, stride=1), 2),
        lambda m, x: F.avg_pool2d(F.avg_pool2d(x, 2, padding=1), 1),
        lambda m, x: F.avg_pool2d(F.avg_pool2d(x, 5, ceil_mode=True), 2),
        lambda m, x: F.adaptive_avg_pool2d(F.avg_pool2d(x, 5), 1),
        lambda m, x: F.avg_pool2d(x, 2).mean(3),
        lambda m, x: F.avg_pool2d(F.avg_pool2d(x, 2, divisor_override=3), 2),
        lambda m, x: F.adaptive_avg_pool2d(F.avg_pool2d(x, 2), 2),
    ]
    never(merge_pooling, captured_together(formulas, (2, 3, 12, 12)))


def test_attention_opens_into_products_and_a_softmax() -> None:
    formulas = [
        lambda m, q, k: F.scaled_dot_product_attention(q, k, k),
        lambda m, q, k: F.scaled_dot_product_attention(q, k, k, is_causal=True),
        lambda m, q, k: F.scaled_dot_product_attention(k, q, q, scale=0.3, is_causal=True),
    ]
    sizes = (2, 3, 5, 4), (2, 3, 7, 4)
    graph = captured_together(formulas, *sizes)
    assert len(at_each_site(open_attention, graph, *random_inputs(*sizes))) == len(formulas)


def test_attention_stays_whole_with_masks_dropout_and_long_rows() -> None:
    formulas = [
        lambda m, q: F.scaled_dot_product_attention(q, q, q, attn_mask=m.mask),
        lambda m, q: F.scaled_dot_product_attention(q, q, q, dropout_p=0.5),
        lambda m, q: F.scaled_dot_product_attention(q, q[:, :1], q[:, :1], enable_gqa=True),
        lambda m, q: F.scaled_dot_product_attention(*[q.repeat(1, 1, 200, 1)] * 3),
    ]
    never(open_attention, captured_together(formulas, (2, 2, 5, 4), mask=torch.ones(5, 5)))

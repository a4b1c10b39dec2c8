"""Convolutions with channels last."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from kernelwright.tricks.channels_last import channels_last
from tests.pure.rewriting import at_each_site, calls, captured, captured_together, everywhere, never, random_inputs

aten = torch.ops.aten


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.norm, self.short = nn.BatchNorm2d(8), nn.Conv2d(4, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.norm(self.second(F.relu(self.first(x)))) + self.short(x))


def test_a_chain_of_convolutions_is_converted_once_on_the_way_in_and_once_on_the_way_out() -> None:
    graph = captured(lambda m, x: m.block(x), (2, 4, 9, 9), block=Residual().eval())
    new = everywhere(channels_last, graph, *random_inputs((2, 4, 9, 9)))
    activations = [node for node in calls(new, aten.clone) if node.all_input_nodes[0].op != "get_attr"]
    assert [node.name.endswith("_channels_last") for node in activations] == [True, False]
    for node in calls(new, aten.conv2d, aten.relu):
        assert node.meta["val"].is_contiguous(memory_format=torch.channels_last)


def test_one_rewrite_is_enough_for_what_follows() -> None:
    graph = captured(lambda m, x: m.second(F.max_pool2d(F.relu(m.first(x)), 2)).mean((2, 3)), (2, 4, 9, 9),
                     first=nn.Conv2d(4, 8, 3), second=nn.Conv2d(8, 4, 3))  # fmt: skip
    first, *_ = at_each_site(channels_last, graph, *random_inputs((2, 4, 9, 9)))
    assert channels_last.sites(first) == ()


def test_views_and_outputs_are_as_they_were() -> None:
    formulas = [
        lambda m, x: m.conv(x).flatten(1),
        lambda m, x: m.conv(x).view(2, 8, -1).transpose(1, 2),
        lambda m, x: m.conv(x)[:, 1:],
        lambda m, x: m.conv(x),
        lambda m, x: m.up(x).permute(0, 2, 3, 1),
        lambda m, x: F.avg_pool2d(m.gray(x[:, :1]), 2),
        lambda m, x: m.shuffle(m.conv(x)).reshape(2, -1),
        lambda m, x: m.group(m.conv(x)),
        lambda m, x: m.deep(x[:, :, None].expand(2, 4, 3, 9, 9)).sum(2),
        lambda m, x: F.interpolate(m.wise(x), scale_factor=2),
        lambda m, x: F.max_pool2d(x, 3, stride=2, padding=1),
    ]
    parts = {"conv": nn.Conv2d(4, 8, 3), "up": nn.ConvTranspose2d(4, 6, 3, stride=2), "gray": nn.Conv2d(1, 3, 3),
             "shuffle": nn.PixelShuffle(2), "group": nn.GroupNorm(2, 8), "deep": nn.Conv3d(4, 2, 2),
             "wise": nn.Conv2d(4, 4, 3, groups=4)}  # fmt: skip
    graph = captured_together(formulas, (2, 4, 9, 9), **parts)
    assert at_each_site(channels_last, graph, *random_inputs((2, 4, 9, 9)))
    everywhere(channels_last, graph, *random_inputs((2, 4, 9, 9)))


def test_buffers_of_batch_norm_in_training_are_still_written() -> None:
    graph = captured(lambda m, x: m.block(x), (2, 4, 9, 9), block=Residual().train())
    new = everywhere(channels_last, graph, *random_inputs((2, 4, 9, 9)))
    assert len(calls(new, aten.copy_)) == len(calls(graph, aten.copy_)) > 0


def test_other_layouts_stay() -> None:
    formulas = [
        lambda m, x: m.line(x[..., 0]),
        lambda m, x: F.max_pool1d(x[..., 0], 2),
        lambda m, x: m.conv(x[0]),
        lambda m, x: F.max_pool2d(x[0], 2),
        lambda m, x: m.conv(x.contiguous(memory_format=torch.channels_last)),
        lambda m, x: m.point(x.mean((2, 3), keepdim=True)),
    ]
    parts = {"line": nn.Conv1d(4, 2, 3), "conv": nn.Conv2d(4, 2, 3), "point": nn.Conv2d(4, 2, 1)}
    graph = captured_together(formulas, (2, 4, 9, 9), **parts)
    never(channels_last, graph)

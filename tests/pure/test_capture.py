"""A live module rendered as a reference file computes the same from the same state, and reads well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from kernelwright.capture import source
from kernelwright.capture.drawing import drawing
from kernelwright.capture.export import program
from kernelwright.capture.module import Rendered, render, save
from kernelwright.core.errors import CaptureError, UsageError


class Everything(nn.Module):
    """State in every place where PyTorch users keep it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.LayerNorm(8)) for _ in range(2))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 10, bias=False)
        self.head.weight = self.embed.weight
        self.scales = nn.ParameterList([nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(8), requires_grad=False)])
        self.named = nn.ModuleDict({"a-b": nn.Conv1d(8, 8, 3, padding=1)})
        self.norm = nn.BatchNorm1d(8)
        self.offset = nn.Parameter(torch.randn(8).half())
        self.register_buffer("mask", torch.triu(torch.full((5, 5), float("-inf")), 1), persistent=False)
        self.steps = torch.arange(8.0)

    def forward(self, ids: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.embed(ids) * self.steps
        for layer, factor in zip(self.layers, self.scales, strict=True):
            x = layer(x) * factor
        x = self.attention(x, x, x, attn_mask=self.get_buffer("mask"), need_weights=False)[0] * scale
        x = self.norm(self.named["a-b"](x.mT)).mT
        return self.head(x + self.offset.float()), x


def rebuilt(rendered: Rendered) -> nn.Module:
    model = source.build(source.load(rendered.source))
    model.load_state_dict(dict(rendered.state), strict=True)
    return model


IDS = torch.tensor([[1, 2, 3, 4, 5], [9, 8, 0, 6, 1]])


@pytest.fixture(scope="module")
def everything() -> tuple[Everything, Rendered]:
    torch.manual_seed(0)
    model = Everything()
    return model, render(model, (IDS, 2.5))


def test_a_rendered_module_computes_and_writes_what_the_live_one_does(everything: tuple[Everything, Rendered]) -> None:
    model, rendered = everything
    new = rebuilt(rendered)
    torch.testing.assert_close(new(IDS, 2.5), model(IDS, 2.5))
    torch.testing.assert_close(dict(new.named_buffers())["norm.running_var"], model.norm.running_var)


def test_state_keeps_its_names_shapes_and_kinds(everything: tuple[Everything, Rendered]) -> None:
    model, rendered = everything
    new = rebuilt(rendered)
    added = {"mask", "steps"}  # read by forward, though the live module does not save them
    assert new.state_dict().keys() == model.state_dict().keys() | added
    described = {key: (value.shape, value.dtype, value.requires_grad) for key, value in new.named_parameters()}
    assert described == {
        key: (value.shape, value.dtype, value.requires_grad) for key, value in model.named_parameters()
    }
    assert new.get_parameter("head.weight") is new.get_parameter("embed.weight")


def test_pytorchs_own_layers_are_declared_as_such(everything: tuple[Everything, Rendered]) -> None:
    _, rendered = everything
    for line in ("self.embed = nn.Embedding(10, 8)", "self.layers[1][2] = nn.LayerNorm((8,))",
                 "self.head.weight = self.embed.weight", "def forward(self, ids, scale):"):  # fmt: skip
        assert line in rendered.source
    assert "torch.ops" not in re.sub(r"torch\.ops\.aten\._native_batch_norm_legit_functional", "", rendered.source)


def test_the_mode_is_part_of_what_is_rendered() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    x = torch.randn(3, 4)
    assert "dropout" in render(model.train(), (x,)).source
    assert "dropout" not in render(model.eval(), (x,)).source


def test_one_tensor_in_two_places_is_taken_for_two_inputs() -> None:
    x = torch.randn(3, 4)
    new = rebuilt(render(nn.Bilinear(4, 4, 2), (x, x)))
    assert not torch.equal(new(x, x + 1), new(x + 1, x))


def test_weights_lie_beside_the_file(everything: tuple[Everything, Rendered], tmp_path: Path) -> None:
    model, rendered = everything
    path = save(rendered, tmp_path / "new", "everything")
    assert path.read_text() == rendered.source
    assert torch.equal(load_file(path.with_suffix(".safetensors"))["head.weight"], model.embed.weight)


def test_a_module_that_cannot_be_exported_is_refused_by_what_it_does() -> None:
    class Branches(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(CaptureError, match="Branches"):
        render(Branches(), (torch.randn(3),))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (torch.zeros(2), "are a Tensor"),
        ((torch.zeros(2), None), "1 is a NoneType"),
        (([torch.zeros(2)],), "0 is a list"),
        ((3, 4.0), "no example input is a tensor"),
        ((torch.zeros(2, dtype=torch.complex64),), "complex64"),
    ],
)
def test_inputs_that_are_not_supported_are_named(inputs: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        render(nn.Identity(), inputs)  # type: ignore[arg-type]


def test_inputs_are_drawn_with_the_layout_and_the_kind_of_values_seen() -> None:
    torch.manual_seed(0)
    mask = torch.ones(6, 6, dtype=torch.bool).tril()
    lengths = torch.arange(9) < torch.tensor([[2], [9], [5]])
    drawn = {
        "torch.randn((64, 32))": torch.randn(64, 32),
        "torch.rand((64, 32))": torch.rand(64, 32),
        "torch.rand((64, 32)) * 4.0": torch.rand(64, 32) * 4,
        "torch.randn((300, 300)) * 0.5 - 1.0": torch.randn(300, 300) * 0.5 - 1,
        "torch.full((2, 3), 1.5, dtype=torch.float16)": torch.full((2, 3), 1.5).half(),
        "(torch.randn((80, 1)) * 3.1).expand(80, 4)": torch.linspace(-5.2, 5.2, 80)[:, None].expand(80, 4),
        "torch.randn((2, 3, 4, 5)).to(memory_format=torch.channels_last)":
            torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "torch.empty_strided((16, 8), (1, 16)).copy_(torch.randn((16, 8)))": torch.randn(8, 16).t(),
        "torch.arange(0, 12, 1, dtype=torch.int64).view(3, 4)": torch.arange(12).view(3, 4),
        "torch.arange(0, 4, 1, dtype=torch.int64).expand(3, 4).contiguous()": torch.arange(4).repeat(3, 1),
        "torch.randperm(50, dtype=torch.int64)": torch.randperm(50),
        "torch.randint(0, 7, (64,), dtype=torch.int32)": torch.arange(64, dtype=torch.int32) * 5 % 7,
        "torch.randint(0, 91, (64,)).sort(dim=-1).values": (torch.arange(64) ** 2) * 90 // 63**2,
        "torch.ones((6, 6), dtype=torch.bool).tril()": mask,
        "torch.where(torch.ones((6, 6), dtype=torch.bool).tril(), 0.0, float(\"-inf\"))":
            torch.zeros(6, 6).masked_fill(~mask, float("-inf")),
        "torch.arange(9) < torch.randint(1, 10, (3, 1))": lengths,
        "torch.rand((100,)) < 0.3": torch.arange(100) % 10 < 3,
        "2.5": 2.5,
    }  # fmt: skip
    for text, value in drawn.items():
        assert drawing(value, "x") == text
        again = eval(text, {"torch": torch})
        if isinstance(value, torch.Tensor):
            assert (again.shape, again.stride(), again.dtype) == (value.shape, value.stride(), value.dtype), text


def test_inputs_drawn_twice_from_one_source_give_one_text() -> None:
    torch.manual_seed(0)
    for draw in (lambda: torch.randn(512, 64) * 0.02, lambda: torch.rand(512, 64) * 30,
                 lambda: torch.randint(0, 50_000, (512, 64))):  # fmt: skip
        assert len({drawing(draw(), "x") for _ in range(5)}) == 1


def test_the_same_tensor_given_twice_stays_two_inputs() -> None:
    class Add(nn.Module):
        def forward(self, x, y):
            return x + 2 * y

    x, y = torch.randn(3), torch.randn(3)
    graph = program(Add(), (x, x))
    torch.testing.assert_close(graph(x, y), x + 2 * y)


def test_inputs_named_like_what_printed_files_use_are_called_otherwise() -> None:
    class Named(nn.Module):
        def forward(self, out, float):
            return out + float

    graph = program(Named(), (torch.ones(2), torch.ones(2)))
    placeholders = [node for node in graph.graph.nodes if node.op == "placeholder"]
    assert [(node.target, node.name) for node in placeholders] == [("out", "out_"), ("float", "float_")]

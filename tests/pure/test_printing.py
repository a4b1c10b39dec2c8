"""Printed source does what the graph does, and reads as a person would have written it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from kernelwright.capture import source
from kernelwright.capture.export import program
from kernelwright.core.errors import UsageError
from kernelwright.core.spec import ScalarSpec, TensorSpec
from kernelwright.graph.forms import FIRST, FORMS, INFIX, PREFIX
from kernelwright.graph.printing import attribute, expression, forward_lines, signature
from kernelwright.graph.rewritten import rewritten_source

aten = torch.ops.aten


class Apply(nn.Module):
    """Any function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


SEQUENCE, IMAGE = draw(4, 8, 16), draw(2, 8, 12, 12)

FUNCTIONS: dict[str, Callable[[torch.Tensor], Any]] = {
    "arithmetic": lambda x: (x + 2) * 3 - x / 2 - (1 - x) + 2 / x + x**2 + 2.0**x + (-x) % 2 + x // 2,
    "scaled sums": lambda x: torch.add(x, x, alpha=2) - torch.sub(x, x, alpha=0.5),
    "negative numbers": lambda x: x * -2.0 - -1 + x.clamp(max=-0.5) - (-3 - x),
    "infinities": lambda x: x.masked_fill(x > 0, float("-inf")).clamp(min=-1e30) + x.clamp(max=float("inf")),
    "comparisons": lambda x: torch.where((x > 0) & (x <= 1) | ~(x != x), x, x * 2) + (x == 0) + (x >= x) + (x < 0),
    "activations": lambda x: [F.relu(x), F.gelu(x), F.gelu(x, approximate="tanh"), x.sigmoid(), x.tanh(), F.silu(x),
                              F.mish(x), F.elu(x), F.elu(x, 0.5), F.leaky_relu(x, 0.2), F.hardtanh(x, -2.0, 1.0),
                              F.hardsigmoid(x), F.hardswish(x), F.softplus(x, beta=2), F.selu(x), F.softsign(x),
                              F.relu6(x), F.logsigmoid(x), F.glu(x), F.glu(x, 1), F.threshold(x, 1.0, 2.0), F.celu(x),
                              F.hardshrink(x), F.softshrink(x, 0.3), F.tanhshrink(x)],
    "pointwise": lambda x: [x.exp(), x.abs().log(), x.abs().sqrt(), x.abs().rsqrt(), x.erf(), x.sign(), x.round(),
                            x.floor(), x.sin(), x.cos(), x.square(), x.reciprocal(), torch.maximum(x, x * 2),
                            torch.atan2(x, x + 1), x.expm1(), x.log1p(), x.isnan(), torch.lerp(x, x + 1, 0.3)],
    "reductions": lambda x: [x.sum(), x.sum(1), x.sum((1, 2), keepdim=True), x.mean(), x.mean(-1), x.prod(1), x.max(),
                             x.max(1)[0], x.max(1).indices, x.amax(1), x.amin((0, 2)), x.argmax(1), x.argmin(),
                             x.var(-1), x.var(-1, unbiased=False), x.var(0, correction=2), x.std(1, keepdim=True),
                             x.norm(dim=-1), x.norm(p=1, dim=1), torch.logsumexp(x, 1), (x > 0).any(1), (x > 9).all()],
    "softmax": lambda x: [x.softmax(-1), F.log_softmax(x, 1), F.softmax(x, 0, dtype=torch.float64)],
    "scans": lambda x: [x.cumsum(1), x.abs().cumprod(2), x.cummax(1)[0]],
    "order": lambda x: [*x.topk(3), *x.sort(dim=1, descending=True), x.topk(2, dim=1, largest=False)[1]],
    "slices": lambda x: [x[:, 0], x[:, 1:3], x[..., -1], x[1], x[:, :, ::2], x[-1:], x[:, None], x[:, [0, 2]]],
    "shapes": lambda x: [x.view(4, -1), x.flatten(1), x.flatten(), x.reshape(-1, 2), x.transpose(1, 2).contiguous(),
                         x.permute(2, 0, 1), x.unsqueeze(1).squeeze(1), x[:, :1].squeeze(), x.unflatten(2, (4, 4)),
                         x[:, :1].expand(-1, 3, -1), x.repeat(1, 2, 1), x.mT, x.tril(), x.triu(1), x.flip(1, 2),
                         x.roll(1, 1), x.diagonal(dim1=1, dim2=2), x.unfold(2, 4, 2)],
    "joins": lambda x: [torch.cat([x, x * 2], 1), torch.stack([x, x], dim=-1), *x.chunk(2, 1), *x.split([3, 5], 1),
                        x.split(2, 1)[1], x.unbind(1)[0]],
    "products": lambda x: [x @ x.mT, torch.bmm(x, x.mT), torch.einsum("bij,bkj->bik", x, x), torch.mm(x[0], x[1].t()),
                           torch.addmm(x[0, 0, :8], x[0], x[1].t(), beta=2), torch.baddbmm(x[:, :, :8], x, x.mT)],
    "made": lambda x: [torch.zeros(2, 3) + x[0, 0, 0], torch.ones_like(x) * x, torch.arange(16) * x, torch.eye(8) @ x,
                       torch.full((2,), 3.0) * x[0, 0, 0], torch.tensor([1.0, 2.0]) + x[0, 0, 0],
                       x.new_zeros(3) + x[0, 0, 0],
                       torch.arange(2, 10, 3) + x[0, 0, 0]],
    "types": lambda x: [x.double() + 1, x.to(torch.bfloat16) * 2, (x > 0).float() + 1, x.long() + 1],
    "gathers": lambda x: [x.gather(1, x.argmax(1, keepdim=True)), x.index_select(2, torch.tensor([1, 3])),
                          F.one_hot(x.argmax(-1), 16),
                          F.embedding(x.argmax(-1), x[0].expand(2, 8, 16).reshape(16, 16))],
    "losses": lambda x: [F.mse_loss(x, x * 2), F.l1_loss(x, x * 2, reduction="sum"),
                         F.smooth_l1_loss(x, x * 2, beta=0.5),
                         F.huber_loss(x, x * 3, reduction="none"), F.cross_entropy(x, x.softmax(1)),
                         F.cross_entropy(x[:, 0], x[:, 1].argmax(1), label_smoothing=0.1, reduction="sum"),
                         F.nll_loss(x[:, 0], x[:, 1].argmax(1)), F.kl_div(x, x.softmax(-1), reduction="batchmean"),
                         F.binary_cross_entropy(x.sigmoid(), x.sigmoid()),
                         F.binary_cross_entropy_with_logits(x, x.sigmoid()),
                         F.cosine_similarity(x, x + 1, dim=2), F.triplet_margin_loss(x, x, x * 2)],
    "attention": lambda x: [F.scaled_dot_product_attention(x, x, x),
                            F.scaled_dot_product_attention(x, x, x, is_causal=True),
                            F.scaled_dot_product_attention(x, x, x, attn_mask=x @ x.mT > 0, scale=0.5)],
    "writes into a copy": lambda x: _written(x),
    "nested results": lambda x: (x + 1, [x * 2, (x - 1,)]),
}  # fmt: skip

WINDOWS: dict[str, Callable[[torch.Tensor], Any]] = {
    "pooling": lambda x: [F.max_pool2d(x, 2), F.max_pool2d(x, 3, 2, 1), F.avg_pool2d(x, (2, 3)), F.lp_pool2d(x, 2, 2),
                          F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False), F.adaptive_avg_pool2d(x, 1),
                          F.adaptive_avg_pool2d(x, (3, 4)), F.adaptive_max_pool2d(x, 4), F.max_pool1d(x[0], 2),
                          F.avg_pool3d(x, 2)],
    "resizing": lambda x: [F.interpolate(x, scale_factor=2), F.interpolate(x, size=(5, 7), mode="bilinear"),
                           F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=True), F.pad(x, (1, 2)),
                           F.pad(x, (1, 1, 2, 2), mode="reflect"), F.pad(x, (1, 0), value=3.0), F.pixel_shuffle(x, 2)],
    "convolutions": lambda x: [F.conv2d(x, x[:, :, :3, :3]), F.conv2d(x, x[:, :, :3, :3], stride=(2, 1), padding=1),
                               F.conv1d(x[:, :, 0], x[:, :, 0, :3]),
                               F.conv_transpose2d(x, x[0, :, None, :3, :2], stride=2)],
}  # fmt: skip


def _written(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[:, 0] = 1
    y[:, :, 1:3] += 2
    return y


MODULES: dict[str, tuple[nn.Module, tuple[torch.Tensor, ...]]] = {
    "convolutional": (
        nn.Sequential(
            nn.Conv2d(8, 8, 3, padding="same"),
            nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.ConvTranspose2d(8, 8, 2, 2),
            nn.GroupNorm(2, 8), nn.InstanceNorm2d(8, affine=True), nn.MaxPool2d(2), nn.PReLU(), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(8, 4, bias=False), nn.Dropout(), nn.LayerNorm(4), nn.RMSNorm(4),
        ).eval(), (IMAGE,)),
    "batch norm in training": (nn.Sequential(nn.BatchNorm2d(8), nn.ReLU()), (IMAGE,)),
    "dropout in training": (nn.Sequential(nn.Linear(16, 8), nn.Dropout(0.5)), (SEQUENCE,)),
    "lstm": (nn.LSTM(16, 8, batch_first=True), (SEQUENCE,)),
    "gru": (nn.GRU(16, 8, num_layers=2), (SEQUENCE,)),
    "attention": (nn.MultiheadAttention(16, 2, batch_first=True).eval(), (SEQUENCE, SEQUENCE * 2, SEQUENCE + 1)),
    "transformer": (nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval(), (SEQUENCE,)),
    "embedding": (nn.Sequential(nn.Embedding(9, 4, padding_idx=0), nn.Linear(4, 2)), (torch.arange(6).view(2, 3),)),
    "bilinear": (nn.Bilinear(16, 16, 3), (SEQUENCE, SEQUENCE + 1)),
    "members in lists": (nn.ModuleDict({"a-b": nn.ModuleList([nn.Linear(2, 2)])}), ()),
}  # fmt: skip


def run(graph: fx.GraphModule, model: nn.Module, inputs: Sequence[torch.Tensor]) -> list[Any]:
    """What the printed forward of a graph gives for a model, from a fixed seed."""
    body = "\n".join(f"    {line}" for line in forward_lines(graph))
    names: dict[str, Any] = {"torch": torch, "F": F}
    exec(f"{signature(graph.graph)}\n{body}", names)
    torch.manual_seed(0)
    with torch.no_grad():
        return tree_leaves(names["forward"](model, *inputs))


def assert_same(actual: Sequence[Any], expected: Sequence[Any]) -> None:
    assert len(actual) == len(expected)
    for mine, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(mine, theirs, equal_nan=True)


def printed(model: nn.Module, *inputs: torch.Tensor) -> list[str]:
    return forward_lines(program(model, inputs))


@cache
def captured(name: str) -> tuple[nn.Module, torch.Tensor, fx.GraphModule]:
    model = Apply({**FUNCTIONS, **WINDOWS}[name])
    x = SEQUENCE if name in FUNCTIONS else IMAGE
    return model, x, program(model, [x])


@pytest.mark.parametrize("name", [*FUNCTIONS, *WINDOWS])
def test_a_printed_function_computes_what_it_was_printed_from(name: str) -> None:
    model, x, graph = captured(name)
    assert_same(run(graph, model, [x]), tree_leaves(model(x)))


@pytest.mark.parametrize("name", [name for name, (_, inputs) in MODULES.items() if inputs])
def test_a_printed_module_computes_and_writes_what_the_module_does(name: str) -> None:
    model, inputs = MODULES[name]
    mine, theirs = copy.deepcopy(model), copy.deepcopy(model)
    graph = program(model, inputs)
    torch.manual_seed(0)
    with torch.no_grad():
        expected = tree_leaves(theirs(*inputs))
    assert_same(run(graph, mine, inputs), expected)
    assert_same(list(mine.state_dict().values()), list(theirs.state_dict().values()))


@pytest.mark.parametrize("name", sorted({*FUNCTIONS, *WINDOWS} - {"losses", "writes into a copy", "scans"}))
def test_the_usual_calls_print_as_pytorch_and_not_by_operator_name(name: str) -> None:
    assert not [line for line in forward_lines(captured(name)[2]) if "torch.ops" in line]


def test_every_form_names_arguments_of_its_operator() -> None:
    for overload, form in {**FORMS, **FIRST, **INFIX, **dict.fromkeys(PREFIX, "self")}.items():
        name, _, signature_of = overload.partition(".")
        known = {argument.name for argument in getattr(getattr(aten, name), signature_of)._schema.arguments}
        arguments = re.sub(r"\w+=(?!,|$)|'\w+'", "", form[form.find("(") + 1 :])
        assert set(re.findall(r"[A-Za-z_]\w*", arguments)) <= known, f"{overload}: {form}"


def test_linear_and_its_tail_read_as_written_by_hand() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(16, 8), nn.GELU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers(x).mean(dim=1, keepdim=True) + 2.0

    assert printed(Model(), SEQUENCE) == [
        "layers_0 = F.linear(x, self.layers[0].weight, self.layers[0].bias)",
        "layers_1 = F.gelu(layers_0)",
        "mean = layers_1.mean(dim=1, keepdim=True)",
        "return mean + 2.0",
    ]


def test_large_locals_are_freed_after_their_last_use() -> None:
    lines = printed(Apply(lambda x: (x.relu() * 2).sum(1) + 1), draw(1024, 512))
    assert lines == [
        "relu = F.relu(x)",
        "mul = relu * 2",
        "del relu",
        "sum_1 = mul.sum(dim=1)",
        "del mul",
        "return sum_1 + 1",
    ]


def test_replaced_nodes_print_as_given_and_the_rest_around_them() -> None:
    graph = program(Apply(lambda x: (x.relu() * 2).sum(1) + 1), [SEQUENCE])
    relu, mul = (node for node in graph.graph.nodes if node.name in ("relu", "mul"))
    lines = forward_lines(graph, {relu: [], mul: ["mul = empty((4, 8, 16))", "kernels.relu_mul(x, mul)"]})
    assert lines == [
        "mul = empty((4, 8, 16))",
        "kernels.relu_mul(x, mul)",
        "sum_1 = mul.sum(dim=1)",
        "return sum_1 + 1",
    ]


def test_replaced_items_of_a_tuple_leave_the_others_unpacked() -> None:
    graph = program(Apply(lambda x: (x.max(1)[0] + 1, x.max(1)[1])), [SEQUENCE])
    names = {node.name: node for node in graph.graph.nodes}
    lines = forward_lines(graph, {names["getitem"]: ["getitem = x.amax(1)"]})
    assert "getitem = x.amax(1)" in lines
    exec("def forward(x):\n" + "\n".join(f"    {line}" for line in lines), scope := {"torch": torch, "F": F})
    assert_same(scope["forward"](SEQUENCE), [SEQUENCE.amax(1) + 1, SEQUENCE.argmax(1)])


def test_what_no_form_can_say_is_said_by_the_operator() -> None:
    graph = fx.Graph()
    x = graph.placeholder("x")
    elu = graph.call_function(aten.elu.default, (x, 1.0, 2.0))
    assert expression(elu, lambda node: node.name) == "torch.ops.aten.elu.default(x, 1.0, 2.0)"


def test_members_are_reached_by_attribute_index_or_getattr() -> None:
    assert attribute("layers.0.weight") == "self.layers[0].weight"
    assert attribute("heads.a-b.in") == 'getattr(getattr(self.heads, "a-b"), "in")'


def test_numbers_keep_their_place_in_the_signature() -> None:
    graph = fx.Graph()
    graph.placeholder("x")
    graph.placeholder("mask")
    tensor = TensorSpec((1,), (1,), "float32")
    assert signature(graph) == "def forward(self, x, mask):"
    assert signature(graph, [tensor, ScalarSpec(2), tensor], ["x", "scale"]) == "def forward(self, x, scale, mask):"
    assert signature(graph, [tensor, tensor, ScalarSpec(2)]) == "def forward(self, x, mask, number_2):"


REFERENCE = '''"""A reference."""
import os
import torch
import torch.nn as nn

# How wide, and
# how deep
SIZES = [4]
SIZES.append(8)
BATCH = 16
torch.manual_seed(0)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, SIZES[1])


def make(width):  # a helper
    return Block(width)


class Model(nn.Module):
    """Ünïcode."""

    def __init__(self, width):
        "é"; super(Model, self).__init__()
        self.block = make(width)
        self._reset()  # a comment

    def _reset(self):
        nn.init.ones_(self.block.fc.bias)

    def _tail(self, x):
        return x.relu()

    def forward(self, x: torch.Tensor, scale: float = 2.0) -> torch.Tensor:
        return self._tail(self.block.fc(x)) * scale


def get_inputs():
    return [torch.rand(BATCH, 4), 2.0]


def get_init_inputs():
    return [SIZES[0]]


if __name__ == "__main__":
    os.abort()
'''


def test_a_rewritten_reference_keeps_the_constructor_and_computes_the_same() -> None:
    reference = source.load(REFERENCE)
    model, inputs = source.build(reference), source.draw_inputs(reference, 0)
    text = rewritten_source(REFERENCE, forward_lines(program(model, inputs)), docstring="Printed again.")
    new = vars(source.execute(text, "kernelwright_test_rewritten"))["ModelNew"](4)
    new.load_state_dict(model.state_dict())
    torch.testing.assert_close(new(*inputs), model(*inputs))
    for kept in (
        '"""Printed again."""',
        "# how deep",
        "SIZES.append(8)",
        "# a helper",
        "# a comment",
        "super(ModelNew, self)",
    ):
        assert kept in text
    for gone in ("get_inputs", "BATCH", "os", "manual_seed", "_tail", "A reference"):
        assert not re.search(rf"\b{gone}\b", text), gone


def test_kernels_and_imports_stand_above_the_class() -> None:
    text = rewritten_source(
        REFERENCE, ["return kernels(x)"], imports=["import kernelwright.runtime"], above="kernels = print"
    )
    assert text.index("import torch.nn as nn") < text.index("import kernelwright.runtime") < text.index("SIZES = [4]")
    assert text.index("def make") < text.index("kernels = print") < text.index("class ModelNew")
    assert "import torch.nn.functional" not in text


def test_a_model_that_is_no_class_of_the_file_is_extended() -> None:
    text = rewritten_source("from torch.nn import Linear as Model\n", ["return x"], signature="def forward(self, x):")
    scope: dict[str, Any] = {}
    exec(text, scope)
    assert scope["ModelNew"](2, 3)(5) == 5
    with pytest.raises(UsageError, match="signature"):
        rewritten_source("from torch.nn import Linear as Model\n", ["return x"])

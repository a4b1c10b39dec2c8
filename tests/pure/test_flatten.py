from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from kernelwright.capture.export import program
from kernelwright.graph.flatten import flatten

X = torch.randn(4, 8, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 7, -100, 3])


class Of(nn.Module):
    def __init__(self, function, *modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.inner = nn.ModuleList(modules)

    def forward(self, *inputs):
        return self.function(*self.inner, *inputs)


CASES = {
    "layer_norm": (Of(lambda n, x: n(x), nn.LayerNorm([6, 6])), X),
    "rms_norm": (Of(lambda n, x: n(x), nn.RMSNorm(6)), X),
    "batch_norm": (Of(lambda n, x: n(x), nn.BatchNorm2d(8)).eval(), X),
    "softmax": (Of(lambda x: x.softmax(1)), X),
    "log_softmax": (Of(lambda x: F.log_softmax(x, -1)), X),
    "logsumexp": (Of(lambda x: torch.logsumexp(x, -1)), X),
    "moments": (Of(lambda x: x.var(-1) + x.std(-1, correction=0) + x.mean(-1) + x.norm(dim=-1)), X),
    "activations": (Of(lambda x: F.gelu(x) + F.silu(x) + F.mish(x) + F.hardswish(x) + F.elu(x) + F.softplus(x)), X),
    "normalize": (Of(lambda x: F.normalize(x, dim=1)), X),
    "cosine": (Of(lambda x: F.cosine_similarity(x, x.flip(0), dim=1)), X),
    "mse": (Of(lambda x: F.mse_loss(x, x.square())), X),
    "cross_entropy": (Of(lambda x, y: F.cross_entropy(x[:, :, 0, 0], y)), X, LABELS),
    "smoothed": (Of(lambda x, y: F.cross_entropy(x[:, :, 0, 0], y, label_smoothing=0.1)), X, LABELS),
}


def flat_of(name: str):
    model, *inputs = CASES[name]
    graph = program(model, inputs)
    calls = [node for node in graph.graph.nodes if node.op == "call_function"]
    return model, inputs, graph, flatten(calls, [calls[-1]])


@pytest.mark.parametrize("name", CASES)
def test_a_flat_region_computes_what_the_module_does(name: str) -> None:
    model, inputs, graph, flat = flat_of(name)
    known = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
    sources = {node.name: node.target for node in graph.graph.nodes if node.op == "get_attr"}
    given = dict(zip([n.name for n in graph.graph.nodes if n.op == "placeholder"], inputs, strict=True))
    values = [given[p.target] if p.target in given else known[sources[p.target]]
              for p in flat.graph.nodes if p.op == "placeholder"]  # fmt: skip
    with torch.no_grad():
        torch.testing.assert_close(flat(*values)[0], model(*inputs))


@pytest.mark.parametrize("name", CASES)
def test_a_flat_region_writes_nothing_in_place_and_keeps_no_composite(name: str) -> None:
    _, _, _, flat = flat_of(name)
    calls = [node.target for node in flat.graph.nodes if node.op == "call_function"]
    assert not [target for target in calls if target._schema.is_mutable]
    assert not [target for target in calls if any(word in str(target) for word in ("norm", "softmax", "loss", "gelu"))]

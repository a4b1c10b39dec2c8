"""What skeletons cover and what they refuse, with nothing compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn, randn

from kernelwright.capture.export import program
from kernelwright.core.spec import Target
from kernelwright.kernels import SKELETONS, matmul, rowwise
from kernelwright.kernels import map as map_
from kernelwright.kernels.axes import space
from kernelwright.kernels.flat import flat
from kernelwright.kernels.kernel import Kernel
from kernelwright.kernels.nest import nest_of
from kernelwright.kernels.product import product_of
from kernelwright.kernels.region import CannotCover, Region, grown, region
from kernelwright.kernels.rows import passes, rows_of
from kernelwright.kernels.skeleton import Skeleton, chosen
from tests.kernels_at_work import CPU, calls, module, whole, written


def node(of: Callable[..., Any], *inputs: torch.Tensor, last: bool = True) -> fx.Node:
    found = calls(program(module(of), list(inputs)))
    return found[-1 if last else 0]


def refusal(skeleton: Skeleton, of: Callable[..., Any], *inputs: torch.Tensor) -> str:
    _, here = whole(skeleton, of, inputs)
    with pytest.raises(CannotCover) as raised:
        skeleton.write(here, (), "cpp", "kernel")
    return str(raised.value)


# ---- regions


def test_a_region_reads_from_outside_and_is_read_from_outside() -> None:
    graph = program(module(lambda x, y: (x + y).relu() * y), [randn(3), randn(3)])
    add, relu, mul = calls(graph)
    here = region("map", [relu, add])
    assert (here.nodes, [n.name for n in here.inputs], here.outputs) == ((add, relu), ["input_0", "input_1"], (relu,))
    assert grown(here, mul).nodes == (add, relu, mul)
    assert str(here) == "map(add, relu)"


def test_the_items_of_a_tuple_come_with_it() -> None:
    first = calls(program(module(lambda x: torch.var_mean(x, -1)), [randn(3, 5)]))[0]
    assert [n.name for n in region("rowwise", [first]).nodes] == ["var_mean", "getitem", "getitem_1"]
    assert rowwise.claims(first)


# ---- what is claimed


CLAIMS: dict[str, tuple[Callable[..., Any], tuple[torch.Tensor, ...], set[str]]] = {
    "pointwise": (F.gelu, (randn(4, 8),), {"map"}),
    "a norm": (lambda x: F.layer_norm(x, (8,)), (randn(4, 8),), {"rowwise"}),
    "a linear map": (nn.Linear(8, 4), (randn(4, 8),), {"matmul"}),
    "a batched product": (torch.bmm, (randn(2, 4, 8), randn(2, 8, 3)), {"matmul"}),
    "a loss": (F.cross_entropy, (randn(4, 8), torch.arange(4)), {"rowwise"}),
    "a view": (lambda x: x.transpose(0, 1), (randn(4, 8),), set()),
    "a copy": (lambda x: x.clone(), (randn(4, 8),), set()),
    "a convolution": (nn.Conv2d(3, 4, 3), (randn(1, 3, 8, 8),), set()),
    "a sort": (lambda x: x.sort(-1).values, (randn(4, 8),), set()),
    "a cumulative sum": (lambda x: x.cumsum(-1), (randn(4, 8),), set()),
    "attention": (F.scaled_dot_product_attention, (randn(1, 2, 4, 8),) * 3, set()),
    "float64": (F.gelu, (randn(4, 8).double(),), set()),
    "a product of float64": (torch.mm, (randn(4, 8).double(), randn(8, 3).double()), set()),
    "a sum of integers": (lambda x: x.sum(-1), (torch.ones(4, 8, dtype=torch.int64),), set()),
    "random numbers": (lambda x: F.dropout(x, 0.5), (randn(4, 8),), set()),
    "an empty tensor": (F.gelu, (randn(0, 8),), set()),
    "a reduction over one element": (lambda x: x.sum(-1), (randn(4, 1),), set()),
    "concatenation": (lambda x: torch.cat([x, x]), (randn(4, 8),), set()),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims(name: str) -> None:
    function, inputs, wanted = CLAIMS[name]
    found = node(function, *inputs, last=False)
    assert {skeleton.NAME for skeleton in SKELETONS if skeleton.claims(found)} == wanted


def test_a_buffer_write_is_claimed_by_nobody() -> None:
    graph = program(nn.BatchNorm1d(4), [randn(8, 4)])
    writes = [n for n in calls(graph) if n.target is torch.ops.aten.copy_.default]
    assert writes
    assert not [skeleton for skeleton in SKELETONS for write in writes if skeleton.claims(write)]


# ---- what is absorbed


def absorbed(skeleton: Skeleton, of: Callable[..., Any], *inputs: torch.Tensor) -> list[str]:
    """Which calls join a region that starts at the first that the skeleton claims."""
    found = calls(program(module(of), list(inputs)))
    here: Region = region(skeleton.NAME, [next(n for n in found if skeleton.claims(n))])
    for candidate in found:
        if candidate not in here.nodes and skeleton.absorbs(here, candidate):
            here = grown(here, candidate)
    return [n.name for n in here.nodes]


def test_a_product_absorbs_what_is_pointwise_after_it_and_no_softmax() -> None:
    assert absorbed(matmul, lambda x, w: (F.gelu(x @ w) + x).softmax(-1), randn(4, 4), randn(4, 4)) == [
        "matmul",
        "gelu",
        "add",
    ]


def test_a_product_absorbs_no_second_product() -> None:
    assert absorbed(matmul, lambda x, w: (x @ w).relu() @ w, randn(4, 4), randn(4, 4)) == ["matmul", "relu"]


def test_rows_absorb_reductions_over_the_same_dimension_only() -> None:
    assert absorbed(rowwise, lambda x: F.softmax(x * 2, -1).sum(-1) + 1, randn(4, 8)) == [
        "mul",
        "softmax",
        "sum_1",
        "add",
    ]
    assert absorbed(rowwise, lambda x: F.softmax(x, -1).amax(0), randn(4, 8)) == ["softmax"]


def test_a_map_absorbs_neighbours_of_its_own_shape() -> None:
    assert absorbed(map_, lambda x, y: (x + y).relu().sum(-1), randn(4, 8), randn(8)) == ["add", "relu"]


# ---- refusals name the node and the reason


def test_refusals_say_what_and_why() -> None:
    x = randn(4, 8)
    assert "cumsum: aten.cumsum.default is not pointwise" in refusal(map_, lambda x: x.cumsum(0), x)
    assert "runs over fewer elements" in refusal(map_, lambda x: (x[0] * 2, x + 1), x)
    assert "has 2 products; wanted 1" in refusal(matmul, lambda x: (x @ x.t()) @ x, x)
    assert "neither the same dimensions as the first reduction nor all of the rest" in refusal(
        rowwise, lambda x: x.sum(0) + x.sum(1).mean(), x
    )
    assert "reduces nothing" in refusal(rowwise, lambda x: x + 1, x)
    assert "of a computed value" in refusal(map_, lambda x: (x * 2)[1:] + 1, x)
    assert "is a view of another output" in refusal(map_, lambda x: (x * 2, (x * 2).t()), x)
    assert "narrow form takes up to 8" in _narrow_refusal()


def _narrow_refusal() -> str:
    _, here = whole(matmul, torch.mm, [randn(40, 8), randn(8, 40)])
    with pytest.raises(CannotCover) as raised:
        matmul.write(here, (("form", "narrow"),), "cpp", "kernel")
    return str(raised.value)


def test_a_language_that_a_skeleton_does_not_speak_is_refused() -> None:
    _, here = whole(rowwise, lambda x: x.sum(-1), [randn(4, 8)])
    with pytest.raises(CannotCover, match=r"rowwise is not written in triton; known: cpp"):
        rowwise.write(here, (), "triton", "kernel")


def test_a_parameter_that_nobody_reads_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'blok' is not known; known: block"):
        chosen((("blok", 1),), {"block": 1})


# ---- axes


def test_a_reshape_in_the_middle_cuts_axes() -> None:
    _, here = whole(map_, lambda x, y: F.silu(x).view(6, 5, 7) * y, [randn(6, 35), randn(7)])
    assert [(loop.extent, len(loop.axes)) for loop in nest_of(here).every] == [(30, 2), (7, 1)]


def test_a_reshape_that_cuts_no_axis_whole_is_refused() -> None:
    _, here = whole(
        map_, lambda x, y: F.silu(x).view(10, 6) * 2 + F.silu(y).view(4, 15).t().reshape(10, 6), [randn(60), randn(60)]
    )
    with pytest.raises(CannotCover, match=r"into each other|of a computed value"):
        nest_of(here)


def test_dimensions_that_all_tensors_step_through_like_one_run_as_one() -> None:
    _, here = whole(map_, lambda x, y: x + y, [randn(3, 4, 5), randn(3, 4, 5)])
    assert [loop.extent for loop in nest_of(here).every] == [60]
    _, here = whole(map_, lambda x, y: x + y, [randn(3, 4, 5), randn(4, 5)])
    assert [loop.extent for loop in nest_of(here).every] == [3, 20]


def test_a_matrix_and_its_transpose_run_over_different_axes() -> None:
    _, here = whole(map_, lambda x: x + x.t(), [randn(4, 4)])
    assert len(space(flat(here)).extents) == 2


def test_a_batch_that_the_right_operand_has_not_is_more_rows() -> None:
    _, here = whole(matmul, torch.matmul, [randn(3, 7, 8), randn(8, 5)])
    found = product_of(here)
    assert (found.batch.extent, found.row.extent, found.column.extent, found.depth.extent) == (1, 21, 5, 8)


def test_swapping_a_product_swaps_operands_and_sides() -> None:
    found = product_of(whole(matmul, torch.mm, [randn(7, 8), randn(8, 5)])[1])
    swapped = found.swapped
    assert (swapped.left, swapped.right, swapped.row.extent, swapped.column.extent) == (found.right, found.left, 5, 7)


# ---- passes


def names(nodes: tuple[fx.Node, ...]) -> list[str]:
    return [n.name for n in nodes]


def test_a_softmax_takes_three_passes_and_keeps_its_exponentials() -> None:
    found = rows_of(whole(rowwise, lambda x: F.softmax(x, -1), [randn(4, 8)])[1])
    once = passes(found, keep=True)
    assert [names(one.reductions) for one in once] == [["softmax_amax"], ["softmax_sum_1"], []]
    assert [names(one.kept) for one in once] == [[], ["softmax_exp"], []]
    assert names(once[2].body) == ["softmax"]
    again = passes(found, keep=False)
    assert names(again[2].body) == ["softmax_sub", "softmax_exp", "softmax"]


def test_vectors_run_along_what_is_innermost_in_memory() -> None:
    along = rows_of(whole(rowwise, lambda x: F.softmax(x, -1), [randn(4, 8)])[1])
    across = rows_of(whole(rowwise, lambda x: F.softmax(x, 0), [randn(4, 8)])[1])
    assert (along.across, across.across) == (False, True)


def test_a_loss_has_a_second_stage() -> None:
    found = rows_of(whole(rowwise, F.cross_entropy, [randn(4, 8), torch.arange(4)])[1])
    assert len(found.tail) == 2
    assert found.row_count == 4


# ---- kernels


def test_arguments_come_in_call_order_with_their_layouts() -> None:
    kernel = written(matmul, lambda x, w: F.relu(x @ w.t()), [randn(40, 8), randn(30, 8)])
    roles = [(argument.role, argument.name, argument.spec.shape) for argument in kernel.arguments]
    assert roles[:3] == [("input", "input_1", (30, 8)), ("input", "input_0", (40, 8)), ("output", "relu", (40, 30))]
    assert roles[3][:2] == ("scratch", "scratch")
    assert [argument.name for argument in kernel.inputs] == ["input_1", "input_0"]  # as the graph reads them


def test_work_and_bytes_are_what_cannot_be_avoided() -> None:
    kernel = written(matmul, lambda x, w: F.relu(x @ w.t()), [randn(40, 8), randn(30, 8)])
    assert kernel.flops == 2 * 40 * 30 * 8 + 40 * 30
    assert kernel.nbytes == 4 * (40 * 8 + 30 * 8 + 40 * 30)


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda skeleton: skeleton.NAME)
def test_the_same_region_is_the_same_text(skeleton: Skeleton) -> None:
    function = {"map": F.gelu, "rowwise": lambda x: F.softmax(x, -1), "matmul": lambda x: x @ x.t()}[skeleton.NAME]

    def once() -> Kernel:
        return written(skeleton, function, [randn(40, 8)])

    assert once() == once()


@pytest.mark.parametrize("arch", ["avx512", "avx2", "neon", "portable"])
@pytest.mark.parametrize(
    "sides", [(1, 1, 1), (1, 4096, 4096), (1024, 1024, 1024), (9, 5, 3), (65536, 64, 64), (3, 50_000, 7)], ids=str
)
def test_there_is_always_a_choice_and_it_fits_a_stack(sides: tuple[int, int, int], arch: str) -> None:
    rows, columns, depth = sides
    with torch.device("meta"):
        inputs = [torch.empty(rows, depth), torch.empty(depth, columns)]
    _, here = whole(matmul, torch.mm, inputs)
    choices = matmul.parameters(here, Target("cpu", arch, "a machine", (), 8))
    assert choices
    assert len(set(choices)) == len(choices)
    from kernelwright.kernels.matmul_cpp import STACK, stack_floats

    for choice in choices:
        options = chosen(choice, matmul.DEFAULTS)
        assert options["form"] == "narrow" or stack_floats(options, (rows, columns, depth, 1)) <= STACK


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda skeleton: skeleton.NAME)
def test_every_choice_of_parameters_can_be_written(skeleton: Skeleton) -> None:
    function = {"map": F.gelu, "rowwise": lambda x: F.softmax(x, 0), "matmul": lambda x: x @ x.t()}[skeleton.NAME]
    _, here = whole(skeleton, function, [randn(64, 80)])
    for parameters in skeleton.parameters(here, CPU):
        assert skeleton.write(here, parameters, "cpp", "kernel").language == "cpp"

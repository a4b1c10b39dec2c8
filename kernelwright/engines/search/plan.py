"""Plans: what was decided, followed into a covered graph with its kernels written.

A plan's steps are, in order:
    trick at *          everywhere it is legal
    leave at node       that node stays a PyTorch call and starts no region
    skeleton at *       covers what it can, after the skeletons named before it
    skeleton at node    the parameters of the region around that node, and of all regions of the same shape
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from torch import fx
from torch.fx.node import map_arg

from kernelwright.capture import source
from kernelwright.capture.export import program
from kernelwright.core.candidate import Plan, Step
from kernelwright.core.spec import Roofline, Target
from kernelwright.core.task import Task
from kernelwright.engines import cost
from kernelwright.engines.search.cover import cover, settle
from kernelwright.engines.search.rewrite import BY_NAME, Applied, rewrite
from kernelwright.graph.edit import clone, is_view
from kernelwright.kernels import SKELETONS
from kernelwright.kernels.kernel import Kernel, Language, Parameters
from kernelwright.kernels.region import CannotCover, Region

FAMILIES = {skeleton.NAME: skeleton for skeleton in SKELETONS}
LANGUAGE: Mapping[str, Language] = {"cpu": "cpp", "cuda": "triton"}


@dataclass(frozen=True, slots=True)
class Launch:
    """One region run by one kernel. Regions of the same shape share the kernel's text and differ in arguments."""

    region: Region
    kernel: Kernel
    parameters: Parameters
    signature: str


@dataclass(frozen=True)
class Covered:
    """A plan followed: the rewritten graph, settled, with a launch for each region."""

    plan: Plan
    graph: fx.GraphModule
    applied: tuple[Applied, ...]
    launches: tuple[Launch, ...]

    @cached_property
    def calls(self) -> tuple[fx.Node, ...]:
        """What stays with PyTorch."""
        launched = {node for launch in self.launches for node in launch.region.nodes}
        return tuple(node for node in self.graph.graph.nodes if node.op == "call_function" and node not in launched)

    def seconds(self, roofline: Roofline) -> float:
        return cost.total(self.calls, [launch.kernel for launch in self.launches], roofline)


def follow(task: Task, plan: Plan) -> Covered:
    """The plan on the task's graph, with a kernel written for each region."""
    graph, applied = _rewritten(task, tuple(step.name for step in plan.steps if step.name in BY_NAME))
    graph = clone(graph)
    left = {step.at for step in plan.steps if step.name == "leave"}
    families = [FAMILIES[step.name] for step in plan.steps if step.name in FAMILIES and step.at == "*"]
    regions = cover(graph.graph, families, lambda node: node.name in left)
    tuned = _tuned(plan, regions)
    launches: dict[str, Launch] = {}
    found = [_launch(region, tuned, launches, task.target) for region in regions]
    kept = tuple(launch for launch in found if launch is not None)
    settle(graph.graph, [launch.region for launch in kept])
    return Covered(_effective(plan, applied, kept), graph, applied, kept)


@lru_cache(maxsize=4)
def captured(task: Task) -> fx.GraphModule:
    """The task's canonical graph. Capturing takes a second; every plan of the task starts from it."""
    reference = source.load(task.reference)
    return program(source.build(reference), source.draw_inputs(reference, seed=0))


@lru_cache(maxsize=32)
def _rewritten(task: Task, names: tuple[str, ...]) -> tuple[fx.GraphModule, tuple[Applied, ...]]:
    """Most plans of a task differ in kernels only and share this. Not to be edited."""
    return rewrite(captured(task), names)


def _effective(plan: Plan, applied: Sequence[Applied], launches: Sequence[Launch]) -> Plan:
    """The plan without tricks that found nothing and skeletons that cover nothing: it prints the same file."""
    worked = {each.trick.name for each in applied} | {launch.region.skeleton for launch in launches}
    return Plan(tuple(step for step in plan.steps if step.at != "*" or step.name in worked))


def signature(region: Region) -> str:
    """What a region computes, whatever its nodes are called: equal signatures mean the same kernel text."""
    number = {node: f"%{position}" for position, node in enumerate((*region.inputs, *region.nodes))}
    inputs = [_layout(node) for node in region.inputs]
    calls = [f"{node.target}{map_arg((node.args, node.kwargs), number.__getitem__)}{_layout(node)}"
             for node in region.nodes]  # fmt: skip
    return f"{region.skeleton}{inputs}{calls}{[number[node] for node in region.outputs]}"


def openings() -> Iterator[Plan]:
    """First plans: with and without each trick that only measuring can judge, with all kernels and with fewer."""
    sure = [name for name, trick in BY_NAME.items() if trick.sure]
    families = list(FAMILIES)
    yield _plan(sure, families)
    for extra in (name for name in BY_NAME if name not in sure):
        yield _plan([name for name in BY_NAME if name in sure or name == extra], families)
    yield _plan(BY_NAME, families)
    yield _plan((), families)
    yield _plan(sure, [name for name in families if name != "matmul"])
    yield _plan(sure, ())
    yield _plan(BY_NAME, ())


def neighbours(covered: Covered, target: Target, roofline: Roofline) -> Iterator[Plan]:
    """One decision away: other parameters, a kernel left out, a trick more or less; dearest kernels first."""
    for launch in _dearest(covered, roofline):
        family = FAMILIES[launch.region.skeleton]
        for parameters in family.parameters(launch.region, target):
            if parameters != launch.parameters:
                yield _with_parameters(covered.plan, launch, parameters)
    for launch in _dearest(covered, roofline):
        same = [other.region.nodes[0].name for other in covered.launches if other.signature == launch.signature]
        yield Plan((*(Step("leave", name) for name in same), *covered.plan.steps))
    worked = {each.trick.name for each in covered.applied}
    for name, trick in BY_NAME.items():
        if name in worked or trick.sites(covered.graph):
            tricks = [other for other in BY_NAME if (other in worked) != (other == name)]
            yield Plan((*_everywhere(tricks), *(step for step in covered.plan.steps if step.name not in BY_NAME)))


def _launch(region: Region, tuned: Mapping[str, Parameters], known: dict[str, Launch], target: Target) -> Launch | None:
    """The kernel of a region; None where its skeleton finds that it cannot write it, and PyTorch keeps it."""
    family, key = FAMILIES[region.skeleton], signature(region)
    parameters = tuned.get(key) or family.parameters(region, target)[0]
    name = known[key].kernel.name if key in known else _name(region, {launch.kernel.name for launch in known.values()})
    try:
        kernel = family.write(region, parameters, LANGUAGE[target.kind], name)
    except CannotCover:
        return None
    launch = Launch(region, kernel, parameters, key)
    known.setdefault(key, launch)
    return launch


def _tuned(plan: Plan, regions: Sequence[Region]) -> dict[str, Parameters]:
    """Parameters by signature, from the steps that name a node."""
    at = {node.name: region for region in regions for node in region.nodes}
    return {signature(at[step.at]): step.parameters for step in plan.steps if step.name in FAMILIES and step.at in at}


def _with_parameters(plan: Plan, launch: Launch, parameters: Parameters) -> Plan:
    names = {node.name for node in launch.region.nodes}
    others = tuple(step for step in plan.steps if not (step.name in FAMILIES and step.at in names))
    return Plan((*others, Step(launch.region.skeleton, launch.region.nodes[0].name, parameters)))


def _dearest(covered: Covered, roofline: Roofline) -> list[Launch]:
    """One launch for each signature, those that take most time in all first."""
    share: dict[str, float] = {}
    first: dict[str, Launch] = {}
    for launch in covered.launches:
        share[launch.signature] = share.get(launch.signature, 0.0) + cost.kernel_seconds(launch.kernel, roofline)
        first.setdefault(launch.signature, launch)
    return sorted(first.values(), key=lambda launch: -share[launch.signature])


def _plan(tricks: Sequence[str] | Mapping[str, object], families: Sequence[str]) -> Plan:
    return Plan((*_everywhere(tricks), *_everywhere(families)))


def _everywhere(names: Sequence[str] | Mapping[str, object]) -> tuple[Step, ...]:
    return tuple(Step(name, "*") for name in names)


def _layout(node: fx.Node) -> str:
    val = node.meta["val"]
    return f"{val.dtype}{tuple(val.shape)}{tuple(val.stride())}" if hasattr(val, "stride") else type(val).__name__


def _name(region: Region, taken: set[str]) -> str:
    """`fc1_gelu` after the first and last node that do something; one node takes its skeleton's name as well."""
    named = [node.name for node in region.nodes if not is_view(node)]
    ends = list(dict.fromkeys([named[0], named[-1]])) if named else [region.nodes[0].name]
    wanted = "_".join(ends if len(ends) > 1 else [*ends, region.skeleton])
    return next(name for name in (wanted, *(f"{wanted}_{count}" for count in range(2, 10_000))) if name not in taken)

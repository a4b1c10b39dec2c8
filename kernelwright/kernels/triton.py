"""What kernels in Triton share: how blocks of elements are read and written, and functions that Triton lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from torch import fx

from kernelwright.kernels.axes import Access, Space
from kernelwright.kernels.body import declare, identifier
from kernelwright.kernels.expr import ATOM, TRITON, Text, kind_of
from kernelwright.kernels.loops import Loop, address
from kernelwright.kernels.reads import counts, is_counter, times_read

FAR = 2**31 - 1  # elements that a 32-bit index reaches

# As exact as simd.h's, and for the same reason: (exp(x) - 1) loses what is small.
HELPERS = {
    "expm1": '''
@triton.jit
def expm1(x):
    """Kahan: the rounding of exp(x) cancels in the quotient."""
    u = tl.exp(x)
    near = (u - 1.0) * x / tl.log(u)
    result = tl.where(tl.abs(x) < 0.5, near, u - 1.0)
    return tl.where(u == 1.0, x, result)
''',
    "log1p": '''
@triton.jit
def log1p(x):
    """Kahan: what 1 + x rounds away is added back."""
    u = 1.0 + x
    near = tl.log(u) + (x - (u - 1.0)) / u
    return tl.where((u > 0.0) & (u < float("inf")), tl.where(u == 1.0, x, near), tl.log(u))
''',
    "tanh": """
@triton.jit
def tanh(x):
    twice = expm1(2.0 * tl.minimum(tl.abs(x), 10.0, propagate_nan=tl.PropagateNan.ALL))
    result = twice / (twice + 2.0)
    return tl.where(x < 0.0, -result, tl.where(x == 0.0, x, result))
""",
}


def helpers(lines: Iterable[str]) -> list[str]:
    """The functions that the lines call and that Triton lacks, each with those that it calls itself."""
    text = "\n".join(lines)
    wanted = [name for name in HELPERS if re.search(rf"(?<![\w.]){name}\(", text)]
    if "tanh" in wanted:
        wanted = ["expm1", *(name for name in wanted if name != "expm1")]
    return [line for name in wanted for line in [*HELPERS[name].strip().splitlines(), "", ""]]


def block_reads(sources: Iterable[fx.Node], used: AbstractSet[fx.Node], space: Space, names: Mapping[fx.Node, str],
                loops: Sequence[Loop], mask: str) -> tuple[dict[fx.Node, Text], list[str]]:  # fmt: skip
    """The text of each leaf and counter; what several of the `used` calls read gets a line of its own."""
    known: dict[fx.Node, Text] = {}
    lines = []
    for node in sources:
        text = _read(node, space, names, loops, mask)
        if sum(times_read(node, user) for user in node.users if user in used) > 1:
            name = f"{identifier(node.name)}_at"
            lines.append(declare(name, text, TRITON))
            text = Text(name, ATOM, text.kind, True)
        known[node] = text
    return known, lines


def block_write(
    pointer: str, access: Access, value: Text, loops: Sequence[Loop], mask: str, block: Sequence[str]
) -> str:
    """A store of one block. Its address has a part for every counter of the `block`, so that it has that shape."""
    where = address(pointer, access, loops)
    flat = [counter for counter in block if not re.search(rf"\b{counter}(_\d+)?\b", where)]
    return f"tl.store({' + '.join([where, *(f'0 * {counter}' for counter in flat)])}, {value.text}, mask={mask})"


def _read(node: fx.Node, space: Space, names: Mapping[fx.Node, str], loops: Sequence[Loop], mask: str) -> Text:
    if is_counter(node):
        first, step = counts(node)
        loop = next((loop for loop in loops if set(loop.axes) & space.needs[node]), None)
        index = f"({first} + {step} * {loop.name}).to(tl.int64)" if loop else str(first)
        return Text(index, ATOM, "long", True)
    source, access = space.leaves[node]
    where = address(names[source], access, loops)
    inside = f", mask={mask}, other=0" if any(loop.stride(access) for loop in loops) else ""
    return Text(f"tl.load({where}{inside})", ATOM, kind_of(node), True)

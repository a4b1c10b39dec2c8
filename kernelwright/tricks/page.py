"""docs/tricks.md, from the tricks' docstrings: `python -m kernelwright.tricks.page > docs/tricks.md`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kernelwright.tricks import TRICKS

TITLE = """# The bag of tricks

Graph rewrites that serve every engine, in the order in which they are applied. Values are kept as real arithmetic has
them; the last column says what rounding, and operands that are not finite, can change. Shapes, dtypes, output strides,
sharing of memory and buffer writes are kept exactly; only an output that was a view with gaps may become compact.

Each is one file in `kernelwright/tricks/`, whose docstring this page repeats.
"""


@dataclass(frozen=True, slots=True)
class Description:
    """A docstring's parts: what it does, before -> after, when it is legal, why faster, what it costs in accuracy."""

    summary: str
    rewrite: str
    legal: str
    faster: str
    accuracy: str


def describe(doc: str) -> Description:
    """Raises ValueError that names the part which a docstring lacks."""
    summary, rest = doc.strip().split("\n\n", 1)
    block = "\n".join(line[4:] for line in rest.splitlines() if line.startswith("    "))
    if "->" not in block:
        raise ValueError(f"no 'before -> after' under {summary!r}")
    sections = [_section(doc, name) for name in ("Legal", "Faster", "Accuracy")]
    return Description(" ".join(summary.split()), block, *sections)


def _section(doc: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*?)(?=\n[A-Z]\w+: |\n\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"no '{name}:' in {doc.strip().splitlines()[0]!r}")
    text = " ".join(found.group(1).split())
    return text[0].upper() + text[1:]


def page() -> str:
    """The whole text of docs/tricks.md."""
    rows = [_row(trick.name, describe(trick.doc)) for trick in TRICKS]
    head = "| trick | before -> after | when legal | why faster | accuracy |\n|---|---|---|---|---|\n"
    return TITLE + "\n" + head + "\n".join(rows) + "\n"


def _row(name: str, found: Description) -> str:
    lines = [f"`{' '.join(line.split())}`" for line in found.rewrite.splitlines() if line.strip()]
    cells = (f"**{name}**<br>{found.summary}", "<br>".join(lines), found.legal, found.faster, found.accuracy)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(page(), end="")

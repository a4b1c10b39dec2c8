"""Every example is a reference file that loads, is captured, and computes the same when it is printed again."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import torch

from kernelwright.capture import source
from kernelwright.capture.export import program
from kernelwright.graph.printing import forward_lines
from kernelwright.graph.rewritten import rewritten_source

pytestmark = pytest.mark.cpu

FOLDER = Path(__file__).parents[2] / "examples"
FILES = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_computes_the_same_when_printed_again(file: Path) -> None:
    reference = source.load(source.read(file))
    model, inputs = source.build(reference), source.draw_inputs(reference, seed=0)
    text = rewritten_source(reference.source, forward_lines(program(model, inputs)), docstring="Printed again.")
    assert "torch.ops" not in text.replace("torch.ops.aten.lstm_cell", "")
    new: Any = vars(source.execute(text, f"kernelwright_example_{file.stem}"))["ModelNew"](*reference.get_init_inputs())
    new.load_state_dict(model.state_dict(), strict=True)
    new.train(model.training)
    with torch.no_grad():
        torch.testing.assert_close(new(*inputs), model(*inputs))


def test_there_are_twelve_and_each_says_what_it_stands_for() -> None:
    assert len(FILES) == 12
    listed = (FOLDER / "README.md").read_text()
    for file in FILES:
        about = ast.get_docstring(ast.parse(file.read_text()))
        assert about and "\n" not in about, file.name
        assert f"({file.name})" in listed

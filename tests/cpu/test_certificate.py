"""Certificates from the command line: written by one command, asked again by another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kernelwright.cli.entry import run

REFERENCE = """
import torch

class Model(torch.nn.Module):
    def forward(self, x):
        return torch.softmax(x, -1)

def get_inputs():
    return [torch.rand(64, 48)]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERNELWRIGHT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "softmax.py").write_text(REFERENCE)
    (tmp_path / "reader.py").write_text("import socket\n" + REFERENCE.replace("Model", "ModelNew"))
    return tmp_path


def test_a_refusal_is_certified_and_verified_and_an_edit_is_noticed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["judge", "softmax.py", "reader.py", "--certificate", "c.json"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("REJECTED audit: imports socket")
    assert "written    c.json" in said

    assert run(["verify", "c.json", "--no-timing", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["holds"]
    assert {check["answer"] for check in found["checks"]} == {"holds"}
    assert "still rejected at audit: imports socket" in found["checks"][-1]["told"]

    (folder / "c.json").write_text((folder / "c.json").read_text().replace('"audit"', '"build"'))
    assert run(["verify", "c.json", "--no-timing"]) == 1
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines() if "does not hold" in line] == ["content", "recorded", "new"]


@pytest.mark.parametrize("place", ["no/such/folder/c.json", "."])
def test_a_place_that_cannot_be_written_is_noticed_before_the_work(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["judge", "softmax.py", "reader.py", "--certificate", place]) == 2
    assert f"cannot write {place}" in capsys.readouterr().err


@pytest.mark.parametrize("candidate", ["nothing.py", "binary.py", "."])
def test_a_candidate_that_is_no_text_is_a_mistake(
    folder: Path, candidate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "binary.py").write_bytes(b"\xff\xfe\x00")
    assert run(["judge", "softmax.py", candidate]) == 2
    said = capsys.readouterr().err
    assert candidate in said and said.count("\n") == 1

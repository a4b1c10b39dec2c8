"""Whoever writes kernels for a GPU: what they see of a task, what a profile tells, and a model's kernel, replayed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kernelwright import api, targets
from kernelwright.clerk import Clerk, contract, open_text
from kernelwright.cli.entry import run
from kernelwright.core.candidate import Handmade
from kernelwright.core.codec import dumps
from kernelwright.core.conversation import Conversation, Message
from kernelwright.core.outcome import Accepted
from kernelwright.judge.profiling import Profile
from kernelwright.settings import Settings
from tests.cheats.table import text

pytestmark = pytest.mark.cuda

REFERENCE = (Path(__file__).parents[1] / "cheats" / "references" / "device_tail.py").read_text()
KERNEL = text("honest", "fused_tail", "cuda")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(api, "judging", partial(api.judging, baselines=("eager",)))  # torch.compile takes a while
    return Settings(tmp_path / "store.sqlite", tmp_path / "cache", device="cuda")


def test_a_roofline_is_within_what_such_devices_reach(settings: Settings) -> None:
    found = targets.roofline(targets.detect("cuda"))
    assert 1e12 < found.flops < 1e15
    assert 1e11 < found.bandwidth < 1e14


def test_an_author_sees_the_floor_the_judgment_and_where_the_time_goes(settings: Settings) -> None:
    with Clerk(open_text("tail", REFERENCE, settings, contract()), settings, "test") as clerk:
        assert 0 < clerk.see().floor_ms < 1
        assert isinstance(clerk.judge(KERNEL, Handmade("fused_tail.py")).outcome, Accepted)
        profile = clerk.profile(KERNEL, Handmade("fused_tail.py"))
    assert isinstance(profile, Profile)
    assert "finish" in {one.name for one in profile.operators}
    assert any(line.startswith("finish: ") and "registers a thread" in line for line in profile.compiler)


@pytest.mark.skipif(shutil.which("ncu") is None, reason="Nsight Compute is not installed")
def test_nsight_compute_counts_where_nothing_confines_a_worker(settings: Settings) -> None:
    unconfined = replace(settings, sandbox="none")
    with Clerk(open_text("tail", REFERENCE, unconfined, contract()), unconfined, "test") as clerk:
        profile = clerk.profile(KERNEL, Handmade("fused_tail.py"))
    assert isinstance(profile, Profile)
    assert [line for line in profile.compiler if line.startswith("finish: ") and "of the memory's peak" in line]


def test_a_kernel_that_a_model_wrote_is_judged_on_the_device(settings: Settings, tmp_path: Path, capsys: Any) -> None:
    reply = Message("assistant", f"This does it.\n\n```python\n{KERNEL}```\n")
    held = Conversation("", "writer", 0, 0, "openai:any", (Message("user", "Write a kernel."), reply), 10, 0, 10, 0.0)
    (tmp_path / "held.json").write_text(dumps(held))
    (tmp_path / "tail.py").write_text(REFERENCE)
    words = ["optimize", str(tmp_path / "tail.py"), "--device", "cuda", "--store", str(settings.store), "--json"]
    asked = ["--engine", "agent", "--replay", str(tmp_path / "held.json"), "--rounds", "1"]
    assert run([*words, *asked, "--output", str(tmp_path / "out")]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [trial["engine"] for trial in report["trials"]][:1] == ["agent"]
    assert {trial["outcome"] for trial in report["trials"]} <= {"right", "screened"}  # as fast as the machine has time
    assert run([*words, "--output", str(tmp_path / "out")]) == 2
    assert "the search writes kernels for cpu only" in capsys.readouterr().err

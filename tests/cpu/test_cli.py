"""The commands from the outside: what they print, write and exit with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kernelwright.choose import choose
from kernelwright.cli import wiring
from kernelwright.cli.entry import run
from kernelwright.core.codec import digest
from kernelwright.core.outcome import Choice, Rejected, Trial
from kernelwright.store import open_store
from tests.pure.samples import BASELINES, TASK, accepted, trial

REFERENCE = """
import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return torch.sum(torch.relu(self.linear(x)), dim=1)


def get_inputs():
    return [torch.rand(64, 128)]


def get_init_inputs():
    return [128]
"""
SAME = REFERENCE.partition("def get_inputs")[0].replace("class Model", "class ModelNew")
WRONG = SAME.replace("torch.relu", "torch.abs")
SLOW = SAME.replace("return ", "[torch.relu(self.linear(x)) for _ in range(50)]\n        return ")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests: torch.compile takes 15 s where it finds nothing of earlier runs."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test in a folder and with a store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERNELWRIGHT_CACHE", str(cache))
    monkeypatch.setenv("KERNELWRIGHT_STORE", str(tmp_path / "store.sqlite"))
    for name, text in {"tail.py": REFERENCE, "same.py": SAME, "wrong.py": WRONG, "slow.py": SLOW}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Trial]]:
    """`optimize` without a judge: the trials of this list are what the search finds."""
    trials: list[Trial] = []

    def solve(subject: Any, settings: Any, tell: wiring.Tell, fresh: bool) -> object:
        events = (TASK, BASELINES, *trials, choose(BASELINES, trials, TASK.contract.gain))
        for event in events:
            tell(event)
        return SimpleNamespace(subject=subject, choice=events[-1], events=events, recalled=False)

    monkeypatch.setattr(wiring, "find_subject", lambda *_: SimpleNamespace(name="tail", task=TASK))
    monkeypatch.setattr(wiring, "solve", solve)
    yield trials


def kw(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kernelwright.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, **options)


def decide(store: Path, *trials: Trial) -> Choice:
    choice = choose(BASELINES, trials, TASK.contract.gain)
    with open_store(store) as opened:
        for each in trials:
            opened.remember(TASK, each)
        opened.decide(TASK, choice, BASELINES)
    return choice


def test_a_kept_kernel_is_written_and_named(
    found: list[Trial], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found += [trial("bad", Rejected("verify", "row 3 is zero")), trial("# the kernel\n", accepted(2.0))]
    assert run(["optimize", "tail.py"]) == 0
    said = capsys.readouterr().out
    assert (folder / "kernelwright-out/tail/kernel.py").read_text() == "# the kernel\n"
    assert [line.split()[0] for line in said.splitlines()] == (
        "captured task baseline baseline candidate candidate keep accuracy written".split()
    )
    assert "rejected at verify: row 3 is zero" in said
    assert "kernelwright-out/tail/kernel.py" in said


def test_a_fallback_writes_no_kernel_and_exits_with_0(
    found: list[Trial], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["optimize", "tail.py", "--output", "here"]) == 0
    assert "PyTorch is kept" in capsys.readouterr().out
    assert [path.name for path in (folder / "here").iterdir()] == ["report.json"]


def test_json_is_one_object_on_stdout_and_the_rest_on_stderr(
    found: list[Trial], capsys: pytest.CaptureFixture[str]
) -> None:
    found.append(trial("# the kernel\n", accepted(2.0)))
    assert run(["optimize", "tail.py", "--json"]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["choice"] == "keep"
    assert Path(report["source"]).read_text() == "# the kernel\n"
    assert "captured" in said.err


def test_the_shape_of_json_is_what_is_promised(found: list[Trial], capsys: pytest.CaptureFixture[str]) -> None:
    run(["optimize", "tail.py", "--json"])
    promised = "choice speedup interval baseline kernel_ms accuracy source trials degenerate".split()
    assert set(promised) <= json.loads(capsys.readouterr().out).keys()


def test_an_output_that_cannot_be_written_is_noticed_before_the_search(
    found: list[Trial], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["optimize", "tail.py", "--output", str(folder / "tail.py" / "out")]) == 2
    said = capsys.readouterr()
    assert "cannot write to" in said.err
    assert "--output DIR" in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("optimize nothing.py", "no such file: nothing.py"),
        ("optimize not_python.py", "is not Python"),
        ("optimize no_model.py", "no class Model(nn.Module)"),
        ("optimize no_inputs.py", "no get_inputs()"),
        ("optimize raises.py", "get_inputs() fails: RuntimeError: out of luck"),
        ("optimize no_list.py", "get_inputs() returns Tensor; wanted a list"),
        ("optimize misfit.py", "the model fails on its own inputs"),
        ("optimize nowhere", "nowhere"),
        ("optimize no_such_package:Model", "cannot import no_such_package"),
        ("optimize tail.py --device mteal", "backend 'mteal' is not known; known: cpu, cuda, mps"),
        ("optimize tail.py --budget soon", "--budget"),
        ("optimize tail.py --store tail.py", "tail.py"),
        ("judge tail.py nothing.py", "no such file: nothing.py"),
        ("store show abcdef", "store list"),
        ("store export abcdef out", "store list"),
        ("frobnicate", "No such command"),
    ],
)
def test_a_mistake_is_one_clear_line_and_status_2(
    folder: Path, arguments: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mistakes(folder)
    assert run([*arguments.split(), "--json"]) == 2
    said = capsys.readouterr()
    assert complaint in said.err
    assert said.err.splitlines()[-1].startswith("kernelwright: ")
    assert complaint in json.loads(said.out)["error"]


def write_mistakes(folder: Path) -> None:
    mistakes = {
        "not_python.py": "this is no program",
        "no_model.py": "x = 1",
        "no_inputs.py": SAME.replace("ModelNew", "Model"),
        "raises.py": REFERENCE.replace("return [torch.rand(64, 128)]", "raise RuntimeError('out of luck')"),
        "no_list.py": REFERENCE.replace("return [torch.rand(64, 128)]", "return torch.rand(64, 128)"),
        "misfit.py": REFERENCE.replace("rand(64, 128)", "rand(64, 127)"),
    }
    for name, text in mistakes.items():
        (folder / name).write_text(text)


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac says the same of cuda in other words")
def test_an_absent_gpu_is_the_machine_s_fault_and_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert run(["optimize", "tail.py", "--device", "cuda"]) == 2
    assert "no NVIDIA GPU" in capsys.readouterr().err


def test_the_store_is_listed_shown_and_pruned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["store", "list"]) == 0
    assert "the store is empty" in capsys.readouterr().out
    kept, refused = trial("# kernel", accepted(2.0)), trial("# bad", Rejected("build", "no ModelNew"))
    decide(folder / "store.sqlite", refused, kept)

    run(["store", "list"])
    assert f"{digest(TASK)[:12]}  keep 2.00x  2" in capsys.readouterr().out
    run(["store", "show", digest(TASK)[:6]])
    shown = capsys.readouterr().out
    assert "rejected at build: no ModelNew" in shown
    assert "keep       2.00x" in shown
    run(["store", "show", digest(kept.candidate)[:6]])
    assert "# kernel" in capsys.readouterr().out

    run(["store", "prune"])
    assert "removed 0 task(s) and 0 trial(s)" in capsys.readouterr().out
    run(["store", "prune", "--all-but-kept"])
    assert "removed 0 task(s) and 1 trial(s)" in capsys.readouterr().out
    run(["store", "prune", "--older-than", "0"])
    assert "removed 1 task(s) and 1 trial(s)" in capsys.readouterr().out


def test_the_store_speaks_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decide(folder / "store.sqlite", trial("# kernel", accepted(2.0)))
    run(["store", "list", "--json"])
    (task,) = json.loads(capsys.readouterr().out)["tasks"]
    assert (task["task"], task["choice"], task["trials"]) == (digest(TASK), "keep", 1)
    run(["store", "show", task["kernel"], "--json"])
    (one,) = json.loads(capsys.readouterr().out)["trials"]
    assert (one["source"], one["outcome"]) == ("# kernel", "right")
    run(["store", "prune", "--older-than", "0", "--json"])
    assert json.loads(capsys.readouterr().out) == {"tasks": 1, "trials": 1}


def test_a_task_without_a_kernel_cannot_be_exported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decide(folder / "store.sqlite", trial("# bad", Rejected("build", "no ModelNew")))
    assert run(["export", digest(TASK)[:8], "out"]) == 2
    assert "no kernel was kept" in capsys.readouterr().err


def test_the_doctor_names_every_part(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELWRIGHT_SANDBOX", "none")  # its proof takes seconds: test_sandbox.py has it
    assert run(["doctor", "--json"]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert {"python", "torch", "processor", "memory", "compiler", "cuda", "mps", "triton", "store", "sandbox"} <= set(
        checks
    )
    assert checks["compiler"]["state"] == "ok"
    assert checks["store"]["state"] == "ok"


def test_the_doctor_says_what_to_do_about_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERNELWRIGHT_COMPILER", "no-such-compiler")
    monkeypatch.setenv("KERNELWRIGHT_SANDBOX", "none")
    assert run(["doctor", "--store", str(folder / "tail.py")]) == 0
    said = capsys.readouterr().out
    assert "missing  compiler" in said
    assert "-> install one" in said
    assert "missing  store" in said
    assert "missing  sandbox" in said


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {command} " in said for command in ("optimize", "judge", "verify", "store", "doctor", "export"))


def test_a_closed_pipe_is_no_error(folder: Path) -> None:
    decide(folder / "store.sqlite", *(trial("x" * 100_000 + str(i), accepted(2.0)) for i in range(3)))
    command = (
        f"{sys.executable} -m kernelwright.cli store show {digest(TASK)} --json | head -1; exit ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_optimize_from_a_file_to_a_choice_and_again_from_the_store(folder: Path) -> None:
    first = kw("optimize", "tail.py", "--budget", "20", "--json")
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    assert report["choice"] in ("keep", "fallback")
    assert (report["source"] is not None) == (report["choice"] == "keep")
    assert report["trials"]
    assert report["baseline"]["eager_ms"] > 0
    for one in report["trials"]:
        assert one["outcome"] in ("rejected", "screened", "right")
    with open_store(folder / "store.sqlite") as store:
        assert store.records()[0].digest == report["task"]
        assert store.records()[0].trials == len(report["trials"])
    if report["source"]:
        assert "class ModelNew" in Path(report["source"]).read_text()

    again = kw("optimize", "tail.py", "--budget", "20", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["task"] == report["task"]


def test_the_judge_tells_wrong_from_slow_and_unreadable(folder: Path) -> None:
    (folder / "broken.py").write_text("def ModelNew(:")
    for candidate, stages in {"broken.py": {"audit", "build"}, "wrong.py": {"verify"}, "slow.py": {"time"}}.items():
        done = kw("judge", "tail.py", candidate, "--json")
        judged = json.loads(done.stdout)
        assert (done.returncode, judged["accepted"]) == (1, False), done.stderr
        assert judged["stage"] in stages
        assert judged["reason"]


def descendants(pid: int) -> set[int]:
    """Processes that this one has started, and those that they have."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found, fresh = set(), {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("after", [b"captured", b"baseline", b"candidate"])
def test_an_interrupt_ends_with_130_a_whole_store_and_no_child(folder: Path, after: bytes) -> None:
    command = [sys.executable, "-m", "kernelwright.cli", "optimize", "tail.py", "--budget", "60"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert running.stdout
    for line in running.stdout:
        if line.startswith(after):
            break
    time.sleep(0.3)
    children = descendants(running.pid)
    os.kill(running.pid, signal.SIGINT)
    _, complaint = running.communicate(timeout=60)
    assert running.returncode == 130, complaint.decode()
    assert complaint.splitlines()[-1].startswith(b"kernelwright: interrupted")
    deadline = time.monotonic() + 10
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [child for child in children if alive(child)]
    with open_store(folder / "store.sqlite") as store:
        store.records()

"""A run over a suite, with problems that break, crash, hang and take all memory; killed, and gone on with."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelwright.bench import folder
from kernelwright.bench.runner import Asked
from kernelwright.bench.turns import Turns
from kernelwright.cli.entry import run as command
from kernelwright.core.errors import StoreError, UsageError
from kernelwright.core.run import RUN_FORMAT, Entry, Failed, Problem, Scaling
from kernelwright.report.run import entry_file, read_entries, read_run
from tests.cpu.bench_work import a_bench

GOOD = """
import torch
from torch import nn
class Model(nn.Module):
    def forward(self, x):
        return torch.relu(x) * 2 + 1
rows = 640
def get_inputs():
    return [torch.randn(rows, 64)]
"""
BAD = {
    "broken": "raise ValueError('no good')",
    "crashes": "import os; os.abort()",
    "eats": "food = bytearray(b'x') * (8 << 30)",
    "exits": "import os; os._exit(0)",
    "hangs": "import time; time.sleep(1000)",
}
STAGES = {"broken": "broken", "crashes": "crash", "eats": "memory", "exits": "crash", "good": "", "hangs": "timeout"}
ONLY_ROWS = GOOD.replace("return torch.relu", "assert x.shape[1] == 64\n        return torch.relu").replace(
    ", 64)", ", width)"
)


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERNELWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def a_suite(path: Path, files: dict[str, str]) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / f"{name}.py").write_text(text)
    return path


def stage(entry: Entry) -> str:
    return entry.result.stage if isinstance(entry.result, Failed) else ""


def soon(there: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """A zombie that nobody has waited for is dead."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_problem_that_breaks_crashes_hangs_or_eats_all_memory_costs_itself_alone(tmp_path: Path) -> None:
    suite = a_suite(tmp_path / "suite", {**BAD, "good": GOOD})
    told: list[int] = []
    bench = a_bench(tmp_path / "run", lambda run, done: told.append(len(done)), jobs=2, seconds=10.0)
    _, entries = bench.begin(Asked(str(suite)))
    assert {entry.problem.name: stage(entry) for entry in entries} == STAGES
    assert told == [0, 1, 2, 3, 4, 5, 6]
    assert read_entries(tmp_path / "run") == entries


def test_a_run_killed_twice_ends_with_the_same_results_as_one_that_was_left_alone(tmp_path: Path) -> None:
    files = {f"good{number}": GOOD for number in range(5)} | {"broken": BAD["broken"], "exits": BAD["exits"]}
    suite, killed, whole = a_suite(tmp_path / "suite", files), tmp_path / "killed", tmp_path / "whole"
    work = [sys.executable, "-m", "tests.cpu.bench_work", str(suite)]
    for least in (2, 4):
        process = subprocess.Popen([*work, str(killed)], cwd=Path(__file__).parents[2])
        soon(lambda least=least: len(list(killed.glob("entries/*.json"))) >= least)
        process.kill()
        process.wait()
    before = {file: file.stat().st_mtime_ns for file in killed.glob("entries/*.json")}
    _, resumed = a_bench(killed).resume()
    _, uninterrupted = a_bench(whole).begin(Asked(str(suite)))
    assert [(entry.problem, entry.result) for entry in resumed] == [
        (entry.problem, entry.result) for entry in uninterrupted
    ]
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert len(list(killed.glob("entries/*"))) == len(files)


def test_a_problem_ends_with_the_runner_that_is_killed(tmp_path: Path) -> None:
    endless = "import os, time; print(os.getpid(), flush=True); time.sleep(1000)"
    suite, log = a_suite(tmp_path / "suite", {"endless": endless}), tmp_path / "run" / "logs" / "endless.txt"
    work = [sys.executable, "-m", "tests.cpu.bench_work", str(suite), str(tmp_path / "run")]
    process = subprocess.Popen(work, cwd=Path(__file__).parents[2])
    soon(lambda: log.exists() and log.read_text().endswith("\n"))
    worker = int(log.read_text())
    assert alive(worker)
    process.kill()
    process.wait()
    soon(lambda: not alive(worker), 30.0)


def test_sizes_are_scaled_as_far_as_the_model_runs(tmp_path: Path) -> None:
    stubborn = (
        ONLY_ROWS.replace("rows = 640", "rows, width = 640, 64")
        + "def get_init_inputs():\n    assert width\n    return []\n"
    )
    suite = a_suite(tmp_path / "suite", {"free": GOOD, "stubborn": stubborn})
    _, entries = a_bench(tmp_path / "run").begin(Asked(str(suite), scale=0.25))
    assert [stage(entry) for entry in entries] == ["", ""]
    assert [entry.problem.scaling for entry in entries] == [
        (Scaling("rows", 640, 160), Scaling("get_inputs[0]", 64, 16)),
        (Scaling("rows", 640, 160),),
    ]


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    suite = a_suite(tmp_path / "suite", {"good": GOOD})
    with folder.held(tmp_path / "run"), pytest.raises(UsageError, match=f"process {os.getpid()} is at work"):
        a_bench(tmp_path / "run").begin(Asked(str(suite)))


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    suite = a_suite(tmp_path / "suite", {"good": GOOD})
    with pytest.raises(UsageError, match=r"is not empty \(good.py\)"):
        a_bench(suite).begin(Asked(str(suite)))


def a_run(path: Path) -> Path:
    """A run with one problem that failed, without any process."""
    (path / "entries").mkdir(parents=True)
    environment = {"is": "Target", "kind": "cpu", "arch": "avx2", "name": "a machine"}
    environment = {
        "is": "Environment",
        "target": environment,
        "torch": "2",
        "python": "3",
        "threads": 1,
        "kernelwright": "0",
    }
    run = {
        "is": "Run",
        "format": RUN_FORMAT,
        "suite": "s",
        "device": "cpu",
        "environment": environment,
        "started": "now",
        "options": [["budget", "60"], ["engines", "search"]],
    }
    (path / "run.json").write_text(json.dumps({**run, "problems": ["one", "two"]}))
    folder.add(path, failure("one"))
    return path


def failure(name: str) -> Entry:
    return Entry(Problem(name, "", ""), Failed("crash", "it died"), 1.0)


@pytest.mark.parametrize("words", [["bench", "--resume", "run"], ["compare", "run", "run"]])
def test_a_run_from_a_newer_version_is_left_alone(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = a_run(tmp_path / "run") / "run.json"
    file.write_text(file.read_text().replace(f'"format": {RUN_FORMAT}', '"format": 99, "novelty": 1'))
    assert command(words) == 2
    assert "has format 99" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"is": "Nonsense"}', '{"is": "Entry"}', '{"is": "Task"}'])
def test_a_broken_entry_is_named_with_what_to_do(tmp_path: Path, text: str) -> None:
    file = entry_file(a_run(tmp_path / "run"), "one")
    file.write_text(text)
    with pytest.raises(UsageError, match=r"one\.json.*remove it"):
        read_entries(tmp_path / "run")


def test_where_the_disk_is_full_what_was_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = a_run(tmp_path / "run")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        folder.add(path, failure("two"))
    assert [entry.problem.name for entry in read_entries(path)] == ["one"]
    assert [file.name for file in (path / "entries").iterdir()] == ["one.json"]


def test_who_measures_waits_until_nobody_builds(tmp_path: Path) -> None:
    order: list[str] = []
    builds = threading.Event()

    def build() -> None:
        with Turns(tmp_path / "turns"):
            builds.set()
            time.sleep(0.2)
            order.append("built")

    with Turns(tmp_path / "turns") as mine:
        thread = threading.Thread(target=build)
        thread.start()
        builds.wait()
        with mine.alone(), mine.alone():
            order.append("measured")
        thread.join()
    assert order == ["built", "measured"]


def test_a_run_is_gone_on_with_where_it_was_made(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    with pytest.raises(UsageError, match=r"made with other target.*a machine"):
        a_bench(run).resume()
    folder.add(run, failure("two"))
    assert len(a_bench(run).resume()[1]) == 2  # nothing is left to be run


def test_options_that_contradict_the_run_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = a_suite(tmp_path / "suite", {"good": GOOD})
    a_bench(tmp_path / "run").begin(Asked(str(suite)))
    assert command(["bench", "--resume", "run", "--scale", "0.5"]) == 2
    assert "the run has scale '1', not '0.5'" in capsys.readouterr().err


@pytest.mark.timeout(900)  # torch.compile is slow where others are at work
def test_a_suite_goes_through_the_real_flow_and_is_summed_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_suite(tmp_path / "suite", {"good": GOOD, "broken": BAD["broken"]})
    words = ["bench", "suite", "--budget", "0.1", "--output", "run"]
    assert command([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["name"]: one["choice"] for one in told["problems"]}.keys() == {"broken", "good"}
    (overall,) = (one for one in told["summaries"]
                  if (one["level"], one["against"], one["degenerate"]) == (None, "faster", True))  # fmt: skip
    assert (overall["problems"], overall["failed"], overall["precision"]) == (2, 1, "parity")
    good = read_entries(tmp_path / "run")[1]
    assert not isinstance(good.result, Failed) and good.result.floor_ns > 0 and good.result.trials
    assert command(["compare", "run", "run"]) == 0
    assert "unchanged: 2" in capsys.readouterr().out
    assert read_run(tmp_path / "run").problems == ("broken", "good")

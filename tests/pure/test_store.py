"""The store keeps every trial, whatever happens around it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from kernelwright.core import codec
from kernelwright.core.candidate import Candidate, Handmade, Plan, Searched, Step
from kernelwright.core.conversation import Conversation, Message
from kernelwright.core.errors import StoreError, UsageError
from kernelwright.core.outcome import (
    Accepted,
    Accuracy,
    Adequacy,
    Baselines,
    Environment,
    Fallback,
    FamilyError,
    Keep,
    Measured,
    Rejected,
    Screened,
    Timing,
    Trial,
)
from kernelwright.core.spec import ScalarSpec, Target, TensorSpec
from kernelwright.core.task import Task
from kernelwright.store import SCHEMA, TrialStore, open_store

CPU = Target("cpu", "portable", "test machine", ("g++ 1",), 2)
HERE = Environment(CPU, "2.13.0", "3.11.7", 2, "0.1.0")
BASELINES = Baselines((Measured("eager", (2e6, 2.5e6)),), (("compile", "no compiler"),))
REJECTED = Rejected("build", "no ModelNew", "log")
ACCEPTED = Accepted(
    Accuracy("float64", (FamilyError("own", 0, 1e-7, 2e-7, 8e-7),)), Timing("eager", (2.0, 2.5), (1.0, 1.25))
)
DAY = 86400.0


def task(name: str = "a") -> Task:
    return Task(f"# {name}", (TensorSpec((2, 3), (3, 1), "float32"), ScalarSpec(2)), CPU)


def trial(of: Task, source: str = "x", outcome: Rejected | Screened | Accepted = REJECTED, number: int = 0) -> Trial:
    return Trial(number, "search", Candidate(codec.digest(of), source, Handmade("test")), outcome, HERE)


def keep(chosen: Trial) -> Keep:
    return Keep(chosen, 2.0, (1.9, 2.1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "store.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[TrialStore]:
    with open_store(path) as opened:
        yield opened


def ticking(path: Path) -> TrialStore:
    """A store whose clock shows one more day at each look."""
    days = count(1)
    return open_store(path, clock=lambda: next(days) * DAY)


def test_trials_come_back_equal_and_in_order(path: Path) -> None:
    kept = [trial(task(), str(i), outcome) for i, outcome in enumerate((REJECTED, Screened(5.0), ACCEPTED))]
    with open_store(path) as store:
        for each in kept:
            store.remember(task(), each)
    with open_store(path) as store:
        assert store.trials(task()) == tuple(kept)


def test_another_contract_is_another_task(store: TrialStore) -> None:
    store.remember(task("a"), trial(task("a")))
    assert store.trials(task("b")) == ()
    assert store.decision(task("b")) is None


def test_the_last_choice_stands(store: TrialStore) -> None:
    store.decide(task(), Fallback("eager", "nothing was faster"), BASELINES)
    store.decide(task(), keep(trial(task(), "fast", ACCEPTED)), BASELINES)
    assert store.decision(task()) == (keep(trial(task(), "fast", ACCEPTED)), BASELINES)


finite = some.floats(allow_nan=False)
outcomes = some.one_of(
    some.builds(Rejected, some.sampled_from(["audit", "build", "verify", "time"]), some.text(), some.text()),
    some.builds(Screened, finite),
    some.builds(lambda ns: Accepted(Accuracy("float64", ()), Timing("eager", ns, ns)), some.tuples(finite, finite)),
)
steps = some.builds(Step, some.text(), some.text(), some.just((("tile", 8), ("order", "ij"))))
plans = some.builds(Plan, some.lists(steps, max_size=3).map(tuple))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(source=some.text(), outcome=outcomes, plan=plans)
def test_any_trial_survives_the_store(store: TrialStore, source: str, outcome: Rejected, plan: Plan) -> None:
    one = Trial(0, "search", Candidate("t", source, Searched(plan, 7)), outcome, HERE)
    store.remember(task(), one)
    assert store.trials(task())[-1] == one


def test_records_name_the_task_last_worked_on_first(path: Path) -> None:
    with ticking(path) as store:
        store.remember(task("old"), trial(task("old")))
        store.remember(task("new"), trial(task("new")))
        store.decide(task("old"), Fallback("eager", "slow"), BASELINES)
        assert [record.task.reference for record in store.records()] == ["# old", "# new"]
        assert [record.trials for record in store.records()] == [1, 1]
        assert store.records()[1].choice is None


def test_a_prefix_finds_its_task_and_its_candidate(store: TrialStore) -> None:
    one = trial(task())
    store.remember(task(), one)
    by_task = store.find(codec.digest(task())[:8])
    by_candidate = store.find(codec.digest(one.candidate)[:8])
    assert (by_task.record.task, by_task.trial) == (task(), None)
    assert (by_candidate.record.task, by_candidate.trial) == (task(), one)
    assert store.history(by_candidate) == (one,)


def test_an_unknown_or_short_prefix_says_what_to_do(store: TrialStore) -> None:
    with pytest.raises(UsageError, match="store list"):
        store.find("abcdef")
    with pytest.raises(UsageError, match="at least 4"):
        store.find("ab")
    with pytest.raises(UsageError, match="hexadecimal"):
        store.find("zzzz*")


def test_an_ambiguous_prefix_names_the_digests(path: Path) -> None:
    with open_store(path) as store:
        store.remember(task(), trial(task()))
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE tasks SET digest = 'abcd1111' || substr(digest, 9)")
        raw.execute("UPDATE trials SET task = (SELECT digest FROM tasks), candidate = 'abcd2222'")
    with open_store(path) as store, pytest.raises(UsageError, match=r"2 digests: abcd1111.*abcd2222.*more digits"):
        store.find("abcd")


def test_prune_removes_what_was_asked_and_counts_it(path: Path) -> None:
    with ticking(path) as store:
        old, slow, fast = task("old"), task("slow"), task("fast")
        store.remember(old, trial(old))
        store.remember(slow, trial(slow))
        store.decide(slow, Fallback("eager", "slow"), BASELINES)
        for source, outcome in (("bad", REJECTED), ("good", ACCEPTED)):
            store.remember(fast, trial(fast, source, outcome))
        store.decide(fast, keep(trial(fast, "good", ACCEPTED)), BASELINES)
        touched = store.records()[2].updated

        removed = store.prune_untouched(since=touched + 1)
        assert (removed.tasks, removed.trials) == (1, 1)
        removed = store.prune_fallbacks(since=1e12)
        assert (removed.tasks, removed.trials) == (1, 1)
        removed = store.prune_unkept(since=1e12)
        assert (removed.tasks, removed.trials) == (0, 1)
        assert store.trials(fast) == (trial(fast, "good", ACCEPTED),)
        assert store.decision(fast) is not None


def test_prune_leaves_what_is_younger(path: Path) -> None:
    with ticking(path) as store:
        store.remember(task(), trial(task()))
        store.decide(task(), Fallback("eager", "slow"), BASELINES)
        for prune in (store.prune_untouched, store.prune_fallbacks, store.prune_unkept):
            assert prune(since=0.0).tasks == 0
        assert len(store.records()) == 1


WRITER = """
import sys
from pathlib import Path
from tests.pure.test_store import task, trial
from kernelwright.store import open_store
with open_store(Path(sys.argv[1])) as store:
    for number in range(int(sys.argv[2])):
        store.remember(task(), trial(task(), f"{sys.argv[3]} {number}"))
        print(number, flush=True)
"""


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_write_at_once_lose_nothing(path: Path) -> None:
    writers = [python(WRITER, path, 40, name) for name in "abcd"]
    for writer in writers:
        _, complaint = writer.communicate(timeout=120)
        assert writer.returncode == 0, complaint
    with open_store(path) as store:
        sources = [one.candidate.source for one in store.trials(task())]
    assert sorted(sources) == sorted(f"{name} {number}" for name in "abcd" for number in range(40))


def test_a_killed_writer_loses_at_most_the_trial_in_flight(path: Path) -> None:
    writer = python(WRITER, path, 100_000, "a")
    assert writer.stdout
    said = [writer.stdout.readline() for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    said += writer.communicate(timeout=60)[0].splitlines()
    with open_store(path) as store:
        sources = [one.candidate.source for one in store.trials(task())]
        store.remember(task(), trial(task(), "next"))
        assert store.trials(task())[-1].candidate.source == "next"
    assert sources == [f"a {number}" for number in range(len(sources))]
    assert len(said) <= len(sources) <= len(said) + 1


def test_an_interrupted_transaction_leaves_nothing_behind(store: TrialStore) -> None:
    def interrupted() -> float:
        raise KeyboardInterrupt

    store.remember(task(), trial(task()))
    store._clock = interrupted
    with pytest.raises(KeyboardInterrupt):
        store.remember(task("b"), trial(task("b")))
    assert [record.task for record in store.records()] == [task()]


def test_conversations_are_kept_once_and_go_with_what_is_pruned(path: Path) -> None:
    said = [Conversation("t", "writer", 0, number, "openai:m", (Message("user", "é"),)) for number in range(2)]
    with ticking(path) as store:
        for held in (*said, said[0]):
            store.keep(task(), held)
        assert set(store.conversations(task())) == set(said)
        assert store.conversations(task("b")) == ()
        store.prune_unkept(since=1e12)
        assert store.conversations(task()) == ()


def test_a_store_of_an_earlier_version_gets_what_it_lacks(path: Path) -> None:
    with open_store(path) as store:
        store.remember(task(), trial(task()))
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TABLE conversations")
        raw.execute("PRAGMA user_version = 1")
    raw.close()
    with open_store(path) as store:
        assert store.trials(task()) == (trial(task()),)
        assert store.conversations(task()) == ()


def test_a_newer_store_is_refused_and_left_alone(path: Path) -> None:
    open_store(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"format {SCHEMA + 1}.*format {SCHEMA};.*Upgrade"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_foreign_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.sqlite"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE bookmarks (url TEXT)")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="no kernelwright store"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_text("this was a store once" * 100)
    with pytest.raises(StoreError, match=r"store\.sqlite.*Move it away"):
        open_store(path)
    assert path.read_text() == "this was a store once" * 100


def test_a_value_of_another_version_is_named(path: Path) -> None:
    with open_store(path) as store:
        store.remember(task(), trial(task()))
    with sqlite3.connect(path) as raw:
        raw.execute("""UPDATE trials SET value = '{"is": "Telepathy"}'""")
    with open_store(path) as store, pytest.raises(StoreError, match="Telepathy"):
        store.trials(task())


@pytest.mark.parametrize("inside", ["a file", "a folder"])
def test_a_path_that_cannot_hold_a_store_says_so(tmp_path: Path, inside: str) -> None:
    (tmp_path / "a file").write_text("")
    (tmp_path / "a folder" / "store.sqlite").mkdir(parents=True)
    with pytest.raises(StoreError, match="--store PATH"):
        open_store(tmp_path / inside / "store.sqlite")


AS_A_STRANGER = """
import os, sys
from pathlib import Path
from tests.pure.test_store import task, trial
from kernelwright.store import open_store
if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere; nobody may not
with open_store(Path(sys.argv[1])) as store:
    store.remember(task(), trial(task()))
"""


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):  # pytest-xdist nests one deeper
        folder.chmod(0o755)
    path = tmp_path / "locked" / "store.sqlite"
    path.parent.mkdir(mode=0o555)
    _, complaint = python(AS_A_STRANGER, path).communicate(timeout=60)
    assert "StoreError" in complaint
    assert str(path) in complaint
    assert "--store PATH" in complaint


ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.pure.test_store import task, trial
from kernelwright.store import open_store
with open_store(Path(sys.argv[1])) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    for number in range(100):
        store.remember(task(), trial(task(), str(number) + "x" * 20_000))
        print(number, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
def test_a_full_disk_keeps_what_was_stored(path: Path) -> None:
    said, complaint = python(ON_A_FULL_DISK, path).communicate(timeout=60)
    assert "StoreError" in complaint
    assert "Free some room" in complaint
    with open_store(path) as store:
        stored = [one.candidate.source.rstrip("x") for one in store.trials(task())]
    assert stored == said.split()
    assert len(stored) > 3


def test_what_a_task_can_tell_is_kept_until_it_is_found_anew(path: Path) -> None:
    first, second = Adequacy(("zeros",), ("zeros",)), Adequacy(("zeros", "mean fill"))
    with open_store(path) as store:
        assert store.adequacy(task()) is None
        store.assess(task(), first)
        store.assess(task(), second)
    with open_store(path) as store:
        assert store.adequacy(task()) == second
        assert store.adequacy(task("b")) is None


def test_a_file_of_an_older_format_gets_the_tables_that_it_lacks(path: Path) -> None:
    with open_store(path) as store:
        store.remember(task(), trial(task()))
    raw = sqlite3.connect(path)
    raw.execute("DROP TABLE adequacies")
    raw.execute("PRAGMA user_version = 1")
    raw.close()
    with open_store(path) as store:
        assert store.adequacy(task()) is None
        assert len(store.trials(task())) == 1

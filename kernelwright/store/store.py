"""Trials and choices of every task, kept between runs."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kernelwright.core import codec
from kernelwright.core.conversation import Conversation
from kernelwright.core.errors import StoreError, UsageError
from kernelwright.core.outcome import Adequacy, Baselines, Choice, Keep, Trial
from kernelwright.core.task import Task
from kernelwright.store import database

LEAST_PREFIX = 4  # digits of a digest that a person has to give

UPDATED = """max(tasks.created,
    coalesce((SELECT max(created) FROM trials WHERE task = tasks.digest), 0),
    coalesce((SELECT created FROM decisions WHERE task = tasks.digest), 0))"""


@dataclass(frozen=True, slots=True)
class Record:
    """One task as the store knows it. `updated` is when its last trial or choice came, in seconds since 1970."""

    digest: str
    task: Task
    trials: int
    choice: Choice | None
    baselines: Baselines | None
    updated: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a digest stands for: a task, and the one trial of it where a candidate was named."""

    record: Record
    trial: Trial | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    """What `prune` took away."""

    tasks: int
    trials: int


def open_store(path: Path, clock: Callable[[], float] = time.time) -> TrialStore:
    """The store at `path`, made where it is missing. Raises StoreError where it cannot be used."""
    return TrialStore(path, database.connect(path), clock)


class TrialStore:
    """Owns one connection. Each call is one transaction: a killed process loses at most the trial in flight."""

    def __init__(self, path: Path, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self.path = path
        self._connection = connection
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def remember(self, task: Task, trial: Trial) -> None:
        """Keep one trial of `task`."""
        key, kind = codec.digest(task), type(trial.outcome).__name__
        candidate, value = codec.digest(trial.candidate), codec.dumps(trial)
        with database.in_words(self.path), database.transaction(self._connection):
            self._introduce(key, task)
            self._connection.execute(
                "INSERT INTO trials (task, candidate, outcome, created, value) VALUES (?, ?, ?, ?, ?)",
                (key, candidate, kind, self._clock(), value),
            )

    def trials(self, task: Task) -> tuple[Trial, ...]:
        """All trials of `task`, oldest first."""
        return self._trials_of(codec.digest(task))

    def keep(self, task: Task, conversation: Conversation) -> None:
        """Keep what was said about `task`."""
        with database.in_words(self.path), database.transaction(self._connection):
            self._introduce(codec.digest(task), task)
            self._connection.execute(
                "INSERT OR REPLACE INTO conversations (digest, task, created, value) VALUES (?, ?, ?, ?)",
                (codec.digest(conversation), codec.digest(task), self._clock(), codec.dumps(conversation)),
            )

    def conversations(self, task: Task) -> tuple[Conversation, ...]:
        """All that was said about `task`, oldest first."""
        query = "SELECT value FROM conversations WHERE task = ? ORDER BY created, rowid"
        return tuple(self._read(value) for (value,) in self._rows(query, codec.digest(task)))

    def decide(self, task: Task, choice: Choice, baselines: Baselines) -> None:
        """Keep the choice for `task`. A later choice takes the place of an earlier one."""
        key, kind = codec.digest(task), type(choice).__name__
        candidate = codec.digest(choice.trial.candidate) if isinstance(choice, Keep) else None
        with database.in_words(self.path), database.transaction(self._connection):
            self._introduce(key, task)
            self._connection.execute(
                "INSERT OR REPLACE INTO decisions (task, choice, candidate, created, value, baselines) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (key, kind, candidate, self._clock(), codec.dumps(choice), codec.dumps(baselines)),
            )

    def decision(self, task: Task) -> tuple[Choice, Baselines] | None:
        """The last choice for `task`, with the baselines that it was made against."""
        rows = self._rows("SELECT value, baselines FROM decisions WHERE task = ?", codec.digest(task))
        return (self._read(rows[0][0]), self._read(rows[0][1])) if rows else None

    def assess(self, task: Task, found: Adequacy) -> None:
        """Keep what `task` can tell, so that it need not be found again."""
        key = codec.digest(task)
        with database.in_words(self.path), database.transaction(self._connection):
            self._introduce(key, task)
            self._connection.execute(
                "INSERT OR REPLACE INTO adequacies (task, created, value) VALUES (?, ?, ?)",
                (key, self._clock(), codec.dumps(found)),
            )

    def adequacy(self, task: Task) -> Adequacy | None:
        """What `task` can tell, as it was found last."""
        rows = self._rows("SELECT value FROM adequacies WHERE task = ?", codec.digest(task))
        return self._read(rows[0][0]) if rows else None

    def records(self) -> tuple[Record, ...]:
        """Every task, the one last worked on first."""
        return self._records("ORDER BY updated DESC, tasks.digest")

    def find(self, prefix: str) -> Found:
        """The task or candidate whose digest starts with `prefix`. Raises UsageError unless there is exactly one."""
        tasks, candidates = self._matching(prefix)
        if not tasks and not candidates:
            raise UsageError(
                f"nothing in the store {self.path} has a digest that starts with {prefix!r}; "
                "'kernelwright store list' shows what there is"
            )
        if len(tasks) + len(candidates) > 1:
            known = ", ".join(digest[: len(prefix) + 8] for digest in (*tasks, *candidates)[:8])
            raise UsageError(f"{prefix!r} stands for {len(tasks) + len(candidates)} digests: {known}; give more digits")
        return self._found_task(tasks[0]) if tasks else self._found_candidate(candidates[0])

    def history(self, found: Found) -> tuple[Trial, ...]:
        """All trials of the task that was found, oldest first."""
        return self._trials_of(found.record.digest)

    def prune_untouched(self, since: float) -> Removed:
        """Remove the tasks on which nothing has happened since then."""
        return self._prune(f"DELETE FROM tasks WHERE {UPDATED} < ?", since)

    def prune_fallbacks(self, since: float) -> Removed:
        """Remove the tasks for which PyTorch was kept, and on which nothing has happened since then."""
        fallbacks = "SELECT task FROM decisions WHERE choice = 'Fallback'"
        return self._prune(f"DELETE FROM tasks WHERE digest IN ({fallbacks}) AND {UPDATED} < ?", since)

    def prune_unkept(self, since: float) -> Removed:
        """Remove everything older than that but the kept kernels, their tasks and their choices."""
        kept = "SELECT 1 FROM decisions WHERE decisions.task = {task} AND choice = 'Keep'"
        return self._prune(
            f"DELETE FROM trials WHERE created < ? AND NOT EXISTS "
            f"({kept.format(task='trials.task')} AND decisions.candidate = trials.candidate)",
            since,
            "DELETE FROM conversations WHERE created < ?",
            f"DELETE FROM tasks WHERE {UPDATED} < ? AND NOT EXISTS ({kept.format(task='tasks.digest')})",
        )

    def _introduce(self, key: str, task: Task) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO tasks (digest, value, created) VALUES (?, ?, ?)",
            (key, codec.dumps(task), self._clock()),
        )

    def _trials_of(self, key: str) -> tuple[Trial, ...]:
        rows = self._rows("SELECT value FROM trials WHERE task = ? ORDER BY number", key)
        return tuple(self._read(value) for (value,) in rows)

    def _records(self, clause: str, *values: object) -> tuple[Record, ...]:
        rows = self._rows(
            "SELECT tasks.digest, tasks.value, (SELECT count(*) FROM trials WHERE task = tasks.digest), "
            f"decisions.value, decisions.baselines, {UPDATED} AS updated "
            f"FROM tasks LEFT JOIN decisions ON decisions.task = tasks.digest {clause}",
            *values,
        )
        return tuple(self._record(*row) for row in rows)

    def _record(
        self, digest: str, task: str, trials: int, choice: str | None, baselines: str | None, updated: float
    ) -> Record:
        return Record(
            digest,
            self._read(task),
            trials,
            None if choice is None else self._read(choice),
            None if baselines is None else self._read(baselines),
            updated,
        )

    def _matching(self, prefix: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if len(prefix) < LEAST_PREFIX or set(prefix) - set("0123456789abcdef"):
            raise UsageError(
                f"{prefix!r} is no digest: wanted at least {LEAST_PREFIX} of its hexadecimal digits, "
                "as 'kernelwright store list' shows them"
            )
        tasks = self._rows("SELECT digest FROM tasks WHERE digest GLOB ?", prefix + "*")
        candidates = self._rows("SELECT DISTINCT candidate FROM trials WHERE candidate GLOB ?", prefix + "*")
        return tuple(digest for (digest,) in tasks), tuple(digest for (digest,) in candidates)

    def _found_task(self, digest: str) -> Found:
        return Found(self._records("WHERE tasks.digest = ?", digest)[0])

    def _found_candidate(self, digest: str) -> Found:
        rows = self._rows("SELECT task, value FROM trials WHERE candidate = ? ORDER BY number DESC", digest)
        return Found(self._found_task(rows[0][0]).record, self._read(rows[0][1]))

    def _prune(self, statement: str, since: float, *more: str) -> Removed:
        with database.in_words(self.path), database.transaction(self._connection):
            before = self._count("tasks"), self._count("trials")
            for each in (statement, *more):
                self._connection.execute(each, (since,))
            return Removed(before[0] - self._count("tasks"), before[1] - self._count("trials"))

    def _count(self, table: str) -> int:
        return self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def _rows(self, query: str, *values: object) -> list[Any]:
        with database.in_words(self.path), closing(self._connection.execute(query, values)) as cursor:
            return cursor.fetchall()

    def _read(self, text: str) -> Any:
        try:
            return codec.loads(text)
        except ValueError as error:
            raise StoreError(
                f"the store {self.path} holds a value that this kernelwright cannot read: {error}; "
                "use the version that wrote it, or name another store with --store PATH"
            ) from error

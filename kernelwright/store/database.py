"""The SQLite file itself: opened, checked for its version, its errors put into words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from kernelwright.core.errors import StoreError

SCHEMA = 3  # raise it when a table or a stored noun changes; older files are added to when they are opened
OWNER = 0x6B77_7274  # "kwrt", in the file's header: which program the file belongs to
BUSY_SECONDS = 30.0  # how long one writer waits for another

TABLES = """
CREATE TABLE IF NOT EXISTS tasks (
    digest  TEXT PRIMARY KEY,
    value   TEXT NOT NULL,
    created REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS trials (
    number    INTEGER PRIMARY KEY,
    task      TEXT NOT NULL REFERENCES tasks ON DELETE CASCADE,
    candidate TEXT NOT NULL,
    outcome   TEXT NOT NULL,
    created   REAL NOT NULL,
    value     TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS trials_by_task ON trials (task);
CREATE INDEX IF NOT EXISTS trials_by_candidate ON trials (candidate);

CREATE TABLE IF NOT EXISTS decisions (
    task      TEXT PRIMARY KEY REFERENCES tasks ON DELETE CASCADE,
    choice    TEXT NOT NULL,
    candidate TEXT,
    created   REAL NOT NULL,
    value     TEXT NOT NULL,
    baselines TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS conversations (
    digest  TEXT PRIMARY KEY,
    task    TEXT NOT NULL REFERENCES tasks ON DELETE CASCADE,
    created REAL NOT NULL,
    value   TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS conversations_by_task ON conversations (task);

CREATE TABLE IF NOT EXISTS adequacies (
    task    TEXT PRIMARY KEY REFERENCES tasks ON DELETE CASCADE,
    created REAL NOT NULL,
    value   TEXT NOT NULL
) WITHOUT ROWID;
"""


def connect(path: Path) -> sqlite3.Connection:
    """The file at `path`, made where it is missing, in WAL mode and at this version's schema."""
    make_folder(path.parent)
    with in_words(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make the store's folder {folder}: {error.strerror}; "
            "name a store in a folder that you may write to with --store PATH"
        ) from error


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection, "DEFERRED"):  # one look, though another process may be making the tables
        check_version(connection, path)
    connection.execute("PRAGMA auto_vacuum = FULL")  # what `prune` frees goes back to the disk
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    with transaction(connection):
        if header(connection, "user_version") < SCHEMA:
            create(connection)


def create(connection: sqlite3.Connection) -> None:
    """The tables that are missing; those of an older version are read as they are."""
    for statement in TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {OWNER}")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    version, owner = header(connection, "user_version"), header(connection, "application_id")
    if owner != OWNER and not is_empty(connection):
        raise StoreError(
            f"{path} is an SQLite file, but no kernelwright store; nothing was changed. Name another with --store PATH"
        )
    if version > SCHEMA:
        raise StoreError(
            f"the store {path} has format {version}, this kernelwright reads format {SCHEMA}; nothing was changed. "
            "Upgrade kernelwright, or name another store with --store PATH"
        )


def header(connection: sqlite3.Connection, field: str) -> int:
    return connection.execute(f"PRAGMA {field}").fetchone()[0]


def is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, mode: Literal["IMMEDIATE", "DEFERRED"] = "IMMEDIATE") -> Iterator[None]:
    """All of the block's writes, or none. IMMEDIATE waits for other writers first; DEFERRED only reads."""
    connection.execute(f"BEGIN {mode}")
    with connection:
        yield


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """SQLite's errors as a StoreError that names the file and the remedy."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"cannot use the store {path}: {error}; {remedy(error, path)}") from error


def remedy(error: sqlite3.Error, path: Path) -> str:
    match getattr(error, "sqlite_errorname", "").split("_")[1:2]:
        case ["BUSY"] | ["LOCKED"]:
            return (
                f"another process has held it for {BUSY_SECONDS:.0f} s: end that one, or name another with --store PATH"
            )
        case ["NOTADB"] | ["CORRUPT"]:
            return (
                f"nothing was changed. Move it away (mv '{path}' '{path}.damaged'), or name another with --store PATH"
            )
        case ["FULL"] | ["IOERR"]:
            return "what was stored before is whole. Free some room on that disk, or name another with --store PATH"
        case _:
            return "name a store in a folder that you may write to with --store PATH"

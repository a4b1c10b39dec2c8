"""What the user has set: the one reader of environment variables and of the configuration file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import platformdirs

from kernelwright.core.errors import UsageError

PREFIX = "KERNELWRIGHT_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Options that outlive one command. Set by a command's flag, else KERNELWRIGHT_<NAME>, else config.toml."""

    store: Path  # the file that remembers trials and choices
    cache: Path  # built kernels and other files that can be made again
    device: str = "cpu"
    budget: float = 60.0  # seconds that one search may take
    threads: int = 0  # 0: as many as this process may use
    compiler: str = ""  # the C++ compiler; "": the first of c++, g++, clang++ that is there
    seed: int = 0  # of the search
    sandbox: str = "auto"  # what confines candidates: auto, sandlock, bubblewrap, sandbox-exec, none
    worker_memory: float = 0.0  # GiB that one candidate may use; 0: half of the machine's


def load(environment: Mapping[str, str] = os.environ, config: Path | None = None) -> Settings:
    """The settings of this user. Raises UsageError for a name or value that is none."""
    path = config or platformdirs.user_config_path("kernelwright") / "config.toml"
    cache = platformdirs.user_cache_path("kernelwright")
    values: dict[str, Any] = {"store": cache / "store.sqlite", "cache": cache}
    for name, (value, source) in {**from_file(path), **from_environment(environment)}.items():
        values[name] = read(name, value, source)
    return Settings(**values)


def worker_variables(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """All that a worker process inherits: where its compiler is."""
    return {"PATH": environment.get("PATH", os.defpath)}


def from_environment(environment: Mapping[str, str]) -> dict[str, tuple[object, str]]:
    """Each setting made by a variable, with the variable's name. CXX names the compiler where nothing else does."""
    found: dict[str, tuple[object, str]] = {}
    if environment.get("CXX"):
        found["compiler"] = (environment["CXX"], "CXX")
    for variable, value in environment.items():
        if variable.startswith(PREFIX) and value:
            name = variable.removeprefix(PREFIX).lower()
            found[known(name, variable, as_variables())] = (value, variable)
    return found


def from_file(path: Path) -> dict[str, tuple[object, str]]:
    """Each setting made in the configuration file, with the place for messages. No file, no settings."""
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the configuration file {path}: {error}; mend it or move it away") from error
    return {
        known(name, f"{name!r} in {path}", tuple(READERS)): (value, f"{name} in {path}")
        for name, value in table.items()
    }


def as_variables() -> tuple[str, ...]:
    return tuple(PREFIX + name.upper() for name in READERS)


def known(name: str, written: str, names: tuple[str, ...]) -> str:
    if name not in READERS:
        raise UsageError(f"{written} is no setting; known: {', '.join(names)}")
    return name


def read(name: str, value: object, source: str) -> object:
    try:
        return READERS[name](value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{source} must be {error}, not {value!r}") from None


def a_path(value: object) -> Path:
    if not isinstance(value, str):
        raise TypeError("a path")
    return Path(value).expanduser()


def a_word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a word")
    return value


def some_seconds(value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError("a number of seconds above 0")
    return seconds


def some_gibibytes(value: object) -> float:
    try:
        gibibytes = float(str(value))
    except ValueError:
        gibibytes = -1.0
    if not 0 <= gibibytes < float("inf"):
        raise ValueError("a number of GiB, 0 or more")
    return gibibytes


def a_count(value: object) -> int:
    if not str(value).isdecimal():
        raise ValueError("a whole number, 0 or more")
    return int(str(value))


READERS: dict[str, Callable[[object], object]] = {
    "store": a_path,
    "cache": a_path,
    "device": a_word,
    "budget": some_seconds,
    "threads": a_count,
    "compiler": a_word,
    "seed": a_count,
    "sandbox": a_word,
    "worker_memory": some_gibibytes,
}

assert set(READERS) == {field.name for field in fields(Settings)}

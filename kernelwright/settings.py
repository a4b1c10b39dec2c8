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
OUTPUT = Path("kernelwright-out")  # the folder that commands write to, where no other is named

# Which variables hold the key of a provider of language models; the first that is set counts.
KEYS: Mapping[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "bedrock": ("AWS_BEARER_TOKEN_BEDROCK",),
}


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
    engines: tuple[str, ...] = ("search",)  # who proposes
    models: tuple[str, ...] = ()  # that engine "agent" asks: "openai:gpt-5"
    base_url: str = ""  # of an OpenAI-compatible server, where the models are not at their provider's
    max_cost: float | None = None  # US dollars that one run's replies may cost
    max_tokens: int | None = None  # that one run's replies may take, in and out
    price: tuple[float, ...] = ()  # US dollars for a million tokens in, and out, of a model whose price is not known
    reply_tokens: int = 16_000  # that one reply may have
    rounds: int = 8  # of engine "agent"
    parallel: int = 0  # branches of engine "agent"; 0: one for each model
    replay: Path | None = None  # kept conversations that answer in place of models


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


def model_keys(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The key for each provider of language models that has one. Never to be stored, logged or shown."""
    found = (
        (provider, [environment[name] for name in names if environment.get(name)]) for provider, names in KEYS.items()
    )
    return {provider: values[0] for provider, values in found if values}


def secrets(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """What no text that is kept or sent may hold: all keys, those too that libraries read by themselves."""
    names = [name for names in KEYS.values() for name in names] + ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
    return tuple(environment[name] for name in names if environment.get(name))


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


def some_words(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        raise TypeError("words, with commas between them")
    return tuple(part.strip() for part in parts if part.strip())


def an_amount(value: object) -> float:
    try:
        amount = float(str(value))
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise ValueError("an amount above 0")
    return amount


def some(value: object) -> int:
    if not str(value).isdecimal() or int(str(value)) == 0:
        raise ValueError("a whole number, 1 or more")
    return int(str(value))


def two_prices(value: object) -> tuple[float, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    try:
        prices = tuple(float(part) for part in parts)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        prices = ()
    if len(prices) != 2 or not all(0 <= price < float("inf") for price in prices):
        raise ValueError("two prices, IN,OUT, in US dollars for a million tokens")
    return prices


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
    "engines": some_words,
    "models": some_words,
    "base_url": a_word,
    "max_cost": an_amount,
    "max_tokens": some,
    "price": two_prices,
    "reply_tokens": some,
    "rounds": some,
    "parallel": a_count,
    "replay": a_path,
}

assert set(READERS) == {field.name for field in fields(Settings)}

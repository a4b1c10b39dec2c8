"""Which tests a machine can run, and why the others are skipped."""

from __future__ import annotations

import importlib.util
import signal
from pathlib import Path

import pytest

from kernelwright import targets
from kernelwright.core.errors import MachineError

FOLDERS = {"browser", "cpu", "cuda", "metal", "slow"}  # a test in one of these needs what the folder's name says


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes, too")


def pytest_configure() -> None:
    """A shell that puts a command into the background has it ignore ctrl-C, and its children too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        for folder in FOLDERS.intersection(item.path.relative_to(here).parts[:-1]):
            item.add_marker(getattr(pytest.mark, folder))
    reasons = {name: why for name in used(items) if (why := missing(name, config))}
    for item in items:
        for name in reasons.keys() & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.skip(reason=reasons[name]))


def used(items: list[pytest.Item]) -> set[str]:
    return FOLDERS & {mark.name for item in items for mark in item.iter_markers()}


def missing(need: str, config: pytest.Config) -> str:
    """Why tests with that need cannot run here; empty where they can."""
    match need:
        case "browser":
            return no_browser()
        case "cpu":
            return no_compiler()
        case "cuda":
            return targets.absence("cuda")
        case "metal":
            return targets.absence("mps")
        case _:
            return "" if config.getoption("--slow") else "takes minutes; run with --slow"


def no_browser() -> str:
    if not importlib.util.find_spec("selenium"):
        return "selenium is not installed: pip install selenium"
    from tests.browser.driving import CHROMIUMS, DRIVERS, program

    wanted = {"Chromium": CHROMIUMS, "chromedriver": DRIVERS}
    absent = [name for name, programs in wanted.items() if not program(programs)]
    return f"no {' and no '.join(absent)}; on Debian: apt install chromium chromium-driver" if absent else ""


def no_compiler() -> str:
    try:
        targets.cpu.find_compiler()
    except MachineError as error:
        return str(error)
    return ""

"""Which sandbox is taken, what it lets through, and the words of it that a machine reads."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from kernelwright.core.errors import MachineError, UsageError
from kernelwright.judge import limits, reach, sandbox, seccomp
from kernelwright.judge.limits import Limits
from kernelwright.judge.sandbox import Boundary, choose


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What each sandbox lacks here."""
    lacking = {"sandlock": "old kernel", "bubblewrap": "not installed", "sandbox-exec": "only on macOS"}
    monkeypatch.setattr(sandbox, "lacks", lambda kind: lacking.get(kind, ""))
    return lacking


def test_the_first_sandbox_that_works_is_taken(machine: dict[str, str]) -> None:
    machine["bubblewrap"] = ""
    assert choose("auto") == "bubblewrap"
    machine["sandlock"] = ""
    assert choose("auto") == "sandlock"


def test_without_a_sandbox_nothing_is_judged_unless_the_user_says_so(machine: dict[str, str]) -> None:
    with pytest.raises(MachineError, match=r"sandlock: old kernel; bubblewrap: not installed.*--no-sandbox"):
        choose("auto")
    assert choose("none") == "none"


def test_the_sandbox_that_was_named_is_taken_or_none(machine: dict[str, str]) -> None:
    machine["sandlock"] = ""
    with pytest.raises(MachineError, match="bubblewrap: not installed"):
        choose("bubblewrap")
    with pytest.raises(UsageError, match="'jail' is not known; known: auto, sandlock"):
        choose("jail")


BOUNDARY = Boundary("none", ("/usr",), ("/var/own",))


def test_a_profile_for_macos_denies_all_that_it_does_not_name() -> None:
    lines = sandbox.profile(BOUNDARY).splitlines()
    assert lines[:2] == ["(version 1)", "(deny default)"]
    assert '(allow file-read* (subpath "/usr"))' in lines
    assert [line for line in lines if "file-write*" in line] == ['(allow file-read* file-write* (subpath "/var/own"))']
    assert "(deny network*)" in lines


def test_a_path_cannot_leave_its_quotes_in_a_profile() -> None:
    assert sandbox.quoted('/a") (allow default) ("') == '"/a\\") (allow default) (\\""'


def test_the_home_is_left_out_of_a_place_that_contains_it(tmp_path: Path) -> None:
    for name in ("system", "homes/me", "homes/you"):
        (tmp_path / name).mkdir(parents=True)
    found = set(reach.around(tmp_path, tmp_path / "homes/me"))
    assert found == {tmp_path / "system", tmp_path / "homes/you"}


@pytest.mark.parametrize("name", seccomp.MACHINES)
def test_a_filter_is_whole_for_every_machine(name: str) -> None:
    machine = seccomp.MACHINES[name]
    limited = (*seccomp.LIMITED, *seccomp.signals_to(7))
    program = [struct.unpack("HBBI", each) for each in seccomp.program(machine, limited)]
    assert program[-1] == (seccomp.RETURN, 0, 0, seccomp.ALLOW)
    assert all(at + 1 + max(yes, no) < len(program) for at, (_, yes, no, _) in enumerate(program[:-1]))
    numbers = [number for row in seccomp.NUMBERS.values() if (number := row[machine.column]) is not None]
    assert len(numbers) == len(set(numbers))


def test_memory_is_granted_as_asked_or_half_of_what_there_is() -> None:
    assert limits.granting(1.5).memory == 3 << 29
    assert limits.granting().memory == limits.machine_memory() // 2


def test_what_lies_in_a_folder_is_counted_until_it_is_too_much(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "file").write_bytes(bytes(1 << 16))
    assert limits.size(str(tmp_path), 1 << 20) >= 4 << 16
    assert limits.size(str(tmp_path), 1) < 4 << 16


def test_limits_hold_for_a_family_as_a_whole() -> None:
    assert limits.passed(1 << 30, (), "/nowhere", Limits(memory=0)) == ""  # nobody there

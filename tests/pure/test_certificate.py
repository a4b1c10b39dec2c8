"""Certificates: written, read and doubted; and what a replay says, with a judge that is made up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kernelwright.cli.court import status
from kernelwright.cli.entry import run
from kernelwright.core.certificate import Certificate
from kernelwright.core.codec import digest
from kernelwright.core.errors import UsageError
from kernelwright.core.outcome import Accepted, Accuracy, Environment, FamilyError, Rejected
from kernelwright.core.spec import TensorSpec
from kernelwright.core.task import Task
from kernelwright.judge.certificate import Finding, check_text, content_digest, issue, read, write
from kernelwright.judge.replay import replay
from kernelwright.report import facts, rows
from tests.pure.samples import BASELINES, ENVIRONMENT, TARGET, accepted, candidate

REFERENCE = """
import torch
class Model(torch.nn.Module):
    def forward(self, x): return x + 1
def get_inputs(): return [torch.rand(4, 8)]
"""
TASK = Task(REFERENCE, (TensorSpec((4, 8), (8, 1), "float32"),), TARGET)
CANDIDATE = replace(candidate("class ModelNew: ..."), task=digest(TASK))
REFUSED = Rejected("verify", "row 3 is zero")
DAY = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


def certificate(outcome: Rejected | Accepted) -> Certificate:
    found = {"baselines": BASELINES, "master": bytes(range(32)), "now": DAY}
    return issue(TASK, CANDIDATE, outcome, ENVIRONMENT, **found)


WRITTEN = Path(__file__).parents[2] / "benchmarks" / "written"


def edited(edit: Callable[[dict[str, Any]], None], outcome: Rejected | Accepted | None = None) -> str:
    """A certificate changed by somebody who knows how the digest is made."""
    data = json.loads(write(certificate(outcome or accepted(2.0))))
    edit(data)
    return json.dumps({**data, "digest": content_digest(data)})


def refuted(text: str) -> set[str]:
    return {finding.question for finding in check_text(read(text)) if finding.answer != "holds"}


@pytest.mark.parametrize("file", sorted(WRITTEN.glob("*.json")), ids=lambda file: file.stem)
def test_a_certificate_of_ours_is_of_the_files_beside_it(file: Path) -> None:
    text = file.read_text()
    assert refuted(text) == set()
    certificate = read(text).certificate
    assert certificate.candidate.source == file.with_suffix(".py").read_text()
    assert certificate.task.reference == (WRITTEN.parents[1] / "examples" / f"{file.stem}.py").read_text()


@pytest.mark.parametrize("outcome", [accepted(2.0), accepted(0.5), accepted(1.0), REFUSED])
def test_a_certificate_comes_back_equal_and_holds(outcome: Rejected | Accepted) -> None:
    written = certificate(outcome)
    paper = read(write(written))
    assert paper.certificate == written
    assert {finding.answer for finding in check_text(paper)} == {"holds"}


def test_the_figures_of_a_certificate_follow_from_its_samples() -> None:
    assert certificate(accepted(2.0)).stated.accepted
    assert certificate(accepted(2.0)).stated.verdict == "FASTER"
    assert certificate(accepted(2.0)).stated.speedup == pytest.approx(2.0)
    assert not certificate(accepted(1.0)).stated.accepted
    assert certificate(REFUSED).stated.verdict is None


def test_an_infinite_error_comes_back_from_standard_json() -> None:
    far = FamilyError("spikes", 0, float("inf"), 1e-7, 4e-7, binding=False)
    written = certificate(replace(accepted(2.0), accuracy=Accuracy("float64", (far,))))
    assert "Infinity" not in write(written)
    assert read(write(written)).certificate == written


EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "another speed-up": (lambda data: data["stated"].update(speedup=3.0), "figures"),
    "another interval": (lambda data: data["stated"].update(interval=[2.9, 3.1]), "figures"),
    "another verdict": (lambda data: data["stated"].update(verdict="SAME"), "figures"),
    "accepted or not": (lambda data: data["stated"].update(accepted=False), "figures"),
    "faster samples": (lambda data: data["outcome"]["timing"].update(candidate_ns=[1e6] * 12), "figures"),
    "a sample missing": (lambda data: data["outcome"]["timing"]["candidate_ns"].pop(), "samples"),
    "a sample of nothing": (lambda data: data["outcome"]["timing"].update(candidate_ns=[0.0] * 12), "samples"),
    "faster than its bytes": (lambda data: data["outcome"]["timing"].update(floor_ns=5e6), "samples"),
    "a slow baseline raced": (lambda data: data["outcome"]["timing"].update(baseline="eager"), "samples"),
    "no baselines": (lambda data: data.update(baselines=None), "samples"),
    "an error too large": (lambda data: data["outcome"]["accuracy"]["families"][0].update(error=1.0), "errors"),
    "no errors": (lambda data: data["outcome"]["accuracy"].update(families=[]), "errors"),
    "another reference": (lambda data: data["task"].update(reference="class Model: pass"), "reference"),
    "another input": (lambda data: data["task"]["inputs"][0].update(dtype="float16"), "task"),
    "another candidate": (lambda data: data["candidate"].update(source="class ModelNew: pass"), "candidate"),
    "a candidate of another task": (lambda data: data["candidate"].update(task="0" * 64), "task"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_contradicts_the_rest_even_under_a_new_digest(name: str) -> None:
    edit, question = EDITS[name]
    assert question in refuted(edited(edit))


def test_a_careless_edit_shows_in_the_digest() -> None:
    text = write(certificate(REFUSED)).replace("row 3 is zero", "row 4 is zero")
    assert refuted(text) == {"content"}


def changed(*path: str | int, to: Any) -> str:
    """The text of a certificate with one value replaced."""

    def edit(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        data[path[-1]] = to

    return edited(edit)


WHOLE = write(certificate(accepted(2.0)))
UNREADABLE = {
    "nothing": ("", "not JSON"),
    "no JSON": ("class Model: ...", "not JSON"),
    "a truncated file": (WHOLE[: len(WHOLE) // 2], "not JSON, or not all of it"),
    "deep nests": ("[" * 100_000, "not JSON"),
    "a list": ("[1, 2]", "not a certificate"),
    "something else": ('{"is": "Task"}', "not a certificate"),
    "a newer format": (changed("format", to=99), "format '99', and this kernelwright reads format 1"),
    "no digest": (json.dumps({**json.loads(WHOLE), "digest": None}), "has no digest"),
    "a field missing": (edited(lambda data: data.pop("environment")), "environment"),
    "an unknown field": (changed("outcome", "mood", to="good"), "cannot read Accepted"),
    "an unknown noun": (changed("outcome", "is", to="Blessed"), "unknown noun 'Blessed'"),
    "a noun out of place": (changed("task", to=json.loads(WHOLE)["candidate"]), "task is Candidate"),
    "a word for a number": (changed("outcome", "timing", "candidate_ns", 0, to="fast"), "'fast', wanted a number"),
    "a number for a word": (changed("date", to=3), "date is 3, wanted str"),
    "a number that is none": (changed("environment", "threads", to=True), "threads is True, wanted int"),
    "a huge number": (changed("outcome", "timing", "floor_ns", to=10**400), "wanted a number"),
    "a kind that is none": (changed("task", "target", "kind", to="tpu"), "task.target.kind is 'tpu'"),
    "no gain": (changed("task", "contract", "gain", to=0.0), "gain is 0.0"),
    "a seed that is no hex": (changed("master", to="../../etc"), "master is '../../etc'"),
    "half a letter": (changed("candidate", "source", to="\ud800"), "surrogates not allowed"),
    "a nest for a word": (changed("candidate", "source", to=["a"]), "candidate.source is ('a',), wanted str"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_whole_certificate_is_refused_with_the_reason(name: str) -> None:
    text, reason = UNREADABLE[name]
    with pytest.raises(UsageError) as refusal:
        read(text)
    assert reason in str(refusal.value)


def test_bad_input_ends_the_command_with_one_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    for name in ("nothing.json", "broken.json", "binary.json", "."):
        assert run(["verify", str(tmp_path / name), "--json"]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("kernelwright: ") and said.err.count("\n") == 1
        assert json.loads(said.out)["error"]


def test_the_reference_can_be_taken_out_and_read_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(write(certificate(accepted(2.0))))
    assert run(["verify", str(tmp_path / "c.json"), "--reference", str(tmp_path / "reference.py")]) == 0
    assert (tmp_path / "reference.py").read_text() == REFERENCE


def test_what_a_certificate_says_moves_no_cursor() -> None:
    trick = Finding("recorded seed", "does not hold", "rejected\x1b[2K\rholds\nholds")
    assert rows.finding_line(trick).isprintable()
    assert rows.headline(Rejected("verify", "a\x1b[2Jb"), 1.03).isprintable()


class Made:
    """A judge that finds what it is told to find."""

    def __init__(self, outcome: Rejected | Accepted, environment: Environment) -> None:
        self.outcome, self.environment = outcome, environment

    def check(self, candidate: object) -> Rejected | Accuracy:
        return self.outcome if isinstance(self.outcome, Rejected) else self.outcome.accuracy

    def examine(self, candidate: object) -> Rejected | Accepted:
        return self.outcome


def answers(
    told: Rejected | Accepted,
    recorded: Rejected | Accepted,
    fresh: Rejected | Accepted | None = None,
    environment: Environment = ENVIRONMENT,
    timed: bool = True,
) -> dict[str, str]:
    """What a replay says where the judge finds `recorded` with the recorded seed, and `fresh` with new ones."""

    @contextmanager
    def judging(master: bytes | None) -> Iterator[Made]:
        yield Made((fresh or recorded) if master is None else recorded, environment)

    return {one.question: one.answer for one in replay(certificate(told), judging, timed=timed)}


HOLDS, REFUTED, OPEN = "holds", "does not hold", "cannot be checked here"
OTHER = replace(ENVIRONMENT, torch="2.11.0")


def with_error(error: float) -> Accepted:
    return replace(accepted(2.0), accuracy=Accuracy("float64", (FamilyError("plain", 0, error, 1e-7, 4e-7),)))


def test_all_holds_where_all_is_found_again() -> None:
    assert set(answers(accepted(2.0), accepted(2.0)).values()) == {HOLDS}
    assert answers(accepted(2.0), accepted(2.0), timed=False).keys() == {
        "inputs", "recorded seed", "same errors", "new seeds"}  # fmt: skip


def test_a_kernel_that_is_wrong_on_new_inputs_does_not_hold() -> None:
    found = answers(accepted(2.0), accepted(2.0), REFUSED)
    assert (found["recorded seed"], found["new seeds"]) == (HOLDS, REFUTED)


def test_errors_agree_to_a_quarter_of_what_is_allowed_on_the_same_machine() -> None:
    assert answers(with_error(2e-7), with_error(2e-7))["same errors"] == HOLDS
    assert answers(with_error(2e-7), with_error(2.5e-7))["same errors"] == HOLDS
    assert answers(with_error(0.0), with_error(3.9e-7))["same errors"] == REFUTED
    assert answers(with_error(0.0), with_error(3.9e-7), environment=OTHER)["same errors"] == OPEN


def test_another_machine_can_confirm_a_speed_and_cannot_refute_it() -> None:
    assert answers(accepted(2.0), accepted(1.0))["speed"] == REFUTED
    assert answers(accepted(2.0), accepted(1.0), environment=OTHER)["speed"] == OPEN
    assert answers(accepted(2.0), accepted(1.5), environment=OTHER)["speed"] == HOLDS
    assert answers(accepted(0.5), accepted(1.0))["speed"] == HOLDS


def test_a_refusal_holds_where_the_same_stage_refuses_again() -> None:
    again = answers(REFUSED, Rejected("verify", "row 5 is zero"))
    assert (again["recorded seed"], again["new seeds"]) == (HOLDS, HOLDS)
    assert answers(REFUSED, Rejected("build", "no compiler"))["recorded seed"] == REFUTED
    assert answers(REFUSED, accepted(2.0))["new seeds"] == REFUTED


def test_what_timed_calls_did_needs_timed_calls_to_show_again() -> None:
    late = Rejected("time", "a timed call overwrote input 0")
    assert answers(late, late)["recorded seed"] == HOLDS
    assert answers(late, late, timed=False)["values"] == OPEN


def test_the_status_is_0_only_where_values_were_checked_and_nothing_is_refuted() -> None:
    assert status([Finding("content", "holds", ""), Finding("speed", OPEN, "another machine")]) == 0
    assert status([Finding("content", "holds", ""), Finding("values", OPEN, "no GPU")]) == 2
    assert status([Finding("speed", "does not hold", ""), Finding("values", OPEN, "no GPU")]) == 1


def test_json_of_a_judgement_holds_the_certificate_and_what_the_task_cannot_tell() -> None:
    found = json.loads(facts.text(facts.certified(certificate(accepted(2.0)))))
    assert read(json.dumps(found["certificate"])).certificate == certificate(accepted(2.0))
    assert (found["accepted"], found["headline"]) == (True, "ACCEPTED 2.00x [2.00, 2.00] of compile")
    assert facts.certified(certificate(REFUSED)).keys() == found.keys()

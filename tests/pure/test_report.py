"""What the report says of a run, and what it refuses, without a browser."""

from __future__ import annotations

import json
import random
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("plotly", reason="the report's packages are not installed: pip install 'kernelwright[report]'")
pytest.importorskip("starlette", reason="the report's packages are not installed: pip install 'kernelwright[report]'")

import markupsafe
from starlette.testclient import TestClient

from kernelwright.cli.entry import MISTAKE, run
from kernelwright.core.codec import dumps
from kernelwright.core.errors import MachineError, UsageError
from kernelwright.core.outcome import Fallback, Keep, Rejected
from kernelwright.core.run import RUN_FORMAT, Entry, Failed, Solved
from kernelwright.report import code, figures, live, pages, problem_charts, run_charts, site, views
from tests import made_up_run

ENTRIES = made_up_run.made_up(51)


def solved(entry: Entry) -> Solved:
    assert isinstance(entry.result, Solved)
    return entry.result


KEPT = next(entry for entry in ENTRIES if figures.is_kept(entry))
FELL_BACK = next(e for e in ENTRIES if isinstance(e.result, Solved) and isinstance(e.result.choice, Fallback))
FAILED = next(entry for entry in ENTRIES if isinstance(entry.result, Failed))


def test_a_run_becomes_a_page_for_each_problem_and_shared_assets(tmp_path: Path) -> None:
    made_up_run.write(tmp_path, 3)
    first = site.write(tmp_path, tmp_path / "out")
    written = {file.relative_to(tmp_path / "out").as_posix() for file in first.parent.rglob("*") if file.is_file()}
    problems = {f"problems/{views.page_of(entry.problem.name)}" for entry in made_up_run.made_up(3)}
    assert written == {"index.html", "assets/plotly.min.js", "assets/report.css", "assets/report.js", *problems}


def test_a_run_without_results_says_so() -> None:
    page = pages.index(made_up_run.asked(("level1/1_A",)), ())
    assert "Nothing to show yet" in page and "None of the 1 problems" in page


def test_a_run_that_is_under_way_says_how_far_it_is() -> None:
    names = tuple(entry.problem.name for entry in ENTRIES)
    assert "So far: 4 of 51 problems are done." in pages.index(made_up_run.asked(names), ENTRIES[:4])


def test_a_name_cannot_lead_out_of_the_folder() -> None:
    assert views.page_of("../../etc/passwd") == "..__..__etc__passwd.html"


def test_rows_come_by_speedup_with_the_failed_last() -> None:
    rows = views.lines(ENTRIES)
    gains = [row.gain for row in rows if row.fate != "failed"]
    assert gains == sorted(gains, reverse=True)
    assert [row.fate for row in rows[-3:]] == ["failed"] * 3 and rows[-4].fate != "failed"


def test_the_kept_trial_is_the_last_of_its_candidate() -> None:
    result = solved(KEPT)
    assert isinstance(result.choice, Keep)
    twice = replace(result, trials=(*result.trials, result.choice.trial))
    kept = [row.number for row in views.tried(twice) if row.fate == "kept"]
    assert kept == [len(twice.trials)]


def test_where_none_is_kept_the_best_right_candidate_is_shown() -> None:
    result = solved(FELL_BACK)
    rejected = tuple(replace(trial, outcome=Rejected("build", "no")) for trial in result.trials)
    assert views.shown(replace(result, trials=rejected)) is None
    one = replace(rejected[0], outcome=solved_trial())
    assert views.shown(replace(result, trials=(*rejected, one))) == one


def solved_trial() -> Any:
    choice = solved(KEPT).choice
    assert isinstance(choice, Keep)
    return choice.trial.outcome


@pytest.mark.parametrize("entry", [KEPT, FELL_BACK, FAILED], ids=["kept", "fallback", "failed"])
def test_every_kind_of_result_has_a_page(entry: Entry) -> None:
    page = pages.problem(made_up_run.asked(()), entry, [entry.problem.name])
    assert f"<h1>{entry.problem.name}</h1>" in page


def test_the_best_time_only_falls_and_ends_at_the_fastest() -> None:
    curve = run_charts.best_so_far(KEPT)
    assert curve[0] == 1.0 and curve == sorted(curve, reverse=True)
    assert len(curve) == len(solved(KEPT).trials) + 1


def test_labels_of_charts_hold_no_markup() -> None:
    entry = replace(KEPT, problem=replace(KEPT.problem, name="<a href='x'>&"))
    assert "&lt;a href='x'&gt;&amp;" in json.dumps(run_charts.gains([entry]))
    assert "<a href" not in json.dumps(run_charts.gains([entry]))


def test_an_infinite_error_is_left_out_and_zero_stands_at_the_edge() -> None:
    accuracy = made_up_run.accuracy(random.Random(0))
    worst = replace(accuracy.families[0], error=float("inf"))
    exact = replace(accuracy.families[1], error=0.0)
    chart = pages.compact(problem_charts.accuracies(replace(accuracy, families=(worst, exact))))
    kernel = chart["data"][-1]["x"]
    assert kernel[1] is None and 0 < kernel[0] < exact.allowed
    json.dumps(chart, allow_nan=False)


def test_a_message_is_cut_at_its_fences() -> None:
    found = list(views.stretches("So:\n```python\nx = 1\n```\nand\n```\nnever closed"))
    assert [(stretch.language, stretch.text.strip()) for stretch in found] == [
        (None, "So:"),
        ("python", "x = 1"),
        (None, "and"),
        ("text", "never closed"),
    ]


def test_a_kernel_inside_a_file_is_read_as_its_own_language() -> None:
    source = 'kernels = cpp(r"""\n#include <a.h>\nfor (long i = 0;;) { x = "<b>"; }\n""")\nprose = """\nfor you\n"""\n'
    html = code.highlighted(source)
    assert html.count('<span class="k">for</span>') == 1
    assert markupsafe.Markup(re.sub("</?span[^>]*>", "", html)).unescape() == source


def test_code_is_escaped_in_any_language() -> None:
    assert [code.highlighted("<b>", language).count("<b>") for language in ("python", "cpp", "no such")] == [0, 0, 0]


def test_a_conversation_is_shown_with_the_trials_that_came_of_it() -> None:
    result = solved(next(entry for entry in ENTRIES if isinstance(entry.result, Solved) and entry.result.conversations))
    advice = replace(result.conversations[0], role="analyst")
    found = views.dialogues(replace(result, conversations=(*result.conversations, advice)))
    numbers = [number for number, trial in enumerate(result.trials, 1) if trial.engine == "agent"]
    assert [trials for _, trials in found] == [*([number] for number in numbers), []]
    assert views.dialogues(Failed("crash", "died of SIGSEGV")) == []


# What is refused


def test_what_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(tmp_path)]) == MISTAKE
    assert "has no run.json; wanted the folder of a run" in capsys.readouterr().err
    assert run(["serve", str(tmp_path / "absent")]) == MISTAKE
    assert "is no folder" in capsys.readouterr().err


def test_a_run_of_a_newer_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text(dumps(replace(made_up_run.asked(()), format=RUN_FORMAT + 1)))
    assert run(["report", str(tmp_path)]) == MISTAKE
    assert f"has format {RUN_FORMAT + 1}" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    made_up_run.write(tmp_path, 1)
    (tmp_path / "a file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write the report to .*a file.*--output DIR"):
        site.write(tmp_path, tmp_path / "a file")


def test_without_the_extra_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("site", "pages"):
        monkeypatch.delitem(sys.modules, f"kernelwright.report.{name}")
        monkeypatch.delattr(f"kernelwright.report.{name}")
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert run(["report", str(tmp_path)]) == MISTAKE
    assert "pip install 'kernelwright[report]'" in capsys.readouterr().err


# Served


@pytest.fixture
def served(tmp_path: Path) -> TestClient:
    made_up_run.write(tmp_path, 3, done=2)
    return TestClient(live.app(tmp_path), base_url="http://127.0.0.1:8737")


def test_a_served_run_tells_how_far_it_is(served: TestClient, tmp_path: Path) -> None:
    before = served.get("/state.json").json()
    assert (before["done"], before["total"]) == (2, 3)
    made_up_run.write_entry(tmp_path, made_up_run.made_up(3)[2])
    after = served.get("/state.json").json()
    assert after["done"] == 3 and after["version"] != before["version"]
    assert served.get("/").text.count("<tr class=") > 3


def test_every_link_of_a_served_page_is_answered(served: TestClient) -> None:
    name = made_up_run.made_up(1)[0].problem.name
    for path in ("/index.html", f"/problems/{pages.href(name)}", *(f"/assets/{asset}" for asset in pages.ASSETS)):
        answer = served.get(path)
        assert answer.status_code == 200 and "default-src 'none'" in answer.headers["content-security-policy"]
    assert served.get("/problems/absent.html").status_code == 404
    assert served.get("/assets/..%2Fpages.py").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8737", "127.0.0.1.evil.example", "192.168.0.2"])
def test_a_request_under_a_foreign_name_is_refused(served: TestClient, host: str) -> None:
    assert served.get("/state.json", headers={"host": host}).status_code == 400


def test_a_file_that_breaks_while_we_look_is_told(served: TestClient, tmp_path: Path) -> None:
    next((tmp_path / "entries").iterdir()).write_text("{")
    answer = served.get("/")
    assert answer.status_code == 503 and "cannot read" in answer.text


def test_a_port_that_is_taken_is_named() -> None:
    with live.listening(0) as first:
        assert live.address(first).startswith("http://127.0.0.1:")
        with pytest.raises(MachineError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*--port"):
            live.listening(first.getsockname()[1])

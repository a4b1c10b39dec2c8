"""The report in a real browser: charts drawn, tables sorted, pages opened, nothing fetched, nothing executed."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("selenium", reason="selenium is not installed: pip install selenium")

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from kernelwright.core.candidate import Candidate, Written
from kernelwright.core.codec import digest
from kernelwright.core.conversation import Conversation, Message
from kernelwright.core.outcome import Adequacy, Rejected
from kernelwright.core.run import Entry, Solved
from kernelwright.report import figures, pages, site
from tests import made_up_run
from tests.browser.driving import browser, complaints, requested, see, wait

COUNT = 12
MARKUP = "</script></code><img src=x onerror='window.owned=1'><script>window.owned=1</script>{{ 7 * 7 }}%{x}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chrome]:
    with browser() as driver:
        yield driver


@pytest.fixture
def driver(chromium: Chrome) -> Iterator[Chrome]:
    """Whatever a test does: the console stays silent, and nothing is asked of the network."""
    requested(chromium)
    complaints(chromium)
    yield chromium
    chromium.execute_script("try { localStorage.clear() } catch {}")
    assert complaints(chromium) == []
    assert [
        url for url in requested(chromium) if not url.startswith(("file:", "data:", "chrome:", "http://127.0.0.1"))
    ] == []


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    made_up_run.write(folder, COUNT)
    return site.write(folder, folder / "report")


def index_of(entries: tuple[Entry, ...], folder: Path) -> Path:
    """The first page alone, beside its assets."""
    (folder / "assets").mkdir()
    for name in pages.ASSETS:
        (folder / "assets" / name).write_text(pages.asset(name))
    page = folder / "index.html"
    page.write_text(pages.index(made_up_run.asked(tuple(entry.problem.name for entry in entries)), entries))
    return page


def count(driver: Chrome, selector: str) -> int:
    return len(driver.find_elements(By.CSS_SELECTOR, selector))


def column(driver: Chrome, place: int) -> list[str]:
    rows = "[...document.querySelectorAll('#problems tbody tr')].filter((row) => !row.hidden)"
    return driver.execute_script(f"return {rows}.map((row) => row.cells[{place}].innerText.trim())")


def test_every_chart_is_drawn_with_as_many_marks_as_there_are_figures(driver: Chrome, report: Path) -> None:
    see(driver, report)
    assert count(driver, "[data-chart=gains] g.point path") == COUNT
    assert count(driver, "[data-chart=levels] g.point path") == 2 * 4  # three levels and all; without degenerate
    entries = made_up_run.made_up(COUNT)
    assert count(driver, "[data-chart=roof] path.point") == COUNT + sum(map(figures.is_kept, entries))
    assert count(driver, "[data-chart=progress] .scatterlayer path.js-line") == COUNT + 1


@pytest.mark.parametrize("problems", [1, 300])
def test_one_problem_and_many_have_a_bar_each(driver: Chrome, problems: int, tmp_path: Path) -> None:
    see(driver, index_of(made_up_run.made_up(problems), tmp_path))
    assert count(driver, "[data-chart=gains] g.point path") == problems
    assert count(driver, "#problems tbody tr") == problems


def test_a_table_is_sorted_by_the_column_whose_head_is_clicked(driver: Chrome, report: Path) -> None:
    see(driver, report)
    heads = driver.find_elements(By.CSS_SELECTOR, "#problems th")
    heads[9].click()
    found = [float(text) for text in column(driver, 9)]
    assert found == sorted(found, reverse=True) and len(set(found)) > 1
    heads[9].click()
    assert [float(text) for text in column(driver, 9)] == sorted(found)
    heads[0].click()
    assert column(driver, 0)[0].startswith("level1/1_")  # by number: 1, 4, 7, 10, not 1, 10, 4, 7
    assert column(driver, 0)[3].startswith("level1/10_")


def test_a_table_shows_what_is_looked_for(driver: Chrome, report: Path) -> None:
    see(driver, report)
    driver.find_element(By.ID, "find").send_keys("level2")
    assert {text.split("/")[0] for text in column(driver, 0)} == {"level2"}
    assert driver.find_element(By.ID, "count").text == f"{COUNT // 3} of {COUNT}"


def test_a_problem_has_a_page_with_code_charts_and_trials(driver: Chrome, report: Path) -> None:
    see(driver, report)
    driver.find_element(By.CSS_SELECTOR, "#problems tbody tr.kept a").click()
    wait(driver, "return document.documentElement.dataset.drawn && document.querySelector('.sources')")
    name = driver.find_element(By.TAG_NAME, "h1").text
    (entry,) = (entry for entry in made_up_run.made_up(COUNT) if entry.problem.name == name)
    assert isinstance(entry.result, Solved)
    assert "class Model(" in driver.find_element(By.CSS_SELECTOR, ".sources div:first-child").text
    assert "class ModelNew(" in driver.find_element(By.CSS_SELECTOR, ".sources div:last-child").text
    assert count(driver, ".trials tbody tr") == len(entry.result.trials)
    assert count(driver, ".trials tbody tr.kept") == 1
    assert count(driver, "[data-chart=samples] path.point") == 2 * made_up_run.SAMPLES
    assert count(driver, "[data-chart=accuracy] path.point") == 3 * len(made_up_run.FAMILIES)
    assert count(driver, ".dialogue .said") == 3 * len(entry.result.conversations)


def test_light_and_dark_are_a_click_apart_and_remembered(driver: Chrome, report: Path) -> None:
    see(driver, report)
    paper = "return getComputedStyle(document.body).backgroundColor"
    grid = "return getComputedStyle(document.querySelector('[data-chart=gains] .xgrid')).stroke"
    light = driver.execute_script(paper), driver.execute_script(grid)
    driver.find_element(By.ID, "theme").click()
    wait(driver, "return document.documentElement.dataset.drawn === 'dark'")
    dark = driver.execute_script(paper), driver.execute_script(grid)
    assert light[0] != dark[0] and light[1] != dark[1]
    see(driver, report)
    assert driver.execute_script(paper) == dark[0]


def test_paper_is_light_and_has_no_controls(driver: Chrome, report: Path) -> None:
    see(driver, report)
    driver.find_element(By.ID, "theme").click()
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not driver.find_element(By.ID, "theme").is_displayed()
        assert not driver.find_element(By.ID, "find").is_displayed()
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert len(driver.print_page()) > 10_000


def test_markup_in_a_run_is_shown_and_never_executed(driver: Chrome, tmp_path: Path) -> None:
    entry = hostile(made_up_run.entry(1, random.Random(3)))
    made_up_run.write_entries(tmp_path, (entry,))
    see(driver, site.write(tmp_path, tmp_path / "report"))
    driver.find_element(By.CSS_SELECTOR, "#problems tbody a").click()
    wait(driver, "return document.documentElement.dataset.drawn && document.querySelector('.sources')")
    driver.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert driver.execute_script("return window.owned") is None
    assert count(driver, "img") == 0
    shown = driver.find_element(By.TAG_NAME, "main").text
    assert shown.count(MARKUP) >= 6  # name, reference, reason, detail, what it cannot tell, the model's name
    assert shown.count("window.owned=1") > shown.count(MARKUP)  # the dialogue, cut at the fence


def hostile(entry: Entry) -> Entry:
    """The same entry with markup wherever a run has text."""
    assert isinstance(entry.result, Solved)
    held = Conversation("a task", "writer", 0, 0, MARKUP, (Message("assistant", MARKUP),), error=MARKUP)
    said = Candidate("a task", MARKUP, Written(MARKUP, digest(held), 1, 0.0))
    trial = replace(entry.result.trials[0], candidate=said, engine=MARKUP, outcome=Rejected("build", MARKUP, MARKUP))
    trials = (*entry.result.trials, trial)
    baselines = replace(entry.result.baselines, degenerate=MARKUP, adequacy=Adequacy((MARKUP,), (MARKUP,), (MARKUP,)))
    problem = replace(entry.problem, name=f"level1/50% of #1? {MARKUP}", reference=MARKUP)
    return replace(
        entry, problem=problem, result=replace(entry.result, trials=trials, baselines=baselines, conversations=(held,))
    )


def test_a_served_page_follows_the_run(driver: Chrome, tmp_path: Path) -> None:
    entries = made_up_run.made_up(3)
    made_up_run.write_entries(tmp_path, entries, done=1)
    command = [sys.executable, "-m", "kernelwright.cli", "serve", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            see(driver, server.stdout.readline().split()[1])
            wait(driver, "return document.getElementById('state').textContent === '1 of 3 done'")
            driver.find_elements(By.CSS_SELECTOR, "#problems th")[0].click()
            made_up_run.write_entry(tmp_path, entries[1])
            wait(driver, "return document.querySelectorAll('#problems tbody tr').length === 2")
            wait(driver, "return document.querySelectorAll('[data-chart=gains] g.point path').length === 2")
            assert driver.find_element(By.CSS_SELECTOR, "#problems th").get_attribute("aria-sort") == "ascending"
        finally:
            server.terminate()

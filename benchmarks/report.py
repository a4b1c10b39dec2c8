"""How long the report takes to write and to show, on made-up runs.

    python -m benchmarks.report [--problems 1,100,1000] [--rounds 3] [--json]

For each size: seconds to render the first page and, by a sample, all problems' pages; the page's bytes; and in a
headless Chromium with an empty profile, opened from the disk, milliseconds to the first contentful paint and until all
charts are drawn. Times are the median of the rounds. Needs Chromium, chromedriver and selenium.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from kernelwright.core.run import Entry, Run
from kernelwright.report import pages
from tests import made_up_run
from tests.browser.driving import browser, see

SAMPLE = 20  # problem pages that stand for all
PAINT = "return performance.getEntriesByName('first-contentful-paint')[0].startTime"
DRAWN = "return performance.getEntriesByName('drawn')[0].startTime"


@dataclass(frozen=True)
class Row:
    """One size of run. `write` is extrapolated from a sample of its pages."""

    problems: int
    index_bytes: int
    index_seconds: float
    write_seconds: float
    paint_ms: float
    drawn_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", default="1,100,1000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [measured(int(count), options.rounds) for count in options.problems.split(",")]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    print(f"{'problems':>8} {'index kB':>9} {'index s':>8} {'all pages s':>12} {'first paint ms':>15} {'drawn ms':>9}")
    for row in rows:
        print(
            f"{row.problems:>8} {row.index_bytes / 1e3:>9.0f} {row.index_seconds:>8.2f} {row.write_seconds:>12.1f} "
            f"{row.paint_ms:>15.0f} {row.drawn_ms:>9.0f}"
        )


def measured(problems: int, rounds: int) -> Row:
    entries = made_up_run.made_up(problems)
    run = made_up_run.asked(tuple(entry.problem.name for entry in entries))
    with tempfile.TemporaryDirectory(prefix="kernelwright-report-") as folder:
        started = time.perf_counter()
        page = write_index(Path(folder), run, entries)
        index_seconds = time.perf_counter() - started
        shown = [show(page) for _ in range(rounds)]
        size = page.stat().st_size
    paint, drawn = (statistics.median(times) for times in zip(*shown, strict=True))
    return Row(problems, size, index_seconds, index_seconds + page_seconds(run, entries) * problems, paint, drawn)


def write_index(folder: Path, run: Run, entries: tuple[Entry, ...]) -> Path:
    (folder / "assets").mkdir()
    for name in pages.ASSETS:
        (folder / "assets" / name).write_text(pages.asset(name), encoding="utf-8")
    page = folder / "index.html"
    page.write_text(pages.index(run, entries), encoding="utf-8")
    return page


def page_seconds(run: Run, entries: tuple[Entry, ...]) -> float:
    """Mean seconds to render one problem's page."""
    names, some = [entry.problem.name for entry in entries], entries[:SAMPLE]
    started = time.perf_counter()
    for entry in some:
        pages.problem(run, entry, names)
    return (time.perf_counter() - started) / len(some)


def show(page: Path) -> tuple[float, float]:
    """Milliseconds from the start of the navigation to the first contentful paint, and until the charts are drawn."""
    with browser() as driver:
        see(driver, page)
        return driver.execute_script(PAINT), driver.execute_script(DRAWN)


if __name__ == "__main__":
    main()

"""Speed-up of every reference file in a folder, each by one `kernelwright optimize` with a store of its own.

    python benchmarks/examples.py [FOLDER] [--runs DIR] [--budget SECONDS] [--again]

Each file's report is kept in DIR as it comes, so an interrupted run goes on where it was; the table, the geometric
means and the machine go to stdout and to DIR/summary.json. A file that fails costs itself alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from kernelwright import targets
from kernelwright.core.stats import geometric_mean

HERE = Path(__file__).resolve().parent
ROW = "{:24} {:>9} {:>9} {:>9} {:>8} {:>16} {:>8}  {}"


def main() -> None:
    options = parse()
    options.runs.mkdir(parents=True, exist_ok=True)
    print(ROW.format("task", "eager", "compile", "kernel", "speed-up", "interval", "seconds", "choice"))
    reports = []
    for file in sorted(options.folder.glob("*.py")):
        reports.append(report_of(file, options))
        print(row(reports[-1]), flush=True)
    summary = summarised(reports)
    (options.runs / "summary.json").write_text(json.dumps(summary, indent=2))
    print(json.dumps({key: value for key, value in summary.items() if key != "tasks"}, indent=2))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE.parent / "examples")
    parser.add_argument("--runs", type=Path, default=Path("kernelwright-out/benchmark"))
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--again", action="store_true", help="measure what was measured before too")
    return parser.parse_args()


def report_of(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    kept = options.runs / f"{file.stem}.json"
    if options.again or not kept.exists():
        kept.write_text(json.dumps(run(file, options)))
    return json.loads(kept.read_text())


def run(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    store, output = options.runs / f"{file.stem}.sqlite", options.runs / file.stem
    command = [sys.executable, "-m", "kernelwright.cli", "optimize", str(file), "--json", "--fresh"]
    command += ["--store", str(store), "--output", str(output), "--budget", str(options.budget)]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    report = json.loads(done.stdout) if done.stdout.strip() else {"error": done.stderr.strip()[-500:]}
    return {"task": file.stem, "seconds": seconds, "exit": done.returncode, **report, "name": file.stem}


def row(report: dict[str, Any]) -> str:
    if "choice" not in report:
        return f"{report['name']:24} failed: {report.get('error')}"
    base, (low, high) = report["baseline"], report["interval"]
    times = (base["eager_ms"], base["compile_ms"], report["kernel_ms"])
    shown = [f"{value:.3f}" if value else "-" for value in times]
    interval = f"[{low:.2f}, {high:.2f}]"
    return ROW.format(
        report["name"], *shown, f"{report['speedup']:.2f}x", interval, f"{report['seconds']:.0f}", report["choice"]
    )


def summarised(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Geometric means with fallback counted as 1, and the same without the largest, which may be algebra alone."""
    done = [report for report in reports if "choice" in report]
    gains = sorted(report["speedup"] for report in done)
    return {
        "geometric_mean": geometric_mean(gains) if gains else None,
        "geometric_mean_without_largest": geometric_mean(gains[:-1]) if len(gains) > 1 else None,
        "kept": sum(report["choice"] == "keep" for report in done),
        "tasks_done": len(done),
        "failed": [report["name"] for report in reports if "choice" not in report],
        "median_seconds": sorted(report["seconds"] for report in done)[len(done) // 2] if done else None,
        "machine": targets.cpu.detect().name,
        "cores": targets.cpu.usable_cores(),
        "toolchain": targets.cpu.detect().toolchain,
        "python": platform.python_version(),
        "tasks": reports,
    }


if __name__ == "__main__":
    main()

"""A run over many problems, and two runs beside each other."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from kernelwright.bench import suites
from kernelwright.bench.runner import Asked, Bench
from kernelwright.cli import progress
from kernelwright.cli.options import a_path, as_json, configured, on_device, proposing, seconds, unconfined
from kernelwright.core.errors import UsageError
from kernelwright.core.run import Entry, Run
from kernelwright.report import facts, run_rows
from kernelwright.report.comparison import compare as compare_runs
from kernelwright.report.run import read_entries, read_run
from kernelwright.settings import OUTPUT


def some_levels(context: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    levels = tuple(dict.fromkeys(part.strip() for part in value.split(",")))
    if not all(levels):
        raise click.BadParameter(f"wanted levels with commas between them, such as 1,2, not {value!r}", context, option)
    return levels


@click.command()
@click.argument("suite", required=False)
@click.option("--level", "levels", callback=some_levels, metavar="1,2,3", help="Only these levels.  [default: all]")
@click.option("--only", metavar="GLOB", help="Only problems of such a name: '*Softmax*'.  [default: *]")
@click.option("--scale", type=click.FloatRange(0, 1, min_open=True), metavar="S",
              help="Multiply sizes by S, so that the suite fits this machine.  [default: 1]")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), default=1, metavar="N", show_default=True,
              help="Problems under way at once; only one of them measures at a time.")  # fmt: skip
@on_device
@click.option("--budget", type=seconds, metavar="SECONDS", help="How long each search may take.  [default: 60]")
@proposing
@click.option("--resume", type=a_path, metavar="RUN", help="Go on with this run's folder: run what is missing.")
@click.option("--output", type=a_path, metavar="DIR",
              help="The run's folder.  [default: kernelwright-out/bench/SUITE-TIME]")  # fmt: skip
@click.option("--store", type=a_path, metavar="PATH", help="The store's file.  [default: in the run's folder]")
@unconfined
@as_json
def bench(
    suite: str | None,
    levels: tuple[str, ...] | None,
    only: str | None,
    scale: float | None,
    jobs: int,
    device: str | None,
    budget: float | None,
    resume: Path | None,
    output: Path | None,
    store: Path | None,
    sandbox: str | None,
    as_json: bool,
    **proposers: object,
) -> None:
    """Run a whole suite, and sum it up.

    SUITE is a KernelBench checkout, a folder of reference files, or hf:ScalingIntelligence/KernelBench. Each problem
    has a process of its own: what crashes, hangs or runs out of memory costs itself alone. A run that was interrupted
    is gone on with by --resume. What --max-cost and --max-tokens allow is for each problem, not for all.
    """
    settings = configured(device=device, budget=budget, sandbox=sandbox, **proposers)
    given = {"levels": levels and ",".join(levels), "only": only, "scale": scale, "budget": budget, "store": store}
    given |= {name: ",".join(getattr(settings, name)) for name in ("engines", "models") if proposers[name]}
    if resume:
        folder = resume
        check_same(read_run(folder), {**given, "suite": suite and suites.absolute(suite), "device": device}, output)
    else:
        folder = output or named_by_time(suite)
    with progress.standing(jobs) as advance:
        work = Bench(folder, settings, jobs, teller(advance, as_json))
        asked = Asked(suite or "", levels or (), only or "*", scale or 1.0, str(store.resolve()) if store else "")
        try:
            run, entries = work.resume() if resume else work.begin(asked)
        except KeyboardInterrupt:
            click.echo(f"go on with: kernelwright bench --resume {folder}", err=True)
            raise
    for text in ("", *run_rows.summary_lines(run, entries), "", f"written    {folder}"):
        click.echo(text, err=as_json)
    if as_json:
        click.echo(facts.text(run_rows.run_facts(folder, run, entries)))


def named_by_time(suite: str | None) -> Path:
    if not suite:
        raise UsageError("no suite was named: kernelwright bench SUITE, or --resume RUN")
    name = (
        suite.removeprefix(suites.HUB).replace("/", "-") if suite.startswith(suites.HUB) else Path(suite).resolve().name
    )
    return OUTPUT / "bench" / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def check_same(run: Run, given: dict[str, object], output: Path | None) -> None:
    """A run that is gone on with stays what it is. Raises UsageError for an option that says otherwise."""
    if output:
        raise UsageError("a run that is gone on with stays in its folder; leave --output out")
    was = {"models": "", **dict(run.options), "suite": run.suite, "device": run.device}
    for name, value in given.items():
        if value is not None and was[name] != (f"{value:g}" if isinstance(value, float) else str(value)):
            raise UsageError(
                f"the run has {name} {was[name]!r}, not {str(value)!r}; leave that out, or start a new run"
            )


def teller(advance: Callable[[Run, Sequence[Entry]], None], as_json: bool) -> Callable[[Run, Sequence[Entry]], None]:
    """Moves the bar on, and prints a line for each problem that is done."""
    told: list[int] = []

    def tell(run: Run, entries: Sequence[Entry]) -> None:
        advance(run, entries)
        if told:
            text = run_rows.entry_line(len(entries), len(run.problems), entries[-1])
            print(text, file=sys.stderr if as_json else sys.stdout, flush=True)  # click.echo would write into the bar
        elif entries:
            print(f"{len(entries)} of {len(run.problems)} are there already", file=sys.stderr, flush=True)
        told.append(len(entries))

    return tell


@click.command()
@click.argument("run_a", type=a_path)
@click.argument("run_b", type=a_path)
@as_json
def compare(run_a: Path, run_b: Path, as_json: bool) -> None:
    """What changed from run A to run B: faster, slower, newly kept, newly lost."""
    found = compare_runs(read_run(run_a), read_entries(run_a), read_run(run_b), read_entries(run_b))
    if as_json:
        click.echo(facts.text(run_rows.comparison_facts(found)))
        return
    for text in run_rows.comparison_lines(found):
        click.echo(text)

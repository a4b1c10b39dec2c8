"""What a person can ask for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kernelwright.cli import wiring
from kernelwright.cli.agents import mcp
from kernelwright.cli.court import judge, verify
from kernelwright.cli.doctor import examine_machine
from kernelwright.cli.options import a_path, as_json, configured, in_store, on_device, proposing, seconds, unconfined
from kernelwright.cli.progress import progress
from kernelwright.cli.report import report, serve
from kernelwright.cli.shelf import export, store
from kernelwright.cli.suite import bench, compare
from kernelwright.cli.task import task
from kernelwright.core.outcome import Choice, Keep
from kernelwright.flow import Event
from kernelwright.report import facts, rows
from kernelwright.settings import OUTPUT

if TYPE_CHECKING:
    from kernelwright.capture.subject import Subject


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="kernelwright")
def kernelwright() -> None:
    """Makes PyTorch modules faster with generated kernels.

    Every kernel is checked against a float64 oracle and timed beside eager and torch.compile. One is kept only where
    it is right and surely faster; otherwise PyTorch is.
    """


@kernelwright.command()
@click.argument("named", metavar="FILE.py|PACKAGE.MODULE:MODEL")
@click.option("--inputs", metavar="PACKAGE.MODULE:FUNCTION", help="Makes the example inputs of a named model.")
@on_device
@click.option("--budget", type=seconds, metavar="SECONDS", help="How long the search may take.  [default: 60]")
@click.option(
    "--output", type=a_path, metavar="DIR", help="Where the kernel's file goes.  [default: kernelwright-out/NAME]"
)
@in_store
@click.option("--fresh", is_flag=True, help="Search again, whatever the store remembers.")
@unconfined
@proposing
@as_json
def optimize(
    named: str,
    inputs: str | None,
    device: str | None,
    budget: float | None,
    output: Path | None,
    store: Path | None,
    fresh: bool,
    sandbox: str | None,
    as_json: bool,
    **proposers: object,
) -> None:
    """Find a faster kernel for one module.

    FILE.py defines Model, get_inputs() and get_init_inputs(), as KernelBench's files do. A named model is imported;
    its inputs come from --inputs, or from get_inputs() in the same module.

    Keys of language models come from the environment: OPENAI_API_KEY, ANTHROPIC_API_KEY, GOOGLE_API_KEY, AWS's own.
    """
    settings = configured(device=device, budget=budget, store=store, sandbox=sandbox, **proposers)
    subject = wiring.find_subject(named, inputs, settings)
    folder = output or OUTPUT / subject.name
    wiring.check_writable(folder)
    with progress(settings.budget) as advance:
        solution = wiring.solve(subject, settings, teller(subject, advance, as_json), fresh)
    kernel = folder / "kernel.py"
    kept = isinstance(solution.choice, Keep)
    report = facts.optimized(solution.events, solution.choice, str(kernel) if kept else None, solution.recalled)
    wiring.write(folder, {"report.json": facts.text(report)})
    if isinstance(solution.choice, Keep):
        wiring.write(folder, {"kernel.py": solution.choice.trial.candidate.source})
    wiring.write_conversations(folder, solution.events)
    for line in written_lines(kernel, solution.choice):
        click.echo(line, err=as_json)
    if as_json:
        click.echo(facts.text(report))


def written_lines(kernel: Path, choice: Choice) -> list[str]:
    if isinstance(choice, Keep):
        return [rows.line("written", str(kernel))]
    if kernel.exists():
        return [rows.line("note", f"{kernel} is from an earlier run")]
    return []


@kernelwright.command()
@in_store
@as_json
def doctor(store: Path | None, as_json: bool) -> None:
    """Say what this machine can do and what it lacks."""
    checks = examine_machine(configured(store=store))
    if as_json:
        click.echo(facts.text({"checks": [facts.plain(check) for check in checks]}))
        return
    for check in checks:
        click.echo(f"{check.state:<8} {check.name:<12} {check.found}")
        if check.remedy:
            click.echo(f"{'':<21} -> {check.remedy}")


def teller(subject: Subject, advance: wiring.Tell, as_json: bool) -> wiring.Tell:
    """Moves the progress bar on and prints each event's lines as it comes."""

    def tell(event: Event) -> None:
        advance(event)
        for line in rows.event_lines(subject.name, subject.task.contract.gain, event):
            print(line, file=sys.stderr if as_json else sys.stdout, flush=True)  # click.echo would write into the bar

    return tell


kernelwright.add_command(judge)
kernelwright.add_command(verify)
kernelwright.add_command(store)
kernelwright.add_command(export)
kernelwright.add_command(report)
kernelwright.add_command(serve)
kernelwright.add_command(bench)
kernelwright.add_command(compare)
kernelwright.add_command(task)
kernelwright.add_command(mcp)

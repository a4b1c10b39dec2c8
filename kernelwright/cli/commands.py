"""What a person can ask for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from kernelwright.cli import wiring
from kernelwright.cli.doctor import examine_machine
from kernelwright.cli.options import a_path, as_json, configured, in_store, on_device, seconds
from kernelwright.cli.progress import progress
from kernelwright.cli.shelf import export, store
from kernelwright.core.outcome import Baselines, Keep, Trial
from kernelwright.core.task import Contract
from kernelwright.report import facts, rows


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="kernelwright")
def kernelwright() -> None:
    """Makes PyTorch modules faster with generated kernels.

    Every kernel is checked against a float64 oracle and timed beside eager and torch.compile. One is kept only where
    it is right and surely faster; otherwise PyTorch is.
    """


@kernelwright.command()
@click.argument("subject", metavar="FILE.py|PACKAGE.MODULE:MODEL")
@click.option("--inputs", metavar="PACKAGE.MODULE:FUNCTION", help="Makes the example inputs of a named model.")
@on_device
@click.option("--budget", type=seconds, metavar="SECONDS", help="How long the search may take.  [default: 60]")
@click.option(
    "--output", type=a_path, metavar="DIR", help="Where the kernel's file goes.  [default: kernelwright-out/NAME]"
)
@in_store
@click.option("--fresh", is_flag=True, help="Search again, whatever the store remembers.")
@as_json
def optimize(
    subject: str,
    inputs: str | None,
    device: str | None,
    budget: float | None,
    output: Path | None,
    store: Path | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """Find a faster kernel for one module.

    FILE.py defines Model, get_inputs() and get_init_inputs(), as KernelBench's files do. A named model is imported;
    its inputs come from --inputs, or from get_inputs() in the same module.
    """
    settings = configured(device=device, budget=budget, store=store)
    with progress(settings.budget) as advance:
        tell = teller(advance, as_json)
        done = wiring.optimize(subject, inputs, Contract(), settings, output, fresh, tell)
    kernel = done.folder / "kernel.py" if isinstance(done.choice, Keep) else None
    report = facts.optimized(done.task, done.baselines, done.trials, done.choice, str(kernel) if kernel else None)
    wiring.write(done.folder, {"report.json": facts.text(report)})
    if isinstance(done.choice, Keep):
        wiring.write(done.folder, {"kernel.py": done.choice.trial.candidate.source})
        click.echo(rows.line("written", str(kernel)), err=as_json)
    if as_json:
        click.echo(facts.text(report))


@kernelwright.command()
@click.argument("reference", type=a_path, metavar="REFERENCE.py")
@click.argument("candidate", type=a_path, metavar="CANDIDATE.py")
@on_device
@as_json
@click.pass_context
def judge(context: click.Context, reference: Path, candidate: Path, device: str | None, as_json: bool) -> None:
    """Check and time one kernel's file against its reference.

    Exits with 0 where the candidate is right and surely faster than PyTorch, and with 1 where it is not.
    """
    contract = Contract()
    with progress() as advance:
        tell = teller(advance, as_json)
        _, outcome = wiring.judge(reference, candidate, contract, configured(device=device), tell)
    judged = facts.judged(outcome, contract.gain)
    for line in rows.judgement_lines(outcome, contract.gain):
        click.echo(line, err=as_json)
    if as_json:
        click.echo(facts.text(judged))
    context.exit(0 if judged["accepted"] else 1)


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


def teller(advance: wiring.Tell, as_json: bool) -> wiring.Tell:
    """Moves the progress bar on and prints each event's lines as it comes."""
    say = partial(click.echo, err=as_json)

    def tell(event: wiring.Event) -> None:
        advance(event)
        for line in event_lines(event):
            say(line)

    return tell


def event_lines(event: wiring.Event) -> list[str]:
    match event:
        case wiring.Captured(name, task):
            return list(rows.task_lines(name, task))
        case Baselines():
            return list(rows.baseline_lines(event))
        case Trial():
            return [rows.trial_line(event, Contract().gain)]
        case _:
            return list(rows.choice_lines(event))


kernelwright.add_command(store)
kernelwright.add_command(export)

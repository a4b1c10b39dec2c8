"""What the store holds: listed, shown, exported, pruned."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from kernelwright.cli import wiring
from kernelwright.cli.options import a_path, as_json, configured, days, in_store
from kernelwright.core.outcome import Trial
from kernelwright.report import facts, rows
from kernelwright.store import Found, Record, Removed, open_store

DAY = 86400.0
STALE_DAYS = 90.0  # what `prune` takes for untouched when it is not told


@click.group()
def store() -> None:
    """See and tidy what earlier runs have found."""


@store.command("list")
@in_store
@as_json
def list_tasks(store: Path | None, as_json: bool) -> None:
    """Every task, the one last worked on first."""
    with open_store(configured(store=store).store) as opened:
        records = opened.records()
    if as_json:
        click.echo(facts.text({"tasks": [facts.recorded(record) for record in records]}))
    elif not records:
        click.echo("the store is empty: kernelwright optimize FILE.py fills it")
    else:
        head = ("TASK", "CHOICE", "TRIALS", "DEVICE", "INPUTS", "LAST")
        for line in rows.table(head, [record_cells(record) for record in records]):
            click.echo(line)


def record_cells(record: Record) -> tuple[str, ...]:
    return (
        rows.short(record.digest),
        rows.choice_cell(record.choice),
        str(record.trials),
        record.task.target.kind,
        ", ".join(map(rows.input_text, record.task.inputs)),
        rows.day_and_time(record.updated),
    )


@store.command()
@click.argument("digest")
@in_store
@as_json
def show(digest: str, store: Path | None, as_json: bool) -> None:
    """All that is known of a task, or of one candidate. The digest's first digits will do."""
    with open_store(configured(store=store).store) as opened:
        found = opened.find(digest)
        history = (found.trial,) if found.trial else opened.history(found)
    if as_json:
        click.echo(facts.text(shown(found, history)))
        return
    for line in found_lines(found, history):
        click.echo(line)


def shown(found: Found, history: Sequence[Trial]) -> facts.Facts:
    gain = found.record.task.contract.gain
    trials = [{**facts.tried(trial, gain), "source": trial.candidate.source} for trial in history]
    return {**facts.recorded(found.record), "reference": found.record.task.reference, "trials": trials}


def found_lines(found: Found, history: Sequence[Trial]) -> list[str]:
    record, gain = found.record, found.record.task.contract.gain
    lines = list(rows.task_lines("Model", record.task))
    lines += rows.baseline_lines(record.baselines) if record.baselines else ()
    lines += [rows.trial_line(trial, gain) for trial in history]
    lines += rows.choice_lines(record.choice) if record.choice else ()
    lines += ["", found.trial.candidate.source if found.trial else record.task.reference]
    return lines


@click.command()
@click.argument("digest")
@click.argument("folder", type=a_path, metavar="DIR")
@in_store
@as_json
def export(digest: str, folder: Path, store: Path | None, as_json: bool) -> None:
    """Write a kernel as a file that needs no kernelwright."""
    with open_store(configured(store=store).store) as opened:
        written = wiring.export(opened.find(digest), folder)
    click.echo(facts.text({"source": str(written)}) if as_json else rows.line("written", str(written)))


@store.command()
@click.option("--older-than", type=days, metavar="DAYS", help="Only what has not been touched for that long.")
@click.option("--fallback", "which", flag_value="fallbacks", help="Tasks for which PyTorch was kept.")
@click.option("--all-but-kept", "which", flag_value="unkept", help="All but the kept kernels and their tasks.")
@in_store
@as_json
def prune(older_than: float | None, which: str | None, store: Path | None, as_json: bool) -> None:
    """Remove old tasks and their trials, and say what went.

    With no option: the tasks on which nothing has happened for 90 days.
    """
    age = older_than if older_than is not None else 0.0 if which else STALE_DAYS
    since = time.time() - age * DAY
    with open_store(configured(store=store).store) as opened:
        prunings = {"fallbacks": opened.prune_fallbacks, "unkept": opened.prune_unkept}
        removed = prunings.get(which or "", opened.prune_untouched)(since)
    click.echo(facts.text(facts.plain(removed)) if as_json else removed_text(removed))


def removed_text(removed: Removed) -> str:
    return f"removed {removed.tasks} task(s) and {removed.trials} trial(s)"


store.add_command(export)

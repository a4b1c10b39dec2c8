"""The loop of an outside author as plain commands: open a task, see it, judge, profile, submit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kernelwright.cli.options import a_path, as_json, configured, in_store, on_device, unconfined
from kernelwright.core.candidate import Handmade, Origin, Written
from kernelwright.report import facts as plain
from kernelwright.report import rows
from kernelwright.settings import OUTPUT, Settings

if TYPE_CHECKING:
    from kernelwright.clerk import Clerk

ENGINE = "agent:shell"

by_author = click.option("--author", default="a person", show_default=True, help="Who wrote it, for the record.")
by_model = click.option("--model", metavar="NAME", help="The language model that wrote it, for the record.")
a_task = click.argument("task", metavar="TASK")
a_candidate = click.argument("candidate", type=a_path, metavar="CANDIDATE.py")


@click.group()
def task() -> None:
    """Write kernels yourself, or have any coding agent do it: open a task, see it, judge, profile, submit.

    TASK is what 'open' prints, or its first digits. 'kernelwright mcp --skill' says how to go about it.
    """


@task.command("open")
@click.argument("reference", type=a_path, metavar="FILE.py")
@click.option("--gain", type=float, help="The least speed-up worth keeping.  [default: 1.03]")
@click.option("--precision", metavar="CLASS", help="parity or tf32.  [default: parity]")
@click.option("--robustness", metavar="RULE", help="Whether unusual inputs are reported or binding.")
@click.option("--layouts", metavar="RULE", help="Whether strides of inputs are fixed, or any.")
@on_device
@in_store
@as_json
def open_task(reference: Path, device: str | None, store: Path | None, as_json: bool, **terms: Any) -> None:
    """Open the task of a reference file, and print its digest. The file is run: open only what you trust."""
    settings = configured(device=device, store=store)
    from kernelwright import clerk
    from kernelwright.clerk import facts

    subject = clerk.open_file(reference, settings, clerk.contract(**terms))
    opened = facts.opened(subject.name, subject.task)
    if as_json:
        click.echo(plain.text(opened))
        return
    for line in rows.task_lines(subject.name, subject.task):
        click.echo(line, err=True)
    click.echo(opened["task"])


@task.command()
@a_task
@in_store
@as_json
def show(task: str, store: Path | None, as_json: bool) -> None:
    """The graph with its roofline, PyTorch's times, the tricks that apply, the best so far."""
    with clerk_of(task, configured(store=store)) as clerk:
        from kernelwright.clerk import facts

        shown = facts.shown(clerk)
        head = [*rows.task_lines(clerk.subject.name, clerk.task), *rows.baseline_lines(clerk.baselines())]
    if as_json:
        click.echo(plain.text(shown))
        return
    for line in (*head, *shown_lines(shown)):
        click.echo(line)


@task.command()
@a_task
@a_candidate
@by_author
@by_model
@in_store
@unconfined
@as_json
@click.pass_context
def judge(
    context: click.Context,
    task: str,
    candidate: Path,
    author: str,
    model: str | None,
    store: Path | None,
    sandbox: str | None,
    as_json: bool,
) -> None:
    """Check and time a kernel. Exits with 0 where it is right and surely faster, and with 1 where it is not."""
    from kernelwright.clerk import facts, small_text

    source = small_text(candidate)
    with clerk_of(task, configured(store=store, sandbox=sandbox)) as clerk:
        trial = clerk.judge(source, origin(author, model))
        tried = facts.tried(trial, clerk.task.contract.gain)
    show_answer(tried, rows.judgement_lines(trial.outcome, clerk.task.contract.gain), as_json)  # type: ignore[arg-type]
    context.exit(0 if tried["accepted"] else 1)


@task.command()
@a_task
@a_candidate
@in_store
@unconfined
@as_json
def profile(task: str, candidate: Path, store: Path | None, sandbox: str | None, as_json: bool) -> None:
    """Where a kernel's time goes, and what compilers say of it. Advice, proof of nothing.

    On a GPU, with --no-sandbox, what Nsight Compute counts too, where it is installed.
    """
    from kernelwright.clerk import facts, small_text

    source = small_text(candidate)
    with clerk_of(task, configured(store=store, sandbox=sandbox)) as clerk:
        profiled = facts.profiled(clerk.profile(source, Handmade(candidate.name)))
    show_answer(profiled, profile_lines(profiled), as_json)


@task.command()
@a_task
@click.option("--source", "with_source", is_flag=True, help="Print its file alone.")
@in_store
@as_json
def best(task: str, with_source: bool, store: Path | None, as_json: bool) -> None:
    """The right kernel that is surely fastest so far, of any author."""
    with clerk_of(task, configured(store=store)) as clerk:
        from kernelwright.clerk import facts

        found = facts.best(clerk)
    if as_json:
        click.echo(plain.text({"best": found}))
    elif found is None:
        click.echo("no kernel was right so far")
    else:
        click.echo(found["source"] if with_source else best_line(found))


@task.command()
@a_task
@a_candidate
@by_author
@by_model
@click.option("--output", type=a_path, default=OUTPUT, show_default=True, help="The folder for kept kernels.")
@in_store
@unconfined
@as_json
@click.pass_context
def submit(
    context: click.Context,
    task: str,
    candidate: Path,
    author: str,
    model: str | None,
    output: Path,
    store: Path | None,
    sandbox: str | None,
    as_json: bool,
) -> None:
    """Have a kernel examined again and kept. Exits with 0 where it was kept, and with 1 where it was not."""
    from kernelwright.clerk import facts, small_text

    source = small_text(candidate)
    with clerk_of(task, configured(store=store, sandbox=sandbox)) as clerk:
        submission = clerk.submit(source, origin(author, model), output)
        submitted = facts.submitted(submission, clerk.task.contract.gain)
    lines = rows.choice_lines(submission.choice) if submission.choice else [rows.line("not kept", submitted["why"])]
    show_answer(submitted, lines, as_json)
    if submitted["kept"] and not as_json:
        click.echo(rows.line("written", submitted["written"]))
    context.exit(0 if submitted["kept"] else 1)


@contextmanager
def clerk_of(task: str, settings: Settings) -> Iterator[Clerk]:
    """The clerk of a task that was opened before. Parts of long work are told on stderr."""
    from kernelwright import clerk

    with clerk.Clerk(clerk.from_store(task, settings), settings, ENGINE) as opened:
        opened.tell = lambda stage: click.echo(rows.line("working", stage), err=True)
        yield opened


def origin(author: str, model: str | None) -> Origin:
    return Handmade(author) if model is None else Written(model, conversation="", tokens=0, cost=0.0)


def show_answer(facts: plain.Facts, lines: Any, as_json: bool) -> None:
    if as_json:
        click.echo(plain.text(facts))
        return
    for line in lines:
        click.echo(line)


def shown_lines(shown: plain.Facts) -> Iterator[str]:
    yield rows.line("floor", f"{rows.milliseconds(shown['floor_ms'])} for {shown['flops']:.3g} operations and "
                             f"{shown['bytes'] / 1e6:.3g} MB, by the roofline model")  # fmt: skip
    head = ("VALUE", "OPERATOR", "READS", "SHAPE", "STRIDES", "DTYPE", "MB", "MFLOP", "FLOOR")
    yield from rows.table(head, [value_cells(value) for value in shown["graph"]])
    for trick in shown["tricks"]:
        yield ""
        yield rows.line("trick", f"{trick['name']} at {', '.join(trick['sites'])}")
        yield from (f"    {line}".rstrip() for line in trick["doc"].splitlines())
    yield ""
    yield best_line(shown["best"]) if shown["best"] else rows.line("best", "no kernel was right so far")


def value_cells(value: plain.Facts) -> tuple[str, ...]:
    return (
        value["name"],
        value["op"],
        " ".join(value["reads"]),
        "x".join(map(str, value["shape"])),
        ",".join(map(str, value["strides"])),
        value["dtype"],
        f"{value['nbytes'] / 1e6:.3g}",
        f"{value['flops'] / 1e6:.3g}",
        rows.milliseconds(value["floor_ms"]) if value["floor_ms"] else "",
    )


def best_line(found: plain.Facts) -> str:
    figures = f"{found['speedup']:.2f}x of {found['baseline']}, {rows.milliseconds(found['ms'])}: {found['verdict']}"
    return rows.line("best", f"{rows.short(found['candidate'])}  {found['engine']}  {figures}  ({found['from']})")


def profile_lines(profiled: plain.Facts) -> Iterator[str]:
    if not profiled["profiled"]:
        yield rows.line("failed", f"at {profiled['stage']}: {profiled['reason']}")
        yield from profiled["detail"].splitlines()
        return
    yield rows.line("note", profiled["note"])
    cells = [(f"{each['self_us']:.1f}", f"{each['calls']:g}", each["name"]) for each in profiled["operators"]]
    yield from rows.table(("SELF US", "CALLS", "OPERATOR"), cells)
    yield from profiled["compiler"]

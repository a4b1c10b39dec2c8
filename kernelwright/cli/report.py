"""What a run found, to look at: written as pages, or served while it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from kernelwright.cli.options import a_path, as_json
from kernelwright.core.errors import MachineError
from kernelwright.report import facts, rows

PORT = 8737


@click.command()
@click.argument("run", type=a_path, metavar="RUN")
@click.option("--output", type=a_path, metavar="DIR", help="Where the pages go.  [default: RUN/report]")
@as_json
def report(run: Path, output: Path | None, as_json: bool) -> None:
    """Write a run as pages that open in any browser, offline.

    RUN is the folder that `kernelwright bench` made. Open index.html in DIR.
    """
    with extra():
        from kernelwright.report import site
    first = site.write(run, output or run / "report")
    click.echo(facts.text({"page": str(first)}) if as_json else rows.line("written", str(first)))


@click.command()
@click.argument("run", type=a_path, metavar="RUN")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes any port that is free."
)
def serve(run: Path, port: int) -> None:
    """Show a run in the browser while it goes on, on 127.0.0.1 only. Ctrl-C ends it."""
    with extra():
        from kernelwright.report import live
    live.Live(run).run()
    with live.listening(port) as opened:
        click.echo(rows.line("serving", f"{live.address(opened)}  (ctrl-C ends it)"))
        with suppress(KeyboardInterrupt):  # which is how it is meant to end
            live.serve(run, opened)


@contextmanager
def extra() -> Iterator[None]:
    """What is imported inside comes with `kernelwright[report]`. Raises MachineError where that is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("kernelwright"):
            raise
        raise MachineError(
            f"the report needs {error.name}, which is not installed: pip install 'kernelwright[report]'"
        ) from error

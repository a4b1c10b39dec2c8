"""`kernelwright mcp`: the loop of an outside author, served to a coding agent."""

from __future__ import annotations

from pathlib import Path

import click

from kernelwright import mcp as tools
from kernelwright.cli.options import a_path, configured, in_store, on_device, seconds
from kernelwright.cli.task import OUTPUT


@click.command()
@click.option("--http", is_flag=True, help="Serve over HTTP on 127.0.0.1 rather than over stdin and stdout.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@click.option("--root", type=a_path, default=Path(), help="The folder that references are opened in.  [default: here]")
@click.option("--output", type=a_path, default=OUTPUT, show_default=True, help="The folder for kept kernels.")
@click.option(
    "--idle", type=seconds, default=tools.IDLE, show_default=True, help="Seconds until an idle judge is closed."
)
@on_device
@in_store
@click.option("--skill", is_flag=True, help="Print the page that tells an agent how to use this, and end.")
def mcp(
    http: bool,
    port: int,
    root: Path,
    output: Path,
    idle: float,
    device: str | None,
    store: Path | None,
    skill: bool,
) -> None:
    """Serve a task, its judge and its store to any coding agent, over the Model Context Protocol."""
    if skill:
        click.echo(tools.skill(), nl=False)
        return
    settings = configured(device=device, store=store)
    tools.serve(settings, output, port=port if http else None, root=root, idle=idle)

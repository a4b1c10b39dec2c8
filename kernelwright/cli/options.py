"""Options that several commands share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from kernelwright import settings
from kernelwright.settings import Settings

a_path = click.Path(path_type=Path)
seconds = click.FloatRange(min=0, min_open=True)
days = click.FloatRange(min=0)

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
on_device = click.option("--device", metavar="KIND", help="Where it runs: cpu, cuda or mps.  [default: cpu]")
in_store = click.option(
    "--store", type=a_path, metavar="PATH", help="The store's file.  [default: in the user's cache]"
)
unconfined = click.option(
    "--no-sandbox", "sandbox", flag_value="none", help="Run candidates unconfined: only files that you trust."
)


def configured(**flags: object) -> Settings:
    """The user's settings, with the flags that were given in front."""
    given = {name: value for name, value in flags.items() if value is not None}
    return replace(settings.load(), **given)

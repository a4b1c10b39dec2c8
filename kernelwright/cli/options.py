"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from kernelwright import settings
from kernelwright.settings import Settings

a_path = click.Path(path_type=Path)
seconds = amount = click.FloatRange(min=0, min_open=True)
count = click.IntRange(min=1)
days = click.FloatRange(min=0)

WORDED = {"engines", "models", "price", "replay"}  # settings that a flag gives as text, as a variable would

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout, all else on stderr.")
on_device = click.option("--device", metavar="KIND", help="Where it runs: cpu, cuda or mps.  [default: cpu]")
in_store = click.option(
    "--store", type=a_path, metavar="PATH", help="The store's file.  [default: in the user's cache]"
)
unconfined = click.option(
    "--no-sandbox", "sandbox", flag_value="none", help="Run candidates unconfined: only files that you trust."
)


PROPOSING = (
    click.option("--engine", "engines", metavar="NAMES", help="Who proposes: search, agent, or both as search,agent."),
    click.option("--model", "models", multiple=True, metavar="PROVIDER:NAME", help="A language model to ask."),
    click.option("--base-url", metavar="URL", help="An OpenAI-compatible server that has the models (vLLM, Ollama)."),
    click.option("--max-cost", type=amount, metavar="USD", help="What the models' replies may cost in all."),
    click.option("--max-tokens", type=count, metavar="N", help="Tokens that the replies may take, in and out."),
    click.option("--price", metavar="IN,OUT", help="Of a million tokens, where the price is not known."),
    click.option("--rounds", type=count, metavar="N", help="Rounds of asking, at most.  [default: 8]"),
    click.option("--parallel", type=count, metavar="N", help="Lines of work at once.  [default: one for each model]"),
    click.option("--replay", metavar="FILE|DIR", help="Kept conversations that answer in place of models."),
)


def proposing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of who proposes; the command takes them together as keywords."""
    for option in reversed(PROPOSING):
        command = option(command)
    return command


def configured(**flags: object) -> Settings:
    """The user's settings, with the flags that were given in front."""
    given = {name: value for name, value in flags.items() if value is not None and value != ()}
    for name in WORDED & given.keys():
        given[name] = settings.read(name, given[name], f"--{name.replace('_', '-').removesuffix('s')}")
    return replace(settings.load(), **given)

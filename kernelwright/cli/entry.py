"""From the shell and back to it: every ending of a command is one line and one exit status."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

import click

from kernelwright.cli.commands import kernelwright
from kernelwright.core.errors import KernelwrightError
from kernelwright.report import facts

MISTAKE, INTERRUPTED = 2, 130


def main() -> None:
    """Entry point of `kernelwright` and `kw`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end: clean up as for ctrl-C
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command. 0 done, 1 the judge rejected, 2 a mistake of the user or machine, 130 interrupted."""
    try:
        return kernelwright.main(list(arguments), prog_name="kernelwright", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return MISTAKE
    except click.UsageError as error:
        hint = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
        return complain(error.format_message().rstrip(".") + hint, arguments, MISTAKE)
    except KernelwrightError as error:
        return complain(str(error), arguments, MISTAKE)
    except (click.Abort, KeyboardInterrupt):
        return complain("interrupted; every finished trial is in the store", arguments, INTERRUPTED)
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def complain(message: str, arguments: Sequence[str], status: int) -> int:
    click.echo(f"kernelwright: {message}", err=True)
    if "--json" in arguments:
        click.echo(facts.text({"error": message}))
    return status

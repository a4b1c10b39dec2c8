"""The judge as a tool on its own: judge any pair of files, and verify what was certified on another day."""

from __future__ import annotations

import os
from pathlib import Path

import click

from kernelwright.cli import wiring
from kernelwright.cli.options import a_path, as_json, configured, on_device, unconfined
from kernelwright.cli.progress import progress
from kernelwright.core.errors import UsageError
from kernelwright.judge.certificate import VALUES, Finding, write
from kernelwright.report import facts, rows

REFUTED, UNANSWERED = 1, 2


@click.command()
@click.argument("reference", type=a_path, metavar="REFERENCE.py")
@click.argument("candidate", type=a_path, metavar="CANDIDATE.py")
@on_device
@unconfined
@click.option("--certificate", type=a_path, metavar="FILE", help="Write all that was found to FILE, for 'verify'.")
@click.option("-v", "--verbose", is_flag=True, help="Show the errors on every family of inputs.")
@as_json
@click.pass_context
def judge(
    context: click.Context,
    reference: Path,
    candidate: Path,
    device: str | None,
    sandbox: str | None,
    certificate: Path | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Check and time one kernel's file against its reference.

    REFERENCE.py defines Model, get_inputs() and get_init_inputs(), and CANDIDATE.py defines ModelNew with the same
    constructor, parameters and forward, as KernelBench has it. Only CANDIDATE.py may be somebody else's: the
    reference runs as you.

    Exits with 0 where the candidate is right and surely faster than PyTorch, and with 1 where it is not.
    """
    settings = configured(device=device, sandbox=sandbox)
    subject = wiring.find_reference(reference, settings)
    if certificate:
        check_place(certificate)
    with progress() as advance:
        found = wiring.judge(subject, candidate, settings, advance)
    if certificate:
        wiring.write_text(certificate, write(found))
    for line in rows.certificate_lines(subject.name, found, verbose):
        click.echo(line, err=as_json)
    if certificate:
        click.echo(rows.line("written", str(certificate)), err=as_json)
    if as_json:
        click.echo(facts.text(facts.certified(found)))
    context.exit(0 if found.stated.accepted else 1)


@click.command()
@click.argument("certificate", type=a_path, metavar="CERTIFICATE")
@click.option("--no-timing", "untimed", is_flag=True, help="Check values only.")
@click.option("--reference", type=a_path, metavar="FILE", help="Write the reference to FILE, to be read; run nothing.")
@unconfined
@as_json
@click.pass_context
def verify(
    context: click.Context,
    certificate: Path,
    untimed: bool,
    reference: Path | None,
    sandbox: str | None,
    as_json: bool,
) -> None:
    """Ask again what a certificate of 'judge --certificate' says.

    Its parts must agree with each other; the candidate is judged again on the recorded inputs and on new secret ones,
    and timed again. A certificate of a rejected candidate holds where it is still rejected at the same stage.

    The candidate runs in a sandboxed worker, as under 'judge'. THE REFERENCE'S TEXT RUNS INSIDE, AS YOU: verify only
    certificates whose reference you trust. --reference FILE lets you read it first.

    Exits with 0 where all that can be checked holds, 1 where something does not hold, and 2 where the certificate
    cannot be read or its values cannot be checked on this machine.
    """
    paper = wiring.read_certificate(certificate)
    if reference:
        wiring.write_text(reference, paper.certificate.task.reference)
        return
    findings = []
    for finding in wiring.verify(paper, configured(sandbox=sandbox), timed=not untimed):
        findings.append(finding)
        click.echo(rows.finding_line(finding), err=as_json)
    if as_json:
        click.echo(facts.text(facts.verified(paper, findings)))
    context.exit(status(findings))


def status(findings: list[Finding]) -> int:
    answers = {finding.answer for finding in findings}
    if "does not hold" in answers:
        return REFUTED
    unanswered = any(finding.question == VALUES for finding in findings)
    return UNANSWERED if unanswered else 0


def check_place(file: Path) -> None:
    """Raises UsageError now, rather than when the work is done."""
    if file.is_dir() or not os.access(file.parent, os.W_OK):
        raise UsageError(f"cannot write {file}: wanted a file in a folder that is there and may be written to")

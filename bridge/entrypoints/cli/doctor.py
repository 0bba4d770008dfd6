"""`dockbridge doctor`: what is wrong with a site, and the command that mends it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.config import CERTIFICATES_NAME, CONFIG_NAME, DATABASE_NAME, NAME_A_SITE
from bridge.entrypoints.cli.output import JsonOption, Steps, print_command, print_json, print_lines, say
from bridge.entrypoints.cli.site import Directory
from bridge.entrypoints.cli.times import now_ms, remember_site
from bridge.entrypoints.control.client import ask
from bridge.errors import NoSite
from bridge.operations import server
from bridge.operations.doctor.examine import Examined, examine
from bridge.operations.doctor.findings import Finding, Weight
from bridge.operations.doctor.patient import Running
from bridge.site_folder import HALF_MADE
from bridge.words import counted

_WIDTH: Final = 6
_SIGNS: Final = (CONFIG_NAME, DATABASE_NAME, CERTIFICATES_NAME, HALF_MADE)
"""What shows that a folder is, or was, a site."""


def doctor(
    context: typer.Context,
    directory: Directory = Path(),
    site: Annotated[Path | None, typer.Option("--site", "-s", hidden=True, help="The site's folder, as other commands take it.", readable=False)] = None,
    deep: Annotated[bool, typer.Option("--deep", help="Compare every order with its events, not only some; on a large site this takes minutes.")] = False,
    stopped: Annotated[bool, typer.Option("--stopped", help="The server is stopped on purpose: that is no fault.")] = False,
    bundle: Annotated[Path | None, typer.Option(help="An archive for support (.tar.gz or .zip), without secrets and personal data.", readable=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Examine a site: configuration, certificates, clocks, disk, database, server, devices. Each fault is named with what mends it.

    Nothing is changed. The server may run or not. Exit code 1 if something is wrong; notes don't count.

    Example: `dockbridge doctor ams1`, or, for support, `dockbridge doctor --bundle ams1.tar.gz`
    """
    from bridge.examination.site import ExaminedSite  # here and below: only this command pays for loading it

    source = context.get_parameter_source("directory")
    typed = site if site is not None else directory if source is not None and source.name == "COMMANDLINE" else None
    directory = site if site is not None else directory
    remember_site(directory)
    if not any((directory / name).exists() for name in _SIGNS):
        raise NoSite(f"{directory.absolute()} is not a site", fix=NAME_A_SITE)
    if bundle is not None:
        from bridge.examination.bundle import check_name, write_bundle

        check_name(bundle)
    patient = ExaminedSite(directory, _ask, now_ms=now_ms(), is_stopped=stopped, typed=typed)
    with Steps() as steps:
        found = asyncio.run(examine(patient, deep=deep, on_check=steps.show))
    if bundle is not None:
        write_bundle(bundle, patient, found)
    if as_json:
        print_json(found)
    else:
        _print(found)
    wrong, notes = (sum(finding.weight is weight for finding in found.findings) for weight in (Weight.WRONG, Weight.NOTE))
    say(f"{counted(wrong, 'fault')}, {counted(notes, 'note')}." if found.findings else "Nothing is wrong.")
    if bundle is not None:
        say(f"{bundle} is for support: look into it before you send it.")
    if not found.healthy:
        raise typer.Exit(1)


def _ask(directory: Path) -> Running | None:
    about = ask(directory, server.about)
    return Running(version=about.version, counters=ask(directory, server.counters) or {}) if about is not None else None


def _print(found: Examined) -> None:
    if fine := [check.check for check in found.checks if check.is_ok]:
        print_lines(f"{'ok':{_WIDTH}}{', '.join(fine)}")
    for why in dict.fromkeys(check.skipped for check in found.checks if check.skipped is not None):
        print_lines(f"{'?':{_WIDTH}}not checked, because {why}: {', '.join(c.check for c in found.checks if c.skipped == why)}")
    for check in found.checks:
        if check.failed is not None:
            print_lines(f"{'FAILED':{_WIDTH}} {check.check}: {check.failed}")
    for finding in sorted(found.findings, key=lambda finding: finding.weight is Weight.NOTE):
        _print_finding(finding)


def _print_finding(finding: Finding) -> None:
    print_lines(f"{finding.weight.upper() if finding.weight is Weight.WRONG else finding.weight:{_WIDTH}}{finding.code}: {finding.what}", finding.fix)
    if finding.command is not None:
        print_command(finding.command)


__all__ = ["doctor"]

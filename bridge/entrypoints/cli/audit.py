"""`dockbridge audit`: what people did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import asdict

from bridge.entrypoints.cli.output import JsonOption, LimitOption, print_json, print_json_line, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read_as
from bridge.entrypoints.cli.times import TzOption, dated, moment
from bridge.errors import BridgeError
from bridge.operations import acts, audit_log
from bridge.operations.audit import AuditEntry
from bridge.words import counted

app = typer.Typer(no_args_is_help=True, help="See what people did, and that nobody has changed the log of it.\n\nExample: `dockbridge audit list`")


@app.command(name="list")
def list_(
    who: Annotated[str | None, typer.Option(help="Only acts of this user, or of this person.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only acts about this order, device, job or entry.")] = None,
    limit: LimitOption = 50,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """List acts of people, the last one first.

    Example: `dockbridge audit list --subject PO-17`
    """
    found = [e for e in read_as(site, audit_log.look, acts.audit) if who in (None, e.who, e.person) and subject in (None, e.subject)][::-1][:limit]
    if as_json:
        print_json(found)
        return
    rows = [(e.no, moment(e.at_ms), e.who, e.person, e.act, e.subject, e.reason, _what(e)) for e in found]
    print_table(("no", dated("at"), "who", "person", "act", "about", "reason", ""), rows)


@app.command()
def verify(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Check that no entry was changed, left out or put in. Keep the last hash elsewhere: only with it a cut-off end can be seen.

    Example: `dockbridge audit verify`
    """
    entries = read_as(site, audit_log.look, acts.audit)
    wrong = next((e.no for e in entries if not e.is_sound), None)
    last = entries[-1].chain.hex() if entries else None
    if as_json:
        print_json({"entries": len(entries), "first_wrong": wrong, "last_hash": last})
    if wrong is not None:
        raise BridgeError(f"entry {wrong} of the audit log does not follow from the one before", fix="compare it with an exported copy, or with a backup")
    say(f"{counted(len(entries), 'entry', 'entries')}, each follows from the one before. The last hash is {last}." if last else "The audit log is empty.")


@app.command()
def export(site: SiteOption = Path()) -> None:
    """Print the whole log, an entry as JSON on each line.

    Example: `dockbridge audit export > audit-2026.jsonl`
    """
    for entry in read_as(site, audit_log.look, acts.audit):
        print_json_line({name: value for name, value in asdict(entry).items() if name != "is_sound"})


def _what(entry: AuditEntry) -> str:
    details = (f"{name}={value}" for name, value in entry.details.items())
    return " ".join((*details, f"failed: {entry.failed}") if entry.failed else details)

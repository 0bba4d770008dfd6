"""`dockbridge forget`, `dockbridge export-subject` and `dockbridge orders legal-hold`: what people may ask for who are in the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.entrypoints.cli.output import JsonOption, Why, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment, now_ms
from bridge.entrypoints.control.client import call
from bridge.errors import BridgeError
from bridge.operations import forgetting, leaving, subjects
from bridge.operations.forgetting import Fate, OrderForgotten
from bridge.operations.privacy_ports import BackupLeft, Proof
from bridge.words import counted

WhoArgument = Annotated[str | None, typer.Argument(metavar="ORDER", help="The order.", show_default=False)]
PhoneOption = Annotated[str | None, typer.Option(help="All orders of this telephone number, in any spelling.", show_default=False)]
WorkerOption = Annotated[str | None, typer.Option(metavar="BADGE", help="What is on a worker's badge, or one of its pseudonyms.", show_default=False)]
CourierOption = Annotated[str | None, typer.Option(metavar="COURIER", help="A courier.", show_default=False)]

_FATES: Final = {
    Fate.FORGOTTEN: "its personal data is destroyed",
    Fate.BEFORE: "was forgotten before",
    Fate.OPEN: "is open: it is forgotten by itself once it has ended",
    Fate.HELD: "is under legal hold: it is forgotten by itself once that is lifted",
}


def forget(
    order: WhoArgument = None,
    phone: PhoneOption = None,
    worker: WorkerOption = None,
    courier: CourierOption = None,
    reason: Why = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """Destroy who a customer is: contact data, notes, and what of it is in quarantine; or who a worker or a courier is. Afterwards every file of the site is
    searched for it.

    An order that is open, or under legal hold, is forgotten by itself later. What happened to an order, and what a worker did, stays: it says nothing about who
    they are. From the next scan on, a badge has another pseudonym.

    Example: `dockbridge forget --phone "+49 30 901820" --reason "asked on 3 March"`, or `dockbridge forget --worker 4711 --reason "has left"`
    """
    _check_who(order, phone, worker, courier)
    if worker is not None or courier is not None:
        _forget_staff(worker, courier, reason, site, as_json=as_json)
        return
    done = call(site, forgetting.forget, order, phone, reason)
    if as_json:
        print_json(done)
    else:
        print_table(("order", "state", "", dated("since")), [(o.order, o.state, _FATES[o.fate], moment(o.since_ms)) for o in done.orders])
    _say_proof(done.proof, done.backups)
    later = [o for o in done.orders if o.fate in (Fate.OPEN, Fate.HELD)]
    gone = len(done.orders) - len(later)
    say(f"{counted(gone, 'order')} forgotten, nothing of it found." if gone else "Nothing was forgotten yet: the request is kept.")
    for each in later:
        say(f"  later: {_sentence(each)}")


def _forget_staff(worker: str | None, courier: str | None, reason: str, site: Path, *, as_json: bool) -> None:
    done = call(site, leaving.forget_worker, worker, reason) if worker is not None else call(site, leaving.forget_courier, courier or "", reason)
    if as_json:
        print_json(done)
    _say_proof(done.proof, done.backups)
    if worker is not None:
        say(f"Nobody can say any more whose scans they were: {counted(done.pseudonyms, 'pseudonym')} forgotten, nothing of it found.")
    else:
        say(f"The name of {courier} is forgotten, and where their phones were; nothing of it found.")


def _check_who(order: str | None, phone: str | None, worker: str | None, courier: str | None) -> None:
    if sum(each is not None for each in (order, phone, worker, courier)) != 1:
        raise typer.BadParameter("name one order, or give one of --phone, --worker and --courier", param_hint="ORDER")


def _say_proof(proof: Proof, backups: list[BackupLeft]) -> None:
    found = [f for f in proof.searched if f.found]
    if proof.searched:
        megabytes = sum(f.bytes for f in proof.searched) / 1e6
        say(f"Searched {counted(len(proof.searched), 'file')} ({megabytes:,.1f} MB) for it, as text, UTF-16 and base64.")
    if not proof.log_is_empty:
        say("Something reads the database, so that its write-ahead log could not be emptied; the server empties it later.")
    for backup in backups:
        until = f"the server removes it on {moment(backup.expires_ms)}" if backup.expires_ms is not None else "remove it by hand"
        say(f"  {backup.file} still holds it, sealed: {until}; a restore forgets it again")
    if found:
        raise BridgeError(f"it is still in {', '.join(f.file for f in found)}", fix="remove these files, or what people wrote in them, by hand")


def _sentence(each: OrderForgotten) -> str:
    return f"{each.order} {_FATES[each.fate]}"


def export_subject(
    order: WhoArgument = None,
    phone: PhoneOption = None,
    worker: WorkerOption = None,
    courier: CourierOption = None,
    reason: Why = "",
    site: SiteOption = Path(),
) -> None:
    """Print everything that is kept about a customer, as JSON: contact data, notes, orders and what happened to them; or about a worker or a courier: badge,
    pseudonyms, name, and what they did.

    Example: `dockbridge export-subject --phone "+49 30 901820" > export.json`
    """
    _check_who(order, phone, worker, courier)
    if worker is not None:
        call(site, leaving.look, worker, None, reason)
        print_json(read(site, leaving.export_worker, worker, now_ms()))
    elif courier is not None:
        call(site, leaving.look, None, courier, reason)
        print_json(read(site, leaving.export_courier, courier, now_ms()))
    else:
        print_json(call(site, subjects.export_subject, order, phone, reason))


def legal_hold(
    order: Annotated[str | None, typer.Argument(help="The order.", show_default=False)] = None,
    lift: Annotated[bool, typer.Option("--lift", help="End the legal hold.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the orders under legal hold.")] = False,
    reason: Why = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """Keep an order's contact data, whoever asks to forget it and however old it is: a court or an insurer may need it.

    Example: `dockbridge orders legal-hold PO-17 --reason "claim 4711"`
    """
    if list_ == (order is not None) or (list_ and lift):
        raise typer.BadParameter("name an order, or say --list", param_hint="ORDER")
    if order is None:
        held = read(site, subjects.legal_holds)
        if as_json:
            print_json(held)
            return
        print_table(("order", dated("since")), [(h.order, moment(h.since_ms)) for h in held])
        return
    if lift:
        call(site, forgetting.lift_legal_hold, order, reason)
        say(f"{order} is no longer under legal hold.")
        return
    call(site, forgetting.legal_hold, order, reason)
    say(f"{order} is under legal hold: nothing of it is forgotten.")


COMMANDS: Final[dict[str, Callable[..., None]]] = {"legal-hold": legal_hold}
"""Commands of `dockbridge orders`, by name."""

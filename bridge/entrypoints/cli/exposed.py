"""`dockbridge privacy exposed`: what a lost phone could hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.entrypoints.cli.output import JsonOption, Why, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment, now_ms, time_ms
from bridge.entrypoints.control.client import call
from bridge.money import money
from bridge.operations import exposure
from bridge.operations.exposure import Exposed, Held
from bridge.words import counted

LOST_BEFORE_MS: Final = 86_400_000
"""When a phone is shut out, what it could hold for so long before is counted: nobody knows at once since when it was lost."""


def exposed(
    device: Annotated[str, typer.Option(help="The phone.")],
    since: Annotated[str, typer.Option(metavar="TIME", help="Since when it may be in other hands, such as 2026-03-01T08:00.")],
    reason: Why = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """List whose contact data, which parcels and how much cash a courier's phone could hold since a time: the orders in the jobs of its courier.

    Contact data is named, not printed. --json is the list for the authority: it must hear of a breach within 72 hours (GDPR, Art. 33).

    Example: `dockbridge privacy exposed --device phone-anna --since 2026-03-01T08:00`
    """
    since_ms = time_ms(since, "--since")
    if since_ms > now_ms():
        raise typer.BadParameter(f"{since} is still to come", param_hint="--since")
    call(site, exposure.look, device, reason)
    found = read(site, exposure.exposed, device, since_ms, now_ms())
    if as_json:
        print_json(found)
    else:
        columns = ("order", dated("from"), "until", "contact", "parcels", "on board", "to collect")
        print_table(columns, [_row(held) for held in found.orders])
    say(summary(found))
    if found.revoked_ms is None:
        say(f"{device} is not shut out.\n  next: dockbridge device revoke {device}")
    if any(held.contact for held in found.orders):
        say("If it is a breach, the authority must hear of it within 72 hours after you have (GDPR, Art. 33).")


def _row(held: Held) -> tuple[object, ...]:
    until = moment(held.until_ms) if held.until_ms is not None else "now"
    contact = " ".join(held.contact) if held.contact is not None else "(its key is missing)"
    return (held.order, moment(held.from_ms), until, contact, " ".join(held.parcels), " ".join(held.on_board), _amount(held.amount_minor, held.currency))


def summary(found: Exposed) -> str:
    """What a phone could hold, in a sentence."""
    known = sum(held.contact is None or bool(held.contact) for held in found.orders)
    boards = sum(len(held.on_board) for held in found.orders)
    sums: dict[str | None, int] = {}
    for held in found.orders:
        if held.amount_minor:
            sums[held.currency] = sums.get(held.currency, 0) + held.amount_minor
    cash = "; to collect: " + ", ".join(_amount(total, currency) for currency, total in sums.items()) if sums else ""
    return f"{found.device} could hold {counted(len(found.orders), 'order')}, {known} with contact data; {counted(boards, 'parcel')} on board{cash}."


def say_exposed(site: Path, device: str) -> None:
    """Print in short what a phone could hold that was just shut out, and the command for the list."""
    now = now_ms()
    found = read(site, exposure.exposed, device, now - LOST_BEFORE_MS, now)
    since = moment(now - LOST_BEFORE_MS).replace(" ", "T")
    say(f"{summary(found)}\n  the list: dockbridge privacy exposed --device {device} --since {since}")


def _amount(amount_minor: int | None, currency: str | None) -> str:
    if amount_minor is None:
        return ""
    return money(amount_minor, currency or "").rstrip()

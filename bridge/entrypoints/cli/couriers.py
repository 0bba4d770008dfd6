"""`dockbridge couriers`: who is at work, what they have on board, how their day went, and their cash."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.domain.cash import CashState
from bridge.entrypoints.cli.output import JsonOption, Why, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment, now_ms, span, zone
from bridge.entrypoints.control.client import call
from bridge.money import minor_of, money
from bridge.operations import couriers
from bridge.operations.couriers import CashAccount, CourierNow, ShiftShown
from bridge.words import counted
from devices.protocol.reasons import CashReason

app = typer.Typer(
    no_args_is_help=True, help="See who is at work and what they have on board, and count what they hand in.\n\nExample: `dockbridge couriers list`"
)

CourierArgument = Annotated[str, typer.Argument(metavar="COURIER", help="The courier.")]
HOUR_MS: Final = 3_600_000
_STATES: Final = {
    CashState.RUNNING: "the shift goes on",
    CashState.OPEN: "to be counted",
    CashState.DIFFERS: "differs",
    CashState.UNCONFIRMED: "counted; the courier has not confirmed it",
    CashState.SETTLED: "settled",
}


@app.command(name="list")
def list_(site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """List couriers: what they do since when, how many orders they have on board, their open jobs, and cash that is not settled.

    Example: `dockbridge couriers list`
    """
    found = read(site, couriers.list_couriers, now_ms=now_ms(), longest_ms=longest_ms(site))
    if as_json:
        print_json(found)
    elif not found:
        say("no couriers: enrol a phone with `dockbridge device add PHONE --role courier --courier NAME`")
    else:
        rows = [(c.courier, c.duty or "", moment(c.since_ms), len(c.on_board), len(c.jobs), _to_hand_in(c), " ".join(c.phones)) for c in found]
        print_table(("courier", "duty", dated("since"), "on board", "jobs", "cash to hand in", "phones"), rows)


@app.command()
def show(courier: CourierArgument, site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """Show one courier: the orders on board, the open jobs, and the accounts that are not settled.

    Example: `dockbridge couriers show anna`
    """
    found = read(site, couriers.show_courier, courier, now_ms=now_ms(), longest_ms=longest_ms(site))
    if as_json:
        print_json(found)
        return
    rows = [("courier", courier), ("phones", " ".join(found.phones)), ("duty", found.duty or "no shift is known"), (dated("since"), moment(found.since_ms))]
    print_table(("", ""), [*rows, ("on board", " ".join(found.on_board)), ("jobs", " ".join(found.jobs))])
    if found.accounts:
        print_accounts(found.accounts)


@app.command()
def day(
    courier: CourierArgument,
    on: Annotated[datetime | None, typer.Option("--day", formats=["%Y-%m-%d"], help="Which day.", show_default="today")] = None,
    reason: Why = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """Show one day of a courier: shifts and breaks, what they did, and the cash. It is about one person: only for those who may see which worker did what, and
    each look is in the audit log.

    Example: `dockbridge couriers day anna --day 2026-03-01`
    """
    since_ms, until_ms = day_ms(on.date() if on is not None else None)
    call(site, couriers.look, courier, reason)
    found = read(site, couriers.day, courier, since_ms, until_ms, now_ms=now_ms(), longest_ms=longest_ms(site))
    if as_json:
        print_json(found)
        return
    for shift in found.shifts:
        say(_sentence(shift))
    if not found.shifts:
        say(f"no shift of {courier} is known on this day")
    if found.events:
        print_table((dated("time"), "event", "order", "place"), [(moment(e.at_ms), e.type, e.order or "", e.place or "") for e in found.events])
    if found.accounts:
        print_accounts(found.accounts)


@app.command()
def count(
    courier: CourierArgument,
    amount: Annotated[str, typer.Argument(help="How much was handed in, such as 120.50.")],
    currency: Annotated[str, typer.Argument(help="Its currency, such as EUR.")],
    because: Annotated[CashReason | None, typer.Option("--reason", help="Why it is not what was collected.", show_default=False)] = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """Say how much cash a courier handed in at the end of a shift. A difference is shown, and never charged to anyone.

    Example: `dockbridge couriers count anna 120.50 EUR`
    """
    receipt = call(site, couriers.count, courier, minor_of(amount, currency), currency, because.value if because is not None else "")
    found = read(site, couriers.show_courier, courier, now_ms=now_ms(), longest_ms=longest_ms(site))
    if as_json:
        print_json({"event": receipt.id, "accounts": found.accounts})
        return
    say(f"{money(minor_of(amount, currency), currency)} of {courier} counted.")
    if found.accounts:
        print_accounts(found.accounts)
    else:
        say("Every account is settled.")


@app.command(name="end-shift")
def end_shift(courier: CourierArgument, reason: Why = "", site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """End the shift that a courier has forgotten to end.

    Example: `dockbridge couriers end-shift anna`
    """
    receipt = call(site, couriers.end_shift, courier, longest_ms(site), reason)
    if as_json:
        print_json({"event": receipt.id})
    say(f"The shift of {courier} is ended.")


# --- for others -----------------------------------------------------------------------------------------------------------------


def longest_ms(site: Path) -> int:
    """How long a shift goes on that nobody ends."""
    return int(load(site / CONFIG_NAME).couriers.shift_longest_h * HOUR_MS)


def day_ms(on: date | None) -> tuple[int, int]:
    """The beginning and the end of a day, in the zone in which this run prints times; None is today."""
    begin = datetime.combine(on or datetime.fromtimestamp(now_ms() / 1000, zone()).date(), time.min, zone())
    end = datetime.combine(begin.date() + timedelta(days=1), time.min, zone())
    return round(begin.timestamp() * 1000), round(end.timestamp() * 1000)


def print_accounts(accounts: Sequence[CashAccount]) -> None:
    """Print accounts: a line for each currency, and for what was collected in other ways."""
    rows: list[tuple[str, ...]] = []
    for account in accounts:
        begun = moment(account.started_ms)
        for one in account.sums:
            amounts = (money(amount, one.currency) if amount is not None else "" for amount in (one.expected, one.counted, one.told, one.difference))
            rows.append((account.courier, begun, *amounts, _STATES[account.state], " ".join(account.reasons)))
        rows += [(account.courier, begun, f"{money(o.amount, o.currency)} by {o.tender}", *[""] * 5) for o in account.other]
    print_table(("courier", dated("shift"), "collected", "counted", "courier tells", "difference", "state", "reason"), rows)


def _to_hand_in(courier: CourierNow) -> str:
    sums: dict[str, int] = {}
    for account in courier.accounts:
        for one in account.sums:
            if account.state in (CashState.RUNNING, CashState.OPEN) and one.expected > (one.counted or 0):
                sums[one.currency] = sums.get(one.currency, 0) + one.expected - (one.counted or 0)
    return ", ".join(money(amount, currency) for currency, amount in sums.items())


def _sentence(shift: ShiftShown) -> str:
    begun = f"shift from {moment(shift.started_ms)}"
    if shift.ended_ms is None:
        end = ", goes on"
    else:
        by = {"desk": ", ended by the desk", "time": ", never ended"}.get(str(shift.ended_by), "")
        end = f" until {moment(shift.ended_ms)}{by}"
    rest = sum(until - since for since, until in shift.breaks if until is not None)
    return begun + end + (f", with {counted(len(shift.breaks), 'break')} ({span(rest)})" if shift.breaks else "")

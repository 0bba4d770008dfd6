"""`dockbridge report`: what happened over a time, counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from msgspec import structs

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.domain.groups import GROUP_MIN, Reports
from bridge.entrypoints.cli import couriers
from bridge.entrypoints.cli.output import CsvOption, JsonOption, print_csv, print_json, print_table, say, yes_no
from bridge.entrypoints.cli.reading import SiteOption, may_see_workers, read
from bridge.entrypoints.cli.times import TzOption, dated, moment, now_ms, span, time_ms, zone
from bridge.errors import Refused
from bridge.operations import reports
from bridge.operations.couriers import cash_report
from bridge.operations.reports import Area, DeviceReport, Grouping
from bridge.words import counted

app = typer.Typer(
    no_args_is_help=True,
    help="Count what happened. `people.reports` says what a report may say about the work of people.\n\nExample: `dockbridge report throughput --by zone`",
)

HEADINGS: Final = {Grouping.ARTICLE: "article", Grouping.PLACE: "place", Grouping.HOUR: "hour"}
_END_OF_TIME_MS: Final = 2**62

Since = Annotated[str | None, typer.Option(metavar="TIME", help="Only from this time on, such as 2026-03-01T06:00.", show_default="midnight")]
SinceEver = Annotated[str | None, typer.Option(metavar="TIME", help="Only from this hour on, such as 2026-03-01T06:00.", show_default="all that is kept")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only before this time.", show_default="now")]


@app.command()
def throughput(
    since: Since = None,
    until: Until = None,
    by: Annotated[Area, typer.Option(help="Each place, each zone (dock-2 is in dock), the whole site, or each worker.")] = Area.PLACE,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    tz: TzOption = None,
) -> None:
    """Count what scanners and couriers did, hour by hour: events, orders and parcels. Refused scans do not count.

    Example: `dockbridge report throughput --since 2026-03-01 --by zone --csv`
    """
    since_ms, until_ms = _times(since, until)
    rule = rule_of(site)
    if by is Area.WORKER and not may_see_workers(site):
        raise Refused("only those may count by worker who may see which worker did what", fix="`dockbridge people roles` says who may")
    rows = read(site, reports.throughput, by=by, since_ms=since_ms, until_ms=until_ms, zone=zone(), rule=rule)
    if _printed_as_json(rows, as_json=as_json, as_csv=as_csv):
        return
    columns = [dated("hour"), *([by.value] if by is not Area.SITE else []), "events", "orders", "parcels"]
    _print(columns, [(moment(r.hour_ms), *([r.area] if by is not Area.SITE else []), r.events, r.orders, r.parcels) for r in rows], as_csv=as_csv)
    if any(row.events is None for row in rows):
        say(_withheld(rule))
    elif rows:
        hours = len({r.hour_ms for r in rows})
        say(f"{counted(sum(r.events or 0 for r in rows), 'event')} in {counted(hours, 'hour')} with work")
    else:
        say("nothing was scanned in this time")


@app.command()
def devices(
    since: Since = None,
    until: Until = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    tz: TzOption = None,
) -> None:
    """Count what arrived from each device, and show how it is: what was refused, how late events came, what its clock is worth, what it owes, its battery.

    What counts the work of people is left out, unless people.reports allows it.

    Example: `dockbridge report devices --since 2026-03-01`
    """
    since_ms, until_ms = _times(since, until)
    rule = rule_of(site)
    rows = read(site, reports.report_devices, since_ms=since_ms, until_ms=until_ms, rule=rule)
    if _printed_as_json(rows, as_json=as_json, as_csv=as_csv):
        return
    if as_csv:
        print_csv(DeviceReport.__struct_fields__, [structs.astuple(r) for r in rows])
        return
    columns = ("device", "role", "at", "events", "refused", "time guessed", "latest by", "time may err by", "online", "owes", "backlog", "battery", "firmware")
    cells = [
        (
            *(r.device, r.role, r.at, r.events, r.refused, r.guessed),
            *(span(ms) if ms else "" for ms in (r.delay_ms, r.error_ms)),
            *("" if r.online is None else yes_no(r.online), r.owes, r.backlog),
            *(f"{r.battery_percent} %" if r.battery_percent is not None else "", r.firmware),
        )
        for r in rows
    ]
    print_table(columns, cells)


@app.command()
def mispicks(
    since: SinceEver = None,
    until: Until = None,
    by: Annotated[Grouping, typer.Option(help="Count by article, place or hour.")] = Grouping.ARTICLE,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    tz: TzOption = None,
) -> None:
    """Count scans that were refused and put right: wrong articles, wrong parcels, orders on hold.

    Example: `dockbridge report mispicks --since 2026-03-01 --by hour`
    """
    since_ms, until_ms = _times(since, until, default_ms=0)
    rule = rule_of(site)
    found = read(site, reports.count_mispicks, by=by, since_ms=since_ms, until_ms=until_ms, rule=rule)
    rows = found.rows
    if found.withheld:
        say(_withheld(rule))
    if _printed_as_json(rows, as_json=as_json, as_csv=as_csv):
        return
    cells = [(moment(r["hour_ms"]) if by is Grouping.HOUR else r[by.value], r["reason"], r["count"]) for r in rows]
    heading = dated(HEADINGS[by]) if by is Grouping.HOUR else HEADINGS[by]
    _print((heading, "reason", "times"), cells, as_csv=as_csv)


@app.command()
def cash(
    on: Annotated[datetime | None, typer.Option("--day", formats=["%Y-%m-%d"], help="Of which day.", show_default="today")] = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """Show the cash of the shifts that began on a day: what was collected, counted and told by the courier. What was not counted is shown, whenever it was.

    Example: `dockbridge report cash --day 2026-03-01`
    """
    since_ms, until_ms = couriers.day_ms(on.date() if on is not None else None)
    longest_ms = couriers.longest_ms(site)
    accounts = read(site, cash_report, since_ms=since_ms, until_ms=until_ms, now_ms=now_ms(), longest_ms=longest_ms)
    if as_json:
        print_json(accounts)
    elif not accounts:
        say("no cash was collected")
    else:
        couriers.print_accounts(accounts)


def rule_of(site: Path) -> Reports:
    """What reports may say about the work of people."""
    wanted = Reports(load(site / CONFIG_NAME).people.reports)
    rule = read(site, reports.rule_in_force, wanted)
    if rule is not wanted:
        say(f"people.reports is {wanted} in {CONFIG_NAME}, which is not in the audit log yet: {rule} holds. Start the server, or `dockbridge server reload`.")
    return rule


def _withheld(rule: Reports) -> str:
    return f"Figures of fewer than {GROUP_MIN} workers are left out (people.reports is {rule})."


def _times(since: str | None, until: str | None, *, default_ms: int | None = None) -> tuple[int, int]:
    """The beginning and the end of the time that is asked for."""
    if default_ms is None:
        today = datetime.fromtimestamp(now_ms() / 1000, zone()).replace(hour=0, minute=0, second=0, microsecond=0)
        default_ms = round(today.timestamp() * 1000)
    since_ms = time_ms(since, "--since") if since is not None else default_ms
    until_ms = time_ms(until, "--until") if until is not None else _END_OF_TIME_MS
    if until_ms <= since_ms:
        raise typer.BadParameter("the end is not after the beginning; without --since, that is midnight", param_hint="--until")
    return since_ms, until_ms


def _printed_as_json(rows: Sequence[Any], *, as_json: bool, as_csv: bool) -> bool:
    """Print rows as JSON, if that is asked for. Returns whether it was."""
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv", param_hint="--csv")
    if as_json:
        print_json(rows)
    return as_json


def _print(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, as_csv: bool) -> None:
    (print_csv if as_csv else print_table)(columns, rows)

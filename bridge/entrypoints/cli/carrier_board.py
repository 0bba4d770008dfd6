"""`dockbridge carriers list|cutoffs`: what each carrier is to take today, and when it comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bridge.carrier_settings import carrier_rules
from bridge.config import CONFIG_NAME, Settings
from bridge.config_file import load, zone_of
from bridge.domain.carriers import CarrierRules
from bridge.domain.codes.rules import DAY_MS
from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment, now_ms, zone, zone_name
from bridge.operations import carrier_board as operations
from bridge.operations.carrier_board import CarrierNow, CutoffDay

app = typer.Typer(no_args_is_help=True, help="Carriers: what they take, and when they come.\n\nExample: `dockbridge carriers list`")

NO_CUTOFFS: Final = 'No carrier has cutoffs. Write them into bridge.toml: [cutoffs.DHL] with mon = "14:00/17:30" is a cutoff at 14:00 and a pickup at 17:30.'


def list_(site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """List the carriers: what each is to take with its present pickup, what is loaded, what is missing, and how long it is to the next cutoff.

    `leaves` is the present pickup: that of the last cutoff of today. `missing` is packed and not loaded; `to pack` are orders that have to leave with it, and
    are not packed. `carriers handover` names the parcels.

    Example: `dockbridge carriers list`
    """
    settings = load(site / CONFIG_NAME)
    now = now_ms()
    found = read(site, operations.list_carriers, carriers_of(settings), loaded_since_ms=loaded_since_ms(settings, now), now_ms=now)
    if as_json:
        print_json(found)
        return
    columns = ("carrier", dated("leaves"), "expected", "loaded", "missing", "to pack", "wrong", "next cutoff", dated("its pickup"), dated("last list"))
    if found:
        print_table(columns, [_row(carrier) for carrier in found])
    else:
        say("No carrier is known yet: the orders have none, and [carriers] in bridge.toml has none.")
    if wrong := [carrier for carrier in found if carrier.wrong]:
        say(f"Loaded for the wrong carrier: `dockbridge carriers handover {wrong[0].carrier}` names what has to come out again.")


def _row(now: CarrierNow) -> tuple[Any, ...]:
    coming = f"in {countdown(now.cutoff_in_s)}, {_clock(now.cutoff_ms)}" if now.cutoff_in_s is not None and now.cutoff_ms is not None else None
    counts = (now.expected, now.loaded, now.missing, now.unpacked, now.wrong)
    return (now.carrier, _minute(now.due_ms), *counts, coming, _minute(now.pickup_ms), _minute(now.closed_ms))


def cutoffs(
    days: Annotated[int, typer.Option(min=1, max=60, help="How many days, from today on.")] = 7,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """List when each carrier comes in the next days: until when an order must be paid, and when the pickup is. Holidays are named.

    Example: `dockbridge carriers cutoffs --days 14`
    """
    timetable = carriers_of(load(site / CONFIG_NAME)).timetable
    found = operations.cutoff_days(timetable, now_ms=now_ms(), days=days)
    if as_json:
        print_json(
            [{"day": d.day, "carrier": d.carrier, "holiday": d.holiday, "pickups": [{"cutoff_ms": c, "pickup_ms": p} for c, p in d.pickups]} for d in found]
        )
        return
    if not found:
        say(NO_CUTOFFS)
        return
    names = [d.carrier for d in found if d.day == found[0].day]
    rows = [found[at : at + len(names)] for at in range(0, len(found), len(names))]
    print_table(("day", *names), [(_weekday(row[0].day), *(_comes(day) for day in row)) for row in rows])
    say(f"Cutoff → pickup, {zone_name()} time. A change of [cutoffs] moves no order that was paid before.")


def _weekday(day: str) -> str:
    return date.fromisoformat(day).strftime("%a %Y-%m-%d")


def _comes(day: CutoffDay) -> str:
    if day.holiday:
        return "holiday"
    return ", ".join(f"{_clock(cutoff_ms)} → {_clock(pickup_ms)}" for cutoff_ms, pickup_ms in day.pickups) or "–"


# --- shared with the handover -----------------------------------------------------------------------------------------------


def carriers_of(settings: Settings) -> CarrierRules:
    """The site's carriers and cutoffs."""
    return carrier_rules(settings.carriers, settings.cutoffs, zone_of(settings.site.timezone))


def loaded_since_ms(settings: Settings, now: int) -> int:
    """Since when a loaded parcel waits to be put on a list."""
    return now - int(settings.carriers.handover_days * DAY_MS)


def countdown(seconds: int) -> str:
    """How long it is until then, as a board shows it."""
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes} min"
    days, hours = divmod(minutes // 60, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60:02} min"


def _clock(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, zone()).strftime("%H:%M")


def _minute(ms: int | None) -> str:
    return moment(ms)[:-3] if ms is not None else ""


COMMANDS: Final[dict[str, Callable[..., None]]] = {"list": list_, "cutoffs": cutoffs}
"""Commands of `dockbridge carriers`, by name."""

"""Times as people read and write them: in the site's time zone, or in the one that `--tz` names."""

from __future__ import annotations

import re
from contextvars import ContextVar
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.clock import anchored_clock
from bridge.config import CONFIG_NAME
from bridge.config_file import load, zone_of
from bridge.errors import BridgeError

_YEAR_10000_MS: Final = 253_402_300_800_000
_UNITS_MS: Final = {"s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


_site: ContextVar[Path | None] = ContextVar("site", default=None)
_zone: ContextVar[tzinfo | None] = ContextVar("zone", default=None)
"""The zone of this run of a command, once it is known."""


def remember_site(site: Path) -> Path:
    """This run of a command is about this site: until `--tz` names another zone, it prints times in the site's."""
    _site.set(site)
    _zone.set(None)
    return site


def _remember_zone(name: str | None) -> str | None:
    if name is not None:
        try:
            _zone.set(zone_of(name))
        except (KeyError, OSError, ValueError) as error:
            raise typer.BadParameter(f"{name!r} is not a time zone; write UTC, or a name such as Europe/Amsterdam") from error
    return name


TzOption = Annotated[
    str | None,
    typer.Option("--tz", metavar="ZONE", callback=_remember_zone, help="Print times in this zone, such as Europe/Amsterdam.", show_default="the site's"),
]


def zone() -> tzinfo:
    """The zone in which this run of a command prints times: that of `--tz`, else that of its site (`site.timezone`), else UTC."""
    known = _zone.get()
    if known is None:
        known = _zone_of_site(_site.get())
        _zone.set(known)
    return known


def _zone_of_site(site: Path | None) -> tzinfo:
    if site is None or not (site / CONFIG_NAME).exists():
        return UTC
    try:
        return zone_of(load(site / CONFIG_NAME).site.timezone)
    except BridgeError:
        return UTC  # what opens the site says what is wrong with its configuration


def zone_name() -> str:
    """The zone's name as a heading has it: `UTC`, `Amsterdam`."""
    return str(zone()).rpartition("/")[2]


class Dated(str):
    """The heading of a column of times, which are never broken."""

    __slots__ = ()


def dated(heading: str) -> Dated:
    """The heading of a column of times, with their zone."""
    return Dated(f"{heading} ({zone_name()})")


def moment(ms: int | None) -> str:
    """A time as people read it, to the second. A number that is too large to be a time stays a number: a device may have sent microseconds."""
    if ms is None:
        return ""
    return datetime.fromtimestamp(ms / 1000, zone()).strftime("%Y-%m-%d %H:%M:%S") if ms < _YEAR_10000_MS else str(ms)


def span(ms: int) -> str:
    """A duration as people read it."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if abs(ms) >= size:
            return f"{ms / size:.1f} {unit}"
    return f"{ms} ms"


def now_ms() -> int:
    return anchored_clock().now_ms()


def duration_ms(text: str, option: str) -> int:
    """The duration that an option names: a number with s, min, h, d or w.

    Raises:
        BadParameter: if it names none.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)\s*(s|min|h|d|w)", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a duration; write a number with s, min, h, d or w, such as 4h", param_hint=option)
    return round(float(found[1]) * _UNITS_MS[found[2]])


def time_ms(text: str, option: str) -> int:
    """The time that an option names: a date, with or without the time of day, in the zone in which this run prints times.

    Raises:
        BadParameter: if it names none.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a time; write it as 2026-03-01 or 2026-03-01T17:00", param_hint=option) from error
    return round((at if at.tzinfo is not None else at.replace(tzinfo=zone())).timestamp() * 1000)

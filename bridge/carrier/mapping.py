"""How to read a carrier's status file, and which event each of its statuses is: a mapping in TOML, checked as a whole before anything is read with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from bridge.domain.access import MAY_SEND
from bridge.shop.map_parts import (
    COUNTRY,
    ISO,
    READING,
    MapError,
    Setting,
    channel_of,
    check_sections,
    countries_of,
    is_text,
    leave_out_of,
    load_toml,
    patterns_of,
    time_words_of,
    zone_of,
)
from devices.protocol.bodies import BODIES
from devices.protocol.messages import explain
from devices.protocol.vocabulary import EventType, Role

COLUMNS: Final = ("tracking", "order", "at", "status", "place", "country")
"""What a carrier's columns can contain. `at`, `status`, and `tracking` or `order` are required."""
LEAVE_OUT: Final = "leave_out"
"""What [status] says of statuses that are no event here."""
NOT_RECEIVED: Final = "not_received"
"""What [status] says of statuses with which a carrier says that it does not have the parcel yet. They are no event; they are compared with our own scans."""
EVENTS: Final = MAY_SEND[Role.CARRIER] - {EventType.VOID, EventType.STOP_ARRIVED}
"""What a status can be."""
PLACES: Final = {EventType.DEPART: "hub", EventType.ARRIVE: "hub", EventType.AVAILABLE_FOR_PICKUP: "point", EventType.RETURNED: "dock"}
"""The field of a body that is filled in with the place of the row."""
COUNTRIES: Final = frozenset({EventType.CUSTOMS_ENTERED, EventType.CUSTOMS_HELD, EventType.CUSTOMS_CLEARED, EventType.BORDER_ENTERED})
"""Events whose `country` is that of the row, unless [status] gives it."""
_WILDCARD: Final = "*"
_BLANKS: Final = re.compile(r"\s+")


class Meaning(NamedTuple):
    """The event that a status is, and what [status] says of its body."""

    event: EventType
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierMap:
    """How to read a carrier's file.

    `channel` is the device under which its events are stored, `carrier` the carrier's name for people. `columns` maps our names to the file's; a time or a
    status may stand in several columns: of a time all are read, with a blank between them, of a status the first that is not empty. `prefix` stands before
    the shop's number if the file names orders; `country` is used if a row has none. `statuses` are by their words as `_plain` makes them.
    """

    channel: str
    carrier: str
    timezone: ZoneInfo
    columns: Mapping[str, tuple[str, ...]]
    statuses: Mapping[str, Meaning | str]
    prefix: str = ""
    country: str | None = None
    countries: Mapping[str, str] = field(default_factory=dict)
    time_words: tuple[tuple[str, str], ...] = ()
    leave_out: Mapping[str, frozenset[str]] = field(default_factory=dict)
    patterns: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    time_format: str = "%Y-%m-%d %H:%M:%S"
    encoding: str = "utf-8-sig"
    delimiter: str = ","
    quote: str = '"'
    skip_lines: int = 0
    sheet: str | None = None
    decimal: str = "."

    @property
    def file_columns(self) -> tuple[str, ...]:
        """Every column of the file that is read."""
        return (*(name for names in self.columns.values() for name in names), *self.leave_out)

    def meaning_of(self, status: str) -> Meaning | str | None:
        """The event that a status is, or `LEAVE_OUT` or `NOT_RECEIVED`; None if the map does not name it.

        Upper and lower case, and how many blanks there are, do not matter. Of the statuses that end in `*` the longest that fits counts.
        """
        word = self.word_of(status)
        return self.statuses[word] if word is not None else None

    def word_of(self, status: str) -> str | None:
        """The word of [status] that stands for a status, as `_plain` makes it; None if the map does not name it."""
        plain = _plain(status)
        if plain in self.statuses:
            return plain
        return max((word for word in self.statuses if word.endswith(_WILDCARD) and plain.startswith(word[:-1])), key=len, default=None)


def _plain(status: str) -> str:
    return _BLANKS.sub(" ", status).strip().casefold()


_EXAMPLE: Final = 'for example name = "sf", carrier = "SF Express", timezone = "Asia/Shanghai"'
_SETTINGS: Final[dict[str, Setting]] = {
    **READING,
    "name": Setting(is_text, _EXAMPLE),
    "carrier": Setting(lambda v: is_text(v) and len(v) <= 64, _EXAMPLE),
    "prefix": Setting(lambda v: v == "" or is_text(v), 'for example prefix = "shop1-", as in the map of the shop'),
    "country": COUNTRY,
}
_REQUIRED: Final = ("name", "carrier", "timezone")
_SECTIONS: Final = ("channel", "columns", "status", "country", "time_words", "leave_out", "patterns")
_PATTERN_COLUMNS: Final = ("tracking", "order")
_EXAMPLE_STATUS: Final = '"80" = { event = "delivery", pod = "signature" }'


def read_carrier_map(path: Path) -> CarrierMap:
    """Read a mapping file.

    Raises:
        MapError: if a setting is wrong. It names the setting and the fix.
    """
    data = load_toml(path, "start from one in config/samples/carriers")
    check_sections(path, data, _SECTIONS)
    channel = channel_of(path, data, _SETTINGS, _REQUIRED, _EXAMPLE)
    chosen = {k: v for k, v in channel.items() if k not in ("name", "timezone")}
    return CarrierMap(
        channel=channel["name"],
        timezone=zone_of(path, "channel", channel["timezone"]),
        columns=_columns(path, data),
        statuses=_statuses(path, data),
        countries=countries_of(path, data),
        time_words=time_words_of(path, data),
        leave_out=leave_out_of(path, data),
        patterns=patterns_of(path, data, _PATTERN_COLUMNS),
        **chosen,
    )


def _columns(path: Path, data: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    given = data.get("columns", {})
    if not isinstance(given, dict):
        raise MapError(f"{path}: columns is not a section", fix="write [columns] on a line of its own")
    columns = {}
    for name, theirs in given.items():
        if name not in COLUMNS:
            fix = f"choose one of {', '.join(COLUMNS)}; remarks, names and telephone numbers are not taken in"
            raise MapError(f"{path}: columns.{name} is not a known column", fix=fix)
        several = theirs if isinstance(theirs, list) and name in ("at", "status") else [theirs]
        if not several or not all(map(is_text, several)):
            raise MapError(f"{path}: columns.{name} must be the name of a column", fix=f'write {name} = "Name"; at and status may be a list of names')
        columns[name] = tuple(several)
    for name in ("at", "status"):
        if name not in columns:
            raise MapError(f"{path}: columns.{name} is missing", fix="give the name of the file's column")
    if "tracking" not in columns and "order" not in columns:
        raise MapError(
            f"{path}: columns.tracking is missing", fix="give the name of the column with the carrier's numbers, or of one with our order ids (order)"
        )
    return columns


def _statuses(path: Path, data: dict[str, Any]) -> dict[str, Meaning | str]:
    given = data.get("status", {})
    if not isinstance(given, dict) or not given:
        raise MapError(f"{path}: [status] is missing", fix=f"say what each status is, for example {_EXAMPLE_STATUS}")
    return {_plain(word): _meaning(path, word, value) for word, value in given.items()}


def _meaning(path: Path, word: str, value: Any) -> Meaning | str:
    if value in (LEAVE_OUT, NOT_RECEIVED):
        return str(value)
    if not isinstance(value, dict) or "event" not in value:
        raise MapError(f"{path}: status.{word} is {value!r}", fix=f'write {_EXAMPLE_STATUS}, or "{word}" = "{LEAVE_OUT}" or "{NOT_RECEIVED}"')
    if value["event"] not in EVENTS:
        raise MapError(f"{path}: status.{word}: a carrier does not send {value['event']!r}", fix=f"choose one of {', '.join(sorted(EVENTS))}")
    event = EventType(value["event"])
    body = {name: {"method": field} if name == "pod" else field for name, field in value.items() if name != "event"}
    if event is EventType.DELIVERY:
        body.setdefault("pod", {"method": "none"})
    probe = body_of(event, body, place="place", country="DE")
    try:
        msgspec.convert(probe, type=BODIES[event])
    except msgspec.ValidationError as error:
        raise MapError(f"{path}: status.{word}: {explain(error)}", fix=f"`dockbridge contract show events` says what {event} has") from error
    if unknown := sorted(set(body) - set(BODIES[event].__struct_fields__)):
        raise MapError(f"{path}: status.{word}: {event} has no {unknown[0]}", fix=f"`dockbridge contract show events` says what {event} has")
    return Meaning(event, body)


def body_of(event: EventType, body: Mapping[str, Any], *, place: str, country: str | None) -> dict[str, Any]:
    """The whole body of an event: what [status] says, and the place and country of the row where it says nothing."""
    found = dict(body)
    if event in PLACES:
        found.setdefault(PLACES[event], place)
    if event in COUNTRIES and country is not None:
        found.setdefault("country", country)
    return found


__all__ = ["ISO", "LEAVE_OUT", "NOT_RECEIVED", "CarrierMap", "MapError", "Meaning", "body_of", "read_carrier_map"]

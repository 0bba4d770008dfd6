"""What a record says of devices' clocks: when each counter began, when events can have happened, and whose wall clock was wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, NamedTuple

from firmware_sim.checkers.view import View
from firmware_sim.record import Published

OFF_MS: Final = 3_600_000
"""A wall clock that is off by this much is wrong; a device with such a clock is named."""
ON_THE_WAY_MS: Final = 600_000
"""How long a message may be on its way, at most: an event may be dated so much too late."""
COUNTS: Final = frozenset({"scanner", "courier"})
"""Roles whose devices count while they run, and number their events as they happen."""


class Moment(NamedTuple):
    """The earliest and the latest time at which an event can have happened, true time."""

    from_ms: int
    to_ms: int


class Clocks(NamedTuple):
    """Whose wall clock was wrong at some time, and whose was wrong when it was last heard."""

    ever_wrong: frozenset[str]
    wrong_at_last: frozenset[str]


def moments(view: View) -> dict[tuple[str, bytes], Moment]:
    """When each event of a device that counts can have happened, by (device, id).

    A boot that was there when something was sent began at a known time. An event of a boot that was gone by then happened after all with a lower number of its
    log, before all with a higher one, and before it was sent first.
    """
    begun: dict[tuple[str, bytes], int] = {}
    told: dict[tuple[str, bytes], dict[int, tuple[bytes, bytes, int, int]]] = defaultdict(dict)
    for entry in view.published.values():
        plain = view.plain(entry.payload) if _counts(view, entry) else None
        if plain is None:
            continue
        boot, mono_ms = plain.get("sent_boot", plain.get("boot")), plain.get("sent_mono_ms", plain.get("mono_ms"))
        if boot is not None and mono_ms is not None:
            key = (entry.device, _octets(boot))
            begun[key] = min(begun.get(key, entry.at_ms), entry.at_ms - mono_ms)
        if view.event_type(entry.topic) is not None and "seq" in plain:
            told[entry.device, _octets(plain["log"])].setdefault(plain["seq"], (_octets(plain["id"]), _octets(plain["boot"]), plain["mono_ms"], entry.at_ms))
    found: dict[tuple[str, bytes], Moment] = {}
    for (device, _), events in told.items():
        earliest = view.record.started_ms - ON_THE_WAY_MS
        unknown: list[tuple[bytes, int, int]] = []
        for _, (uid, boot, mono_ms, sent_ms) in sorted(events.items()):
            if (began := begun.get((device, boot))) is None:
                unknown.append((uid, earliest, sent_ms))
                continue
            at_ms = began + mono_ms
            found[device, uid] = Moment(at_ms, at_ms)
            found |= {(device, other): Moment(after_ms, min(before_ms, at_ms)) for other, after_ms, before_ms in unknown}
            unknown, earliest = [], at_ms
        found |= {(device, other): Moment(after_ms, before_ms) for other, after_ms, before_ms in unknown}
    return found


def wall_clocks(view: View) -> Clocks:
    """Whose wall clock was wrong, by what was acknowledged."""
    ever, last = set[str](), dict[str, bool]()
    for _, entry in view.acknowledged:
        for is_wrong in _shown(view, entry):
            last[entry.device] = is_wrong
            if is_wrong:
                ever.add(entry.device)
    return Clocks(frozenset(ever), frozenset(device for device, is_wrong in last.items() if is_wrong))


def _shown(view: View, entry: Published) -> Iterator[bool]:
    """Whether the wall clock was wrong when a message was sent, if the message says what it showed."""
    plain = view.plain(entry.payload) if _counts(view, entry) else None
    if plain is None or plain.get("at_ms") is None or plain.get("online") is False:
        return  # a goodbye can't be told from a will, whose clock was read at the connect: the server does not judge it
    if "sent_boot" in plain and plain["sent_boot"] != plain["boot"]:
        return
    shown_ms = plain["at_ms"] + plain.get("sent_mono_ms", plain["mono_ms"]) - plain["mono_ms"]
    yield abs(shown_ms - entry.at_ms) >= OFF_MS


def _counts(view: View, entry: Published) -> bool:
    cast = view.record.cast.get(entry.device)
    return cast is not None and cast.role in COUNTS


def _octets(value: bytes | str) -> bytes:
    """Bytes as CBOR has them, or as JSON does."""
    return bytes.fromhex(value) if isinstance(value, str) else value

"""No subscriber ever sees an order, a parcel or a job go back to an older revision, and one revision is always the same thing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from firmware_sim.checkers.view import Broken, View


def check(view: View) -> Iterator[Broken]:
    """Answers to a subscription (retain) are left out, and so is what is sent again after a reconnect (dup) where it had come."""
    last: dict[tuple[str, str], tuple[int, bytes | None]] = {}
    had: set[tuple[str, str, bytes]] = set()
    some_come_again = any(e.dup for e in view.received)
    versioned: dict[str, bool] = {}
    for e in view.received:
        if e.retain or not e.payload:
            continue
        if e.topic not in versioned:
            versioned[e.topic] = _has_revision(view.levels(e.topic))
        if not versioned[e.topic]:
            continue
        if some_come_again:
            one = (e.device, e.topic, e.payload)
            if e.dup and one in had:
                continue
            had.add(one)
        rev, digest = _revision(view, e.payload)
        if rev is None:
            yield Broken(f"{e.device} got on {e.topic} what has no revision", e.at_ms)
            continue
        before = last.get((e.device, e.topic), (0, None))
        if rev < before[0]:
            yield Broken(f"{e.device} got rev {rev} on {e.topic} after rev {before[0]}", e.at_ms)
        elif rev == before[0] and digest != before[1]:
            yield Broken(f"{e.device} got two different things as rev {rev} on {e.topic}", e.at_ms)
        last[(e.device, e.topic)] = max(before, (rev, digest), key=lambda seen: seen[0])


def _revision(view: View, payload: bytes) -> tuple[int | None, bytes | None]:
    """(rev, hash) of a status. In deterministic CBOR they are its first two fields; decoding them alone is half the work of this checker."""
    if payload[1:5] == _REV and payload[5] <= 26:
        at = 5 + {24: 2, 25: 3, 26: 5}.get(payload[5], 1)
        if payload[at : at + 6] == _HASH:
            return int.from_bytes(payload[6:at], "big") if at > 6 else payload[5], payload[at + 6 : at + 14]
    plain = view.plain(payload) or {}
    return (plain["rev"], plain.get("hash")) if isinstance(plain.get("rev"), int) else (None, None)


_REV: Final = b"\x63rev"
_HASH: Final = b"\x64hash\x48"


def _has_revision(levels: list[str]) -> bool:
    match levels:
        case ["orders", _, "status"] | ["orders", _, "parcels", _] | ["couriers", _, "assignments", _]:
            return True
        case _:
            return False

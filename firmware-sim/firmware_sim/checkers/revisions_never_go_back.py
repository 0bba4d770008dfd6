"""No subscriber ever sees an order, a parcel or a job go back to an older revision, and one revision is always the same thing."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.checkers.view import Broken, View


def check(view: View) -> Iterator[Broken]:
    """Answers to a subscription (retain) are left out, and so is what is sent again after a reconnect (dup) where it had come."""
    last: dict[tuple[str, str], tuple[int, bytes | None]] = {}
    had: set[tuple[str, str, bytes]] = set()
    for e in view.received:
        if e.retain or not e.payload or not _has_revision(view.levels(e.topic)):
            continue
        one = (e.device, e.topic, e.payload)
        if e.dup and one in had:
            continue
        had.add(one)
        plain = view.plain(e.payload)
        if plain is None or not isinstance(plain.get("rev"), int):
            yield Broken(f"{e.device} got on {e.topic} what has no revision", e.at_ms)
            continue
        rev, digest = plain["rev"], plain.get("hash")
        before = last.get((e.device, e.topic), (0, None))
        if rev < before[0]:
            yield Broken(f"{e.device} got rev {rev} on {e.topic} after rev {before[0]}", e.at_ms)
        elif rev == before[0] and digest != before[1]:
            yield Broken(f"{e.device} got two different things as rev {rev} on {e.topic}", e.at_ms)
        last[(e.device, e.topic)] = max(before, (rev, digest), key=lambda seen: seen[0])


def _has_revision(levels: list[str]) -> bool:
    match levels:
        case ["orders", _, "status"] | ["orders", _, "parcels", _] | ["couriers", _, "assignments", _]:
            return True
        case _:
            return False

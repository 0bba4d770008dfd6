"""No event is dated before it can have happened, or after it was received; and no time is surer than it can be."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.checkers.clocks import ON_THE_WAY_MS, moments
from firmware_sim.checkers.view import Broken, View, called


def check(view: View) -> Iterator[Broken]:
    possible = moments(view)
    for row in view.table("events"):
        uid = (row["device"], row["id"])
        moment = possible.get(uid)
        if moment is None:
            continue
        at_ms, error_ms = row["event_ms"], row["error_ms"]
        if at_ms > row["received_ms"]:
            yield Broken(f"{called(uid)} is dated {at_ms - row['received_ms']} ms after it was received", row["received_ms"])
        elif at_ms + error_ms < moment.from_ms - 1:
            yield Broken(f"{called(uid)} is dated {moment.from_ms - at_ms} ms before it can have happened, and to {error_ms} ms", row["received_ms"])
        elif at_ms - error_ms > moment.to_ms + ON_THE_WAY_MS:
            yield Broken(f"{called(uid)} is dated {at_ms - moment.to_ms} ms after it happened, and to {error_ms} ms", row["received_ms"])

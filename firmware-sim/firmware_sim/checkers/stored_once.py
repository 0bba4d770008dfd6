"""A resent event counts once: no id of a device and no number of a log stands twice in the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from firmware_sim.checkers.view import BRIDGE, Broken, View, called


def check(view: View) -> Iterator[Broken]:
    rows = view.table("events")
    for uid, count in Counter((r["device"], r["id"]) for r in rows).items():
        if count > 1:
            yield Broken(f"{called(uid)} is {count} times in the log")
    for (device, log, seq), count in Counter((r["device"], r["log"], r["seq"]) for r in rows if r["device"] != BRIDGE).items():
        if count > 1:
            yield Broken(f"number {seq} of log {log.hex()} of {device} is {count} times in the log")

"""A resent event counts once: no id of a device stands twice in the log, and no number of a log without a warning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from firmware_sim.checkers.view import Broken, View, called


def check(view: View) -> Iterator[Broken]:
    rows = view.table("events")
    for uid, count in Counter((r["device"], r["id"]) for r in rows).items():
        if count > 1:
            yield Broken(f"{called(uid)} is {count} times in the log")
    # A system's numbers prove nothing; a scanner or courier whose outbox was restored or copied is warned.
    unwarned = (r for r in rows if r["role"] in ("scanner", "courier") and "seq_reused" not in (r["warn"] or ""))
    for (device, log, seq), count in Counter((r["device"], r["log"], r["seq"]) for r in unwarned).items():
        if count > 1:
            yield Broken(f"number {seq} of log {log.hex()} of {device} is {count} times in the log, and none of these events was warned of")

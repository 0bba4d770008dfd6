"""When a run is over, nothing waits: no event in a device, no receipt, nothing parked, and no device has complained."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from firmware_sim.checkers.alerts_are_true import is_expected
from firmware_sim.checkers.view import Broken, View


def check(view: View) -> Iterator[Broken]:
    for device, count in view.end.unsent.items():
        if count and view.is_well(device):
            yield Broken(f"{device} still has {count} events without an acknowledgement")
    for device, count in view.end.unanswered.items():
        if count and view.is_well(device):
            yield Broken(f"{device} still has {count} events without a receipt")
    for trouble in view.end.troubles:
        yield Broken(f"a device complained: {trouble}")
    events = {r["pos"]: r for r in view.table("events")}
    for row in view.table("parked"):
        if not is_expected(view, "parked", _subject(row["ref_kind"], row["ref"])):
            event = events.get(row["pos"])
            who = f"{event['type']} {event['id'].hex()[:12]} of {event['device']}" if event is not None else f"event {row['pos']}"
            yield Broken(f"{who} still waits for {row['ref_kind']} {row['ref']}, since {row['since_ms']}", row["since_ms"])


def _subject(kind: str, name: str) -> str:
    """The subject of the alert about a reference: the order itself, or a short form of a code or event."""
    return name if kind == "order" else f"{kind}-{hashlib.sha256(name.encode()).digest()[:8].hex()}"

"""Cursors: how far each follower has read the event log and the status log."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.ingest.relation import Origin, Relation


class CursorRow(NamedTuple):
    """A follower's position: everything up to here was sent."""

    name: str
    event_pos: int
    status_no: int
    notice_no: int = 0


CURSORS: Final = Relation(name="cursors", row=CursorRow, key=("name",), origin=Origin.KEPT, note="how far each follower has read")

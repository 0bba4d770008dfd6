"""Lists of what was handed over to carriers (交接清单), closed by a person. They stand beside the log: a rebuild leaves them as they are."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.ingest.relation import Origin, Relation


class HandoverRow(NamedTuple):
    """A closed list, how many parcels are on it, and beside it. `closed_by` is the person, or else the user of the system, who closed it; `content` is the
    whole list as JSON, for another print."""

    carrier: str
    closed_ms: int
    closed_by: str
    parcels: int
    wrong: int
    missing: int
    content: bytes


class HandedRow(NamedTuple):
    """A scan that gave a parcel to a carrier and is on a closed list: the parcel is on no further list because of it. `scan` is its place in the event log."""

    order_id: str
    parcel: str
    scan: int
    no: int


HANDOVERS: Final = Relation(name="handovers", row=HandoverRow, key=("no",), origin=Origin.KEPT, numbered=True, note="closed lists of what carriers took")
HANDED: Final = Relation(
    name="handed", row=HandedRow, key=("order_id", "parcel", "scan"), origin=Origin.KEPT, indexes=(("no",),), note="scans that are on closed lists"
)

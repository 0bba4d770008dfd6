"""The numbers under which carriers follow orders: by these, a carrier's file finds its parcels. An order keeps each number that it ever had."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.barcodes import Key, tracking_key
from bridge.ingest.batch import Batch, Ruled
from bridge.ingest.relation import Origin, Relation
from bridge.ingest.seam import Quiet
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType


class TrackingNumberRow(NamedTuple):
    """An order that has, or once had, a carrier's number. The number is in its normal form, as codes are."""

    number: str
    order_id: str


TRACKING_NUMBERS: Final = Relation(
    name="tracking_numbers", row=TrackingNumberRow, key=("number", "order_id"), origin=Origin.DERIVED, note="derived: the orders of carriers' numbers"
)


class TrackingNumbers(Quiet):
    """Notes the number that an order is created or amended with. The codes of labels are in `codes`."""

    relations = (TRACKING_NUMBERS,)
    hears = frozenset({EventType.CREATED, EventType.AMENDED})

    def rule(self, heard: Ruled, batch: Batch) -> None:
        body, order_id = heard.body, heard.row.order_id
        assert isinstance(body, bodies.Created | bodies.Amended)
        # Whether it counts does not matter: a verdict may change, and which orders a number may mean is for whoever asks.
        if body.tracking is None or order_id is None:
            return
        key = tracking_key(body.tracking)
        if isinstance(key, Key):
            row = TrackingNumberRow(key.text, order_id)
            batch.writes.keyed(TRACKING_NUMBERS)[row] = row

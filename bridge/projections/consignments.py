"""Parcels that go with a carrier: which one takes each, by when, and which scans gave it away. Orders without a carrier have no rows here."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.order import Order, Parcel
from bridge.domain.order.promise import ship_by_of
from bridge.domain.order.sending import sending_of
from bridge.ingest.batch import Batch
from bridge.ingest.memory import OrderEntry
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Deletion, Origin, Relation
from bridge.ingest.seam import Quiet
from devices.protocol.vocabulary import ParcelState


class ConsignmentRow(NamedTuple):
    """A parcel of which it is known with which carrier it goes, or went.

    `carrier`, `service` and `tracking` are its own, or else its order's. `ready_for` is the carrier for which it stands in the warehouse, packed; `given_to`
    the carrier that has it, by the scans at these places in the event log (`scans`, with blanks between them), the first of them at `given_ms`. `ship_by_ms`
    is by when it has to leave.
    """

    order_id: str
    parcel: str
    carrier: str
    service: str
    tracking: str
    ready_for: str | None
    ship_by_ms: int | None
    given_to: str | None
    given_ms: int | None
    vehicle: str | None
    scans: str
    weight_g: int | None


CONSIGNMENTS: Final = Relation(
    name="consignments",
    row=ConsignmentRow,
    key=("order_id", "parcel"),
    origin=Origin.DERIVED,
    indexes=(("ready_for",), ("given_ms",)),
    note="derived: parcels that go with a carrier",
)
CONSIGNMENT_GONE: Final = Deletion(CONSIGNMENTS, ("order_id", "parcel"))
_READY: Final = frozenset({ParcelState.PACKED, ParcelState.STAGED})


class Consignments(Quiet):
    """Writes what carriers are asked about each parcel, if it has changed."""

    relations = (CONSIGNMENTS,)

    def __init__(self) -> None:
        self._are_any = False

    def load(self, tx: Transaction) -> None:
        self._are_any = tx.has_rows(CONSIGNMENTS)

    def finish(self, batch: Batch) -> None:
        for entry in batch.orders.values():
            order = entry.fold.order
            has_carriers = entry.fold.exists and _has_carriers(order)
            if has_carriers or (self._are_any and entry.consignments != {}):
                self._are_any = True
                self._write(batch, entry, {p.id: row for p in order.parcels.values() if (row := consignment_of(order, p))} if has_carriers else {})

    def _write(self, batch: Batch, entry: OrderEntry, now: dict[str, ConsignmentRow]) -> None:
        order_id = entry.fold.id
        before = entry.consignments
        if before is None:
            before = {row.parcel: row for row in batch.tx.rows(CONSIGNMENTS, order_id=order_id)}
        for parcel, row in now.items():
            if before.get(parcel) != row:
                batch.writes.rows(CONSIGNMENTS).append(row)
        for parcel in before.keys() - now.keys():
            batch.writes.delete(CONSIGNMENT_GONE, order_id, parcel)
        entry.consignments = now


def _has_carriers(order: Order) -> bool:
    created = order.created
    return (created is not None and created.carrier is not None) or bool(order.sendings) or any(p.load is not None for p in order.parcels.values())


def consignment_of(order: Order, parcel: Parcel) -> ConsignmentRow | None:
    """What is stored of a parcel for its carrier; None if no carrier is known, neither of the parcel nor of the scan that took it."""
    sent, given = sending_of(order, parcel), parcel.load
    to = (given.carrier or sent.carrier) if given is not None else None
    if sent.carrier is None and to is None:
        return None
    return ConsignmentRow(
        order_id=order.id,
        parcel=parcel.id,
        carrier=sent.carrier or "",
        service=sent.service or "",
        tracking=sent.tracking or "",
        ready_for=sent.carrier if parcel.state in _READY else None,
        ship_by_ms=ship_by_of(order, parcel),
        given_to=to,
        given_ms=given.at_ms if given is not None else None,
        vehicle=given.vehicle if given is not None else None,
        scans=" ".join(map(str, given.positions)) if given is not None else "",
        weight_g=parcel.weight_g,
    )

"""What carriers take, in the database: loaded parcels, those that wait, and closed lists."""

from __future__ import annotations

from typing import Any, Final

import cbor2
import msgspec
from sqlalchemy import Connection, Engine, and_, delete, exists, func, insert, select

from bridge.domain.lifecycle import DEAD
from bridge.errors import Refused
from bridge.operations.handover_ports import AwaitedParcel, ClosedList, Given, HandedParcel, Handover, Ready
from bridge.store import tables as t
from bridge.store.relations import chunks
from bridge.store.sqlite import translated
from devices.protocol.vocabulary import OrderState, partially

_TO_PACK: Final = (
    *(OrderState.PENDING_PAYMENT, OrderState.PAID, OrderState.APPROVED, OrderState.PICKING),
    *(partially(OrderState.PICKING), partially(OrderState.PACKED)),
)
"""States of an order that is not packed as a whole. Only one that counts from something has to leave by a time."""


_SAME_PARCEL: Final = and_(t.parcels.c.order_id == t.consignments.c.order_id, t.parcels.c.parcel == t.consignments.c.parcel)


class HandoverQueries:
    """The reads of `operations.handover_ports.HandoverQueries`."""

    _reader: Engine

    def given(self, *, since_ms: int) -> list[Given]:
        own, shown = t.consignments.c, t.parcels.c
        query = select(t.consignments, shown.codes).join(t.parcels, _SAME_PARCEL).where(own.given_ms >= since_ms, shown.state.not_in(DEAD))
        with translated(), self._reader.connect() as connection:
            rows = [row._mapping for row in connection.execute(query.order_by(own.given_ms, own.order_id, own.parcel))]
            handed = _handed(connection, [row["order_id"] for row in rows])
        return [Given(row["given_to"], parcel) for row in rows if handed.isdisjoint(_scans(parcel := _handed_parcel(row)))]

    def ready(self) -> list[Ready]:
        own, shown = t.consignments.c, t.parcels.c
        query = select(t.consignments, shown.codes, shown.state, shown.status).join(t.parcels, _SAME_PARCEL).where(own.ready_for.is_not(None))
        with translated(), self._reader.connect() as connection:
            rows = [row._mapping for row in connection.execute(query.order_by(own.order_id, own.parcel))]
        return [Ready(row["ready_for"], _awaited_parcel(row)) for row in rows]

    def unpacked(self, *, due_ms: int) -> list[tuple[str, int]]:
        orders = t.orders.c
        query = select(orders.carrier, orders.ship_by_ms).where(orders.ship_by_ms <= due_ms, orders.state.in_(_TO_PACK), orders.carrier != "")
        with translated(), self._reader.connect() as connection:
            return [(carrier, ship_by_ms) for carrier, ship_by_ms in connection.execute(query)]

    def handover(self, no: int) -> Handover | None:
        query = select(t.handovers.c.content).where(t.handovers.c.no == no)
        with translated(), self._reader.connect() as connection:
            found = connection.execute(query).scalar_one_or_none()
        return msgspec.structs.replace(msgspec.json.decode(found, type=Handover), no=no) if found is not None else None

    def handovers(self, *, limit: int) -> list[ClosedList]:
        lists = t.handovers.c
        columns = (lists.no, lists.carrier, lists.closed_ms, lists.closed_by.label("by"), lists.parcels, lists.wrong, lists.missing)
        query = select(*columns).order_by(lists.no.desc()).limit(limit)
        with translated(), self._reader.connect() as connection:
            return [ClosedList(**row._mapping) for row in connection.execute(query)]

    def last_handovers(self) -> dict[str, int]:
        query = select(t.handovers.c.carrier, func.max(t.handovers.c.closed_ms)).group_by(t.handovers.c.carrier)
        with translated(), self._reader.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}


def close_handover(engine: Engine, handover: Handover, *, keep_from_ms: int) -> int:
    """Store a closed list in one transaction: see `HandoverWrites.close_handover`."""
    scanned = [*handover.parcels, *handover.wrong]
    with translated(), engine.begin() as connection:
        handed = _handed(connection, [parcel.order for parcel in scanned])
        if any(not handed.isdisjoint(_scans(parcel)) for parcel in scanned):
            raise Refused("another list with some of these parcels was closed at this moment", fix="look at the list again, then close it")
        counts = {"parcels": len(handover.parcels), "wrong": len(handover.wrong), "missing": len(handover.missing)}
        row = {"carrier": handover.carrier, "closed_ms": handover.at_ms, "closed_by": handover.by, **counts, "content": msgspec.json.encode(handover)}
        no: int = connection.execute(insert(t.handovers).values(row).returning(t.handovers.c.no)).scalar_one()
        rows = [{"order_id": p.order, "parcel": p.parcel, "scan": scan, "no": no} for p in scanned for scan in p.scans]
        if rows:
            connection.execute(insert(t.handed), rows)
        connection.execute(delete(t.handovers).where(t.handovers.c.closed_ms < keep_from_ms))
        connection.execute(delete(t.handed).where(~exists().where(t.handovers.c.no == t.handed.c.no)))
        return no


def _handed(connection: Connection, order_ids: list[str]) -> set[tuple[str, str, int]]:
    """The scans of these orders that are on closed lists: order, parcel, place in the log."""
    found: set[tuple[str, str, int]] = set()
    handed = t.handed.c
    for some in chunks(sorted(set(order_ids))):
        query = select(handed.order_id, handed.parcel, handed.scan).where(handed.order_id.in_(some))
        found.update((order, parcel, scan) for order, parcel, scan in connection.execute(query))
    return found


def _scans(parcel: HandedParcel) -> list[tuple[str, str, int]]:
    return [(parcel.order, parcel.parcel, scan) for scan in parcel.scans]


def _handed_parcel(row: Any) -> HandedParcel:
    return HandedParcel(
        order=row["order_id"],
        parcel=row["parcel"],
        codes=row["codes"].split("\n") if row["codes"] else [],
        carrier=row["carrier"],
        tracking=row["tracking"],
        weight_g=row["weight_g"],
        vehicle=row["vehicle"],
        loaded_ms=row["given_ms"],
        scans=[int(scan) for scan in row["scans"].split()],
    )


def _awaited_parcel(row: Any) -> AwaitedParcel:
    status = cbor2.loads(row["status"])
    return AwaitedParcel(
        order=row["order_id"],
        parcel=row["parcel"],
        codes=row["codes"].split("\n") if row["codes"] else [],
        tracking=row["tracking"],
        state=row["state"],
        where=status.get("where"),
        flags=status["flags"],
        ship_by_ms=row["ship_by_ms"],
    )

"""Reads for reports: events within a time. The log is read from the first event on that arrived in it; an event arrives after it happened."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

import cbor2
from sqlalchemy import Connection, Engine, case, func, select

from bridge.domain.event_time import Source
from bridge.operations.order_ports import Row
from bridge.operations.report_ports import DeviceTraffic, Worked
from bridge.projections.mispicks import HOUR_MS
from bridge.store import tables as t
from bridge.store.sqlite import translated
from devices.protocol.messages import load
from devices.protocol.vocabulary import EventType, Outcome, Role

_CLOCKS_AHEAD_MS: Final = HOUR_MS
"""An event whose device's clock is ahead seems to arrive before it happens."""
_SHIFT_MS_MAX: Final = 86_400_000
"""Nobody has a shift for longer. One that began earlier is not looked for."""
_REFUSED: Final = (Outcome.REJECTED, Outcome.BLOCKED)
_WORKERS: Final = (Role.SCANNER, Role.COURIER)
_GUESSED: Final = (Source.RECEIVED, Source.SEQ)


class ReportQueries:
    """The reads of `operations.report_ports.ReportQueries`."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader

    def worked(self, *, since_ms: int, until_ms: int, also_refused: bool = False) -> Iterator[Worked]:
        events, receipts = t.events.c, t.receipts.c
        order = func.coalesce(t.placed.c.order_id, events.order_id)
        query = (
            select(events.event_ms, events.at, order, receipts.payload, events.device, events.courier, events.payload)
            .join(t.receipts, receipts.pos == events.pos)
            .join(t.placed, t.placed.c.pos == events.pos, isouter=True)
            .where(events.event_ms >= since_ms, events.event_ms < until_ms, events.role.in_(_WORKERS))
        )
        if not also_refused:
            query = query.where(receipts.outcome.not_in(_REFUSED))
        with translated(), self._reader.connect() as connection:
            shifts = _shifts(connection, since_ms, until_ms)
            for row in connection.execute(query.where(events.pos >= _first_pos(connection, since_ms))):
                event_ms, place, named, receipt, device, courier, payload = row
                worker = _by(payload) or _on_shift(shifts.get(device, ()), event_ms)
                yield Worked(event_ms, place, named or None, cbor2.loads(receipt).get("parcel"), device, worker, courier)

    def traffic(self, *, since_ms: int, until_ms: int) -> list[DeviceTraffic]:
        events = t.events.c
        refused = func.sum(case((t.receipts.c.outcome.in_(_REFUSED), 1), else_=0))
        guessed = func.sum(case((events.source.in_(_GUESSED), 1), else_=0))
        query = (
            select(events.device, func.count(), refused, guessed, func.max(events.received_ms - events.event_ms), func.max(events.error_ms))
            .join(t.receipts, t.receipts.c.pos == events.pos, isouter=True)
            .where(events.received_ms >= since_ms, events.received_ms < until_ms)
            .group_by(events.device)
        )
        kept = t.quarantine.c
        never = select(kept.device, func.count()).where(kept.pos.is_(None), kept.received_ms >= since_ms, kept.received_ms < until_ms).group_by(kept.device)
        with translated(), self._reader.connect() as connection:
            rows = connection.execute(query.where(events.pos >= _first_pos(connection, since_ms)))
            found = {row[0]: DeviceTraffic(*row)._replace(delay_ms=max(row[4], 0)) for row in rows}
            for device, messages in connection.execute(never):
                traffic = found.get(device, DeviceTraffic(device))
                found[device] = traffic._replace(refused=traffic.refused + messages)
        return [found[device] for device in sorted(found)]

    def mispicks(self, *, by: str, since_ms: int, until_ms: int) -> list[Row]:
        kept = t.mispicks.c
        column = {"article": kept.article, "place": kept.place, "hour": kept.hour_ms}[by]
        count = func.count().label("count")
        query = select(column, kept.reason, count).where(kept.hour_ms > since_ms - HOUR_MS, kept.hour_ms < until_ms).group_by(column, kept.reason)
        query = query.order_by(*([column] if by == "hour" else [count.desc(), column]), kept.reason)
        with translated(), self._reader.connect() as connection:
            return [dict(r._mapping) for r in connection.execute(query)]


def _shifts(connection: Connection, since_ms: int, until_ms: int) -> dict[str, list[tuple[int, str | None]]]:
    """By device, the times at which a worker took it, or (None) laid it down, in their order."""
    events, found = t.events.c, dict[str, list[tuple[int, str | None]]]()
    first = _first_pos(connection, since_ms - _SHIFT_MS_MAX)
    query = select(events.device, events.event_ms, events.type, events.payload).where(
        events.pos >= first, events.event_ms < until_ms, events.type.in_((EventType.SHIFT_STARTED, EventType.SHIFT_ENDED))
    )
    for device, event_ms, kind, payload in connection.execute(query.order_by(events.event_ms, events.pos)):
        found.setdefault(device, []).append((event_ms, load(payload)["body"]["worker"] if kind == EventType.SHIFT_STARTED else None))
    return found


def _on_shift(shifts: Sequence[tuple[int, str | None]], event_ms: int) -> str | None:
    place = bisect_right(shifts, event_ms, key=lambda shift: shift[0])
    return shifts[place - 1][1] if place else None


def _by(payload: bytes) -> str | None:
    """The worker whom an event names. Most events name none, and need not be decoded."""
    by: str | None = load(payload).get("by") if b"by" in payload else None
    return by


def _first_pos(connection: Connection, since_ms: int) -> int:
    """The position of the first event that arrived at this time or later: positions are in the order of arrival."""
    received = select(t.events.c.pos, t.events.c.received_ms).order_by(t.events.c.pos).limit(1)
    low, high = 0, (connection.execute(select(func.max(t.events.c.pos))).scalar() or 0) + 1
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(received.where(t.events.c.pos >= middle)).one_or_none()
        if found is not None and found.received_ms < since_ms - _CLOCKS_AHEAD_MS:
            low = found.pos + 1
        else:
            high = middle
    return low

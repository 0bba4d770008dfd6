"""Reads of what customers were told."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, and_, false, func, not_, or_, outerjoin, select

from bridge.operations.notice_ports import NoticeCounts, Sending, ToldNotice
from bridge.store import tables as t
from bridge.store.sqlite import translated
from devices.protocol.states import Moment

_CURSOR = select(t.cursors.c.notice_no).where(t.cursors.c.name == "notices").scalar_subquery()
_SENT = t.notices.c.sent_ms.is_not(None)
_ASIDE = t.notices_aside.c.error.is_not(None)
_WAITS = and_(func.coalesce(t.notices.c.no > _CURSOR, false()), not_(_SENT), not_(_ASIDE))
_IN_STATE = {Sending.SENT: _SENT, Sending.ASIDE: _ASIDE, Sending.WAITING: _WAITS, Sending.PUBLISHED: not_(or_(_SENT, _ASIDE, _WAITS))}
_ALL = outerjoin(t.notices, t.notices_aside, t.notices.c.id == t.notices_aside.c.id)


class NoticeQueries:
    """The reads of `operations.notice_ports.NoticeQueries`."""

    _reader: Engine

    def notices(self, *, order_id: str | None, sending: Sending | None, limit: int) -> list[ToldNotice]:
        query = select(t.notices, t.notices_aside.c.error, _WAITS.label("waits")).select_from(_ALL).order_by(t.notices.c.no.desc()).limit(limit)
        if order_id is not None:
            query = query.where(t.notices.c.order_id == order_id)
        if sending is not None:
            query = query.where(_IN_STATE[sending])
        with translated(), self._reader.connect() as connection:
            return [_told(row) for row in reversed(connection.execute(query).all())]

    def notice_counts(self) -> NoticeCounts:
        with translated(), self._reader.connect() as connection:
            behind = select(func.count(), func.min(t.notices.c.told_ms)).select_from(_ALL).where(t.notices.c.no > _CURSOR, _WAITS)
            waiting, oldest_ms = connection.execute(behind).one()
            aside = connection.execute(select(func.count()).select_from(t.notices_aside)).scalar_one()
        return NoticeCounts(waiting=waiting, oldest_ms=oldest_ms, aside=aside)


def _told(row: Any) -> ToldNotice:
    if row.sent_ms is not None:
        sending = Sending.SENT
    elif row.error is not None:
        sending = Sending.ASIDE
    else:
        sending = Sending.WAITING if row.waits else Sending.PUBLISHED
    return ToldNotice(
        id=row.id.hex(),
        order=row.order_id,
        parcel=row.parcel or None,
        moment=Moment(row.moment),
        occurrence=row.occurrence,
        correction=row.is_correction,
        at_ms=row.at_ms,
        told_ms=row.told_ms,
        sending=sending,
        sent_ms=row.sent_ms,
        error=row.error,
    )

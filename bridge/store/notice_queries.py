"""Reads of what customers were told."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, and_, func, not_, or_, select

from bridge.operations.notice_ports import NoticeCounts, Sending, ToldNotice
from bridge.store import tables as t
from bridge.store.sqlite import translated
from devices.protocol.states import Moment

_CURSOR = select(t.cursors.c.notice_no).where(t.cursors.c.name == "notices").scalar_subquery()
_ASIDE = t.notices.c.aside_ms.is_not(None)
_SENT = t.notices.c.sent_ms.is_not(None)
_WAITS = and_(t.notices.c.no > _CURSOR, not_(_SENT), not_(_ASIDE))
_IN_STATE = {Sending.SENT: _SENT, Sending.ASIDE: _ASIDE, Sending.WAITING: _WAITS, Sending.PUBLISHED: not_(or_(_SENT, _ASIDE, func.coalesce(_WAITS, False)))}


class NoticeQueries:
    """The reads of `operations.notice_ports.NoticeQueries`."""

    _reader: Engine

    def notices(self, *, order_id: str | None, sending: Sending | None, limit: int) -> list[ToldNotice]:
        query = select(t.notices, func.coalesce(_WAITS, False).label("waits")).order_by(t.notices.c.no.desc()).limit(limit)
        if order_id is not None:
            query = query.where(t.notices.c.order_id == order_id)
        if sending is not None:
            query = query.where(_IN_STATE[sending])
        with translated(), self._reader.connect() as connection:
            return [_told(row) for row in reversed(connection.execute(query).all())]

    def notice_counts(self) -> NoticeCounts:
        with translated(), self._reader.connect() as connection:
            waiting, oldest_ms = connection.execute(select(func.count(), func.min(t.notices.c.told_ms)).where(_WAITS)).one()
            aside = connection.execute(select(func.count()).where(_ASIDE)).scalar_one()
        return NoticeCounts(waiting=waiting, oldest_ms=oldest_ms, aside=aside)


def _told(row: Any) -> ToldNotice:
    if row.sent_ms is not None:
        sending = Sending.SENT
    elif row.aside_ms is not None:
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
        error=row.error or None,
    )

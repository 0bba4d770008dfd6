"""Notices: what customers are told of their orders, each once.

What was told can't be derived from the log: it happened. So a replay tells nothing, and keeps the rows. What is told follows from the order as it is, compared
with what was told before: the sequence in which events arrive, repeats and restarts do not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from bridge.domain.notice_texts import filled, values_of
from bridge.domain.notices import MOMENTS, NEVER_CORRECTED, Happened, NoticeRules, moments_of, worth_telling
from bridge.domain.order import Order
from bridge.ingest.batch import Batch, Ruled
from bridge.ingest.items import Message
from bridge.ingest.memory import OrderEntry
from bridge.ingest.relation import Origin, Relation, Update
from bridge.ingest.seam import Quiet, TopicFamily
from bridge.projections.orders import ORDER_READERS
from devices.protocol.vocabulary import EventType


class NoticeRow(NamedTuple):
    """Something that was told.

    `id` follows from order, parcel, moment, occurrence and whether it is a correction. `parcel` is empty for the whole order; `parcel_now` is how that parcel
    is called now: a late event may rename it. `nth` is the attempt that it is about. `stands` until it is corrected; a correction never does. `sent_ms` is
    when the receiver took it.
    """

    id: bytes
    order_id: str
    parcel: str
    parcel_now: str
    moment: str
    nth: int
    occurrence: int
    is_correction: bool
    stands: bool
    at_ms: int
    told_ms: int
    sent_ms: int | None = None


class AsideRow(NamedTuple):
    """A notice that was put aside because it could not be sent: `error` says why."""

    id: bytes
    order_id: str
    aside_ms: int
    error: str


NOTICES: Final = Relation(
    name="notices",
    row=NoticeRow,
    key=("no",),
    origin=Origin.KEPT,
    numbered=True,
    appends=True,
    # None on the ids: they are random, and each notice would write to another page of it.
    indexes=(("order_id",), ("told_ms",)),
    note="what customers were told, in this order",
)
NOTICES_ASIDE: Final = Relation(name="notices_aside", row=AsideRow, key=("id",), origin=Origin.KEPT, note="notices that could not be sent, and why")
_STANDS: Final = Update(NOTICES, ("stands",), ("order_id", "id"))
_RENAMED: Final = Update(NOTICES, ("parcel_now",), ("order_id", "id"))
_RENUMBERED: Final = Update(NOTICES, ("nth",), ("order_id", "id"))
_STOP_ARRIVED: Final = EventType.STOP_ARRIVED


class Notices(Quiet):
    """Tells each moment of an order once, and corrects once what turned out not to have happened."""

    relations = (NOTICES, NOTICES_ASIDE)
    topics = (TopicFamily("orders/+/notices", ORDER_READERS),)
    hears = frozenset({_STOP_ARRIVED})

    def __init__(self) -> None:
        self._arrived: dict[str, OrderEntry] = {}
        """Orders with a courier at a stop: a second arrival there changes nothing that is shown of them."""

    def forget(self) -> None:
        self._arrived = {}

    def rule(self, heard: Ruled, batch: Batch) -> None:
        for entry in heard.entries:
            self._arrived[entry.fold.id] = entry

    def finish(self, batch: Batch) -> None:
        arrived, self._arrived = self._arrived, {}
        rules = batch.rules.notices
        if rules is None or batch.is_replay:
            return
        for entry in {shown.entry.fold.id: shown.entry for shown in batch.shown_orders}.values():
            arrived.pop(entry.fold.id, None)
            _compare(batch, entry, rules)
        for entry in arrived.values():
            _compare(batch, entry, rules)
        for entry in batch.orders.values():
            if not entry.fold.exists and entry.rev:
                _compare(batch, entry, rules)  # its creation was voided

    def sweep(self, batch: Batch) -> None:
        if batch.rules.notices is not None and not batch.is_replay:
            before_ms = batch.now_ms - batch.rules.notices.keep_ms
            batch.tx.drop_before(NOTICES, "told_ms", before_ms)
            batch.tx.drop_before(NOTICES_ASIDE, "aside_ms", before_ms)


def _compare(batch: Batch, entry: OrderEntry, rules: NoticeRules) -> None:
    """Compare what is true of an order with what was told of it."""
    order = entry.fold.order
    moments = moments_of(order, entry.timed, batch.now_ms) if entry.fold.exists else {}
    if not moments and entry.told == []:
        return
    told = entry.told
    if told is None:
        told = entry.told = batch.tx.rows(NOTICES, order_id=order.id)
    standing, gone = _matched(batch, order.id, told, moments)
    if gone and entry.fold.exists:
        gone = _follow_renamed(batch, order, told, standing, gone, moments)
    for place in gone:
        _correct(batch, told, place, rules)
    for happened in worth_telling(moments):
        if happened not in standing and rules.tells(happened.moment, moments[happened], batch.now_ms):
            _tell(batch, order.id, told, happened, moments[happened], rules)


def _matched(batch: Batch, order_id: str, told: list[NoticeRow], moments: Mapping[Happened, int]) -> tuple[dict[Happened, int], list[int]]:
    """(the place in `told` of what stands, by what it is now; the places of what is gone).

    An event that comes late renumbers the attempts after it: what happened at the same time is the same.
    """
    by_time = {(happened.parcel, happened.moment, at_ms): happened for happened, at_ms in moments.items()}
    standing: dict[Happened, int] = {}
    left = []
    for place, row in enumerate(told):
        if not row.stands:
            continue
        same = by_time.get((row.parcel_now, MOMENTS[row.moment], row.at_ms))
        if same is None or same in standing:
            left.append(place)
            continue
        standing[same] = place
        if same.nth != row.nth:
            told[place] = row._replace(nth=same.nth)
            batch.writes.update(_RENUMBERED, same.nth, order_id, row.id)
    gone = []
    for place in left:
        happened = _told_of(told[place])
        if happened not in standing and (happened in moments or happened.moment in NEVER_CORRECTED):
            standing[happened] = place
        elif happened.moment not in NEVER_CORRECTED:
            gone.append(place)
    return standing, gone


def _told_of(row: NoticeRow) -> Happened:
    """What was told, under the name that its parcel has now."""
    return Happened(row.parcel_now, MOMENTS[row.moment], row.nth)


def _follow_renamed(
    batch: Batch, order: Order, told: list[NoticeRow], standing: dict[Happened, int], gone: list[int], moments: Iterable[Happened]
) -> list[int]:
    """Find what was told under a name that the order's parcels do not have any more: a parcel that a late event has named is the same parcel.

    Returns what is gone all the same.
    """
    new = [happened for happened in moments if happened not in standing]
    left = []
    for place in gone:
        happened = _told_of(told[place])
        same = next((n for n in new if (n.moment, n.nth) == (happened.moment, happened.nth)), None)
        if happened.parcel in order.parcels or same is None:
            left.append(place)
            continue
        new.remove(same)
        standing[same] = place
        told[place] = told[place]._replace(parcel_now=same.parcel)
        batch.writes.update(_RENAMED, same.parcel, order.id, told[place].id)
    return left


def _tell(batch: Batch, order_id: str, told: list[NoticeRow], happened: Happened, at_ms: int, rules: NoticeRules) -> None:
    parcel, moment = happened.parcel, happened.moment.value
    occurrence = 1 + sum(row.parcel == parcel and row.moment == moment and not row.is_correction for row in told)
    _add(batch, told, _row(order_id, happened, occurrence, at_ms, batch.now_ms), rules)


def _correct(batch: Batch, told: list[NoticeRow], place: int, rules: NoticeRules) -> None:
    row = told[place] = told[place]._replace(stands=False)
    batch.writes.update(_STANDS, False, row.order_id, row.id)
    happened = Happened(row.parcel, MOMENTS[row.moment], row.nth)
    _add(batch, told, _row(row.order_id, happened, row.occurrence, row.at_ms, batch.now_ms, is_correction=True), rules)


def _row(order_id: str, happened: Happened, occurrence: int, at_ms: int, now_ms: int, *, is_correction: bool = False) -> NoticeRow:
    parcel, moment, nth = happened
    key = "\0".join((order_id, parcel, moment, str(occurrence), "corrected" if is_correction else ""))
    return NoticeRow(
        id=hashlib.sha256(b"notice\0" + key.encode()).digest()[:16],
        order_id=order_id,
        parcel=parcel,
        parcel_now=parcel,
        moment=moment.value,
        nth=nth,
        occurrence=occurrence,
        is_correction=is_correction,
        stands=not is_correction,
        at_ms=at_ms,
        told_ms=now_ms,
    )


def _add(batch: Batch, told: list[NoticeRow], row: NoticeRow, rules: NoticeRules) -> None:
    told.append(row)
    batch.writes.rows(NOTICES).append(row)
    batch.published.append(Message(batch.topics.notices(row.order_id), batch.rules.encode(notice_plain(row, rules)), 1, False))


def notice_plain(row: NoticeRow, rules: NoticeRules) -> dict[str, Any]:
    """A notice as it is published, with keys in deterministic order."""
    values = values_of(row.order_id, row.parcel, row.at_ms, row.nth, rules.zone)
    moment = MOMENTS[row.moment]
    texts = {language: filled(wordings[moment], values, correction=row.is_correction) for language, wordings in rules.by_language}
    plain: dict[str, Any] = {"id": row.id, "at_ms": row.at_ms, "order": row.order_id, "texts": texts, "moment": row.moment}
    if row.parcel:
        plain["parcel"] = row.parcel
    if row.is_correction:
        plain["correction"] = True
    plain["occurrence"] = row.occurrence
    return plain

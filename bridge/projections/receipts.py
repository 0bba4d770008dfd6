"""Receipts: what the bridge answers each device about its events. The current receipt of an event is stored, and sent again if the event is repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from bridge.domain.facts import Verdict
from bridge.ingest.batch import Answer, Batch
from bridge.ingest.items import Message
from bridge.ingest.log import PLAIN
from bridge.ingest.receipt import NO_SHELVES, Shelf, ShelfOf, once_more, receipt_cbor
from bridge.ingest.relation import Origin, Relation
from bridge.ingest.seam import Quiet, TopicFamily
from devices.protocol.messages import WARNS_MAX
from devices.protocol.vocabulary import Warn


class ReceiptRow(NamedTuple):
    """The current receipt of the event at `pos`, the nth that was sent for it."""

    pos: int
    device: str
    n: int
    outcome: str
    reason: str | None
    payload: bytes


RECEIPTS: Final = Relation(name="receipts", row=ReceiptRow, key=("pos",), origin=Origin.DERIVED, note="derived: the receipt that holds for each event")


class Receipts(Quiet):
    """Sends a receipt for each event of the batch, then one for each earlier event whose verdict changed."""

    relations = (RECEIPTS,)
    topics = (TopicFamily("devices/+/receipts"),)

    def finish(self, batch: Batch) -> None:
        rows = batch.writes.rows(RECEIPTS)
        outcomes = batch.outcomes
        written: dict[int, bytes] = {}
        shelf_of = batch.shelf_of()
        lefts: dict[str, Sequence[tuple[str, int]]] = {}
        topics: dict[str, str] = {}
        for answer in batch.answers:
            if answer is None:
                outcomes.append(b"")
                continue
            if isinstance(answer, Answer):
                receipt = written.get(answer.event.pos)
                if receipt is None:
                    receipt = written[answer.event.pos] = _write(batch, rows, answer, _left(lefts, answer), shelf_of)
                else:
                    receipt = once_more(receipt)
                device = answer.event.device
            else:
                device, receipt = answer
            _send(batch, topics, device, receipt)
            outcomes.append(receipt)
        for answer in batch.revised.values():
            _send(batch, topics, answer.event.device, _write(batch, rows, answer, _left(lefts, answer), shelf_of))


def _left(lefts: dict[str, Sequence[tuple[str, int]]], answer: Answer) -> Sequence[tuple[str, int]]:
    """What is left to pick, if a receipt lists it. It is the same for all of a batch: an order's lines are counted once."""
    if not answer.left or answer.entry is None:
        return ()
    order_id = answer.entry.fold.id
    left = lefts.get(order_id)
    if left is None:
        left = lefts[order_id] = answer.entry.fold.order.left_to_pick()
    return left


def _write(batch: Batch, rows: list[ReceiptRow], answer: Answer, left: Sequence[tuple[str, int]], shelf_of: ShelfOf | None) -> bytes:
    """Store a receipt, and return what is sent. It is encoded once for both, unless the site's articles say where the lines left are found, or the database
    was restored once: that is only sent, because a replay can't know it."""
    verdict = answer.verdict
    if (doubt := answer.doubt) is not None:
        verdict = verdict._replace(warn=(*verdict.warn, *map(Warn, doubt.split()))[:WARNS_MAX])
    receipt = _encoded(batch, answer, verdict, left)
    reason = PLAIN[verdict.reason] if verdict.reason is not None else None
    rows.append(ReceiptRow(answer.event.pos, answer.event.device, answer.n, PLAIN[verdict.outcome], reason, receipt))
    epoch = batch.rules.epoch
    if not epoch and (not left or shelf_of is None):
        return receipt
    shelves = {sku: shelf for sku, _ in left if (shelf := shelf_of(sku)) is not None} if shelf_of is not None else NO_SHELVES
    return _encoded(batch, answer, verdict, left, shelves, epoch)


def _encoded(
    batch: Batch, answer: Answer, verdict: Verdict, left: Sequence[tuple[str, int]], shelves: Mapping[str, Shelf] = NO_SHELVES, epoch: int = 0
) -> bytes:
    entry = answer.entry
    return receipt_cbor(
        n=answer.n,
        event_type=answer.event.type,
        event_id=answer.event.id,
        log=answer.event.log,
        seq=answer.event.seq,
        verdict=verdict,
        at_ms=batch.now_ms,
        order_id=entry.fold.id if entry is not None else None,
        rev=entry.rev if entry is not None else 0,
        left=left,
        shelves=shelves,
        detail=answer.detail or (_holds_that_stand(answer) if verdict.warn else None),
        quiet=answer.n > 1 and _is_quiet(batch, answer),
        epoch=epoch,
    )


def _holds_that_stand(answer: Answer) -> str | None:
    """The reasons that a release has to choose from, if it lifted too little."""
    if Warn.STILL_HELD not in answer.verdict.warn or answer.entry is None:
        return None
    return f"still on hold for {', '.join(sorted(answer.entry.fold.order.holds))}"


def _is_quiet(batch: Batch, answer: Answer) -> bool:
    """Whether a changed verdict comes too late for a beep: long after the event, or in another shift than the event's."""
    return batch.now_ms - answer.event.event_ms > batch.rules.quiet_after_ms or batch.device(answer.event.device).shift_ms > answer.event.event_ms


def _send(batch: Batch, topics: dict[str, str], device: str, receipt: bytes) -> None:
    topic = topics.get(device)
    if topic is None:
        topic = topics[device] = batch.topics.receipts(device)
    batch.published.append(Message(topic, batch.encoded(receipt), 1, False))

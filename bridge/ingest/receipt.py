"""Receipts as they are sent and stored, joined from pieces that are encoded once. Keys are in deterministic order (RFC 8949 §4.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import cbor2

from bridge.domain.encoding import FALSE, TRUE, array, in_order, integer, map_head, text
from bridge.domain.facts import Verdict, tone_of
from bridge.ingest.epochs import in_epoch
from devices.protocol import messages
from devices.protocol.bodies import Body
from devices.protocol.messages import Event, PayloadError
from devices.protocol.vocabulary import EventType, Next, Outcome, Reason, Warn

DETAIL_CHARS_MAX: Final = 200


class Shelf(NamedTuple):
    """Where an article is found, and what it is called, for the person who picks it."""

    bin: str | None
    name: str | None


NO_SHELVES: Final[Mapping[str, Shelf]] = {}


class _Words(NamedTuple):
    """The encoded part of a receipt that depends on the event's type and the verdict: the number of keys, and their pieces in order."""

    keys: int
    next_tone_type_warn: bytes
    final: bytes
    reason_outcome: bytes


@lru_cache(4_096)
def _words(event_type: str, outcome: Outcome, reason: Reason | None, warn: tuple[Warn, ...], next_step: Next | None) -> _Words:
    tone = tone_of(Verdict(outcome, reason, warn, next_step))
    first = {"next": next_step} if next_step is not None else {}
    last = {"reason": reason} if reason is not None else {}
    return _Words(
        4 + len(first) + len(last) + bool(warn),
        b"".join(text(k) + text(v) for k, v in (first | {"tone": tone, "type": event_type}).items())
        + (text("warn") + array([text(w) for w in warn]) if warn else b""),
        text("final") + (FALSE if outcome is Outcome.PARKED else TRUE),
        b"".join(text(k) + text(v) for k, v in last.items()) + text("outcome") + text(outcome),
    )


def receipt_cbor(
    *,
    n: int,
    event_type: str,
    event_id: bytes,
    log: bytes,
    seq: int,
    verdict: Verdict,
    at_ms: int,
    order_id: str | None,
    rev: int = 0,
    left: Sequence[tuple[str, int]] = (),
    shelves: Mapping[str, Shelf] = NO_SHELVES,
    detail: str | None = None,
    quiet: bool = False,
    epoch: int = 0,
) -> bytes:
    """Encode a `Receipt` in CBOR, with keys in deterministic order."""
    outcome, reason, warn, next_step, state, parcel, carrier = verdict
    keys, next_tone_type_warn, final, reason_outcome = _words(event_type, outcome, reason, warn, next_step)
    keys += 5
    pieces = [b"", _FIRST if n == 1 else _N + integer(n), _ID, event_id, _LOG, log]
    if rev:
        keys += 1
        pieces += (_REV, integer(rev))
    pieces += (_SEQ, integer(seq))
    if left:
        keys += 1
        pieces += (_LEFT, array([_left(sku, qty, shelves.get(sku)) for sku, qty in left]))
    pieces += (next_tone_type_warn, _at(at_ms))
    if epoch:
        keys += 1
        pieces += (_EPOCH, integer(epoch))
    pieces.append(final)
    if order_id is not None:
        keys += 1
        pieces += (_ORDER, text(order_id))
    if quiet:
        keys += 1
        pieces += (_QUIET, TRUE)
    if order_id is not None and state is not None:
        keys += 1
        pieces += (_STATE, text(state))
    if detail:
        keys += 1
        pieces += (_DETAIL, text(detail[:DETAIL_CHARS_MAX]))
    if parcel is not None:
        keys += 1
        pieces += (_PARCEL, text(parcel))
    pieces.append(reason_outcome)
    if carrier is not None:
        keys += 1
        pieces += (_EXPECTED_CARRIER, text(carrier))
    pieces[0] = map_head(keys)
    return b"".join(pieces)


@lru_cache(16)
def _at(at_ms: int) -> bytes:
    """Cached, because all receipts of a batch have the same time."""
    return _AT_MS + integer(at_ms)


_N, _REV, _SEQ, _LEFT = map(text, ("n", "rev", "seq", "left"))
_FIRST: Final = _N + integer(1)
_ID: Final = text("id") + b"\x50"
_LOG: Final = text("log") + b"\x48"
"""The key, and the head of the byte string of 16 (ids) or 8 (logs) that follows."""
_AT_MS, _ORDER, _QUIET, _STATE, _EPOCH, _DETAIL, _PARCEL = map(text, ("at_ms", "order", "quiet", "state", "epoch", "detail", "parcel"))
_EXPECTED_CARRIER: Final = text("expected") + map_head(1) + text("carrier")
_BIN, _QTY, _SKU, _NAME = map(text, ("bin", "qty", "sku", "name"))
_PLAIN_LEFT = map_head(2) + _QTY


@lru_cache(4_096)
def _left(sku: str, qty: int, shelf: Shelf | None) -> bytes:
    """One line. Cached, because it is told again with every pick until it is picked."""
    if shelf is None:
        return b"".join((_PLAIN_LEFT, integer(qty), _SKU, text(sku)))
    place = (_BIN, text(shelf.bin)) if shelf.bin else ()
    name = (_NAME, text(shelf.name)) if shelf.name else ()
    return b"".join((map_head(2 + bool(place) + bool(name)), *place, _QTY, integer(qty), _SKU, text(sku), *name))


FROZEN: Final = tuple(name for name in Event.__struct_fields__ if name not in ("sent_boot", "sent_mono_ms", "tz_min", "by"))
"""What makes an event the same event when it is sent again. Unknown fields and the encoding do not matter either."""
_FROZEN_OF_SHIFT: Final = tuple(name for name in FROZEN if name != "body")
"""The same of `shift_started`: its body has a badge and nothing else, and a pseudonym is stored in its place."""


def same_content(stored: bytes, sent: bytes, event: Event[Body], event_type: EventType) -> bool:
    """Whether an event that is sent again is the stored one. `event` is what was sent, decoded; both have the type `event_type`."""
    if stored == sent:
        return True
    try:
        known = messages.decode_event(stored, event_type)
    except PayloadError:  # an earlier edition of the contract took it: what this one takes is another event
        return False
    frozen = _FROZEN_OF_SHIFT if event_type is EventType.SHIFT_STARTED else FROZEN
    return all(getattr(known, name) == getattr(event, name) for name in frozen)


ShelfOf = Callable[[str], Shelf | None]


def once_more(receipt: bytes, shelf_of: ShelfOf | None = None, *, epoch: int = 0) -> bytes:
    """Mark a receipt as repeated, with keys in deterministic order again. `shelf_of` adds where the lines left to pick are found."""
    plain = in_epoch({**cbor2.loads(receipt), "again": True}, epoch)
    if shelf_of is not None and "left" in plain:
        plain["left"] = [in_order({**line, **_named(shelf_of(line["sku"]))}) for line in plain["left"]]
    return cbor2.dumps(in_order(plain))


def _named(shelf: Shelf | None) -> dict[str, str]:
    return {} if shelf is None else {name: value for name, value in shelf._asdict().items() if value}

"""What an order shows: the fold's output as CBOR, its hash, and the retained payloads.

Keys are in deterministic order (RFC 8949 §4.2.1: shorter keys first, then bytewise). A test compares each payload with the canonical encoder.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Final

import cbor2

from bridge.domain.encoding import EMPTY_ARRAY, TRUE, array, integer, map_head, text, words
from bridge.domain.lifecycle import LATE_RISK_SHARE, ORDER_RANK, RANK
from bridge.domain.order import Order, Parcel
from bridge.domain.order.loading import is_with_carriers
from bridge.domain.order.promise import ship_by
from bridge.domain.order.sending import NOTHING, Sending, sending_of
from devices.protocol.bridge_messages import HOLDS_MAX
from devices.protocol.vocabulary import ORDER_STATE_WORDS, EventType, Flag, OrderState, ParcelState, Waypoint

_PACKED = RANK[ParcelState.PACKED]
_SHIPPED = RANK[ParcelState.SHIPPED]
_EXCEPTIONS: Final = frozenset({ParcelState.LOST, ParcelState.DESTROYED, ParcelState.ATTEMPT_FAILED})
SETTLED: Final = frozenset(
    {OrderState.DELIVERED, OrderState.COMPLETED, OrderState.CANCELLED, OrderState.RETURNED, OrderState.EXCEPTION},
)
"""States in which no more work on the order is expected."""


def digest8(data: bytes) -> bytes:
    """The first 8 bytes of SHA-256."""
    return hashlib.sha256(data).digest()[:8]


def flags_of(order: Order) -> set[Flag]:
    """The flags of the order itself and those of its parcels."""
    flags = set(order.flags)
    for parcel in order.parcels.values():
        flags |= parcel.flags
    return flags


def timed_flags(
    order: Order, *, now_ms: int, silent_after_ms: int, carrier_silent_after_ms: int | None = None, late_risk_before_ms: int = 0
) -> tuple[list[Flag], int | None]:
    """(the flags that only the passing of time sets, when the next of them is due). They are published, but are not part of the hash.

    `late_risk` is set before the promise is broken: by the whole lead if the order is still in the warehouse, by less the nearer it is. It is also set when
    an order is still there although it had to leave. `carrier_silent_after_ms` holds for an order that carriers have: they may send no scans of theirs.
    """
    if order.created is None or order.state in SETTLED:
        return [], None
    limits: list[tuple[int, Flag]] = []
    if order.created.promise_ms is not None:
        lead_ms = int(late_risk_before_ms * LATE_RISK_SHARE[order.state])
        limits.append((order.created.promise_ms - lead_ms, Flag.LATE_RISK))
    if ORDER_RANK.get(order.state, 0) >= ORDER_RANK[OrderState.SHIPPED]:
        after_ms = carrier_silent_after_ms if carrier_silent_after_ms is not None and is_with_carriers(order) else silent_after_ms
        limits.append((order.last[1] + after_ms, Flag.SILENT))
    elif (leave_ms := ship_by(order)) is not None:
        limits.append((leave_ms, Flag.LATE_RISK))
    flags = dict.fromkeys(flag for at_ms, flag in limits if at_ms < now_ms)
    return list(flags), min((at_ms + 1 for at_ms, _ in limits if at_ms >= now_ms), default=None)


def _milestones(reached: dict[Any, tuple[int, bool]]) -> bytes:
    rows = sorted(reached.items(), key=_by_time) if len(reached) > 1 else reached.items()
    return array([_milestone(s, at, inferred) for s, (at, inferred) in rows])


@lru_cache(maxsize=65_536)
def _milestone(state: str, at_ms: int, inferred: bool) -> bytes:
    """One milestone. Cached, because it is published again with each later state of its order."""
    if inferred:
        return b"".join((map_head(3), _AT_MS, integer(at_ms), _STATE, _WORDS[state], _INFERRED, TRUE))
    return b"".join((map_head(2), _AT_MS, integer(at_ms), _STATE, _WORDS[state]))


def _by_time(row: tuple[Any, tuple[int, bool]]) -> tuple[int, int]:
    return (row[1][0], _PLACES[row[0]])


_PLACES: Final[dict[Any, int]] = dict.fromkeys((*ParcelState, *OrderState, *Waypoint), 200) | {**RANK} | {**ORDER_RANK}
"""Milestones of the same moment are sorted by rank. States off the forward path come last."""


def _progress(order: Order) -> bytes:
    packed = shipped = delivered = exceptions = 0
    for parcel in order.parcels.values():
        rank = RANK.get(parcel.state)
        if rank is not None:
            packed += rank >= _PACKED
            shipped += rank >= _SHIPPED
            delivered += parcel.state is ParcelState.DELIVERED
        elif parcel.state is ParcelState.RETURNING:
            packed += 1
            shipped += 1
        exceptions += parcel.state in _EXCEPTIONS or Flag.DAMAGED in parcel.flags
    numbers = (_PACKED_KEY, integer(packed), _PARCELS, integer(len(order.parcels)), _SHIPPED_KEY, integer(shipped))
    return b"".join((map_head(5), *numbers, _DELIVERED_KEY, integer(delivered), _EXCEPTIONS_KEY, integer(exceptions)))


def _flags(flags: set[Flag]) -> bytes:
    return array([_WORDS[f] for f in sorted(flags)]) if flags else EMPTY_ARRAY


def _parcel_fields(parcel: Parcel, codes: list[str], order_id: bytes, sending: Sending) -> tuple[int, bytes, bytes]:
    """(number of fields, the fields as CBOR before and after the place of `epoch`) of a parcel's part of the fold's output."""
    where = (_WHERE, text(parcel.where)) if parcel.where is not None else ()
    borne = (_CODES, array([text(code) for code in codes])) if codes else ()
    attempts = (_ATTEMPTS, integer(parcel.attempts)) if parcel.attempts else ()
    state = (_FLAGS, _flags(parcel.flags), _ORDER, order_id, _STATE, _WORDS[parcel.state])
    rest: tuple[bytes, ...] = (_PARCEL, text(parcel.id))
    count = 6 + (parcel.where is not None) + bool(codes) + (parcel.attempts > 0)
    if sending is NOTHING:
        rest = (*rest, *attempts)
    else:
        carrier, service, tracking = sending
        by = (*_optional(_CARRIER, carrier), *_optional(_SERVICE, service))
        rest = (*rest, *by, *attempts, *_optional(_TRACKING, tracking))
        count += sum(word is not None for word in sending)
    rest = (*rest, _MILESTONES, _milestones(parcel.milestones))
    return count, b"".join((_AT_MS, integer(parcel.at_ms), *borne)), b"".join((*state, *where, *rest))


def _optional(key: bytes, value: str | None) -> tuple[bytes, ...]:
    return (key, text(value)) if value is not None else ()


class OrderView:
    """An order's output, with its hash and those of its parcels.

    `core` is what two machines must agree on. The hash is the first 8 bytes of SHA-256 over its CBOR. The payloads of the status topics hold the same
    fields with `rev` and times added. Each field is encoded once, and the payloads are joined from these pieces.
    """

    __slots__ = ("_cores", "_holds", "_middle", "_parcels", "_start", "_state", "flags", "hash", "parcels")

    def __init__(self, order: Order) -> None:
        order_id = text(order.id)
        self._parcels: dict[str, tuple[int, bytes, bytes]] = {}
        self.parcels: dict[str, bytes] = {}
        """The hash of each parcel."""
        encoded = []
        for parcel in sorted(order.parcels.values(), key=_by_id) if len(order.parcels) > 1 else order.parcels.values():
            fields = self._parcels[parcel.id] = _parcel_fields(parcel, order.codes(parcel), order_id, sending_of(order, parcel))
            core = map_head(fields[0]) + fields[1] + fields[2]
            encoded.append(core)
            self.parcels[parcel.id] = digest8(core)
        last, last_ms = order.last
        self._start = b"".join((_LAST, map_head(2), _TYPE, _WORDS.get(last) or text(last), _AT_MS, integer(last_ms), _AT_MS, integer(order.changed_ms)))
        self.flags = flags_of(order)
        self._holds = b"".join((_HOLDS, array([text(h) for h in sorted(order.holds)[:HOLDS_MAX]]))) if order.holds else b""
        self._state = b"".join((_ORDER, order_id, _STATE, _WORDS[order.state_word]))
        self._middle = b"".join((_PERCENT, integer(order.percent()), _PROGRESS, _progress(order), _MILESTONES, _milestones(order.milestones)))
        self._cores = b"".join((_PARCELS, array(encoded)))
        self.hash = digest8(self._core())

    def _core(self) -> bytes:
        return b"".join((map_head(9 + bool(self._holds)), self._start, _FLAGS, _flags(self.flags), self._holds, self._state, self._cores, self._middle))

    @property
    def core(self) -> dict[str, Any]:
        """The output as plain data."""
        plain: dict[str, Any] = cbor2.loads(self._core())
        return plain

    def status_cbor(self, *, rev: int, updated_ms: int, timed: list[Flag], epoch: int = 0) -> bytes:
        """`OrderStatus` as CBOR."""
        flags = _flags(self.flags.union(timed) if timed else self.flags)
        first = (map_head(11 + bool(self._holds) + bool(epoch)), _REV, integer(rev), _HASH, self.hash)
        in_epoch = (_EPOCH, integer(epoch)) if epoch else ()
        return b"".join((*first, self._start, *in_epoch, _FLAGS, flags, self._holds, self._state, self._middle, _UPDATED_MS, integer(updated_ms)))

    def parcel_status_cbor(self, parcel_id: str, *, rev: int, epoch: int = 0) -> bytes:
        """`ParcelStatus` as CBOR."""
        count, before, after = self._parcels[parcel_id]
        in_epoch = (_EPOCH, integer(epoch)) if epoch else ()
        return b"".join((map_head(count + 2 + bool(epoch)), _REV, integer(rev), _HASH, self.parcels[parcel_id], before, *in_epoch, after))


def _by_id(parcel: Parcel) -> str:
    return parcel.id


_WORDS: Final = words(ParcelState, OrderState, Waypoint, Flag, EventType) | {word: text(word) for word in ORDER_STATE_WORDS}
_AT_MS, _CODES, _FLAGS, _ORDER, _STATE, _WHERE, _TYPE, _LAST = map(text, ("at_ms", "codes", "flags", "order", "state", "where", "type", "last"))
_PARCEL, _PARCELS, _MILESTONES, _INFERRED, _PERCENT, _PROGRESS = map(text, ("parcel", "parcels", "milestones", "inferred", "percent", "progress"))
_PACKED_KEY, _SHIPPED_KEY, _DELIVERED_KEY, _EXCEPTIONS_KEY = map(text, ("packed", "shipped", "delivered", "exceptions"))
_CARRIER, _SERVICE, _TRACKING = map(text, ("carrier", "service", "tracking"))
_REV, _UPDATED_MS, _HOLDS, _ATTEMPTS, _EPOCH = map(text, ("rev", "updated_ms", "holds", "attempts", "epoch"))
_HASH: Final = text("hash") + b"\x48"
"""The key, and the head of the byte string of 8 that follows."""

"""What an order shows: the fold's output as plain maps, its hash, and the retained payloads.

Maps are built with their keys already in deterministic order (RFC 8949 §4.2.1: shorter keys first, then bytewise), because sorting them on every
encode costs three times the encoding itself; a test compares each with the canonical encoder.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import cbor2

from bridge.domain.lifecycle import ORDER_RANK, RANK
from bridge.domain.order import Order, Parcel
from devices.protocol.vocabulary import Flag, OrderState, ParcelState, Waypoint

_PACKED = RANK[ParcelState.PACKED]
_SHIPPED = RANK[ParcelState.SHIPPED]
_EXCEPTIONS: Final = frozenset({ParcelState.LOST, ParcelState.DESTROYED, ParcelState.ATTEMPT_FAILED})
SETTLED: Final = frozenset(
    {OrderState.DELIVERED, OrderState.COMPLETED, OrderState.CANCELLED, OrderState.RETURNED, OrderState.EXCEPTION},
)
"""States in which nothing more is expected of anybody here."""

encode = cbor2.dumps
"""Only for maps whose keys stand in deterministic order already."""


def digest8(data: bytes) -> bytes:
    """The first 8 bytes of SHA-256."""
    return hashlib.sha256(data).digest()[:8]


def flags_of(order: Order) -> set[Flag]:
    """The order's own flags and those of its parcels."""
    flags = set(order.flags)
    for parcel in order.parcels.values():
        flags |= parcel.flags
    return flags


def timed_flags(order: Order, *, now_ms: int, silent_after_ms: int) -> tuple[list[Flag], int | None]:
    """(the flags that only the passing of time sets, when the next of them comes). They are published, and are no part of the hash."""
    if order.created is None or order.state in SETTLED:
        return [], None
    limits: list[tuple[int, Flag]] = []
    if order.created.promise_ms is not None:
        limits.append((order.created.promise_ms, Flag.LATE_RISK))
    if ORDER_RANK.get(order.state, 0) >= ORDER_RANK[OrderState.SHIPPED]:
        limits.append((order.last[1] + silent_after_ms, Flag.SILENT))
    return [flag for at_ms, flag in limits if at_ms < now_ms], min((at_ms + 1 for at_ms, _ in limits if at_ms >= now_ms), default=None)


def _milestones(reached: dict[Any, tuple[int, bool]]) -> list[dict[str, Any]]:
    rows = sorted(reached.items(), key=_by_time) if len(reached) > 1 else reached.items()
    return [{"at_ms": at, "state": s, "inferred": True} if inferred else {"at_ms": at, "state": s} for s, (at, inferred) in rows]


def _by_time(row: tuple[Any, tuple[int, bool]]) -> tuple[int, int]:
    return (row[1][0], _PLACES[row[0]])


_PLACES: Final[dict[Any, int]] = dict.fromkeys((*ParcelState, *OrderState, *Waypoint), 200) | {**RANK} | {**ORDER_RANK}
"""Milestones of the same moment stand by rank; states beside the way come last."""


def _progress(order: Order) -> dict[str, int]:
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
    return {"packed": packed, "parcels": len(order.parcels), "shipped": shipped, "delivered": delivered, "exceptions": exceptions}


def parcel_core(parcel: Parcel, order_id: str) -> dict[str, Any]:
    """A parcel's part of the fold's output."""
    core: dict[str, Any] = {"at_ms": parcel.at_ms, "flags": sorted(parcel.flags), "order": order_id, "state": parcel.state}
    if parcel.where is not None:
        core["where"] = parcel.where
    core["parcel"] = parcel.id
    core["milestones"] = _milestones(parcel.milestones)
    return core


class OrderView:
    """An order's output, with its hash and those of its parcels.

    `core` is what two machines must agree on; the hash is the first 8 bytes of SHA-256 over its CBOR. The payloads of the status topics hold the same
    fields with `rev` and times added, so that each field is encoded once and the pieces are put together: half the time of encoding every map anew.
    """

    __slots__ = ("_front", "_middle", "_parcel_bytes", "core", "hash", "parcels")

    def __init__(self, order: Order) -> None:
        self.parcels: dict[str, tuple[dict[str, Any], bytes]] = {}
        self._parcel_bytes: dict[str, bytes] = {}
        cores = []
        for parcel in sorted(order.parcels.values(), key=_by_id) if len(order.parcels) > 1 else order.parcels.values():
            core = parcel_core(parcel, order.id)
            encoded = encode(core)
            cores.append(core)
            self._parcel_bytes[parcel.id] = encoded
            self.parcels[parcel.id] = (core, digest8(encoded))
        front: dict[str, Any] = {
            "last": {"type": order.last[0], "at_ms": order.last[1]},
            "at_ms": order.changed_ms,
            "flags": sorted(flags_of(order)),
            "order": order.id,
            "state": order.state_word,
        }
        middle: dict[str, Any] = {"percent": order.percent(), "progress": _progress(order), "milestones": _milestones(order.milestones)}
        self._front = encode(front)
        self._middle = encode(middle)
        self.core: dict[str, Any] = {**front, "parcels": cores, **middle}
        parcels = b"".join([_PARCELS, _head(0x80, len(cores)), *self._parcel_bytes.values()])
        self.hash = digest8(b"".join((_head(0xA0, len(self.core)), self._front[1:], parcels, self._middle[1:])))

    def status(self, *, rev: int, updated_ms: int, timed: list[Flag]) -> dict[str, Any]:
        """The plain `OrderStatus`."""
        core = self.core
        return {
            "rev": rev,
            "hash": self.hash,
            "last": core["last"],
            "at_ms": core["at_ms"],
            "flags": sorted({*core["flags"], *timed}) if timed else core["flags"],
            "order": core["order"],
            "state": core["state"],
            "percent": core["percent"],
            "progress": core["progress"],
            "milestones": core["milestones"],
            "updated_ms": updated_ms,
        }

    def status_cbor(self, *, rev: int, updated_ms: int, timed: list[Flag]) -> bytes:
        """`status` as CBOR."""
        if timed:
            return encode(self.status(rev=rev, updated_ms=updated_ms, timed=timed))
        first = encode({"rev": rev, "hash": self.hash})
        return b"".join((_head(0xA0, 11), first[1:], self._front[1:], self._middle[1:], _UPDATED, encode(updated_ms)))

    def parcel_status(self, parcel_id: str, *, rev: int) -> dict[str, Any]:
        """The plain `ParcelStatus`."""
        core, digest = self.parcels[parcel_id]
        return {"rev": rev, "hash": digest, **core}

    def parcel_status_cbor(self, parcel_id: str, *, rev: int) -> bytes:
        """`parcel_status` as CBOR."""
        core, digest = self.parcels[parcel_id]
        return b"".join((_head(0xA0, len(core) + 2), encode({"rev": rev, "hash": digest})[1:], self._parcel_bytes[parcel_id][1:]))


def _head(major: int, length: int) -> bytes:
    """The head of a map (0xA0) or array (0x80) of this length (RFC 8949 §3)."""
    if length < 24:
        return bytes((major | length,))
    return bytes((major | 24, length)) if length < 256 else bytes((major | 25, length >> 8, length & 255))


_PARCELS: Final = encode("parcels")
_UPDATED: Final = encode("updated_ms")


def _by_id(parcel: Parcel) -> str:
    return parcel.id

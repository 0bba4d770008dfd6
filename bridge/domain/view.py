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
from devices.protocol.vocabulary import Flag, OrderState, ParcelState

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
    rows = sorted(reached.items(), key=_by_time)
    return [{"at_ms": at, "state": s.value, "inferred": True} if inferred else {"at_ms": at, "state": s.value} for s, (at, inferred) in rows]


def _by_time(row: tuple[Any, tuple[int, bool]]) -> tuple[int, int]:
    state, (at_ms, _) = row
    rank = ORDER_RANK.get(state) if isinstance(state, OrderState) else RANK.get(state)
    return (at_ms, 200 if rank is None else rank)


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
    core: dict[str, Any] = {"at_ms": parcel.at_ms, "flags": sorted(parcel.flags), "order": order_id, "state": parcel.state.value}
    if parcel.where is not None:
        core["where"] = parcel.where
    core["parcel"] = parcel.id
    core["milestones"] = _milestones(parcel.milestones)
    return core


def order_core(order: Order, parcels: list[dict[str, Any]]) -> dict[str, Any]:
    """The fold's output: what two machines must agree on."""
    return {
        "last": {"type": order.last[0], "at_ms": order.last[1]},
        "at_ms": order.changed_ms,
        "flags": sorted(flags_of(order)),
        "order": order.id,
        "state": order.state_word,
        "parcels": parcels,
        "percent": order.percent(),
        "progress": _progress(order),
        "milestones": _milestones(order.milestones),
    }


class OrderView:
    """An order's output with its hashes; `status` and `parcel_status` add what is no part of them."""

    __slots__ = ("core", "hash", "parcels")

    def __init__(self, order: Order) -> None:
        parcels = sorted(order.parcels.values(), key=_by_id)
        cores = [parcel_core(p, order.id) for p in parcels]
        self.core = order_core(order, cores)
        self.hash = digest8(encode(self.core))
        self.parcels = {core["parcel"]: (core, digest8(encode(core))) for core in cores}

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

    def parcel_status(self, parcel_id: str, *, rev: int) -> dict[str, Any]:
        """The plain `ParcelStatus`."""
        core, digest = self.parcels[parcel_id]
        return {"rev": rev, "hash": digest, **core}


def _by_id(parcel: Parcel) -> str:
    return parcel.id

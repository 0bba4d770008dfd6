"""References: what an event can wait for."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class RefKind(StrEnum):
    """What a reference names."""

    ORDER = "order"
    CODE = "code"
    """The normal form of a label."""
    EVENT = "event"
    """An event id, in hex."""


class Ref(NamedTuple):
    """An order, a code or an event, by its name."""

    kind: RefKind
    name: str


def order_ref(order_id: str) -> Ref:
    """The order itself: what waits for it waits for its creation."""
    return Ref(RefKind.ORDER, order_id)


def code_ref(code: str) -> Ref:
    """The parcel that bears a code."""
    return Ref(RefKind.CODE, code)


def event_ref(event_id: bytes) -> Ref:
    """An event, from any device."""
    return Ref(RefKind.EVENT, event_id.hex())

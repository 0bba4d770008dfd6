"""What is kept about one person: the answer to whoever asks for it (GDPR Art. 15 and 20)."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from bridge.operations import contacts, forgetting
from bridge.operations.contacts import ContactShown
from bridge.operations.ports import SiteContext, SiteReader
from devices.protocol.vocabulary import EventType

EVENTS_MAX: Final = 10_000
"""Events of one order that an export has."""


class EventKept(Struct, frozen=True, kw_only=True):
    """An event about an order: what happened, when, and where."""

    type: str
    at_ms: int
    place: str | None
    received_ms: int


class OrderKept(Struct, frozen=True, kw_only=True):
    """Everything that is kept about an order: its status as it is published, and what happened to it."""

    contact: ContactShown
    status: dict[str, Any] | None
    parcels: list[dict[str, Any]]
    events: list[EventKept]


class Subject(Struct, frozen=True, kw_only=True):
    """What is kept about a customer."""

    made_ms: int
    orders: list[OrderKept]


class LegalHold(Struct, frozen=True, kw_only=True):
    """An order that must not be forgotten, and since when."""

    order: str
    since_ms: int


async def export_subject(site: SiteContext, order: str | None = None, phone: str | None = None, reason: str = "") -> Subject:
    """Everything that is kept about an order's customer, or about the customer with a telephone number.

    Raises:
        NotFound: if there is no such order, or no order has this number.
        Refused: if it is not said who is meant.
    """
    orders = await forgetting.orders_of(site, order, phone)
    return Subject(made_ms=site.clock.now_ms(), orders=[_kept(site, each) for each in orders])


async def legal_holds(site: SiteReader) -> list[LegalHold]:
    """The orders under legal hold."""
    return [LegalHold(order=row.order_id, since_ms=row.at_ms) for row in site.queries.legal_holds()]


def _kept(site: SiteReader, order: str) -> OrderKept:
    found = site.queries.order(order)
    rows = site.queries.events(order_id=order, device=None, event_type=None, outcome=None, limit=EVENTS_MAX)
    events = [
        EventKept(type=row["type"], at_ms=row["event_ms"], place=row["at"], received_ms=row["received_ms"])
        for row in reversed(rows)
        if row["type"] in _EVENT_TYPES
    ]
    return OrderKept(
        contact=contacts.shown(site, order),
        status=_plain(found["status"]) if found is not None else None,
        parcels=[_plain(parcel) for parcel in found["parcels"]] if found is not None else [],
        events=events,
    )


_EVENT_TYPES: Final = frozenset(EventType)


def _plain(status: dict[str, Any]) -> dict[str, Any]:
    """A status as JSON can hold it."""
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in status.items()}

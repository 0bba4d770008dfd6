"""Who gets an order, and what people have written about it. Whoever looks is in the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from bridge.errors import Refused
from bridge.ingest.sealing import LAST, LAST_DIGITS, PHONE, SURNAME, about_event, digits_of, hashes_sought, surname_of
from bridge.operations import events
from bridge.operations.names import check_order
from bridge.operations.ports import SiteContext, SiteReader
from bridge.operations.privacy_ports import SealedPart
from devices.protocol.choices import Audience
from devices.protocol.messages import Receipt, load
from devices.protocol.vocabulary import EventType, Outcome

ORDERS_MAX: Final = 100
"""Orders that a search finds."""
ORDERS_OF_ONE_MAX: Final = 100_000
"""Orders of one customer that are forgotten or exported at once."""


class Note(Struct, frozen=True, kw_only=True):
    """A note: when it was written, for whom, and what it says."""

    at_ms: int
    audience: Audience
    text: str


class ContactShown(Struct, frozen=True, kw_only=True):
    """Who gets an order, and the notes about it, the oldest first. `contact` is empty if nothing is known. `forgotten_ms` is when all was forgotten."""

    order: str
    contact: dict[str, Any]
    notes: list[Note]
    forgotten_ms: int | None = None


async def show(site: SiteContext, order: str, reason: str = "") -> ContactShown:
    """Who gets an order.

    Raises:
        NotFound: if there is no such order.
    """
    check_order(site, order)
    return shown(site, order)


async def find(site: SiteContext, phone: str | None = None, last4: str | None = None, surname: str | None = None, reason: str = "") -> list[str]:
    """The orders of a customer, by telephone number in any spelling, by its last four digits, or by surname; `ORDERS_MAX` at most.

    Raises:
        Refused: if none of them is given, or it can't be sought.
    """
    return _found(site, _sought(phone, last4, surname))[:ORDERS_MAX]


def orders_of_phone(site: SiteReader, phone: str) -> list[str]:
    """All orders of a telephone number, `ORDERS_OF_ONE_MAX` at most.

    Raises:
        Refused: if it is no telephone number.
    """
    return _found(site, _sought(phone, None, None))


def _found(site: SiteReader, sought: list[tuple[str, str]]) -> list[str]:
    found = [set(site.queries.orders_with_hash(kind, hashes_sought(site.vault, kind, text), limit=ORDERS_OF_ONE_MAX)) for kind, text in sought]
    return sorted(set.intersection(*found))


async def note(site: SiteContext, order: str, text: str, audience: Audience) -> Receipt:
    """Write a note about an order.

    Raises:
        NotFound: if there is no such order.
        Refused: if it is empty, or the order was forgotten.
    """
    check_order(site, order)
    if not text.strip():
        raise Refused("the note is empty", fix="write what is to be known")
    if site.queries.forgotten(order) is not None:
        raise Refused(f"order {order} was forgotten: no note about it is kept", fix="write it where it concerns nobody")
    return await events.send(site, EventType.NOTE_ADDED, order, {"text": text, "audience": audience.value})


def contacts_of(site: SiteReader, orders: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The present contact of each of these orders that has one."""
    found: dict[str, dict[str, Any]] = {}
    for part in site.queries.sealed_parts(orders):
        if _counts(part) and (contact := opened(site, part).get("contact")):
            found[part.order] = contact
    return found


def shown(site: SiteReader, order: str) -> ContactShown:
    """Everything sealed about an order, opened."""
    contact: dict[str, Any] = {}
    notes = []
    for part in filter(_counts, site.queries.sealed_parts([order])):
        plain = opened(site, part)
        contact = plain.get("contact") or contact
        if text := plain.get("text"):
            notes.append(_note(site, part, text))
    return ContactShown(order=order, contact=contact, notes=notes, forgotten_ms=site.queries.forgotten(order))


def opened(site: SiteReader, part: SealedPart) -> dict[str, Any]:
    """A sealed part as a plain map: `contact`, `text`, `whole`."""
    plain: dict[str, Any] = load(site.vault.open(part.sealed, about_event(part.device, part.id)))
    return plain


def _counts(part: SealedPart) -> bool:
    """Whether what an event says counts: it was not rejected, and was not taken back."""
    return part.outcome in (Outcome.APPLIED, Outcome.LATE, Outcome.NOOP, Outcome.PARKED)


def _note(site: SiteReader, part: SealedPart, text: str) -> Note:
    """A note; or the reason of another event, if it was no word."""
    if part.type != EventType.NOTE_ADDED:
        return Note(at_ms=part.event_ms, audience=Audience.DESK, text=f"{part.type}: {text}")
    return Note(at_ms=part.event_ms, audience=Audience(load(site.queries.payload_at(part.pos))["body"]["audience"]), text=text)


def _sought(phone: str | None, last4: str | None, surname: str | None) -> list[tuple[str, str]]:
    sought = []
    if phone is not None:
        if len(digits_of(phone)) < LAST_DIGITS:
            raise Refused(f"--phone has fewer than {LAST_DIGITS} digits", fix="give the number, in any spelling")
        sought.append((PHONE, digits_of(phone)))
    if last4 is not None:
        if len(last4) != LAST_DIGITS or digits_of(last4) != last4:
            raise Refused(f"--last4 is not {LAST_DIGITS} digits", fix="give the last four digits of the telephone number")
        sought.append((LAST, last4))
    if surname is not None:
        if not surname_of(surname):
            raise Refused("--surname is empty", fix="give a surname, or a whole name")
        sought.append((SURNAME, surname_of(surname)))
    if not sought:
        raise Refused("it is not said who is sought", fix="give --phone, --last4 or --surname")
    return sought

"""Forget who customers are, prove it, and keep what must not be forgotten yet."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import partial
from typing import Final

from msgspec import Struct

from bridge.errors import NotFound, Refused
from bridge.ingest.sealing import surname_of
from bridge.operations import contacts
from bridge.operations.names import check_order
from bridge.operations.ports import SiteContext, SiteReader
from bridge.operations.privacy_ports import BackupLeft, Proof
from bridge.operations.waits import ENDED

PORTION_MAX: Final = 200
"""Orders that are forgotten between two batches of scans."""
SURNAME_CHARS_MIN: Final = 4
"""Shorter ones stand in other texts by chance."""
PHONE_DIGITS_MIN: Final = 7
_NEEDLES: Final = ("name", "phone", "company", "street", "extra", "note", "identity")
"""What of a contact is looked for afterwards: what stands in no other place by chance."""


class Fate(StrEnum):
    """What became of an order that was to be forgotten."""

    FORGOTTEN = "forgotten"
    BEFORE = "forgotten_before"
    OPEN = "open"
    HELD = "legal_hold"


class OrderForgotten(Struct, frozen=True, kw_only=True):
    """An order, and what became of it. `since_ms` is since when it was forgotten, or is under legal hold."""

    order: str
    fate: Fate
    state: str | None = None
    since_ms: int | None = None


class Forgotten(Struct, frozen=True, kw_only=True):
    """What was forgotten, what is kept until it may be, and the proof: where was looked afterwards, and the backups that still hold it."""

    orders: list[OrderForgotten]
    proof: Proof
    backups: list[BackupLeft]


async def orders_of(site: SiteContext, order: str | None, phone: str | None) -> list[str]:
    """The orders that are meant: one, or those of a telephone number.

    Raises:
        NotFound: if there is none.
        Refused: if neither or both are given.
    """
    if (order is None) == (phone is None):
        raise Refused("it is not said who is meant", fix="name one order, or give --phone")
    if order is not None:
        if site.queries.forgotten(order) is None:
            check_order(site, order)
        return [order]
    assert phone is not None
    found = contacts.orders_of_phone(site, phone)
    if not found:
        raise NotFound("no order has this telephone number", fix="compare it with what the customer says; an order that was forgotten is not found any more")
    return found


async def forget(site: SiteContext, order: str | None = None, phone: str | None = None, reason: str = "") -> Forgotten:
    """Destroy the personal data of an order, or of all orders of a telephone number, then search for it.

    An order that is open, or under legal hold, keeps it until that has ended: then it is forgotten by itself.

    Raises:
        NotFound: if there is no such order.
        Refused: if it is not said who is meant.
    """
    orders = await orders_of(site, order, phone)
    fates = _fates(site, orders)
    now_ms = site.clock.now_ms()
    ready = [f.order for f in fates if f.fate is Fate.FORGOTTEN]
    later = [f.order for f in fates if f.fate in (Fate.OPEN, Fate.HELD)]
    texts, surnames = _texts(site, ready)
    spelt = spellings(texts)
    parts: list[bytes] = []
    for at in range(0, len(ready), PORTION_MAX):
        some = ready[at : at + PORTION_MAX]
        parts += await site.on_writer(partial(site.privacy.forget, some, at_ms=now_ms))
    if ready:
        await site.on_writer(lambda: site.privacy.forget_texts(spelt, typed_forms(texts, surnames)))
    if later:
        await site.on_writer(lambda: site.privacy.request(later, at_ms=now_ms))
    proof = await site.privacy.prove(spelt, parts) if ready else Proof(searched=[], log_is_empty=True)
    return Forgotten(orders=fates, proof=proof, backups=site.privacy.backups() if ready else [])


async def legal_hold(site: SiteContext, order: str, reason: str = "") -> None:
    """Keep an order from being forgotten, by anyone and by time.

    Raises:
        NotFound: if there is no such order.
        Refused: if it was forgotten already, or is under legal hold.
    """
    check_order(site, order)
    if site.queries.forgotten(order) is not None:
        raise Refused(f"order {order} was forgotten already", fix="nothing can be kept of it any more")
    if order in _held(site):
        raise Refused(f"order {order} is under legal hold already", fix="`dockbridge orders legal-hold --list` shows since when")
    now_ms = site.clock.now_ms()
    await site.on_writer(lambda: site.privacy.hold(order, at_ms=now_ms))


async def lift_legal_hold(site: SiteContext, order: str, reason: str = "") -> None:
    """End a legal hold. What was asked for meanwhile is then forgotten.

    Raises:
        Refused: if there is none.
    """
    if order not in _held(site):
        raise Refused(f"order {order} is not under legal hold", fix="`dockbridge orders legal-hold --list` shows all")
    now_ms = site.clock.now_ms()
    await site.on_writer(lambda: site.privacy.lift(order, at_ms=now_ms))


def _fates(site: SiteReader, orders: Sequence[str]) -> list[OrderForgotten]:
    states, held = site.queries.order_states(orders), _held(site)
    return [_fate(site, order, states.get(order), held.get(order)) for order in orders]


def _fate(site: SiteReader, order: str, state: str | None, held_ms: int | None) -> OrderForgotten:
    if held_ms is not None:
        return OrderForgotten(order=order, fate=Fate.HELD, state=state, since_ms=held_ms)
    if state is not None and state not in ENDED:
        return OrderForgotten(order=order, fate=Fate.OPEN, state=state)
    before_ms = site.queries.forgotten(order)
    if before_ms is not None and not site.queries.sealed_parts([order]):
        return OrderForgotten(order=order, fate=Fate.BEFORE, state=state, since_ms=before_ms)
    return OrderForgotten(order=order, fate=Fate.FORGOTTEN, state=state)


def _held(site: SiteReader) -> dict[str, int]:
    """The orders under legal hold, each with since when."""
    return {row.order_id: row.at_ms for row in site.queries.legal_holds()}


def _texts(site: SiteReader, orders: Sequence[str]) -> tuple[list[str], list[str]]:
    """(what is known of the customers of these orders and of nobody else, and what was written about them; their surnames)."""
    found: dict[str, None] = {}
    surnames: dict[str, None] = {}
    for part in site.queries.sealed_parts(orders):
        plain = contacts.opened(site, part)
        contact = plain.get("contact") or {}
        found |= dict.fromkeys(contact[name] for name in _NEEDLES if contact.get(name))
        found |= dict.fromkeys(text for text in (plain.get("text"),) if text)
        surnames[surname_of(contact.get("name") or "")] = None
    return list(found), list(surnames)


def spellings(texts: Iterable[str]) -> list[str]:
    """How a text may stand in a file: as it is, in capitals or small letters, in each normal form of Unicode; a telephone number also as digits alone."""
    found: dict[str, None] = {}
    for text in texts:
        for form in ("NFC", "NFD"):
            normal = unicodedata.normalize(form, text)
            found |= dict.fromkeys((text, normal, normal.upper(), normal.lower(), normal.title()))
        if len(digits := re.sub(r"\D", "", text)) >= PHONE_DIGITS_MIN and not re.search(r"[^\W\d_]", text):
            found[digits] = None
    return list(found)


def typed_forms(texts: Iterable[str], surnames: Iterable[str]) -> list[str]:
    """How people type of somebody: also by surname alone, and by the end of a telephone number. Another customer's surname may be the same: what was typed of
    them is forgotten as well."""
    found = dict.fromkeys((*spellings(texts), *(name for name in surnames if len(name) >= SURNAME_CHARS_MIN)))
    for text in texts:
        if len(digits := re.sub(r"\D", "", text)) >= PHONE_DIGITS_MIN:
            found[digits[-PHONE_DIGITS_MIN:]] = None
    return list(found)

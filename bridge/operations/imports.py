"""Take in events from files, as the device of their channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct

from bridge.ingest.channel_files import ChannelFileRow
from bridge.ingest.imported_files import ImportedFileRow
from bridge.operations import devices
from bridge.operations.contacts import opened
from bridge.operations.ports import SiteContext, SiteReader
from bridge.shop.assembly import ShopOrder
from bridge.shop.events import SENDING, News, Said, order_news
from bridge.shop.mapping import ShopMap
from devices.protocol.messages import Receipt, convert, load
from devices.protocol.vocabulary import EventType, Outcome, Role

NAME_CHARS_MAX: Final = 200
PORTION_EVENTS_MAX: Final = 1_000
"""Events that are submitted at once, so that the server never holds a whole import in memory."""


class ImportedEvent(NamedTuple):
    """One event of a file, as it is stored: its payload is CBOR."""

    type: EventType
    payload: bytes


class Submitted(Struct, frozen=True, kw_only=True):
    """How events ended: how many with each outcome, and how many were known already."""

    outcomes: dict[Outcome, int]
    again: int


async def plan(site: SiteReader, shop: ShopMap, orders: Sequence[ShopOrder]) -> list[News]:
    """What of these orders is new, in the same order: each is compared with what the channel said of it before."""
    said = {order.order: Said() for order in orders}
    for order_id, state in site.queries.order_states(said).items():
        said[order_id].state = state
    for sent in site.queries.sent(shop.channel, said):
        _hear(said[sent.order], EventType(sent.type), load(sent.payload)["body"])
    for order in orders:
        # Only an order that is there, and has more to tell than its creation, may have parcels of its own already.
        if said[order.order].state is not None and order.expected not in (None, said[order.order].state):
            found = site.queries.order(order.order)
            said[order.order].parcels = tuple(p["parcel"] for p in found["parcels"]) if found is not None else ()
    _hear_contacts(site, shop.channel, {order.order: said[order.order] for order in orders if order.contact})
    return [order_news(order, shop, said[order.order]) for order in orders]


def _hear(said: Said, kind: EventType, body: dict[str, Any]) -> None:
    said.kinds.add(kind)
    if kind is EventType.PAID:
        said.paid_minor += body["amount_minor"]
    if kind is EventType.AMENDED:
        said.amendments += 1
    if kind is EventType.AMENDED or (kind is EventType.CREATED and said.lines is None):
        if body.get("lines") is not None:
            said.lines = {line["sku"]: line["qty"] for line in body["lines"]}
        said.promise_ms = body.get("promise_ms", said.promise_ms)
        if body.get("carrier") not in (None, said.sending.get("carrier")):
            said.sending = {name: value for name, value in said.sending.items() if name == "ship_by_ms"}
        said.sending |= {name: body[name] for name in SENDING if body.get(name) is not None}
        said.amount_minor = body.get("amount_minor", said.amount_minor)


def _hear_contacts(site: SiteReader, channel: str, said: dict[str, Said]) -> None:
    """Open what the channel has said last of who gets these orders. What others have said since, such as the desk, is not changed by a file that says the same.

    Raises:
        BridgeError: if the key is missing with which it was sealed.
    """
    for part in site.queries.sealed_parts(list(said)):
        if part.device == channel and (contact := opened(site, part).get("contact")):
            said[part.order].contact = contact
    for order_id in site.queries.forgotten_among(list(said)):
        said[order_id].is_forgotten = True


async def open_channel(site: SiteContext, channel: str) -> None:
    """Make sure that a channel can send.

    Raises:
        Refused: if a device has this name already.
    """
    await devices.ensure_channel(site, channel, Role.SYSTEM)


async def known_file(site: SiteReader, channel: str, sha256: str) -> ImportedFileRow | None:
    """The file of a watched folder that had this content, if one came in for this channel."""
    return site.queries.imported_file(channel, sha256)


async def remember_file(site: SiteContext, channel: str, sha256: str, name: str, files_max: int) -> None:
    """Store that a file of a watched folder came in whole. A content that came in once does not come in again."""
    row = ImportedFileRow(channel, sha256, name[:NAME_CHARS_MAX], site.clock.now_ms())
    await site.on_writer(lambda: site.upkeep.remember_file(row, files_max=files_max))


async def note_file(site: SiteContext, channel: str, name: str) -> None:
    """Store that a file of a channel came in: an alert about a channel without files is over."""
    row = ChannelFileRow(channel, name[:NAME_CHARS_MAX], site.clock.now_ms())
    await site.on_writer(lambda: site.upkeep.note_file(row))


async def submit(site: SiteContext, channel: str, events: list[ImportedEvent]) -> Submitted:
    """Send events, `PORTION_EVENTS_MAX` at most, as a channel that was opened before."""
    answers = await site.submit(site.registry.identity(channel), events)
    receipts = [convert(answer, Receipt) for answer in answers]
    return Submitted(outcomes=dict(Counter(r.outcome for r in receipts)), again=sum(r.again for r in receipts))

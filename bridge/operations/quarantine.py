"""Messages that could not be applied: look at them, judge them again, or drop them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from bridge.domain.access import Kind, may_send
from bridge.errors import NotFound
from bridge.ingest.items import Incoming
from bridge.operations.ports import Row, SiteContext, SiteReader
from devices.protocol import messages
from devices.protocol.messages import Receipt
from devices.protocol.vocabulary import Outcome


class Entry(Struct, frozen=True, kw_only=True):
    """One entry, whole. `decoded` is its payload as a plain value; None if it can't be decoded."""

    row: Row
    payload: bytes
    decoded: Any


async def list_entries(site: SiteReader, *, limit: int) -> list[Row]:
    """Entries without their payloads, the latest first."""
    return site.queries.quarantine(limit=limit)


async def show_entry(site: SiteReader, no: int) -> Entry:
    """One entry.

    Raises:
        NotFound: if there is no such entry.
    """
    row = _entry(site, no)
    try:
        decoded = messages.load(row["payload"])
    except messages.PayloadError:
        decoded = None
    return Entry(row=row, payload=row["payload"], decoded=decoded)


async def replay(site: SiteContext, no: int) -> Receipt:
    """Judge an entry again. It leaves the quarantine if it is no longer rejected; so does a message that has become an event, whatever its verdict.

    Raises:
        NotFound: if there is no such entry, or its device is not enrolled.
    """
    row = _entry(site, no)
    identity = site.registry.identity(row["device"])
    kind, detail = Kind.EVENTS, None
    if row["event_type"] is None:
        kind, detail = Kind.DENIED, "its topic is still not allowed"
    elif not (answer := may_send(identity.role, row["event_type"])).allowed:
        kind, detail = Kind.DENIED, answer.rule
    incoming = Incoming(identity, kind, row["event_type"], row["payload"], site.clock.now_ms(), detail)
    receipt = messages.convert(await site.offer(incoming), Receipt)
    is_event_now = row["pos"] is None and receipt.digest is None
    if is_event_now or receipt.outcome is not Outcome.REJECTED:
        await drop(site, no)
    return receipt


async def drop(site: SiteContext, no: int) -> None:
    """Delete an entry.

    Raises:
        NotFound: if there is no such entry.
    """
    _entry(site, no)
    await site.on_writer(lambda: site.drop_quarantined(no))


def _entry(site: SiteReader, no: int) -> Row:
    row = site.queries.quarantined(no)
    if row is None:
        raise NotFound(f"there is no entry {no} in quarantine", fix="list the entries with `dockbridge quarantine list`")
    return row

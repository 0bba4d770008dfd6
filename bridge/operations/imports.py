"""Take in events from files, as the device of their channel."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from msgspec import Struct

from bridge.operations import devices
from bridge.operations.ports import SiteContext
from devices.protocol.messages import Receipt, convert
from devices.protocol.vocabulary import EventType, Outcome, Role

PORTION_EVENTS_MAX: Final = 500
"""Events that are submitted at once, so that the server never holds a whole import in memory."""


class ImportedEvent(NamedTuple):
    """One event of a file, as it is stored: its payload is CBOR."""

    type: EventType
    payload: bytes


class Submitted(Struct, frozen=True, kw_only=True):
    """How events ended: how many with each outcome, and how many were known already."""

    outcomes: dict[Outcome, int]
    again: int


async def open_channel(site: SiteContext, channel: str) -> None:
    """Make sure that a channel can send.

    Raises:
        Refused: if a device has this name already.
    """
    await devices.ensure_channel(site, channel, Role.SYSTEM)


async def submit(site: SiteContext, channel: str, events: list[ImportedEvent]) -> Submitted:
    """Send events, `PORTION_EVENTS_MAX` at most, as a channel that was opened before."""
    answers = await site.submit(site.registry.identity(channel), events)
    receipts = [convert(answer, Receipt) for answer in answers]
    return Submitted(outcomes=dict(Counter(r.outcome for r in receipts)), again=sum(r.again for r in receipts))

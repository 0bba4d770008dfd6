"""What operations need to read of notices, and how the channel is by which they go out."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from devices.protocol.states import Moment


class ChannelState(StrEnum):
    """How the channel of a running server is."""

    OFF = "off"
    """There is none: `notices.url` is empty."""
    ON = "on"
    FAILING = "failing"
    """What is sent is not taken, and is sent again."""
    UNWANTED = "unwanted"
    """The receiver answered 410. Nothing is sent until the settings change, or the server starts again."""


class ChannelNow(Struct, frozen=True, kw_only=True):
    """How the channel is, and why it fails; an empty text if it does not."""

    state: ChannelState
    error: str


class Sending(StrEnum):
    """What became of a notice on its way out."""

    WAITING = "waiting"
    SENT = "sent"
    ASIDE = "aside"
    """It was put aside: `error` says why."""
    PUBLISHED = "published"
    """There was no channel. It was published at the site, as every notice is."""


class ToldNotice(Struct, frozen=True, kw_only=True):
    """A notice. `id` is in hex; `parcel` is None for a whole order; `at_ms` is when it happened, `told_ms` when it was told, `sent_ms` when it was taken."""

    id: str
    order: str
    parcel: str | None
    moment: Moment
    occurrence: int
    correction: bool
    at_ms: int
    told_ms: int
    sending: Sending
    sent_ms: int | None
    error: str | None


class NoticeCounts(Struct, frozen=True, kw_only=True):
    """Notices that wait to be sent, since when the oldest of them does, and those that were put aside."""

    waiting: int
    oldest_ms: int | None
    aside: int


class NoticeQueries(Protocol):
    """Reads of notices.

    Raises:
        StoreUnavailable: from every method, if the database can't be read.
    """

    def notices(self, *, order_id: str | None, sending: Sending | None, limit: int) -> list[ToldNotice]:
        """The newest notices, of one order or of all, the oldest of them first."""
        ...

    def notice_counts(self) -> NoticeCounts:
        """How many notices wait, and how many were put aside."""
        ...

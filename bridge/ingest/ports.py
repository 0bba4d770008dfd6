"""What ingest needs from outside, in our own terms: a store that commits a batch as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import Any, Final, NamedTuple, Protocol

from bridge.domain.facts import Fact
from bridge.ingest.codes import PlacedRow
from bridge.ingest.log import EventRow
from bridge.ingest.relation import Relation, Writes


class StoreUnavailable(Exception):
    """The database can't be written or read at the moment: the disk is full, or the file is locked or missing. Nothing was acknowledged; the server retries.

    `fix` says what to do.
    """

    def __init__(self, message: str | None = None, *, fix: str = "check the disk and the file's permissions") -> None:
        super().__init__(message or type(self).__doc__)
        self.fix = fix


class StoredReceipt(NamedTuple):
    """What is stored of an event that was received before."""

    pos: int
    type: str
    event_payload: bytes
    n: int
    receipt: bytes


class StoredVerdict(NamedTuple):
    """The verdict that was sent for an event, with its nth receipt (CBOR)."""

    n: int
    outcome: str
    reason: str | None
    receipt: bytes


class StoredOrder(NamedTuple):
    """A stored order: its facts, what was last published of it, and the codes that it knows of. `parcels` has the hash and the codes of each parcel."""

    facts: list[Fact]
    codes: set[str]
    rev: int = 0
    hash: bytes = b""
    timed: str = ""
    parcels: dict[str, tuple[bytes, str]] = {}  # noqa: RUF012 -- never changed in place
    due_ms: int | None = None
    state: str = ""


class AtLeast(NamedTuple):
    """In a read of rows: this value, or a higher one."""

    value: int


class Transaction(Protocol):
    """One open transaction: the reads that a batch needs, and one write at its end."""

    def rows(self, relation: Relation, **equal: Any) -> list[Any]:
        """Rows of a relation in which these columns have these values, in the order of the key.

        If a list is given for a column, that is the only column, and any of its values will do. With `AtLeast`, a higher value will do, too.
        """
        ...

    def next_numbers(self) -> tuple[int, int]:
        """The position of the next event in the log, and the number of the next transaction."""
        ...

    def known(self, ids: Sequence[bytes]) -> dict[tuple[str, bytes], StoredReceipt]:
        """Those of these events that are in the log, by (device, id)."""
        ...

    def orders(self, order_ids: Iterable[str]) -> dict[str, StoredOrder]:
        """The stored orders among these ids; an order that has only parked facts has rev 0."""
        ...

    def events_named(self, event_id: bytes) -> list[tuple[EventRow, list[PlacedRow]]]:
        """The events with this id, from any device, and where they belong."""
        ...

    def events_at(self, positions: Sequence[int]) -> list[tuple[EventRow, list[PlacedRow]]]:
        """The events at these positions in the log, and where they belong."""
        ...

    def has_rows(self, relation: Relation) -> bool:
        """Whether a relation has any row."""
        ...

    def waiting_for(self, kind: str, name: str) -> list[EventRow]:
        """The events in no order that wait for a reference, in the order of arrival."""
        ...

    def verdicts_of(self, positions: Iterable[int]) -> dict[int, StoredVerdict]:
        """The verdicts of the events at these positions in the log."""
        ...

    def is_quarantined(self, device: str, digest: bytes) -> bool:
        """Whether this payload of this device is in quarantine but not in the log."""
        ...

    def due_orders(self, now_ms: int, limit: int) -> list[str]:
        """Orders whose `due_ms` is not after this time."""
        ...

    def overdue(self, now_ms: int) -> dict[tuple[str, str], int]:
        """References, as (kind, name), for which events wait beyond their deadline, and how many events."""
        ...

    def owing(self, before_ms: int) -> dict[str, int]:
        """Devices that owe events and have been silent since before a time, and how many events they owe; without those that were revoked."""
        ...

    def quarantine_counts(self) -> dict[str, int]:
        """How many messages of each device are in quarantine; without devices that were revoked."""
        ...

    def drop_before(self, relation: Relation, column: str, value: int) -> None:
        """Delete the rows whose column is lower than a value."""
        ...

    def keep_newest(self, relation: Relation, rows_max: int) -> None:
        """Delete the oldest rows of a numbered relation, except the newest `rows_max`."""
        ...

    def next_message(self) -> int:
        """The position of the next message in the message log; a position that a session knows is never used twice."""
        ...

    def drop_closed_subscriptions(self) -> None:
        """Delete the subscriptions that have ended and for which no message waits any more."""
        ...

    def write(self, writes: Writes) -> None:
        """Write a batch. The caller commits."""
        ...


class Store(Protocol):
    """Commits batches. `transaction()` commits when its block ends without an exception, and rolls back otherwise.

    Raises:
        StoreUnavailable: on entry or on commit, if the database can't take writes now.
    """

    def transaction(self) -> AbstractContextManager[Transaction]: ...


# --- reads on the event loop -----------------------------------------------------------------------------------------------


class NotYet(Enum):
    """The answer of a store that can't answer yet: its file can't be read, or it is still fetching the data. Ask again later."""

    NOT_YET = auto()


NOT_YET: Final = NotYet.NOT_YET

PAGE_END: Final = "/"
"""Appended to the last topic of a page to mark where the next page starts. It is stored, so that the server continues there after a crash."""


class Page(NamedTuple):
    """Topics of retained messages, in the order of the tables. `after` is where the next page starts, None if this is the last page."""

    topics: Sequence[str]
    after: str | None


class StoredRetained(Protocol):
    """Retained messages that are read from tables, all at QoS 1. A store that answered `NOT_YET` may make the door ask again (`FrontDoor.ask_again`)."""

    def covers(self, topic: str) -> bool:
        """Whether the message of a topic is in the tables."""
        ...

    def get(self, topic: str) -> bytes | NotYet | None:
        """The payload of a topic that it covers; None if the topic has no message."""
        ...

    def page(self, topic_filter: str, after: str) -> Page | NotYet:
        """Some topics that match a filter: the first ones if `after` is empty, those that follow if `after` ended a page, or, if it is a topic, those from
        its order on."""
        ...


class StoredMessages(Protocol):
    """The message log, as the door reads it. `NOT_YET` means the same as in `StoredRetained`."""

    def fetch(self, positions: Sequence[int]) -> dict[int, tuple[str, bytes, int]] | NotYet:
        """Topic, payload and QoS of messages by their positions; deleted messages are missing."""
        ...

    def young_from(self, before_ms: int) -> int | NotYet:
        """The position of the first message that was published at or after a time: all messages before it are older."""
        ...

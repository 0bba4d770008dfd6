"""What ingest needs of the outside, in our words: a store that commits a batch whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import Any, Final, NamedTuple, Protocol

from bridge.domain.facts import Fact
from bridge.ingest.log import EventRow
from bridge.ingest.relation import Relation, Writes


class StoreUnavailable(Exception):
    """The database can't take writes, or can't be read, at the moment: disk full, locked, or gone. Nothing was acknowledged; it is tried again.

    `fix` says what to do.
    """

    def __init__(self, message: str | None = None, *, fix: str = "check the disk and the file's rights") -> None:
        super().__init__(message or type(self).__doc__)
        self.fix = fix


class StoredReceipt(NamedTuple):
    """What is known of an event that came before."""

    pos: int
    type: str
    event_payload: bytes
    n: int
    receipt: bytes


class StoredVerdict(NamedTuple):
    """The verdict that was sent of an event: the nth receipt."""

    n: int
    outcome: str
    reason: str | None


class StoredOrder(NamedTuple):
    """An order as the store has it: its facts, and what was last shown of it; of each parcel its hash and its code."""

    facts: list[Fact]
    rev: int
    hash: bytes
    timed: str
    parcels: dict[str, tuple[bytes, str | None]]
    due_ms: int | None
    state: str


class Transaction(Protocol):
    """One open transaction: reads that a batch needs, and one write at its end."""

    def rows(self, relation: Relation, **equal: Any) -> list[Any]:
        """Rows of a relation in which these columns have these values, in the order of the key."""
        ...

    def next_numbers(self) -> tuple[int, int]:
        """The place that the next event of the log takes, and the number of the next transaction."""
        ...

    def known(self, ids: Sequence[bytes]) -> dict[tuple[str, bytes], StoredReceipt]:
        """Of these event ids, those that are in the log, by (device, id)."""
        ...

    def orders(self, order_ids: Iterable[str]) -> dict[str, StoredOrder]:
        """The stored orders among these ids; one that has only parked facts is there with rev 0."""
        ...

    def label_order(self, code: str) -> str | None:
        """The order of the parcel that bears a code."""
        ...

    def event_order(self, event_id: bytes) -> str | None:
        """The order of the event with this id, from any device."""
        ...

    def awaited(self) -> set[tuple[str, str]]:
        """Every reference, as (kind, name), that a parked event waits for whose order is not known."""
        ...

    def waiting_for(self, kind: str, name: str) -> list[EventRow]:
        """Parked events that wait for a reference and are not placed in an order yet, in the order of arrival."""
        ...

    def verdicts_of(self, positions: Iterable[int]) -> dict[int, StoredVerdict]:
        """The verdicts at these places of the log."""
        ...

    def is_quarantined(self, device: str, digest: bytes) -> bool:
        """Whether this payload of this device is in quarantine without being in the log."""
        ...

    def due_orders(self, now_ms: int, limit: int) -> list[str]:
        """Orders whose `due_ms` has come."""
        ...

    def overdue(self, now_ms: int) -> dict[tuple[str, str], int]:
        """References, as (kind, name), that events wait for beyond their deadline, and how many."""
        ...

    def owing(self, before_ms: int) -> dict[str, int]:
        """Devices that owe events and were last heard before a time, and how many events."""
        ...

    def quarantine_counts(self) -> dict[str, int]:
        """How many messages of each device are in quarantine."""
        ...

    def drop_before(self, relation: Relation, column: str, value: int) -> None:
        """Drop the rows whose column is lower than a value."""
        ...

    def keep_newest(self, relation: Relation, rows_max: int) -> None:
        """Drop the oldest rows of a numbered relation, until so many are left."""
        ...

    def next_message(self) -> int:
        """The place that the next message of the message log takes; no place that a session knows of is taken twice."""
        ...

    def drop_closed_subscriptions(self) -> None:
        """Drop the subscriptions that ended and from whose time no message waits any more."""
        ...

    def write(self, writes: Writes) -> None:
        """Write a batch. The caller commits."""
        ...


class Store(Protocol):
    """Where batches are committed. `transaction()` commits when its block ends without an exception, and rolls back otherwise.

    Raises:
        StoreUnavailable: from either, if the database cannot take writes now.
    """

    def transaction(self) -> AbstractContextManager[Transaction]: ...


# --- what is read on the event loop ----------------------------------------------------------------------------------------


class NotYet(Enum):
    """The answer of a store that can't say now: its file can't be read, or it fetches what was asked for. Ask again later."""

    NOT_YET = auto()


NOT_YET: Final = NotYet.NOT_YET

PAGE_END: Final = "/"
"""What stands behind the last topic of a page, where it is a mark to go on from. It is stored, so that a crash goes on there too."""


class Page(NamedTuple):
    """Topics of retained messages, in the order of the tables, and where to go on; None if there are no more."""

    topics: Sequence[str]
    after: str | None


class StoredRetained(Protocol):
    """Retained messages that are read from tables, all at QoS 1. A store that answered `NOT_YET` may have the door ask again (`FrontDoor.ask_again`)."""

    def covers(self, topic: str) -> bool:
        """Whether a topic's message is in the tables."""
        ...

    def get(self, topic: str) -> bytes | NotYet | None:
        """The payload of a topic that it covers; None if there is none."""
        ...

    def page(self, topic_filter: str, after: str) -> Page | NotYet:
        """Some topics that a filter matches: the first if `after` is empty, those behind a page that ended with it, or, if it is a topic, all from its
        order on."""
        ...


class StoredMessages(Protocol):
    """The message log, as the door reads it. `NOT_YET` is as for `StoredRetained`."""

    def fetch(self, positions: Sequence[int]) -> dict[int, tuple[str, bytes, int]] | NotYet:
        """Topic, payload and QoS of messages by their places; those that are gone are missing."""
        ...

    def young_from(self, before_ms: int) -> int | NotYet:
        """The place of the first message that was published at a time or later: all before it are older."""
        ...

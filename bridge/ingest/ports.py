"""What ingest needs of the outside, in our words: a store that commits a batch whole, and rows in the shape of its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from bridge.domain.access import Identity
from bridge.domain.facts import Fact
from bridge.domain.jobs import Job


class StoreUnavailable(Exception):
    """The database can't take writes, or can't be read, at the moment: disk full, locked, or gone. Nothing was acknowledged; it is tried again.

    `fix` says what to do.
    """

    def __init__(self, message: str | None = None, *, fix: str = "check the disk and the file's rights") -> None:
        super().__init__(message or type(self).__doc__)
        self.fix = fix


Acknowledge = Callable[[bytes], None]
"""Called on the loop when a message's batch is committed and shown, with its receipt in CBOR (empty where it has none)."""


class Incoming(NamedTuple):
    """One message as the front door hands it in.

    `kind` is `events`, `presence`, `location`, `plain` (outside v1/) or `denied`; `detail` says why it was denied. `received_ms` is the server's monotonic
    time, anchored to the wall clock at its start. A plain message has its topic, QoS and retain flag. `sid` and `packet_id` are set where a persistent
    session sent it at QoS 2: the id is stored with the message (§4.3.3).
    """

    identity: Identity
    kind: str
    event_type: str | None
    payload: bytes
    received_ms: int
    detail: str | None = None
    topic: str = ""
    qos: int = 1
    retain: bool = False
    sid: int = 0
    packet_id: int = 0


class Message(NamedTuple):
    """One publish that a batch causes. An empty retained payload clears the topic. `pos` is its place in the message log, 0 where it is not in it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    pos: int = 0


def _nobody_waits(result: Any) -> None:
    """For a change that nobody waits for."""


# --- what changes a session -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that changes a persistent session, in its place among the messages. `done` is called on the loop, in that place, once it is committed."""

    payload: ClassVar[bytes] = b""
    received_ms: int
    done: Callable[[Any], None] = _nobody_waits


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession(Change):
    """A client connects: its session is made where there is none, or, with clean session, ended where there is one. `done` gets its sid, 0 where clean."""

    device: str
    client_id: str
    clean: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession(Change):
    sid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe(Change):
    """Filters with their QoS. `sid` 0 is a clean session: nothing is stored, but the place among the messages counts all the same."""

    sid: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe(Change):
    sid: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver(Change):
    """Retained messages for a new subscription, in portions. `after` is the last topic handed over, None where these were all.

    `done` gets the places in the message log, or None where the session is no longer subscribed.
    """

    sid: int
    topic_filter: str
    after: str | None
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Change):
    """PUBREL: the client knows that its QoS 2 message is stored; the packet id is free again."""

    sid: int
    packet_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Change):
    """What clients have acknowledged: the new rows of some sessions, and messages that nobody is owed any more."""

    sessions: tuple[SessionProgress, ...]
    finished: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm(Change):
    """An alert of the broker's own, raised or (with `text` empty) cleared."""

    code: str
    subject: str
    text: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce(Change):
    """Something that the bridge itself publishes."""

    message: Message


class SessionProgress(NamedTuple):
    """How far a session is: in the order in which it is written. `seen_ms` is 0 while its client is connected."""

    next_pos: int
    next_index: int
    slots: bytes
    dropped: int
    seen_ms: int
    sid: int


class Told(NamedTuple):
    """A change that is committed, and what its `done` is to get."""

    change: Change
    result: Any


Effect = Message | Told
Item = Incoming | Change


class SessionRow(NamedTuple):
    sid: int
    device: str
    client_id: str
    next_pos: int
    next_index: int
    slots: bytes
    dropped: int
    seen_ms: int


class SubscriptionRow(NamedTuple):
    """An interval of the message log. `retained_after` is None where every retained message was handed over."""

    sid: int
    topic_filter: str
    from_pos: int
    to_pos: int | None
    qos: int
    retained_after: str | None


class MessageRow(NamedTuple):
    """A message in the log. `sid` is set where it is a retained message for one new subscriber."""

    pos: int
    topic: str
    payload: bytes
    qos: int
    sid: int | None
    at_ms: int


class EventRow(NamedTuple):
    """One row of the event log, in the order of its columns."""

    pos: int
    id: bytes
    device: str
    role: str
    type: str
    log: bytes
    seq: int
    received_ms: int
    event_ms: int
    source: str
    error_ms: int
    order_id: str | None
    code: str | None
    at: str | None
    fault: str | None
    misload: bool
    payload: bytes


class ReceiptRow(NamedTuple):
    pos: int
    device: str
    n: int
    outcome: str
    reason: str | None
    payload: bytes


class OrderRow(NamedTuple):
    """`due_ms` is when the order must be looked at again although nothing happened; None where never."""

    order_id: str
    rev: int
    state: str
    hash: bytes
    timed: str
    at_ms: int
    updated_ms: int
    due_ms: int | None
    status: bytes


class ParcelRow(NamedTuple):
    order_id: str
    parcel: str
    state: str
    hash: bytes
    code: str | None
    status: bytes


class StatusLogRow(NamedTuple):
    order_id: str
    rev: int
    updated_ms: int
    state: str
    hash: bytes


class ParkedRow(NamedTuple):
    """An event that waits. `ref` is `order:…`, `code:…` or `event:…`: what it waits for."""

    pos: int
    ref: str
    order_id: str | None
    since_ms: int
    deadline_ms: int


class QuarantineRow(NamedTuple):
    """A message that can't be applied. `pos` is set where it is in the event log; its payload is read there."""

    device: str
    event_type: str | None
    received_ms: int
    reason: str
    detail: str
    digest: bytes
    pos: int | None
    payload: bytes


class LedgerRow(NamedTuple):
    device: str
    log: bytes
    high: int
    owed: int
    forgotten: int
    ranges: bytes
    updated_ms: int


class AlertRow(NamedTuple):
    code: str
    subject: str
    severity: str
    since_ms: int
    text: str
    fix: str


class PositionRow(NamedTuple):
    device: str
    event_ms: int
    lat_e7: int
    lon_e7: int
    accuracy_m: int


class StoredReceipt(NamedTuple):
    """What is known of an event that came before."""

    pos: int
    type: str
    event_payload: bytes
    n: int
    receipt: bytes


class StoredOrder(NamedTuple):
    """An order as the store has it: its facts, and what was last shown of it; of each parcel its hash and its code."""

    facts: list[Fact]
    rev: int
    hash: bytes
    timed: str
    parcels: dict[str, tuple[bytes, str | None]]
    due_ms: int | None
    state: str


@dataclass(slots=True)
class Writes:
    """Everything that one batch changes, table by table. It is written in one transaction or not at all."""

    events: list[EventRow] = field(default_factory=list)
    placed: list[tuple[int, str]] = field(default_factory=list)
    receipts: dict[int, ReceiptRow] = field(default_factory=dict)
    orders: list[OrderRow] = field(default_factory=list)
    parcels: list[ParcelRow] = field(default_factory=list)
    parcels_gone: list[tuple[str, str]] = field(default_factory=list)
    status_log: list[StatusLogRow] = field(default_factory=list)
    labels: list[tuple[str, str, int]] = field(default_factory=list)
    labels_gone: list[tuple[int]] = field(default_factory=list)
    due: list[tuple[int | None, str]] = field(default_factory=list)
    parked: dict[int, ParkedRow] = field(default_factory=dict)
    unparked: set[int] = field(default_factory=set)
    quarantine: list[QuarantineRow] = field(default_factory=list)
    unquarantined: set[int] = field(default_factory=set)
    ledgers: list[LedgerRow] = field(default_factory=list)
    ledgers_gone: list[tuple[str, bytes]] = field(default_factory=list)
    clocks: list[tuple[str, bytes]] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    alerts: dict[tuple[str, str], AlertRow | None] = field(default_factory=dict)
    positions: list[PositionRow] = field(default_factory=list)
    retained: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    """Payload and QoS by topic; an empty payload clears it."""
    messages: list[MessageRow] = field(default_factory=list)
    sessions: list[SessionRow] = field(default_factory=list)
    sessions_gone: list[tuple[int]] = field(default_factory=list)
    subscriptions: list[SubscriptionRow] = field(default_factory=list)
    subscriptions_closed: list[tuple[int, int, str]] = field(default_factory=list)
    """(to_pos, sid, filter) of intervals that end."""
    handed_over: list[tuple[str | None, int, str]] = field(default_factory=list)
    """(retained_after, sid, filter)."""
    progress: list[SessionProgress] = field(default_factory=list)
    messages_gone: list[tuple[int]] = field(default_factory=list)
    incoming_ids: list[tuple[int, int]] = field(default_factory=list)
    incoming_ids_gone: list[tuple[int, int]] = field(default_factory=list)


class Transaction(Protocol):
    """One open transaction: reads that a batch needs, and one write at its end."""

    def next_pos(self) -> int:
        """The place that the next event of the log takes."""
        ...

    def known(self, ids: Sequence[bytes]) -> dict[tuple[str, bytes], StoredReceipt]:
        """Of these event ids, those that are in the log, by (device, id)."""
        ...

    def orders(self, order_ids: Iterable[str]) -> dict[str, StoredOrder]:
        """The stored orders among these ids; one that has only parked facts is there with rev 0."""
        ...

    def device(self, device: str) -> tuple[bytes | None, list[LedgerRow]]:
        """A device's clock (as it was written) and its ledgers."""
        ...

    def label_order(self, code: str) -> str | None:
        """The order of the parcel that bears a code."""
        ...

    def event_order(self, event_id: bytes) -> str | None:
        """The order of the event with this id, from whichever device."""
        ...

    def waiting_for(self, ref: str) -> list[EventRow]:
        """Parked events that wait for `ref` and are not placed in an order yet."""
        ...

    def receipts_of(self, positions: Iterable[int]) -> dict[int, ReceiptRow]:
        """The receipts at these places of the log."""
        ...

    def job(self, job_id: str) -> Job | None: ...

    def open_jobs(self) -> list[Job]: ...

    def awaited(self) -> set[str]:
        """Every reference that a parked event waits for and that is not an order's creation."""
        ...

    def quarantined(self, device: str, digest: bytes) -> bool:
        """Whether this payload of this device is in quarantine already."""
        ...

    def alerts(self) -> set[tuple[str, str]]:
        """(code, subject) of every alert that stands."""
        ...

    def due_orders(self, now_ms: int, limit: int) -> list[str]:
        """Orders whose `due_ms` has come."""
        ...

    def overdue(self, now_ms: int) -> dict[str, int]:
        """What events wait for beyond their deadline: reference → how many."""
        ...

    def owing(self, before_ms: int) -> dict[str, int]:
        """Devices that owe events and were last heard before a time: device → how many events."""
        ...

    def quarantine_counts(self) -> dict[str, int]:
        """How many messages of each device are in quarantine."""
        ...

    def trim(self, *, quarantine_entries_max: int, positions_before_ms: int) -> None:
        """Let go of what is beyond its limit: the oldest in quarantine, and positions from before a time."""
        ...

    def next_message(self) -> int:
        """The place that the next message of the message log takes; no place that a session knows of is taken twice."""
        ...

    def sessions(self) -> list[SessionRow]: ...

    def subscriptions(self) -> list[SubscriptionRow]: ...

    def retained(self) -> list[tuple[str, bytes, int]]:
        """Topic, payload and QoS of every retained message that a client published."""
        ...

    def write(self, writes: Writes) -> None:
        """Write a batch. The caller commits."""
        ...


class Store(Protocol):
    """Where batches are committed. `transaction()` commits when its block ends without an exception, and rolls back otherwise.

    Raises:
        StoreUnavailable: from either, where the database cannot take writes now.
    """

    def transaction(self) -> AbstractContextManager[Transaction]: ...


class Settled(NamedTuple):
    """What a committed batch causes: publishes and changes of sessions in their order, and the jobs that changed."""

    effects: list[Effect]
    jobs: list[Job]
    outcomes: list[bytes]
    """One receipt an item of the batch (CBOR), in its order; empty for everything but events."""

    @property
    def messages(self) -> list[Message]:
        return [e for e in self.effects if isinstance(e, Message)]


class OpenJobs(NamedTuple):
    """Every open job, and how it is shown: nothing of it is new to anybody."""

    jobs: list[Job]
    messages: list[Message]


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

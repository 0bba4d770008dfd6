"""The batch context: the state of one transaction. Gates, fold and projections get it as an argument and record their results in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import cbor2

from bridge.domain.access import Identity
from bridge.domain.facts import Decided, Fact, Verdict
from bridge.domain.jobs import Job
from bridge.domain.ledger import Ledger
from bridge.ingest.items import Alarm, Change, Message
from bridge.ingest.log import EventRow
from bridge.ingest.memory import LEDGER_GONE, DeviceEntry, Memory, OrderEntry
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Writes
from bridge.ingest.rules import Rules
from devices.protocol import bodies
from devices.protocol.messages import LocationBatch, Presence
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import Reason

NAME_CHARS_MAX: Final = 96
LOGS_MAX: Final = 64
"""How many logs of one device have a ledger; each new outbox starts a log."""


# --- what projections hear --------------------------------------------------------------------------------------------------


class Ruled(NamedTuple):
    """An event has a verdict: its first one, or one that differs from the previous one.

    `n` counts the verdicts that the server sent to the device for this event, including this one. `was` is the outcome of the previous verdict, None for the
    first. `entries` are the orders that the event is about; empty for an event without an order.
    """

    row: EventRow
    body: bodies.Body | Decided
    verdict: Verdict
    n: int
    entries: tuple[OrderEntry, ...]
    was: str | None = None


class Refused(NamedTuple):
    """A message that never becomes an event."""

    device: str
    event_type: str | None
    received_ms: int
    reason: Reason
    detail: str
    digest: bytes
    payload: bytes
    is_first: bool
    """False if the same message is in quarantine already."""


class PresenceHeard(NamedTuple):
    """A device, or its will, published its presence."""

    identity: Identity
    presence: Presence
    payload: bytes
    received_ms: int


class LocationHeard(NamedTuple):
    """A courier's phone published its positions."""

    identity: Identity
    points: LocationBatch
    received_ms: int


class Started(NamedTuple):
    """The server starts: no device is connected, whatever the last run stored."""


class Hearers(NamedTuple):
    """The `rule` methods of the projections, in their order: by the type of an event, by its outcome, and by class for everything that is not an event."""

    by_type: dict[str, tuple[Callable[[Any, Batch], None], ...]]
    by_outcome: dict[str, tuple[Callable[[Any, Batch], None], ...]]
    by_class: dict[type, tuple[Callable[[Any, Batch], None], ...]]


# --- what a batch answers ---------------------------------------------------------------------------------------------------


class Answer:
    """The receipt of one event while its batch is open. The order's revision and the lines left to pick are known only at the end of the batch."""

    __slots__ = ("detail", "device", "entry", "event_id", "event_ms", "left", "log", "n", "pos", "seq", "type", "verdict")

    def __init__(self, event: EventRow | Fact, verdict: Verdict, entry: OrderEntry | None, *, n: int = 1, left: bool = False) -> None:
        self.device = event.device
        self.pos = event.pos
        self.event_id = event.id
        self.event_ms = event.event_ms
        self.type = event.type
        self.log = event.log
        self.seq = event.seq
        self.n = n
        self.verdict = verdict
        self.entry = entry
        self.detail: str | None = None
        self.left = left
        """Whether the receipt lists what is left to pick."""


class Sent(NamedTuple):
    """A receipt that is sent but not stored: for a refused message, or for a repeated event."""

    device: str
    receipt: bytes


class Seen(NamedTuple):
    """An event that came earlier in the same batch."""

    row: EventRow
    answer: Answer


class ShownOrder(NamedTuple):
    """An order whose visible state changed in this batch, and its state word before."""

    entry: OrderEntry
    before: str


# --- the context --------------------------------------------------------------------------------------------------------------


class Batch:
    """The state of one transaction.

    Args:
        no: the batch's number in the log.
        now_ms: the batch's time.
        hearers: the methods of the projections.
        logged: in a replay, the logged decisions of this batch, by (device, event id) of the event that they decide; None if live.
        revs: in a replay, the revisions that orders got in this batch; None if live.
    """

    __slots__ = (
        "answers",
        "devices",
        "events",
        "hearers",
        "jobs_changed",
        "known",
        "labels",
        "labels_freed",
        "ledgers",
        "logged",
        "memory",
        "no",
        "now_ms",
        "orders",
        "outcomes",
        "published",
        "refused",
        "relabelled",
        "revised",
        "revs",
        "rules",
        "seen",
        "shown_orders",
        "topics",
        "tx",
        "writes",
    )

    def __init__(
        self,
        tx: Transaction,
        memory: Memory,
        rules: Rules,
        hearers: Hearers,
        *,
        no: int,
        now_ms: int,
        logged: dict[tuple[str, bytes], list[EventRow]] | None = None,
        revs: dict[str, int] | None = None,
    ) -> None:
        self.tx = tx
        self.memory = memory
        self.rules = rules
        self.hearers = hearers
        self.no = no
        self.now_ms = now_ms
        self.logged = logged
        self.revs = revs
        self.topics = Topics(rules.site)
        self.writes = Writes()
        self.published: list[Message | Change] = []
        """Messages and changes of sessions, in the order in which they are sent."""
        self.known: dict[tuple[str, bytes], Any] = {}
        """Events of this batch that are in the log already, by (device, id)."""
        self.seen: dict[tuple[str, bytes], Seen] = {}
        """Events that came in this batch, by (device, id)."""
        self.events: dict[bytes, str] = {}
        """The order of each event that was placed in this batch, by its id."""
        self.refused: set[tuple[str, bytes]] = set()
        """Refused messages of this batch, by (device, digest)."""
        self.orders: dict[str, OrderEntry] = {}
        """Orders whose fold got an event."""
        self.shown_orders: list[ShownOrder] = []
        self.relabelled: list[str] = []
        """Orders whose parcels, labels or payment have changed for their courier."""
        self.jobs_changed: dict[str, Job] = {}
        self.devices: dict[str, DeviceEntry] = {}
        self.ledgers: dict[tuple[str, bytes], Ledger] = {}
        self.labels: dict[str, str] = {}
        self.labels_freed: set[str] = set()
        self.answers: list[Answer | Sent | None] = []
        """One for each incoming message, in the same order."""
        self.revised: dict[int, Answer] = {}
        """New receipts for events of earlier batches whose verdict changed, by position in the log."""
        self.outcomes: list[bytes] = []

    @property
    def is_replay(self) -> bool:
        return self.logged is not None

    # --- orders and devices -----------------------------------------------------------------------------------------------

    def order(self, order_id: str) -> OrderEntry:
        return self.memory.order(order_id, self.tx)

    def device(self, device: str) -> DeviceEntry:
        entry = self.devices.get(device)
        if entry is None:
            entry = self.devices[device] = self.memory.device(device, self.tx)
        return entry

    def ledger(self, device: str, log: bytes) -> Ledger:
        """The ledger of one log of a device. If the device has too many logs, its oldest ledger is deleted."""
        ledger = self.ledgers.get((device, log))
        if ledger is not None:
            return ledger
        entry = self.device(device)
        ledger = entry.ledgers.get(log)
        if ledger is None:
            if len(entry.ledgers) >= LOGS_MAX:
                oldest = next(iter(entry.ledgers))
                del entry.ledgers[oldest]
                self.ledgers.pop((device, oldest), None)
                self.writes.delete(LEDGER_GONE, device, oldest)
            ledger = entry.ledgers[log] = Ledger()
        self.ledgers[(device, log)] = ledger
        return ledger

    # --- look-ups for placing ---------------------------------------------------------------------------------------------

    def order_of_code(self, code: str) -> str | None:
        return self.labels.get(code) or (None if code in self.labels_freed else self.tx.label_order(code))

    def is_order_known(self, order_id: str) -> bool:
        return len(order_id) <= NAME_CHARS_MAX and self.order(order_id).fold.exists

    def order_of_event(self, event_id: bytes) -> str | None:
        return self.events.get(event_id) or self.tx.event_order(event_id)

    def next_rev(self, entry: OrderEntry) -> int:
        """The next revision of an order; in a replay the one that it got originally, so that revisions never decrease."""
        return entry.rev + 1 if self.revs is None else self.revs.get(entry.fold.id, entry.rev)

    # --- publishing -------------------------------------------------------------------------------------------------------

    def publish(self, topic: str, cbor: bytes) -> None:
        """Convert a CBOR payload to the site's format and publish it as a retained message."""
        self.published.append(Message(topic, self.encoded(cbor), 1, True))

    def publish_plain(self, topic: str, plain: dict[str, Any]) -> None:
        """Encode a plain payload in the site's format and publish it as a retained message."""
        self.published.append(Message(topic, self.rules.encode(plain), 1, True))

    def clear(self, topic: str) -> None:
        """Clear a retained topic."""
        self.published.append(Message(topic, b"", 1, True))

    def encoded(self, cbor: bytes) -> bytes:
        """Convert a CBOR payload to the site's format."""
        encode = self.rules.encode
        return cbor if encode is cbor2.dumps else encode(cbor2.loads(cbor))

    # --- what projections hear --------------------------------------------------------------------------------------------

    def heard(self, heard: Refused | PresenceHeard | LocationHeard | Started | Alarm) -> None:
        """Pass something that is not an event to the projections."""
        for rule in self.hearers.by_class.get(type(heard), ()):
            rule(heard, self)

    def remember(self, row: EventRow, answer: Answer) -> None:
        """Remember the answer to an event of this batch: a later message may repeat the event or change its verdict."""
        self.seen[(row.device, row.id)] = Seen(row, answer)

    def next_pos(self) -> int:
        pos = self.memory.next_pos
        self.memory.next_pos = pos + 1
        return pos

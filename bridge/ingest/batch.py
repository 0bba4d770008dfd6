"""The batch context: the state of one transaction. Gates, fold and projections get it as an argument and record their results in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import cbor2

from bridge.domain.access import Identity
from bridge.domain.codes.place import Placing
from bridge.domain.duty import DUTY_AFTER, Duties
from bridge.domain.event_time import SHOWN, Shown
from bridge.domain.facts import APPLIED, Decided, Fact, Verdict
from bridge.domain.jobs import Job
from bridge.domain.ledger import Ledger
from bridge.domain.positions import Fix
from bridge.domain.refs import Ref
from bridge.ingest.codes import CODE_GONE, CODES, COMMON, CodeRow, placing_of
from bridge.ingest.couriers import TOLD, TOLD_GONE, rows_about
from bridge.ingest.items import Change, Message
from bridge.ingest.log import EventRow
from bridge.ingest.memory import LEDGER_GONE, DeviceEntry, Memory, OrderEntry
from bridge.ingest.ports import Transaction
from bridge.ingest.receipt import ShelfOf
from bridge.ingest.relation import Writes
from bridge.ingest.rules import Rules
from devices.protocol import bodies
from devices.protocol.messages import Presence
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import Reason

NAME_CHARS_MAX: Final = 96
"""How much of a name an alert shows."""
LOGS_MAX: Final = 64
"""How many logs of one device have a ledger; each new outbox starts a log."""


# --- what projections hear --------------------------------------------------------------------------------------------------


class Ruled(NamedTuple):
    """An event has a verdict: its first one, or one that differs from the previous one.

    `n` counts the verdicts that the server sent to the device for this event, including this one. `was` is the outcome of the previous verdict, None for the
    first. `entries` are the orders that the event is about: none for an event without an order, several for the scan of a container.
    """

    row: EventRow
    body: bodies.Body | Decided
    verdict: Verdict
    n: int
    entries: tuple[OrderEntry, ...]
    was: str | None = None


class Refused(NamedTuple):
    """A message that never becomes an event. With `expires_ms`, it is kept until then at most. `is_first` is False if the same message is in quarantine
    already; then `sealed` is empty."""

    device: str
    event_type: str | None
    received_ms: int
    reason: Reason
    detail: str
    digest: bytes
    sealed: bytes
    expires_ms: int | None
    order_id: str | None
    is_first: bool


class PresenceHeard(NamedTuple):
    """A device, or its will, published its presence."""

    identity: Identity
    presence: Presence
    payload: bytes
    received_ms: int


class LocationHeard(NamedTuple):
    """A courier's phone published where it was, in the order of time. `fixes` are believed on arrival, for what is shown now; `dated`, at least one, are all of
    those that have a time: which of them are believed once the late ones are there, only their order in time decides."""

    identity: Identity
    fixes: list[Fix]
    dated: list[Fix]


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

    __slots__ = ("detail", "entry", "event", "left", "n", "verdict")

    def __init__(self, event: EventRow | Fact, verdict: Verdict = APPLIED, entry: OrderEntry | None = None, *, n: int = 1, left: bool = False) -> None:
        self.event = event
        self.n = n
        self.verdict = verdict
        self.entry = entry
        self.detail: str | None = None
        self.left = left
        """Whether the receipt lists what is left to pick."""

    @property
    def doubt(self) -> str | None:
        """What was odd about the event on arrival, which every receipt for it repeats: words of `Warn`, with blanks between them."""
        return self.event.doubt if isinstance(self.event, Fact) else self.event.warn


class Sent(NamedTuple):
    """A receipt that is sent but not stored: for a refused message, or for a repeated event."""

    device: str
    receipt: bytes


class Arrived:
    """A new event that is in the log, or will be, and is in no order yet. `answer` is None for the bridge's own events. `row` gets its order at the end."""

    __slots__ = ("answer", "body", "detail", "fact", "row")

    def __init__(self, row: EventRow, body: bodies.Body | Decided, fact: Fact, answer: Answer | None, detail: str | None = None) -> None:
        self.row = row
        self.body = body
        self.fact = fact
        self.answer = answer
        self.detail = detail


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
        "_by_id",
        "_indexed",
        "_used",
        "answers",
        "arrived",
        "clocks",
        "devices",
        "forgotten",
        "hearers",
        "is_replay",
        "jobs_changed",
        "known",
        "ledgers",
        "logged",
        "memory",
        "no",
        "now_ms",
        "orders",
        "outcomes",
        "placings",
        "published",
        "refused",
        "relabelled",
        "revised",
        "revs",
        "rules",
        "seen",
        "sent_back",
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
        self.is_replay = logged is not None
        self.revs = revs
        self.topics = Topics(rules.site)
        self.writes = Writes()
        self.published: list[Message | Change] = []
        """Messages and changes of sessions, in the order in which they are sent."""
        self.known: dict[tuple[str, bytes], Any] = {}
        """Events of this batch that are in the log already, by (device, id)."""
        self.seen: dict[tuple[str, bytes], Arrived] = {}
        """Events that came in this batch, by (device, id)."""
        self.arrived: list[Arrived] = []
        """Events that came in this batch and are in no order yet."""
        self._by_id: dict[bytes, list[Fact]] = {}
        self._indexed = 0
        """The facts of this batch by the id of their event, which several devices may use."""
        self.placings: dict[int, Placing] = {}
        """Where events belong that were placed, or placed again, in this batch, by position in the log."""
        self.forgotten: set[str | None] = set()
        """Orders about which this batch has personal data, and which were forgotten."""
        self.refused: set[tuple[str, bytes]] = set()
        """Refused messages of this batch, by (device, digest)."""
        self.sent_back: set[tuple[str, bytes]] = set()
        """Events of this batch that were sent, by their device's counter, before a message that came before them, by (device, id)."""
        self._used: dict[str, OrderEntry] = {}
        """Orders that this batch has asked for: each is looked up in the cache once."""
        self.orders: dict[str, OrderEntry] = {}
        """Orders whose fold got an event."""
        self.shown_orders: list[ShownOrder] = []
        self.relabelled: list[str] = []
        """Orders whose parcels, labels or payment have changed for their courier."""
        self.jobs_changed: dict[str, Job] = {}
        self.devices: dict[str, DeviceEntry] = {}
        self.clocks: dict[str, Shown] = {}
        """What the wall clocks of devices were worth in this batch: the last doubt, or that there was none."""
        self.ledgers: dict[tuple[str, bytes], Ledger] = {}
        self.answers: list[Answer | Sent | None] = []
        """One for each incoming message, in the same order."""
        self.revised: dict[int, Answer] = {}
        """New receipts for events of earlier batches whose verdict changed, by position in the log."""
        self.outcomes: list[bytes] = []

    # --- orders and devices -----------------------------------------------------------------------------------------------

    def order(self, order_id: str) -> OrderEntry:
        entry = self._used.get(order_id)
        if entry is None:
            entry = self._used[order_id] = self.memory.order(order_id, self.tx)
        return entry

    def placing(self, pos: int) -> Placing:
        """Where an event belongs that is not new: as this batch has placed it, else as it is stored."""
        known = self.placings.get(pos)
        if known is None:
            ((row, rows),) = self.tx.events_at([pos])
            known = placing_of(row, rows)
        return known

    def device(self, device: str) -> DeviceEntry:
        entry = self.devices.get(device)
        if entry is None:
            entry = self.devices[device] = self.memory.device(device, self.tx)
        return entry

    def duties(self, courier: str) -> Duties:
        """When a courier was on duty, as it was told."""
        known = self.memory.duties.get(courier)
        if known is None:
            told = rows_about(TOLD, TOLD_GONE, courier, self.tx, self.writes)
            known = self.memory.duties[courier] = Duties(((row.at_ms, DUTY_AFTER[row.type]) for row in told), self.rules.shift_longest_ms)
        return known

    def saw_clock(self, device: str, shown: Shown) -> None:
        """Record what a device's wall clock is worth. In one batch, a doubt stays whatever follows."""
        if shown is not SHOWN.RIGHT or device not in self.clocks:
            self.clocks[device] = shown

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

    # --- events -----------------------------------------------------------------------------------------------------------

    def arrive(self, arrived: Arrived) -> None:
        """Take a new event; `entering.flush` puts it into its orders. A later message may repeat it or change its verdict, so it is remembered."""
        self.arrived.append(arrived)
        self.seen[arrived.fact.uid] = arrived

    def new_facts(self, event_id: bytes) -> Sequence[Fact]:
        """The new events with an id, from any device. Few events name another one, so ids are indexed only when one does."""
        for arrived in islice(self.seen.values(), self._indexed, None):
            self._by_id.setdefault(arrived.fact.id, []).append(arrived.fact)
        self._indexed = len(self.seen)
        return self._by_id.get(event_id, ())

    # --- articles ---------------------------------------------------------------------------------------------------------

    def shelf_of(self) -> ShelfOf | None:
        """Finds where an article is, for receipts that are sent; None if no articles are known, or nothing is sent."""
        articles, tx, language = self.memory.articles, self.tx, self.rules.language
        return None if self.is_replay or articles.is_empty(tx) else lambda sku: articles.shelf(sku, language, tx)

    # --- codes ------------------------------------------------------------------------------------------------------------

    def know_code(self, key: str, order_id: str, *, is_beside: bool) -> None:
        """Record that an order knows of a code."""
        self.memory.code(key, self.tx).orders[order_id] = is_beside
        if order_id != COMMON:
            self.order(order_id).know(key)
        self.writes.keyed(CODES)[(key, order_id)] = CodeRow(key, order_id, is_beside)

    def forget_code(self, key: str, order_id: str) -> None:
        """Record that an order no longer knows of a code."""
        self.memory.code(key, self.tx).orders.pop(order_id, None)
        if order_id != COMMON:
            self.order(order_id).codes.discard(key)
        self.writes.keyed(CODES).pop((key, order_id), None)
        self.writes.delete(CODE_GONE, key, order_id)

    def waiting_facts(self, ref: Ref) -> dict[int, Fact]:
        """The events in no order that wait for a reference, by position in the log."""
        return self.memory.waiting(ref, self.tx)

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

    def heard(self, heard: Refused | PresenceHeard | LocationHeard | Started | Change) -> None:
        """Pass something that is not an event to the projections."""
        for rule in self.hearers.by_class.get(type(heard), ()):
            rule(heard, self)

    def next_pos(self) -> int:
        pos = self.memory.next_pos
        self.memory.next_pos = pos + 1
        return pos

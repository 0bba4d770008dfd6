"""The ledger of a run: what was sent, acknowledged, stored and delivered, and what that adds up to. Pure: no socket, clock or process.

`Book` takes down what the clients see, as they see it; `count` adds it up. A message is known by `Id`, which stands in its payload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Final, Literal, NamedTuple

EXAMPLES_MAX: Final = 20
"""Messages named for each kind of fault; the rest is counted."""

Kind = Literal["message", "event"]


class Id(NamedTuple):
    """One message. MQTT orders what one publisher sends on one topic at one QoS: `seq` grows on a lane."""

    publisher: str
    lane: str
    seq: int

    def __str__(self) -> str:
        return f"{self.publisher}/{self.lane}/{self.seq}"


class Class(NamedTuple):
    """What is counted together: messages or order events, at one QoS."""

    kind: Kind
    qos: int


class Arrival(NamedTuple):
    """A message handed over to a subscriber, at the QoS of the packet that brought it."""

    id: Id
    qos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A persistent session's only subscription. `publishers`: whose messages its filter takes."""

    publishers: frozenset[str]
    qos: int

    def qos_of(self, published: int) -> int:
        """The QoS that a message must come with (MQTT 3.1.1 §3.8.4)."""
        return min(self.qos, published)


@dataclass(slots=True)
class Book:
    """What the clients of a run saw. Every subscriber was subscribed before the first message was sent."""

    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    sent: dict[Id, Class] = field(default_factory=dict)
    acknowledged: set[Id] = field(default_factory=set)
    given_up: set[Id] = field(default_factory=set)
    """QoS 2 without an answer when the server lost the publisher's session: to send it anew could double it."""
    arrivals: dict[str, list[Arrival]] = field(default_factory=dict)
    stored: Counter[Id] | None = None
    """How often each order event stands in the log at the end; None where nobody can look."""
    vanished: set[Id] = field(default_factory=set)
    """Acknowledged before a kill, and not in the log after it."""
    sessions_lost: int = 0
    foreign: list[str] = field(default_factory=list)
    """Payloads that nobody sent."""

    def arrive(self, subscriber: str, identity: Id, qos: int) -> None:
        self.arrivals[subscriber].append(Arrival(identity, qos))

    def subscribe(self, subscriber: str, subscription: Subscription) -> None:
        self.subscriptions[subscriber] = subscription
        self.arrivals[subscriber] = []

    @property
    def answered(self) -> int:
        """Acknowledged or given up; never both."""
        return len(self.acknowledged) + len(self.given_up)

    @property
    def unanswered(self) -> int:
        """Sent, and neither acknowledged nor given up."""
        return len(self.sent) - self.answered


@dataclass(slots=True, kw_only=True)
class Counts:
    """The ledger's columns, for one class. Deliveries are counted for each subscriber."""

    sent: int = 0
    acknowledged: int = 0
    given_up: int = 0
    stored: int | None = None
    due: int = 0
    delivered: int = 0
    again: int = 0
    unanswered: int = 0
    stored_twice: int | None = None
    delivered_twice: int = 0
    out_of_order: int = 0
    wrong_qos: int = 0
    lost_stored: int | None = None
    lost_delivered: int = 0

    @property
    def losses(self) -> int:
        return sum(getattr(self, name) or 0 for name in LOSSES)


LOSSES: Final = ("unanswered", "stored_twice", "delivered_twice", "out_of_order", "wrong_qos", "lost_stored", "lost_delivered")
"""The columns that must be 0."""
COLUMNS: Final = tuple(f.name for f in fields(Counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """A book, added up. `examples` names some messages of each fault."""

    classes: dict[Class, Counts]
    sessions_lost: int
    foreign: int
    examples: dict[str, list[str]]

    @property
    def ok(self) -> bool:
        return not self.sessions_lost and not self.foreign and not any(c.losses for c in self.classes.values())


def count(book: Book) -> Ledger:
    """Add a book up."""
    counts = {c: Counts() for c in sorted(set(book.sent.values()), key=lambda c: (c.kind != "message", c.qos))}
    examples: dict[str, list[str]] = {"foreign": book.foreign[:EXAMPLES_MAX]}
    for identity, group in book.sent.items():
        own = counts[group]
        own.sent += 1
        own.acknowledged += identity in book.acknowledged
        own.given_up += identity in book.given_up
    for own in counts.values():
        own.unanswered = own.sent - own.acknowledged - own.given_up
    _note(examples, "unanswered", (str(i) for i in book.sent if i not in book.acknowledged and i not in book.given_up))
    if book.stored is not None:
        _count_stored(book, book.stored, counts, examples)
    for subscriber, subscription in book.subscriptions.items():
        _count_delivered(book, subscriber, subscription, counts, examples)
    return Ledger(classes=counts, sessions_lost=book.sessions_lost, foreign=len(book.foreign), examples={n: e for n, e in examples.items() if e})


def undelivered(book: Book, subscriber: str) -> set[Id]:
    """Acknowledged to its publisher, taken by the subscriber's filter, and not there."""
    publishers = book.subscriptions[subscriber].publishers
    return {i for i in book.acknowledged if i.publisher in publishers}.difference(a.id for a in book.arrivals[subscriber])


def _count_stored(book: Book, stored: Counter[Id], counts: Mapping[Class, Counts], examples: dict[str, list[str]]) -> None:
    events = {i: group for i, group in book.sent.items() if group.kind == "event"}
    lost = [i for i in events if i in book.vanished or (i in book.acknowledged and not stored[i])]
    twice = [i for i in events if stored[i] > 1]
    for group, own in counts.items():
        if group.kind == "event":
            own.stored = sum(1 for i, g in events.items() if g == group and stored[i])
            own.lost_stored = sum(1 for i in lost if events[i] == group)
            own.stored_twice = sum(1 for i in twice if events[i] == group)
    _note(examples, "lost_stored", map(str, lost))
    _note(examples, "stored_twice", map(str, twice))


def _count_delivered(book: Book, subscriber: str, subscription: Subscription, counts: Mapping[Class, Counts], examples: dict[str, list[str]]) -> None:
    times: Counter[Id] = Counter()
    highest: dict[tuple[str, str, int], int] = {}
    faults: dict[str, list[Id]] = {"delivered_twice": [], "out_of_order": [], "wrong_qos": []}
    for identity, qos in book.arrivals[subscriber]:
        group = book.sent[identity]
        own = counts[group]
        promised = subscription.qos_of(group.qos) if group.kind == "message" else qos
        if qos != promised:
            own.wrong_qos += 1
            faults["wrong_qos"].append(identity)
        times[identity] += 1
        if times[identity] > 1:
            if promised == 2:
                own.delivered_twice += 1
                faults["delivered_twice"].append(identity)
            else:
                own.again += 1
            continue
        own.delivered += 1
        # Whatever comes for the first time comes in its place, sent again or not: a connection carries the beginning of what was in flight, never its end.
        stream = (identity.publisher, identity.lane, group.qos)
        if identity.seq < highest.get(stream, -1):
            own.out_of_order += 1
            faults["out_of_order"].append(identity)
        else:
            highest[stream] = identity.seq
    missing = undelivered(book, subscriber)
    for identity in missing:
        counts[book.sent[identity]].lost_delivered += 1
    for identity, group in book.sent.items():
        counts[group].due += identity in book.acknowledged and identity.publisher in subscription.publishers
    for name, ids in (*faults.items(), ("lost_delivered", sorted(missing))):
        _note(examples, name, (f"{i} at {subscriber}" for i in ids))


def _note(examples: dict[str, list[str]], name: str, found: Iterable[str]) -> None:
    noted = examples.setdefault(name, [])
    for text in found:
        if len(noted) >= EXAMPLES_MAX:
            return
        noted.append(text)

"""The seam between ingest and the projections: what a projection is, and the order in which projections run.

A projection derives something from settled events, in the transaction that settles them. It is one file in `bridge/projections` and one line in the tuple of
`app.py`. The order of that tuple is the order of `rule` and of `finish`: no projection depends on a later one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from bridge.domain.jobs import Job
from bridge.ingest.batch import Batch, Hearers
from bridge.ingest.items import Change, Effect, Message
from bridge.ingest.log import EventRow
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Relation, Writes
from bridge.ingest.sessions import IncomingIdRow
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType, Outcome, Role

Rule = Callable[[Any, Batch], None]


class TopicFamily(NamedTuple):
    """Retained topics that a projection publishes, below `v1/{site}/`, and the roles that may read all of them."""

    topic_filter: str
    roles: frozenset[Role] = frozenset()


class Projection(Protocol):
    """Derives something from settled events.

    `rule` gets every event whose type or outcome it hears as a `Ruled`, and gets it again when the verdict changes.
    """

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The relations that it writes."""
        ...

    @property
    def topics(self) -> tuple[TopicFamily, ...]:
        """The topics that it publishes."""
        ...

    @property
    def hears(self) -> frozenset[EventType | Outcome | type]:
        """The event types, outcomes and other classes (`batch.Refused`, …) that `rule` gets."""
        ...

    def rule(self, heard: Any, batch: Batch) -> None:
        """Process one thing that it hears. What `batch` collects is written and published at the end of the batch."""
        ...

    def finish(self, batch: Batch) -> None:
        """Called when every message of the batch is settled: add rows to `batch.writes` and messages to `batch.published`."""
        ...

    def sweep(self, batch: Batch) -> None:
        """Apply the changes that are due at this time. `finish` follows."""
        ...

    def load(self, tx: Transaction) -> None:
        """Read what the projection remembers between batches."""
        ...

    def forget(self) -> None:
        """Drop what the projection remembers, because a batch did not commit. `load` follows."""
        ...


class Quiet:
    """The defaults of a projection: do nothing."""

    relations: Any = ()
    topics: Any = ()
    hears: Any = frozenset()

    def rule(self, heard: Any, batch: Batch) -> None: ...

    def finish(self, batch: Batch) -> None: ...

    def sweep(self, batch: Batch) -> None: ...

    def load(self, tx: Transaction) -> None: ...

    def forget(self) -> None: ...


class JobGate(Protocol):
    """Decides the answers of couriers: before their verdict, once, in the order of arrival."""

    def order_of(self, job_id: str, batch: Batch) -> str | None:
        """The first order of a job."""
        ...

    def orders_of(self, job_id: str, batch: Batch) -> tuple[str, ...]:
        """All orders of a job; none if there is no such job."""
        ...

    def is_full(self, body: bodies.Assigned, order_id: str, batch: Batch) -> bool:
        """Whether the job that an assignment names can't take more orders."""
        ...

    def decide(self, row: EventRow, body: bodies.Body, batch: Batch) -> None:
        """Decide a courier's answer and log the decision; in a replay, read the logged decision."""
        ...

    def show_all(self, batch: Batch) -> list[Job]:
        """Publish every open job in its current state."""
        ...


class SessionLog(Protocol):
    """The writer's part of persistent sessions; `broker.session_log` implements it in production."""

    def load(self, tx: Transaction) -> None: ...

    def forget(self) -> None: ...

    def received(self, packet: IncomingIdRow, writes: Writes) -> None:
        """Store the packet id of a QoS 2 message with the message (MQTT 3.1.1 §4.3.3)."""
        ...

    def take(self, effects: Sequence[Message | Change], writes: Writes, now_ms: int) -> list[Effect]:
        """Append each message for a session to the message log, and apply the changes of sessions, in their order."""
        ...


def hearers_of(projections: Sequence[Projection]) -> Hearers:
    """Index the projections by what they hear, so that an event needs one look-up."""

    def hearing(*wanted: object) -> tuple[Rule, ...]:
        return tuple(p.rule for p in projections if p.hears.intersection(wanted))

    kinds = {kind for p in projections for kind in p.hears if isinstance(kind, type)}
    return Hearers(
        by_type={t.value: rules for t in EventType if (rules := hearing(t))},
        by_outcome={o.value: rules for o in Outcome if (rules := hearing(o))},
        by_class={kind: hearing(kind) for kind in kinds},
    )

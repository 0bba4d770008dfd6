"""The seam between ingest and what follows from it: what a projection is, and the order in which all of them act.

A projection derives something from settled events, in the transaction that settles them. It is one file in `bridge/projections` and one line in the tuple of
`app.py`. The order of that tuple is the order of `rule` and of `finish`: one direction, nothing looks back.
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
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType, Outcome, Role

Rule = Callable[[Any, Batch], None]


class TopicFamily(NamedTuple):
    """Retained topics that a projection publishes, below `v1/{site}/`, and the roles that may read all of them."""

    topic_filter: str
    roles: frozenset[Role] = frozenset()


class Projection(Protocol):
    """Derives something from settled events.

    An event of a type or with an outcome that it hears comes to `rule` as `Ruled`, also when an earlier verdict changes.
    """

    @property
    def relations(self) -> tuple[Relation, ...]:
        """What it keeps."""
        ...

    @property
    def topics(self) -> tuple[TopicFamily, ...]:
        """What it publishes."""
        ...

    @property
    def hears(self) -> frozenset[EventType | Outcome | type]:
        """Event types, outcomes, and classes of what else is heard (`batch.Refused`, …)."""
        ...

    def rule(self, heard: Any, batch: Batch) -> None:
        """Take in one thing that was heard. What `batch` collects is written and published when the batch is finished."""
        ...

    def finish(self, batch: Batch) -> None:
        """Every message of the batch is settled: leave rows in `batch.writes` and messages in `batch.published`."""
        ...

    def sweep(self, batch: Batch) -> None:
        """Time has passed: do what it asks for. `finish` follows."""
        ...

    def load(self, tx: Transaction) -> None:
        """Read what is remembered between batches."""
        ...

    def forget(self) -> None:
        """Drop what is remembered: a batch did not commit. `load` follows."""
        ...


class Quiet:
    """What a projection does if it says nothing else."""

    relations: Any = ()
    topics: Any = ()
    hears: Any = frozenset()

    def rule(self, heard: Any, batch: Batch) -> None: ...

    def finish(self, batch: Batch) -> None: ...

    def sweep(self, batch: Batch) -> None: ...

    def load(self, tx: Transaction) -> None: ...

    def forget(self) -> None: ...


class JobGate(Protocol):
    """The gate of couriers' answers: they are decided before their verdict, once, in the order of arrival."""

    def order_of(self, job_id: str, batch: Batch) -> str | None:
        """The first order of a job."""
        ...

    def is_full(self, body: bodies.Assigned, order_id: str, batch: Batch) -> bool:
        """Whether the job that an assignment names takes no more orders."""
        ...

    def decide(self, row: EventRow, body: bodies.Body, batch: Batch) -> None:
        """Decide a courier's answer, and log what was decided; in a replay read what was logged."""
        ...

    def show_all(self, batch: Batch) -> list[Job]:
        """Publish every open job as it stands."""
        ...


class SessionLog(Protocol):
    """The writer's half of persistent sessions; `broker.session_log` is the one of production."""

    def load(self, tx: Transaction) -> None: ...

    def forget(self) -> None: ...

    def received(self, sid: int, packet_id: int, writes: Writes) -> None:
        """A QoS 2 message came in: its packet id is stored with it (MQTT 3.1.1 §4.3.3)."""
        ...

    def take(self, effects: Sequence[Message | Change], writes: Writes, now_ms: int) -> list[Effect]:
        """Give each message that a session is owed its place in the message log, and carry out the changes of sessions, in their order."""
        ...


def hearers_of(projections: Sequence[Projection]) -> Hearers:
    """Who hears what, so that an event costs one look-up."""

    def hearing(*wanted: object) -> tuple[Rule, ...]:
        return tuple(p.rule for p in projections if p.hears.intersection(wanted))

    kinds = {kind for p in projections for kind in p.hears if isinstance(kind, type)}
    return Hearers(
        by_type={t.value: rules for t in EventType if (rules := hearing(t))},
        by_outcome={o.value: rules for o in Outcome if (rules := hearing(o))},
        by_class={kind: hearing(kind) for kind in kinds},
    )

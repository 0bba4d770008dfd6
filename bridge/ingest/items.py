"""What goes through ingest, and what comes out of it: messages, changes of sessions, and the effects of a committed batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from bridge.domain.access import Identity, Kind
from bridge.domain.jobs import Job

Acknowledge = Callable[[bytes], None]
"""Called on the loop when a message's batch is committed and shown, with its receipt in CBOR (empty if it has none)."""


class Incoming(NamedTuple):
    """One message as the front door hands it in.

    `detail` says why it was denied. `received_ms` is the server's monotonic time, anchored to the wall clock at its start. A plain message has its topic,
    QoS and retain flag. `sid` and `packet_id` are set if a persistent session sent it at QoS 2: the id is stored with the message (§4.3.3).
    """

    identity: Identity
    kind: Kind
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


class Done(NamedTuple):
    """A change that is committed, and the result that its `done` is called with."""

    change: Change
    result: Any


Effect = Message | Done
Item = Incoming | Change


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

"""The input and output of ingest: messages, changes of sessions, and the effects of a committed batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from bridge.domain.access import Identity, Kind
from bridge.domain.jobs import Job
from bridge.ingest.sessions import IncomingIdRow, WillKey, WillRow

Acknowledge = Callable[[bytes], None]
"""Called on the event loop when a message's batch is committed and shown, with the message's receipt in CBOR (empty if it has none)."""


class Incoming(NamedTuple):
    """One message from the front door.

    `detail` is the reason if it was denied. `received_ms` is the server's monotonic time, anchored to the wall clock at its start. A plain message has its
    topic, QoS and retain flag. `settles` is what changes in the same transaction: the packet id is stored of a message that a persistent session sent at QoS 2
    (§4.3.3), and a stored will is dropped that is published (§3.1.2.5). `dup` is the flag of a packet that its client sends again (§3.3.1.1): it was written
    earlier than what came before it.
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
    settles: IncomingIdRow | DropWill | None = None
    dup: bool = False


class Message(NamedTuple):
    """One publish that a batch causes. An empty retained payload clears the topic. `pos` is its position in the message log, 0 if it is not in it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    pos: int = 0


def _ignore(result: Any) -> None:
    """The default `done` of a change: no caller waits for its result."""


# --- changes of sessions ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of sessions and connections, in order with the messages. `done` is called on the event loop, in the same order, after the commit."""

    payload: ClassVar[bytes] = b""
    received_ms: int
    done: Callable[[Any], None] = _ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession(Change):
    """A client connects. Make its session if it has none; with clean session, end the one that it has. `done` gets the sid, 0 for a clean session.

    `will` is stored until the client's connection ends.
    """

    device: str
    client_id: str
    clean: bool
    will: WillRow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession(Change):
    sid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DropWill(Change):
    """A stored will is published, or is not to be (§3.14.4)."""

    will: WillKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe(Change):
    """Topic filters with their QoS. With `sid` 0 (a clean session) nothing is stored, but the order among the messages still counts."""

    sid: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe(Change):
    sid: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver(Change):
    """Retained messages for a new subscription, in portions. `after` is the last topic in this portion, None if the portion is the last one.

    `done` gets the positions in the message log, or None if the session is no longer subscribed.
    """

    sid: int
    topic_filter: str
    after: str | None
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Change):
    """PUBREL: the client knows that its QoS 2 message is stored, so the packet id is free again."""

    sid: int
    packet_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Change):
    """What clients have acknowledged: the new rows of some sessions, and the messages that no session waits for any more."""

    sessions: tuple[SessionProgress, ...]
    finished: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm(Change):
    """An alert about a device that is raised or (if `text` is empty) cleared, not by its events but by how it behaves."""

    code: str
    subject: str
    text: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp(Change):
    """What is missing of a device's log will never come: it is not owed any more. `last_seq` is the last number that the device has used."""

    device: str
    log: bytes
    last_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected(Change):
    """A device that had no connection has one."""

    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected(Change):
    """The last connection of a device has ended. `is_lost`: without DISCONNECT."""

    device: str
    is_lost: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce(Change):
    """A message that the bridge itself publishes."""

    message: Message


class SessionProgress(NamedTuple):
    """How far a session has come; the fields are in the order of the columns that are written. `seen_ms` is 0 while its client is connected."""

    next_pos: int
    next_index: int
    slots: bytes
    dropped: int
    seen_ms: int
    sid: int


class Done(NamedTuple):
    """A committed change, and the result for its `done`."""

    change: Change
    result: Any


Effect = Message | Done
Item = Incoming | Change


class Settled(NamedTuple):
    """The effects of a committed batch: publishes and changes of sessions in their order, and the jobs that changed."""

    effects: list[Effect]
    jobs: list[Job]
    outcomes: list[bytes]
    """One receipt (CBOR) per item of the batch, in the same order; empty for everything except events."""
    batch: int = 0
    """Its number in the event log; 0 if nothing of it is there."""

    @property
    def messages(self) -> list[Message]:
        return [e for e in self.effects if isinstance(e, Message)]


class OpenJobs(NamedTuple):
    """Every open job and its messages. They contain nothing new for any courier."""

    jobs: list[Job]
    messages: list[Message]

"""The stored state of persistent sessions (MQTT 3.1.1 §4.1), and wills (§3.1.2.5): rows that the writer, the store and the broker share."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.ingest.relation import Deletion, Origin, Relation, Update


class SessionRow(NamedTuple):
    """A session. `seen_ms` is when its client was last connected, 0 while it is connected."""

    sid: int
    device: str
    client_id: str
    next_pos: int
    next_index: int
    slots: bytes
    dropped: int
    seen_ms: int


class SubscriptionRow(NamedTuple):
    """An interval of the message log, open while `to_pos` is None. `retained_after` is None once every retained message has been handed over."""

    sid: int
    topic_filter: str
    from_pos: int
    to_pos: int | None
    qos: int
    retained_after: str | None


class MessageRow(NamedTuple):
    """A message in the message log. `sid` is set if it is a retained message for one new subscriber."""

    pos: int
    topic: str
    payload: bytes
    qos: int
    sid: int | None
    at_ms: int


class IncomingIdRow(NamedTuple):
    """A QoS 2 packet id that a client has not released yet (§4.3.3)."""

    sid: int
    packet_id: int


class WillKey(NamedTuple):
    """Whose will: there is one connection with a client id."""

    device: str
    client_id: str


class WillRow(NamedTuple):
    """The will of a client that is connected."""

    device: str
    client_id: str
    topic: str
    payload: bytes
    qos: int
    retain: bool


SESSIONS: Final = Relation(
    name="sessions",
    row=SessionRow,
    key=("sid",),
    origin=Origin.KEPT,
    unique=(("device", "client_id"),),
    note="persistent sessions: what waits begins at next_pos with delivery index next_index; slots are what is in flight before it",
)
SUBSCRIPTIONS: Final = Relation(
    name="subscriptions",
    row=SubscriptionRow,
    key=("sid", "topic_filter", "from_pos"),
    origin=Origin.KEPT,
    note="intervals of the message log in which a session is subscribed to a filter; open while to_pos is null. "
    "retained_after: the last retained topic that was handed over; null once all were",
)
MESSAGE_LOG: Final = Relation(
    name="message_log",
    row=MessageRow,
    key=("pos",),
    origin=Origin.KEPT,
    appends=True,
    note="QoS 1 and 2 messages that a persistent session is owed, once each; sid: a retained message for this new subscriber alone",
)
INCOMING_IDS: Final = Relation(
    name="incoming_ids",
    row=IncomingIdRow,
    key=("sid", "packet_id"),
    origin=Origin.KEPT,
    note="QoS 2 packet ids that a client has not released yet (MQTT 3.1.1 §4.3.3)",
)
WILLS: Final = Relation(
    name="wills",
    row=WillRow,
    key=("device", "client_id"),
    origin=Origin.KEPT,
    note="wills of connected clients, except those that say only that their device is offline; a start publishes what a crash left (MQTT 3.1.1 §3.1.2.5)",
)

SESSION_GONE: Final = tuple(Deletion(relation, ("sid",)) for relation in (SESSIONS, SUBSCRIPTIONS, INCOMING_IDS))
MESSAGE_GONE: Final = Deletion(MESSAGE_LOG, ("pos",))
INCOMING_ID_GONE: Final = Deletion(INCOMING_IDS, ("sid", "packet_id"))
WILL_GONE: Final = Deletion(WILLS, ("device", "client_id"))
PROGRESS: Final = Update(SESSIONS, ("next_pos", "next_index", "slots", "dropped", "seen_ms"), ("sid",))
HANDED_OVER: Final = Update(SUBSCRIPTIONS, ("retained_after",), ("sid", "topic_filter", "from_pos"))

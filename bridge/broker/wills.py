"""Wills: what a client leaves behind if its connection ends without DISCONNECT (MQTT 3.1.1 §3.1.2.5).

A will is stored before its client is let in, and leaves the store in the transaction that publishes it: a start publishes what a crash has left, once. A
device's own presence need not be stored, because a start says of every device that it is offline.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.broker.client import Client
from bridge.broker.codec.events import Will
from bridge.broker.online import OnlineDevices
from bridge.broker.shared import Shared
from bridge.domain.access import Identity, Kind, may_publish
from bridge.ingest.items import DropWill, Incoming
from bridge.ingest.sessions import WillKey, WillRow


def row_of(identity: Identity, client_id: str, will: Will | None) -> WillRow | None:
    """What is stored of a client's will; None if nothing needs to be."""
    if will is None:
        return None
    publishing = may_publish(identity, will.topic)[1]
    return None if publishing is not None and publishing.kind is Kind.PRESENCE else WillRow(identity.device, client_id, *will)


class Wills:
    """Publishes wills, or drops them.

    Args:
        has_room_for_retained: whether one more message may be retained under a topic.
    """

    def __init__(self, shared: Shared, online: OnlineDevices, has_room_for_retained: Callable[[str], bool]) -> None:
        self._shared = shared
        self._online = online
        self._has_room_for_retained = has_room_for_retained

    def end(self, client: Client, will: Will | None) -> None:
        """A client's connection has ended. `will` is to be published; None if there is none, or the client said DISCONNECT (§3.14.4)."""
        stored = client.stored_will
        is_published = will is not None and client.identity is not None and self._publish(client.identity, client.peer, will, stored)
        if stored is not None and not is_published:
            self._drop(stored)

    def publish_stored(self, row: WillRow, identity: Identity | None) -> None:
        """Publish a will whose connection ended with the server. `identity` is None if its device may not log in any more: then it is dropped."""
        key = WillKey(row.device, row.client_id)
        will = Will(row.topic, row.payload, row.qos, bool(row.retain))  # SQLite has no type of its own for it
        if identity is None or not self._publish(identity, "the last run", will, key):
            self._drop(key)

    def _publish(self, identity: Identity, peer: str, will: Will, stored: WillKey | None) -> bool:
        """Publish a will, if it may still be published."""
        answer, publishing = may_publish(identity, will.topic)
        if not answer.allowed or publishing is None:
            return False
        kind, event_type = publishing
        if kind is Kind.PRESENCE and identity.device in self._online:
            return False  # it would speak for the device's other connections
        shared = self._shared
        retain = will.retain and (kind is not Kind.PLAIN or not will.payload or self._has_room_for_retained(will.topic))
        if retain is not will.retain:
            shared.counters.denied += 1
            shared.notices.say("a will was not retained", identity.device, peer, "no more retained messages are kept (broker.retained_max)")
        now_ms = shared.now_ms()
        settles = DropWill(received_ms=now_ms, will=stored) if stored is not None else None
        shared.sink.offer(Incoming(identity, kind, event_type, will.payload, now_ms, None, will.topic, will.qos, retain, settles), _no_answer)
        return True

    def _drop(self, will: WillKey) -> None:
        self._shared.sink.change(DropWill(received_ms=self._shared.now_ms(), will=will))


def _no_answer(receipt: bytes) -> None:
    """No client waits for the acknowledgement of a will."""

"""Sessions: what a client is subscribed to, and what is on its way to it (MQTT 3.1.1 §4.1, §4.3, §4.4).

A session holds bytes and numbers, no socket: `write` is set while the client is there. Outgoing messages wait in a bounded queue and are sent through a
window; whoever reads slowly costs its own queue and nobody else's.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from bridge.broker.packets import Outgoing, pubrel
from bridge.domain.access import Identity

PACKET_IDS = 65_535


class _Owed(NamedTuple):
    message: Outgoing
    qos: int
    retain: bool


class _Flying:
    """A message in the window. `released` is set once PUBREC came: from then on only PUBREL is sent (§4.3.3)."""

    __slots__ = ("owed", "released")

    def __init__(self, owed: _Owed) -> None:
        self.owed = owed
        self.released = False


class Session:
    """One client's session. It outlives the connection unless it is clean.

    Args:
        window: QoS 1 and 2 messages in flight at a time.
        queue_max: messages that wait beyond the window; the oldest goes when there is no room.
    """

    def __init__(self, identity: Identity, client_id: str, *, clean: bool, window: int, queue_max: int) -> None:
        self.identity = identity
        self.client_id = client_id
        self.clean = clean
        self.subscriptions: dict[str, int] = {}
        self.incoming: dict[int, bool] = {}
        """QoS 2 packet ids of the client's that are not released yet, and whether their message is committed."""
        self.write: Callable[[bytes], None] | None = None
        self.dropped = 0
        self._window = window
        self._queue_max = queue_max
        self._queue: deque[_Owed] = deque()
        self._retained: dict[str, int] = {}
        self._flying: OrderedDict[int, _Flying] = OrderedDict()
        self._last_id = 0

    @property
    def waiting(self) -> int:
        """Messages that are not sent yet."""
        return len(self._queue) + len(self._retained)

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    # --- out --------------------------------------------------------------------------------------------------------------

    def deliver(self, message: Outgoing, qos: int, *, retain: bool = False) -> None:
        """Send a message, or queue it for when there is room or a connection. QoS 0 is not kept for a client that is away (§3.1.2.4)."""
        if qos == 0:
            if self.write is not None:
                self.write(message.wire(0, 0, retain=retain))
            return
        if self.write is not None and len(self._flying) < self._window and not self._queue:
            self._send(_Owed(message, qos, retain))
            return
        if len(self._queue) >= self._queue_max:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(_Owed(message, qos, retain))

    def owe_retained(self, topics: list[tuple[str, int]]) -> None:
        """Retained topics, with the QoS of their subscription, to be sent as the window allows, each once; they are read when they are sent."""
        self._retained.update(topics)

    @property
    def has_more(self) -> bool:
        """Whether retained messages wait and the window has room for them."""
        return bool(self._retained) and len(self._flying) < self._window

    def pump(self, retained: Callable[[str], Outgoing | None]) -> None:
        """Fill the window from what waits; of what needs no acknowledgement, one window's worth at a time."""
        portion = self._window
        while self.write is not None and len(self._flying) < self._window:
            if self._retained:
                if not portion:
                    return
                portion -= 1
                topic = next(iter(self._retained))
                qos = self._retained.pop(topic)
                message = retained(topic)
                if message is not None:
                    self._send_retained(message, min(qos, message.qos))
            elif self._queue:
                self._send(self._queue.popleft())
            else:
                return

    def _send_retained(self, message: Outgoing, qos: int) -> None:
        assert self.write is not None
        if qos == 0:
            self.write(message.wire(0, 0, retain=True))
        else:
            self._send(_Owed(message, qos, True))

    def _send(self, owed: _Owed) -> None:
        assert self.write is not None
        packet_id = self._next_id()
        self._flying[packet_id] = _Flying(owed)
        self.write(owed.message.wire(owed.qos, packet_id, retain=owed.retain))

    def _next_id(self) -> int:
        while True:
            self._last_id = self._last_id % PACKET_IDS + 1
            if self._last_id not in self._flying:
                return self._last_id

    def on_puback(self, packet_id: int) -> None:
        flying = self._flying.get(packet_id)
        if flying is not None and flying.owed.qos == 1:
            del self._flying[packet_id]

    def on_pubrec(self, packet_id: int) -> bytes:
        """The PUBREL that answers a PUBREC; also for an id that is not known, so that the client can finish (§4.3.3)."""
        flying = self._flying.get(packet_id)
        if flying is not None and flying.owed.qos == 2:
            flying.released = True
        return pubrel(packet_id)

    def on_pubcomp(self, packet_id: int) -> None:
        flying = self._flying.get(packet_id)
        if flying is not None and flying.owed.qos == 2:
            del self._flying[packet_id]

    def resume(self) -> None:
        """After a reconnect: send again what was in flight, in its order, with DUP (§4.4)."""
        assert self.write is not None
        for packet_id, flying in self._flying.items():
            owed = flying.owed
            self.write(pubrel(packet_id) if flying.released else owed.message.wire(owed.qos, packet_id, retain=owed.retain, dup=True))

"""One message on its way out, as bytes (MQTT 3.1.1 §3.3)."""

from __future__ import annotations

from bridge.broker.codec.v311 import PUBLISH, remaining_length


class Outgoing:
    """One message on its way out. The bytes that all its subscribers share are made once."""

    __slots__ = ("_head", "_quick", "order", "payload", "qos", "topic")

    def __init__(self, topic: str, payload: bytes, qos: int) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.order = 0
        """Of a retained message: its number among all that were retained since the start."""
        self._head: bytes | None = None
        self._quick: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of topic and payload, about."""
        return len(self.topic) + len(self.payload)

    def wire(self, qos: int, packet_id: int, *, retain: bool, dup: bool = False) -> bytes:
        """The PUBLISH packet for one subscriber (§3.3)."""
        if qos == 0 and not retain:
            if self._quick is None:
                self._quick = self._without_id(PUBLISH << 4)
            return self._quick
        first = PUBLISH << 4 | (8 if dup else 0) | qos << 1 | retain
        if self._head is None:
            name = self.topic.encode()
            self._head = b"".join((remaining_length(4 + len(name) + len(self.payload)), len(name).to_bytes(2, "big"), name))
        if qos == 0:
            return self._without_id(first)
        return b"".join((bytes((first,)), self._head, packet_id.to_bytes(2, "big"), self.payload))

    def _without_id(self, first: int) -> bytes:
        name = self.topic.encode()
        return b"".join((bytes((first,)), remaining_length(2 + len(name) + len(self.payload)), len(name).to_bytes(2, "big"), name, self.payload))

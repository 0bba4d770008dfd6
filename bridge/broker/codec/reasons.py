"""The codes with which the server answers, and what a packet is refused with (MQTT 3.1.1 §3.2.2.3, §3.9.3)."""

from __future__ import annotations

from enum import IntEnum


class ConnectCode(IntEnum):
    """CONNACK return codes (§3.2.2.3)."""

    ACCEPTED = 0
    UNACCEPTABLE_PROTOCOL = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_CREDENTIALS = 4
    NOT_AUTHORIZED = 5


class SubscribeCode(IntEnum):
    """SUBACK return codes (§3.9.3): the QoS that was granted, or a refusal."""

    QOS_0 = 0
    QOS_1 = 1
    QOS_2 = 2
    REFUSED = 0x80


class ProtocolError(Exception):
    """The client broke the protocol: its connection is closed without an answer. The text says where, with the section."""


class TooLong(ProtocolError):
    """A packet is longer than the server takes."""

    def __init__(self, length: int, most: int) -> None:
        super().__init__(f"a packet of {length} bytes, {most} at most (broker.packet_bytes_max)")
        self.length = length


class RefusedConnect(Exception):
    """A CONNECT that is answered with a return code; then the connection is closed."""

    def __init__(self, code: ConnectCode, why: str) -> None:
        super().__init__(why)
        self.code = code

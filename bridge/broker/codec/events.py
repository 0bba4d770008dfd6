"""What a client says, as events: each packet that is not hot is one of these before the server acts on it.

PUBLISH and PUBACK have none. They are most of all packets, and are read out of the bytes where they are handled.
"""

from __future__ import annotations

from typing import NamedTuple


class Will(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(NamedTuple):
    """A CONNECT, decoded and checked. `keep_alive_s` is 0 if the client wants none."""

    client_id: str
    clean_session: bool
    keep_alive_s: int
    username: str | None
    password: str | None
    will: Will | None


class Subscription(NamedTuple):
    topic_filter: str
    qos: int


class Subscribe(NamedTuple):
    packet_id: int
    subscriptions: list[Subscription]


class Unsubscribe(NamedTuple):
    packet_id: int
    filters: list[str]


class Pubrec(NamedTuple):
    packet_id: int


class Pubrel(NamedTuple):
    packet_id: int


class Pubcomp(NamedTuple):
    packet_id: int


class Pingreq(NamedTuple):
    pass


class Disconnect(NamedTuple):
    pass


Event = Connect | Subscribe | Unsubscribe | Pubrec | Pubrel | Pubcomp | Pingreq | Disconnect

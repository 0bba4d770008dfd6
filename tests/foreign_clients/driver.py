"""What the tests need from a client that we did not write. Each client has a driver: `mosquitto.py`, `mqtt_js.py`, `paho.py`, `aio.py`."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

DEADLINE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where a client connects, and with which credentials. `over` is mqtt, mqtts, ws or wss; `ca` is the site's certificate authority."""

    over: str
    host: str
    port: int
    ca: Path
    device: str
    secret: str
    client_id: str


class Heard(NamedTuple):
    """A message that a client was sent."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Will(NamedTuple):
    """What is published at QoS 1 when a client vanishes."""

    topic: str
    payload: str


class Refused(Exception):
    """The server refused the client; the text is the client's own message."""


class Listener(Protocol):
    """A client that is connected, and subscribed to one filter. `session_present` is None if the client does not report it."""

    session_present: bool | None

    def receive(self) -> Heard:
        """The next message. Fails the test after a deadline."""
        ...

    def leave(self) -> None:
        """Ends the connection with DISCONNECT."""
        ...

    def vanish(self) -> None:
        """Ends the connection without DISCONNECT."""
        ...


class Driver(Protocol):
    """A foreign client. `over` names the transports that it supports."""

    name: str
    tool: str
    over: tuple[str, ...]

    def listen(self, login: Login, topic_filter: str, *, qos: int, clean: bool = True, will: Will | None = None) -> Listener:
        """Connect and subscribe; returns when SUBACK has arrived.

        Raises:
            Refused: if the server refuses the client.
        """
        ...

    def publish(self, login: Login, topic: str, *payloads: bytes, qos: int, retain: bool = False) -> None:
        """Connect, publish in this order, wait for the acknowledgements, and disconnect."""
        ...

    def close(self) -> None:
        """The last test is over."""
        ...


class Inbox:
    """Messages as they arrive; any thread may put them in."""

    def __init__(self) -> None:
        self._heard: queue.Queue[Heard | None] = queue.Queue()

    def put(self, heard: Heard | None) -> None:
        """Put a message in; None means that no more will come."""
        self._heard.put(heard)

    def receive(self) -> Heard:
        try:
            heard = self._heard.get(timeout=DEADLINE_S)
        except queue.Empty:
            raise AssertionError("no message came in time") from None
        assert heard is not None, "the client ended before a message came"
        return heard

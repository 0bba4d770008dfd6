"""What the tests ask of a client that we did not write. One driver for each client does it: `mosquitto.py`, `mqtt_js.py`, `paho.py`, `aio.py`."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

DEADLINE_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where a client connects, and as whom. `over` is mqtt, mqtts, ws or wss; `ca` is the site's certificate authority."""

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
    """The server did not let the client in; the client's own words."""


class Listener(Protocol):
    """A client that is connected, and subscribed to one filter. `session_present` is None where the client does not say it."""

    session_present: bool | None

    def receive(self) -> Heard:
        """The next message. Fails the test after a deadline."""
        ...

    def leave(self) -> None:
        """Ends the connection with DISCONNECT."""
        ...

    def vanish(self) -> None:
        """Ends the connection without a word."""
        ...


class Driver(Protocol):
    """A foreign client. `over` names the transports that it speaks."""

    name: str
    tool: str
    over: tuple[str, ...]

    def listen(self, login: Login, topic_filter: str, *, qos: int, clean: bool = True, will: Will | None = None) -> Listener:
        """Connect and subscribe; returns once SUBACK is there.

        Raises:
            Refused: where the server does not let the client in.
        """
        ...

    def publish(self, login: Login, topic: str, *payloads: bytes, qos: int, retain: bool = False) -> None:
        """Connect, publish in this order, wait for what acknowledges it, and disconnect."""
        ...

    def close(self) -> None:
        """The last test is over."""
        ...


class Inbox:
    """Messages as they come, from whatever thread reads them."""

    def __init__(self) -> None:
        self._heard: queue.Queue[Heard | None] = queue.Queue()

    def put(self, heard: Heard | None) -> None:
        """A message; None: none will come any more."""
        self._heard.put(heard)

    def receive(self) -> Heard:
        try:
            heard = self._heard.get(timeout=DEADLINE_S)
        except queue.Empty:
            raise AssertionError("no message came in time") from None
        assert heard is not None, "the client ended before a message came"
        return heard

"""The connection: one thread that keeps an MQTT 3.1.1 session with the server and carries what its `Traffic` hands over.

On every connect: subscribe and wait for the SUBACK, so that no receipt can be missed; then presence, which gives the server a clock
sample; then events. The outbox is the only queue: each connection has its own paho client, which never holds more than what is in
flight, and what was not acknowledged when it ends is handed over again on the next one. That is a new publish of the same event under
a new packet id (its `sent_*` fields differ), not MQTT's resend of the same packet; the event's id makes it count once.
"""

from __future__ import annotations

import logging
import random
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from devices.errors import DeviceError

IN_FLIGHT_MAX = 20
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
REFUSED_RETRY_S = 60.0
KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 10.0
ACK_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 2.0
TICK_S = 1.0
"""The connection's thread looks at keep-alive and timeouts this often, and as often as the shortest of them."""

SYSTEM_JITTER = random.SystemRandom().random
"""Numbers in [0, 1) that no two devices share."""

_DOUBLINGS_MAX = 32
_SERVER_UNAVAILABLE = 136

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to publish. `ticket` tells the traffic what it was when its PUBACK comes."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    ticket: object = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that came in. It is acknowledged after `Traffic.settle` has returned."""

    topic: str
    payload: bytes


class Traffic(Protocol):
    """What a connection carries. Its methods are called in the connection's thread."""

    def filters(self) -> Sequence[str]:
        """Topic filters to subscribe to, the most important first."""
        ...

    def presence(self, *, online: bool) -> Outgoing:
        """The retained message that says that the device is there, or gone."""
        ...

    def will(self) -> Outgoing:
        """The message that the server publishes when the device is cut off."""
        ...

    def connected(self, *, session_present: bool) -> None:
        """A new connection stands: whatever was handed over before and not settled is to be handed over again."""
        ...

    def take(self, room: int) -> Sequence[Outgoing]:
        """What to publish next: at most `room` messages of QoS 1."""
        ...

    def settle(self, acknowledged: Sequence[Outgoing], incoming: Sequence[Incoming]) -> None:
        """Stores what was acknowledged and what came in."""
        ...

    def changed(self) -> None:
        """`Connection.connected` or `Connection.refused` is another than before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where to connect, as whom, and how patiently. `tls` None is plain TCP; `password` None leaves it to the certificate in `tls`."""

    host: str
    port: int
    device: str
    password: str | None
    tls: ssl.SSLContext | None = None
    in_flight_max: int = IN_FLIGHT_MAX
    backoff_first_s: float = BACKOFF_FIRST_S
    backoff_max_s: float = BACKOFF_MAX_S
    refused_retry_s: float = REFUSED_RETRY_S
    keepalive_s: int = KEEPALIVE_S
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    ack_timeout_s: float = ACK_TIMEOUT_S
    close_timeout_s: float = CLOSE_TIMEOUT_S


def backoff_s(attempt: int, *, first_s: float, max_s: float, jitter: Callable[[], float]) -> float:
    """Seconds to wait after failure number `attempt` (from 0): full jitter over an exponentially growing span.

    A whole warehouse that lost its server must not come back in step. `jitter` gives numbers in [0, 1).
    """
    return jitter() * min(max_s, first_s * 2.0 ** min(attempt, _DOUBLINGS_MAX))


class Connection:
    """Keeps a device connected until it is closed."""

    def __init__(
        self,
        settings: Settings,
        traffic: Traffic,
        *,
        jitter: Callable[[], float] = SYSTEM_JITTER,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._traffic = traffic
        self._jitter = jitter
        self._monotonic_s = monotonic_s
        self._closing = threading.Event()
        self._connected = False
        self._refused: str | None = None
        self._denied: tuple[str, ...] = ()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._thread = threading.Thread(target=self._run, name=f"connection-{settings.device}", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether the server has accepted the device and its subscriptions on the present connection."""
        return self._connected

    @property
    def refused(self) -> str | None:
        """Why the server refused the device the last time it answered; None where it did not."""
        return self._refused

    @property
    def denied(self) -> tuple[str, ...]:
        """Topic filters that the server did not grant on the present or last connection."""
        return self._denied

    def start(self) -> None:
        """Starts the connection's thread."""
        self._thread.start()

    def wake(self) -> None:
        """Tells the thread that there is something to take. Callable from any thread."""
        try:
            self._wake_in.send(b"\0")
        except OSError:
            # Full: it will wake anyway. Closed: there is nobody left to wake.
            return

    def close(self) -> None:
        """Says goodbye and ends the thread. What is in flight gets `close_timeout_s` to be acknowledged."""
        self._closing.set()
        self.wake()
        if self._thread.ident is None:
            self._free()
        elif threading.current_thread() is not self._thread:
            # It may be deep in a name look-up or a connect that cannot be interrupted: then it ends by itself, later.
            self._thread.join(self._settings.close_timeout_s + TICK_S)

    def _run(self) -> None:
        attempt = 0
        while not self._closing.is_set():
            attempt = 0 if self._attempt() else attempt + 1
            self._closing.wait(self._pause_s(attempt))
        self._free()

    def _free(self) -> None:
        self._wake_in.close()
        self._wake_out.close()

    def _attempt(self) -> bool:
        """One connection from start to end. Returns whether the server acknowledged anything on it."""
        session = None
        try:
            session = _Session(self._settings, self._traffic, self, self._monotonic_s)
            session.run()
        except _RefusedError as error:
            log.warning("%s: refused: %s", self._settings.device, error)
            self._refused = str(error)
        except ssl.SSLCertVerificationError as error:
            log.warning("%s: the server's certificate is not trusted: %s", self._settings.device, error.verify_message)
        except (OSError, _LostError) as error:
            log.info("%s: connection lost: %s", self._settings.device, error)
        except DeviceError as error:
            log.warning("%s: %s", self._settings.device, error)
        except Exception:
            # A malformed packet, a fault of ours: whatever it was, a device that stops trying is worse.
            log.exception("%s: connection failed", self._settings.device)
        if session is not None:
            session.close()
        self._connected = False
        self._traffic.changed()
        return session is not None and session.acknowledged

    def _pause_s(self, attempt: int) -> float:
        if self._refused is not None:
            return self._settings.refused_retry_s * (0.5 + 0.5 * self._jitter())
        first_s, max_s = self._settings.backoff_first_s, self._settings.backoff_max_s
        return backoff_s(max(0, attempt - 1), first_s=first_s, max_s=max_s, jitter=self._jitter)

    # --- for the session, in the connection's thread -----------------------------------------------------------------------

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing.is_set()

    @property
    def wake_socket(self) -> socket.socket:
        """Readable when `wake` was called."""
        return self._wake_out

    def accepted(self, denied: tuple[str, ...]) -> None:
        """The server has accepted the device, and did not grant it the filters in `denied`."""
        self._connected, self._refused, self._denied = True, None, denied
        self._traffic.changed()


class _LostError(Exception):
    """The connection is over."""


class _RefusedError(Exception):
    """The server does not want this device, now or soon."""


class _Stage(Enum):
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    ONLINE = "online"
    LEAVING = "leaving"


class _Session:
    """One connection from its CONNECT to its end. Everything happens in the thread that calls `run`.

    paho's callbacks only note what came; `_settle` and `_advance` act on it afterwards, outside paho's locks.
    """

    def __init__(self, settings: Settings, traffic: Traffic, connection: Connection, monotonic_s: Callable[[], float]) -> None:
        self._settings = settings
        self._traffic = traffic
        self._connection = connection
        self._tick_s = min(TICK_S, settings.connect_timeout_s, settings.ack_timeout_s, settings.close_timeout_s)
        self._wake_socket = connection.wake_socket
        self._monotonic_s = monotonic_s
        self._stage = _Stage.CONNECTING
        self._stage_since_s = self._progress_s = monotonic_s()
        self._connack: tuple[ReasonCode, bool] | None = None
        self._suback: list[ReasonCode] | None = None
        self._acked_mids: list[int] = []
        self._inbox: list[mqtt.MQTTMessage] = []
        self._in_flight: dict[int, Outgoing] = {}
        self._selector = selectors.DefaultSelector()
        self._client = self._new_client()
        self.acknowledged = False

    def run(self) -> None:
        """Returns when it was closed on purpose.

        Raises:
            _RefusedError: the server said no.
            _LostError, OSError: the connection failed or ended.
        """
        self._connect()
        while self._stage is not _Stage.LEAVING or self._in_flight:
            self._exchange()
            self._settle()
            if self._client.socket() is None:
                self._raise_why_it_ended()
            self._advance()
            if self._stage is _Stage.LEAVING and self._stage_is_older_than(self._settings.close_timeout_s):
                break
        self._client.disconnect()
        while self._client.socket() is not None and not self._stage_is_older_than(self._settings.close_timeout_s):
            self._exchange()

    def close(self) -> None:
        """Frees the socket, without a DISCONNECT where `run` did not send one: then the server publishes the will."""
        self._selector.close()
        left_open = self._client.socket()
        if left_open is not None:
            left_open.close()

    # --- the way in ------------------------------------------------------------------------------------------------------

    def _new_client(self) -> mqtt.Client:
        settings, will = self._settings, self._traffic.will()
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.device,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = settings.connect_timeout_s
        client.max_inflight_messages = 0  # Ours is the bound; with one of its own paho would queue behind it.
        client.username_pw_set(settings.device, settings.password)
        client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain)
        if settings.tls is not None:
            client.tls_set_context(settings.tls)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _connect(self) -> None:
        self._client.connect(self._settings.host, self._settings.port, keepalive=self._settings.keepalive_s)
        sock = self._client.socket()
        if sock is None:
            raise _LostError("closed while connecting")
        # Nagle's algorithm would hold back a scan until the last one's TCP acknowledgement.
        getattr(sock, "setsockopt", _ignore)(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, selectors.EVENT_READ)
        self._selector.register(self._wake_socket, selectors.EVENT_READ)

    # --- callbacks -------------------------------------------------------------------------------------------------------

    def _on_connect(self, _client: mqtt.Client, _data: Any, flags: mqtt.ConnectFlags, reason: ReasonCode, _properties: Properties | None) -> None:
        self._connack = (reason, flags.session_present)

    def _on_subscribe(self, _client: mqtt.Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Properties | None) -> None:
        self._suback = reasons

    def _on_publish(self, _client: mqtt.Client, _data: Any, mid: int, _reason: ReasonCode, _properties: Properties | None) -> None:
        self._acked_mids.append(mid)

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._inbox.append(message)

    # --- one turn of the loop --------------------------------------------------------------------------------------------

    def _exchange(self) -> None:
        """Waits until there is something to do, then lets paho read and write."""
        client = self._client
        sock = client.socket()
        if sock is None:
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.want_write() else 0)
        if self._selector.get_key(sock).events != wanted:
            self._selector.modify(sock, wanted)
        # TLS may hold decrypted bytes that the selector cannot see.
        pending = getattr(sock, "pending", _ignore)() or 0
        for key, ready in self._selector.select(0 if pending else self._tick_s):
            if key.fileobj is self._wake_socket:
                _drain(self._wake_socket)
                continue
            if ready & selectors.EVENT_WRITE:
                client.loop_write()
            if ready & selectors.EVENT_READ:
                client.loop_read()
        if pending:
            client.loop_read()
        client.loop_misc()

    def _settle(self) -> None:
        """Stores first, then acknowledges: a receipt that this device did not keep comes again."""
        mids, self._acked_mids = self._acked_mids, []
        messages, self._inbox = self._inbox, []
        done = [self._in_flight.pop(mid) for mid in mids if mid in self._in_flight]
        if done:
            self.acknowledged = True
            self._progress_s = self._monotonic_s()
        if done or messages:
            self._traffic.settle(done, [Incoming(message.topic, bytes(message.payload)) for message in messages])
        for message in messages:
            self._client.ack(message.mid, message.qos)

    def _advance(self) -> None:
        if self._connection.closing and self._stage is not _Stage.LEAVING:
            self._leave()
        elif self._stage is _Stage.CONNECTING and self._connack is not None:
            self._subscribe(session_present=self._connack[1])
        elif self._stage is _Stage.SUBSCRIBING and self._suback is not None:
            self._go_online(self._suback)
        if self._stage is _Stage.ONLINE:
            self._hand_over()
        if self._stage in (_Stage.CONNECTING, _Stage.SUBSCRIBING) and self._stage_is_older_than(self._settings.connect_timeout_s):
            raise _LostError(f"no answer for {self._settings.connect_timeout_s} s while {self._stage.value}")

    def _subscribe(self, *, session_present: bool) -> None:
        self._traffic.connected(session_present=session_present)
        self._enter(_Stage.SUBSCRIBING)
        self._client.subscribe([(topic_filter, 1) for topic_filter in self._traffic.filters()])

    def _go_online(self, granted: list[ReasonCode]) -> None:
        denied = tuple(topic_filter for topic_filter, reason in zip(self._traffic.filters(), granted, strict=True) if reason.is_failure)
        if granted[0].is_failure:
            raise _RefusedError("the server does not let this device read its own receipts")
        self._publish(self._traffic.presence(online=True))
        self._enter(_Stage.ONLINE)
        self._connection.accepted(denied)

    def _hand_over(self) -> None:
        if self._in_flight and self._monotonic_s() - self._progress_s > self._settings.ack_timeout_s:
            # Within a connection nothing is ever sent twice: a server that could not store an event gets it on the next one.
            raise _LostError(f"no acknowledgement for {self._settings.ack_timeout_s} s")
        while not self._client.want_write():  # a socket that takes no more must not become a second queue
            batch = self._traffic.take(self._settings.in_flight_max - len(self._in_flight))
            if not batch:
                return
            for outgoing in batch:
                self._publish(outgoing)

    def _leave(self) -> None:
        if self._stage is _Stage.ONLINE:
            self._publish(self._traffic.presence(online=False))
        self._enter(_Stage.LEAVING)

    def _publish(self, outgoing: Outgoing) -> None:
        info = self._client.publish(outgoing.topic, outgoing.payload, qos=outgoing.qos, retain=outgoing.retain)
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            raise _LostError(mqtt.error_string(info.rc))
        if outgoing.qos:
            if not self._in_flight:
                self._progress_s = self._monotonic_s()
            self._in_flight[info.mid] = outgoing

    def _enter(self, stage: _Stage) -> None:
        self._stage = stage
        self._stage_since_s = self._monotonic_s()

    def _stage_is_older_than(self, limit_s: float) -> bool:
        return self._monotonic_s() - self._stage_since_s > limit_s

    def _raise_why_it_ended(self) -> None:
        if self._connack is None or not self._connack[0].is_failure:
            raise _LostError(f"ended while {self._stage.value}")
        reason = self._connack[0]
        if reason.value == _SERVER_UNAVAILABLE:
            raise _LostError("the server is not available")
        raise _RefusedError(str(reason))


def _drain(sock: socket.socket) -> None:
    try:
        while sock.recv(4096):
            pass
    except BlockingIOError:
        return


def _ignore(*_: object) -> None:
    """Stands in for a method that a kind of socket does not have."""

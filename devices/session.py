"""One MQTT 3.1.1 connection of a device, from its CONNECT to its end."""

from __future__ import annotations

import selectors
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from devices.traffic import Incoming, Outgoing, Traffic

IN_FLIGHT_MAX = 20
KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 10.0
ACK_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 2.0
TICK_S = 1.0
"""The connection's thread checks keep-alive and timeouts this often, and as often as the shortest of them."""

_SERVER_UNAVAILABLE = 136


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where to connect, as whom, and how patiently. `tls` None is plain TCP; `password` None leaves it to the certificate in `tls`."""

    host: str
    port: int
    device: str
    password: str | None
    tls: ssl.SSLContext | None
    in_flight_max: int
    backoff_first_s: float
    backoff_max_s: float
    reconnect_spread_s: float
    refused_retry_s: float
    keepalive_s: int
    connect_timeout_s: float
    ack_timeout_s: float
    close_timeout_s: float


class Owner(Protocol):
    """The connection that a session belongs to."""

    @property
    def closing(self) -> bool:
        """Whether the session is to end."""
        ...

    @property
    def wake_socket(self) -> socket.socket:
        """Readable when there is something to take."""
        ...

    def accepted(self, denied: tuple[str, ...]) -> None:
        """The server has accepted the device, and did not grant it the filters in `denied`."""
        ...


class LostError(Exception):
    """The connection is over."""


class RefusedError(Exception):
    """The server does not want this device, now or soon."""


class _Stage(Enum):
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    ONLINE = "online"
    LEAVING = "leaving"


class Session:
    """One connection from its CONNECT to its end. Everything happens in the thread that calls `run`.

    paho's callbacks only note what came; `_settle` and `_advance` act on it afterwards, outside paho's locks.
    """

    def __init__(self, settings: Settings, traffic: Traffic, owner: Owner, monotonic_s: Callable[[], float]) -> None:
        self._settings = settings
        self._traffic = traffic
        self._owner = owner
        self._tick_s = min(TICK_S, settings.connect_timeout_s, settings.ack_timeout_s, settings.close_timeout_s)
        self._wake_socket = owner.wake_socket
        self._monotonic_s = monotonic_s
        self._stage = _Stage.CONNECTING
        self._stage_since_s = self._progress_s = monotonic_s()
        self._connack: tuple[ReasonCode, bool] | None = None
        self._suback: list[ReasonCode] | None = None
        self._acked_mids: list[int] = []
        self._inbox: list[mqtt.MQTTMessage] = []
        self._is_stored = True
        self._in_flight: dict[int, Outgoing] = {}
        self._selector = selectors.DefaultSelector()
        self._client = self._new_client()
        self.has_delivered = False
        """Whether the server has acknowledged more than a presence."""

    def run(self) -> None:
        """Returns when it was closed on purpose.

        Raises:
            RefusedError: the server said no.
            LostError, OSError: the connection failed or ended.
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
            raise LostError("closed while connecting")
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
        """Stores first, then acknowledges: a receipt that this device did not keep comes again.

        As long as the device can store nothing, the server's window limits how many messages wait in the inbox.
        """
        mids, self._acked_mids = self._acked_mids, []
        messages = self._inbox
        done = [self._in_flight.pop(mid) for mid in mids if mid in self._in_flight]
        if done:
            self.has_delivered |= any(outgoing.ticket is not None for outgoing in done)
            self._progress_s = self._monotonic_s()
        if done or messages or not self._is_stored:
            self._is_stored = self._traffic.settle(done, [Incoming(m.topic, bytes(m.payload), m.retain) for m in messages])
        if self._is_stored:
            self._inbox = []
            for message in messages:
                self._client.ack(message.mid, message.qos)

    def _advance(self) -> None:
        if self._owner.closing and self._stage is not _Stage.LEAVING:
            self._leave()
        elif self._stage is _Stage.CONNECTING and self._connack is not None:
            self._subscribe(session_present=self._connack[1])
        elif self._stage is _Stage.SUBSCRIBING and self._suback is not None:
            self._go_online(self._suback)
        if self._stage is _Stage.ONLINE:
            self._hand_over()
        if self._stage in (_Stage.CONNECTING, _Stage.SUBSCRIBING) and self._stage_is_older_than(self._settings.connect_timeout_s):
            raise LostError(f"no answer for {self._settings.connect_timeout_s} s while {self._stage.value}")

    def _subscribe(self, *, session_present: bool) -> None:
        self._traffic.connected(session_present=session_present)
        self._enter(_Stage.SUBSCRIBING)
        self._client.subscribe([(topic_filter, 1) for topic_filter in self._traffic.filters()])

    def _go_online(self, granted: list[ReasonCode]) -> None:
        denied = tuple(topic_filter for topic_filter, reason in zip(self._traffic.filters(), granted, strict=True) if reason.is_failure)
        if granted[0].is_failure:
            raise RefusedError(f"the server does not let this device read {self._traffic.filters()[0]}; is that the site's name?")
        self._traffic.subscribed(denied)
        for presence in self._traffic.presence(online=True):
            self._publish(presence)
        self._enter(_Stage.ONLINE)
        self._owner.accepted(denied)

    def _hand_over(self) -> None:
        if self._in_flight and self._monotonic_s() - self._progress_s > self._settings.ack_timeout_s:
            # Within a connection nothing is ever sent twice: a server that could not store an event gets it on the next one.
            raise LostError(f"no acknowledgement for {self._settings.ack_timeout_s} s")
        while not self._client.want_write():  # a socket that takes no more must not become a second queue
            batch = self._traffic.take(self._settings.in_flight_max - len(self._in_flight))
            if not batch:
                return
            for outgoing in batch:
                self._publish(outgoing)

    def _leave(self) -> None:
        if self._stage is _Stage.ONLINE:
            for presence in self._traffic.presence(online=False):
                self._publish(presence)
        self._enter(_Stage.LEAVING)

    def _publish(self, outgoing: Outgoing) -> None:
        info = self._client.publish(outgoing.topic, outgoing.payload, qos=outgoing.qos, retain=outgoing.retain)
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            raise LostError(mqtt.error_string(info.rc))
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
            raise LostError(f"ended while {self._stage.value}")
        reason = self._connack[0]
        if reason.value == _SERVER_UNAVAILABLE:
            raise LostError("the server is not available")
        raise RefusedError(str(reason))


def _drain(sock: socket.socket) -> None:
    try:
        while sock.recv(4096):
            pass
    except BlockingIOError:
        return


def _ignore(*_: object) -> None:
    """Stands in for a method that a kind of socket does not have."""

"""The embedded broker: an amqtt `Broker` whose connections are ours.

amqtt does here: configuration, the life of listeners, the authentication plugins, the packet classes of what is not hot. It does not do: TLS, reading,
delivery, sessions, retained messages and timers; those are ours. Where we reach into amqtt, `AMQTT_NAMES` says so, and a test fails when one of these
names changes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from amqtt.broker import Broker
from amqtt.contexts import BaseContext, ListenerType
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session as AmqttSession
from websockets.asyncio.server import serve as serve_websocket
from websockets.typing import Subprotocol

from bridge.broker.decoding import AmqttDecoder
from bridge.broker.front_door import Connection, FrontDoor, State
from bridge.broker.hub import Hub
from bridge.broker.logins import NAME_CHARS_MAX, Logins
from bridge.broker.packets import ClientCertificate, Connect
from bridge.broker.tls_listener import BACKLOG, TlsListener
from bridge.broker.wires import SocketWire, WebSocketWire
from bridge.domain.access import Identity
from bridge.ingest.ports import StoreUnavailable

logger = logging.getLogger("dockbridge.broker")

AMQTT_NAMES: Final = (
    "amqtt.broker.Broker._create_server_instance",
    "amqtt.broker.Broker._servers",
    "amqtt.broker.Broker.ws_connected",
    "amqtt.broker.Broker.plugins_manager",
    "amqtt.plugins.manager.PluginManager.map_plugin_auth",
    "amqtt.plugins.manager.PluginManager.get_plugin",
    "amqtt.plugins.base.BaseAuthPlugin.authenticate",
    "amqtt.session.Session.attributes",
    "amqtt.mqtt.connect.ConnectPacket.from_stream",
    "amqtt.mqtt.connect.ConnectPayload.client_id_is_random",
    "amqtt.mqtt.subscribe.SubscribePacket.from_stream",
    "amqtt.mqtt.unsubscribe.UnsubscribePacket.from_stream",
    "amqtt.mqtt.packet.MQTTFixedHeader.from_stream",
    "amqtt.adapters.BufferReader.read",
)
"""Everything of amqtt that is used beyond its documented configuration."""

IDENTITY: Final = "dockbridge.identity"
"""Where the authentication plugin leaves who it was, among the attributes of amqtt's throw-away session."""

CERTIFICATE: Final = "dockbridge.certificate"
"""Where it finds the certificate that the client has shown."""

AUTHENTICATIONS_MAX: Final = 2
"""Passwords that are checked at once, each with 19 MiB and a core of its own."""
AUTHENTICATIONS_WAITING_MAX: Final = 5_000
WEBSOCKET_MESSAGE_BYTES_MAX: Final = 1_048_576
"""A WebSocket message may hold many packets; and it may always be as long as the longest packet."""
PACKET_HEADER_BYTES_MAX: Final = 5
LOGIN_NICENESS: Final = 10
"""Checking passwords gives way to scans: a thousand devices that come back at once take the time that is left."""

Authenticate = Callable[[str, str], Awaitable[Identity | None]]
"""Who a device is, by its name and its secret, or by its name and the SHA-256 of its certificate."""


def give_way() -> None:
    """Lower the priority of the thread that calls (Linux knows one for each thread)."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOGIN_NICENESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where to listen. `bind` is `host:port`; port 0 takes a free one. `tls` None is plain."""

    name: str
    bind: str
    websocket: bool = False
    tls: ssl.SSLContext | None = None


class ListenError(OSError):
    """An address can't be listened on."""

    def __init__(self, listener: str, bind: str, error: OSError) -> None:
        self.listener = listener
        self.bind = bind
        # asyncio's own text repeats the address, and has a number that says nothing.
        self.reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        super().__init__(f"{bind}: {self.reason}")


class SiteAuthentication(BaseAuthPlugin):
    """amqtt's authentication plugin for a site's enrolled devices: username is the device, password its secret. Without a password its certificate says who
    it is."""

    authenticate_device: Authenticate | None = None
    authenticate_certificate: Authenticate | None = None
    anybody: Identity | None = None

    @dataclass
    class Config:
        """No settings: who is enrolled stands in the store."""

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)

    async def authenticate(self, *, session: AmqttSession) -> bool:
        identity = await self._identity(session)
        session.attributes[IDENTITY] = identity
        return identity is not None

    async def _identity(self, session: AmqttSession) -> Identity | None:
        if self.anybody is not None:
            return self.anybody
        certificate: ClientCertificate | None = session.attributes.get(CERTIFICATE)
        if session.password is None and certificate is not None and self.authenticate_certificate is not None:
            return await self.authenticate_certificate(certificate.device, certificate.sha256)
        if session.username is None or session.password is None or self.authenticate_device is None:
            return None
        return await self.authenticate_device(session.username, session.password)


class EmbeddedBroker(Hub, Broker):
    """amqtt's broker with our front door in it.

    Args:
        listeners: where to listen.
        authenticate: checks a device's secret, off the event loop.
        authenticate_certificate: checks a device's certificate, which its authority has vouched for already.
        remembers: whether a name and secret were right before, answered at once; such a login is never slowed down.
        on_failed: called with the name, the address and the count of a failed login.
        anybody: who everybody is, where nobody has to log in.
        make_door: builds the front door, given what starts an authentication.
    """

    def __init__(
        self,
        listeners: list[Listener],
        *,
        authenticate: Authenticate,
        authenticate_certificate: Authenticate,
        remembers: Callable[[str, str], bool],
        on_failed: Callable[[str, str, int], None],
        anybody: Identity | None = None,
        make_door: Callable[[Callable[[Connection, Connect], None]], FrontDoor],
    ) -> None:
        plugin = f"{SiteAuthentication.__module__}.{SiteAuthentication.__name__}"
        # amqtt's default listener binds 0.0.0.0:1883 unless it is told not to; an empty address makes it pass over it.
        configs = {"default": {"type": "tcp", "bind": None}, **{x.name: _listener_config(x) for x in listeners}}
        Broker.__init__(self, {"listeners": configs, "plugins": {plugin: {}}})
        Hub.__init__(self, make_door(self._start_authentication))
        # TLS stays out of amqtt's configuration: there, what one listener does not say is taken from another.
        self._tls = {x.name: x.tls for x in listeners}
        authentication = cast("SiteAuthentication", self.plugins_manager.get_plugin(SiteAuthentication.__name__))
        authentication.authenticate_device = authenticate
        authentication.authenticate_certificate = authenticate_certificate
        authentication.anybody = anybody
        self.logins = Logins()
        self._remembers = remembers
        self._on_failed = on_failed
        self._tasks: set[asyncio.Task[None]] = set()
        self._checking = asyncio.Semaphore(AUTHENTICATIONS_MAX)
        self._lookups_fail = False
        self._ticker: asyncio.Task[None] | None = None

    # --- start and stop ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the listeners.

        Raises:
            BrokerError: where one can't be opened.
        """
        await Broker.start(self)
        self._ticker = asyncio.create_task(self.tick(), name="broker-ticker")

    def watch(self, ended: Callable[[asyncio.Task[None]], None]) -> None:
        """Have somebody told when the timers stop, without which nothing is closed, kept in order or flushed, or when a listener of ours does."""
        assert self._ticker is not None
        self._ticker.add_done_callback(ended)
        for server in self._servers.values():
            if isinstance(server.instance, TlsListener):
                server.instance.watch(ended)

    def stop_listening(self) -> None:
        """Take no more connections, and read nothing more from those that stand."""
        self.is_stopping = True
        for server in self._servers.values():
            server.instance.close()
        self.pause(paused=True)

    async def stop(self) -> None:
        """End what still runs."""
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        self.hang_up()
        await self.goodbyes()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.shutdown()

    def addresses(self) -> dict[str, tuple[str, int]]:
        """(host, port) of each listener."""
        found = {}
        for name, server in self._servers.items():
            sockets = getattr(server.instance, "sockets", None)
            if sockets:
                found[name] = cast("tuple[str, int]", next(iter(sockets)).getsockname()[:2])
        return found

    # --- amqtt's listeners, our connections -------------------------------------------------------------------------------

    async def _create_server_instance(
        self,
        listener_name: str,
        listener_type: ListenerType,
        address: str | None,
        port: int,
        ssl_context: ssl.SSLContext | None,
    ) -> Any:
        try:
            return await self._listen(listener_name, listener_type, address, port)
        except OSError as error:
            raise ListenError(listener_name, f"{address}:{port}", error) from error

    async def _listen(self, listener_name: str, listener_type: ListenerType, address: str | None, port: int) -> Any:
        tls = self._tls[listener_name]
        limits = self.door.limits
        # A handshake that does not end, and a goodbye that is not answered, get the time that a CONNECT gets.
        patience_s = limits.connect_timeout_s if tls is not None else None
        if listener_type is ListenerType.TCP:
            if tls is not None:
                return await TlsListener.open(self, address, port, tls, limits.connect_timeout_s)
            return await asyncio.get_running_loop().create_server(partial(SocketWire, self), address, port, backlog=BACKLOG)
        return await serve_websocket(
            partial(self.ws_connected, listener_name=listener_name),
            address,
            port,
            subprotocols=[Subprotocol("mqtt")],
            open_timeout=limits.connect_timeout_s,
            close_timeout=limits.connect_timeout_s,
            max_size=max(WEBSOCKET_MESSAGE_BYTES_MAX, limits.packet_bytes_max + PACKET_HEADER_BYTES_MAX),
            ssl=tls,
            ssl_handshake_timeout=patience_s,
            ssl_shutdown_timeout=patience_s,
        )

    async def ws_connected(self, websocket: Any, listener_name: str) -> None:
        """A WebSocket, through the same door: its binary messages are a stream of bytes (§6)."""
        wire = WebSocketWire(self, websocket)
        if wire.is_admitted:
            await wire.run()

    # --- authentication ---------------------------------------------------------------------------------------------------

    def _start_authentication(self, connection: Connection, connect: Connect) -> None:
        if len(self._tasks) >= AUTHENTICATIONS_WAITING_MAX:
            connection.unavailable()
            return
        task = asyncio.get_running_loop().create_task(self._authenticate_device(connection, connect), name=f"authenticate {connection.peer}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _authenticate_device(self, connection: Connection, connect: Connect) -> None:
        """Check the credentials on a throw-away session of amqtt: nothing of any client is touched before this succeeds."""
        source = connection.peer.rpartition(":")[0]
        # Whoever was right before, or shows a certificate, costs no work worth bounding, and does not wait for those who guess.
        is_quick = self._remembers(connect.username or "", connect.password or "") or (connect.password is None and connection.certificate is not None)
        if is_quick:
            await self._check_device(connection, connect, source)
            return
        if (delay_s := self.logins.delay_s(source, self.door.now_s())) and not await self._wait(connection, source, delay_s):
            return
        async with self._checking:
            if not delay_s and self.logins.delay_s(source, self.door.now_s()):
                connection.unavailable()  # others of its address failed while it stood in line: it is to come again, and wait
                self.flush()
                return
            await self._check_device(connection, connect, source)

    async def _wait(self, connection: Connection, source: str, delay_s: float) -> bool:
        """Let a login from an address that failed too often wait; False where too many wait already."""
        if not self.logins.has_place(source):
            connection.unavailable()
            self.flush()
            return False
        with self.logins.waiting(source):
            await asyncio.sleep(delay_s)
        return True

    async def _check_device(self, connection: Connection, connect: Connect, source: str) -> None:
        if connection.state is not State.AUTHENTICATING:
            return  # it hung up while it waited; its password is not worth the time
        session = AmqttSession()
        session.client_id = connect.client_id
        session.username = connect.username
        session.password = connect.password
        session.attributes[CERTIFICATE] = connection.certificate
        try:
            verdicts = await self.plugins_manager.map_plugin_auth(session=session)
        except StoreUnavailable as error:
            # Who it is can't be looked up now: that is no wrong password, and the device is to come again.
            if not self._lookups_fail:
                logger.error("logins can't be looked up (%s), and are put off until they can: %s", error, error.fix)
            self._lookups_fail = True
            connection.unavailable()
            self.flush()
            return
        self._lookups_fail = False
        accepted = bool(verdicts) and all(v is True for v in verdicts.values())
        if not accepted:
            name = (connection.device or "")[:NAME_CHARS_MAX]
            self._on_failed(name, source, self.logins.failed(name, source, now_s=self.door.now_s(), now_ms=self.door.now_ms()))
        connection.authenticated(session.attributes.get(IDENTITY) if accepted else None)
        self.flush()


def _listener_config(listener: Listener) -> dict[str, Any]:
    return {"type": "ws" if listener.websocket else "tcp", "bind": listener.bind, "ssl": False}


__all__ = ["AMQTT_NAMES", "AmqttDecoder", "EmbeddedBroker", "ListenError", "Listener", "SiteAuthentication"]

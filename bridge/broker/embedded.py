"""The embedded broker: an amqtt `Broker` whose connections are ours.

amqtt does here: configuration, the life of listeners, the authentication plugins, and (`codec/amqtt_decoder.py`) the packet classes of what is not hot. It
does not do: TLS, reading, delivery, sessions, retained messages and timers; those are ours. Where we reach into amqtt, `AMQTT_NAMES` says so, and a test
fails when one of these names changes.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from amqtt.broker import Broker
from amqtt.contexts import BaseContext, ListenerType
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session as AmqttSession

from bridge.broker.authenticating import Authenticating
from bridge.broker.client import Client
from bridge.broker.codec.events import Connect
from bridge.broker.door import FrontDoor
from bridge.broker.hub import Hub
from bridge.broker.listeners.tcp import listen_for_sockets
from bridge.broker.listeners.tls import TlsListener
from bridge.broker.listeners.websocket import listen_for_websockets, serve_websocket
from bridge.broker.logins import Failed, Logins
from bridge.broker.state import ClientCertificate
from bridge.domain.access import Identity

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

Authenticate = Callable[[str, str], Awaitable[Identity | None]]
"""Who a device is, by its name and its secret, or by its name and the SHA-256 of its certificate."""


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
        """No settings: the enrolled devices are in the store."""

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
        logins: what failed lately, and who must wait for it.
        on_failed: called with each failed login.
        anybody: the identity of every client, if no login is asked for.
        make_door: builds the front door, given what starts an authentication.
    """

    def __init__(
        self,
        listeners: list[Listener],
        *,
        authenticate: Authenticate,
        authenticate_certificate: Authenticate,
        remembers: Callable[[str, str], bool],
        logins: Logins,
        on_failed: Callable[[Failed], None],
        anybody: Identity | None = None,
        make_door: Callable[[Callable[[Client, Connect], None]], FrontDoor],
    ) -> None:
        plugin = f"{SiteAuthentication.__module__}.{SiteAuthentication.__name__}"
        # amqtt's default listener binds 0.0.0.0:1883 unless it is told not to; an empty address makes it pass over it.
        configs = {"default": {"type": "tcp", "bind": None}, **{x.name: _listener_config(x) for x in listeners}}
        Broker.__init__(self, {"listeners": configs, "plugins": {plugin: {}}})
        self._authenticating = Authenticating(self, identify=self._identify, remembers=remembers, logins=logins, on_failed=on_failed)
        self.logins = logins
        Hub.__init__(self, make_door(self._authenticating.start))
        # TLS stays out of amqtt's configuration: there, what one listener does not say is taken from another.
        self._tls = {x.name: x.tls for x in listeners}
        authentication = cast("SiteAuthentication", self.plugins_manager.get_plugin(SiteAuthentication.__name__))
        authentication.authenticate_device = authenticate
        authentication.authenticate_certificate = authenticate_certificate
        authentication.anybody = anybody
        self._ticker: asyncio.Task[None] | None = None

    # --- start and stop ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the listeners.

        Raises:
            BrokerError: if one can't be opened.
        """
        await Broker.start(self)
        self._ticker = asyncio.create_task(self.tick(), name="broker-ticker")

    def watch(self, ended: Callable[[asyncio.Task[None]], None]) -> None:
        """Have a callback called when the timers stop, without which nothing is closed, kept in order or flushed, or when a listener of ours does."""
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
        await self._authenticating.stop()
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
        if listener_type is not ListenerType.TCP:
            return await listen_for_websockets(partial(self.ws_connected, listener_name=listener_name), address, port, self.door.limits, tls)
        if tls is not None:
            return await TlsListener.open(self, address, port, tls, self.door.limits.connect_timeout_s)
        return await listen_for_sockets(self, address, port)

    async def ws_connected(self, websocket: Any, listener_name: str) -> None:
        """A WebSocket, through the same door."""
        await serve_websocket(self, websocket)

    # --- amqtt's authentication -------------------------------------------------------------------------------------------

    async def _identify(self, client: Client, connect: Connect) -> Identity | None:
        """Check credentials on a throw-away session of amqtt: nothing of any client is touched before this succeeds."""
        session = AmqttSession()
        session.client_id = connect.client_id
        session.username = connect.username
        session.password = connect.password
        session.attributes[CERTIFICATE] = client.certificate
        verdicts = await self.plugins_manager.map_plugin_auth(session=session)
        is_accepted = bool(verdicts) and all(v is True for v in verdicts.values())
        return cast("Identity | None", session.attributes.get(IDENTITY)) if is_accepted else None


def _listener_config(listener: Listener) -> dict[str, Any]:
    return {"type": "ws" if listener.websocket else "tcp", "bind": listener.bind, "ssl": False}

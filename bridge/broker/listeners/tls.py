"""MQTT over TLS. A client counts as a connection while it shakes hands, and a handshake that fails is logged with its address and reason.

asyncio's own server says nothing of a handshake until it has succeeded.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from bridge.broker.hub import Hub
from bridge.broker.listeners.tcp import BACKLOG, SocketWire

ACCEPT_AGAIN_S: Final = 1.0
"""Seconds until the next try if the system gives no more file descriptors."""


class TlsListener:
    """A listening socket, as `asyncio.Server` is one. Build it with `open`.

    Args:
        listener: listens already.
        patience_s: how long a handshake, and the goodbye of a connection, may take.
    """

    def __init__(self, hub: Hub, listener: socket.socket, tls: ssl.SSLContext, patience_s: float) -> None:
        self.sockets = (listener,)
        self._hub = hub
        self._listener = listener
        self._tls = tls
        self._patience_s = patience_s
        self._shaking: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept(), name="tls listener")

    @classmethod
    async def open(cls, hub: Hub, host: str | None, port: int, tls: ssl.SSLContext, patience_s: float) -> TlsListener:
        """Listen.

        Raises:
            OSError: if the address can't be had.
        """
        found = await asyncio.get_running_loop().getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listener = socket.create_server(found[0][4][:2], backlog=BACKLOG)
        listener.setblocking(False)
        return cls(hub, listener, tls, patience_s)

    def watch(self, ended: Callable[[asyncio.Task[None]], None]) -> None:
        """Have a callback called when it accepts no more."""
        self._accepting.add_done_callback(ended)

    def close(self) -> None:
        """Take no more connections; those that stand go on."""
        self._accepting.cancel()
        for task in self._shaking:
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(self._accepting, *self._shaking, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        with self._listener:
            while True:
                try:
                    connection, peer = await loop.sock_accept(self._listener)
                except OSError:  # also of a client that was gone before it was accepted
                    await asyncio.sleep(ACCEPT_AGAIN_S)
                    continue
                task = loop.create_task(self._shake_hands(connection, peer[:2]), name=f"tls handshake {peer[0]}")
                self._shaking.add(task)
                task.add_done_callback(self._shaking.discard)

    async def _shake_hands(self, connection: socket.socket, peer: tuple[str, int]) -> None:
        connect = asyncio.get_running_loop().connect_accepted_socket
        patience_s = self._patience_s
        wire = SocketWire(self._hub)
        if not wire.arrive(peer):
            connection.close()
            return
        try:
            await connect(lambda: wire, connection, ssl=self._tls, ssl_handshake_timeout=patience_s, ssl_shutdown_timeout=patience_s)
        except (OSError, EOFError) as error:
            self._hub.door.counters.handshakes_failed += 1
            self._hub.door.notices.say("a TLS handshake failed", None, f"{peer[0]}:{peer[1]}", _reason(error))
        finally:
            wire.leave_doorstep()


def _reason(error: Exception) -> str:
    """Why, in a few words. OpenSSL's reasons are its constants: TLSV1_ALERT_UNKNOWN_CA is a device that does not trust the site's authority."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return str(error) or "the client hung up"


__all__ = ["TlsListener"]

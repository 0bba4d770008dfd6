"""Which devices are online: a device is, as long as a connection of it stands. The pipeline hears of each change, in order with the messages."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.broker.client import Client
from bridge.broker.shared import Shared
from bridge.ingest.items import Connected, Disconnected


class OnlineDevices:
    """See the module. A client that takes a connection over holds its device before the old connection is closed: the device does not go offline between."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._clients: dict[str, dict[Client, None]] = {}
        """The clients of each device that are let in, or are about to be."""
        self._online: dict[str, None] = {}

    def __contains__(self, device: str) -> bool:
        """Whether a client of a device is let in, or is about to be."""
        return device in self._clients

    def __iter__(self) -> Iterator[str]:
        return iter(self._online)

    def hold(self, client: Client, device: str) -> None:
        """A client of a device is about to be let in."""
        self._clients.setdefault(device, {})[client] = None

    def let_in(self, device: str) -> None:
        """A client of a device has been let in."""
        if device not in self._online:
            self._online[device] = None
            self._shared.sink.change(Connected(received_ms=self._shared.now_ms(), device=device))

    def release(self, client: Client, device: str) -> None:
        """A client's connection has ended."""
        clients = self._clients.get(device, {})
        if client not in clients:
            return
        del clients[client]
        if clients:
            return
        del self._clients[device]
        if device in self._online:
            del self._online[device]
            self._shared.sink.change(Disconnected(received_ms=self._shared.now_ms(), device=device, is_lost=not client.has_disconnected))

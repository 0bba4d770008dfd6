"""The network between devices and their bridge: a proxy that cuts what passes into MQTT packets, and lets the scenario's faults have each of them.

        device ──► Pole ──► Way up ───► Pole ──► bridge
               ◄──      ◄── Way down ◄──     ◄──

A line with no fault on it now is passed through in whole packets, many at once; a line that no fault of the scenario ever touches is not looked into at all.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, cast

from firmware_sim.faults import Direction
from firmware_sim.link.way import Looker, Way
from firmware_sim.link.weather import Weather

_RESET: Final = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on loopback, and connects each device that comes to the bridge.

    Args:
        bridge: where the bridge is now; None while it is down.
        on_mangled: takes each PUBLISH that a fault changed: the device's port and the packet.
        tap: what sees the packets of a device (and its port); None for a device whose packets nothing has to see.
    """

    def __init__(
        self,
        weather: Weather,
        bridge: Callable[[], tuple[str, int] | None],
        *,
        on_mangled: Callable[[int, bytes], None] = lambda _port, _packet: None,
        tap: Callable[[str, int], Looker | None] = lambda _device, _port: None,
    ) -> None:
        self.weather = weather
        self.on_mangled = on_mangled
        self.tap = tap
        self.dark: set[str] = set()
        """Devices that no network reaches now."""
        self.lines: dict[Line, None] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self._bridge = bridge
        self._server: asyncio.Server | None = None

    async def start(self) -> tuple[str, int]:
        """Listen; the address that devices connect to."""
        self._server = await asyncio.get_running_loop().create_server(lambda: Line(self).device_end, "127.0.0.1", 0, backlog=1_024)
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def close(self) -> None:
        """Listen no more, and cut every line."""
        if self._server is not None:
            self._server.close()
        for line in list(self.lines):
            line.cut()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def cut(self, device: str) -> None:
        """End every connection of a device, so that both sides notice."""
        for line in [x for x in self.lines if x.device == device]:
            line.cut()

    def darken(self, device: str, *, is_dark: bool) -> None:
        """The network is out of a device's reach, or within it again."""
        if is_dark:
            self.dark.add(device)
            self.cut(device)
        else:
            self.dark.discard(device)

    async def reach(self, line: Line) -> None:
        """Connect a line to the bridge."""
        address = self._bridge()
        try:
            if address is None:
                raise ConnectionRefusedError
            await asyncio.get_running_loop().create_connection(lambda: line.bridge_end, *address)
        except OSError:
            line.cut()


class Line:
    """The connection of one device, both halves of it."""

    def __init__(self, proxy: Proxy) -> None:
        self.weather = proxy.weather
        self.device: str | None = None
        self.tap: Looker | None = None
        self.up = Way(self, Direction.UP)
        self.down = Way(self, Direction.DOWN)
        self.device_end = Pole(self, self.up, self.down)
        self.bridge_end = Pole(self, self.down, self.up)
        self._proxy = proxy
        self._port = 0
        proxy.lines[self] = None

    def opened(self, pole: Pole) -> None:
        if pole is not self.device_end or pole.transport is None:
            return
        self._port = pole.transport.get_extra_info("peername")[1]
        task = asyncio.get_running_loop().create_task(self._proxy.reach(self), name="reach the bridge")
        self._proxy.tasks.add(task)
        task.add_done_callback(self._proxy.tasks.discard)

    def introduced(self, device: str | None) -> None:
        self.device = device
        if device is not None and device in self._proxy.dark:
            self.cut()
            return
        self.tap = self._proxy.tap(device, self._port) if device is not None else None
        if device is None or (self.tap is None and not self.weather.may_touch(device)):
            self.up.is_raw = self.down.is_raw = True

    def mangled(self, packet: bytes) -> None:
        self._proxy.on_mangled(self._port, packet)

    def cut(self) -> None:
        """Both sides see the connection break; what was on its way is lost."""
        for way in (self.up, self.down):
            way.stop()
        for pole in (self.device_end, self.bridge_end):
            pole.reset()
        self.forget()

    def forget(self) -> None:
        if self in self._proxy.lines and self.device_end.is_over and self.bridge_end.is_over:
            del self._proxy.lines[self]
            if self.tap is not None:
                self.tap.ended()


class Pole(asyncio.Protocol):
    """One end of a line: what comes in goes its way `out`; what comes this way is written by `into`."""

    def __init__(self, line: Line, out: Way, into: Way) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_over = False
        self._line = line
        self._out = out
        self._into = into
        out.source = self
        into.sink = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.is_over:
            self.transport.abort()
            return
        self._line.opened(self)
        self._into.attached()

    def data_received(self, data: bytes) -> None:
        if not self.is_over:
            self._out.take(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True
        self._out.ended()
        self._line.forget()

    def pause_writing(self) -> None:
        self._into.hold(by_sink=True)

    def resume_writing(self) -> None:
        self._into.release(by_sink=True)

    def close(self) -> None:
        """End it after what was written."""
        if self.transport is not None:
            self.transport.close()
        else:
            self.is_over = True

    def reset(self) -> None:
        """End it with a reset."""
        self.is_over = True
        if self.transport is not None and not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

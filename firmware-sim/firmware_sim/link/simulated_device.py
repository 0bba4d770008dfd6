"""A device of the simulated link, and the line between it and the server: packets with seeded delays, which the scenario's faults may have."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from bridge.broker.listeners.tcp import SocketWire
from firmware_sim.faults import Direction, Packet
from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.link import packets
from firmware_sim.link.client import Client
from firmware_sim.link.player import Stage, Wired
from firmware_sim.link.simulated_server import SimulatedSite, password_of
from firmware_sim.link.weather import Weather
from firmware_sim.record import Lost, Mangled

NETWORK_MS: Final = (1, 12)
"""How long a packet takes when nothing is wrong."""
APART_MS: Final = 0.01
"""Between two packets of a line: a loop's timers of the same time have no order."""


class SimulatedStage(Stage, Protocol):
    """What devices of the simulated link need besides."""

    site: SimulatedSite
    weather: Weather


class Pipe(asyncio.Transport):
    """The server's end of a connection: a transport whose bytes go to a device's line."""

    def __init__(self, site: SimulatedSite, phone: Phone) -> None:
        super().__init__()
        self._site = site
        self._phone = phone
        self._cutter = packets.Cutter()
        self._held: list[bytes] | None = None
        self._on_the_way = 0
        self._is_told = False
        self._output_high = 0
        self.is_over = False
        self.protocol = SocketWire(site.broker)
        self.life = site.life
        self.protocol.connection_made(self)

    @property
    def is_alive(self) -> bool:
        """Whether its server is the one that runs now, and it has not closed the connection."""
        return not self.is_over and self.life == self._site.life

    # --- as asyncio's transports --------------------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self._phone.device, 1) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_alive:
            return
        for packet in self._cutter.whole(bytes(data)):
            self._on_the_way += len(packet)
            self._phone.down(packet, self)
        if self._on_the_way > self._output_high and not self._is_told:
            self._is_told = True
            self.protocol.pause_writing()

    def arrived(self, size: int) -> None:
        """So many bytes have reached the device."""
        self._on_the_way -= size
        if self._is_told and self._on_the_way <= self._output_high // 4 and self.is_alive:
            self._is_told = False
            self.protocol.resume_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._output_high = high or 0

    def get_write_buffer_size(self) -> int:
        return self._on_the_way

    def is_closing(self) -> bool:
        return self.is_over

    def pause_reading(self) -> None:
        if self._held is None:
            self._held = []

    def resume_reading(self) -> None:
        held, self._held = self._held, None
        for data in held or ():
            self.received(data)

    def close(self) -> None:
        if self.is_alive:
            self._phone.closed_by_server(self)
            self.lost()

    def abort(self) -> None:
        self.close()

    # --- from the device ----------------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if not self.is_alive:
            return
        if self._held is not None:
            self._held.append(data)
        else:
            self.protocol.data_received(data)

    def lost(self) -> None:
        if self.is_alive:
            self.is_over = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        if self.life == self._site.life:
            self.protocol.connection_lost(None)


class Phone(Wired):
    """A device with its firmware, its line and its present connection."""

    def __init__(self, run: SimulatedStage, firmware: Firmware) -> None:
        super().__init__(run, firmware)
        self.pipe: Pipe | None = None
        self._run = run
        self._networks = {direction: run.stream(f"{self.device} {direction.value}") for direction in Direction}
        self._client: Client | None = None
        self._up_ms = 0.0
        self._down_ms = 0.0
        self._heard_s = 0.0

    @property
    def client(self) -> Client | None:
        return self._client

    @property
    def line(self) -> Pipe | None:
        return self.pipe

    @property
    def heard_s(self) -> float:
        return self._heard_s

    def connect(self, connect: actions.Connect) -> None:
        if not self._run.site.is_up:
            self._run.see(Lost(self._run.now_ms(), self.device, "no answer"))
            self.put(actions.Disconnected())
            return
        client = self._client = Client(self.device, password_of(self.device), self._run.numbers, self._up, self._run.see)
        self._heard_s = self._run.loop.time()
        self.pipe = Pipe(self._run.site, self)
        client.connect(connect)
        self.watch()

    def flush(self) -> None:
        """A packet is on its way as soon as it is made."""

    def _up(self, data: bytes, no: int) -> None:
        pipe = self.pipe
        if pipe is None:
            return
        for packet in self._run.weather.carry(self.device, Packet(Direction.UP, data)):
            if packet.is_mangled:
                self._run.see(Mangled(self._run.now_ms(), self.device, no))
            at_ms = self._due(packet, self._up_ms)
            if not packet.overtakes:
                self._up_ms = at_ms
            self._run.loop.call_at(at_ms / 1000, pipe.received, packet.data)

    def down(self, data: bytes, pipe: Pipe) -> None:
        """The server sends a packet."""
        for packet in self._run.weather.carry(self.device, Packet(Direction.DOWN, data)):
            self._down_ms = self._due(packet, self._down_ms)
            self._run.loop.call_at(self._down_ms / 1000, self._arrive, packet.data, pipe)

    def _due(self, packet: Packet, not_before_ms: float) -> float:
        at_ms = self._run.loop.time() * 1000 + self._networks[packet.direction].uniform(*NETWORK_MS) + packet.delay_ms
        return at_ms if packet.overtakes else max(at_ms, not_before_ms + APART_MS)

    def _arrive(self, data: bytes, pipe: Pipe) -> None:
        if self.pipe is not pipe or self._client is None:
            return
        pipe.arrived(len(data))
        self._heard_s = self._run.loop.time()
        try:
            items = self._client.feed(data, self._run.now_ms())
        except packets.Broken as error:
            self._run.trouble(self.device, str(error))
            self.end("the server broke the protocol")
            return
        if items:
            self.put(*items)

    def closed_by_server(self, pipe: Pipe) -> None:
        """The end of the stream follows what was written before it."""
        at_ms = max(self._run.loop.time() * 1000 + NETWORK_MS[1], self._down_ms + APART_MS)
        self._run.loop.call_at(at_ms / 1000, self._closed, pipe, "the server hung up")

    def server_died(self) -> None:
        """Its machine closes the sockets of a process that is gone."""
        if self.pipe is not None:
            self._run.loop.call_later(NETWORK_MS[1] / 1000, self._closed, self.pipe, "the server died")

    def _closed(self, pipe: Pipe, why: str) -> None:
        if self.pipe is pipe:
            self.end(why)

    def cut(self, why: str = "the line was cut") -> None:
        if self.pipe is not None:
            self.end(why)

    def end(self, why: str, *, tell: bool = True) -> None:
        """The connection is over here; the server learns it a moment later."""
        pipe, self.pipe, self._client = self.pipe, None, None
        if pipe is not None:
            at_ms = max(self._run.loop.time() * 1000 + NETWORK_MS[1], self._up_ms + APART_MS)
            self._run.loop.call_at(at_ms / 1000, pipe.lost)
            self._run.see(Lost(self._run.now_ms(), self.device, why))
            if tell:
                self.put(actions.Disconnected())

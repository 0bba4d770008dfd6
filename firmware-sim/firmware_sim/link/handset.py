"""A device over real sockets: a firmware, its MQTT client, and one TCP connection at a time."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.link import packets
from firmware_sim.link.client import Client
from firmware_sim.link.player import Stage, Wired
from firmware_sim.record import Lost


class SocketStage(Stage, Protocol):
    """What devices with sockets need besides."""

    def address(self) -> tuple[str, int] | None:
        """Where to connect; None while no server listens."""
        ...

    def opened(self, port: int, client: Client) -> None:
        """A client connects from this local port."""
        ...

    def spawn(self, work: Any) -> None:
        """Run a coroutine as a task that the stage owns."""
        ...


class Wire(asyncio.Protocol):
    """One connection of a device, from its first SYN to its end."""

    def __init__(self, handset: Handset, stage: SocketStage, password: str, connect: actions.Connect, *, clean: bool) -> None:
        self.client = Client(handset.device, password, stage.numbers, self._send, stage.see, clean=clean)
        self.is_over = False
        self.heard_s = stage.loop.time()
        self._handset = handset
        self._stage = stage
        self._connect = connect
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []

    async def open(self) -> None:
        """Connect; if that fails, the device learns that it has no connection."""
        address = self._stage.address()
        try:
            if address is None:
                raise ConnectionRefusedError
            await self._stage.loop.create_connection(lambda: self, *address)
        except OSError:
            self._handset.lost(self, "no answer")

    def flush(self) -> None:
        """Hand to the network what was sent since the last flush."""
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def close(self) -> None:
        """What was sent still goes out."""
        self.is_over = True
        if self._transport is not None:
            self.flush()
            self._transport.close()

    def _send(self, data: bytes, _no: int) -> None:
        self._out.append(data)

    # --- as asyncio's protocols -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.is_over:
            self._transport.abort()
            return
        self._stage.opened(transport.get_extra_info("sockname")[1], self.client)
        self.client.connect(self._connect)
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self.is_over:
            return
        self.heard_s = self._stage.loop.time()
        try:
            items = self.client.feed(data, self._stage.now_ms())
        except packets.Broken as error:
            self._stage.trouble(self._handset.device, str(error))
            self._handset.lost(self, "the server broke the protocol")
            return
        if items:
            self._handset.put(*items)  # its step flushes
        else:
            self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        why = "the connection broke" if exc is not None else "the connection was closed"
        self._handset.lost(self, why if self.client.is_open else "no answer")


class Handset(Wired):
    """A device with its firmware and its present connection. `clean`: its session ends with its connection."""

    def __init__(self, stage: SocketStage, firmware: Firmware, password: str, *, clean: bool = False) -> None:
        super().__init__(stage, firmware)
        self.wire: Wire | None = None
        self._stage: SocketStage = stage
        self._password = password
        self._clean = clean

    @property
    def client(self) -> Client | None:
        return self.wire.client if self.wire is not None else None

    @property
    def line(self) -> Wire | None:
        return self.wire

    @property
    def heard_s(self) -> float:
        return self.wire.heard_s if self.wire is not None else 0.0

    @property
    def is_gone(self) -> bool:
        """Whether it has no connection."""
        return self.wire is None

    @property
    def unsent(self) -> int:
        """Events without acknowledgement."""
        return len(self.firmware.flash.events)

    def close(self) -> None:
        """Let go of everything."""
        self.forget_wake()
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    def flush(self) -> None:
        if self.wire is not None:
            self.wire.flush()

    def connect(self, connect: actions.Connect) -> None:
        self.end("connects anew", tell=False)
        wire = self.wire = Wire(self, self._stage, self._password, connect, clean=self._clean)
        self._stage.spawn(wire.open())
        self.watch()

    def lost(self, wire: Wire, why: str) -> None:
        """This connection is over, if it still was one."""
        if self.wire is wire:
            self.end(why)

    def end(self, why: str, *, tell: bool = True) -> None:
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.close()
            self._stage.see(Lost(self._stage.now_ms(), self.device, why))
            if tell:
                self.put(actions.Disconnected())

"""Devices over real sockets: a firmware, its MQTT client, and one TCP connection at a time."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, Final, Protocol, cast

from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.link import packets
from firmware_sim.link.client import KEEP_ALIVE_S, Client, Numbers
from firmware_sim.record import Entry, Lost, Noted

PING_PATIENCE_S: Final = 10.0
CONNECT_PATIENCE_S: Final = 10.0
REBOOT_S: Final = 4.0


class Stage(Protocol):
    """What devices need of the run that they are in."""

    loop: asyncio.AbstractEventLoop
    rng: Random
    numbers: Numbers
    speed: float

    def now_ms(self) -> int:
        """True time, ms since 1970 UTC."""
        ...

    def address(self) -> tuple[str, int] | None:
        """Where to connect; None where nobody listens."""
        ...

    def see(self, entry: Entry) -> None: ...

    def trouble(self, text: str) -> None: ...

    def hand(self, to: str, item: actions.Handed) -> None:
        """Give something to the user of another device."""
        ...

    def opened(self, port: int, client: Client) -> None:
        """A client connects from this local port."""
        ...

    def spawn(self, work: Any) -> None:
        """Run a coroutine beside."""
        ...


class Wire(asyncio.Protocol):
    """One connection of a device, from its first SYN to its end."""

    def __init__(self, handset: Handset, stage: Stage, password: str, connect: actions.Connect) -> None:
        self.client = Client(handset.device, password, stage.numbers, self._send, stage.see)
        self.is_over = False
        self.heard_s = stage.loop.time()
        self._handset = handset
        self._stage = stage
        self._connect = connect
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []

    async def open(self) -> None:
        """Connect; where that fails, the device is told."""
        address = self._stage.address()
        try:
            if address is None:
                raise ConnectionRefusedError
            await self._stage.loop.create_connection(lambda: self, *address)
        except OSError:
            self._handset.lost(self, "nobody answers")

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
            self._stage.trouble(f"{self._handset.device}: {error}")
            self._handset.lost(self, "the server broke the protocol")
            return
        if items:
            self._handset.put(*items)  # its step flushes
        else:
            self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        why = "the connection broke" if exc is not None else "the connection was closed"
        self._handset.lost(self, why if self.client.is_open else "nobody answers")


class Handset:
    """A device with its firmware and its present connection."""

    def __init__(self, stage: Stage, firmware: Firmware, password: str) -> None:
        self.device = firmware.device
        self.firmware = firmware
        self.wire: Wire | None = None
        self.is_off = False
        self._stage = stage
        self._password = password
        self._inbox: list[actions.Item] = []
        self._wake: asyncio.TimerHandle | None = None
        self._is_due = False

    @property
    def is_finished(self) -> bool:
        return self.firmware.is_finished and not self.is_off

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
        if self._wake is not None:
            self._wake.cancel()
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    # --- the firmware -----------------------------------------------------------------------------------------------------

    def put(self, *items: actions.Item) -> None:
        """Something comes in; the firmware takes its step in a moment."""
        self._inbox += items
        if not self._is_due:
            self._is_due = True
            self._stage.loop.call_soon(self._step)

    def _step(self) -> None:
        self._is_due = False
        if self.is_off:
            return
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        inbox, self._inbox = self._inbox, []
        now_ms = self._stage.now_ms()
        for action in self.firmware.step(now_ms, inbox, self._stage.rng):
            self.do(action, now_ms)
        if self.wire is not None:
            self.wire.flush()

    def do(self, action: actions.Action, now_ms: int) -> None:
        match action:
            case actions.Publish():
                if self.wire is not None:
                    self.wire.client.publish(action, now_ms)
            case actions.WakeAt(at_ms):
                self._wake = self._stage.loop.call_later(max(0, at_ms - now_ms) / 1000, self.put)
            case actions.Subscribe(filters):
                if self.wire is not None:
                    self.wire.client.subscribe(filters)
            case actions.Connect():
                self._connect(action)
            case actions.Disconnect():
                if self.wire is not None:
                    self.wire.client.disconnect()
                    self._end("says goodbye", tell=False)
            case actions.HangUp(why):
                self._end(why, tell=False)
            case actions.Hand(to, item):
                self._stage.hand(to, item)
            case actions.Note(text):
                self._stage.see(Noted(now_ms, self.device, text))
            case actions.Beep():
                pass

    # --- the connection ---------------------------------------------------------------------------------------------------

    def _connect(self, connect: actions.Connect) -> None:
        self._end("connects anew", tell=False)
        wire = self.wire = Wire(self, self._stage, self._password, connect)
        self._stage.spawn(wire.open())
        self._stage.loop.call_later(CONNECT_PATIENCE_S, self._look_at_silence, wire)

    def _look_at_silence(self, wire: Wire) -> None:
        """Ask the server whether it is there (§3.12), and give it up where nothing comes."""
        if self.wire is not wire:
            return
        silent_s = self._stage.loop.time() - wire.heard_s
        if silent_s >= KEEP_ALIVE_S + PING_PATIENCE_S or (not wire.client.is_open and silent_s >= CONNECT_PATIENCE_S):
            self._end("the server is silent")
            return
        if wire.client.is_open:
            wire.client.ping()
            wire.flush()
        self._stage.loop.call_later(PING_PATIENCE_S, self._look_at_silence, wire)

    def lost(self, wire: Wire, why: str) -> None:
        """This connection is over, if it still was one."""
        if self.wire is wire:
            self._end(why)

    def _end(self, why: str, *, tell: bool = True) -> None:
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.close()
            self._stage.see(Lost(self._stage.now_ms(), self.device, why))
            if tell:
                self.put(actions.Disconnected())

    def reboot(self, *, loses_clock: bool) -> None:
        """The power goes, and comes back a moment later."""
        if self.is_off:
            return
        self.is_off = True
        self._end("lost its power", tell=False)
        self._stage.loop.call_later(REBOOT_S / self._stage.speed, self._boot, loses_clock)

    def _boot(self, loses_clock: bool) -> None:
        self.is_off = False
        self._inbox = [i for i in self._inbox if isinstance(i, (actions.Handed, actions.SwitchOff))]
        self.put(actions.PowerCut(loses_clock=loses_clock))

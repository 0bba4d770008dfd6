"""All connections of a broker together: which have something to write, which are paused, and the clock's tick. It knows no amqtt and opens no socket."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Final, Protocol

from bridge.broker.door import FrontDoor
from bridge.broker.lag import Lag

TICK_S: Final = 0.5
GOODBYE_S: Final = 1.0


class Wire(Protocol):
    """What stands between a network connection and its `Connection`, see `listeners/wire.py`."""

    def pause(self, *, paused: bool) -> None: ...

    def flush(self) -> None: ...

    def abort(self) -> None: ...


class Hub:
    """What wires share. Collections keep the order in which they were filled, so that the same input gives the same output."""

    def __init__(self, door: FrontDoor) -> None:
        self.door = door
        self.is_stopping = False
        self.wires: dict[Wire, None] = {}
        self.doorstep: set[Wire] = set()
        """Those whose handshake is under way."""
        self.hosts: Counter[str] = Counter()
        self.all_gone = asyncio.Event()
        self.received_bytes = self.sent_bytes = 0
        """Bytes of MQTT since the start."""
        self.lag = Lag()
        self._dirty: dict[Wire, None] = {}

    def wake(self, wire: Wire) -> None:
        """A connection has something to write, or has closed; `flush` sees to it."""
        self._dirty[wire] = None

    def flush(self) -> None:
        """Write what every connection has collected, once each."""
        self.door.flush_progress()
        dirty = self._dirty
        while dirty:
            dirty.popitem()[0].flush()

    def pause(self, *, paused: bool) -> None:
        """Stop or go on reading from every connection; logins that have waited come first."""
        if not paused:
            self.door.begin_logins()
        for wire in list(self.wires):
            wire.pause(paused=paused)

    def hang_up(self) -> None:
        """Close every connection; their wills are on their way into the pipeline when this returns."""
        for connection in list(self.door.connections):
            connection.close("the server stops")
        self.flush()

    async def goodbyes(self) -> None:
        """A TLS connection ends when the client has answered its end; a client that does not answer is cut off."""
        if self.wires:
            self.all_gone.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.all_gone.wait(), GOODBYE_S)
        for wire in list(self.wires):
            wire.abort()
        await asyncio.sleep(0)

    async def tick(self) -> None:
        """Timers, until cancelled: keep-alive, ages, and what is written now and then."""
        sleep_s = min(self.door.limits.ack_flush_ms / 2_000, TICK_S)
        ticked_s = 0.0
        while True:
            due_s = self.door.now_s() + sleep_s
            await asyncio.sleep(sleep_s)
            now_s = self.door.now_s()
            self.lag.add(now_s - due_s, now_s)
            self.door.tick_progress()
            if now_s - ticked_s >= TICK_S:
                ticked_s = now_s
                self.door.tick()
            self.flush()

"""One direction of a line through the proxy: what becomes of each packet, and when it leaves."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

from firmware_sim.faults import Direction, Packet
from firmware_sim.link import packets
from firmware_sim.link.weather import Weather

QUEUE_HIGH: Final = 65_536
"""Bytes on their way above which the sender is held back, as a full socket does."""
_LAST: Final = {Direction.UP: packets.DISCONNECT, Direction.DOWN: b"\xd0\x00"}
"""What stands for the end of a stream where faults have their turn."""


class Looker(Protocol):
    """Sees the packets of a line: those of the device before any fault, those of the bridge as they reach the device."""

    def up(self, packet: bytes) -> None: ...

    def down(self, packet: bytes) -> None: ...

    def ended(self) -> None: ...


class End(Protocol):
    """One end of a line: `transport` is None until it is connected."""

    transport: asyncio.Transport | None
    is_over: bool

    def close(self) -> None:
        """End it after what was written."""
        ...


class Line(Protocol):
    """What a way needs of the line that it is half of. `device` is None until the device has said its name."""

    weather: Weather
    device: str | None
    tap: Looker | None

    def introduced(self, device: str | None) -> None:
        """The device has said its name."""
        ...

    def mangled(self, packet: bytes) -> None:
        """A fault changed a PUBLISH."""
        ...

    def cut(self) -> None: ...

    def forget(self) -> None: ...


class Way:
    """One direction of a line. Packets leave in the order in which they came, but for those that overtake."""

    def __init__(self, line: Line, direction: Direction) -> None:
        self.line = line
        self.is_raw = False
        self.source: End
        self.sink: End
        self._direction = direction
        self._cutter = packets.Cutter()
        self._queue: deque[tuple[float, bytes | None]] = deque()
        """When each packet is due, in the order in which they leave; None is the end of the stream."""
        self._queued = 0
        self._timer: asyncio.TimerHandle | None = None
        self._overtaking: set[asyncio.TimerHandle] = set()
        self._early: list[bytes] | None = []
        """What is written before the other end stands."""
        self._is_over = False
        self._holds: set[bool] = set()

    # --- in -----------------------------------------------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Bytes have come in."""
        if self.is_raw:
            self._write(data)
            return
        try:
            whole = self._cutter.prefix(data)
            if not whole:
                return
            line = self.line
            if line.device is None and self._direction is Direction.UP:
                line.introduced(packets.read_username(next(iter(packets.Cutter().feed(whole)))))
            if self.is_raw:
                self._write(whole + self._cutter.rest())
            elif line.tap is None and not self._queue and not line.weather.touches(line.device or ""):
                self._write(whole)
            else:
                for packet in packets.Cutter().whole(whole):
                    self._carry(packet)
        except packets.Broken:
            self.line.cut()

    def ended(self) -> None:
        """The stream is at its end; that, too, may get lost or take its time."""
        if self._is_over:
            return
        if self.is_raw or self.line.device is None:
            self._enqueue(0.0, None)
            return
        for packet in self.line.weather.carry(self.line.device, Packet(self._direction, _LAST[self._direction])):
            self._enqueue(packet.delay_ms / 1000, None)

    def _carry(self, data: bytes) -> None:
        line = self.line
        if line.tap is not None and self._direction is Direction.UP:
            line.tap.up(data)
        for packet in line.weather.carry(line.device or "", Packet(self._direction, data)):
            if packet.is_mangled:
                line.mangled(packet.data)
            if packet.overtakes:
                self._overtake(packet.delay_ms / 1000, packet.data)
            else:
                self._enqueue(packet.delay_ms / 1000, packet.data)

    # --- on the way -----------------------------------------------------------------------------------------------------------

    def _enqueue(self, delay_s: float, data: bytes | None) -> None:
        if not delay_s and not self._queue:
            self._leave(data)
            return
        self._queue.append((asyncio.get_running_loop().time() + delay_s, data))
        self._queued += len(data or b"")
        if self._queued > QUEUE_HIGH:
            self.hold(by_sink=False)
        if self._timer is None:
            self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._queue[0][0], self._due) if self._queue else None

    def _due(self) -> None:
        """Whoever is behind one that takes longer leaves right after it."""
        now_s = asyncio.get_running_loop().time()
        while self._queue and (self._queue[0][0] <= now_s):
            _, data = self._queue.popleft()
            self._queued -= len(data or b"")
            self._leave(data)
        if self._queued <= QUEUE_HIGH // 4:
            self.release(by_sink=False)
        self._wait()

    def _overtake(self, delay_s: float, data: bytes) -> None:
        def due() -> None:
            self._overtaking.discard(timer)
            self._leave(data)

        timer = asyncio.get_running_loop().call_later(delay_s, due)
        self._overtaking.add(timer)

    def stop(self) -> None:
        """Nothing of what is on its way arrives."""
        self._is_over = True
        for timer in (*self._overtaking, *([self._timer] if self._timer is not None else ())):
            timer.cancel()
        self._overtaking.clear()
        self._queue.clear()
        self._timer = None

    # --- out ------------------------------------------------------------------------------------------------------------------

    def _leave(self, data: bytes | None) -> None:
        if data is None:
            self.stop()
            self.sink.close()
            self.line.forget()
            return
        if self.line.tap is not None and self._direction is Direction.DOWN and not self.sink.is_over:
            self.line.tap.down(data)
        self._write(data)

    def _write(self, data: bytes) -> None:
        if self._early is not None:
            self._early.append(data)
        elif not self.sink.is_over and self.sink.transport is not None:
            self.sink.transport.write(data)

    def attached(self) -> None:
        """The other end stands."""
        early, self._early = self._early, None
        if early:
            self._write(b"".join(early))

    def hold(self, *, by_sink: bool) -> None:
        self._holds.add(by_sink)
        if self.source.transport is not None and not self.source.is_over:
            self.source.transport.pause_reading()

    def release(self, *, by_sink: bool) -> None:
        if by_sink in self._holds:
            self._holds.discard(by_sink)
            if not self._holds and self.source.transport is not None and not self.source.is_over:
                self.source.transport.resume_reading()

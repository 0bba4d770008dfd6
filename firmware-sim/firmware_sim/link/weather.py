"""A scenario's faults over a run: which of them last now, and what becomes of a packet between a device and its bridge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from firmware_sim.faults import Fault, Line, Packet, World
from firmware_sim.record import Entry, FaultBegan, FaultEnded


def kind_of(fault: Fault) -> str:
    """The word by which a scenario names it."""
    return str(fault.__struct_config__.tag)


class Weather:
    """Begins and ends faults on time, and lets them have what crosses a line.

    Args:
        ends_s: when those end that have no end of their own, seconds from the start.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        devices: Sequence[str],
        world: World,
        *,
        ends_s: float,
        now_ms: Callable[[], int],
        see: Callable[[Entry], None],
    ) -> None:
        self._world = world
        self._now_ms = now_ms
        self._see = see
        self._lasting: dict[int, Fault] = {}
        self._lines = {device: Line(device) for device in devices}
        self._touched = {number: tuple(d for d in devices if fault.touches(d)) for number, fault in enumerate(faults)}
        self.ends_s = ends_s
        for number, fault in enumerate(faults):
            to_s = min(ends_s, fault.to_s if fault.to_s is not None else ends_s)
            if fault.from_s < to_s:
                world.after(1000 * fault.from_s, partial(self._begin, number, fault))
                world.after(1000 * to_s, partial(self._end, number, fault))

    def carry(self, device: str, packet: Packet) -> Sequence[Packet]:
        """What becomes of a packet: each fault that lasts has its turn, in the scenario's order."""
        if not self._lasting:
            return (packet,)
        line = self._lines[device]
        line.now_ms = self._now_ms()
        packets: Sequence[Packet] = (packet,)
        for number, fault in self._lasting.items():
            if device in self._touched[number]:
                packets = [p for before in packets for p in fault.carry(before, line, self._world.rng)]
        return packets

    def _begin(self, number: int, fault: Fault) -> None:
        self._lasting[number] = fault
        self._see(FaultBegan(self._now_ms(), number, kind_of(fault), self._touched[number]))
        fault.begin(self._world, self._touched[number], lambda: number in self._lasting)

    def _end(self, number: int, fault: Fault) -> None:
        del self._lasting[number]
        self._see(FaultEnded(self._now_ms(), number, kind_of(fault)))
        fault.end(self._world, self._touched[number])

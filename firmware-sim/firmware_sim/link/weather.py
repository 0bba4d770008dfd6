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
        self._streams = {device: world.stream(f"{device} faults") for device in devices}
        self._touched = {number: tuple(d for d in devices if fault.touches(d)) for number, fault in enumerate(faults)}
        self._carriers = frozenset(n for n, fault in enumerate(faults) if type(fault).carry is not Fault.carry)
        self._carrying: dict[str, tuple[Fault, ...]] = dict.fromkeys(devices, ())
        """Those faults that last and do something to a device's packets."""
        self.ends_s = ends_s
        for number, fault in enumerate(faults):
            to_s = min(ends_s, fault.to_s if fault.to_s is not None else ends_s)
            if fault.from_s < to_s:
                world.after(1000 * fault.from_s, partial(self._begin, number, fault))
                world.after(1000 * to_s, partial(self._end, number, fault))

    def carry(self, device: str, packet: Packet) -> Sequence[Packet]:
        """What becomes of a packet: each fault that lasts has its turn, in the order in which they began."""
        faults = self._carrying[device]
        packets: Sequence[Packet] = (packet,)
        if not faults:
            return packets
        line, rng = self._lines[device], self._streams[device]
        line.now_ms = self._now_ms()
        for fault in faults:
            packets = fault.carry(packets[0], line, rng) if len(packets) == 1 else [p for before in packets for p in fault.carry(before, line, rng)]
        return packets

    def may_touch(self, device: str) -> bool:
        """Whether any fault of the whole run does something to this device's packets."""
        return any(device in self._touched[number] for number in self._carriers)

    def touches(self, device: str) -> bool:
        """Whether a fault does so now."""
        return bool(self._carrying[device])

    def _begin(self, number: int, fault: Fault) -> None:
        self._lasting[number] = fault
        self._look_who_carries()
        self._see(FaultBegan(self._now_ms(), number, kind_of(fault), self._touched[number]))
        fault.begin(self._world, self._touched[number], lambda: number in self._lasting)

    def _end(self, number: int, fault: Fault) -> None:
        del self._lasting[number]
        self._look_who_carries()
        self._see(FaultEnded(self._now_ms(), number, kind_of(fault)))
        fault.end(self._world, self._touched[number])

    def _look_who_carries(self) -> None:
        """Faults come and go a few times in a run, packets by the thousand."""
        for device in self._carrying:
            self._carrying[device] = tuple(f for n, f in self._lasting.items() if n in self._carriers and device in self._touched[n])

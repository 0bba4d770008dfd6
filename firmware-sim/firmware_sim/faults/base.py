"""What a fault is: settings with units, when and on whom, and at most three things that it does. Everything else stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from random import Random
from typing import Annotated, Protocol

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=31_622_400)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=86_400_000)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
"""0: never, 1: always."""


class Direction(Enum):
    """UP goes to the bridge."""

    UP = "up"
    DOWN = "down"


PUBLISH = 3
"""The packet type of a PUBLISH (§2.2.1)."""


@dataclass(slots=True)
class Packet:
    """One MQTT control packet on its way. `delay_ms` is beyond what the network takes anyway; `overtakes`: it need not wait for those before it.

    It belongs to the fault that has it at the moment, which may change it and hand it on. `is_mangled`: its payload is not what was sent.
    """

    direction: Direction
    data: bytes
    delay_ms: int = 0
    overtakes: bool = False
    is_mangled: bool = False

    @property
    def kind(self) -> int:
        return self.data[0] >> 4

    @property
    def is_event(self) -> bool:
        """Whether it is a PUBLISH on its way to the bridge: only these may be dropped, doubled, reordered or spoilt.

        TCP loses and reorders nothing while a connection stands. What does are the layers around it: an access point's queue, an app's own resend loop, a
        gateway. They sit between the device's events and the bridge; the bridge's promise of order to its subscribers (§4.6) is not theirs to break.
        """
        return self.direction is Direction.UP and self.kind == PUBLISH


@dataclass(slots=True)
class Line:
    """A device's line to the bridge, as faults see it. `busy_until_ms` is for faults that take time from those behind."""

    device: str
    now_ms: int = 0
    up_busy_ms: int = 0
    down_busy_ms: int = 0


class World(Protocol):
    """What a fault can do beside packets. Times are ms from now."""

    rng: Random
    """The stream of what faults draw for themselves."""

    def stream(self, name: str) -> Random:
        """A random stream of its own, the same for the same seed and name."""
        ...

    def after(self, delay_ms: float, call: Callable[[], None]) -> None:
        """Call later."""
        ...

    def cut(self, device: str) -> None:
        """End a device's connection, so that both sides notice."""
        ...

    def reboot(self, device: str, *, loses_clock: bool) -> None:
        """Take a device's power away for a moment; with `loses_clock` its wall clock starts anew in 2020."""
        ...

    def set_clock(self, device: str, by_ms: int) -> None:
        """Move a device's wall clock."""
        ...

    def slow_disk(self, commit_ms: int, jitter_ms: int) -> None:
        """Let every commit of the server take so long; 0 for as usual."""
        ...

    def fill_disk(self, *, full: bool) -> None:
        """Leave the server's disk no room, or give it back."""
        ...

    def kill_server(self, point: str, down_ms: int) -> None:
        """Kill the server when it passes a point next (`anywhere`: now), and start it again later."""
        ...


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"):
    """A fault, from `from_s` to `to_s` of the run (to its end where not given), on the devices whose name matches `on` (`scan-*`)."""

    on: str = "*"
    from_s: Seconds = 0.0
    to_s: Seconds | None = None

    NEEDS_SERVER = False
    """Whether it is done to the server, which must be the run's own then."""

    def touches(self, device: str) -> bool:
        return fnmatchcase(device, self.on)

    def begin(self, world: World, devices: Sequence[str], is_on: Callable[[], bool]) -> None:
        """It begins. `is_on` says, later, whether it still lasts."""

    def end(self, world: World, devices: Sequence[str]) -> None:
        """It ends."""

    def carry(self, packet: Packet, line: Line, rng: Random) -> Sequence[Packet]:
        """What becomes of a packet: nothing, itself, several."""
        return (packet,)


def again_and_again(world: World, every_s: float, call: Callable[[], None], is_on: Callable[[], bool]) -> None:
    """Call at random times, once in `every_s` seconds on average (a Poisson process), while it lasts."""

    def due() -> None:
        if is_on():
            call()
            plan()

    def plan() -> None:
        world.after(1000 * world.rng.expovariate(1 / every_s), due)

    plan()

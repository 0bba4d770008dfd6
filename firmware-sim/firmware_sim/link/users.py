"""Users with a device that is not simulated: what they tell is handed to it, and what becomes of that comes back."""

from __future__ import annotations

from typing import Any, Protocol

from devices.protocol import bodies, encoding
from devices.protocol.vocabulary import EventType
from firmware_sim.firmware.base import NOTHING
from firmware_sim.firmware.chores import Doer
from firmware_sim.firmware.courier import Courier
from firmware_sim.firmware.flash import Stored
from firmware_sim.firmware.scanner import Scanner
from firmware_sim.firmware.steps import COUNTED, Scan

Plain = dict[str, Any]


class Device(Protocol):
    """What a user has in hand."""

    @property
    def waiting(self) -> int:
        """Events that it holds without acknowledgement, or has yet to take."""
        ...

    def keep(self, name: bytes, event_type: EventType, scanned: Plain) -> None:
        """Something happened; `name` is what the user calls it until the device has given it an id."""
        ...

    def set_clock(self) -> None:
        """Its wall clock was set."""
        ...

    def restart(self, at_ms: int) -> None:
        """It loses its memory, and starts again at this time."""
        ...


class Remote(Doer):
    """A user with a device that is not simulated. `attach` gives them one."""

    device_in_hand: Device

    def attach(self, device: Device) -> None:
        self.device_in_hand = device

    @property
    def has_room(self) -> bool:
        return self.device_in_hand.waiting < self.outbox.events_max

    @property
    def is_settled(self) -> bool:
        return not self.flash.unanswered and not self.device_in_hand.waiting

    def record(
        self,
        event_type: EventType,
        body: bodies.Body = NOTHING,
        *,
        order: str | None = None,
        parcel: str | None = None,
        code: str | None = None,
        by: str | None = None,
    ) -> bytes:
        name = self.rng.randbytes(16)
        self.device_in_hand.keep(name, event_type, {"order": order, "parcel": parcel, "code": code, "by": by, "body": encoding.plain(body)})
        self.flash.unanswered[name] = Stored(type=event_type, plain={"id": name})
        self.sent[event_type] += 1
        return name

    def doubles(self, scan: Scan) -> bool:
        """A trigger that bounces is the program's business; if it lets one through, nothing is counted twice."""
        return scan.type not in COUNTED

    def set_wall_clock(self, skew_ms: int) -> None:
        super().set_wall_clock(skew_ms)
        self.device_in_hand.set_clock()

    def lose_memory(self, until_ms: int) -> None:
        super().lose_memory(until_ms)
        self.device_in_hand.restart(until_ms)

    def start_anew(self) -> None:
        super().start_anew()
        self.device_in_hand.restart(self.now_ms)

    def _on_connected(self) -> None:
        self.radio.connected()

    def _connect(self) -> None:
        """The program does."""

    def _send(self) -> None:
        """The program does."""


class ForeignScanner(Remote, Scanner):
    """A worker with such a handheld."""


class ForeignCourier(Remote, Courier):
    """A courier with such a phone."""

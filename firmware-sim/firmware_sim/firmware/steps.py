"""What a user does with a device, step by step; a chore is the steps about one order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from devices.protocol import bodies
from devices.protocol.vocabulary import EventType, VoidReason
from firmware_sim.firmware.actions import Thing
from firmware_sim.firmware.base import NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """Tell the bridge of something, and wait for its receipt."""

    type: EventType
    body: bodies.Body = NOTHING
    order: str | None = None
    parcel: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """Let time pass, ms."""

    ms: int


@dataclass(frozen=True, slots=True)
class Await:
    """Wait until the order's status shows this state."""

    state: str


@dataclass(frozen=True, slots=True)
class Give:
    """Hand something about the order to the user of another device."""

    to: str
    what: Thing


@dataclass(frozen=True, slots=True)
class Drive:
    """Drive in a straight line; places are (lat_e7, lon_e7)."""

    start: tuple[int, int]
    end: tuple[int, int]
    ms: int


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Tell the bridge that the last thing told was wrong."""

    reason: VoidReason = VoidReason.INCORRECT_DATA


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the bridge of something, and go on whatever it answers: a system that reports what others did."""

    scan: Scan


Step = Scan | Rest | Await | Give | Drive | TakeBack | Tell

COUNTED: Final = frozenset({EventType.PICK, EventType.ATTEMPT_FAILED})
"""What counts again when it is told again: no firmware sends it twice."""


@dataclass(slots=True, eq=False)
class Chore:
    """Steps about one order.

    `asked` is the event whose receipt is awaited, `told` the last one that had its receipt;
    before `ready_ms` the chore is left alone; `since_ms` and `legs_done` are of the present drive.
    """

    order: str
    steps: list[Step]
    index: int = 0
    asked: bytes | None = None
    told: bytes | None = None
    asked_ms: int = 0
    ready_ms: int = 0
    since_ms: int | None = None
    legs_done: int = 0

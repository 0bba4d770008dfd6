"""What goes into a firmware and what comes out: small frozen values, so that any shell can drive it and any log can show it.

All times are in milliseconds. `at_ms` of an action is on the clock that `step` was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from devices.protocol.vocabulary import Tone


class Randomness(Protocol):
    """What a firmware needs of chance; `random.Random` is one."""

    def randbytes(self, n: int, /) -> bytes: ...

    def random(self) -> float: ...

    def gauss(self, mu: float, sigma: float) -> float: ...


class Thing(StrEnum):
    """What people hand to each other without the wire."""

    PICK_LIST = "pick_list"
    RETURN = "return"
    PARCELS = "parcels"


# --- in -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected:
    """The CONNACK came."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone, or could not be made."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The PUBACK of the publish with this token came."""

    token: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message of a subscription came."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Handed:
    """Somebody gave the device's user something about an order."""

    what: Thing
    order: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCut:
    """The battery was out and is back: memory is lost, flash is kept, a new boot begins. With `loses_clock` the wall clock stands in 2020."""

    loses_clock: bool = False


@dataclass(frozen=True, slots=True)
class ClockSet:
    """The wall clock was set, so many ms off from the truth."""

    by_ms: int


@dataclass(frozen=True, slots=True)
class SwitchOff:
    """The user switches the device off."""


Item = Connected | Disconnected | Acknowledged | Received | Handed | PowerCut | ClockSet | SwitchOff


# --- out ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """A PUBLISH. `token` comes back in `Acknowledged`; `event` is the id of the event inside, where it is one."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    token: int | None = None
    event: bytes | None = None


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect with a persistent session (MQTT 3.1.1 §3.1.2.4) and this will."""

    will: Publish


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Say goodbye: no will is published."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Give the connection up without a goodbye: out of range, or no answer comes. No `Disconnected` follows."""

    why: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something happened to the device that a reader of the record wants to know."""

    text: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe at QoS 1."""

    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Beep:
    """What the user hears."""

    tone: Tone


@dataclass(frozen=True, slots=True)
class Hand:
    """The user gives something to the user of another device."""

    to: str
    item: Handed


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Call `step` again at this time, even if nothing comes in. The last one holds."""

    at_ms: int


Action = Publish | Connect | Disconnect | HangUp | Note | Subscribe | Beep | Hand | WakeAt

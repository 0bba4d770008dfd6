"""Faults: what goes wrong between a device and its bridge, in a device, or at the server. One file each; `README.md` says how to write one."""

from __future__ import annotations

from typing import get_args

from firmware_sim.faults.bandwidth import Bandwidth
from firmware_sim.faults.base import Direction, Fault, Line, Packet, World
from firmware_sim.faults.clock_jump import ClockJump
from firmware_sim.faults.clock_skew import ClockSkew
from firmware_sim.faults.clock_unset import ClockUnset
from firmware_sim.faults.corrupt import Corrupt
from firmware_sim.faults.delay import Delay
from firmware_sim.faults.disconnect import Disconnect
from firmware_sim.faults.drop import Drop
from firmware_sim.faults.duplicate import Duplicate
from firmware_sim.faults.full_disk import FullDisk
from firmware_sim.faults.half_open import HalfOpen
from firmware_sim.faults.jitter import Jitter
from firmware_sim.faults.noop import Noop
from firmware_sim.faults.reboot import Reboot
from firmware_sim.faults.reorder import Reorder
from firmware_sim.faults.server_kill import ServerKill
from firmware_sim.faults.slow_disk import SlowDisk

AnyFault = (
    Noop
    | Bandwidth
    | ClockJump
    | ClockSkew
    | ClockUnset
    | Corrupt
    | Delay
    | Disconnect
    | Drop
    | Duplicate
    | FullDisk
    | HalfOpen
    | Jitter
    | Reboot
    | Reorder
    | ServerKill
    | SlowDisk
)
"""Every fault that a scenario may name; `kind` says which."""

FAULTS: tuple[type[Fault], ...] = get_args(AnyFault)
"""Their classes."""

__all__ = ["FAULTS", "AnyFault", "Direction", "Fault", "Line", "Packet", "World"]

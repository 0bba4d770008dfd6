"""A narrow line: bytes queue up."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Annotated

import msgspec

from firmware_sim.faults.base import Direction, Fault, Line, Packet

BytesPerSecond = Annotated[int, msgspec.Meta(ge=16, le=1_000_000_000)]


class Bandwidth(Fault, tag="bandwidth"):
    """`up_bytes_per_s` towards the bridge, `down_bytes_per_s` back."""

    up_bytes_per_s: BytesPerSecond
    down_bytes_per_s: BytesPerSecond

    def carry(self, packet: Packet, line: Line, rng: Random) -> Sequence[Packet]:
        is_up = packet.direction is Direction.UP
        rate = self.up_bytes_per_s if is_up else self.down_bytes_per_s
        begins_ms = max(line.now_ms + packet.delay_ms, line.up_busy_ms if is_up else line.down_busy_ms)
        ends_ms = begins_ms + -(-len(packet.data) * 1000 // rate)
        if is_up:
            line.up_busy_ms = ends_ms
        else:
            line.down_busy_ms = ends_ms
        packet.delay_ms = ends_ms - line.now_ms
        return (packet,)

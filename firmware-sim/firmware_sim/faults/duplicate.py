"""Events that arrive twice: an app that sends again because it got no answer, a gateway that tries twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from firmware_sim.faults.base import Fault, Line, Milliseconds, Packet, Share


class Duplicate(Fault, tag="duplicate"):
    """`share` of the events comes once more, up to `within_ms` later."""

    share: Share
    within_ms: Milliseconds = 2_000

    def carry(self, packet: Packet, line: Line, rng: Random) -> Sequence[Packet]:
        if not packet.is_event or rng.random() >= self.share:
            return (packet,)
        return packet, replace(packet, delay_ms=packet.delay_ms + rng.randint(0, self.within_ms), overtakes=True)

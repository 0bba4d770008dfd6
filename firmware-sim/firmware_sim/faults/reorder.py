"""Events that overtake each other: two radios, a gateway with several workers."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from firmware_sim.faults.base import Fault, Line, Milliseconds, Packet, Share


class Reorder(Fault, tag="reorder"):
    """`share` of the events is held back, up to `by_ms`, while later ones pass."""

    share: Share
    by_ms: Milliseconds = 3_000

    def carry(self, packet: Packet, line: Line, rng: Random) -> Sequence[Packet]:
        if not packet.is_event or rng.random() >= self.share:
            return (packet,)
        packet.delay_ms += rng.randint(1, max(1, self.by_ms))
        packet.overtakes = True
        return (packet,)

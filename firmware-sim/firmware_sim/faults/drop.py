"""Events that vanish on the way: a full queue in an access point, a gateway that forgets. The device learns it by the missing acknowledgement."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from firmware_sim.faults.base import Fault, Line, Packet, Share


class Drop(Fault, tag="drop"):
    """`share` of the events is lost."""

    share: Share

    def carry(self, packet: Packet, line: Line, rng: Random) -> Sequence[Packet]:
        return () if packet.is_event and rng.random() < self.share else (packet,)

"""A way whose length changes: packets take longer by chance, and those behind wait for them, as TCP wants it."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from firmware_sim.faults.base import Fault, Line, Milliseconds, Packet


class Jitter(Fault, tag="jitter"):
    """Each packet takes up to `up_to_ms` longer; most take little, few take long."""

    up_to_ms: Milliseconds

    def carry(self, packet: Packet, line: Line, rng: Random) -> Sequence[Packet]:
        packet.delay_ms += round(self.up_to_ms * rng.random() ** 3)
        return (packet,)

"""Events that arrive spoilt: a bad flash cell, a gateway that cuts off. What comes is no CBOR any more, so that nobody can take it for something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from firmware_sim.faults.base import Fault, Line, Packet, Share

BREAK = 0xFF
"""CBOR's stop code, which begins nothing (RFC 8949 §3.2.1)."""


class Corrupt(Fault, tag="corrupt"):
    """`share` of the events has its first byte overwritten."""

    share: Share

    def carry(self, packet: Packet, line: Line, rng: Random) -> Sequence[Packet]:
        if not packet.is_event or rng.random() >= self.share:
            return (packet,)
        spoilt = bytearray(packet.data)
        spoilt[_payload_at(packet.data)] = BREAK
        return (replace(packet, data=bytes(spoilt), is_mangled=True),)


def _payload_at(data: bytes) -> int:
    """Where the payload of a PUBLISH begins (§3.3)."""
    at = 1
    while data[at] & 0x80:
        at += 1
    at += 1
    at += 2 + int.from_bytes(data[at : at + 2], "big")
    return min(len(data) - 1, at + (2 if data[0] & 6 else 0))

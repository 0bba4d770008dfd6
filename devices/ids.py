"""Event ids: UUIDv7 (RFC 9562 §5.7). Time and randomness come in as arguments."""

from __future__ import annotations

RANDOM_BYTES = 10
"""How many random bytes an id takes."""


def uuid7(at_ms: int, randomness: bytes) -> bytes:
    """A UUIDv7 as 16 bytes: 48 bits of Unix time in ms, then version, variant and 74 random bits.

    Raises:
        ValueError: `randomness` is not `RANDOM_BYTES` long.
    """
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"expected {RANDOM_BYTES} random bytes, got {len(randomness)}")
    tail = bytearray(randomness)
    tail[0] = 0x70 | (tail[0] & 0x0F)  # version 7
    tail[2] = 0x80 | (tail[2] & 0x3F)  # variant 10
    # A device whose clock was never set may be anywhere: only the low 48 bits fit, and the id stays unique by its randomness.
    return (at_ms & 0xFFFF_FFFF_FFFF).to_bytes(6, "big") + bytes(tail)

"""CBOR by hand (RFC 8949 §3), for the payloads that nearly every event produces: receipts and statuses.

Their shape is known, so the bytes of keys and words are made once and the values are put between them. This takes two thirds of the time that building
the maps and encoding them takes. cbor2 encodes everything else; tests compare the output of this module with it.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import cbor2

_SMALL: Final = tuple(cbor2.dumps(n) for n in range(256))
_TEXT_HEADS: Final = tuple(cbor2.dumps("x" * n)[:-n] for n in range(1, 256))
_BYTES_HEADS: Final = tuple(cbor2.dumps(b"x" * n)[:-n] for n in range(1, 256))
_SHORT: Final = 1 << 16
_LONG: Final = 1 << 32
_LONGEST: Final = 1 << 64

TEXTS_CACHED_MAX: Final = 8_192
"""Texts whose CBOR is remembered: an order's id and its words are told again and again within a batch."""

TRUE, FALSE, EMPTY_ARRAY = b"\xf5", b"\xf4", b"\x80"


def integer(n: int) -> bytes:
    """An integer. Times, in milliseconds since 1970, come first: they take 8 bytes."""
    if _LONG <= n < _LONGEST:
        return b"\x1b" + n.to_bytes(8, "big")
    if 0 <= n < 256:
        return _SMALL[n]
    return b"\x19" + n.to_bytes(2, "big") if 0 < n < _SHORT else cbor2.dumps(n)


def octets(value: bytes) -> bytes:
    """A byte string."""
    length = len(value)
    return _BYTES_HEADS[length - 1] + value if 0 < length < 256 else cbor2.dumps(value)


@lru_cache(TEXTS_CACHED_MAX)
def text(value: str) -> bytes:
    """A text string."""
    encoded = value.encode()
    length = len(encoded)
    return _TEXT_HEADS[length - 1] + encoded if 0 < length < 256 else cbor2.dumps(value)


def map_head(length: int) -> bytes:
    """The head of a map with `length` keys, 23 at most."""
    return bytes((0xA0 | length,))


def array(items: list[bytes]) -> bytes:
    """An array of items that are already encoded."""
    length = len(items)
    head = bytes((0x80 | length,)) if length < 24 else bytes((0x98, length)) if length < 256 else b"\x99" + length.to_bytes(2, "big")
    return head + b"".join(items)


def words(*vocabularies: type[StrEnum]) -> dict[str, bytes]:
    """word → its CBOR, for every word of these vocabularies."""
    return {word.value: text(word.value) for vocabulary in vocabularies for word in vocabulary}


def in_order(plain: dict[str, Any]) -> dict[str, Any]:
    """A map with its keys in deterministic order: shorter keys first, then bytewise (RFC 8949 §4.2.1). Maps inside it stay as they are."""
    return dict(sorted(plain.items(), key=_by_key))


def _by_key(item: tuple[str, object]) -> tuple[int, str]:
    return (len(item[0]), item[0])

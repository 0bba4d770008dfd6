"""The types of fields that several payloads share: what range an integer has, how long a text may be."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

UINT_MAX: Final = 2**53 - 1
"""The largest integer that every reader holds exactly, JSON and JavaScript among them (RFC 8259 §6)."""
NO_NUL: Final = r"^[^\x00]*$"

Uint = Annotated[int, Meta(ge=0, le=UINT_MAX)]
"""A number that is not negative, and that a double holds exactly."""
Positive = Annotated[int, Meta(ge=1, le=UINT_MAX)]
"""A number from 1 on, that a double holds exactly."""
WallClock = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Milliseconds since 1970 UTC. The range leaves room for nanoseconds: firmware that sends those is recognised, and its scans are not refused."""
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
"""How many: pieces, or answers."""
ID_CHARS_MAX: Final = 96
"""Characters of the id of a business."""
Id = Annotated[str, Meta(min_length=1, max_length=ID_CHARS_MAX, pattern=NO_NUL)]
"""An id of a business: an order, a parcel, an article, a place, a courier, a job. Ids that become topic levels have at most 96 characters once escaped."""
Word = Annotated[str, Meta(min_length=1, max_length=64, pattern=NO_NUL)]
"""A short word. If the site or the device may choose it, readers take any."""
Sentence = Annotated[str, Meta(max_length=200, pattern=NO_NUL)]
"""A sentence for people, in English. No program should read it."""
Sentences = Annotated[str, Meta(max_length=500, pattern=NO_NUL)]
"""A few sentences for people, in English."""
Code = Annotated[str, Meta(min_length=1, max_length=512, pattern=NO_NUL)]
"""A scanned text as the scanner gives it, with its symbology identifier (`]C1`) and FNC1 (U+001D) if it sends them."""
Country = Annotated[str, Meta(min_length=2, max_length=2, pattern=r"^[A-Z][A-Z]$")]
"""ISO 3166-1 alpha-2, such as NL."""
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern=r"^[A-Z][A-Z][A-Z]$")]
"""ISO 4217, such as EUR."""
EventId = Annotated[bytes, Meta(min_length=16, max_length=16)]
"""The id of an event: a UUIDv7 (RFC 9562); or that of a notice. In JSON 32 hex digits, or with hyphens."""
Bytes8 = Annotated[bytes, Meta(min_length=8, max_length=8)]
"""Eight bytes. In JSON 16 hex digits in lower case."""
ProofHash = Annotated[bytes, Meta(min_length=8, max_length=64)]
"""A hash of 8 to 64 bytes, SHA-256 for example. In JSON hex digits in lower case."""
Millimetres = Annotated[int, Meta(ge=1, le=100_000)]
"""A length in mm."""
Grams = Annotated[int, Meta(ge=0, le=10_000_000)]
"""A weight in g."""
Percent = Annotated[int, Meta(ge=0, le=100)]
"""A share in percent."""
LatE7 = Annotated[int, Meta(ge=-900_000_000, le=900_000_000)]
"""Latitude (WGS 84) in degrees times 10^7, north is positive."""
LonE7 = Annotated[int, Meta(ge=-1_800_000_000, le=1_800_000_000)]
"""Longitude (WGS 84) in degrees times 10^7, east is positive."""
Metres = Annotated[int, Meta(ge=0, le=100_000)]
"""A distance in m."""
OffsetMin = Annotated[int, Meta(ge=-1440, le=1440)]
"""An offset from UTC in minutes, east is positive."""
Small = Annotated[int, Meta(ge=0, le=10_000)]
"""A small number that is not negative."""

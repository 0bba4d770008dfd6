"""The types of fields that several payloads share: what range an integer has, how long a text may be."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

UINT_MAX: Final = 2**53 - 1
"""The largest integer that every reader holds exactly, JSON and JavaScript among them (RFC 8259 §6)."""
NO_NUL: Final = r"^[^\x00]*$"

Uint = Annotated[int, Meta(ge=0, le=UINT_MAX)]
WallClock = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Milliseconds since 1970 UTC. The range leaves room for nanoseconds: firmware that sends those is recognised, and its scans are not refused."""
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Id = Annotated[str, Meta(min_length=1, max_length=96, pattern=NO_NUL)]
Word = Annotated[str, Meta(min_length=1, max_length=64, pattern=NO_NUL)]
Code = Annotated[str, Meta(min_length=1, max_length=512, pattern=NO_NUL)]
Country = Annotated[str, Meta(min_length=2, max_length=2, pattern=r"^[A-Z][A-Z]$")]
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern=r"^[A-Z][A-Z][A-Z]$")]
EventId = Annotated[bytes, Meta(min_length=16, max_length=16)]
Bytes8 = Annotated[bytes, Meta(min_length=8, max_length=8)]
Millimetres = Annotated[int, Meta(ge=1, le=100_000)]
LatE7 = Annotated[int, Meta(ge=-900_000_000, le=900_000_000)]
LonE7 = Annotated[int, Meta(ge=-1_800_000_000, le=1_800_000_000)]
Metres = Annotated[int, Meta(ge=0, le=100_000)]

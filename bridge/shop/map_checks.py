"""Settings of a mapping that can each be right, and together would read something else than the file says: without a word, if they were not refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bridge.shop.currencies import currencies_of

_UTC_ZONES: Final = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu", "Etc/Zulu", "Universal", "Etc/Universal", "UCT", "Etc/UCT"})
Fault = tuple[str, str]
"""What is wrong, and the fix."""


def fault_of(channel: Mapping[str, Any]) -> Fault | None:
    """What of the settings of [channel] contradicts itself; None if nothing does."""
    return next((fault for check in _CHECKS if (fault := check(channel)) is not None), None)


def doubt_of(currency: str, strip: Sequence[str]) -> str | None:
    """A symbol that is taken away from amounts, and is that of another currency than the one in which they are read."""
    for mark in strip:
        meant = currencies_of(mark)
        if meant and currency not in meant:
            return f"channel.strip has {mark!r}, and amounts are read in {currency}: is channel.currency right?"
    return None


def _zone_letters(channel: Mapping[str, Any]) -> Fault | None:
    if "%Z" not in channel.get("time_format", ""):
        return None
    fix = "use %z if the times have an offset such as +0100; otherwise write the zone's letters as they are, such as UTC, and set channel.timezone"
    return "channel.time_format has %Z, which reads the letters of a time zone and ignores what they say", fix


def _utc_elsewhere(channel: Mapping[str, Any]) -> Fault | None:
    """A Z or UTC that is only letters: the times would be read as those of another zone."""
    letters = re.search(r"UTC|GMT|(?<!%)Z\s*$", channel.get("time_format", ""))
    if letters is None or channel["timezone"] in _UTC_ZONES:
        return None
    said = f"channel.time_format has {letters[0].strip()}, and channel.timezone is {channel['timezone']!r}"
    return said, 'set channel.timezone to "UTC", or time_format to "iso" if the times are like 2026-11-23T06:00:00Z'


def _half_days(channel: Mapping[str, Any]) -> Fault | None:
    """Python ignores %p beside %H: the afternoon would be read as the morning."""
    time_format = channel.get("time_format", "")
    if "%p" in time_format and "%I" not in time_format:
        return "channel.time_format has %p without %I, and would read 03:00 PM as three in the morning", "use %I for hours of 1 to 12"
    if "%I" in time_format and "%p" not in time_format:
        return "channel.time_format has %I without %p, and can't tell the morning from the afternoon", "use %H for hours of 0 to 23"
    return None


def _same_marks(channel: Mapping[str, Any]) -> Fault | None:
    decimal = channel.get("decimal", ".")
    if decimal != channel.get("thousands", ""):
        return None
    return f"channel.decimal and channel.thousands are both {decimal!r}", 'for example decimal = ",", thousands = "."'


_CHECKS: Final[tuple[Callable[[Mapping[str, Any]], Fault | None], ...]] = (_zone_letters, _utc_elsewhere, _half_days, _same_marks)

"""Words of the page: text that cannot harm it, times, durations, counts."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

TEXT_CHARS_MAX = 600
"""Of any one text of a record; the rest is left out, and an ellipsis says so."""

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters, half surrogates, and marks that turn or hide the text around them. Tab and line feed may stay."""


def text(raw: object, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Any text, to stand in an element or in an attribute with double quotes; what could not be seen is written `\\uXXXX`."""
    whole = str(raw)
    shown = whole if len(whole) <= chars_max else whole[: chars_max - 1] + "…"
    return html.escape(_UNSEEN.sub(lambda m: f"\\u{ord(m[0]):04x}", shown))


def duration(ms: float) -> str:
    """`340 ms`, `2.35 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`."""
    if ms < 1_000:
        return f"{ms:.2g} ms" if ms < 10 else f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.3g} s" if ms < 59_950 else "1 min"
    seconds = round(ms / 1000)
    if seconds < 3_600:
        return f"{seconds // 60} min" + (f" {seconds % 60} s" if seconds % 60 else "")
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"


def clock(ms: int, *, fine: bool = False) -> str:
    """A time of the run, from its begin: `1:05`, `2:00:00`, `1d 06:00:00`; `fine` with milliseconds."""
    sign, ms = ("-", -ms) if ms < 0 else ("", ms)
    seconds, rest = divmod(ms, 1000)
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3_600)
    minutes, seconds = divmod(seconds, 60)
    if days:
        whole = f"{days}d {hours:02d}:{minutes:02d}:{seconds:02d}"
    elif hours:
        whole = f"{hours}:{minutes:02d}:{seconds:02d}"
    else:
        whole = f"{minutes}:{seconds:02d}"
    return f"{sign}{whole}" + (f".{rest:03d}" if fine else "")


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 order`, `1,200 orders`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def some(names: Iterable[str], most: int) -> str:
    """The first names, escaped, and how many more there are."""
    known = list(names)
    shown = ", ".join(text(name) for name in known[:most])
    return shown if len(known) <= most else f"{shown} and {len(known) - most:,} more"

"""The texts of notices: which there have to be, which placeholders they may have, and how they are filled in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from enum import StrEnum
from string import Formatter
from typing import Any, Final, NamedTuple

from devices.protocol.fields import ID_CHARS_MAX
from devices.protocol.states import Moment


class Language(StrEnum):
    """Every notice is in all of them."""

    EN = "en"
    ZH = "zh"


TEXT_CHARS_MAX: Final = 500
"""Characters of a text, with the longest ids in it."""
PLACEHOLDERS: Final = {"order": "x" * ID_CHARS_MAX, "parcel": "x" * ID_CHARS_MAX, "date": "2026-03-31", "time": "12:59", "attempt": "10000"}
"""Each placeholder, with the longest that can stand there."""
OF_PARCELS: Final = frozenset(PLACEHOLDERS)
OF_ORDERS: Final = OF_PARCELS - {"parcel", "attempt"}


class Wording(NamedTuple):
    """How a moment is told, and how it is taken back; None for one that is never taken back."""

    text: str
    correction: str | None


Texts = Mapping[Language, Mapping[Moment, Wording]]
"""language → moment → how it is told."""


def parse_language(data: Mapping[str, Any], *, of_orders: frozenset[Moment], never_corrected: frozenset[Moment]) -> dict[Moment, Wording]:
    """The texts of one language, from plain TOML data.

    Raises:
        ValueError: if a moment or a text is missing, or there is one too many, or a text has another placeholder than it may have.
    """
    if unknown := data.keys() - set(Moment):
        raise ValueError(f"[{min(unknown)}] is not a moment; the moments are {', '.join(Moment)}")
    found = {}
    for moment in Moment:
        wanted = ("text",) if moment in never_corrected else ("text", "correction")
        given = data.get(moment.value, {})
        if not isinstance(given, dict) or set(given) != set(wanted):
            raise ValueError(f"[{moment}] must have {' and '.join(wanted)}, and nothing else")
        for name in wanted:
            _check(f"{moment}.{name}", given[name], OF_ORDERS if moment in of_orders else OF_PARCELS)
        found[moment] = Wording(given["text"], given.get("correction"))
    return found


def _check(name: str, text: Any, allowed: frozenset[str]) -> None:
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} must be a text")
    for _, field, spec, conversion in Formatter().parse(text):
        if field is not None and (field not in allowed or spec or conversion):
            raise ValueError(f"{name}: {{{field}}} is not a placeholder; it may have {', '.join(f'{{{word}}}' for word in sorted(allowed))}")
    longest = len(text.format(**PLACEHOLDERS))
    if longest > TEXT_CHARS_MAX:
        raise ValueError(f"{name} has up to {longest} characters with ids in it; at most {TEXT_CHARS_MAX} fit")


def values_of(order: str, parcel: str, at_ms: int, attempt: int, zone: tzinfo) -> dict[str, str]:
    """What stands in place of each placeholder."""
    at = datetime.fromtimestamp(at_ms / 1000, zone).isoformat()
    return {"order": order, "parcel": parcel, "date": at[:10], "time": at[11:16], "attempt": str(attempt)}


def filled(wording: Wording, values: Mapping[str, str], *, correction: bool) -> str:
    """A text with everything in it."""
    text = wording.correction if correction and wording.correction is not None else wording.text
    return text.format_map(values)

"""One GS1 element: its application identifier (AI), its pattern and its check digit. The dictionary of AIs comes from `biip`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from biip import ParseError
from biip.checksums import gs1_standard_check_digit
from biip.gs1_application_identifiers import GS1ApplicationIdentifier

from bridge.domain.barcodes.scanned import Element, Elements, Unreadable, shown, unreadable
from devices.protocol.vocabulary import Reason

_GTIN: Final = re.compile(r"[0-9]{8}|[0-9]{12,14}")

_CHECK_DIGIT_AT: Final = (
    dict.fromkeys(("01", "02", "03", "8003", "8006", "8026"), 14)
    | dict.fromkeys(("253", "255", "410", "411", "412", "413", "414", "415", "416", "417"), 13)
    | {"00": 18, "402": 17, "8017": 18, "8018": 18}
)
"""Which digit of an AI's value is its check digit, counted from 1 (GS1 General Specifications, section 7.9)."""

_ESCAPES_AS_ONE: Final = "|%[0-9A-Fa-f][0-9A-Fa-f]%[0-9A-Fa-f][0-9A-Fa-f]"


def checked(pairs: Iterable[tuple[str, str]]) -> Elements | Unreadable:
    """The elements, if each follows its AI's pattern and has the right check digit."""
    found: dict[str, Element] = {}
    for ai, value in pairs:
        problem = _problem(ai, value)
        if problem:
            return problem
        if ai in found:
            return unreadable(f"AI {ai} occurs twice with different values")
        found[ai] = Element(ai, value)
    return tuple(found.values())


def _problem(ai: str, value: str) -> Unreadable | None:
    identifier = identifier_of(ai)
    if identifier is None or identifier.ai != ai:
        return unreadable(f"{ai} is not a GS1 application identifier")
    # \d in the patterns means any script's digits, GS1 means ASCII.
    if not value.isascii() or not re.fullmatch(pattern_of(identifier), ai + value):
        return unreadable(f"{shown(value)} is not what AI {ai} ({identifier.data_title}) can hold, {identifier.format}")
    if ai not in _CHECK_DIGIT_AT:
        return None
    digits = value[: _CHECK_DIGIT_AT[ai]]
    should = check_digit_of(digits[:-1])
    if digits[-1] == should:
        return None
    return Unreadable(Reason.CHECK_DIGIT, f"the check digit of {identifier.data_title} {digits} is {digits[-1]}, should be {should}")


def check_digit_of(digits: str) -> str:
    """The check digit that belongs after these digits."""
    return str(gs1_standard_check_digit(digits))


def gtin_14(text: str) -> str | None:
    """A GTIN of 8, 12, 13 or 14 digits in its form of 14 digits, whether or not its check digit is right; None for any other text."""
    return text.zfill(14) if _GTIN.fullmatch(text) else None


def has_check_digit(digits: str) -> bool:
    """Whether the last digit is the check digit of those before it."""
    return check_digit_of(digits[:-1]) == digits[-1]


def identifier_of(text: str) -> GS1ApplicationIdentifier | None:
    """The AI with which `text` begins."""
    try:
        return GS1ApplicationIdentifier.extract(text)
    except ParseError:
        return None


def pattern_of(identifier: GS1ApplicationIdentifier) -> str:
    """The pattern of an AI and its value; it matches in linear time.

    biip's patterns for percent-encoded text (AI 4300 and similar) match `%` both as a character and as the start of an escape. The number of ways to match
    doubles with every escape, so one scan of a hundred characters could block the bridge for hours. Here, as in the standard (`X..35`), each character counts
    as one.
    """
    return identifier.pattern.replace(_ESCAPES_AS_ONE, "")

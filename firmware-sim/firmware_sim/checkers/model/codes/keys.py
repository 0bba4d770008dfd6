"""One key for each text that can be scanned."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

GTIN_DIGITS: Final = frozenset({8, 12, 13, 14})

_SSCC: Final = re.compile(r"(?:\(00\)|00|https?://[^?#]+/00/)?([0-9]{18})(?:[/?#].*)?", re.IGNORECASE)
"""Bare, as an element string, as printed under the bars, and as a GS1 Digital Link."""


def key(text: str) -> str:
    """The key of a text: the same for all spellings of an SSCC, and for a GTIN with and without its leading zeros."""
    if sscc := _SSCC.fullmatch(text):
        return f"sscc:{sscc[1]}"
    if len(text) in GTIN_DIGITS and text.isascii() and text.isdigit() and _check_digit_is_right(text):
        return f"gtin:{text.zfill(14)}"
    return unicodedata.normalize("NFC", text)


def is_article(key: str) -> bool:
    """Whether a key may be that of an article: many parcels bear it."""
    return key.startswith("gtin:")


def _check_digit_is_right(digits: str) -> bool:
    """GS1 General Specifications, section 7.9: from the right, every other digit counts three times."""
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return total % 10 == 0

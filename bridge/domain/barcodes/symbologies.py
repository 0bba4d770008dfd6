"""Symbology identifiers, which a scanner can put in front of a text to say what symbol it was printed as (AIM, ISO/IEC 15424), and the EAN symbols."""

from __future__ import annotations

import re
from typing import Final

from bridge.domain.barcodes.application_identifiers import checked
from bridge.domain.barcodes.element_strings import element_string
from bridge.domain.barcodes.scanned import Elements, Unreadable, shown, unreadable

ELEMENT_STRING_SYMBOLOGIES: Final = frozenset({"C1", "e0", "d2", "Q3", "J1"})
"""GS1-128, GS1 DataBar, GS1 DataMatrix, GS1 QR Code, GS1 DotCode: what follows is an element string."""

EAN_SYMBOLOGIES: Final = {
    "E0": re.compile(r"([0-9]{13})"),
    "E3": re.compile(r"([0-9]{13})(?:[0-9]{2}|[0-9]{5})"),  # with the add-on of a magazine or book, which names nothing here
    "E4": re.compile(r"([0-9]{8})"),
}

_IDENTIFIER: Final = re.compile(r"\]([A-Za-z][0-9A-Fa-f])")
_BLANKS: Final = " \t\r\n"  # a keyboard-wedge scanner ends with one of these; \x1d, which Python also counts as a blank, is FNC1
_COMPOSITE: Final = "|]e0"


def split(code: str) -> tuple[str | None, str]:
    """(the symbology identifier without its `]`, if there is one; the text after it without outer blanks)."""
    text = code.strip(_BLANKS)
    match = _IDENTIFIER.match(text)
    return (match[1], text[match.end() :].lstrip(_BLANKS)) if match else (None, text)


def ean_elements(symbology: str, text: str) -> Elements | Unreadable:
    """The elements of an EAN or UPC symbol, and of the composite component printed above it."""
    digits, separator, composite = text.partition(_COMPOSITE)
    match = EAN_SYMBOLOGIES[symbology].fullmatch(digits)
    if not match:
        return unreadable(f"{shown(digits)} is not what an EAN symbol can hold")
    above = element_string(composite) if separator else ()
    return above if isinstance(above, Unreadable) else checked(dict.fromkeys([("01", match[1].zfill(14)), *above]))

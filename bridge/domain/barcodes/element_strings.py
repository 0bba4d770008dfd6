"""GS1 element strings: raw, as scanners send them, and in brackets, as printed under the bars (GS1 General Specifications, sections 4.14 and 7.8)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from bridge.domain.barcodes.application_identifiers import checked, identifier_of, pattern_of
from bridge.domain.barcodes.scanned import Element, Elements, Unreadable, shown, unreadable

FNC1: Final = "\x1d"
"""What a scanner sends for the symbol character FNC1 between two elements."""

_BRACKETED: Final = re.compile(r"\(([0-9]{2,4})\)((?:\\\(|[^(\\])+)")  # `\(` is a bracket that belongs to the value


def element_string(text: str) -> Elements | Unreadable:
    """The elements of a raw string: AIs of a known length run on, the others end with FNC1."""
    pairs = []
    rest = text.lstrip(FNC1)
    while rest:
        data = rest.partition(FNC1)[0]
        ai = identifier_of(data)
        match = re.match(pattern_of(ai) if ai.separator_required else pattern_of(ai).removesuffix("$"), data) if ai else None
        if not (ai and match):
            return unreadable(f"{shown(rest)} does not begin with a GS1 element")
        pairs.append((ai.ai, match[0].removeprefix(ai.ai)))
        rest = rest[match.end() :].lstrip(FNC1)
    # The same element twice is allowed, two values for one AI are not.
    return checked(dict.fromkeys(pairs))


def bracketed_elements(text: str) -> Elements | Unreadable:
    """The elements of `(00)…(10)…`. It may be printed in groups; no value contains a blank, so blanks are removed."""
    text = text.replace(" ", "")
    pairs = []
    at = 0
    while at < len(text):
        match = _BRACKETED.match(text, at)
        if not match:
            return unreadable(f"{shown(text[at:])} does not begin with a GS1 element in brackets")
        pairs.append((match[1], match[2].replace("\\(", "(")))
        at = match.end()
    return checked(dict.fromkeys(pairs))


def in_brackets(elements: Iterable[Element]) -> str:
    """The form `(00)…(10)…` of some elements."""
    return "".join("(" + ai + ")" + value.replace("(", "\\(") for ai, value in elements)

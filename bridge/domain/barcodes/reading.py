"""Read a code: decide what it is, and take from it what it names."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from unicodedata import normalize

from bridge.domain.barcodes.application_identifiers import checked, gtin_14, has_check_digit, identifier_of
from bridge.domain.barcodes.digital_link import LINK_SCHEMES, digital_link
from bridge.domain.barcodes.element_strings import FNC1, bracketed_elements, element_string, in_brackets
from bridge.domain.barcodes.epc import epc_hex, epc_uri
from bridge.domain.barcodes.licence_plates import ENVELOPE, envelope, linear_plate, visible
from bridge.domain.barcodes.scanned import CODE_CHARS_MAX, Element, Elements, Key, Kind, Scanned, Unreadable, shown, unreadable
from bridge.domain.barcodes.symbologies import EAN_SYMBOLOGIES, ELEMENT_STRING_SYMBOLOGIES, ean_elements, split
from devices.protocol.vocabulary import Reason

CODES_CACHED_MAX: Final = 8192
"""Distinct codes whose reading is cached: a parcel is scanned some ten times in a warehouse."""

_SURELY_PLAIN: Final = re.compile(r"[A-GI-TV-Za-gi-tv-z](?:[ -~]{0,510}[!-~])?")
"""A letter first (but not the h of http or the u of urn), then ASCII, no outer blanks: most order and waybill numbers. Such a text is its own key."""

_SSCC: Final = re.compile(r"(?:00)?([0-9]{18})")
_BARE_ELEMENT_STRING: Final = re.compile(r"00[0-9]{18}|01[0-9]{14}")

_NAMES: Final = {"00": Kind.SSCC, "01": Kind.GTIN, "400": Kind.ORDER}
"""The AIs that name something that is known here; the one that says most about a parcel comes first."""

_CONTAINERS: Final = {"8003": "returnable asset (GRAI)", "8004": "asset (GIAI)"}


def read(code: str) -> Scanned | Unreadable:
    """What `code` names, if it is not a container. Never raises."""
    if _SURELY_PLAIN.fullmatch(code):
        return Scanned(kind=Kind.PLAIN, key=code, text=code)
    if len(code) > CODE_CHARS_MAX:
        return too_long(code)
    return _read(code)[0]


def key_of(code: str) -> Key | Unreadable:
    """The key of `code`, containers included. Never raises."""
    if _SURELY_PLAIN.fullmatch(code):
        return Key(Kind.PLAIN, code)
    if len(code) > CODE_CHARS_MAX:
        return too_long(code)
    return _read(code)[1]


def elements(code: str) -> Elements | Unreadable:
    """The GS1 elements of `code`, in the order in which it has them. Empty for a plain text."""
    if len(code) > CODE_CHARS_MAX:
        return too_long(code)
    found = _content(*_split(code))
    return () if isinstance(found, str) else found


# ---- from elements to what they name


@lru_cache(maxsize=CODES_CACHED_MAX)
def _read(code: str) -> tuple[Scanned | Unreadable, Key | Unreadable]:
    """(what `read` answers, what `key_of` answers)."""
    scanned = _named(code)
    if isinstance(scanned, Unreadable):
        return scanned, scanned
    if scanned.kind not in {Kind.SSCC, Kind.GTIN} and scanned.key != code:
        again = _named(scanned.key)
        if isinstance(again, Unreadable) or again.key != scanned.key:
            # A key is a code too: people read it on a screen and type it in. Only artful texts get here, such as one with FNC1 where none may be.
            problem = unreadable(f"{shown(scanned.text)} has no form that can be shown and read again")
            return problem, problem
    if scanned.kind is Kind.CONTAINER:
        return _container(scanned.key), Key(scanned.kind, scanned.key)
    # An order number that reads as itself is the same code with AI 400 and without.
    is_text = scanned.kind is Kind.ORDER and scanned.key == scanned.order
    return scanned, Key(Kind.PLAIN if is_text else scanned.kind, scanned.key)


def _named(code: str) -> Scanned | Unreadable:
    symbology, text = _split(code)
    found = _content(symbology, text)
    if isinstance(found, Unreadable):
        return found
    if isinstance(found, str):
        return Scanned(kind=Kind.PLAIN, key=found, text=text) if found.isprintable() else _unprintable(text)
    values = dict(found)
    kind, key = _kind_and_key(found, values)
    return Scanned(kind=kind, key=key, text=text, order=values.get("400"), serial=values.get("21"))


def _kind_and_key(found: Elements, values: dict[str, str]) -> tuple[Kind, str]:
    for ai in _CONTAINERS:
        # If the code also has a parcel's SSCC, the parcel travels in or on the container.
        if ai in values and "00" not in values:
            return Kind.CONTAINER, in_brackets([Element(ai, values[ai])])
    for ai, kind in _NAMES.items():
        if ai in values:
            return kind, _order_key(values[ai]) if kind is Kind.ORDER else values[ai]
    # The order of elements means nothing. An AI that the dictionary does not have could not be read again.
    return Kind.OTHER, in_brackets(sorted(element for element in found if identifier_of(element.ai)))


def _order_key(number: str) -> str:
    """The order number, or its bracketed form if the number alone would be read as something else, such as an article."""
    alone = _content(None, number)
    return number if alone == number else in_brackets([Element("400", number)])


def _container(key: str) -> Unreadable:
    ai, _, value = key[1:].partition(")")
    return Unreadable(Reason.CONTAINER, f"{_CONTAINERS[ai]} {value} is a container, not a parcel")


# ---- what a text is


def _split(code: str) -> tuple[str | None, str]:
    """(symbology identifier, text in NFC)."""
    symbology, text = split(code)
    return symbology, text if text.isascii() else normalize("NFC", text)


def _content(symbology: str | None, text: str) -> Elements | str | Unreadable:
    """The GS1 elements of a text, or the plain text."""
    if not text:
        return unreadable("the code is empty")
    if len(text) > CODE_CHARS_MAX:  # NFC can be longer
        return too_long(text)
    if text.startswith(LINK_SCHEMES):
        return digital_link(text)
    if symbology in ELEMENT_STRING_SYMBOLOGIES:
        return element_string(text)
    if symbology in EAN_SYMBOLOGIES:
        return ean_elements(symbology, text)
    if text.startswith("]"):
        return unreadable(f"{shown(text)} does not begin with a known symbology identifier")
    if text.startswith(ENVELOPE):
        return envelope(text)
    if FNC1 in text:
        # Only FNC1 in a symbol of GS1 is a mark. A scanner that sends no symbology identifier leaves that open, and then it is one.
        return element_string(text) if symbology is None else visible(text)
    return _unmarked(text)


def _unmarked(text: str) -> Elements | str | Unreadable:
    """The elements of a text that only its own form can show to be GS1."""
    if text.startswith("("):
        return bracketed_elements(text)
    if match := _SSCC.fullmatch(text):
        return checked([("00", match[1])])
    if (gtin := gtin_14(text)) and has_check_digit(gtin):
        return (Element("01", gtin),)
    if _BARE_ELEMENT_STRING.match(text) and not isinstance(found := element_string(text), Unreadable):
        return found
    epc = epc_uri(text) or epc_hex(text)
    return epc or linear_plate(text) or text


def _unprintable(text: str) -> Unreadable:
    return unreadable(f"{shown(text)} contains characters that cannot be printed")


def too_long(text: str) -> Unreadable:
    """A code that no label holds."""
    return unreadable(f"the code has {len(text)} characters, {CODE_CHARS_MAX} at most")

"""GS1 Digital Link: a web address with a GS1 key in its path (GS1 Digital Link Standard: URI Syntax, section 4).

If the reference implementation has a switch, this module takes the permissive side: words for AIs in a path (`/gtin/…/ser/…`), a GTIN without its leading zeros
in a path, and AIs in a query that the dictionary does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, unquote_plus

from bridge.domain.barcodes.application_identifiers import checked, gtin_14, identifier_of
from bridge.domain.barcodes.scanned import Element, Elements, Unreadable, shown, unreadable

LINK_SCHEMES: Final = ("http://", "https://", "HTTP://", "HTTPS://")

_LINK: Final = re.compile(r"[A-Za-z]+://[^/?#]+(/[^?#]*)(?:\?([^#]*))?(?:#.*)?")
_LINK_CHARS: Final = re.compile(r"[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]+")  # RFC 3986 §2

_QUALIFIERS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "01": (("22", "10", "21"), ("235",)),
    "8006": (("22", "10", "21"),),
    "8010": (("8011",),),
    "414": (("254",), ("7040",)),
    "415": (("8020",),),
    "417": (("7040",),),
    "8004": (("7040",),),
    "8017": (("8019",),),
    "8018": (("8019",),),
} | dict.fromkeys(("00", "253", "255", "401", "402", "8003", "8013"), ((),))
"""key AI of a link → lists of qualifiers. The qualifiers that follow the key all come from one of its lists, in the order of that list."""

_WORDS: Final = (
    {"gtin": "01", "itip": "8006", "gmn": "8013", "cpid": "8010", "gln": "414", "gsrnp": "8017", "gsrn": "8018", "gcn": "255", "sscc": "00"}
    | {"gdti": "253", "ginc": "401", "gsin": "402", "grai": "8003", "giai": "8004"}
    | {"cpv": "22", "lot": "10", "ser": "21", "cpsn": "8011", "glnx": "254", "srin": "8019"}
)
"""Words that early editions of the standard allowed in a path instead of AI numbers."""


def digital_link(uri: str) -> Elements | Unreadable:
    """The elements of a link: those of its path, then those of its query."""
    match = _LINK.fullmatch(uri)
    if not match or not _LINK_CHARS.fullmatch(uri):
        return unreadable(f"{shown(uri)} is not a web address with a path")
    path = _path_elements(match[1])
    if isinstance(path, Unreadable):
        return path
    attributes = _query_elements(match[2] or "", path)
    return attributes if isinstance(attributes, Unreadable) else path + attributes


def _path_elements(path: str) -> Elements | Unreadable:
    """The key and its qualifiers. The rightmost key counts; the segments before it belong to the address of the web server."""
    segments = path.split("/")[1:]
    start = next((i for i in range(len(segments) - 2, -1, -2) if _WORDS.get(segments[i], segments[i]) in _QUALIFIERS), None)
    if start is None:
        return unreadable("the web address has no GS1 key in its path")
    key, *qualifiers = (_WORDS.get(name, name) for name in segments[start::2])
    value, *values = (unquote(value) for value in segments[start + 1 :: 2])
    if not any(_in_order(qualifiers, allowed) for allowed in _QUALIFIERS[key]):
        return unreadable(f"AI {', '.join(qualifiers)} cannot follow {key} in a GS1 Digital Link")
    if key == "01":
        value = gtin_14(value) or value
    return checked(zip((key, *qualifiers), (value, *values), strict=True))


def _query_elements(query: str, path: Elements) -> Elements | Unreadable:
    """The attributes in a link's query. Names that are not numbers are parameters of the web site."""
    key, *qualifiers = (element.ai for element in path)
    taken = {key, *qualifiers}
    known: list[tuple[str, str]] = []
    unknown: list[Element] = []
    for name, value in (pair.partition("=")[::2] for pair in query.split("&")):
        if not name.isdecimal():
            continue
        if name in taken or any({*qualifiers, name} <= set(allowed) for allowed in _QUALIFIERS[key]):
            return unreadable(f"AI {name} is not allowed in the query of this GS1 Digital Link")
        taken.add(name)
        if identifier_of(name):
            known.append((name, unquote_plus(value)))
        else:  # the dictionary grows every year; an AI that it does not have yet must not stop a parcel
            unknown.append(Element(name, unquote_plus(value)))
    found = checked(known)
    return found if isinstance(found, Unreadable) else found + tuple(unknown)


def _in_order(some: Iterable[str], of: Iterable[str]) -> bool:
    rest = iter(of)
    return all(one in rest for one in some)

r"""What a scanned text names: a parcel (SSCC), an article (GTIN), an order, or just itself.

`read` turns the `code` of an event into a `Scanned`, or says why it cannot. GS1 grammar, patterns and check digits come from `biip`; this module decides
*whether* a text is GS1 at all. A text is GS1 only if it has one of these marks, and must then conform to the standard:

- a symbology identifier of GS1 in front (AIM, ISO/IEC 15424): `]C1`, `]e0`, `]d2`, `]Q3`, `]J1` (element strings), `]E0`, `]E3`, `]E4` (EAN).
  Any other (`]C0`, `]Q1`, …) is removed and is not a mark;
- FNC1 (sent as `\x1d`) anywhere, or `(` in front: an element string, raw or as printed under the bars;
- `http://` or `https://` in front, in lower or upper case: a GS1 Digital Link. A web address without a GS1 key names nothing that we deliver;
- 18 digits, or `00` and 18 digits: an SSCC. Nothing else that is shipped has this form, so a wrong check digit is an error and not another kind of code.

Waybill and order numbers are often digits too. These texts are therefore GS1 only if their check digit is *right*, and plain if not: 8, 12, 13 or 14 digits
(GTIN), and a raw element string that begins with `00` or `01` but has neither symbology identifier nor FNC1 (a common setting of scanners). One waybill
number in ten passes that test by chance. `Scanned.text` therefore keeps what was scanned; a caller that resolves a code looks for `key` first, then for `text`.

All other printable text is plain, and kept exactly as it is. A GS1 code that names neither parcel, article nor order (a lot, a place) is `OTHER`, with its
bracketed form as key: it can be bound to a parcel like any label. A wrong check digit inside a GS1 code is always an error, in every AI that has one.

If the reference implementation has a switch, this module takes the permissive side: words for AIs in a link's path (`/gtin/…/ser/…`), a GTIN without its
leading zeros in a link's path, and AIs in a link's query that the dictionary does not know. AIs that only describe the goods (dates, currencies, countries,
AIs that should come together) are checked only against their pattern: no parcel has to wait because its best-before date is odd.

Sources: GS1 General Specifications, sections 3, 7.8 and 7.9; GS1 Digital Link Standard: URI Syntax, section 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote, unquote_plus

from biip import ParseError
from biip.checksums import gs1_standard_check_digit
from biip.gs1_application_identifiers import GS1ApplicationIdentifier

from devices.protocol.vocabulary import Reason

CODE_CHARS_MAX: Final = 512
"""The longest `code` that the contract allows. Longer texts are refused before they cost any time."""

CODES_CACHED_MAX: Final = 8192
"""Distinct codes whose reading is cached: a parcel is scanned some ten times in a warehouse."""


class Kind(StrEnum):
    """What a code names."""

    SSCC = "sscc"
    GTIN = "gtin"
    ORDER = "order"
    OTHER = "other"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A code that names something.

    `key` identifies it, whatever symbol it was printed as: the 18 digits of an SSCC, the 14 of a GTIN, an order number, the bracketed form of another GS1
    code, or the plain text. `text` is what was scanned, without symbology identifier and outer blanks. `order` is the customer's order number in the code
    (AI 400), `serial` the serial number (AI 21).
    """

    kind: Kind
    key: str
    text: str
    order: str | None = None
    serial: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A code that names nothing that is known here. `detail` is one sentence for a person."""

    reason: Reason
    detail: str


class Element(NamedTuple):
    """One GS1 element: application identifier and value."""

    ai: str
    value: str


Elements = tuple[Element, ...]


def read(code: str) -> Scanned | Unreadable:
    """What `code` names. Never raises."""
    if _SURELY_PLAIN.fullmatch(code):
        return Scanned(kind=Kind.PLAIN, key=code, text=code)
    if len(code) > CODE_CHARS_MAX:
        return _unreadable(f"the code has {len(code)} characters, {CODE_CHARS_MAX} at most")
    return _read(code)


def elements(code: str) -> Elements | Unreadable:
    """The GS1 elements of `code`, in the order in which it has them. Empty for a plain text."""
    symbology, text = _split(code)
    if not text:
        return _unreadable("the code is empty")
    if text.startswith(_LINK_SCHEMES):
        return _digital_link(text)
    if symbology in _ELEMENT_STRING_SYMBOLOGIES:
        return _element_string(text)
    if symbology in _EAN:
        return _ean(symbology, text)
    if symbology is None and text.startswith("]"):
        return _unreadable(f"{_shown(text)} does not begin with a known symbology identifier")
    return _unclaimed(text)


# ---- from elements to what they name

_KEYS: Final = {"00": Kind.SSCC, "01": Kind.GTIN, "400": Kind.ORDER}
"""The AIs that name something that is known here; the one that says most about a parcel comes first."""

_CONTAINERS: Final = {"8003": "returnable asset (GRAI)", "8004": "asset (GIAI)"}


@lru_cache(maxsize=CODES_CACHED_MAX)
def _read(code: str) -> Scanned | Unreadable:
    found = elements(code)
    if isinstance(found, Unreadable):
        return found
    _, text = _split(code)
    if found:
        return _named(found, text)
    if not text.isprintable():
        return _unreadable(f"{_shown(text)} contains characters that cannot be printed")
    return Scanned(kind=Kind.PLAIN, key=text, text=text)


def _named(found: Elements, text: str) -> Scanned | Unreadable:
    values = dict(found)
    for ai, name in _CONTAINERS.items():
        # If the code also has a parcel's SSCC, the parcel travels in or on the container.
        if ai in values and "00" not in values:
            return Unreadable(Reason.CONTAINER, f"{name} {values[ai]} is a container, not a parcel")
    kind, key = next(((kind, values[ai]) for ai, kind in _KEYS.items() if ai in values), (Kind.OTHER, _bracketed(found)))
    return Scanned(kind=kind, key=key, text=text, order=values.get("400"), serial=values.get("21"))


def _bracketed(found: Elements) -> str:
    return "".join("(" + ai + ")" + value.replace("(", "\\(") for ai, value in found)


# ---- which texts are GS1

_BLANKS: Final = " \t\r\n"  # a keyboard-wedge scanner ends with one of these; \x1d, which Python also counts as a blank, is FNC1
_FNC1: Final = "\x1d"
_LINK_SCHEMES: Final = ("http://", "https://", "HTTP://", "HTTPS://")
_SYMBOLOGY: Final = re.compile(r"\]([A-Za-z][0-9A-Fa-f])")
_ELEMENT_STRING_SYMBOLOGIES: Final = frozenset({"C1", "e0", "d2", "Q3", "J1"})
_EAN: Final = {
    "E0": re.compile(r"([0-9]{13})"),
    "E3": re.compile(r"([0-9]{13})(?:[0-9]{2}|[0-9]{5})"),  # with the add-on of a magazine or book, which names nothing here
    "E4": re.compile(r"([0-9]{8})"),
}
_COMPOSITE: Final = "|]e0"

_SSCC: Final = re.compile(r"(?:00)?([0-9]{18})")
_GTIN: Final = re.compile(r"[0-9]{8}|[0-9]{12,14}")
_BARE_ELEMENT_STRING: Final = re.compile(r"00[0-9]{18}|01[0-9]{14}")
_SURELY_PLAIN: Final = re.compile(r"[A-GI-Za-gi-z](?:[ -~]{0,510}[!-~])?")
"""A letter first (but not the h of http), then ASCII, no outer blanks: most order and waybill numbers, and no GS1 code."""


def _split(code: str) -> tuple[str | None, str]:
    """(the symbology identifier without its `]`, if there is one; the text after it)."""
    text = code.strip(_BLANKS)
    match = _SYMBOLOGY.match(text)
    return (match[1], text[match.end() :]) if match else (None, text)


def _unclaimed(text: str) -> Elements | Unreadable:
    """The elements of a text without a symbology identifier of GS1."""
    if _FNC1 in text:
        return _element_string(text)
    if text.startswith("("):
        return _bracketed_elements(text)
    if match := _SSCC.fullmatch(text):
        return _checked([("00", match[1])])
    if _GTIN.fullmatch(text) and _check_digit_of(text) == text[-1]:
        return (Element("01", text.zfill(14)),)
    if _BARE_ELEMENT_STRING.match(text) and not isinstance(found := _element_string(text), Unreadable):
        return found
    return ()


def _ean(symbology: str, text: str) -> Elements | Unreadable:
    """An EAN or UPC symbol, and the composite component printed above it."""
    digits, separator, composite = text.partition(_COMPOSITE)
    match = _EAN[symbology].fullmatch(digits)
    if not match:
        return _unreadable(f"{_shown(digits)} is not what an EAN symbol can hold")
    above = _element_string(composite) if separator else ()
    return above if isinstance(above, Unreadable) else _checked(dict.fromkeys([("01", match[1].zfill(14)), *above]))


# ---- element strings

_BRACKETED: Final = re.compile(r"\(([0-9]{2,4})\)((?:\\\(|[^(\\])+)")  # `\(` is a bracket that belongs to the value


def _element_string(text: str) -> Elements | Unreadable:
    """A raw element string: AIs of a known length run on, the others end with FNC1 (GS1 General Specifications, section 7.8)."""
    pairs = []
    rest = text.lstrip(_FNC1)
    while rest:
        data = rest.partition(_FNC1)[0]
        ai = _identifier(data)
        match = re.match(_pattern(ai) if ai.separator_required else _pattern(ai).removesuffix("$"), data) if ai else None
        if not (ai and match):
            return _unreadable(f"{_shown(rest)} does not begin with a GS1 element")
        pairs.append((ai.ai, match[0].removeprefix(ai.ai)))
        rest = rest[match.end() :].lstrip(_FNC1)
    # The same element twice is allowed, two values for one AI are not.
    return _checked(dict.fromkeys(pairs))


def _bracketed_elements(text: str) -> Elements | Unreadable:
    """The form printed under the bars: `(00)…(10)…`. It may be printed in groups; no value contains a blank, so blanks are removed."""
    text = text.replace(" ", "")
    pairs = []
    at = 0
    while at < len(text):
        match = _BRACKETED.match(text, at)
        if not match:
            return _unreadable(f"{_shown(text[at:])} does not begin with a GS1 element in brackets")
        pairs.append((match[1], match[2].replace("\\(", "(")))
        at = match.end()
    return _checked(dict.fromkeys(pairs))


# ---- GS1 Digital Link

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


def _digital_link(uri: str) -> Elements | Unreadable:
    match = _LINK.fullmatch(uri)
    if not match or not _LINK_CHARS.fullmatch(uri):
        return _unreadable(f"{_shown(uri)} is not a web address with a path")
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
        return _unreadable("the web address has no GS1 key in its path")
    key, *qualifiers = (_WORDS.get(name, name) for name in segments[start::2])
    value, *values = (unquote(value) for value in segments[start + 1 :: 2])
    if not any(_in_order(qualifiers, allowed) for allowed in _QUALIFIERS[key]):
        return _unreadable(f"AI {', '.join(qualifiers)} cannot follow {key} in a GS1 Digital Link")
    if key == "01" and _GTIN.fullmatch(value):
        value = value.zfill(14)
    return _checked(zip((key, *qualifiers), (value, *values), strict=True))


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
            return _unreadable(f"AI {name} is not allowed in the query of this GS1 Digital Link")
        taken.add(name)
        if _identifier(name):
            known.append((name, unquote_plus(value)))
        else:  # the dictionary grows every year; an AI that it does not have yet must not stop a parcel
            unknown.append(Element(name, unquote_plus(value)))
    found = _checked(known)
    return found if isinstance(found, Unreadable) else found + tuple(unknown)


def _in_order(some: Iterable[str], of: Iterable[str]) -> bool:
    rest = iter(of)
    return all(one in rest for one in some)


# ---- one element

_CHECK_DIGIT_AT: Final = (
    dict.fromkeys(("01", "02", "03", "8003", "8006", "8026"), 14)
    | dict.fromkeys(("253", "255", "410", "411", "412", "413", "414", "415", "416", "417"), 13)
    | {"00": 18, "402": 17, "8017": 18, "8018": 18}
)
"""Which digit of an AI's value is its check digit, counted from 1 (GS1 General Specifications, section 7.9)."""


def _checked(pairs: Iterable[tuple[str, str]]) -> Elements | Unreadable:
    """The elements, if each follows its AI's pattern and has the right check digit."""
    found: dict[str, Element] = {}
    for ai, value in pairs:
        problem = _problem(ai, value)
        if problem:
            return problem
        if ai in found:
            return _unreadable(f"AI {ai} occurs twice with different values")
        found[ai] = Element(ai, value)
    return tuple(found.values())


def _problem(ai: str, value: str) -> Unreadable | None:
    identifier = _identifier(ai)
    if identifier is None or identifier.ai != ai:
        return _unreadable(f"{ai} is not a GS1 application identifier")
    # \d in the patterns means any script's digits, GS1 means ASCII.
    if not value.isascii() or not re.fullmatch(_pattern(identifier), ai + value):
        return _unreadable(f"{_shown(value)} is not what AI {ai} ({identifier.data_title}) can hold, {identifier.format}")
    if ai not in _CHECK_DIGIT_AT:
        return None
    digits = value[: _CHECK_DIGIT_AT[ai]]
    should = _check_digit_of(digits)
    if digits[-1] == should:
        return None
    return Unreadable(Reason.CHECK_DIGIT, f"the check digit of {identifier.data_title} {digits} is {digits[-1]}, should be {should}")


def _check_digit_of(digits: str) -> str:
    return str(gs1_standard_check_digit(digits[:-1]))


def _identifier(text: str) -> GS1ApplicationIdentifier | None:
    """The AI with which `text` begins."""
    try:
        return GS1ApplicationIdentifier.extract(text)
    except ParseError:
        return None


_ESCAPES_AS_ONE: Final = "|%[0-9A-Fa-f][0-9A-Fa-f]%[0-9A-Fa-f][0-9A-Fa-f]"


def _pattern(identifier: GS1ApplicationIdentifier) -> str:
    """The pattern of an AI and its value; it matches in linear time.

    biip's patterns for percent-encoded text (AI 4300 and similar) match `%` both as a character and as the start of an escape. The number of ways to match
    doubles with every escape, so one scan of a hundred characters could block the bridge for hours. Here, as in the standard (`X..35`), each character counts
    as one.
    """
    return identifier.pattern.replace(_ESCAPES_AS_ONE, "")


# ---- words

_SHOWN_CHARS_MAX: Final = 40


def _unreadable(detail: str) -> Unreadable:
    return Unreadable(Reason.UNREADABLE_CODE, detail)


def _shown(text: str) -> str:
    """The text as in source code, so that unprintable characters can be seen."""
    return repr(text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}…")

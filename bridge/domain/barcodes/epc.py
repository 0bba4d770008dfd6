"""Electronic Product Codes: what an RFID tag holds, as a URI or as hexadecimal digits (GS1 EPC Tag Data Standard, sections 6, 12 and 14).

An EPC is a GS1 key without its check digit, divided after the company prefix. The binary form says in its `partition` how long that prefix is. Schemes for
other things than parcels, articles and assets are not read; their texts are plain.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from bridge.domain.barcodes.application_identifiers import check_digit_of, checked
from bridge.domain.barcodes.scanned import Elements, Unreadable, shown, unreadable

Pairs = list[tuple[str, str]]

_URN: Final = "urn:epc:"

_PREFIX_BITS: Final = (40, 37, 34, 30, 27, 24, 20)
"""partition → bits of the company prefix. Partition 0 has 12 digits, each further one digit less."""

_SCHEMES: Final = {
    "id:sscc": "sscc",
    "id:sgtin": "sgtin",
    "id:grai": "grai",
    "id:giai": "giai",
    "tag:sscc-96": "sscc",
    "tag:sgtin-96": "sgtin",
    "tag:sgtin-198": "sgtin",
    "tag:grai-96": "grai",
    "tag:grai-170": "grai",
    "tag:giai-96": "giai",
    "tag:giai-202": "giai",
    "class:lgtin": "lgtin",
    "idpat:sgtin": "gtin",
}
"""What stands after `urn:epc:` → the scheme. EPCIS names an article without serial number, or a lot of it, with the last two."""

_COMPANY: Final = r"([0-9]{6,12})"
_PARTS: Final = {
    "sscc": re.compile(_COMPANY + r"\.([0-9]+)()"),
    "sgtin": re.compile(_COMPANY + r"\.([0-9]+)\.(.+)"),
    "grai": re.compile(_COMPANY + r"\.([0-9]*)\.(.+)"),
    "giai": re.compile(_COMPANY + r"\.(.+)()"),
    "lgtin": re.compile(_COMPANY + r"\.([0-9]+)\.(.+)"),
    "gtin": re.compile(_COMPANY + r"\.([0-9]+)\.(\*)"),
}
"""scheme → its three parts: company prefix, reference, serial number (or lot). What a scheme does not have is empty."""

_KEY_DIGITS: Final = {"sscc": 17, "sgtin": 13, "grai": 12, "lgtin": 13, "gtin": 13}
"""scheme → digits of company prefix and reference together. An asset (GIAI) may have any number."""

_FILTER: Final = re.compile(r"[0-7]\.")


class _Layout(NamedTuple):
    """One binary form. `key_bits` are those of company prefix and reference, `serial_bits` those after them; the rest of the tag is zero."""

    scheme: str
    hex_digits: int
    key_bits: int
    serial_bits: int
    has_text: bool
    """The last of the parts is text of 7 bits per character, and not a number."""


_LAYOUTS: Final = {
    0x30: _Layout("sgtin", 24, 44, 38, has_text=False),
    0x31: _Layout("sscc", 24, 58, 0, has_text=False),
    0x33: _Layout("grai", 24, 44, 38, has_text=False),
    0x34: _Layout("giai", 24, 82, 0, has_text=False),
    0x36: _Layout("sgtin", 52, 44, 140, has_text=True),
    0x37: _Layout("grai", 44, 44, 112, has_text=True),
    0x38: _Layout("giai", 52, 188, 0, has_text=True),
}
"""The first 8 bits of a tag → its layout. Then come 3 bits for the filter value, which names nothing, and 3 for the partition."""

_HEX: Final = re.compile(r"3[0-9A-Fa-f]{23}(?:[0-9A-Fa-f]{20}(?:[0-9A-Fa-f]{8})?)?")
_KEY_START: Final = 14
_CHAR_BITS: Final = 7


def epc_uri(text: str) -> Elements | Unreadable | None:
    """The GS1 elements of `urn:epc:…`. None for a text that is not an EPC, or one of another scheme."""
    if text[: len(_URN)].lower() != _URN:
        return None
    form, scheme, body = [*text[len(_URN) :].split(":", 2), "", ""][:3]
    name = _SCHEMES.get(f"{form}:{scheme}".lower())
    if name is None:
        return None
    if form.lower() == "tag":
        body = body[2:] if _FILTER.match(body) else ""
    parts = _PARTS[name].fullmatch(body)
    pairs = _pairs(name, parts[1], unquote(parts[2]), unquote(parts[3])) if parts else None
    return checked(pairs) if pairs else unreadable(f"{shown(text)} is not an EPC: its parts do not have the form that its scheme requires")


def epc_hex(text: str) -> Elements | None:
    """The GS1 elements of a tag that was read as hexadecimal digits. None for any other text: digits may mean anything else."""
    layout = _LAYOUTS.get(int(text[:2], 16)) if _HEX.fullmatch(text) else None
    if layout is None or len(text) != layout.hex_digits:
        return None
    pairs = _decoded(layout, int(text, 16))
    found = checked(pairs) if pairs else None
    return None if isinstance(found, Unreadable) else found


def _pairs(scheme: str, company: str, reference: str, serial: str) -> Pairs | None:
    """AIs and values of an EPC's parts; None if the parts are not as long as they must be."""
    if scheme == "giai":
        return [("8004", company + reference)]
    if len(company) + len(reference) != _KEY_DIGITS[scheme]:
        return None
    if scheme == "grai":
        return [("8003", _with_check_digit(f"0{company}{reference}") + serial)]
    key = _with_check_digit(reference[0] + company + reference[1:])  # the first digit of the reference stands before the company prefix
    rest = {"sgtin": [("21", serial)], "lgtin": [("10", serial)]}.get(scheme, [])
    return [("00" if scheme == "sscc" else "01", key), *rest]


def _decoded(layout: _Layout, tag: int) -> Pairs | None:
    """AIs and values of a tag's bits; None if the bits are not an EPC."""

    def field(start: int, bits: int) -> int:
        return tag >> (layout.hex_digits * 4 - start - bits) & ((1 << bits) - 1)

    partition = field(11, 3)
    serial_start = _KEY_START + layout.key_bits
    end = serial_start + layout.serial_bits
    if partition >= len(_PREFIX_BITS) or field(end, layout.hex_digits * 4 - end):
        return None
    prefix_bits, prefix_digits = _PREFIX_BITS[partition], 12 - partition
    company = _number(field(_KEY_START, prefix_bits), prefix_digits)
    reference_bits = layout.key_bits - prefix_bits
    reference_value = field(_KEY_START + prefix_bits, reference_bits)
    serial_value = field(serial_start, layout.serial_bits)
    if layout.scheme in _KEY_DIGITS:
        reference = _number(reference_value, _KEY_DIGITS[layout.scheme] - prefix_digits)
        serial = _chars(serial_value, layout.serial_bits) if layout.has_text else str(serial_value)
    else:
        reference, serial = _chars(reference_value, reference_bits) if layout.has_text else str(reference_value), ""
    return None if company is None or reference is None else _pairs(layout.scheme, company, reference, serial)


def _number(value: int, digits: int) -> str | None:
    """The number with leading zeros; None if it has more digits."""
    text = f"{value:0{digits}}" if digits else ""
    return text if len(text) == digits and (digits or not value) else None


def _chars(value: int, bits: int) -> str:
    """Text of 7 bits per character, filled up with zeros at its end."""
    return "".join(chr(value >> shift & 127) for shift in range(bits - _CHAR_BITS, -1, -_CHAR_BITS)).rstrip("\0")


def _with_check_digit(digits: str) -> str:
    return digits + check_digit_of(digits)

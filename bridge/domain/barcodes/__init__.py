r"""What a scanned text names: a parcel (SSCC), an article (GTIN), an order, a container, or just itself.

`read` turns the `code` of an event into a `Scanned`, or says why it cannot; `code_key` gives what all spellings of one code have in common. The dictionary of
application identifiers, their patterns and check digits come from `biip`; this package decides *whether* a text is GS1 at all. A text is GS1 only if it has one
of these marks, and must then conform to the standard:

- a symbology identifier of GS1 in front (AIM, ISO/IEC 15424): `]C1`, `]e0`, `]d2`, `]Q3`, `]J1` (element strings), `]E0`, `]E3`, `]E4` (EAN).
  Any other (`]C0`, `]Q1`, `]d1`, `]L2`, …) is removed and is not a mark, and FNC1 after it is not one either;
- FNC1 (sent as `\x1d`) in a text without symbology identifier, or `(` in front: an element string, raw or as printed under the bars;
- `http://` or `https://` in front, in lower or upper case: a GS1 Digital Link. A web address without a GS1 key names nothing that we deliver;
- `urn:epc:` and a scheme of parcels, articles or assets in front: an EPC from an RFID tag;
- 18 digits, or `00` and 18 digits: an SSCC. Nothing else that is shipped has this form, so a wrong check digit is an error and not another kind of code;
- an envelope of ISO/IEC 15434 with a record of format 05. Every other envelope is a label like any other, known by its licence plate if it has one.

Waybill and order numbers are often digits too. These texts are therefore GS1 only if they are *right*, and plain if not: 8, 12, 13 or 14 digits (GTIN), a raw
element string that begins with `00` or `01` but has neither symbology identifier nor FNC1 (a common setting of scanners), and the hexadecimal digits of an EPC.
One waybill number in ten passes a check digit by chance. `Scanned.text` therefore keeps what was scanned.

All other printable text is plain, and kept as it is, in NFC. A GS1 code that names neither parcel, article, order nor container (a lot, a place) is `OTHER`,
with its bracketed form as key: it can be bound to a parcel like any label. A wrong check digit inside a GS1 code is always an error, in every AI that has one.

AIs that only describe the goods (dates, currencies, countries, AIs that should come together) are checked only against their pattern: no parcel has to wait
because its best-before date is odd.

Every key is a code itself and has itself as key, so keys of different kinds cannot be equal: 18 digits with a right check digit *are* an SSCC.

Sources: GS1 General Specifications, sections 3, 7.8 and 7.9; GS1 Digital Link Standard: URI Syntax, section 4; GS1 EPC Tag Data Standard; ISO/IEC 15434;
ISO/IEC 15459-1; ANSI MH10.8.2.
"""

from bridge.domain.barcodes.keys import code_key, ordered_sku, same_article, tracking_key
from bridge.domain.barcodes.reading import elements, read
from bridge.domain.barcodes.scanned import CODE_CHARS_MAX, Element, Elements, Key, Kind, Scanned, Unreadable

__all__ = [
    "CODE_CHARS_MAX",
    "Element",
    "Elements",
    "Key",
    "Kind",
    "Scanned",
    "Unreadable",
    "code_key",
    "elements",
    "ordered_sku",
    "read",
    "same_article",
    "tracking_key",
]

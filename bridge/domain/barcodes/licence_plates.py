"""Labels that are not GS1's: the envelope of ISO/IEC 15434, and the licence plate of a transport unit (ISO/IEC 15459-1).

An envelope is `[)>` RS, then records that end with RS, then EOT. A record begins with its format: 05 holds GS1 elements, 06 holds fields that begin with a
data identifier (DI, ANSI MH10.8.2), the others hold what carriers, EDI and industries put there. Fields are separated by GS, which is therefore not FNC1.

A licence plate identifies one transport unit in the whole world. Its DI is `J`, or `1J` to `6J` if it also says how the unit is packed. The DI qualifies the
identity and is not part of it, so all seven give one key: `J` and the identity. `J` stays, because other things than transport units can have the same
identity. A linear symbol holds the plate without an envelope. There only the long form is taken for one: a shorter text like `1J17` is as likely an order
number.
"""

from __future__ import annotations

import re
from typing import Final

from bridge.domain.barcodes.element_strings import FNC1, element_string
from bridge.domain.barcodes.scanned import Elements, Unreadable

ENVELOPE: Final = "[)>\x1e"

_RS: Final = "\x1e"
_EOT: Final = "\x04"
_GS1_RECORD: Final = "05\x1d"
_DI_RECORD: Final = "06\x1d"
_PLATE_FIELD: Final = re.compile(r"[1-6]?J([!-~]+)")
_LINEAR_PLATE: Final = re.compile(r"[1-6]J([A-Z][0-9A-Z]{11,34})")  # at most 35 characters (ISO/IEC 15459-1); a letter first: GS1's plates are SSCCs
_VISIBLE: Final = {4: "␄", 28: "␜", 29: "␝", 30: "␞", 31: "␟"}
"""The separators of ISO/IEC 15434 → how people see them."""


def envelope(text: str) -> Elements | str | Unreadable:
    """The GS1 elements of an envelope, or the key of what else it is."""
    records = text.removeprefix(ENVELOPE).removesuffix(_EOT).removesuffix(_RS).split(_RS)
    gs1 = FNC1.join(record.removeprefix(_GS1_RECORD) for record in records if record.startswith(_GS1_RECORD))
    if found := element_string(gs1):
        return found
    fields = (field for record in records if record.startswith(_DI_RECORD) for field in record.split(FNC1)[1:])
    plate = next((match for field in fields if (match := _PLATE_FIELD.fullmatch(field))), None)
    return f"J{plate[1]}" if plate else visible(text)


def linear_plate(text: str) -> str | None:
    """The key of a licence plate from a linear symbol."""
    match = _LINEAR_PLATE.fullmatch(text)
    return f"J{match[1]}" if match else None


def visible(text: str) -> str:
    """The text with characters that can be printed instead of the separators. The envelope of a label without a licence plate is its key in this form."""
    return text.translate(_VISIBLE)

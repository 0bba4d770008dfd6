"""The words of this package: what a code names, its key, and why a code names nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from devices.protocol.vocabulary import Reason

CODE_CHARS_MAX: Final = 512
"""The longest `code` that the contract allows. Longer texts are refused before they cost any time."""

_SHOWN_CHARS_MAX: Final = 40


class Kind(StrEnum):
    """What a code names."""

    SSCC = "sscc"
    GTIN = "gtin"
    ORDER = "order"
    CONTAINER = "container"
    """A returnable asset (GRAI) or an asset (GIAI): `code_key` gives its key; `read` refuses it, because it is not a parcel."""
    OTHER = "other"
    PLAIN = "plain"


class Key(NamedTuple):
    """What all spellings of one code have in common. Two codes are the same if and only if their keys are equal.

    `text` can be stored, shown to people, and read again: it has this same key. `kind` follows from `text`, so `text` alone identifies the code.
    """

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A code that names something.

    `key` identifies it, whatever symbol it was printed as: the 18 digits of an SSCC, the 14 of a GTIN, an order number, the bracketed form of another GS1
    code, a licence plate, or the plain text. `text` is what was scanned, in NFC, without symbology identifier and outer blanks. `order` is the customer's
    order number in the code (AI 400), `serial` the serial number (AI 21).
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


def unreadable(detail: str) -> Unreadable:
    """A code that cannot be read, without a more special reason."""
    return Unreadable(Reason.UNREADABLE_CODE, detail)


def shown(text: str) -> str:
    """The text as in source code, so that unprintable characters can be seen."""
    return repr(text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}…")

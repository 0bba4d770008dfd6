"""The law of codes: which two texts are the same code, and which two article numbers are the same article."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from unicodedata import normalize

from bridge.domain.barcodes.licence_plates import visible
from bridge.domain.barcodes.reading import key_of, read, too_long
from bridge.domain.barcodes.scanned import CODE_CHARS_MAX, Key, Kind, Scanned, Unreadable, shown, unreadable
from bridge.domain.barcodes.symbologies import split

_SHOP_NUMBER_DIGITS_MAX: Final = 14
"""A longer number is a waybill or an SSCC."""


def code_key(text: str, *, plain: bool = False) -> Key | Unreadable:
    """The key of a code. Two texts are the same code if and only if their keys are equal.

    `plain` says that the text makes no claim to be GS1's (a `labelled` of kind `plain` or `waybill`): a text that cannot be read is then itself. All others
    have the same key as without it, so that a later scan, which does not know the kind, finds what the label bound.

    An order number in a code (AI 400) has the key of the order number as a text.
    """
    key = key_of(text)
    return _plain_key(text) if plain and isinstance(key, Unreadable) else key


def tracking_key(number: str) -> Key | Unreadable:
    """The key of a carrier's number, as people and carriers write it: with or without blanks."""
    return code_key("".join(number.split()), plain=True)


def _plain_key(code: str) -> Key | Unreadable:
    if len(code) > CODE_CHARS_MAX:
        return too_long(code)
    text, before = normalize("NFC", visible(code)), ""
    while text != before:
        before, (_, text) = text, split(text)
    if not text or len(text) > CODE_CHARS_MAX or not text.isprintable():
        return unreadable(f"{shown(text)} is empty, too long, or contains characters that cannot be printed")
    key = key_of(text)
    return Key(Kind.PLAIN, text) if isinstance(key, Unreadable) else key


def same_article(code: str | None, sku: str) -> bool:
    """False only if the key of a scanned code and an SKU are article numbers, and differ.

    An article number is a GTIN, the same in each of its lengths, or digits of the shop. A scanned GTIN does not contradict such digits: it may be the GTIN
    of that article.
    """
    if code is None:
        return True
    scanned, ordered = _article(code), _article(sku)
    if scanned is None or ordered is None or (scanned[0] is Kind.GTIN and ordered[0] is Kind.PLAIN):
        return True
    return scanned[1] == ordered[1]


def ordered_sku(sku: str, ordered: Collection[str]) -> str | None:
    """The one of the ordered SKUs that is the same as this: to the letter, or the same GTIN in another length. None if this article was not ordered."""
    if sku in ordered:
        return sku
    article = _article(sku)
    if article is None or article[0] is not Kind.GTIN:
        return None
    return next((one for one in ordered if _article(one) == article), None)


def _article(text: str) -> tuple[Kind, str] | None:
    """(GTIN, or PLAIN for digits of the shop; the number without leading zeros)."""
    scanned = read(text)
    if isinstance(scanned, Scanned) and scanned.kind is Kind.GTIN:
        return Kind.GTIN, scanned.key.lstrip("0")
    if len(text) <= _SHOP_NUMBER_DIGITS_MAX and text.isascii() and text.isdecimal():
        return Kind.PLAIN, text.lstrip("0")
    return None

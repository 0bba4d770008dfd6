"""Amounts of money as people read and write them. The digits of a minor unit are those of ISO 4217: two for EUR, none for JPY, three for KWD."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from typing import Final

from bridge.errors import Refused

_AMOUNT: Final = re.compile(r"[0-9]{1,12}([.,][0-9]{1,4})?")


@cache
def minor_digits(currency: str) -> int | None:
    """The number of decimal digits of an amount; None if nothing can be paid in it, or there is no such currency."""
    from iso4217 import Currency  # it reads its table when it is imported: only what needs it waits for that

    try:
        return Currency(currency).exponent
    except ValueError:
        return None


def money(amount_minor: int, currency: str) -> str:
    """`12.50 EUR`. Of an unknown currency the minor units are written."""
    digits = minor_digits(currency) or 0
    return f"{Decimal(amount_minor).scaleb(-digits):.{digits}f} {currency}"


def minor_of(amount: str, currency: str) -> int:
    """The minor units of an amount that somebody typed, such as `12.50` or `12,50`.

    Raises:
        Refused: if it is no amount of this currency.
    """
    digits = minor_digits(currency)
    if digits is None:
        raise Refused(f"{currency} is no currency", fix="give its code of ISO 4217, such as EUR")
    if not _AMOUNT.fullmatch(amount):
        raise Refused(f"{amount!r} is no amount", fix="write it with a point and without blanks, such as 1250.50")
    plain = amount.replace(",", ".")
    if len(plain.partition(".")[2]) > digits:  # 1,250 EUR is more likely a thousand than a little more than one
        raise Refused(f"{amount} has more decimals than {currency} has", fix=f"{currency} has {digits}; write thousands without a mark")
    return int(Decimal(plain).scaleb(digits))

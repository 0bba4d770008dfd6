"""How many digits the minor unit of a currency has, by ISO 4217: two for EUR, none for JPY, three for KWD."""

from __future__ import annotations

from functools import cache


@cache
def minor_digits(currency: str) -> int | None:
    """The number of decimal digits of an amount; None if nothing can be paid in it, or there is no such currency."""
    from iso4217 import Currency  # it reads its table when it is imported: only commands that read a shop's file wait for that

    try:
        return Currency(currency).exponent
    except ValueError:
        return None

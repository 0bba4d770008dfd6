"""Which currencies a text beside an amount can mean."""

from __future__ import annotations

from typing import Final

from bridge.money import minor_digits

_DOLLARS: Final = "USD CAD AUD NZD SGD HKD TWD MXN ARS CLP COP UYU DOP BMD BSD BBD BZD FJD GYD JMD KYD LRD NAD SBD SRD TTD XCD BND"
_SYMBOLS: Final[dict[str, frozenset[str]]] = {
    "€": frozenset({"EUR"}),
    "£": frozenset({"GBP", "EGP", "FKP", "GIP", "SHP", "SSP", "SDG", "SYP", "LBP"}),
    "¥": frozenset({"JPY", "CNY"}),
    "￥": frozenset({"JPY", "CNY"}),
    "元": frozenset({"CNY"}),
    "円": frozenset({"JPY"}),
    "₩": frozenset({"KRW"}),
    "₹": frozenset({"INR"}),
    "₽": frozenset({"RUB"}),
    "₺": frozenset({"TRY"}),
    "₫": frozenset({"VND"}),
    "₱": frozenset({"PHP"}),
    "฿": frozenset({"THB"}),
    "zł": frozenset({"PLN"}),
    "Kč": frozenset({"CZK"}),
    "R$": frozenset({"BRL"}),
    "US$": frozenset({"USD"}),
    "S$": frozenset({"SGD"}),
    "A$": frozenset({"AUD"}),
    "C$": frozenset({"CAD"}),
    "HK$": frozenset({"HKD"}),
    "NT$": frozenset({"TWD"}),
    "RM": frozenset({"MYR"}),
    "Rp": frozenset({"IDR"}),
    "$": frozenset(_DOLLARS.split()),
    "kr": frozenset({"SEK", "NOK", "DKK", "ISK"}),
}
"""The currencies for which a symbol can stand."""


def currencies_of(mark: str) -> frozenset[str]:
    """The currencies for which a text beside an amount can stand; empty if it says nothing about them."""
    text = mark.strip()
    plain = text.replace(" ", "")
    if text.isascii() and text.isupper() and len(text) == 3 and minor_digits(text) is not None:
        return frozenset({text})
    return _SYMBOLS.get(plain, frozenset())

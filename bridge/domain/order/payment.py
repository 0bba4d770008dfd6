"""What is due for an order, and what was paid. A payment is never inferred: goods that move prove no payment."""

from __future__ import annotations

from typing import Final

CASH_ROUNDING_MINOR: Final[dict[str, int]] = {
    **dict.fromkeys(("AUD", "CAD", "CHF", "EUR", "MYR", "SGD"), 5),
    **dict.fromkeys(("HKD", "ILS", "NZD", "ZAR"), 10),
    "DKK": 50,
    **dict.fromkeys(("CZK", "NOK", "SEK"), 100),
    "HUF": 500,
}
"""The smallest amount of cash of a currency, in minor units, where that is more than one of them (Unicode CLDR, supplemental `cashRounding` and
`cashDigits`, and the central banks' rules for currencies whose small coins were withdrawn)."""


def enough_minor(due_minor: int, currency: str | None, *, in_cash: bool) -> int:
    """The amount that settles a due amount. Cash may be rounded down to the smallest coin; whoever pays to the cent has paid too."""
    unit = CASH_ROUNDING_MINOR.get(currency or "", 1) if in_cash else 1
    over = due_minor % unit
    rounded = due_minor - over
    return rounded if rounded > 0 and over * 2 < unit else due_minor


class Account:
    """What an order costs, and what came in for it. Without an amount that is due, every payment settles it."""

    __slots__ = ("_received_minor", "_refunded_minor", "currency", "due_minor", "is_settled")

    def __init__(self) -> None:
        self.due_minor: int | None = None
        self.currency: str | None = None
        self.is_settled = False
        self._received_minor = 0
        self._refunded_minor = 0

    def owe(self, amount_minor: int | None, currency: str | None) -> None:
        """Set what is due."""
        self.due_minor, self.currency = amount_minor, currency

    def receive(self, amount_minor: int, currency: str, *, in_cash: bool = False) -> None:
        """Add a payment. Another currency than that of the order settles nothing."""
        if self.due_minor is None:
            self._received_minor += amount_minor
            self.is_settled = True
        elif self.currency in (None, currency):
            open_minor = self.due_minor - self._received_minor
            self._received_minor += amount_minor
            self.is_settled = self.is_settled or amount_minor >= enough_minor(open_minor, currency, in_cash=in_cash)

    def refund(self, amount_minor: int, *, is_gift: bool) -> None:
        """Pay back. Once everything was paid back, the order is as if it had never been paid; but a recipient who has the goods owes nothing for them."""
        self._refunded_minor += amount_minor
        if self._refunded_minor >= self._received_minor:
            self._received_minor = self._refunded_minor = 0
            self.is_settled = self.is_settled and is_gift

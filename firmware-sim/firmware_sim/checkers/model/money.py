"""What an order costs and what came in for it. Only money pays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from firmware_sim.checkers.model.events import Happened
from firmware_sim.checkers.model.order import Order
from firmware_sim.checkers.model.parcel import OUTBOUND

COINS: Final = {5: "AUD CAD CHF EUR MYR SGD", 10: "HKD ILS NZD ZAR", 50: "DKK", 100: "CZK NOK SEK", 500: "HUF"}
"""The smallest coin of currencies, in minor units, where it is more than one."""


@dataclass(slots=True)
class Purse:
    """Without a price, whatever comes in is enough."""

    price: int | None = None
    currency: str | None = None
    got: int = 0
    given_back: int = 0
    is_enough: bool = False

    def put(self, amount: int, currency: str, *, coins: bool = False) -> None:
        if self.price is not None and self.currency not in (None, currency):
            return
        missing = 0 if self.price is None else self.price - self.got
        self.got += amount
        self.is_enough = self.is_enough or amount >= missing or (coins and amount >= _in_coins(missing, currency))

    def give_back(self, amount: int, *, goods_stay: bool) -> None:
        """A customer who keeps the goods although all of the money went back got a present."""
        self.given_back += amount
        if self.given_back >= self.got:
            self.got = self.given_back = 0
            self.is_enough = self.is_enough and goods_stay


def _in_coins(amount: int, currency: str) -> int:
    """An amount as it is asked for in cash, if that is less: to the nearest coin, never to nothing."""
    coin = next((c for c, names in COINS.items() if currency in names.split()), 1)
    nearest = (amount * 2 + coin) // (coin * 2) * coin
    return min(amount, nearest) if nearest > 0 else amount


def created(order: Order, e: Happened) -> None:
    order.purse.price, order.purse.currency = e.body.get("amount_minor"), e.body.get("currency")
    order.prepaid, order.terms = e.body["payment"] == "prepaid", e.terms


def amended(order: Order, e: Happened) -> None:
    if (price := e.body.get("amount_minor")) is not None:
        order.purse.price, order.purse.currency = price, e.body.get("currency")


def paid(order: Order, e: Happened) -> None:
    order.purse.put(e.body["amount_minor"], e.body["currency"])


def refunded(order: Order, e: Happened) -> None:
    order.purse.give_back(e.body["amount_minor"], goods_stay=order.is_done())


def collected(order: Order, money: dict[str, Any]) -> None:
    if not order.purse.is_enough and money["amount_minor"]:
        order.purse.put(money["amount_minor"], money["currency"], coins=money["tender"] == "cash")


def look(order: Order) -> None:
    """Flag goods that are out and not paid: prepaid ones at once, others when all of the order is delivered."""
    is_out = any(b.state in OUTBOUND for b in order.boxes.values())
    is_due = order.terms is not None if order.prepaid else "not_paid" in order.marks or order.state() in ("delivered", "completed")
    (order.marks.add if is_out and is_due and not order.purse.is_enough else order.marks.discard)("not_paid")

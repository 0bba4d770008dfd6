"""Changes of orders in the forms that shops take: each form has its columns, and what it can't say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

from bridge.operations.exports import Sent, What
from bridge.shop.mapping import ShopMap


class Form(StrEnum):
    """The upload formats. `csv` is our own, and the only one that says everything that is certain."""

    SHOPIFY = "shopify"
    AMAZON = "amazon"
    SHOPEE = "shopee"
    CSV = "csv"


class Upload(NamedTuple):
    """A form: its columns, what stands between them, and a row for a change; None if the form can't say it."""

    columns: tuple[str, ...]
    delimiter: str
    row: Callable[[Sent, ShopMap], Sequence[str] | None]


AMAZON_CARRIERS: Final = (
    *("Blue Package", "USPS", "UPS", "UPSMI", "FedEx", "DHL", "DHL Global Mail", "Fastway", "UPS Mail Innovations", "Lasership", "Royal Mail"),
    *("FedEx SmartPost", "OSM", "OnTrac", "Streamlite", "Newgistics", "Canada Post", "City Link", "GLS", "GO!", "Hermes Logistik Gruppe", "Parcelforce"),
    *("TNT", "Target", "SagawaExpress", "NipponExpress", "YamatoTransport", "Ninjavan", "Qxpress", "Singapore Post", "4PX", "Yanwen", "Aramex"),
    *("China Post", "DHL eCommerce", "SF Express"),
)
"""The carriers that Amazon's shipping confirmation knows by themselves; any other is `Other` with its name."""
_AMAZON: Final = {name.casefold(): name for name in AMAZON_CARRIERS}
_SHOPIFY_TIME: Final = "%Y-%m-%d %H:%M:%S %z"
_SHOPIFY_REASONS: Final = {"customer_request": "customer", "fraud": "fraud", "stock": "inventory", "payment": "declined"}


def own_id(order: str, shop: ShopMap) -> str:
    """An order's id as the shop wrote it."""
    return order.removeprefix(shop.prefix)


def _local(at_ms: int, shop: ShopMap) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, shop.timezone)


def _carrier(sent: Sent, shop: ShopMap) -> str:
    """The carrier as the shop calls it, if its map says so of just one name."""
    theirs = [word for word, ours in shop.carriers.items() if ours == sent.carrier]
    return theirs[0] if len(theirs) == 1 else sent.carrier or ""


def _shopify(sent: Sent, shop: ShopMap) -> Sequence[str] | None:
    name = own_id(sent.order, shop)
    if sent.what is What.CANCELLED:
        return (name, "UPDATE", "", "", "", "", "", "", _local(sent.at_ms, shop).strftime(_SHOPIFY_TIME), _SHOPIFY_REASONS.get(sent.reason or "", "other"))
    if sent.what is not What.SHIPPED:
        return None
    at = _local(sent.at_ms, shop).strftime(_SHOPIFY_TIME)
    return (name, "UPDATE", "Fulfillment Line", "success", at, _carrier(sent, shop), sent.tracking or "", "TRUE", "", "")


def _amazon(sent: Sent, shop: ShopMap) -> Sequence[str] | None:
    if sent.what is not What.SHIPPED:
        return None
    carrier = _carrier(sent, shop)
    code = _AMAZON.get((sent.carrier or "").casefold()) or _AMAZON.get(carrier.casefold()) or ("Other" if carrier else "")
    day = _local(sent.at_ms, shop).strftime("%Y-%m-%d")
    return (own_id(sent.order, shop), "", "", day, code, carrier if code == "Other" else "", sent.tracking or "", sent.service or "")


def _shopee(sent: Sent, shop: ShopMap) -> Sequence[str] | None:
    return (own_id(sent.order, shop), sent.tracking) if sent.what is What.SHIPPED and sent.tracking else None


def _csv(sent: Sent, shop: ShopMap) -> Sequence[str] | None:
    if sent.what is What.WRONG_CARRIER:
        return None
    at = datetime.fromtimestamp(sent.at_ms / 1000, UTC).isoformat(timespec="seconds")
    texts = (sent.parcel, sent.carrier, sent.service, sent.tracking, sent.reason)
    return (own_id(sent.order, shop), sent.what.value, at, *(text or "" for text in texts))


UPLOADS: Final[dict[Form, Upload]] = {
    # Matrixify's sheet "Orders"; apps that only take fulfilments need Name, Tracking Company and Tracking Number of it.
    Form.SHOPIFY: Upload(
        (
            *("Name", "Command", "Line: Type", "Fulfillment: Status", "Fulfillment: Processed At", "Fulfillment: Tracking Company"),
            *("Fulfillment: Tracking Number", "Fulfillment: Send Receipt", "Cancelled At", "Cancel: Reason"),
        ),
        ",",
        _shopify,
    ),
    # Amazon's shipping confirmation, a text file with tabs. Without order-item-id and quantity, a row confirms the whole order.
    Form.AMAZON: Upload(
        ("order-id", "order-item-id", "quantity", "ship-date", "carrier-code", "carrier-name", "tracking-number", "ship-method"), "\t", _amazon
    ),
    # Shopee's mass shipment for parcels with a number of the seller's own carrier.
    Form.SHOPEE: Upload(("Order ID", "Tracking Number"), ",", _shopee),
    Form.CSV: Upload(("order", "what", "at", "parcel", "carrier", "service", "tracking", "reason"), ",", _csv),
}

"""The exports of well-known shops, as their sample maps read them: invented orders in the forms that these shops write."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, NamedTuple

import openpyxl
import pytest

from bridge.shop import MapError, ShopOrder, read_map, read_orders
from bridge.shop.events import order_events, state_said
from bridge.shop.guessing import guess_map, map_text
from devices.protocol.messages import decode_event, encode_cbor, load

SHOPS: Final = Path(__file__).parents[2] / "config" / "samples" / "shops"


class Seen(NamedTuple):
    """What an order of a sample comes to."""

    state: str
    items: dict[str, int]
    amount: int


EXPECTED: Final[dict[str, dict[str, Seen]]] = {
    "shopify.csv": {
        "shopify-#1001": Seen("approved", {"MUG-B": 2, "POT-1": 1}, 6140),
        "shopify-#1002": Seen("shipped", {"TEA-9": 1}, 990),
        "shopify-#1003": Seen("pending_payment", {"TEA-9": 1}, 1200),
        "shopify-#1004": Seen("cancelled", {"POT-1": 1}, 2840),
    },
    "woocommerce.csv": {
        "woo-5001": Seen("approved", {"PEN-1": 3, "DESK-1": 1}, 6470),
        "woo-5002": Seen("approved", {"INK-2": 2}, 1500),
        "woo-5003": Seen("shipped", {"INK-2": 1}, 750),
        "woo-5005": Seen("cancelled", {"PEN-1": 1}, 150),
    },
    "magento.csv": {
        "mage-000000311": Seen("approved", {"BOLT-M8": 1, "NUT-M8": 1200}, 10850),
        "mage-000000312": Seen("shipped", {"SHIRT-M": 1}, 12500),
        "mage-000000313": Seen("cancelled", {"NUT-M8": 100}, 800),
    },
    "amazon.txt": {
        "amz-303-0000001-0000001": Seen("approved", {"SHELF-19": 1}, 4900),
        "amz-303-0000001-0000002": Seen("approved", {"MON-27": 1, "MAT-1": 2}, 4700),
        "amz-303-0000001-0000003": Seen("shipped", {"CBL-2": 2}, 800),
        "amz-303-0000001-0000005": Seen("cancelled", {}, 0),
    },
    "ebay.csv": {
        "ebay-12-00001-00001": Seen("approved", {"LENS-50": 1, "CAP-50": 2}, 125800),
        "ebay-12-00001-00002": Seen("shipped", {"CAP-50": 1}, 450),
        "ebay-12-00001-00003": Seen("pending_payment", {"CAP-50": 1}, 450),
    },
    "shopee.csv": {
        "shopee-2611200ABCDE01": Seen("approved", {"CASE-7": 2, "FILM-7": 1}, 2470),
        "shopee-2611180ABCDE02": Seen("shipped", {"FILM-7": 1}, 490),
        "shopee-2611100ABCDE03": Seen("completed", {"CASE-7": 1}, 990),
        "shopee-2611200ABCDE04": Seen("pending_payment", {"CASE-7": 1}, 990),
        "shopee-2611200ABCDE05": Seen("cancelled", {"CASE-7": 1}, 990),
    },
    "aliexpress.csv": {
        "ali-8190000000000011": Seen("approved", {"LED-5": 2, "LED-6": 1}, 1250),
        "ali-8190000000000012": Seen("shipped", {"LED-6": 1}, 400),
        "ali-8190000000000013": Seen("completed", {"LED-6": 1}, 400),
        "ali-8190000000000014": Seen("cancelled", {"LED-6": 1}, 400),
    },
    "odoo.csv": {
        "odoo-S00071": Seen("approved", {"DESK-1": 1, "CHAIR-2": 4}, 54000),
        "odoo-S00072": Seen("approved", {"LAMP-7": 2}, 3000),
        "odoo-S00074": Seen("cancelled", {"LAMP-7": 1}, 1500),
    },
    "etsy.csv": {
        "etsy-3300000002": Seen("shipped", {"CAN-VAN": 1}, 1400),
        "etsy-3300000001": Seen("approved", {"CAN-VAN": 2, "HOLD-1": 1}, 5050),
    },
    "prestashop.csv": {
        "presta-QWERTYUIB": Seen("shipped", {"INK-2": 2}, 1500),
        "presta-QWERTYUIC": Seen("cancelled", {"INK-2": 1}, 750),
        "presta-QWERTYUIA": Seen("approved", {"PEN-1": 3, "DESK-1": 1}, 6470),
        "presta-QWERTYUID": Seen("pending_payment", {"INK-2": 1}, 750),
    },
    "walmart.csv": {
        "wm-108800000000002": Seen("shipped", {"PEG-10": 1}, 150),
        "wm-108800000000003": Seen("cancelled", {"TENT-2": 1}, 8900),
        "wm-108800000000001": Seen("approved", {"TENT-2": 1, "PEG-10": 4}, 11300),
    },
    "tiktok.csv": {
        "tt-576400000000000018": Seen("shipped", {"LIP-4": 1}, 790),
        "tt-576400000000000017": Seen("approved", {"LIP-3": 2, "LIP-4": 1}, 2380),
        "tt-576400000000000019": Seen("cancelled", {"LIP-3": 1}, 795),
    },
    "lazada.csv": {
        "laz-400000000000002": Seen("shipped", {"FILM-7": 1}, 490),
        "laz-400000000000003": Seen("cancelled", {"CASE-7": 1}, 990),
        "laz-400000000000001": Seen("approved", {"CASE-7": 2}, 1980),
    },
    "mercadolibre.csv": {
        "meli-2000000000000003": Seen("cancelled", {"CABLE-2": 1}, 2990),
        "meli-2000000000000001": Seen("delivered", {"TV-40": 1}, 123450),
        "meli-2000000000000002": Seen("approved", {"CABLE-2": 2}, 5980),
    },
    "shopware.csv": {
        "sw-10004": Seen("completed", {"SW-LAMP": 2}, 9800),
        "sw-10002": Seen("shipped", {"SW-LAMP": 1}, 4900),
        "sw-10003": Seen("pending_payment", {"SW-LAMP": 1}, 4900),
        "sw-10001": Seen("approved", {"SW-CHAIR": 2, "SW-TABLE": 1}, 123450),
        "sw-10005": Seen("cancelled", {"SW-LAMP": 1}, 4900),
    },
    "square.csv": {
        "sq-sqAAAA1": Seen("approved", {"BEAN-1": 2, "FILT-100": 1}, 4350),
        "sq-sqAAAA2": Seen("approved", {"GRIND-2": 1}, 114900),
    },
    "bigcommerce.csv": {
        "bigc-302": Seen("shipped", {"POT-1": 1}, 2840),
        "bigc-301": Seen("approved", {"MUG-B": 2, "POT-1": 1}, 12940),
        "bigc-303": Seen("pending_payment", {"TEA-9": 1}, 990),
        "bigc-304": Seen("cancelled", {"TEA-9": 1}, 990),
    },
}
NOT_GUESSED: Final = {
    "etsy.csv": "that a price is that of a piece",
    "lazada.csv": "that each row has a status of its own",
    "mercadolibre.csv": "what its columns, in Spanish, mean",
    "square.csv": "that refunds are left out",
    "walmart.csv": "which amount is meant",
}
"""What a file does not show to a program."""


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sample_is_read_whole(name: str) -> None:
    shop = read_map((SHOPS / name).with_suffix(".toml"))
    orders, bad = read_orders(SHOPS / name, shop)
    assert bad == []
    assert {o.order: Seen(state_said(o, shop), o.items, o.amount_minor) for o in orders} == EXPECTED[name]
    for order in orders:
        for kind, payload in order_events(order, shop):
            decode_event(payload, kind)
            assert payload == encode_cbor(load(payload))


def test_every_sample_is_tested() -> None:
    assert {path.stem for path in SHOPS.iterdir()} == {Path(name).stem for name in EXPECTED}


def of(name: str) -> dict[str, ShopOrder]:
    return {o.order: o for o in read_orders(SHOPS / name, read_map((SHOPS / name).with_suffix(".toml")))[0]}


def test_currency_payment_and_country_are_those_of_the_order() -> None:
    assert {o.order: (o.currency, o.country) for o in of("amazon.txt").values()}["amz-303-0000001-0000003"] == ("GBP", "GB")
    assert {o.order: (o.payment, o.country) for o in of("woocommerce.csv").values()}["woo-5002"] == ("on_delivery", "AT")
    assert of("ebay.csv")["ebay-12-00001-00001"].country == "US"


def test_carriers_numbers_and_times_to_leave_by_are_read() -> None:
    walmart = of("walmart.csv")["wm-108800000000002"]
    assert (walmart.carrier, walmart.tracking, walmart.ship_by_ms) == ("FedEx", "770000000001", 1_795_161_600_000)
    assert of("tiktok.csv")["tt-576400000000000018"].carrier == "J&T Express"
    assert of("lazada.csv")["laz-400000000000001"].tracking == "LZD0000000001"


def test_a_time_may_stand_in_two_columns_or_have_its_month_as_a_word() -> None:
    assert of("square.csv")["sq-sqAAAA2"].created_ms == 1_795_236_600_000  # 23:50 in New York is the next day in UTC
    assert of("mercadolibre.csv")["meli-2000000000000002"].created_ms == 1_795_267_800_000


def test_a_workbook_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = read_map(SHOPS / "shopee.toml")
    as_csv = read_orders(SHOPS / "shopee.csv", shop)
    book = openpyxl.Workbook()
    for line in (SHOPS / "shopee.csv").read_text().splitlines():
        book.active.append([int(cell) if cell.isdigit() else cell for cell in line.split(",")])
    book.save(tmp_path / "orders.xlsx")
    assert read_orders(tmp_path / "orders.xlsx", shop) == as_csv
    (tmp_path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0" + b"\0" * 100)
    with pytest.raises(MapError, match="old format"):
        read_orders(tmp_path / "old.xls", shop)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MapError, match="is a workbook, and openpyxl is not installed"):
        read_orders(tmp_path / "orders.xlsx", shop)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name not in NOT_GUESSED])
def test_a_first_mapping_is_written_by_looking_at_a_file(name: str, tmp_path: Path) -> None:
    guess = guess_map(SHOPS / name, "gb18030" if name == "aliexpress.csv" else None)
    answers = {"name": "shop1", "timezone": "UTC", "currency": "EUR", "time_format": ""}
    assert "name" in guess.questions
    assert "time_format" not in guess.questions
    guess.channel |= {"prefix": "p-", "time_format": guess.times[0], **{q: answers[q] for q in guess.questions}, "timezone": "UTC"}
    (tmp_path / "map.toml").write_text(map_text(guess, name), encoding="utf-8")
    orders, bad = read_orders(SHOPS / name, read_map(tmp_path / "map.toml"))
    assert bad == []
    assert [(o.items, o.amount_minor) for o in orders] == [(seen.items, seen.amount) for _, seen in of_expected(name)]


def of_expected(name: str) -> list[tuple[str, Seen]]:
    """What a sample comes to, in the order in which it is read."""
    return [(order, EXPECTED[name][order]) for order in of(name)]


def test_what_a_file_does_not_show_is_asked(tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("Order;Date;State;Total\n1;01/02/2026;odd;1.234,50 €\n2;03/02/2026;paid;5,00 €\n", encoding="utf-8")
    guess = guess_map(tmp_path / "orders.csv")
    assert guess.questions == ["name", "timezone", "time_format"]
    assert guess.channel == {"delimiter": ";", "strip": ["€"], "currency": "EUR", "decimal": ",", "thousands": "."}
    assert (guess.status, guess.unknown) == ({"paid": "approved"}, {"odd": 1})
    assert '# "odd" = "..."   # in 1 rows' in map_text(guess, "orders.csv")
    (tmp_path / "orders.csv").write_bytes("Order,Größe\n".encode("cp1252"))
    with pytest.raises(MapError, match="not in UTF-8"):
        guess_map(tmp_path / "orders.csv")
    (tmp_path / "orders.csv").write_text("a,b\n1,2\n")
    with pytest.raises(MapError, match="does not show which column is 'order'"):
        guess_map(tmp_path / "orders.csv")

"""What a shop is told: what left and what was cancelled, each change once, whatever arrives late; and how each form writes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers.events import TOPICS
from helpers.floor import DAY_MS, Floor, Person
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.operations.exports import Sent, Span, What, changes
from bridge.shop.mapping import ShopMap, read_map
from bridge.shop.uploads import AMAZON_CARRIERS, UPLOADS, Form, own_id
from bridge.store.queries import Queries

CHANNEL = "web"


@dataclass
class Reader:
    """A site for reading, of which only the queries are asked."""

    queries: Queries


class Shop(Floor):
    """A floor whose shop gets a file now and then."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.dhl = Person(self, "dhl")
        self.reader: Any = Reader(Queries(self.engine, TOPICS))
        self.upto = 0

    def span(self) -> Span:
        return Span(self.upto, self.reader.queries.log_end())

    def told(self) -> list[tuple[str, str, str | None]]:
        """The next file: order, what, and number."""
        span = self.span()
        found = list(changes(self.reader, CHANNEL, span))
        self.upto = span.upto_pos
        return [(c.order, c.what.value, c.tracking) for c in found]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path / "site.db") as made:
        yield made


def test_what_is_shipped_is_told_once(shop: Shop) -> None:
    shop.packed("A", "a", channel=CHANNEL, carrier="DHL", tracking="JD1")
    assert shop.told() == []
    shop.dock.load(code="WB-A")
    assert shop.told() == [("A", "shipped", "JD1")]
    shop.dhl.depart(code="WB-A")
    shop.dhl.delivery(code="WB-A")
    assert shop.told() == [], "that it went on is for the carrier's pages"


def test_a_number_that_comes_later_is_told_then(shop: Shop) -> None:
    shop.packed("A", "a", channel=CHANNEL)
    shop.dock.load(code="WB-A")
    assert shop.told() == [("A", "shipped", None)]
    shop.shop.amended("A", changed=["tracking"], carrier="DHL", tracking="JD1")
    assert shop.told() == [("A", "shipped", "JD1")]
    shop.shop.amended("A", changed=["tracking"], tracking="JD2")
    assert shop.told() == [("A", "shipped", "JD2")]
    assert shop.told() == []


def test_each_parcel_has_the_number_of_its_waybill(shop: Shop) -> None:
    shop.packed("A", "a", "b", channel=CHANNEL, carrier="DHL")
    for parcel in ("a", "b"):
        shop.packer.labelled("A", parcel=parcel, code=f"JD-{parcel}", kind="waybill")
        shop.dock.load(code=f"WB-{parcel.upper()}")
    assert sorted(shop.told()) == [("A", "shipped", "JD-a"), ("A", "shipped", "JD-b")]


def test_a_cancellation_is_told_and_one_by_the_shop_is_not(shop: Shop) -> None:
    shop.order("A", channel=CHANNEL)
    shop.order("B", channel=CHANNEL)
    shop.desk.cancelled("A", reason="stock")
    shop.shop.cancelled("B", reason="customer_request")
    found = list(changes(shop.reader, "shop1", shop.span())), list(changes(shop.reader, CHANNEL, shop.span()))
    assert [(c.order, c.what, c.reason) for c in found[1]] == [("A", What.CANCELLED, "stock"), ("B", What.CANCELLED, "customer_request")]
    assert found[0] == [], "no order came through a channel of this name"


def test_what_the_shop_said_itself_it_is_not_told(shop: Shop) -> None:
    shop.order("A", channel="shop1")
    shop.order("B", channel="shop1")
    shop.shop.pickup("A")
    shop.shop.cancelled("B")
    assert list(changes(shop.reader, "shop1", shop.span())) == []
    shop.dock.load("A")
    assert [(c.order, c.what) for c in changes(shop.reader, "shop1", shop.span())] == [("A", What.SHIPPED)]


def test_what_came_out_of_the_van_again_is_taken_back(shop: Shop) -> None:
    shop.packed("A", "a", channel=CHANNEL)
    shop.dock.load(code="WB-A")
    shop.told()
    shop.dock.unload(code="WB-A")
    assert shop.told() == [("A", "taken_back", None)]
    shop.dock.load(code="WB-A")
    assert shop.told() == [("A", "shipped", None)]


def test_what_was_loaded_for_the_wrong_carrier_is_told_once_it_is_clear_that_it_left(shop: Shop) -> None:
    for order in ("A", "B", "C", "D"):
        shop.packed(order, order.lower(), channel=CHANNEL, carrier="DHL", tracking=f"JD-{order}")
        shop.dock.load(code=f"WB-{order}", carrier="GLS")
    assert shop.told() == [(order, "wrong_carrier", None) for order in "ABCD"]
    shop.dhl.delivery(code="WB-A")
    shop.desk.amended("B", changed=["carrier"], carrier="GLS")
    shop.dock.unload(code="WB-C")
    span = shop.span()
    assert [(c.order, c.carrier) for c in changes(shop.reader, CHANNEL, span)] == [("A", "GLS"), ("B", "GLS")], "the one that has it"
    assert shop.told() == [("A", "shipped", None), ("B", "shipped", None)], "the number is that of another carrier"
    shop.dock.load(code="WB-C", carrier="DHL")
    shop.dhl.depart(code="WB-D")
    assert shop.told() == [("C", "shipped", "JD-C"), ("D", "shipped", None)]
    shop.dock.load(code="WB-C", carrier="GLS")
    assert shop.told() == [("C", "taken_back", None), ("C", "wrong_carrier", None)]
    assert shop.told() == []


def test_a_scan_that_is_explained_only_later_is_told_then(shop: Shop) -> None:
    shop.order("A", lines={"mug": 1}, channel=CHANNEL)
    assert shop.dock.load(code="WB-X").outcome == "parked"
    assert shop.told() == []
    shop.packer.pack("A", code="WB-X")
    assert shop.told() == [("A", "shipped", None)]


def test_what_only_becomes_more_exact_is_no_news(shop: Shop) -> None:
    shop.order("A", lines={"mug": 1}, channel=CHANNEL)
    shop.dhl.pickup("A")
    assert shop.told() == [("A", "shipped", None)]
    shop.dhl.depart("A", at_ms=shop.now_ms - 3_600_000)
    shop.packer.pack("A", parcel="box", at_ms=shop.now_ms - 7_200_000)
    assert list(shop.status("A")["milestones"]), "it left earlier, and has another id"
    assert shop.told() == []


def test_a_void_takes_back_what_was_told(shop: Shop) -> None:
    shop.packed("A", "a", channel=CHANNEL)
    shop.dock.load(code="WB-A")
    shop.told()
    shop.dock.takes_back("load")
    assert shop.told() == [("A", "taken_back", None)]


def test_the_same_span_gives_the_same_file_whatever_has_happened_since(shop: Shop) -> None:
    shop.packed("A", "a", channel=CHANNEL, carrier="DHL", tracking="JD1")
    shop.dock.load(code="WB-A")
    span = shop.span()
    before = list(changes(shop.reader, CHANNEL, span))
    shop.shop.amended("A", changed=["tracking"], tracking="JD2")
    shop.dock.unload(code="WB-A")
    shop.packed("B", "b", channel=CHANNEL)
    shop.dock.load(code="WB-B")
    assert list(changes(shop.reader, CHANNEL, span)) == before


@settings(max_examples=4, deadline=None)
@given(cuts=st.lists(st.integers(0, 12), max_size=4))
def test_however_often_files_are_made_the_last_that_is_told_of_each_order_is_true(tmp_path_factory: pytest.TempPathFactory, cuts: list[int]) -> None:
    with Shop(tmp_path_factory.mktemp("shop") / "site.db") as shop:
        steps: list[Any] = [
            lambda: shop.packed("A", "a", channel=CHANNEL),
            lambda: shop.dock.load(code="WB-A"),
            lambda: shop.packed("B", "b", channel=CHANNEL, carrier="DHL", tracking="JD9"),
            lambda: shop.shop.amended("A", changed=["tracking"], tracking="JD1"),
            lambda: shop.dock.unload(code="WB-A"),
            lambda: shop.order("C", channel=CHANNEL),
            lambda: shop.desk.cancelled("C", reason="stock"),
            lambda: shop.dock.load(code="WB-A"),
            lambda: shop.dock.load(code="WB-B"),
        ]
        told: dict[str, tuple[str, str | None]] = {}
        for number, step in enumerate(steps):
            step()
            if number in cuts:
                told.update({order: (what, tracking) for order, what, tracking in shop.told()})
        told.update({order: (what, tracking) for order, what, tracking in shop.told()})
        assert told == {"A": ("shipped", "JD1"), "B": ("shipped", "JD9"), "C": ("cancelled", None)}


# --- forms ------------------------------------------------------------------------------------------------------------------

MAP = """
[channel]
name = "web"
prefix = "shop1-"
timezone = "Asia/Shanghai"
[columns]
order = "no"
created = "made"
carrier = "by"
[carrier]
"DHL Paket" = "DHL"
"""
AT_MS = 1_796_000_000_000


@pytest.fixture
def shop_map(tmp_path: Path) -> ShopMap:
    (tmp_path / "map.toml").write_text(MAP)
    return read_map(tmp_path / "map.toml")


def sent(**other: Any) -> Sent:
    return Sent(**{"order": "shop1-#1001", "what": What.SHIPPED, "at_ms": AT_MS, "parcel": "p1", "carrier": "DHL", "tracking": "JD1", **other})


CANCELLED = {"what": What.CANCELLED, "parcel": None, "carrier": None, "tracking": None, "reason": "stock"}
BACK = {"what": What.TAKEN_BACK, "carrier": None, "tracking": None}
WRONG = {"what": What.WRONG_CARRIER, "carrier": "GLS", "tracking": None}
ROWS: list[tuple[Form, dict[str, Any], tuple[str, ...] | None]] = [
    (Form.SHOPIFY, {}, ("#1001", "UPDATE", "Fulfillment Line", "success", "2026-11-30 08:53:20 +0800", "DHL Paket", "JD1", "TRUE", "", "")),
    (Form.SHOPIFY, {"tracking": None}, ("#1001", "UPDATE", "Fulfillment Line", "success", "2026-11-30 08:53:20 +0800", "DHL Paket", "", "TRUE", "", "")),
    (Form.SHOPIFY, CANCELLED, ("#1001", "UPDATE", "", "", "", "", "", "", "2026-11-30 08:53:20 +0800", "inventory")),
    (Form.SHOPIFY, {**CANCELLED, "reason": "late"}, ("#1001", "UPDATE", "", "", "", "", "", "", "2026-11-30 08:53:20 +0800", "other")),
    (Form.SHOPIFY, BACK, None),
    (Form.AMAZON, {"carrier": "sf express"}, ("#1001", "", "", "2026-11-30", "SF Express", "", "JD1", "")),
    (Form.AMAZON, {"service": "express"}, ("#1001", "", "", "2026-11-30", "DHL", "", "JD1", "express")),
    (Form.AMAZON, {"carrier": "Bring"}, ("#1001", "", "", "2026-11-30", "Other", "Bring", "JD1", "")),
    (Form.AMAZON, {"carrier": None, "tracking": None}, ("#1001", "", "", "2026-11-30", "", "", "", "")),
    (Form.AMAZON, CANCELLED, None),
    (Form.AMAZON, BACK, None),
    (Form.SHOPEE, {}, ("#1001", "JD1")),
    (Form.SHOPEE, {"tracking": None}, None),
    (Form.SHOPEE, CANCELLED, None),
    (Form.SHOPEE, BACK, None),
    (Form.CSV, {}, ("#1001", "shipped", "2026-11-30T00:53:20+00:00", "p1", "DHL", "", "JD1", "")),
    (Form.CSV, CANCELLED, ("#1001", "cancelled", "2026-11-30T00:53:20+00:00", "", "", "", "", "stock")),
    (Form.CSV, BACK, ("#1001", "taken_back", "2026-11-30T00:53:20+00:00", "p1", "", "", "", "")),
    *((form, WRONG, None) for form in Form),
]


@pytest.mark.parametrize(("form", "other", "row"), ROWS)
def test_a_change_in_a_form(shop_map: ShopMap, form: Form, other: dict[str, Any], row: tuple[str, ...] | None) -> None:
    written = UPLOADS[form].row(sent(**other), shop_map)
    assert (None if written is None else tuple(written)) == row
    assert written is None or len(written) == len(UPLOADS[form].columns)


def test_every_form_is_tested_with_everything_that_can_happen() -> None:
    assert {(form, other.get("what", What.SHIPPED)) for form, other, _ in ROWS} == {(form, what) for form in UPLOADS for what in What}


def test_amazons_carriers_are_known_in_any_case(shop_map: ShopMap) -> None:
    for carrier in AMAZON_CARRIERS:
        row = UPLOADS[Form.AMAZON].row(sent(carrier=carrier.upper()), shop_map)
        assert row is not None
        assert row[4] == carrier


def test_an_order_of_another_prefix_keeps_its_id(shop_map: ShopMap) -> None:
    assert [own_id(order, shop_map) for order in ("shop1-1001", "1001", "shop1-shop1-7")] == ["1001", "1001", "shop1-7"]


def test_the_beginning_of_a_time_is_found_in_the_log(shop: Shop) -> None:
    shop.order("A", channel=CHANNEL)
    middle = shop.reader.queries.log_end()
    shop.wait(DAY_MS)
    shop.order("B", channel=CHANNEL)
    assert shop.reader.queries.log_before(shop.now_ms - DAY_MS // 2) == middle
    assert shop.reader.queries.log_before(0) == 0
    assert shop.reader.queries.log_before(shop.now_ms + DAY_MS) == shop.reader.queries.log_end()

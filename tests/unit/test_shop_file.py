"""A shop's export as orders: any columns, any words, any time zone; rows that can't be used are named, and no event is sent twice."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.shop import BadRow, MapError, ShopMap, ShopOrder, derived_event_id, order_events, read_map, read_orders, table
from devices.protocol.messages import Event, decode_event
from devices.protocol.vocabulary import EventType

MAP = """
[channel]
name = "shop1"
prefix = "shop1-"
timezone = "Europe/Berlin"
{channel}
[columns]
order = "Bestellung"
created = "bestellt"
{columns}
[status]
{status}
"""


def shop(tmp_path: Path, *, channel: str = "", columns: str = "", status: str = "") -> ShopMap:
    path = tmp_path / "orders.toml"
    path.write_text(MAP.format(channel=channel, columns=columns, status=status), encoding="utf-8")
    return read_map(path)


def read(tmp_path: Path, using: ShopMap, content: str | bytes) -> tuple[list[ShopOrder], list[BadRow]]:
    path = tmp_path / "orders.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_orders(path, using)


ALL = """
status = "Status"
paid = "bezahlt"
approved = "freigegeben"
promised = "versprochen"
sku = "Artikel"
qty = "Menge"
amount = "Summe"
"""
HEADER = "Bestellung,bestellt,Status,bezahlt,freigegeben,versprochen,Artikel,Menge,Summe\n"
WORDS = 'offen = "pending_payment"\nfrei = "approved"\nversandt = "shipped"\nstorniert = "cancelled"'


def utc_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


# --- the mapping --------------------------------------------------------------------------------------------------------------


def test_the_sample_reads_its_own_file() -> None:
    samples = Path(__file__).parents[2] / "config" / "samples"
    orders, bad = read_orders(samples / "orders.csv", read_map(samples / "orders.toml"))
    assert orders
    assert all(order.order.startswith("shop1-") for order in orders)
    assert not [row for row in bad if not row.reason]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[channel", "orders.toml"),
        ("", "columns.order is missing"),
        ('[columns]\norder = "a"', "columns.created is missing"),
        ('[columns]\norder = "a"\ncreated = "b"', "channel.name is missing"),
        ('[columns]\norder = "a"\ncreated = "b"\n[channel]\nname = "shop1"\nprefix = "s-"', "channel.timezone is missing"),
        (MAP.format(channel="", columns='colour = "x"', status=""), "columns.colour is not a known column"),
        (MAP.format(channel='tmezone = "x"', columns="", status=""), "channel.tmezone is not a setting"),
        (MAP.format(channel="", columns="", status='sent = "posted"'), "status.sent is 'posted'"),
        (MAP.format(channel="", columns="qty = 1", status=""), "every value in [columns] must be a string"),
        (MAP.format(channel="", columns="", status="") + "[colour]\n", "[colour] is not a section"),
        (MAP.format(channel="", columns="", status="").replace("Europe/Berlin", "Europe/Bärlin"), "channel.timezone 'Europe/Bärlin' is not a known time zone"),
        (MAP.format(channel="", columns="", status="").replace("Europe/Berlin", "../../etc/passwd"), "is not a known time zone"),
    ],
)
def test_a_mapping_that_can_not_be_used_is_refused_with_a_fix(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "orders.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(MapError) as caught:
        read_map(path)
    assert said in str(caught.value)
    assert caught.value.fix


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="does not exist"):
        read_map(tmp_path / "nowhere.toml")
    with pytest.raises(MapError, match="does not exist"):
        read_orders(tmp_path / "nowhere.csv", shop(tmp_path))


def test_a_file_without_a_mapped_column_is_refused_whole(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="has no column 'bestellt'") as caught:
        read(tmp_path, shop(tmp_path), "Bestellung,ordered\n1,2024-01-01 10:00:00\n")
    assert "Bestellung, ordered" in str(caught.value.fix)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_a_file_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    using = shop(tmp_path, channel=f'encoding = "{encoding}"', columns='sku = "Stück"')
    orders, bad = read(tmp_path, using, "Bestellung,bestellt,Stück\n1,2024-01-01 10:00:00,Ü-1\n".encode(encoding))
    assert (bad, orders[0].items) == ([], {"Ü-1": 1})


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="is not in utf-8") as caught:
        read(tmp_path, shop(tmp_path), "Bestellung,bestellt\nGrün,2024-01-01 10:00:00\n".encode("latin-1"))
    assert "channel.encoding" in str(caught.value.fix)


def test_semicolons_are_as_good_as_commas(tmp_path: Path) -> None:
    orders, bad = read(tmp_path, shop(tmp_path, channel='delimiter = ";"'), 'Bestellung;bestellt\n"1;2";2024-01-01 10:00:00\n')
    assert ([o.order for o in orders], bad) == (["shop1-1;2"], [])


# --- rows -----------------------------------------------------------------------------------------------------------------------


def test_a_row_says_everything_that_a_shop_knows(tmp_path: Path) -> None:
    using = shop(tmp_path, columns=ALL, status=WORDS)
    row = "17,2024-01-01 10:00:00,versandt,2024-01-01 10:05:00,2024-01-01 11:00:00,2024-01-03 18:00:00,pen,3,12.50\n"
    ((order,), bad) = read(tmp_path, using, HEADER + row)
    assert bad == []
    assert order == ShopOrder(
        order="shop1-17",
        line=2,
        created_ms=utc_ms("2024-01-01 09:00:00"),
        paid_ms=utc_ms("2024-01-01 09:05:00"),
        approved_ms=utc_ms("2024-01-01 10:00:00"),
        promised_ms=utc_ms("2024-01-03 17:00:00"),
        amount_minor=1250,
        status="versandt",
        expected="shipped",
        items={"pen": 3},
    )


def test_several_rows_of_an_order_are_its_items(tmp_path: Path) -> None:
    using = shop(tmp_path, columns=ALL, status=WORDS)
    rows = "".join(f"17,2024-01-01 10:00:00,offen,,,,{sku},{qty},{amount}\n" for sku, qty, amount in (("pen", 3, "1.50"), ("ink", 1, "4"), ("pen", 2, "0.5")))
    ((order,), bad) = read(tmp_path, using, HEADER + rows)
    assert (bad, order.items, order.amount_minor) == ([], {"pen": 5, "ink": 1}, 600)


def test_orders_come_in_the_order_of_their_creation(tmp_path: Path) -> None:
    orders, _ = read(tmp_path, shop(tmp_path), "Bestellung,bestellt\nc,2024-01-02 10:00:00\nb,2024-01-01 10:00:00\na,2024-01-01 10:00:00\n")
    assert [o.order for o in orders] == ["shop1-a", "shop1-b", "shop1-c"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",2024-01-01 10:00:00,,,,,,,", "Bestellung is empty"),
        ("1,,,,,,,,", "bestellt is empty"),
        ("1,yesterday,,,,,,,", "bestellt is 'yesterday', not a time in the format %Y-%m-%d %H:%M:%S"),
        ("1,2024-02-30 10:00:00,,,,,,,", "bestellt is '2024-02-30 10:00:00', not a time"),
        ("1,1969-12-31 10:00:00,,,,,,,", "before 1970"),
        ("1,2024-01-01 10:00:00,verloren,,,,,,", "Status is 'verloren', which [status] does not map"),
        ("1,2024-01-01 10:00:00,,soon,,,,,", "bezahlt is 'soon'"),
        ("1,2024-01-01 10:00:00,,,,,pen,0,", "Menge is '0', not a quantity"),
        ("1,2024-01-01 10:00:00,,,,,pen,-1,", "Menge is '-1', not a quantity"),
        ("1,2024-01-01 10:00:00,,,,,pen,1000001,", "Menge is '1000001', not a quantity"),
        ("1,2024-01-01 10:00:00,,,,,pen,²,", "Menge is '²', not a quantity"),
        ("1,2024-01-01 10:00:00,,,,,pen,1,1.234", "Summe is '1.234', not an amount"),
        ("1,2024-01-01 10:00:00,,,,,pen,1,-5", "Summe is '-5', not an amount"),
        ("1,2024-01-01 10:00:00", "more or fewer fields"),
        ("1,2024-01-01 10:00:00,,,,,,,,,", "more or fewer fields"),
        ("x" * 97 + ",2024-01-01 10:00:00,,,,,,,", "at most 96 characters"),
        ("单" * 40 + ",2024-01-01 10:00:00,,,,,,,", "expected 1 to 96 characters after escaping"),
    ],
)
def test_a_bad_row_is_named_with_its_line_and_reason_and_the_others_are_used(tmp_path: Path, row: str, reason: str) -> None:
    using = shop(tmp_path, columns=ALL, status=WORDS)
    good = "{},2024-01-01 10:00:00,,,,,,,\n"
    orders, bad = read(tmp_path, using, HEADER + good.format("before") + row + "\n" + good.format("after"))
    assert [o.order for o in orders] == ["shop1-after", "shop1-before"]
    assert [b.line for b in bad] == [3]
    assert reason in bad[0].reason


def test_a_row_that_contradicts_an_earlier_one_of_its_order_is_bad(tmp_path: Path) -> None:
    orders, bad = read(tmp_path, shop(tmp_path), "Bestellung,bestellt\n1,2024-01-01 10:00:00\n1,2024-01-01 10:00:01\n")
    assert ([o.order for o in orders], bad) == ([], [BadRow(3, "order shop1-1 has another status or time in line 2")])


def test_an_order_has_at_most_500_items(tmp_path: Path) -> None:
    using = shop(tmp_path, columns='sku = "sku"')
    orders, bad = read(tmp_path, using, "Bestellung,bestellt,sku\n" + "".join(f"1,2024-01-01 10:00:00,sku-{i}\n" for i in range(501)))
    assert (orders, [(b.line, b.reason) for b in bad]) == ([], [(502, "order shop1-1 has more than 500 items")])


def test_of_a_file_with_an_open_quote_no_order_is_known_to_be_whole(tmp_path: Path) -> None:
    orders, bad = read(tmp_path, shop(tmp_path), 'Bestellung,bestellt\n1,2024-01-01 10:00:00\n"2,2024-01-01 10:00:00\n')
    assert orders == []
    assert [(b.line, b.ends_file, b.reason.startswith("not CSV")) for b in bad] == [(3, True, True)]


def test_of_a_file_that_is_too_long_no_order_is_known_to_be_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "LINES_MAX", 2)
    orders, bad = read(tmp_path, shop(tmp_path), "Bestellung,bestellt\n1,2024-01-01 10:00:00\n2,2024-01-01 10:00:00\n3,2024-01-01 10:00:00\n")
    assert orders == []
    assert [(b.line, b.ends_file) for b in bad] == [(3, True)]


def test_a_text_with_a_nul_is_a_bad_row(tmp_path: Path) -> None:
    orders, bad = read(tmp_path, shop(tmp_path), "Bestellung,bestellt\n1\0,2024-01-01 10:00:00\n")
    assert (orders, [b.reason for b in bad]) == ([], ["the row contains a NUL character"])


# --- time zones -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2024-01-15 12:00:00", "2024-01-15 11:00:00"),
        ("2024-07-15 12:00:00", "2024-07-15 10:00:00"),
        ("2024-03-31 01:59:59", "2024-03-31 00:59:59"),
        ("2024-03-31 03:00:00", "2024-03-31 01:00:00"),
        ("2024-10-27 01:59:59", "2024-10-26 23:59:59"),
        ("2024-10-27 03:00:00", "2024-10-27 02:00:00"),
        ("2024-10-27 02:30:00", "2024-10-27 00:30:00"),  # it occurred twice: the first one is taken
    ],
)
def test_a_time_is_the_shops_summer_and_winter(tmp_path: Path, local: str, utc: str) -> None:
    ((order,), bad) = read(tmp_path, shop(tmp_path), f"Bestellung,bestellt\n1,{local}\n")
    assert (order.created_ms, bad) == (utc_ms(utc), [])


def test_another_form_of_time_and_another_zone(tmp_path: Path) -> None:
    path = tmp_path / "orders.toml"
    path.write_text(MAP.format(channel='time_format = "%d.%m.%Y %H:%M"', columns="", status="").replace("Europe/Berlin", "Asia/Shanghai"), encoding="utf-8")
    ((order,), _) = read(tmp_path, read_map(path), "Bestellung,bestellt\n1,01.02.2024 08:00\n")
    assert order.created_ms == utc_ms("2024-02-01 00:00:00")


# --- events ---------------------------------------------------------------------------------------------------------------------


def events_of(tmp_path: Path, row: str, **mapping: Any) -> list[tuple[EventType, Event[Any]]]:
    using = shop(tmp_path, columns=ALL, status=WORDS, **mapping)
    ((order,), bad) = read(tmp_path, using, HEADER + row)
    assert bad == []
    return [(kind, decode_event(payload, kind)) for kind, payload in order_events(order, using)]


PAID = "17,2024-01-01 10:00:00,frei,2024-01-01 10:05:00,2024-01-01 11:00:00,2024-01-03 18:00:00,pen,3,12.50\n"


def test_a_row_is_created_paid_and_approved(tmp_path: Path) -> None:
    events = events_of(tmp_path, PAID)
    assert [kind for kind, _ in events] == ["created", "paid", "approved"]
    (_, created), (_, paid), _ = events
    assert {e.order for _, e in events} == {"shop1-17"}
    assert [e.seq for _, e in events] == [1, 2, 3]
    assert (created.body.channel, created.body.lines[0].sku, created.body.lines[0].qty) == ("shop1", "pen", 3)
    assert (created.at_ms, created.body.promise_ms) == (utc_ms("2024-01-01 09:00:00"), utc_ms("2024-01-03 17:00:00"))
    assert (paid.at_ms, paid.body.amount_minor, paid.body.currency) == (utc_ms("2024-01-01 09:05:00"), 1250, "EUR")


def test_who_pays_on_delivery_has_not_paid(tmp_path: Path) -> None:
    events = events_of(tmp_path, PAID, channel='payment = "on_delivery"\ncurrency = "CNY"')
    assert [kind for kind, _ in events] == ["created", "approved"]
    assert events[0][1].body.payment == "on_delivery"


def test_a_cancelled_order_says_so(tmp_path: Path) -> None:
    events = events_of(tmp_path, "17,2024-01-01 10:00:00,storniert,,,,,,\n")
    assert [kind for kind, _ in events] == ["created", "cancelled"]
    assert events[1][1].body.reason == "storniert"


def test_importing_a_file_twice_sends_the_same_events(tmp_path: Path) -> None:
    using = shop(tmp_path, columns=ALL, status=WORDS)
    first, second = (order_events(read(tmp_path, using, HEADER + PAID)[0][0], using) for _ in range(2))
    assert first == second


def test_ids_tell_channels_orders_and_types_apart_and_are_uuids_of_version_7(tmp_path: Path) -> None:
    using = shop(tmp_path, columns=ALL, status=WORDS)
    orders, _ = read(tmp_path, using, HEADER + PAID + PAID.replace("17,", "18,", 1))
    ids = [decode_event(payload, kind).id for order in orders for kind, payload in order_events(order, using)]
    assert len(set(ids)) == 6
    assert {(i[6] >> 4, i[8] >> 6) for i in ids} == {(7, 2)}
    logs = {decode_event(payload, kind).log for order in orders for kind, payload in order_events(order, using)}
    assert len(logs) == 2


# --- editions -------------------------------------------------------------------------------------------------------------------


def test_a_currency_is_three_capital_letters(tmp_path: Path) -> None:
    with pytest.raises(MapError, match=r"channel.currency is 'euros'"):
        shop(tmp_path, channel='currency = "euros"')


@pytest.mark.parametrize(("amount", "is_known"), [("", True), ("12.50", False)])
def test_an_order_of_the_first_edition_is_not_sent_again_under_its_id_with_other_content(tmp_path: Path, amount: str, is_known: bool) -> None:
    """What the first edition would have sent for an order without an amount is sent as it was; what it would have sent otherwise has an id of its own."""
    using = shop(tmp_path, columns=ALL, status=WORDS)
    ((order,), _) = read(tmp_path, using, HEADER + f"1,2025-01-02 10:00:00,offen,,,,,,{amount}\n")
    ((kind, payload),) = order_events(order, using)
    first_edition = derived_event_id(order.created_ms, using.channel, order.order, kind)
    assert (decode_event(payload, kind).id == first_edition) is is_known

"""What a mapping can say about a shop's file: marks, currencies, totals, quantities, statuses, rows. What can't be read is named, and never guessed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import Bench
from hypothesis import given
from hypothesis import strategies as st

from bridge.shop import BadRow, MapError, ShopMap, ShopOrder, order_events, read_map, read_orders
from bridge.shop.events import Said, order_news
from bridge.shop.mapping import STATES
from bridge.shop.rows import NO_SKU
from devices.protocol.messages import decode_event

MAP = """
[channel]
name = "shop1"
prefix = ""
timezone = "UTC"
delimiter = ";"
{channel}
[columns]
order = "no"
created = "made"
status = {status}
sku = "sku"
qty = "qty"
amount = "sum"
{columns}
[status]
ok = "approved"
off = "cancelled"
{more}
"""
HEADER = "no;made;state;sku;qty;sum"
MADE = "2026-11-20 10:00:00"


def shop(tmp_path: Path, channel: str = "", *, columns: str = "", more: str = "", status: str = '"state"') -> ShopMap:
    path = tmp_path / "map.toml"
    path.write_text(MAP.format(channel=channel, columns=columns, more=more, status=status).replace('prefix = ""', 'prefix = "s-"'), encoding="utf-8")
    return read_map(path)


def read(tmp_path: Path, using: ShopMap, *lines: str, header: str = HEADER) -> tuple[list[ShopOrder], list[BadRow]]:
    path = tmp_path / "orders.csv"
    path.write_text("".join(f"{line}\n" for line in (header, *lines)), encoding="utf-8")
    return read_orders(path, using)


def row(order: str = "1", *, state: str = "ok", sku: str = "pen", qty: str = "1", amount: str = "") -> str:
    return f"{order};{MADE};{state};{sku};{qty};{amount}"


def reasons(found: tuple[list[ShopOrder], list[BadRow]]) -> str:
    assert found[0] == []
    return "; ".join(f"{bad.line}: {bad.reason}" for bad in found[1])


# --- numbers ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "text", "minor"),
    [
        ("", "12.5000", 1250),
        ("", "0", 0),
        ('decimal = ","\nthousands = "."', "1.234,50", 123450),
        ('decimal = ","\nthousands = " "', "12\u202f345,6", 1234560),
        ('thousands = ","', "1,234,567.89", 123456789),
        ('thousands = "\'"', "1'234.50", 123450),
        ('decimal = ","\nstrip = ["€"]', "€ 45,90", 4590),
        ('strip = ["US $"]', "US $ 4.00", 400),
        ('currency = "JPY"', "1200", 1200),
        ('currency = "JPY"', "1200.00", 1200),
        ('currency = "KWD"', "12.500", 12500),
        ('currency = "CLF"', "1.2345", 12345),
    ],
)
def test_an_amount_is_read_in_its_currency_and_marks(tmp_path: Path, channel: str, text: str, minor: int) -> None:
    ((order,), bad) = read(tmp_path, shop(tmp_path, channel), row(amount=text))
    assert (bad, order.amount_minor) == ([], minor)


@pytest.mark.parametrize(
    ("channel", "text", "said"),
    [
        ("", "12,50", "channel.decimal is '.', channel.thousands ''"),
        ("", "€ 12.50", "channel.strip"),
        ("", "1.234", "not an amount such as 1.50 EUR"),
        ('decimal = ","\nthousands = "."', "1.23,50", "not an amount such as 1,50 EUR"),
        ('decimal = ","\nthousands = "."', "12.50", "not an amount"),
        ('currency = "JPY"', "12.5", "not an amount such as 12 JPY"),
        ('currency = "KWD"', "1.2345", "not an amount such as 1.500 KWD"),
        ("", "١٢", "not an amount"),
        ("", "1e3", "not an amount"),
        ("", "9" * 13, "not an amount"),
    ],
)
def test_what_is_no_amount_in_its_currency_is_refused(tmp_path: Path, channel: str, text: str, said: str) -> None:
    assert said in reasons(read(tmp_path, shop(tmp_path, channel), row(amount=text)))


@given(st.integers(0, 10**11), st.sampled_from(((",", "."), (".", ","), (",", " "), (".", "'"))))
def test_every_amount_is_read_back_as_it_was_written(minor: int, marks: tuple[str, str]) -> None:
    from bridge.shop.cells import number

    decimal, thousands = marks
    text = f"{minor // 100:,}".replace(",", thousands) + f"{decimal}{minor % 100:02d}"
    using = ShopMap(channel="s", prefix="s", timezone=None, columns={}, decimal=decimal, thousands=thousands)  # type: ignore[arg-type]
    value = number(text, using)
    assert value is not None
    assert int(value * 100) == minor


def test_a_quantity_is_a_whole_number(tmp_path: Path) -> None:
    ((order,), _) = read(tmp_path, shop(tmp_path, 'thousands = ","'), row(qty="1,200.0000"))
    assert order.items == {"pen": 1200}
    assert "qty is '0.5', not a quantity" in reasons(read(tmp_path, shop(tmp_path), row(qty="0.5")))


def test_the_map_says_what_zero_and_negative_quantities_mean(tmp_path: Path) -> None:
    rows = (row(qty="3", amount="9.00"), row(qty="-1", amount="3.00"), row(sku="ink", qty="0", amount="5.00"))
    assert "channel.negative_qty" in reasons(read(tmp_path, shop(tmp_path), *rows))
    for rule, items, minor in (("leave_out", {"pen": 3}, 900), ("subtract", {"pen": 2}, 600)):
        ((order,), bad) = read(tmp_path, shop(tmp_path, f'zero_qty = "leave_out"\nnegative_qty = "{rule}"'), *rows)
        assert (bad, order.items, order.amount_minor) == ([], items, minor)
    assert "less than none of pen" in reasons(read(tmp_path, shop(tmp_path, 'negative_qty = "subtract"'), row(), row(qty="-2")))
    assert "no item left" in reasons(read(tmp_path, shop(tmp_path, 'negative_qty = "subtract"'), row(), row(qty="-1")))


def test_a_total_that_every_row_repeats_is_not_added_up(tmp_path: Path) -> None:
    rows = (row(amount="64.70"), row(sku="ink", amount="64.70"))
    assert 'set channel.amount_per to "order" if it is the total' in reasons(read(tmp_path, shop(tmp_path), *rows))
    for per, minor in (("order", 6470), ("row", 12940)):
        ((order,), _) = read(tmp_path, shop(tmp_path, f'amount_per = "{per}"'), *rows)
        assert order.amount_minor == minor
    different = (row(amount="64.70"), row(sku="ink", amount="1.00"))
    assert "several totals" in reasons(read(tmp_path, shop(tmp_path, 'amount_per = "order"'), *different))


# --- rows and orders --------------------------------------------------------------------------------------------------------


def test_a_field_left_blank_in_a_further_row_is_as_above(tmp_path: Path) -> None:
    ((order,), bad) = read(tmp_path, shop(tmp_path), row(amount="5.00"), "1;;;ink;2;", ";;;cup;1;")
    assert (bad, order.items, order.amount_minor) == ([], {"pen": 1, "ink": 2, "cup": 1}, 500)
    assert "3: order s-1 has another status or time" in reasons(read(tmp_path, shop(tmp_path, "fill_down = false"), row(), "1;;;ink;2;"))
    assert "3: no is empty" in reasons(read(tmp_path, shop(tmp_path, "fill_down = false"), row(), ";;;ink;2;"))


def test_the_rows_of_an_order_may_be_apart(tmp_path: Path) -> None:
    orders, bad = read(tmp_path, shop(tmp_path), row("1"), row("2"), row("1", sku="ink"), "", ";;;;;")
    assert (bad, [(o.order, o.items) for o in orders]) == ([], [("s-1", {"pen": 1, "ink": 1}), ("s-2", {"pen": 1})])


def test_rows_without_an_order_above_are_named(tmp_path: Path) -> None:
    assert "2: no is empty" in reasons(read(tmp_path, shop(tmp_path), ";;;ink;2;"))


def test_rows_that_are_no_articles_are_left_out(tmp_path: Path) -> None:
    using = shop(tmp_path, more='[leave_out]\nsku = ["SHIPPING", ""]')
    ((order,), bad) = read(tmp_path, using, row(), row(sku="SHIPPING"), row(sku=""))
    assert (bad, order.items) == ([], {"pen": 1})


def test_a_status_may_stand_in_two_columns(tmp_path: Path) -> None:
    using = shop(tmp_path, status='["state", "sent"]', more='"paid/*" = "approved"\n"paid/yes" = "shipped"\n"*/yes" = "shipped"')
    lines = [
        f"{no};{MADE};{state};pen;1;;{sent}" for no, (state, sent) in enumerate((("paid", "no"), ("paid", "yes"), ("due", "yes"), ("due", "no"), ("paid", "")))
    ]
    orders, bad = read(tmp_path, using, *lines, header=HEADER + ";sent")
    assert {o.order: o.expected for o in orders} == {"s-0": "approved", "s-1": "shipped", "s-2": "shipped", "s-4": "approved"}
    assert [b.reason for b in bad] == ["state and sent is 'due/no', which [status] does not map"]


def test_each_order_has_its_currency_payment_and_country(tmp_path: Path) -> None:
    columns = 'currency = "cur"\npayment = "pay"\ncountry = "land"'
    using = shop(tmp_path, columns=columns, more='[payment]\nCOD = "on_delivery"\n"*" = "prepaid"\n[country]\nJapan = "JP"')
    header = HEADER + ";cur;pay;land"
    ((order,), bad) = read(tmp_path, using, row(amount="1200") + ";JPY;COD;Japan", "1;;;ink;1;;;;", header=header)
    assert (bad, order.amount_minor) == ([], 1200)
    kind, payload = order_events(order, using)[0]
    body = decode_event(payload, kind).body
    assert (body.currency, body.payment, body.dest_country) == ("JPY", "on_delivery", "JP")  # type: ignore[attr-defined]
    assert "'XXQ' is not the code of a currency" in reasons(read(tmp_path, using, row(amount="1") + ";XXQ;COD;Japan", header=header))
    assert "[country]" in reasons(read(tmp_path, using, row() + ";EUR;COD;Atlantis", header=header))
    assert "another currency" in reasons(read(tmp_path, using, row() + ";EUR;COD;Japan", row() + ";JPY;COD;Japan", header=header))


# --- damage -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["4,50612E+11", "4.50612E+11", "4E+11"])
def test_an_order_number_that_a_spreadsheet_has_shortened_is_refused(tmp_path: Path, order: str) -> None:
    assert "a number that a spreadsheet has shortened" in reasons(read(tmp_path, shop(tmp_path), row(order)))
    assert "a number that a spreadsheet has shortened" in reasons(read(tmp_path, shop(tmp_path), row(sku=order)))


def test_lost_zeros_are_noticed_if_a_pattern_says_how_numbers_look(tmp_path: Path) -> None:
    using = shop(tmp_path, more='[patterns]\norder = "[0-9]{9}"\nsku = ".*"')
    assert "did a spreadsheet change it?" in reasons(read(tmp_path, using, row("311")))
    orders, bad = read(tmp_path, using, row("000000311", sku="1E+5"))
    assert (bad, orders[0].order) == ([], "s-000000311")


def test_a_column_that_is_there_twice_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="has 2 columns 'sku'"):
        read(tmp_path, shop(tmp_path), header=HEADER + ";sku")


def test_a_record_that_swallows_rows_is_named(tmp_path: Path) -> None:
    lines = (row(sku='"pen'), row("2"), row("3", sku='ink"'))
    assert "the record of lines 2 to 4 has whole rows between two quotes" in reasons(read(tmp_path, shop(tmp_path), *lines))
    orders, bad = read(tmp_path, shop(tmp_path, 'quote = ""'), *lines)
    assert (bad, [list(o.items) for o in orders]) == ([], [['"pen'], ["pen"], ['ink"']])
    orders, bad = read(tmp_path, shop(tmp_path), row(sku='"two\nlines"'), row("2"))
    assert (bad, list(orders[0].items)) == ([], ["two\nlines"])


def test_lines_before_the_header_are_skipped_and_counted(tmp_path: Path) -> None:
    using = shop(tmp_path, "skip_lines = 2")
    assert reasons(read(tmp_path, using, "", HEADER, row(qty="x"), header="Orders of 2026")).startswith("4: qty is 'x'")


def test_times_may_have_their_own_zone(tmp_path: Path) -> None:
    for time_format, text in (("%Y-%m-%d %H:%M:%S %z", "2026-11-20 11:00:00 +0100"), ("iso", "2026-11-20T05:00:00-05:00"), ("iso", "2026-11-20T10:00:00Z")):
        ((order,), _) = read(tmp_path, shop(tmp_path, f'time_format = "{time_format}"'), f"1;{text};ok;pen;1;")
        assert order.created_ms == 1_795_168_800_000


@pytest.mark.parametrize(
    ("channel", "more", "said"),
    [
        ('time_format = "%Y-%m-%d %Z"', "", "%Z, which reads the letters of a time zone and ignores what they say"),
        ('decimal = ","\nthousands = ","', "", "channel.decimal and channel.thousands are both ','"),
        ('currency = "XAU"', "", "channel.currency is 'XAU'"),
        ('encoding = "klingon"', "", "channel.encoding is 'klingon'"),
        ('zero_qty = "subtract"', "", "channel.zero_qty is 'subtract'"),
        ("skip_lines = true", "", "channel.skip_lines is True"),
        ('quote = "ab"', "", "channel.quote is 'ab'"),
        ("", 'half = "partially_shipped"', "status.half is 'partially_shipped', which an import can't say"),
        ("", '[leave_out]\nsku = "x"', "every value in [leave_out] must be a list"),
        ("", '[patterns]\norder = "("', "patterns.order"),
        ("", '[patterns]\nqty = "1"', "patterns.qty is not a column with a pattern"),
        ("", '[payment]\ncash = "later"', "payment.cash is 'later'"),
        ("", '[country]\nJapan = "JPN"', "country.Japan is 'JPN'"),
        ("", '[customer]\nname = "Buyer"', "[customer] is not a section"),
    ],
)
def test_a_setting_that_can_not_be_used_is_refused_with_a_fix(tmp_path: Path, channel: str, more: str, said: str) -> None:
    with pytest.raises(MapError) as caught:
        shop(tmp_path, channel, more=more)
    assert said in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize("columns", ['phone = "Tel"', 'name = "Buyer"', 'country = "Shipping Street"', 'currency = "E-mail"'])
def test_who_the_customer_is_comes_in_as_a_contact_only(tmp_path: Path, columns: str) -> None:
    with pytest.raises(MapError, match="would take in who the customer is") as caught:
        shop(tmp_path, columns=columns)
    assert "write it in [contact], which is sealed" in str(caught.value.fix)


# --- what has left ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as bench:
        yield bench


AS_IT_IS: dict[str, str] = {state: state for state in STATES} | {"picking": "approved", "packed": "approved"}


@pytest.mark.parametrize("state", STATES)
def test_an_order_comes_in_as_what_it_is_and_what_has_left_is_not_picked(bench: Bench, tmp_path: Path, state: str) -> None:
    using = shop(tmp_path, more=f'word = "{state}"')
    ((order,), _) = read(tmp_path, using, row(state="word", amount="2.00"))
    bench.send(*(bench.message("shop1", kind, payload) for kind, payload in order_events(order, using)))
    assert bench.status("s-1")["state"] == AS_IT_IS[state]
    picked = bench.tell("scan-1", "pick", "s-1", {"sku": "pen", "qty": 1})
    may_be_picked = state in ("paid", "approved", "picking", "packed")
    assert (picked["tone"] == "ok") is may_be_picked
    assert may_be_picked or bench.status("s-1")["state"] == state


def test_what_was_said_before_decides_what_is_new(tmp_path: Path) -> None:
    ((order,), _) = read(tmp_path, shop(tmp_path), row())
    said: dict[str, Any] = {"kinds": {"created", "paid", "approved"}, "lines": {"pen": 1}}
    using = shop(tmp_path)
    assert order_news(order, using, Said(**said)).events == []
    assert [kind for kind, _ in order_news(order, using, Said(**said | {"lines": {NO_SKU: 1}})).events] == ["amended"]
    assert order_news(order, using, Said(**said | {"lines": {NO_SKU: 1}, "state": "shipped"})).problem is not None


# --- rows with a status of their own, prices of pieces, times in pieces --------------------------------------------------------


def test_rows_may_have_a_status_each_and_cancelled_ones_do_not_count_beside_others(tmp_path: Path) -> None:
    using = shop(tmp_path, 'status_per = "row"\namount_per = "row"', more='packed = "approved"\ngone = "shipped"')
    rows = (row("1", amount="3"), row("1", sku="ink", state="packed", amount="4"), row("1", sku="cap", state="off", amount="5"))
    (order,), bad = read(tmp_path, using, *rows)
    assert (bad, order.expected, order.items, order.amount_minor) == ([], "approved", {"pen": 1, "ink": 1}, 700)
    (order,), _ = read(tmp_path, using, row("1", state="off"), row("1", sku="ink", state="off"))
    assert (order.expected, order.items) == ("cancelled", {"pen": 1, "ink": 1})
    assert "another status or time in line 2" in reasons(read(tmp_path, using, row("1"), row("1", sku="ink", state="gone")))
    assert "which [status] does not map" in reasons(read(tmp_path, using, row("1", state="odd"), row("1", sku="ink", state="off")))
    hint = 'set channel.status_per to "row" if each row has a status of its own'
    assert hint in reasons(read(tmp_path, shop(tmp_path), row("1"), row("1", sku="ink", state="off")))


def test_a_price_may_be_that_of_a_piece(tmp_path: Path) -> None:
    (order,), _ = read(tmp_path, shop(tmp_path, 'amount_per = "piece"'), row(qty="3", amount="2.50"), row(sku="ink", amount="1"))
    assert order.amount_minor == 850
    using = shop(tmp_path, 'amount_per = "piece"\nnegative_qty = "subtract"')
    (order,), _ = read(tmp_path, using, row(qty="3", amount="2.50"), row(qty="-1", amount="-2.50"))
    assert (order.items, order.amount_minor) == ({"pen": 2}, 500)


def test_words_in_times_stand_for_numbers_and_the_longest_counts_first(tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    shop(tmp_path, 'time_format = "%d-%m-%Y"')
    path.write_text(path.read_text() + '[time_words]\n"März" = "03"\n"Mär" = "x"\n', encoding="utf-8")
    orders, bad = read(tmp_path, read_map(path), "1;02-März-2026;ok;pen;1;", "2;02-April-2026;ok;pen;1;")
    assert [order.created_ms for order in orders] == [1_772_409_600_000]
    assert [one.reason for one in bad] == ["made is '02-April-2026', not a time in the format %d-%m-%Y"]


def test_every_column_of_a_time_must_be_there(tmp_path: Path) -> None:
    using = shop(tmp_path, columns='shipped = ["day", "hour"]')
    with pytest.raises(MapError, match="has no column 'hour'"):
        read(tmp_path, using, f"1;{MADE};ok;pen;1;;2026-11-21", header=f"{HEADER};day")
    with pytest.raises(MapError, match="must be a string"):
        shop(tmp_path, columns="shipped = []")


def test_a_row_without_an_article_number_is_noted(tmp_path: Path) -> None:
    (order,), _ = read(tmp_path, shop(tmp_path), row(sku=""))
    assert (order.items, order.odd) == ({NO_SKU: 1}, ("sku",))


# --- settings that contradict each other, texts that look the same --------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ('time_format = "%Y-%m-%dT%H:%M:%SZ"\ntimezone = "Europe/Berlin"', "has Z, and channel.timezone is 'Europe/Berlin'"),
        ('time_format = "%d.%m.%Y %H:%M UTC"\ntimezone = "Asia/Tokyo"', "has UTC, and channel.timezone is 'Asia/Tokyo'"),
        ('time_format = "%d/%m/%Y %H:%M %p"', "would read 03:00 PM as three in the morning"),
        ('time_format = "%d/%m/%Y %I:%M"', "can't tell the morning from the afternoon"),
    ],
)
def test_settings_that_would_read_something_else_than_the_file_says_are_refused(tmp_path: Path, channel: str, said: str) -> None:
    path = tmp_path / "map.toml"
    text = MAP.format(channel=channel, columns="", more="", status='"state"').replace('prefix = ""', 'prefix = "s-"')
    path.write_text(text.replace('timezone = "UTC"\n', "", 1) if "timezone" in channel else text)
    with pytest.raises(MapError) as refused:
        read_map(path)
    assert said in str(refused.value)
    assert refused.value.fix


def test_settings_that_fit_are_taken(tmp_path: Path) -> None:
    assert shop(tmp_path, 'time_format = "%Y-%m-%dT%H:%M:%SZ"\nstrip = ["€", "EUR"]').doubt is None
    assert shop(tmp_path, 'time_format = "%m/%d/%Y %I:%M %p"\nstrip = ["$", "kg"]\ncurrency = "CAD"').doubt is None
    assert shop(tmp_path, 'strip = ["$", "€"]', columns='currency = "cur"').doubt is None


def test_a_symbol_of_another_currency_is_named(tmp_path: Path) -> None:
    assert shop(tmp_path, 'strip = ["US $"]').doubt == "channel.strip has 'US $', and amounts are read in EUR: is channel.currency right?"
    assert shop(tmp_path, 'strip = ["SGD"]\ncurrency = "MYR"').doubt is not None


def test_a_character_that_is_not_seen_is_taken_away_at_the_ends_and_refused_inside(tmp_path: Path) -> None:
    (order,), bad = read(tmp_path, shop(tmp_path), row("\u200e1", sku="pen\u200b"), row("2", sku="in\u200bk"))
    assert (order.order, order.items) == ("s-1", {"pen": 1})
    assert "with a character that is not seen (U+200B)" in bad[0].reason

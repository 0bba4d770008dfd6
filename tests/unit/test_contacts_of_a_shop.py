"""What a mapping can take in of a customer, and what it refuses: whole tables of columns and cells, and never a cell in a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.inspect import type_info

from bridge.shop import MapError, ShopMap, ShopOrder, order_events, read_map, read_orders
from bridge.shop.contact_map import ENCODED, FIELDS, TEXTS
from bridge.shop.guessing import guess_map, map_text
from bridge.shop.identity_numbers import Kind, kind_by_name
from devices.protocol.bodies import Created
from devices.protocol.messages import decode_event, encode_cbor, load
from devices.protocol.private import Contact
from devices.protocol.vocabulary import EventType

MAP: Final = """
[channel]
name = "shop1"
prefix = "s-"
timezone = "UTC"
delimiter = ";"
{channel}
[columns]
order = "no"
created = "made"
{columns}
[contact]
{contact}
{more}
"""


def shop(tmp_path: Path, contact: str = "", *, columns: str = "", more: str = "", channel: str = "") -> ShopMap:
    path = tmp_path / "map.toml"
    path.write_text(MAP.format(contact=contact, columns=columns, more=more, channel=channel), encoding="utf-8")
    return read_map(path)


def read(tmp_path: Path, using: ShopMap, header: str, *rows: str) -> tuple[list[ShopOrder], list[str]]:
    """The orders of a file, and why others are left out. Each row is an order of its own, unless it begins with a number and a colon."""
    lines = [f"no;made;{header}"]
    for number, row in enumerate(rows, 1):
        order, _, cells = row.rpartition("|")
        lines.append(f"{order or number};2026-11-20 10:00:00;{cells}")
    path = tmp_path / "orders.csv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    orders, bad = read_orders(path, using)
    return orders, [row.reason for row in bad]


# --- what comes in ----------------------------------------------------------------------------------------------------------


def test_each_field_has_the_bounds_of_the_contract() -> None:
    fields: dict[str, Any] = {field.name: field.type for field in type_info(Contact).fields}  # type: ignore[attr-defined]
    texts = {name: next(t for t in kind.types if hasattr(t, "max_length")).max_length for name, kind in fields.items() if name not in ENCODED.values()}
    assert texts == TEXTS | {"country": 2}
    assert set(fields) == {ENCODED.get(name, name) for name in FIELDS}


@pytest.mark.parametrize(
    ("contact", "header", "cells", "said"),
    [
        ('name = ["a", "b", "c"]', "a;b;c", " Ada ;; Muster ", {"name": "Ada Muster"}),
        ('street = ["a", "b"]', "a;b", "Main Street;7", {"street": "Main Street 7"}),
        ('street = "a"', "a", '"Main  Street\n 7"', {"street": "Main Street 7"}),
        ('phone = "a"\npostcode = "b"', "a;b", "'0171 3920001;'01067", {"phone": "0171 3920001", "postcode": "01067"}),
        ('phone = "a"', "a", '"=""0171"""', {"phone": "0171"}),
        ('country = "a"', "a", "Germany", {"country": "DE"}),
        ('locale = "a"', "a", "de_AT", {"locale": "de-AT"}),
        ('lat = "a"\nlon = "b"', "a;b", "-48.2082;16.37381", {"lat_e7": -482_082_000, "lon_e7": 163_738_100}),
        ('lat = "a"\nlon = "b"', "a;b", "0;0.0", {}),
        ('note = "a"', "a", '"ring twice\n thank you"', {"note": "ring twice\nthank you"}),
        (
            'extra = "a"\ncompany = "b"\ncity = "c"\nregion = "d"',
            "a;b;c;d",
            "3rd floor;Muster;Wien;W",
            {"city": "Wien", "extra": "3rd floor", "region": "W", "company": "Muster"},
        ),
        ('identity = {column = "身份证号", sealed = true}', "身份证号", "11010519491231002X", {"identity": "11010519491231002X"}),
        ('company = {column = ["a", "Tax ID"], sealed = true}', "a;Tax ID", "Muster;52998224725", {"company": "Muster 52998224725"}),
    ],
)
def test_a_contact_comes_in_as_the_contract_has_it(tmp_path: Path, contact: str, header: str, cells: str, said: dict[str, Any]) -> None:
    using = shop(tmp_path, contact, more='[country]\nGermany = "DE"')
    ((order,), bad) = read(tmp_path, using, header, cells)
    assert (order.contact, bad) == (said, [])
    kind, payload = order_events(order, using)[0]
    event = decode_event(payload, kind)
    assert payload == encode_cbor(load(payload))
    assert isinstance(event.body, Created)
    assert event.body.contact == (Contact(**said) if said else None)


def test_the_rows_of_an_order_say_together_who_gets_it(tmp_path: Path) -> None:
    using = shop(tmp_path, 'name = "who"\nphone = "tel"\nnote = "note"')
    orders, bad = read(tmp_path, using, "who;tel;note", "1|Ada;;ring", "1|;;", "1|;0171;", "1|Ada;;knock", "2|Ada;;", "2|Eve;;")
    assert [order.contact for order in orders] == [{"name": "Ada", "note": "ring\nknock", "phone": "0171"}]
    assert bad == ["order s-2 has another who in line 6: an order has one recipient"]
    strict = shop(tmp_path, 'name = "who"', channel="fill_down = false")
    assert read(tmp_path, strict, "who", "1|Ada", "1|")[1] == ["order s-1 has another who in line 2: an order has one recipient"]


def test_ids_of_events_do_not_depend_on_who_gets_the_order(tmp_path: Path) -> None:
    ids = []
    for contact in ("", 'name = "who"'):
        using = shop(tmp_path, contact)
        ((order,), _) = read(tmp_path, using, "who", "Ada")
        ids.append([decode_event(payload, kind).id for kind, payload in order_events(order, using) if kind is EventType.CREATED])
    assert ids[0] == ids[1]


# --- what does not fit ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contact", "cell", "said"),
    [
        ('name = "a"', "Zauberer" * 30, "a has 240 characters, and name has at most 200: shorten it"),
        ('phone = "a"', "1.39e10", "a is a number that a spreadsheet has shortened: export the file again"),
        ('phone = "a"', "4,9171E+11", "a is a number that a spreadsheet has shortened"),
        ('phone = "a"', "491713920001.0", "a has decimals: a spreadsheet took it for a number"),
        ('phone = "a"', "171392", "a is not of the form [+]?[0-9]{9,}: did a spreadsheet change it?"),
        ('postcode = "a"', "1067", "a has fewer digits than a postcode of DE: did a spreadsheet take its zeros away?"),
        ('city = "a"', "#NAME?", "a is the error of a spreadsheet"),
        ('country = "a"', "Zauberland", "a is not a code such as DE: map its word in [country]"),
        ('locale = "a"', "German, please", "a is not the tag of a language, such as zh-Hans or de-AT"),
        ('lat = "a"\nlon = "b"', "91;1", "a is not in degrees, such as 48.2082"),
        ('lat = "a"\nlon = "b"', "north;1", "a is not in degrees, such as 48.2082"),
        ('lat = "a"\nlon = "b"', "48.2;", "b is empty: a place needs latitude and longitude"),
        ('note = "a"', "x" * 1_001, "a has 1001 characters, and note has at most 1000"),
        ('note = "a"', "x\0", "the row contains a NUL character"),
    ],
)
def test_a_cell_that_does_not_fit_is_named_with_its_fix_and_not_quoted(tmp_path: Path, contact: str, cell: str, said: str) -> None:
    using = shop(tmp_path, contact, channel='country = "DE"', more='[patterns]\nphone = "[+]?[0-9]{9,}"' if cell == "171392" else "")
    orders, (reason,) = read(tmp_path, using, "a;b" if "lat" in contact else "a", cell)
    assert orders == []
    assert reason.startswith(said)
    assert cell.split(";")[0] not in reason


@pytest.mark.parametrize("column", ["qty", "amount", "paid", "currency", "payment", "country", "sku"])
def test_a_row_that_is_out_of_place_does_not_show_who_is_in_another_column(tmp_path: Path, column: str) -> None:
    patterns = '[patterns]\nsku = "[0-9]+"'
    for contact, is_quoted in (("", True), ('name = "b"', False)):
        using = shop(tmp_path, contact, columns=f'{column} = "a"' + ('\namount = "b"' if column == "currency" else ""), more=patterns)
        _, (reason,) = read(tmp_path, using, "a;b", "Zauberer 7;1")
        assert ("Zauberer" in reason) is is_quoted, reason


@pytest.mark.parametrize(
    ("contact", "said", "fix"),
    [
        ('email = "a"', "contact.email is not a field", "choose one of name, phone"),
        ('zip = "a"', "contact.zip is not a field", "did you mean postcode?"),
        ("name = 7", "contact.name is not a column", 'write name = "Column", name = ["First column", "Second column"]'),
        ("name = []", "contact.name is not a column", "write name"),
        ('name = {column = "a", seal = true}', "contact.name is not a column", "sealed = true"),
        ('name = {column = "a", sealed = "yes"}', "contact.name is not a column", "sealed = true"),
        ('phone = ["a", "b"]', "contact.phone has 2 columns", "choose one of them"),
        ('lat = "a"', "contact has only one of lat and lon", "name both columns, or none"),
        ('identity = "a"', "contact.identity is for the number of an identity document", 'write identity = {column = "a", sealed = true}'),
    ],
)
def test_a_section_that_can_not_be_used_is_refused_with_a_fix(tmp_path: Path, contact: str, said: str, fix: str) -> None:
    with pytest.raises(MapError) as caught:
        shop(tmp_path, contact)
    assert said in str(caught.value)
    assert fix in str(caught.value.fix)


def test_a_file_without_names_of_columns_is_refused_without_naming_a_customer(tmp_path: Path) -> None:
    for line in ("1;2026-11-20 10:00:00;Zauberer;Musterweg 17", "1;yesterday;Zauberer;anna@muster.example"):
        (tmp_path / "orders.csv").write_text(f"{line}\n{line}\n")
        for look in (lambda: read_orders(tmp_path / "orders.csv", shop(tmp_path, 'name = "who"')), lambda: guess_map(tmp_path / "orders.csv")):
            with pytest.raises(MapError) as caught:
                look()
            assert "its first line does not look like the names of columns" in str(caught.value.fix)
            assert "Zauberer" not in f"{caught.value} {caught.value.fix}"


# --- numbers of identity documents, taxpayers, bank accounts and cards -------------------------------------------------------

OF: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.IDENTITY: (
        *("ID Number", "National ID", "Identity Card", "Passport No.", "SSN", "身份证号", "收件人身份证号码", "身分證字號", "证件号码", "护照号"),
        *(
            "Personalausweisnummer",
            "Reisepass",
            "Sozialversicherungsnummer",
            "DNI",
            "Cédula",
            "Número de documento",
            "Pasaporte",
            "Documento de identidade",
            "RG",
        ),
        *("CURP", "PESEL", "BSN", "주민등록번호", "マイナンバー"),
    ),
    Kind.TAX: (
        *(
            "Tax ID",
            "taxNumber",
            "VAT No",
            "vat_number",
            "税号",
            "纳税人识别号",
            "统一社会信用代码",
            "統一編號",
            "Steuernummer",
            "Steuer-ID",
            "USt-IdNr.",
            "NIF / CIF",
        ),
        *(
            "RFC",
            "CUIT",
            "RUT",
            "CPF",
            "CNPJ",
            "CPF/CNPJ",
            "Inscrição estadual",
            "Codice fiscale",
            "Partita IVA",
            "P.IVA",
            "SIRET",
            "Numéro de TVA",
            "GSTIN",
            "ИНН",
        ),
    ),
    Kind.BANK: (
        "IBAN",
        "Bank Account",
        "Account Number",
        "银行卡号",
        "银行账号",
        "Kontonummer",
        "Bankverbindung",
        "Número de cuenta",
        "Conta bancária",
        "CLABE",
        "BIC",
    ),
    Kind.CARD: ("Credit Card Number", "Card No", "卡号", "Kreditkartennummer", "Número de tarjeta", "Número do cartão"),
}
NO_NUMBERS: Final = (
    "Order ID",
    "id_order",
    "Transaction ID",
    "Buyer ID",
    "Tax",
    "VAT",
    "Payment Method",
    "Card",
    "Credit Card Type",
    "Item Number",
    "PO#",
    "订单号",
)


def test_columns_are_refused_by_their_names_wherever_they_are_mapped(tmp_path: Path) -> None:
    for kind, names in OF.items():
        for name in names:
            for setting in ({"columns": f'sku = "{name}"'}, {"columns": f'status = ["{name}"]'}, {"contact": f'note = "{name}"'}):
                with pytest.raises(MapError, match=f"looks like a column with the number of {kind}") as caught:
                    shop(tmp_path, **setting)
                assert f'identity = {{column = "{name}", sealed = true}}' in str(caught.value.fix)
            shop(tmp_path, f'identity = {{column = "{name}", sealed = true}}')
    assert {name: kind_by_name(name) for name in NO_NUMBERS} == dict.fromkeys(NO_NUMBERS)


CERTAIN: Final = {
    "11010519491231002X": Kind.IDENTITY,
    "11010519491231002x": Kind.IDENTITY,
    "１１０１０５１９４９１２３１００２Ｘ": Kind.IDENTITY,
    "id 11010519491231002X please": Kind.IDENTITY,
    "DE89370400440532013000": Kind.BANK,
    "de89 3704 0044 0532 0130 00 thanks": Kind.BANK,
    "GB82WEST12345698765432": Kind.BANK,
    "529.982.247-25": Kind.TAX,
    "11.222.333/0001-81": Kind.TAX,
}
IN_WORDS: Final = {
    "4111 1111 1111 1111": Kind.CARD,
    "5500-0000-0000-0004": Kind.CARD,
    "378282246310005": Kind.CARD,
    "6200000000000005": Kind.CARD,
    "52998224725": Kind.TAX,
    "11222333000181": Kind.TAX,
}
INNOCENT: Final = (
    "110105194912310021",
    "DE89370400440532013001",
    "529.982.247-26",
    "4111111111111112",
    "13812345678",
    "576400000000000017",
    "9400100000000000000017",
)


def test_rows_are_refused_by_what_is_in_them_and_it_is_not_quoted(tmp_path: Path) -> None:
    everywhere = (
        {"columns": 'sku = "a"'},
        {"columns": 'tracking = "a"'},
        {"columns": 'status = "a"'},
        *({"contact": f'{name} = "a"'} for name in ("name", "phone", "note")),
    )
    words = (
        {"columns": 'carrier = "a"'},
        {"columns": 'status = "a"'},
        *({"contact": f'{name} = "a"'} for name in ("name", "company", "street", "extra", "city")),
    )
    for settings, numbers in ((everywhere, CERTAIN), (words, IN_WORDS)):
        for setting in settings:
            orders, reasons = read(tmp_path, shop(tmp_path, **setting), "a", *numbers)
            assert orders == []
            assert [reason.split(": ")[0] for reason in reasons] == [f"a has what looks like the number of {kind}" for kind in numbers.values()]
            assert not any(number in reason for number in numbers for reason in reasons)
    assert read(tmp_path, shop(tmp_path, 'note = "a"'), "a", *INNOCENT)[1] == []


def test_a_number_in_another_column_is_not_quoted_either(tmp_path: Path) -> None:
    for columns in ('qty = "a"', 'amount = "a"', 'paid = "a"', 'currency = "a"'):
        for number in ("11010519491231002X", "529.982.247-25"):
            _, (reason,) = read(tmp_path, shop(tmp_path, columns=columns), "a", number)
            assert reason.startswith("a has what looks like the number of ")


def test_a_column_of_plain_numbers_is_refused_as_a_whole(tmp_path: Path) -> None:
    people = ("52998224725", "11144477735", "12345678909", "98765432100", "39053344705")
    for setting in ({"columns": 'sku = "a"'}, {"contact": 'phone = "a"'}, {"contact": 'note = "a"'}):
        with pytest.raises(MapError, match="most cells of the column 'a' look like the number of a taxpayer"):
            read(tmp_path, shop(tmp_path, **setting), "a", *people)
        assert read(tmp_path, shop(tmp_path, **setting), "a", *people[:2], "13812345678", "13812345679")[1] == []
    said = shop(tmp_path, columns='sku = "a"', more='[patterns]\nsku = "[0-9]{11}"')
    assert read(tmp_path, said, "a", *people)[1] == [], "the map says that these are SKUs"


# --- a first mapping --------------------------------------------------------------------------------------------------------


def test_a_first_mapping_marks_what_is_personal_and_leaves_out_numbers(tmp_path: Path) -> None:
    header = "订单号,Order Date,Order Number,收件人,手机,详细地址,邮编,国家,身份证号,Extra code,SKU"
    rows = [f"x,2026-11-20 10:00:00,{no},王伟,1381234567{no},测试路 1,010000,China,,52998224725,11010519491231002X" for no in range(3)]
    (tmp_path / "orders.csv").write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    guess = guess_map(tmp_path / "orders.csv")
    assert {name: column.columns for name, column in guess.contact.items()} == {
        "name": ("收件人",),
        "phone": ("手机",),
        "street": ("详细地址",),
        "postcode": ("邮编",),
        "country": ("国家",),
    }
    assert guess.numbers == {"身份证号": Kind.IDENTITY, "Extra code": Kind.TAX, "SKU": Kind.IDENTITY}
    assert "sku" not in guess.columns
    text = map_text(guess, "orders.csv")
    assert "# Personal data: who gets an order, and where. It is sealed before it is stored." in text
    assert '# country = "国家"   # map its words in [country] first' in text
    assert "# '身份证号' is left out: it looks like the number of an identity document." in text

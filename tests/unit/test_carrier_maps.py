"""Maps of carriers that are wrong, and rows that can't be used: each is refused in words that name the setting or the column, and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.carrier.mapping import CarrierMap, MapError, Meaning, read_carrier_map
from bridge.carrier.rows import Reader, StatusRow
from bridge.shop.rows import BadRow

GOOD = """
[channel]
name = "sf"
carrier = "SF Express"
timezone = "Asia/Shanghai"
prefix = "shop1-"
[columns]
tracking = "no"
order = "order"
at = "at"
status = ["code", "word"]
place = "place"
country = "country"
[status]
"80" = { event = "delivery" }
"31" = { event = "arrive" }
"Departed Facility*" = { event = "depart" }
"Departed Facility in error*" = "leave_out"
"IC" = { event = "customs_entered", direction = "import" }
"647" = "not_received"
[country]
Deutschland = "DE"
[leave_out]
word = ["test"]
[patterns]
tracking = "SF[0-9]{13}"
"""
HEADER = ["no", "order", "at", "code", "word", "place", "country"]
WRONG = {
    "a section": ('[country]\nDeutschland = "DE"', '[sender]\nx = "y"', "[sender] is not a section"),
    "no name": ('name = "sf"\n', "", "channel.name is missing"),
    "no carrier": ('carrier = "SF Express"\n', "", "channel.carrier is missing"),
    "the zone": ("Asia/Shanghai", "China/Shanghai", "channel.timezone 'China/Shanghai' is not a known time zone"),
    "a setting": ('prefix = "shop1-"', "window = 4", "channel.window is not a setting"),
    "half a day": ('prefix = "shop1-"', 'time_format = "%d.%m.%Y %H:%M %p"', "channel.time_format has %p without %I"),
    "a column": ('place = "place"', 'remark = "remark"', "columns.remark is not a known column"),
    "no time": ('at = "at"\n', "", "columns.at is missing"),
    "no parcel": ('tracking = "no"\norder = "order"\n', "", "columns.tracking is missing"),
    "several places": ('place = "place"', 'place = ["a", "b"]', "columns.place must be the name of a column"),
    "no status": (GOOD[GOOD.index("[status]") : GOOD.index("[country]")], "", "[status] is missing"),
    "a bare word": ('{ event = "arrive" }', '"arrive"', "status.31 is 'arrive'"),
    "an event of the shop": ('{ event = "arrive" }', '{ event = "paid" }', "a carrier does not send 'paid'"),
    "a void": ('{ event = "arrive" }', '{ event = "void" }', "a carrier does not send 'void'"),
    "a field": ('{ event = "arrive" }', '{ event = "arrive", hup = "x" }', "arrive has no hup"),
    "a missing field": ('direction = "import"', 'reason = "x"', "direction: missing"),
    "a wrong word": ('direction = "import"', 'direction = "in"', "'in' is not in the vocabulary"),
    "a wrong proof": ('{ event = "delivery" }', '{ event = "delivery", pod = "blood" }', "'blood' is not in the vocabulary"),
    "a country": ('Deutschland = "DE"', 'Deutschland = "Germany"', "country.Deutschland is 'Germany'"),
    "a pattern": ("SF[0-9]{13}", "SF[0-9", "patterns.tracking"),
    "no TOML": ("[columns]", "[columns", "fix that line"),
}
"""What is replaced in the good map, by what, and what is said."""


def made(folder: Path, text: str = GOOD) -> CarrierMap:
    (folder / "map.toml").write_text(text)
    return read_carrier_map(folder / "map.toml")


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_map_is_refused_with_its_fix(tmp_path: Path, name: str) -> None:
    old, new, said = WRONG[name]
    assert old in GOOD
    with pytest.raises(MapError) as refused:
        made(tmp_path, GOOD.replace(old, new, 1))
    assert said in f"{refused.value} {refused.value.fix}"
    assert refused.value.fix


def test_there_is_no_map(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="does not exist") as refused:
        read_carrier_map(tmp_path / "map.toml")
    assert "config/samples/carriers" in str(refused.value.fix)


def row(
    no: str = "SF1000000000101", order: str = "", at: str = "2026-11-24 09:31:44", code: str = "80", word: str = "", place: str = "", country: str = ""
) -> list[str]:
    return [no, order, at, code, word, place, country]


def read(folder: Path, cells: list[str]) -> StatusRow | BadRow | None:
    return Reader(made(folder), HEADER).read(7, cells)


BAD = {
    "no number": (row(no=""), "no is empty"),
    "no time": (row(at=""), "at is empty"),
    "another time": (row(at="24.11.2026"), "at is '…', not a time in the format"),
    "a time before 2020": (row(at="2019-11-24 09:31:44"), "at lies before 2020: is channel.time_format right?"),
    "no status": (row(code=""), "code and word is empty"),
    "a shortened number": (row(no="1.0E+12"), "did a spreadsheet change it"),
    "another number": (row(no="JD0146"), "not of the form SF[0-9]{13}"),
    "an invisible character": (row(no="SF10000000\u200b00101"), "no is '…', with a character that is not seen"),
    "a number that is none": (row(no="\u0378"), "no is '…', which"),
    "a sentence as status": (row(code="signed by Ada Byron"), "code + word has a status that the map does not name, and that is no code"),
    "an order that is no topic": (row(no="", order="a\x00b"), "a character that is not seen"),
    "a long order": (row(no="", order="9" * 96), "an order id has at most 96 characters"),
    "customs of nowhere": (row(code="IC"), "customs_entered needs a country"),
    "a country's name": (row(code="IC", country="France"), "country is '…', which is not a code such as DE"),
    "a cell too few": (row()[:-1], "the row has more or fewer fields than the header: 6, not 7"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_cant_be_used_says_why(tmp_path: Path, name: str) -> None:
    cells, said = BAD[name]
    bad = read(tmp_path, cells)
    assert isinstance(bad, BadRow)
    assert (bad.line, said in bad.reason) == (7, True), bad.reason


SECRETS = ("Ada Byron, 12 Dock Road", "+44 20 7946 0018", "4111 1111 1111 1111", "Ada's brother signed")


@pytest.mark.parametrize("column", range(len(HEADER)))
@pytest.mark.parametrize("secret", SECRETS)
def test_no_cell_is_quoted_whatever_stands_in_it(tmp_path: Path, column: int, secret: str) -> None:
    reader = Reader(made(tmp_path, GOOD.replace('"SF[0-9]{13}"', '"SF[0-9]{13}"\norder = "[0-9]+"')), HEADER)
    cells = row(code="IC", country="DE", order="1001")
    cells[column] = secret
    for line, edited in enumerate((cells, [*cells[:2], secret, *cells[3:]]), 1):
        said = reader.read(line, edited)
        told = f"{said.reason if isinstance(said, BadRow) else said.status if said else ''} {dict(reader.unknown)} {dict(reader.left_out)}"
        assert secret not in told
        assert repr(secret)[1:-1] not in told


def test_a_status_that_is_no_code_is_shown_as_the_map_has_it(tmp_path: Path) -> None:
    reader = Reader(made(tmp_path), HEADER)
    said = reader.read(2, row(code="", word="Departed Facility, handed to Ada Byron"))
    assert isinstance(said, StatusRow)
    assert said.status == "departed facility*"
    assert reader.read(3, row(code="", word="Departed Facility in error, says Ada Byron")) is None
    assert dict(reader.left_out) == {"departed facility in error*": 1}


def test_a_row_says_what_where_and_when(tmp_path: Path) -> None:
    said = read(tmp_path, row(no=" SF 1000000000101 ".replace(" SF ", "SF"), code="31", place="上海\x07浦江"))
    assert isinstance(said, StatusRow)
    assert (said.number, said.event, said.body, said.at_ms) == ("SF1000000000101", "arrive", {"hub": "上海浦江"}, 1_795_483_904_000)
    assert isinstance(delivered := read(tmp_path, row()), StatusRow)
    assert delivered.body == {"pod": {"method": "none"}}
    assert isinstance(nowhere := read(tmp_path, row(code="31")), StatusRow)
    assert nowhere.body == {"hub": "SF Express"}, "a row without a place is at the carrier's"
    assert isinstance(cleared := read(tmp_path, row(code="IC", country="Deutschland")), StatusRow)
    assert cleared.body == {"direction": "import", "country": "DE"}
    assert isinstance(by_order := read(tmp_path, row(no="", order="1001")), StatusRow)
    assert (by_order.number, by_order.order) == (None, "shop1-1001")
    assert isinstance(lacking := read(tmp_path, row(code="647")), StatusRow)
    assert lacking.event is None


def test_statuses_are_found_in_any_case_and_by_their_beginning(tmp_path: Path) -> None:
    carrier = made(tmp_path)
    departed = carrier.meaning_of("departed  facility in LEIPZIG")
    assert isinstance(departed, Meaning)
    assert departed.event == "depart"
    assert carrier.meaning_of("Departed facility in error at LEIPZIG") == "leave_out", "the longest that fits"
    assert carrier.meaning_of("Arrived") is None


def test_the_first_column_that_says_something_is_the_status(tmp_path: Path) -> None:
    reader = Reader(made(tmp_path), HEADER)
    said = reader.read(2, row(code="", word="Departed Facility in LEJ"))
    assert isinstance(said, StatusRow)
    assert said.event == "depart"
    assert reader.read(3, row(code="", word="test")) is None
    assert reader.read(4, row(code="99", word="80")) is None
    assert reader.read(5, [""] * 7) is None
    assert (reader.rows_left_out, dict(reader.unknown), dict(reader.left_out)) == (1, {"99": 1}, {})

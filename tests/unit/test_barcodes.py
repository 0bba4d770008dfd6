"""What a scanned text names, compared with the test vectors of GS1's own syntax engine."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from biip.checksums import gs1_standard_check_digit
from biip.gs1_application_identifiers import _GS1_APPLICATION_IDENTIFIERS, GS1ApplicationIdentifier
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from bridge.domain.barcodes import CODE_CHARS_MAX, Element, Elements, Kind, Scanned, Unreadable, elements, read
from devices.protocol.vocabulary import Reason

SSCC = "006141411234567890"
GTIN = "09520123456788"

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "gs1_vectors.json").read_text("utf-8"))
"""GS1 Barcode Syntax Engine and Dictionary, Apache-2.0; the file has the details."""

WORD_IN_PATH = "switch: words for AIs in the path are allowed here"
SHORT_GTIN = "switch: a GTIN without its leading zeros is allowed here"
UNKNOWN_AI = "switch: an AI that the dictionary does not know is allowed in a query here"
NO_SYMBOLOGY = "a scan without symbology identifier is a plain text here: many scanners send none"
EMPTY_SYMBOL = "an empty symbol is a sound transmission, but names nothing"

DIFFERENCES: dict[tuple[str, bool], str] = {
    ("https://a/gtin/12312312312333", False): WORD_IN_PATH,
    ("https://a/01/2112345678900", False): SHORT_GTIN,
    ("https://a/01/416000336108", False): SHORT_GTIN,
    ("https://a/01/02345673", False): SHORT_GTIN,
    ("https://example.com/01/09520123456788?99=XYZ&89=ABC123", False): UNKNOWN_AI,
    ("ABC", False): NO_SYMBOLOGY,
    ("]Q1", True): EMPTY_SYMBOL,
    ("]d1", True): EMPTY_SYMBOL,
    ("]J0", True): EMPTY_SYMBOL,
}
"""The vectors (input, expected to be valid) that this project reads differently from the reference, and why."""


# ---- the vectors


@pytest.mark.parametrize("vector", VECTORS["ai_element_strings"] + VECTORS["digital_link_uris"], ids=lambda v: v["input"])
def test_element_strings_and_links_agree_with_the_reference(vector: dict[str, Any]) -> None:
    found = elements(vector["input"])
    agrees = as_the_engine_writes(found) == vector["expect"] if vector["ok"] else not is_gs1(found)
    assert agrees is not is_known_difference(vector)


@pytest.mark.parametrize("vector", VECTORS["scanner_transmissions"], ids=lambda v: v["input"])
def test_transmissions_agree_with_the_reference(vector: dict[str, Any]) -> None:
    scanned = read(vector["input"])
    agrees = holds(vector["input"], scanned, vector) if vector["ok"] else isinstance(scanned, Unreadable)
    assert agrees is not is_known_difference(vector)


@pytest.mark.parametrize("vector", VECTORS["csum"], ids=lambda v: v["input"])
def test_check_digits_agree_with_the_reference(vector: dict[str, Any]) -> None:
    digits = vector["input"]
    scanned = read(f"https://example.com/01/{digits}" if len(digits) < 17 else f"]C100{digits}")
    if vector["ok"]:
        assert isinstance(scanned, Scanned)
        assert scanned.key == digits.zfill(14)
    else:
        assert isinstance(scanned, Unreadable)
        assert scanned.reason == (Reason.CHECK_DIGIT if vector["error"] == "GS1_LINTER_INCORRECT_CHECK_DIGIT" else Reason.UNREADABLE_CODE)


def test_every_sound_vector_names_something() -> None:
    sound = [v["input"] for name in ("ai_element_strings", "digital_link_uris") for v in VECTORS[name] if v["ok"]]
    others = {code: found.reason for code in sound if isinstance(found := read(code), Unreadable)}
    assert others == {"https://example.com/8004/9520614141234567?01=09520123456788": Reason.CONTAINER}


def test_the_known_differences_are_among_the_vectors() -> None:
    there = {(v["input"], v["ok"]) for name in ("ai_element_strings", "digital_link_uris", "scanner_transmissions") for v in VECTORS[name]}
    assert set(DIFFERENCES) <= there


def test_the_vectors_are_all_there() -> None:
    counts = {name: len(vectors) for name, vectors in VECTORS.items() if isinstance(vectors, list)}
    assert counts == {"ai_element_strings": 27, "digital_link_uris": 83, "scanner_transmissions": 54, "csum": 14}


# ---- parcels


@pytest.mark.parametrize(
    "code",
    [
        SSCC,
        f"00{SSCC}",
        f"(00){SSCC}",
        "(00) 0 0614141 123456789 0",
        f"]C100{SSCC}",
        f"\x1d00{SSCC}",
        f"]d200{SSCC}10LOT7\x1d37240",
        f"00{SSCC}37240",
        f"https://example.com/00/{SSCC}",
        f"https://example.com/some/stem/sscc/{SSCC}?lang=zh#top",
        f"HTTPS://EXAMPLE.COM/00/{SSCC}",
        f"]Q1https://example.com/00/{SSCC}",
        f" {SSCC}\r\n",
    ],
)
def test_an_sscc_is_the_same_however_it_is_printed(code: str) -> None:
    scanned = read(code)
    assert isinstance(scanned, Scanned)
    assert (scanned.kind, scanned.key) == (Kind.SSCC, SSCC)


@pytest.mark.parametrize("form", ["{}", "00{}", "(00){}", "]C100{}", "https://example.com/00/{}"])
def test_a_wrong_check_digit_is_named_with_the_right_one(form: str) -> None:
    wrong = f"{SSCC[:-1]}4"
    assert read(form.format(wrong)) == Unreadable(Reason.CHECK_DIGIT, f"the check digit of SSCC {wrong} is 4, should be 0")


@pytest.mark.parametrize("code", ["(8003)09520123456788", "]C18003095201234567881234", "(8004)95206141A1", "https://example.com/8004/95206141A1"])
def test_a_container_is_not_a_parcel(code: str) -> None:
    scanned = read(code)
    assert isinstance(scanned, Unreadable)
    assert scanned.reason == Reason.CONTAINER


def test_a_parcel_in_a_container_is_a_parcel() -> None:
    scanned = read(f"(00){SSCC}(8003)09520123456788")
    assert isinstance(scanned, Scanned)
    assert scanned.key == SSCC


# ---- articles and orders


@pytest.mark.parametrize(
    "code",
    [
        "9520123456788",
        GTIN,
        "]E09520123456788",
        "]E3952012345678812",
        f"(01){GTIN}(17)991231(10)LOT7(21)S1",
        f"01{GTIN}10LOT7",
        f"]C101{GTIN}10LOT7\x1d21S1",
        "]Q1https://example.com/01/9520123456788",
    ],
)
def test_a_gtin_is_the_same_however_it_is_printed(code: str) -> None:
    scanned = read(code)
    assert isinstance(scanned, Scanned)
    assert (scanned.kind, scanned.key) == (Kind.GTIN, GTIN)


def test_a_serial_number_is_kept() -> None:
    assert read(f"https://example.com/01/{GTIN}/21/A%2F7") == Scanned(kind=Kind.GTIN, key=GTIN, text=f"https://example.com/01/{GTIN}/21/A%2F7", serial="A/7")


@pytest.mark.parametrize("code", [f"(00){SSCC}(400)PO-17", f"]C100{SSCC}400PO-17", f"https://example.com/00/{SSCC}?400=PO-17"])
def test_a_parcel_can_carry_its_order_number(code: str) -> None:
    scanned = read(code)
    assert isinstance(scanned, Scanned)
    assert (scanned.kind, scanned.key, scanned.order) == (Kind.SSCC, SSCC, "PO-17")


def test_an_order_number_can_stand_alone() -> None:
    assert read("]C1400PO-17") == Scanned(kind=Kind.ORDER, key="PO-17", text="400PO-17", order="PO-17")


def test_another_gs1_code_is_known_by_its_bracketed_form() -> None:
    scanned = read("]C142010115\x1d91ABC(7")
    assert scanned == Scanned(kind=Kind.OTHER, key="(420)10115(91)ABC\\(7", text="42010115\x1d91ABC(7")
    again = read(scanned.key)
    assert isinstance(again, Scanned)
    assert again.key == scanned.key


# ---- plain texts

PLAIN = ["PO-17", "1Z999AA10123456784", "shop1-1001", "17", "订单17", "JD014600003SE", "H-1", "http", "HtTp://a/00/1", "400PO17", "PO 17/3", "8003-x", "010203"]


@pytest.mark.parametrize("code", PLAIN)
def test_anything_else_is_plain_to_the_letter(code: str) -> None:
    assert read(code) == Scanned(kind=Kind.PLAIN, key=code, text=code)


@pytest.mark.parametrize("code", ["12345671", "416000336109", "1234567890129", "12345678901232", "0112345678901232", "00123456789012345"])
def test_digits_with_a_wrong_check_digit_are_a_waybill_number(code: str) -> None:
    assert read(code) == Scanned(kind=Kind.PLAIN, key=code, text=code)


def test_digits_that_look_like_a_gtin_keep_their_text() -> None:
    scanned = read("1234567890128")
    assert scanned == Scanned(kind=Kind.GTIN, key="01234567890128", text="1234567890128")


@pytest.mark.parametrize("code", ["]E01234567890129", "]E412345671", "(01)12345678901232", "]C10112345678901232"])
def test_where_something_claims_the_digits_a_wrong_check_digit_is_an_error(code: str) -> None:
    scanned = read(code)
    assert isinstance(scanned, Unreadable)
    assert scanned.reason == Reason.CHECK_DIGIT


@pytest.mark.parametrize("prefix", ["]C0", "]A0", "]Q1", "]d1", "]L2", "]zC", "]I1"])
def test_a_symbology_identifier_is_taken_off(prefix: str) -> None:
    assert read(f"{prefix}PO-17") == Scanned(kind=Kind.PLAIN, key="PO-17", text="PO-17")


@pytest.mark.parametrize(
    "code",
    [
        "",
        " \r\n",
        "\x1d",
        "]C1",
        "]XX17",
        "PO\x0017",
        "\x1dPO-17",
        "(10)",
        "(00)١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨",
        "https://example.com/track/JD0146",
        f"https://example.com/01/{GTIN}/21/1/10/2",
        f"(00){SSCC}(00)106141411234567897",
    ],
)
def test_what_names_nothing_is_unreadable(code: str) -> None:
    scanned = read(code)
    assert isinstance(scanned, Unreadable)
    assert scanned.reason == Reason.UNREADABLE_CODE


@pytest.mark.parametrize("first", ["P", "1", "(", "h"])
def test_a_code_can_be_too_long(first: str) -> None:
    scanned = read(first * (CODE_CHARS_MAX + 1))
    assert isinstance(scanned, Unreadable)
    assert "at most" in scanned.detail


# ---- for every text

DIGITS = st.text("0123456789", min_size=1, max_size=20)
PIECES = st.sampled_from(
    ["00", "01", "(00)", "(400)", "]C1", "]E0", "]Q1", "|]e0", "\x1d", "\\(", "https://a", "/", "/01/", "?", "=", "&", "%2F", "%00", "10", SSCC, GTIN]
)
ANY_TEXT = st.text() | st.lists(PIECES | DIGITS | st.text(max_size=4), max_size=8).map("".join)


@given(ANY_TEXT)
@example("\ud800")
@example("]C100" + "٠" * 18)
@example("https://[::1")
@example("9" * 100_000)
@example("P\x00")
@settings(deadline=None)
def test_no_text_can_raise(code: str) -> None:
    scanned = read(code)
    if isinstance(scanned, Scanned):
        assert scanned.key
        assert scanned.key.isprintable()
    else:
        assert scanned.detail.isprintable()
        scanned.detail.encode()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).filter(lambda text: text == text.strip() and not text.startswith("]")))
@settings(deadline=None)
def test_a_symbology_identifier_that_claims_nothing_changes_nothing(code: str) -> None:
    assert read(f"]C0{code}") == read(code)


@given(st.sampled_from(["A0", "C0", "C2", "L2", "Q1", "d1", "zC"]), ANY_TEXT, ANY_TEXT)
@example("d1", "01" + GTIN + "10A", "21B")
@example("L2", "", "00" + SSCC)
@example("C0", "(01)" + GTIN + "(10)A", "(21)B")
@settings(deadline=None)
def test_fnc1_after_a_symbology_identifier_that_is_not_gs1_claims_nothing(symbology: str, before: str, after: str) -> None:
    code = f"]{symbology}{before}\x1d{after}"
    assume("http" not in code.lower())
    assume("[)>\x1e" not in code)
    scanned = read(code)
    assert isinstance(scanned, Unreadable) or scanned.kind is Kind.PLAIN
    assert not isinstance(found := elements(code), tuple) or found == ()


@given(st.integers(0, 10**17 - 1), st.integers(0, 17), st.integers(1, 9))
@settings(deadline=None)
def test_one_changed_digit_of_an_sscc_is_always_noticed(payload: int, at: int, by: int) -> None:
    sscc = with_check_digit(f"{payload:017}")
    assert isinstance(read(sscc), Scanned)
    assert is_wrong_check_digit(changed(sscc, at, by))


@given(st.sampled_from([8, 12, 13, 14]), st.integers(0, 10**13 - 1), st.integers(0, 13), st.integers(1, 9))
@settings(deadline=None)
def test_one_changed_digit_of_a_gtin_is_always_noticed(length: int, payload: int, at: int, by: int) -> None:
    gtin = with_check_digit(f"{payload:013}"[-(length - 1) :])
    scanned = read(gtin)
    assert isinstance(scanned, Scanned)
    assert (scanned.kind, scanned.key) == (Kind.GTIN, gtin.zfill(14))
    other = changed(gtin, at % length, by)
    assert is_wrong_check_digit(f"https://example.com/01/{other}")
    assert read(other) == Scanned(kind=Kind.PLAIN, key=other, text=other)


def test_no_pattern_takes_long_over_a_hostile_value() -> None:
    started = time.perf_counter()
    for ai in _GS1_APPLICATION_IDENTIFIERS:
        read(f"]C1{ai}{'%41' * 32}~")  # with biip's unchanged patterns: a second for some AIs, 40 s with eight more escapes
    assert time.perf_counter() - started < 2


# ---- helpers


def is_known_difference(vector: dict[str, Any]) -> bool:
    return (vector["input"], vector["ok"]) in DIFFERENCES


def is_gs1(found: Elements | Unreadable) -> bool:
    return bool(found) and not isinstance(found, Unreadable)


def is_wrong_check_digit(code: str) -> bool:
    scanned = read(code)
    return isinstance(scanned, Unreadable) and scanned.reason == Reason.CHECK_DIGIT


def holds(code: str, scanned: Scanned | Unreadable, vector: dict[str, Any]) -> bool:
    """Whether a transmission was read as in the engine's data string."""
    if isinstance(scanned, Unreadable):
        return False
    found = elements(code)
    assert not isinstance(found, Unreadable)
    expect = str(vector["expect"])
    if vector["symbology"].startswith("EAN"):
        digits, _, composite = expect.partition("|")
        return found[0] == ("01", digits.zfill(14)) and as_the_engine_writes(found[1:]) == composite
    if expect.startswith("^"):
        return as_the_engine_writes(found) == expect
    return scanned.text == re.sub(r"^\\(\\*\^)", r"\1", expect)


def as_the_engine_writes(found: Elements | Unreadable) -> str:
    """`^` at the front, and after each value of variable length."""
    if isinstance(found, Unreadable) or not found:
        return ""
    return "^" + "".join(ai + value + ("^" if ends_with_fnc1(ai) else "") for ai, value in found[:-1]) + "".join(found[-1])


def ends_with_fnc1(ai: str) -> bool:
    return GS1ApplicationIdentifier.extract(ai).separator_required


def with_check_digit(payload: str) -> str:
    return f"{payload}{gs1_standard_check_digit(payload)}"


def changed(digits: str, at: int, by: int) -> str:
    return f"{digits[:at]}{(int(digits[at]) + by) % 10}{digits[at + 1 :]}"


def test_the_helpers_write_as_the_engine() -> None:
    assert as_the_engine_writes((Element("10", "A"), Element("11", "991225"), Element("99", "B"))) == "^10A^11991225" + "99B"

"""The law of codes: all spellings of one code have one key, and no two codes have the same."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from biip.checksums import gs1_standard_check_digit
from helpers.bench import Bench
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.domain.barcodes import CODE_CHARS_MAX, Key, Kind, Scanned, Unreadable, code_key, ordered_sku, read, same_article
from devices.protocol.vocabulary import Reason

SSCC = "106141412345678908"
GTIN = "80614141123458"
EAN = "4006381333931"
UPC = "614141000036"
SHORT = "12345670"
PLATE = "JUN123456789A2B4C6D8E"
ENVELOPE = "[)>\x1e06\x1d1JUN123456789A2B4C6D8E\x1dQ1\x1e\x04"

SPELLINGS: Final[dict[Key, tuple[str, ...]]] = {
    Key(Kind.SSCC, SSCC): (
        SSCC,
        f"00{SSCC}",
        f"(00){SSCC}",
        f"(00) {SSCC[0]} {SSCC[1:8]} {SSCC[8:]}",
        f"]C100{SSCC}",
        f"]C0{SSCC}",
        f"\x1d00{SSCC}",
        f"]d200{SSCC}10LOT7",
        f"[)>\x1e05\x1d00{SSCC}\x1e\x04",
        f"]d1[)>\x1e05\x1d00{SSCC}\x1d10LOT7\x1e\x04",
        f"]L2[)>\x1e06\x1dQ1\x1e05\x1d00{SSCC}\x1e\x04",
        f"https://id.gs1.org/00/{SSCC}",
        f"HTTPS://ID.GS1.ORG/00/{SSCC}",
        "urn:epc:id:sscc:0614141.1234567890",
        "URN:EPC:ID:SSCC:0614141.1234567890",
        "urn:epc:tag:sscc-96:3.0614141.1234567890",
        "3174257BF4499602D2000000",
        "3174257bf4499602d2000000",
        "]Q13174257BF4499602D2000000",
    ),
    Key(Kind.GTIN, GTIN): (
        GTIN,
        f"01{GTIN}",
        f"(01){GTIN}(21)6789",
        f"]C101{GTIN}216789",
        f"]d1[)>\x1e05\x1d01{GTIN}\x1d216789\x1e\x04",
        f"https://id.gs1.org/01/{GTIN}/21/6789",
        "urn:epc:id:sgtin:0614141.812345.6789",
        "urn:epc:id:sgtin:0614141.812345.32a%2Fb",
        "urn:epc:idpat:sgtin:0614141.812345.*",
        "urn:epc:class:lgtin:0614141.812345.LOT7",
        "urn:epc:tag:sgtin-96:3.0614141.812345.6789",
        "urn:epc:tag:sgtin-198:3.0614141.812345.32a%2Fb",
        "3074257BF7194E4000001A85",
        "3034257bf7194e4000003039",
    ),
    Key(Kind.GTIN, f"0{EAN}"): (EAN, f"0{EAN}", f"]E0{EAN}", f"(01)0{EAN}", f"https://example.com/01/{EAN}"),
    Key(Kind.GTIN, f"00{UPC}"): (UPC, f"0{UPC}", f"00{UPC}", f"]E00{UPC}", f"(01)00{UPC}"),
    Key(Kind.GTIN, f"000000{SHORT}"): (SHORT, f"]E4{SHORT}", f"0000{SHORT}", f"00000{SHORT}", f"000000{SHORT}"),
    Key(Kind.PLAIN, PLATE): (
        PLATE,
        f"1{PLATE}",
        f"]C01{PLATE}",
        f"6{PLATE}",
        ENVELOPE,
        f"]d1{ENVELOPE}",
        f"]L2{ENVELOPE}",
        f"{ENVELOPE}\r\n",
        ENVELOPE.removesuffix("\x04"),
        f"[)>\x1e06\x1dQ1\x1d{PLATE}\x1e\x04",
        f"[)>\x1e01\x1d9684123\x1e06\x1d5{PLATE}\x1e\x04",
    ),
    Key(Kind.PLAIN, "[)>␞01␝9684123␝840␝001␝1Z1234␞␄"): ("[)>\x1e01\x1d9684123\x1d840\x1d001\x1d1Z1234\x1e\x04", "[)>␞01␝9684123␝840␝001␝1Z1234␞␄"),
    Key(Kind.PLAIN, "[)>␞06␝7JABC␝Q1␞␄"): ("]d1[)>\x1e06\x1d7JABC\x1dQ1\x1e\x04",),
    Key(Kind.PLAIN, "Ærø-Å1"): ("Ærø-Å1", "Ærø-Å1", "Ærø-A\u030a1", "]Q1 Ærø-A\u030a1 "),
    Key(Kind.PLAIN, "K1"): ("K1", "\u212a1"),
    Key(Kind.PLAIN, "PO-17"): ("PO-17", " PO-17\t", "]A0PO-17", "]C1400PO-17", "(400)PO-17", "https://example.com/401/AB?400=PO-17"),
    Key(Kind.ORDER, f"(400){GTIN}"): (f"(400){GTIN}", f"]C1400{GTIN}"),
    Key(Kind.CONTAINER, "(8003)00614141123452400"): (
        "(8003)00614141123452400",
        "https://id.gs1.org/8003/00614141123452400",
        "urn:epc:id:grai:0614141.12345.400",
        "urn:epc:tag:grai-96:0.0614141.12345.400",
    ),
    Key(Kind.CONTAINER, "(8004)061414112345400"): ("]C18004061414112345400", "urn:epc:id:giai:0614141.12345400"),
    Key(Kind.OTHER, "(254)7(414)9521321000018"): (
        "(414)9521321000018(254)7",
        "]C12547\x1d4149521321000018",
        "https://example.com/414/9521321000018/254/7?99x=1&88=1",
    ),
}
"""key → what has this key. The examples of EPCs are those of the EPC Tag Data Standard."""


@pytest.mark.parametrize(("key", "code"), [(key, code) for key, codes in SPELLINGS.items() for code in codes], ids=repr)
def test_all_spellings_of_a_code_have_its_key(key: Key, code: str) -> None:
    assert code_key(code) == key
    assert code_key(code, plain=True) == key


def test_keys_are_codes_with_themselves_as_keys() -> None:
    assert [code_key(key.text) for key in SPELLINGS] == list(SPELLINGS)


def test_an_order_number_that_looks_like_an_article_still_names_its_order() -> None:
    scanned = read(f"(400){GTIN}")
    assert isinstance(scanned, Scanned)
    assert (scanned.kind, scanned.order) == (Kind.ORDER, GTIN)


NEITHER = [
    ("1J17", "too short for a licence plate"),
    ("7JUN123456789A2B4C6D8E", "7J is the number of a vehicle"),
    ("1JUN123456789a2b4c6d8e", "a licence plate has capital letters"),
    ("1J34012345000000002412", "GS1's licence plates are SSCCs"),
    ("3174257BF4499602D2000001", "the last 24 bits of an SSCC-96 are zero"),
    ("317C257BF4499602D2000000", "there is no partition 7"),
    ("30" + "F" * 22, "there is no partition 7"),
    ("3174257BF4499602D20000", "a tag has 24 digits"),
    ("3574257BF4499602D2000000", "a general identifier, which is none of GS1's keys"),
    ("31J4257BF4499602D2000000", "J is not a hexadecimal digit"),
    ("9" * 24, "no header of an EPC"),
    ("urn:epc:id:gdti:0614141.12345.400", "a document"),
    ("urn:isbn:9780141036144", "a book"),
    ("urn", "a word"),
]


@pytest.mark.parametrize("code", [code for code, _ in NEITHER])
def test_what_is_none_of_these_is_itself(code: str) -> None:
    assert code_key(code) == Key(Kind.PLAIN, code)


@pytest.mark.parametrize(
    "code",
    [
        "urn:epc:id:sscc:0614141.123456789",
        "urn:epc:id:sscc:06141.123456789012",
        "urn:epc:tag:sscc-96:0614141.1234567890",
        "urn:epc:tag:sscc-96:9.0614141.1234567890",
        "urn:epc:id:sgtin:0614141.812345",
        "urn:epc:id:sgtin:0614141.812345.",
        "urn:epc:id:sgtin:0614141.812345.ä",
        "urn:epc:id:sscc:",
        "urn:epc:id:giai:0614141.",
        f"[)>\x1e05\x1d00{SSCC[:-1]}1\x1e\x04",
        "[)>\x1e05\x1dPO-17\x1e\x04",
        f"]C1{ENVELOPE}",
        "]d1(10)A\x1dB",
        "]C0]C0PO-17",
        "PO\x1d17",
        "]d1PO\x0017",
    ],
)
def test_a_claim_that_does_not_hold_is_unreadable_unless_the_device_says_that_it_is_plain(code: str) -> None:
    assert isinstance(code_key(code), Unreadable)
    if "\x00" not in code:
        key = code_key(code, plain=True)
        assert isinstance(key, Key)
        assert key.kind is Kind.PLAIN


def test_a_label_that_is_said_to_be_plain_is_an_article_if_it_reads_as_one() -> None:
    assert code_key(EAN, plain=True) == Key(Kind.GTIN, f"0{EAN}")
    assert code_key(f"{EAN[:-1]}2", plain=True) == Key(Kind.PLAIN, f"{EAN[:-1]}2")
    assert code_key(f"{SSCC[:-1]}7", plain=True) == Key(Kind.PLAIN, f"{SSCC[:-1]}7")


@pytest.mark.parametrize("code", ["", " ", "]C1", "\x00", "P" * (CODE_CHARS_MAX + 1), "\ufb2c" * 200])
def test_some_texts_are_no_code_at_all(code: str) -> None:
    assert isinstance(code_key(code, plain=True), Unreadable)


def test_read_refuses_a_container_that_has_a_key() -> None:
    assert read("urn:epc:id:grai:0614141.12345.400") == Unreadable(Reason.CONTAINER, "returnable asset (GRAI) 00614141123452400 is a container, not a parcel")


# ---- articles


@pytest.mark.parametrize(
    ("code", "sku", "same"),
    [
        (None, EAN, True),
        (f"0{EAN}", EAN, True),
        (f"00{UPC}", UPC, True),
        (f"00{UPC}", f"0{UPC}", True),
        (f"000000{SHORT}", SHORT, True),
        (f"0{EAN}", UPC, False),
        (EAN, f"(01)0{EAN}", True),
        (EAN, f"(01)00{UPC}", False),
        (f"0{EAN}", "4711", True),
        ("4711", f"0{EAN}", False),
        ("4711", "4712", False),
        (f"00{SHORT}", SHORT, True),
        ("04711", "4711", True),
        ("4711", "lamp", True),
        ("WB-1", EAN, True),
        (SSCC, EAN, True),
        ("4711", "٤٧١٢", True),
    ],
)
def test_a_scanned_article_contradicts_another_number_but_not_a_number_of_the_shop(code: str | None, sku: str, same: bool) -> None:
    assert same_article(code, sku) is same


@pytest.mark.parametrize(
    ("sku", "found"),
    [
        ("lamp", "lamp"),
        (EAN, EAN),
        (f"0{EAN}", EAN),
        (f"(01)0{EAN}", EAN),
        (UPC, f"0{UPC}"),
        (f"00{UPC}", f"0{UPC}"),
        ("4711", "4711"),
        ("04711", None),
        ("hat", None),
    ],
)
def test_an_article_is_found_among_the_ordered_ones_in_whatever_length(sku: str, found: str | None) -> None:
    assert ordered_sku(sku, {"lamp": 1, "4711": 1, EAN: 1, f"0{UPC}": 2}) == found


# ---- EPCs, encoded here bit by bit

PARTITIONS: Final = {
    # digits of the company prefix: (partition, its bits, bits and digits of an item reference, of a serial reference, of an asset type)
    12: (0, 40, (4, 1), (18, 5), (4, 0)),
    11: (1, 37, (7, 2), (21, 6), (7, 1)),
    10: (2, 34, (10, 3), (24, 7), (10, 2)),
    9: (3, 30, (14, 4), (28, 8), (14, 3)),
    8: (4, 27, (17, 5), (31, 9), (17, 4)),
    7: (5, 24, (20, 6), (34, 10), (20, 5)),
    6: (6, 20, (24, 7), (38, 11), (24, 6)),
}
PREFIXES = st.sampled_from(sorted(PARTITIONS))
ANY_INTEGER = st.integers(0, 10**12)


def in_hex(*fields: tuple[int, int]) -> str:
    bits = "".join(f"{value:0{width}b}" for value, width in fields)
    bits = bits.ljust(-(-len(bits) // 16) * 16, "0")
    return f"{int(bits, 2):0{len(bits) // 4}X}"


def chars(text: str, width: int) -> tuple[int, int]:
    return int("".join(f"{ord(c):07b}" for c in text).ljust(width, "0"), 2), width


@given(PREFIXES, ANY_INTEGER, ANY_INTEGER, st.integers(0, 7))
def test_every_sscc_96_is_read(prefix_digits: int, company: int, serial: int, filter_value: int) -> None:
    partition, prefix_bits, _, (bits, digits), _ = PARTITIONS[prefix_digits]
    company, serial = company % 10**prefix_digits, serial % 10**digits
    prefix, reference = f"{company:0{prefix_digits}}", f"{serial:0{digits}}"
    key = Key(Kind.SSCC, with_check_digit(reference[0] + prefix + reference[1:]))
    tag = in_hex((0x31, 8), (filter_value, 3), (partition, 3), (company, prefix_bits), (serial, bits), (0, 24))
    assert len(tag) == 24
    assert code_key(tag) == code_key(tag.lower()) == code_key(f"urn:epc:id:sscc:{prefix}.{reference}") == key
    assert code_key(f"urn:epc:tag:sscc-96:{filter_value}.{prefix}.{reference}") == key
    spoilt = in_hex((0x31, 8), (filter_value, 3), (7, 3), (company, prefix_bits), (serial, bits), (0, 24))
    assert code_key(spoilt) == Key(Kind.PLAIN, spoilt)


@given(PREFIXES, ANY_INTEGER, ANY_INTEGER, st.integers(0, 2**38 - 1), st.text("0123456789abcXYZ-.:_", min_size=1, max_size=20))
def test_every_sgtin_is_read(prefix_digits: int, company: int, item: int, number: int, serial: str) -> None:
    partition, prefix_bits, (bits, digits), _, _ = PARTITIONS[prefix_digits]
    company, item = company % 10**prefix_digits, item % 10**digits
    prefix, reference = f"{company:0{prefix_digits}}", f"{item:0{digits}}"
    gtin = with_check_digit(reference[0] + prefix + reference[1:])
    head = ((1, 3), (partition, 3), (company, prefix_bits), (item, bits))
    short, long = in_hex((0x30, 8), *head, (number, 38)), in_hex((0x36, 8), *head, chars(serial, 140))
    assert (len(short), len(long)) == (24, 52)
    for code, expected in (
        (short, str(number)),
        (long, serial),
        (f"urn:epc:id:sgtin:{prefix}.{reference}.{serial}", serial),
        (f"urn:epc:tag:sgtin-96:1.{prefix}.{reference}.{number}", str(number)),
        (f"urn:epc:tag:sgtin-198:1.{prefix}.{reference}.{serial}", serial),
    ):
        assert read(code) == Scanned(kind=Kind.GTIN, key=gtin, text=code, serial=expected)


@given(PREFIXES, ANY_INTEGER, ANY_INTEGER, st.integers(0, 2**38 - 1), st.text("0123456789abcXYZ", min_size=1, max_size=16))
def test_every_asset_is_a_container(prefix_digits: int, company: int, asset: int, number: int, serial: str) -> None:
    partition, prefix_bits, _, _, (bits, digits) = PARTITIONS[prefix_digits]
    company, asset = company % 10**prefix_digits, asset % 10**digits
    prefix, asset_type = f"{company:0{prefix_digits}}", f"{asset:0{digits}}" if digits else ""
    grai = with_check_digit(f"0{prefix}{asset_type}")
    head = ((0, 3), (partition, 3), (company, prefix_bits))
    tags = {
        in_hex((0x33, 8), *head, (asset, bits), (number, 38)): f"(8003){grai}{number}",
        in_hex((0x37, 8), *head, (asset, bits), chars(serial, 112)): f"(8003){grai}{serial}",
        in_hex((0x34, 8), *head, (number, 82 - prefix_bits)): f"(8004){prefix}{number}",
        in_hex((0x38, 8), *head, chars(serial, 188 - prefix_bits)): f"(8004){prefix}{serial}",
    }
    assert [code_key(tag) for tag in tags] == [Key(Kind.CONTAINER, text) for text in tags.values()]


# ---- for every text

GS1_PIECES = ["00", "01", "(00)", "(400)", "(8003)", "(8004)", "(414)", "(10)", "10", "\\(", SSCC, GTIN, EAN, "9521321000018", "00614141123452400"]
FRAMES = ["]C1", "]E0", "]Q1", "]d1", "|]e0", "\x1d", "\x1e", "\x04", "[)>\x1e", "05\x1d", "06\x1d", "1J", "J", "UN12345678901234", "␝", " "]
LINKS = ["https://a", "/", "/01/", "/414/", "?99=", "&400=", "%2F", "urn:epc:id:sscc:", "urn:epc:id:giai:", "0614141.1234567890", "3174257BF4499602D2000000"]
LETTERS = ["e\u0301", "\u212a", "\ufb2c", "\u0301", "]\u212a0"]
PIECES = st.sampled_from([*GS1_PIECES, *FRAMES, *LINKS, *LETTERS])
ANY_TEXT = st.text() | st.lists(PIECES | st.text("0123456789", max_size=20) | st.text(max_size=4), max_size=8).map("".join)


@given(ANY_TEXT)
@example("]C0]C0PO-17")
@example("]d1(10)A\x1dB")
@example("]]\u212a0PO")
@example("(400)" + GTIN)
@example("https://a/414/9521321000018?99=%00")
@settings(deadline=None, max_examples=400)
def test_a_key_has_itself_as_key(code: str) -> None:
    key, plain = code_key(code), code_key(code, plain=True)
    if isinstance(key, Key):
        assert code_key(key.text) == key == plain
        assert key.text.isprintable()
        assert unicodedata.is_normalized("NFC", key.text)
    elif isinstance(plain, Key):
        assert code_key(plain.text, plain=True) == plain
    scanned = read(code)
    if isinstance(scanned, Scanned):
        again = read(scanned.key)
        assert isinstance(again, Scanned)
        assert again.key == scanned.key


def sscc_of(payload: int) -> str:
    return with_check_digit(f"{payload:017}")


def spellings_of_a_parcel(payload: int) -> tuple[str, ...]:
    sscc = sscc_of(payload)
    uri = f"{sscc[1:8]}.{sscc[0]}{sscc[8:17]}"
    return (
        sscc,
        f"00{sscc}",
        f"(00){sscc}",
        f"]C100{sscc}",
        f"https://a/00/{sscc}",
        f"urn:epc:id:sscc:{uri}",
        f"urn:epc:tag:sscc-96:0.{uri}",
        f"[)>\x1e05\x1d00{sscc}\x1e\x04",
    )


def spellings_of_an_article(payload: int) -> tuple[str, ...]:
    gtin = with_check_digit(f"{payload:013}")
    ean = (gtin[1:],) if gtin[0] == "0" else ()
    upc = (gtin[2:],) if gtin[:2] == "00" else ()
    uri = f"{gtin[1:8]}.{gtin[0]}{gtin[8:13]}"
    return gtin, *ean, *upc, f"01{gtin}", f"(01){gtin}(10)A", f"https://a/01/{gtin}", f"urn:epc:id:sgtin:{uri}.1", f"urn:epc:idpat:sgtin:{uri}.*"


def spellings_of_a_plate(number: int) -> tuple[str, ...]:
    identity = f"UN{number:012}"
    return f"J{identity}", f"1J{identity}", f"]C04J{identity}", f"[)>\x1e06\x1d2J{identity}\x1e\x04", f"]d1[)>\x1e06\x1dQ1\x1dJ{identity}\x1e\x04"


def spellings_of_a_word(number: int) -> tuple[str, ...]:
    return f"É{number}", f"E\u0301{number}", f" É{number}\r\n", f"]Q1E\u0301{number}"


def spellings_of_a_number(number: int) -> tuple[str, ...]:
    return f"PO{number}", f"]C0PO{number}", f"(400)PO{number}", f"]C1400PO{number}"


SORTS = (spellings_of_a_parcel, spellings_of_an_article, spellings_of_a_plate, spellings_of_a_word, spellings_of_a_number)
THINGS = st.tuples(st.integers(0, len(SORTS) - 1), st.integers(0, 30) | st.integers(0, 10**12 - 1))


@given(THINGS, THINGS, st.data())
@settings(deadline=None, max_examples=400)
def test_two_texts_have_one_key_exactly_if_they_are_one_code(one: tuple[int, int], other: tuple[int, int], data: st.DataObject) -> None:
    texts = [data.draw(st.sampled_from(SORTS[sort](number))) for sort, number in (one, other)]
    keys = [code_key(text) for text in texts]
    assert all(isinstance(key, Key) for key in keys)
    assert (keys[0] == keys[1]) is (one == other)


@pytest.mark.parametrize(
    "piece", ["e\u0301", "\u0301", "\u0327\u0301", "]C0", "\x1d", "\x1e", "J", "(10)", "3", "/01/", "urn:epc:", "[)>\x1e", "06\x1d1J", "(", "%41"]
)
@pytest.mark.parametrize("start", ["", "]d1", "]C1", "[)>\x1e", "urn:epc:id:sgtin:", "https://a/"])
def test_no_hostile_text_has_a_key_that_is_not_a_code(start: str, piece: str) -> None:
    for size in (CODE_CHARS_MAX, CODE_CHARS_MAX + 1, 100_000):
        code = (start + piece * size)[:size]
        key = code_key(code, plain=True)
        assert isinstance(key, Unreadable) if size > CODE_CHARS_MAX else code_key(code) is not None


def with_check_digit(payload: str) -> str:
    return f"{payload}{gs1_standard_check_digit(payload)}"


# ---- in a warehouse


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        yield made


def test_a_label_with_an_envelope_is_a_label_like_any_other(bench: Bench) -> None:
    bench.create("PO-1")
    assert bench.tell("scan-1", "pack", "PO-1", code=f"]d1{ENVELOPE}")["outcome"] == "applied"
    for seq, code in enumerate((ENVELOPE, f"]L2{ENVELOPE}", f"1{PLATE}", PLATE)):
        assert bench.tell("scan-1", "stage", None, {"dock": f"d{seq}"}, code=code)["order"] == "PO-1"


def test_a_waybill_that_looks_like_an_article_is_found_however_it_is_scanned(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    bench.tell("scan-1", "labelled", "PO-1", {"code": EAN, "kind": "waybill"})
    for seq, code in enumerate((EAN, f"0{EAN}", f"]E0{EAN}")):
        receipt = bench.tell("scan-1", "stage", None, {"dock": f"d{seq}"}, code=code)
        assert (receipt["outcome"], receipt["order"]) == ("applied", "PO-1")


def test_a_label_is_the_same_however_its_accents_are_written(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    bench.tell("scan-1", "labelled", "PO-1", {"code": "E\u0301-1", "kind": "plain"})
    for seq, code in enumerate(("É-1", "E\u0301-1")):
        assert bench.tell("scan-1", "stage", None, {"dock": f"d{seq}"}, code=code)["order"] == "PO-1"


def test_a_parcel_with_a_tag_is_found_by_its_tag(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1", code=f"]C100{SSCC}")
    assert bench.tell("scan-2", "load", None, {"vehicle": "v1"}, code="3174257BF4499602D2000000")["order"] == "PO-1"


def test_an_article_is_one_in_whatever_length_it_is_written(bench: Bench) -> None:
    bench.create("PO-1", lines=[{"sku": UPC, "qty": 2}])
    picked = bench.tell("scan-1", "pick", "PO-1", {"sku": f"0{UPC}", "qty": 1}, code=f"00{UPC}")
    assert (picked["outcome"], picked["left"]) == ("applied", [{"sku": UPC, "qty": 1}])
    packed = bench.tell("scan-1", "pack", "PO-1", {"items": [{"sku": f"00{UPC}", "qty": 1}, {"sku": UPC, "qty": 1}]})
    assert (packed["outcome"], packed.get("warn")) == ("applied", None)
    assert bench.status("PO-1")["state"] == "packed"

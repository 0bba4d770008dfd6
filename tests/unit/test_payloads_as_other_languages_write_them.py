"""F7 and F8: what encoders of other languages make of an event, and what the bridge says of what it can't take."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

import cbor2
import pytest
from helpers.bench import Bench
from helpers.events import LINES

from devices.protocol.messages import PayloadError, Presence, decode, decode_event, encode_json, json_text
from devices.protocol.vocabulary import EventType

ID: Final = bytes.fromhex("019b8d2c06767da394a0152997ce4470")
PLAIN: Final[dict[str, Any]] = {
    "id": ID,
    "log": b"log-0001",
    "seq": 1,
    "boot": b"boot-001",
    "mono_ms": 4_294_967_296,
    "at_ms": 1_700_000_000_000,
    "sent_boot": b"boot-001",
    "sent_mono_ms": 4_294_967_300,
    "order": "PO-1",
    "body": {"sku": "pen", "qty": 2},
}
JSON: Final = encode_json(PLAIN)
PICK: Final = decode_event(cbor2.dumps(PLAIN), EventType.PICK)


@pytest.mark.parametrize("before", [b" ", b"\n", b"\r\n\t ", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n"])
def test_f8_blanks_and_a_byte_order_mark_may_stand_before_json(before: bytes) -> None:
    assert decode_event(before + JSON + b"\n", EventType.PICK) == PICK


@pytest.mark.parametrize("before", [b"\x00", b"x", b"\xef\xbb", b"\xa0"])
def test_f8_nothing_else_may(before: bytes) -> None:
    with pytest.raises(PayloadError, match="payload: "):
        decode_event(before + JSON, EventType.PICK)


@pytest.mark.parametrize("uuid", ["019b8d2c-0676-7da3-94a0-152997ce4470", "019B8D2C-0676-7DA3-94A0-152997CE4470"])
def test_f8_an_id_in_json_may_be_a_uuid_with_hyphens(uuid: str) -> None:
    assert decode_event(json.dumps({**json.loads(JSON), "id": uuid}).encode(), EventType.PICK) == PICK


def test_f7_numbers_of_javascript_are_the_integers_that_they_are() -> None:
    floats = {name: float(value) if isinstance(value, int) else value for name, value in PLAIN.items()}
    floats["body"] = {"sku": "pen", "qty": 2.0}
    assert decode_event(cbor2.dumps(floats), EventType.PICK) == PICK
    assert decode_event(json.dumps({**json.loads(JSON), "at_ms": 1.7e12}).encode(), EventType.PICK) == PICK


@pytest.mark.parametrize("number", [1.5, math.nan, math.inf, -math.inf, 2.0**53 + 2, 1e300])
def test_f7_a_float_that_is_no_exact_integer_is_refused(number: float) -> None:
    with pytest.raises(PayloadError, match="mono_ms: expected integer, got float"):
        decode_event(cbor2.dumps({**PLAIN, "mono_ms": number}), EventType.PICK)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("at", cbor2.undefined, "at: expected text, got undefined"),
        ("at", cbor2.CBORSimpleValue(99), "at: expected text, got simple value"),
        ("seq", "1", "seq: expected integer, got text"),
        ("seq", -1, "seq: expected integer >= 1"),
        ("body", {"sku": "pen", "qty": "2"}, "body.qty: expected integer, got text"),
        ("id", "019b8d2c", "id: expected bytes (in JSON: lowercase hex digits), got text"),
    ],
)
def test_f8_what_is_wrong_is_said_in_the_words_of_the_contract(field: str, value: object, says: str) -> None:
    with pytest.raises(PayloadError) as error:
        decode_event(cbor2.dumps({**PLAIN, field: value}), EventType.PICK)
    assert str(error.value) == says


def test_f8_an_event_in_json_with_a_blank_in_front_is_applied_and_known_again(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db") as bench:
        bench.create("PO-1")
        event = bench.draft("scan-1", "pack", "PO-1", {"items": LINES})
        spaced = event._replace(payload=b" " + encode_json(cbor2.loads(event.payload)))
        assert [r["outcome"] for r in bench.send(spaced)] == ["applied"]
        assert [r.get("again") for r in bench.send(event)] == [True], "the same event, in CBOR"
        assert bench.rebuild().changed == []


def test_f8_a_presence_in_json_is_json_with_a_blank_in_front_too() -> None:
    payload = b"\n" + encode_json({"online": True, "boot": b"boot-001"})
    assert decode(payload, Presence).online
    assert json_text(payload) == payload[1:]

"""The wire contract: the CDDL and the code agree, and the decoder refuses what the contract refuses."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pycddl
import pytest
from contracts.wire_strategies import KINDS, broken, faults, valid, valid_event
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from devices import protocol
from devices.protocol.bodies import BODIES
from devices.protocol.documents.cddl import cddl
from devices.protocol.documents.shapes import reached
from devices.protocol.messages import (
    BYTES_FIELDS,
    DEPTH_MAX,
    PayloadError,
    convert,
    decode,
    decode_event,
    encode,
    encode_cbor,
    encode_json,
    load_cbor,
    plain,
)
from devices.protocol.vocabulary import DEVELOPER_WARNINGS, EventType, Warn

CONTRACT = Path(protocol.__file__).with_name("contract.cddl")
QUOTES = re.compile(r'"\s*/\s*"')
RECORDS = re.compile("points")

# Without shrinking: one wrong limit breaks every kind, and the path in the message says enough.
few = settings(derandomize=True, deadline=None, max_examples=4, phases=[Phase.generate])
every_kind = pytest.mark.parametrize("name", KINDS)


# --- the judges -----------------------------------------------------------------------------------------------------------


def for_pycddl(cddl: str) -> str:
    """The same rules, in a form that pycddl 0.6.4 checks correctly.

    It searches a regular expression instead of matching it, takes the length of a byte string for a number in a range and a text for
    a byte string of its length, does not support negative ranges, confuses a bare key with the rule of that name, and loses errors found inside
    `x / null` and `"a" / "b"`. It can't check arrays of records (`points`): there only the Python code is tested.
    """
    cddl = re.sub(r"^(point) = \[.*?^\]", r"\1 = [* any]", cddl, flags=re.MULTILINE | re.DOTALL)
    cddl = re.sub(r'\.regexp "(.*?)"', r'.regexp "^(?:\1)$"', cddl)
    cddl = re.sub(r'"\w+"(?:\s*/\s*"\w+")+', lambda m: f'tstr .regexp "^(?:{re.sub(QUOTES, "|", m[0][1:-1])})$"', cddl)
    cddl = re.sub(r"(?<!\()(-\d+)\.\.(\d+)", r"((int .ge \1) .and (int .le \2))", cddl)
    cddl = re.sub(r"(?<![(\d])(\d+\.\.\d+)", r"(uint .and (\1))", cddl)
    cddl = re.sub(r"bstr \.size (\d+|\(.*?\))", r"(bstr .and (bstr .size \1))", cddl)
    cddl = re.sub(r"(\w+): ", r'"\1": ', cddl)
    return re.sub(r'\? ("\w+"): ([^\n]*) / null,', r"? (\1: \2 // \1: null),", cddl)


@cache
def schema(name: str) -> pycddl.Schema:
    rule = f"event-{name[6:-1].replace('_', '-')}" if name.startswith("Event[") else re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
    return pycddl.Schema(f"judged = {rule}\n{_rules()}")


@cache
def _rules() -> str:
    """The contract without its comments, which would be read again for each kind of message."""
    return for_pycddl(re.sub(r"^ *;.*\n", "", cddl(), flags=re.MULTILINE))


def cddl_accepts(name: str, payload: bytes) -> bool:
    try:
        schema(name).validate_cbor(payload)
    except pycddl.ValidationError:
        return False
    return True


def read(name: str, payload: bytes) -> msgspec.Struct:
    """A payload of the kind, as the bridge reads it."""
    return decode_event(payload, EventType(name[6:-1])) if name.startswith("Event[") else decode(payload, KINDS[name])


# --- one contract ---------------------------------------------------------------------------------------------------------


def test_the_file_is_what_the_code_says():
    assert CONTRACT.read_text() == cddl(), "run `dockbridge contract show cddl` and write it to contract.cddl"


def test_every_message_and_event_type_has_a_rule():
    rules = set(re.findall(r"^([\w-]+) =", cddl(), re.MULTILINE))
    assert {f"event-{t.replace('_', '-')}" for t in EventType} <= rules
    assert set(BODIES) == set(EventType)
    assert {"receipt", "order-status", "parcel-status", "presence", "location-batch", "position", "eta", "assignment", "alert", "bridge-state"} <= rules


def test_no_rule_is_missing_or_stands_alone():
    text = re.sub(r'"[^"]*"|;[^\n]*', "", cddl())
    rules = re.findall(r"^([\w-]+) =", text, re.MULTILINE)
    used = set(re.findall(r"(?<![\w-])[a-z][\w-]*(?![\w-]*:)", re.sub(r"^[\w-]+ =", "", text, flags=re.MULTILINE)))
    prelude = {"any", "bool", "bstr", "null", "tstr", "size", "regexp"}
    assert len(rules) == len(set(rules))
    assert used - prelude == set(rules) - {"payload"}


def test_the_warnings_that_no_worker_is_shown_are_named():
    _, _, named = (Warn.__doc__ or "").partition("are not shown to a worker:")
    assert set(re.findall(r"`(\w+)`", named)) == DEVELOPER_WARNINGS


@every_kind
def test_what_is_right_is_accepted_and_survives_the_way_there_and_back(name: str):
    @few
    @given(valid(KINDS[name]))
    def check(value: Any) -> None:
        payload = encode_cbor(value)
        assert cddl_accepts(name, payload)
        message = read(name, payload)
        sent = encode(message)
        assert cddl_accepts(name, sent)
        assert read(name, sent) == message
        assert encode(read(name, sent)) == sent
        assert read(name, encode_json(plain(message))) == message
        assert read(name, encode_json(value)) == message

    check()


@every_kind
def test_what_is_wrong_is_refused_by_both_and_named_by_its_path(name: str):
    @settings(few, max_examples=1)
    @given(valid(KINDS[name]))
    def check(value: Any) -> None:
        for wrong, path in faults(KINDS[name], value):
            if is_new(name, path):
                refused_by_both(name, wrong, path)

    check()


def is_new(name: str, path: str) -> bool:
    """The fields that all events have are checked once, with a pick; for the other events only the body is checked."""
    return not name.startswith("Event[") or name == "Event[pick]" or path.startswith("body")


def refused_by_both(name: str, wrong: Any, path: str) -> None:
    payload = encode_cbor(wrong)
    with pytest.raises(PayloadError) as refusal:
        read(name, payload)
    assert str(refusal.value).startswith(f"{path}: "), f"{refusal.value} does not start with {path}"
    assert RECORDS.match(path) or not cddl_accepts(name, payload), f"CDDL accepts a bad {path}: {wrong}"


@settings(few, max_examples=30)
@given(st.sampled_from(sorted(KINDS)).flatmap(lambda name: st.tuples(st.just(name), broken(KINDS[name]))))
def test_a_random_fault_is_refused(case: tuple[str, tuple[Any, str]]):
    name, (wrong, path) = case
    refused_by_both(name, wrong, path)


@settings(few, max_examples=20)
@given(valid_event(EventType.PICK), st.integers(33, 500))
def test_an_id_that_is_too_long_for_a_topic_is_refused(event: dict[str, Any], chars: int):
    with pytest.raises(PayloadError, match=r"\Aorder: expected"):
        decode_event(encode_cbor({**event, "order": "é" * chars}), EventType.PICK)


@pytest.mark.parametrize(("field", "chars_max"), [("by", 64), ("code", 512)])
def test_length_counts_characters_not_bytes(field: str, chars_max: int):
    @few
    @given(valid_event(EventType.LOST), st.sampled_from("é日😀\n"))
    def check(event: dict[str, Any], character: str) -> None:
        longest = {**event, field: character * chars_max}
        assert cddl_accepts("Event[lost]", encode_cbor(longest))
        assert decode_event(encode_cbor(longest), EventType.LOST)
        refused_by_both("Event[lost]", {**event, field: character * (chars_max + 1)}, field)

    check()


# --- strict CBOR ----------------------------------------------------------------------------------------------------------


def tagged(number: int, item: bytes = b"\x00") -> bytes:
    return cbor2.dumps(cbor2.CBORTag(number, 0))[: -len(b"\x00")] + item


def test_every_tag_is_refused():
    accepted = [number for number in range(70_001) if not refuses(tagged(number))]
    assert accepted == []


@pytest.mark.parametrize("number", [0, 1, 2, 4, 30, 35, 37, 100, 256, 258, 260, 1004, 43000, 55799, 70_000])
@pytest.mark.parametrize("item", [b"\x60", b"\x40", b"\x80", b"\xa0", b"\xf6", b"\x82\x01\x02", b"\x62ab", b"\x42ab"], ids=bytes.hex)
def test_a_tag_is_refused_whatever_it_holds_and_wherever_it_stands(number: int, item: bytes):
    for payload in (tagged(number, item), b"\xa1\x61a" + tagged(number, item), b"\x81" + tagged(number, item)):
        with pytest.raises(PayloadError, match="tags are not allowed"):
            load_cbor(payload)


def refuses(payload: bytes) -> bool:
    try:
        load_cbor(payload)
    except PayloadError:
        return True
    return False


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"\xa0\x00",
        b"\xa0\xf6" * 2,
        b"\xa0" + b"\xff",
        b"\xa2\x61a\x00\x61a\x00",
        b"\xa1\x61b\xa2\x61a\x00\x61a\x01",
        b"\xbf\xff",
        b"\xbf\x61a\x00\xff",
        b"\x9f\xff",
        b"\x7f\x61a\xff",
        b"\x5f\x41a\xff",
        b"\xc2\x49" + b"\x01" + bytes(8),
        b"\xc3\x41\x01",
        b"\x62a",
        b"\xa1\x61a",
        b"\x61\xff",
        b"\x1c",
        b"\x9b" + b"\xff" * 8,
        b"\xbb" + b"\xff" * 8,
        b"\x5b" + b"\xff" * 8,
        cbor2.dumps(2**64),
        cbor2.dumps(-(2**64) - 1),
    ],
    ids=lambda payload: payload.hex()[:24] or "empty",
)
def test_what_is_not_one_strict_item_is_refused(payload: bytes):
    with pytest.raises(PayloadError, match=r"\Apayload: "):
        load_cbor(payload)


@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x61a"], ids=["arrays", "maps"])
def test_depth_has_a_limit(opening: bytes):
    load_cbor(opening * DEPTH_MAX + b"\x00")
    with pytest.raises(PayloadError):
        load_cbor(opening * (DEPTH_MAX + 1) + b"\x00")


@few
@given(valid_event(EventType.CREATED))
def test_the_deepest_right_event_is_far_from_the_limit(event: dict[str, Any]):
    assert load_cbor(encode_cbor(event)) == event


def test_deterministic_encoding_sorts_keys_and_takes_the_shortest_form():
    assert encode_cbor({"bb": 1, "c": 24, "a": b""}) == bytes.fromhex("a3 61 61 40 61 63 18 18 62 62 62 01")


# --- bytes in JSON --------------------------------------------------------------------------------------------------------


def fields_of(kind: inspect.Type) -> dict[str, set[bool]]:
    """Every field name below a type, and whether it holds bytes."""
    found: dict[str, set[bool]] = {}
    for part in reached(kind):
        if isinstance(part, inspect.StructType):
            for field in part.fields:
                leaves = [p for p in reached(field.type) if not isinstance(p, (inspect.NoneType, inspect.UnionType, inspect.ListType))]
                found.setdefault(field.encode_name, set()).add(isinstance(leaves[0], inspect.BytesType))
    return found


def test_fields_that_are_bytes_are_bytes_wherever_they_stand():
    found: dict[str, set[bool]] = {}
    for kind in KINDS.values():
        for name, holds_bytes in fields_of(inspect.type_info(kind)).items():
            found.setdefault(name, set()).update(holds_bytes)
    assert {name for name, holds_bytes in found.items() if True in holds_bytes} == BYTES_FIELDS
    assert [name for name, holds_bytes in found.items() if len(holds_bytes) > 1] == []


@few
@given(valid_event(EventType.VOID))
def test_json_shows_bytes_as_lowercase_hex(event: dict[str, Any]):
    shown = json.loads(encode_json(plain(convert(event, KINDS["Event[void]"]))))
    assert shown["id"] == event["id"].hex()
    assert shown["body"]["ref"] == event["body"]["ref"].hex()

"""A client reads what a bridge of a later edition says: the words that it does not know become `other`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest
from contracts.wire_strategies import faults, valid
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from devices.protocol.later_editions import OTHER, decode_later, other
from devices.protocol.messages import MESSAGES, Alert, Assignment, OrderStatus, PayloadError, Receipt, convert, decode, encode, encode_cbor
from devices.protocol.vocabulary import JobState, Outcome, Reason, Warn

laws = settings(derandomize=True, deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


@laws
@given(st.sampled_from(MESSAGES), st.data())
def test_what_this_edition_knows_is_read_as_ever(kind: Any, data: st.DataObject) -> None:
    payload = encode_cbor(data.draw(valid(kind)))
    assert decode_later(payload, kind) == decode(payload, kind)


@laws
@given(st.sampled_from(MESSAGES), st.data())
def test_any_other_fault_is_still_refused(kind: Any, data: st.DataObject) -> None:
    """A message with one fault is read only if the fault is a word that is not in the list; then that word is all that differs."""
    value, _ = data.draw(st.sampled_from(list(faults(kind, data.draw(valid(kind))))))
    try:
        payload = encode_cbor(value)
        message = decode_later(payload, kind)
    except (PayloadError, OverflowError, ValueError):
        return
    assert OTHER in str(encode(message)) or convert(value, kind) == message


def words_of(kind: Any) -> set[type[StrEnum]]:
    """The closed lists that a message uses."""
    return {k.cls for k in _reached(inspect.type_info(kind)) if isinstance(k, inspect.EnumType)}  # type: ignore[misc]


def _reached(kind: inspect.Type) -> list[inspect.Type]:
    inner = getattr(kind, "types", None) or [f.type for f in getattr(kind, "fields", ())] or [t for t in (getattr(kind, "item_type", None),) if t]
    return [kind, *(found for part in inner for found in _reached(part))]


@pytest.mark.parametrize("words", sorted({w for m in MESSAGES for w in words_of(m)}, key=lambda w: w.__name__), ids=lambda w: w.__name__)
def test_other_is_a_member_that_is_not_in_the_list(words: type[StrEnum]) -> None:
    member = other(words)
    assert (member, member.value, str(member), member.name) == (OTHER, OTHER, OTHER, "OTHER")
    assert isinstance(member, words)
    assert member is other(words)
    assert member not in list(words)
    with pytest.raises(ValueError):
        words(OTHER)


def test_a_list_that_has_the_word_keeps_its_own() -> None:
    class Why(StrEnum):
        OTHER = "other"

    assert other(Why) is Why.OTHER


RECEIPT = {"n": 1, "final": True, "outcome": "applied", "tone": "ok", "at_ms": 1}


@pytest.mark.parametrize(
    ("later", "read"),
    [
        ({"outcome": "dreamt"}, {"outcome": "other"}),
        ({"reason": "strike"}, {"reason": "other"}),
        ({"warn": ["misload", "moonlight", "sunlight"]}, {"warn": [Warn.MISLOAD, "other", "other"]}),
        ({"state": "beamed"}, {"state": "other"}),
        ({"tone": "hum", "next": "dance"}, {"tone": "other", "next": "other"}),
    ],
)
def test_a_receipt_with_new_words_is_read(later: dict[str, Any], read: dict[str, Any]) -> None:
    receipt = decode_later(encode_cbor({**RECEIPT, **later}), Receipt)
    assert {name: getattr(receipt, name) for name in read} == read
    assert receipt.at_ms == 1
    with pytest.raises(PayloadError):
        decode(encode_cbor({**RECEIPT, **later}), Receipt)


def test_new_words_deep_inside_are_read() -> None:
    status = {
        "order": "o",
        "state": "beamed",
        "flags": ["held", "cursed"],
        "rev": 1,
        "at_ms": 1,
        "updated_ms": 1,
        "percent": 1,
        "hash": b"12345678",
        "progress": dict.fromkeys(("parcels", "packed", "shipped", "delivered", "exceptions"), 0),
        "milestones": [{"state": "paid"}, {"state": "beamed", "at_ms": 7}],
        "last": {"type": "teleported", "at_ms": 1},
    }
    read = decode_later(encode_cbor(status), OrderStatus)
    assert (read.state, read.flags, read.last.type) == ("other", ["held", "other"], "other")
    assert [(m.state, m.at_ms) for m in read.milestones] == [("paid", None), ("other", 7)]


def test_a_new_word_does_not_hide_another_fault() -> None:
    with pytest.raises(PayloadError, match="at_ms"):
        decode_later(encode_cbor({**RECEIPT, "reason": "strike", "at_ms": "now"}), Receipt)


def test_what_is_not_a_text_is_not_a_word() -> None:
    for wrong in (7, b"held", ["held"], None):
        with pytest.raises(PayloadError):
            decode_later(encode_cbor({**RECEIPT, "outcome": wrong}), Receipt)


def test_words_that_this_edition_has_stay_what_they_are() -> None:
    later = decode_later(encode_cbor({**RECEIPT, "outcome": "blocked", "reason": "held", "next": "dance"}), Receipt)
    assert (later.outcome, later.reason) == (Outcome.BLOCKED, Reason.HELD)
    job = {"job": "j", "rev": 1, "state": "assigned", "stops": []}
    assert decode_later(encode_cbor(job), Assignment).state is JobState.ASSIGNED
    alert = {"code": "moonlight", "subject": "x", "severity": "warning", "since_ms": 1, "text": "t", "fix": "f"}
    assert decode_later(encode_cbor(alert), Alert).code == "other"

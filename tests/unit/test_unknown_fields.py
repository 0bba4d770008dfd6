"""Fields that the contract does not have are found wherever they stand, and everything else stays as it is."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from contracts.wire_strategies import valid_event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.protocol.messages import EVENT_KINDS, convert
from devices.protocol.unknown_fields import cut_unknown
from devices.protocol.vocabulary import EventType

laws = settings(derandomize=True, deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])


def without(value: Any, word: str) -> Any:
    """A value without every field of this name."""
    if isinstance(value, dict):
        return {k: without(v, word) for k, v in value.items() if k != word}
    return [without(v, word) for v in value] if isinstance(value, list) else value


@laws
@given(st.sampled_from(EventType), st.data())
def test_what_the_contract_does_not_have_is_cut_and_nothing_else(event_type: EventType, data: st.DataObject) -> None:
    """The strategies add `of_next_year` to some maps."""
    plain, kind = data.draw(valid_event(event_type)), EVENT_KINDS[event_type]
    before = deepcopy(plain)
    kept, paths = cut_unknown(plain, kind)
    assert plain == before, "what was given is not changed"
    assert kept == without(plain, "of_next_year")
    assert (kept is plain) is (not paths)
    assert all(path.rpartition(".")[2] == "of_next_year" for path in paths)
    assert convert(kept, kind) == convert(plain, kind)
    assert cut_unknown(kept, kind) == (kept, [])


@pytest.mark.parametrize(
    ("event_type", "fields", "paths"),
    [
        (EventType.PAID, {"note": 1}, ["note"]),
        (EventType.PAID, {"body": {"amount_minor": 1, "currency": "EUR", "card": "4111"}}, ["body.card"]),
        (EventType.AMENDED, {"body": {"changed": ["x"], "lines": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 1, "name": "Ada"}]}}, ["body.lines[1].name"]),
        (EventType.DELIVERY, {"body": {"pod": {"method": "pin", "signed_by": "Ada"}, "collected": None}}, ["body.pod.signed_by"]),
        (EventType.LOST, {"body": {"who": "Ada"}, "x": {"deep": {"er": 1}}}, ["body.who", "x"]),
    ],
)
def test_each_is_named_by_its_path(event_type: EventType, fields: dict[str, Any], paths: list[str]) -> None:
    ids = {"id": b"i" * 16, "log": b"l" * 8, "seq": 1, "boot": b"b" * 8, "mono_ms": 1, "at_ms": 1, "sent_boot": b"b" * 8, "sent_mono_ms": 1}
    plain = {**ids, "body": {"amount_minor": 1, "currency": "EUR"}, **fields}
    assert sorted(cut_unknown(plain, EVENT_KINDS[event_type])[1]) == paths

"""The generator of streams: its events could be sent, a seed gives the same stream, and the streams reach every rule of the law.

For the last, defects are planted in the model, one rule broken in each: some stream must tell every one of them from the whole model.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import Any, Final

import msgspec
import pytest
from helpers.streams import CONTAINERS, DAY_MS, Mix, arrivals, stream

from bridge.domain import barcodes
from bridge.domain.access import MAY_SEND
from devices.protocol.bodies import BODIES
from devices.protocol.vocabulary import EventType, Role
from firmware_sim.checkers.model.codes import containers, evidence, history, holding, placing
from firmware_sim.checkers.model.codes.evidence import Evidence, Says
from firmware_sim.checkers.model.codes.history import Binding, End
from firmware_sim.checkers.model.codes.told import CUSTODY, Placing, Told, Uid

STREAMS: Final = 400
"""Per mix, how many streams are tried to find a defect. Nearly all are found by the first hundred."""

Read = Callable[[list[Told]], dict[Uid, Placing]]


@cache
def told(seed: int, mix: Mix) -> list[Told]:
    return stream(seed, mix)


@cache
def read(seed: int, mix: Mix) -> dict[Uid, Placing]:
    """What the model answers without a defect."""
    return placing.places(told(seed, mix), CONTAINERS)


# --- the streams ----------------------------------------------------------------------------------------------------------


def some_events() -> Iterator[Told]:
    return (e for mix in Mix for seed in range(60) for e in stream(seed, mix))


def test_every_event_could_be_sent_unless_it_is_faulty_on_purpose() -> None:
    for event in some_events():
        may_send, body_type = EventType(event.type) in MAY_SEND[Role(event.role)], BODIES[EventType(event.type)]
        assert may_send == (event.fault != "forbidden")
        if event.fault == "malformed":
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert(event.body, body_type)
        else:
            assert msgspec.to_builtins(msgspec.convert(event.body, body_type), builtin_types=(bytes,)).keys() <= event.body.keys()


def test_every_code_can_be_read() -> None:
    texts = {t for e in some_events() for t in (e.code, e.body.get("code"), e.body.get("replaces"), e.body.get("parent"), *e.body.get("children", ())) if t}
    assert not [t for t in texts if isinstance(barcodes.read(t), barcodes.Unreadable)]


def test_the_faults_are_there() -> None:
    assert {e.fault for e in some_events()} == {None, "forbidden", "malformed"}


@pytest.mark.parametrize("mix", Mix)
def test_a_seed_gives_the_same_stream_and_another_seed_another(mix: Mix) -> None:
    assert stream(7, mix) == stream(7, mix)
    assert stream(7, mix) != stream(8, mix)


@pytest.mark.parametrize("mix", Mix)
def test_every_device_numbers_its_events_without_a_gap(mix: Mix) -> None:
    for seed in range(30):
        events = stream(seed, mix)
        for device, count in Counter(e.device for e in events).items():
            assert sorted(e.seq for e in events if e.device == device) == list(range(1, count + 1))


@pytest.mark.parametrize("mix", Mix)
def test_every_arrival_has_each_event_once(mix: Mix) -> None:
    events = stream(3, mix)
    ways = list(islice(arrivals(events, random.Random(1)), 8))
    assert all(sorted(e for batch in way for e in batch) == sorted(events) for way in ways)
    assert len({tuple(tuple(e.id for e in batch) for batch in way) for way in ways}) == len(ways)


# --- planted defects ------------------------------------------------------------------------------------------------------


def bind_at_arrival(events: list[Told]) -> dict[Uid, Placing]:
    """Each event is placed once, by what had arrived before it."""
    there, placed = [], {}
    for e in sorted(events, key=lambda e: (e.received_ms, e.id)):
        there.append(e)
        placed[e.uid] = placing.places(there, CONTAINERS)[e.uid]
    return placed


def one_order_for_a_container(whole: Callable[..., Placing]) -> Callable[..., Placing]:
    def first_order(*asked: Any, **more: Any) -> Placing:
        answer = whole(*asked, **more)
        return answer._replace(orders=frozenset(sorted(answer.orders)[:1]))

    return first_order


def own_times(events: list[Told]) -> dict[Uid, int]:
    return {e.uid: e.event_ms for e in events}


def nothing(*_: object) -> None:
    """Evidence of this kind is not read."""


def replace_any(walk: history._Walk, ms: int, e: Told) -> None:
    walk.end(ms, End.REPLACED)


def replace_and_forget(walk: history._Walk, ms: int, e: Told) -> None:
    if walk.holder is not None and e.order == walk.holder.order:
        walk.end(ms, End.FREED)


def last_before(bindings: list[Binding], ms: int) -> Binding | None:
    return next((b for b in reversed(bindings) if b.from_ms < ms), None)


def first_from(bindings: list[Binding], ms: int) -> Binding | None:
    return next((b for b in bindings if b.from_ms >= ms), None)


DEFECTS: Final[dict[str, tuple[tuple[object, str, object], ...]]] = {
    # what the law was made against
    "forget a void": ((placing, "voided", lambda events: frozenset()),),
    "look back only": ((holding, "_first_after", lambda bindings, ms: None),),
    "hint like a binding": ((history.READ, Says.HINTS, history._Walk.bind),),
    "one tote for two orders": ((placing.Law, "_with_contents", one_order_for_a_container(placing.Law._with_contents)),),
    "no lapse": ((history._Walk, "lapse", lambda walk, ms: (False, ms)),),
    # every rule once
    "a desk voids only its own": ((evidence, "VOIDS_EVERY_EVENT", frozenset()),),
    "spellings are other codes": ((evidence, "key", str), (placing, "key", str), (containers, "key", str)),
    "articles are labels": ((evidence, "is_article", lambda k: False),),
    "a shelf is a label": ((evidence, "ORDERS_OF_A_CODE_MAX", 10**6),),
    "an order's id is any code": ((Evidence, "order_with_id", lambda self, k, ms: None),),
    "an order exists for ever": ((evidence, "BEFORE_CREATED_MS", 10_000 * DAY_MS),),
    "hints are not read": ((history.READ, Says.HINTS, nothing),),
    "everything has lapsed": ((history._Walk, "lapse", lambda walk, ms: (True, ms)),),
    "a delivery changes no lapse": ((history, "REUSE_AFTER_MS", history.FORGET_AFTER_MS),),
    "silence is forgotten too soon": ((history, "FORGET_AFTER_MS", history.REUSE_AFTER_MS),),
    "a delivery by name is no sign": ((history.READ, Says.FINISHES, nothing),),
    "any label ends what it replaces": ((history.READ, Says.REPLACES, replace_any),),
    "a replaced label names no order": ((history.READ, Says.REPLACES, replace_and_forget),),
    "nothing is unpacked": ((history.READ, Says.FREES, nothing),),
    "an unpack without a code frees nothing": ((history._Walk, "_is_on", lambda walk, binding, ms, e: False),),
    "an unpack of any parcel frees the code": ((history._Walk, "_is_on", lambda walk, binding, ms, e: True),),
    "a clock set back swaps events": ((history, "order_times", own_times),),
    "scans come before bindings": ((holding, "_last_until", last_before), (holding, "_first_after", first_from)),
    "returns look ahead": ((placing, "BACKWARD", frozenset()), (history, "BACKWARD", frozenset())),
    "a scan before a reuse belongs to the old order": ((history, "_is_forward_scan", lambda e: False),),
    "a label days later contradicts": ((placing, "CONTRADICTS_AHEAD_MS", 7 * DAY_MS),),
    "a label later never contradicts": ((placing, "CONTRADICTS_AHEAD_MS", 0),),
    "a relabelling needs an order": ((placing, "with_orders_of_replaced_codes", lambda known: known),),
    "check scans take a child out": ((containers, "CHECK_SCANS", frozenset()),),
    "a child never leaves by a scan": ((containers, "CHECK_SCANS", CUSTODY),),
    "a cage is never reopened": ((containers, "REOPENED_AFTER_MS", 10_000 * DAY_MS),),
    "a cage is reopened at once": ((containers, "REOPENED_AFTER_MS", 0),),
    "a cage that stood still is reopened": ((containers, "MOVES", CUSTODY),),
    "nothing is inside what is inside": ((containers, "DEPTH_MAX", 1),),
}
"""The rule that is broken → (where, name or key, what stands there instead)."""


def with_defect(defect: str, events: list[Told]) -> dict[Uid, Placing]:
    with pytest.MonkeyPatch.context() as patch:
        for where, name, instead in DEFECTS[defect]:
            if isinstance(where, dict):
                patch.setitem(where, name, instead)
            else:
                patch.setattr(where, name, instead)
        return placing.places(events, CONTAINERS)


def is_found(broken: Read) -> bool:
    return any(read(seed, mix) != broken(told(seed, mix)) for seed in range(STREAMS) for mix in Mix)


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(defect: str) -> None:
    assert is_found(lambda events: with_defect(defect, events))


def test_binding_at_arrival_is_found() -> None:
    assert is_found(bind_at_arrival)


def test_a_site_without_patterns_is_found() -> None:
    assert is_found(placing.places)

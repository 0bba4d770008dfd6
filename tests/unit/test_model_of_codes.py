"""The judge's model of the law of codes: its keys, and the laws that hold for every stream of events."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Final

import pytest
from helpers.streams import CLOCK_STEP_MS_MAX, CONTAINERS, DAY_MS, Mix, elsewhere, stream
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from unit.the_situations import Act, Parcel, created, fill, label, pack, scan, situation, stored, unpack, void

from firmware_sim.checkers.model.codes import containers
from firmware_sim.checkers.model.codes.evidence import ORDERS_OF_A_CODE_MAX, may_void
from firmware_sim.checkers.model.codes.keys import is_article, key
from firmware_sim.checkers.model.codes.placing import places
from firmware_sim.checkers.model.codes.told import Placing, Told, Uid, Verdict

laws = settings(derandomize=True, deadline=None, max_examples=40)
SEEDS, MIXES = st.integers(0, 10**6), st.sampled_from(Mix)
RANDOM = st.randoms(use_true_random=False)


def read(events: Sequence[Told]) -> dict[Uid, Placing]:
    return places(events, CONTAINERS)


# --- keys -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "340123450000000017",
            "00340123450000000017",
            "(00)340123450000000017",
            "https://id.example/00/340123450000000017",
            "HTTP://x.y/a/00/340123450000000017?z",
        ),
        ("4006381333931", "04006381333931"),
        ("012345678905", "0012345678905", "00012345678905"),
        ("Caf\u00e9", "Cafe\u0301"),
    ],
)
def test_all_spellings_of_a_code_have_one_key(spellings: Sequence[str]) -> None:
    assert len({key(text) for text in spellings}) == 1


@pytest.mark.parametrize(
    "text", ["4006381333930", "34012345000000001", "1Z999AA10123456784", "PO 17/3", "0", "\u0664\u0660\u0660\u0666\u0663\u0668\u0661\u0663"]
)
def test_any_other_text_is_its_own_key_and_is_not_an_article(text: str) -> None:
    assert key(text) == text
    assert not is_article(key(text))


# --- limits and roles that no situation and hardly a stream reaches ------------------------------------------------------


def answer(name: str, *acts: Act | Iterable[Act]) -> Placing:
    """Where the event with this name is placed."""
    events = stored(situation("", *acts))
    return read(list(events.values()))[events[name].device, events[name].id]


LABELS: Final = [label(0, order, f"L{order}") for order in "ABCD"]


def test_containers_are_read_three_deep() -> None:
    cages = [fill(nth, f"CAGE-{nth}", f"CAGE-{nth - 1}", f"L{order}") for nth, order in enumerate("ABCD", start=1)]
    assert answer("load 1", created(-1, *"ABCD"), LABELS, cages, scan(9, "load", "CAGE-4")).orders == {"B", "C", "D"}


def test_a_circle_of_containers_is_cut() -> None:
    fills = fill(1, "CAGE-1", "CAGE-2", "LA"), fill(2, "CAGE-2", "CAGE-1", "LB")
    assert answer("load 1", created(-1, "A", "B"), LABELS[:2], *fills, scan(9, "load", "CAGE-1")).orders == {"A", "B"}


def test_what_was_put_in_beyond_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "INSIDE_MAX", 2)
    fills = fill(1, "CAGE-1", "LC", "LA"), fill(2, "CAGE-1", "LB")
    assert answer("load 1", created(-1, *"ABC"), LABELS[:3], *fills, scan(9, "load", "CAGE-1")).orders == {"A", "C"}


@pytest.mark.parametrize("step", ["stage", "pick"])
def test_a_shelf_holds_nothing(step: str) -> None:
    others = [scan(2, step, "SHELF-9", f"S-{nth}") for nth in range(ORDERS_OF_A_CODE_MAX + 1)]
    story = created(-1, "A"), label(0, "A", "LA"), fill(1, "SHELF-9", "LA"), scan(3, "load", "SHELF-9")
    assert answer("load 1", *story, others[1:]).orders == {"A"}
    assert answer("load 1", *story, others).verdict is Verdict.PARKED


def test_a_voided_label_stands_in_the_order_of_the_code_that_it_replaced() -> None:
    hub = label(1, None, "NEW", replaces="LA", name="hub")
    assert answer("hub", created(-1, "A"), LABELS[:1], hub, void(2, "hub")) == Placing(Verdict.VOIDED, frozenset("A"))


def test_an_order_number_that_reads_as_an_article_is_found_by_its_slip() -> None:
    assert answer("load 1", created(-1, "96385074"), scan(0, "load", "96385074")).orders == {"96385074"}


@pytest.mark.parametrize(("packed_on", "verdict"), [(6, Verdict.PLACED), (60, Verdict.REJECTED)])
def test_a_pack_of_weeks_later_does_not_explain_which_parcel_was_unpacked(packed_on: float, verdict: Verdict) -> None:
    """Clocks may differ by days, so a pack may seem to follow the unpack that names its parcel. But a pack of day 60 moves nothing of day 2."""
    unpacked = unpack(1, "A", parcel=Parcel("packing")), pack(packed_on, "A", name="packing")
    assert answer("others", created(-1, "A", "B"), label(0, "A", "L"), *unpacked, pack(2, "B", code="L", name="others")).verdict is verdict


@pytest.mark.parametrize(("role", "any_device"), [("desk", True), ("system", True), ("scanner", False), ("courier", False), ("carrier", False)])
def test_who_may_void_what(role: str, any_device: bool) -> None:
    events = stored(
        situation("", created(-1, "A"), label(0, "A", "L", name="target"), void(1, "target", name="own"), void(1, "target", name="other", device="desk"))
    )
    own, other = (events[name]._replace(role=role) for name in ("own", "other"))
    target = events["target"]
    assert (may_void(own, target), may_void(other, target)) == (True, any_device)
    assert not may_void(own, other)


# --- laws -----------------------------------------------------------------------------------------------------------------


@laws
@given(SEEDS, MIXES, RANDOM)
def test_sequence_and_duplicates_change_nothing(seed: int, mix: Mix, chance: random.Random) -> None:
    events = stream(seed, mix)
    more = events + chance.choices(events, k=len(events))
    chance.shuffle(more)
    assert read(more) == read(events)


@laws
@given(SEEDS, SEEDS, MIXES)
def test_unrelated_events_move_no_others(seed: int, other_seed: int, mix: Mix) -> None:
    events = stream(seed, mix)
    alone, together = read(events), read(events + [elsewhere(e) for e in stream(other_seed, mix)])
    assert {uid: together[uid] for uid in alone} == alone


REACH_MS = {"created": 14 * DAY_MS}
"""How far into the past an event may move others; 7 days if it is not a creation."""


@laws
@given(SEEDS, MIXES, RANDOM)
def test_an_event_moves_only_the_days_before_it(seed: int, mix: Mix, chance: random.Random) -> None:
    """A void may move everything. The 33rd order of a common code is the other exception: streams with so many orders are left out."""
    events = stream(seed, mix)
    assume(len({e.order for e in events}) <= ORDERS_OF_A_CODE_MAX)
    whole = read(events)
    for new in chance.sample([e for e in events if e.type != "void"], 5):
        assert not moved_from_afar(whole, read([e for e in events if e is not new]), events, new)


def moved_from_afar(whole: dict[Uid, Placing], without: dict[Uid, Placing], events: Sequence[Told], new: Told) -> list[Told]:
    """The events that are too old to be moved by a new one, and were.

    Two kinds are left out: voids, which follow their targets, and events that waited until their order was created.
    """
    created_ms = {e.order: e.event_ms for e in reversed(events) if e.type == "created"}
    oldest_ms = new.event_ms - REACH_MS.get(new.type, 7 * DAY_MS) - CLOCK_STEP_MS_MAX
    old = [e for e in events if e is not new and e.type != "void" and e.event_ms < oldest_ms and e.event_ms >= created_ms.get(e.order, 0) - 7 * DAY_MS]
    return [e for e in old if whole[e.device, e.id] != without[e.device, e.id]]

"""The judge's model of the law of codes: its keys, and the laws that hold for every stream of events."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import pytest
from helpers.streams import CLOCK_STEP_MS_MAX, CONTAINERS, DAY_MS, Mix, Stored, log_of, stream
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from firmware_sim.checkers.model.codes.evidence import ORDERS_OF_A_CODE_MAX
from firmware_sim.checkers.model.codes.keys import is_article, key
from firmware_sim.checkers.model.codes.placing import places
from firmware_sim.checkers.model.codes.told import Placing, Told, Uid

laws = settings(derandomize=True, deadline=None, max_examples=40)
SEEDS, MIXES = st.integers(0, 10**6), st.sampled_from(Mix)
RANDOM = st.randoms(use_true_random=False)


def read(events: Sequence[Stored]) -> dict[Uid, Placing]:
    return places([Told(*e) for e in events], CONTAINERS)


# --- keys -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "340123450000000018",
            "00340123450000000018",
            "(00)340123450000000018",
            "https://id.example/00/340123450000000018",
            "HTTP://x.y/a/00/340123450000000018?z",
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


# --- laws -----------------------------------------------------------------------------------------------------------------


@laws
@given(SEEDS, MIXES, RANDOM)
def test_sequence_and_duplicates_change_nothing(seed: int, mix: Mix, chance: random.Random) -> None:
    events = stream(seed, mix)
    more = events + chance.choices(events, k=len(events))
    chance.shuffle(more)
    assert read(more) == read(events)


def elsewhere(e: Stored) -> Stored:
    """The same event of other devices, orders and codes."""

    def other_id(event_id: bytes) -> bytes:
        return hashlib.sha256(event_id).digest()[:16]

    def other(text: str | None) -> str | None:
        return None if text is None else f"other {text}"

    renamed = {**dict.fromkeys(("code", "replaces", "parent"), other), "children": lambda codes: [other(c) for c in codes], "ref": other_id}
    body = {name: renamed[name](value) if name in renamed else value for name, value in e.body.items()}
    device = f"other-{e.device}"
    return e._replace(device=device, log=log_of(device), id=other_id(e.id), order=other(e.order), code=other(e.code), body=body)


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


def moved_from_afar(whole: dict[Uid, Placing], without: dict[Uid, Placing], events: Sequence[Stored], new: Stored) -> list[Stored]:
    """The events that are too old to be moved by a new one, and were.

    Two kinds are left out: voids, which follow their targets, and events that waited until their order was created.
    """
    created_ms = {e.order: e.event_ms for e in reversed(events) if e.type == "created"}
    oldest_ms = new.event_ms - REACH_MS.get(new.type, 7 * DAY_MS) - CLOCK_STEP_MS_MAX
    old = [e for e in events if e is not new and e.type != "void" and e.event_ms < oldest_ms and e.event_ms >= created_ms.get(e.order, 0) - 7 * DAY_MS]
    return [e for e in old if whole[e.device, e.id] != without[e.device, e.id]]

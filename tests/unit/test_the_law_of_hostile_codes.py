"""The law of codes, through the real ingest: hostile streams, what they once broke, and defects that are planted to be found.

See `test_the_law_of_codes.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from helpers.streams import ARTICLE, Mix, arrivals, elsewhere, stream
from helpers.streams.settled import arrive, each_once, times_of
from unit.the_law import databases, faults, faults_of
from unit.the_situations import Situation, created, fill, label, pack, scan, situation, stored, told, unpack, void

from bridge.domain.codes.history import Binding, History
from bridge.domain.codes.place import Placer, Placing
from bridge.domain.facts import Fact
from bridge.ingest.coding import Coding
from bridge.ingest.evidence import Evidence
from bridge.store.memory import MemoryStore

STREAMS, ON_SQLITE = range(70), range(140, 146)
"""Seeds of streams."""
UNRELATED: Final = range(12)
SEARCHED: Final = range(60)
"""Seeds among which a planted defect must be found."""


@pytest.mark.parametrize("first", STREAMS[::10])
def test_hostile_streams_give_the_same_answers_however_they_arrive(first: int) -> None:
    assert not {seed: wrong for seed in range(first, first + 10) if (wrong := faults(seed, Mix.HOSTILE))}


def test_on_sqlite_arrivals_and_a_replay_agree(tmp_path: Path) -> None:
    with databases(tmp_path) as new_store:
        assert not {seed: wrong for seed in ON_SQLITE if (wrong := faults(seed, Mix.HOSTILE, new_store))}


# --- unrelated events -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mix", Mix)
def test_unrelated_events_move_no_others(mix: Mix) -> None:
    for seed in UNRELATED:
        events, others = each_once(stream(seed, mix)), [elsewhere(e) for e in each_once(stream(seed + 1_000, mix))]
        chance = random.Random(seed)
        with times_of(events + others):
            alone = arrive(MemoryStore(), [events])
            *_, way = (w for w, _ in zip(arrivals(chance.sample(events + others, len(events + others)), chance), range(5), strict=False))
            together = arrive(MemoryStore(), way, chance=chance)
        assert {uid: together.answers[uid] for uid in alone.answers} == alone.answers
        assert {order: together.orders[order] for order in alone.orders} == alone.orders


# --- what streams once broke ------------------------------------------------------------------------------------------------

SHELF: Final = [scan(0.1, "stage", "SHELF-9", f"S-{nth}", device=f"scanner-{nth % 3 + 1}") for nth in range(33)]

ONCE_BROKEN: Final = (
    situation(
        "A delivery without a code follows labels that no pack has explained: it is about their parcels, and not about another one.",
        unpack(-9, "A", code="L2"),
        created(-2, "A"),
        label(0, "A", "L2"),
        scan(2, "arrive", "L1", "A"),
        told(4, "delivery", "A"),
    ),
    situation(
        "A scan of a label after the pack does not take the label from the packed parcel.",
        created(-20, "A"),
        told(0, "returned", "A"),
        label(1, "A", "L1"),
        scan(1.5, "load", "L3", "A"),
        pack(2, "A", code="L2", parcel="p1"),
        scan(3, "unload", "L2", parcel="p2"),
        scan(4, "load", "L1"),
    ),
    situation(
        "A number that reads as an article's is scanned before it is told that it is a label: the scan is of that label.",
        created(-2, "A"),
        pack(0, "A", code="L1", parcel="p1"),
        scan(1, "found", ARTICLE),
        label(2, "A", ARTICLE, parcel="p2"),
    ),
    situation(
        "A clock set back puts a scan at the moment of a hub's label, which names no order: the label is still a sign of the code, so no pack takes it.",
        created(-10, "B"),
        scan(-6.4, "load", "L1", "C"),
        scan(-5, "depart", "W", device="scanner-3", seq=2),
        label(-4, None, "W", replaces="L1", device="scanner-3", seq=1),
        pack(-2, "B", code="W"),
        created(-1, "C"),
    ),
    situation(
        "A shelf on which something was put, and that the 33rd order makes a shelf, holds nothing.",
        created(-1, "A"),
        fill(0, "SHELF-9", "A"),
        SHELF,
        scan(1, "load", "SHELF-9"),
    ),
    situation(
        "A scan in the same millisecond as the first that names another order is no sign that the old label is alive.",
        created(-10, "B"),
        pack(-9, "B", code="L1", parcel="p1"),
        told(-8, "returned", "B", parcel="p1"),
        scan(200, "delivery", "L1", device="phone-1"),
        scan(200, "refused", "L1", "A", device="phone-1"),
    ),
)
"""Found by random streams, and shortened."""


@pytest.mark.parametrize("told", ONCE_BROKEN, ids=lambda told: told.sentence[:60])
def test_what_a_stream_once_broke_holds(told: Situation) -> None:
    assert not faults_of(sorted(stored(told).values(), key=lambda e: e.event_ms), random.Random(1))


def test_a_void_counts_for_the_event_of_a_second_device_that_has_the_same_id() -> None:
    events = stored(
        situation(
            "", created(-1, "A", "B"), label(0, "A", "L"), scan(1, "load", "L", name="one"), told(1, "depart", "B", name="two"), void(2, "one", device="desk")
        )
    )
    events["two"] = events["two"]._replace(device="scanner-2", id=events["one"].id)
    assert not faults_of(list(events.values()), random.Random(1))


# --- planted defects --------------------------------------------------------------------------------------------------------


def one_order(whole: Callable[..., Placing]) -> Callable[..., Placing]:
    def first_order(placer: Placer, fact: Fact, history: History, inside: list[str]) -> Placing:
        placing = whole(placer, fact, history, inside)
        return placing._replace(orders=placing.orders[:1])

    return first_order


def bind(history: History, order_id: str, at_ms: int) -> None:
    history._current = Binding(order_id, at_ms, frozenset(), at_ms)
    history.bindings.append(history._current)


def last_only(whole: Callable[..., tuple[Binding | None, Binding | None]]) -> Callable[..., tuple[Binding | None, Binding | None]]:
    return lambda history, at_ms: (whole(history, at_ms)[0], None)


DEFECTS: Final[dict[str, tuple[type, str, object]]] = {
    "bind at arrival": (Coding, "_to_place_again", lambda coding: {}),
    "forget a void": (Evidence, "is_voided", lambda evidence, fact: False),
    "look back only": (History, "_around", last_only(History._around)),
    "hint like a binding": (History, "_hint", bind),
    "one tote for two orders": (Placer, "_scan_of_container", one_order(Placer._scan_of_container)),
    "no lapse": (History, "_lapse", lambda history, at_ms: (False, at_ms)),
}
"""The rule that is broken → (where, name, what stands there instead)."""


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*DEFECTS[defect])
    assert any(faults(seed, Mix.HOSTILE) for seed in SEARCHED)

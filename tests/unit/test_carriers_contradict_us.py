"""What carriers say against what we scan: each kind of contradiction, and what looks like one and is none. The state follows time all the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest
from helpers.events import TOPICS
from helpers.floor import MINUTE_MS, Floor, Person

from bridge.domain.contradictions import Denial, contradictions_of
from bridge.domain.fold import OrderFold, fold
from bridge.store.queries import Queries

Scan = tuple[str, str, int]
"""Who, what, and when: in minutes from the first pack."""

TRUE: Final[dict[str, list[Scan]]] = {
    "we load it, it is delivered": [("packer", "pack", 0), ("dock", "stage", 5), ("dock", "load", 30), ("dhl", "pickup", 60), ("dhl", "delivery", 900)],
    "a shop that only packs": [("packer", "pack", 0), ("dhl", "delivery", 900)],
    "the carrier fetches it from the dock": [("packer", "pack", 0), ("dock", "stage", 5), ("dhl", "pickup", 60), ("dhl", "delivery", 900)],
    "clocks that differ a little": [("dhl", "pickup", 0), ("dock", "load", 8), ("packer", "pack", 8)],
    "it comes back and goes out again": [
        *(("packer", "pack", 0), ("dock", "load", 10), ("dhl", "attempt_failed", 300), ("dhl", "return_started", 400)),
        *(("dock", "returned", 900), ("dock", "stage", 910), ("dock", "load", 920), ("dhl", "delivery", 2000)),
    ],
    "delivered, refused and delivered again": [
        *(("packer", "pack", 0), ("dock", "load", 10), ("dhl", "delivery", 300), ("dhl", "refused", 400), ("dhl", "delivery", 900)),
    ],
    "reported at the door and again in the evening": [("packer", "pack", 0), ("dock", "load", 10), ("dhl", "delivery", 300), ("dhl", "delivery", 340)],
    "taken out of the van before the carrier came": [
        *(("packer", "pack", 0), ("dock", "load", 10), ("dock", "unload", 20), ("dock", "load", 30), ("dhl", "pickup", 60)),
    ],
}
"""Stories without a contradiction."""
FALSE: Final[dict[str, tuple[list[Scan], list[tuple[str, str, str]]]]] = {
    "delivered, and it stands at the dock": (
        [("packer", "pack", 0), ("dock", "stage", 5), ("dhl", "delivery", 900)],
        [("not_loaded", "delivery", "stage")],
    ),
    "out for delivery, and unloaded again": (
        [("packer", "pack", 0), ("dock", "load", 5), ("dock", "unload", 15), ("dhl", "out_for_delivery", 900)],
        [("not_loaded", "out_for_delivery", "unload")],
    ),
    "delivered, and later on the dock": (
        [("packer", "pack", 0), ("dock", "load", 5), ("dhl", "delivery", 900), ("dock", "stage", 1000)],
        [("on_our_dock", "delivery", "stage")],
    ),
    "the carrier had it before it was packed": (
        [("dhl", "pickup", 0), ("dhl", "delivery", 200), ("packer", "pack", 300), ("dock", "load", 310)],
        [("before_packed", "pickup", "pack")],
    ),
    "delivered on two days": (
        [("packer", "pack", 0), ("dock", "load", 5), ("dhl", "delivery", 300), ("dhl", "delivery", 2000)],
        [("delivered_twice", "delivery", "delivery")],
    ),
    "by our courier and by the carrier": (
        [("packer", "pack", 0), ("anna", "delivery", 300), ("dhl", "delivery", 2000)],
        [("delivered_twice", "delivery", "delivery")],
    ),
}


class Yard(Floor):
    """A floor with a carrier that has a feed of its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.dhl = Person(self, "dhl")
        self.begin_ms = self.now_ms
        self.order("A", lines={"mug": 1})

    def play(self, story: Sequence[Scan], *, backwards: bool = False) -> None:
        """Let all of a story arrive on the third day, its events in their order or backwards."""
        self.now_ms = self.begin_ms + 3000 * MINUTE_MS
        drafts = [self.made(getattr(self, who), verb, "A", parcel="a", at_ms=self.begin_ms + minute * MINUTE_MS) for who, verb, minute in story]
        for draft in reversed(drafts) if backwards else drafts:
            self.send(draft)

    def whole(self) -> OrderFold:
        _, facts = Queries(self.engine, TOPICS).stories(["A"])["A"]
        return fold("A", facts)

    def found(self, *denials: Denial) -> list[tuple[str, str, str]]:
        return [(c.kind.value, c.said, c.scan) for c in contradictions_of(self.whole(), denials)]

    def denial(self, minute: int, parcel: str | None = "a") -> Denial:
        return Denial("dhl", parcel, "SA", self.begin_ms + minute * MINUTE_MS)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    with Yard(tmp_path / "site.db") as made:
        yield made


@pytest.mark.parametrize("name", TRUE)
def test_what_can_all_be_true_is_no_contradiction(yard: Yard, name: str) -> None:
    yard.play(TRUE[name])
    assert yard.found() == []
    assert "contradiction" not in yard.alerts()


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", FALSE)
def test_what_cant_be_true_is_shown_and_raises_an_alert(yard: Yard, name: str, backwards: bool) -> None:
    story, expected = FALSE[name]
    yard.play(story, backwards=backwards)
    assert yard.found() == expected
    assert "contradiction" in yard.alerts("A")


def test_nothing_of_it_changes_the_state(yard: Yard) -> None:
    yard.play([("packer", "pack", 0), ("dock", "stage", 5), ("dhl", "delivery", 900)])
    assert yard.state("A") == "delivered", "a custody fact takes its place in time"


def test_the_alert_ends_when_the_wrong_event_is_voided(yard: Yard) -> None:
    yard.play([("packer", "pack", 0), ("dock", "stage", 5), ("dhl", "delivery", 900)])
    (wrong,) = contradictions_of(yard.whole())
    yard.desk.void(ref=wrong.theirs, reason="did_not_occur")
    assert (yard.found(), yard.alerts(), yard.state("A")) == ([], set(), "packed")


def test_the_alert_ends_when_the_order_is_completed(yard: Yard) -> None:
    yard.play([("packer", "pack", 0), ("dock", "load", 5), ("dhl", "delivery", 300), ("dhl", "delivery", 2000)])
    assert yard.alerts() == {"contradiction"}
    yard.shop.completed("A")
    assert yard.alerts() == set()


def test_a_carrier_that_does_not_have_what_we_loaded(yard: Yard) -> None:
    yard.play([("packer", "pack", 0), ("dock", "load", 30)])
    assert yard.found(yard.denial(20)) == [], "it was not loaded yet"
    assert yard.found(yard.denial(35)) == [], "its clock may differ"
    assert yard.found(yard.denial(300)) == [("never_received", "SA", "load")]
    assert yard.found(yard.denial(300, parcel=None)) == [("never_received", "SA", "load")]
    assert yard.found(yard.denial(300, parcel="b")) == []


@pytest.mark.parametrize("later", [("dhl", "arrive", 400), ("dock", "unload", 400), ("dhl", "delivery", 400)])
def test_a_carrier_has_it_after_all_or_it_is_back(yard: Yard, later: Scan) -> None:
    yard.play([("packer", "pack", 0), ("dock", "load", 30), later])
    assert yard.found(yard.denial(300)) == []


def test_two_parcels_are_compared_each_on_its_own(yard: Yard) -> None:
    yard.packed("B", "b", "c")
    for parcel in ("b", "c"):
        yard.dock.stage(code=f"WB-{parcel.upper()}")
    yard.dock.load(code="WB-B")
    for parcel in ("b", "c"):
        yard.dhl.delivery(code=f"WB-{parcel.upper()}")
    _, facts = Queries(yard.engine, TOPICS).stories(["B"])["B"]
    assert [(c.kind, c.parcel) for c in contradictions_of(fold("B", facts))] == [("not_loaded", "c")]


def test_what_our_own_systems_say_is_no_carrier(yard: Yard) -> None:
    yard.play([("packer", "pack", 0), ("dock", "stage", 5), ("shop", "delivery", 900)])
    assert yard.found() == []

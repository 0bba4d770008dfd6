"""The model that checks simulations, compared with the bridge's fold: two independent implementations of one contract must agree on every history."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helpers.bench import Bench
from helpers.events import CREATED, event_id
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulation.records_made import Run
from unit.facts_made import LAMP, MUG, ORDER, PLAIN_BODY, USUAL, Story, created, facts_of_an_order, fresh, line
from unit.test_lifecycle import EXPECTED

from bridge.domain.facts import DECIDED, Decided, Fact
from bridge.domain.fold import OrderFold, fold
from bridge.domain.lifecycle import MOVES
from bridge.domain.view import OrderView, flags_of
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, Outcome, ParcelState
from firmware_sim.checkers import judge
from firmware_sim.checkers.model.events import Answer, Happened
from firmware_sim.checkers.model.parcel import WAYS, leads
from firmware_sim.checkers.model.reading import READ, Expected, read_order

laws = settings(
    derandomize=True,
    deadline=None,
    max_examples=80,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

TWO_LINES = created(line(MUG), line(LAMP))
DAMAGED_TOTALLY = bodies.Damaged(severity="total")


def packing(*skus: str) -> bodies.Pack:
    return bodies.Pack(items=[line(sku) for sku in skus])


def happened(fact: Fact) -> Happened:
    """A fact in the plain form that the model takes."""
    body: dict[str, Any] = (
        {"device": fact.body.device, "ref": fact.body.ref, "job": fact.body.job, "answer": str(fact.body.answer)}
        | {"outcome": fact.body.outcome.value, "reason": fact.body.reason and fact.body.reason.value}
        if isinstance(fact.body, Decided)
        else msgspec.to_builtins(fact.body, builtin_types=(bytes,))
    )
    named = (fact.parcel, fact.code, fact.at, fact.fault, fact.courier, fact.terms, fact.article, fact.seq_reused, fact.carrier)
    return Happened(fact.device, str(fact.role), str(fact.type), fact.log, fact.seq, fact.id, fact.event_ms, fact.received_ms, body, *named)


def read(facts: Sequence[Fact]) -> Expected:
    return read_order(ORDER, map(happened, facts))


def differences(whole: OrderFold, expected: Expected) -> list[tuple[object, ...]]:
    """The differences between the fold and the model."""
    if not (whole.exists and expected.exists):
        found: list[tuple[object, ...]] = [("exists", whole.exists, expected.exists)] if whole.exists != expected.exists else []
    else:
        order = whole.order
        parcels = {p.id: (str(p.state), frozenset(map(str, p.flags))) for p in order.parcels.values()}
        seen = {name: (state, frozenset(flags - expected.perhaps)) for name, (state, flags) in parcels.items()}
        wanted_parcels = {name: (state, frozenset(flags - expected.perhaps)) for name, (state, flags) in expected.parcels.items()}
        pairs = (("state", order.state_word, expected.state), ("parcels", seen, wanted_parcels))
        found = [(what, said, wanted) for what, said, wanted in pairs if said != wanted]
        flags = {str(f) for f in flags_of(order)}
        if (flags ^ expected.flags) - expected.perhaps:
            found.append(("flags", flags, set(expected.flags)))
    for fact in whole.facts + whole.voids:
        if fact.type != DECIDED and not _agree(whole, fact, expected.answers[fact.uid]):
            found.append((str(fact.type), fact.id.hex()[-4:], whole.verdicts[fact.uid], expected.answers[fact.uid]))
    return found


def _agree(whole: OrderFold, fact: Fact, answer: Answer) -> bool:
    verdict = whole.verdicts[fact.uid]
    if answer.outcome == "unknown":
        return True  # a claim that was not decided
    if answer.outcome == "taken":
        return verdict.outcome in (Outcome.APPLIED, Outcome.LATE, Outcome.NOOP) and not (answer.moved and verdict.outcome is Outcome.NOOP)
    return (verdict.outcome, verdict.reason) == (answer.outcome, answer.reason)


# --- every history --------------------------------------------------------------------------------------------------------------


@laws
@given(facts_of_an_order())
def test_the_fold_and_the_model_read_every_history_alike(facts: list[Fact]) -> None:
    assert differences(fold(ORDER, fresh(facts)), read(facts)) == []


@laws
@given(facts_of_an_order(), st.randoms(use_true_random=False))
def test_arrival_does_not_matter_to_the_model(facts: list[Fact], chance: Any) -> None:
    shuffled = list(facts)
    chance.shuffle(shuffled)
    assert read(shuffled) == read(facts)


PATHS: list[tuple[E, ...]] = [
    (),
    (E.PICK,),
    (E.PACK,),
    (E.PACK, E.STAGE),
    (E.PACK, E.LOAD),
    (E.PACK, E.DEPART),
    (E.PACK, E.CUSTOMS_ENTERED),
    (E.PACK, E.CUSTOMS_ENTERED, E.CUSTOMS_CLEARED),
    (E.PACK, E.OUT_FOR_DELIVERY),
    (E.PACK, E.OUT_FOR_DELIVERY, E.ATTEMPT_FAILED),
    (E.PACK, E.AVAILABLE_FOR_PICKUP),
    (E.PACK, E.DELIVERY),
    (E.PACK, E.DELIVERY, E.COMPLETED),
    (E.PACK, E.LOAD, E.REFUSED),
    (E.PACK, E.LOAD, E.REFUSED, E.RETURNED),
    (E.PACK, E.LOAD, E.LOST),
    (E.PACK, E.DESTROYED),
    (E.PACK, E.CANCELLED),
    (E.PACK, E.LOAD, E.CANCELLED),
    (E.HELD,),
    (E.PACK, E.HELD),
    (E.PACK, E.HELD, E.LOAD),
    (E.ASSIGNED,),
]
"""Histories of an order; at the end of each, every event type is tried."""


@pytest.mark.parametrize("event", [e for e in E if e not in (E.VOID, E.CREATED)])
def test_every_event_type_at_every_place_of_the_way(event: E) -> None:
    for abroad in (False, True):
        for path in PATHS:
            story = Story(created(dest_country="NL") if abroad else TWO_LINES)
            for before in (*path, event, E.FOUND, E.RELEASED):
                story.tell(before)
            assert differences(story.fold, read(story.facts)) == [], (path, event)


@pytest.mark.parametrize("event", [e for e in E if e not in (E.VOID, E.CREATED)])
def test_every_event_type_about_one_of_two_parcels(event: E) -> None:
    for path in PATHS:
        for other in (None, E.LOAD, E.DELIVERY, E.REFUSED, E.LOST):
            story = Story(TWO_LINES)
            story.tell(E.PACK, packing(MUG), parcel="p1", code="C1")
            story.tell(E.PACK, packing(LAMP), parcel="p2", code="C2")
            for before in (*path, event):
                story.tell(before, parcel="p1")
            if other is not None:
                story.tell(other, code="C2")
            assert differences(story.fold, read(story.facts)) == [], (path, event, other)


@pytest.mark.parametrize("event", [e for e in E if e not in (E.VOID, E.CREATED)])
def test_an_event_of_any_type_is_voided(event: E) -> None:
    story = Story(created())
    for before in (E.PACK, E.LOAD):
        story.tell(before)
    story.tell(event)
    meant = story.last
    for by in ("phone-2", "desk", "shop"):
        story.void(meant, by=by)
        assert differences(story.fold, read(story.facts)) == [], by
    story.void(story.last, by="desk")
    assert differences(story.fold, read(story.facts)) == []


def test_the_model_reads_every_event_type() -> None:
    assert set(READ) == {str(e) for e in E} - {E.VOID} | {DECIDED}
    assert set(USUAL) == set(PLAIN_BODY) | {E.VOID}


NAMES = {"cleared_at_destination": "customs_cleared (destination)", "cleared_on_the_way": "customs_cleared (on the way)"}
NAMES |= {"damaged_totally": "damaged (total)", "cancelled": "cancelled (in house)"}


def test_a_parcel_moves_in_the_model_as_the_whole_table_says() -> None:
    assert {NAMES.get(step, step) for step in WAYS} == {str(m) for m in MOVES}
    for step in WAYS:
        assert {s: leads(step, s) for s in ParcelState} == {s: EXPECTED[(s, NAMES.get(step, step))] or s for s in ParcelState}, step


# --- the whole way, through the settler ---------------------------------------------------------------------------------------------

_STEPS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("scan-1", "pick", {"sku": "pen", "qty": 1}, {}),
    ("scan-1", "pick", {"sku": "hat", "qty": 1}, {}),
    ("scan-1", "pack", {}, {"code": "C-1"}),
    ("scan-1", "labelled", {"code": "C-2", "kind": "plain"}, {"parcel": "p1"}),
    ("scan-2", "stage", {"dock": "d1"}, {}),
    ("scan-2", "load", {"vehicle": "v"}, {"code": "C-1"}),
    ("scan-2", "load", {"vehicle": "v"}, {"order": None, "code": "C-2"}),
    ("scan-2", "stage", {"dock": "d2"}, {"order": None, "code": "C-1"}),
    ("scan-2", "load", {"vehicle": "v"}, {"code": "C-2"}),
    ("scan-1", "pack", {"items": [{"sku": "pen", "qty": 1}]}, {"code": "C-2"}),
    ("scan-1", "labelled", {"code": "C-1", "kind": "plain"}, {}),
    ("scan-1", "labelled", {"code": "C-3", "kind": "plain", "replaces": "C-1"}, {"order": None}),
    ("scan-2", "unload", {}, {"order": None, "code": "C-3"}),
    ("scan-2", "aggregated", {"parent": "CAGE-1", "children": ["C-1", "C-2"]}, {"order": None}),
    ("scan-2", "depart", {"hub": "h"}, {"order": None, "code": "CAGE-1"}),
    ("scan-2", "disaggregated", {"parent": "CAGE-1", "all": True}, {"order": None}),
    ("desk", "held", {"reason": "fraud"}, {}),
    ("desk", "released", {"reason": "fraud"}, {}),
    ("desk", "cancelled", {"reason": "asked"}, {}),
    ("desk", "cancelled", {"reason": "asked"}, {"parcel": "p1"}),
    ("desk", "released", {}, {}),
    ("shop1", "held", {"reason": "stock"}, {}),
    ("shop1", "paid", {"amount_minor": 1250, "currency": "EUR"}, {}),
    ("desk", "assigned", {"courier": "ben", "job": "j-3"}, {"parcel": "p1"}),
    ("phone-ben", "pickup", {}, {}),
    ("phone-ben", "delivery", {"pod": {"method": "pin"}, "collected": {"amount_minor": 1, "currency": "EUR", "tender": "cash"}}, {}),
    ("scan-2", "unload", {}, {}),
    ("scan-2", "returned", {"dock": "r1", "items": [{"sku": "pen", "qty": 1}]}, {}),
    ("desk", "assigned", {"courier": "anna", "job": "j-1"}, {}),
    ("desk", "assigned", {"courier": "ben", "job": "j-2"}, {}),
    ("desk", "unassigned", {"job": "j-1", "reason": "ill"}, {"order": None}),
    ("phone-anna", "claim", {"job": "j-1", "rev": 1}, {"order": None}),
    ("phone-anna", "decline", {"job": "j-1", "reason": "full"}, {"order": None}),
    ("phone-ben", "claim", {"job": "j-1", "rev": 1}, {"order": None}),
    ("phone-anna", "pickup", {}, {}),
    ("phone-anna", "out_for_delivery", {}, {}),
    ("phone-anna", "attempt_failed", {"reason": "nobody"}, {}),
    ("phone-anna", "delivery", {"pod": {"method": "pin"}}, {}),
    ("phone-anna", "refused", {"reason": "no"}, {}),
    ("scan-2", "returned", {"dock": "r1"}, {}),
    ("scan-2", "lost", {}, {}),
    ("scan-2", "found", {}, {}),
    ("shop1", "completed", {}, {}),
]
_DONE: dict[str, int] = {}


@settings(derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(_STEPS), st.sampled_from(["o-1", "o-2"]), st.sampled_from([0, 0, 0, 90_000])), max_size=18))
def test_what_the_settler_stored_and_told_is_what_the_model_reads(tmp_path: Path, steps: list[Any]) -> None:
    """Two orders in one site, with events in any sequence, some late and some before their order: no checker finds a fault in the database."""
    _DONE["n"] = _DONE.get("n", 0) + 1
    run = Run(tmp_path / f"{_DONE['n']}.db")
    try:
        run.tell("scan-1", "pick", "o-2", {"sku": "pen", "qty": 1})
        for order in ("o-1", "o-2"):
            run.tell("shop1", "created", order, CREATED)
        for (device, event_type, body, named), order, late_ms in steps:
            run.tell(device, event_type, named.get("order", order), body, at_ms=run.now_ms - late_ms, **{k: v for k, v in named.items() if k != "order"})
        record = run.finish()
    finally:
        run.bench.store.close()
        run.bench.engine.dispose()
    record.alerts = (("*", "*"),)
    assert [f for f in judge(record) if f.checker != "nothing_is_left"] == []


# --- where the bridge differed from the contract ---------------------------------------------------------------------------------------


def agrees(story: Story) -> bool:
    return differences(story.fold, read(story.facts)) == []


def test_a_pack_that_is_told_after_a_return_began_still_packs() -> None:
    story = Story(TWO_LINES)
    story.tell(E.RETURN_STARTED)
    assert story.tell(E.PACK).outcome is not Outcome.NOOP
    assert story.state == "returning", "everything is packed, and on its way back"
    assert agrees(story)


def test_two_packs_that_are_told_after_a_load_are_two_parcels() -> None:
    story = Story(TWO_LINES)
    story.tell(E.LOAD)
    story.tell(E.PACK, packing(MUG))
    assert story.tell(E.PACK, packing(LAMP)).outcome is Outcome.APPLIED
    assert len(story.parcels) == 2
    assert agrees(story)


def test_what_is_in_a_parcel_does_not_depend_on_where_it_was_scanned_again() -> None:
    states = set()
    for at in (None, "hall"):
        story = Story(TWO_LINES)
        story.tell(E.PACK, packing(MUG), parcel="p1")
        story.tell(E.PACK, packing(MUG, LAMP), parcel="p1", at=at)
        assert agrees(story)
        states.add(story.state)
    assert states == {"partially_packed"}, "the first list holds until the parcel is unpacked"


@pytest.mark.parametrize("end", [E.LOST, E.DESTROYED, E.RETURNED])
def test_an_unpacked_parcel_that_is_gone_holds_nothing(end: E) -> None:
    story = Story(TWO_LINES)
    story.tell(E.PACK, packing(MUG), parcel="p1")
    story.tell(E.UNPACK, parcel="p1")
    story.tell(end, parcel="p1")
    story.tell(E.PACK, packing(MUG), parcel="p2")
    assert story.state == "partially_packed", "the lamp is packed nowhere"
    assert agrees(story)


def test_a_delivery_that_takes_a_flag_away_is_not_a_noop() -> None:
    story = Story(created())
    story.tell_all(E.PACK, E.CUSTOMS_HELD, E.DELIVERY)
    assert story.tell(E.CUSTOMS_HELD).outcome is Outcome.NOOP, "customs hold nothing that was delivered"
    shown = OrderView(story.order).hash
    verdict = story.tell(E.DELIVERY)
    assert (verdict.outcome is Outcome.NOOP) == (OrderView(story.order).hash == shown)
    assert agrees(story)


def test_a_scan_that_makes_a_parcel_is_not_a_noop() -> None:
    story = Story(created())
    story.tell(E.CANCELLED)
    shown = OrderView(story.order).hash
    verdict = story.tell(E.CUSTOMS_ENTERED)
    assert (verdict.outcome is Outcome.NOOP) == (OrderView(story.order).hash == shown)


def test_what_moved_before_its_confirmation_stays_flagged_when_another_hold_ends() -> None:
    story = Story(created())
    story.tell_all(E.PACK, E.HELD)
    story.tell(E.AMENDED, bodies.Amended(changed=["lines"], lines=[line(MUG, 2)]))
    story.tell(E.LOAD)
    story.tell(E.RELEASED)
    assert story.flags == {Flag.AMENDED, Flag.NEEDS_CONFIRM, Flag.MOVED_ON_HOLD}
    assert agrees(story)


def test_damage_is_of_the_parcels_that_were_there() -> None:
    story = Story(TWO_LINES)
    story.tell(E.PACK, packing(MUG), parcel="p1")
    story.tell(E.PACK, packing(LAMP), parcel="p2")
    story.tell(E.RETURNED, parcel="p1")
    story.tell(E.DAMAGED, DAMAGED_TOTALLY)
    assert {p.id for p in story.order.parcels.values() if Flag.DAMAGED in p.flags} == {"p2"}
    assert agrees(story)


def test_a_rejected_creation_creates_nothing(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db") as bench:
        denied = bench.draft("scan-1", "created", "o-1", CREATED)._replace(kind="denied", detail="role scanner does not send created")
        assert bench.send(denied)[0]["outcome"] == "rejected"
        assert bench.tell("scan-1", "pack", "o-1", {})["outcome"] == "parked"


def test_a_number_may_be_used_again_and_a_scanner_is_warned(tmp_path: Path) -> None:
    """See `facts.BY_SEQ` for why the numbers of systems are not even counted."""
    with Bench(tmp_path / "site.db") as bench:
        bench.tell("shop1", "created", "o-1", CREATED, seq=7)
        receipt = bench.tell("shop1", "created", "o-2", CREATED, seq=7, id=event_id("scan-1", 99))
        assert (receipt["outcome"], receipt.get("warn")) == ("applied", None)
        bench.tell("scan-1", "pack", "o-1", {}, seq=7)
        receipt = bench.tell("scan-1", "pack", "o-2", {}, seq=7, id=event_id("scan-1", 99))
        assert (receipt["outcome"], receipt["warn"]) == ("applied", ["not_listed", "seq_reused"])


@pytest.mark.parametrize("code", [None, "00614141000036", "04006381333931", "4711", "WB-1"])
@pytest.mark.parametrize("sku", ["614141000036", "0614141000036", "00614141000036", "04006381333931", "4711", "04711"])
def test_an_article_is_the_same_in_each_length_of_its_number(code: str | None, sku: str) -> None:
    story = Story(created(bodies.Line(sku="0614141000036", qty=2), bodies.Line(sku="4711", qty=1)))
    story.tell(E.PICK, bodies.Pick(sku=sku, qty=1), code=code)
    story.tell(E.PACK, bodies.Pack(items=[bodies.Line(sku=sku, qty=1)]))
    story.tell(E.PACK, bodies.Pack(items=[bodies.Line(sku="614141000036", qty=1)]))
    assert agrees(story)


@pytest.mark.parametrize("article", [None, "LAMP-30", "4711", "04006381333931"])
@pytest.mark.parametrize("code", [None, "14006381333938", "X0001"])
@pytest.mark.parametrize("sku", ["LAMP-30", "4006381333931", "00614141000036", "LAMP-31"])
def test_a_pick_counts_for_the_article_that_was_known_on_arrival(article: str | None, code: str | None, sku: str) -> None:
    story = Story(created(bodies.Line(sku="LAMP-30", qty=1), bodies.Line(sku="4006381333931", qty=1)))
    story.tell(E.PICK, bodies.Pick(sku=sku, qty=1), code=code, article=article, parcel="p1")
    assert agrees(story)

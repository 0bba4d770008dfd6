"""Orders whose events come late, twice or about the wrong parcel. Each test is a story that once had a wrong result."""

from __future__ import annotations

import pytest
from unit.facts_made import LAMP, MINUTE, MUG, T0, Story, created, line

from bridge.domain.lifecycle import SHOWN_AS
from bridge.domain.order import DEBOUNCE_MS, derived_parcel_id, unseen_parcel_id
from bridge.domain.view import OrderView
from devices.protocol import bodies
from devices.protocol.bodies import Body
from devices.protocol.vocabulary import PARTIAL_STATES, Flag, OrderState, Outcome, ParcelState, Reason, Warn
from devices.protocol.vocabulary import EventType as E

TWO_LINES = created(line(MUG), line(LAMP))


def packing(*skus: str) -> bodies.Pack:
    return bodies.Pack(items=[line(sku) for sku in skus])


def two_parcels() -> Story:
    """An order of a mug in p1, labelled C1, and a lamp in p2, labelled C2."""
    story = Story(TWO_LINES)
    story.tell(E.PACK, packing(MUG), parcel="p1", code="C1")
    story.tell(E.PACK, packing(LAMP), parcel="p2", code="C2")
    return story


# --- which parcel ---------------------------------------------------------------------------------------------------------


def test_two_parcels_with_the_same_contents_and_two_labels_are_two() -> None:
    story = Story(created(line(MUG, 2)))
    story.tell(E.PACK, packing(MUG), code="C1")
    story.tell(E.PACK, packing(MUG), code="C2")
    assert {code for p in story.order.parcels.values() for code in story.order.codes(p)} == {"C1", "C2"}
    assert story.state == "packed"


def test_a_code_that_nobody_knows_does_not_deliver_every_parcel() -> None:
    story = two_parcels()
    verdict = story.tell(E.DELIVERY, code="C9")
    assert (verdict.outcome, verdict.reason) == (Outcome.PARKED, Reason.UNKNOWN_PARCEL)
    assert story.parcels == {"p1": ParcelState.PACKED, "p2": ParcelState.PACKED}


def test_a_pack_that_is_told_after_the_load_is_the_pack_of_that_parcel() -> None:
    story = Story(TWO_LINES)
    story.tell(E.LOAD)
    story.tell(E.PACK, packing(MUG, LAMP))
    assert story.parcel.state is ParcelState.SHIPPED
    assert story.state == "shipped"


def test_a_parcel_answers_to_the_id_that_it_bore_until_an_earlier_pack_came_in() -> None:
    story = Story(created())
    earlier, repeated = story.made(E.PACK, packing(MUG)), story.made(E.PACK, packing(MUG))
    shown_meanwhile = derived_parcel_id(repeated.id)
    story.take(earlier)
    assert story.take(repeated).verdict.outcome is Outcome.NOOP
    story.tell(E.LABELLED, parcel=shown_meanwhile, code="C1")
    assert story.tell(E.PICKUP, parcel=shown_meanwhile, code="C1").warn == ()
    story.tell(E.DELIVERY, parcel=shown_meanwhile)
    assert story.parcels == {derived_parcel_id(earlier.id): ParcelState.DELIVERED}


def test_a_parcel_that_was_told_of_unseen_and_is_scanned_is_no_misload() -> None:
    story = Story(created())
    story.tell(E.PACK, packing(MUG), code="C1")
    assert story.tell(E.LOAD, parcel=unseen_parcel_id(story.order.id), code="C1").warn == ()


def test_who_finds_a_parcel_finds_the_one_that_is_named() -> None:
    story = Story(created())
    story.tell(E.PACK, parcel="p1")
    story.tell(E.LOST, parcel="p1")
    story.tell(E.FOUND, parcel="p9")
    assert story.parcels["p1"] is ParcelState.LOST


def test_a_code_is_on_one_parcel_of_an_order() -> None:
    story = Story(created())
    story.tell(E.LABELLED, parcel="p1", code="C1")
    verdict = story.tell(E.LABELLED, parcel="p2", code="C1")
    assert (verdict.outcome, verdict.warn) == (Outcome.APPLIED, (Warn.LABEL_MOVED,))
    assert {p.id: story.order.codes(p) for p in story.order.parcels.values()} == {"p1": [], "p2": ["C1"]}


def test_a_courier_who_stops_at_an_unpacked_order_makes_no_parcel() -> None:
    story = Story(created())
    story.tell(E.PAID)
    story.tell(E.STOP_ARRIVED)
    assert (story.state, story.parcels) == ("paid", {})


# --- how far --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [E.LABELLED, E.STOP_ARRIVED, E.DAMAGED, E.LOST])
def test_a_cancelled_order_is_not_opened_by_what_moves_nothing_out_of_the_house(event: E) -> None:
    story = Story(created())
    story.tell(E.CANCELLED)
    story.tell(event, parcel="p1")
    story.tell(E.PAID)
    assert story.state == "cancelled"


def test_an_order_that_was_completed_early_still_has_the_milestones_between() -> None:
    story = Story(created())
    story.tell(E.COMPLETED)
    story.tell(E.DELIVERY)
    assert story.state == "completed"
    assert list(story.milestones)[-3:] == ["out_for_delivery", "delivered", "completed"]
    assert "shipped" in story.milestones


def test_what_was_lost_while_it_was_picked_was_never_packed() -> None:
    story = Story(TWO_LINES)
    story.tell(E.PICK, parcel="p1")
    story.tell(E.LOST, parcel="p1")
    story.tell(E.PACK, packing(MUG), parcel="p2")
    assert story.state == "partially_packed"


def test_an_order_that_is_approved_before_it_is_paid_is_not_paid() -> None:
    story = Story(created())
    story.tell(E.APPROVED)
    assert "paid" not in story.milestones, "a payment is never inferred"


def test_no_order_is_partially_delivered() -> None:
    """No parcel is beyond delivered, so that one that waits for another parcel is shown by the other one's state."""
    assert OrderState.DELIVERED not in PARTIAL_STATES
    assert set(PARTIAL_STATES) < set(SHOWN_AS.values()) | {OrderState.RETURNING}


def test_a_border_that_was_crossed_is_a_milestone_of_the_parcel() -> None:
    story = Story(created())
    story.tell_all(E.PACK, E.LOAD, E.BORDER_ENTERED)
    (parcel,) = OrderView(story.order).core["parcels"]
    assert [m["state"] for m in parcel["milestones"]] == ["packed", "shipped", "border_entered"]


# --- who ------------------------------------------------------------------------------------------------------------------


def test_taking_back_an_older_job_leaves_the_new_courier_in_place() -> None:
    story = Story(created())
    story.tell(E.ASSIGNED, bodies.Assigned(courier="kim", job="j1"))
    story.tell(E.ASSIGNED, bodies.Assigned(courier="bo", job="j2"))
    story.tell(E.UNASSIGNED, bodies.Unassigned(job="j1", reason="ill"))
    assert Flag.UNASSIGNED not in story.flags
    story.tell(E.UNASSIGNED, bodies.Unassigned(job="j2", reason="ill"))
    assert Flag.UNASSIGNED in story.flags


def test_what_was_decided_about_one_phones_claim_says_nothing_of_anothers_with_the_same_id() -> None:
    story = Story(created())
    story.tell(E.ASSIGNED)
    claim = story.made(E.CLAIM, by="phone-1")
    story.decide(claim, Outcome.APPLIED)
    assert story.take(claim).verdict.outcome is Outcome.APPLIED
    another = story.made(E.CLAIM, by="phone-2")
    another.id = claim.id
    assert story.take(another).verdict.outcome is not Outcome.APPLIED


# --- again, and never -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [False, True], ids=["untold", "voided"])
def test_a_voided_scan_with_a_wrong_clock_pushes_no_other_scan_to_a_later_time(wrong: bool) -> None:
    story = Story(created())
    ahead = story.made(E.STAGE, by="pack-1", at_ms=T0 + 100 * MINUTE)
    mine = story.made(E.STAGE, bodies.Stage(dock="D1"), by="pack-1", at_ms=T0 + 10 * MINUTE, parcel="p1")
    other = story.made(E.STAGE, bodies.Stage(dock="D2"), by="dock-2", at_ms=T0 + 20 * MINUTE, parcel="p1")
    for fact in (mine, other):
        story.take(fact)
    if wrong:
        story.take(ahead)
        story.void(ahead)
    assert story.parcel.where == "D2"


def test_a_repeated_load_after_the_hold_moved_nothing() -> None:
    story = Story(created())
    story.tell_all(E.PACK, E.LOAD, E.HELD)
    assert story.tell(E.LOAD).outcome is Outcome.NOOP
    assert Flag.MOVED_ON_HOLD not in story.flags


def test_a_second_scan_from_before_the_first_is_no_bounce_of_the_trigger() -> None:
    story = Story(created())
    story.tell(E.LOAD, at_ms=T0 + 100_000)
    assert story.tell(E.LOAD, at_ms=T0 + 100_000 - DEBOUNCE_MS - 1).warn == ()


def test_a_misload_is_said_once() -> None:
    story = two_parcels()
    assert story.tell(E.LOAD, parcel="p1", code="C2", misload=True).warn == (Warn.MISLOAD,)


COLLECTED = bodies.Delivery(pod=bodies.ProofOfDelivery(method="pin"), collected=bodies.Collected(amount_minor=1, currency="EUR", tender="cash"))


@pytest.mark.parametrize(
    ("before", "event", "body"),
    [
        (E.DELIVERY, E.DELIVERY, None),
        (E.DELIVERY, E.DELIVERY, COLLECTED),
        (E.PAID, E.LABELLED, None),
        (E.PAID, E.PAID, None),
        (E.PACK, E.PACK, None),
        (E.LOAD, E.LOAD, None),
    ],
)
def test_an_event_is_a_noop_exactly_if_nothing_changes(before: E, event: E, body: Body | None) -> None:
    story = Story(created(payment="on_delivery"))
    story.tell(before)
    shown = OrderView(story.order).hash
    label = {"parcel": "p1", "code": "C1"} if event is E.LABELLED else {}
    verdict = story.tell(event, body, **label)
    assert (verdict.outcome is Outcome.NOOP) == (OrderView(story.order).hash == shown)

"""What the contract says about orders and parcels, one sentence per test: events of an order are applied one by one, and it shows the right state."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from unit.facts_made import LAMP, MINUTE, MUG, T0, Story, because, created, line

from bridge.domain.facts import Fact, tone_of
from bridge.domain.order import DEBOUNCE_MS
from bridge.domain.view import OrderView, timed_flags
from devices.protocol import bodies
from devices.protocol.bodies import Body
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, Next, OrderState, Outcome, ParcelState, Reason, Tone, Warn, partially
from devices.protocol.words import words_for

TWO_LINES = created(line(MUG), line(LAMP))
ABROAD = created(dest_country="NL")
ON_DELIVERY = created(payment="on_delivery")


def two_parcels(begins: bodies.Created = TWO_LINES) -> Story:
    """An order of a mug in p1 and a lamp in p2, both packed."""
    story = Story(begins)
    story.tell(E.PACK, bodies.Pack(items=[line(MUG)]), parcel="p1", code="C1")
    story.tell(E.PACK, bodies.Pack(items=[line(LAMP)]), parcel="p2", code="C2")
    assert story.state == "packed"
    return story


def story_of(*events: E | tuple[E, Body], begins: bodies.Created | None = None) -> Story:
    story = Story(begins or created())
    for event in events:
        story.tell(*event) if isinstance(event, tuple) else story.tell(event)
    return story


def entered(country: str, direction: str = "import") -> tuple[E, Body]:
    return E.CUSTOMS_ENTERED, bodies.CustomsEntered(country=country, direction=direction)  # type: ignore[arg-type]


def cleared(country: str) -> tuple[E, Body]:
    return E.CUSTOMS_CLEARED, bodies.AtBorder(country=country)


def labelled() -> Story:
    story = Story(created())
    assert story.tell(E.LABELLED, parcel="p1", code="C1").outcome is Outcome.APPLIED
    return story


def wrong_courier() -> Story:
    story = story_of(E.PACK, E.ASSIGNED)
    story.tell(E.PICKUP, courier="bo")
    return story


# --- the chain ------------------------------------------------------------------------------------------------------------


def test_an_order_walks_the_ten_states_of_the_chain() -> None:
    story = Story()
    chain: list[tuple[str, E, Body | None]] = [
        ("待支付", E.CREATED, ABROAD),
        ("已支付", E.PAID, None),
        ("已审核", E.APPROVED, None),
        ("已打包", E.PACK, None),
        ("已发货", E.LOAD, None),
        ("清关中", E.CUSTOMS_ENTERED, None),
        ("已入境", E.CUSTOMS_CLEARED, None),
        ("派送中", E.OUT_FOR_DELIVERY, None),
        ("已签收", E.DELIVERY, None),
        ("已完成", E.COMPLETED, None),
    ]
    for word, event, body in chain:
        assert story.tell(event, body).outcome is Outcome.APPLIED
        assert words_for(OrderState(story.state)).zh == word
    assert [words_for(OrderState(m)).zh for m in story.milestones] == [word for word, _, _ in chain]
    assert not any(story.milestones.values())


REACHED_BY: dict[str, Callable[[], Story]] = {
    "pending_payment": story_of,
    "paid": lambda: story_of(E.PAID),
    "approved": lambda: story_of(E.PAID, E.APPROVED),
    "picking": lambda: story_of(E.PICK),
    "packed": lambda: story_of(E.PACK),
    "shipped": lambda: story_of(E.PACK, E.LOAD),
    "customs": lambda: story_of(entered("NL"), begins=ABROAD),
    "entered": lambda: story_of(cleared("NL"), begins=ABROAD),
    "out_for_delivery": lambda: story_of(E.OUT_FOR_DELIVERY),
    "delivered": lambda: story_of(E.DELIVERY),
    "completed": lambda: story_of(E.DELIVERY, E.COMPLETED),
    "cancelled": lambda: story_of(E.CANCELLED),
    "returning": lambda: story_of(E.LOAD, E.REFUSED),
    "returned": lambda: story_of(E.LOAD, E.REFUSED, E.RETURNED),
    "exception": lambda: story_of(E.LOAD, E.LOST),
}


def test_every_state_of_an_order_is_reached() -> None:
    assert {state: reached().state for state, reached in REACHED_BY.items()} == {str(s): str(s) for s in OrderState}


PARCEL_REACHED_BY: dict[ParcelState, Callable[[], Story]] = {
    ParcelState.PLANNED: labelled,
    ParcelState.PICKING: lambda: story_of(E.PACK, E.UNPACK),
    ParcelState.PACKED: lambda: story_of(E.PACK),
    ParcelState.STAGED: lambda: story_of(E.PACK, E.STAGE),
    ParcelState.SHIPPED: lambda: story_of(E.PICKUP),
    ParcelState.IN_TRANSIT: lambda: story_of(E.DEPART),
    ParcelState.CUSTOMS: lambda: story_of(E.PACK, E.CUSTOMS_HELD),
    ParcelState.ENTERED: lambda: story_of(cleared("NL"), begins=ABROAD),
    ParcelState.OUT_FOR_DELIVERY: lambda: story_of(E.OUT_FOR_DELIVERY),
    ParcelState.DELIVERED: lambda: story_of(E.DELIVERY),
    ParcelState.ATTEMPT_FAILED: lambda: story_of(E.PACK, E.ATTEMPT_FAILED),
    ParcelState.AVAILABLE_FOR_PICKUP: lambda: story_of(E.PACK, E.AVAILABLE_FOR_PICKUP),
    ParcelState.RETURNING: lambda: story_of(E.DELIVERY, E.RETURN_STARTED),
    ParcelState.RETURNED: lambda: story_of(E.PACK, E.RETURNED),
    ParcelState.LOST: lambda: story_of(E.PACK, E.LOST),
    ParcelState.DESTROYED: lambda: story_of(E.PACK, E.DESTROYED),
    ParcelState.CANCELLED: lambda: story_of(E.PACK, E.CANCELLED),
}


def test_every_state_of_a_parcel_is_reached() -> None:
    assert {state: reached().parcel.state for state, reached in PARCEL_REACHED_BY.items()} == {s: s for s in ParcelState}


FLAGGED_BY: dict[Flag, Callable[[], Story]] = {
    Flag.HELD: lambda: story_of(E.HELD),
    Flag.CUSTOMS_HOLD: lambda: story_of(E.PACK, E.CUSTOMS_HELD),
    Flag.NEEDS_CONFIRM: lambda: story_of(E.PICK, (E.AMENDED, bodies.Amended(changed=["lines"], lines=[line(MUG, 2)]))),
    Flag.SHORT: lambda: story_of((E.PICK, bodies.Pick(sku=MUG, qty=1, short=True))),
    Flag.DAMAGED: lambda: story_of(E.PACK, E.DAMAGED),
    Flag.LOST: lambda: story_of(E.PACK, E.LOST),
    Flag.AMENDED: lambda: story_of(E.AMENDED),
    Flag.CANCEL_REQUESTED: lambda: story_of(E.LOAD, E.CANCELLED),
    Flag.MOVED_ON_HOLD: lambda: story_of(E.PACK, E.HELD, E.LOAD),
    Flag.UNASSIGNED: lambda: story_of(E.ASSIGNED, E.UNASSIGNED),
    Flag.NOT_PAID: lambda: story_of(E.DELIVERY, begins=ON_DELIVERY),
    Flag.WRONG_COURIER: lambda: wrong_courier(),
    Flag.WRONG_CARRIER: lambda: story_of(E.PACK, (E.LOAD, bodies.Load(vehicle="V1", carrier="GLS")), begins=created(carrier="DHL")),
    Flag.PART_RETURNED: lambda: story_of(E.PACK, E.DELIVERY, (E.RETURNED, bodies.Returned(dock="R1", items=[line(MUG)])), begins=created(line(MUG, 2))),
}


@pytest.mark.parametrize("flag", list(FLAGGED_BY))
def test_every_flag_is_raised_by_an_event(flag: Flag) -> None:
    assert flag in FLAGGED_BY[flag]().flags


def test_the_other_two_flags_are_raised_by_time() -> None:
    assert set(Flag) - set(FLAGGED_BY) == {Flag.SILENT, Flag.LATE_RISK}
    # How long before its promise an order is at risk is in test_rules_of_the_floor.py.
    story = story_of(E.LOAD, begins=created(promise_ms=T0 + 10 * MINUTE))
    hour = 60 * MINUTE
    assert timed_flags(story.order, now_ms=T0 + 10 * MINUTE, silent_after_ms=hour) == ([], T0 + 10 * MINUTE + 1)
    assert timed_flags(story.order, now_ms=T0 + 10 * MINUTE + 1, silent_after_ms=hour) == ([Flag.LATE_RISK], story.now_ms + hour + 1)
    assert timed_flags(story.order, now_ms=T0 + 2 * hour, silent_after_ms=hour) == ([Flag.LATE_RISK, Flag.SILENT], None)


def test_nobody_waits_for_an_order_that_is_settled() -> None:
    for end in (E.DELIVERY, E.CANCELLED, E.RETURNED, E.DESTROYED):
        story = story_of(end, begins=created(promise_ms=T0))
        assert timed_flags(story.order, now_ms=T0 + 10**9, silent_after_ms=1) == ([], None)


def test_an_order_that_was_not_shipped_is_not_silent() -> None:
    assert timed_flags(story_of(E.PACK).order, now_ms=T0 + 10**9, silent_after_ms=1) == ([], None)


# --- several parcels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "state"),
    [
        ((E.LOAD, None), "partially_packed"),
        ((E.UNPACK, None), "partially_picking"),
        ((E.REFUSED, None), "partially_packed"),
        ((E.DELIVERY, None), "partially_packed"),
    ],
)
def test_the_least_advanced_parcel_speaks_for_an_order(event: tuple[E, Body | None], state: str) -> None:
    story = two_parcels()
    story.tell(*event, parcel="p2")
    assert story.state == state


def test_what_was_refused_had_been_packed_and_brought() -> None:
    story = story_of(E.REFUSED)
    inferred = {ParcelState.PACKED: True, ParcelState.SHIPPED: True, ParcelState.RETURNING: False}
    assert (story.state, story.parcel.milestones) == ("returning", {s: (story.now_ms, i) for s, i in inferred.items()})
    assert story_of(E.RETURN_STARTED).state == "partially_packed", "a return may begin in the warehouse, too"


@pytest.mark.parametrize(
    ("behind", "state"),
    [
        ([(E.LOAD, None)], OrderState.SHIPPED),
        ([entered("NL")], OrderState.CUSTOMS),
        ([cleared("NL")], OrderState.ENTERED),
        ([(E.OUT_FOR_DELIVERY, None)], OrderState.OUT_FOR_DELIVERY),
        ([(E.LOAD, None), (E.REFUSED, None)], OrderState.RETURNING),
    ],
)
def test_where_parcels_differ_the_state_is_partial_until_they_meet(behind: list[tuple[E, Body | None]], state: OrderState) -> None:
    story = two_parcels(created(line(MUG), line(LAMP), dest_country="NL"))
    for event, body in behind:
        story.tell(event, body, parcel="p1")
    story.tell(E.DELIVERY, parcel="p2")
    assert story.state == partially(state)
    story.tell(E.DELIVERY, parcel="p1")
    assert story.state == "delivered"


def test_a_partial_state_is_not_a_milestone_of_the_order() -> None:
    story = two_parcels()
    story.tell(E.LOAD, parcel="p1")
    assert "shipped" not in story.milestones
    story.tell(E.LOAD, parcel="p2")
    assert story.milestones["shipped"] is False


def test_parcels_that_are_gone_do_not_speak_for_an_order() -> None:
    story = two_parcels()
    story.tell(E.LOST, parcel="p1")
    story.tell(E.DELIVERY, parcel="p2")
    assert (story.state, story.flags) == ("delivered", {Flag.LOST, Flag.SHORT})


def test_with_no_live_parcel_returned_comes_before_lost_and_cancelled_stands_only_for_all() -> None:
    story = two_parcels()
    story.tell(E.RETURNED, parcel="p1")
    story.tell(E.LOST, parcel="p2")
    assert story.state == "returned"
    story = two_parcels()
    story.tell(E.LOST, parcel="p1")
    story.tell(E.CANCELLED)
    assert story.parcels == {"p1": ParcelState.LOST, "p2": ParcelState.CANCELLED}
    assert story.state == "exception"


def test_an_order_whose_lines_are_not_all_packed_is_at_most_partially_packed() -> None:
    story = Story(TWO_LINES)
    story.tell(E.PACK, bodies.Pack(items=[line(MUG)]))
    for event in (E.STAGE, E.LOAD, E.OUT_FOR_DELIVERY, E.DELIVERY):
        story.tell(event)
        assert story.state == "partially_packed"
        assert OrderView(story.order).core["percent"] < 40
    story.tell(E.PACK, bodies.Pack(items=[line(LAMP)]))
    assert list(story.parcels.values()) == [ParcelState.DELIVERED, ParcelState.PACKED]
    story.tell(E.DELIVERY)
    assert story.state == "delivered"


def test_quantities_count_not_articles() -> None:
    story = Story(created(line(MUG, 3)))
    story.tell(E.PACK, bodies.Pack(items=[line(MUG, 2)]), parcel="p1")
    assert story.state == "partially_packed"
    story.tell(E.PACK, bodies.Pack(items=[line(MUG, 1)]), parcel="p2")
    assert story.state == "packed"


def test_a_pack_without_items_is_enough_while_there_is_one_parcel() -> None:
    story = Story(TWO_LINES)
    assert story.tell(E.PACK).outcome is Outcome.APPLIED
    assert story.state == "packed"


def test_with_a_second_parcel_a_pack_must_name_its_items() -> None:
    story = Story(TWO_LINES)
    story.tell(E.PACK, bodies.Pack(items=[line(MUG)]), parcel="p1")
    verdict = story.tell(E.PACK, parcel="p2")
    assert (verdict.outcome, verdict.reason, verdict.next, tone_of(verdict)) == (Outcome.REJECTED, Reason.ITEMS_NEEDED, Next.NAME_ITEMS, Tone.STOP)
    assert list(story.parcels) == ["p1"]
    assert story.tell(E.PACK, bodies.Pack(items=[line(LAMP)]), parcel="p2").outcome is Outcome.APPLIED
    assert story.state == "packed"


def test_an_unnamed_parcel_is_named_after_its_pack_whenever_that_comes() -> None:
    story = Story(TWO_LINES)
    first = story.made(E.PACK, bodies.Pack(items=[line(MUG)]))
    second = story.made(E.PACK, bodies.Pack(items=[line(LAMP)]))
    story.take(second)
    story.take(first)
    assert set(story.parcels) == {"p-" + first.id.hex(), "p-" + second.id.hex()}


def test_loading_an_incomplete_order_warns_unless_parts_are_welcome() -> None:
    for welcome in (False, True):
        story = Story(created(line(MUG), line(LAMP), allow_partial=welcome))
        story.tell(E.PACK, bodies.Pack(items=[line(MUG)]))
        verdict = story.tell(E.LOAD)
        assert verdict.outcome is Outcome.APPLIED
        assert (Warn.INCOMPLETE in verdict.warn) is not welcome


# --- holds, confirmations, cancellations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [E.PICK, E.PACK, E.STAGE])
def test_a_hold_blocks_preparation_until_it_is_released(event: E) -> None:
    story = story_of(E.PACK, E.HELD) if event is E.STAGE else story_of(E.HELD)
    before = story.state
    verdict = story.tell(event)
    assert (verdict.outcome, verdict.reason, tone_of(verdict), verdict.next) == (Outcome.BLOCKED, Reason.HELD, Tone.STOP, Next.SET_ASIDE)
    assert story.state == before
    story.tell(E.RELEASED)
    assert story.tell(event).outcome is Outcome.APPLIED
    assert story.flags == set()


def test_holds_are_a_set_and_each_reason_is_released_for_itself() -> None:
    story = story_of((E.HELD, because("fraud")), (E.HELD, because("stock")))
    assert story.tell(E.HELD, because("stock")).outcome is Outcome.NOOP
    story.tell(E.RELEASED, bodies.Released(reason="fraud"))
    assert story.tell(E.PICK).reason is Reason.HELD
    verdict = story.tell(E.RELEASED, bodies.Released(reason="weather"))
    assert (verdict.outcome, verdict.warn) == (Outcome.NOOP, (Warn.STILL_HELD,))
    story.tell(E.RELEASED, bodies.Released(reason="stock"))
    assert story.tell(E.PICK).outcome is Outcome.APPLIED


@pytest.mark.parametrize("event", [E.LOAD, E.DEPART, E.PICKUP, E.OUT_FOR_DELIVERY, E.DELIVERY])
def test_custody_happens_although_the_order_is_held(event: E) -> None:
    story = Story(created())
    story.tell(E.PACK, parcel="p1")
    story.tell(E.HELD)
    verdict = story.tell(event, parcel="p1")
    assert (verdict.outcome, verdict.warn, tone_of(verdict)) == (Outcome.APPLIED, (Warn.MOVED_ON_HOLD,), Tone.STOP)
    assert story.flags == {Flag.HELD, Flag.MOVED_ON_HOLD}
    story.tell(E.RELEASED)
    assert story.flags == set()


def test_a_scan_from_before_the_hold_is_not_blocked_by_it() -> None:
    story = story_of(E.PAID)
    pick = story.made(E.PICK)
    story.tell(E.HELD)
    assert story.take(pick).verdict.outcome in (Outcome.APPLIED, Outcome.LATE)
    assert story.order.picked == {MUG: 1}


def test_a_cancellation_before_shipping_cancels() -> None:
    story = story_of(E.PACK, E.STAGE, E.CANCELLED)
    assert (story.state, story.flags) == ("cancelled", set())
    assert story.tell(E.CANCELLED).outcome is Outcome.NOOP
    for event in (E.PICK, E.PACK, E.STAGE):
        verdict = story.tell(event)
        assert (verdict.outcome, verdict.reason, verdict.next) == (Outcome.BLOCKED, Reason.CANCELLED, Next.PUT_BACK)


@pytest.mark.parametrize("event", [E.LOAD, E.DEPART, E.PICKUP, E.OUT_FOR_DELIVERY, E.DELIVERY])
def test_custody_opens_a_cancelled_parcel_again(event: E) -> None:
    story = story_of(E.PACK, E.CANCELLED)
    verdict = story.tell(event)
    assert (verdict.outcome, verdict.warn, tone_of(verdict)) == (Outcome.APPLIED, (Warn.MOVED_AFTER_CANCEL,), Tone.STOP)
    assert story.state in ("shipped", "out_for_delivery", "delivered")
    assert story.flags == {Flag.CANCEL_REQUESTED}


def test_a_cancellation_after_shipping_is_a_request() -> None:
    story = two_parcels()
    story.tell(E.LOAD, parcel="p1")
    assert story.tell(E.CANCELLED).outcome is Outcome.APPLIED
    assert story.parcels == {"p1": ParcelState.SHIPPED, "p2": ParcelState.CANCELLED}
    assert (story.state, story.flags) == ("shipped", {Flag.CANCEL_REQUESTED})


def test_changed_lines_need_a_confirmation_once_work_has_begun() -> None:
    more = bodies.Amended(changed=["lines"], lines=[line(MUG, 2)])
    assert story_of((E.AMENDED, more)).flags == {Flag.AMENDED}
    story = story_of(E.PAID, E.APPROVED, E.PICK, (E.AMENDED, more))
    assert story.flags == {Flag.AMENDED, Flag.NEEDS_CONFIRM}
    verdict = story.tell(E.PACK)
    assert (verdict.outcome, verdict.reason, verdict.next) == (Outcome.BLOCKED, Reason.NEEDS_CONFIRM, Next.CALL_DESK)
    assert story.tell(E.APPROVED).outcome is Outcome.APPLIED
    assert story.flags == {Flag.AMENDED}
    assert story.tell(E.PACK).outcome is Outcome.APPLIED


def test_a_parcel_moved_before_the_confirmation_is_flagged() -> None:
    story = story_of(E.PACK, (E.AMENDED, bodies.Amended(changed=["lines"], lines=[line(MUG, 2)])))
    assert story.tell(E.LOAD).warn == (Warn.MOVED_ON_HOLD,)
    assert Flag.MOVED_ON_HOLD in story.flags
    story.tell(E.APPROVED)
    assert story.flags == {Flag.AMENDED}


# --- customs --------------------------------------------------------------------------------------------------------------


def test_a_parcel_crosses_two_borders_and_enters_at_its_destination() -> None:
    story = story_of(E.PACK, E.DEPART, begins=ABROAD)
    legs: list[tuple[tuple[E, Body], ParcelState]] = [
        (entered("CN", "export"), ParcelState.CUSTOMS),
        (cleared("CN"), ParcelState.IN_TRANSIT),
        (entered("DE", "transit"), ParcelState.CUSTOMS),
        (cleared("DE"), ParcelState.IN_TRANSIT),
        (entered("NL"), ParcelState.CUSTOMS),
        (cleared("NL"), ParcelState.ENTERED),
        (entered("NL"), ParcelState.CUSTOMS),
        (cleared("NL"), ParcelState.ENTERED),
    ]
    for step, state in legs:
        assert story.tell(*step).outcome is Outcome.APPLIED
        assert story.parcel.state is state
    assert story.milestones["customs"] is False


def test_without_a_destination_the_direction_decides() -> None:
    assert story_of(entered("CN", "export"), cleared("CN")).parcel.state is ParcelState.IN_TRANSIT
    assert story_of(entered("NL", "import"), cleared("NL")).parcel.state is ParcelState.ENTERED


def test_a_customs_hold_is_a_flag_until_it_is_cleared() -> None:
    story = story_of(entered("NL"), E.CUSTOMS_HELD, begins=ABROAD)
    assert (story.state, story.flags) == ("customs", {Flag.CUSTOMS_HOLD})
    story.tell(*cleared("NL"))
    assert (story.state, story.flags) == ("entered", set())


def test_crossing_the_border_moves_no_parcel_by_rank() -> None:
    story = story_of(E.DEPART, begins=ABROAD)
    assert story.tell(E.BORDER_ENTERED).outcome is Outcome.APPLIED
    assert (story.parcel.state, story.parcel.where) == (ParcelState.IN_TRANSIT, "NL")


# --- the last mile --------------------------------------------------------------------------------------------------------


def test_a_failed_attempt_is_followed_by_a_second_try() -> None:
    story = story_of(E.PACK, E.LOAD, E.OUT_FOR_DELIVERY, E.ATTEMPT_FAILED)
    assert (story.state, story.parcel.state) == ("out_for_delivery", ParcelState.ATTEMPT_FAILED)
    story.tell_all(E.OUT_FOR_DELIVERY, E.ATTEMPT_FAILED)
    assert story.parcel.attempts == 2
    story.tell_all(E.OUT_FOR_DELIVERY, E.DELIVERY)
    assert story.state == "delivered"


@pytest.mark.parametrize("before", [E.OUT_FOR_DELIVERY, E.ATTEMPT_FAILED])
def test_a_parcel_that_comes_back_to_the_hub_is_in_transit_again(before: E) -> None:
    story = story_of(E.PACK, E.LOAD, before, E.ARRIVE)
    assert (story.state, story.parcel.where) == ("shipped", "AMS")


def test_a_parcel_that_waits_at_a_point_was_collected_and_not_brought() -> None:
    story = story_of(E.PACK, E.LOAD, E.AVAILABLE_FOR_PICKUP)
    assert (story.state, story.parcel.where) == ("out_for_delivery", "kiosk")
    story.tell(E.DELIVERY, by="carrier")
    assert ParcelState.OUT_FOR_DELIVERY not in story.parcel.milestones


def test_a_delivery_at_the_counter_skips_the_courier() -> None:
    story = story_of(E.PACK)
    story.tell(E.DELIVERY, by="counter")
    assert "out_for_delivery" not in story.milestones
    assert story.state == "delivered"


def test_paying_on_delivery_pays_the_order() -> None:
    paid = bodies.Delivery(
        pod=bodies.ProofOfDelivery(method="signature"),
        collected=bodies.Collected(amount_minor=1999, currency="EUR", tender="cash"),
    )
    story = story_of(E.APPROVED, E.PACK, E.LOAD, E.OUT_FOR_DELIVERY, begins=ON_DELIVERY)
    assert "paid" not in story.milestones
    story.tell(E.DELIVERY, paid)
    assert (story.state, story.order.paid, story.milestones["paid"]) == ("delivered", True, False)
    assert story.tell(E.PAID).outcome is Outcome.NOOP


def test_picking_a_prepaid_order_that_is_not_paid_warns() -> None:
    assert Story(created()).tell(E.PICK).warn == (Warn.NOT_PAID,)
    assert Story(ON_DELIVERY).tell(E.PICK).warn == ()


def test_completing_before_delivery_warns_and_counts_once_it_is_delivered() -> None:
    story = story_of(E.PACK, E.LOAD)
    verdict = story.tell(E.COMPLETED)
    assert (verdict.outcome, verdict.warn, tone_of(verdict), story.state) == (Outcome.APPLIED, (Warn.NOT_DELIVERED,), Tone.WARN, "shipped")
    story.tell(E.DELIVERY)
    assert story.state == "completed"
    assert story.tell(E.COMPLETED).outcome is Outcome.NOOP


# --- the way back ---------------------------------------------------------------------------------------------------------


def test_a_refused_parcel_goes_back_and_hubs_change_only_where_it_is() -> None:
    story = story_of(E.PACK, E.LOAD, E.OUT_FOR_DELIVERY, E.REFUSED)
    for event, where in ((E.ARRIVE, "AMS"), (E.DEPART, "SHA")):
        assert story.tell(event).outcome is Outcome.APPLIED
        assert (story.state, story.parcel.where) == ("returning", where)
    story.tell(E.RETURNED)
    assert (story.state, story.parcel.where) == ("returned", "R1")


@pytest.mark.parametrize("end", [[E.DELIVERY], [E.DELIVERY, E.COMPLETED]])
def test_a_return_starts_from_delivered_and_from_completed(end: list[E]) -> None:
    story = story_of(E.PACK, E.LOAD, *end, E.RETURN_STARTED)
    assert story.state == "returning"
    story.tell(E.RETURNED)
    assert story.state == "returned"


def test_nothing_but_its_end_leaves_a_parcel_on_its_way_back() -> None:
    still = [E.PICK, E.PACK, E.STAGE, E.LOAD, E.UNLOAD, E.DEPART, E.ARRIVE, E.CUSTOMS_ENTERED, E.CUSTOMS_CLEARED, E.PICKUP, E.OUT_FOR_DELIVERY]
    story = story_of(E.PACK, E.LOAD, E.REFUSED, *still, E.ATTEMPT_FAILED, E.AVAILABLE_FOR_PICKUP, E.REFUSED, E.RETURN_STARTED, E.CANCELLED)
    assert story.state == "returning"
    for event, state in ((E.DELIVERY, "delivered"), (E.LOST, "exception"), (E.DESTROYED, "exception"), (E.RETURNED, "returned")):
        assert story_of(E.PACK, E.LOAD, E.REFUSED, event).state == state


# --- lost, damaged --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [E.PACK, E.STAGE, E.LOAD, E.ARRIVE, E.CUSTOMS_ENTERED, E.OUT_FOR_DELIVERY, E.ATTEMPT_FAILED, E.REFUSED])
def test_a_found_parcel_is_where_it_was_before_it_was_lost(before: E) -> None:
    story = story_of(E.PACK, before)
    state = story.parcel.state
    story.tell(E.LOST)
    assert (story.state, story.flags) == ("exception", {Flag.LOST, Flag.SHORT}), "what is lost is missing"
    story.tell(E.FOUND)
    assert (story.parcel.state, story.flags) == (state, set())
    assert story.tell(E.FOUND).outcome is Outcome.NOOP


def test_a_lost_parcel_that_somebody_delivers_is_not_lost() -> None:
    story = story_of(E.PACK, E.LOAD, E.LOST, E.DELIVERY)
    assert (story.state, story.flags) == ("delivered", set())


def test_damage_is_a_flag_unless_it_ends_the_way() -> None:
    story = story_of(E.PACK, E.LOAD, (E.DAMAGED, bodies.Damaged(severity="major")))
    assert (story.state, story.flags) == ("shipped", {Flag.DAMAGED})
    story.tell(E.DAMAGED, bodies.Damaged(severity="total"))
    assert (story.state, story.parcel.state) == ("exception", ParcelState.DESTROYED)
    story.tell(E.DELIVERY)
    assert story.parcel.state is ParcelState.DESTROYED


# --- scans that come twice, late or skipped -------------------------------------------------------------------------------


def test_a_trigger_that_bounces_is_a_double_scan() -> None:
    story = story_of(E.PACK)
    story.tell(E.LOAD)
    at_ms = story.last.event_ms
    verdict = story.tell(E.LOAD, at_ms=at_ms + DEBOUNCE_MS)
    assert (verdict.outcome, verdict.warn, tone_of(verdict)) == (Outcome.NOOP, (Warn.DOUBLE_SCAN,), Tone.WARN)
    verdict = story.tell(E.LOAD, at_ms=at_ms + 2 * DEBOUNCE_MS + 1)
    assert (verdict.outcome, verdict.warn) == (Outcome.NOOP, ())
    verdict = story.tell(E.LOAD, at_ms=story.last.event_ms + 1, by="pack-1")
    assert (verdict.outcome, verdict.warn) == (Outcome.NOOP, ()), "another device saw it too"


def test_three_identical_reels_are_three_picks() -> None:
    story = story_of(E.PAID, begins=created(line(MUG, 3)))
    at_ms = story.now_ms + 1
    for nth in range(3):
        verdict = story.tell(E.PICK, at_ms=at_ms + nth)
        assert (verdict.outcome, verdict.warn) == (Outcome.APPLIED, ())
    assert story.order.picked == {MUG: 3}
    assert story.tell(E.PICK, at_ms=at_ms + 4).warn == (Warn.TOO_MANY,)


def test_a_late_scan_takes_its_place_and_never_drags_the_state_back() -> None:
    story = story_of(E.PACK)
    stage, load = story.made(E.STAGE), story.made(E.LOAD)
    story.tell(E.OUT_FOR_DELIVERY, at="van-3")
    assert story.parcel.milestones[ParcelState.SHIPPED] == (story.now_ms, True)
    for late in (load, stage):
        folded = story.take(late)
        assert (folded.verdict.outcome, tone_of(folded.verdict)) == (Outcome.LATE, Tone.OK)
        assert story.state == "out_for_delivery"
    assert story.parcel.milestones[ParcelState.SHIPPED] == (load.event_ms, False)
    assert story.take(load).verdict.outcome is Outcome.APPLIED, "the fold itself knows no late"


def test_a_late_scan_that_changes_the_present_is_not_late() -> None:
    story = two_parcels()
    failed = story.made(E.DAMAGED, parcel="p1")
    story.tell(E.LOAD, parcel="p2")
    assert story.take(failed).verdict.outcome is Outcome.APPLIED
    assert story.flags == {Flag.DAMAGED}


@pytest.mark.parametrize("backwards", [False, True])
def test_scans_of_one_device_do_not_swap_when_its_clock_is_set_back(backwards: bool) -> None:
    story = story_of(E.PACK)
    first = story.made(E.STAGE, bodies.Stage(dock="D1"), at_ms=T0 + 60 * MINUTE)
    second = story.made(E.STAGE, bodies.Stage(dock="D2"), at_ms=T0 + 30 * MINUTE)
    for fact in (second, first) if backwards else (first, second):
        story.take(fact)
    assert story.parcel.where == "D2"


def test_what_was_skipped_is_inferred_and_replaced_when_it_comes() -> None:
    story = Story(created())
    load = story.made(E.LOAD)
    story.tell(E.DELIVERY)
    assert story.milestones == {
        "pending_payment": False,
        "approved": True,
        "packed": True,
        "shipped": True,
        "out_for_delivery": True,
        "delivered": False,
    }
    story.take(load)
    assert story.milestones["shipped"] is False
    story.tell_all(E.PAID, E.APPROVED)
    assert story.milestones["paid"] is story.milestones["approved"] is False, "a payment is told, and never inferred"


def test_nobody_says_that_a_parcel_saw_a_border() -> None:
    assert not {"customs", "entered"} & story_of(E.DELIVERY).milestones.keys()
    assert story_of(cleared("NL"), begins=ABROAD).milestones["customs"] is True


# --- what was scanned is the truth ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("event", "body"), [(E.PACK, bodies.Pack(items=[line(MUG)])), (E.STAGE, None), (E.PICK, None)])
def test_a_scan_that_contradicts_the_parcel_is_rejected_in_the_warehouse(event: E, body: Body | None) -> None:
    story = two_parcels()
    before = story.parcels
    verdict = story.tell(event, body, parcel="p1", code="C2")
    assert (verdict.outcome, verdict.reason, verdict.next) == (Outcome.REJECTED, Reason.WRONG_PARCEL, Next.PUT_BACK)
    assert story.parcels == before


@pytest.mark.parametrize("event", [E.LOAD, E.DEPART, E.PICKUP, E.OUT_FOR_DELIVERY, E.DELIVERY])
def test_a_scan_that_contradicts_the_parcel_is_a_misload_in_custody(event: E) -> None:
    story = two_parcels()
    verdict = story.tell(event, parcel="p1", code="C2")
    assert (verdict.outcome, verdict.warn, tone_of(verdict), verdict.parcel) == (Outcome.APPLIED, (Warn.MISLOAD,), Tone.STOP, "p2")
    assert story.parcels["p1"] is ParcelState.PACKED


def test_a_scan_that_contradicted_the_order_is_applied_with_a_warning() -> None:
    verdict = story_of(E.PACK).tell(E.LOAD, misload=True)
    assert (verdict.outcome, verdict.warn, tone_of(verdict)) == (Outcome.APPLIED, (Warn.MISLOAD,), Tone.STOP)


def test_a_scanned_code_names_its_parcel() -> None:
    story = two_parcels()
    assert story.tell(E.LOAD, code="C2").parcel == "p2"
    assert story.parcels == {"p1": ParcelState.PACKED, "p2": ParcelState.SHIPPED}


@pytest.mark.parametrize("pick", [bodies.Pick(sku="hat", qty=1), bodies.Pick(sku=LAMP, qty=1)])
def test_picking_what_was_not_ordered_is_rejected(pick: bodies.Pick) -> None:
    verdict = Story(created()).tell(E.PICK, pick)
    assert (verdict.outcome, verdict.reason, verdict.next) == (Outcome.REJECTED, Reason.WRONG_SKU, Next.PUT_BACK)


def test_a_scanned_article_that_is_not_the_one_picked_is_rejected() -> None:
    story = Story(created())
    assert story.tell(E.PICK, code="04006381333948").reason is Reason.WRONG_SKU
    assert story.tell(E.PICK, code="4006381333931").outcome is Outcome.APPLIED


def test_a_fault_found_on_the_way_in_is_the_verdict() -> None:
    verdict = story_of(E.PACK).tell(E.LOAD, fault="container")
    assert (verdict.outcome, verdict.reason, verdict.next) == (Outcome.REJECTED, Reason.CONTAINER, Next.SCAN_PARCEL)


# --- creation, voids ------------------------------------------------------------------------------------------------------


def test_scans_of_an_unknown_order_wait_and_are_applied_when_it_is_created() -> None:
    story = Story()
    verdict = story.tell(E.PACK)
    assert (verdict.outcome, verdict.reason, tone_of(verdict)) == (Outcome.PARKED, Reason.UNKNOWN_ORDER, Tone.WARN)
    pack = story.last
    story.tell(E.CREATED)
    assert story.changed[pack.uid].outcome is Outcome.APPLIED
    assert story.state == "packed"


def voidable() -> tuple[Story, Fact]:
    story = story_of(E.PACK, E.LOAD)
    return story, story.last


def test_a_device_voids_its_own_event() -> None:
    story, load = voidable()
    assert story.void(load).outcome is Outcome.APPLIED
    assert story.state == "packed"
    assert (story.changed[load.uid].outcome, story.changed[load.uid].reason) == (Outcome.REJECTED, Reason.VOIDED)


@pytest.mark.parametrize("by", ["desk", "shop"])
def test_desk_and_systems_void_any_event(by: str) -> None:
    story, load = voidable()
    assert story.void(load, by=by).outcome is Outcome.APPLIED
    assert story.state == "packed"


@pytest.mark.parametrize("by", ["pack-1", "phone-1", "carrier"])
def test_nobody_else_voids_it(by: str) -> None:
    story, load = voidable()
    verdict = story.void(load, by=by)
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, Reason.NOT_YOURS)
    assert story.state == "shipped"


def test_a_void_cannot_be_voided() -> None:
    story, load = voidable()
    story.void(load)
    verdict = story.void(story.last, by="desk")
    assert (verdict.outcome, verdict.reason) == (Outcome.REJECTED, Reason.VOID_OF_VOID)
    assert story.state == "packed"


def test_a_void_waits_for_the_event_that_it_is_about() -> None:
    story = story_of(E.PACK)
    load = story.made(E.LOAD)
    verdict = story.void(load)
    void = story.last
    assert (verdict.outcome, verdict.reason) == (Outcome.PARKED, Reason.UNKNOWN_REFERENCE)
    assert story.take(load).verdict.reason is Reason.VOIDED
    assert story.changed[void.uid].outcome is Outcome.APPLIED
    assert story.state == "packed"


def test_a_voided_delivery_puts_a_parcel_back_on_its_way() -> None:
    story = story_of(E.PACK, E.LOAD, E.OUT_FOR_DELIVERY, E.DELIVERY)
    story.void(story.last)
    assert (story.state, "delivered" in story.milestones) == ("out_for_delivery", False)


# --- dispatch -------------------------------------------------------------------------------------------------------------


def test_an_order_that_its_courier_refuses_has_no_courier() -> None:
    story = story_of(E.ASSIGNED)
    decline = story.made(E.DECLINE)
    story.decide(decline, Outcome.APPLIED)
    assert story.take(decline).verdict.outcome is Outcome.APPLIED
    assert story.flags == {Flag.UNASSIGNED}
    assert story.tell(E.ASSIGNED, bodies.Assigned(courier="bo")).outcome is Outcome.APPLIED
    assert story.flags == set()


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(Outcome.APPLIED, None), (Outcome.NOOP, None), (Outcome.LOST_CLAIM, Reason.HELD_BY_ANOTHER), (Outcome.REJECTED, Reason.JOB_CLOSED)],
)
def test_a_claim_has_the_verdict_that_was_decided(outcome: Outcome, reason: Reason | None) -> None:
    story = story_of(E.ASSIGNED)
    claim = story.made(E.CLAIM)
    story.decide(claim, outcome, reason)
    verdict = story.take(claim).verdict
    assert (verdict.outcome, verdict.reason) == (outcome, reason)
    assert story.flags == set()


def test_the_same_assignment_twice_is_known() -> None:
    assert story_of(E.ASSIGNED).tell(E.ASSIGNED).outcome is Outcome.NOOP


# --- how an order is sent ---------------------------------------------------------------------------------------------------


def test_an_order_that_gets_its_carrier_and_number_is_still_the_one_that_was_ordered() -> None:
    story = story_of(E.PACK)
    number = bodies.Amended(changed=["carrier", "tracking", "ship_by"], carrier="DHL", tracking="JJD1", ship_by_ms=5)
    assert story.tell(E.AMENDED, number).outcome is Outcome.APPLIED
    assert Flag.AMENDED not in story.order.flags
    assert story.order.created is not None
    assert (story.order.created.carrier, story.order.created.tracking, story.order.created.ship_by_ms) == ("DHL", "JJD1", 5)
    story.tell(E.AMENDED, bodies.Amended(changed=["carrier", "address"], carrier="UPS"))
    assert (story.order.created.carrier, story.order.created.tracking) == ("UPS", None), "the number was one of the other carrier"
    assert Flag.AMENDED in story.order.flags
    story = story_of(E.PACK, (E.AMENDED, bodies.Amended(changed=["carrier"], lines=[line(MUG, 2)])))
    assert {Flag.AMENDED, Flag.NEEDS_CONFIRM} <= story.order.flags

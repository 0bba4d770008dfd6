"""The tables of words: whole, without a word that its owner did not publish, and true to each other. A new word fails here until it has its labels."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

import pytest
from helpers.bench import Bench
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.lifecycle import MOVES
from devices.protocol import bodies, choices, foreign, reasons, states, verdicts, vocabulary
from devices.protocol.documents import shapes
from devices.protocol.documents.asyncapi import asyncapi
from devices.protocol.documents.cddl import cddl
from devices.protocol.fields import Word
from devices.protocol.foreign import AfterShip, AfterShipSubtag, BizStep, Disposition, EasyPost, Shopify, Track17, Track17Sub
from devices.protocol.labels import LABELS, ORDER_STATE_LABELS, UNKNOWN, label_of
from devices.protocol.reasons import GUARDED_HOLDS, REASONS, AttemptReason, HoldReason, known
from devices.protocol.vocabulary import ORDER_STATE_WORDS, AlertCode, EventType, Flag, OrderState, ParcelState, PodMethod, Waypoint
from devices.protocol.words import (
    ATTEMPT_WORDS,
    ENDED,
    EVENT_WORDS,
    FLAG_WORDS,
    FLAGS_BY_WEIGHT,
    POD_WORDS,
    STATE_WORDS,
    Words,
    words_for,
    words_for_attempt,
    words_for_delivery,
    words_for_event,
    words_for_flag,
    words_for_status,
    words_for_void,
)

E, O, P = EventType, OrderState, ParcelState  # noqa: E741 -- as in the table of the lifecycle


def lists_of(module: Any) -> list[type[StrEnum]]:
    """The closed lists that a module defines."""
    return [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, StrEnum) and v is not StrEnum and v.__module__ == module.__name__]


OURS = [words for module in (vocabulary, verdicts, states, choices, reasons) for words in lists_of(module)]
STATES = [*OrderState, *ParcelState]
ROWS: list[Words] = [*STATE_WORDS.values(), *EVENT_WORDS.values(), *FLAG_WORDS.values()]

PUBLISHED: dict[type[StrEnum], str] = {
    # GS1 CBV 2.0 §7.1
    BizStep: """
        accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting decommissioning departing destroying
        disassembling dispensing encoding entering_exiting holding inspecting installing killing loading other packing picking receiving removing
        repackaging repairing replacing reserving retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking storing
        transporting unloading unpacking void_shipping
    """,
    # GS1 CBV 2.0 §7.2
    Disposition: """
        active available completeness_inferred completeness_verified conformant container_closed container_open damaged destroyed dispensed disposed
        encoded expired in_progress in_transit inactive mismatch_class mismatch_instance mismatch_quantity needs_replacement no_pedigree_match
        non_conformant non_sellable_other partially_dispensed recalled reserved retail_sold returned sellable_accessible sellable_not_accessible stolen
        unavailable unknown
    """,
    # aftership.com/docs/tracking/enum/delivery-statuses
    AfterShip: "Pending InfoReceived InTransit OutForDelivery AttemptFail Delivered AvailableForPickup Exception Expired",
    # docs.easypost.com/docs/trackers
    EasyPost: "unknown pre_transit in_transit out_for_delivery delivered available_for_pickup return_to_sender failure cancelled error",
    # shopify.dev/docs/api/customer/latest/enums/FulfillmentEventStatus
    Shopify: """
        ATTEMPTED_DELIVERY CARRIER_PICKED_UP CONFIRMED DELAYED DELIVERED FAILURE IN_TRANSIT LABEL_PRINTED LABEL_PURCHASED OUT_FOR_DELIVERY PICKED_UP
        READY_FOR_PICKUP
    """,
    # help.17track.net, "Understanding Tracking Status"
    Track17: "NotFound InfoReceived InTransit Expired AvailableForPickup OutForDelivery DeliveryFailure Delivered Exception",
    Track17Sub: """
        NotFound_Other NotFound_InvalidCode InfoReceived InTransit_PickedUp InTransit_Other InTransit_Departure InTransit_Arrival
        InTransit_CustomsProcessing InTransit_CustomsReleased InTransit_CustomsRequiringInformation Expired_Other AvailableForPickup_Other
        OutForDelivery_Other DeliveryFailure_Other DeliveryFailure_NoBody DeliveryFailure_Security DeliveryFailure_Rejected
        DeliveryFailure_InvalidAddress Delivered_Other Exception_Other Exception_Returning Exception_Returned Exception_NoBody Exception_Security
        Exception_Damage Exception_Rejected Exception_Delayed Exception_Lost Exception_Destroyed Exception_Cancel
    """,
}
"""The lists as their owners publish them, whole."""

# aftership.com/docs/tracking/enum/delivery-sub-statuses, and the additions of 27 March 2026
PUBLISHED_SUBTAGS = {
    *(f"Delivered_{n:03}" for n in range(1, 6)),
    *(f"Exception_{n:03}" for n in (*range(1, 14), *range(16, 22))),
    *(f"AttemptFail_{n:03}" for n in range(1, 4)),
    *(f"InTransit_{n:03}" for n in range(1, 10)),
    *(f"Pending_{n:03}" for n in range(1, 7)),
    *("AvailableForPickup_001", "InfoReceived_001", "OutForDelivery_001", "OutForDelivery_003", "OutForDelivery_004", "Expired_001"),
}


# --- the words of others ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", PUBLISHED, ids=lambda words: words.__name__)
def test_a_foreign_list_has_the_words_that_its_owner_published(words: type[StrEnum]) -> None:
    assert sorted(words) == sorted(PUBLISHED[words].split())


def test_a_subtag_is_published_and_begins_with_a_tag() -> None:
    assert set(AfterShipSubtag) <= PUBLISHED_SUBTAGS
    assert {subtag.partition("_")[0] for subtag in AfterShipSubtag} == set(AfterShip)
    assert {sub.partition("_")[0] for sub in Track17Sub} == set(Track17)


def test_every_foreign_list_is_compared() -> None:
    assert set(lists_of(foreign)) == {*PUBLISHED, AfterShipSubtag}


def test_s30_each_state_has_a_row_with_a_word_of_every_tracker() -> None:
    assert {str(state) for state in STATE_WORDS} == {str(state) for state in STATES}
    for state in STATES:
        words = words_for(state)
        assert all((words.aftership, words.aftership_subtag, words.easypost, words.track17, words.track17_sub)), state


def test_s30_each_event_type_and_each_flag_has_a_row() -> None:
    assert EVENT_WORDS.keys() == set(EventType)
    assert FLAG_WORDS.keys() == set(Flag)
    assert {flag for flag, row in FLAG_WORDS.items() if any(row[:-2])} == set(FLAGS_BY_WEIGHT)


def test_every_way_to_prove_a_delivery_has_its_words() -> None:
    assert POD_WORDS.keys() == set(PodMethod)


@pytest.mark.parametrize("step", [step for step in MOVES if step in set(EventType)])
def test_an_event_and_the_state_that_it_leads_to_say_the_same(step: str) -> None:
    event, state = words_for_event(EventType(step)), words_for(MOVES[step].to)
    assert event.easypost == state.easypost
    assert event.aftership == state.aftership or step == E.CUSTOMS_HELD  # the state is `customs`; that it is held is a flag


def test_s30_delivered_is_accepting_and_nothing_is_collecting() -> None:
    for words in (words_for(O.DELIVERED), words_for(O.COMPLETED), words_for_event(E.DELIVERY)):
        assert (words.cbv_step, words.cbv_disposition) == (BizStep.ACCEPTING, Disposition.IN_PROGRESS)
    assert words_for_event(E.PICKUP).cbv_step is BizStep.ACCEPTING
    said = {row.cbv_step for row in ROWS} | {row.cbv_disposition for row in ROWS}
    assert said.isdisjoint({BizStep.COLLECTING, Disposition.COMPLETENESS_VERIFIED, Disposition.COMPLETENESS_INFERRED})


@pytest.mark.parametrize(
    ("event", "step"),
    [
        (E.LOAD, BizStep.LOADING),
        (E.UNLOAD, BizStep.UNLOADING),
        (E.DEPART, BizStep.DEPARTING),
        (E.ARRIVE, BizStep.ARRIVING),
        (E.LABELLED, BizStep.COMMISSIONING),
        (E.UNPACK, BizStep.UNPACKING),
        (E.DAMAGED, BizStep.INSPECTING),
    ],
)
def test_s30_the_steps_of_a_dock_are_those_of_gs1(event: EventType, step: BizStep) -> None:
    assert words_for_event(event).cbv_step is step


def test_s30_a_void_of_what_was_shipped_is_void_shipping() -> None:
    assert {of for of in EventType if words_for_void(of).cbv_step is BizStep.VOID_SHIPPING} == {E.LOAD, E.DEPART, E.PICKUP}
    assert words_for_void(E.PICK) == words_for_event(E.VOID)


def test_s30_a_failed_attempt_is_not_the_end() -> None:
    for words in (words_for(P.ATTEMPT_FAILED), *map(words_for_attempt, AttemptReason)):
        assert (words.easypost, words.aftership, words.track17) == (EasyPost.IN_TRANSIT, AfterShip.ATTEMPT_FAIL, Track17.DELIVERY_FAILURE)
    assert ATTEMPT_WORDS.keys() < set(AttemptReason)
    assert words_for_attempt(AttemptReason.NOT_HOME).track17_sub is Track17Sub.FAILURE_NOBODY
    assert words_for_attempt(AttemptReason.WEATHER) == words_for_event(E.ATTEMPT_FAILED)


def test_s30_a_stop_in_customs_is_an_exception() -> None:
    held = words_for_event(E.CUSTOMS_HELD)
    assert (held.aftership, held.easypost, held.shopify) == (AfterShip.EXCEPTION, EasyPost.IN_TRANSIT, Shopify.DELAYED)
    status = words_for_status(O.CUSTOMS, {Flag.CUSTOMS_HOLD})
    assert (status.aftership, status.easypost, status.track17) == (AfterShip.EXCEPTION, EasyPost.IN_TRANSIT, Track17.EXCEPTION)
    assert status.zh == "清关中"


def test_s30_silence_is_expired_and_a_danger_of_lateness_is_delayed() -> None:
    assert words_for_status(P.IN_TRANSIT, {Flag.SILENT}).aftership is AfterShip.EXPIRED
    assert words_for_status(P.IN_TRANSIT, {Flag.LATE_RISK}).shopify is Shopify.DELAYED
    assert words_for_status(P.IN_TRANSIT, {Flag.SILENT, Flag.LATE_RISK, Flag.CUSTOMS_HOLD}).aftership is AfterShip.EXCEPTION
    assert words_for_status(P.IN_TRANSIT, {Flag.HELD, Flag.SHORT}) == words_for(P.IN_TRANSIT)


def test_s30_a_damaged_parcel_goes_on_in_its_condition() -> None:
    assert words_for_status(P.IN_TRANSIT, {Flag.DAMAGED}) == words_for(P.IN_TRANSIT)._replace(cbv_disposition=Disposition.DAMAGED)
    assert words_for_event(E.DAMAGED).aftership_subtag is AfterShipSubtag.DAMAGED


@given(st.sampled_from(STATES), st.sets(st.sampled_from(list(Flag))))
def test_flags_never_take_a_word_away_and_outweigh_no_end(state: OrderState | ParcelState, flags: set[Flag]) -> None:
    status, plain = words_for_status(state, flags), words_for(state)
    assert (status.zh, status.en) == (plain.zh, plain.en)
    assert all(said is not None for said, before in zip(status, plain, strict=True) if before is not None)
    possible = [plain, *map(words_for_flag, flags)]
    assert all(said in {row[n] for row in possible} for n, said in enumerate(status[:-2]))
    assert state not in ENDED or status == plain


def test_s30_shopify_hears_of_the_carrier_and_of_the_counter() -> None:
    assert words_for_event(E.PICKUP).shopify is Shopify.CARRIER_PICKED_UP
    assert words_for_delivery(PodMethod.COUNTER).shopify is Shopify.PICKED_UP
    assert words_for_delivery(PodMethod.NEIGHBOUR).aftership_subtag is AfterShipSubtag.LEFT_WITH_NEIGHBOUR
    assert {words_for_delivery(method).aftership for method in PodMethod} == {AfterShip.DELIVERED}


# --- labels ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", OURS, ids=lambda words: words.__name__)
def test_every_word_of_ours_has_a_label_in_both_languages(words: type[StrEnum]) -> None:
    table = LABELS[words]
    assert table.keys() == {str(word) for word in words}
    for word, label in table.items():
        assert label.zh.strip(), word
        assert label.en.strip(), word
        assert any("\u4e00" <= character <= "\u9fff" for character in label.zh), f"{word}: {label.zh} is not Chinese"
        assert label.en.isascii(), f"{word}: {label.en} is not English"
        assert label.en[0].isupper(), word
        assert not label.en.endswith("."), word


@pytest.mark.parametrize("words", OURS, ids=lambda words: words.__name__)
def test_no_two_words_of_a_list_have_the_same_label(words: type[StrEnum]) -> None:
    labels = LABELS[words].values()
    assert len({label.zh for label in labels}) == len(words)
    assert len({label.en for label in labels}) == len(words)


def test_every_word_of_an_orders_status_has_a_label() -> None:
    assert ORDER_STATE_LABELS.keys() == set(ORDER_STATE_WORDS)
    assert ORDER_STATE_LABELS["partially_packed"] == ("部分已打包", "Partially packed")
    assert len(set(ORDER_STATE_LABELS.values())) == len(ORDER_STATE_WORDS)


def test_a_word_that_is_not_on_its_list_is_other() -> None:
    assert label_of(AlertCode, "invented_later") == UNKNOWN
    assert label_of(Waypoint, "border_entered").en == "Crossed the border"


# --- reasons ---------------------------------------------------------------------------------------------------------------


def asks_for_a_reason(event_type: EventType) -> bool:
    """The body has a reason that is any word; that of a void is one of two."""
    hint = get_type_hints(bodies.BODIES[event_type], include_extras=True).get("reason")
    return hint == Word or (isinstance(hint, UnionType) and Word in get_args(hint)) or Word in get_args(hint)


def test_s30_every_reason_of_the_wire_has_its_closed_list() -> None:
    assert {event_type for event_type in EventType if asks_for_a_reason(event_type)} == REASONS.keys()
    assert {*REASONS.values(), reasons.Condition} == set(lists_of(reasons))


@pytest.mark.parametrize("words", lists_of(reasons), ids=lambda words: words.__name__)
def test_a_reason_that_is_not_on_its_list_is_other(words: type[StrEnum]) -> None:
    assert known(words, "invented at this site") is words("other")
    assert label_of(words, "invented at this site") == label_of(words, "other") == UNKNOWN
    assert [known(words, str(word)) for word in words] == list(words)


def test_four_holds_are_guarded() -> None:
    assert {"fraud", "payment", "chargeback", "customs"} == GUARDED_HOLDS < set(HoldReason)


def test_the_documents_list_the_reasons() -> None:
    text = " ".join(cddl().replace("\n;", "").split())
    messages = asyncapi()["components"]["messages"]
    for event_type, words in REASONS.items():
        assert f"{event_type}: {', '.join(words)}." in text
        assert messages[shapes.event_name(event_type)]["x-reasons"] == list(words)
    assert len([message for message in messages.values() if "x-reasons" in message]) == len(REASONS)


# --- on the wire -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as bench:
        bench.create("PO-1")
        yield bench


def test_a_hold_for_a_reason_of_the_shops_own_is_a_hold(bench: Bench) -> None:
    assert bench.tell("desk", "held", "PO-1", {"reason": "storm_watch"})["outcome"] == "applied"
    assert bench.tell("scan-1", "pack", "PO-1")["outcome"] == "blocked"
    assert bench.tell("desk", "released", "PO-1", {"reason": "storm_watch"})["outcome"] == "applied"
    assert bench.tell("scan-1", "pack", "PO-1")["outcome"] == "applied"


@pytest.mark.parametrize("method", PodMethod)
def test_a_delivery_says_how_it_was_proved(bench: Bench, method: PodMethod) -> None:
    pod = {"method": method.value, "consent": True}
    assert bench.tell("phone-anna", "delivery", "PO-1", {"pod": pod})["state"] == "delivered"


def test_a_proof_that_is_not_on_the_list_is_malformed(bench: Bench) -> None:
    receipt = bench.tell("phone-anna", "delivery", "PO-1", {"pod": {"method": "telepathy"}})
    assert (receipt["outcome"], receipt["reason"]) == ("rejected", "malformed")
    assert "pod.method" in receipt["detail"]


def test_a_return_names_what_came_back_and_damage_its_cause(bench: Bench) -> None:
    assert bench.tell("scan-1", "damaged", "PO-1", {"severity": "minor", "reason": "wet"})["outcome"] == "applied"
    body = {"dock": "R1", "items": [{"sku": "pen", "qty": 1}], "condition": "opened"}
    assert bench.tell("scan-1", "returned", "PO-1", body)["outcome"] == "applied"

"""The whole tables of the contract: every parcel state with every step, and every list that must cover a vocabulary."""

from __future__ import annotations

import pytest

from bridge.domain.facts import DECIDED, NEXT_STEP
from bridge.domain.lifecycle import (
    CUSTODY_FACTS,
    DEAD,
    FORBIDS,
    IMPLIED,
    IN_CUSTODY,
    INSTRUCTIONS,
    LATE_RISK_SHARE,
    MOVES,
    ORDER_IMPLIED,
    ORDER_RANK,
    PARCEL_TABLE,
    PERCENT,
    PREPARATION,
    RANK,
    SHOWN_AS,
    Step,
)
from bridge.domain.order import HANDLERS
from bridge.domain.view import SETTLED
from devices.protocol.bodies import BODIES
from devices.protocol.vocabulary import ORDER_STATE_WORDS, PARTIAL_STATES, EventType, OrderState, ParcelState, Reason, partially

P, O, E = ParcelState, OrderState, EventType  # noqa: E741 -- the table below has no room for longer names

SHORT = {
    "pl": P.PLANNED,
    "pi": P.PICKING,
    "pa": P.PACKED,
    "st": P.STAGED,
    "sh": P.SHIPPED,
    "tr": P.IN_TRANSIT,
    "cu": P.CUSTOMS,
    "en": P.ENTERED,
    "af": P.ATTEMPT_FAILED,
    "of": P.OUT_FOR_DELIVERY,
    "av": P.AVAILABLE_FOR_PICKUP,
    "de": P.DELIVERED,
    "ri": P.RETURNING,
    "rd": P.RETURNED,
    "lo": P.LOST,
    "xx": P.DESTROYED,
    "ca": P.CANCELLED,
}

TABLE = """
from                            pl pi pa st sh tr cu en af of av de   ri rd lo xx ca
pick                            pi  .  .  .  .  .  .  .  .  .  .  .    .  .  .  .  .
pack                            pa pa  .  .  .  .  .  .  .  .  .  .    .  .  .  .  .
unpack                          pi  . pi pi  .  .  .  .  .  .  .  .    .  .  .  .  .
stage                           st st st  .  .  .  .  .  .  .  .  .    .  .  .  .  .
load                            sh sh sh sh  .  .  .  .  .  .  .  .    . sh sh  . sh
unload                          st st st  . st  .  .  .  .  .  .  .    .  .  .  .  .
depart                          tr tr tr tr tr  .  .  .  .  .  .  .    . tr tr  . tr
arrive                          tr tr tr tr tr  .  .  . tr tr  .  .    .  . tr  . tr
customs_entered                 cu cu cu cu cu cu  . cu  .  .  .  .    .  .  .  .  .
customs_held                    cu cu cu cu cu cu  .  .  .  .  .  .    .  .  .  .  .
customs_cleared (destination)   en en en en en en en  .  .  .  .  .    .  .  .  .  .
customs_cleared (on the way)    tr tr tr tr tr  . tr  .  .  .  .  .    .  .  .  .  .
border_entered                   .  .  .  .  .  .  .  .  .  .  .  .    .  .  .  .  .
pickup                          sh sh sh sh  .  .  .  .  .  .  .  .    . sh sh  . sh
out_for_delivery                of of of of of of of of of  .  .  .    . of of  . of
stop_arrived                     .  .  .  .  .  .  .  .  .  .  .  .    .  .  .  .  .
attempt_failed                  af af af af af af af af  . af af  .    .  .  .  .  .
available_for_pickup            av av av av av av av av av av  .  .    .  .  .  .  .
delivery                        de de de de de de de de de de de  .   de de de  . de
refused                         ri ri ri ri ri ri ri ri ri ri ri  .    .  .  .  .  .
return_started                  ri ri ri ri ri ri ri ri ri ri ri ri    .  .  .  .  .
returned                        rd rd rd rd rd rd rd rd rd rd rd rd   rd  .  .  .  .
damaged                          .  .  .  .  .  .  .  .  .  .  .  .    .  .  .  .  .
damaged (total)                 xx xx xx xx xx xx xx xx xx xx xx  .   xx  .  .  .  .
lost                            lo lo lo lo lo lo lo lo lo lo lo  .   lo  .  .  .  .
destroyed                       xx xx xx xx xx xx xx xx xx xx xx  .   xx xx xx  .  .
cancelled (in house)            ca ca ca ca  .  .  .  .  .  .  .  .    .  .  .  .  .
"""
"""The state to which each step leads from each state; a dot means no change. `found` leads back to the state before `lost`, which only the fold knows."""

HEAD, *ROWS = TABLE.strip().splitlines()
STATES = [SHORT[s] for s in HEAD[32:].split()]
EXPECTED = {(state, row[:32].strip()): SHORT.get(cell) for row in ROWS for state, cell in zip(STATES, row[32:].split(), strict=True)}


def test_the_table_names_every_state_once() -> None:
    assert sorted(STATES) == sorted(ParcelState)


@pytest.mark.parametrize("row", ROWS, ids=[row[:32].strip() for row in ROWS])
def test_a_step_leads_where_the_contract_says_from_every_state(row: str) -> None:
    step = row[:32].strip()
    assert {s: PARCEL_TABLE.get((s, step)) for s in STATES} == {s: EXPECTED[(s, step)] for s in STATES}


def test_no_step_is_missing_in_the_table_above() -> None:
    assert {str(step) for _, step in PARCEL_TABLE} | {str(s) for s in MOVES} <= {step for _, step in EXPECTED}
    assert {str(s) for s in Step} <= {step for _, step in EXPECTED}


def test_events_that_are_no_steps_move_no_parcel() -> None:
    rest = set(EventType) - {step for _, step in EXPECTED}
    assert rest == {
        *(E.CREATED, E.PAID, E.APPROVED, E.AMENDED, E.HELD, E.RELEASED, E.CANCELLED, E.COMPLETED),
        *(E.SHIFT_STARTED, E.SHIFT_ENDED, E.BREAK_STARTED, E.BREAK_ENDED),
        *(E.LABELLED, E.AGGREGATED, E.DISAGGREGATED, E.ASSIGNED, E.UNASSIGNED, E.CUSTOMS_CLEARED, E.CLAIM, E.DECLINE, E.FOUND, E.VOID),
        *(E.REFUNDED, E.CASH_COUNTED, E.NOTE_ADDED),
    }
    assert not [pair for pair in PARCEL_TABLE if pair[1] in rest]


TAKEN = {E.LOAD, E.DEPART, E.PICKUP, E.OUT_FOR_DELIVERY, E.DELIVERY}
CUSTODY = TAKEN | {E.ARRIVE}

LEFT_BY = {
    P.DELIVERED: {E.RETURN_STARTED, E.RETURNED},
    P.RETURNING: {E.RETURNED, E.DELIVERY, E.DESTROYED, E.LOST, Step.DAMAGED_BEYOND_USE},
    P.RETURNED: TAKEN | {E.DESTROYED},
    P.LOST: CUSTODY | {E.DESTROYED},
    P.CANCELLED: CUSTODY,
    P.DESTROYED: set(),
}


@pytest.mark.parametrize("state", list(LEFT_BY))
def test_an_ended_way_is_left_only_by_the_steps_that_are_named(state: ParcelState) -> None:
    assert {step for s, step in PARCEL_TABLE if s is state} == LEFT_BY[state]


def test_forward_by_rank_is_always_legal() -> None:
    ranked = {E.PICK, E.PACK, E.STAGE, E.LOAD, E.DEPART, E.CUSTOMS_ENTERED, Step.CLEARED_AT_DESTINATION, E.PICKUP, E.OUT_FOR_DELIVERY, E.DELIVERY}
    for step in ranked:
        for state in RANK:
            if RANK[state] < RANK[MOVES[step].to]:
                assert PARCEL_TABLE[(state, step)] is MOVES[step].to


def test_backward_by_rank_is_only_what_the_contract_lists() -> None:
    back = {(str(s), str(step)) for (s, step), to in PARCEL_TABLE.items() if s in RANK and to in RANK and RANK[to] < RANK[s]}
    assert back == {
        ("packed", "unpack"),
        ("staged", "unpack"),
        ("shipped", "unload"),
        ("out_for_delivery", "attempt_failed"),
        ("available_for_pickup", "attempt_failed"),
        ("out_for_delivery", "arrive"),
        ("attempt_failed", "arrive"),
        ("entered", "customs_entered"),
        ("customs", "customs_cleared (on the way)"),
    }


# --- lists that cover a vocabulary ----------------------------------------------------------------------------------------


def test_every_parcel_state_has_a_rank_or_stands_beside_the_way() -> None:
    assert set(RANK) | {P.RETURNING} | DEAD == set(ParcelState)
    assert not set(RANK) & (DEAD | {P.RETURNING})
    contract = [P.PLANNED, P.PICKING, P.PACKED, P.STAGED, P.SHIPPED, P.IN_TRANSIT, P.CUSTOMS, P.ENTERED, P.OUT_FOR_DELIVERY, P.DELIVERED]
    assert [RANK[s] for s in contract] == [0, 10, 20, 30, 40, 50, 60, 70, 80, 100]


def test_custody_begins_with_shipping() -> None:
    assert {s for s in ParcelState if s not in DEAD} - {P.PLANNED, P.PICKING, P.PACKED, P.STAGED} == IN_CUSTODY


def test_the_sets_of_events_are_those_of_the_contract() -> None:
    assert CUSTODY_FACTS == CUSTODY
    assert {E.PICK, E.PACK, E.STAGE} == PREPARATION
    assert list(FORBIDS) == [Reason.CANCELLED, Reason.HELD, Reason.NEEDS_CONFIRM, Reason.NOT_PAID], "the first one is told"
    assert {
        Reason.CANCELLED: PREPARATION | {E.LABELLED},
        Reason.HELD: PREPARATION,
        Reason.NEEDS_CONFIRM: PREPARATION,
        Reason.NOT_PAID: {E.PICK},
    } == FORBIDS
    assert {E.HELD, E.RELEASED, E.CANCELLED, E.AMENDED, E.ASSIGNED, E.UNASSIGNED} == INSTRUCTIONS


def test_a_state_proves_what_must_have_come_before_it() -> None:
    assert set(IMPLIED) == {s for s in RANK if RANK[s] > RANK[P.PACKED]}
    for state, implied in IMPLIED.items():
        assert P.PACKED in implied
        assert (P.SHIPPED in implied) == (RANK[state] > RANK[P.SHIPPED])
        assert all(RANK[i] < RANK[state] or state is P.ATTEMPT_FAILED for i in implied)
    assert P.OUT_FOR_DELIVERY in IMPLIED[P.DELIVERED]
    assert P.CUSTOMS in IMPLIED[P.ENTERED]
    assert P.CUSTOMS not in IMPLIED[P.DELIVERED], "most parcels never see a border"


def test_an_order_state_proves_what_must_have_come_before_it() -> None:
    chain = [O.APPROVED, O.PACKED, O.SHIPPED, O.CUSTOMS, O.ENTERED, O.OUT_FOR_DELIVERY, O.DELIVERED]
    assert set(ORDER_IMPLIED) - {O.COMPLETED} == {*chain, O.PICKING} - {O.APPROVED}
    for state, implied in ORDER_IMPLIED.items():
        expected = [s for s in chain if ORDER_RANK[s] < ORDER_RANK[state]]
        if state in (O.OUT_FOR_DELIVERY, O.DELIVERED, O.COMPLETED):
            expected = [s for s in expected if s not in (O.CUSTOMS, O.ENTERED)]
        assert list(implied) == expected


def test_every_live_parcel_state_is_shown_as_an_order_state_of_its_rank() -> None:
    assert set(SHOWN_AS) == set(ParcelState) - DEAD
    assert set(SHOWN_AS.values()) <= set(ORDER_RANK)
    ways = sorted(RANK, key=RANK.__getitem__)
    shown = [ORDER_RANK[SHOWN_AS[s]] for s in ways]
    assert shown == sorted(shown)


def test_the_order_chain_has_ranks_and_the_ends_beside_it_have_none() -> None:
    assert set(OrderState) - set(ORDER_RANK) == {O.CANCELLED, O.RETURNED, O.EXCEPTION}
    assert len(set(ORDER_RANK.values())) == len(ORDER_RANK)


def test_percent_covers_every_state_and_grows_along_the_way() -> None:
    assert set(PERCENT) == set(OrderState)
    along = [PERCENT[s] for s in sorted(ORDER_RANK, key=ORDER_RANK.__getitem__) if s is not O.RETURNING]
    assert along == sorted(along)
    assert all(PERCENT[s] == 100 for s in SETTLED - {O.EXCEPTION})
    assert PERCENT[O.EXCEPTION] == 0, "what is lost is not done"
    assert set(LATE_RISK_SHARE) == set(ORDER_RANK)
    assert [LATE_RISK_SHARE[s] for s in (O.PACKED, O.SHIPPED, O.OUT_FOR_DELIVERY)] == [1.0, 0.5, 0.0]


def test_every_event_type_has_a_body_and_a_handler() -> None:
    assert set(BODIES) == set(EventType)
    assert set(HANDLERS) == (set(EventType) - {E.VOID}) | {DECIDED}


def test_partial_states_are_words_of_a_status() -> None:
    assert {partially(s) for s in PARTIAL_STATES} <= set(ORDER_STATE_WORDS)
    assert set(SHOWN_AS.values()) - {O.DELIVERED} <= set(PARTIAL_STATES)


def test_a_refusal_says_what_to_do_next() -> None:
    assert set(Reason) - set(NEXT_STEP) == {Reason.VOIDED, Reason.REPEATED}

"""The laws of the fold, over random facts: the order of arrival never matters, only an event undoes a step, and every verdict is a word of the contract."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cbor2
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from unit.facts_made import ORDER, ROLE_OF, T0, facts_of_an_order, fresh, seen, seen_at_once, void

from bridge.domain.facts import BRIDGE, DECIDED, Decided, Fact, Verdict, tone_of
from bridge.domain.fold import OrderFold, fold
from bridge.domain.lifecycle import CUSTODY_FACTS, PREPARATION, RANK
from bridge.domain.order import Order, Parcel, apply
from bridge.domain.view import OrderView, timed_flags
from devices.protocol import messages, vocabulary
from devices.protocol.messages import OrderStatus, ParcelStatus
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Next, OrderState, Outcome, ParcelState, Reason, Role, Tone, Warn

P = ParcelState
laws = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
order_facts = facts_of_an_order()
whole_orders = facts_of_an_order(voids=False, creations=1)
RANDOM = st.randoms(use_true_random=False)


class Step(NamedTuple):
    """One fact as it was applied, with the parcels and the order's state before and after it."""

    fact: Fact
    before: dict[str, ParcelState]
    after: dict[str, ParcelState]
    shown_before: OrderState
    shown_after: OrderState
    verdict: Verdict
    was_lost_from: dict[str, ParcelState]


def steps(facts: Sequence[Fact]) -> Iterator[Step]:
    """The steps of the fold: the facts are applied again, in its sequence, to a second order."""
    whole = fold(ORDER, fresh(facts))
    order = Order(ORDER)
    order.decisions = {(f.body.device, f.body.ref): (f.body.outcome, f.body.reason) for f in whole.facts if isinstance(f.body, Decided)}
    for fact in whole.facts:
        if not whole.exists or whole.verdicts[fact.uid].reason is Reason.VOIDED:
            continue
        before, shown_before = _states(order), order.state
        was_lost_from = {p.id: p.before_lost for p in order.parcels.values()}
        verdict = apply(order, fact)
        yield Step(fact, before, _states(order), shown_before, order.state, verdict, was_lost_from)


def _states(order: Order) -> dict[str, ParcelState]:
    parcels: list[Parcel] = list(order.parcels.values())
    return {p.id: p.state for p in parcels}


# --- the order of arrival never matters -----------------------------------------------------------------------------------


@laws
@given(order_facts, RANDOM)
def test_any_order_of_arrival_gives_the_same_order(facts: list[Fact], chance: random.Random) -> None:
    shuffled = fresh(facts)
    chance.shuffle(shuffled)
    assert seen(fold(ORDER, shuffled)) == seen_at_once(facts)


@laws
@given(order_facts, RANDOM)
def test_a_fact_that_comes_twice_counts_once(facts: list[Fact], chance: random.Random) -> None:
    more = fresh(facts) + fresh(chance.choices(facts, k=len(facts)))
    chance.shuffle(more)
    assert seen(fold(ORDER, more)) == seen_at_once(facts)


@laws
@given(order_facts, RANDOM)
def test_one_fact_after_the_other_gives_what_all_at_once_give(facts: list[Fact], chance: random.Random) -> None:
    arrivals = fresh(facts)
    chance.shuffle(arrivals)
    warm = OrderFold(ORDER)
    for nth, fact in enumerate(arrivals, 1):
        warm.add(fact)
        again = warm.add(fresh([fact])[0])
        assert again.changed == {}
        assert again.verdict == warm.verdicts[fact.uid]
        assert seen(warm) == seen_at_once(arrivals[:nth])


@laws
@given(order_facts, RANDOM)
def test_a_part_loaded_and_the_rest_added_gives_the_same_order(facts: list[Fact], chance: random.Random) -> None:
    arrivals = fresh(facts)
    chance.shuffle(arrivals)
    part = chance.randrange(len(arrivals) + 1)
    again = chance.randrange(part + 1)
    warm = OrderFold(ORDER)
    warm.load(arrivals[:part])
    for fact in fresh(arrivals[again:]):
        warm.add(fact)
    warm.load(fresh(arrivals[: part // 2]))
    assert seen(warm) == seen_at_once(facts)


@laws
@given(order_facts)
def test_facts_that_come_in_their_order_in_time_give_the_same_order(facts: list[Fact]) -> None:
    """The path of nearly every scan: it comes last, and no other fact is applied again."""
    in_time = fold(ORDER, fresh(facts))
    warm = OrderFold(ORDER)
    for fact in fresh([*in_time.facts, *in_time.voids]):
        warm.add(fact)
    assert seen(warm) == seen(in_time)


@laws
@given(order_facts, RANDOM)
def test_what_add_says_is_the_verdict_and_the_verdicts_that_changed(facts: list[Fact], chance: random.Random) -> None:
    arrivals = fresh(facts)
    chance.shuffle(arrivals)
    warm = OrderFold(ORDER)
    heard: dict[tuple[str, bytes], Verdict] = {}
    for fact in arrivals:
        verdict, changed = warm.add(fact)
        heard |= {**changed, fact.uid: verdict}
    late_is_applied = {uid: (Outcome.APPLIED if v.outcome is Outcome.LATE else v.outcome, v.reason) for uid, v in heard.items()}
    assert late_is_applied == {uid: (v.outcome, v.reason) for uid, v in warm.verdicts.items()}


# --- the sequence in which facts are applied ------------------------------------------------------------------------------


@laws
@given(order_facts)
def test_the_facts_of_one_device_never_swap(facts: list[Fact]) -> None:
    streams: dict[tuple[str, bytes], list[int]] = {}
    whole = fold(ORDER, fresh(facts))
    for fact in whole.facts:
        if fact.role in (Role.SCANNER, Role.COURIER) and not fact.seq_reused and whole.verdicts[fact.uid].reason is not Reason.VOIDED:
            streams.setdefault((fact.device, fact.log), []).append(fact.seq)
    assert all(seqs == sorted(seqs) for seqs in streams.values())


@laws
@given(order_facts)
def test_what_no_number_orders_is_applied_by_its_time_alone(facts: list[Fact]) -> None:
    """The facts of systems, carriers and desks, and those of a device whose number another event had before."""
    whole = fold(ORDER, fresh(facts))
    times = [f.event_ms for f in whole.facts if (f.role not in (Role.SCANNER, Role.COURIER) or f.seq_reused) and f.role != BRIDGE and f.type != E.CREATED]
    assert times == sorted(times)


@laws
@given(order_facts)
def test_a_device_whose_clock_runs_on_is_applied_in_the_order_of_its_times(facts: list[Fact]) -> None:
    """If no clock ran backwards within a device log, event time alone decides."""
    streams: dict[tuple[str, bytes], int] = {}
    steady = []
    for fact in fresh(facts):
        fact_ms = max(fact.event_ms, streams.get((fact.device, fact.log), 0))
        streams[(fact.device, fact.log)] = fact_ms
        steady.append(_at(fact, fact_ms))
    whole = fold(ORDER, steady)
    assert all(f.order_ms == f.event_ms for f in whole.facts)
    times = [f.event_ms for f in whole.facts if f.type != E.CREATED]
    assert times == sorted(times)


def _at(fact: Fact, event_ms: int) -> Fact:
    moved = fresh([fact])[0]
    moved.event_ms = event_ms
    moved.place(event_ms)
    return moved


# --- only an event undoes a step ------------------------------------------------------------------------------------------

BACKWARD = {
    E.UNPACK: {P.PICKING},
    E.UNLOAD: {P.STAGED},
    E.ATTEMPT_FAILED: {P.ATTEMPT_FAILED},
    E.ARRIVE: {P.IN_TRANSIT},
    E.CUSTOMS_ENTERED: {P.CUSTOMS},
    E.CUSTOMS_CLEARED: {P.IN_TRANSIT},
}
"""The only events that move a parcel to a lower rank, and the states to which they move it."""

BESIDE = {
    P.RETURNING: {E.REFUSED, E.RETURN_STARTED},
    P.RETURNED: {E.RETURNED},
    P.LOST: {E.LOST},
    P.DESTROYED: {E.DESTROYED, E.DAMAGED},
    P.CANCELLED: {E.CANCELLED},
}
"""The events that take a parcel off the forward path."""

LEAVES = {
    P.DELIVERED: {E.RETURN_STARTED, E.RETURNED},
    P.RETURNING: {E.RETURNED, E.DELIVERY, E.DESTROYED, E.DAMAGED, E.LOST},
    P.RETURNED: CUSTODY_FACTS | {E.DESTROYED},
    P.LOST: CUSTODY_FACTS | {E.FOUND, E.DESTROYED},
    P.CANCELLED: CUSTODY_FACTS,
    P.DESTROYED: set(),
}
"""The events that take a parcel out of a final state, or turn it back."""


@laws
@given(whole_orders)
def test_a_parcel_goes_back_only_by_an_event_that_says_so(facts: list[Fact]) -> None:
    for step in steps(facts):
        for parcel, after in step.after.items():
            before = step.before.get(parcel, after if after is P.CANCELLED else P.PLANNED)  # in a cancelled order a new parcel is cancelled
            if before in RANK and after in RANK and RANK[after] < RANK[before]:
                assert after in BACKWARD.get(E(step.fact.type), set()), (before, step.fact.type, after)
            if before is not after and after in BESIDE:
                if step.fact.type == E.FOUND:
                    assert after is step.was_lost_from[parcel]
                else:
                    assert step.fact.type in BESIDE[after], (before, step.fact.type, after)


@laws
@given(whole_orders)
def test_an_ended_way_is_left_only_by_an_event_that_says_so(facts: list[Fact]) -> None:
    for step in steps(facts):
        for parcel, before in step.before.items():
            after = step.after[parcel]
            if before in LEAVES and after is not before:
                assert step.fact.type in LEAVES[before], (before, step.fact.type, after)
            if before is P.LOST and step.fact.type == E.FOUND and after is not before:
                assert after is step.was_lost_from[parcel]


@laws
@given(whole_orders)
def test_no_parcel_ever_disappears_and_a_refused_event_moves_none(facts: list[Fact]) -> None:
    for step in steps(facts):
        assert step.before.keys() <= step.after.keys()
        if step.verdict.outcome in (Outcome.REJECTED, Outcome.BLOCKED, Outcome.LOST_CLAIM):
            assert (step.after, step.shown_after) == (step.before, step.shown_before)


@laws
@given(whole_orders)
def test_a_noop_changes_nothing_that_is_shown(facts: list[Fact]) -> None:
    whole = fold(ORDER, fresh(facts))
    order = Order(ORDER)
    order.decisions = whole.order.decisions
    shown = OrderView(order).hash if order.created else b""
    for fact in whole.facts:
        if whole.verdicts[fact.uid].reason is Reason.VOIDED:
            continue
        verdict = apply(order, fact)
        before, shown = shown, OrderView(order).hash if order.created else b""
        assert verdict.outcome is not Outcome.NOOP or shown == before, fact.type


@laws
@given(whole_orders)
def test_a_completed_order_is_opened_again_only_by_a_return_new_lines_or_another_parcel(facts: list[Fact]) -> None:
    for step in steps(facts):
        if step.shown_before is OrderState.COMPLETED and step.shown_after is not OrderState.COMPLETED:
            another = step.before.keys() != step.after.keys() or any(s is not P.DELIVERED for s in step.before.values())
            assert another or step.fact.type in (E.RETURN_STARTED, E.RETURNED, E.AMENDED, E.UNPACK, E.PACK), step.fact.type


@laws
@given(whole_orders)
def test_a_cancelled_order_is_never_prepared(facts: list[Fact]) -> None:
    cancelled = False
    for step in steps(facts):
        if cancelled and step.fact.fault is None and step.fact.type in PREPARATION:
            assert (step.verdict.outcome, step.verdict.reason) == (Outcome.BLOCKED, Reason.CANCELLED)
        if cancelled and step.shown_before is OrderState.CANCELLED:
            assert step.shown_after is OrderState.CANCELLED or step.fact.type in CUSTODY_FACTS
        cancelled = cancelled or (step.fact.type == E.CANCELLED and step.verdict.outcome is Outcome.APPLIED)


# --- creation and voids ---------------------------------------------------------------------------------------------------


@laws
@given(facts_of_an_order(creations=0))
def test_without_its_creation_everything_about_an_order_waits(facts: list[Fact]) -> None:
    whole = fold(ORDER, fresh(facts))
    assert not whole.exists
    for fact in whole.facts:
        verdict = whole.verdicts[fact.uid]
        if verdict.reason is Reason.VOIDED:
            continue
        expected = (Outcome.REJECTED, Reason(fact.fault)) if fact.fault else (Outcome.PARKED, Reason.UNKNOWN_ORDER)
        assert (verdict.outcome, verdict.reason) == expected
    assert OrderView(whole.order).hash == OrderView(Order(ORDER)).hash


@laws
@given(facts_of_an_order(creations=1, voids=False), RANDOM)
def test_once_its_creation_is_voided_everything_waits_again(facts: list[Fact], chance: random.Random) -> None:
    creation = next(f for f in facts if f.type == E.CREATED)
    arrivals = fresh([*facts, void(creation.id, "shop")])
    chance.shuffle(arrivals)
    warm = OrderFold(ORDER)
    for fact in arrivals:
        warm.add(fact)
    assert not warm.exists
    assert {v.outcome for uid, v in warm.verdicts.items() if uid[1] != void(creation.id, "shop").id} <= {Outcome.PARKED, Outcome.REJECTED}


@laws
@given(facts_of_an_order(voids=False), st.data())
def test_a_voided_event_leaves_no_trace(facts: list[Fact], data: st.DataObject) -> None:
    voided = data.draw(st.lists(st.sampled_from([f for f in facts if f.type != DECIDED]), min_size=1, max_size=3, unique_by=id))
    voids = [void(f.id, "desk" if nth % 2 else f.device, nth) for nth, f in enumerate(voided)]
    gone = {f.id for f in voided}
    with_voids = fold(ORDER, fresh([*facts, *voids]))
    without = fold(ORDER, fresh([f for f in facts if f.id not in gone]))
    hash_, state, verdicts = seen(with_voids)
    assert (hash_, state) == seen(without)[:2]
    assert {uid: v for uid, v in verdicts.items() if uid[1] not in gone and not uid[1].startswith(b"void")} == without.verdicts
    assert all(verdicts[f.uid].reason is Reason.VOIDED for f in voided)


@laws
@given(order_facts)
def test_a_void_of_what_is_not_ones_own_changes_nothing(facts: list[Fact]) -> None:
    others = {d for d in ROLE_OF if ROLE_OF[d] in (Role.SCANNER, Role.COURIER)}
    target = next((f for f in facts if f.type not in (E.VOID, DECIDED)), None)
    assume(target is not None)
    assert target is not None
    strangers = [void(target.id, device, 5) for device in sorted(others - {target.device})]
    hash_, state, verdicts = seen_at_once([*facts, *strangers])
    assert (hash_, state) == seen_at_once(facts)[:2]
    assert {(verdicts[v.uid].outcome, verdicts[v.uid].reason) for v in strangers} == {(Outcome.REJECTED, Reason.NOT_YOURS)}


# --- words ----------------------------------------------------------------------------------------------------------------

ALWAYS_WITH_REASON = (Outcome.PARKED, Outcome.BLOCKED, Outcome.REJECTED, Outcome.LOST_CLAIM)


@laws
@given(order_facts)
def test_every_fact_gets_a_verdict_in_the_words_of_the_contract(facts: list[Fact]) -> None:
    whole = fold(ORDER, fresh(facts))
    assert set(whole.verdicts) == {f.uid for f in facts}
    for verdict in whole.verdicts.values():
        assert isinstance(verdict.outcome, Outcome)
        assert verdict.outcome is not Outcome.LATE, "late says how it came, and no fold knows that"
        assert isinstance(verdict.reason, Reason) == (verdict.outcome in ALWAYS_WITH_REASON), verdict
        assert verdict.next is None or isinstance(verdict.next, Next)
        assert all(isinstance(w, Warn) for w in verdict.warn)
        assert verdict.state is None or verdict.state in vocabulary.ORDER_STATE_WORDS
        refused = verdict.outcome in (Outcome.BLOCKED, Outcome.REJECTED, Outcome.LOST_CLAIM)
        assert (tone_of(verdict) is Tone.STOP) >= refused


@laws
@given(order_facts)
def test_what_an_order_shows_is_canonical_and_keeps_to_the_contract(facts: list[Fact]) -> None:
    order = fold(ORDER, fresh(facts)).order
    view = OrderView(order)
    timed, due_ms = timed_flags(order, now_ms=T0 + 20_000, silent_after_ms=5_000)
    assert due_ms is None or due_ms > T0 + 20_000
    status = cbor2.loads(view.status_cbor(rev=3, updated_ms=T0 + 20_000, timed=timed))
    parcels = {p: cbor2.loads(view.parcel_status_cbor(p, rev=3)) for p in view.parcels}
    for plain in (view.core, status, *parcels.values()):
        assert cbor2.dumps(plain) == cbor2.dumps(plain, canonical=True)
    shown = messages.convert(cbor2.loads(cbor2.dumps(status)), OrderStatus)
    assert messages.convert(status, OrderStatus) == shown
    for parcel, plain in parcels.items():
        assert messages.convert(cbor2.loads(cbor2.dumps(plain)), ParcelStatus).parcel == parcel
    assert shown.progress.parcels == len(parcels)
    assert shown.progress.delivered <= shown.progress.shipped <= shown.progress.packed <= shown.progress.parcels


@laws
@given(order_facts)
def test_the_passing_of_time_is_no_part_of_the_hash(facts: list[Fact]) -> None:
    view = OrderView(fold(ORDER, fresh(facts)).order)
    timed, _ = timed_flags(fold(ORDER, fresh(facts)).order, now_ms=T0 + 10**9, silent_after_ms=1)
    later = cbor2.loads(view.status_cbor(rev=9, updated_ms=T0 + 10**9, timed=timed))
    assert later["hash"] == view.hash


@laws
@given(whole_orders)
def test_milestones_are_in_the_order_of_time(facts: list[Fact]) -> None:
    core = OrderView(fold(ORDER, fresh(facts)).order).core
    for reached in (core["milestones"], *(p["milestones"] for p in core["parcels"])):
        times = [m["at_ms"] for m in reached]
        assert times == sorted(times)
        assert len({m["state"] for m in reached}) == len(reached)

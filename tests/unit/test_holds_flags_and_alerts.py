"""What raises a hold, a flag or an alert, and what ends it. Rows S20, S21 and S25 of the findings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import Bench
from helpers.events import CREATED, DELIVERY, LINES, TOPICS, event_id
from hypothesis import given
from unit.facts_made import ORDER, facts_of_an_order

from bridge.domain.facts import Decided, Fact
from bridge.domain.fold import fold
from bridge.domain.order import Order, apply
from bridge.domain.order.flags import ALERT_LIFE, FLAG_LIFE, standing_alerts
from bridge.domain.view import flags_of
from bridge.projections.alerts import ORDER_ALERTS
from devices.protocol.reasons import GUARDED_HOLDS
from devices.protocol.vocabulary import TIMED_FLAGS, AlertCode, EventType, Flag

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        made.create("PO-1")
        yield made


def hold(bench: Bench, *reasons: str, by: str = "desk") -> None:
    for reason in reasons:
        assert bench.tell(by, "held", "PO-1", {"reason": reason})["outcome"] == "applied"


def release(bench: Bench, by: str = "desk", **body: Any) -> dict[str, Any]:
    return bench.tell(by, "released", "PO-1", body)


def holds(bench: Bench) -> list[str]:
    reasons: list[str] = bench.status("PO-1").get("holds", [])
    return reasons


def alert(bench: Bench, code: str, order: str = "PO-1") -> dict[str, Any] | None:
    return bench.show(TOPICS.alert(code, order))


# --- S20: holds -------------------------------------------------------------------------------------------------------------


def test_s20_the_reasons_of_holds_are_shown(bench: Bench) -> None:
    assert "holds" not in bench.status("PO-1")
    hold(bench, "stock", "address")
    assert (holds(bench), bench.status("PO-1")["flags"]) == (["address", "stock"], ["held"])


def test_s20_a_release_without_a_reason_lifts_the_only_hold(bench: Bench) -> None:
    hold(bench, "stock")
    assert "warn" not in release(bench)
    assert (holds(bench), bench.status("PO-1")["flags"]) == ([], [])


def test_s20_of_several_holds_a_release_without_a_reason_lifts_none_and_names_them(bench: Bench) -> None:
    hold(bench, "stock", "address")
    told = release(bench)
    assert (told["outcome"], told["tone"], told["warn"]) == ("noop", "warn", ["still_held"])
    assert "address" in told["detail"]
    assert "stock" in told["detail"]
    assert holds(bench) == ["address", "stock"]


def test_s20_all_lifts_all(bench: Bench) -> None:
    hold(bench, "stock", "address")
    assert "warn" not in release(bench, all=True)
    assert holds(bench) == []


def test_s20_an_unknown_reason_lifts_none_and_names_those_that_stand(bench: Bench) -> None:
    hold(bench, "stock")
    told = release(bench, reason="ok")
    assert (told["outcome"], told["tone"], told["warn"]) == ("noop", "warn", ["still_held"])
    assert "stock" in told["detail"]
    assert holds(bench) == ["stock"]


def test_s20_a_known_reason_lifts_its_own_hold(bench: Bench) -> None:
    hold(bench, "stock", "address")
    told = release(bench, reason="stock")
    assert (told["outcome"], told["tone"]) == ("applied", "ok")
    assert holds(bench) == ["address"]


def test_s20_a_release_of_an_order_without_holds_is_known(bench: Bench) -> None:
    told = release(bench, reason="stock")
    assert (told["outcome"], "warn" in told) == ("noop", False)


@pytest.mark.parametrize("reason", sorted(GUARDED_HOLDS))
def test_s20_a_protected_hold_is_lifted_only_by_the_system_that_set_it(bench: Bench, reason: str) -> None:
    hold(bench, reason, by="shop1")
    refused = release(bench, reason=reason)
    assert (refused["outcome"], refused["reason"], refused["tone"]) == ("rejected", "not_yours", "stop")
    assert release(bench)["reason"] == "not_yours"
    assert holds(bench) == [reason]
    assert release(bench, by="shop1", reason=reason)["outcome"] == "applied"
    assert holds(bench) == []


def test_s20_all_leaves_a_protected_hold_of_another(bench: Bench) -> None:
    hold(bench, "fraud", by="shop1")
    hold(bench, "stock")
    told = release(bench, all=True)
    assert (told["outcome"], told["warn"]) == ("applied", ["still_held"])
    assert holds(bench) == ["fraud"]


def test_s20_the_protected_holds_are_those_of_the_contract() -> None:
    assert {"fraud", "payment", "chargeback", "customs"} == GUARDED_HOLDS


# --- S21: what raises a flag, and what ends it ------------------------------------------------------------------------------

Told = tuple[str, str, dict[str, Any]]
"""(device, event type, body; with the order, if it is not PO-1)"""

PACK: Told = ("scan-1", "pack", {"items": LINES})
LOAD: Told = ("scan-1", "load", {"vehicle": "v1"})
HELD: Told = ("desk", "held", {"reason": "stock"})
OUT: Told = ("phone-anna", "out_for_delivery", {})
FAILED: Told = ("phone-anna", "attempt_failed", {"reason": "nobody_home"})
DELIVERED: Told = ("phone-anna", "delivery", DELIVERY)
RETURNED: Told = ("scan-1", "returned", {"dock": "r1"})
CANCELLED: Told = ("shop1", "cancelled", {"reason": "changed_mind"})
ASSIGNED: Told = ("desk", "assigned", {"courier": "ben", "job": "j1"})
ASSIGNED_ANNA: Told = ("desk", "assigned", {"courier": "anna", "job": "j2"})
LOST: Told = ("scan-1", "lost", {})
CUSTOMS: Told = ("shop1", "customs_held", {"country": "NL", "reason": "papers"})
SHORT: Told = ("scan-1", "pick", {"sku": "pen", "qty": 1, "short": True})
MORE: Told = ("desk", "amended", {"changed": ["lines"], "lines": [*LINES, {"sku": "cap", "qty": 1}]})
LESS: Told = ("desk", "amended", {"changed": ["lines"], "lines": [LINES[0]]})
REFUSED: Told = ("phone-anna", "refused", {"reason": "not_wanted"})
COMPLETED: Told = ("shop1", "completed", {})
PART: Told = ("scan-1", "returned", {"dock": "r1", "items": [LINES[1]]})
REST: Told = ("scan-1", "returned", {"dock": "r1", "items": [LINES[0]]})

FOR_DHL: Told = ("shop1", "amended", {"changed": ["carrier"], "carrier": "DHL"})
FOR_GLS: Told = ("scan-1", "load", {"vehicle": "v1", "carrier": "GLS"})

FLAG_STORIES: dict[Flag, list[tuple[list[Told], EventType, list[Told]]]] = {
    Flag.HELD: [([HELD], EventType.RELEASED, [("desk", "released", {})])],
    Flag.CUSTOMS_HOLD: [
        ([PACK, LOAD, CUSTOMS], EventType.CUSTOMS_CLEARED, [("shop1", "customs_cleared", {"country": "NL"})]),
        ([PACK, LOAD, CUSTOMS], EventType.DELIVERY, [DELIVERED]),
        ([PACK, LOAD, CUSTOMS], EventType.RETURNED, [RETURNED]),
    ],
    Flag.NEEDS_CONFIRM: [([PACK, MORE], EventType.APPROVED, [("shop1", "approved", {})])],
    Flag.SHORT: [
        ([SHORT], EventType.PICK, [("scan-1", "pick", {"sku": "pen", "qty": 1})]),
        ([SHORT], EventType.PACK, [PACK]),
        ([SHORT], EventType.AMENDED, [LESS]),
        ([PACK, LOST], EventType.FOUND, [("scan-1", "found", {})]),
        ([SHORT], EventType.CANCELLED, [CANCELLED]),
    ],
    Flag.DAMAGED: [([PACK, ("scan-1", "damaged", {"severity": "minor"})], EventType.UNPACK, [("scan-1", "unpack", {"reason": "new box"})])],
    Flag.LOST: [
        ([PACK, LOST], EventType.FOUND, [("scan-1", "found", {})]),
        ([PACK, LOST], EventType.LOAD, [LOAD]),
        ([PACK, LOST], EventType.DESTROYED, [("scan-1", "destroyed", {"reason": "burnt"})]),
    ],
    Flag.AMENDED: [],
    Flag.CANCEL_REQUESTED: [
        ([PACK, LOAD, CANCELLED], EventType.UNLOAD, [("scan-1", "unload", {})]),
        ([PACK, LOAD, CANCELLED], EventType.RETURN_STARTED, [("shop1", "return_started", {"reason": "cancelled"})]),
        ([PACK, LOAD, CANCELLED], EventType.REFUSED, [REFUSED]),
        ([PACK, CANCELLED, LOAD], EventType.RETURNED, [RETURNED]),
        ([PACK, LOAD, CANCELLED], EventType.LOST, [LOST]),
        ([PACK, LOAD, CANCELLED, DELIVERED], EventType.COMPLETED, [COMPLETED]),
    ],
    Flag.MOVED_ON_HOLD: [
        ([PACK, HELD, LOAD], EventType.UNLOAD, [("scan-1", "unload", {})]),
        ([PACK, HELD, LOAD], EventType.RELEASED, [("desk", "released", {})]),
        ([PACK, HELD, LOAD], EventType.RETURNED, [RETURNED]),
        ([PACK, HELD, LOAD], EventType.LOST, [LOST]),
        ([PACK, MORE, LOAD], EventType.APPROVED, [("shop1", "approved", {})]),
        ([PACK, HELD, LOAD, DELIVERED], EventType.COMPLETED, [COMPLETED]),
    ],
    Flag.UNASSIGNED: [([ASSIGNED, ("desk", "unassigned", {"job": "j1", "reason": "ill"})], EventType.ASSIGNED, [ASSIGNED])],
    Flag.NOT_PAID: [
        ([("shop1", "refunded", {"amount_minor": 1250, "currency": "EUR", "reason": "asked"}), PACK, LOAD], EventType.UNLOAD, [("scan-1", "unload", {})]),
        (
            [("shop1", "refunded", {"amount_minor": 1250, "currency": "EUR", "reason": "asked"}), PACK, LOAD],
            EventType.PAID,
            [("shop1", "paid", {"amount_minor": 1250, "currency": "EUR"})],
        ),
        ([("shop1", "refunded", {"amount_minor": 1250, "currency": "EUR", "reason": "asked"}), PACK, LOAD], EventType.RETURNED, [RETURNED]),
    ],
    Flag.WRONG_COURIER: [
        ([PACK, ASSIGNED, OUT], EventType.ASSIGNED, [ASSIGNED_ANNA]),
        ([PACK, ASSIGNED, OUT], EventType.PICKUP, [("phone-ben", "pickup", {})]),
        ([PACK, ASSIGNED, OUT], EventType.OUT_FOR_DELIVERY, [("phone-ben", "out_for_delivery", {})]),
        ([PACK, ASSIGNED, OUT], EventType.ARRIVE, [("scan-1", "arrive", {"hub": "h1"})]),
        ([PACK, ASSIGNED, ("phone-anna", "pickup", {})], EventType.UNLOAD, [("scan-1", "unload", {})]),
        ([PACK, ASSIGNED, OUT], EventType.RETURNED, [RETURNED]),
        ([PACK, ASSIGNED, OUT], EventType.LOST, [LOST]),
        ([PACK, ASSIGNED, OUT, DELIVERED], EventType.COMPLETED, [COMPLETED]),
    ],
    Flag.WRONG_CARRIER: [
        ([FOR_DHL, PACK, FOR_GLS], EventType.UNLOAD, [("scan-1", "unload", {})]),
        ([FOR_DHL, PACK, FOR_GLS], EventType.AMENDED, [("desk", "amended", {"changed": ["carrier"], "carrier": "gls"})]),
        ([FOR_DHL, PACK, FOR_GLS], EventType.LABELLED, [("scan-1", "labelled", {"code": "WB-1", "kind": "waybill", "carrier": "GLS"})]),
        ([FOR_DHL, PACK, FOR_GLS], EventType.LOAD, [("scan-1", "load", {"vehicle": "v2", "carrier": "DHL"})]),
        ([FOR_DHL, PACK, FOR_GLS], EventType.PICKUP, [("shop1", "pickup", {"carrier": "DHL"})]),
        ([FOR_DHL, PACK, ("shop1", "pickup", {"carrier": "GLS"})], EventType.RETURNED, [RETURNED]),
        ([FOR_DHL, PACK, FOR_GLS], EventType.LOST, [LOST]),
        ([FOR_DHL, PACK, FOR_GLS, DELIVERED], EventType.COMPLETED, [COMPLETED]),
    ],
    Flag.PART_RETURNED: [([PACK, DELIVERED, PART], EventType.RETURNED, [REST])],
}
"""For each flag: a story that raises it, with its last event; and for each event that ends it, a story that goes on with that event."""


def play(bench: Bench, story: list[Told]) -> None:
    for device, event, body in story:
        receipt = bench.tell(device, event, None if event == "unassigned" else body.get("order", "PO-1"), {k: v for k, v in body.items() if k != "order"})
        assert receipt["outcome"] in ("applied", "noop"), (event, receipt)


def test_s21_every_flag_has_its_life() -> None:
    assert set(FLAG_LIFE) == set(Flag) - TIMED_FLAGS
    assert set(FLAG_STORIES) == set(FLAG_LIFE)


@pytest.mark.parametrize("flag", list(FLAG_STORIES))
def test_s21_the_events_that_end_a_flag_are_those_of_its_row(flag: Flag) -> None:
    """Other custody events may be in a row beside the one that is played."""
    assert {ended for _, ended, _ in FLAG_STORIES[flag]} <= FLAG_LIFE[flag].ended_by
    assert {str(e) for e in FLAG_LIFE[flag].raised_by} <= {str(e) for e in EventType}


@pytest.mark.parametrize(("flag", "nth"), [(f, n) for f, stories in FLAG_STORIES.items() for n in range(len(stories))])
def test_s21_a_flag_is_raised_and_ended_by_the_events_of_its_row(bench: Bench, flag: Flag, nth: int) -> None:
    raised, ended_by, ended = FLAG_STORIES[flag][nth]
    for told in raised:
        is_new = flag not in bench.status("PO-1")["flags"]
        play(bench, [told])
        if is_new and flag in bench.status("PO-1")["flags"]:
            assert EventType(told[1]) in FLAG_LIFE[flag].raised_by
    assert flag in bench.status("PO-1")["flags"]
    play(bench, ended)
    assert flag not in bench.status("PO-1")["flags"]
    assert ended_by in FLAG_LIFE[flag].ended_by


def test_s21_an_amended_order_stays_amended(bench: Bench) -> None:
    play(bench, [("desk", "amended", {"changed": ["address"]}), PACK, DELIVERED, COMPLETED])
    assert bench.status("PO-1")["flags"] == ["amended"]
    assert FLAG_LIFE[Flag.AMENDED].ended_by == frozenset()


@pytest.mark.parametrize("flag", list(FLAG_STORIES))
def test_s21_a_flag_ends_if_what_raised_it_is_voided(bench: Bench, flag: Flag) -> None:
    raised = FLAG_STORIES[flag][0][0] if FLAG_STORIES[flag] else [MORE]
    play(bench, raised)
    device = raised[-1][0]
    bench.tell("shop1", "void", None, {"ref": bench.rows("SELECT id FROM events WHERE device = ? ORDER BY pos DESC", device)[0][0], "reason": "did_not_occur"})
    assert flag not in bench.status("PO-1")["flags"]


def kind_of(fact: Fact) -> EventType:
    """The type of a fact; of a decision of the bridge, what was decided."""
    return EventType(fact.body.answer if isinstance(fact.body, Decided) else fact.type)


@given(facts=facts_of_an_order(most=20, voids=False))
def test_s21_no_other_event_raises_or_ends_a_flag_or_an_alert(facts: list[Fact]) -> None:
    order = Order(ORDER)
    whole = fold(ORDER, facts)
    order.decisions = whole.order.decisions
    flags: set[Flag] = set()
    alerts: frozenset[AlertCode] = frozenset()
    for fact in whole.facts if whole.exists else ():
        apply(order, fact)
        kind, now, standing = kind_of(fact), flags_of(order), standing_alerts(order, attempts_max=2)
        assert not [f for f in now - flags if kind not in FLAG_LIFE[f].raised_by], (kind, now - flags)
        assert not [f for f in flags - now if kind not in FLAG_LIFE[f].ended_by], (kind, flags - now)
        assert not [a for a in standing - alerts if kind not in ALERT_LIFE[a].raised_by], (kind, standing - alerts)
        assert not [a for a in alerts - standing if kind not in ALERT_LIFE[a].ended_by], (kind, alerts - standing)
        flags, alerts = now, standing


# --- S21 and S25: what raises an alert, and what ends it --------------------------------------------------------------------

THREE = [OUT, FAILED, OUT, FAILED, OUT, FAILED]
STAGE: Told = ("scan-1", "stage", {"dock": "d1"})
CARRIER_DELIVERED: Told = ("dhl", "delivery", {"pod": {"method": "none"}})
LABEL: Told = ("scan-1", "labelled", {"code": "WB-1", "kind": "waybill"})
TAKEN: list[Told] = [
    ("shop1", "created", {"order": "PO-2", **CREATED}),
    ("scan-1", "pack", {"order": "PO-2", "items": LINES}),
    ("scan-1", "labelled", {"order": "PO-2", "code": "WB-1", "kind": "waybill"}),
]

ALERT_STORIES: dict[AlertCode, list[tuple[list[Told], EventType, list[Told]]]] = {
    AlertCode.MOVED_ON_HOLD: FLAG_STORIES[Flag.MOVED_ON_HOLD],
    AlertCode.MOVED_AFTER_CANCEL: FLAG_STORIES[Flag.CANCEL_REQUESTED],
    AlertCode.NOT_YOUR_JOB: FLAG_STORIES[Flag.WRONG_COURIER],
    AlertCode.WRONG_CARRIER: FLAG_STORIES[Flag.WRONG_CARRIER],
    AlertCode.LABEL_MOVED: [
        ([PACK, LABEL, *TAKEN], EventType.LABELLED, [("scan-1", "labelled", {"code": "WB-2", "kind": "waybill"})]),
        ([PACK, LABEL, *TAKEN], EventType.LABELLED, [LABEL]),
        ([PACK, LABEL, *TAKEN], EventType.UNPACK, [("scan-1", "unpack", {"reason": "damaged_box"})]),
        ([PACK, LABEL, *TAKEN], EventType.DELIVERY, [DELIVERED]),
        ([PACK, LABEL, *TAKEN], EventType.CANCELLED, [CANCELLED]),
        ([PACK, LABEL, *TAKEN], EventType.LOST, [LOST]),
        ([PACK, LABEL, OUT, *TAKEN], EventType.RETURNED, [RETURNED]),
    ],
    AlertCode.LOST: [*FLAG_STORIES[Flag.LOST], ([PACK, LOST], EventType.CANCELLED, [CANCELLED])],
    AlertCode.DAMAGED: [
        *FLAG_STORIES[Flag.DAMAGED],
        ([PACK, LOAD, ("phone-anna", "damaged", {"severity": "major"})], EventType.RETURNED, [RETURNED]),
        ([PACK, LOAD, ("phone-anna", "damaged", {"severity": "total"})], EventType.CANCELLED, [CANCELLED]),
        ([PACK, ("phone-anna", "damaged", {"severity": "minor"}), DELIVERED], EventType.COMPLETED, [COMPLETED]),
    ],
    AlertCode.CONTRADICTION: [
        ([PACK, STAGE, CARRIER_DELIVERED], EventType.COMPLETED, [COMPLETED]),
        ([PACK, STAGE, CARRIER_DELIVERED], EventType.LOAD, [LOAD]),
        ([PACK, STAGE, CARRIER_DELIVERED], EventType.PICKUP, [("dhl", "pickup", {})]),
    ],
    AlertCode.REFUSED: [
        ([PACK, OUT, REFUSED], EventType.RETURNED, [RETURNED]),
        ([PACK, OUT, REFUSED], EventType.DELIVERY, [DELIVERED]),
        ([PACK, OUT, REFUSED], EventType.LOST, [LOST]),
        ([PACK, OUT, REFUSED], EventType.DESTROYED, [("scan-1", "destroyed", {"reason": "burnt"})]),
    ],
    AlertCode.ATTEMPTS: [
        ([PACK, *THREE], EventType.DELIVERY, [DELIVERED]),
        ([PACK, *THREE], EventType.AVAILABLE_FOR_PICKUP, [("phone-anna", "available_for_pickup", {"point": "kiosk"})]),
        ([PACK, *THREE], EventType.RETURN_STARTED, [("phone-anna", "return_started", {"reason": "undeliverable"})]),
        ([PACK, *THREE], EventType.REFUSED, [REFUSED]),
        ([PACK, *THREE], EventType.RETURNED, [RETURNED]),
        ([PACK, *THREE], EventType.LOST, [LOST]),
    ],
}


def test_s21_every_alert_about_an_order_has_its_life_and_its_text() -> None:
    assert set(ALERT_LIFE) == set(ALERT_STORIES) == {a.code for a in ORDER_ALERTS}


@pytest.mark.parametrize("code", list(ALERT_STORIES))
def test_s21_the_events_that_end_an_alert_are_those_of_its_row(code: AlertCode) -> None:
    assert {ended for _, ended, _ in ALERT_STORIES[code]} <= ALERT_LIFE[code].ended_by


@pytest.mark.parametrize(("code", "nth"), [(c, n) for c, stories in ALERT_STORIES.items() for n in range(len(stories))])
def test_s25_an_alert_is_raised_and_ended_by_the_events_of_its_row(bench: Bench, code: AlertCode, nth: int) -> None:
    raised, _, ended = ALERT_STORIES[code][nth]
    play(bench, raised)
    assert alert(bench, code) is not None
    assert {EventType(event) for _, event, _ in raised} & ALERT_LIFE[code].raised_by
    play(bench, ended)
    assert alert(bench, code) is None


@pytest.mark.parametrize("code", list(ALERT_STORIES))
def test_s21_an_alert_does_not_outlive_the_creation_of_its_order(tmp_path: Path, code: AlertCode) -> None:
    with Bench(tmp_path / "site.db", unpaid="warn") as bench:
        bench.tell("shop1", "created", "PO-1", CREATED)
        play(bench, ALERT_STORIES[code][0][0])
        assert alert(bench, code) is not None
        bench.tell("shop1", "void", None, {"ref": event_id("shop1", 1), "reason": "did_not_occur"})
        assert alert(bench, code) is None
        assert bench.rows("SELECT code FROM alerts") == []


@pytest.mark.parametrize("code", list(ALERT_STORIES))
def test_s21_a_rebuild_raises_the_same_alerts(bench: Bench, code: AlertCode) -> None:
    play(bench, ALERT_STORIES[code][0][0])
    before = bench.dump("alerts")
    assert before["alerts"]
    bench.rebuild()
    assert bench.dump("alerts") == before


def test_s21_a_delivery_does_not_end_the_alert_of_an_order_that_was_moved_on_hold(bench: Bench) -> None:
    play(bench, [PACK, HELD, LOAD, DELIVERED])
    assert alert(bench, "moved_on_hold") is not None


def test_s21_with_two_parcels_on_the_road_unloading_one_is_not_enough(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1", {"items": [LINES[0]]}, parcel="p1")
    bench.tell("scan-1", "pack", "PO-1", {"items": [LINES[1]]}, parcel="p2")
    play(bench, [HELD, LOAD])
    bench.tell("scan-1", "unload", "PO-1", parcel="p1")
    assert alert(bench, "moved_on_hold") is not None
    bench.tell("scan-1", "unload", "PO-1", parcel="p2")
    assert alert(bench, "moved_on_hold") is None


def test_s25_attempts_are_shown(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1", parcel="p1")

    def parcel() -> dict[str, Any]:
        return bench.show(TOPICS.parcel("PO-1", "p1")) or {}

    assert "attempts" not in parcel()
    play(bench, [OUT, FAILED])
    assert parcel()["attempts"] == 1
    assert alert(bench, "attempts") is None
    play(bench, [OUT, FAILED, OUT, FAILED])
    assert parcel()["attempts"] == 3
    assert alert(bench, "attempts") is not None


def test_s25_a_site_says_how_many_attempts_are_enough(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", attempts_max=1) as bench:
        bench.create("PO-1")
        play(bench, [PACK, OUT, FAILED])
        assert alert(bench, "attempts") is not None


def test_a_label_on_two_boxes_is_an_alert_about_the_order_that_lost_it_until_that_scan_is_taken_back(bench: Bench) -> None:
    play(bench, [PACK, LABEL, *TAKEN])
    (moved,) = bench.rows("SELECT id FROM events WHERE type = 'labelled' AND order_id = 'PO-2'")
    (parcel,) = (topic.split("/")[-1] for topic in bench.retained if "/orders/PO-1/parcels/" in topic)
    assert codes(bench, "PO-1", parcel) == ([], ["WB-1"])
    assert alert(bench, "label_moved", "PO-2") is None
    assert bench.tell("scan-1", "load", None, {"vehicle": "v1"}, code="WB-1")["order"] == "PO-2"
    receipt = bench.tell("scan-1", "void", None, {"ref": moved[0], "reason": "incorrect_data"})
    assert (receipt["outcome"], receipt["order"]) == ("applied", "PO-2")
    assert alert(bench, "label_moved") is None
    assert codes(bench, "PO-1", parcel) == (["WB-1"], [])


def codes(bench: Bench, order: str, parcel: str) -> tuple[list[str], list[str]]:
    """The codes that a parcel bears, and those of all parcels of other orders, as they are stored."""
    rows = bench.rows("SELECT order_id, parcel, codes FROM parcels")
    return next(c.split() for o, p, c in rows if (o, p) == (order, parcel)), [code for o, _, c in rows if o != order for code in c.split()]

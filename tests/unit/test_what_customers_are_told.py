"""Customers are told each moment of their order once, in whatever sequence its events arrive; and once that something told before did not happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from helpers.bench import Bench
from helpers.events import BOOT_MS, CREATED, DELIVERY, LINES, NOW_MS, event_id
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.notices import NEVER_CORRECTED, Happened, NoticeRules, moments_of, worth_telling
from bridge.notice_files import own_texts
from devices.protocol.states import Moment

HOUR_MS = 3_600_000
RULES = NoticeRules(texts=own_texts())
Told = tuple[str | None, str, int, bool]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db", notices=RULES) as made:
        yield made


def notices(bench: Bench, order: str | None = None) -> list[dict[str, Any]]:
    """Every notice that was published, in this order."""
    found = [cbor2.loads(m.payload) for m in bench.shown if m.topic.endswith("/notices") and not m.retain and m.qos == 1]
    return [n for n in found if order in (None, n["order"])]


def told(bench: Bench, order: str = "PO-1") -> list[str]:
    """What was told of an order, in short."""
    return [("not " if n.get("correction") else "") + n["moment"] + (f" {n['occurrence']}" if n["occurrence"] > 1 else "") for n in notices(bench, order)]


def last_event(bench: Bench, device: str) -> bytes:
    return event_id(device, bench._seq[device])


def void(bench: Bench, ref: bytes) -> None:
    assert bench.tell("desk", "void", None, {"ref": ref, "reason": "did_not_occur"})["outcome"] == "applied"


def packed(bench: Bench, order: str = "PO-1", parcel: str = "box-1", code: str = "WB-1") -> None:
    bench.create(order)
    bench.tell("scan-1", "pack", order, code=code, parcel=parcel)


def on_its_way(bench: Bench) -> None:
    packed(bench)
    bench.tell("phone-anna", "pickup", "PO-1")
    bench.tell("phone-anna", "out_for_delivery", "PO-1")


# --- a day --------------------------------------------------------------------------------------------------------------------


def test_a_customer_is_told_each_moment_once(bench: Bench) -> None:
    on_its_way(bench)
    bench.tell("phone-anna", "stop_arrived", "PO-1", {"stop": "s-1"})
    bench.tell("phone-anna", "stop_arrived", "PO-1", {"stop": "s-1"})
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    assert told(bench) == ["packed", "collected", "arrived", "delivered"]
    last = notices(bench)[-1]
    assert (last["order"], last["parcel"], last["occurrence"]) == ("PO-1", "box-1", 1)
    assert last["texts"]["en"].startswith("Parcel box-1 of your order PO-1 was delivered on ")
    assert last["texts"]["zh"].endswith("签收。")


def test_each_attempt_is_told_even_at_the_same_stop(bench: Bench) -> None:
    on_its_way(bench)
    for _ in range(2):
        bench.tell("phone-anna", "stop_arrived", "PO-1", {"stop": "s-1"})
        bench.tell("phone-anna", "attempt_failed", "PO-1", {"reason": "not_home"})
        bench.tell("phone-anna", "out_for_delivery", "PO-1")
    assert told(bench)[2:] == ["arrived", "attempt_failed", "arrived 2", "attempt_failed 2"]
    assert "attempt 2" in notices(bench)[-1]["texts"]["en"]


def test_an_order_that_is_late_and_one_that_is_cancelled_are_told_as_a_whole(bench: Bench) -> None:
    bench.tell("shop1", "created", "PO-1", {**CREATED, "promise_ms": bench.now_ms + 5 * HOUR_MS})
    bench.sweep(2 * HOUR_MS)
    bench.sweep(30_000)
    bench.tell("shop1", "cancelled", "PO-1", {"reason": "customer"})
    assert told(bench) == ["late", "cancelled"]
    assert all("parcel" not in n for n in notices(bench))


def test_a_late_order_that_was_delivered_needs_no_correction(bench: Bench) -> None:
    bench.tell("shop1", "created", "PO-1", {**CREATED, "payment": "on_delivery", "promise_ms": bench.now_ms + HOUR_MS})
    bench.sweep(30_000)
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    assert told(bench) == ["late", "delivered"]


# --- late, twice, and again ---------------------------------------------------------------------------------------------------


def test_an_attempt_that_is_told_late_renumbers_those_after_it_and_tells_nothing(bench: Bench) -> None:
    on_its_way(bench)
    bench.now_ms += HOUR_MS
    bench.tell("phone-anna", "out_for_delivery", "PO-1")
    bench.tell("phone-anna", "stop_arrived", "PO-1", {"stop": "s-1"})
    second = bench.tell("phone-anna", "attempt_failed", "PO-1", {"reason": "not_home"})
    before = told(bench)
    assert before == ["packed", "collected", "arrived", "attempt_failed"]
    bench.tell("phone-ben", "attempt_failed", "PO-1", {"reason": "closed"}, at_ms=bench.now_ms - HOUR_MS // 2, sent_mono_ms=bench.now_ms - BOOT_MS)
    first = last_event(bench, "phone-ben")
    assert told(bench) == before
    assert sorted(bench.rows("SELECT moment, nth FROM notices WHERE stands")) == [("arrived", 2), ("attempt_failed", 2), ("collected", 1), ("packed", 1)]
    void(bench, first)
    assert told(bench) == before
    void(bench, second["id"])
    assert told(bench) == [*before, "not attempt_failed"]


def test_a_pack_that_arrives_after_the_delivery_tells_nothing(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    before = told(bench)
    bench.tell("scan-1", "pack", "PO-1", parcel="box-1", at_ms=NOW_MS, sent_mono_ms=bench.now_ms - BOOT_MS)
    assert (before, told(bench)) == (["delivered"], ["delivered"])


def test_a_correction_under_the_name_that_a_late_pack_has_given_names_the_parcel_as_it_was_told(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    delivery = last_event(bench, "phone-anna")
    bench.tell("scan-1", "pack", "PO-1", parcel="box-1", at_ms=NOW_MS, sent_mono_ms=bench.now_ms - BOOT_MS)
    void(bench, delivery)
    first, correction = (n for n in notices(bench) if n["moment"] == "delivered")
    assert correction["correction"]
    assert correction["parcel"] == first["parcel"]


def test_events_that_come_at_once_tell_the_furthest_moment(bench: Bench) -> None:
    bench.create("PO-1")
    bench.send(bench.draft("scan-1", "pack", "PO-1", parcel="box-1"), bench.draft("phone-anna", "pickup", "PO-1"))
    assert told(bench) == ["collected"]


def test_a_resend_tells_nothing(bench: Bench) -> None:
    bench.create("PO-1")
    draft = bench.draft("scan-1", "pack", "PO-1", parcel="box-1")
    for _ in range(3):
        bench.send(draft)
    assert told(bench) == ["packed"]


def test_what_is_too_old_is_not_told(bench: Bench) -> None:
    bench.create("PO-1")
    bench.now_ms += 30 * HOUR_MS
    bench.tell("scan-1", "pack", "PO-1", parcel="box-1", at_ms=NOW_MS + 5_000, sent_mono_ms=bench.now_ms - BOOT_MS)
    bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"})
    assert told(bench) == ["collected"]


def test_a_restart_and_a_rebuild_tell_nothing_again(bench: Bench) -> None:
    on_its_way(bench)
    before = told(bench)
    bench.rebuild()
    bench.tell("shop1", "amended", "PO-1", {"changed": ["carrier"], "carrier": "DHL"})
    bench.forget()
    bench.tell("phone-anna", "stop_arrived", "PO-1", {"stop": "s-1"})
    assert told(bench) == [*before, "arrived"]


# --- what did not happen ------------------------------------------------------------------------------------------------------


def test_a_delivery_that_did_not_happen_is_corrected_once_and_told_when_it_does(bench: Bench) -> None:
    on_its_way(bench)
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    void(bench, last_event(bench, "phone-anna"))
    bench.tell("phone-anna", "stop_arrived", "PO-1", {"stop": "s-2"})
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    assert told(bench)[2:] == ["delivered", "not delivered", "arrived", "delivered 2"]
    correction = next(n for n in notices(bench) if n.get("correction"))
    assert correction["texts"]["zh"] == "更正：您的订单 PO-1 的包裹 box-1 尚未签收。"


def test_a_scan_that_belongs_to_another_order_is_corrected_there_and_told_here(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    bench.tell("scan-1", "pack", "PO-1", parcel="a")
    bench.tell("scan-1", "pack", "PO-2", parcel="b")
    bench.tell("scan-1", "labelled", "PO-1", {"code": "WB-7", "kind": "waybill"}, parcel="a")
    label = last_event(bench, "scan-1")
    bench.tell("scan-2", "load", None, {"vehicle": "v1"}, code="WB-7")
    void(bench, label)
    bench.tell("scan-1", "labelled", "PO-2", {"code": "WB-7", "kind": "waybill"}, parcel="b")
    assert told(bench, "PO-1") == ["packed", "collected", "not collected"]
    assert told(bench, "PO-2") == ["packed", "collected"]


def test_an_order_whose_creation_was_voided_has_all_of_it_corrected(bench: Bench) -> None:
    bench.tell("shop1", "created", "PO-1", CREATED)
    created = last_event(bench, "shop1")
    bench.tell("scan-1", "pack", "PO-1", parcel="box-1")
    bench.forget()
    void(bench, created)
    assert told(bench) == ["packed", "not packed"]


def test_nothing_is_told_if_the_site_has_no_texts(tmp_path: Path) -> None:
    with Bench(tmp_path / "silent.db") as silent:
        on_its_way(silent)
        assert notices(silent) == []


def test_what_was_told_is_forgotten_in_time(bench: Bench) -> None:
    packed(bench)
    bench.sweep(RULES.keep_ms + 10_000)
    assert bench.rows("SELECT * FROM notices") == []


# --- the law ------------------------------------------------------------------------------------------------------------------

Step = Callable[[Bench], Any]
EVENTS: list[tuple[str, str, str | None, dict[str, Any], dict[str, Any]]] = [
    ("scan-1", "pack", "PO-1", {"items": LINES[:1]}, {"parcel": "box-1", "code": "WB-1"}),
    ("scan-1", "pack", "PO-1", {"items": LINES[1:]}, {"parcel": "box-2"}),
    ("scan-2", "load", None, {"vehicle": "v1"}, {"code": "WB-1"}),
    ("phone-anna", "pickup", "PO-1", {}, {}),
    ("phone-anna", "stop_arrived", "PO-1", {"stop": "s-1"}, {}),
    ("phone-anna", "attempt_failed", "PO-1", {"reason": "not_home"}, {}),
    ("phone-anna", "out_for_delivery", "PO-1", {}, {}),
    ("phone-anna", "stop_arrived", "PO-1", {"stop": "s-1"}, {}),
    ("phone-anna", "delivery", "PO-1", DELIVERY, {}),
    ("shop1", "cancelled", "PO-2", {"reason": "customer"}, {}),
    ("scan-2", "pack", "PO-2", {}, {"parcel": "box-3"}),
    ("scan-2", "labelled", "PO-2", {"code": "WB-1", "kind": "waybill"}, {"parcel": "box-3"}),
]


@given(data=st.data())
@settings(derandomize=True, max_examples=25, deadline=None)
def test_in_whatever_sequence_events_come_nothing_is_told_twice_and_what_is_told_last_is_true(data: st.DataObject, tmp_path_factory: Any) -> None:
    order = data.draw(st.permutations(range(len(EVENTS))))
    repeats = data.draw(st.lists(st.sampled_from(range(len(EVENTS))), max_size=4))
    voided = data.draw(st.lists(st.sampled_from(range(len(EVENTS))), max_size=3, unique=True))
    portion = data.draw(st.integers(1, 4))
    with Bench(tmp_path_factory.mktemp("law") / "site.db", notices=RULES) as bench:
        bench.create("PO-1", "PO-2")
        happened_ms = bench.now_ms
        drafts = [bench.draft(d, t, o, b, at_ms=happened_ms + 1_000 * at, **x) for at, (d, t, o, b, x) in enumerate(EVENTS)]
        voids = [bench.draft("desk", "void", None, {"ref": cbor2.loads(drafts[at].payload)["id"], "reason": "did_not_occur"}) for at in voided]
        bench.now_ms += 60_000
        stream = [drafts[at] for at in order]
        for at in repeats:
            stream.insert(data.draw(st.integers(0, len(stream))), drafts[at])
        for one in voids:
            stream.insert(data.draw(st.integers(0, len(stream))), one)
        for start in range(0, len(stream), portion):
            bench.send(*(one._replace(received_ms=bench.now_ms) for one in stream[start : start + portion]))
            if data.draw(st.booleans()):
                bench.forget()
            check_never_twice(bench)
        check_true(bench)
        before = len(notices(bench))
        bench.rebuild()
        bench.send(*(one._replace(received_ms=bench.now_ms) for one in stream))
        assert len(notices(bench)) == before


def check_never_twice(bench: Bench) -> None:
    """No id comes twice, and each correction takes back what was told before it, once."""
    found = notices(bench)
    assert max(Counter(n["id"] for n in found).values(), default=0) <= 1
    seen: set[Told] = set()
    for n in found:
        key = (n["order"], n.get("parcel"), n["moment"], n["occurrence"])
        is_correction = n.get("correction", False)
        assert (*key, is_correction) not in seen
        assert not is_correction or (*key, False) in seen
        seen.add((*key, is_correction))


def check_true(bench: Bench) -> None:
    """What stands of what was told is true now, and the furthest moment of each parcel was told."""
    standing: dict[str, set[Happened]] = {}
    for order_id, parcel, moment, nth in bench.rows("SELECT order_id, parcel_now, moment, nth FROM notices WHERE stands"):
        standing.setdefault(order_id, set()).add(Happened(parcel, Moment(moment), nth))
    with bench.store.transaction() as tx:
        for order_id in ("PO-1", "PO-2"):
            fold = bench.settler._ingest.memory.order(order_id, tx).fold
            moments = moments_of(fold.order, "", bench.now_ms)
            told_of = {h for h in standing.get(order_id, set()) if h.moment not in NEVER_CORRECTED}
            assert told_of <= moments.keys()
            assert set(worth_telling(moments)) <= told_of

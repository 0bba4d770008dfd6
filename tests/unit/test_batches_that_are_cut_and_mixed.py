"""Batches that are cut and mixed, against a real database: events that are voided while they wait, forgotten, refused too late, or committed only in part."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cbor2
import pytest
from helpers.bench import MARK, Bench, settler_on
from helpers.bench import Fussy as FussyTransaction
from helpers.events import BOOT, BOOT_MS, CREATED, DELIVERY, IDENTITIES, LINES, SITE, TOPICS, event, event_id, kind_of, log_of
from helpers.waiting import DEADLINE_S

from bridge.app import Application
from bridge.config_file import parse
from bridge.domain.access import Kind
from bridge.ingest.items import Incoming, Settled
from bridge.ingest.pipeline import Limits, Pipeline, Settler
from bridge.ingest.ports import Store, StoreUnavailable, Transaction
from bridge.site_folder import make_site
from bridge.store.check import check_database
from bridge.store.replaying import Rebuilt
from devices.protocol.messages import decode, encode_cbor

PEN = {"items": [{"sku": "pen", "qty": 1}]}
BATCHES = pytest.mark.parametrize("batches", [1, 2], ids=["one batch", "two batches"])


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        yield made


def send(bench: Bench, *messages: Incoming, batches: int) -> list[dict[str, Any]]:
    """Sends messages all at once or one by one; returns their receipts."""
    return bench.send(*messages) if batches == 1 else [receipt for message in messages for receipt in bench.send(message)]


def void(bench: Bench, device: str, seq: int) -> Incoming:
    """A device takes back an earlier event of its own."""
    return bench.draft(device, "void", None, {"ref": event_id(device, seq), "reason": "did_not_occur"})


def again(bench: Bench) -> Rebuilt:
    return bench.rebuild()


def faults(bench: Bench) -> list[str]:
    found: list[str] = check_database(bench.engine, lambda done, total: None).faults
    return found


def said(receipt: dict[str, Any]) -> tuple[str, str | None]:
    return receipt["outcome"], receipt.get("reason")


# --- voids ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2)], ids=["at once", "scan first", "label last", "one by one"])
def test_a_scan_that_is_voided_while_it_waits_for_its_label_never_counts(bench: Bench, cuts: tuple[int, ...]) -> None:
    bench.create("PO-1")
    messages = [
        bench.draft("scan-1", "stage", None, {"dock": "d1"}, code="WB-1"),
        void(bench, "scan-1", 1),
        bench.draft("scan-2", "pack", "PO-1", code="WB-1"),
    ]
    for start, end in zip((0, *cuts), (*cuts, 3), strict=True):
        bench.send(*messages[start:end])
    last = {r["seq"]: said(r) for r in bench.receipts("scan-1")}
    assert last == {1: ("rejected", "voided"), 2: ("applied", None)}
    assert bench.rows("SELECT state FROM parcels") == [("packed",)]
    assert (bench.rows("SELECT * FROM parked"), faults(bench)) == ([], [])


def parcel_id(device: str, seq: int) -> str:
    return f"p-{event_id(device, seq).hex()}"


@BATCHES
def test_a_label_that_is_voided_frees_its_code_for_another_order(bench: Bench, batches: int) -> None:
    bench.create("PO-1", "PO-2")
    bench.send(bench.draft("scan-1", "pack", "PO-1"), bench.draft("scan-1", "pack", "PO-2"))
    bench.tell("scan-1", "labelled", "PO-1", {"code": "WB-9", "kind": "waybill"})
    moved = [void(bench, "scan-1", 3), bench.draft("scan-1", "labelled", "PO-2", {"code": "WB-9", "kind": "waybill"})]
    assert [r["outcome"] for r in send(bench, *moved, batches=batches)] == ["applied", "applied"]
    assert bench.tell("scan-2", "load", None, {"vehicle": "v1"}, code="WB-9")["order"] == "PO-2"
    assert bench.rows("SELECT parcel, codes FROM parcels WHERE codes <> ''") == [(parcel_id("scan-1", 2), "WB-9")]


def test_a_label_that_is_voided_stays_away_when_everything_is_made_anew(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    bench.tell("scan-1", "labelled", "PO-1", {"code": "WB-9", "kind": "waybill"})
    bench.send(void(bench, "scan-1", 2))
    for _ in range(2):
        assert bench.rows("SELECT codes FROM parcels") == [("",)]
        assert again(bench).changed == []


# --- codes and ids --------------------------------------------------------------------------------------------------------


def test_a_pack_that_scans_an_article_does_not_label_the_parcel_with_it(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    assert bench.tell("scan-1", "pack", "PO-1", {"items": LINES}, code="4006381333931")["outcome"] == "applied"
    for _ in range(2):
        assert bench.rows("SELECT codes FROM parcels") == [("",)]
        assert again(bench).changed == []
    pick = bench.tell("scan-1", "pick", "PO-2", {"sku": "4006381333931", "qty": 1}, code="4006381333931")
    assert (said(pick), pick["order"]) == (("applied", None), "PO-2")


def test_an_sscc_that_carries_the_order_number_is_the_label_of_its_parcel(bench: Bench) -> None:
    bench.create("PO-1")
    assert bench.tell("scan-1", "pack", "PO-1", code="]C100340123450000000024400PO-1")["outcome"] == "applied"
    assert bench.rows("SELECT codes FROM parcels") == [("340123450000000024",)]
    staged = bench.tell("scan-1", "stage", None, {"dock": "d1"}, code="00340123450000000024")
    assert (said(staged), staged["order"]) == (("applied", None), "PO-1")


@BATCHES
def test_the_same_event_under_another_type_is_another_event(bench: Bench, batches: int) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    lost = bench.draft("scan-1", "lost", "PO-1")
    found = bench.message("scan-1", "found", lost.payload)
    assert [said(r) for r in send(bench, lost, found, batches=batches)] == [("applied", None), ("rejected", "id_reused")]
    assert bench.rows("SELECT state FROM parcels") == [("lost",)]


# --- bounds ---------------------------------------------------------------------------------------------------------------


def test_events_beyond_the_most_of_a_device_never_come_back_and_stop_no_other(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", order_events_max=10) as bench:
        bench.create("PO-1")
        packs = [bench.tell("scan-1", "pack", "PO-1", PEN, parcel=f"box-{number}") for number in range(12)]
        assert [said(r) for r in packs] == [("applied", None)] * 10 + [("rejected", "too_many_events")] * 2
        shown = bench.status("PO-1")
        assert shown["progress"]["parcels"] == 10
        bench.forget()
        assert said(bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"})) == ("rejected", "too_many_events")
        assert again(bench).changed == []
        assert said(bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"})) == ("rejected", "too_many_events")
        assert bench.status("PO-1") == shown
        assert said(bench.tell("desk", "held", "PO-1", {"reason": "fraud"})) == ("applied", None)
        assert faults(bench) == []


def test_an_alert_about_a_code_of_any_length_fits_the_contract(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", parked_deadline_ms=1_000) as bench:
        bench.tell("scan-1", "stage", None, {"dock": "d1"}, code="W" * 500)
        bench.sweep(2_000)
        alerts = [m for m in bench.shown if "/alerts/" in m.topic]
        assert len(alerts) == 1
        decode(alerts[0].payload, kind_of(alerts[0].topic))


# --- positions ------------------------------------------------------------------------------------------------------------


def whereabouts(bench: Bench, ago_ms: int = 0) -> Incoming:
    """The phone's location some time ago; the latitude encodes how long ago that was."""
    mono_ms = bench.now_ms - BOOT_MS
    points = [[mono_ms - ago_ms, ago_ms, 1, 8, None]]
    payload = encode_cbor({"log": log_of("phone-anna"), "boot": BOOT, "sent_mono_ms": mono_ms, "points": points})
    return bench.message("phone-anna", None, payload, kind=Kind.LOCATION)


@pytest.fixture
def on_the_road(bench: Bench) -> Bench:
    """Anna is on the road with PO-1, and her location is shown."""
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    bench.tell("desk", "assigned", "PO-1", {"courier": "anna", "job": "j1"})
    bench.tell("phone-anna", "out_for_delivery", "PO-1")
    bench.send(whereabouts(bench))
    assert bench.show(TOPICS.position("PO-1")) is not None
    return bench


def test_a_position_never_goes_back_in_time(on_the_road: Bench) -> None:
    shown = on_the_road.show(TOPICS.position("PO-1"))
    on_the_road.send(whereabouts(on_the_road, ago_ms=600_000))
    assert on_the_road.show(TOPICS.position("PO-1")) == shown
    on_the_road.send(whereabouts(on_the_road))
    assert on_the_road.show(TOPICS.position("PO-1")) != shown


def test_a_position_is_cleared_also_by_a_bridge_that_has_forgotten_that_it_showed_it(on_the_road: Bench) -> None:
    on_the_road.forget()
    on_the_road.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    assert on_the_road.show(TOPICS.position("PO-1")) is None


def test_positions_are_thinned_over_batches(on_the_road: Bench) -> None:
    (last_ms,) = on_the_road.rows("SELECT max(event_ms) FROM positions")[0]
    on_the_road.now_ms = began_ms = last_ms + 10_000
    for _ in range(31):
        on_the_road.send(whereabouts(on_the_road))
    stored = on_the_road.rows("SELECT event_ms FROM positions WHERE event_ms > ? ORDER BY 1", last_ms)
    assert stored == [(began_ms + seconds * 1_000,) for seconds in (0, 5, 15, 25)], "the first of each ten seconds of the clock"


# --- what is shown --------------------------------------------------------------------------------------------------------


def test_a_job_that_changes_hands_in_one_batch_is_shown_to_its_new_courier_alone(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("desk", "assigned", "PO-1", {"courier": "anna", "job": "j1"})
    bench.send(
        bench.draft("desk", "unassigned", None, {"job": "j1", "reason": "ill"}),
        bench.draft("desk", "assigned", "PO-1", {"courier": "ben", "job": "j1"}),
    )
    assert bench.show(TOPICS.assignment("anna", "j1")) is None
    assert bench.show(TOPICS.assignment("ben", "j1")) is not None


def test_an_ended_order_that_moves_again_shows_all_its_parcels_again(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", status_keep_ms=1_000) as bench:
        bench.create("PO-1")
        for number, line in enumerate(LINES, 1):
            bench.tell("scan-1", "pack", "PO-1", {"items": [line]}, parcel=f"box-{number}")
        bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
        bench.sweep(5_000)
        parcels = [TOPICS.parcel("PO-1", "box-1"), TOPICS.parcel("PO-1", "box-2")]
        assert [bench.show(t) for t in (TOPICS.status("PO-1"), *parcels)] == [None, None, None]
        bench.tell("shop1", "return_started", "PO-1", {"reason": "too small"}, parcel="box-1")
        assert bench.status("PO-1")["state"] == "partially_returning"
        assert [(bench.show(t) or {}).get("state") for t in parcels] == ["returning", "delivered"]


def test_a_scan_that_waited_and_is_wrong_after_all_is_counted(bench: Bench) -> None:
    assert bench.tell("scan-1", "pick", "PO-1", {"sku": "ink", "qty": 1})["outcome"] == "parked"
    bench.create("PO-1", payment="on_delivery")
    assert [said(r) for r in bench.receipts("scan-1")] == [("parked", "unknown_order"), ("rejected", "wrong_sku")]
    assert bench.rows("SELECT m.reason, e.device, e.seq FROM mispicks m JOIN events e ON e.pos = m.pos") == [("wrong_sku", "scan-1", 1)]


# --- rebuilt --------------------------------------------------------------------------------------------------------------


def test_a_rebuild_keeps_finished_jobs_and_counts_on_from_their_rev(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    bench.tell("desk", "assigned", "PO-1", {"courier": "anna", "job": "j1"})
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    finished = bench.rows("SELECT job, rev, state FROM jobs")
    assert finished == [("j1", 2, "done")]
    again(bench)
    assert bench.rows("SELECT job, rev, state FROM jobs") == finished
    bench.create("PO-2")
    bench.tell("desk", "assigned", "PO-2", {"courier": "anna", "job": "j1"})
    assert bench.rows("SELECT rev, state FROM jobs") == [(3, "assigned")]


def test_the_rev_of_an_order_whose_row_was_lost_goes_on_from_what_was_shown(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    shown = bench.status("PO-1")["rev"]
    with bench.store.transaction() as tx:
        tx._driver.execute("DELETE FROM orders")
    again(bench)
    assert bench.rows("SELECT rev FROM orders") == [(shown,)]
    bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"})
    bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"})
    assert bench.status("PO-1")["rev"] > shown


# --- committed in part ----------------------------------------------------------------------------------------------------


class Fussy:
    """A store that refuses payloads with a mark, and is unavailable for its third transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._transactions = 0

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self._transactions += 1
        if self._transactions == 3:
            raise StoreUnavailable("gone fishing")
        with self._store.transaction() as tx:
            yield FussyTransaction(tx)  # type: ignore[misc]


class Diary:
    """A writer and an outlet that record what happens, in sequence."""

    def __init__(self, settler: Settler) -> None:
        self._settler = settler
        self.steps: list[tuple[str, ...]] = []

    async def commit(self, batch: Sequence[Incoming]) -> Settled:
        try:
            return self._settler.commit(batch)
        except StoreUnavailable:
            self.steps.append(("away",))
            raise

    def show(self, settled: Settled) -> None:
        self.steps.append(("shown", *(m.topic for m in settled.messages if m.topic.endswith("/status"))))

    def flush(self) -> None:
        """There is nothing to flush."""

    def acknowledge(self, cbor: bytes) -> None:
        receipt = cbor2.loads(cbor)
        self.steps.append(("acknowledged", receipt["outcome"], *(["again"] if "again" in receipt else [])))


def run(story: Awaitable[None]) -> None:
    async def with_deadline() -> None:
        await asyncio.wait_for(story, DEADLINE_S)

    asyncio.run(with_deadline())


async def work_off(pipeline: Pipeline) -> None:
    """Runs a pipeline until every offered message is acknowledged."""
    task = asyncio.create_task(pipeline.run())
    await pipeline.drained()
    task.cancel()


def test_what_of_a_batch_is_committed_is_shown_although_the_rest_must_wait(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    diary = Diary(settler_on(Fussy(bench.store), bench.rules))
    pipeline = Pipeline(diary, diary, Limits(retry_first_s=0.001, retry_max_s=0.001))
    pipeline.offer(bench.draft("scan-1", "pack", "PO-1"), diary.acknowledge)
    pipeline.offer(bench.draft("scan-1", "pack", "PO-2", at=MARK.decode()), diary.acknowledge)
    run(work_off(pipeline))
    assert diary.steps == [("shown", TOPICS.status("PO-1")), ("acknowledged", "applied"), ("away",), ("shown",), ("acknowledged", "rejected")]
    assert bench.rows("SELECT order_id, state FROM orders ORDER BY 1") == [("PO-1", "packed"), ("PO-2", "paid")]


def test_an_acknowledgement_that_fails_keeps_nobody_else_from_theirs(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    diary = Diary(bench.settler)
    pipeline = Pipeline(diary, diary, Limits())

    def gone(receipt: bytes) -> None:
        raise asyncio.InvalidStateError("nobody waits any more")

    pipeline.offer(bench.draft("scan-1", "pack", "PO-1"), gone)
    pipeline.offer(bench.draft("scan-1", "pack", "PO-2"), diary.acknowledge)
    run(work_off(pipeline))
    assert diary.steps[1:] == [("acknowledged", "applied")]
    assert bench.rows("SELECT order_id, state FROM orders ORDER BY 1") == [("PO-1", "packed"), ("PO-2", "packed")]


def test_a_site_that_is_closed_leaves_an_empty_write_ahead_log_behind(tmp_path: Path) -> None:
    async def story() -> None:
        async with await Application.open(tmp_path) as site:
            (receipt,) = await site.submit(IDENTITIES["shop1"], [("created", event("shop1", 1, "PO-1", CREATED))])
            assert receipt["outcome"] == "applied"
            assert log.stat().st_size > 0

    make_site(tmp_path, parse({"site": {"name": SITE}}))
    log = tmp_path / "dockbridge.db-wal"
    run(story())
    assert not log.exists() or log.stat().st_size == 0


def test_a_submit_that_is_cancelled_does_not_end_the_pipeline(tmp_path: Path) -> None:
    async def story() -> None:
        shop = IDENTITIES["shop1"]
        async with await Application.open(tmp_path) as site:
            impatient = asyncio.create_task(site.submit(shop, [("created", event("shop1", 1, "PO-1", CREATED))]))
            await asyncio.sleep(0)  # it is accepted, but not yet stored
            impatient.cancel()
            await site.pipeline.drained()
            (receipt,) = await site.submit(shop, [("created", event("shop1", 2, "PO-2", CREATED))])
            assert receipt["outcome"] == "applied"
            (resent,) = await site.submit(shop, [("created", event("shop1", 1, "PO-1", CREATED))])
            assert (resent["outcome"], resent["again"]) == ("applied", True)
            assert not site.failed.is_set()

    make_site(tmp_path, parse({"site": {"name": SITE}}))
    run(story())

"""The checkers are checked: a good record passes, and each way to break a law is found by the checker of that law, with a message that says what is wrong."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import cbor2
import pytest
from helpers.events import CREATED, NOW_MS, TOPICS, event
from simulation.records_made import Run, a_good_record, a_shift

from devices.protocol.topics import matches
from firmware_sim.checkers import CHECKERS, FINDINGS_MAX, judge
from firmware_sim.checkers.owed_is_delivered import is_matched
from firmware_sim.record import (
    Acknowledged,
    Cast,
    Committed,
    Connected,
    FiltersAdded,
    FiltersRemoved,
    Finding,
    Lost,
    Mangled,
    Published,
    Received,
    Record,
    Sent,
    ServerStarted,
    SessionEnded,
    SessionOpened,
    Subscribed,
)

LATER_MS = 1_760_009_000_000


@pytest.fixture(scope="module")
def shift(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return a_good_record(tmp_path_factory.mktemp("shift") / "site.db")


@pytest.fixture
def record(shift: Record) -> Record:
    """A record that keeps every law; tests break it."""
    return deepcopy(shift)


# --- tools for breaking -------------------------------------------------------------------------------------------------------


def places(record: Record, kind: type, **wanted: Any) -> list[int]:
    """The positions of entries of a kind with these fields."""
    return [n for n, e in enumerate(record.entries) if type(e) is kind and all(getattr(e, k) == v for k, v in wanted.items())]


def replace(record: Record, place: int, **fields: Any) -> None:
    record.entries[place] = record.entries[place]._replace(**fields)  # type: ignore[union-attr]


def row(record: Record, table: str, **wanted: Any) -> dict[str, Any]:
    """The first row with these fields."""
    return next(r for r in record.end.tables[table] if all(r[k] == v for k, v in wanted.items()))


def recoded(payload: bytes, **fields: Any) -> bytes:
    """A payload with other fields; None removes a field."""
    plain = {**cbor2.loads(payload), **fields}
    return cbor2.dumps({k: v for k, v in plain.items() if v is not None}, canonical=True)


def says(record: Record, checker: str, words: str) -> bool:
    return any(re.search(words, f.text) for f in CHECKERS[checker](record))


class Bad(NamedTuple):
    """One way to break a law: the finding must contain `words`."""

    checker: str
    words: str
    spoil: Callable[[Record], Any]


BAD: list[Bad] = []


def bad(checker: str, words: str) -> Callable[[Callable[[Record], Any]], Callable[[Record], Any]]:
    def keep(spoil: Callable[[Record], Any]) -> Callable[[Record], Any]:
        BAD.append(Bad(checker, words, spoil))
        return spoil

    return keep


# --- 1, 2: the log ------------------------------------------------------------------------------------------------------------


@bad("acknowledged_is_stored", r"event \w+ of scan-1 was acknowledged at \d+ and is not in the log at the end")
def an_event_is_gone(record: Record) -> None:
    record.end.tables["events"].remove(row(record, "events", type="pack"))


@bad("acknowledged_is_stored", "is not in the log when the server starts")
def an_event_is_gone_at_a_restart(record: Record) -> None:
    stored = tuple((r["device"], r["id"]) for r in record.end.tables["events"] if r["type"] != "pack")
    record.entries.append(ServerStarted(LATER_MS, stored))


@bad("acknowledged_is_stored", "scan-1 was acknowledged a message on .* that is no event, and it is not in quarantine")
def an_unreadable_message_is_dropped(record: Record) -> None:
    record.entries += [Published(LATER_MS, "scan-1", 9_001, TOPICS.event("scan-1", "pack"), b"\xff", 1, False), Acknowledged(LATER_MS, "scan-1", 9_001)]


@bad("acknowledged_is_stored", "was acknowledged as pack, and the log has another pack under its id")
def another_content_is_stored(record: Record) -> None:
    stored = row(record, "events", type="pack")
    stored["payload"] = recoded(stored["payload"], order="o-9")


@bad("stored_once", r"event \w+ of scan-2 is 2 times in the log")
def an_event_is_stored_twice(record: Record) -> None:
    record.end.tables["events"].append({**row(record, "events", device="scan-2"), "pos": 900, "seq": 900})


@bad("stored_once", r"number 1 of log \w+ of scan-2 is 2 times in the log, and none of these events was warned of")
def a_number_is_stored_twice(record: Record) -> None:
    record.end.tables["events"].append({**row(record, "events", device="scan-2", seq=1), "pos": 900, "id": b"x" * 16})


# --- where events belong --------------------------------------------------------------------------------------------------------


@bad("scans_are_where_they_belong", r"event \w+ of phone-anna \(delivery\) is in o-2; by the law of codes it belongs in o-1")
def a_scan_is_in_another_order(record: Record) -> None:
    row(record, "events", type="delivery")["order_id"] = "o-2"


@bad("scans_are_where_they_belong", r"event \w+ of phone-anna \(delivery\) is in no order; by the law of codes it belongs in o-1")
def a_scan_was_never_placed(record: Record) -> None:
    row(record, "events", type="delivery")["order_id"] = None


@bad("scans_are_where_they_belong", r"\(stage\) of o-2: it is kept as wrong_parcel; by the law of codes it is right")
def a_scan_may_not_count(record: Record) -> None:
    at = next(r["pos"] for r in record.end.tables["events"] if r["type"] == "stage" and r["order_id"] == "o-2")
    record.end.tables["placed"].append({"pos": at, "order_id": "o-2", "refusal": "wrong_parcel", "warn": "", "inside": None})


# --- 3: states ----------------------------------------------------------------------------------------------------------------


@bad("state_is_right", "order o-2 is delivered; its events make it shipped")
def an_order_is_ahead(record: Record) -> None:
    row(record, "orders", order_id="o-2")["state"] = "delivered"


@bad("state_is_right", r"order o-3 has the flags none; its events give it held \(differing: held\)")
def a_hold_is_forgotten(record: Record) -> None:
    order = row(record, "orders", order_id="o-3")
    order["status"] = recoded(order["status"], flags=[])


@bad("state_is_right", r"parcel p-\w+ of order o-1 is shipped and shown as delivered; its events make it delivered")
def a_parcel_is_behind(record: Record) -> None:
    row(record, "parcels", order_id="o-1")["state"] = "shipped"


@bad("state_is_right", r"parcel p-\w+ of order o-1 is not there; its events make it delivered")
def a_parcel_is_gone(record: Record) -> None:
    record.end.tables["parcels"].remove(row(record, "parcels", order_id="o-1"))


@bad("state_is_right", "order o-4 was created and has no status")
def an_order_is_gone(record: Record) -> None:
    record.end.tables["orders"].remove(row(record, "orders", order_id="o-4"))


@bad("state_is_right", "order o-9 has the status paid, and no event in the log is about it")
def an_order_from_nowhere(record: Record) -> None:
    record.end.tables["orders"].append({**row(record, "orders", order_id="o-4"), "order_id": "o-9", "state": "paid"})


@bad("state_is_right", "order o-2 is partially_packed; its events make it shipped")
def a_stored_scan_does_not_count(record: Record) -> None:
    for table in ("orders", "status_log"):
        for kept in record.end.tables[table]:
            if kept["order_id"] == "o-2":
                kept["state"] = "partially_packed"


@bad("state_is_right", "the status log of order o-1 has rev 4 after 2")
def the_status_log_has_a_hole(record: Record) -> None:
    record.end.tables["status_log"].remove(row(record, "status_log", order_id="o-1", rev=3))


# --- 4: what is retained --------------------------------------------------------------------------------------------------------


@bad("retained_is_the_store", "nothing is retained on v1/ams1/orders/o-2/status")
def a_status_is_not_shown(record: Record) -> None:
    del record.end.retained[TOPICS.status("o-2")]


@bad("retained_is_the_store", "what is retained on v1/ams1/orders/o-2/status is not what the store has: .*state is 'packed' instead of 'shipped'")
def an_old_status_is_shown(record: Record) -> None:
    topic = TOPICS.status("o-2")
    record.end.retained[topic] = recoded(record.end.retained[topic], state="packed")


@bad("retained_is_the_store", "assignments/j-1 is retained, and nothing in the store stands for it")
def a_closed_job_is_shown(record: Record) -> None:
    record.end.retained[TOPICS.assignment("anna", "j-1")] = record.end.retained[TOPICS.assignment("ben", "j-2")]


@bad("retained_is_the_store", "assignments/j-2 is not what the store has: orders is")
def a_job_misses_an_order(record: Record) -> None:
    topic = TOPICS.assignment("ben", "j-2")
    record.end.retained[topic] = recoded(record.end.retained[topic], stops=[])


@bad("retained_is_the_store", "orders/o-1/position is retained, and order o-1 is not out for delivery")
def a_position_stays(record: Record) -> None:
    record.end.retained[TOPICS.position("o-1")] = b"\xa0"


@bad("retained_is_the_store", "orders/o-1/status is retained, and order o-1 is not to be shown any more")
def an_order_that_was_taken_down_is_shown(record: Record) -> None:
    row(record, "orders", order_id="o-1")["due_ms"] = None


@bad("retained_is_the_store", "order o-1 ended delivered, was to be taken down at")
def an_ended_order_stays(record: Record) -> None:
    record.ended_ms += record.status_keep_ms + 1_000_000


@bad("retained_is_the_store", "devices/scan-2/presence is not what the store has")
def another_presence_is_shown(record: Record) -> None:
    record.end.retained[TOPICS.presence("scan-2")] += b" "


@bad("presence_is_true", "the presence of scan-2 says online: True, and it is not connected")
def a_device_that_has_left_is_shown_as_online(record: Record) -> None:
    record.entries.append(Lost(LATER_MS, "scan-2", "it disconnected"))


@bad("presence_is_true", "the presence of scan-2 says online: False, and it is connected")
def a_device_with_a_connection_is_shown_as_offline(record: Record) -> None:
    topic = TOPICS.presence("scan-2")
    record.end.retained[topic] = recoded(record.end.retained[topic], online=False)


@bad("presence_is_true", "scan-2 was connected, and has no presence")
def a_device_that_was_connected_has_no_presence(record: Record) -> None:
    del record.end.retained[TOPICS.presence("scan-2")]


# --- 5: revisions ---------------------------------------------------------------------------------------------------------------


@bad("revisions_never_go_back", "desk got rev 1 on v1/ams1/orders/o-1/status after rev")
def an_old_status_comes_late(record: Record) -> None:
    first = record.entries[places(record, Received, device="desk", topic=TOPICS.status("o-1"))[0]]
    record.entries.append(first)


@bad("revisions_never_go_back", "desk got two different things as rev 1 on")
def one_revision_is_two_things(record: Record) -> None:
    place = places(record, Received, device="desk", topic=TOPICS.status("o-1"))[0]
    first = record.entries[place]
    assert isinstance(first, Received)
    record.entries.insert(place, first._replace(payload=recoded(first.payload, hash=b"another!")))


@bad("revisions_never_go_back", "phone-anna got rev 1 on .*assignments/j-1 after rev 2")
def a_job_goes_back(record: Record) -> None:
    came = places(record, Received, device="phone-anna", topic=TOPICS.assignment("anna", "j-1"))
    record.entries.insert(came[-1], record.entries[came[0]])


# --- 6: receipts ----------------------------------------------------------------------------------------------------------------


@bad("receipts_are_true", r"scan-1 never got a receipt for \w+, which was acknowledged at")
def a_receipt_never_comes(record: Record) -> None:
    del record.entries[places(record, Received, topic=TOPICS.receipts("scan-1"))[1]]


@bad("receipts_are_true", "the receipt that came says outcome noop, the stored one applied")
def another_receipt_is_stored(record: Record) -> None:
    place = places(record, Received, topic=TOPICS.receipts("scan-1"))[1]
    came = record.entries[place]
    assert isinstance(came, Received)
    replace(record, place, payload=recoded(came.payload, outcome="noop"))


@bad("receipts_are_true", r"\(pick of order o-3\) is applied; by its order's events it is blocked \(held\)")
def a_blocked_scan_was_told_ok(record: Record) -> None:
    stored = row(record, "receipts", outcome="blocked")
    stored.update(outcome="applied", reason=None, payload=recoded(stored["payload"], outcome="applied", reason=None))


@bad("receipts_are_true", r"\(load of order o-2\) is noop; by its order's events it is applied or late")
def a_load_was_told_noop(record: Record) -> None:
    stored = row(record, "receipts", pos=row(record, "events", type="load")["pos"])
    stored.update(outcome="noop", payload=recoded(stored["payload"], outcome="noop"))


@bad("receipts_are_true", r"\(stage of order o-5\) is parked \(unknown_order\); by its order's events it is applied or late")
def a_parked_scan_is_forgotten(record: Record) -> None:
    stored = row(record, "receipts", pos=row(record, "events", type="stage", order_id="o-5")["pos"])
    stored.update(outcome="parked", reason="unknown_order", payload=recoded(stored["payload"], outcome="parked", reason="unknown_order"))


@bad("receipts_are_true", "names rev 77 of order o-1, which the status log has not")
def a_receipt_names_no_revision(record: Record) -> None:
    place = places(record, Received, topic=TOPICS.receipts("phone-anna"))[-1]
    came = record.entries[place]
    assert isinstance(came, Received)
    replace(record, place, payload=recoded(came.payload, rev=77))


@bad("receipts_are_true", r"event \w+ of phone-anna is a delivery, and its receipt is about a refused")
def a_receipt_is_about_another_type(record: Record) -> None:
    stored = row(record, "receipts", pos=row(record, "events", type="delivery")["pos"])
    stored["payload"] = recoded(stored["payload"], type="refused")


@bad("receipts_are_true", r"event \w+ of scan-2: receipt 2 beeps, long after the event or in another shift")
def a_changed_verdict_beeps_late(record: Record) -> None:
    pos = row(record, "events", type="stage", order_id="o-5")["pos"]
    stored = row(record, "receipts", pos=pos)
    stored["payload"] = recoded(stored["payload"], at_ms=LATER_MS)


@bad("receipts_are_true", r"event \w+ of scan-2: receipt 2 beeps, long after the event or in another shift")
def a_changed_verdict_beeps_in_the_next_shift(record: Record) -> None:
    changed = row(record, "events", type="shift_started")
    record.end.tables["events"].append({**changed, "pos": 901, "id": b"y" * 16, "seq": 901, "device": "scan-2", "event_ms": changed["event_ms"] + 1_500})


@bad("receipts_are_true", r"event \w+ of scan-2: receipt 2 is quiet, soon after the event and in its shift")
def a_changed_verdict_is_quiet_without_a_reason(record: Record) -> None:
    stored = row(record, "receipts", pos=row(record, "events", type="stage", order_id="o-5")["pos"])
    stored["payload"] = recoded(stored["payload"], quiet=True)


@bad("receipts_are_true", r"event \w+ of scan-1: its first receipt is quiet")
def a_first_verdict_is_quiet(record: Record) -> None:
    stored = row(record, "receipts", pos=row(record, "events", type="load")["pos"])
    stored["payload"] = recoded(stored["payload"], quiet=True)


@bad("receipts_are_true", r"has number 2, which another event of its log had before, and its receipt does not warn of it")
def a_number_is_used_again_without_a_warning(record: Record) -> None:
    row(record, "events", device="scan-1", seq=3)["seq"] = 2


def spoil_event(record: Record, **fields: Any) -> None:
    """The pick of the first order was sent otherwise than a device should send it, and its receipt says nothing of that."""
    stored = row(record, "events", type="pick", order_id="o-1")
    stored["payload"] = recoded(stored["payload"], **fields)
    stored.update({name: value for name, value in fields.items() if name in stored})


@bad("receipts_are_true", "its receipt does not warn of id_not_uuid7")
def an_id_of_another_kind_is_not_warned_of(record: Record) -> None:
    spoil_event(record, id=b"0123456789abcdef")


@bad("receipts_are_true", "its receipt does not warn of seq_too_high")
def a_time_for_a_number_is_not_warned_of(record: Record) -> None:
    spoil_event(record, seq=NOW_MS // 1_000)


@bad("receipts_are_true", "its receipt does not warn of mono_ahead")
def an_event_after_its_sending_is_not_warned_of(record: Record) -> None:
    spoil_event(record, sent_mono_ms=1)


@bad("receipts_are_true", "its receipt warns of mono_ahead")
def an_event_is_warned_of_without_a_reason(record: Record) -> None:
    stored = row(record, "receipts", pos=row(record, "events", type="load")["pos"])
    stored["payload"] = recoded(stored["payload"], warn=["mono_ahead"])


@bad("receipts_are_true", "its receipt says warn, for seq_reused, unknown_field")
def a_worker_hears_of_what_concerns_a_developer(record: Record) -> None:
    stored = row(record, "receipts", pos=row(record, "events", type="load")["pos"])
    stored["payload"] = recoded(stored["payload"], warn=["seq_reused", "unknown_field"], tone="warn")


def answer_to_the_malformed(record: Record) -> int:
    """The place of the receipt for what no contract allows."""
    return next(p for p in places(record, Received, topic=TOPICS.receipts("scan-1")) if b"malformed" in record.entries[p].payload)  # type: ignore[union-attr]


@bad("receipts_are_true", "scan-1 sent a stage, and was answered about a pick")
def a_refusal_is_about_another_type(record: Record) -> None:
    place = answer_to_the_malformed(record)
    replace(record, place, payload=recoded(record.entries[place].payload, type="pick"))  # type: ignore[union-attr]


@bad("receipts_are_true", "scan-1 was answered about another id than that of what it sent")
def a_refusal_is_about_another_id(record: Record) -> None:
    place = answer_to_the_malformed(record)
    replace(record, place, payload=recoded(record.entries[place].payload, id=b"z" * 16))  # type: ignore[union-attr]


@bad("receipts_are_true", "scan-1 used an id again, and the receipt names the id of the good event")
def a_reused_id_is_answered_by_id(record: Record) -> None:
    place = answer_to_the_malformed(record)
    replace(record, place, payload=recoded(record.entries[place].payload, reason="id_reused"))  # type: ignore[union-attr]


# --- 7: deliveries --------------------------------------------------------------------------------------------------------------


@bad("owed_is_delivered", r"desk was owed \d+ messages and did not get 1 \(0 count as dropped\): v1/ams1/orders/o-1/status")
def a_message_is_lost(record: Record) -> None:
    del record.entries[places(record, Received, device="desk", topic=TOPICS.status("o-1"))[2]]


@bad("owed_is_delivered", r"scan-1 was owed \d+ messages and did not get 1 \(0")
def the_last_message_never_comes(record: Record) -> None:
    del record.entries[places(record, Received, device="scan-1")[-1]]


@bad("owed_is_delivered", "desk got v1/ams1/orders/o-1/status .* twice, the second time as new")
def a_message_comes_twice(record: Record) -> None:
    place = places(record, Received, device="desk", topic=TOPICS.status("o-1"))[2]
    record.entries.insert(place, record.entries[place])


@bad("owed_is_delivered", r"desk was owed \d+ messages and did not get 1|twice")
def two_messages_swap(record: Record) -> None:
    a, b = places(record, Received, device="desk")[4:6]
    record.entries[a], record.entries[b] = record.entries[b], record.entries[a]


@bad("owed_is_delivered", "scan-2 got v1/ams1/orders/o-1/status .*, which nobody sent while it was subscribed")
def a_message_that_nobody_sent(record: Record) -> None:
    place = places(record, Received, device="desk", topic=TOPICS.status("o-1"))[2]
    replace(record, place, device="scan-2")


@bad("owed_is_delivered", "at QoS 2 instead of 1")
def a_message_has_another_qos(record: Record) -> None:
    replace(record, places(record, Received, device="desk")[3], qos=2)


@bad("owed_is_delivered", "did not get 1 .2 count as dropped")
def fewer_are_missing_than_were_dropped(record: Record) -> None:
    a_message_is_lost(record)
    row(record, "sessions", device="desk")["dropped"] = 2


@bad("owed_is_delivered", r"again \(dup\) without a reconnect")
def a_repeat_without_a_reconnect(record: Record) -> None:
    place = places(record, Received, device="desk")[5]
    entry = record.entries[place]
    assert isinstance(entry, Received)
    record.entries.insert(place + 1, entry._replace(dup=True))


# --- 8, 9: privacy --------------------------------------------------------------------------------------------------------------


@bad("nobody_reads_what_is_not_theirs", "scan-2, a scanner, got a message on v1/ams1/orders/o-1/status")
def a_scanner_reads_an_order(record: Record) -> None:
    a_message_that_nobody_sent(record)


@bad("nobody_reads_what_is_not_theirs", "scan-2, a scanner, got a message on v1/ams1/devices/scan-1/receipts")
def a_scanner_reads_anothers_receipts(record: Record) -> None:
    replace(record, places(record, Received, device="scan-1")[0], device="scan-2")


@bad("nobody_reads_what_is_not_theirs", "phone-ben, a courier, got a message on v1/ams1/couriers/anna/assignments/j-1")
def a_courier_reads_anothers_job(record: Record) -> None:
    replace(record, places(record, Received, device="phone-anna", topic=TOPICS.assignment("anna", "j-1"))[0], device="phone-ben")


@bad("nobody_reads_what_is_not_theirs", "phone-anna, a courier, got a message on v1/ams1/orders/o-4/status")
def a_courier_reads_an_order_of_nobodys(record: Record) -> None:
    replace(record, places(record, Received, device="desk", topic=TOPICS.status("o-4"))[0], device="phone-anna")


@bad("nobody_reads_what_is_not_theirs", "gear, a lab, got a message on v1/")
def a_lab_reads_orders(record: Record) -> None:
    record.cast["gear"] = Cast(device="gear", role="lab")
    replace(record, places(record, Received, device="desk")[0], device="gear")


@bad("nothing_personal_is_retained", "'worker-77' is about a person, and stands in what is retained on v1/ams1/orders/o-2/status")
def a_worker_stands_in_a_status(record: Record) -> None:
    topic = TOPICS.status("o-2")
    record.end.retained[topic] = recoded(record.end.retained[topic], by="worker-77")


@bad("nothing_personal_is_retained", "'anna' is about a person, and stands in what is retained on v1/ams1/orders/o-./parcels/")
def a_courier_stood_in_a_parcel_once(record: Record) -> None:
    place = next(n for n in places(record, Committed) if any(isinstance(e, Sent) and "/parcels/" in e.topic for e in record.entries[n].effects))  # type: ignore[union-attr]
    commit = record.entries[place]
    assert isinstance(commit, Committed)
    spoilt = tuple(e._replace(payload=recoded(e.payload, where="van of anna")) if isinstance(e, Sent) and "/parcels/" in e.topic else e for e in commit.effects)
    replace(record, place, effects=spoilt)


@bad("nothing_personal_is_retained", "'anna' is about a person, and stands in the topic v1/ams1/orders/o-1/parcels/for~20anna")
def a_courier_stands_in_a_topic(record: Record) -> None:
    record.end.retained[TOPICS.parcel("o-1", "for anna")] = b"\xa0"


@bad("workers_are_pseudonyms", "event .* of scan-1 names 'worker-77', and the log has 'worker-77' in its place")
def a_badge_is_in_the_log(record: Record) -> None:
    stored = row(record, "events", type="shift_started")
    stored["payload"] = recoded(stored["payload"], body={"worker": "worker-77"})


@bad("workers_are_pseudonyms", "names 'worker-77', and w-aaaaaaaaaa stands for another one, or not always for it")
def a_pseudonym_changes(record: Record) -> None:
    stored = row(record, "events", type="shift_started")
    stored["payload"] = recoded(stored["payload"], body={"worker": "w-aaaaaaaaaa"})


# --- 10 to 13: the end ----------------------------------------------------------------------------------------------------------


@bad("ledgers_have_no_gap", "scan-1 still owes 2 events")
def a_device_owes(record: Record) -> None:
    row(record, "ledger", device="scan-1")["owed"] = 2


@bad("ledgers_have_no_gap", r"the ledger of scan-2 has 9 numbers of log \w+, and 3 of them came")
def a_ledger_is_ahead(record: Record) -> None:
    row(record, "ledger", device="scan-2")["high"] = 9


@bad("ledgers_have_no_gap", "of phone-anna are stored, and there is no ledger for it")
def a_ledger_is_gone(record: Record) -> None:
    record.end.tables["ledger"].remove(row(record, "ledger", device="phone-anna"))


def _alert(code: str, subject: str) -> dict[str, Any]:
    return {"code": code, "subject": subject, "severity": "warning", "since_ms": LATER_MS, "text": "Something is odd.", "fix": "Look."}


@bad("alerts_are_true", "alert gap about scan-1 still stands: Something is odd.")
def an_alert_stands(record: Record) -> None:
    record.end.tables["alerts"].append(_alert("gap", "scan-1"))
    record.end.retained[TOPICS.alert("gap", "scan-1")] = cbor2.dumps(_alert("gap", "scan-1"))


@bad("alerts_are_true", "v1/ams1/alerts/gap/scan-1 is not retained, and the alert stands")
def an_alert_is_not_shown(record: Record) -> None:
    record.end.tables["alerts"].append(_alert("gap", "scan-1"))


@bad("alerts_are_true", "v1/ams1/alerts/gap/scan-1 is retained, and no such alert stands")
def an_alert_is_shown_that_is_over(record: Record) -> None:
    record.end.retained[TOPICS.alert("gap", "scan-1")] = b"\xa0"


@bad("alerts_are_true", "alert gap was never raised")
def an_alert_is_not_raised(record: Record) -> None:
    record.alerts_due = ("gap",)


@bad("alerts_are_true", "alert gap about scan-1 does not stand any more, and was never cleared")
def an_alert_is_not_cleared(record: Record) -> None:
    record.entries.append(Committed(LATER_MS, 0, 0, (Sent(TOPICS.alert("gap", "scan-1"), b"\xa0", 1, True),)))


@bad("alerts_are_true", "alert clock about scan-1 still stands: Something is odd.")
def a_right_clock_is_called_wrong(record: Record) -> None:
    record.end.tables["alerts"].append(_alert("clock", "scan-1"))
    record.end.retained[TOPICS.alert("clock", "scan-1")] = cbor2.dumps(_alert("clock", "scan-1"))


@bad("alerts_are_true", "the clock of scan-1 is wrong, and no alert says so")
def a_clock_in_1970_is_not_named(record: Record) -> None:
    place = places(record, Published, topic=TOPICS.presence("scan-1"))[0]
    shown = record.entries[place]
    assert isinstance(shown, Published)
    record.entries += [shown._replace(at_ms=LATER_MS, no=9_002, payload=recoded(shown.payload, at_ms=45_000)), Acknowledged(LATER_MS, "scan-1", 9_002)]


@bad("times_are_possible", r"event \w+ of scan-1 is dated \d+ ms before it can have happened, and to \d+ ms")
def a_clock_in_1970_is_believed(record: Record) -> None:
    row(record, "events", device="scan-1", type="pack").update(event_ms=45_000, source="wall")


@bad("times_are_possible", r"event \w+ of scan-1 is dated 5 ms after it was received")
def an_event_is_dated_in_the_future(record: Record) -> None:
    stored = row(record, "events", device="scan-1", type="pack")
    stored.update(event_ms=stored["received_ms"] + 5)


@bad("times_are_possible", r"event \w+ of scan-1 is dated \d+ ms before it can have happened, and to 2000 ms")
def an_event_of_a_boot_that_was_never_heard_is_dated_before_an_earlier_one(record: Record) -> None:
    stored = row(record, "events", device="scan-1", type="pack")
    for place in places(record, Published, topic=TOPICS.event("scan-1", "pack")):
        replace(record, place, payload=recoded(stored["payload"], boot=b"boot-nil"))
    stored.update(event_ms=stored["received_ms"] - 3_600_000, error_ms=2_000, source="wall")


@bad("orders_ended_as_planned", "order o-2 was to end delivered and is shipped")
def an_order_ends_elsewhere(record: Record) -> None:
    record.expected["o-2"] = "delivered"


@bad("orders_ended_as_planned", "order o-9 was to end delivered and is not there")
def an_order_was_never_made(record: Record) -> None:
    record.expected["o-9"] = "delivered"


@bad("nothing_is_left", "scan-1 still has 3 events without an acknowledgement")
def a_device_kept_events(record: Record) -> None:
    record.end.unsent["scan-1"] = 3


@bad("nothing_is_left", "scan-1 still has 1 events without a receipt")
def a_device_waits_for_a_receipt(record: Record) -> None:
    record.end.unanswered["scan-1"] = 1


@bad("nothing_is_left", "a device complained: scan-1: flash is full")
def a_device_complained(record: Record) -> None:
    record.end.troubles.append("scan-1: flash is full")


@bad("nothing_is_left", r"stage \w+ of scan-2 still waits for order o-5, since")
def an_event_is_still_parked(record: Record) -> None:
    pos = row(record, "events", type="stage", order_id="o-5")["pos"]
    record.end.tables["parked"].append({"pos": pos, "ref_kind": "order", "ref": "o-5", "order_id": "o-5", "since_ms": LATER_MS, "deadline_ms": LATER_MS})


# --- the table ------------------------------------------------------------------------------------------------------------------


def test_a_good_record_keeps_every_law(record: Record) -> None:
    assert judge(record) == []


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case.checker}-{case.spoil.__name__}")
def test_a_broken_law_is_found_and_named(record: Record, case: Bad) -> None:
    case.spoil(record)
    found = CHECKERS[case.checker](record)
    assert any(re.search(case.words, f.text) for f in found), [f.text for f in found]
    assert {f.checker for f in found} == {case.checker}
    assert set(found) <= set(judge(record))


def test_every_checker_is_judged_in_more_than_one_way() -> None:
    ways = {checker: sum(b.checker == checker for b in BAD) for checker in CHECKERS}
    assert min(ways.values()) >= 2, ways


def test_there_are_so_many_findings_and_no_more(record: Record) -> None:
    record.end.troubles += [f"trouble {n}" for n in range(FINDINGS_MAX + 7)]
    found = CHECKERS["nothing_is_left"](record)
    assert len(found) == FINDINGS_MAX + 1
    assert found[-1] == Finding("nothing_is_left", "and 7 more")


# --- what is allowed ------------------------------------------------------------------------------------------------------------


def test_what_a_fault_mangled_says_nothing_about_what_was_meant(record: Record) -> None:
    an_unreadable_message_is_dropped(record)
    record.entries.append(Mangled(LATER_MS, "scan-1", 9_001))
    assert judge(record) == []


def test_a_message_that_is_not_an_event_is_kept_in_quarantine(record: Record) -> None:
    an_unreadable_message_is_dropped(record)
    digest = hashlib.sha256(b"\xff").digest()[:8]
    kept = {"no": 99, "device": "scan-1", "pos": None, "digest": digest, "payload": b"\xff", "reason": "malformed", "received_ms": LATER_MS}
    record.end.tables["quarantine"].append(kept)
    assert not CHECKERS["acknowledged_is_stored"](record)
    assert says(record, "receipts_are_true", f"scan-1 never got a receipt for {digest.hex()[:12]}")


def test_after_a_reconnect_what_was_in_flight_may_come_again(record: Record) -> None:
    came = places(record, Received, device="desk")[5:8]
    again = [record.entries[n]._replace(dup=True) for n in came]  # type: ignore[union-attr]
    for _ in range(2):  # the first attempt is cut off again
        record.entries[came[-1] + 1 : came[-1] + 1] = [Connected(record.entries[came[-1]].at_ms, "desk", True), *again]
        again = again[-2:]
    assert judge(record) == []


def test_a_message_that_was_in_flight_and_never_came_comes_as_a_repeat(record: Record) -> None:
    place = places(record, Received, device="desk")[5]
    entry = record.entries[place]
    assert isinstance(entry, Received)
    record.entries[place : place + 1] = [Connected(entry.at_ms, "desk", True), entry._replace(dup=True)]
    assert judge(record) == []


def test_dropped_messages_are_allowed_at_exactly_their_count(record: Record) -> None:
    for _ in range(2):
        a_message_is_lost(record)
    row(record, "sessions", device="desk")["dropped"] = 2
    assert not CHECKERS["owed_is_delivered"](record)


def test_what_comes_after_unsubscribing_and_after_the_end_of_a_session_is_not_owed(record: Record) -> None:
    topic = TOPICS.receipts("scan-2")
    sid = row(record, "sessions", device="scan-2")["sid"]
    sent = Sent(topic, b"late", 1, False)
    record.entries.append(Committed(LATER_MS, 0, 0, (FiltersRemoved(sid, (topic,)), sent)))
    assert not CHECKERS["owed_is_delivered"](record)
    record.entries.append(Committed(LATER_MS, 0, 0, (FiltersAdded(sid, ((topic, 1),)), sent, SessionEnded(sid), sent)))
    assert not CHECKERS["owed_is_delivered"](record), "what was owed to a session that ended is owed to nobody"
    record.entries.append(Committed(LATER_MS, 0, 0, (SessionOpened(90, "scan-2", "scan-2"), FiltersAdded(90, ((topic, 1),)), sent)))
    assert says(record, "owed_is_delivered", "scan-2 was owed 1 messages and did not get 1")


def test_devices_that_are_not_well_may_leave_things_undone(record: Record) -> None:
    a_receipt_never_comes(record)
    a_device_kept_events(record)
    a_device_owes(record)
    the_last_message_never_comes(record)
    cast = record.cast["scan-1"]
    record.cast["scan-1"] = Cast(device="scan-1", role=cast.role, is_well=False)
    found = judge(record)
    assert {f.checker for f in found} <= {"owed_is_delivered"}, found
    assert all("did not get 1 " in f.text for f in found), "a hole in the middle is a hole"


def test_over_real_mqtt_there_are_no_commits_and_what_rests_on_them_is_not_judged(record: Record) -> None:
    a_message_is_lost(record)
    record.entries = [e for e in record.entries if not isinstance(e, Committed)]
    assert not CHECKERS["owed_is_delivered"](record)


def test_an_expected_alert_may_stand(record: Record) -> None:
    an_alert_stands(record)
    record.alerts = (("gap", "scan-*"),)
    record.alerts_due = ("gap",)
    assert judge(record) == []


def test_answers_to_a_subscription_are_judged_by_what_is_retained_alone(record: Record) -> None:
    first = record.entries[places(record, Received, device="desk", topic=TOPICS.status("o-1"))[0]]
    assert isinstance(first, Received)
    record.entries.append(first._replace(retain=True))
    assert judge(record) == []


@pytest.mark.parametrize("topic", ["a", "a/b", "a/b/c", "/a", "a//c", "$sys/a", "a/$b"])
@pytest.mark.parametrize("topic_filter", ["a", "#", "+", "+/+", "a/#", "a/+", "+/b/#", "a/+/c", "$sys/#", "a/b/c/#", "/+", "a/$b"])
def test_filters_match_what_the_contract_lets_them_match(topic_filter: str, topic: str) -> None:
    assert is_matched(topic_filter.split("/"), topic.split("/")) == matches(topic_filter, topic)


# --- unusual stories that break no law --------------------------------------------------------------------------------------------


def refused_things(run: Run) -> None:
    """Everything that a device can do wrong: the bridge refuses it, stores it in quarantine and answers; that breaks no law."""
    a_shift(run)
    topic = TOPICS.event("scan-1", "pick")
    run.publish("scan-1", topic, run.bench.message("scan-1", "pick", b"\xa1junk"))
    reused = event("scan-1", 1, "o-2", {"sku": "pen", "qty": 2}, at_ms=run.now_ms)
    run.publish("scan-1", topic, run.bench.message("scan-1", "pick", reused))
    denied = run.bench.draft("scan-1", "cancelled", "o-2", {"reason": "no"})._replace(kind="denied", detail="role scanner does not send cancelled")
    run.publish("scan-1", TOPICS.event("scan-1", "cancelled"), denied)
    run.tell("scan-2", "load", None, {"vehicle": "v"}, code="C-unknown")
    run.tell("scan-2", "load", None, {"vehicle": "v"})
    run.tell("scan-2", "void", None, {"ref": b"nobody knows me!", "reason": "did_not_occur"})


def test_what_the_bridge_refuses_is_no_fault_of_the_bridge(tmp_path: Path) -> None:
    record = a_good_record(tmp_path / "site.db", refused_things)
    record.alerts = (("forbidden", "scan-1"), ("parked", "*"))
    assert judge(record) == []


def containers_labels_and_voids(run: Run) -> None:
    """Two orders in a cage; a scan and a filling that are taken back; a label over another, and what is scanned of both."""
    for order in ("o-1", "o-2"):
        run.tell("shop1", "created", order, CREATED)
    run.tell("scan-2", "load", None, {"vehicle": "v"}, code="C-9")
    take_back(run)
    run.tell("scan-2", "aggregated", None, {"parent": "CAGE-1", "children": ["C-1", "C-2"]})
    filling = last_id(run)
    for order, code in (("o-1", "C-1"), ("o-2", "C-2")):
        run.tell("scan-1", "pack", order, {}, code=code)
    run.tell("scan-2", "load", None, {"vehicle": "v"}, code="CAGE-1")
    run.tell("desk", "held", "o-2", {"reason": "fraud"})
    run.tell("scan-2", "stage", None, {"dock": "d"}, code="CAGE-1")
    run.tell("scan-2", "void", None, {"ref": filling, "reason": "did_not_occur"})
    run.tell("scan-2", "aggregated", None, {"parent": "CAGE-2", "children": ["C-2", "C-8"]})
    run.tell("scan-2", "disaggregated", None, {"parent": "CAGE-2", "all": True})
    run.tell("scan-2", "labelled", None, {"code": "C-3", "kind": "plain", "replaces": "C-1"})
    for code in ("C-1", "C-3", "CAGE-2"):
        run.tell("scan-2", "depart", None, {"hub": "h"}, code=code)
    run.tell("scan-2", "pick", "o-2", {"sku": "pen", "qty": 1}, code="C-3")
    run.tell("scan-1", "pack", "o-2", {}, code="C-3")
    run.tell("scan-2", "delivery", "o-2", {"pod": {"method": "pin"}}, code="C-3")
    run.tell("scan-1", "labelled", "o-2", {"code": "C-3", "kind": "plain"})
    take_back(run)


def last_id(run: Run) -> bytes:
    told = run.record.entries[places(run.record, Published)[-1]]
    assert isinstance(told, Published)
    event_id: bytes = cbor2.loads(told.payload)["id"]
    return event_id


def take_back(run: Run) -> None:
    told = run.record.entries[places(run.record, Published)[-1]]
    assert isinstance(told, Published)
    run.tell(told.device, "void", None, {"ref": last_id(run), "reason": "did_not_occur"})


def test_containers_labels_and_voids_break_no_law(tmp_path: Path) -> None:
    record = a_good_record(tmp_path / "site.db", containers_labels_and_voids)
    record.alerts = (("*", "*"),)
    assert [f for f in judge(record) if f.checker != "nothing_is_left"] == []


def a_voided_creation(run: Run) -> None:
    run.tell("shop1", "created", "o-1", CREATED)
    creation = run.record.entries[places(run.record, Published, device="shop1")[-1]]
    assert isinstance(creation, Published)
    run.tell("scan-1", "pack", "o-1", {})
    run.tell("shop1", "void", None, {"ref": cbor2.loads(creation.payload)["id"], "reason": "did_not_occur"})


def test_an_order_whose_creation_was_voided_is_shown_nowhere(tmp_path: Path) -> None:
    record = a_good_record(tmp_path / "site.db", a_voided_creation)
    record.alerts = (("parked", "o-1"),)
    assert judge(record) == []


def a_status_that_was_kept_long_enough(run: Run) -> None:
    a_shift(run)
    assert run.bench.rules.complete_after_ms is not None
    for passed_ms in (run.bench.rules.complete_after_ms, run.bench.rules.status_keep_ms, 0):
        run.sweep(passed_ms + 1_000)


def test_orders_that_were_taken_down_are_shown_nowhere(tmp_path: Path) -> None:
    record = a_good_record(tmp_path / "site.db", a_status_that_was_kept_long_enough)
    record.alerts = (("quarantine", "*"),)
    assert TOPICS.status("o-1") not in record.end.retained
    assert judge(record) == []


def test_a_device_that_subscribes_to_nothing_needs_no_receipts(record: Record) -> None:
    record.entries = [e for e in record.entries if not (isinstance(e, Subscribed | Received) and e.device == "phone-anna")]
    assert not CHECKERS["receipts_are_true"](record)

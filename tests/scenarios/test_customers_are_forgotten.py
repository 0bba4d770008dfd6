"""A shop says who gets an order. Those who may see it do, and are seen doing it; then the customer is forgotten: at once, later, by time, and again after a
restore of an old backup. Nothing that comes afterwards brings them back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import cbor2
import pytest
from helpers.events import CREATED
from helpers.site import Site

from bridge import recovery
from bridge.app import ingest_of
from bridge.config import DATABASE_NAME, PRIVACY_NAME
from bridge.config_file import parse
from bridge.errors import BridgeError, Refused
from bridge.operations import contacts, forgetting, keys, leaving, order_acts, subjects, workers
from bridge.operations.acts import Operation, carry_out
from bridge.operations.forgetting import Fate
from bridge.searching import forms_of
from bridge.serving.trimming import trim
from bridge.site_folder import make_site
from bridge.vault import KeyFolder, KeyMissing, SealError
from devices.protocol.choices import Audience
from devices.protocol.reasons import CancelReason
from devices.protocol.vocabulary import Role

ADA: Final = {"name": "Ada Vosswinkel", "phone": "+49 30 9018 5309", "street": "Ahornallee 7", "city": "Berlin", "postcode": "10178", "country": "DE"}
BO: Final = {"name": "博文", "phone": "(030) 555-0199", "note": "Klingel kaputt: klopfen"}
DAY_MS: Final = 86_400_000


def shop(site: Site) -> Site:
    """Ada has ordered PO-1 and PO-2, Bo PO-3; PO-2 was cancelled."""
    order(site, 1, "PO-1", ADA)
    order(site, 2, "PO-2", ADA)
    order(site, 3, "PO-3", BO)
    act(site, order_acts.cancel, order="PO-2", reason=CancelReason.CUSTOMER_REQUEST)
    return site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as site:
        yield shop(site)


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site in which nothing is changed."""
    with Site(tmp_path_factory.mktemp("looked-at") / "site") as site:
        yield shop(site)


def order(site: Site, seq: int, order_id: str, contact: dict[str, Any]) -> None:
    site.tell("shop1", Role.SYSTEM, "created", site.event("shop1", seq, order_id, {**CREATED, "contact": contact}))


def send(site: Site, event_type: str, payload: bytes) -> dict[str, Any]:
    (receipt,) = site.wait_for(site.app.submit(site.app.registry.identity("shop1"), [(event_type, payload)]))
    return dict(receipt)


def act(site: Site, operation: Operation, **arguments: Any) -> Any:
    return site.wait_for(carry_out(site.app, "maria", operation, arguments))


def refusal(site: Site, operation: Operation, **arguments: Any) -> str:
    with pytest.raises(BridgeError) as refused:
        act(site, operation, **arguments)
    return str(refused.value)


def contact_of(site: Site, order_id: str) -> dict[str, Any]:
    found: dict[str, Any] = act(site, contacts.show, order=order_id).contact
    return found


def is_anywhere(folder: Path, *texts: str) -> bool:
    needles = [form for text in texts for form in forms_of(text)]
    return any(needle in path.read_bytes() for path in folder.rglob("*") if path.is_file() for needle in needles)


# --- who gets an order ------------------------------------------------------------------------------------------------------


def test_who_gets_an_order_is_sealed_and_shown_to_those_who_ask(looked_at: Site) -> None:
    assert contact_of(looked_at, "PO-1") == ADA
    assert not is_anywhere(looked_at.directory, *ADA.values(), *BO.values())
    last = list(looked_at.app.audit.entries())[-1]
    assert (last.who, last.act, last.subject) == ("maria", "contacts.show", "PO-1")


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        ({"phone": "0049 30-90185309"}, ["PO-1", "PO-2"]),
        ({"phone": "030 90 18 53 09"}, ["PO-1", "PO-2"]),
        ({"last4": "5309"}, ["PO-1", "PO-2"]),
        ({"last4": "0199"}, ["PO-3"]),
        ({"surname": "VOSSWINKEL"}, ["PO-1", "PO-2"]),
        ({"surname": "博文"}, ["PO-3"]),
        ({"surname": "vosswinkel", "last4": "0199"}, []),
        ({"last4": "0000"}, []),
    ],
    ids=str,
)
def test_a_customer_is_found_by_what_they_say_at_the_telephone(looked_at: Site, sought: dict[str, str], found: list[str]) -> None:
    assert act(looked_at, contacts.find, **sought) == found


@pytest.mark.parametrize("sought", [{}, {"last4": "12"}, {"last4": "12345"}, {"phone": "1"}, {"surname": "  "}], ids=str)
def test_what_can_not_be_sought_is_refused(looked_at: Site, sought: dict[str, str]) -> None:
    assert refusal(looked_at, contacts.find, **sought)


def test_a_sentence_in_the_place_of_a_reason_is_sealed_and_shown_to_those_who_ask(site: Site) -> None:
    said = ("Ada Vosswinkel ist bis 5. Mai verreist", "Nachbar Holmqvist fragen")
    for seq, reason in enumerate(said, 11):
        receipt = send(site, "held", site.event("shop1", seq, "PO-1", {"reason": reason}))
        assert receipt["detail"].startswith("body.reason is no word: it is sealed, and other_")
    assert len(holds := site.app.queries.order("PO-1")["status"]["holds"]) == 2
    payload = site.event("shop1", 13, "PO-1", {"reason": said[0]})
    assert [send(site, "released", payload).get("again") for _ in range(2)] == [None, True]
    assert len(left := site.app.queries.order("PO-1")["status"]["holds"]) == 1
    assert set(left) < set(holds)
    notes = [note.text for note in act(site, contacts.show, order="PO-1").notes]
    assert notes == [f"held: {said[0]}", f"held: {said[1]}", f"released: {said[0]}"]
    assert not is_anywhere(site.directory, *said, "Vosswinkel", "Holmqvist")
    act(site, order_acts.cancel, order="PO-1", reason=CancelReason.CUSTOMER_REQUEST)
    act(site, forgetting.forget, order="PO-1")
    assert act(site, contacts.show, order="PO-1").notes == []


def test_a_later_contact_takes_the_place_of_an_earlier_one_until_it_is_taken_back(site: Site) -> None:
    moved = {**ADA, "street": "Lindenweg 2"}
    receipt = send(site, "amended", site.event("shop1", 9, "PO-1", {"changed": ["contact"], "contact": moved}))
    assert (receipt["outcome"], receipt.get("warn")) == ("applied", None)
    assert contact_of(site, "PO-1") == moved
    assert "amended" not in site.app.queries.order("PO-1")["status"]["flags"], "what was ordered is what it was"
    act(site, order_acts.void, event=receipt["id"].hex())
    assert contact_of(site, "PO-1") == ADA


def test_a_resend_says_the_same_or_is_refused(site: Site) -> None:
    payload = site.event("shop1", 21, "PO-9", {**CREATED, "contact": ADA})
    other = cbor2.dumps({**cbor2.loads(payload), "body": {**CREATED, "contact": {**ADA, "name": "Eve"}}}, canonical=True)
    without = cbor2.dumps({**cbor2.loads(payload), "body": CREATED}, canonical=True)
    assert send(site, "created", payload)["outcome"] == "applied"
    assert send(site, "created", payload)["again"]
    assert [send(site, "created", p)["reason"] for p in (other, without)] == ["id_reused", "id_reused"]
    assert contact_of(site, "PO-9") == ADA


def test_a_note_is_sealed_and_says_for_whom_it_is(site: Site) -> None:
    act(site, contacts.note, order="PO-1", text="The dog is called Grendel.", audience=Audience.COURIER)
    (note,) = act(site, contacts.show, order="PO-1").notes
    assert (note.text, note.audience) == ("The dog is called Grendel.", Audience.COURIER)
    assert not is_anywhere(site.directory, "The dog is called Grendel.")


def test_a_rebuild_changes_nothing_of_it(site: Site) -> None:
    site.wait_for(site.app.rebuild(lambda _done, _total: None))
    assert contact_of(site, "PO-1") == ADA


def test_everything_about_a_customer_is_exported(looked_at: Site) -> None:
    found = act(looked_at, subjects.export_subject, phone=ADA["phone"])
    assert [(o.contact.order, o.contact.contact, o.status["state"]) for o in found.orders] == [("PO-1", ADA, "pending_payment"), ("PO-2", ADA, "cancelled")]
    assert [e.type for e in found.orders[1].events] == ["created", "cancelled"]


# --- forgotten --------------------------------------------------------------------------------------------------------------


def test_an_order_that_has_ended_is_forgotten_with_a_proof(site: Site) -> None:
    act(site, contacts.note, order="PO-2", text="Ada has called.", audience=Audience.DESK)
    done = act(site, forgetting.forget, order="PO-2")
    assert [(o.order, o.fate) for o in done.orders] == [("PO-2", Fate.FORGOTTEN)]
    assert done.proof.log_is_empty
    assert {Path(f.file).name for f in done.proof.searched} >= {DATABASE_NAME, f"{DATABASE_NAME}-wal", PRIVACY_NAME}
    assert not any(f.found for f in done.proof.searched)
    shown = act(site, contacts.show, order="PO-2")
    assert (shown.contact, shown.notes) == ({}, [])
    assert shown.forgotten_ms
    assert act(site, contacts.find, last4="5309") == ["PO-1"]
    assert contact_of(site, "PO-1") == ADA, "another order of the same customer"
    assert [o.fate for o in act(site, forgetting.forget, order="PO-2").orders] == [Fate.BEFORE]


def test_the_proof_finds_what_was_left_somewhere(site: Site) -> None:
    (site.directory / "notes.txt").write_bytes("Ada Vosswinkel".encode("utf-16"))
    (site.directory / "calls.txt").write_text("called 493090185309 and ADA VOSSWINKEL")
    done = act(site, forgetting.forget, order="PO-2")
    assert sorted(Path(f.file).name for f in done.proof.searched if f.found) == ["calls.txt", "notes.txt"]


def test_the_keys_of_what_was_forgotten_are_overwritten(site: Site) -> None:
    ((sealed,),) = site.rows("SELECT sealed FROM sealed WHERE order_id = 'PO-2'")
    act(site, forgetting.forget, order="PO-2")
    part = sealed[21:69]
    assert len(part) == 48
    assert not any(part in path.read_bytes() for path in site.directory.rglob("*") if path.is_file())


def test_nothing_that_comes_later_brings_a_customer_back(site: Site) -> None:
    payload = site.event("shop1", 30, "PO-4", {**CREATED, "contact": ADA})
    send(site, "created", payload)
    act(site, order_acts.cancel, order="PO-4", reason=CancelReason.CUSTOMER_REQUEST)
    act(site, forgetting.forget, order="PO-4")
    assert send(site, "created", payload)["again"]
    assert contact_of(site, "PO-4") == {}
    act(site, forgetting.forget, order="PO-2")
    assert send(site, "amended", site.event("shop1", 31, "PO-2", {"changed": ["contact"], "contact": ADA}))["outcome"] == "applied"
    assert send(site, "note_added", site.event("shop1", 32, "PO-2", {"text": "Ada again", "audience": "desk"}))["outcome"] == "applied"
    assert refusal(site, contacts.note, order="PO-2", text="Ada", audience=Audience.DESK) == "order PO-2 was forgotten: no note about it is kept"
    assert contact_of(site, "PO-2") == {}
    assert site.rows("SELECT count(*) FROM sealed WHERE order_id = 'PO-2'") == [(0,)]


def test_what_is_in_quarantine_about_an_order_is_forgotten_with_it(site: Site) -> None:
    assert send(site, "created", site.event("shop1", 41, "PO-2", {"channel": "web", "contact": ADA}))["reason"] == "malformed"
    assert site.rows("SELECT count(*) FROM quarantine") == [(1,)]
    act(site, forgetting.forget, order="PO-2")
    assert site.rows("SELECT count(*) FROM quarantine") == [(0,)]


def test_every_order_of_a_telephone_number_is_forgotten(site: Site) -> None:
    orders = [f"many-{n}" for n in range(contacts.ORDERS_MAX + 5)]
    for n, order_id in enumerate(orders, 100):
        send(site, "created", site.event("shop1", 2 * n, order_id, {**CREATED, "contact": {"phone": "030 111222333"}}))
        send(site, "cancelled", site.event("shop1", 2 * n + 1, order_id, {"reason": "customer_request"}))
    done = act(site, forgetting.forget, phone="+49 30 111222333")
    assert sorted(o.order for o in done.orders) == sorted(orders)
    assert site.rows("SELECT count(*) FROM sealed WHERE order_id LIKE 'many-%'") == [(0,)]


def test_what_people_typed_about_a_customer_is_forgotten_with_them(site: Site) -> None:
    """Also what is in quarantine and names no order, in any form, and why somebody was to be forgotten."""
    act(site, order_acts.amend, order="PO-3", lines={"pen": 1}, reason="ADA VOSSWINKEL has called")
    act(site, order_acts.amend, order="PO-3", lines={"pen": 2}, reason="call 903090185309")
    act(site, order_acts.amend, order="PO-3", lines={"pen": 3}, reason="Bo wants more")
    send(site, "created", '{"body": {"contact": {"name": "Ada Vosswinkel"}'.encode("utf-16"))
    send(site, "created", b'{"body": {"contact": {"name": "Somebody Else"}')
    act(site, forgetting.forget, order="PO-2", reason="Mrs Vosswinkel has asked")
    said = [entry.reason for entry in site.app.audit.entries() if entry.act in ("orders.amend", "forget")]
    assert said == ["(forgotten)", "(forgotten)", "Bo wants more", "(forgotten)"]
    assert all(entry.is_sound for entry in site.app.audit.entries())
    assert site.rows("SELECT count(*) FROM quarantine") == [(1,)]


def test_an_open_order_is_forgotten_once_it_has_ended(site: Site) -> None:
    assert [o.fate for o in act(site, forgetting.forget, order="PO-1").orders] == [Fate.OPEN]
    site.wait_for(trim(site.app._site))
    assert contact_of(site, "PO-1") == ADA
    act(site, order_acts.cancel, order="PO-1", reason=CancelReason.CUSTOMER_REQUEST)
    site.wait_for(trim(site.app._site))
    assert contact_of(site, "PO-1") == {}


def test_a_legal_hold_keeps_an_order_until_it_is_lifted(site: Site) -> None:
    act(site, forgetting.legal_hold, order="PO-2", reason="claim 4711")
    assert [h.order for h in site.wait_for(subjects.legal_holds(site.app))] == ["PO-2"]
    assert refusal(site, forgetting.legal_hold, order="PO-2") == "order PO-2 is under legal hold already"
    assert [o.fate for o in act(site, forgetting.forget, phone=ADA["phone"]).orders] == [Fate.OPEN, Fate.HELD]
    site.wait_for(trim(site.app._site))
    assert contact_of(site, "PO-2") == ADA
    act(site, forgetting.lift_legal_hold, order="PO-2")
    site.wait_for(trim(site.app._site))
    assert contact_of(site, "PO-2") == {}


def test_time_forgets_orders_that_have_ended_and_no_others(tmp_path: Path) -> None:
    with Site(tmp_path / "site", privacy={"contact_keep_days": 1.0, "forget_orders_max": 2}) as site:
        for n in range(1, 8):
            order(site, n, f"PO-{n}", ADA)
        for n in range(1, 6):
            act(site, order_acts.cancel, order=f"PO-{n}", reason=CancelReason.CUSTOMER_REQUEST)
        act(site, forgetting.legal_hold, order="PO-5")
        site.wait_for(trim(site.app._site))
        assert site.rows("SELECT count(*) FROM sealed") == [(7,)], "their time is not over"
        with closing(sqlite3.connect(site.directory / DATABASE_NAME)) as connection:
            for table, column in (("sealed", "received_ms"), ("orders", "at_ms")):
                connection.execute(f"UPDATE {table} SET {column} = {column} - {2 * DAY_MS}")
            connection.commit()
        site.wait_for(trim(site.app._site))
        assert site.rows("SELECT order_id FROM sealed ORDER BY 1") == [("PO-5",), ("PO-6",), ("PO-7",)]
        assert site.rows("SELECT count(*) FROM contact_hashes") == [(3,)]


def test_a_crash_after_the_file_and_before_the_database_forgets_at_the_next_start(site: Site) -> None:
    site.app._site.privacy_log.forgotten(["PO-2"], site.now_ms())
    assert contact_of(site, "PO-2") == ADA
    site.restart()
    assert contact_of(site, "PO-2") == {}


def test_a_restored_backup_forgets_again(site: Site, tmp_path: Path) -> None:
    site.app.database.backup(tmp_path / "old.db")
    act(site, forgetting.forget, order="PO-2")
    act(site, forgetting.legal_hold, order="PO-3")
    site.stop()
    done = recovery.restore(site.directory, tmp_path / "old.db", ingest_of, lambda _text: None)
    assert done.forgotten == 1
    with closing(sqlite3.connect(site.directory / DATABASE_NAME)) as connection:
        assert connection.execute("SELECT order_id FROM sealed ORDER BY 1").fetchall() == [("PO-1",), ("PO-3",)], "before any port opens"
    site.start()
    assert (contact_of(site, "PO-2"), contact_of(site, "PO-3")) == ({}, BO)
    assert [h.order for h in site.wait_for(subjects.legal_holds(site.app))] == ["PO-3"]


def test_a_restored_backup_forgets_workers_and_couriers_again(site: Site, tmp_path: Path) -> None:
    def scan(seq: int) -> None:
        site.tell("scan-1", Role.SCANNER, "shift_started", site.event("scan-1", seq, None, {"worker": "badge-7"}))

    site.enrol("phone-1", Role.COURIER, courier="anna", with_secret=False)
    scan(1)
    act(site, workers.name, badge="badge-7", full_name="Dagny Holmqvist")
    act(site, workers.name_courier, courier="anna", full_name="Ingrid Bergqvist")
    site.app.database.backup(tmp_path / "old.db")
    done = [act(site, leaving.forget_worker, badge="badge-7", reason="has left"), act(site, leaving.forget_courier, courier="anna")]
    assert [sum(f.found for f in one.proof.searched) for one in done] == [0, 0]
    scan(2)
    after = site.rows("SELECT pseudonym FROM workers")
    site.restart()
    assert site.rows("SELECT pseudonym FROM workers") == after, "what came later is another matter"
    site.stop()
    recovery.restore(site.directory, tmp_path / "old.db", ingest_of, lambda _text: None)
    with closing(sqlite3.connect(site.directory / DATABASE_NAME)) as connection:
        assert connection.execute("SELECT pseudonym FROM workers WHERE name IS NOT NULL UNION SELECT courier FROM courier_names").fetchall() == []
    site.start()


# --- keys -------------------------------------------------------------------------------------------------------------------


def rotate(site: Site) -> int:
    done: int = act(site, keys.rotate, on_progress=lambda _done, _total: None)
    return done


def test_after_a_rotation_everything_is_as_it_was_under_another_key(site: Site) -> None:
    act(site, contacts.note, order="PO-1", text="before", audience=Audience.DESK)
    send(site, "created", site.event("shop1", 41, "PO-8", {"channel": "web", "contact": ADA}))
    payload = site.event("shop1", 42, "PO-7", {**CREATED, "contact": BO})
    send(site, "created", payload)
    (old,) = act(site, keys.status)
    assert rotate(site) == old.rows > 5
    was, now = act(site, keys.status)
    assert (was.key, was.rows, now.is_current, now.rows) == (old.key, 0, True, old.rows)
    act(site, keys.destroy, key=old.key, reason="a laptop was stolen")
    assert contact_of(site, "PO-1") == ADA
    assert act(site, contacts.find, last4="5309") == ["PO-1", "PO-2"]
    assert send(site, "created", payload)["again"]
    assert all(entry.is_sound and entry.reason != "(sealed with a key that is not here)" for entry in site.app.audit.entries())


def test_what_is_recognised_and_sought_while_a_rotation_is_broken_off(site: Site) -> None:
    site.wait_for(site.app.on_writer(lambda: site.app.privacy.make_key(now_ms=site.now_ms())))
    assert site.wait_for(site.app.on_writer(lambda: site.app.privacy.wrap_anew(rows_max=1))) == 1
    assert act(site, contacts.find, last4="5309") == ["PO-1", "PO-2"]
    assert [contact_of(site, f"PO-{n}") for n in (1, 2, 3)] == [ADA, ADA, BO]
    assert act(site, keys.rotate, on_progress=lambda _done, _total: None, is_going_on=True) == 3, "two contacts, and a badge"
    assert len(act(site, keys.status)) == 2


def test_a_key_that_is_needed_is_not_destroyed(site: Site) -> None:
    (only,) = act(site, keys.status)
    assert refusal(site, keys.destroy, key=only.key) == f"key {only.key} is the newest one"
    site.wait_for(site.app.on_writer(lambda: site.app.privacy.make_key(now_ms=site.now_ms())))
    assert refusal(site, keys.destroy, key=only.key).startswith(f"key {only.key} still seals ")
    assert refusal(site, keys.destroy, key="00" * 8) == f"there is no key {'00' * 8}"


def test_a_folder_of_keys_that_is_lost_leaves_the_rest_at_work(site: Site) -> None:
    folder: KeyFolder = site.app._site.keys
    (lost,) = folder.keys()
    site.stop()
    folder.destroy(lost.id)
    site.start()
    with pytest.raises(KeyMissing, match=f"key {lost.id.hex()} is missing"):
        contact_of(site, "PO-1")
    order(site, 51, "PO-5", BO)
    assert contact_of(site, "PO-5") == BO, "with a new key"
    missing, _ = act(site, keys.status)
    assert (missing.key, missing.is_here, missing.rows) == (lost.id.hex(), False, 4)
    folder.put(lost)
    act(site, keys.restored, key=lost.id.hex())
    assert contact_of(site, "PO-1") == ADA


def test_a_server_goes_on_without_the_folder_of_its_keys(site: Site) -> None:
    folder: KeyFolder = site.app._site.keys
    folder.path.rename(folder.path.with_name("elsewhere"))
    site.app.vault.reload()
    order(site, 51, "PO-5", BO)
    assert (contact_of(site, "PO-1"), contact_of(site, "PO-5")) == (ADA, BO)


def test_sealed_data_that_was_changed_or_moved_to_another_event_is_not_opened(site: Site) -> None:
    with closing(sqlite3.connect(site.directory / DATABASE_NAME)) as connection:
        (first,) = connection.execute("SELECT sealed FROM sealed WHERE order_id = 'PO-1'").fetchone()
        connection.execute("UPDATE sealed SET sealed = ? WHERE order_id = 'PO-3'", (first,))
        connection.execute("UPDATE sealed SET sealed = ? WHERE order_id = 'PO-1'", (first[:-1] + bytes([first[-1] ^ 1]),))
        connection.commit()
    for order_id in ("PO-1", "PO-3"):
        with pytest.raises(SealError, match="damaged"):
            contact_of(site, order_id)


def test_keys_inside_the_folder_of_the_site_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="inside the site's folder"):
        make_site(tmp_path / "site", parse({"site": {"name": "ams1"}, "privacy": {"keys_folder": "site/keys"}}))


def test_it_is_said_who_is_meant(looked_at: Site) -> None:
    for arguments in ({}, {"order": "PO-1", "phone": "1234"}):
        with pytest.raises(Refused, match="it is not said who is meant"):
            act(looked_at, forgetting.forget, **arguments)
    assert refusal(looked_at, forgetting.forget, phone="+1 555 0000") == "no order has this telephone number"
    assert refusal(looked_at, forgetting.forget, order="PO-404").startswith("nothing is known of order PO-404")

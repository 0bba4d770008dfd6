"""The database is restored from a backup: the server says so with an epoch, asks the devices for what it lacks, and nobody mistakes old news for new.

The restore is played here: the site is stopped, the copied file put back, and a new epoch begun (real broker, real files).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from helpers.events import BOOT, TOPICS, log_of
from helpers.mqtt import PUBACK, PUBLISH, MqttWire
from helpers.site import Site

from bridge.config import DATABASE_NAME
from bridge.errors import NotFound, Refused
from bridge.operations import missing as operations
from bridge.operations.missing import Missing
from bridge.store.epochs import begin_epoch, current_epoch
from bridge.store.sqlite import open_engine
from devices.protocol import messages
from devices.protocol.messages import Assignment, BridgeState, Limits, OrderStatus, ParcelStatus, Presence, Receipt, ResendRequest, SeqRange
from devices.protocol.vocabulary import Role, Warn

SCANNER = "scan-1"
LOG = log_of(SCANNER)
PACK: dict[str, Any] = {"weight_g": 900}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with two orders that are paid."""
    with Site(tmp_path / "site") as site:
        site.create("PO-1", "PO-2")
        site.tell("shop1", Role.SYSTEM, "paid", *(site.event("shop1", n, f"PO-{n - 10}", {"amount_minor": 1, "currency": "EUR"}) for n in (11, 12)))
        for device in ("desk", "desk-2"):
            site.enrol(device, Role.DESK)
        yield site


def backup(site: Site) -> Path:
    to = site.directory.parent / "backup.db"
    site.app.database.backup(to)
    return to


def restore(site: Site, backup: Path) -> int:
    """Put a backup in the place of the database, and begin a new epoch. Returns the epoch."""
    now_ms = site.now_ms()
    site.stop()
    path = site.directory / DATABASE_NAME
    for file in site.directory.glob(f"{DATABASE_NAME}*"):
        file.unlink()
    shutil.copy(backup, path)
    engine = open_engine(path)
    epoch = begin_epoch(engine, now_ms=now_ms)
    engine.dispose()
    site.start()
    return epoch


def scanner(site: Site) -> MqttWire:
    wire = site.client(SCANNER, clean=False)
    assert wire.subscribe(TOPICS.receipts(SCANNER)) == [1]
    return wire


def pack(site: Site, seq: int, order: str) -> bytes:
    return site.event(SCANNER, seq, order, PACK)


def send(wire: MqttWire, payload: bytes) -> Receipt:
    """A pack is sent; its receipt."""
    wire.publish(TOPICS.event(SCANNER, "pack"), payload, packet_id=100)
    receipt = {packet.kind: packet for packet in (wire.read(), wire.read()) if packet is not None}[PUBLISH]
    wire.answer(PUBACK, receipt.packet_id)
    answer = messages.decode(receipt.payload, Receipt)
    assert isinstance(answer, Receipt)
    return answer


def come_online(wire: MqttWire, *, last_seq: int, backlog: int | None = None) -> list[ResendRequest]:
    """The device says what it has; what the server asks of it."""
    said = Presence(online=True, boot=BOOT, log=LOG, last_seq=last_seq, backlog=backlog)
    wire.publish(TOPICS.presence(SCANNER), messages.encode(said), packet_id=200, retain=True)
    asked = []
    while (packet := wire.read()) is not None and packet.kind == PUBLISH:  # what it causes is sent before it is acknowledged
        wire.answer(PUBACK, packet.packet_id)
        asked.append(messages.decode(packet.payload, ResendRequest))
    assert packet is not None
    assert (packet.kind, packet.packet_id) == (PUBACK, 200)
    return asked


def shown(site: Site, topic: str, kind: Any) -> Any:
    """What a screen that connects now is shown under a topic."""
    with site.client("desk-2") as wire:
        wire.subscribe(topic)
        return messages.decode(wire.receive().payload, kind)


def test_the_server_says_what_a_client_must_know(site: Site) -> None:
    state = shown(site, TOPICS.bridge_state, BridgeState)
    assert (state.online, state.epoch, state.contract) == (True, 0, messages.CONTRACT_VERSION)
    assert state.limits == Limits(packet_bytes_max=262_144, payload_bytes_max=messages.PAYLOAD_BYTES_MAX, publish_rate_max=2_000, window=64)


def test_a_device_is_asked_for_what_the_restored_database_lacks(site: Site) -> None:
    with scanner(site) as wire:
        first, second = pack(site, 1, "PO-1"), pack(site, 2, "PO-2")
        assert send(wire, first).outcome == "applied"
        saved = backup(site)
        assert send(wire, second).epoch == 0
        assert come_online(wire, last_seq=2) == [], "nothing is missing"
    assert restore(site, saved) == 1
    with scanner(site) as wire:
        assert not wire.session_present, "sessions ended with the old database"
        assert come_online(wire, last_seq=3, backlog=2) == [], "what is missing is on its way"
        asked = come_online(wire, last_seq=3, backlog=1)
        assert asked == [ResendRequest(resend=SeqRange(log=LOG, first=2, last=3), epoch=1)]
        receipt = send(wire, second)
        assert (receipt.outcome, receipt.n, receipt.again, receipt.epoch) == ("applied", 1, False, 1)
        known = send(wire, first)
        assert (known.outcome, known.n, known.again, known.epoch) == ("applied", 1, True, 1)
        assert come_online(wire, last_seq=3, backlog=1) == []
    assert shown(site, TOPICS.status("PO-2"), OrderStatus).state == "packed"


def test_every_status_is_of_the_new_epoch_and_the_rows_are_as_ever(site: Site) -> None:
    """PO-1 does not change after the restore: its status is read from the table."""
    with scanner(site) as wire:
        send(wire, pack(site, 1, "PO-1"))
        before = shown(site, TOPICS.status("PO-1"), OrderStatus)
        restore(site, backup(site))
    with scanner(site) as wire, site.client("desk") as desk:
        desk.subscribe(TOPICS.status("PO-2"), f"{TOPICS.base}/orders/PO-2/parcels/+")
        assert messages.decode(desk.receive().payload, OrderStatus).epoch == 1
        send(wire, pack(site, 2, "PO-2"))
        heard = [desk.receive() for _ in range(2)]
    assert {messages.decode(p.payload, ParcelStatus if "/parcels/" in p.topic else OrderStatus).epoch for p in heard} == {1}
    assert all(p.payload == cbor2.dumps(cbor2.loads(p.payload), canonical=True) for p in heard), "keys are in deterministic order"
    after = shown(site, TOPICS.status("PO-1"), OrderStatus)
    assert (after.epoch, after.rev, after.hash) == (1, before.rev, before.hash)
    rows = site.rows("SELECT order_id, status FROM orders UNION SELECT parcel, status FROM parcels UNION SELECT hex(pos), payload FROM receipts ORDER BY 1")
    assert not any("epoch" in cbor2.loads(status) for _, status in rows)
    site.wait_for(site.app.rebuild(lambda _done, _all: None))
    assert (
        site.rows("SELECT order_id, status FROM orders UNION SELECT parcel, status FROM parcels UNION SELECT hex(pos), payload FROM receipts ORDER BY 1")
        == rows
    )


def test_a_couriers_job_is_of_the_new_epoch(site: Site) -> None:
    site.tell("desk", Role.DESK, "assigned", site.event("desk", 1, "PO-1", {"courier": "anna", "job": "tour-1"}))
    restore(site, backup(site))
    job = shown(site, TOPICS.assignment("anna", "tour-1"), Assignment)
    assert (job.epoch, job.state) == (1, "assigned")


def test_many_gaps_are_asked_for_in_few_messages(site: Site) -> None:
    restore(site, backup(site))
    with scanner(site) as wire:
        for seq in range(2, 42, 2):
            send(wire, pack(site, seq, "PO-1"))
        asked = [(r.resend.first, r.resend.last) for r in come_online(wire, last_seq=40)]
    assert asked == [(1, 9), *((n, n) for n in range(11, 41, 2))], "the oldest ones as one"


def test_a_second_restore_is_a_later_epoch_even_of_an_older_backup(site: Site) -> None:
    saved = backup(site)
    assert restore(site, saved) == 1
    engine = open_engine(site.directory / DATABASE_NAME)
    site.stop()
    assert begin_epoch(engine, now_ms=1, after=7) == 8 == current_epoch(engine)
    engine.dispose()
    site.start()
    assert shown(site, TOPICS.bridge_state, BridgeState).epoch == 8


def test_a_refused_payload_is_answered_in_the_new_epoch(site: Site) -> None:
    restore(site, backup(site))
    with scanner(site) as wire:
        refused = send(wire, b"not an event")
    assert (refused.outcome, refused.reason, refused.epoch) == ("rejected", "malformed", 1)


# --- what is gone for good --------------------------------------------------------------------------------------------------


def missing(site: Site, device: str | None = None) -> list[Missing]:
    found: list[Missing] = site.wait_for(operations.missing(site.app, device))
    return found


def give_up(site: Site, device: str = SCANNER, reason: str = "it fell into the harbour") -> list[Missing]:
    lost: list[Missing] = site.wait_for(operations.give_up(site.app, device, reason))
    return lost


def test_what_no_device_has_any_more_is_given_up(site: Site) -> None:
    with scanner(site) as wire:
        send(wire, pack(site, 1, "PO-1"))
        saved = backup(site)
        for seq in (2, 3, 5):
            send(wire, pack(site, seq, "PO-2"))
    restore(site, saved)
    with scanner(site) as wire:
        come_online(wire, last_seq=6, backlog=1)
        send(wire, pack(site, 5, "PO-2"))
        (owed,) = missing(site)
        assert (owed.device, owed.ranges, owed.events, owed.on_its_way) == (SCANNER, [[2, 4], [6, 6]], 4, 1)
        with pytest.raises(Refused, match="still has 1 of them to send"):
            give_up(site)
    site.restart()
    with pytest.raises(Refused, match="not said why"):
        give_up(site, reason=" ")
    assert give_up(site) == [owed]
    assert missing(site) == []
    assert site.rows("SELECT owed, high FROM ledger WHERE device = ?", SCANNER) == [(0, 6)]
    with pytest.raises(Refused, match="nothing of scan-1 is missing"):
        give_up(site)
    with pytest.raises(NotFound):
        missing(site, "nobody")
    ledgers = site.rows("SELECT device, high, owed, forgotten, reused FROM ledger ORDER BY 1")
    site.wait_for(site.app.rebuild(lambda _done, _all: None))
    assert site.rows("SELECT device, high, owed, forgotten, reused FROM ledger ORDER BY 1") == ledgers, "a rebuild finds it again"
    with scanner(site) as wire:
        late = send(wire, pack(site, 3, "PO-2"))
        assert late.outcome != "rejected", "if it comes after all, it counts"
        assert Warn.SEQ_REUSED in (late.warn or ())

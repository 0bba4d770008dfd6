"""A dispatcher acts on orders and jobs without an MQTT client. Each act is checked before it is sent, and is in the audit log under a name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from helpers.site import Site

from bridge.config import DATABASE_NAME
from bridge.entrypoints.control.wire import CALLS
from bridge.errors import BridgeError, NotFound
from bridge.operations import acts, devices, jobs, order_acts
from bridge.operations.acts import ACTS, Operation, carry_out
from bridge.operations.audit import AuditEntry
from devices.protocol.reasons import CancelReason, HoldReason, UnassignReason
from devices.protocol.vocabulary import Role

READS = {
    "devices.check",
    "devices.open_claims",
    "imports.submit",
    "keys.status",
    "workers.may_look",
    "imports.note_file",
    "carrier_files.deny",
    *(f"server.{name}" for name in ("about", "batch_times", "connected", "counters", "failed_logins", "figures", "reload_certificate")),
}
"""Calls that are no acts of their own: reads, and portions of an import."""
WRITES_ITS_OWN = {"logins.log_in"}
"""Calls that write their entries themselves: nothing is known of who asks before it is done, and what they typed must not be kept."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Three paid orders, a scanner, and the phones of Anna and Ben."""
    with Site(tmp_path / "site") as site:
        site.create("PO-1", "PO-2", "PO-3")
        site.tell("shop1", Role.SYSTEM, "paid", *(site.event("shop1", n, f"PO-{n - 10}", {"amount_minor": 1, "currency": "EUR"}) for n in (11, 12, 13)))
        site.enrol("scan-1")
        for courier in ("anna", "ben"):
            site.enrol(f"phone-{courier}", Role.COURIER, courier=courier)
        yield site


def act(site: Site, operation: Operation, who: str = "maria", **arguments: Any) -> Any:
    return site.wait_for(carry_out(site.app, who, operation, arguments))


def refusal(site: Site, operation: Operation, **arguments: Any) -> str:
    with pytest.raises(BridgeError) as refused:
        act(site, operation, **arguments)
    assert refused.value.fix
    return str(refused.value)


def status(site: Site, order: str) -> dict[str, Any]:
    found: dict[str, Any] = site.app.queries.order(order)["status"]
    return found


def log(site: Site) -> list[AuditEntry]:
    entries: list[AuditEntry] = site.wait_for(acts.audit(site.app))
    return entries


# --- orders -----------------------------------------------------------------------------------------------------------------


def test_an_order_is_held_and_released(site: Site) -> None:
    act(site, order_acts.hold, order="PO-1", reason=HoldReason.ADDRESS)
    assert status(site, "PO-1")["holds"] == ["address"]
    assert refusal(site, order_acts.hold, order="PO-1", reason=HoldReason.ADDRESS) == "order PO-1 is on hold for address already"
    act(site, order_acts.hold, order="PO-1", reason=HoldReason.STOCK)
    assert refusal(site, order_acts.release, order="PO-1") == "order PO-1 is on hold for address, stock"
    assert refusal(site, order_acts.release, order="PO-1", reason=HoldReason.RECALL) == "order PO-1 is not on hold for recall"
    act(site, order_acts.release, order="PO-1", reason=HoldReason.STOCK)
    act(site, order_acts.release, order="PO-1")
    assert "held" not in status(site, "PO-1")["flags"]
    assert refusal(site, order_acts.release, order="PO-1") == "order PO-1 is not on hold"


def test_an_amended_order_is_confirmed(site: Site) -> None:
    site.tell("scan-1", Role.SCANNER, "pick", site.event("scan-1", 1, "PO-1", {"sku": "pen", "qty": 1}))
    assert refusal(site, order_acts.confirm, order="PO-1") == "order PO-1 does not wait to be confirmed"
    act(site, order_acts.amend, order="PO-1", lines={"pen": 2}, reason="the customer called")
    assert "needs_confirm" in status(site, "PO-1")["flags"]
    act(site, order_acts.confirm, order="PO-1")
    assert "needs_confirm" not in status(site, "PO-1")["flags"]
    assert refusal(site, order_acts.amend, order="PO-1", lines={}) == "an order has at least one line"


def test_an_order_is_cancelled_once_and_a_wrong_cancellation_is_taken_back(site: Site) -> None:
    act(site, order_acts.cancel, order="PO-1", reason=CancelReason.MISTAKE)
    assert status(site, "PO-1")["state"] == "cancelled"
    for operation, more in ((order_acts.cancel, {"reason": CancelReason.STOCK}), (order_acts.hold, {"reason": HoldReason.STOCK}), (order_acts.complete, {})):
        assert refusal(site, operation, order="PO-1", **more) == "order PO-1 is cancelled"
    ((event,),) = site.rows("SELECT hex(id) FROM events WHERE type = 'cancelled'")
    act(site, order_acts.void, event=event, reason=order_acts.VoidReason.INCORRECT_DATA)
    assert status(site, "PO-1")["state"] == "paid"
    ((void,),) = site.rows("SELECT hex(id) FROM events WHERE type = 'void'")
    assert refusal(site, order_acts.void, event=void) == "a void can't be taken back"
    for nothing in ("", "zz", "00" * 16):
        assert refusal(site, order_acts.void, event=nothing) == f"there is no event {nothing}"


def test_a_delivered_order_is_completed_by_hand(site: Site) -> None:
    assert refusal(site, order_acts.complete, order="PO-1") == "order PO-1 is paid, not delivered"
    site.tell("phone-anna", Role.COURIER, "delivery", site.event("phone-anna", 1, "PO-1", {"pod": {"method": "photo"}}))
    act(site, order_acts.complete, order="PO-1")
    assert status(site, "PO-1")["state"] == "completed"


def test_a_parcel_gets_a_new_label(site: Site) -> None:
    assert refusal(site, order_acts.relabel, order="PO-1", code="WB-1") == "order PO-1 has no parcel yet"
    site.tell("scan-1", Role.SCANNER, "pack", site.event("scan-1", 1, "PO-1", {"items": [{"sku": "pen", "qty": 1}]}, code="WB-1", parcel="box-1"))
    act(site, order_acts.relabel, order="PO-1", code="WB-2", replaces="WB-1")
    (parcel,) = site.app.queries.order("PO-1")["parcels"]
    assert parcel["codes"] == ["WB-2"]
    assert refusal(site, order_acts.relabel, order="PO-1", code="WB-3", parcel="box-9") == "order PO-1 has no parcel box-9"


def test_an_order_that_nobody_knows_is_said(site: Site) -> None:
    for operation, more in (
        (order_acts.hold, {"reason": HoldReason.STOCK}),
        (order_acts.release, {}),
        (order_acts.confirm, {}),
        (order_acts.cancel, {"reason": CancelReason.STOCK}),
        (order_acts.amend, {"lines": {"pen": 1}}),
        (order_acts.complete, {}),
        (order_acts.relabel, {"code": "WB-1"}),
        (jobs.assign, {"courier": "anna"}),
    ):
        assert refusal(site, operation, order="PO-99", **more) == "there is no order PO-99"


# --- jobs -------------------------------------------------------------------------------------------------------------------


def test_an_order_is_given_only_to_who_can_bring_it(site: Site) -> None:
    assert refusal(site, jobs.assign, order="PO-1", courier="nobody") == "nobody is courier nobody"
    act(site, order_acts.cancel, order="PO-2", reason=CancelReason.STOCK)
    assert refusal(site, jobs.assign, order="PO-2", courier="anna") == "order PO-2 is cancelled: there is nothing to bring"
    act(site, jobs.assign, order="PO-1", courier="anna", job="tour-1")
    assert refusal(site, jobs.assign, order="PO-3", courier="ben", job="tour-1") == "job tour-1 is anna's"
    act(site, jobs.release, job="tour-1", reason="ill")
    assert refusal(site, jobs.assign, order="PO-3", courier="anna", job="tour-1") == "job tour-1 is released"


def test_a_job_is_moved_with_all_its_orders(site: Site) -> None:
    for order in ("PO-1", "PO-2"):
        act(site, jobs.assign, order=order, courier="anna", job="tour-1")
    assert refusal(site, jobs.move, job="tour-1", courier="anna", reason="ill") == "job tour-1 is anna's already"
    assert refusal(site, jobs.move, job="tour-1", courier="nobody", reason="ill") == "nobody is courier nobody"
    (moved,) = act(site, jobs.move, job="tour-1", courier="ben", reason=UnassignReason.ILL.value)
    assert (moved.courier, moved.orders) == ("ben", ("PO-1", "PO-2"))
    assert site.app.queries.jobs(courier="anna", only_open=True) == []
    assert refusal(site, jobs.move, job="tour-1", courier="ben", reason="ill") == "job tour-1 is released"


def test_a_stolen_phone_names_the_jobs_that_nobody_brings_now(site: Site) -> None:
    for n, courier in enumerate(("anna", "anna", "ben"), 1):
        act(site, jobs.assign, order=f"PO-{n}", courier=courier, job=f"tour-{n}")
    site.enrol("phone-anna-2", Role.COURIER, courier="anna")
    assert act(site, devices.revoke, device="phone-anna").jobs == [], "the courier has another phone"
    done = act(site, devices.revoke, device="phone-anna-2", reason="stolen")
    assert (done.courier, done.jobs) == ("anna", ["tour-1", "tour-2"])
    assert log(site)[-1].reason == "stolen"


# --- the audit log ----------------------------------------------------------------------------------------------------------


def test_every_call_is_an_act_or_a_read() -> None:
    assert {name for name, operation in CALLS.items() if operation not in ACTS} == READS | WRITES_ITS_OWN
    assert set(ACTS) <= set(CALLS.values())


def test_every_act_is_in_the_log_before_it_is_done_and_a_failure_is_added(site: Site) -> None:
    act(site, order_acts.hold, "maria", order="PO-1", reason=HoldReason.ADDRESS)
    refusal(site, order_acts.hold, order="PO-1", reason=HoldReason.ADDRESS)
    made = act(site, devices.add, "piet", device="scan-9", role=Role.SCANNER, at="dock-3")
    act(site, devices.revoke, "piet", device="scan-9")
    seen = [(e.who, e.act, e.subject, e.reason, e.failed, e.details) for e in log(site)]
    held = ("maria", "orders.hold", "PO-1", "address")
    assert seen == [
        (*held, None, {}),
        (*held, None, {}),
        (*held, "order PO-1 is on hold for address already", {}),
        ("piet", "device.add", "scan-9", None, None, {"role": "scanner", "at": "dock-3"}),
        ("piet", "device.revoke", "scan-9", None, None, {}),
    ]
    assert all(e.is_sound for e in log(site))
    with closing(sqlite3.connect(site.directory / DATABASE_NAME)) as connection:
        assert made.secret not in "\n".join(connection.iterdump())
    assert site.rows("SELECT count(*) FROM events WHERE device = 'console' AND type = 'held'") == [(1,)]


def test_the_event_of_an_act_names_who_acted(site: Site) -> None:
    act(site, order_acts.hold, "maria", order="PO-1", reason=HoldReason.ADDRESS)
    ((payload,),) = site.rows("SELECT payload FROM events WHERE type = 'held'")
    assert b"maria" not in payload
    ((pseudonym, badge),) = site.rows("SELECT pseudonym, badge FROM workers")
    assert pseudonym.encode() in payload
    assert site.app.vault.open(badge, b"badge\0" + pseudonym.encode()) == b"maria"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET who = 'piet' WHERE no = 2",
        "UPDATE audit SET at_ms = at_ms + 1 WHERE no = 2",
        "DELETE FROM audit WHERE no = 2",
        "INSERT INTO audit SELECT 99, at_ms, who, act, subject, reason, failed, details, chain, person, sealed, sealed_sha256 FROM audit WHERE no = 3",
        "UPDATE audit SET no = CASE no WHEN 2 THEN -3 WHEN 3 THEN -2 ELSE no END; UPDATE audit SET no = abs(no)",
        "UPDATE audit SET sealed = x'00' WHERE no = 4",
        "UPDATE audit SET sealed_sha256 = NULL WHERE no = 4",
    ],
)
def test_a_log_that_was_changed_shows_it(site: Site, change: str) -> None:
    for order in ("PO-1", "PO-2", "PO-3"):
        act(site, order_acts.hold, order=order, reason=HoldReason.STOCK)
    act(site, order_acts.amend, order="PO-1", lines={"MUG": 2}, reason="Ada Vos has called")
    with closing(sqlite3.connect(site.directory / DATABASE_NAME)) as connection:
        connection.executescript(change)
        connection.commit()
    assert not all(e.is_sound for e in log(site))


def test_the_log_is_bounded_whatever_is_said(site: Site) -> None:
    with pytest.raises(NotFound):
        act(site, order_acts.amend, "x" * 500, order="PO-" + "9" * 500, lines={f"sku-{n}": 1 for n in range(500)}, reason="because " * 100)
    for entry in log(site):
        assert len(entry.who) <= 64
        assert len(entry.subject or "") <= 200
        assert len(entry.reason or "") <= 200
        assert len(entry.details["lines"]) == 20

"""Every role and every operation that can be called: the whole table of what a person may do. Also with the arguments that need another right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from helpers.site import Site

from bridge.entrypoints.control.wire import CALLS
from bridge.errors import Refused
from bridge.operations import alerts, order_acts
from bridge.operations.acts import ACTS, Operation, carry_out
from bridge.operations.people_ports import MEANING, RIGHTS, Person, PersonRole, Right
from bridge.operations.rights import MORE, NEEDS, check_may
from devices.protocol.reasons import GUARDED_HOLDS, HoldReason
from devices.protocol.states import AlertCode

_, DESK, LEAD, PRIVACY = PersonRole
EVERYONE: Final = frozenset(PersonRole)
FLOOR: Final = frozenset({DESK, LEAD})
ONLY_LEAD: Final = frozenset({LEAD})
OWNER: Final = frozenset[PersonRole]()
"""Nobody by a role: only the owner of the site's folder, without a name."""

MAY: Final[dict[str, frozenset[PersonRole]]] = {
    **dict.fromkeys(("alerts.acknowledge", "alerts.silence", "alerts.unsilence"), FLOOR),
    "articles.put": ONLY_LEAD,
    "places.put": ONLY_LEAD,
    "places.visits": FLOOR,
    **dict.fromkeys((f"devices.{name}" for name in ("add", "edit", "rotate", "remove", "check", "apply", "open_claims")), ONLY_LEAD),
    **dict.fromkeys(("devices.revoke_claims", "devices.revoke", "devices.certify"), ONLY_LEAD),
    **dict.fromkeys(("jobs.assign", "jobs.release", "jobs.move", "handovers.close"), FLOOR),
    **dict.fromkeys((f"order_acts.{name}" for name in ("hold", "release", "confirm", "cancel", "amend", "complete", "void", "relabel")), FLOOR),
    **dict.fromkeys(("imports.open_channel", "imports.remember_file", "imports.note_file", "imports.submit"), FLOOR),
    **dict.fromkeys(("carrier_files.open_channel", "carrier_files.deny", "exports.remember"), FLOOR),
    **dict.fromkeys(("quarantine.replay", "quarantine.drop", "quarantine.fix"), ONLY_LEAD),
    **dict.fromkeys((f"people.{name}" for name in ("add", "edit", "disable", "enable", "set_password", "add_token", "revoke_token")), OWNER),
    **dict.fromkeys((f"workers.{name}" for name in ("list_workers", "name", "name_courier")), ONLY_LEAD),
    "workers.may_look": EVERYONE,
    "couriers.look": ONLY_LEAD,
    **dict.fromkeys(("couriers.count", "couriers.end_shift"), FLOOR),
    "exposure.look": frozenset({LEAD, PRIVACY}),
    **dict.fromkeys(("people.set_totp", "people.remove_totp", "logins.log_in"), OWNER),
    "audit_log.look": frozenset({LEAD, PRIVACY}),
    "quarantine.look": ONLY_LEAD,
    **dict.fromkeys(("contacts.show", "contacts.find", "contacts.note"), FLOOR | {PRIVACY}),
    **dict.fromkeys(("forgetting.forget", "forgetting.legal_hold", "forgetting.lift_legal_hold", "subjects.export_subject"), frozenset({PRIVACY})),
    **dict.fromkeys(("leaving.forget_worker", "leaving.forget_courier", "leaving.look"), frozenset({PRIVACY})),
    **dict.fromkeys((f"keys.{name}" for name in ("status", "backed_up", "restored", "rotate", "destroy")), OWNER),
    **dict.fromkeys(("missing.give_up", "database.rebuild", "server.reload", "server.reload_certificate"), OWNER),
    **dict.fromkeys((f"server.{name}" for name in ("about", "connected", "counters", "figures", "batch_times", "failed_logins")), EVERYONE),
}
"""Who may call what, with arguments that need nothing more."""

ORDERS: Final = {
    "PO-1": (HoldReason.STOCK,),
    "PO-2": (HoldReason.FRAUD,),
    "PO-3": (HoldReason.STOCK, HoldReason.CUSTOMS),
}
"""The site's orders, with their holds."""
HARMLESS: Final[dict[str, dict[str, Any]]] = {
    "alerts.acknowledge": {"code": AlertCode.LOST, "subject": "PO-1"},
    "alerts.silence": {"code": AlertCode.LOST},
    "order_acts.release": {"order": "PO-1"},
    "order_acts.void": {"event": "00"},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("roles") / "site"
    with Site(folder) as site:
        site.create(*ORDERS)
        for order, reasons in ORDERS.items():
            for reason in reasons:
                site.wait_for(carry_out(site.app, "root", order_acts.hold, {"order": order, "reason": reason}))
        yield site


def may(site: Site, role: PersonRole, operation: Operation, arguments: dict[str, Any]) -> bool:
    person = Person(name="kim", role=role, created_ms=0, disabled_ms=None, has_password=False, totp_ms=None, recovery_codes=0, tokens=1)
    try:
        check_may(site.app, person, operation, arguments)
    except Refused:
        return False
    return True


def able(site: Site, operation: Operation, **arguments: Any) -> frozenset[PersonRole]:
    return frozenset(role for role in PersonRole if may(site, role, operation, arguments))


def test_each_role_may_call_what_the_table_says_and_nothing_else(site: Site) -> None:
    assert {name: able(site, operation, **HARMLESS.get(name, {})) for name, operation in CALLS.items()} == MAY


def test_whatever_can_be_called_needs_a_right(site: Site) -> None:
    assert NEEDS.keys() == set(CALLS.values()) | ACTS.keys()
    assert MORE.keys() <= NEEDS.keys()
    assert RIGHTS.keys() == set(PersonRole)
    assert MEANING.keys() == set(Right)


@pytest.mark.parametrize("reason", HoldReason)
def test_only_a_lead_lifts_a_guarded_hold_that_is_named(site: Site, reason: HoldReason) -> None:
    assert able(site, order_acts.release, order="PO-1", reason=reason) == (ONLY_LEAD if reason in GUARDED_HOLDS else FLOOR)


@pytest.mark.parametrize(
    ("arguments", "roles"),
    [
        ({"order": "PO-1"}, FLOOR),
        ({"order": "PO-2"}, ONLY_LEAD),
        ({"order": "PO-3"}, ONLY_LEAD),
        ({"order": "PO-3", "reason": HoldReason.STOCK}, FLOOR),
        ({"order": "PO-1", "everything": True}, ONLY_LEAD),
        ({"order": "PO-1", "reason": HoldReason.STOCK, "everything": True}, ONLY_LEAD),
        ({"order": "PO-404"}, FLOOR),
    ],
    ids=lambda v: " ".join(map(str, v.values())) if isinstance(v, dict) else "",
)
def test_only_a_lead_lifts_a_guarded_hold_that_is_not_named(site: Site, arguments: dict[str, Any], roles: frozenset[PersonRole]) -> None:
    assert able(site, order_acts.release, **arguments) == roles


def test_only_a_lead_takes_back_a_hold(site: Site) -> None:
    ((held,),) = site.rows("SELECT id FROM events WHERE type = 'held' AND order_id = 'PO-2'")
    ((created,),) = site.rows("SELECT id FROM events WHERE type = 'created' AND order_id = 'PO-2'")
    assert able(site, order_acts.void, event=held.hex()) == ONLY_LEAD
    assert able(site, order_acts.void, event=created.hex()) == FLOOR


def test_only_a_lead_answers_for_a_label_that_moved(site: Site) -> None:
    for operation in (alerts.acknowledge, alerts.silence):
        assert able(site, operation, code=AlertCode.LABEL_MOVED, subject="PO-1") == ONLY_LEAD

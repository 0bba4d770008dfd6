"""Which right each operation needs, when a person asks for it under their own name. One table; a test holds it against every operation that can be called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from bridge.errors import Refused
from bridge.operations import (
    alerts,
    articles,
    audit_log,
    carrier_files,
    contacts,
    couriers,
    database,
    devices,
    exports,
    exposure,
    forgetting,
    handovers,
    imports,
    jobs,
    keys,
    leaving,
    logins,
    missing,
    order_acts,
    people,
    places,
    quarantine,
    server,
    subjects,
    workers,
)
from bridge.operations.people_ports import MEANING, RIGHTS, Person, PersonRole, Right
from bridge.operations.ports import SiteContext
from devices.protocol.reasons import GUARDED_HOLDS
from devices.protocol.states import AlertCode
from devices.protocol.vocabulary import EventType

Operation = Callable[..., Awaitable[Any]]

_OPERATIONS: Final[Mapping[Right, tuple[Operation, ...]]] = {
    Right.LOOK: (workers.may_look, server.about, server.connected, server.counters, server.figures, server.batch_times, server.failed_logins),
    Right.WORK: (
        *(alerts.acknowledge, alerts.silence, alerts.unsilence),
        *(jobs.assign, jobs.release, jobs.move, handovers.close),
        *(imports.open_channel, imports.remember_file, imports.note_file, imports.submit),
        *(carrier_files.open_channel, carrier_files.deny, exports.remember),
        *(order_acts.hold, order_acts.release, order_acts.confirm, order_acts.cancel, order_acts.amend, order_acts.complete),
        *(order_acts.void, order_acts.relabel, couriers.count, couriers.end_shift),
    ),
    Right.DEVICES: (
        *(devices.add, devices.edit, devices.rotate, devices.revoke, devices.remove, devices.apply, devices.revoke_claims, devices.certify),
        *(devices.check, devices.open_claims),
    ),
    Right.MEND: (articles.put, places.put, quarantine.replay, quarantine.drop, quarantine.fix, quarantine.look),
    Right.AUDIT: (audit_log.look,),
    Right.CONTACTS: (contacts.show, contacts.find, contacts.note),
    Right.POSITIONS: (places.visits,),
    Right.WORKERS: (workers.list_workers, workers.name, workers.name_courier, couriers.look),
    Right.EXPOSED: (exposure.look,),
    Right.FORGET: (
        *(forgetting.forget, forgetting.legal_hold, forgetting.lift_legal_hold, subjects.export_subject),
        *(leaving.forget_worker, leaving.forget_courier, leaving.look),
    ),
    Right.OWN: (
        *(people.add, people.edit, people.disable, people.enable, people.set_password, people.add_token, people.revoke_token),
        *(people.set_totp, people.remove_totp, logins.log_in),
        *(keys.status, keys.backed_up, keys.restored, keys.rotate, keys.destroy),
        *(missing.give_up, database.rebuild, server.reload, server.reload_certificate),
    ),
}

NEEDS: Final[Mapping[Operation, Right]] = {operation: right for right, operations in _OPERATIONS.items() for operation in operations}
"""The right that an operation needs."""


def _lifts_guarded(site: SiteContext, arguments: Mapping[str, Any]) -> bool:
    """Whether a release may lift a guarded hold. `everything` may always: one can come in before it is carried out."""
    reason: str | None = arguments.get("reason")
    if arguments.get("everything"):
        return True
    if reason is not None:
        return reason in GUARDED_HOLDS
    found = site.queries.order(arguments["order"])
    holds: list[str] = found["status"].get("holds", []) if found is not None else []
    return not GUARDED_HOLDS.isdisjoint(holds)


def _takes_back_hold(site: SiteContext, arguments: Mapping[str, Any]) -> bool:
    """Whether a void takes back a hold, which lifts it as well."""
    return any(row["type"] == EventType.HELD for row in site.queries.events_with_id(order_acts.event_ref(arguments["event"])))


def _is_about_moved_label(_site: SiteContext, arguments: Mapping[str, Any]) -> bool:
    code: AlertCode = arguments["code"]
    return code is AlertCode.LABEL_MOVED


MORE: Final[Mapping[Operation, tuple[Callable[[SiteContext, Mapping[str, Any]], bool], Right]]] = {
    order_acts.release: (_lifts_guarded, Right.LIFT_GUARDED),
    order_acts.void: (_takes_back_hold, Right.LIFT_GUARDED),
    alerts.acknowledge: (_is_about_moved_label, Right.MOVED_LABELS),
    alerts.silence: (_is_about_moved_label, Right.MOVED_LABELS),
}
"""Operations that need another right with some arguments: when, and which one."""


def right_needed(site: SiteContext, operation: Operation, arguments: Mapping[str, Any]) -> Right:
    """The right that an operation needs with these arguments."""
    if operation in MORE:
        needs_more, right = MORE[operation]
        if needs_more(site, arguments):
            return right
    return NEEDS[operation]


def check_may(site: SiteContext, person: Person, operation: Operation, arguments: Mapping[str, Any]) -> None:
    """Make sure that a person may do this.

    Raises:
        Refused: if their role does not allow it.
    """
    right = right_needed(site, operation, arguments)
    if right not in RIGHTS[person.role]:
        able = roles_with(right)
        who = f"someone with the role {' or '.join(able)}" if able else "the owner of the site's folder, who needs no --as"
        raise Refused(f"{person.name} has the role {person.role}, which may not {MEANING[right]}", fix=f"ask {who}; `dockbridge people roles` lists all")


def roles_with(right: Right) -> list[PersonRole]:
    """The roles that have a right."""
    return [role for role in PersonRole if right in RIGHTS[role]]

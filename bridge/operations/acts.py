"""Acts of people: which operations they are, who carries one out, and the audit log that has them all.

An act is in the log before it is done; if it fails, a second entry says so. So nothing is done that is not in the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from bridge.errors import BridgeError
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
    missing,
    order_acts,
    people,
    places,
    quarantine,
    server,
    subjects,
    workers,
)
from bridge.operations.audit import AuditEntry
from bridge.operations.people_ports import RIGHTS, Credential
from bridge.operations.ports import SiteContext, SiteReader
from bridge.operations.rights import check_may
from bridge.operations.who import MAY, PERSON, WHO

Operation = Callable[..., Awaitable[Any]]

NAME_CHARS_MAX: Final = 64
TEXT_CHARS_MAX: Final = 200
PRIVATE: Final = (
    "password_hash",
    "claim",
    "token_sha256",
    "phone",
    "last4",
    "surname",
    "text",
    "totp_secret",
    "totp_code",
    "recovery_sha256",
    "badge",
    "full_name",
)


class _Kept(NamedTuple):
    """What of an act's arguments the log keeps: which one it is about, which are only counted, and which are changes of devices, by action. What is private
    it does not keep."""

    subject: str | None
    counted: tuple[str, ...] = ()
    changes: str = ""


ACTS: Final[Mapping[Operation, tuple[str, _Kept]]] = {
    alerts.acknowledge: ("alerts.acknowledge", _Kept("subject")),
    alerts.silence: ("alerts.silence", _Kept("subject")),
    alerts.unsilence: ("alerts.unsilence", _Kept("subject")),
    articles.put: ("articles.put", _Kept(None, ("articles",))),
    places.put: ("places.put", _Kept(None, ("places",))),
    places.visits: ("places.visits", _Kept("device")),
    handovers.close: ("carriers.handover", _Kept("carrier", ("window",))),
    audit_log.look: ("audit.list", _Kept(None)),
    forgetting.forget: ("forget", _Kept("order")),
    subjects.export_subject: ("export-subject", _Kept("order")),
    keys.backed_up: ("keys.backup", _Kept("key")),
    keys.restored: ("keys.restore", _Kept("key")),
    keys.rotate: ("keys.rotate", _Kept(None, ("on_progress",))),
    keys.destroy: ("keys.destroy", _Kept("key")),
    forgetting.legal_hold: ("orders.legal-hold", _Kept("order")),
    forgetting.lift_legal_hold: ("orders.legal-hold.lift", _Kept("order")),
    contacts.show: ("contacts.show", _Kept("order")),
    contacts.find: ("contacts.find", _Kept(None)),
    contacts.note: ("orders.note", _Kept("order")),
    quarantine.look: ("quarantine.show", _Kept("no")),
    devices.add: ("device.add", _Kept("device")),
    devices.edit: ("device.edit", _Kept("device")),
    devices.rotate: ("device.rotate", _Kept("device")),
    devices.revoke: ("device.revoke", _Kept("device")),
    devices.remove: ("device.remove", _Kept("device")),
    devices.apply: ("device.change", _Kept(None, changes="changes")),
    devices.revoke_claims: ("device.claims.revoke", _Kept(None)),
    devices.certify: ("device.certify", _Kept("device")),
    jobs.assign: ("jobs.assign", _Kept("order")),
    jobs.release: ("jobs.release", _Kept("job")),
    jobs.move: ("jobs.move", _Kept("job")),
    carrier_files.open_channel: ("carriers.import", _Kept("channel")),
    exports.remember: ("orders.export", _Kept("channel")),
    imports.open_channel: ("orders.import", _Kept("channel")),
    imports.remember_file: ("orders.import-file", _Kept("name", ("files_max",))),
    people.add: ("people.add", _Kept("name", ("people_max",))),
    people.edit: ("people.edit", _Kept("name")),
    people.disable: ("people.disable", _Kept("name")),
    people.enable: ("people.enable", _Kept("name")),
    people.set_password: ("people.password", _Kept("name")),
    people.add_token: ("people.token", _Kept("name", ("tokens_max",))),
    people.revoke_token: ("people.revoke-token", _Kept("name")),
    people.set_totp: ("people.totp", _Kept("name")),
    people.remove_totp: ("people.remove-totp", _Kept("name")),
    quarantine.replay: ("quarantine.replay", _Kept("nos")),
    quarantine.drop: ("quarantine.drop", _Kept("nos")),
    quarantine.fix: ("quarantine.fix", _Kept("no", ("payload",))),
    missing.give_up: ("db.give-up", _Kept("device")),
    database.rebuild: ("db.rebuild", _Kept(None, ("on_progress",))),
    order_acts.hold: ("orders.hold", _Kept("order")),
    order_acts.release: ("orders.release", _Kept("order")),
    order_acts.confirm: ("orders.confirm", _Kept("order")),
    order_acts.cancel: ("orders.cancel", _Kept("order")),
    order_acts.amend: ("orders.amend", _Kept("order")),
    order_acts.complete: ("orders.complete", _Kept("order")),
    order_acts.void: ("events.void", _Kept("event")),
    order_acts.relabel: ("parcels.relabel", _Kept("order")),
    server.reload: ("server.reload", _Kept(None)),
    couriers.look: ("couriers.day", _Kept("courier")),
    couriers.count: ("couriers.count", _Kept("courier")),
    couriers.end_shift: ("couriers.end-shift", _Kept("courier", ("longest_ms",))),
    workers.list_workers: ("workers.list", _Kept(None)),
    workers.name: ("workers.name", _Kept(None)),
    workers.name_courier: ("workers.name", _Kept("courier")),
    leaving.forget_worker: ("forget", _Kept(None)),
    leaving.forget_courier: ("forget", _Kept("courier")),
    leaving.look: ("export-subject", _Kept("courier")),
    exposure.look: ("privacy.exposed", _Kept("device")),
}
"""Every operation that changes something for others, by the name that the log gives it."""


async def carry_out(site: SiteContext, who: str, operation: Operation, arguments: Mapping[str, Any], credential: Credential | None = None) -> Any:
    """Carry out an operation in the name of a user of the operating system, or of the person whose credential came with it: then only what their role allows.
    If it is an act, it is in the audit log.

    Raises:
        BridgeError: if it can't be carried out, the token is not valid, or the person may not do this.
    """
    WHO.set(who[:NAME_CHARS_MAX])
    MAY.set(None if credential is None else ())
    PERSON.set(None)
    asks = _Asks(site, who[:NAME_CHARS_MAX], None, operation, arguments)
    try:
        if credential is not None:
            person = site.people.proven(credential, now_ms=site.clock.now_ms())
            asks = asks._replace(person=person.name)
            MAY.set(RIGHTS[person.role])
            PERSON.set(person.name)
            check_may(site, person, operation, arguments)
        await _note(asks, None)
        return await operation(site, **arguments)
    except BridgeError as error:
        await _note(asks, str(error)[:TEXT_CHARS_MAX])
        raise


class _Asks(NamedTuple):
    """Who asks for what; `person` is None as long as no token has proved one."""

    site: SiteContext
    who: str
    person: str | None
    operation: Operation
    arguments: Mapping[str, Any]


async def _note(asks: _Asks, failed: str | None) -> None:
    """Write an act into the log; anything else leaves no entry."""
    if asks.operation not in ACTS:
        return
    (act, kept), site, arguments = ACTS[asks.operation], asks.site, asks.arguments
    subject = arguments.get(kept.subject) if kept.subject is not None else None
    reason = arguments.get("reason")
    left_out = {kept.subject, "reason", *kept.counted, kept.changes, *PRIVATE}
    details = {name: _kept(value) for name, value in arguments.items() if name not in left_out and value}
    for change in arguments.get(kept.changes, ()):
        details.setdefault(change.action.value, []).append(change.device)
    details |= {name: len(arguments[name]) for name in kept.counted if hasattr(arguments.get(name), "__len__")}
    at_ms = site.clock.now_ms()
    await site.on_writer(
        lambda: site.audit.append(
            at_ms=at_ms,
            who=asks.who,
            person=asks.person,
            act=act,
            subject=str(subject)[:TEXT_CHARS_MAX] if subject is not None else None,
            reason=reason if isinstance(reason, StrEnum) else str(reason)[:TEXT_CHARS_MAX] if reason is not None else None,
            details=details,
            failed=failed,
        )
    )


def _kept(value: Any) -> Any:
    """An argument as the log keeps it: plain, and bounded."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, list | tuple):
        return [_kept(v) for v in value[:20]]
    if isinstance(value, dict):
        return {str(k): _kept(v) for k, v in list(value.items())[:20]}
    return str(value)[:TEXT_CHARS_MAX]


async def audit(site: SiteReader) -> list[AuditEntry]:
    """Every entry of the audit log, oldest first, each with whether it follows from the one before."""
    return list(site.audit.entries())

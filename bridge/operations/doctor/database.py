"""Checks of the database: whether it is there, sound, and says what its events say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from bridge.config import CONFIG_NAME, DATABASE_NAME, LOG_PINNED_FACTOR, Settings
from bridge.operations.doctor.findings import NAMED_MAX, Finding, Trouble, Weight, named
from bridge.operations.doctor.folder import put_aside
from bridge.operations.doctor.patient import DatabaseState, Patient
from bridge.operations.fleet import ALL_ORDERS
from bridge.operations.ports import Device, OnProgress
from bridge.words import counted
from devices.protocol.vocabulary import Role

SAMPLE_ORDERS: Final = 200
"""Orders whose states are compared with their events, without --deep."""
S: Final = DatabaseState
_GONE: Final = {
    S.MISSING: (Trouble.DATABASE_MISSING, f"{DATABASE_NAME} is missing, and {CONFIG_NAME} is here: this site had a database"),
    S.EMPTY: (Trouble.DATABASE_EMPTY, f"{DATABASE_NAME} is empty: this site had a database"),
    S.UNREADABLE: (Trouble.DATABASE_UNREADABLE, f"{DATABASE_NAME} can't be read: {{detail}}"),
    S.FOREIGN: (Trouble.DATABASE_FOREIGN, f"{DATABASE_NAME} is that of site {{detail}}"),
}


def presence(patient: Patient) -> Iterable[Finding]:
    state, detail = patient.database.state, patient.database.detail
    if state is S.MISSING and put_aside(patient):
        return  # an interrupted restore, which is a finding of its own
    if state in _GONE:
        code, what = _GONE[state]
        own = patient.database.fix
        back = _WayBack(f"{own[:1].upper()}{own[1:]}.") if own is not None else _way_back(patient, can_be_saved=state is S.UNREADABLE)
        yield Finding(code=code, what=what.format(detail=detail), fix=back.fix, command=back.command)
    elif state is S.NEWER:
        yield Finding(
            code=Trouble.DATABASE_NEWER,
            what=f"a newer version of dockbridge wrote the database (revision {detail})",
            fix="Install that version, or a newer one. To go back for good: restore the copy that its upgrade made (dockbridge-before-….db).",
        )
    elif state is S.OLDER:
        yield Finding(
            code=Trouble.DATABASE_OLDER,
            weight=Weight.NOTE,
            what=f"the database has the form of an earlier version (revision {detail}); the next start of the server brings it to this one's, after a copy",
            fix="Start the server; the rest is checked then.",
            command=patient.command("serve"),
        )


class _WayBack(NamedTuple):
    """How a site gets its database back: the fix and the command of a finding."""

    fix: str
    command: str | None = None


def _way_back(patient: Patient, *, can_be_saved: bool) -> _WayBack:
    if patient.backups:
        fix = "Stop the server, and put the newest backup in its place; devices then send again what they still have."
        return _WayBack(fix, patient.command("db", "restore", patient.backups[-1].file))
    if can_be_saved:
        fix = "Stop the server. There is no scheduled backup: restore one from elsewhere, or save what can be read, then `dockbridge db restore saved.db`."
        return _WayBack(fix, patient.command("db", "salvage", "saved.db"))
    return _WayBack(f"Put a backup in its place with `dockbridge db restore FILE`; or, to begin anew, move {CONFIG_NAME} away and run `dockbridge init`.")


def pages(patient: Patient, *, deep: bool) -> Iterable[Finding]:
    if faults := patient.database.page_faults(deep=deep):
        back = _way_back(patient, can_be_saved=True)
        yield Finding(code=Trouble.DATABASE_DAMAGED, what=f"the database is damaged: {named(faults)}", fix=back.fix, command=back.command)


def states(patient: Patient, *, deep: bool, on_progress: OnProgress) -> Iterable[Finding]:
    if differ := patient.database.differing_orders(orders_max=None if deep else SAMPLE_ORDERS, on_progress=on_progress):
        yield Finding(
            code=Trouble.STATES_DIFFER,
            what=f"{counted(len(differ), 'order')} {'has' if len(differ) == 1 else 'have'} another state than the events give: {named(differ)}",
            fix="Derive all orders anew from their events.",
            command=patient.command("db", "rebuild"),
        )


def retained(patient: Patient) -> Iterable[Finding]:
    if topics := patient.database.shown_without_order():
        yield Finding(
            code=Trouble.RETAINED_WITHOUT_ORDER,
            what=f"{counted(len(topics), 'retained topic')} of orders that there are not: {named(topics)}",
            fix="Derive everything anew from the events.",
            command=patient.command("db", "rebuild"),
        )


def write_ahead_log(patient: Patient) -> Iterable[Finding]:
    assert isinstance(patient.settings, Settings)
    waits = patient.database.unmoved_log_bytes
    if waits <= LOG_PINNED_FACTOR * patient.settings.ingest.database_log_bytes:
        return
    readers = [holder for holder in patient.database.readers() if holder.pid is not None]
    by = f"; {', '.join(f'{r.name} (process {r.pid})' for r in readers[:NAMED_MAX])} has it open" if readers else ""
    yield Finding(
        code=Trouble.LOG_PINNED,
        what=f"{waits / 1e6:,.0f} MB of the write-ahead log can't be moved into the database, because some program reads it for long{by}",
        fix="End that program, or let it read a backup instead." if readers else "Find the program (`fuser -v dockbridge.db`) and end it.",
        command=patient.shell("kill", *[str(r.pid) for r in readers]) if readers else None,
    )


def revocations(patient: Patient) -> Iterable[Finding]:
    for was, is_known in patient.database.lost_changes():
        if not was.is_admitted:
            what = f"{was.device} was revoked, and the database lets it in: an old database was put in place by hand"
            command = patient.command("device", "revoke", was.device, "--reason", "revoked before") if is_known else None
        else:
            what = f"{was.device} was enrolled or got a new password, and the database does not know it: an old database was put in place by hand"
            command = patient.command("device", "rotate", was.device) if is_known else patient.command("device", "add", was.device, *_enrolment(was))
        fix = "Do it again; or put the database in place with `dockbridge db restore`, which does it for all devices."
        yield Finding(code=Trouble.REVOCATION_LOST, what=what, fix=fix, command=command)


def _enrolment(was: Device) -> list[str]:
    """The options with which a device was enrolled."""
    orders = (was.orders_prefix or ALL_ORDERS) if was.role is Role.SYSTEM else None
    options = {"--role": was.role.value, "--courier": was.courier, "--orders": orders, "--at": was.at}
    return [word for option, value in options.items() if value is not None for word in (option, value)]


def audit(patient: Patient) -> Iterable[Finding]:
    wrong = next((entry.no for entry in patient.site.audit.entries() if not entry.is_sound), None)
    if wrong is not None:
        yield Finding(
            code=Trouble.AUDIT_BROKEN,
            what=f"entry {wrong} of the audit log does not follow from the one before: somebody has changed the log",
            fix="Whoever keeps copies of the log (`dockbridge audit export`) compares it with them from that entry on, and finds out who wrote to it.",
        )

"""The table of checks, and how a site is examined: every check that what was found so far allows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple

from msgspec import Struct

from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.ingest.ports import StoreUnavailable
from bridge.operations.doctor import certificates, database, folder, keys, people, server
from bridge.operations.doctor.findings import Finding, Weight
from bridge.operations.doctor.patient import DatabaseState, Patient
from bridge.operations.ports import OnProgress

OnCheck = Callable[[str, int, int], None]
"""Called with the check that is being done and its number, of how many; by a long check also with how much of it is done, of how much."""


class Needs(StrEnum):
    """What a check can't do without."""

    NOTHING = "nothing"
    SETTINGS = "the configuration"
    DATABASE = "the database"


class How(NamedTuple):
    """How thoroughly a check looks, and whom it tells how far it is."""

    deep: bool
    on_progress: OnProgress


class Check(NamedTuple):
    """One check: its name, what it needs, and the function that looks."""

    name: str
    needs: Needs
    look: Callable[[Patient, How], Awaitable[Iterable[Finding]]]


def _plain(look: Callable[[Patient], Iterable[Finding]]) -> Callable[[Patient, How], Awaitable[Iterable[Finding]]]:
    async def looked(patient: Patient, _: How) -> Iterable[Finding]:
        return look(patient)

    return looked


async def _pages(patient: Patient, how: How) -> Iterable[Finding]:
    return database.pages(patient, deep=how.deep)


async def _states(patient: Patient, how: How) -> Iterable[Finding]:
    return database.states(patient, deep=how.deep, on_progress=how.on_progress)


async def _owing(patient: Patient, _: How) -> Iterable[Finding]:
    return await people.owing(patient)


async def _orders(patient: Patient, _: How) -> Iterable[Finding]:
    return await people.orders(patient)


CHECKS: Final = (
    Check("configuration", Needs.NOTHING, _plain(folder.configuration)),
    Check("leftovers", Needs.NOTHING, _plain(folder.leftovers)),
    Check("rights of files", Needs.NOTHING, _plain(folder.rights)),
    Check("disk", Needs.NOTHING, _plain(folder.disk)),
    Check("certificates", Needs.SETTINGS, _plain(certificates.certificates)),
    Check("database", Needs.SETTINGS, _plain(database.presence)),
    Check("server", Needs.SETTINGS, _plain(server.server)),
    Check("addresses", Needs.DATABASE, _plain(server.addresses)),
    Check("clock", Needs.DATABASE, _plain(server.clock)),
    Check("backups", Needs.DATABASE, _plain(server.backups)),
    Check("write-ahead log", Needs.DATABASE, _plain(database.write_ahead_log)),
    Check("pages of the database", Needs.DATABASE, _pages),
    Check("states of orders", Needs.DATABASE, _states),
    Check("retained topics", Needs.DATABASE, _plain(database.retained)),
    Check("credentials", Needs.DATABASE, _plain(database.revocations)),
    Check("keys", Needs.DATABASE, _plain(keys.keys)),
    Check("audit log", Needs.DATABASE, _plain(database.audit)),
    Check("alerts", Needs.DATABASE, _plain(people.alerts)),
    Check("what devices owe", Needs.DATABASE, _owing),
    Check("quarantine", Needs.DATABASE, _plain(people.quarantine)),
    Check("orders", Needs.DATABASE, _orders),
)
"""Every check, in the order in which they are done: what others need comes first."""


class Checked(Struct, frozen=True, kw_only=True):
    """What a check found. `skipped`: what it lacks, which is a finding of another check; `failed`: why it could not be finished."""

    check: str
    findings: list[Finding] = []
    skipped: str | None = None
    failed: str | None = None

    @property
    def is_ok(self) -> bool:
        return not self.findings and self.skipped is None and self.failed is None

    @property
    def is_wrong(self) -> bool:
        return self.failed is not None or any(finding.weight is Weight.WRONG for finding in self.findings)


class Examined(Struct, frozen=True, kw_only=True):
    """What all checks found. `healthy`: nothing is wrong; there may be notes."""

    healthy: bool
    checks: list[Checked]

    @property
    def findings(self) -> list[Finding]:
        return [finding for check in self.checks for finding in check.findings]


async def examine(patient: Patient, *, deep: bool, on_check: OnCheck) -> Examined:
    """Examine a site. Nothing of it is changed, and a server may run.

    Args:
        deep: compare every order with its events, and check indexes too.
    """
    done: list[Checked] = []
    for number, check in enumerate(CHECKS, 1):
        on_check(check.name, number, len(CHECKS))
        done.append(await _checked(check, patient, How(deep, partial(on_check, check.name))))
    return Examined(healthy=not any(check.is_wrong for check in done), checks=done)


async def _checked(check: Check, patient: Patient, how: How) -> Checked:
    if check.needs is not Needs.NOTHING and not (patient.folder.is_writable or patient.folder.file_system.is_read_only):
        return Checked(check=check.name, skipped="this user may not use the site")
    if check.needs is not Needs.NOTHING and not isinstance(patient.settings, Settings):
        return Checked(check=check.name, skipped="the configuration can't be read")
    if check.needs is Needs.DATABASE and patient.database.state is not DatabaseState.READABLE:
        return Checked(check=check.name, skipped="the database can't be read")
    try:
        return Checked(check=check.name, findings=list(await check.look(patient, how)))
    except (BridgeError, StoreUnavailable, OSError) as error:
        return Checked(check=check.name, failed=str(error))

"""Workers and couriers who leave, or ask what is kept about them. What they did stays in the log; that it was them is forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from bridge.errors import NotFound, SiteError
from bridge.ingest.sealing import surname_of
from bridge.ingest.workers import WorkerRow
from bridge.operations.forgetting import spellings, typed_forms
from bridge.operations.names import check_courier
from bridge.operations.ports import SiteContext, SiteReader
from bridge.operations.privacy_ports import BackupLeft, Proof
from bridge.operations.worker_ports import EventBy
from bridge.operations.workers import Worker, badge_of, name_of, name_of_courier

EVENTS_MAX: Final = 100_000
"""Events of one person that an export has."""
_FIX: Final = "`dockbridge workers list` shows all"


class StaffForgotten(Struct, frozen=True, kw_only=True):
    """How many pseudonyms of a worker can't be linked to their badge any more, and the proof: where was looked for the name afterwards, and the backups that
    still hold it."""

    pseudonyms: int
    proof: Proof
    backups: list[BackupLeft]


class StaffKept(Struct, frozen=True, kw_only=True):
    """What is kept about a worker or a courier: pseudonyms with badge and name, the courier's name, and what they did. `is_cut`: they did more."""

    made_ms: int
    pseudonyms: list[Worker]
    courier: str | None
    name: str | None
    events: list[EventBy]
    is_cut: bool


async def forget_worker(site: SiteContext, badge: str, reason: str = "") -> StaffForgotten:
    """Forget whose pseudonyms those of a badge are, given the badge or one of them; from now on it has another.

    Raises:
        NotFound: if none is known.
    """
    now_ms = site.clock.now_ms()
    rows = await site.on_writer(lambda: site.privacy.forget_worker(badge, at_ms=now_ms))
    if not rows:
        raise NotFound("no pseudonym of this badge is known", fix=_FIX)
    sealed = [part for row in rows for part in (row.badge, row.name) if part is not None]
    return await _proven(site, _names(site, rows), sealed, pseudonyms=len(rows))


async def forget_courier(site: SiteContext, courier: str, reason: str = "") -> StaffForgotten:
    """Forget a courier's name, and where their phones were.

    Raises:
        NotFound: if there is no such courier.
    """
    check_courier(site, courier)
    name, now_ms = _name_of_courier(site, courier), site.clock.now_ms()
    sealed = await site.on_writer(lambda: site.privacy.forget_courier(courier, at_ms=now_ms))
    return await _proven(site, [name] if name is not None else [], [sealed] if sealed is not None else [], pseudonyms=0)


async def look(site: SiteContext, badge: str | None = None, courier: str | None = None, reason: str = "") -> None:
    """Someone looks at what is kept about a worker or a courier: an act, for those who may."""


async def export_worker(site: SiteReader, badge: str, now_ms: int) -> StaffKept:
    """Everything that is kept about a worker, given the badge or one of its pseudonyms. It reads the whole log: `look` comes first.

    Raises:
        NotFound: if none is known.
        SiteError: if a key is missing with which it was sealed.
    """
    everyone = [(row, badge_of(site, row)) for row in site.queries.workers()]
    badges = {on_badge for row, on_badge in everyone if badge in (on_badge, row.pseudonym)}
    found = [
        Worker(pseudonym=row.pseudonym, badge=on_badge, name=name_of(site, row), since_ms=row.since_ms, last_ms=row.last_ms)
        for row, on_badge in everyone
        if on_badge in badges
    ]
    if not found:
        raise NotFound("no pseudonym of this badge is known", fix=_FIX)
    return _kept(site, now_ms, found, None, None)


async def export_courier(site: SiteReader, courier: str, now_ms: int) -> StaffKept:
    """Everything that is kept about a courier; as `export_worker`.

    Raises:
        NotFound: if there is no such courier.
    """
    check_courier(site, courier)
    return _kept(site, now_ms, [], courier, _name_of_courier(site, courier))


def _kept(site: SiteReader, now_ms: int, found: list[Worker], courier: str | None, name: str | None) -> StaffKept:
    events = site.queries.events_by([worker.pseudonym for worker in found], courier, limit=EVENTS_MAX + 1)
    return StaffKept(made_ms=now_ms, pseudonyms=found, courier=courier, name=name, events=events[:EVENTS_MAX], is_cut=len(events) > EVENTS_MAX)


async def _proven(site: SiteContext, names: Sequence[str], sealed: Sequence[bytes], *, pseudonyms: int) -> StaffForgotten:
    """Forget also what people typed of somebody, and look for what is left."""
    spelt = spellings(names)
    if names:
        await site.on_writer(lambda: site.privacy.forget_texts(spelt, typed_forms(names, [surname_of(name) for name in names])))
    return StaffForgotten(pseudonyms=pseudonyms, proof=await site.privacy.prove(spelt, sealed), backups=site.privacy.backups())


def _names(site: SiteReader, rows: Sequence[WorkerRow]) -> list[str]:
    """The names of these rows; what can't be opened can't be looked for."""
    found: dict[str, None] = {}
    for row in rows:
        try:
            name = name_of(site, row)
        except SiteError:
            continue
        if name is not None:
            found[name] = None
    return list(found)


def _name_of_courier(site: SiteReader, courier: str) -> str | None:
    return next((name_of_courier(site, row) for row in site.queries.courier_names() if row.courier == courier), None)

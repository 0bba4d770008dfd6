"""Workers and couriers by name, for those who may know. The log has pseudonyms; what links them to people is sealed, and deleted after some time."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from bridge.errors import NotFound, Refused, SiteError
from bridge.ingest.workers import ABOUT_NAME, WorkerRow, about_badge, about_courier
from bridge.operations.names import check_courier
from bridge.operations.people_ports import Right
from bridge.operations.ports import SiteContext, SiteReader
from bridge.operations.who import MAY

BADGE_CHARS_MAX: Final = 64
NAME_CHARS_MAX: Final = 200
UNKNOWN: Final = "unknown"
"""Stands for everyone whose pseudonym can't be linked to a badge any more."""


class Worker(Struct, frozen=True, kw_only=True):
    """A pseudonym in the log, and whose it is. `since_ms` is when it was given, `last_ms` its last use, to the hour."""

    pseudonym: str
    badge: str
    name: str | None
    since_ms: int
    last_ms: int


class Courier(Struct, frozen=True, kw_only=True):
    """A courier, the name that was given, and when."""

    courier: str
    name: str
    since_ms: int


class Known(Struct, frozen=True, kw_only=True):
    """Everyone who is known, the newest pseudonym first."""

    workers: list[Worker]
    couriers: list[Courier]


async def list_workers(site: SiteContext) -> Known:
    """Whose pseudonym is whose.

    Raises:
        SiteError: if the key is missing with which it was sealed.
    """
    workers = [
        Worker(pseudonym=row.pseudonym, badge=_badge(site, row), name=_name(site, row), since_ms=row.since_ms, last_ms=row.last_ms)
        for row in site.queries.workers()
    ]
    couriers = [
        Courier(courier=row.courier, name=site.vault.open(row.name, about_courier(row.courier)).decode(), since_ms=row.at_ms)
        for row in site.queries.courier_names()
    ]
    return Known(workers=workers, couriers=couriers)


async def name(site: SiteContext, badge: str, full_name: str) -> str:
    """Give a badge the name of its worker, in the place of an earlier one. Returns the badge's pseudonym.

    Raises:
        Refused: if the badge or the name can't be used.
    """
    _check(badge, "the badge", BADGE_CHARS_MAX)
    _check(full_name, "the name", NAME_CHARS_MAX)
    now_ms = site.clock.now_ms()
    return await site.on_writer(lambda: site.upkeep.name_worker(badge, full_name, now_ms=now_ms))


async def name_courier(site: SiteContext, courier: str, full_name: str) -> None:
    """Give a courier a name, in the place of an earlier one.

    Raises:
        NotFound: if there is no such courier.
        Refused: if the name can't be used.
    """
    check_courier(site, courier)
    _check(full_name, "the name", NAME_CHARS_MAX)
    now_ms = site.clock.now_ms()
    await site.on_writer(lambda: site.upkeep.name_courier(courier, full_name, now_ms=now_ms))


async def forget(site: SiteContext, badge: str, reason: str = "") -> int:
    """Forget whose pseudonyms those of a badge are, given the badge or one of them; from now on it has another. Returns how many they were.

    Raises:
        NotFound: if none is known.
    """
    gone = await site.on_writer(lambda: site.upkeep.forget_worker(badge))
    if not gone:
        raise NotFound("no pseudonym of this badge is known", fix="`dockbridge workers list` shows all")
    return gone


async def forget_courier(site: SiteContext, courier: str, reason: str = "") -> None:
    """Forget a courier's name.

    Raises:
        NotFound: if no name was given.
    """
    now_ms = site.clock.now_ms()
    if not await site.on_writer(lambda: site.upkeep.name_courier(courier, None, now_ms=now_ms)):
        raise NotFound(f"courier {courier} has no name", fix="`dockbridge workers list` shows all")


async def may_look(site: SiteContext) -> bool:
    """Whether whoever asks may see which worker did what."""
    may = MAY.get()
    return may is None or Right.WORKERS in may


# --- for other operations -----------------------------------------------------------------------------------------------------


class Faces:
    """Whose pseudonyms and couriers are whose, as far as it is known here. What can't be opened is as if it were not known."""

    def __init__(self, site: SiteReader) -> None:
        self._site = site
        self._workers = {row.pseudonym: row for row in site.queries.workers()}
        self._persons: dict[str, object] = {}
        self._couriers = {row.courier: row for row in site.queries.courier_names()}

    def person(self, pseudonym: str) -> object:
        """The same for each pseudonym of one badge."""
        found = self._persons.get(pseudonym)
        if found is None:
            row = self._workers.get(pseudonym)
            found = self._persons[pseudonym] = self._person(row) if row is not None else UNKNOWN
        return found

    def _person(self, row: WorkerRow) -> object:
        try:
            return _badge(self._site, row)
        except SiteError:
            return row.badge_hash

    def worker(self, pseudonym: str) -> str:
        """The name of a worker, else what is on the badge, else the pseudonym."""
        row = self._workers.get(pseudonym)
        if row is None:
            return pseudonym
        try:
            return _name(self._site, row) or _badge(self._site, row)
        except SiteError:
            return pseudonym

    def courier(self, courier: str) -> str | None:
        """The name of a courier, if one was given."""
        row = self._couriers.get(courier)
        if row is None:
            return None
        try:
            return self._site.vault.open(row.name, about_courier(courier)).decode()
        except SiteError:
            return None


def _badge(site: SiteReader, row: WorkerRow) -> str:
    return site.vault.open(row.badge, about_badge(row.pseudonym)).decode()


def _name(site: SiteReader, row: WorkerRow) -> str | None:
    return site.vault.open(row.name, ABOUT_NAME).decode() if row.name is not None else None


def _check(text: str, what: str, chars_max: int) -> None:
    if not text.strip() or len(text) > chars_max or "\0" in text:
        raise Refused(
            f"{what} is empty, or has more than {chars_max} characters", fix="give it as it stands on the badge" if what == "the badge" else "shorten it"
        )

"""Workers and couriers by name, for those who may know. The log has pseudonyms; what links them to people is sealed, and deleted after some time."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from bridge.errors import Refused, SiteError
from bridge.ingest.workers import ABOUT_NAME, CourierNameRow, WorkerRow, about_badge, about_courier
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
        Worker(pseudonym=row.pseudonym, badge=badge_of(site, row), name=name_of(site, row), since_ms=row.since_ms, last_ms=row.last_ms)
        for row in site.queries.workers()
    ]
    couriers = [Courier(courier=row.courier, name=name_of_courier(site, row), since_ms=row.at_ms) for row in site.queries.courier_names()]
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
            return badge_of(self._site, row)
        except SiteError:
            return row.badge_hash

    def worker(self, pseudonym: str) -> str:
        """The name of a worker, else what is on the badge, else the pseudonym."""
        row = self._workers.get(pseudonym)
        if row is None:
            return pseudonym
        try:
            return name_of(self._site, row) or badge_of(self._site, row)
        except SiteError:
            return pseudonym

    def courier(self, courier: str) -> str | None:
        """The name of a courier, if one was given."""
        row = self._couriers.get(courier)
        if row is None:
            return None
        try:
            return name_of_courier(self._site, row)
        except SiteError:
            return None


def badge_of(site: SiteReader, row: WorkerRow) -> str:
    """What is on the badge.

    Raises:
        SiteError: if the key is missing with which it was sealed.
    """
    return site.vault.open(row.badge, about_badge(row.pseudonym)).decode()


def name_of(site: SiteReader, row: WorkerRow) -> str | None:
    """The name of a worker, if one was given; errors as of `badge_of`."""
    return site.vault.open(row.name, ABOUT_NAME).decode() if row.name is not None else None


def name_of_courier(site: SiteReader, row: CourierNameRow) -> str:
    """The name of a courier; errors as of `badge_of`."""
    return site.vault.open(row.name, about_courier(row.courier)).decode()


def _check(text: str, what: str, chars_max: int) -> None:
    if not text.strip() or len(text) > chars_max or "\0" in text:
        raise Refused(
            f"{what} is empty, or has more than {chars_max} characters", fix="give it as it stands on the badge" if what == "the badge" else "shorten it"
        )

"""What happened over a time, counted. What a report may say about the work of people is the site's rule, `people.reports` (`domain.groups`): unless it says
so, no report shows a person, and no device or place stands for a few of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from msgspec import Struct

from bridge.domain.groups import GROUP_MIN, Reports, stricter
from bridge.errors import Refused
from bridge.operations.ports import Device, Row, SiteReader
from bridge.operations.report_ports import DeviceTraffic, Worked
from bridge.operations.workers import Faces
from devices.protocol.vocabulary import Role

HOUR_MS: Final = 3_600_000


class Grouping(StrEnum):
    """By what mispicks are counted."""

    ARTICLE = "article"
    PLACE = "place"
    HOUR = "hour"


class Area(StrEnum):
    """By what work is counted: each place, each zone (a place's name up to its number: `dock-2` is in `dock`), or the whole site; or by worker, if
    the site's rule allows it."""

    PLACE = "place"
    ZONE = "zone"
    SITE = "site"
    WORKER = "worker"


class Throughput(Struct, frozen=True, kw_only=True):
    """What was done in one hour (of the time zone asked for) in one area; None for events without a place. Orders and parcels count once in each.

    The figures are None if too few workers did it to be shown.
    """

    hour_ms: int
    area: str | None
    events: int | None
    orders: int | None
    parcels: int | None


class DeviceReport(Struct, frozen=True, kw_only=True):
    """One device over a time, and how it is now: its backlog, battery and firmware as it told last.

    None is what is not known, and what would count what too few people did.
    """

    device: str
    role: Role | None
    at: str | None
    events: int | None
    refused: int | None
    guessed: int | None
    delay_ms: int | None
    error_ms: int | None
    online: bool | None
    owes: int
    backlog: int | None
    battery_percent: int | None
    firmware: str | None


@dataclass(slots=True)
class _Done:
    events: int = 0
    orders: set[str] = field(default_factory=set)
    parcels: set[tuple[str | None, str]] = field(default_factory=set)
    people: set[object] = field(default_factory=set)
    is_known: bool = False
    """Whether it is known who any of these people is."""


async def rule_in_force(site: SiteReader, wanted: Reports) -> Reports:
    """What reports may say, given what `bridge.toml` says: a change counts once it is in the audit log, which a server writes that has read it."""
    return stricter(wanted, written_rule(site))


def written_rule(site: SiteReader) -> Reports:
    """The rule that the audit log has."""
    details = site.audit.last_details(REPORTS_CHANGED)
    return Reports(details["now"]) if details is not None else Reports.OFF


REPORTS_CHANGED: Final = "people.reports"
"""The act of changing the rule, in the audit log."""


class Mispicks(Struct, frozen=True, kw_only=True):
    """Refused scans, counted, and of how many places or hours too few workers did them to be shown."""

    rows: list[Row]
    withheld: int


async def count_mispicks(site: SiteReader, *, by: Grouping, since_ms: int, until_ms: int, rule: Reports) -> Mispicks:
    """Refused scans, counted by article, place or hour, and by reason."""
    rows = site.queries.mispicks(by=by.value, since_ms=since_ms, until_ms=until_ms)
    if rule is Reports.NAMED or by is Grouping.ARTICLE or not site.queries.workers():
        return Mispicks(rows=rows, withheld=0)
    people: dict[object, _Done] = {}
    faces = Faces(site)
    for worked in site.queries.worked(since_ms=since_ms, until_ms=until_ms, also_refused=True):
        _add_person(people.setdefault(worked.place if by is Grouping.PLACE else worked.event_ms // HOUR_MS * HOUR_MS, _Done()), worked, faces)
    column = "place" if by is Grouping.PLACE else "hour_ms"
    shown = [row for row in rows if _may_show(rule, people.get(row[column], _Done()))]
    return Mispicks(rows=shown, withheld=len({row[column] for row in rows}) - len({row[column] for row in shown}))


async def throughput(site: SiteReader, *, by: Area, since_ms: int, until_ms: int, zone: tzinfo, rule: Reports) -> list[Throughput]:
    """What scanners and couriers did, hour by hour.

    Raises:
        Refused: if the site's rule does not allow to count by worker.
    """
    if by is Area.WORKER and rule is not Reports.NAMED:
        fix = f'if your works agreement allows it, set reports = "{Reports.NAMED}" in [people] of bridge.toml; the change is in the audit log'
        raise Refused(f"this site makes no reports about single workers (people.reports is {rule})", fix=fix)
    found: dict[tuple[int, str], _Done] = {}
    faces, area_of = Faces(site), _AREAS.get(by)
    for worked in site.queries.worked(since_ms=since_ms, until_ms=until_ms):
        area = area_of(worked.place) if area_of is not None else _worker(worked, faces)
        done = found.setdefault((_hour_ms(worked.event_ms, zone), area), _Done())
        done.events += 1
        if worked.order is not None:
            done.orders.add(worked.order)
        if worked.parcel is not None:
            done.parcels.add((worked.order, worked.parcel))
        _add_person(done, worked, faces)
    return [_throughput(hour, area, done, is_shown=_may_show(rule, done)) for (hour, area), done in sorted(found.items())]


def _throughput(hour_ms: int, area: str, done: _Done, *, is_shown: bool) -> Throughput:
    if not is_shown:
        return Throughput(hour_ms=hour_ms, area=area or None, events=None, orders=None, parcels=None)
    return Throughput(hour_ms=hour_ms, area=area or None, events=done.events, orders=len(done.orders), parcels=len(done.parcels))


def _add_person(done: _Done, worked: Worked, faces: Faces) -> None:
    """Count who did something. A scanner on which nobody has said who they are counts as one person."""
    done.is_known = done.is_known or worked.courier is not None or worked.worker is not None
    if worked.courier is not None:
        done.people.add(("courier", worked.courier))
    elif worked.worker is not None:
        done.people.add(("worker", faces.person(worked.worker)))
    else:
        done.people.add(("device", worked.device))


def _may_show(rule: Reports, done: _Done) -> bool:
    """Whether a figure may be shown. If nobody has said who they are, it says nothing about anybody."""
    return rule is Reports.NAMED or not done.is_known or len(done.people) >= GROUP_MIN


def _worker(worked: Worked, faces: Faces) -> str:
    if worked.courier is not None:
        return faces.courier(worked.courier) or worked.courier
    return faces.worker(worked.worker) if worked.worker is not None else ""


_AREAS: dict[Area, Callable[[str | None], str]] = {
    Area.PLACE: lambda place: place or "",
    Area.ZONE: lambda place: (place or "").rstrip("0123456789").rstrip("-_ ./") or place or "",
    Area.SITE: lambda _: "",
}


def _hour_ms(ms: int, zone: tzinfo) -> int:
    """The beginning of the hour of a time, as clocks in a zone show it: zones may be half an hour apart."""
    at = datetime.fromtimestamp(ms / 1000, zone)
    return ms - (at - at.replace(minute=0, second=0, microsecond=0)) // timedelta(milliseconds=1)


async def report_devices(site: SiteReader, *, since_ms: int, until_ms: int, rule: Reports) -> list[DeviceReport]:
    """Every device that is enrolled and every other one that sent something in this time."""
    enrolled = {device.device: device for device in site.registry.list()}
    traffic = {found.device: found for found in site.queries.traffic(since_ms=since_ms, until_ms=until_ms)}
    names = sorted({*traffic, *(name for name, device in enrolled.items() if device.is_admitted)})
    presences = site.queries.presences(names)
    owes: dict[str, int] = {}
    for row in site.queries.ledgers():
        owes[row["device"]] = owes.get(row["device"], 0) + row["owed"]
    groups = _groups(site, since_ms, until_ms) if rule is Reports.GROUPS else frozenset()
    return [
        _device(
            traffic.get(name, DeviceTraffic(name)),
            enrolled.get(name),
            presences.get(name),
            owes.get(name, 0),
            is_shown=rule is Reports.NAMED or not _is_of_people(enrolled.get(name)) or name in groups,
        )
        for name in names
    ]


def _groups(site: SiteReader, since_ms: int, until_ms: int) -> frozenset[str]:
    """The devices that enough workers have used in a time."""
    people: dict[str, set[object]] = {}
    faces = Faces(site)
    for worked in site.queries.worked(since_ms=since_ms, until_ms=until_ms, also_refused=True):
        if worked.worker is not None and worked.courier is None:
            people.setdefault(worked.device, set()).add(faces.person(worked.worker))
    return frozenset(device for device, used_by in people.items() if len(used_by) >= GROUP_MIN)


def _is_of_people(device: Device | None) -> bool:
    """Whether what a device sends is the work of the people who have it in their hands. A device that was removed may have been one."""
    return device is None or device.role in (Role.SCANNER, Role.COURIER, Role.DESK)


def _device(traffic: DeviceTraffic, device: Device | None, presence: Row | None, owes: int, *, is_shown: bool) -> DeviceReport:
    is_phone = device is None or device.role is Role.COURIER
    said = presence or {}
    return DeviceReport(
        device=traffic.device,
        role=device.role if device is not None else None,
        at=device.at if device is not None else None,
        events=traffic.events if is_shown else None,
        refused=traffic.refused if is_shown else None,
        guessed=traffic.guessed if is_shown else None,
        delay_ms=traffic.delay_ms if is_shown or not is_phone else None,
        error_ms=traffic.error_ms if is_shown or not is_phone else None,
        online=said.get("online"),
        owes=owes,
        backlog=said.get("backlog"),
        battery_percent=said.get("battery_percent"),
        firmware=said.get("firmware"),
    )

"""What happened over a time, counted. No report names a person, and none counts what one person did: a courier's phone belongs to one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from msgspec import Struct

from bridge.operations.ports import Device, Row, SiteReader
from bridge.operations.report_ports import DeviceTraffic
from devices.protocol.vocabulary import Role


class Grouping(StrEnum):
    """By what mispicks are counted."""

    ARTICLE = "article"
    PLACE = "place"
    HOUR = "hour"


class Area(StrEnum):
    """By what work is counted: each place, each zone (a place's name up to its number: `dock-2` is in `dock`), or the whole site."""

    PLACE = "place"
    ZONE = "zone"
    SITE = "site"


class Throughput(Struct, frozen=True, kw_only=True):
    """What was done in one hour (of the time zone asked for) in one area; None for events without a place. Orders and parcels count once in each."""

    hour_ms: int
    area: str | None
    events: int
    orders: int
    parcels: int


class DeviceReport(Struct, frozen=True, kw_only=True):
    """One device over a time, and how it is now: its backlog, battery and firmware as it told last.

    None is what is not known, and of a courier's phone what would count what that person did.
    """

    device: str
    role: Role | None
    at: str | None
    events: int | None
    refused: int
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


async def count_mispicks(site: SiteReader, *, by: Grouping, since_ms: int, until_ms: int) -> list[Row]:
    """Refused scans, counted by article, place or hour, and by reason."""
    return site.queries.mispicks(by=by.value, since_ms=since_ms, until_ms=until_ms)


async def throughput(site: SiteReader, *, by: Area, since_ms: int, until_ms: int, zone: tzinfo) -> list[Throughput]:
    """What scanners and couriers did, hour by hour."""
    found: dict[tuple[int, str], _Done] = {}
    area_of = _AREAS[by]
    for event_ms, place, order, parcel in site.queries.worked(since_ms=since_ms, until_ms=until_ms):
        done = found.setdefault((_hour_ms(event_ms, zone), area_of(place)), _Done())
        done.events += 1
        if order is not None:
            done.orders.add(order)
        if parcel is not None:
            done.parcels.add((order, parcel))
    return [
        Throughput(hour_ms=hour, area=area or None, events=done.events, orders=len(done.orders), parcels=len(done.parcels))
        for (hour, area), done in sorted(found.items())
    ]


_AREAS: dict[Area, Callable[[str | None], str]] = {
    Area.PLACE: lambda place: place or "",
    Area.ZONE: lambda place: (place or "").rstrip("0123456789").rstrip("-_ ./") or place or "",
    Area.SITE: lambda _: "",
}


def _hour_ms(ms: int, zone: tzinfo) -> int:
    """The beginning of the hour of a time, as clocks in a zone show it: zones may be half an hour apart."""
    at = datetime.fromtimestamp(ms / 1000, zone)
    return ms - (at - at.replace(minute=0, second=0, microsecond=0)) // timedelta(milliseconds=1)


async def report_devices(site: SiteReader, *, since_ms: int, until_ms: int) -> list[DeviceReport]:
    """Every device that is enrolled and every other one that sent something in this time."""
    enrolled = {device.device: device for device in site.registry.list()}
    traffic = {found.device: found for found in site.queries.traffic(since_ms=since_ms, until_ms=until_ms)}
    names = sorted({*traffic, *(name for name, device in enrolled.items() if device.is_admitted)})
    presences = site.queries.presences(names)
    owes: dict[str, int] = {}
    for row in site.queries.ledgers():
        owes[row["device"]] = owes.get(row["device"], 0) + row["owed"]
    return [_device(traffic.get(name, DeviceTraffic(name)), enrolled.get(name), presences.get(name), owes.get(name, 0)) for name in names]


def _device(traffic: DeviceTraffic, device: Device | None, presence: Row | None, owes: int) -> DeviceReport:
    is_personal = device is not None and device.role is Role.COURIER
    said = presence or {}
    return DeviceReport(
        device=traffic.device,
        role=device.role if device is not None else None,
        at=device.at if device is not None else None,
        events=None if is_personal else traffic.events,
        refused=traffic.refused,
        guessed=None if is_personal else traffic.guessed,
        delay_ms=None if is_personal else traffic.delay_ms,
        error_ms=None if is_personal else traffic.error_ms,
        online=said.get("online"),
        owes=owes,
        backlog=said.get("backlog"),
        battery_percent=said.get("battery_percent"),
        firmware=said.get("firmware"),
    )

"""How a site is, in a few numbers: its devices, its orders, what waits for a person, and its alerts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from msgspec import Struct

from bridge.operations import alerts, devices, stuck
from bridge.operations.alerts import AlertCounts, AlertNow
from bridge.operations.devices import DeviceRow, DeviceState
from bridge.operations.notice_ports import NoticeCounts
from bridge.operations.ports import SiteReader

SILENT_AFTER_MS: Final = 86_400_000
"""A device that is off and was not heard of for so long is silent: it may be broken, lost, or in a drawer with scans in it."""


class DeviceCounts(Struct, frozen=True, kw_only=True):
    """Devices that may log in: how many are on and off, how many of those off are silent, how many owe events, and how many events they owe.

    `on` is None if no server runs.
    """

    enrolled: int
    on: int | None
    off: int
    silent: int
    owing: int
    owed_events: int


class Overview(Struct, frozen=True, kw_only=True):
    """A site in numbers. `orders` counts by state, `quarantined` messages; `stuck` are orders with a flag or state that waits for a person.

    `channels` says when the last file of each channel, of a shop or a carrier, came in; `notices` what waits to be sent to customers.
    """

    devices: DeviceCounts
    orders: dict[str, int]
    stuck: int
    quarantined: int
    channels: dict[str, int]
    notices: NoticeCounts
    alerts: list[AlertNow]
    alert_counts: AlertCounts


async def overview(site: SiteReader, *, now_ms: int, connected: Collection[str] | None) -> Overview:
    """How a site is now. `connected` are the devices of which the running server has a connection; None if none runs."""
    standing = alerts.standing_alerts(site, now_ms=now_ms)
    return Overview(
        devices=_counts(await devices.list_devices(site, connected or (), {}), now_ms, is_running=connected is not None),
        orders=site.queries.order_counts(),
        stuck=stuck.count_stuck(site.queries, now_ms=now_ms),
        quarantined=site.queries.quarantine_count(),
        channels={row.channel: row.at_ms for row in site.queries.channel_files()},
        notices=site.queries.notice_counts(),
        alerts=standing,
        alert_counts=alerts.count_alerts(standing),
    )


def _counts(rows: list[DeviceRow], now_ms: int, *, is_running: bool) -> DeviceCounts:
    rows = [row for row in rows if row.state in (DeviceState.ENROLLED, DeviceState.OUTSIDE)]
    on = [row for row in rows if row.online]
    off = [row for row in rows if row not in on]
    return DeviceCounts(
        enrolled=len(rows),
        on=len(on) if is_running else None,
        off=len(off),
        silent=sum(row.heard_ms is not None and row.heard_ms < now_ms - SILENT_AFTER_MS for row in off),
        owing=sum(bool(row.owes) for row in rows),
        owed_events=sum(row.owes or 0 for row in rows),
    )

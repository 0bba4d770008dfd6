"""Rebuild, check and copy the database."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from bridge.operations.ports import CheckReport, OnProgress, SiteContext, SiteReader


class Rebuilt(Struct, frozen=True, kw_only=True):
    """What a rebuild found. `changed` names the orders whose hash was different before."""

    events: int
    orders: int
    changed: list[str]


async def rebuild(site: SiteContext, on_progress: OnProgress) -> Rebuilt:
    """Derive everything again from the event log, and compare each order's hash with what it was. `on_progress` is called on another thread."""
    report = await site.rebuild(on_progress)
    return Rebuilt(events=report.events, orders=report.orders, changed=report.changed)


async def check(site: SiteReader, on_progress: OnProgress) -> CheckReport:
    """Compare everything that is derived with the events, as of one moment."""
    return site.database.check(on_progress)


async def backup(site: SiteReader, to: Path) -> None:
    """Copy the database whole, as of one moment, and check the copy.

    Raises:
        Refused: if the file exists already.
        StoreError: if the copy can't be written, or is damaged.
    """
    site.database.backup(to)

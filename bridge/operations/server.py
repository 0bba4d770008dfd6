"""What the running server counts, its alerts, its certificate and its settings."""

from __future__ import annotations

from msgspec import Struct

from bridge import __version__
from bridge.ingest.steps import BatchTimes
from bridge.operations.figure_ports import ServerFigures
from bridge.operations.ports import FailedLogins, Reloaded, SiteContext


class About(Struct, frozen=True, kw_only=True):
    """The running server: its version, and since when it serves."""

    version: str
    since_ms: int


async def about(site: SiteContext) -> About | None:
    """Which server runs; None if none does."""
    return About(version=__version__, since_ms=site.serving_since_ms) if site.serving_since_ms is not None else None


async def counters(site: SiteContext) -> dict[str, int]:
    """What the broker has counted since its start, and how much it holds now; empty if none runs."""
    return site.counters


async def figures(site: SiteContext) -> ServerFigures | None:
    """The running server in figures; None if none runs."""
    return site.figures


async def batch_times(site: SiteContext, batches: list[int]) -> list[BatchTimes]:
    """How long each step of these batches of the event log took; those that the server has not stored itself, or no longer remembers, are left out."""
    return site.batch_times(batches)


async def failed_logins(site: SiteContext) -> dict[str, FailedLogins]:
    """Recent failed logins by name."""
    return site.failed_logins


async def connected(site: SiteContext) -> list[str]:
    """The devices that are connected now, by name."""
    return sorted(site.connected)


async def reload_certificate(site: SiteContext) -> bool:
    """Use the server's certificate as it now is in its file. Returns False if no listener here uses TLS.

    Raises:
        ConfigError: if it can't be used; the present one stays in use.
    """
    return site.reload_certificate()


async def reload(site: SiteContext) -> Reloaded:
    """Read the configuration again, and apply what can be applied without a restart. No connection is closed.

    Raises:
        ConfigError: if the configuration or the certificate can't be used; the present ones stay in use.
        Refused: if no server runs here.
    """
    return await site.reload_settings()

"""`dockbridge status`: a site on one screen, what the running server has to do, and what it had to refuse."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final, NamedTuple

import typer
from msgspec import Struct
from msgspec.structs import asdict

from bridge.config import CONFIG_NAME, DATABASE_NAME, load
from bridge.entrypoints.cli.alerts import counts, print_alerts
from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, moment, now_ms, span, zone_name
from bridge.entrypoints.control.client import ask
from bridge.errors import Refused
from bridge.operations import overview as operations
from bridge.operations import server
from bridge.operations.overview import Overview
from bridge.operations.server import About
from bridge.words import counted

MEANINGS = {
    "connected": "connections now",
    "sessions": "sessions, connected or kept",
    "waiting": "messages that wait for a client",
    "in_flight": "messages that a client has not acknowledged yet",
    "retained": "retained topics, without those of orders",
    "unstored": "messages that wait for the database",
    "store_failing": "1 while the database can't be written: until it can, nothing is acknowledged; the server's log gives the reason",
    "connections": "connections since the start",
    "turned_away": "connections beyond broker.connections_max",
    "taken_over": "connections ended by another of the same client id",
    "too_large": "packets larger than broker.packet_bytes_max",
    "handshakes_failed": "TLS handshakes on listen.mqtts that failed",
    "refused": "logins refused",
    "slowed": "logins that had to wait, or come again, because others of their device or address had failed",
    "denied": "publishes and topic filters that were not allowed",
    "dropped": "queues that overflowed",
    "evicted": "sessions that ended to make room for newer ones of their device (broker.sessions_per_device_max), with their waiting messages",
    "faults": "packets that the server itself failed to handle",
    "protocol_errors": "connections closed because the client broke the protocol",
}


ALWAYS: Final = frozenset({"connected", "sessions", "waiting"})
"""What is printed also if it is 0."""


def status(site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """Show a site on one screen: its server, store, devices, orders, what waits for a person, alerts, disk, certificates and backups.

    Example: `dockbridge status`
    """
    about = ask(site, server.about)
    counters = (ask(site, server.counters) if about is not None else None) or {}
    now = now_ms()
    found = read(site, operations.overview, now_ms=now, connected=ask(site, server.connected) if about is not None else None)
    things = _things(site)
    if as_json:
        plain = {"running": about is not None, "server": about, "counters": counters, **asdict(found), **asdict(things)}
        print_json(plain)
    else:
        print_table(("", ""), _screen(about, counters, found, things, now))
        _print_counters(counters)
        print_alerts(found.alerts)
    if about is None:
        say("No server runs on this site. Start one with `dockbridge serve`.")
        raise typer.Exit(1)


class _Certificate(NamedTuple):
    certificate: str
    ends_ms: int


class _Things(Struct, frozen=True, kw_only=True):
    """What is seen from outside the database. `backup_ms` is the time of the last backup in the site's folder of backups; `backups` says if it has one."""

    site: str
    disk_free_bytes: int
    database_bytes: int
    certificates: list[_Certificate]
    backups: bool
    backup_ms: int | None


def _things(site: Path) -> _Things:
    from bridge.serving.backups import backups_of
    from bridge.site_certificates import list_certificates  # loading what certificates need takes its time

    settings = load(site / CONFIG_NAME)
    try:
        certificates = [_Certificate(row.certificate, row.ends_ms) for row in list_certificates(site)]
    except Refused:
        certificates = []
    backups = backups_of(site, settings)
    made = backups.made() if backups is not None else []
    return _Things(
        site=settings.site.name,
        disk_free_bytes=shutil.disk_usage(site).free,
        database_bytes=sum(file.stat().st_size for file in site.glob(f"{DATABASE_NAME}*")),
        certificates=certificates,
        backups=backups is not None,
        backup_ms=int(made[-1][0].timestamp() * 1000) if made else None,
    )


def _screen(about: About | None, counters: dict[str, int], found: Overview, things: _Things, now: int) -> list[tuple[str, str]]:
    devices, orders = found.devices, found.orders
    states = ", ".join(f"{count} {state}" for state, count in sorted(orders.items()))
    ends = [f"{c.certificate} ends {moment(c.ends_ms)} ({_away(c.ends_ms - now)})" for c in things.certificates]
    on = f"{devices.on} on, " if devices.on is not None else ""
    owing = f"{devices.owing} owe {counted(devices.owed_events, 'event')}"
    return [
        ("site", things.site),
        (
            "server",
            f"version {about.version}, up since {moment(about.since_ms)} {zone_name()} ({span(now - about.since_ms)})" if about is not None else "not running",
        ),
        ("store", _store(counters) if about is not None else "open to commands"),
        (
            "devices",
            f"{devices.enrolled}: {on}{devices.off} off, {devices.silent} of them silent for a day; {owing}",
        ),
        ("orders", f"{sum(orders.values())}" + (f": {states}" if orders else "")),
        ("stuck", f"{found.stuck}" + ("; `dockbridge orders stuck` says what moves them on" if found.stuck else "")),
        ("quarantine", counted(found.quarantined, "message")),
        ("alerts", counts(found.alert_counts)),
        ("disk", f"{things.disk_free_bytes / 1e9:.1f} GB free; the database has {things.database_bytes / 1e6:.1f} MB"),
        ("certificates", "; ".join(ends) or "none"),
        ("last backup", _backup(things, now)),
    ]


def _store(counters: dict[str, int]) -> str:
    if counters.get("store_failing"):
        return "FAILS: until it takes writes nothing is acknowledged; the server's log gives the reason"
    return f"takes writes; {counted(counters.get('unstored', 0), 'message')} in the backlog"


def _backup(things: _Things, now: int) -> str:
    if not things.backups:
        return "off (backup.folder is empty)"
    return f"{moment(things.backup_ms)} {zone_name()} ({span(now - things.backup_ms)} ago)" if things.backup_ms is not None else "none yet"


def _away(ms: int) -> str:
    return f"in {span(ms)}" if ms >= 0 else f"{span(-ms)} ago"


def _print_counters(counters: dict[str, int]) -> None:
    if not counters:
        return
    rows = [(name, counters.get(name, 0), meaning) for name, meaning in MEANINGS.items() if counters.get(name) or name in ALWAYS]
    print_table(("what", "count", "meaning"), rows)
    say(f"0: {', '.join(name for name in MEANINGS if not counters.get(name) and name not in ALWAYS)}")

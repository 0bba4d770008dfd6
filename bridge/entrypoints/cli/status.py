"""`dockbridge status`: a site on one screen, what the running server has to do, and what it had to refuse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer
from msgspec.structs import asdict

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.domain.groups import Reports
from bridge.entrypoints.cli.alerts import counts, print_alerts
from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, moment, now_ms, span, zone_name
from bridge.entrypoints.control.client import ask
from bridge.operations import overview as operations
from bridge.operations import reports, server
from bridge.operations.figure_ports import ServerFigures
from bridge.operations.live import step_ms
from bridge.operations.notice_ports import ChannelNow, ChannelState, NoticeCounts
from bridge.operations.overview import Overview
from bridge.operations.server import About
from bridge.words import counted

if TYPE_CHECKING:
    from bridge.surroundings import Surroundings

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


CHANNELS_MAX: Final = 10
"""Channels whose last file is shown, those that have waited longest."""
ALWAYS: Final = frozenset({"connected", "sessions", "waiting"})
"""What is printed also if it is 0."""


def status(site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """Show a site on one screen: its server, store, devices, orders, what waits for a person, alerts, disk, certificates and backups.

    Example: `dockbridge status`
    """
    from bridge.surroundings import look_around  # what certificates need takes its time to load

    about = ask(site, server.about)
    held = ask(site, server.figures) if about is not None else None
    counters = held.counters if held is not None else {}
    now = now_ms()
    channel = held.notices if held is not None else None
    found = read(site, operations.overview, now_ms=now, connected=ask(site, server.connected) if about is not None else None)
    things = look_around(site)
    rule = read(site, reports.rule_in_force, Reports(load(site / CONFIG_NAME).people.reports))
    if as_json:
        plain = {
            "running": about is not None,
            "server": about,
            "counters": counters,
            "step_ms": step_ms(held) if held is not None else {},
            **asdict(found),
            **asdict(things),
            "reports": rule,
            "notice_channel": channel,
        }
        print_json(plain)
    else:
        print_table(("", ""), _screen(about, held, found, things, now, told_by(channel, found.notices, load(site / CONFIG_NAME).notices.url, now)))
        if rule is not Reports.OFF:
            say(f"Reports about workers are on: {rule} (people.reports).")
        _print_counters(counters)
        print_alerts(found.alerts)
    if about is None:
        say("No server runs on this site. Start one with `dockbridge serve`.")
        raise typer.Exit(1)


def _screen(about: About | None, held: ServerFigures | None, found: Overview, things: Surroundings, now: int, told: str) -> list[tuple[str, str]]:
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
        ("store", store_of(held.counters) if held is not None else "open to commands"),
        *([("a batch", steps_of(step_ms(held)))] if held is not None else []),
        (
            "devices",
            f"{devices.enrolled}: {on}{devices.off} off, {devices.silent} of them silent for a day; {owing}",
        ),
        ("orders", f"{sum(orders.values())}" + (f": {states}" if orders else "")),
        ("stuck", f"{found.stuck}" + ("; `dockbridge orders stuck` says what moves them on" if found.stuck else "")),
        *([("last files", files_of(found.channels, now))] if found.channels else []),
        ("notices", told),
        ("quarantine", counted(found.quarantined, "message")),
        ("alerts", counts(found.alert_counts)),
        ("disk", disk_of(things)),
        ("certificates", "; ".join(ends) or "none"),
        ("last backup", backup_of(things, now)),
    ]


def steps_of(step_ms: dict[str, float]) -> str:
    """How long the steps of a batch took, in words, and which was the slowest."""
    if not step_ms:
        return "no batch"
    return ", ".join(f"{step} {took_ms:.1f} ms" for step, took_ms in step_ms.items()) + f"; slowest: {max(step_ms, key=step_ms.__getitem__)}"


def files_of(channels: dict[str, int], now: int) -> str:
    """When each channel's last file came in, in words, the longest ago first."""
    oldest = sorted(channels.items(), key=_by_time)
    return ", ".join(f"{channel} {span(now - at_ms)} ago" for channel, at_ms in oldest[:CHANNELS_MAX]) + (" …" if len(oldest) > CHANNELS_MAX else "")


def _by_time(channel: tuple[str, int]) -> int:
    return channel[1]


def told_by(channel: ChannelNow | None, counts: NoticeCounts, url: str, now: int) -> str:
    """Whether customers are told, and what waits, in words. `channel` is None if no server runs."""
    if not url or (channel is not None and channel.state is ChannelState.OFF):
        return "customers are told nothing: notices.url is empty"
    waits = f"{counts.waiting} waiting" + (f", the oldest for {span(now - counts.oldest_ms)}" if counts.oldest_ms is not None else "")
    aside = f"; {counts.aside} put aside: `dockbridge notices list --sending aside`" if counts.aside else ""
    if channel is None or channel.state is ChannelState.ON:
        return waits + aside
    return f"{'NOT SENT' if channel.state is ChannelState.UNWANTED else 'FAIL'}: {channel.error}; {waits}{aside}"


def disk_of(things: Surroundings) -> str:
    """The disk and what the database takes of it, in words."""
    return f"{things.disk_free_bytes / 1e9:.1f} GB free; the database has {things.database_bytes / 1e6:.1f} MB, its log {things.wal_bytes / 1e6:.1f} MB"


def store_of(counters: dict[str, int]) -> str:
    """Whether the running server's store takes writes, in words."""
    if counters.get("store_failing"):
        return "FAILS: until it takes writes nothing is acknowledged; the server's log gives the reason"
    return f"takes writes; {counted(counters.get('unstored', 0), 'message')} in the backlog"


def backup_of(things: Surroundings, now: int) -> str:
    """The last backup, in words."""
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

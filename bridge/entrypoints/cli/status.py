"""`dockbridge status`: what the running server has to do, and what it had to refuse."""

from __future__ import annotations

from pathlib import Path

import typer

from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.control.client import ask
from bridge.operations import server

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


def status(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Show what the running server has to do, what it had to refuse, and which alerts are raised.

    Example: `dockbridge status`
    """
    alerts = read(site, server.alerts)
    counters = ask(site, server.counters)
    if as_json:
        print_json({"running": counters is not None, "counters": counters or {}, "alerts": alerts})
    elif counters is None:
        say("No server runs on this site. Start one with `dockbridge serve`.")
    else:
        print_table(("what", "count", "meaning"), [(name, counters.get(name, 0), meaning) for name, meaning in MEANINGS.items()])
    if not as_json and alerts:
        print_table(("alert", "about", "severity", "what", "fix"), [(a["code"], a["subject"], a["severity"], a["text"], a["fix"]) for a in alerts])
    if counters is None:
        raise typer.Exit(1)

"""`dockbridge status`: what the running server has to do, and what it had to turn away."""

from __future__ import annotations

from pathlib import Path

import typer

from bridge.cli.output import JsonOption, SiteOption, emit, reader_of, say, table
from bridge.control import ask
from bridge.store import queries

MEANINGS = {
    "connected": "connections now",
    "sessions": "sessions, connected or kept",
    "waiting": "messages that wait for a client",
    "in_flight": "messages that a client has not acknowledged yet",
    "retained": "retained topics beside those of orders",
    "unstored": "messages that wait for the database",
    "store_failing": "1 while the database takes no writes: nothing is acknowledged until it does; the server's log says why",
    "connections": "connections since the start",
    "turned_away": "connections beyond broker.connections_max",
    "handshakes_failed": "TLS handshakes on listen.mqtts that failed",
    "refused": "logins refused",
    "denied": "publishes and filters that were not allowed",
    "dropped": "queues that overflowed",
    "evicted": "sessions that gave way to newer ones of their device (broker.sessions_per_device_max), with what waited for them",
    "faults": "packets that the server itself could not handle",
    "protocol_errors": "connections closed for breaking the protocol",
}


def status(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Show what the running server has to do, what it had to turn away, and which alerts stand.

    Example: `dockbridge status`
    """
    reader, _ = reader_of(site)
    counters = ask(site, "counters")
    alerts = queries.alerts(reader)
    if as_json:
        emit({"running": counters is not None, "counters": counters or {}, "alerts": alerts})
    elif counters is None:
        say("no server runs on this site; `dockbridge serve` starts one")
    else:
        table(("what", "count", "meaning"), [(name, counters.get(name, 0), meaning) for name, meaning in MEANINGS.items()])
    if not as_json and alerts:
        table(("alert", "about", "severity", "what", "fix"), [(a["code"], a["subject"], a["severity"], a["text"], a["fix"]) for a in alerts])
    if counters is None:
        raise typer.Exit(1)

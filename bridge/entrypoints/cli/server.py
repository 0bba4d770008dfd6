"""`dockbridge server`: the running server."""

from __future__ import annotations

from pathlib import Path

import typer

from bridge.entrypoints.cli.output import JsonOption, print_json, say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.entrypoints.control.client import ask
from bridge.errors import BridgeError, Refused
from bridge.operations import server

app = typer.Typer(no_args_is_help=True, help="Ask the running server how it is, and act on it.\n\nExample: `dockbridge server reload`")


@app.command()
def reload(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Have the running server read bridge.toml and its certificate again. No connection is closed. SIGHUP does the same.

    What can't change while it runs, such as a listener, is named; it needs a restart. If the file has a fault, nothing changes.

    Example: `dockbridge server reload`
    """
    done = ask(site, server.reload)
    if done is None:
        raise _not_running(site)
    if as_json:
        print_json(done)
    say(f"Changed now: {', '.join(done.applied)}." if done.applied else "No setting that can change now is different.")
    if done.certificate:
        say("The certificate was read again; every client that connects from now on sees it.")
    if done.needs_restart:
        say(f"Restart the server to apply {', '.join(done.needs_restart)}.")


@app.command()
def health(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Ask the running server whether it works: its event loop answers, and its store takes writes. Exit 1 if not. For a container's health check.

    Example: `dockbridge server health`
    """
    about, counters = ask(site, server.about), ask(site, server.counters)
    if about is None or counters is None:
        raise _not_running(site)
    if counters["store_failing"]:
        fix = "the server's log gives the reason; `dockbridge status` says how much waits"
        raise BridgeError("the store can't take writes, and nothing is acknowledged", fix=fix)
    if as_json:
        print_json({"version": about.version, "since_ms": about.since_ms, "unstored": counters["unstored"]})
    say(f"Version {about.version} serves, and stores what it receives.")


def _not_running(site: Path) -> Refused:
    return Refused(f"no server runs for {site.absolute()}", fix=f"start it with `dockbridge serve {site}`")

"""`dockbridge server`: the running server."""

from __future__ import annotations

from pathlib import Path

import typer

from bridge.entrypoints.cli.output import JsonOption, print_json, say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.entrypoints.control.client import ask
from bridge.errors import Refused
from bridge.operations import server

app = typer.Typer(no_args_is_help=True, help="Act on the running server.\n\nExample: `dockbridge server reload`")


@app.callback()
def group() -> None:
    """Act on the running server."""


@app.command()
def reload(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Have the running server read bridge.toml and its certificate again. No connection is closed. SIGHUP does the same.

    What can't change while it runs, such as a listener, is named; it needs a restart. If the file has a fault, nothing changes.

    Example: `dockbridge server reload`
    """
    done = ask(site, server.reload)
    if done is None:
        raise Refused(f"no server runs for {site.absolute()}", fix=f"a server reads bridge.toml when it starts: `dockbridge serve {site}`")
    if as_json:
        print_json(done)
    say(f"Changed now: {', '.join(done.applied)}." if done.applied else "No setting that can change now is different.")
    if done.certificate:
        say("The certificate was read again; every client that connects from now on sees it.")
    if done.needs_restart:
        say(f"Restart the server to apply {', '.join(done.needs_restart)}.")

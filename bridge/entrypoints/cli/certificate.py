"""`dockbridge certificate`: the server's certificate, and the authority that signed it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import asdict

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.entrypoints.cli.output import JsonOption, print_details, print_json, say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.entrypoints.control.asker import check_owner
from bridge.entrypoints.control.client import call
from bridge.errors import Refused
from bridge.operations import server
from bridge.tls import server_context

if TYPE_CHECKING:
    from bridge.certificates import Described

app = typer.Typer(no_args_is_help=True, help="Look at the server's certificate, and renew it.\n\nExample: `dockbridge certificate show`")

HostOption = Annotated[list[str], typer.Option("--host", help="A name or address by which devices reach this machine. May be given several times.")]


@app.command()
def show(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Show the server's certificate and the site's authority: names, end, fingerprint (SHA-256).

    Example: `dockbridge certificate show`
    """
    from bridge.site_certificates import list_certificates  # here and below: loading what certificates need takes its time

    rows = list_certificates(site)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_details(asdict(row))


@app.command()
def renew(host: HostOption = [], site: SiteOption = Path()) -> None:  # noqa: B006 -- Typer's way to say "may be given several times"
    """Make a new server certificate, signed by the site's authority. Without --host it keeps its names. A running server uses it at once.

    A site that has no certificates yet gets its authority too.

    Example: `dockbridge certificate renew --host bridge.example.com --host 192.168.1.7`
    """
    from bridge import site_certificates

    check_owner("certificate renew")
    print_made(site, site_certificates.renew(site, host))
    call(site, server.reload_certificate)


@app.command()
def reload(site: SiteOption = Path()) -> None:
    """Make the running server use the certificate that is in its file now, such as a renewed one of your own.

    Example: `dockbridge certificate reload`
    """
    listen = load(site / CONFIG_NAME).listen
    if server_context(listen, site) is None:
        raise Refused("no listener uses TLS", fix="give listen.mqtts or listen.wss an address")
    is_running = call(site, server.reload_certificate)
    say("Every client that connects from now on sees it." if is_running else "The certificate can be used. No server is running.")


def print_made(site: Path, made: Described) -> None:
    """Print what a new server certificate is for, and what devices need."""
    from bridge.site_certificates import authority_file

    say(
        f"server certificate for {', '.join(made.names)}\n"
        f"  SHA-256  {made.fingerprint}\n"
        f"  ends     {made.not_after:%Y-%m-%d}\n"
        f"  devices trust {authority_file(site)}: give it to each of them"
    )

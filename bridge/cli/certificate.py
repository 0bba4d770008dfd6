"""`dockbridge certificate`: the server's certificate, and the authority that signed it."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.output import JsonOption, SiteOption, details, emit, say
from bridge.config import CONFIG_NAME, ListenSettings, load
from bridge.control import call
from bridge.errors import Refused
from bridge.tls import server_context

app = typer.Typer(no_args_is_help=True, help="Look at the server's certificate, and renew it.\n\nExample: `dockbridge certificate show`")

HostOption = Annotated[list[str], typer.Option("--host", help="A name or address by which devices reach this machine; may be given again.")]


@app.command()
def show(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Show the server's certificate and the site's authority: names, end, fingerprint (SHA-256).

    Example: `dockbridge certificate show`
    """
    from bridge import certificates

    listen = load(site / CONFIG_NAME).listen
    authority = site / certificates.FOLDER_NAME / certificates.AUTHORITY_FILE
    files = {"authority": authority, "server": site / listen.tls_cert_file} if listen.tls_cert_file else {"authority": authority}
    rows = [{"certificate": what, **_described(path)} for what, path in files.items() if path.exists()]
    if not rows:
        raise Refused(f"there is no certificate in {site.absolute()}", fix="make one with `dockbridge certificate renew`")
    if as_json:
        emit(rows)
        return
    for row in rows:
        details(row)


def _described(path: Path) -> dict[str, Any]:
    from bridge import certificates

    found = certificates.describe(path.read_bytes())
    ends_ms = int(found.not_after.timestamp() * 1000)
    return {"subject": found.subject, "names": list(found.names), "ends_ms": ends_ms, "sha256": found.fingerprint, "file": str(path)}


@app.command()
def renew(host: HostOption = [], site: SiteOption = Path()) -> None:  # noqa: B006 -- Typer's way to say "may be given again"
    """Make a new server certificate from the site's authority. Without --host its names stay; a running server shows it at once.

    A site that has no certificates yet gets its authority too.

    Example: `dockbridge certificate renew --host bridge.example.com --host 192.168.1.7`
    """
    from bridge import certificates

    settings = load(site / CONFIG_NAME)
    if not _is_ours(settings.listen):
        foreign = f"listen.tls_cert_file is {settings.listen.tls_cert_file}: not made here"
        raise Refused(foreign, fix="renew it where it comes from; then `dockbridge certificate reload`")
    present = site / settings.listen.tls_cert_file
    if not host and not present.exists():
        # Its names are nowhere else: one without them would turn away every device that knows the server by such a name.
        fix = "give each name and address by which devices reach this machine: `dockbridge certificate renew --host NAME`"
        raise Refused(f"there is no {present} whose names could be kept", fix=fix)
    names = [*host, *own_names()] if host else list(certificates.describe(present.read_bytes()).names)
    make_certificates(site, settings.site.name, names)
    call(site, "certificate_reload")


@app.command()
def reload(site: SiteOption = Path()) -> None:
    """Let the running server show the certificate that now lies in its file, such as a renewed one of your own.

    Example: `dockbridge certificate reload`
    """
    listen = load(site / CONFIG_NAME).listen
    if server_context(listen, site) is None:
        raise Refused("no listener speaks TLS", fix="give listen.mqtts or listen.wss an address")
    running = call(site, "certificate_reload")
    say("whoever connects from now on sees it" if running else "it can be used; no server is running")


def make_certificates(site: Path, name: str, names: list[str]) -> None:
    """Make a site's server certificate, and before it an authority where nothing was made yet; say what came of it.

    Raises:
        SiteError: where the authority, or a part of it, was lost.
    """
    from bridge import certificates

    folder, now = site / certificates.FOLDER_NAME, datetime.now(UTC)
    if certificates.is_new(folder):
        certificates.make_authority(folder, name, now)
    certificates.issue_server(folder, names, now)
    found = certificates.describe((folder / certificates.SERVER_FILE).read_bytes())
    say(
        f"server certificate for {', '.join(found.names)}\n"
        f"  SHA-256  {found.fingerprint}\n"
        f"  ends     {found.not_after:%Y-%m-%d}\n"
        f"  devices trust {folder / certificates.AUTHORITY_FILE}: give it to each of them"
    )


def check_names(names: list[str]) -> None:
    """See to it that names can stand in a certificate, before anything is made.

    Raises:
        Refused: naming the one that can't.
    """
    from bridge import certificates

    for name in names:
        certificates.check_name(name)


def own_names() -> list[str]:
    """The names and addresses by which this machine reaches itself."""
    from bridge import certificates

    name = socket.gethostname()
    return [*([name] if certificates.is_host_name(name) else []), "localhost", "127.0.0.1", "::1"]


def _is_ours(listen: ListenSettings) -> bool:
    ours = ListenSettings()
    return (listen.tls_cert_file, listen.tls_key_file) == (ours.tls_cert_file, ours.tls_key_file)

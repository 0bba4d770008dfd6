"""`dockbridge service`: a site as a service of systemd, which starts it with the machine and restarts it after a failure."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bridge.entrypoints.cli.output import JsonOption, print_details, print_json, say, yes_no
from bridge.entrypoints.control.asker import check_owner
from bridge.entrypoints.control.client import ask
from bridge.operations import server

if TYPE_CHECKING:
    from bridge.service_unit import Unit

app = typer.Typer(no_args_is_help=True, help="Run a site as a service of systemd.\n\nExample: `dockbridge service install /srv/ams1`")

UNITS: Final = Path("/etc/systemd/system")
Directory = Annotated[Path, typer.Argument(help="The site's folder.", show_default="this folder", envvar="DOCKBRIDGE_SITE", readable=False)]
FolderOption = Annotated[Path, typer.Option("--unit-folder", help="Where units are kept.", readable=False)]


@app.command()
def install(
    directory: Directory = Path(),
    user: Annotated[str | None, typer.Option(help="The user who runs the server.", show_default="the owner of the site's folder")] = None,
    print_: Annotated[bool, typer.Option("--print", help="Only print the unit, for this machine or another.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    folder: FolderOption = UNITS,
) -> None:
    """Write the systemd unit of a site. It may write into its own folder only, and gains no rights.

    Run it again after you have changed broker.connections_max, backup.folder, or a port.

    Example: `dockbridge service install /srv/ams1`, or `dockbridge service install /srv/ams1 --user dockbridge --print`
    """
    from bridge import service  # here and below: only these commands need what a server is bounded by

    check_owner("service install")
    site = directory.absolute().resolve()
    unit = service.make_unit(site, user, is_for_here=not print_)
    if print_:
        sys.stdout.write(unit.text)
        return
    path = folder / unit.name
    if dry_run:
        state = service.state_of(unit, folder)
        say(f"{path} would {'stay as it is' if state.is_current else 'be replaced' if state.is_installed else 'be written'}. Nothing was changed.")
        return
    say(f"wrote {path}" if service.install(unit, folder) else f"{path} is there already, as it should be.")
    say(f"  next: sudo systemctl daemon-reload && sudo systemctl enable --now {unit.name}")
    say(f"  its log: journalctl -u {unit.name} -f")


@app.command()
def uninstall(
    directory: Directory = Path(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    folder: FolderOption = UNITS,
) -> None:
    """Remove the systemd unit of a site. The site itself stays. Stop the service first.

    Example: `dockbridge service uninstall /srv/ams1`
    """
    from bridge import service

    check_owner("service uninstall")
    unit = _own(directory)
    path = folder / unit.name
    if dry_run:
        say(f"{path} would be removed. Nothing was changed." if service.state_of(unit, folder).is_installed else f"{path} is not there.")
    elif service.uninstall(unit, folder):
        say(f"removed {path}\n  next: sudo systemctl daemon-reload")
    else:
        say(f"{path} is not there.")


@app.command()
def status(directory: Directory = Path(), folder: FolderOption = UNITS, as_json: JsonOption = False) -> None:
    """Show whether the unit of a site is installed and up to date, what systemd says of it, and which server runs.

    Example: `dockbridge service status /srv/ams1`
    """
    from bridge import service

    unit = _own(directory)
    if (user := service.user_in(unit, folder)) is not None:
        unit = service.make_unit(directory.absolute().resolve(), user, is_for_here=False)
    state = service.state_of(unit, folder)
    about = ask(directory, server.about)
    if as_json:
        print_json({"service": state, "server": about})
        return
    unknown = "unknown: systemd does not run here"
    print_details(
        {
            "unit": state.file,
            "installed": yes_no(state.is_installed),
            "up to date": yes_no(state.is_current),
            "active": state.active or unknown,
            "enabled": state.enabled or unknown,
            "server": f"runs, version {about.version}" if about is not None else "does not run",
        }
    )
    if not state.is_current:
        say(f"  next: dockbridge service install {shlex.quote(str(directory))}")


def _own(directory: Path) -> Unit:
    """The unit of a site, whoever runs it."""
    from bridge import service

    return service.make_unit(directory.absolute().resolve(), "root", is_for_here=False)

"""`dockbridge device`: enrol devices, look at them, shut them out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import asdict

from bridge.config import CONFIG_NAME, load
from bridge.entrypoints.cli.output import JsonOption, print_details, print_json, print_table, ranges, say, yes_no
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment
from bridge.entrypoints.control.client import Caller, ask, call
from bridge.errors import BridgeError
from bridge.fleet_file import FleetRow, read_fleet
from bridge.operations import devices, jobs, server
from bridge.operations.devices import DeviceRow, Enrolled, NewSecret
from bridge.operations.ports import ENROLLABLE, FailedLogins
from bridge.words import counted
from devices.protocol.reasons import UnassignReason
from devices.protocol.vocabulary import Role

app = typer.Typer(no_args_is_help=True, help="Enrol devices, look at them, shut them out.\n\nExample: `dockbridge device add scan-07 --at dock-2`")

ROLES = ", ".join(ENROLLABLE)
JOBS_NAMED_MAX = 10
"""Jobs that a message names."""
RoleOption = Annotated[str, typer.Option("--role", "-r", help=f"What it may do: {ROLES}.")]
PasswordOnly = Annotated[bool, typer.Option("--password-only", help="Print only the password, for a script.")]
DeviceArgument = Annotated[str, typer.Argument(help="The device's name.")]


@app.command()
def add(
    device: Annotated[str, typer.Argument(help="Its name: the MQTT username and client id.")],
    role: RoleOption = "scanner",
    courier: Annotated[str | None, typer.Option(help="The courier that a phone belongs to (default: its own name).")] = None,
    at: Annotated[str | None, typer.Option(help="The place of a fixed scanner, for scans that name none.")] = None,
    orders: Annotated[str | None, typer.Option(help="For a system: it sends and reads about orders whose id begins with this; `all` for every order.")] = None,
    password_only: PasswordOnly = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Enrol a device. Its password is printed once, here.

    Example: `dockbridge device add scan-07 --at dock-2`, or for a shop's system `dockbridge device add shop1 --role system --orders shop1-`
    """
    made = call(site, devices.add, device, _role(role), courier=courier, orders=orders, at=at)
    if password_only:
        print(made.secret)
    else:
        _print_secrets([made], as_json=as_json)


@app.command(name="import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="CSV with the column device and, if needed, role, courier, at, and orders (of a system: a prefix, or all).", readable=False)
    ],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Enrol many devices from a CSV file. Their passwords are printed once, here.

    Example: `dockbridge device import fleet.csv > passwords.txt`
    """
    made: list[Enrolled] = []
    failed = 0
    with Caller(site) as caller:
        for row in read_fleet(file):
            try:
                made.append(_enrol(caller, row))
            except (BridgeError, typer.BadParameter) as error:
                failed += 1
                say(f"line {row.line}: {error}")
    _print_secrets(made, as_json=as_json)
    say(f"{len(made)} enrolled, {failed} failed")
    if failed:
        raise typer.Exit(1)


@app.command(name="list")
def list_(site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """List the devices: what they are, whether they are online, and how many events they owe.

    Example: `dockbridge device list`
    """
    rows = read(site, devices.list_devices, _connected(site), _failed_logins(site))
    if as_json:
        print_json(rows)
        return
    columns = ("device", "role", "courier", "orders", "at", "online", "events", "owes", dated("heard"), "failed", "state")
    print_table(
        columns,
        [(r.device, r.role, r.courier, r.orders, r.at, yes_no(r.online), r.events, r.owes, moment(r.heard_ms), _failed(r), r.state) for r in rows],
    )


@app.command()
def show(device: DeviceArgument, site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """Show one device: its enrolment, its presence, what was received of each of its logs, and which of its points were not used.

    Example: `dockbridge device show scan-07`
    """
    found = read(site, devices.show_device, device, _connected(site), _failed_logins(site))
    if as_json:
        print_json({**asdict(found.row), "presence": found.presence, "logs": found.logs, "dropped_points": found.dropped_points})
        return
    print_details(asdict(found.row))
    if found.logs:
        columns = ("log", "high", "owes", "missing", "reused", dated("heard"))
        print_table(columns, [(x.log, x.high, x.owes, ranges(x.gaps), x.reused, moment(x.heard_ms)) for x in found.logs])
    if found.dropped_points:
        rows = [(x.points, x.reason, x.detail, moment(x.last_ms)) for x in found.dropped_points]
        print_table(("points not used", "reason", "for example", dated("last")), rows)


@app.command()
def rotate(
    device: DeviceArgument,
    readmit: Annotated[bool, typer.Option("--readmit", help="Let in again a device that was shut out.")] = False,
    password_only: PasswordOnly = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Give a device a new password. The old one is invalid at once.

    Example: `dockbridge device rotate scan-07`
    """
    made = call(site, devices.rotate, device, readmit=readmit)
    if password_only:
        print(made.secret)
    else:
        _print_secrets([made], as_json=as_json)


@app.command()
def certificate(
    device: DeviceArgument,
    out: Annotated[Path | None, typer.Option(help="The folder for DEVICE.pem, DEVICE.key and ca.pem.", readable=False)] = None,
    accept: Annotated[
        Path | None, typer.Option(help="Make none: accept this certificate (PEM), issued by the authority in listen.tls_client_ca_file.", readable=False)
    ] = None,
    site: SiteOption = Path(),
) -> None:
    """Give a device a certificate, so that it needs no password. Its previous certificate is invalid at once.

    Example: `dockbridge device certificate scan-07 --out scan-07`
    """
    from bridge.site_certificates import accept_for_device, issue_for_device  # only this command pays for loading it

    if (out is None) == (accept is None):
        raise typer.BadParameter("give a folder for a new certificate, or --accept an existing one", param_hint="--out")
    read(site, devices.check_admitted, device)
    made = issue_for_device(site, device, out) if out is not None else accept_for_device(accept or Path(), device)
    if made.files:
        say(f"{made.files[0]}, {made.files[1]} and {made.files[2]} are in {out}")
    call(site, devices.certify, device, made.sha256)
    say(f"{device} is known by the certificate {made.fingerprint}")
    if not load(site / CONFIG_NAME).listen.tls_client_ca_file:
        say('The server does not ask for client certificates yet: set listen.tls_client_ca_file = "tls/ca.pem" and restart it.')


@app.command()
def revoke(
    names: Annotated[list[str], typer.Argument(help="The devices' names.", metavar="DEVICE...")],
    move_to: Annotated[str | None, typer.Option(help="Give the open jobs of a phone's courier to this courier.", show_default=False)] = None,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")] = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Shut devices out. Their connections are closed when this returns; what they have sent stays. `device rotate DEVICE --readmit` lets one in again.

    Example: `dockbridge device revoke phone-anna --move-to ben --reason stolen`
    """
    with Caller(site) as caller:
        done = [caller.call(devices.revoke, name, reason) for name in names]
        moved = [caller.call(jobs.move, job, move_to, UnassignReason.OTHER.value) for one in done for job in one.jobs] if move_to is not None else []
    if as_json:
        print_json(done)
    for one in done:
        say(f"{one.device} is shut out.")
        if one.jobs and move_to is None:
            held = ", ".join(one.jobs[:JOBS_NAMED_MAX]) + (f" and {len(one.jobs) - JOBS_NAMED_MAX} more" if len(one.jobs) > JOBS_NAMED_MAX else "")
            say(f"  {one.courier} has no phone now, and {counted(len(one.jobs), 'open job')}: {held}")
            say(f"  next: dockbridge jobs move {one.jobs[0]} COURIER, or `dockbridge jobs release --courier {one.courier}`")
    if moved:
        say(f"{counted(len(moved), 'job')} moved to {move_to}.")


def _role(word: str) -> Role:
    if word not in ENROLLABLE:
        raise typer.BadParameter(f"{word!r} is not a role. Choose one of {ROLES}", param_hint="--role")
    return Role(word)


def _enrol(caller: Caller, row: FleetRow) -> Enrolled:
    return caller.call(devices.add, row.device, _role(row.role or "scanner"), courier=row.courier, orders=row.orders, at=row.at)


def _print_secrets(made: Sequence[Enrolled | NewSecret], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    print_table(("device", "role", "password"), [(m.device, m.role if isinstance(m, Enrolled) else "", m.secret) for m in made])
    if made:
        say("The password is stored only as a hash: keep it now, or make another with `dockbridge device rotate`.")


def _connected(site: Path) -> Collection[str]:
    return ask(site, server.connected) or ()


def _failed_logins(site: Path) -> Mapping[str, FailedLogins]:
    return ask(site, server.failed_logins) or {}


def _failed(row: DeviceRow) -> str:
    """Recent failed logins as this device, and where the last one came from."""
    return f"{row.failed} from {row.failed_from}" if row.failed else ""

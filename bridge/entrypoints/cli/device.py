"""`dockbridge device`: enrol devices, look at them, shut them out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec.structs import asdict, replace

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.entrypoints.cli.device_enrol import COMMANDS as MANY
from bridge.entrypoints.cli.device_enrol import (
    KEEP_IT,
    AddressOption,
    MoveTo,
    ReasonOption,
    RoleOption,
    check_changes,
    claims,
    enrol,
    move_jobs,
    role_of,
    say_jobs,
    terms,
)
from bridge.entrypoints.cli.exposed import say_exposed
from bridge.entrypoints.cli.handing import handed_out, print_first
from bridge.entrypoints.cli.output import JsonOption, print_details, print_json, print_table, printable, ranges, say, yes_no
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment
from bridge.entrypoints.control.asker import check_owner
from bridge.entrypoints.control.client import Caller, ask, call
from bridge.operations import devices, server
from bridge.operations.devices import DeviceRow, Enrolled, NewSecret, Revoked
from bridge.operations.fleet import Action, DeviceChange
from bridge.operations.ports import FailedLogins
from bridge.passwords import hash_secret, new_secret
from bridge.words import counted

app = typer.Typer(no_args_is_help=True, help="Enrol devices, look at them, shut them out.\n\nExample: `dockbridge device add scan-07 --at dock-2`")

PasswordOnly = Annotated[bool, typer.Option("--password-only", help="Print only the password, for a script.")]
DeviceArgument = Annotated[str, typer.Argument(help="The device's name.")]
NamesArgument = Annotated[list[str], typer.Argument(help="The devices' names; `--` before one that begins with -.", metavar="DEVICE...", show_default=False)]
NamesJson = Annotated[str | None, typer.Option(help="Names that can't be typed, as `device list --json` prints them: '[\"scan\\n7\"]'.", show_default=False)]

for _name, _command in MANY.items():
    app.command(name=_name)(_command)
app.add_typer(claims, name="claims")


@app.command()
def add(
    device: Annotated[str, typer.Argument(help="Its name: the MQTT username and client id.")],
    role: RoleOption = "scanner",
    courier: Annotated[str | None, typer.Option(help="The courier that a phone belongs to (default: its own name).")] = None,
    at: Annotated[str | None, typer.Option(help="The place of a fixed scanner, for scans that name none.")] = None,
    orders: Annotated[str | None, typer.Option(help="For a system: it sends and reads about orders whose id begins with this; `all` for every order.")] = None,
    password_only: PasswordOnly = False,
    qr: Annotated[bool, typer.Option("--qr", help="Print a QR code instead of a password: the device gets its password itself, once.")] = False,
    address: AddressOption = [],  # noqa: B006 -- Typer's way to say "may be given several times"
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Enrol a device. Its password is printed once, here; or, with --qr, a code that the device redeems.

    Example: `dockbridge device add scan-07 --at dock-2`, or for a shop's system `dockbridge device add shop1 --role system --orders shop1-`
    """
    change = DeviceChange(action=Action.ADD, device=device, role=role_of(role), courier=courier, orders=orders, at=at)
    if qr:
        with Caller(site) as caller:
            enrol(caller, site, terms(site, address), [change], sheet=None, as_json=as_json)
        return
    with Caller(site) as caller:
        check_changes(caller, [change])
        secret = new_secret()
        hashed = replace(change, password_hash=hash_secret(secret))
        made = Enrolled(device=device, role=role_of(role), secret=secret)
        with handed_out("the password", site, [hashed]):
            print_first(lambda: _print_secret(made, password_only=password_only, as_json=as_json))
            caller.call(devices.add, device, made.role, courier=courier, orders=orders, at=at, password_hash=hashed.password_hash)
    _keep_it(password_only=password_only, as_json=as_json)


@app.command()
def edit(
    device: DeviceArgument,
    courier: Annotated[str | None, typer.Option(help="The courier that a phone belongs to.")] = None,
    at: Annotated[str | None, typer.Option(help="Its place; empty for none.")] = None,
    orders: Annotated[str | None, typer.Option(help="Of a system: the prefix of its orders, or `all`.")] = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Change what is known of a device, except its name and its role. It connects again, as what it is now.

    Example: `dockbridge device edit scan-07 --at dock-3`, or `dockbridge device edit phone-2 --courier ben`
    """
    if courier is None and at is None and orders is None:
        raise typer.BadParameter("say what changes: --courier, --at or --orders", param_hint="--at")
    call(site, devices.edit, device, courier=courier, orders=orders, at=at)
    if as_json:
        print_json(read(site, devices.show_device, device, (), {}).row)
    say(f"{device} is changed.")


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
    with Caller(site) as caller:
        change = DeviceChange(action=Action.ROTATE, device=device, readmit=readmit)
        check_changes(caller, [change])
        secret = new_secret()
        hashed = replace(change, password_hash=hash_secret(secret))
        with handed_out("the password", site, [hashed]):
            print_first(lambda: _print_secret(NewSecret(device=device, secret=secret), password_only=password_only, as_json=as_json))
            caller.call(devices.rotate, device, readmit=readmit, password_hash=hashed.password_hash)
    _keep_it(password_only=password_only, as_json=as_json)


@app.command()
def certificate(
    names: NamesArgument,
    out: Annotated[Path | None, typer.Option(help="The folder for DEVICE.pem, DEVICE.key and ca.pem.", readable=False)] = None,
    accept: Annotated[
        Path | None, typer.Option(help="Make none: accept this certificate (PEM), issued by the authority in listen.tls_client_ca_file.", readable=False)
    ] = None,
    site: SiteOption = Path(),
) -> None:
    """Give devices a certificate each, so that they need no password. Their previous certificates are invalid at once.

    Example: `dockbridge device certificate scan-07 scan-08 --out certificates`
    """
    from bridge.site_certificates import accept_for_device, issue_for_device  # only this command pays for loading it

    if (out is None) == (accept is None):
        raise typer.BadParameter("give a folder for a new certificate, or --accept an existing one", param_hint="--out")
    if accept is not None and len(names) > 1:
        raise typer.BadParameter("a certificate is for one device: name only that", param_hint="--accept")
    if out is not None:
        check_owner("device certificate --out")
    for device in names:
        read(site, devices.check_admitted, device)
    for device in names:
        made = issue_for_device(site, device, out) if out is not None else accept_for_device(accept or Path(), device)
        if made.files:
            say(f"{made.files[0]}, {made.files[1]} and {made.files[2]} are in {out}")
        call(site, devices.certify, device, made.sha256)
        say(f"{device} is known by the certificate {made.fingerprint}")
    if not load(site / CONFIG_NAME).listen.tls_client_ca_file:
        say('The server does not ask for client certificates yet: set listen.tls_client_ca_file = "tls/ca.pem" and restart it.')


@app.command()
def revoke(
    names: NamesArgument = [],  # noqa: B006 -- Typer's way to say "any number"
    move_to: MoveTo = None,
    reason: ReasonOption = "",
    names_json: NamesJson = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Shut devices out. Their connections are closed when this returns; what they have sent stays. `device rotate DEVICE --readmit` lets one in again.

    Their presence, their alerts and their positions are cleared.

    Example: `dockbridge device revoke phone-anna --move-to ben --reason stolen`
    """
    with Caller(site) as caller:
        done = [caller.call(devices.revoke, name, reason) for name in _names(names, names_json)]
        moved = move_jobs(caller, done, move_to)
    _print_shut_out(done, "shut out", moved, move_to, as_json=as_json)
    for one in done:
        if one.courier is not None:
            say_exposed(site, one.device)


@app.command()
def remove(
    names: NamesArgument = [],  # noqa: B006 -- as above
    also_revoke: Annotated[bool, typer.Option("--revoke", help="Also devices that may still log in.")] = False,
    move_to: MoveTo = None,
    reason: ReasonOption = "",
    names_json: NamesJson = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Take devices that were shut out off the list. What they have sent stays; what they still owe is given up, and their messages in quarantine are dropped.

    The name can then be used for another device.

    Example: `dockbridge device remove scan-07 --revoke --reason broken`
    """
    with Caller(site) as caller:
        done = [caller.call(devices.remove, name, also_revoke, reason) for name in _names(names, names_json)]
        moved = move_jobs(caller, done, move_to)
    _print_shut_out(done, "removed", moved, move_to, as_json=as_json)


def _names(typed: list[str], as_json: str | None) -> list[str]:
    """The devices that are meant. Earlier versions enrolled names that can't be typed; those are given as JSON."""
    if as_json is None:
        named = typed
    else:
        try:
            named = [*typed, *msgspec.json.decode(as_json, type=list[str])]
        except msgspec.DecodeError as error:
            raise typer.BadParameter(f"not a JSON list of names: {error}", param_hint="--names-json") from error
    if not named:
        raise typer.BadParameter("name at least one device", param_hint="DEVICE")
    return list(dict.fromkeys(named))


def _print_shut_out(done: Sequence[Revoked], what: str, moved: int, move_to: str | None, *, as_json: bool) -> None:
    if as_json:
        print_json(done)
    for one in done:
        say(f"{printable(one.device)} is {what}.")
        if move_to is None:
            say_jobs(one.courier, one.jobs)
    if moved:
        say(f"{counted(moved, 'job')} moved to {move_to}.")


def _print_secret(made: Enrolled | NewSecret, *, password_only: bool, as_json: bool) -> None:
    if password_only:
        print(made.secret)
    elif as_json:
        print_json([made])
    else:
        print_table(("device", "role", "password"), [(made.device, made.role if isinstance(made, Enrolled) else "", made.secret)])


def _keep_it(*, password_only: bool, as_json: bool) -> None:
    if not (password_only or as_json):
        say(KEEP_IT)


def _connected(site: Path) -> Collection[str]:
    return ask(site, server.connected) or ()


def _failed_logins(site: Path) -> Mapping[str, FailedLogins]:
    return ask(site, server.failed_logins) or {}


def _failed(row: DeviceRow) -> str:
    """Recent failed logins as this device, and where the last one came from."""
    return f"{row.failed} from {row.failed_from}" if row.failed else ""

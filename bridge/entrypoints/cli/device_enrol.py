"""`dockbridge device import`, `enrol` and `claims`: many devices at once, and devices that get their password by themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from msgspec.structs import replace

from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.entrypoints.cli.handing import handed_out, print_first
from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, printable, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment, zone
from bridge.entrypoints.control.client import Caller, call
from bridge.errors import Refused
from bridge.fleet_file import Fleet, LineFault, read_fleet
from bridge.operations import devices, jobs
from bridge.operations.devices import Revoked
from bridge.operations.fleet import Action, DeviceChange, NewClaim
from bridge.operations.fleet_changes import Applied
from bridge.operations.ports import ENROLLABLE
from bridge.passwords import hash_secret, new_secret, token_digest
from bridge.words import counted
from devices.protocol.claims import Claim
from devices.protocol.reasons import UnassignReason
from devices.protocol.vocabulary import Role

if TYPE_CHECKING:
    from bridge.claim_terms import Terms

ROLES: Final = ", ".join(ENROLLABLE)
JOBS_NAMED_MAX: Final = 10
"""Jobs that a message names."""
FAULTS_SHOWN_MAX: Final = 50
HOUR_MS: Final = 3_600_000
KEEP_IT: Final = "The password is stored only as a hash: keep it now, or make another with `dockbridge device rotate`."
DONE: Final = {
    Action.ADD: "enrolled",
    Action.EDIT: "changed",
    Action.ROTATE: "given a new password",
    Action.CLAIM: "given a claim",
    Action.REVOKE: "shut out",
    Action.REMOVE: "removed",
}
"""What has been done, for each action."""

RoleOption = Annotated[str, typer.Option("--role", "-r", help=f"What it may do: {ROLES}.")]
AddressOption = Annotated[
    list[str],
    typer.Option("--address", help="HOST or HOST:PORT by which devices reach the server; several times if there are several.", show_default="as certified"),
]
SheetOption = Annotated[
    Path | None, typer.Option(help="A sheet to print, with a card for each device: FILE.html or FILE.svg.", show_default=False, readable=False)
]
MoveTo = Annotated[str | None, typer.Option(help="Give the open jobs of a phone's courier to this courier.", show_default=False)]
ReasonOption = Annotated[str, typer.Option(help="Why, for the audit log.")]

claims = typer.Typer(no_args_is_help=True, help="QR codes that are not redeemed.\n\nExample: `dockbridge device claims list`")


# --- many at once -------------------------------------------------------------------------------------------------------------


def import_(
    file: Annotated[Path, typer.Argument(help="CSV with the columns action, device, role, courier, at, orders; only device is always needed.", readable=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    secrets: Annotated[
        Path | None, typer.Option(help="Write passwords to this new file (mode 0600), not to stdout.", show_default=False, readable=False)
    ] = None,
    sheet: SheetOption = None,
    address: AddressOption = [],  # noqa: B006 -- Typer's way to say "may be given several times"
    also_revoke: Annotated[bool, typer.Option("--revoke", help="Let lines remove devices that may still log in.")] = False,
    reason: ReasonOption = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Change many devices by a CSV file: all of its lines, or none.

    `action` is add (also if it is empty), edit, rotate, claim, revoke or remove. In an edit, an empty cell leaves a value as it is, and - takes it away.
    Passwords are shown once, before anything is changed. With --sheet, new devices get a QR code instead of a password.

    Example: `dockbridge device import fleet.csv --dry-run`, then `dockbridge device import fleet.csv --secrets passwords.csv`
    """
    fleet = read_fleet(file, rows_max=load(site / CONFIG_NAME).enrolment.fleet_rows_max, revoke=also_revoke)
    changes = [row.change for row in fleet.rows]
    if any(c.action is Action.CLAIM for c in changes) and sheet is None:
        raise typer.BadParameter("a line asks for a claim: name the file for the QR codes", param_hint="--sheet")
    with Caller(site) as caller:
        _stop_at_faults(caller, fleet)
        if dry_run:
            _print_plan(changes, as_json=as_json)
            return
        if sheet is not None:
            if any(c.action is Action.ROTATE for c in changes):
                raise typer.BadParameter("with a sheet, give a device that is enrolled a claim (action claim), not a new password", param_hint="--sheet")
            done = enrol(caller, site, terms(site, address), changes, sheet=sheet, as_json=as_json, reason=reason)
        else:
            done = _apply_with_passwords(caller, site, changes, file=secrets, reason=reason, as_json=as_json)
    for one in done:
        say_jobs(one.courier, one.jobs)


def enrol_(
    names: Annotated[list[str], typer.Argument(help="The devices' names.", metavar="DEVICE...")],
    role: Annotated[str | None, typer.Option("--role", "-r", help=f"Of those that are not enrolled yet: {ROLES}.", show_default="scanner")] = None,
    at: Annotated[str | None, typer.Option(help="The place of those that are not enrolled yet.", show_default=False)] = None,
    sheet: SheetOption = None,
    address: AddressOption = [],  # noqa: B006 -- Typer's way to say "may be given several times"
    readmit: Annotated[bool, typer.Option("--readmit", help="Let in again devices that were shut out.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Give each device a QR code that it redeems for its password, once. Devices that are not enrolled yet are enrolled.

    A device that has a password keeps it until the code is redeemed. Without --sheet, the codes are printed in the terminal.

    Example: `dockbridge device enrol scan-01 scan-02 scan-03 --sheet cards.html`
    """
    known = {row.device: row for row in read(site, devices.list_devices, (), {})}
    new = role_of(role or Role.SCANNER)
    for name in names if role is not None else ():
        if (row := known.get(name)) is not None and row.role is not new:
            raise Refused(f"{name} is a {row.role}, and a role can't be changed", fix="leave --role out, or choose another name")
    changes = [
        DeviceChange(action=Action.CLAIM, device=name, role=row.role, courier=row.courier, at=row.at, readmit=readmit)
        if (row := known.get(name)) is not None
        else DeviceChange(action=Action.ADD, device=name, role=new, at=at)
        for name in dict.fromkeys(names)
    ]
    with Caller(site) as caller:
        enrol(caller, site, terms(site, address), changes, sheet=sheet, as_json=as_json)


COMMANDS: Final[dict[str, Callable[..., None]]] = {"import": import_, "enrol": enrol_}


# --- claims -------------------------------------------------------------------------------------------------------------------


@claims.command(name="list")
def list_(site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """List the codes that can still be redeemed. The codes themselves are stored nowhere.

    `sent` counts passwords that were sent for it, of which it is not known that they arrived.

    Example: `dockbridge device claims list`
    """
    found = call(site, devices.open_claims)
    if as_json:
        print_json(found)
        return
    print_table(("device", dated("made"), dated("expires"), "sent"), [(c.device, moment(c.created_ms), moment(c.expires_ms), c.handed) for c in found])


@claims.command()
def revoke(
    names: Annotated[list[str], typer.Argument(help="The devices' names.", metavar="DEVICE...", show_default=False)] = [],  # noqa: B006 -- as above
    every: Annotated[bool, typer.Option("--all", help="Every code that is not redeemed.")] = False,
    reason: ReasonOption = "",
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Make codes worth nothing, such as those of a sheet that was lost. The devices stay enrolled, and keep the passwords that they have.

    Example: `dockbridge device claims revoke scan-07`, or `dockbridge device claims revoke --all`
    """
    if bool(names) is every:
        raise typer.BadParameter("name devices, or give --all", param_hint="DEVICE")
    ended = call(site, devices.revoke_claims, names, reason)
    if as_json:
        print_json({"revoked": ended})
    say(f"{counted(len(ended), 'claim')} revoked.")
    if missing := [name for name in names if name not in ended]:
        raise Refused(f"no claim of {', '.join(map(printable, missing))} is open", fix="`dockbridge device claims list` shows those that are")


# --- what commands share ------------------------------------------------------------------------------------------------------


def terms(site: Path, addresses: Sequence[str]) -> Terms:
    """What the claims of a site have in common; see `bridge.claim_terms`."""
    from bridge.claim_terms import terms_of  # only these commands pay for loading it

    return terms_of(site, addresses)


def role_of(word: str) -> Role:
    if word not in ENROLLABLE:
        raise typer.BadParameter(f"{word!r} is not a role. Choose one of {ROLES}", param_hint="--role")
    return Role(word)


def check_changes(caller: Caller, changes: list[DeviceChange]) -> None:
    """Make sure that changes can be made, before anything is shown.

    Raises:
        Refused: if one can't.
    """
    for fault in caller.call(devices.check, changes):
        raise Refused(fault.text, fix=fault.fix)


def enrol(caller: Caller, site: Path, of_site: Terms, changes: list[DeviceChange], *, sheet: Path | None, as_json: bool, reason: str = "") -> list[Applied]:
    """Make changes, with a claim for each device that is added or asks for one. The claims are shown first, on a sheet or in the terminal."""
    from bridge.claim_cards import Card, sheet_html, sheet_svg  # only these commands pay for loading it

    if sheet is not None and sheet.suffix not in (".html", ".svg"):
        raise typer.BadParameter(f"{sheet} is neither FILE.html nor FILE.svg", param_hint="--sheet")
    check_changes(caller, changes)
    expires = datetime.now(UTC) + timedelta(hours=of_site.hours)
    made = {c.device: of_site.claim(c.device) for c in changes if c.action in (Action.ADD, Action.CLAIM)}
    abouts = {c.device: ", ".join(filter(None, (c.role.value if c.role else "", c.courier, c.at))) for c in changes}
    cards = [Card(claim, abouts[device], expires.astimezone(zone())) for device, claim in made.items()]
    expires_ms = int(expires.timestamp() * 1000)
    claimed = [
        replace(c, claim=NewClaim(token_sha256=token_digest(made[c.device].token), valid_ms=round(of_site.hours * HOUR_MS))) if c.device in made else c
        for c in changes
    ]
    text = (sheet_svg if sheet is not None and sheet.suffix == ".svg" else sheet_html)(cards) if cards else ""
    with handed_out("each code", site, claimed, file=sheet if cards else None, text=text):
        if as_json or sheet is None:
            print_first(lambda: _print_claims(list(made.values()), expires_ms, as_json=as_json))
        done = caller.call(devices.apply, claimed, reason)
    _say_done(done)
    if cards:
        where = f"The codes are in {sheet}; print it, and delete it. " if sheet is not None else ""
        say(f"{where}Each can be redeemed once, until {moment(expires_ms)} ({expires.astimezone(zone()):%Z}), at {_places(of_site)}.")
    return done


def move_jobs(caller: Caller, done: Sequence[Revoked], move_to: str | None) -> int:
    """Give the open jobs of couriers without a phone to another courier. Returns how many were moved."""
    held = [job for one in done for job in one.jobs] if move_to is not None else []
    for job in held:
        caller.call(jobs.move, job, str(move_to), UnassignReason.OTHER.value)
    return len(held)


def say_jobs(courier: str | None, held: Sequence[str]) -> None:
    """Name the open jobs of a courier without a phone, and the commands that move them."""
    if held:
        named = ", ".join(held[:JOBS_NAMED_MAX]) + (f" and {len(held) - JOBS_NAMED_MAX} more" if len(held) > JOBS_NAMED_MAX else "")
        say(f"  {courier} has no phone now, and {counted(len(held), 'open job')}: {named}")
        say(f"  next: dockbridge jobs move {held[0]} COURIER, or `dockbridge jobs release --courier {courier}`")


def _stop_at_faults(caller: Caller, fleet: Fleet) -> None:
    found = [LineFault(fleet.rows[f.nth].line, f.text, f.fix) for f in caller.call(devices.check, [row.change for row in fleet.rows])]
    faults = sorted([*fleet.faults, *found])
    for fault in faults[:FAULTS_SHOWN_MAX]:
        say(f"line {fault.line}: {printable(fault.text)}" + (f"; {fault.fix}" if fault.fix else ""))
    if faults:
        raise Refused(f"{counted(len(faults), 'line')} can't be used; nothing was changed", fix="correct the file, and import it again")


def _apply_with_passwords(caller: Caller, site: Path, changes: list[DeviceChange], *, file: Path | None, reason: str, as_json: bool) -> list[Applied]:
    secrets = {c.device: new_secret() for c in changes if c.action in (Action.ADD, Action.ROTATE)}
    roles = {c.device: c.role for c in changes}
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        hashes = dict(zip(secrets, threads.map(hash_secret, secrets.values()), strict=True))
    hashed = [replace(c, password_hash=hashes[c.device]) if c.action in (Action.ADD, Action.ROTATE) else c for c in changes]
    lines = "".join(f"{_cell(device)},{secret}\n" for device, secret in secrets.items())
    with handed_out("each password", site, hashed, file=file if secrets else None, text=f"device,password\n{lines}"):
        if secrets and file is None:
            print_first(lambda: _print_passwords(secrets, roles, as_json=as_json))
        done = caller.call(devices.apply, hashed, reason)
    if as_json and (file is not None or not secrets):
        print_json(done)
    _say_done(done)
    if secrets:
        say(f"The passwords are in {file}, and nowhere else." if file is not None else KEEP_IT)
    return done


def _print_passwords(secrets: dict[str, str], roles: dict[str, Role | None], *, as_json: bool) -> None:
    if as_json:
        print_json([{"device": device, "role": roles[device], "secret": secret} for device, secret in secrets.items()])
    else:
        print_table(("device", "role", "password"), [(device, roles[device], secret) for device, secret in secrets.items()])


def _print_claims(made: Sequence[Claim], expires_ms: int, *, as_json: bool) -> None:
    import sys

    from bridge.claim_cards import terminal_code

    if as_json:
        print_json([{"device": c.device, "claim": c.text(), "short": c.short_text(), "expires_ms": expires_ms} for c in made])
        return
    for claim in made:
        print(f"{claim.device}\n{terminal_code(claim.text(), colours=sys.stdout.isatty())}\n{claim.short_text()}\n")


def _print_plan(changes: Sequence[DeviceChange], *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"action": c.action, "device": c.device, "role": c.role, "courier": c.courier, "at": c.at, "orders": c.orders} for c in changes
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(("action", "device", "role", "courier", "at", "orders"), [tuple(row.values()) for row in rows])
    say(f"{counted(len(rows), 'change')} can be made. This was a dry run: nothing was changed.")


def _say_done(done: Sequence[Applied]) -> None:
    counts = {action: sum(one.action is action for one in done) for action in Action}
    said = ", ".join(f"{n} {DONE[action]}" for action, n in counts.items() if n)
    say(f"{said or 'nothing to do'}.")


def _cell(text: str) -> str:
    """A text as a cell of a CSV file."""
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"') else text


def _places(of_site: Terms) -> str:
    return " or ".join(f"{host}:{port}" for host, port in of_site.addresses)

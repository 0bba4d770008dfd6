"""`dockbridge device`: enrol devices, look at them, shut them out."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.output import JsonOption, SiteOption, details, emit, moment, reader_of, say, table
from bridge.config import CONFIG_NAME, load
from bridge.control import Caller, ask, call
from bridge.errors import BridgeError, Refused
from bridge.store import queries
from bridge.store.registry import ENROLLABLE, Device, Registry
from devices.protocol.topics import Topics, escape
from devices.protocol.vocabulary import Role

app = typer.Typer(no_args_is_help=True, help="Enrol devices, look at them, shut them out.\n\nExample: `dockbridge device add scan-07 --at dock-2`")

RoleOption = Annotated[str, typer.Option("--role", "-r", help=f"What it may do: {', '.join(ENROLLABLE)}.")]

PasswordOnly = Annotated[bool, typer.Option("--password-only", help="Print the password and nothing else, for a script.")]


def _role(word: str) -> str:
    if word not in {r.value for r in ENROLLABLE}:
        raise typer.BadParameter(f"{word!r} is no role; roles are {', '.join(ENROLLABLE)}", param_hint="--role")
    return word


@app.command()
def add(
    device: Annotated[str, typer.Argument(help="Its name: the MQTT username and client id.")],
    role: RoleOption = "scanner",
    courier: Annotated[str | None, typer.Option(help="The courier that a phone is bound to (default: its own name).")] = None,
    at: Annotated[str | None, typer.Option(help="The place where it stands, for scans that name none.")] = None,
    orders: Annotated[str | None, typer.Option(help="For a system: it reads only orders whose id begins with this.")] = None,
    password_only: PasswordOnly = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Enrol a device. Its password is shown once, here.

    Example: `dockbridge device add scan-07 --role scanner --at dock-2`
    """
    made = call(site, "device_add", device=device, role=_role(role), courier=courier, orders_prefix=orders, at=at)
    if password_only:
        print(made["secret"])
    else:
        _show_secrets([made], as_json=as_json)


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV with the columns device, role and, where wanted, courier, at, orders.")],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Enrol many devices from a CSV file; their passwords are shown once, here.

    Example: `dockbridge device import fleet.csv > passwords.txt`
    """
    made, failed = [], 0
    with Caller(site) as caller:
        for line, row in _rows(file):
            try:
                made.append(_import_row(caller, row))
            except (BridgeError, typer.BadParameter) as error:
                failed += 1
                say(f"line {line}: {error}")
    _show_secrets(made, as_json=as_json)
    say(f"{len(made)} enrolled, {failed} not")
    if failed:
        raise typer.Exit(1)


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text, strict=True)
            if "device" not in (reader.fieldnames or []):
                raise Refused(f"{file} has no column device", fix="its first line names the columns: device,role,courier,at,orders")
            return [(reader.line_num, {k: (v or "").strip() for k, v in row.items() if isinstance(k, str)}) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"{file} can't be read: {error}", fix="give a CSV file in UTF-8") from error


def _import_row(caller: Caller, row: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = caller.call(
        "device_add",
        device=row["device"],
        role=_role(row.get("role") or "scanner"),
        courier=row.get("courier") or None,
        orders_prefix=row.get("orders") or None,
        at=row.get("at") or None,
    )
    return made


def _show_secrets(made: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        emit(made)
        return
    table(("device", "role", "password"), [(m["device"], m.get("role", ""), m["secret"]) for m in made])
    if made:
        say("The password is stored only as a hash: keep it now, or make another with `dockbridge device rotate`.")


@app.command(name="list")
def list_(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """List the devices: who they are, whether they are there, what they owe.

    Example: `dockbridge device list`
    """
    reader, settings = reader_of(site)
    topics = Topics(settings.site.name)
    logins = ask(site, "logins") or {}
    devices = _registry(site).list()
    presences = queries.presences(reader, topics, [d.device for d in devices])
    ledgers: dict[str, list[dict[str, Any]]] = {}
    for ledger in queries.ledgers(reader):
        ledgers.setdefault(ledger["device"], []).append(ledger)
    rows = [_row(d, ledgers.get(d.device, []), presences.get(d.device), logins.get(d.device)) for d in devices]
    if as_json:
        emit(rows)
        return
    columns = ("device", "role", "courier", "at", "online", "events", "owes", "heard", "failed", "state")
    table(columns, [[*(r[c] for c in columns[:4]), _yes(r["online"]), r["events"], r["owes"], moment(r["heard_ms"]), _failed(r), r["state"]] for r in rows])


@app.command()
def show(device: str, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Show one device: its enrolment, its presence, and what came of each of its logs.

    Example: `dockbridge device show scan-07`
    """
    reader, settings = reader_of(site)
    found = _registry(site).get(device)
    ledgers = queries.ledgers(reader, device)
    presence = queries.presences(reader, Topics(settings.site.name), [device]).get(device)
    row = _row(found, ledgers, presence, (ask(site, "logins") or {}).get(device))
    logs = [{"log": x["log"], "high": x["high"], "owes": x["owed"], "gaps": _gaps(x["ranges"]), "heard_ms": x["updated_ms"]} for x in ledgers]
    if as_json:
        emit({**row, "presence": presence, "logs": logs})
        return
    details(row)
    if logs:
        table(("log", "high", "owes", "missing", "heard"), [(x["log"], x["high"], x["owes"], _ranges(x["gaps"]), moment(x["heard_ms"])) for x in logs])


@app.command()
def rotate(
    device: str,
    readmit: Annotated[bool, typer.Option("--readmit", help="Let a device in again that was shut out.")] = False,
    password_only: PasswordOnly = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Give a device a new password; the old one is void at once.

    Example: `dockbridge device rotate scan-07`
    """
    made = call(site, "device_rotate", device=device, readmit=readmit)
    if password_only:
        print(made["secret"])
    else:
        _show_secrets([made], as_json=as_json)


@app.command()
def certificate(
    device: str,
    out: Annotated[Path | None, typer.Option(help="The folder for DEVICE.pem, DEVICE.key and ca.pem.")] = None,
    accept: Annotated[Path | None, typer.Option(help="Issue none: accept this certificate (PEM), of the authority in listen.tls_client_ca_file.")] = None,
    site: SiteOption = Path(),
) -> None:
    """Give a device a certificate, with which it needs no password; the one before is void at once.

    Example: `dockbridge device certificate scan-07 --out scan-07`
    """
    from bridge import certificates

    if (out is None) == (accept is None):
        raise typer.BadParameter("give a folder for a new certificate, or --accept one that is there", param_hint="--out")
    found = _registry(site).get(device)
    if found.revoked_ms is not None:
        raise Refused(f"{device} is shut out", fix=f"`dockbridge device rotate {device} --readmit` lets it in again, with a new password")
    if accept is not None:
        try:
            certificate, key = accept.read_bytes(), None
        except OSError as error:
            raise Refused(f"{accept} can't be read: {error.strerror}", fix="give the device's certificate, a file in PEM") from error
    else:
        certificate, key = certificates.issue_device(site / certificates.FOLDER_NAME, device, datetime.now(UTC))
    name, sha256 = certificates.device_of(certificate)
    if name != device:
        raise Refused(f"the certificate is for {name or 'no single name'}, not for {device}", fix="its subject's common name must be the device's")
    if out is not None and key is not None:
        authority = (site / certificates.FOLDER_NAME / certificates.AUTHORITY_FILE).read_bytes()
        try:
            certificates.write_pair(out, f"{escape(device)}.pem", f"{escape(device)}.key", certificate, key)
            (out / certificates.AUTHORITY_FILE).write_bytes(authority)
        except OSError as error:
            fix = "give --out a folder that you may write to; nothing was changed, and the certificate before is still good"
            raise Refused(f"{out} can't be written: {error.strerror}", fix=fix) from error
        say(f"{escape(device)}.pem, {escape(device)}.key and {certificates.AUTHORITY_FILE} are in {out}")
    call(site, "device_certificate", device=device, sha256=sha256)
    say(f"{device} is known by the certificate {certificates.fingerprint(certificate)}")
    if not load(site / CONFIG_NAME).listen.tls_client_ca_file:
        say('client certificates are not asked for yet: set listen.tls_client_ca_file = "tls/ca.pem" and restart the server')


@app.command()
def revoke(device: str, site: SiteOption = Path()) -> None:
    """Shut a device out: when this returns, its connection is closed. What it sent stays. `device rotate DEVICE --readmit` lets it in again.

    Example: `dockbridge device revoke scan-07`
    """
    call(site, "device_revoke", device=device)
    say(f"{device} is shut out")


def _registry(site: Path) -> Registry:
    reader, settings = reader_of(site)
    return Registry(reader, reader, settings.site.name)


def _failed(row: dict[str, Any]) -> str:
    """Logins as this device that failed lately, and where the last came from."""
    return f"{row['failed']} from {row['failed_from']}" if row["failed"] else ""


def _row(device: Device, ledgers: list[dict[str, Any]], presence: dict[str, Any] | None, failed: list[Any] | None) -> dict[str, Any]:
    return {
        "device": device.device,
        "role": Role(device.role).value,
        "courier": device.courier,
        "at": device.at,
        "orders": device.orders_prefix,
        "online": bool(presence and presence.get("online")),
        # Only of devices that count: a system's seq is no promise, and no ledger is kept of it.
        "events": sum(x["high"] - x["owed"] for x in ledgers) if ledgers else None,
        "owes": sum(x["owed"] for x in ledgers) if ledgers else None,
        "heard_ms": max((x["updated_ms"] for x in ledgers), default=None),
        "enrolled_ms": device.created_ms,
        "certificate": device.certificate_sha256,
        "failed": failed[0] if failed else 0,
        "failed_ms": failed[1] if failed else None,
        "failed_from": failed[2] if failed else None,
        "state": _state(device),
    }


def _state(device: Device) -> str:
    if device.revoked_ms is not None:
        return "revoked"
    if not device.can_log_in:
        return "no login"
    return "enrolled, outside v1/ only" if device.role is Role.LAB else "enrolled"


def _gaps(ranges: list[list[int]]) -> list[list[int]]:
    edges = [0, *(b for _, b in ranges)]
    return [[end + 1, start - 1] for end, (start, _) in zip(edges, ranges, strict=False) if start > end + 1]


def _ranges(gaps: list[list[int]]) -> str:
    shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in gaps[:10])
    return shown + (f" and {len(gaps) - 10} more" if len(gaps) > 10 else "")


def _yes(value: bool) -> str:
    return "yes" if value else "no"

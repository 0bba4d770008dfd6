"""An archive for support: what a maintainer needs to understand a site, without secrets and without anything that names a person.

Names of devices, couriers and orders may be those of people, so that none of them is in it: it has counts, and of findings only such texts as name none. The
configuration is written anew from its values, because comments may say anything.
"""

from __future__ import annotations

import io
import json
import platform
import sqlite3
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from bridge import __version__
from bridge.config import BackupSettings, ListenSettings, Settings
from bridge.config_file import render
from bridge.errors import BridgeError, Refused
from bridge.examination.site import ExaminedSite
from bridge.ingest.ports import StoreUnavailable
from bridge.operations.alerts import standing_alerts
from bridge.operations.doctor.examine import Examined
from bridge.operations.doctor.findings import Finding, Trouble
from bridge.operations.doctor.patient import DatabaseState, Running

_T: Final = Trouble
NAMELESS: Final = frozenset(
    {
        *(_T.DISK_FULL, _T.NETWORK_DISK, _T.FOLDER_READ_ONLY, _T.LOG_PINNED, _T.CLOCK_BEHIND, _T.STORE_FAILING, _T.SERVER_OTHER_VERSION, _T.SERVER_STOPPED),
        *(_T.SERVER_KILLED, _T.CERTIFICATE_EXPIRED, _T.CERTIFICATE_ENDS_SOON, _T.CERTIFICATE_NOT_YET_VALID, _T.AUTHORITY_ENDS_SOON, _T.BACKUP_OLD),
        *(_T.BACKUP_NONE, _T.BACKUP_OFF, _T.DATABASE_MISSING, _T.DATABASE_EMPTY, _T.DATABASE_NEWER, _T.DATABASE_OLDER, _T.DATABASE_DAMAGED, _T.FIREWALL),
        *(_T.ZONE_DIFFERS,),
    }
)
"""Findings whose text names no device, order, user or host; of others only the code is told."""
PACKAGES: Final = ("amqtt", "alembic", "argon2-cffi", "cbor2", "cryptography", "msgspec", "rich", "sqlalchemy", "typer", "uvloop", "websockets")
ABOUT: Final = """This archive was made by `dockbridge doctor --bundle`.

It has counts, settings, versions and the schema of the database: no secrets, and no names of devices, couriers, orders or people. Paths in the site's folder
begin with SITE. The server writes its log to standard error and keeps no copy; where systemd runs it, `journalctl -u dockbridge` prints the last lines.
"""
HIDDEN: Final = "(another)"
"""What stands for the path of a file elsewhere: it may lead through somebody's home."""
_PATHS: Final = ("tls_cert_file", "tls_key_file", "tls_client_ca_file")
_FORMATS: Final = (".tar.gz", ".tgz", ".zip")


def write_bundle(to: Path, patient: ExaminedSite, found: Examined) -> None:
    """Write the archive; its name says its format. Only its owner may read it.

    Raises:
        Refused: if the file can't be written.
    """
    files = {name: _told(tell, patient) for name, tell in _FILES.items()} | {"findings.json": _json(_findings(patient, found)), "README.txt": ABOUT}
    try:
        with to.open("xb") as file:
            to.chmod(0o600)
            file.write((_zip if to.suffix == ".zip" else _tar)({f"dockbridge/{name}": text.encode() for name, text in files.items()}))
    except OSError as error:
        raise Refused(f"{to} can't be written: {error.strerror}", fix="choose a folder that exists and that you may write to") from error


def check_name(to: Path) -> None:
    """Make sure that an archive can have this name.

    Raises:
        Refused: if it says no format, or the file exists.
    """
    if not to.name.endswith(_FORMATS):
        raise Refused(f"{to} is of no known format", fix=f"give it a name that ends in {', '.join(_FORMATS)}")
    if to.exists():
        raise Refused(f"{to} exists already", fix="choose another name, or remove it first")


def _told(tell: Callable[[ExaminedSite], str], patient: ExaminedSite) -> str:
    """A file of the archive, or why it can't be told: the kind of error only, because its text may name anything."""
    try:
        return tell(patient)
    except (BridgeError, StoreUnavailable, OSError, sqlite3.Error) as error:
        return f"not known: {type(error).__name__}\n"


def _findings(patient: ExaminedSite, found: Examined) -> dict[str, Any]:
    return {
        "healthy": found.healthy,
        "checks": {
            check.check: "skipped" if check.skipped else "failed" if check.failed else "ok" if check.is_ok else [f.code.value for f in check.findings]
            for check in found.checks
        },
        "findings": [_finding(patient, finding) for finding in found.findings],
    }


def _finding(patient: ExaminedSite, finding: Finding) -> dict[str, str | None]:
    text = finding.what.replace(str(patient.folder.path), "SITE") if finding.code in NAMELESS else None
    return {"code": finding.code.value, "weight": finding.weight.value, "what": text}


def _versions(_: ExaminedSite) -> str:
    found = {"dockbridge": __version__, "python": sys.version, "sqlite": sqlite3.sqlite_version, "system": f"{platform.system()} {platform.release()}"}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return _json(found)


def _configuration(patient: ExaminedSite) -> str:
    settings = patient.settings
    if not isinstance(settings, Settings):
        raise settings
    own = ListenSettings()
    changed: dict[str, Any] = {name: HIDDEN for name in _PATHS if getattr(settings.listen, name) != getattr(own, name)}
    listen = replace(settings.listen, **changed)
    backup = replace(settings.backup, folder=HIDDEN) if settings.backup.folder not in ("", BackupSettings().folder) else settings.backup
    hidden = replace(settings, listen=listen, backup=backup)
    return "\n".join(line for line in render(hidden).splitlines() if not line.startswith("#")) + "\n"


def _status(patient: ExaminedSite) -> str:
    """What `dockbridge status` shows, in counts."""
    says = patient.server.says
    system = patient.folder.file_system
    return _json(
        {
            "server": {"version": says.version, "counters": says.counters} if isinstance(says, Running) else None,
            "disk": {"kind": system.kind, "free_bytes": system.free_bytes, "all_bytes": system.all_bytes},
            "backups": [backup.made_ms for backup in patient.backups],
            "database": patient.database.state.value,
            "unmoved_log_bytes": patient.database.unmoved_log_bytes,
            "modes": dict(sorted(Counter(oct(file.mode & 0o777) for file in patient.folder.files()).items())),
        }
    )


def _counts(patient: ExaminedSite) -> str:
    site = patient.site
    alerts = standing_alerts(site, now_ms=patient.now_ms)
    return _json(
        {
            "rows": patient.database.table_counts() if patient.database.state is DatabaseState.READABLE else {},
            "alerts": dict(Counter(alert.code.value for alert in alerts)),
            "quarantine": dict(Counter(row["reason"] for row in site.queries.quarantine_groups(limit=1_000))),
            "devices": dict(Counter(device.role.value for device in site.registry.list())),
            "acts": dict(Counter(entry.act for entry in site.audit.entries())),
            "orders": site.queries.order_counts(),
        }
    )


def _schema(patient: ExaminedSite) -> str:
    return "\n".join(patient.database.schema()) + "\n"


_FILES: Final[dict[str, Callable[[ExaminedSite], str]]] = {
    "versions.json": _versions,
    "bridge.toml": _configuration,
    "status.json": _status,
    "counts.json": _counts,
    "schema.sql": _schema,
}


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _zip(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def _tar(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()

"""What is seen of a site from outside its database: the disk, the certificates, the last backup."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct

from bridge.config import CONFIG_NAME, DATABASE_NAME
from bridge.config_file import load
from bridge.errors import Refused
from bridge.serving.backups import backups_of
from bridge.site_certificates import list_certificates

WAL_NAME: Final = f"{DATABASE_NAME}-wal"


class CertificateEnd(NamedTuple):
    """When a certificate of the site ends: the authority's or the server's."""

    certificate: str
    ends_ms: int


class Surroundings(Struct, frozen=True, kw_only=True):
    """See the module. `wal_bytes` is the size of the write-ahead log, `backup_ms` the time of the last backup in the site's folder of backups; `backups` says
    if it has one."""

    site: str
    disk_free_bytes: int
    database_bytes: int
    wal_bytes: int
    certificates: list[CertificateEnd]
    backups: bool
    backup_ms: int | None


def look_around(directory: Path) -> Surroundings:
    """Look at the folder of a site, now.

    Raises:
        ConfigError: if its configuration is wrong.
    """
    settings = load(directory / CONFIG_NAME)
    try:
        certificates = [CertificateEnd(row.certificate, row.ends_ms) for row in list_certificates(directory)]
    except Refused:
        certificates = []
    backups = backups_of(directory, settings)
    made = backups.made() if backups is not None else []
    return Surroundings(
        site=settings.site.name,
        disk_free_bytes=shutil.disk_usage(directory).free,
        database_bytes=_size(directory / DATABASE_NAME),
        wal_bytes=_size(directory / WAL_NAME),
        certificates=certificates,
        backups=backups is not None,
        backup_ms=int(made[-1][0].timestamp() * 1000) if made else None,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

"""`dockbridge serve` on a new site, as a user runs it: its defaults, passwords on, every table written."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from argon2 import PasswordHasher

from benchmarks.machine import Cores
from benchmarks.servers.process import Server
from bridge import certificates
from bridge.config import DATABASE_NAME, parse
from bridge.site_folder import make_site
from devices.protocol.vocabulary import Role

PASSWORD: Final = "one-password-for-all"
QUICK_HASH: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Logging in is not what is measured (but in `broker_alone.storm`): a fleet of 1,000 would take half a minute before each round."""


class Ours(Server):
    """A site that is served."""

    password: str | None = PASSWORD

    def __init__(
        self,
        folder: Path,
        roles: Mapping[str, Role],
        cores: Cores,
        *,
        hasher: PasswordHasher = QUICK_HASH,
        site: Path | None = None,
        tls: bool = False,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.site = site or folder / "site"
        if not self.site.exists():
            listen = {"mqtt": "", "mqtts": "127.0.0.1:0"} if tls else {"mqtt": "127.0.0.1:0"}
            make_site(self.site, parse({"listen": listen, **{k: dict(v) for k, v in (settings or {}).items()}}))
            if tls:
                certify(self.site)
        enrol(self.site, roles, hasher)
        super().__init__(cores)
        command = [sys.executable, "-m", "bridge.entrypoints.cli.main", "serve", str(self.site), "--json"]
        self.spawned_s = time.perf_counter()
        line = self._processes.spawn(command, until='"ready"', log=folder / "serve.log")
        self.port = int(json.loads(line)["addresses"]["mqtts" if tls else "mqtt"].rpartition(":")[2])

    def stored(self) -> int:
        return count_events(self.site / DATABASE_NAME)


class OurLab(Server):
    """`dockbridge serve --lab`: the broker alone. What nobody with a persistent session waits for, and is not retained, passes through and is not stored."""

    def __init__(self, folder: Path, roles: Mapping[str, Role], cores: Cores) -> None:
        super().__init__(cores)
        command = [sys.executable, "-m", "bridge.entrypoints.cli.main", "serve", "--lab", "--listen", "127.0.0.1:0", "--json"]
        line = self._processes.spawn(command, until='"ready"', log=folder / "serve.log")
        self.port = int(json.loads(line)["addresses"]["mqtt"].rpartition(":")[2])

    def stored(self) -> int:
        return 0


def certify(folder: Path) -> None:
    """An authority and a server certificate for this machine, in `tls/`."""
    tls, now = folder / certificates.FOLDER_NAME, datetime.now(UTC)
    certificates.make_authority(tls, "main", now)
    certificates.issue_server(tls, ["127.0.0.1", "localhost"], now)


def enrol(site: Path, roles: Mapping[str, Role], hasher: PasswordHasher) -> None:
    """Enrol a fleet with one password: a hash for each would take its time."""
    digest = hasher.hash(PASSWORD)
    rows = [(name, role.value, name if role is Role.COURIER else None, digest) for name, role in roles.items()]
    connection = sqlite3.connect(site / DATABASE_NAME)
    with connection:
        connection.executemany("INSERT OR IGNORE INTO devices (device, role, courier, created_ms, password_hash) VALUES (?, ?, ?, 0, ?)", rows)
    connection.close()


def count_events(database: Path) -> int:
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
    finally:
        connection.close()

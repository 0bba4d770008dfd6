"""`dockbridge serve` on a new site, as a user runs it: its defaults, passwords on, every table written."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from argon2 import PasswordHasher
from helpers.server import ServerProcess, enrol

from benchmarks.machine import Cores
from benchmarks.servers.process import Processes, Server
from bridge import certificates
from bridge.config import DATABASE_NAME
from bridge.config_file import parse
from bridge.site_folder import make_site
from devices.protocol.vocabulary import Role

PASSWORD: Final = "one-password-for-all"
QUICK_HASH: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Logging in is not measured (except in `broker_alone.storm`): with the real hash, a fleet of 1,000 would take half a minute before each round."""


class Ours(Server):
    """A site, and the server that serves it."""

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
        enrol(self.site / DATABASE_NAME, roles, secret=PASSWORD, hasher=hasher)
        super().__init__(cores)
        self.spawned_s = time.perf_counter()
        served = started(self._processes, self.site, log=folder / "serve.log")
        _, self.port = served.addresses["mqtts" if tls else "mqtt"]

    def stored(self) -> int:
        return count_events(self.site / DATABASE_NAME)


class OurLab(Server):
    """`dockbridge serve --lab`: the broker alone. A message that is not retained and not owed to a persistent session passes through and is not stored."""

    def __init__(self, folder: Path, roles: Mapping[str, Role], cores: Cores) -> None:
        super().__init__(cores)
        _, self.port = started(self._processes, "--lab", "--listen", "127.0.0.1:0", log=folder / "serve.log").address

    def stored(self) -> int:
        return 0


def started(processes: Processes, *arguments: str | Path, log: Path) -> ServerProcess:
    """`dockbridge serve` as one of the processes of a contestant, which stop it."""
    server = ServerProcess(*arguments, log=log, is_fresh=True, prepare=processes.prepare)
    server.start()
    assert isinstance(server.process, subprocess.Popen)
    processes.take(server.process)
    return server


def certify(folder: Path) -> None:
    """An authority and a server certificate for this machine, in `tls/`."""
    tls, now = folder / certificates.FOLDER_NAME, datetime.now(UTC)
    certificates.make_authority(tls, "main", now)
    certificates.issue_server(tls, ["127.0.0.1", "localhost"], now)


def count_events(database: Path) -> int:
    connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
    finally:
        connection.close()

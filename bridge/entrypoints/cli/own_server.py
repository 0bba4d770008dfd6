"""The server that `dockbridge torture` kills: a process of this program with a site of its own."""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from bridge.clock import anchored_clock
from bridge.config import DATABASE_NAME, ListenSettings, Settings, SiteSettings
from bridge.errors import BridgeError
from bridge.site_folder import make_site
from bridge.store.registry import Registry
from bridge.store.sqlite import open_engine
from devices.protocol.vocabulary import Role
from firmware_sim.torture.server import ServerProcess


class OwnServer(ServerProcess):
    """`dockbridge serve` on a fixed port, for a new site in a folder."""

    def __init__(self, folder: Path, site: str) -> None:
        super().__init__()
        self.address = ("127.0.0.1", _free_port())
        self._folder = folder
        self._site = site
        make_site(folder, Settings(site=SiteSettings(name=site), listen=ListenSettings(mqtt="{}:{}".format(*self.address))))

    def enrol(self, roles: Mapping[str, Role]) -> dict[str, tuple[str, str]]:
        """Enrol devices, before the start. Returns their logins."""
        engine = open_engine(self._folder / DATABASE_NAME)
        registry = Registry(engine, engine, self._site)
        now_ms = anchored_clock().now_ms()
        return {name: (name, registry.add(name, role, now_ms=now_ms) or "") for name, role in roles.items()}

    async def start(self, kill_at: str | None) -> bool:
        line = await asyncio.to_thread(self._first_line, ["--kill-at", kill_at] if kill_at is not None else [])
        if line and json.loads(line)["ready"]:
            return True
        if kill_at is None:
            raise BridgeError("the server did not start", fix=f"see why with `dockbridge serve {self._folder}`; --keep leaves the folder there")
        return False

    def _first_line(self, options: list[str]) -> str:
        """Start it. Returns the line that it prints when it is ready, or an empty text if it ended before."""
        command = [sys.executable, "-m", "bridge.entrypoints.cli.main", "serve", str(self._folder), "--json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)  # noqa: S603 -- our own program
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def stored(self) -> Counter[bytes] | None:
        """Ids of the stored events, read from the file that the server left, without the server's own code."""
        with closing(sqlite3.connect(f"{(self._folder / DATABASE_NAME).absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return Counter(row[0] for row in connection.execute("SELECT id FROM events"))


def _free_port() -> int:
    """A port that stays free while the server is down: below those that the system uses for outgoing connections (Linux: from 32768)."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port

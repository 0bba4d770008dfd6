"""Mosquitto, alone or with a consumer process behind it on the same core."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from helpers.server import free_port

from benchmarks.machine import Cores
from benchmarks.servers.ours import count_events
from benchmarks.servers.process import Processes, Server, wait_for
from devices.protocol.vocabulary import Role

CONFIGURATION: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
log_type none
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
max_queued_bytes 0
"""
"""As fast as it can be: no limits of its own, no login, no log."""
PERSISTENT: Final = "persistence true\npersistence_location {folder}/\n"
"""As in Debian's package: written every half hour and when it is stopped cleanly. Faster than `autosave_on_changes`, and a kill loses what was not written."""
USER: Final = "user root\n"


class Mosquitto(Server):
    """A broker; with `consumer`, a module of `benchmarks.consumers`, it is all that a user would run instead."""

    def __init__(self, folder: Path, roles: Mapping[str, Role], cores: Cores, *, consumer: str | None = None, extra: str = "") -> None:
        self.port = free_port()
        self._database = folder / "consumer.db"
        super().__init__(cores)
        configuration = folder / "mosquitto.conf"
        persistence = PERSISTENT.format(folder=folder) if consumer is not None else "persistence false\n"
        configuration.write_text(CONFIGURATION.format(port=self.port) + persistence + USER + extra)
        self._processes.spawn([program(), "-c", str(configuration)])
        wait_for(lambda: listens(self.port), "Mosquitto")
        if consumer is not None:
            start_consumer(self._processes, consumer, self.port, self._database, roles, folder / "consumer.log")

    def stored(self) -> int:
        return count_events(self._database)


def start_consumer(processes: Processes, module: str, port: int, database: Path, roles: Mapping[str, Role], log: Path) -> None:
    """Start a consumer and wait until it is subscribed."""
    job = {"port": port, "database": str(database), "roles": {name: role.value for name, role in roles.items()}}
    processes.spawn([sys.executable, "-m", f"benchmarks.consumers.{module}"], give=json.dumps(job), until="ready", log=log)


def program() -> str:
    """The path of Mosquitto's program.

    Raises:
        FileNotFoundError: if it is not installed.
    """
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FileNotFoundError("Mosquitto is not installed: `apt install mosquitto`")
    return found


def version() -> str:
    import subprocess

    done = subprocess.run([program(), "-h"], capture_output=True, text=True, check=False)
    return done.stdout.split("\n", 1)[0].replace("mosquitto version", "Mosquitto").strip()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True

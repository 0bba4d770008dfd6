"""The one server process of the tests: `dockbridge serve` in a process of its own. Tests can read its log, counters and memory, and set its limits.

`Server` is a site in a folder and the process that serves it. `ServerProcess` is any `dockbridge serve`, such as that of a laboratory.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from argon2 import PasswordHasher

from bridge.config import CONFIG_NAME, DATABASE_NAME
from bridge.config_file import parse
from bridge.entrypoints.control.client import ask
from bridge.operations.server import counters
from bridge.store.registry import HASHER
from devices.protocol.vocabulary import Role
from helpers.events import SITE
from helpers.forked import Forked
from helpers.mqtt import Address, MqttWire
from helpers.new_site import new_site

Process = subprocess.Popen[str] | Forked
WITH_FAULTS: Final = Path(__file__).with_name("serve_with_faults.py")
END_S: Final = 60.0
SECRET: Final = "one-secret-for-all"


def free_port() -> int:
    """A port that stays free while a server is down: below the ports that the system gives to outgoing connections (Linux: from 32768)."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def enrol(database: Path, roles: Mapping[str, Role], *, secret: str = SECRET, hasher: PasswordHasher = HASHER) -> None:
    """Enrol devices, all with one secret: hashing one for each would take too long. A courier's phone is named after the courier.

    The server may be running. Devices that are already enrolled stay as they are.
    """
    digest = hasher.hash(secret)
    rows = [(device, role.value, device if role is Role.COURIER else None, digest) for device, role in roles.items()]
    _write(database, "INSERT OR IGNORE INTO devices (device, role, courier, created_ms, password_hash) VALUES (?, ?, ?, 0, ?)", rows)


class ServerProcess:
    """`dockbridge serve` in a process of its own. Used as a context manager, it starts the process, and kills it at the end.

    Args:
        arguments: those of `dockbridge serve`.
        log: the file that the log is appended to.
        faults: the folder in which `serve_with_faults.py` looks for faults; with None the server has no faults.
        limits: `resource` limits of the process, soft and hard.
        environment: variables in addition to those of this process.
        is_fresh: start a new Python interpreter. By default the process is forked, which is faster.
        prepare: called in a fresh process before it starts.
    """

    def __init__(
        self,
        *arguments: str | Path,
        log: Path,
        faults: Path | None = None,
        limits: Mapping[int, int] | None = None,
        environment: Mapping[str, str] | None = None,
        is_fresh: bool = False,
        prepare: Callable[[], object] | None = None,
    ) -> None:
        self.log_file = log
        self.faults = faults
        self.addresses: dict[str, Address] = {}
        """The addresses of its listeners, by name: mqtt, mqtts, ws, wss."""
        self.starts = 0
        self.process: Process | None = None
        self._arguments = ["serve", *map(str, arguments), "--json"]
        self._limits = dict(limits or {})
        self._environment = dict(environment or {})
        self._is_fresh = is_fresh or prepare is not None
        self._prepare = prepare

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process is not None:
            self.end(signal.SIGKILL)

    @property
    def address(self) -> Address:
        """The address of its listener for MQTT over TCP."""
        return self.addresses["mqtt"]

    # when

    def start(self) -> None:
        """Start the process, and wait until it is ready."""
        process = self.launch()
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the server did not start: {self.log()}"
        ready = json.loads(line)
        assert ready["ready"] is True
        self.addresses = {name: _address(url) for name, url in ready["addresses"].items()}
        self.starts += 1

    def launch(self) -> Process:
        """Start the process without waiting until it is ready. Its log continues in the same file."""
        assert self.process is None, "it runs already"
        self.process = self._fresh() if self._is_fresh else self._forked()
        return self.process

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the process; returns its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait until the process has ended; returns its exit code."""
        assert self.process is not None
        process, self.process = self.process, None
        assert process.stdout is not None
        try:
            return process.wait(END_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.end(number)
        self.start()

    def _forked(self) -> Forked:
        program = ["dockbridge"] if self.faults is None else [WITH_FAULTS, self.faults]
        return Forked([*program, *self._arguments], log=self.log_file, environment={**os.environ, **self._environment}, limits=self._limits)

    def _fresh(self) -> subprocess.Popen[str]:
        program = ["-m", "bridge.entrypoints.cli.main"] if self.faults is None else [str(WITH_FAULTS), str(self.faults)]
        # It must find the modules that this process has found.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **self._environment}
        with self.log_file.open("a") as log:
            return subprocess.Popen(
                [sys.executable, *program, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                preexec_fn=self._before_it_starts if self._limits or self._prepare else None,
            )

    def _before_it_starts(self) -> None:
        for number, limit in self._limits.items():
            resource.setrlimit(number, (limit, limit))
        if self._prepare is not None:
            self._prepare()

    # then

    def log(self) -> list[str]:
        """The lines of its log."""
        return self.log_file.read_text().splitlines()

    def said(self, words: str) -> list[str]:
        """The lines of its log that contain these words."""
        return [line for line in self.log() if words in line]

    def memory_bytes(self) -> int:
        """The resident memory of the process."""
        return self._status("VmRSS") * 1_024

    def peak_memory_bytes(self) -> int:
        """The highest resident memory of the process so far."""
        return self._status("VmHWM") * 1_024

    def threads(self) -> int:
        return self._status("Threads")

    def open_files(self) -> int:
        """The number of its open file descriptors."""
        return len(list((self._proc / "fd").iterdir()))

    def cpu_s(self) -> float:
        """The processor time that it has used."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def _proc(self) -> Path:
        """A file of Linux about the process (proc(5))."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}")

    def _status(self, field: str) -> int:
        lines = (self._proc / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


class Server(ServerProcess):
    """A site in a folder, and the process that serves it.

    Args:
        directory: the site's folder, which is made if it does not exist.
        aside: the folder for its log and its faults; by default the one that contains the site's folder.
        with_faults: allows calls of `fault`.
        settings: sections of `bridge.toml`.

    The other arguments are those of `ServerProcess`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        aside: Path | None = None,
        with_faults: bool = False,
        limits: Mapping[int, int] | None = None,
        environment: Mapping[str, str] | None = None,
        is_fresh: bool = False,
        prepare: Callable[[], object] | None = None,
        **settings: dict[str, Any],
    ) -> None:
        folder = aside or directory.parent
        faults = folder / "faults" if with_faults else None
        log = folder / "serve.log"
        super().__init__(directory, log=log, faults=faults, limits=limits, environment=environment, is_fresh=is_fresh, prepare=prepare)
        self.directory = directory
        if faults is not None:
            faults.mkdir()
        if not (directory / CONFIG_NAME).exists():
            new_site(directory, parse({"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}, **settings}))

    @property
    def database(self) -> Path:
        return self.directory / DATABASE_NAME

    # given

    def enrol(self, role: Role, *devices: str) -> None:
        """Enrol devices, all with `SECRET`."""
        enrol(self.database, dict.fromkeys(devices, role))

    def write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Change the database without the server."""
        _write(self.database, statement, rows)

    def fault(self, name: str, value: float | str | None = 1) -> None:
        """Set a fault of `serve_with_faults.py`; None removes it."""
        assert self.faults is not None, "it was made without faults"
        if value is None:
            (self.faults / name).unlink()
            return
        part = self.faults / f"{name}.part"
        part.write_text(str(value))
        part.rename(self.faults / name)

    # when

    def client(self, device: str, client_id: str | None = None, **connect: Any) -> MqttWire:
        """A client that has logged in as a device."""
        wire = MqttWire(self.address)
        wire.session_present, code = wire.connect(client_id or device, device, SECRET, **connect)
        assert code == 0, f"CONNACK {code}"
        return wire

    # then

    def counters(self) -> dict[str, int]:
        """The counters that `dockbridge status` shows."""
        found = ask(self.directory, counters)
        assert found is not None, "no server runs"
        return dict(found)

    def status(self) -> str:
        """What `dockbridge status` prints."""
        command = [sys.executable, "-m", "bridge.entrypoints.cli.main", "status", "--site", str(self.directory)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=END_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the database; works even if the server does not run."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def stored(self, device: str) -> list[int]:
        """The sequence numbers of a device's events, in the order of the event log."""
        return [seq for (seq,) in self.rows("SELECT seq FROM events WHERE device = ? ORDER BY pos", device)]


def _write(database: Path, statement: str, rows: list[tuple[Any, ...]]) -> None:
    connection = sqlite3.connect(database)
    with connection:
        connection.executemany(statement, rows)
    connection.close()


def _address(url: str) -> Address:
    host, _, port = url.rpartition("/")[2].rpartition(":")
    return host, int(port)

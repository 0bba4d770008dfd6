"""A server for tests of what can go wrong: `dockbridge serve` as a process of its own, whose log, counters, memory and limits a test sees."""

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
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from a_process import Forked
from a_site import DEADLINE_S, SITE, MqttWire, event

from bridge.config import parse
from bridge.entrypoints.control.client import ask
from bridge.operations.server import counters
from bridge.site_folder import make_site
from bridge.store.registry import HASHER, Registry
from bridge.store.sql import open_engine
from devices.protocol.vocabulary import Role

Process = subprocess.Popen[str] | Forked
WITH_FAULTS: Final = Path(__file__).with_name("serve_with_faults.py")
START_S: Final = 30.0
SECRET: Final = "one-secret-for-all"
_TICK_S: Final = 0.01


def until(condition: Callable[[], bool], what: str, deadline_s: float = 2 * DEADLINE_S) -> None:
    """Waits until something is so. Fails the test after a deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(_TICK_S)


def free_port() -> int:
    """A port that stays free while a server is down: below those that the system gives to outgoing connections (Linux: from 32768)."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server:
    """A site in a folder, and the process that serves it.

    Args:
        directory: where the site is made.
        aside: where its log goes; the folder beside the site's unless it is given.
        limits: `resource` limits of the process, soft and hard.
        prepare: called in the process before it starts; it is one that starts from nothing then.
        settings: sections of `bridge.toml`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        aside: Path | None = None,
        limits: Mapping[int, int] | None = None,
        prepare: Callable[[], object] | None = None,
        **settings: dict[str, Any],
    ) -> None:
        self.directory = directory
        self.faults = (aside or directory.parent) / "faults"
        self.faults.mkdir()
        self.log_file = (aside or directory.parent) / "serve.log"
        self.address = ("", 0)
        self.process: Process | None = None
        self._limits = dict(limits or {})
        self._prepare = prepare
        make_site(directory, parse({"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}, **settings}))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process is not None:
            self.end(signal.SIGKILL)

    # given

    def enrol(self, role: Role, *devices: str) -> None:
        """Enrols devices, all with one secret, because hashing one for each takes its time. The server may be running."""
        engine = open_engine(self.directory / "dockbridge.db")
        Registry(engine, engine, SITE).add(devices[0], role, now_ms=0)
        engine.dispose()
        digest = HASHER.hash(SECRET)
        self.write("UPDATE devices SET password_hash = ? WHERE device = ?", [(digest, devices[0])])
        self.write("INSERT INTO devices (device, role, created_ms, password_hash) VALUES (?, ?, 0, ?)", [(d, role.value, digest) for d in devices[1:]])

    def write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Changes the database behind the server's back."""
        connection = sqlite3.connect(self.directory / "dockbridge.db")
        with connection:
            connection.executemany(statement, rows)
        connection.close()

    def fault(self, name: str, value: float | None = 1) -> None:
        """Sets a fault of `serve_with_faults.py`, or, with None, takes it away."""
        if value is None:
            (self.faults / name).unlink()
            return
        part = self.faults / f"{name}.part"
        part.write_text(str(value))
        part.rename(self.faults / name)

    # when

    def start(self) -> None:
        """Starts the process, and waits until it is ready."""
        process = self.launch()
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the server did not start: {self.log()}"
        host, _, port = json.loads(line)["addresses"]["mqtt"].removeprefix("mqtt://").rpartition(":")
        self.address = (host, int(port))

    def launch(self) -> Process:
        """Starts the process. Its log goes on in the same file."""

        arguments = [str(WITH_FAULTS), str(self.faults), "serve", str(self.directory), "--json"]
        if self._prepare is None:
            self.process = Forked(arguments, log=self.log_file, limits=self._limits)
            return self.process
        command = [sys.executable, *arguments]
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, preexec_fn=self._prepare)
        return self.process

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends the process; its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Waits until the process has ended; its exit code."""
        assert self.process is not None
        process, self.process = self.process, None
        assert process.stdout is not None
        try:
            return process.wait(START_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.end(number)
        self.start()

    def client(self, device: str, client_id: str | None = None, **connect: Any) -> MqttWire:
        """A client that has logged in as a device."""
        wire = MqttWire(self.address)
        wire.session_present, code = wire.connect(client_id or device, device, SECRET, **connect)
        assert code == 0, f"CONNACK {code}"
        return wire

    # then

    def log(self) -> list[str]:
        """What it said to whoever looks after it."""
        return self.log_file.read_text().splitlines()

    def said(self, words: str) -> list[str]:
        return [line for line in self.log() if words in line]

    def counters(self) -> dict[str, int]:
        """What `dockbridge status` counts."""
        found = ask(self.directory, counters)
        assert found is not None, "no server runs"
        return dict(found)

    def status(self) -> str:
        """What `dockbridge status` prints."""
        command = [sys.executable, "-m", "bridge.entrypoints.cli.main", "status", "--site", str(self.directory)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self.directory / 'dockbridge.db'}?mode=ro", uri=True)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def stored(self, device: str) -> list[int]:
        """Sequence numbers of a device's events, as they are in the log."""
        return [seq for (seq,) in self.rows("SELECT seq FROM events WHERE device = ? ORDER BY pos", device)]

    def memory_bytes(self) -> int:
        """What the process holds of the machine's memory."""
        assert self.process is not None
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    def cpu_s(self) -> float:
        """The processor time that it has used."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def shift(device: str, seq: int, **other: Any) -> bytes:
    """An event that belongs to no order."""
    return event(device, seq, None, {"worker": "w-17"}, at_ms=time.time_ns() // 1_000_000, **other)

"""Start a contestant in a folder of its own, let the load generator do one job against it, and put the figures together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import Cores
from benchmarks.servers.process import CHECKOUT, STOP_S, Server, Start, environment
from devices.protocol.vocabulary import Role

GENERATOR_SHARE_MAX: Final = 0.8
"""The share of its core. If the generator is busier, it may be the bottleneck."""

Say = Callable[[str], None]


@contextmanager
def served(start: Start, roles: Mapping[str, Role], cores: Cores) -> Iterator[Server]:
    """A contestant, from its start to its end."""
    with tempfile.TemporaryDirectory(prefix="dockbridge-bench-", dir=os.environ.get("DOCKBRIDGE_BENCH_DIR"), ignore_cleanup_errors=True) as folder:
        server = start(Path(folder), roles, cores)
        try:
            yield server
        finally:
            server.stop()


def load(kind: str, server: Server, cores: Cores, **job: Any) -> dict[str, Any]:
    """Run one job of the load generator; returns its figures, with the resources that the server side used meanwhile.

    Raises:
        RuntimeError: if the generator failed.
    """
    before = server.usage()
    with _generator(kind, server, cores, job) as generator:
        figures = _figures(generator)
    after = server.usage()
    figures["server"] = {"cpu_s": round(after.cpu_s - before.cpu_s, 2), "memory_mb": round(after.memory_mb, 1), "peak_mb": round(after.peak_mb, 1)}
    return figures


@contextmanager
def held(server: Server, cores: Cores, **job: Any) -> Iterator[dict[str, Any]]:
    """Connections that stay open until the block ends."""
    with _generator("hold", server, cores, job) as generator:
        yield _figures(generator)


@contextmanager
def _generator(kind: str, server: Server, cores: Cores, job: Mapping[str, Any]) -> Iterator[subprocess.Popen[str]]:
    plain = {"kind": kind, "core": cores.load, "host": server.host, "port": server.port, "password": server.password, **job}
    command = [sys.executable, "-m", "benchmarks.load"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=CHECKOUT, env=environment())
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(plain) + "\n")
        process.stdin.flush()
        yield process
        process.communicate(timeout=STOP_S)
    finally:
        process.kill()
        process.communicate()


def _figures(generator: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of its figures."""
    assert generator.stdout is not None
    assert generator.stderr is not None
    line = generator.stdout.readline()
    if not line:
        raise RuntimeError(f"the load generator failed: {generator.stderr.read()[-2_000:]}")
    found: dict[str, Any] = json.loads(line)
    return found


def too_busy(figures: Mapping[str, Any]) -> bool:
    """Whether the generator may have been the bottleneck."""
    return bool(figures.get("generator", {}).get("share", 0.0) > GENERATOR_SHARE_MAX)

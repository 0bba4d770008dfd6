"""A customer is forgotten while an import runs that names them again; the server is killed, the import is run again, and an old backup is restored. They stay
forgotten: what was destroyed is in no file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Final

import pytest
from helpers.server import Server
from helpers.shell import ROOT, Shell

from bridge.config import DATABASE_NAME
from bridge.searching import forms_of
from bridge.vault import key_part

ORDERS: Final = 4_000
DEADLINE_S: Final = 60.0
MAP: Final = """
[channel]
name = "shop"
prefix = "s-"
timezone = "UTC"
[columns]
order = "no"
created = "made"
sku = "sku"
[contact]
name = "who"
phone = "phone"
"""


def write_orders(path: Path, orders: int) -> None:
    rows = [f"{n},2026-11-01 10:00:00,pen,Wilhelmina Quastenflosser {n},+49 30 4711{n:05}" for n in range(1, orders + 1)]
    path.write_text("\n".join(["no,made,sku,who,phone", *rows]) + "\n", encoding="utf-8")


def wrapped_keys(folder: Path, order: str) -> list[bytes]:
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
        return [key_part(sealed) for (sealed,) in connection.execute("SELECT sealed FROM sealed WHERE order_id = ?", (order,))]


def files_with(folder: Path, needles: list[bytes]) -> list[str]:
    """Files of a site that have any of these, without the copies of old databases."""
    found = [path for path in folder.rglob("*") if path.is_file() and "replaced-" not in str(path)]
    return [path.name for path in found if any(needle in path.read_bytes() for needle in needles)]


@pytest.mark.slow
def test_a_customer_who_was_forgotten_stays_forgotten(tmp_path: Path) -> None:
    folder, mapping = tmp_path / "site", tmp_path / "map.toml"
    mapping.write_text(MAP)
    write_orders(tmp_path / "first.csv", 10)
    write_orders(tmp_path / "all.csv", ORDERS)
    shell = Shell(folder)
    with Server(folder) as server:
        shell("orders", "import", tmp_path / "first.csv", "--map", mapping)
        shell("orders", "cancel", "s-1", "--reason", "customer_request")
        shell("db", "backup", tmp_path / "old.db")
        needles = [*forms_of("Wilhelmina Quastenflosser 1"), *wrapped_keys(folder, "s-1")]
        assert files_with(folder, needles) == [f"{DATABASE_NAME}-wal"], "the wrapped key, and no name"
        with importing(folder, tmp_path / "all.csv", mapping) as run:
            wait_for_orders(folder, 100)
            assert run.poll() is None, "the import is in the middle"
            (forgotten,) = shell.data("forget", "s-1", "--reason", "asked")["orders"]
            assert forgotten["fate"] == "forgotten"
            server.end(SIGKILL)
        server.start()
        check(shell, folder, needles)
        shell("orders", "import", tmp_path / "all.csv", "--map", mapping)
        check(shell, folder, needles)
        assert shell.data("contacts", "show", f"s-{ORDERS}")["contact"]["name"] == f"Wilhelmina Quastenflosser {ORDERS}"
        server.end()
        assert "1 order forgotten again" in shell("db", "restore", tmp_path / "old.db").stderr
        assert files_with(folder, needles) == []
        server.start()
        check(shell, folder, needles)


def check(shell: Shell, folder: Path, needles: list[bytes]) -> None:
    """Nothing is known of the customer, and what was destroyed is in no file."""
    shown = shell.data("contacts", "show", "s-1")
    assert (shown["contact"], bool(shown["forgotten_ms"])) == ({}, True)
    (forgotten,) = shell.data("forget", "s-1")["orders"]
    assert forgotten["fate"] == "forgotten_before"
    assert shell.data("contacts", "find", "--phone", "+49 30 471100001") == []
    assert files_with(folder, needles) == []


@contextmanager
def importing(folder: Path, file: Path, mapping: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An import in a process of its own, which is killed at the end."""
    words = ["-m", "bridge.entrypoints.cli.main", "orders", "import", str(file), "--map", str(mapping), "--site", str(folder)]
    run = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        yield run
    finally:
        run.kill()
        run.wait()


def wait_for_orders(folder: Path, orders: int) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
            (stored,) = connection.execute("SELECT count(*) FROM orders").fetchone()
        if stored >= orders:
            return
        assert time.monotonic() < deadline_s
        time.sleep(0.005)

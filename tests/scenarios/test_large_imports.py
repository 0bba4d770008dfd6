"""Large files: an import that is killed in the middle and run again stores everything once and leaves nobody's name behind, and a file that is larger than the
memory comes in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.server import Server

from bridge.config_file import parse
from bridge.searching import forms_of, search
from bridge.site_folder import make_site
from bridge.site_reader import ReadableSite

pytestmark = pytest.mark.slow

MAP = """
[channel]
name = "shop1"
prefix = "s-"
timezone = "Europe/Berlin"
amount_per = "row"
[columns]
order = "no"
status = "state"
created = "made"
sku = "sku"
qty = "qty"
amount = "sum"
carrier = "carrier"
[status]
paid = "approved"
sent = "shipped"
"""
HEADER = "no,state,made,sku,qty,sum,carrier,note\n"
ROWS_OF_ORDER = 2
KILLS_MAX = 12
MEMORY_BYTES_MAX = 150 * 1024**2
MEASURED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss, used.ru_utime + used.ru_stime)
sys.exit(done.returncode)
"""
"""Runs a command in a small process, and prints its peak memory in kB and its processor time. A child of the tests would begin with their own memory."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site"
    make_site(path, parse({"listen": {"mqtt": "127.0.0.1:0"}, "imports": {"watch_every_s": 0.05, "watch_still_s": 0.05}}))
    (tmp_path / "map.toml").write_text(MAP)
    return path


def rows(orders: int, note: str = "") -> Iterator[str]:
    yield HEADER
    for no in range(orders):
        state = "sent" if no % 4 == 0 else "paid"
        for line in range(ROWS_OF_ORDER):
            yield f"{no:06d},{state},2026-11-{1 + no % 28:02d} {no % 24:02d}:00:00,SKU-{no % 997}-{line},1,4.50,DHL,{note}\n"


def write(path: Path, orders: int, note: str = "") -> Path:
    with path.open("w") as file:
        file.writelines(rows(orders, note))
    return path


def command(site: Path, *words: str | Path, **environment: str) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "bridge.entrypoints.cli.main", *map(str, words), "--site", str(site)]
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environment})


def stored(site: Path, orders: int) -> tuple[int, int]:
    """(how many of the orders are there, how many events)."""
    queries = ReadableSite(site).queries
    names = [f"s-{no:06d}" for no in range(orders)]
    return len(queries.order_states(names)), len(queries.sent("shop1", names))


def events_of(orders: int) -> int:
    return sum(4 if no % 4 == 0 else 3 for no in range(orders))


def test_an_import_that_is_killed_again_and_again_stores_everything_once(site: Path, tmp_path: Path) -> None:
    file, orders = write(tmp_path / "orders.csv", 3_000), 3_000
    with Server(site):
        for kill in range(KILLS_MAX):
            run = command(site, "orders", "import", file, "--map", tmp_path / "map.toml")
            try:
                run.wait(1.2 + 0.3 * kill)
                break
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                run.wait()
        assert command(site, "orders", "import", file, "--map", tmp_path / "map.toml").wait() == 0
    assert stored(site, orders) == (orders, events_of(orders))


def test_a_watched_folder_survives_kills_of_the_command_and_of_the_server(site: Path, tmp_path: Path) -> None:
    folder, orders = tmp_path / "files", 2_000
    folder.mkdir()
    file = write(folder / "orders.csv", orders)
    for kill in range(KILLS_MAX):
        with Server(site):
            run = command(site, "orders", "watch-folder", folder, "--map", tmp_path / "map.toml")
            time.sleep(1.0 + 0.25 * kill)
        # The server is killed at the end of its block; the command, half of the time, only after that.
        run.send_signal(signal.SIGKILL)
        run.wait()
        if not file.exists():
            break
    with Server(site):
        command(site, "orders", "watch-folder", folder, "--map", tmp_path / "map.toml", "--once").wait()
    assert [str(path.relative_to(folder)) for path in folder.rglob("*.csv")] == ["done/orders.csv"]
    assert stored(site, orders) == (orders, events_of(orders))


def test_a_file_of_200_mb_and_100_000_rows_comes_in_in_bounded_memory(site: Path, tmp_path: Path) -> None:
    orders = 100_000 // ROWS_OF_ORDER
    file = write(tmp_path / "orders.csv", orders, note="x" * 2_000)
    assert file.stat().st_size > 200_000_000
    with Server(site) as server:
        assert server.process is not None
        pid = server.process.pid
        before = cpu_s(pid)
        words = [sys.executable, "-m", "bridge.entrypoints.cli.main", "orders", "import", file, "--map", tmp_path / "map.toml", "--site", site]
        done = subprocess.run([sys.executable, "-c", MEASURED, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True)
        memory_kb, of_command = map(float, done.stdout.split()[-2:])
        of_server = cpu_s(pid) - before
    assert memory_kb * 1024 < MEMORY_BYTES_MAX, f"{memory_kb // 1024} MiB"
    print(f"command {of_command:.1f} s, server {of_server:.1f} s, {memory_kb // 1024:.0f} MiB")
    assert stored(site, orders) == (orders, events_of(orders))


CONTACT = """
[contact]
name = "note"
"""
NAME = "Zauberlehrling"


def test_an_import_that_is_killed_leaves_no_name_on_the_disk(site: Path, tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(MAP + CONTACT)
    file, temporary = write(tmp_path / "orders.csv", 25_000, note=f"{NAME} {'x' * 180}"), tmp_path / "temporary"
    temporary.mkdir()
    held = 0
    with Server(site) as server:
        for orders in (0, 500, 2_000):
            run = command(site, "orders", "import", file, "--map", tmp_path / "map.toml", TMPDIR=str(temporary))
            while run.poll() is None and (len(nameless := nameless_files(run.pid)) == 0 or how_many(site) < orders):
                time.sleep(0.05)
            held += sum(b"Zauber" in path.read_bytes() for path in nameless)
            run.send_signal(signal.SIGKILL)
            assert run.wait() == -signal.SIGKILL
            assert list(temporary.iterdir()) == []
        assert named_in(site) == []
        assert server.process is not None
    assert held, "the rows were never on the disk: the file is too small for this test"
    assert named_in(site) == []


def nameless_files(pid: int) -> list[Path]:
    """The files that a process has open and that have no name any more."""
    try:
        return [file for file in Path(f"/proc/{pid}/fd").iterdir() if str(file.readlink()).endswith("(deleted)") and file.stat().st_size]
    except OSError:
        return []


def how_many(site: Path) -> int:
    return sum(ReadableSite(site).queries.order_counts().values())


def named_in(site: Path) -> list[str]:
    """The files of a site, and of its keys, in which the name can be read: as text, as UTF-16, or as base64 from any of its bytes."""
    files = [path for folder in (site, site.with_name("site.keys")) for path in folder.rglob("*") if path.is_file()]
    assert files
    return [searched.file for searched in search(files, list(forms_of(NAME))) if searched.found]


def cpu_s(pid: int) -> float:
    """The processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

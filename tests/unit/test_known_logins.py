"""Who has logged in lately, and from where: it outlives the server, holds nothing else, and has bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import Bench
from helpers.events import NOW_MS, SITE

from bridge.ingest.ports import StoreUnavailable
from bridge.store import known_logins
from bridge.store.known_logins import ADDRESSES_PER_DEVICE_MAX, KEPT_MS, RENEWED_MS, KnownLogins
from bridge.store.loop_reader import LoopReader
from bridge.store.registry import Registry
from devices.protocol.vocabulary import Role

HERE = "10.0.0.1"


class Server:
    """The known logins of a server that starts, and starts again."""

    def __init__(self, bench: Bench) -> None:
        self.now_ms = NOW_MS
        self.writes = 0
        self.is_disk_full = False
        self._bench = bench
        self._reader = LoopReader(bench.path)
        self.restart()

    def restart(self) -> None:
        self.known = KnownLogins(self._reader, self._bench.store, self._on_writer, lambda: self.now_ms)

    def save(self) -> None:
        asyncio.run(self.known.save())

    def stored(self) -> list[tuple[Any, ...]]:
        return self._bench.rows("SELECT device, address FROM known_logins ORDER BY device, seen_ms, address")

    def close(self) -> None:
        self._reader.close()

    async def _on_writer(self, work: Callable[[], Any]) -> Any:
        if self.is_disk_full:
            raise StoreUnavailable("the disk is full")
        self.writes += 1
        return work()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        yield made


@pytest.fixture
def server(bench: Bench) -> Iterator[Server]:
    made = Server(bench)
    yield made
    made.close()


def test_a_device_is_known_where_it_has_logged_in_at_once_and_after_a_restart(server: Server) -> None:
    assert not server.known.has("scan-1", HERE)
    server.known.add("scan-1", HERE)
    assert server.known.has("scan-1", HERE)
    server.save()
    server.restart()
    assert server.known.has("scan-1", HERE)
    assert not server.known.has("scan-1", "10.0.0.2")
    assert not server.known.has("scan-2", HERE)


def test_nothing_of_a_password_is_stored(server: Server, bench: Bench) -> None:
    assert [column[1] for column in bench.rows("PRAGMA table_info(known_logins)")] == ["device", "address", "seen_ms"]


def test_a_device_is_forgotten_a_month_after_its_last_login(server: Server) -> None:
    server.known.add("scan-1", HERE)
    server.save()
    server.now_ms += KEPT_MS
    assert server.known.has("scan-1", HERE)
    server.now_ms += 1
    assert not server.known.has("scan-1", HERE)
    server.known.add("scan-2", HERE)
    server.save()
    assert server.stored() == [("scan-2", HERE)]


def test_a_device_that_comes_back_every_hour_is_written_once_a_day(server: Server) -> None:
    for _ in range(0, 3 * RENEWED_MS, 3_600_000):
        server.known.add("scan-1", HERE)
        server.save()
        server.now_ms += 3_600_000
    assert server.writes == 3
    server.now_ms += KEPT_MS - RENEWED_MS
    assert server.known.has("scan-1", HERE), "each of these logins counts"


def test_a_phone_is_known_at_its_newest_addresses(server: Server) -> None:
    server.known.add("scan-1", HERE)
    for number in range(ADDRESSES_PER_DEVICE_MAX + 3):
        server.now_ms += 1
        server.known.add("phone-1", f"100.64.0.{number}")
        server.save()
    newest = [("phone-1", f"100.64.0.{number}") for number in range(3, ADDRESSES_PER_DEVICE_MAX + 3)]
    assert server.stored() == [*newest, ("scan-1", HERE)], "and takes the place of no other device"


def test_what_is_stored_is_bounded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_logins, "KNOWN_MAX", 3)
    for number in range(5):
        server.now_ms += 1
        server.known.add(f"scan-{number}", HERE)
    server.save()
    assert server.stored() == [(f"scan-{number}", HERE) for number in (2, 3, 4)]


def test_what_waits_to_be_stored_is_bounded_and_stored_in_portions(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_logins, "UNSAVED_MAX", 5)
    monkeypatch.setattr(known_logins, "SAVED_AT_ONCE_MAX", 2)
    for number in range(8):
        server.known.add(f"scan-{number}", HERE)
    server.save()
    assert server.writes == 3
    assert server.stored() == [(f"scan-{number}", HERE) for number in range(5)]
    server.known.add("scan-7", HERE)
    assert server.known.has("scan-7", HERE), "when it logs in again there is room"


def test_a_device_that_was_revoked_is_forgotten(server: Server, bench: Bench) -> None:
    registry = Registry(bench.engine, bench.engine, SITE)
    for device in ("scan-1", "scan-2", "scan-3"):
        registry.add(device, Role.SCANNER, now_ms=NOW_MS)
    server.known.add("scan-1", HERE)
    server.save()
    server.known.add("scan-2", HERE)
    server.known.add("scan-3", HERE)
    for device in ("scan-1", "scan-2"):
        registry.revoke(device, now_ms=NOW_MS)
    server.save()
    assert server.stored() == [("scan-3", HERE)]


def test_what_a_full_disk_does_not_take_is_stored_later(server: Server) -> None:
    server.known.add("scan-1", HERE)
    server.is_disk_full = True
    with pytest.raises(StoreUnavailable):
        server.save()
    assert server.known.has("scan-1", HERE)
    server.is_disk_full = False
    server.save()
    assert server.stored() == [("scan-1", HERE)]


def test_no_device_is_known_while_the_database_can_not_be_read(bench: Bench, tmp_path: Path) -> None:
    lost = KnownLogins(LoopReader(tmp_path / "nowhere" / "site.db"), bench.store, lambda _: asyncio.sleep(0), lambda: NOW_MS)
    assert not lost.has("scan-1", HERE)
    lost.add("scan-1", HERE)
    assert lost.has("scan-1", HERE)

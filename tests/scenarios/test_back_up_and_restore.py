"""A site is backed up, loses its database, and is restored: nothing is swapped by halves, and what was revoked since stays revoked."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from helpers.events import TOPICS
from helpers.shell import Shell
from helpers.site import Site

from bridge import recovery
from bridge.app import ingest_of
from bridge.config import CREDENTIALS_NAME, DATABASE_NAME
from bridge.config_file import parse
from bridge.errors import SiteInUse, StoreError
from bridge.recovery import Restored
from bridge.site_folder import make_site
from bridge.site_reader import ReadableSite
from bridge.store import migrate as migrations
from bridge.store.sqlite import open_engine
from devices.protocol.messages import BridgeState, decode

PAGE_BYTES = 4_096
WAL_HEADER_BYTES = 32


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site with three orders."""
    with Site(tmp_path / "site") as site:
        site.create("PO-1", "PO-2", "PO-3")
        yield site


def backup(site: Site, name: str = "backup.db") -> Path:
    to = site.directory.parent / name
    site.app.database.backup(to)
    return to


def restore(site: Site, file: Path, *, derive: bool = False) -> Restored:
    site.stop()
    return recovery.restore(site.directory, file, ingest_of, lambda _step: None, derive=derive)


def orders(site: Site) -> list[str]:
    return [order for (order,) in site.rows("SELECT order_id FROM orders ORDER BY 1")]


def test_a_restore_puts_the_backup_whole_in_its_place(site: Site) -> None:
    """A killed server has left a write-ahead log: played over the backup, it would bring back what must not be there."""
    saved = backup(site)
    site.create("PO-4")
    site.stop()
    with closing(sqlite3.connect(site.directory / DATABASE_NAME)) as killed:
        killed.execute("PRAGMA wal_autocheckpoint = 0")
        killed.execute("UPDATE orders SET rev = 99")
        killed.commit()
        assert (site.directory / f"{DATABASE_NAME}-wal").stat().st_size > WAL_HEADER_BYTES
        done = restore(site, saved)
    assert (done.epoch, done.orders, done.events) == (1, 3, 3)
    assert done.lost is not None
    assert [(lost.device, lost.events) for lost in done.lost] == [("shop1", 1)], "PO-4 came after the backup"
    assert done.kept_aside is not None
    with closing(sqlite3.connect(Path(done.kept_aside) / DATABASE_NAME)) as aside:
        assert aside.execute("SELECT count(*), min(rev) FROM orders").fetchone() == (4, 99)
    site.start()
    assert orders(site) == ["PO-1", "PO-2", "PO-3"]
    assert site.rows("SELECT DISTINCT rev FROM orders") == [(1,)]
    with site.client("scan-1") as wire:
        wire.subscribe(TOPICS.bridge_state)
        assert decode(wire.receive().payload, BridgeState).epoch == 1


def test_what_was_done_with_devices_since_stays_done(site: Site) -> None:
    for device in ("stolen", "rotated", "same"):
        site.enrol(device)
    before = dict(site.secrets)
    saved = backup(site)
    site.wait_for(site.app.on_writer(lambda: site.app.registry.revoke("stolen", now_ms=site.now_ms())))
    site.secrets["rotated"] = site.wait_for(site.app.on_writer(lambda: site.app.registry.rotate("rotated", now_ms=site.now_ms())))
    site.enrol("new")
    done = restore(site, saved)
    assert done.devices == ["stolen", "rotated", "new"]
    site.start()
    for device in ("rotated", "same", "new"):
        with site.client(device) as wire:
            wire.goodbye()
    for device, secret in (("stolen", before["stolen"]), ("rotated", before["rotated"])):
        with site.stranger() as wire:
            assert wire.connect(device, device, secret)[1] != 0


def test_a_line_that_a_crash_has_cut_is_passed_over(site: Site) -> None:
    site.enrol("early")
    saved = backup(site)
    log = site.directory / CREDENTIALS_NAME
    log.write_bytes(log.read_bytes() + b'{"device": "ha')
    site.enrol("late")
    assert [json.loads(line)["device"] for line in log.read_text().splitlines() if line.endswith("}")][-1] == "late"
    assert restore(site, saved).devices == ["late"]
    assert (log.stat().st_mode & 0o777) == 0o600


def test_an_epoch_is_never_used_twice(site: Site) -> None:
    saved = backup(site)
    assert restore(site, saved).epoch == 1
    assert restore(site, saved).epoch == 2
    (site.directory / DATABASE_NAME).unlink()
    done = restore(site, saved)
    assert (done.epoch, done.kept_aside, done.lost) == (3, None, None)


def test_a_site_that_is_served_is_not_restored(site: Site) -> None:
    saved = backup(site)
    with pytest.raises(SiteInUse):
        recovery.restore(site.directory, saved, ingest_of, lambda _step: None)


def broken_copies(site: Site) -> dict[str, tuple[Path, str]]:
    """Files that can't be restored, and what is said of them."""
    folder, sound = site.directory.parent, backup(site)
    other = folder / "other"
    make_site(other, parse({"site": {"name": "rotterdam"}, "listen": {"mqtt": "127.0.0.1:0"}}))
    (folder / "empty.db").touch()
    (folder / "text.db").write_text("order;state\n" * 1_000)
    damaged = bytearray(sound.read_bytes())
    middle = len(damaged) // PAGE_BYTES // 2 * PAGE_BYTES
    damaged[middle : middle + 8 * PAGE_BYTES] = b"\xa5" * (8 * PAGE_BYTES)
    (folder / "damaged.db").write_bytes(damaged)
    shutil.copy(sound, folder / "contradicts.db")
    with closing(sqlite3.connect(folder / "contradicts.db")) as connection:
        connection.execute("UPDATE orders SET hash = x'0102030405060708' WHERE order_id = 'PO-2'")
        connection.commit()
    shutil.copy(sound, folder / "newer.db")
    with closing(sqlite3.connect(folder / "newer.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    return {
        "missing": (folder / "missing.db", "is not a file"),
        "empty": (folder / "empty.db", "is empty"),
        "no database": (folder / "text.db", "file is not a database"),
        "another site's": (other / DATABASE_NAME, "is that of site rotterdam, and bridge.toml says site ams1"),
        "damaged": (folder / "damaged.db", "damaged|malformed"),
        "contradicts its events": (folder / "contradicts.db", "the stored state of order PO-2 differs"),
        "from a newer version": (folder / "newer.db", "revision 9999, which this version does not know"),
    }


def test_what_can_not_be_restored_is_refused_and_changes_nothing(site: Site) -> None:
    copies = broken_copies(site)
    site.stop()
    before = {file.name: file.read_bytes() for file in site.directory.iterdir() if file.is_file() and file.name != "serve.lock"}
    for what, (file, said) in copies.items():
        with pytest.raises(StoreError, match=said) as refused:
            restore(site, file)
        assert refused.value.fix, what
        with pytest.raises(StoreError, match=said):
            recovery.verify(site.directory, file, lambda _step: None)
        after = {file.name: file.read_bytes() for file in site.directory.iterdir() if file.is_file() and file.name != "serve.lock"}
        assert after == before, what


def test_states_that_disagree_with_their_events_can_be_derived_anew(site: Site) -> None:
    file, _ = broken_copies(site)["contradicts its events"]
    assert restore(site, file, derive=True).orders == 3
    site.start()
    assert orders(site) == ["PO-1", "PO-2", "PO-3"]


def test_a_backup_is_verified_while_the_site_is_served(site: Site) -> None:
    done = recovery.verify(site.directory, backup(site), lambda _step: None)
    assert (done.events, done.orders, done.epoch) == (3, 3, 0)
    assert not list(site.directory.glob("verify-*"))


def test_a_backup_of_an_earlier_version_is_migrated(site: Site, tmp_path: Path) -> None:
    old = open_engine(tmp_path / "old.db")
    with old.begin() as connection:
        command.upgrade(migrations._config(connection), "0001")
        connection.exec_driver_sql("INSERT INTO devices (device, role, created_ms) VALUES ('scan-9', 'scanner', 0)")
    old.dispose()
    assert restore(site, tmp_path / "old.db").orders == 0
    site.start()
    assert site.app.registry.find("scan-9") is not None


def test_a_missing_or_empty_database_is_never_made_anew(site: Site) -> None:
    site.stop()
    path = site.directory / DATABASE_NAME
    for leave in (path.unlink, path.touch):
        leave()
        with pytest.raises(StoreError, match="this site had a database"):
            site.start()
        with pytest.raises(StoreError, match="this site had a database"):
            ReadableSite(site.directory)
        assert not path.exists() or not path.stat().st_size


def test_another_sites_database_is_not_served(site: Site, tmp_path: Path) -> None:
    site.stop()
    make_site(tmp_path / "other", parse({"site": {"name": "rotterdam"}, "listen": {"mqtt": "127.0.0.1:0"}}))
    for end in ("-wal", "-shm"):
        (site.directory / f"{DATABASE_NAME}{end}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "other" / DATABASE_NAME, site.directory / DATABASE_NAME)
    with pytest.raises(StoreError, match="is that of site rotterdam"):
        site.start()


def test_each_advice_about_a_damaged_database_leads_to_what_can_be_read_of_it(site: Site, tmp_path: Path) -> None:
    """A bad sector in the middle of the events: each command says what to type, and the orders before and after it are there again."""
    site.create(*(f"PO-{n}" for n in range(4, 400)))
    site.enrol("scan-1")
    site.stop()
    path = site.directory / DATABASE_NAME
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' LIMIT 1 OFFSET 20").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(b"\xa5" * PAGE_BYTES)
    shell, copy = Shell(site.directory), tmp_path / "copy.db"
    for words in (("check",), ("backup", copy)):
        refused = shell("db", *words, code=1).stderr
        assert "database disk image is malformed" in refused
        assert "stop the server, and put a backup in its place with `dockbridge db restore FILE`" in refused
        assert "without a backup, `dockbridge db salvage FILE` saves what can be read" in refused
    assert not copy.exists()
    done = shell("db", "salvage", tmp_path / "saved.db", "--json")
    saved = json.loads(done.stdout)
    assert saved["unreadable"] == {"events": 1}
    assert 350 < saved["events"] < 399
    assert f"Restored {saved['events']} events" in shell(*done.stderr.rpartition("next: dockbridge ")[2].split()).stderr
    assert shell("db", "check").stderr.startswith("No faults")
    site.start()
    with site.client("scan-1") as wire:
        wire.goodbye()
    assert {"PO-1", "PO-399"} <= set(orders(site))


def test_a_salvage_that_fails_leaves_nothing_that_could_be_taken_for_a_backup(site: Site, tmp_path: Path) -> None:
    site.stop()
    (site.directory / DATABASE_NAME).write_bytes(b"\xa5" * 9 * PAGE_BYTES)
    shell, saved = Shell(site.directory), tmp_path / "saved.db"
    assert "without one, move bridge.toml away and begin anew with `dockbridge init`" in shell("db", "salvage", saved, code=1).stderr
    assert not list(tmp_path.glob("saved.db*"))
    assert "/nowhere/saved.db" in shell("db", "salvage", "/nowhere/saved.db", code=1).stderr, "the new file is blamed, not the database"

"""The server backs up its database by itself: the newest few are kept, and a failure is an alert until it is mended."""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.site import Site
from helpers.waiting import until

from bridge.errors import StoreError
from bridge.serving import backups
from bridge.serving.backups import Backups
from bridge.store.sqlite import open_engine

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "dockbridge.db"
    engine = open_engine(path)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE events (pos INTEGER)")
    engine.dispose()
    return path


def test_the_newest_few_are_kept_and_other_files_are_left_alone(database: Path, tmp_path: Path) -> None:
    kept = Backups("ams 1", tmp_path / "backups", keep=2)
    assert kept.made() == []
    kept.folder.mkdir()
    others = {"ams~201-notes.db", "ams~2012-20260301T120000Z.db", "readme.txt"}
    for name in others:
        (kept.folder / name).touch()
    for day in range(4):
        kept.make(database, NOON + timedelta(days=day))
    assert [at.day for at, _ in kept.made()] == [3, 4]
    assert {path.name for path in kept.folder.iterdir()} == others | {"ams~201-20260303T120000Z.db", "ams~201-20260304T120000Z.db"}
    with closing(sqlite3.connect(kept.made()[0][1])) as copy:
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",), "one file, without others beside it"


def test_a_disk_that_is_nearly_full_gets_no_backup(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Backups("ams1", tmp_path / "backups", keep=2)
    monkeypatch.setattr(backups.shutil, "disk_usage", lambda _path: Usage(0, 0, 10))
    with pytest.raises(StoreError, match="0 MB free"):
        kept.make(database, NOON)
    assert kept.made() == []


def test_the_server_makes_them_and_says_if_it_can_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(backups, "FIRST_AFTER_S", 0.0)
    monkeypatch.setattr(backups, "RETRY_S", 0.0)
    folder = tmp_path / "elsewhere"
    folder.touch()
    with Site(tmp_path / "site", backup={"folder": str(folder)}) as site:
        until(lambda: site.rows("SELECT subject FROM alerts WHERE code = 'backup'") == [("ams1",)], "the alert")
        folder.unlink()
        until(lambda: site.rows("SELECT subject FROM alerts WHERE code = 'backup'") == [] and len(list(folder.glob("ams1-*.db"))) == 1, "the backup")
        site.restart()
        site.create("PO-1")
        assert len(list(folder.glob("*"))) == 1, "the next one is due tomorrow"

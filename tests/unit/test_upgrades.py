"""An upgrade: a database of every revision comes up with the orders, receipts and waiting messages that it had. It is copied first, and a power cut in the
middle leaves the old form or the new one.

`data/databases/` has a database of a busy day for each revision, recorded with the version that wrote it (`record.py` there).
"""

from __future__ import annotations

import asyncio
import lzma
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from signal import SIGKILL
from typing import Any, Final, NamedTuple

import helpers.upgrade_until_killed
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from helpers.events import SITE
from helpers.forked import Forked
from helpers.shell import Shell
from helpers.upgrade_until_killed import count_changes
from helpers.waiting import DEADLINE_S

from bridge.app import Application
from bridge.config import CONFIG_NAME, DATABASE_NAME
from bridge.config_file import parse, render
from bridge.errors import StoreError
from bridge.operations.ports import CheckReport
from bridge.site_reader import ReadableSite
from bridge.store import tables
from bridge.store.migrate import NEWEST, current_revision, known_revisions, migrate
from bridge.store.sqlite import open_engine

RECORDED: Final = Path(__file__).with_name("data") / "databases"
OLDEST: Final = "0001"
REVERSED: Final = {
    "0002": ("0003", "ALTER TABLE events DROP COLUMN article; DROP TABLE articles; DROP TABLE article_codes; UPDATE alembic_version SET version_num = '0002'"),
}
"""Revisions that no version has ended with, made from the next one: what its migration has added is taken away."""
RECORDINGS: Final = sorted({file.name.partition(".")[0] for file in RECORDED.glob("*.sql.xz")} | REVERSED.keys())


def site_of(revision: str, folder: Path) -> Path:
    """A site whose database is of this revision."""
    recorded, undo = REVERSED.get(revision, (revision, ""))
    folder.mkdir()
    (folder / CONFIG_NAME).write_text(render(parse({"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}})))
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as database:
        database.executescript(lzma.decompress((RECORDED / f"{recorded}.sql.xz").read_bytes()).decode() + undo)
    return folder


class Seen(NamedTuple):
    """What people and devices know of a site."""

    orders: dict[str, tuple[str, int]]
    """State and revision of each order."""
    receipts: Counter[str]
    events: int
    waiting: list[tuple[Any, ...]]
    devices: list[tuple[Any, ...]]
    ledgers: list[tuple[Any, ...]]


def seen(database: Path) -> Seen:
    with closing(sqlite3.connect(database)) as connection:

        def rows(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query).fetchall()

        return Seen(
            orders={order: (state, rev) for order, state, rev in rows("SELECT order_id, state, rev FROM orders WHERE state <> ''")},
            receipts=Counter(outcome for (outcome,) in rows("SELECT outcome FROM receipts")),
            events=rows("SELECT count(*) FROM events")[0][0],
            waiting=rows("SELECT device, client_id, topic_filter FROM subscriptions JOIN sessions USING (sid)") + rows("SELECT pos, topic FROM message_log"),
            devices=rows("SELECT device, role, courier, password_hash FROM devices ORDER BY device"),
            ledgers=rows("SELECT device, high, owed FROM ledger ORDER BY device"),
        )


def dumped(database: Path) -> list[str]:
    """Everything that is in a database, as SQL."""
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def upgraded(site: Path) -> CheckReport:
    """Start this version on a site; returns what `db check` says."""

    async def start() -> CheckReport:
        async with await Application.open(site) as app:
            return app.database.check(lambda done, total: None)

    return asyncio.run(start())


@pytest.fixture
def oldest(tmp_path: Path) -> Path:
    return site_of(OLDEST, tmp_path / "site")


@pytest.mark.parametrize("revision", [pytest.param(r, marks=[] if r in (OLDEST, "0002", RECORDINGS[-1]) else [pytest.mark.slow]) for r in RECORDINGS])
def test_a_site_of_each_revision_goes_on_as_it_was(revision: str, tmp_path: Path) -> None:
    site = site_of(revision, tmp_path / "site")
    before, text = seen(site / DATABASE_NAME), dumped(site / DATABASE_NAME)
    assert upgraded(site).faults == []
    after = seen(site / DATABASE_NAME)
    assert {order: state for order, (state, _) in after.orders.items()} == {order: state for order, (state, _) in before.orders.items()}
    assert after._replace(orders={}) == before._replace(orders={})
    if revision != OLDEST:  # what is shown of an order has changed after it, and a changed status has a revision of its own
        assert after.orders == before.orders
    if revision != NEWEST:
        assert dumped(site / f"dockbridge-before-{NEWEST}.db") == text, "the copy is the database as it was"


def test_every_revision_is_recorded_and_what_an_upgrade_makes_has_the_tables_of_this_version(oldest: Path) -> None:
    assert set(known_revisions()) - {NEWEST} <= set(RECORDINGS), "record the database of the version before, with data/databases/record.py"
    upgraded(oldest)
    engine = open_engine(oldest / DATABASE_NAME, read_only=True)
    with engine.connect() as connection:
        assert current_revision(connection) == NEWEST
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), tables.metadata) == []
    engine.dispose()


def test_a_copy_that_an_interrupted_upgrade_has_left_is_made_anew(oldest: Path) -> None:
    text = dumped(oldest / DATABASE_NAME)
    for name in (f"dockbridge-before-{NEWEST}.db", f"dockbridge-before-{NEWEST}.db.part"):
        (oldest / name).write_bytes(b"half of a copy")
    assert upgraded(oldest).faults == []
    assert dumped(oldest / f"dockbridge-before-{NEWEST}.db") == text
    assert not list(oldest.glob("*.part"))


def kill_before(database: Path, nth: int) -> int:
    """Upgrade a database in a process of its own that is killed before its nth change; returns its exit code."""
    process = Forked([helpers.upgrade_until_killed.__file__, database, str(nth)])
    code = process.wait(DEADLINE_S)
    process.stdout.close()
    return code


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_the_old_form_whole_and_the_next_start_upgrades_it(oldest: Path, tmp_path: Path) -> None:
    trial = site_of(OLDEST, tmp_path / "trial") / DATABASE_NAME
    engine = open_engine(trial)
    changes = count_changes(engine)
    migrate(engine, trial)
    engine.dispose()
    database, text = oldest / DATABASE_NAME, dumped(oldest / DATABASE_NAME)
    for nth in (*range(1, len(changes), 4), len(changes)):
        assert kill_before(database, nth) == -SIGKILL
        assert dumped(database) == text, f"killed before {changes[nth - 1]}"
    assert kill_before(database, len(changes) + 1) == 0
    assert dumped(database) == dumped(trial)


def test_a_kill_between_the_new_form_and_what_is_derived_for_it_is_made_good_by_the_next_start(oldest: Path, tmp_path: Path) -> None:
    whole = site_of(OLDEST, tmp_path / "whole")
    upgraded(whole)
    engine = open_engine(oldest / DATABASE_NAME)
    migrate(engine, oldest / DATABASE_NAME)
    engine.dispose()
    assert upgraded(oldest).faults == []
    assert seen(oldest / DATABASE_NAME) == seen(whole / DATABASE_NAME)


def test_a_command_that_only_reads_does_not_read_another_form(oldest: Path) -> None:
    with pytest.raises(StoreError, match=rf"the form of an older version \(revision {OLDEST}; this one needs {NEWEST}\)") as caught:
        ReadableSite(oldest)
    assert "`dockbridge serve` copies the database" in str(caught.value.fix)
    upgraded(oldest)
    ReadableSite(oldest)


def test_an_older_version_refuses_what_a_newer_one_has_upgraded_and_says_how_to_go_back(tmp_path: Path) -> None:
    site = site_of("0006", tmp_path / "site")
    states = seen(site / DATABASE_NAME).orders
    copy = site / "dockbridge-before-9999.db"
    shutil.copy(site / DATABASE_NAME, copy)
    with closing(sqlite3.connect(site / DATABASE_NAME)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    text = dumped(site / DATABASE_NAME)
    for use in (upgraded, ReadableSite):
        with pytest.raises(StoreError, match="revision 9999, which this version does not know: a newer version has upgraded it") as caught:
            use(site)
        assert str(caught.value.fix).startswith("install the version of dockbridge that wrote it, or a newer one; or go back")
        assert str(caught.value.fix).endswith(f"`dockbridge db restore {copy}`")
    assert dumped(site / DATABASE_NAME) == text
    Shell(site)("db", "restore", copy)
    assert upgraded(site).faults == []
    assert seen(site / DATABASE_NAME).orders == states

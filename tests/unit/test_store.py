"""The database: what a COMMIT promises, how it is migrated, and that everything except the event log can be derived again."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import cbor2
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from helpers.bench import Bench
from helpers.events import BOOT_MS, CREATED, DELIVERY, IDENTITIES, LINES, NOW_MS, SITE, TOPICS, event, event_id
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event as event_of
from sqlalchemy import text

from bridge.domain.access import Kind
from bridge.domain.view import digest8
from bridge.errors import NotFound, Refused, StoreError
from bridge.ingest.items import Incoming
from bridge.ingest.memory import LEDGER
from bridge.ingest.ports import StoreUnavailable
from bridge.operations.fleet import Action, DeviceChange, NewClaim
from bridge.store import migrate as migrations
from bridge.store import registry as registries
from bridge.store import sqlite, tables
from bridge.store.check import check_database
from bridge.store.credentials import CredentialsLog
from bridge.store.migrate import NEWEST, backup, current_revision, known_revisions, migrate
from bridge.store.queries import Queries
from bridge.store.registry import Registry
from bridge.store.relations import reset
from bridge.store.replaying import Rebuilt
from bridge.store.sql import SqlStore
from bridge.store.sqlite import open_engine
from devices.protocol.vocabulary import Role

FULL: Final = 2


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        yield made


# --- what a COMMIT promises ---------------------------------------------------------------------------------------------------


def test_every_writing_connection_waits_for_the_disk(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "site.db")
    for _ in range(3):
        with engine.connect() as connection:
            assert connection.execute(text("PRAGMA synchronous")).scalar() == FULL
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    engine.dispose()


def test_a_commit_moves_the_log_into_the_database_where_it_has_grown_so_long(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "site.db", log_bytes=40_960)
    with engine.connect() as connection:
        assert connection.execute(text("PRAGMA wal_autocheckpoint")).scalar() == 10
        assert connection.execute(text("PRAGMA page_size")).scalar() == 4_096
    engine.dispose()


def test_a_checkpoint_moves_what_is_committed_into_the_database(bench: Bench) -> None:
    bench.create("PO-1")
    bench.store.checkpoint()
    copy = bench.path.with_name("copy.db")
    copy.write_bytes(bench.path.read_bytes())  # without its log
    with closing(sqlite3.connect(copy)) as read:
        assert read.execute("SELECT order_id FROM orders").fetchall() == [("PO-1",)]


def test_a_store_that_is_finished_leaves_an_empty_log_even_beside_a_reader(bench: Bench) -> None:
    bench.create("PO-1")
    log = bench.path.with_name(bench.path.name + "-wal")
    assert log.stat().st_size > 0
    with closing(sqlite3.connect(bench.path)) as reader:
        assert reader.execute("SELECT order_id FROM orders").fetchall() == [("PO-1",)]
        bench.store.finish()
        assert log.stat().st_size == 0


def test_a_checkpoint_that_can_not_be_done_is_nobodys_trouble(bench: Bench) -> None:
    bench.store.close()
    bench.store.checkpoint()  # nothing is open
    with bench.store.transaction() as tx:
        driver = tx._driver
    driver.close()
    bench.store.checkpoint()
    bench.store.finish()
    bench.create("PO-1")
    assert bench.rows("SELECT order_id FROM orders") == [("PO-1",)]


def test_events_that_wait_are_listed_by_their_outcome(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    bench.tell("scan-1", "pack", "PO-8")
    bench.tell("scan-2", "stage", "PO-9", {"dock": "d1"})

    def listed(**wanted: str) -> list[tuple[str, str]]:
        every: dict[str, Any] = {"order_id": None, "device": None, "event_type": None, "outcome": None, **wanted}
        return [(row["type"], row["outcome"]) for row in Queries(bench.engine, TOPICS).events(limit=10, **every)]

    assert listed(outcome="parked") == [("stage", "parked"), ("pack", "parked")]
    assert listed(outcome="parked", device="scan-1") == [("pack", "parked")]
    assert listed(outcome="applied") == [("pack", "applied"), ("paid", "applied"), ("created", "applied")]
    assert listed(order_id="PO-8") == [("pack", "parked")]


def test_a_database_that_does_not_keep_synchronous_full_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_FULL", 3)  # as if the pragma had been read back with another value
    with pytest.raises(StoreUnavailable, match="synchronous=FULL"), SqlStore(open_engine(tmp_path / "site.db")).transaction():
        pass


def test_a_reader_can_not_write(bench: Bench) -> None:
    reader = open_engine(bench.path, read_only=True)
    with reader.connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.execute(text("DELETE FROM events"))
    reader.dispose()


def test_a_transaction_is_whole_or_not_at_all(bench: Bench) -> None:
    def half() -> None:
        with bench.store.transaction() as tx:
            tx._driver.execute("INSERT INTO codes VALUES ('WB-1', 'PO-1', 0)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert bench.rows("SELECT * FROM codes") == []


def test_a_store_whose_database_went_away_opens_it_again(bench: Bench) -> None:
    with bench.store.transaction() as tx:
        driver = tx._driver
    driver.close()
    with pytest.raises(Exception, match="closed"), bench.store.transaction():
        pass
    bench.store.close()
    with bench.store.transaction() as tx:
        assert tx.next_numbers() == (1, 1)


# --- migrations ---------------------------------------------------------------------------------------------------------------


def test_an_empty_file_becomes_the_tables_that_the_program_knows(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "site.db")
    assert migrate(engine, tmp_path / "site.db") is None
    with engine.connect() as connection:
        assert current_revision(connection) == NEWEST == known_revisions()[0]
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), tables.metadata) == []
    assert migrate(engine, tmp_path / "site.db") is None
    engine.dispose()
    assert [p.name for p in tmp_path.glob("*before*")] == []


def test_a_site_from_before_roles_and_prefixes_goes_on(tmp_path: Path) -> None:
    """A system without a prefix serves all orders, and a guest, which could never log in, is gone."""
    path = tmp_path / "site.db"
    engine = open_engine(path)
    with engine.connect() as connection, connection.begin():
        command.upgrade(migrations._config(connection), "0001")
        for device, role in (("shop1", "system"), ("guest-1", "guest")):
            connection.exec_driver_sql(f"INSERT INTO devices (device, role, created_ms) VALUES ('{device}', '{role}', 0)")
        connection.exec_driver_sql("INSERT INTO ledger VALUES ('scan-1', x'0102030405060708', 3, 0, 0, x'81820103', 5)")
    assert migrate(engine, path) == tmp_path / f"site-before-{NEWEST}.db"
    assert [(d.device, d.role, d.orders_prefix) for d in Registry(engine, engine, SITE).list()] == [("shop1", Role.SYSTEM, None)]
    with SqlStore(engine).transaction() as tx:
        (row,) = tx.rows(LEDGER, device="scan-1")
    assert (row.high, row.reused) == (3, 0)
    engine.dispose()


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Installs the next version of the program, which has one more migration."""
    scripts = tmp_path / "migrations"
    shutil.copytree(Path(migrations.__file__).with_name("migrations"), scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "9999_next.py").write_text(
        f"from alembic import op\nrevision = '9999'\ndown_revision = '{NEWEST}'\ndef upgrade():\n    op.execute('CREATE TABLE next (no INTEGER)')\n",
    )
    ours = migrations._config

    def config(connection: Any = None) -> Config:
        made = ours(connection)
        made.set_main_option("script_location", str(scripts))
        return made

    def install() -> None:
        monkeypatch.setattr(migrations, "_config", config)
        monkeypatch.setattr(migrations, "NEWEST", "9999")

    return install


def test_a_copy_is_made_before_a_migration_changes_what_is_there(bench: Bench, next_version: Callable[[], None]) -> None:
    bench.create("PO-1")
    events = bench.rows("SELECT * FROM events")
    next_version()
    copy = migrate(bench.engine, bench.path)
    assert copy == bench.path.with_name("site-before-9999.db")
    assert bench.rows("SELECT version_num FROM alembic_version") == [("9999",)]
    assert bench.rows("SELECT * FROM next") == []
    with closing(sqlite3.connect(copy)) as old:
        assert old.execute("SELECT * FROM events").fetchall() == events
        assert old.execute("SELECT name FROM sqlite_master WHERE name = 'next'").fetchall() == []
    assert migrate(bench.engine, bench.path) is None


def test_a_database_of_a_newer_program_is_refused_with_a_sentence(bench: Bench, next_version: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    next_version()
    migrate(bench.engine, bench.path)
    monkeypatch.undo()
    with pytest.raises(StoreError, match="the database is at revision 9999, which this version does not know") as caught:
        migrate(bench.engine, bench.path)
    assert "newer" in str(caught.value.fix)
    assert bench.rows("SELECT version_num FROM alembic_version") == [("9999",)]


def test_nobody_else_reads_a_database_or_its_copies(tmp_path: Path) -> None:
    """It contains the hashes of passwords. The folder may already exist and be open to all users; the mode is checked while the files are made."""
    seen: dict[str, int] = {}

    def look(*_: object) -> None:
        seen.update({path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()})

    path = tmp_path / "site.db"
    old = os.umask(0o022)
    try:
        engine = open_engine(path)
        event_of.listen(engine, "before_cursor_execute", look)
        migrate(engine, path)
        Registry(engine, engine, SITE).add("scan-1", Role.SCANNER, now_ms=0)
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
            backup(path, tmp_path / "copy.db")
            look()
        engine.dispose()
    finally:
        os.umask(old)
    assert {"site.db", "site.db-wal", "site.db-shm", "copy.db"} <= seen.keys()
    assert set(seen.values()) == {0o600}


def test_a_backup_of_a_live_database_is_whole(bench: Bench, tmp_path: Path) -> None:
    bench.create("PO-1")
    with bench.store.transaction() as tx:
        tx._driver.execute("INSERT INTO codes VALUES ('WB-1', 'PO-1', 0)")  # not committed yet
        copy = backup(bench.path, tmp_path / "copy.db")
    with closing(sqlite3.connect(copy)) as taken:
        assert taken.execute("SELECT order_id FROM orders").fetchall() == [("PO-1",)]
        assert taken.execute("SELECT * FROM codes WHERE code = 'WB-1'").fetchall() == []
    assert list(tmp_path.glob("*.part")) == []


# --- everything anew ----------------------------------------------------------------------------------------------------------


def again(bench: Bench) -> Rebuilt:
    return bench.rebuild()


def derived(bench: Bench) -> dict[str, Any]:
    """Everything that can be derived from the event log again, column by column and payload by payload."""
    found: dict[str, Any] = {}
    for relation in tables.DERIVED:
        columns = [c.name for c in tables.TABLES[relation].columns]
        rows = bench.rows(f"SELECT {', '.join(columns)} FROM {relation.name}")
        if relation.derived_if is not None:
            column, values = relation.derived_if
            rows = [r for r in rows if (value := r[columns.index(column)]) is not None and (values is None or value in values)]
        found[relation.name] = sorted(rows, key=repr)
    found["receipts"] = [(*row[:-1], cbor2.loads(row[-1])) for row in found["receipts"]]
    return found


def busy_day(bench: Bench) -> None:
    """A little of everything: late and parked scans, labels, a void, jobs, a hold, rejections, a device with missing events."""
    bench.create("PO-1", "PO-2")
    bench.tell("scan-1", "pick", "PO-1", {"sku": "pen", "qty": 1})
    bench.tell("scan-1", "pick", "PO-1", {"sku": "ink", "qty": 1})
    bench.tell("scan-2", "stage", None, {"dock": "d1"}, code="WB-1")
    bench.tell("scan-1", "pack", "PO-1", {"items": LINES}, code="WB-1", parcel="box-1")
    bench.tell("scan-2", "load", "PO-2", {"vehicle": "v1"}, code="WB-1")
    bench.tell("scan-1", "stage", "PO-1", {"dock": "d2"}, at_ms=NOW_MS + 500, sent_mono_ms=bench.now_ms - BOOT_MS)
    bench.tell("scan-1", "lost", "PO-1")
    bench.tell("scan-1", "void", None, {"ref": event_id("scan-1", 5), "reason": "did_not_occur"})
    bench.tell("desk", "assigned", "PO-1", {"courier": "anna", "job": "j1"})
    bench.tell("desk", "assigned", "PO-2", {"courier": "anna"})
    bench.tell("phone-ben", "claim", None, {"job": "j1", "rev": 1})
    bench.tell("phone-anna", "claim", None, {"job": "j1", "rev": 1})
    bench.tell("desk", "held", "PO-2", {"reason": "fraud"})
    bench.tell("scan-1", "pack", "PO-2")
    bench.tell("phone-anna", "out_for_delivery", "PO-1", seq=9)
    bench.tell("scan-2", "pack", "PO-8")
    bench.tell("scan-2", "pack", "PO-9")
    bench.tell("scan-2", "stage", None, {"dock": "d1"}, code="WB-9")
    bench.tell("scan-2", "void", None, {"ref": bytes(16), "reason": "did_not_occur"})
    bench.tell("scan-1", "aggregated", None, {"parent": "CAGE-1", "children": ["WB-1", "PO-2", "WB-9"]}, seq=30)
    bench.tell("scan-1", "load", None, {"vehicle": "v2"}, code="CAGE-1", seq=31)
    bench.tell("scan-2", "shift_started", None, {"worker": "w-17"})
    bench.tell("scan-2", "stage", None, {"dock": "d1"})
    bench.tell("phone-ben", "shift_started", None, {"worker": "w-18"})
    bench.tell("phone-ben", "pickup", "PO-2")
    bench.tell("desk", "cash_counted", None, {"courier": "ben", "amount_minor": 1_250, "currency": "EUR"})
    bench.send(bench.message("scan-2", "created", event("scan-2", 20, "PO-1"), kind=Kind.DENIED, detail="role scanner does not send created"))
    bench.tell("shop1", "created", "PO-3", {**CREATED, "promise_ms": bench.now_ms + 5_000, "tracking": "JD 014600"})
    bench.tell("shop1", "created", "PO-4", {**CREATED, "tracking": "JD 014601"})
    bench.tell("shop1", "void", None, {"ref": event_id("shop1", bench._seq["shop1"]), "reason": "did_not_occur"})
    bench.sweep(10_000)
    bench.tell("desk", "amended", "PO-1", {"changed": ["carrier"], "carrier": "DHL"})
    bench.create("PO-8")
    bench.tell("desk", "unassigned", None, {"job": "j1", "reason": "sick"})


def test_what_is_derived_is_the_same_when_it_is_made_anew(bench: Bench) -> None:
    busy_day(bench)
    before = derived(bench)
    # Of what is in the log, only events beyond an order's limit lie in quarantine; test_mispicks.py has one.
    assert [name for name, rows in before.items() if not rows] == ["quarantine"], "the day was not busy enough"
    done = again(bench)
    assert (done.changed, done.events) == ([], len(bench.rows("SELECT 1 FROM events")))
    assert derived(bench) == before
    assert again(bench).changed == []


def test_a_migration_gives_orders_what_they_are_sought_by(bench: Bench) -> None:
    busy_day(bench)
    sought = "SELECT order_id, flags, channel, promise_ms FROM orders ORDER BY order_id"
    bench.store.close()
    with bench.engine.connect() as connection, connection.begin():
        before = connection.exec_driver_sql(sought).fetchall()
        for column in ("flags", "channel", "promise_ms"):
            connection.exec_driver_sql(f"ALTER TABLE orders DROP COLUMN {column}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0006'")
        command.upgrade(migrations._config(connection), "0007")
        assert connection.exec_driver_sql(sought).fetchall() == before
    assert any(row.flags for row in before)
    assert any(row.promise_ms for row in before)


def test_a_migration_finds_the_numbers_of_orders_that_are_there(bench: Bench) -> None:
    busy_day(bench)
    numbers = "SELECT * FROM tracking_numbers ORDER BY number"
    bench.store.close()
    with bench.engine.connect() as connection, connection.begin():
        before = connection.exec_driver_sql(numbers).fetchall()
        for table in ("tracking_numbers", "channel_files", "exports", "denials"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0016'")
        command.upgrade(migrations._config(connection), "0017")
        assert connection.exec_driver_sql(numbers).fetchall() == before == [("JD014600", "PO-3"), ("JD014601", "PO-4")]


def test_what_was_lost_comes_back_from_the_log(bench: Bench) -> None:
    busy_day(bench)
    before = derived(bench)
    with bench.store.transaction() as tx:
        for relation in tables.DERIVED:
            reset(tx._driver, relation)
    assert again(bench).changed == []  # the log of visible changes still has them
    after = derived(bench)
    assert [row[1:] for row in after.pop("quarantine")] == [row[1:] for row in before.pop("quarantine")]  # their numbers were lost with them
    assert after == before


def test_the_day_goes_on_after_a_rebuild_as_if_nothing_had_been(bench: Bench, tmp_path: Path) -> None:
    with Bench(tmp_path / "twin.db") as twin:
        for one in (bench, twin):
            busy_day(one)
        again(bench)
        for one in (bench, twin):
            one.tell("phone-anna", "delivery", "PO-1", DELIVERY)
            one.create("PO-9")
            one.tell("scan-1", "load", "PO-9", {"vehicle": "v1"})
        assert derived(bench) == derived(twin)
        assert {t for t, p in bench.retained.items() if p} == {t for t, p in twin.retained.items() if p}


def test_an_order_that_a_rebuild_shows_anew_keeps_its_revision_from_then_on(bench: Bench) -> None:
    busy_day(bench)
    bench.tell("scan-1", "stage", "PO-1", {"dock": "d3"})
    with bench.store.transaction() as tx:
        for table in ("orders", "status_log"):  # as an earlier version would have shown it
            tx._driver.execute(f"UPDATE {table} SET hash = x'0102030405060708' WHERE order_id = 'PO-1'")
    (shown,) = bench.rows("SELECT max(rev) FROM status_log WHERE order_id = 'PO-1'")
    assert again(bench).changed == ["PO-1"]
    assert bench.rows("SELECT rev FROM orders WHERE order_id = 'PO-1'") == [(shown[0] + 1,)]
    bench.tell("scan-1", "stage", "PO-1", {"dock": "d3"})  # changes nothing that is shown: its receipt has the revision
    before = derived(bench)
    assert again(bench).changed == []
    assert derived(bench) == before


def test_a_rebuild_keeps_the_highest_n_that_a_device_was_told(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    bench.create("PO-1")
    (before,) = bench.rows("SELECT n, outcome FROM receipts WHERE device = 'scan-1'")
    assert before == (2, "applied")
    again(bench)
    assert bench.rows("SELECT n, outcome FROM receipts WHERE device = 'scan-1'") == [before]


def test_a_rebuild_leaves_what_was_never_an_event_in_quarantine(bench: Bench) -> None:
    bench.create("PO-1")
    bench.send(bench.message("scan-1", "pack", b"\xff"))
    bench.tell("scan-1", "pick", "PO-1", {"sku": "ink", "qty": 1})
    before = sorted(bench.rows("SELECT reason, pos FROM quarantine"), key=repr)
    again(bench)
    assert sorted(bench.rows("SELECT reason, pos FROM quarantine"), key=repr) == before


def test_what_waits_for_a_creation_is_not_let_in_by_one_that_was_voided(bench: Bench) -> None:
    bench.tell("shop1", "created", "PO-8", CREATED)
    bench.tell("shop1", "void", None, {"ref": event_id("shop1", 1), "reason": "did_not_occur"})
    assert bench.tell("scan-1", "pack", "PO-8")["outcome"] == "parked"
    assert bench.tell("scan-2", "stage", None, {"dock": "d1"}, code="PO-8")["outcome"] == "parked"
    before = derived(bench)
    assert (bench.rows("SELECT state FROM orders"), before["placed"]) == ([("",)], [])
    assert again(bench).changed == []
    assert derived(bench) == before
    bench.create("PO-8")
    assert bench.status("PO-8")["state"] == "packed"
    assert [r["outcome"] for r in bench.receipts("scan-1") + bench.receipts("scan-2")] == ["parked", "applied"] * 2
    before = derived(bench)
    assert again(bench).changed == []
    assert derived(bench) == before


ACTIONS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("shop1", "created", CREATED),
    ("shop1", "paid", {"amount_minor": 1, "currency": "EUR"}),
    ("desk", "held", {"reason": "fraud"}),
    ("desk", "released", {"reason": "fraud"}),
    ("desk", "cancelled", {"reason": "changed_mind"}),
    ("desk", "amended", {"changed": ["lines"], "lines": [{"sku": "pen", "qty": 3}]}),
    ("scan-1", "pick", {"sku": "pen", "qty": 1}),
    ("scan-1", "pick", {"sku": "ink", "qty": 1}),
    ("scan-1", "pack", {}),
    ("scan-2", "pack", {"items": [{"sku": "pen", "qty": 1}]}),
    ("scan-2", "unpack", {"reason": "wrong_box"}),
    ("scan-2", "stage", {"dock": "d1"}),
    ("scan-1", "load", {"vehicle": "v1"}),
    ("scan-1", "lost", {}),
    ("scan-2", "found", {}),
    ("phone-anna", "out_for_delivery", {}),
    ("phone-anna", "delivery", DELIVERY),
)

steps = st.tuples(st.sampled_from(ACTIONS), st.sampled_from(["PO-1", "PO-2"]), st.sampled_from([None, "box-1"]), st.integers(0, 20_000), st.booleans())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=16))
def test_any_log_gives_the_same_orders_again(workload: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Bench(Path(folder) / "site.db") as bench:
        batch: list[Incoming] = []
        seqs = dict.fromkeys(IDENTITIES, 0)
        for (device, kind, body), order, parcel, ago_ms, goes in workload:
            seqs[device] += 1
            payload = event(device, seqs[device], order, body, parcel=parcel, at_ms=bench.now_ms - ago_ms, sent_mono_ms=bench.now_ms - BOOT_MS)
            batch.append(bench.message(device, kind, payload))
            if goes:
                bench.send(*batch)
                batch = []
        if batch:
            bench.send(*batch)
        before = derived(bench)
        assert again(bench).changed == []
        assert derived(bench) == before
        assert check_database(bench.engine, lambda done, total: None).faults == []


# --- check --------------------------------------------------------------------------------------------------------------------


def faults(bench: Bench) -> list[str]:
    found: list[str] = check_database(bench.engine, lambda done, total: None).faults
    return found


def test_a_sound_database_has_no_faults(bench: Bench) -> None:
    busy_day(bench)
    assert faults(bench) == []


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE orders SET hash = x'0000000000000000' WHERE order_id = 'PO-1'",
        "DELETE FROM orders WHERE order_id = 'PO-1'",
        "DELETE FROM events WHERE order_id = 'PO-1' AND type = 'out_for_delivery'",
        "UPDATE events SET event_ms = event_ms + 1 WHERE order_id = 'PO-1' AND type = 'out_for_delivery'",
    ],
)
def test_an_order_that_is_not_what_its_events_say_is_found(bench: Bench, tampering: str) -> None:
    busy_day(bench)
    with bench.store.transaction() as tx:
        tx._driver.execute(tampering)
    assert faults(bench) == ["the stored state of order PO-1 differs from the state that its events give"]
    again(bench)
    assert faults(bench) == []


def test_a_hash_is_eight_bytes_of_sha256_over_what_is_shown(bench: Bench) -> None:
    bench.create("PO-1")
    ((digest, status),) = bench.rows("SELECT hash, status FROM orders")
    assert cbor2.loads(status)["hash"] == digest
    assert len(digest) == len(digest8(b"")) == 8


# --- who may connect ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def registry(bench: Bench) -> Registry:
    return Registry(bench.engine, bench.engine, SITE)


def test_an_enrolled_device_is_known_by_its_secret_and_by_nothing_else(registry: Registry) -> None:
    secret = registry.add("scan-7", Role.SCANNER, now_ms=NOW_MS, at="dock-3")
    assert secret is not None
    for _ in range(2):
        identity = registry.verify("scan-7", secret)
        assert identity is not None
        assert (identity.site, identity.device, identity.role, identity.at) == (SITE, "scan-7", Role.SCANNER, "dock-3")
        for wrong in ("", secret[:-1], secret + "x", "scan-7"):
            assert registry.verify("scan-7", wrong) is None
    assert registry.verify("scan-8", secret) is None


def test_a_secret_is_stored_only_as_its_hash(bench: Bench, registry: Registry) -> None:
    secret = registry.add("scan-7", Role.SCANNER, now_ms=NOW_MS)
    assert secret is not None
    ((stored,),) = bench.rows("SELECT password_hash FROM devices")
    assert stored.startswith("$argon2id$")
    bench.store.close()
    bench.engine.dispose()
    assert secret.encode() not in b"".join(p.read_bytes() for p in bench.path.parent.iterdir() if p.is_file())


def test_a_new_secret_voids_the_old_one_at_once(registry: Registry) -> None:
    old = registry.add("scan-7", Role.SCANNER, now_ms=NOW_MS)
    assert old is not None
    assert registry.verify("scan-7", old) is not None
    new = registry.rotate("scan-7", now_ms=NOW_MS + 1)
    assert registry.verify("scan-7", old) is None
    assert registry.verify("scan-7", new) is not None
    assert registry.get("scan-7").rotated_ms == NOW_MS + 1


def test_only_the_newest_certificate_stands_for_a_device(registry: Registry) -> None:
    registry.add("scan-7", Role.SCANNER, now_ms=NOW_MS)
    assert registry.verify_certificate("scan-7", "") is None
    registry.certify("scan-7", "aa")
    assert registry.verify_certificate("scan-7", "aa") == registry.identity("scan-7")
    registry.certify("scan-7", "bb")
    registry.rotate("scan-7", now_ms=NOW_MS)
    assert registry.verify_certificate("scan-7", "aa") is None
    assert registry.verify_certificate("scan-7", "bb") is not None
    assert registry.verify_certificate("nobody", "bb") is None
    registry.revoke("scan-7", now_ms=NOW_MS)
    assert registry.verify_certificate("scan-7", "bb") is None
    with pytest.raises(Refused, match="shut out"):
        registry.certify("scan-7", "cc")
    registry.rotate("scan-7", now_ms=NOW_MS, readmit=True)
    assert registry.get("scan-7").certificate_sha256 is None


def test_a_revoked_device_is_out_until_it_gets_a_new_secret(registry: Registry) -> None:
    secret = registry.add("scan-7", Role.SCANNER, now_ms=NOW_MS)
    assert secret is not None
    assert registry.verify("scan-7", secret) is not None
    registry.revoke("scan-7", now_ms=NOW_MS + 1)
    assert registry.verify("scan-7", secret) is None
    assert (registry.get("scan-7").revoked_ms, registry.get("scan-7").has_secret) == (NOW_MS + 1, False)
    assert registry.verify("scan-7", registry.rotate("scan-7", now_ms=NOW_MS + 2, readmit=True)) is not None


def test_a_new_secret_alone_does_not_let_a_revoked_device_in_again(registry: Registry) -> None:
    registry.add("scan-7", Role.SCANNER, now_ms=NOW_MS)
    registry.revoke("scan-7", now_ms=NOW_MS + 1)
    with pytest.raises(Refused, match="shut out") as refused:
        registry.rotate("scan-7", now_ms=NOW_MS + 2)
    assert "device rotate scan-7 --readmit" in str(refused.value.fix)
    assert not registry.get("scan-7").can_log_in
    with pytest.raises(Refused) as twice:
        registry.add("scan-7", Role.SCANNER, now_ms=NOW_MS)
    assert "--readmit" in str(twice.value.fix)


def test_a_secret_never_looks_like_an_option(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(("-it-would-be-one", "--or-this", "a-good-one", "-x", "another"))
    monkeypatch.setattr(registries.secrets, "token_urlsafe", lambda nbytes: next(drawn))
    assert registry.add("scan-7", Role.SCANNER, now_ms=NOW_MS) == "a-good-one"
    assert registry.rotate("scan-7", now_ms=NOW_MS) == "another"


def test_a_channel_without_a_secret_accepts_no_login(registry: Registry) -> None:
    assert registry.add("shop1", Role.SYSTEM, now_ms=NOW_MS, with_secret=False) is None
    assert registry.verify("shop1", "") is None
    assert registry.identity("shop1").role is Role.SYSTEM


def test_a_restore_brings_back_no_claim_and_no_removed_device(bench: Bench, tmp_path: Path) -> None:
    log = CredentialsLog(tmp_path / "credentials.jsonl")
    registry = Registry(bench.engine, bench.engine, SITE, log)
    for device in ("scan-1", "scan-2"):
        registry.add(device, Role.SCANNER, now_ms=NOW_MS, with_secret=False)
    claim = NewClaim(token_sha256="00", valid_ms=1_000)
    registry.apply([DeviceChange(action=Action.CLAIM, device=device, claim=claim) for device in ("scan-1", "scan-2")], now_ms=NOW_MS)
    backup = registry.row_of("scan-1")
    registry.apply([DeviceChange(action=Action.REMOVE, device="scan-1", revoke=True)], now_ms=NOW_MS)
    assert bench.rows("SELECT device FROM claims") == [("scan-2",)]
    with bench.engine.begin() as connection:
        connection.execute(tables.devices.insert(), [backup])
        assert log.apply(connection) == ["scan-1"]
    assert [d.device for d in registry.list()] == ["scan-2"]
    assert bench.rows("SELECT * FROM claims") == []


def test_an_unknown_name_costs_a_verification_too(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    matches = registries._matches

    def noting(password_hash: str, secret: str) -> bool:
        tried.append(secret)
        return matches(password_hash, secret)

    monkeypatch.setattr(registries, "_matches", noting)
    registry.add("scan-7", Role.SCANNER, now_ms=NOW_MS)
    registry.revoke("scan-7", now_ms=NOW_MS)
    registry.add("shop1", Role.SYSTEM, now_ms=NOW_MS, with_secret=False)
    for name in ("nobody", "scan-7", "shop1"):
        assert registry.verify(name, f"guess for {name}") is None
    assert tried == ["guess for nobody", "guess for scan-7", "guess for shop1"]


def test_a_courier_is_named_after_its_phone_unless_it_is_named(registry: Registry) -> None:
    registry.add("phone-1", Role.COURIER, now_ms=NOW_MS)
    registry.add("phone-2", Role.COURIER, now_ms=NOW_MS, courier="anna")
    assert [registry.identity(d).courier for d in ("phone-1", "phone-2")] == ["phone-1", "anna"]


@pytest.mark.parametrize("name", ["", "x" * 97, "单" * 40, "bridge"])
def test_a_name_that_makes_no_topic_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises(Refused) as caught:
        registry.add(name, Role.SCANNER, now_ms=NOW_MS)
    assert caught.value.fix


def test_what_can_not_be_done_is_refused_with_a_fix(registry: Registry) -> None:
    registry.add("scan-7", Role.SCANNER, now_ms=NOW_MS)
    with pytest.raises(Refused, match="enrolled already") as twice:
        registry.add("scan-7", Role.SCANNER, now_ms=NOW_MS)
    assert "rotate" in str(twice.value.fix)
    for work in (registry.identity, registry.get, lambda d: registry.rotate(d, now_ms=NOW_MS), lambda d: registry.revoke(d, now_ms=NOW_MS)):
        with pytest.raises(NotFound, match="scan-9"):
            work("scan-9")

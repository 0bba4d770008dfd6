"""What people typed before there were keys is sealed once, and the chain of the audit log still says whether somebody has changed an entry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cbor2
import pytest
from helpers.bench import VAULT, empty_database
from sqlalchemy import Engine, insert, text

from bridge.searching import forms_of
from bridge.store.audit import FIRST, AuditLog
from bridge.store.forgetting import empty_log
from bridge.store.sqlite import open_engine
from bridge.store.tables import audit

TYPED: Final = "Mrs Holmqvist has called"
OLD: Final = (
    (1, 10, "root", "orders.hold", "PO-1", "fraud", None, {}),
    (2, 20, "root", "orders.hold", "PO-2", TYPED, None, {"qty": 1}),
    (3, 30, "root", "device.add", "scan-1", None, f"no: {TYPED}", {}),
    (4, 40, "root", "device.add", "scan-2", None, None, {"note": TYPED}),
)
"""(no, at_ms, who, act, subject, reason, failed, details) of entries as earlier versions wrote them."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "site.db").write_bytes(empty_database())
    engine = open_engine(tmp_path / "site.db")
    before = FIRST
    with engine.begin() as connection:
        for *entry, details in OLD:
            row = (*entry, cbor2.dumps(details))
            before = hashlib.sha256(before + cbor2.dumps(row, canonical=True)).digest()
            columns = ("no", "at_ms", "who", "act", "subject", "reason", "failed", "details")
            connection.execute(insert(audit).values(**dict(zip(columns, row, strict=True)), chain=before))
    yield engine
    engine.dispose()


def is_open(engine: Engine, tmp_path: Path) -> bool:
    assert empty_log(engine)
    content = (tmp_path / "site.db").read_bytes()
    return any(form in content for form in forms_of("Holmqvist"))


def test_what_was_typed_is_sealed_once_and_reads_as_before(engine: Engine, tmp_path: Path) -> None:
    log = AuditLog(engine, engine, VAULT)
    before = list(log.entries())
    assert is_open(engine, tmp_path)
    assert log.seal_older(at_ms=99) == 3, "a word of a list says nothing of anybody"
    assert not is_open(engine, tmp_path)
    *after, seal = log.entries()
    assert [(e.no, e.who, e.act, e.subject, e.reason, e.failed, e.details) for e in after] == [
        (e.no, e.who, e.act, e.subject, e.reason, e.failed, e.details) for e in before
    ]
    assert all(e.is_sound for e in (*after, seal))
    assert (seal.act, seal.at_ms, seal.details) == ("audit.seal", 99, {"entries": 3, "last_hash_before": before[-1].chain.hex()})
    assert log.seal_older(at_ms=100) == 0
    log.append(at_ms=101, who="root", act="orders.hold", subject="PO-3", reason=TYPED, details={})
    assert log.seal_older(at_ms=102) == 0


def test_a_log_in_which_an_entry_was_changed_stays_as_it_is(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE audit SET who = 'piet' WHERE no = 2"))
    log = AuditLog(engine, engine, VAULT)
    assert log.seal_older(at_ms=99) == 0
    assert [e.is_sound for e in log.entries()] == [True, False, False, False]


def test_a_log_without_anything_typed_is_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM audit WHERE no > 1"))
    log = AuditLog(engine, engine, VAULT)
    assert log.seal_older(at_ms=99) == 0
    assert [e.no for e in log.entries()] == [1]

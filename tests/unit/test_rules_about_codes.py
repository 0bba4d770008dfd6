"""The rules about codes are stored with the time from which they hold, and a database that has none is derived again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from helpers.bench import Bench, settler_on
from helpers.events import SITE

from bridge.app import ingest_of
from bridge.config import Settings
from bridge.domain.codes.rules import CodeRules
from bridge.ingest.codes import CODE_RULES, CodeRulesRow
from bridge.ingest.replay import NoSessions
from bridge.ingest.rules import Rules
from bridge.store.replaying import derive_after_upgrade


def stored(bench: Bench) -> list[CodeRulesRow]:
    with bench.store.transaction() as tx:
        return tx.rows(CODE_RULES)


def test_the_first_rules_have_always_held_whatever_a_server_does_first(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db") as bench:
        bench.settler.show_jobs(bench.now_ms)
        bench.create("A")
        assert [r.from_ms for r in stored(bench)] == [0]


def test_changed_rules_hold_from_then_on(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db") as bench:
        bench.create("A")
        bench.settler = settler_on(bench.store, Rules(site=SITE, codes=CodeRules(look_ahead_ms=1_000)))
        bench.settler.show_jobs(bench.now_ms)
        bench.create("B")
        bench.create("C")
        assert [(r.from_ms > 0, r.look_ahead_ms) for r in stored(bench)] == [(False, CodeRules().look_ahead_ms), (True, 1_000)]


def test_a_database_without_rules_is_derived_again_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Bench(tmp_path / "site.db") as bench:
        bench.create("A")
        bench.tell("scan-1", "pack", "A", {}, code="L-1")
        with bench.engine.begin() as connection:
            for relation in ("code_rules", "codes"):
                connection.exec_driver_sql(f"DELETE FROM {relation}")
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                derive_after_upgrade(bench.store, ingest_of(Rules(site=SITE), Settings(), NoSessions()), bench.now_ms)
        assert [r.message for r in caplog.records if "deriving" in r.message] == [caplog.messages[0]]
        assert [r.from_ms for r in stored(bench)] == [0]
        bench.settler.forget()
        assert bench.tell("scan-1", "stage", None, {"dock": "d"}, code="L-1")["outcome"] == "applied"

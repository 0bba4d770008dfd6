"""The table of retention: it names every column that holds personal data, what it says is what the settings say, and what trims reads it there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import inspect

from bridge.bounds import rules_of
from bridge.config import PrivacySettings, Settings
from bridge.documents.privacy import documents
from bridge.domain.codes.rules import DAY_MS
from bridge.operations.privacy import days_of, rows_of
from bridge.operations.retention import ALSO_NOT_PERSONAL, NOT_PERSONAL, TABLE, personal_columns
from bridge.store.migrate import migrate
from bridge.store.sqlite import open_engine

DOCUMENTS = Path(__file__).parents[2] / "config" / "privacy"


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The columns of each table of a new database."""
    path = tmp_path_factory.mktemp("schema") / "new.db"
    engine = open_engine(path)
    migrate(engine, path)
    found = inspect(engine)
    tables = {table: {column["name"] for column in found.get_columns(table)} for table in found.get_table_names()}
    engine.dispose()
    return tables


def test_each_column_is_in_the_table_or_is_said_to_hold_nothing_personal(schema: dict[str, set[str]]) -> None:
    columns = {f"{table}.{column}" for table, names in schema.items() for column in names}
    other = {column for column in columns if column.partition(".")[0] in NOT_PERSONAL} | ALSO_NOT_PERSONAL
    assert columns - personal_columns() - other == set(), "say in operations/retention.py what these columns hold"
    assert personal_columns() | ALSO_NOT_PERSONAL <= columns
    assert not personal_columns() & other
    assert NOT_PERSONAL.keys() <= schema.keys()


def test_each_row_says_everything() -> None:
    for kept in TABLE:
        assert all((kept.what, kept.columns, kept.form, kept.purpose, kept.basis, kept.readers, kept.after))
        assert (kept.setting is None) == (kept.longest_days is None)
    assert len({kept.what for kept in TABLE}) == len(TABLE)


def test_each_setting_that_a_row_names_is_one() -> None:
    for kept in TABLE:
        if kept.setting is not None:
            assert days_of(kept, Settings()) is not None


def test_a_longer_time_than_its_basis_carries_warns() -> None:
    assert [row.warning for row in rows_of(Settings()) if row.warning] == []
    long = Settings(privacy=replace(PrivacySettings(), contact_keep_days=3_650.0))
    assert [row.warning for row in rows_of(long) if row.warning] == ["privacy.contact_keep_days = 3650 is longer than the 180 days that its basis carries"]


def test_what_trims_reads_the_same_table() -> None:
    rules = rules_of(Settings(privacy=replace(PrivacySettings(), quarantine_keep_days=3.0)))
    assert rules.quarantine_keep_ms == 3 * DAY_MS


@pytest.mark.parametrize("name", sorted(documents(Settings())))
def test_the_documents_are_filled_from_the_table(name: str) -> None:
    text = documents(Settings())[name]
    assert (DOCUMENTS / name).read_text(encoding="utf-8") == text, "run `dockbridge privacy documents` with the default settings, for config/privacy"
    assert "{" not in text

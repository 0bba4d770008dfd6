"""The SQL statements of a relation: insert or replace, delete, update, select, reset. Each text is built once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

from bridge.ingest.log import EVENTS
from bridge.ingest.relation import Deletion, Origin, Relation, Update, Writes


def write(driver: Any, writes: Writes, only: Origin | None = None) -> None:
    """Write all changes of a batch, or those of one origin: deletions, then rows, then updates."""
    for deletion, values in writes.gone.items():
        if only is None or deletion.relation.origin is only:
            driver.executemany(_delete(deletion), values)
    for relation, rows in writes.puts():
        if only is None or relation.origin is only:
            driver.executemany(_put(relation), rows)
    for update, values in writes.updates.items():
        if only is None or update.relation.origin is only:
            driver.executemany(_update(update), values)


def reset(driver: Any, relation: Relation) -> None:
    """Delete the derived rows of a relation."""
    if relation.derived_if is None:
        driver.execute(f"DELETE FROM {relation.name}")
        return
    column, values = relation.derived_if
    if values is None:
        driver.execute(f"DELETE FROM {relation.name} WHERE {_quoted(column)} IS NOT NULL")
    else:
        driver.execute(f"DELETE FROM {relation.name} WHERE {_quoted(column)} IN ({marks(sorted(values))})", sorted(values))


@cache
def select(relation: Relation, where: tuple[str, ...]) -> str:
    """Rows in which some columns have given values, in the order of the key."""
    columns = ", ".join(map(_quoted, relation.columns))
    return f"SELECT {columns} FROM {relation.name}{_where(where)} ORDER BY {', '.join(map(_quoted, relation.key))}"


@cache
def select_any(relation: Relation, column: str, count: int) -> str:
    """Rows in which a column has one of some values, in the order of the key."""
    return select(relation, ()).replace(" ORDER BY", f" WHERE {_quoted(column)} IN ({marks('?' * count)}) ORDER BY", 1)


@cache
def select_from(relation: Relation, column: str, where: tuple[str, ...]) -> str:
    """Rows in which some columns have given values, and another one at least a given value, in the order of the key."""
    return select(relation, where).replace(" ORDER BY", f" {'AND' if where else 'WHERE'} {_quoted(column)} >= ? ORDER BY", 1)


@cache
def _put(relation: Relation) -> str:
    """Insert a row, or replace the one with the same key (SQLite and PostgreSQL share this syntax)."""
    insert = f"INSERT INTO {relation.name} ({', '.join(map(_quoted, relation.columns))}) VALUES ({marks(relation.columns)})"
    if relation.appends or relation.numbered:
        return insert
    others = [c for c in relation.columns if c not in relation.key]
    update = f"UPDATE SET {', '.join(f'{_quoted(c)} = excluded.{_quoted(c)}' for c in others)}" if others else "NOTHING"
    return f"{insert} ON CONFLICT ({', '.join(map(_quoted, relation.key))}) DO {update}"


@cache
def _delete(deletion: Deletion) -> str:
    return f"DELETE FROM {deletion.relation.name}{_where(deletion.where)}"


@cache
def _update(update: Update) -> str:
    return f"UPDATE {update.relation.name} SET {', '.join(f'{_quoted(c)} = ?' for c in update.columns)}{_where(update.where)}"


def _where(columns: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(f'{_quoted(c)} = ?' for c in columns)}" if columns else ""


def _quoted(column: str) -> str:
    return f'"{column}"'


def marks(values: Sequence[Any]) -> str:
    """A placeholder for each of these values."""
    return ", ".join("?" * len(values))


READ_AT_ONCE: Final = 1_000
"""Rows of the log that are read in one piece."""


def chunks(values: list[Any], size: int = 500) -> Iterator[list[Any]]:
    """Split values into portions that fit into the placeholders of one statement."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


EVENT_COLUMNS: Final = ", ".join(f"e.{_quoted(c)}" for c in EVENTS.columns)

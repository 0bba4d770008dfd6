"""Relations: each kind of stored row is declared once. The table, the upsert, the reset and the parts of a rebuild follow from the declaration; this
module does not depend on a database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any


class Origin(Enum):
    """The source of a relation's rows."""

    LOG = auto()
    """The log itself: append-only, the source of truth, never reset."""
    DERIVED = auto()
    """Derived from the log: a rebuild makes it again."""
    KEPT = auto()
    """Received from outside, or the state of connections: neither derived nor reset."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Relation:
    """A kind of row.

    Args:
        row: a `NamedTuple`; its fields are the columns, in their order, and its annotations their types.
        key: the columns that identify a row.
        numbered: the store numbers the rows in the order of their arrival, in a column `key[0]` that is not a field of `row`.
        appends: a row is never written twice.
        derived_if: (column, values) of the rows that are derived, if only some are. With values None, those rows in which the column is set.
        indexes, unique: the columns of further indexes.
        note: a description of the content, for people who open the database.
    """

    name: str
    row: type[Any]
    key: tuple[str, ...]
    origin: Origin
    numbered: bool = False
    appends: bool = False
    derived_if: tuple[str, frozenset[str] | None] | None = None
    indexes: tuple[tuple[str, ...], ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    note: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields of a row, in their order."""
        fields: tuple[str, ...] = self.row._fields
        return fields


@dataclass(frozen=True, slots=True, eq=False)
class Deletion:
    """Deletes the rows of a relation that have given values in these columns."""

    relation: Relation
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """Sets columns of a row. Its values are the new values, followed by the values that identify the row."""

    relation: Relation
    columns: tuple[str, ...]
    where: tuple[str, ...]


class Writes:
    """Everything that one batch changes, by relation. It is written in one transaction or not at all: deletions, then rows, then updates."""

    __slots__ = ("gone", "lists", "maps", "updates")

    def __init__(self) -> None:
        self.lists: dict[Relation, list[Any]] = {}
        self.maps: dict[Relation, dict[Any, Any]] = {}
        self.gone: dict[Deletion, list[tuple[Any, ...]]] = {}
        self.updates: dict[Update, list[tuple[Any, ...]]] = {}

    def rows(self, relation: Relation) -> list[Any]:
        """Rows to write, in their order."""
        rows = self.lists.get(relation)
        if rows is None:
            rows = self.lists[relation] = []
        return rows

    def keyed(self, relation: Relation) -> dict[Any, Any]:
        """Rows to write by a key that the caller chooses, for relations in which a later row of the batch replaces an earlier one."""
        rows = self.maps.get(relation)
        if rows is None:
            rows = self.maps[relation] = {}
        return rows

    def delete(self, deletion: Deletion, *values: Any) -> None:
        """Delete the rows with these values."""
        self.gone.setdefault(deletion, []).append(values)

    def update(self, update: Update, *values: Any) -> None:
        """Update the row that the last of these values identify."""
        self.updates.setdefault(update, []).append(values)

    def puts(self) -> Iterator[tuple[Relation, list[Any]]]:
        """Yield (relation, rows) for everything that is inserted or replaced."""
        for relation, rows in self.lists.items():
            if rows:
                yield relation, rows
        for relation, keyed in self.maps.items():
            if keyed:
                yield relation, list(keyed.values())

    def touches(self, *origins: Origin) -> bool:
        """Whether anything of these origins changes."""
        return (
            any(rows and relation.origin in origins for relation, rows in (*self.lists.items(), *self.maps.items()))
            or any(deletion.relation.origin in origins for deletion in self.gone)
            or any(update.relation.origin in origins for update in self.updates)
        )

"""Every change of the credentials of devices and people, in a file beside the database.

A backup knows nothing of what came after it. Without this file, a restore would let a stolen scanner in again, and lock out what was enrolled since. The
file is append-only: each line is the whole row of a device after a change, the name of one that was
removed, a person with all their tokens, or the number of an epoch, as JSON. It holds hashes of secrets, and is as private
as the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, insert, select

from bridge.store.json_lines import JsonLines
from bridge.store.tables import claims, devices, people, person_tokens

_EPOCH: Final = "epoch"
_REMOVED: Final = "removed"
_PERSON: Final = "person"
_TOKENS: Final = "tokens"

Row = dict[str, Any]


class CredentialsLog:
    """The file of one site."""

    def __init__(self, path: Path) -> None:
        self._lines = JsonLines(path)

    def append(self, rows: Mapping[str, dict[str, Any] | None]) -> None:
        """Write devices' rows as they will be, None for one that is removed. Durable when this returns: the database follows.

        Raises:
            StoreError: if the file can't be written.
        """
        self._lines.append([row if row is not None else {_REMOVED: device} for device, row in rows.items()])

    def append_epoch(self, epoch: int) -> None:
        """Write the number of an epoch that begins.

        Raises:
            StoreError: if the file can't be written.
        """
        self._lines.append([{_EPOCH: epoch}])

    def append_person(self, person: Row, tokens: Sequence[Row]) -> None:
        """Write a person's row, and the rows of all their tokens, as they will be.

        Raises:
            StoreError: if the file can't be written.
        """
        self._lines.append([{_PERSON: person, _TOKENS: list(tokens)}])

    def epoch(self) -> int:
        """The latest epoch that began, 0 if none did."""
        return max((entry[_EPOCH] for entry in self._entries() if _EPOCH in entry), default=0)

    def apply(self, connection: Connection) -> list[str]:
        """Make the devices of a restored database what they were last, and end its claims, which may have been redeemed since. Returns the names of the
        devices that were different."""
        last = {entry.get("device") or entry[_REMOVED]: entry for entry in self._entries() if _EPOCH not in entry}
        changed = []
        for device, entry in last.items():
            row = entry if "device" in entry else None
            found = connection.execute(select(devices).where(devices.c.device == device)).one_or_none()
            stored = found._asdict() if found is not None else None
            if stored != row:
                connection.execute(delete(devices).where(devices.c.device == device))
                if row is not None:
                    connection.execute(insert(devices).values(**row))
                changed.append(device)
        connection.execute(delete(claims))
        return changed

    def apply_people(self, connection: Connection) -> list[str]:
        """Make the people of a restored database, and their tokens, what they were last. Returns the names of those who were different."""
        changed = []
        for name, (person, tokens) in self._people().items():
            row = connection.execute(select(people).where(people.c.name == name)).one_or_none()
            held = connection.execute(select(person_tokens).where(person_tokens.c.person == name).order_by(person_tokens.c.name))
            stored = (row._asdict() if row is not None else None, [t._asdict() for t in held])
            if stored != (person, sorted(tokens, key=lambda t: str(t["name"]))):
                write_person(connection, person, tokens)
                changed.append(name)
        return changed

    def lost(self, connection: Connection) -> list[dict[str, Any]]:
        """The last rows of devices that a database has otherwise, or lacks: what `apply` would change."""
        last = {entry["device"]: entry for entry in self._entries() if "device" in entry}
        stored = {row.device: row._asdict() for row in connection.execute(select(devices))}
        return [row for device, row in sorted(last.items()) if stored.get(device) != row]

    def _entries(self) -> Iterator[Row]:
        """What was written of devices and epochs, in its order."""
        columns = _columns(devices)
        for entry in self._lines.entries():
            if entry.keys() == columns or type(entry.get(_EPOCH)) is int or type(entry.get(_REMOVED)) is str:
                yield entry

    def _people(self) -> dict[str, tuple[Row, list[Row]]]:
        """The last row of each person, with those of their tokens."""
        last: dict[str, tuple[Row, list[Row]]] = {}
        for entry in self._lines.entries():
            person, tokens = entry.get(_PERSON), entry.get(_TOKENS)
            if isinstance(person, dict) and _has(person, people) and isinstance(tokens, list) and all(_has(token, person_tokens) for token in tokens):
                last[person["name"]] = (person, tokens)
        return last


def write_person(connection: Connection, person: Row, tokens: Sequence[Row]) -> None:
    """Put a person and all their tokens in the place of what is stored of them."""
    connection.execute(delete(people).where(people.c.name == person["name"]))
    connection.execute(delete(person_tokens).where(person_tokens.c.person == person["name"]))
    connection.execute(insert(people).values(**person))
    if tokens:
        connection.execute(insert(person_tokens), list(tokens))


def _has(row: Any, table: Table) -> bool:
    """Whether this is a row of a table."""
    return isinstance(row, dict) and row.keys() == _columns(table)


def _columns(table: Table) -> set[str]:
    return {column.name for column in table.columns}

"""Every change of the credentials of devices and people, in a file beside the database.

A backup knows nothing of what came after it. Without this file, a restore would let a stolen scanner in again, and lock out what was enrolled since. The
file is append-only: each line is the whole row of a device after a change, the name of one that was
removed, a person with all their tokens and their second factor, or the number of an epoch, as JSON. It holds hashes of secrets, and secrets that are sealed,
and is as private as the database.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Table, delete, insert, select, update

from bridge.ingest.people import SecondFactorRow
from bridge.second_factor import DRIFT_STEPS, step_at
from bridge.store.json_lines import JsonLines
from bridge.store.tables import claims, devices, people, person_tokens, recovery_codes, second_factors

_EPOCH: Final = "epoch"
_REMOVED: Final = "removed"

Row = dict[str, Any]


class PersonRows(NamedTuple):
    """What is stored of a person: their row, those of their tokens, that of their second factor (`factor_as_text`), and those of its recovery codes. Lines of
    the file from before there were second factors have none."""

    person: Row
    tokens: list[Row]
    factor: Row | None = None
    recovery: Sequence[Row] = ()

    @property
    def comparable(self) -> tuple[Any, ...]:
        """What a restore compares. Which code was used last is not written with each login."""
        factor = {**self.factor, "last_step": None} if self.factor is not None else None
        return self.person, sorted(self.tokens, key=lambda t: str(t["name"])), factor, sorted(str(r["code_sha256"]) for r in self.recovery)


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

    def append_person(self, rows: PersonRows) -> None:
        """Write what is stored of a person, as it will be.

        Raises:
            StoreError: if the file can't be written.
        """
        self._lines.append([rows._asdict()])

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

    def apply_people(self, connection: Connection, now_ms: int) -> list[str]:
        """Make the people of a restored database, and their tokens and second factors, what they were last. Returns the names of those who were different.

        No code from before now is good any more: which ones were used since the backup is not known.
        """
        changed = []
        for name, last in self._people().items():
            stored = _stored(connection, name)
            if stored is None or stored.comparable != last.comparable:
                write_person(connection, last)
                changed.append(name)
        connection.execute(update(second_factors).values(last_step=step_at(now_ms) + DRIFT_STEPS))
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

    def _people(self) -> dict[str, PersonRows]:
        """What was written last of each person."""
        found = filter(None, map(_person_rows, self._lines.entries()))
        return {rows.person["name"]: rows for rows in found}


def write_person(connection: Connection, rows: PersonRows) -> None:
    """Put a person, with all that belongs to them, in the place of what is stored of them."""
    name = rows.person["name"]
    connection.execute(delete(people).where(people.c.name == name))
    connection.execute(insert(people).values(**rows.person))
    factors = [{**rows.factor, "secret": base64.b64decode(rows.factor["secret"])}] if rows.factor is not None else []
    for table, new in zip(_OWN, (rows.tokens, factors, list(rows.recovery)), strict=True):
        connection.execute(delete(table).where(table.c.person == name))
        if new:
            connection.execute(insert(table), new)


_OWN: Final = (person_tokens, second_factors, recovery_codes)
"""Tables of what belongs to people."""


def _stored(connection: Connection, name: str) -> PersonRows | None:
    """What is stored of a person; None if there is none."""
    row = connection.execute(select(people).where(people.c.name == name)).one_or_none()
    tokens, factors, recovery = (connection.execute(select(table).where(table.c.person == name)).all() for table in _OWN)
    if row is None:
        return None
    factor = factor_as_text(SecondFactorRow(*factors[0])) if factors else None
    return PersonRows(row._asdict(), [t._asdict() for t in tokens], factor, [r._asdict() for r in recovery])


def factor_as_text(row: SecondFactorRow) -> Row:
    """The row of a second factor as it stands in the file: its secret, which is sealed, in Base64."""
    return {**row._asdict(), "secret": base64.b64encode(row.secret).decode()}


def _person_rows(entry: Row) -> PersonRows | None:
    """What a line says of a person; None if it says something else."""
    rows = PersonRows(entry.get("person", {}), entry.get("tokens", {}), entry.get("factor"), entry.get("recovery", []))
    own = zip(_OWN, (rows.tokens, [rows.factor] if rows.factor is not None else [], rows.recovery), strict=True)
    is_sound = _has(rows.person, people) and all(isinstance(found, list) and all(_has(row, table) for row in found) for table, found in own)
    return rows if is_sound else None


def _has(row: Any, table: Table) -> bool:
    """Whether this is a row of a table."""
    return isinstance(row, dict) and row.keys() == _columns(table)


def _columns(table: Table) -> set[str]:
    return {column.name for column in table.columns}

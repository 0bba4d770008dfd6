"""Every change of a device's credentials, in a file beside the database.

A backup knows nothing of what came after it. Without this file, a restore would let a stolen scanner in again, and lock out what was enrolled since. The
file is append-only: each line is the whole row of a device after a change, the name of one that was
removed, or the number of an epoch, as JSON. It holds hashes of secrets, and is as private
as the database.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from bridge.errors import StoreError
from bridge.store.sqlite import make_private
from bridge.store.tables import claims, devices

_EPOCH: Final = "epoch"
_REMOVED: Final = "removed"


class CredentialsLog:
    """The file of one site."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, rows: Mapping[str, dict[str, Any] | None]) -> None:
        """Write devices' rows as they will be, None for one that is removed. Durable when this returns: the database follows.

        Raises:
            StoreError: if the file can't be written.
        """
        self._write([row if row is not None else {_REMOVED: device} for device, row in rows.items()])

    def append_epoch(self, epoch: int) -> None:
        """Write the number of an epoch that begins.

        Raises:
            StoreError: if the file can't be written.
        """
        self._write([{_EPOCH: epoch}])

    def _write(self, entries: Sequence[dict[str, Any]]) -> None:
        line = b"".join(json.dumps(entry, ensure_ascii=False).encode() + b"\n" for entry in entries)
        try:
            make_private(self.path)
            with self.path.open("r+b", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                if end:
                    file.seek(end - 1)
                    line = line if file.read(1) == b"\n" else b"\n" + line  # a crash has cut the last line
                file.write(line)
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(f"{self.path} can't be written: {error.strerror}", fix="check the folder's permissions and free space") from error

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

    def lost(self, connection: Connection) -> list[dict[str, Any]]:
        """The last rows of devices that a database has otherwise, or lacks: what `apply` would change."""
        last = {entry["device"]: entry for entry in self._entries() if "device" in entry}
        stored = {row.device: row._asdict() for row in connection.execute(select(devices))}
        return [row for device, row in sorted(last.items()) if stored.get(device) != row]

    def _entries(self) -> Iterator[dict[str, Any]]:
        """What was written, in its order. A line that a crash has cut is no entry."""
        columns = {column.name for column in devices.columns}
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self.path} can't be read: {error.strerror}", fix="check the file's permissions") from error
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and (entry.keys() == columns or type(entry.get(_EPOCH)) is int or type(entry.get(_REMOVED)) is str):
                yield entry

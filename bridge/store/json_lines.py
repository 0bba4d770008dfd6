"""A file beside the database to which lines are appended: what no restore of an older backup may undo. Each line is an object as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bridge.errors import StoreError
from bridge.store.sqlite import make_private


class JsonLines:
    """One file; it is made with its first line, readable only for its owner."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entries: Sequence[dict[str, Any]]) -> None:
        """Append entries. Durable when this returns.

        Raises:
            StoreError: if the file can't be written.
        """
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

    def entries(self) -> Iterator[dict[str, Any]]:
        """What was written, in its order. A line that a crash has cut is left out.

        Raises:
            StoreError: if the file can't be read.
        """
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
            if isinstance(entry, dict):
                yield entry

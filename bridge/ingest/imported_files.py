"""Files that came in from a folder that is watched: what they held, so that none comes in twice, whatever its name."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.ingest.relation import Origin, Relation


class ImportedFileRow(NamedTuple):
    """A file that came in whole: the SHA-256 of its content (hex), the name that it had, and when that was."""

    channel: str
    sha256: str
    name: str
    at_ms: int


IMPORTED_FILES: Final = Relation(
    name="imported_files", row=ImportedFileRow, key=("channel", "sha256"), origin=Origin.KEPT, note="files that came in from a watched folder"
)

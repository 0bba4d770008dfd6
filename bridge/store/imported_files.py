"""The files that came in from watched folders, in the database."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, insert, select

from bridge.ingest.imported_files import ImportedFileRow
from bridge.store.sqlite import translated
from bridge.store.tables import imported_files as files


def remember_file(engine: Engine, file: ImportedFileRow, *, files_max: int) -> None:
    """Store that a file came in; of those of its channel, only the newest are kept."""
    of_channel = files.c.channel == file.channel
    oldest = select(files.c.sha256).where(of_channel).order_by(files.c.at_ms.desc()).offset(files_max)
    with translated(), engine.begin() as connection:
        connection.execute(delete(files).where(of_channel, files.c.sha256 == file.sha256))
        connection.execute(insert(files).values(**file._asdict()))
        connection.execute(delete(files).where(of_channel, files.c.sha256.in_(oldest)))


def file_with(connection: Connection, channel: str, sha256: str) -> ImportedFileRow | None:
    """The file of a channel that had this content."""
    found = connection.execute(select(files).where(files.c.channel == channel, files.c.sha256 == sha256)).one_or_none()
    return ImportedFileRow(*found) if found is not None else None

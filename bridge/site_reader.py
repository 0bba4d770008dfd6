"""A site opened for reading: for commands that change nothing. It does not matter whether a server runs."""

from __future__ import annotations

from pathlib import Path

from bridge.config import CONFIG_NAME, DATABASE_NAME, load
from bridge.errors import NoSite
from bridge.store.database import DatabaseFile
from bridge.store.queries import Queries
from bridge.store.registry import Registry
from bridge.store.sqlite import open_engine
from devices.protocol.topics import Topics


class ReadableSite:
    """What an operation needs that reads (`operations.ports.SiteReader`).

    Args:
        directory: the site's folder.

    Raises:
        NoSite: if there is no site in the folder.
        ConfigError: if its configuration is wrong.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / DATABASE_NAME
        if not (directory / CONFIG_NAME).exists() or not path.exists():
            raise NoSite(f"there is no site in {directory.absolute()}", fix="give its folder with --site DIR, or make one with `dockbridge init DIR`")
        name = load(directory / CONFIG_NAME).site.name
        reader = open_engine(path, read_only=True)
        self.queries = Queries(reader, Topics(name))
        self.registry = Registry(reader, reader, name)
        self.database = DatabaseFile(path, reader)

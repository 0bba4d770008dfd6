"""A site opened for reading, for commands that change nothing. A server may run at the same time."""

from __future__ import annotations

from pathlib import Path

from bridge.config import CONFIG_NAME, DATABASE_NAME, NAME_A_SITE
from bridge.config_file import load
from bridge.errors import NoSite
from bridge.site_folder import check_present
from bridge.store.audit import AuditLog
from bridge.store.claims import Claims
from bridge.store.database import DatabaseFile
from bridge.store.migrate import check_current
from bridge.store.people import People
from bridge.store.queries import Queries
from bridge.store.registry import Registry
from bridge.store.sqlite import open_engine
from bridge.vault import KeyFolder, Vault
from devices.protocol.topics import Topics


class ReadableSite:
    """What an operation that only reads needs (`operations.ports.SiteReader`).

    Args:
        directory: the site's folder.

    Raises:
        NoSite: if the folder is not a site.
        StoreError: if its database is missing or empty, or has the form of another version.
        ConfigError: if its configuration is wrong.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / DATABASE_NAME
        if not (directory / CONFIG_NAME).exists():
            raise NoSite(f"{directory.absolute()} is not a site", fix=NAME_A_SITE)
        check_present(path)
        settings = load(directory / CONFIG_NAME)
        name = settings.site.name
        reader = open_engine(path, read_only=True)
        check_current(reader, path)
        self.queries = Queries(reader, Topics(name))
        self.vault = Vault(KeyFolder.of(directory, settings).keys)
        self.audit = AuditLog(reader, reader, self.vault)
        self.registry = Registry(reader, reader, name)
        self.people = People(reader, reader)
        self.claims = Claims(reader, reader, self.registry)
        self.database = DatabaseFile(path, reader)

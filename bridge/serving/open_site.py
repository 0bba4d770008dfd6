"""A site opened for writing: its folder, its database, the writer and the pipeline. Everything else of an application is built on these parts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
from sqlalchemy import Engine

from bridge.bounds import pipeline_limits, rules_of
from bridge.broker.session_log import SessionLog
from bridge.clock import Clock
from bridge.config import CONFIG_NAME, CREDENTIALS_NAME, DATABASE_NAME, LOCK_NAME, NAME_A_SITE, PRIVACY_NAME, Settings
from bridge.config_file import load
from bridge.domain.access import Identity
from bridge.errors import NoSite, StoreError
from bridge.ingest import seam
from bridge.ingest.assembly import Ingest
from bridge.ingest.epochs import in_epoch
from bridge.ingest.items import Announce, Message
from bridge.ingest.pipeline import Pipeline, Settler
from bridge.ingest.ports import StoreUnavailable
from bridge.ingest.replay import NoSessions
from bridge.ingest.rules import Rules
from bridge.ingest.steps import Steps
from bridge.serving.authentication import Authentication
from bridge.serving.outlet import Outlet
from bridge.serving.parts import Parts
from bridge.serving.tasks import Tasks
from bridge.site_folder import clock_after, open_database, take_lock
from bridge.store.audit import AuditLog
from bridge.store.claims import Claims
from bridge.store.credentials import CredentialsLog
from bridge.store.epochs import current_epoch
from bridge.store.forgetting import PrivacyLog
from bridge.store.known_logins import KnownLogins
from bridge.store.loop_reader import LoopReader
from bridge.store.message_log import LogReader
from bridge.store.queries import Queries
from bridge.store.replaying import derive_after_upgrade
from bridge.store.sealing import seal_after_upgrade
from bridge.store.sql import SqlStore
from bridge.store.sqlite import open_engine, translated
from bridge.store.statuses import Statuses
from bridge.store.tables import make_missing
from bridge.vault import KeyFolder
from devices.protocol.topics import Topics

IngestOf = Callable[[Rules, Settings, seam.SessionLog], Ingest]


class OpenSite:
    """Takes a site's lock, migrates its database, and starts the pipeline. What it opens is closed with `life`, in reverse.

    Args:
        directory: the site's folder.
        clock: the site's own if it is None.
        lab_identity: the identity of every client, if clients need not log in (a laboratory).
        parts: how the parts are made.
        ingest_of: makes what acts on a batch; a rebuild makes it once more.
        life: closes what was opened.

    Raises:
        NoSite: if there is no site in the folder.
        SiteInUse: if another process has it open.
        ConfigError: if its configuration is wrong.
        StoreError: if its database can't be used.
    """

    def __init__(self, directory: Path, clock: Clock | None, lab_identity: Identity | None, parts: Parts, ingest_of: IngestOf, life: AsyncExitStack) -> None:
        if not (directory / CONFIG_NAME).exists():
            raise NoSite(f"{directory} is not a site", fix=NAME_A_SITE)
        self.directory = directory
        self.aside = parts.aside
        self.lab_identity = lab_identity
        self.settings = settings = load(directory / CONFIG_NAME)
        self.topics = Topics(settings.site.name)
        self._lock = life.enter_context(take_lock(directory / LOCK_NAME))
        path = directory / DATABASE_NAME
        self.engine, self.clock = _open_database(path, settings, clock, life)
        self.started_ms = self.clock.now_ms()
        self.keys = KeyFolder.of(directory, settings)
        self.vault = parts.vault(self.keys, self.clock.now_ms())
        seal_after_upgrade(self.engine, self.vault)
        self.privacy_log = PrivacyLog(directory / PRIVACY_NAME)
        with translated(), self.engine.begin() as connection:
            self.privacy_log.apply(connection)  # a crash came between the file and the database
        self.rules = replace(rules_of(settings, directory), epoch=current_epoch(self.engine), is_lab=lab_identity is not None, sealer=self.vault)
        self.reader = open_engine(path, read_only=True)
        life.callback(self.reader.dispose)
        self.queries = Queries(self.reader, self.topics)
        self.audit = AuditLog(self.engine, self.reader, self.vault)
        self.audit.seal_older(at_ms=self.clock.now_ms())
        self.credentials = CredentialsLog(directory / CREDENTIALS_NAME)
        self.registry = parts.registry(self.engine, self.reader, settings.site.name, self.credentials)
        self._loop_reader = LoopReader(path)
        self._loop_reader.open()
        life.callback(self._loop_reader.close)
        self.statuses = Statuses(self._loop_reader, self.topics, _encode_status(self.rules))
        self.log = LogReader(self._loop_reader)
        self.claims = Claims(self.engine, self.reader, self.registry)
        self.authentication = Authentication(self.registry, self.claims, self.clock.now_ms)
        life.callback(self.authentication.close)
        self.store = SqlStore(self.engine)
        self.ingest_of = ingest_of
        ingest = ingest_of(self.rules, settings, SessionLog())
        make_missing(self.engine, ingest.relations)
        derive_after_upgrade(self.store, ingest_of(self.rules, settings, NoSessions()), self.clock.now_ms())
        self.settler = Settler(self.store, ingest, parts.passed)
        self.writer = parts.writer(self.settler, self.store)
        life.push_async_callback(self.writer.close)
        self.known_logins = KnownLogins(self._loop_reader, self.store, self.writer.run, self.clock.now_ms)
        self.outlet = Outlet()
        self.settings_changed: list[Callable[[Settings], None]] = []
        """Called with the settings once they were read again."""
        steps = Steps(self.clock.now_ms, self.clock.now_s)
        self.pipeline = Pipeline(self.writer, self.outlet, pipeline_limits(settings), self.outlet.resume_reading, parts.passed, steps)
        self.tasks = Tasks()
        life.push_async_callback(self.tasks.close)
        self.tasks.spawn("pipeline", self.pipeline.run())

    def abandon(self) -> None:
        """Let go of everything as a killed process does."""
        self.tasks.cancel()
        self.store.close()
        self.authentication.close(wait=False)
        self._loop_reader.close()
        self.engine.dispose()
        self.reader.dispose()
        self._lock.close()

    def announce(self, message: Message) -> None:
        """Publish a message of the bridge's own, in its place among what ingest publishes."""
        self.pipeline.change(Announce(received_ms=self.clock.now_ms(), message=message))


def encode_anew(rules: Rules) -> Callable[[Any], bytes] | None:
    """How payloads of the tables are published; None if as they are."""
    return rules.encode if rules.encode is not cbor2.dumps else None


def _encode_status(rules: Rules) -> Callable[[Any], bytes] | None:
    """How statuses of the tables, which carry no epoch, are published; None if as they are."""
    return (lambda plain: rules.encode(in_epoch(plain, rules.epoch))) if rules.epoch else encode_anew(rules)


def _open_database(path: Path, settings: Settings, clock: Clock | None, life: AsyncExitStack) -> tuple[Engine, Clock]:
    try:
        engine = open_database(path, settings)
        life.callback(engine.dispose)
        return engine, clock if clock is not None else clock_after(engine)
    except StoreUnavailable as error:
        raise StoreError(f"{path} can't be used: {error}", fix=error.fix) from error

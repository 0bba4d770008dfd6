"""A site opened for writing: its folder, its database, the writer and the pipeline. Everything else of an application is built on these parts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import cbor2
from sqlalchemy import Engine

from bridge.bounds import pipeline_limits, rules_of
from bridge.clock import Clock
from bridge.config import CONFIG_NAME, DATABASE_NAME, LOCK_NAME, Settings, load
from bridge.domain.access import Identity
from bridge.errors import NoSite, StoreError
from bridge.ingest.memory import Memory
from bridge.ingest.pipeline import Pipeline, Settler
from bridge.ingest.ports import Announce, Message, StoreUnavailable
from bridge.ingest.settle import Rules
from bridge.serving.authentication import Authentication
from bridge.serving.outlet import Outlet
from bridge.serving.parts import Parts
from bridge.serving.tasks import Tasks
from bridge.site_folder import clock_after, open_database, take_lock
from bridge.store.loop_reader import LoopReader
from bridge.store.message_log import LogReader
from bridge.store.queries import Queries
from bridge.store.registry import Registry
from bridge.store.sql import SqlStore, open_engine
from bridge.store.statuses import Statuses
from bridge.writer import SiteWriter
from devices.protocol.topics import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSite:
    """The parts, in the order in which they depend on each other.

    `lab_identity` is the identity of every client, if clients need not log in (a laboratory). `loop_reader`, `statuses` and `log` read on the event loop.
    """

    directory: Path
    lock: IO[str]
    settings: Settings
    clock: Clock
    started_ms: int
    topics: Topics
    rules: Rules
    lab_identity: Identity | None
    engine: Engine
    reader: Engine
    registry: Registry
    queries: Queries
    authentication: Authentication
    loop_reader: LoopReader
    statuses: Statuses
    log: LogReader
    store: SqlStore
    memory: Memory
    settler: Settler
    writer: SiteWriter
    outlet: Outlet
    pipeline: Pipeline
    tasks: Tasks

    def abandon(self) -> None:
        """Let go of everything as a killed process does."""
        self.tasks.cancel()
        self.store.close()
        self.authentication.close(wait=False)
        self.loop_reader.close()
        self.engine.dispose()
        self.reader.dispose()
        self.lock.close()

    def announce(self, message: Message) -> None:
        """Publish a message of the bridge's own, in its place among what ingest publishes."""
        self.pipeline.change(Announce(received_ms=self.clock.now_ms(), message=message))


def encode_anew(rules: Rules) -> Callable[[Any], bytes] | None:
    """How payloads of the tables are published; None if as they are."""
    return rules.encode if rules.encode is not cbor2.dumps else None


def open_site(directory: Path, clock: Clock | None, lab_identity: Identity | None, parts: Parts, life: AsyncExitStack) -> OpenSite:
    """Take a site's lock, migrate its database, and start the pipeline. What is opened is closed with `life`, in reverse.

    Raises:
        NoSite: if there is no site in the folder.
        SiteInUse: if another process has it open.
        ConfigError: if its configuration is wrong.
        StoreError: if its database can't be used.
    """
    if not (directory / CONFIG_NAME).exists():
        raise NoSite(f"there is no site in {directory}", fix=f"make one with `dockbridge init {directory}`")
    settings = load(directory / CONFIG_NAME)
    lock = life.enter_context(take_lock(directory / LOCK_NAME))
    engine, clock = _open_database(directory / DATABASE_NAME, settings, clock, life)
    reader = open_engine(directory / DATABASE_NAME, read_only=True)
    life.callback(reader.dispose)
    topics = Topics(settings.site.name)
    rules = replace(rules_of(settings), is_lab=lab_identity is not None)
    registry = parts.registry(engine, reader, settings.site.name)
    loop_reader = LoopReader(directory / DATABASE_NAME)
    loop_reader.open()
    life.callback(loop_reader.close)
    authentication = Authentication(registry)
    life.callback(authentication.close)
    store = SqlStore(engine)
    memory = Memory(orders_max=settings.ingest.orders_cached_max, devices_max=settings.ingest.devices_cached_max)
    settler = Settler(store, memory, rules, parts.passed)
    writer = parts.writer(settler, store)
    life.push_async_callback(writer.close)
    outlet = Outlet()
    pipeline = Pipeline(writer, outlet, pipeline_limits(settings), outlet.resume_reading, parts.passed)
    tasks = Tasks()
    life.push_async_callback(tasks.close)
    tasks.spawn("pipeline", pipeline.run())
    return OpenSite(
        directory=directory,
        lock=lock,
        settings=settings,
        clock=clock,
        started_ms=clock.now_ms(),
        topics=topics,
        rules=rules,
        lab_identity=lab_identity,
        engine=engine,
        reader=reader,
        registry=registry,
        queries=Queries(reader, topics),
        authentication=authentication,
        loop_reader=loop_reader,
        statuses=Statuses(loop_reader, topics, encode_anew(rules)),
        log=LogReader(loop_reader),
        store=store,
        memory=memory,
        settler=settler,
        writer=writer,
        outlet=outlet,
        pipeline=pipeline,
        tasks=tasks,
    )


def _open_database(path: Path, settings: Settings, clock: Clock | None, life: AsyncExitStack) -> tuple[Engine, Clock]:
    try:
        engine = open_database(path, settings.ingest)
        life.callback(engine.dispose)
        return engine, clock if clock is not None else clock_after(engine)
    except StoreUnavailable as error:
        raise StoreError(f"{path} can't be used: {error}", fix=error.fix) from error

"""What operations need of a site. The store and the application implement these protocols and are handed in."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from bridge.clock import Clock
from bridge.domain.access import Identity
from bridge.domain.articles import Article
from bridge.domain.jobs import Job
from bridge.errors import Refused
from bridge.ingest.imported_files import ImportedFileRow
from bridge.ingest.items import Incoming, OperatorChange
from bridge.ingest.steps import BatchTimes
from bridge.operations.alert_ports import AlertQueries
from bridge.operations.audit import Audit, AuditReader
from bridge.operations.console import Console
from bridge.operations.figure_ports import FigureQueries, ServerFigures
from bridge.operations.fleet import ClaimReader, Claims, DeviceChange, Fault
from bridge.operations.login_ports import LoginContext
from bridge.operations.notice_ports import NoticeQueries
from bridge.operations.order_ports import OrderQueries
from bridge.operations.order_ports import Row as Row
from bridge.operations.order_ports import Sought as Sought
from bridge.operations.order_ports import StoredFact as StoredFact
from bridge.operations.people_ports import PeopleReader
from bridge.operations.place_ports import PlaceQueries
from bridge.operations.privacy_ports import Opener, Privacy, PrivacyQueries, Sealing
from bridge.operations.report_ports import ReportQueries
from bridge.operations.trace_ports import TraceQueries
from bridge.operations.upkeep_ports import ArticlePlan as ArticlePlan
from bridge.operations.upkeep_ports import TakenCode as TakenCode
from bridge.operations.upkeep_ports import Upkeep
from devices.protocol.vocabulary import Role

T = TypeVar("T")
OnProgress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""

ENROLLABLE: Final = tuple(Role)
"""Roles that a device can have."""


class Device(Struct, frozen=True, kw_only=True):
    """An enrolled device. `has_secret` is false for channels that only import; `certificate_sha256` (hex) is the one certificate that it may log in with."""

    device: str
    role: Role
    courier: str | None
    orders_prefix: str | None
    at: str | None
    created_ms: int
    rotated_ms: int | None
    revoked_ms: int | None
    has_secret: bool
    certificate_sha256: str | None

    @property
    def is_admitted(self) -> bool:
        return self.revoked_ms is None

    @property
    def can_log_in(self) -> bool:
        return self.is_admitted and (self.has_secret or self.certificate_sha256 is not None)

    def check_admitted(self) -> None:
        """Raises:
        Refused: if it was revoked.
        """
        if not self.is_admitted:
            fix = f"`dockbridge device rotate {self.device} --readmit` lets it in again, with a new password"
            raise Refused(f"{self.device} is shut out", fix=fix)


class CheckReport(Struct, frozen=True, kw_only=True):
    """What a check of the database found. `faults` are sentences; there are none if it is sound."""

    faults: list[str]
    events: int
    orders: int


class RebuildReport(Protocol):
    """What a rebuild found. `changed` names the orders whose hash was different before."""

    @property
    def events(self) -> int: ...

    @property
    def orders(self) -> int: ...

    @property
    def changed(self) -> list[str]: ...


class FailedLogins(NamedTuple):
    """Recent failed logins with one name: how many, when the last one was, and from which address."""

    times: int
    last_ms: int
    source: str


class Reloaded(Struct, frozen=True, kw_only=True):
    """What reading the configuration again has done. Settings are named `section.name`.

    `certificate` says whether the server's certificate was read again, too: only if a listener uses TLS.
    """

    applied: list[str]
    needs_restart: list[str]
    certificate: bool


# --- reading ----------------------------------------------------------------------------------------------------------------


class Queries(OrderQueries, NoticeQueries, FigureQueries, TraceQueries, ReportQueries, AlertQueries, PrivacyQueries, PlaceQueries, Protocol):
    """Reads of one site's database.

    Raises:
        StoreUnavailable: from every method, if the database can't be read.
    """

    def facts(self, order_id: str) -> list[StoredFact]:
        """An order's events, in the order of their arrival."""
        ...

    def events_with_id(self, event_id: bytes) -> list[Row]:
        """The events with this id, of any device: `device`, `type`, and the `order` that it is in."""
        ...

    def event_count(self, order_id: str) -> int:
        """How many events are stored of an order."""
        ...

    def events(self, *, order_id: str | None, device: str | None, event_type: str | None, outcome: str | None, limit: int) -> list[Row]:
        """Events with their outcomes, the last arrival first."""
        ...

    def quarantine(self, sought: Sought, *, limit: int) -> list[Row]:
        """Quarantined messages without their payloads, the latest first."""
        ...

    def quarantine_numbers(self, sought: Sought) -> list[int]:
        """The numbers of quarantined messages, the oldest first."""
        ...

    def quarantined(self, no: int) -> Row | None:
        """One quarantined message, with its payload."""
        ...

    def ledgers(self, device: str | None = None) -> list[Row]:
        """What was received of each device log."""
        ...

    def dropped_points(self, device: str) -> list[Row]:
        """How many points of a phone were not used, by reason."""
        ...

    def presences(self, devices: Iterable[str]) -> dict[str, Row]:
        """The last presence of those of these devices that have one."""
        ...

    def jobs(self, *, courier: str | None = None, only_open: bool = False) -> list[Job]: ...

    def job(self, job_id: str) -> Job | None: ...

    def articles(self, *, limit: int) -> list[Article]:
        """Articles in the order of their SKUs."""
        ...

    def article(self, text: str) -> Article | None:
        """The article with this SKU, or with this code."""
        ...

    def article_plan(self, articles: Sequence[Article], *, articles_max: int) -> ArticlePlan:
        """What would change if these articles were stored.

        Raises:
            Refused: if there would be too many.
        """
        ...

    def imported_file(self, channel: str, sha256: str) -> ImportedFileRow | None:
        """The file of a watched folder that had this content, if one came in for this channel."""
        ...


class RegistryReader(Protocol):
    """Who is enrolled.

    Raises:
        NotFound: from `identity` and `get`, if a device is not enrolled.
    """

    def identity(self, device: str) -> Identity: ...

    def identities(self) -> Mapping[str, Identity]:
        """Every device that is enrolled and not revoked."""
        ...

    def find(self, device: str) -> Device | None: ...

    def get(self, device: str) -> Device: ...

    def list(self) -> list[Device]: ...

    def has_courier(self, courier: str) -> bool:
        """Whether a phone that is not revoked belongs to a courier."""
        ...


class Database(Protocol):
    """The database as a file."""

    def check(self, on_progress: OnProgress) -> CheckReport:
        """Compare everything that is derived with the events, as of one moment."""
        ...

    def backup(self, to: Path) -> None:
        """Copy it whole, as of one moment, and check the copy.

        Raises:
            Refused: if the file exists already.
            StoreError: if the copy can't be written, or is damaged.
        """
        ...


class SiteReader(Protocol):
    """A site for reading; it does not matter whether a server runs."""

    @property
    def vault(self) -> Opener: ...

    @property
    def audit(self) -> AuditReader: ...

    @property
    def claims(self) -> ClaimReader: ...

    @property
    def people(self) -> PeopleReader: ...

    @property
    def queries(self) -> Queries: ...

    @property
    def registry(self) -> RegistryReader: ...

    @property
    def database(self) -> Database: ...


# --- changing ---------------------------------------------------------------------------------------------------------------


class Registry(RegistryReader, Protocol):
    """Who is enrolled, for changing. Its changes are made on the writer's thread (`SiteContext.on_writer`).

    Raises:
        NotFound: if a device is not enrolled.
        Refused: if a change is not possible, such as a new secret for a revoked device.
    """

    def add(
        self,
        device: str,
        role: Role,
        *,
        now_ms: int,
        courier: str | None = None,
        orders_prefix: str | None = None,
        at: str | None = None,
        with_secret: bool = True,
    ) -> str | None:
        """Enrol a device. Returns its secret."""
        ...

    def faults(self, changes: Sequence[DeviceChange], *, now_ms: int) -> Sequence[Fault]:
        """Why some of these changes can't be made; none if all can."""
        ...

    def apply(self, changes: Sequence[DeviceChange], *, now_ms: int) -> None:
        """Make changes, all of them or none."""
        ...

    def certify(self, device: str, sha256: str) -> None:
        """Replace the certificate that a device may log in with."""
        ...


class SiteContext(LoginContext, SiteReader, Protocol):
    """A site that is opened for writing, by the server or by a command.

    Raises:
        StoreUnavailable: from whatever writes, if the database can't be written.
    """

    @property
    def registry(self) -> Registry: ...

    @property
    def audit(self) -> Audit: ...

    @property
    def claims(self) -> Claims: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def upkeep(self) -> Upkeep: ...

    @property
    def privacy(self) -> Privacy: ...

    @property
    def vault(self) -> Sealing: ...

    @property
    def console(self) -> Console: ...

    @property
    def connected(self) -> set[str]:
        """The devices that are connected now."""
        ...

    @property
    def serving_since_ms(self) -> int | None:
        """Since when the server runs; None if none runs."""
        ...

    @property
    def counters(self) -> dict[str, int]:
        """What the broker has counted since its start; empty if none runs."""
        ...

    @property
    def figures(self) -> ServerFigures | None:
        """The running server in figures; None if none runs."""
        ...

    def batch_times(self, batches: Sequence[int]) -> list[BatchTimes]:
        """How long each step of these batches of the event log took; those that this process has not stored, or no longer remembers, are left out."""
        ...

    @property
    def failed_logins(self) -> dict[str, FailedLogins]: ...

    async def on_writer(self, work: Callable[[], T]) -> T:
        """Call a function on the writer's thread, between two batches."""
        ...

    def offer(self, incoming: Incoming) -> Future[Row]:
        """Hand one message to the pipeline. The future gets its receipt once it is committed."""
        ...

    async def submit(self, identity: Identity, events: Sequence[tuple[str, bytes]]) -> list[Row]:
        """Send events (type, payload) as an identity. Returns their receipts in the same order."""
        ...

    async def change(self, change: OperatorChange) -> None:
        """Make a change that has no receipt, in its place among the messages. It is stored, and shown, when this returns."""
        ...

    def disconnect(self, device: str, why: str, *, end_sessions: bool) -> None:
        """Close a device's connections, and if asked end its sessions."""
        ...

    def identify_anew(self, device: str) -> None:
        """A device's enrolment was changed: its connections close, and its sessions keep what they may still read."""
        ...

    def reload_certificate(self) -> bool:
        """Use the server's certificate as it now is in its file. Returns False if no listener here uses TLS.

        Raises:
            ConfigError: if it can't be used; the present one stays in use.
        """
        ...

    async def reload_settings(self) -> Reloaded:
        """Read the configuration again, and apply what can be applied.

        Raises:
            ConfigError: if it can't be used; the present one stays in use.
            Refused: if no server runs here.
        """
        ...

    async def rebuild(self, on_progress: OnProgress) -> RebuildReport:
        """Derive everything again from the event log."""
        ...

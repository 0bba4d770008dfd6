"""What a doctor sees of a site: its folder, machine, certificates, database and server. `bridge.examination` implements these protocols; nothing changes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from msgspec import Struct

from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.operations.ports import Device, OnProgress, SiteReader


class SiteFile(NamedTuple):
    """A file of a site. `name` is its path in the site's folder."""

    name: str
    mode: int
    owner: str
    changed_ms: int


class FileSystem(NamedTuple):
    """The file system of a site: `kind` as the system calls it, such as ext4."""

    kind: str
    free_bytes: int
    all_bytes: int
    is_read_only: bool


class Folder(Protocol):
    """A site's folder."""

    @property
    def path(self) -> Path: ...

    @property
    def owner(self) -> str: ...

    @property
    def is_writable(self) -> bool:
        """Whether this user may write to it."""
        ...

    @property
    def file_system(self) -> FileSystem: ...

    def files(self) -> Sequence[SiteFile]:
        """Its files, those of the certificates and of backups inside it too."""
        ...

    def has(self, name: str) -> bool: ...

    @property
    def half_made(self) -> Path | None:
        """What an `init` that was killed has left."""
        ...


class Certificate(Struct, frozen=True, kw_only=True):
    """A certificate. `is_of_authority`: the site's authority has signed it."""

    file: str
    names: tuple[str, ...]
    begins_ms: int
    ends_ms: int
    sha256: str
    is_of_authority: bool


class Certificates(Protocol):
    """The certificates of a site."""

    @property
    def fault(self) -> BridgeError | None:
        """Why the server's certificate can't be used."""
        ...

    @property
    def is_unreadable(self) -> bool:
        """Whether this user may not read its files."""
        ...

    @property
    def authority_fault(self) -> BridgeError | None:
        """Why the site's own authority can't issue certificates; None if it has none, or can."""
        ...

    @property
    def server(self) -> Certificate | None: ...

    @property
    def authority(self) -> Certificate | None: ...

    @property
    def is_made_here(self) -> bool:
        """Whether `dockbridge certificate renew` makes the server's certificate."""
        ...


class Holder(NamedTuple):
    """A process that has something open. `pid` is None if it is another user's."""

    pid: int | None
    name: str


class BindFault(NamedTuple):
    """Why no program can listen on an address. `holder` does so already, if that is the reason."""

    reason: str
    holder: Holder | None


class Machine(Protocol):
    """The machine on which the site is."""

    @property
    def zone(self) -> str | None:
        """Its time zone; None if it can't be told."""
        ...

    @property
    def addresses(self) -> Sequence[str]:
        """Its IPv4 addresses in networks, loopback left out."""
        ...

    def resolves(self, name: str) -> bool:
        """Whether a host name leads anywhere."""
        ...

    def bind_fault(self, host: str, port: int) -> BindFault | None:
        """Why nobody can listen on an address now; None if it is free."""
        ...

    def connect_fault(self, host: str, port: int) -> str | None:
        """Why no connection to an address can be made; None if it can."""
        ...

    def certificate_at(self, host: str, port: int) -> str | None:
        """The fingerprint (SHA-256) of the certificate that a TLS listener shows; None if it shows none."""
        ...

    def is_port_shut(self, port: int) -> bool:
        """Whether the machine's firewall is known to let nobody in to a port."""
        ...


class DatabaseState(StrEnum):
    """Whether the database can be read."""

    READABLE = "readable"
    MISSING = "missing"
    EMPTY = "empty"
    UNREADABLE = "unreadable"
    FOREIGN = "foreign"
    NEWER = "newer"
    OLDER = "older"


class LostChange(NamedTuple):
    """A change of a device's credentials that the database does not have. `is_known`: the device is enrolled in it; `was`: the device as it was last."""

    was: Device
    is_known: bool


class Database(Protocol):
    """The site's database, as only a doctor looks at it."""

    @property
    def state(self) -> DatabaseState: ...

    @property
    def detail(self) -> str:
        """What `state` means here: the error, the other site, or the revision."""
        ...

    @property
    def fix(self) -> str | None:
        """What to do if it can't be read, but is not damaged."""
        ...

    def page_faults(self, *, deep: bool) -> Sequence[str]:
        """What SQLite finds wrong with its pages; `deep`: and with its indexes."""
        ...

    def differing_orders(self, *, orders_max: int | None, on_progress: OnProgress) -> Sequence[str]:
        """Orders whose stored state is not what their events give: of all, or of `orders_max`, half of which changed last."""
        ...

    def shown_without_order(self) -> Sequence[str]:
        """Retained topics about orders that there are not."""
        ...

    def lost_changes(self) -> Sequence[LostChange]: ...

    @property
    def unmoved_log_bytes(self) -> int:
        """Bytes of the write-ahead log that are not in the database yet."""
        ...

    def readers(self) -> Sequence[Holder]:
        """Other processes that have it open; the server is none of them."""
        ...

    @property
    def newest_ms(self) -> int: ...

    @property
    def first_ms(self) -> int | None:
        """When something was stored for the first time."""
        ...

    @property
    def epoch(self) -> int: ...


class Running(Struct, frozen=True, kw_only=True):
    """What the running server says."""

    version: str
    counters: dict[str, int]


class Server(Protocol):
    """The server of the site, if it runs."""

    @property
    def pid(self) -> int | None:
        """The process that has locked the site."""
        ...

    @property
    def says(self) -> Running | BridgeError | None:
        """What it says; why it can't be understood; None if it says nothing."""
        ...

    @property
    def has_left_socket(self) -> bool:
        """Whether a server has ended without cleaning up."""
        ...


class Backup(NamedTuple):
    """A scheduled backup."""

    file: Path
    made_ms: int


class Patient(Protocol):
    """A site as a doctor sees it. What can't be read is an error, and no reason to stop.

    Attributes:
        version: that of this program.
        is_stopped: the server is stopped on purpose.
    """

    now_ms: int
    version: str
    is_stopped: bool

    @property
    def folder(self) -> Folder: ...

    @property
    def settings(self) -> Settings | BridgeError: ...

    @property
    def machine(self) -> Machine: ...

    @property
    def certificates(self) -> Certificates: ...

    @property
    def database(self) -> Database: ...

    @property
    def site(self) -> SiteReader: ...

    @property
    def server(self) -> Server: ...

    @property
    def backups(self) -> Sequence[Backup]:
        """The scheduled backups, oldest first."""
        ...

    def command(self, *words: str | Path) -> str:
        """A command of this program about this site, as it is typed."""
        ...

    def for_site(self, command: str) -> str:
        """A command of this program, as another operation names it, about this site."""
        ...

    def shell(self, *words: str | Path) -> str:
        """Another command, as it is typed; paths are in the site's folder."""
        ...

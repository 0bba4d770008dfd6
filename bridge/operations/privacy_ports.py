"""What operations need to deal with personal data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from bridge.ingest.sealing import ForgottenRow, Sealer
from bridge.ingest.workers import WorkerRow
from bridge.operations.courier_ports import CourierQueries
from bridge.operations.worker_ports import WorkerQueries


class KeyHere(Protocol):
    """A key that is in the site's folder of keys. `backed_up_ms` is when its recovery sheet was made, 0 if none was."""

    @property
    def id(self) -> bytes: ...

    @property
    def backed_up_ms(self) -> int: ...


class Opener(Protocol):
    """Opens what was sealed with the site's keys."""

    @property
    def keys(self) -> Sequence[KeyHere]:
        """All of them, the oldest first."""
        ...

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """Raises:
        BridgeError: if its key is missing, or it is damaged.
        """
        ...

    def mac(self, plain: bytes) -> bytes:
        """See `ingest.sealing.Recogniser`."""
        ...

    def macs(self, plain: bytes) -> list[bytes]:
        """See `ingest.sealing.Recogniser`."""
        ...


class Sealing(Sealer, Opener, Protocol):
    """Seals with the site's newest key, and opens with each."""


class SealedPart(NamedTuple):
    """The sealed part of an event that names an order, with the event's present outcome."""

    order: str
    pos: int
    device: str
    id: bytes
    type: str
    event_ms: int
    outcome: str
    sealed: bytes


class PrivacyQueries(WorkerQueries, CourierQueries, Protocol):
    """Reads of what is sealed, and of what was or is to be forgotten."""

    def sealed_parts(self, order_ids: Sequence[str]) -> list[SealedPart]:
        """The sealed parts of these orders, by order, in the order of arrival."""
        ...

    def rows_by_key(self) -> dict[bytes, int]:
        """How many rows are sealed with each key, by its id."""
        ...

    def payload_at(self, pos: int) -> bytes:
        """The payload of an event as it is stored, by its position in the log."""
        ...

    def orders_with_hash(self, kind: str, hashes: Sequence[bytes], *, limit: int) -> list[str]:
        """Orders whose contact has one of these keyed hashes of a kind (`ingest.sealing.hashes_sought`)."""
        ...

    def forgotten(self, order_id: str) -> int | None:
        """When an order was forgotten, in ms since 1970 UTC; None if it was not."""
        ...

    def forgotten_among(self, order_ids: Sequence[str]) -> list[str]:
        """Those of these orders that were forgotten."""
        ...

    def legal_holds(self) -> list[ForgottenRow]:
        """Orders that must not be forgotten yet, and since when."""
        ...

    def forget_requests(self) -> list[ForgottenRow]:
        """Orders that are to be forgotten as soon as they may be, and since when."""
        ...


class SearchedFile(Struct, frozen=True, kw_only=True):
    """A file that was searched, and how many of the texts and keys were found in it."""

    file: str
    bytes: int
    found: int


class Proof(Struct, frozen=True, kw_only=True):
    """Where was looked for what was forgotten. `log_is_empty` is False if something that reads the database kept its write-ahead log from being emptied."""

    searched: list[SearchedFile]
    log_is_empty: bool


class BackupLeft(Struct, frozen=True, kw_only=True):
    """A copy of the database that still holds what was forgotten, sealed. `expires_ms` is when the server removes it; None: nobody does."""

    file: str
    made_ms: int
    expires_ms: int | None


class KeyStatus(Struct, frozen=True, kw_only=True):
    """A key of the site: when it was made, when its recovery sheet was (0: never), and how many rows are sealed with it. Without `is_here`, those can't be
    opened."""

    key: str
    created_ms: int
    backed_up_ms: int
    is_here: bool
    is_current: bool
    rows: int


class Privacy(Protocol):
    """Forgets, and proves it. What changes something is called on the writer's thread (`SiteContext.on_writer`).

    Raises:
        StoreUnavailable: if the store can't take writes now.
    """

    def forget(self, orders: Sequence[str], *, at_ms: int) -> list[bytes]:
        """Destroy the personal data of orders, in the file beside the database first. Returns the sealed parts that were destroyed."""
        ...

    def forget_worker(self, who: str, *, at_ms: int) -> list[WorkerRow]:
        """Destroy all that links pseudonyms to a badge, given it or one of them, in the file beside the database first. Returns what was destroyed."""
        ...

    def forget_courier(self, courier: str, *, at_ms: int) -> bytes | None:
        """Destroy the name of a courier and where their phones were, in the file beside the database first. Returns the sealed name, if there was one."""
        ...

    def forget_texts(self, texts: Sequence[str], typed: Sequence[str]) -> int:
        """Destroy messages in quarantine that have one of `texts`, and what people typed that has one of `typed`, in any case. Returns how many."""
        ...

    def request(self, orders: Sequence[str], *, at_ms: int) -> None:
        """Note orders that are to be forgotten as soon as they may be."""
        ...

    def hold(self, order: str, *, at_ms: int) -> None:
        """Keep an order from being forgotten."""
        ...

    def lift(self, order: str, *, at_ms: int) -> None:
        """End that."""
        ...

    async def prove(self, texts: Sequence[str], sealed: Sequence[bytes]) -> Proof:
        """Look for texts, and for the wrapped keys of sealed parts, in every file of the site, backups left out."""
        ...

    def backups(self) -> list[BackupLeft]:
        """The copies of the database that exist now."""
        ...

    def keys(self) -> list[KeyStatus]:
        """The site's keys, the oldest first, and those that are missing."""
        ...

    def make_key(self, *, now_ms: int) -> None:
        """Make a new key, and seal with it from now on."""
        ...

    def wrap_anew(self, *, rows_max: int) -> int:
        """Wrap the keys of some parts that have another key with the newest one. Returns how many; none if all have it."""
        ...

    def mark_backed_up(self, key: str, *, now_ms: int) -> None:
        """Note that a key has a recovery sheet.

        Raises:
            NotFound: if there is no such key.
        """
        ...

    def destroy_key(self, key: str) -> None:
        """Destroy a key that nothing in the database needs any more.

        Raises:
            NotFound: if there is no such key.
            Refused: if it is the newest one, or something is sealed with it.
        """
        ...

    def reload_keys(self) -> None:
        """Read the keys again: one was put back."""
        ...

"""What an operation needs of the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from msgspec import Struct


class AuditEntry(Struct, frozen=True, kw_only=True):
    """An act of a person. `who` is the user of the operating system, `person` the one whose token came with it, None if none did. `subject` is whom or what it
    is about. `failed` says why it was not done, in an entry of its own after that of the act; if it was not allowed, that is the only entry.

    `is_sound` is False from the first entry on that does not follow from the one before: somebody has changed the log.
    """

    no: int
    at_ms: int
    who: str
    person: str | None
    act: str
    subject: str | None
    reason: str | None
    failed: str | None
    details: dict[str, Any]
    chain: bytes
    is_sound: bool


class AuditReader(Protocol):
    """The audit log."""

    def entries(self, *, after: int = 0) -> Iterator[AuditEntry]:
        """The entries after a number, in their order."""
        ...

    def last_details(self, act: str) -> dict[str, Any] | None:
        """The details of the last entry of an act; None if there is none."""
        ...


class Audit(AuditReader, Protocol):
    """The audit log, for writing on the writer's thread."""

    def append(
        self,
        *,
        at_ms: int,
        who: str,
        act: str,
        subject: str | None,
        reason: str | None,
        details: dict[str, Any],
        person: str | None = None,
        failed: str | None = None,
    ) -> None:
        """Add an entry. A reason is sealed, if it is not a member of a closed list. Durable when this returns."""
        ...

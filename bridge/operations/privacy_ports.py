"""What operations need to deal with personal data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bridge.ingest.sealing import ForgottenRow


class Opener(Protocol):
    """Opens what was sealed with the site's keys."""

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """Raises:
        BridgeError: if its key is missing, or it is damaged.
        """
        ...

    def mac(self, plain: bytes) -> bytes:
        """See `ingest.sealing.Sealer`."""
        ...


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


class PrivacyQueries(Protocol):
    """Reads of what is sealed, and of what was or is to be forgotten."""

    def sealed_parts(self, order_ids: Sequence[str]) -> list[SealedPart]:
        """The sealed parts of these orders, by order, in the order of arrival."""
        ...

    def payload_at(self, pos: int) -> bytes:
        """The payload of an event as it is stored, by its position in the log."""
        ...

    def orders_with_hash(self, digest: bytes, *, limit: int) -> list[str]:
        """Orders whose contact has this keyed hash (`ingest.sealing.hashes_of`)."""
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

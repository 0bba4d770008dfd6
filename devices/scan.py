"""One scan: what an event may say, and what has become of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypedDict, TypeVar

from devices.errors import InvalidEvent
from devices.mail import Mail
from devices.outbox_rows import Entry
from devices.protocol import bodies
from devices.protocol.bridge_messages import Receipt
from devices.protocol.vocabulary import EventType

Items = Mapping[str, int] | Sequence[bodies.Line]
"""Items of a parcel: `{"sku": qty}`, or lines if a SKU is in it twice."""

W = TypeVar("W", bound=StrEnum)


class Scanned(TypedDict, total=False):
    """What every event may say beside its order: ids and text as they were scanned; `at` a place, `by` what is on a worker's badge."""

    parcel: str | None
    code: str | None
    at: str | None
    by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event for `send_many`: what `send` takes as arguments."""

    type: EventType
    body: bodies.Body | Mapping[str, Any] = field(default_factory=bodies.Nothing)
    order: str | None = None
    scanned: Scanned = field(default_factory=Scanned)


class Scan:
    """One event of this device: its `id` (16 bytes) and `seq`, and what has become of it."""

    __slots__ = ("_mail", "_place", "id", "seq", "type")

    def __init__(self, entry: Entry, mail: Mail) -> None:
        self.id = entry.id
        self.seq = entry.seq
        self.type = entry.type
        self._place = entry.place
        self._mail = mail

    def __repr__(self) -> str:
        return f"Scan({self.type}, seq={self.seq}, id={self.id.hex()})"

    @property
    def acknowledged(self) -> bool:
        """Whether the server has stored it."""
        return not self._mail.outbox.waits(self._place)

    def wait_acknowledged(self, timeout_s: float | None = None) -> None:
        """Waits until the server has stored it; None waits for ever.

        Raises:
            NotDelivered: not within `timeout_s` seconds (`RefusedByServer` if the server refuses this device).
            EventTooLarge: the server does not take an event as large as this one.
            Closed: the device was closed.
        """

        def look() -> bool | None:
            self._mail.check_size(self.id)
            return self.acknowledged or None

        self._mail.wait(look, timeout_s)

    def receipt(self, timeout_s: float | None = None) -> Receipt:
        """What the server says of it, waiting for its first answer; a later one (higher `n`) holds as soon as it has come.

        Raises:
            NotDelivered: no receipt within `timeout_s` seconds (`RefusedByServer` if the server refuses this device).
            EventTooLarge: the server does not take an event as large as this one.
            Closed: the device was closed.
        """
        return self._mail.wait(lambda: self._mail.receipt(self.id), timeout_s)


def lines_of(items: Items | None) -> list[bodies.Line] | None:
    """Items as the contract has them."""
    if isinstance(items, Mapping):
        return [bodies.Line(sku=sku, qty=qty) for sku, qty in items.items()]
    return None if items is None else list(items)


def one_of(words: type[W], word: str) -> W:
    """A word of a closed list, given itself or as its text.

    Raises:
        InvalidEvent: it is not on the list. (`send` takes any word of the contract, if a site has words of its own.)
    """
    try:
        return words(word)
    except ValueError as error:
        raise InvalidEvent(f"{word!r} is not in {words.__name__}. Choose one of {', '.join(words)}") from error

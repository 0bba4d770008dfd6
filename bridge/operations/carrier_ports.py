"""What operations need for files of carriers and shops."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from bridge.ingest.channel_files import ChannelFileRow, DenialRow, ExportRow


class CarrierQueries(Protocol):
    """Reads for files of carriers and shops.

    Raises:
        StoreUnavailable: from every method, if the database can't be read.
    """

    def orders_with_numbers(self, numbers: Collection[str]) -> dict[str, set[str]]:
        """The orders that have, or once had, these carriers' numbers, or a label with them; numbers are in the normal form of codes."""
        ...

    def known_events(self, device: str, ids: Collection[bytes]) -> set[bytes]:
        """Those of these ids under which a device has sent an event."""
        ...

    def log_end(self) -> int:
        """The position of the last event; 0 if there is none."""
        ...

    def log_before(self, at_ms: int) -> int:
        """The position before the first event that was received at or after a time."""
        ...

    def changed_orders(self, channel: str, *, after_pos: int, upto_pos: int) -> list[str]:
        """A channel's orders with an event after one position of the log and up to another, by id."""
        ...

    def exported(self, channel: str, form: str) -> ExportRow | None:
        """Which changes the last file in a form had; None if there was none."""
        ...

    def channel_files(self) -> list[ChannelFileRow]:
        """When the last file of each channel came in, by channel."""
        ...

    def denials(self, order_ids: Sequence[str] | None = None) -> list[DenialRow]:
        """What carriers say they do not have, of these orders or of all."""
        ...


class FileUpkeep(Protocol):
    """Writes about files. They are called on the writer's thread (`SiteContext.on_writer`).

    Raises:
        StoreUnavailable: if the store can't take writes now.
    """

    def remember_export(self, row: ExportRow) -> None:
        """Store which changes the last file for a shop had."""
        ...

    def note_file(self, row: ChannelFileRow) -> None:
        """Store that a file of a channel came in."""
        ...

    def put_denials(self, rows: Sequence[DenialRow], *, denials_max: int) -> None:
        """Store what a carrier denies; of all of them only the newest are kept."""
        ...

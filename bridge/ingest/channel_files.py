"""What is kept of files beside the log: when a channel's last file came, which changes a file for a shop had, and what carriers deny."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.ingest.relation import Deletion, Origin, Relation


class ChannelFileRow(NamedTuple):
    """The last file of a channel that came in."""

    channel: str
    name: str
    at_ms: int


class ExportRow(NamedTuple):
    """The last file of a channel's changes in one form: the positions in the event log between which they lie, and when it was complete."""

    channel: str
    form: str
    after_pos: int
    upto_pos: int
    at_ms: int


class DenialRow(NamedTuple):
    """A carrier says, in a file, that it does not have a parcel which we loaded: with its own word, at a time. `parcel` is empty if the order is meant."""

    order_id: str
    parcel: str
    channel: str
    status: str
    at_ms: int


CHANNEL_FILES: Final = Relation(
    name="channel_files", row=ChannelFileRow, key=("channel",), origin=Origin.KEPT, note="when the last file of each channel came in"
)
CHANNEL_FILE_GONE: Final = Deletion(CHANNEL_FILES, ("channel",))
EXPORTS: Final = Relation(name="exports", row=ExportRow, key=("channel", "form"), origin=Origin.KEPT, note="which changes the last file for a shop had")
DENIALS: Final = Relation(name="denials", row=DenialRow, key=("order_id", "parcel", "channel"), origin=Origin.KEPT, note="parcels that carriers say they lack")

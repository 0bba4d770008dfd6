"""A site in figures: what the running server counts, and what is counted in its database. Nothing here names a device, an order or a person."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from bridge.operations.notice_ports import ChannelNow


class SpreadFigures(Struct, frozen=True, kw_only=True):
    """How values are spread, see `ingest.steps.Spread`."""

    bounds: list[float]
    counts: list[int]
    total: float


class ServerFigures(Struct, frozen=True, kw_only=True):
    """What the running server has counted since its start, and how much it holds now.

    Args:
        counters: by name; `dockbridge status` says what each means.
        queue_bytes: bytes of payload that wait for the store.
        sessions_owed: sessions that messages wait for.
        devices_on: devices that are connected.
        received_bytes, sent_bytes: bytes of MQTT.
        commit_s: how long the commits took, in seconds.
        messages: how many messages and changes a batch had.
        took_s: seconds in all by step (`ingest.steps.Step`).
        committing_s: for how long the writer has had the batch that it has now; None if it has none.
        notices: how the channel is by which notices for customers go out.
        lag_s: the longest that a timer of the event loop waited for its turn in the last 30 to 60 seconds.
    """

    version: str
    since_ms: int
    counters: dict[str, int]
    queue_bytes: int
    sessions_owed: int
    devices_on: int
    received_bytes: int
    sent_bytes: int
    commit_s: SpreadFigures
    messages: SpreadFigures
    took_s: dict[str, float]
    committing_s: float | None
    notices: ChannelNow
    lag_s: float


class StoredFigures(Struct, frozen=True, kw_only=True):
    """What is counted in the database, as of one moment.

    Args:
        outcomes: events by their outcome, of those after the position that was asked for and up to `end`.
        end: the last position in the event log that was counted.
        orders: by state.
        alerts: by code.
        quarantined: messages in quarantine.
        parked: events that wait for their order.
        devices: devices that may log in.
        owing: devices that owe events.
        owed: how many they owe.
    """

    outcomes: dict[str, int]
    end: int
    orders: dict[str, int]
    alerts: dict[str, int]
    quarantined: int
    parked: int
    devices: int
    owing: int
    owed: int


class FigureQueries(Protocol):
    """Reads of figures.

    Raises:
        StoreUnavailable: from every method, if the database can't be read.
    """

    def figures(self, *, after: int, events_max: int) -> StoredFigures:
        """Count. Of the events after the position `after`, at most so many are counted; the next call goes on from there."""
        ...

    def last_event(self) -> int:
        """The position of the last event; 0 if there is none."""
        ...

"""A site from one moment to the next: how fast it works, from two readings of its figures."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from bridge.operations.figure_ports import ServerFigures, StoredFigures


class Reading(NamedTuple):
    """A site's figures at a moment of a monotonic clock. `server` is None if none runs."""

    at_s: float
    server: ServerFigures | None
    stored: StoredFigures


class Rates(Struct, frozen=True, kw_only=True):
    """How fast a site worked between two readings.

    Args:
        events_s: events stored per second.
        messages_s: messages and changes committed per second.
        batches_s: commits per second.
        received_bytes_s, sent_bytes_s: bytes of MQTT per second.
        batch_messages: messages and changes in a batch, on average; None if there was no batch.
        step_ms: what each step of a batch took, on average, in ms; empty if there was no batch.
    """

    events_s: float
    messages_s: float
    batches_s: float
    received_bytes_s: float
    sent_bytes_s: float
    batch_messages: float | None
    step_ms: dict[str, float]


def rates(before: Reading, now: Reading) -> Rates | None:
    """How fast it worked between two readings; None if no server ran, or another one did."""
    one, other = before.server, now.server
    if one is None or other is None or one.since_ms != other.since_ms:
        return None
    took_s = max(now.at_s - before.at_s, 0.001)
    batches = sum(other.commit_s.counts) - sum(one.commit_s.counts)
    messages = other.messages.total - one.messages.total
    return Rates(
        events_s=(now.stored.end - before.stored.end) / took_s,
        messages_s=messages / took_s,
        batches_s=batches / took_s,
        received_bytes_s=(other.received_bytes - one.received_bytes) / took_s,
        sent_bytes_s=(other.sent_bytes - one.sent_bytes) / took_s,
        batch_messages=messages / batches if batches else None,
        step_ms=step_ms(other, one),
    )


def step_ms(now: ServerFigures, before: ServerFigures | None = None) -> dict[str, float]:
    """What each step of a batch took, on average, in ms, since `before` or since the start; empty if there was no batch."""
    batches = sum(now.commit_s.counts) - (sum(before.commit_s.counts) if before is not None else 0)
    spent_s = {step: s - (before.took_s[step] if before is not None else 0) for step, s in now.took_s.items()}
    return {step: 1_000 * s / batches for step, s in spent_s.items()} if batches else {}

"""Bounds of the front door; see `config/bridge.toml` for the sentences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """Bounds of connections, sessions and messages."""

    packet_bytes_max: int = 262_144
    window: int = 64
    session_queue_max: int = 10_000
    session_queue_bytes_max: int = 16_777_216
    session_queue_age_ms: int = 604_800_000
    session_expiry_ms: int = 2_592_000_000
    sessions_max: int = 20_000
    sessions_per_device_max: int = 8
    subscriptions_max: int = 100
    connections_max: int = 10_000
    connections_per_address_max: int = 5_000
    connect_timeout_s: float = 5.0
    authentication_timeout_s: float = 60.0
    topic_levels_max: int = 32
    topic_bytes_max: int = 1_024
    publish_rate_max: int = 2_000
    output_bytes_max: int = 1_048_576
    recent_bytes_max: int = 8_388_608
    retained_max: int = 100_000
    message_log_max: int = 1_000_000
    ack_flush_ms: int = 200

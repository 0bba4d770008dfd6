"""Bounds of the front door; see `config/bridge.toml` for the sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.config import BrokerSettings

_DEFAULTS: Final = BrokerSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """Bounds of connections, sessions and messages."""

    packet_bytes_max: int = _DEFAULTS.packet_bytes_max
    window: int = _DEFAULTS.window
    session_queue_max: int = _DEFAULTS.session_queue_max
    session_queue_bytes_max: int = _DEFAULTS.session_queue_bytes_max
    session_queue_age_ms: int = int(_DEFAULTS.session_queue_age_h * 3_600_000)
    session_expiry_ms: int = int(_DEFAULTS.session_expiry_days * 86_400_000)
    sessions_max: int = _DEFAULTS.sessions_max
    sessions_per_device_max: int = _DEFAULTS.sessions_per_device_max
    subscriptions_max: int = _DEFAULTS.subscriptions_max
    connections_max: int = _DEFAULTS.connections_max
    connections_per_address_max: int = _DEFAULTS.connections_per_address_max
    connect_timeout_s: float = _DEFAULTS.connect_timeout_s
    authentication_timeout_s: float = _DEFAULTS.authentication_timeout_s
    topic_levels_max: int = _DEFAULTS.topic_levels_max
    topic_bytes_max: int = _DEFAULTS.topic_bytes_max
    publish_rate_max: int = _DEFAULTS.publish_rate_max
    output_bytes_max: int = _DEFAULTS.output_bytes_max
    recent_bytes_max: int = _DEFAULTS.recent_bytes_max
    retained_max: int = _DEFAULTS.retained_max
    recent_retained_max: int = _DEFAULTS.recent_retained_max
    matches_max: int = _DEFAULTS.matches_max
    message_log_max: int = _DEFAULTS.message_log_max
    ack_flush_ms: int = _DEFAULTS.ack_flush_ms

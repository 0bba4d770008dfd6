"""Turn a site's settings into the limits and rules of each part: ingest, the pipeline and the front door."""

from __future__ import annotations

import logging
import resource
from pathlib import Path
from typing import Final

import cbor2

from bridge.broker.limits import DoorLimits
from bridge.carrier_settings import carrier_rules
from bridge.config import Settings
from bridge.config_file import hours_of_channels, zone_of
from bridge.domain.codes.rules import DAY_MS, HOUR_MS, CodeRules
from bridge.domain.facts import Unpaid
from bridge.domain.notices import NoticeRules
from bridge.domain.positions import PointRules, ShowingRules
from bridge.domain.visits import VisitRules
from bridge.ingest.pipeline import Limits
from bridge.ingest.rules import Rules
from bridge.notice_files import own_texts, texts_in
from bridge.operations import retention
from bridge.operations.login_brake import Allowance, LoginRules, TotpRule
from bridge.operations.privacy import keep_ms
from devices.protocol.messages import PUBLISH_OVERHEAD_BYTES, encode_json
from devices.protocol.messages import Limits as ClientLimits

logger = logging.getLogger("dockbridge")

DESCRIPTORS_KEPT: Final = 48
"""File descriptors reserved for the database and its readers, the listeners, the control socket and the runtime."""


def rules_of(settings: Settings, directory: Path = Path()) -> Rules:
    """The rules of ingest. `directory` is the site's folder.

    Raises:
        ConfigError: if the site's own texts for customers can't be used.
    """
    orders, codes = settings.orders, settings.codes
    return Rules(
        site=settings.site.name,
        order_events_max=orders.events_max,
        order_repeats_max=orders.repeats_max,
        codes=CodeRules(
            containers=tuple(codes.containers.split()),
            look_ahead_ms=int(codes.look_ahead_days * DAY_MS),
            reuse_after_ms=int(codes.reuse_after_days * DAY_MS),
            forget_after_ms=int(codes.forget_after_days * DAY_MS),
        ),
        parked_deadline_ms=int(orders.parked_deadline_h * HOUR_MS),
        attempts_max=orders.attempts_max,
        complete_after_ms=int(orders.complete_after_days * DAY_MS) or None,
        late_risk_before_ms=int(orders.late_risk_before_h * HOUR_MS),
        mispicks_keep_ms=int(orders.mispicks_keep_days * DAY_MS),
        unpaid=Unpaid(settings.payments.unpaid),
        carriers=carrier_rules(settings.carriers, settings.cutoffs, zone_of(settings.site.timezone)),
        carrier_silent_after_ms=int(settings.carriers.silent_after_h * HOUR_MS),
        silent_after_ms=int(orders.silent_after_h * HOUR_MS),
        status_keep_ms=int(orders.status_keep_days * DAY_MS),
        gap_alert_after_ms=int(settings.ingest.gap_alert_after_s * 1000),
        quarantine_entries_max=settings.ingest.quarantine_entries_max,
        pseudonym_ms=int(settings.people.worker_pseudonym_days * DAY_MS),
        worker_keep_ms=keep_ms(retention.WORKERS, settings),
        workers_max=settings.people.workers_max,
        tours=settings.couriers.tours,
        shift_longest_ms=int(settings.couriers.shift_longest_h * HOUR_MS),
        cash_open_after_ms=int(settings.couriers.cash_count_within_h * HOUR_MS),
        quarantine_keep_ms=keep_ms(retention.MESSAGES, settings),
        positions_keep_ms=keep_ms(retention.POSITIONS, settings),
        stale_after_ms=int(settings.imports.stale_h * HOUR_MS),
        stale_channels=tuple((channel, int(hours * HOUR_MS)) for channel, hours in hours_of_channels(settings.imports.stale_channels).items()),
        points=PointRules(
            accuracy_max_m=orders.position_accuracy_max_m,
            speed_max_m_s=orders.position_speed_max_m_s,
            backlog_max_ms=int(settings.positions.backlog_max_h * HOUR_MS),
        ),
        showing=ShowingRules(
            next_stops=settings.positions.next_stops,
            round_m=settings.positions.round_m,
            stale_after_ms=int(settings.positions.stale_after_s * 1000),
            gone_after_ms=int(settings.positions.gone_after_s * 1000),
        ),
        visits=visit_rules(settings),
        position_alert_after_ms=int(orders.position_alert_after_s * 1000),
        language=settings.articles.language,
        quiet_after_ms=int(orders.quiet_after_s * 1000),
        encode=encode_json if settings.publish.format == "json" else cbor2.dumps,
        notices=notice_rules(settings, directory),
    )


def notice_rules(settings: Settings, directory: Path) -> NoticeRules:
    """What customers are told.

    Raises:
        ConfigError: if the site's own texts can't be used.
    """
    notices = settings.notices
    return NoticeRules(
        texts=texts_in(directory / notices.texts_folder) if notices.texts_folder else own_texts(),
        zone=zone_of(settings.site.timezone),
        within_ms=int(notices.tell_within_h * HOUR_MS),
        arrived_within_ms=int(notices.arrived_within_min * 60_000),
        keep_ms=int(notices.keep_days * DAY_MS),
    )


def visit_rules(settings: Settings) -> VisitRules:
    """The rules by which a phone is at a place."""
    visits = settings.visits
    return VisitRules(
        dwell_ms=int(visits.dwell_s * 1000),
        leave_ms=int(visits.leave_s * 1000),
        leave_m=visits.leave_m,
        accuracy_max_m=visits.accuracy_max_m,
        crossing_max_ms=int(visits.crossing_max_s * 1000),
        gap_max_ms=int(visits.gap_max_s * 1000),
        every_ms=int(settings.orders.position_every_s * 1000),
        speed_max_m_s=settings.orders.position_speed_max_m_s,
        fixes_max=visits.fixes_cached_max,
    )


def login_rules(settings: Settings) -> LoginRules:
    """The rules by which people log in."""
    people = settings.people
    return LoginRules(
        totp=TotpRule(people.totp),
        of_name=Allowance(people.name_failures_max, people.name_failure_forget_s),
        of_address=Allowance(people.address_failures_max, people.address_failure_forget_s),
        remembered_max=people.failures_remembered_max,
        at_once_max=people.logins_at_once_max,
    )


def client_limits(settings: Settings) -> ClientLimits:
    """The limits that a client must know."""
    broker = settings.broker
    return ClientLimits(
        packet_bytes_max=broker.packet_bytes_max,
        payload_bytes_max=broker.packet_bytes_max - PUBLISH_OVERHEAD_BYTES,
        publish_rate_max=broker.publish_rate_max,
        window=broker.window,
    )


def pipeline_limits(settings: Settings) -> Limits:
    """The limits of the pipeline."""
    ingest = settings.ingest
    return Limits(
        queue_messages_max=ingest.queue_messages_max,
        queue_bytes_max=ingest.queue_bytes_max,
        batch_messages_max=ingest.batch_messages_max,
        retry_first_s=ingest.retry_first_s,
        retry_max_s=ingest.retry_max_s,
    )


def door_limits(settings: Settings) -> DoorLimits:
    """The limits of the front door."""
    broker = settings.broker
    return DoorLimits(
        packet_bytes_max=broker.packet_bytes_max,
        window=broker.window,
        session_queue_max=broker.session_queue_max,
        session_queue_bytes_max=broker.session_queue_bytes_max,
        session_queue_age_ms=int(broker.session_queue_age_h * HOUR_MS),
        session_expiry_ms=int(broker.session_expiry_days * DAY_MS),
        sessions_max=broker.sessions_max,
        sessions_per_device_max=broker.sessions_per_device_max,
        subscriptions_max=broker.subscriptions_max,
        connections_max=_connections_max(settings),
        connections_per_address_max=broker.connections_per_address_max,
        connect_timeout_s=broker.connect_timeout_s,
        authentication_timeout_s=broker.authentication_timeout_s,
        topic_levels_max=broker.topic_levels_max,
        topic_bytes_max=broker.topic_bytes_max,
        publish_rate_max=broker.publish_rate_max,
        output_bytes_max=broker.output_bytes_max,
        recent_bytes_max=broker.recent_bytes_max,
        retained_max=broker.retained_max,
        recent_retained_max=broker.recent_retained_max,
        matches_max=broker.matches_max,
        message_log_max=broker.message_log_max,
        ack_flush_ms=broker.ack_flush_ms,
    )


def _connections_max(settings: Settings) -> int:
    """The configured limit of connections, or fewer if the system has too few file descriptors."""
    wanted = settings.broker.connections_max
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = max(1, limit - DESCRIPTORS_KEPT)
    if limit == resource.RLIM_INFINITY or room >= wanted:
        return wanted
    logger.warning(
        "the system allows %d file descriptors: enough for %d connections instead of broker.connections_max = %d; raise the limit (ulimit -n, LimitNOFILE=)",
        limit,
        room,
        wanted,
    )
    return room

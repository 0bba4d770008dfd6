"""A changed `bridge.toml` while the server runs: which settings hold at once, and which need a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any, Final

from bridge.bounds import client_limits, door_limits, notice_rules, pipeline_limits, rules_of
from bridge.config import CONFIG_NAME, Settings
from bridge.config_file import load
from bridge.errors import ConfigError
from bridge.operations.ports import Reloaded
from bridge.serving.open_site import OpenSite
from bridge.serving.parts import SiteBroker
from bridge.serving.reports_rule import note_rule
from bridge.serving.server_certificate import ServerCertificate
from bridge.serving.start import announce_state

logger = logging.getLogger("dockbridge")

RELOADABLE: Final[Mapping[str, Collection[str]]] = {
    "site": {"timezone"},  # only commands read it
    "listen": {"tls_cert_file", "tls_key_file"},
    "broker": {
        *("session_queue_age_h", "session_expiry_days", "sessions_max", "sessions_per_device_max", "connections_max", "connections_per_address_max"),
        *("failed_names_per_address_max", "topic_levels_max", "topic_bytes_max", "publish_rate_max", "message_log_max", "retained_max"),
        "authentication_timeout_s",
    },
    "ingest": {
        *("queue_messages_max", "queue_bytes_max", "batch_messages_max", "retry_first_s", "retry_max_s"),
        *("quarantine_entries_max", "gap_alert_after_s"),
    },
    "orders": {
        *("events_max", "repeats_max", "parked_deadline_h", "attempts_max", "complete_after_days", "late_risk_before_h", "mispicks_keep_days"),
        *("silent_after_h", "status_keep_days", "quiet_after_s", "position_every_s", "positions_keep_days", "position_accuracy_max_m"),
        *("position_speed_max_m_s", "position_alert_after_s", "sweep_every_s"),
    },
    "codes": {"containers", "look_ahead_days", "reuse_after_days", "forget_after_days"},
    "payments": {"unpaid"},
    "carriers": {"silent_after_h", "handover_days", "handovers_keep_days", "each"},
    "cutoffs": {"holidays", "each"},
    "articles": {"articles_max", "codes_per_article_max", "file_bytes_max", "language"},
    "positions": {"next_stops", "round_m", "stale_after_s", "gone_after_s", "backlog_max_h"},
    "places": {"places_max", "vertices_max", "radius_m_max", "file_bytes_max"},  # only commands read them
    "visits": {"dwell_s", "leave_s", "leave_m", "accuracy_max_m", "crossing_max_s", "gap_max_s", "fixes_cached_max"},
    "imports": {"stale_h", "stale_channels", "denials_max"},
    "people": {
        *("people_max", "tokens_max", "token_days", "password_chars_min"),  # only commands read them
        *("totp", "name_failures_max", "name_failure_forget_s", "address_failures_max", "address_failure_forget_s"),
        *("failures_remembered_max", "logins_at_once_max"),
        *("worker_pseudonym_days", "worker_link_days", "workers_max", "reports"),
    },
    "couriers": {"tours", "shift_longest_h", "cash_count_within_h"},
    "notices": {
        *("url", "secret_file", "texts_folder", "ca_file", "allow_private", "allow_plain", "tell_within_h", "arrived_within_min", "keep_days", "batch_max"),
        *("connections_max", "timeout_s", "body_bytes_max", "response_bytes_max", "poll_s", "retry_first_s", "retry_max_s", "tries_max", "give_up_h"),
        "alert_after_s",
    },
    "backup": {"folder", "every_h", "keep"},
    "log": {"format"},
}
"""By section, the settings that hold once they are read again. Any other needs a restart: what it sizes, opens or encodes is made at the start."""


class Reloading:
    """Reads a site's `bridge.toml` again. No connection is closed by it."""

    def __init__(self, site: OpenSite, broker: SiteBroker, certificate: ServerCertificate) -> None:
        self._site = site
        self._broker = broker
        self._certificate = certificate
        self._one_at_a_time = asyncio.Lock()

    async def reload(self) -> Reloaded:
        """Apply what has changed and can be applied, and the certificate as it now is in its file.

        Raises:
            ConfigError: if the file or the certificate can't be used. Nothing has changed then.
        """
        async with self._one_at_a_time:
            wanted = _load(self._site)
            now, done = merged(self._site.settings, wanted)
            has_certificate = self._certificate.reload(now.listen)
            await self._apply(now)
            reloaded = Reloaded(applied=done.applied, needs_restart=done.needs_restart, certificate=has_certificate)
            _log(reloaded)
            return reloaded

    async def _apply(self, now: Settings) -> None:
        site, before = self._site, self._site.settings
        rules = replace(rules_of(now, site.directory), epoch=site.rules.epoch, is_lab=site.rules.is_lab, encode=site.rules.encode, sealer=site.vault)
        await note_rule(site, now.people.reports)
        await site.writer.run(lambda: site.settler.use_rules(rules))
        site.rules, site.settings = rules, now
        site.pipeline.limits = pipeline_limits(now)
        for changed in site.settings_changed:
            changed(now)
        self._broker.door.use_limits(door_limits(now))
        self._broker.logins.unknown_names_max = now.broker.failed_names_per_address_max
        if client_limits(now) != client_limits(before):
            announce_state(site, online=True)


def merged(running: Settings, wanted: Settings) -> tuple[Settings, Reloaded]:
    """The settings of a running server once it has read others, and what of the others that is."""
    sections: dict[str, Any] = {}
    applied, needs_restart = [], []
    for section in fields(Settings):
        old, new = getattr(running, section.name), getattr(wanted, section.name)
        changed = [f.name for f in fields(old) if getattr(old, f.name) != getattr(new, f.name)]
        now = [name for name in changed if name in RELOADABLE.get(section.name, ())]
        sections[section.name] = replace(old, **{name: getattr(new, name) for name in now})
        applied += [f"{section.name}.{name}" for name in now]
        needs_restart += [f"{section.name}.{name}" for name in changed if name not in now]
    return Settings(**sections), Reloaded(applied=applied, needs_restart=needs_restart, certificate=False)


def _load(site: OpenSite) -> Settings:
    try:
        wanted = load(site.directory / CONFIG_NAME)
        if wanted.site.name != site.settings.site.name:  # a file that was cut short has no name
            raise ConfigError(f"site.name is {wanted.site.name}, and this server serves {site.settings.site.name}", fix="look whether the file is whole")
        notice_rules(wanted, site.directory)
    except ConfigError as error:
        raise ConfigError(f"{error} (the server goes on with the settings that it has)", fix=error.fix) from error
    return wanted


def _log(done: Reloaded) -> None:
    logger.info("%s was read again: %s", CONFIG_NAME, f"{', '.join(done.applied)} changed" if done.applied else "nothing that can change now is different")
    if done.needs_restart:
        logger.warning("restart the server to apply %s", ", ".join(done.needs_restart))


__all__ = ["RELOADABLE", "Reloading", "merged"]

"""The channel by which notices go out, while a server runs: it follows the settings, and says how it is."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from functools import partial
from typing import Final

from bridge.addresses import target_of
from bridge.config import NoticeSettings, Settings
from bridge.domain.codes.rules import HOUR_MS
from bridge.domain.notices import NoticeRules
from bridge.errors import ConfigError
from bridge.ingest.ports import StoreUnavailable
from bridge.operations.notice_ports import ChannelNow, ChannelState
from bridge.outbound.feed import Feed, FeedLimits, Unwanted
from bridge.outbound.posting import PostLimits, post
from bridge.outbound.signing import secret_in
from bridge.outbound.webhook import Webhook, WebhookLimits
from bridge.serving.open_site import OpenSite
from bridge.store.feeding import SqlNotices
from devices.protocol.vocabulary import AlertCode

logger = logging.getLogger("dockbridge.outbound")

_FIX: Final = "`dockbridge notices list` shows what waits. See to the receiver, or correct [notices] in bridge.toml and run `dockbridge server reload`."


class NoticeChannel:
    """Sends a site's notices out by the settings of the moment."""

    def __init__(self, site: OpenSite) -> None:
        self._site = site
        self._notices = SqlNotices(site.reader, site.store, site.writer.run, site.clock.now_ms)
        self._feed: Feed | None = None
        self._state = ChannelState.OFF
        self._error = ""
        self._has_alert = False
        self._changed = asyncio.Event()
        site.settings_changed.append(self._note_settings)
        self._settings = site.settings.notices

    @property
    def now(self) -> ChannelNow:
        """How the channel is."""
        error = self._error or (self._feed.last_error if self._feed is not None else "")
        state = ChannelState.FAILING if error and self._state is ChannelState.ON else self._state
        return ChannelNow(state=state, error=error)

    async def run(self) -> None:
        """Send until cancelled. Changed settings begin anew, also after the receiver wanted no more."""
        while True:
            self._changed.clear()
            self._error = ""
            following = asyncio.create_task(self._follow(self._settings), name="notices by these settings")
            changed = asyncio.create_task(self._changed.wait(), name="notices: changed settings")
            try:
                await asyncio.wait((following, changed), return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
                    await changed
            finally:
                for task in (following, changed):
                    task.cancel()
                await asyncio.gather(following, changed, return_exceptions=True)

    async def _follow(self, settings: NoticeSettings) -> None:
        self._alarm("")
        try:
            if not settings.url:
                self._feed, self._state = None, ChannelState.OFF
                await self._notices.end(Webhook.name)
                return
            self._state = ChannelState.ON
            self._feed = self._feed_by(settings)
            await self._begin(settings)
            await self._feed.run()
        except Unwanted as error:
            self._stop(ChannelState.UNWANTED, str(error))
        except ConfigError as error:
            self._stop(ChannelState.FAILING, str(error))
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with the channel is no trouble to the server
            self._stop(ChannelState.FAILING, f"{type(error).__name__}: {error}")

    async def _begin(self, settings: NoticeSettings) -> None:
        """Find out from where on to send, as soon as the store takes writes."""
        while True:
            try:
                await self._notices.begin(Webhook.name)
            except StoreUnavailable as error:
                self._error = f"the database can't be used: {error}"
                await asyncio.sleep(settings.retry_first_s)
            else:
                self._error = ""
                return

    def _feed_by(self, settings: NoticeSettings) -> Feed:
        site = self._site
        target = target_of(settings.url)
        limits = PostLimits(timeout_s=settings.timeout_s, response_bytes_max=settings.response_bytes_max, allow_private=settings.allow_private)
        context = _context(settings, site)

        async def send(headers: Sequence[tuple[str, str]], body: bytes) -> int:
            return await post(target, headers, body, limits, context)

        bounds = WebhookLimits(
            connections_max=settings.connections_max,
            body_bytes_max=settings.body_bytes_max,
            tries_max=settings.tries_max,
            give_up_ms=int(settings.give_up_h * HOUR_MS),
        )
        webhook = Webhook(send, secret_in(site.directory / settings.secret_file), self._notices, partial(_rules, site), site.clock.now_ms, bounds)
        feed_limits = FeedLimits(
            rows_max=settings.batch_max,
            poll_s=settings.poll_s,
            retry_first_s=settings.retry_first_s,
            retry_max_s=settings.retry_max_s,
            alert_after_s=settings.alert_after_s,
        )
        return Feed(self._notices, webhook, feed_limits, on_trouble=self._alarm, aside=site.aside)

    def _stop(self, state: ChannelState, error: str) -> None:
        self._state, self._error = state, error
        logger.error("notices are not sent: %s", error)
        self._alarm(error)

    def _note_settings(self, settings: Settings) -> None:
        if settings.notices != self._settings:
            self._settings = settings.notices
            self._changed.set()

    def _alarm(self, error: str) -> None:
        if self._site.outlet.broker is not None and (error or self._has_alert):
            self._has_alert = bool(error)
            text = f"Notices for customers are not sent: {error}." if error else ""
            self._site.outlet.broker.door.alarm(AlertCode.NOTICES, self._site.settings.site.name, text, _FIX if error else "")


def _rules(site: OpenSite) -> NoticeRules:
    rules = site.rules.notices
    assert rules is not None
    return rules


def _context(settings: NoticeSettings, site: OpenSite) -> ssl.SSLContext:
    """Trusts the authorities of the system, or those in a file.

    Raises:
        ConfigError: if the file can't be used.
    """
    try:
        return ssl.create_default_context(cafile=site.directory / settings.ca_file if settings.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"notices.ca_file: {settings.ca_file} can't be used", fix="name a file of certificates (PEM)") from error

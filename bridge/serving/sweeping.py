"""What is done now and then: deadlines of ingest, failed logins that are no longer recent, what was kept long enough, and storing who has logged in."""

from __future__ import annotations

import asyncio
import logging

from bridge.ingest.ports import StoreUnavailable
from bridge.serving.login_alarms import LoginAlarms
from bridge.serving.open_site import OpenSite
from bridge.serving.trimming import trim

logger = logging.getLogger("dockbridge")


async def sweep(site: OpenSite, alarms: LoginAlarms) -> None:
    """Look at every deadline now and then, until cancelled."""
    has_failed = False
    while True:
        try:
            site.outlet.show(await site.writer.run(lambda: site.settler.sweep(site.clock.now_ms())))
            site.outlet.flush()
            alarms.look(site.clock.now_s())
            await trim(site)
            await site.known_logins.save()
            has_failed = False
        except StoreUnavailable as error:
            if not has_failed:
                logger.error("deadlines can't be checked (%s); the server tries again: %s", error, error.fix)
            has_failed = True
        await asyncio.sleep(site.settings.orders.sweep_every_s)

"""Retention: what was kept long enough is destroyed, a portion at a time between two batches of scans, so that none has to wait."""

from __future__ import annotations

import logging
from functools import partial

from bridge.operations import retention
from bridge.operations.privacy import keep_ms
from bridge.serving.open_site import OpenSite
from bridge.serving.privacy import forget_as_asked
from bridge.store import forgetting, workers

logger = logging.getLogger("dockbridge")

PORTIONS_MAX = 50
"""Portions of one look; the next one goes on."""


async def trim(site: OpenSite) -> None:
    """Forget orders whose time is over, or that were asked to be forgotten and may be now; and drop what else was kept long enough.

    Raises:
        StoreUnavailable: if the store can't be read or written now.
    """
    settings, engine = site.settings.privacy, site.engine
    now_ms = site.clock.now_ms()
    before_ms = now_ms - keep_ms(retention.CONTACT, site.settings)
    limit = settings.forget_orders_max
    forgotten = 0
    for _ in range(PORTIONS_MAX):
        due = await site.aside(forgetting.due, site.reader, before_ms, limit=limit)
        if due.requested:
            await site.writer.run(partial(forget_as_asked, site, due.requested, now_ms))
        if due.old:
            await site.writer.run(partial(forgetting.forget_orders, engine, due.old, now_ms))
        loose = await site.aside(forgetting.loose, site.reader, before_ms, limit=limit) if not due.old else []
        if loose:
            await site.writer.run(partial(forgetting.drop_parts, engine, loose))
        done = len(due.old) + len(due.requested) + len(loose)
        forgotten += done
        if not done:
            break
    audit_before_ms = now_ms - keep_ms(retention.ACTS, site.settings)
    if await site.aside(site.audit.begins_before, audit_before_ms):
        await site.writer.run(lambda: site.audit.trim(audit_before_ms, rows_max=limit))
    unused_ms = now_ms - keep_ms(retention.WORKERS, site.settings)
    unlinked = 0
    if await site.aside(workers.has_unused, site.reader, unused_ms):
        unlinked = await site.writer.run(lambda: workers.drop_unused(engine, unused_ms))
        await site.writer.run(site.settler.forget_workers)
    if forgotten or unlinked:
        await site.writer.run(lambda: forgetting.empty_log(engine))
        logger.info("kept long enough, and destroyed: personal data of %d orders and messages, links of %d pseudonyms to badges", forgotten, unlinked)

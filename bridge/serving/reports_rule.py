"""The site's rule about reports on workers: a change is in the audit log before any report follows it."""

from __future__ import annotations

import logging

from bridge.config import CONFIG_NAME
from bridge.domain.groups import Reports
from bridge.operations.reports import REPORTS_CHANGED
from bridge.serving.open_site import OpenSite

logger = logging.getLogger("dockbridge")


async def note_rule(site: OpenSite, wanted: str) -> None:
    """Write an entry if the rule of the configuration is another than the last one in the audit log.

    Raises:
        StoreUnavailable: if the store can't be written now.
    """
    audit, now_ms = site.audit, site.clock.now_ms()
    details = audit.last_details(REPORTS_CHANGED)
    before = details["now"] if details is not None else Reports.OFF.value
    if wanted == before:
        return
    logger.warning("people.reports was %r and is %r: the change is in the audit log", before, wanted)
    change = {"before": before, "now": wanted}
    await site.writer.run(lambda: audit.append(at_ms=now_ms, who=CONFIG_NAME, act=REPORTS_CHANGED, subject=None, reason=None, details=change))

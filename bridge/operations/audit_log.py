"""Reading the audit log: what people typed there may name others, so that not everybody may."""

from __future__ import annotations

from bridge.operations.ports import SiteContext


async def look(site: SiteContext) -> None:
    """Someone reads the audit log. Only who has the right to gets this far."""

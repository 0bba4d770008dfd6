"""Changes of orders for a shop's upload: what left, with which carrier and number, and what was cancelled; each change once.

What changed follows from the log alone: an order as its events up to one position make it is compared with what they make up to another. So nothing but the
position has to be stored, and a file that is made again is the same.
"""

from __future__ import annotations

from bridge.ingest.channel_files import ExportRow
from bridge.operations.ports import SiteContext


async def remember(site: SiteContext, channel: str, form: str, after_pos: int, upto_pos: int) -> None:
    """Store which changes a channel's last file in a form had: those between two positions of the log. The next file goes on from there."""
    row = ExportRow(channel, form, after_pos, upto_pos, site.clock.now_ms())
    await site.on_writer(lambda: site.upkeep.remember_export(row))

"""What happened over a time, counted. No report names a person."""

from __future__ import annotations

from enum import StrEnum

from bridge.operations.ports import Row, SiteReader


class Grouping(StrEnum):
    """By what mispicks are counted."""

    ARTICLE = "article"
    PLACE = "place"
    HOUR = "hour"


async def count_mispicks(site: SiteReader, *, by: Grouping, since_ms: int) -> list[Row]:
    """Refused scans, counted by article, place or hour, and by reason."""
    return site.queries.mispicks(by=by.value, since_ms=since_ms)

"""The site's keys, with which personal data is sealed."""

from __future__ import annotations

from typing import Final

from bridge.operations.ports import OnProgress, SiteContext
from bridge.operations.privacy_ports import KeyStatus

PORTION_ROWS: Final = 500
"""Parts whose keys are wrapped anew between two batches of scans."""


async def status(site: SiteContext) -> list[KeyStatus]:
    """The site's keys, the oldest first, and those that are missing."""
    return await site.on_writer(site.privacy.keys)


async def backed_up(site: SiteContext, key: str) -> None:
    """Note that a key has a recovery sheet.

    Raises:
        NotFound: if there is no such key.
    """
    now_ms = site.clock.now_ms()
    await site.on_writer(lambda: site.privacy.mark_backed_up(key, now_ms=now_ms))


async def restored(site: SiteContext, key: str) -> None:
    """A key was put back into the folder: use it."""
    await site.on_writer(site.privacy.reload_keys)


async def rotate(site: SiteContext, on_progress: OnProgress, is_going_on: bool = False, reason: str = "") -> int:
    """Make a new key, and wrap everything that is sealed with it. The old ones stay: backups need them. Returns how many parts were wrapped anew.

    Args:
        is_going_on: a rotation was broken off: go on with it, without another key.
    """
    now_ms = site.clock.now_ms()
    if not is_going_on:
        await site.on_writer(lambda: site.privacy.make_key(now_ms=now_ms))
    keys = await site.on_writer(site.privacy.keys)
    total = sum(key.rows for key in keys if not key.is_current and key.is_here)
    done = 0
    while wrapped := await site.on_writer(lambda: site.privacy.wrap_anew(rows_max=PORTION_ROWS)):
        done += wrapped
        on_progress(done, max(total, done))
    return done


async def destroy(site: SiteContext, key: str, reason: str = "") -> None:
    """Destroy a key that nothing in the database needs any more. Backups from before the rotation can't be opened after that.

    Raises:
        NotFound: if there is no such key.
        Refused: if it is the newest one, or something is sealed with it.
    """
    await site.on_writer(lambda: site.privacy.destroy_key(key))

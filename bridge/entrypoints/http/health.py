"""`/live` and `/ready`, answered by the server's own event loop: if that is blocked, there is no answer.

`/live`: the process answers; if it does not, start it again. `/ready`: devices are served, and what they send is committed. If it is not, `reason` says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bridge.ingest.ports import StoreUnavailable
from bridge.operations.ports import SiteContext

TRY_EVERY_S: Final = 5.0
"""How long it counts that the store could commit. That it could not is asked again each time."""
UNCACHED: Final = {"Cache-Control": "no-store"}


class Health:
    """Whether a site can do its work.

    Args:
        has_failed: whether a part that must run has ended.
        commit_timeout_s: how long a commit may take.
    """

    def __init__(self, site: SiteContext, has_failed: Callable[[], bool], *, commit_timeout_s: float) -> None:
        self._site = site
        self._has_failed = has_failed
        self._commit_timeout_s = commit_timeout_s
        self._trial: asyncio.Task[str | None] | None = None
        self._since_s = 0.0
        self._committed_s = -TRY_EVERY_S

    async def fault(self) -> str | None:
        """Why it can't; None if it can."""
        figures = self._site.figures
        if figures is None:
            return "the server is starting"
        if self._has_failed():
            return "a part of the server has failed; the process is about to end, and its log says why"
        if figures.counters.get("store_failing"):
            return "the database can't take writes, so nothing is acknowledged; the server's log says why"
        if figures.committing_s is not None and figures.committing_s > self._commit_timeout_s:
            return f"a commit has taken {figures.committing_s:.0f} s so far; look at the disk"
        return await self._try_store()

    async def _try_store(self) -> str | None:
        """Have the store commit, unless it could just now: a disk that has filled up is found although no device sends anything."""
        now_s = self._site.clock.now_s()
        if self._trial is None:
            if now_s - self._committed_s < TRY_EVERY_S:
                return None
            self._since_s = now_s
            self._trial = asyncio.create_task(self._trial_commit(), name="trial commit")
        trial = self._trial
        done, _ = await asyncio.wait([trial], timeout=self._commit_timeout_s)
        if not done:
            return f"the database has not committed for {self._site.clock.now_s() - self._since_s:.0f} s; look at the disk"
        return trial.result()

    async def _trial_commit(self) -> str | None:
        """Why it could not commit; None if it could."""
        try:
            await self._site.on_writer(self._site.try_store)
        except StoreUnavailable as error:
            return f"the database can't take writes: {error}; {error.fix}"
        finally:
            self._trial = None
        self._committed_s = self._site.clock.now_s()
        return None


def routes(health: Health) -> list[Route]:
    """The routes of a site's health."""

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True}, headers=UNCACHED)

    async def ready(request: Request) -> Response:
        fault = await health.fault()
        if fault is None:
            return JSONResponse({"ready": True}, headers=UNCACHED)
        return JSONResponse({"ready": False, "reason": fault}, status_code=503, headers=UNCACHED)

    return [Route("/live", live), Route("/ready", ready)]

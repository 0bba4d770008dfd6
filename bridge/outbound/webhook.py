"""Notices go out: each as one signed POST, those of one order in their sequence, several orders at a time.

A receiver that does not answer gets everything later. What it refuses while it takes other notices is put aside after some tries, so that one order can't
block the others; a receiver that answers 410 wants nothing any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

from bridge import __version__
from bridge.domain.notices import NoticeRules
from bridge.outbound.feed import Followed, Unwanted
from bridge.outbound.posting import PostFailed
from bridge.outbound.signing import signed_headers
from bridge.projections.notices import NoticeRow, notice_plain
from devices.protocol.messages import encode_json

GONE: Final = 410
_TRY_LATER: Final = frozenset({GONE, 408, 425, 429})
"""Answers below 500 that say nothing against the notice itself."""

Post = Callable[[Sequence[tuple[str, str]], bytes], Awaitable[int]]
"""(headers, body) → the status of the answer. Raises `PostFailed` if there is none."""


class NotTaken(Exception):
    """The receiver has not taken all notices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookLimits:
    """Bounds of what is sent."""

    connections_max: int = 4
    body_bytes_max: int = 16_384
    tries_max: int = 8
    give_up_ms: int = 259_200_000


class NoticeBook(Protocol):
    """Where it is written what became of each notice."""

    async def settle(self, sent: Sequence[NoticeRow], aside: Sequence[tuple[NoticeRow, str]]) -> None:
        """Store which notices the receiver took, and which were put aside, and why."""
        ...


class _Failed(NamedTuple):
    row: NoticeRow
    error: str
    is_final: bool
    """Whether the receiver has refused the notice itself."""


class _Round:
    """What became of the notices of one `send`."""

    def __init__(self) -> None:
        self.taken: list[NoticeRow] = []
        self.aside: list[tuple[NoticeRow, str]] = []
        self.failed: list[_Failed] = []
        self.is_gone = False


class Webhook:
    """Follows the notices of a site, and posts them.

    Args:
        rules: what a notice says now.
        now_ms: the site's clock.
    """

    name = "notices"

    def __init__(
        self, post: Post, secret: bytes, book: NoticeBook, rules: Callable[[], NoticeRules], now_ms: Callable[[], int], limits: WebhookLimits | None = None
    ) -> None:
        self._post = post
        self._secret = secret
        self._book = book
        self._rules = rules
        self._now_ms = now_ms
        self._limits = limits or WebhookLimits()
        self._tries: dict[bytes, int] = {}
        """How often notices were tried that were not taken."""
        self._took_last_ms = 0
        self._settled: tuple[list[NoticeRow], list[tuple[NoticeRow, str]]] = ([], [])
        """What became of notices, and could not be stored yet: it is not sent again."""

    async def send(self, followed: Followed) -> None:
        """Post notices. What became of each is stored before this returns, or raises.

        Raises:
            NotTaken: if some have to be sent again.
            Unwanted: if the receiver wants no more.
        """
        known = {row.id for row in (*self._settled[0], *(row for row, _ in self._settled[1]))}
        await self._settle([], [])
        done = _Round()
        of_orders: dict[str, list[NoticeRow]] = {}
        new = [row for row in followed.notices if row.id not in known]
        for row in new:
            of_orders.setdefault(row.order_id, []).append(row)
        free = asyncio.Semaphore(self._limits.connections_max)
        async with asyncio.TaskGroup() as group:
            for rows in of_orders.values():
                group.create_task(self._send_order(rows, done, free), name="notices of one order")
        if done.taken:
            self._took_last_ms = self._now_ms()
        left = [failed for failed in done.failed if not self._gives_up(failed, done)]
        for row in (*done.taken, *(row for row, _ in done.aside)):
            self._tries.pop(row.id, None)
        await self._settle(done.taken, done.aside)
        if done.is_gone:
            raise Unwanted("the receiver answered 410: it wants no more notices")
        if left:
            raise NotTaken(left[0].error)
        if len(done.taken) + len(done.aside) < len(new):
            raise NotTaken("what follows on a notice that was put aside comes next")

    async def _settle(self, taken: list[NoticeRow], aside: list[tuple[NoticeRow, str]]) -> None:
        """Store what became of notices, and of those that could not be stored before."""
        all_taken, all_aside = self._settled = ([*self._settled[0], *taken], [*self._settled[1], *aside])
        if all_taken or all_aside:
            await self._book.settle(all_taken, all_aside)
            self._settled = ([], [])

    async def _send_order(self, rows: list[NoticeRow], done: _Round, free: asyncio.Semaphore) -> None:
        """Post the notices of one order, one after the other, up to the first that is not taken."""
        for row in rows:
            async with free:
                if done.is_gone or not await self._send_one(row, done):
                    return

    async def _send_one(self, row: NoticeRow, done: _Round) -> bool:
        """Post a notice. Returns whether the next one of its order may follow."""
        now_ms = self._now_ms()
        body = body_of(row, self._rules())
        if now_ms - row.told_ms > self._limits.give_up_ms:
            done.aside.append((row, "it could not be sent in time"))
            return True
        if len(body) > self._limits.body_bytes_max:
            done.aside.append((row, f"it has {len(body)} bytes; notices.body_bytes_max is {self._limits.body_bytes_max}"))
            return True
        headers = [*signed_headers(self._secret, row.id.hex(), now_ms // 1000, body), *_HEADERS]
        try:
            status = await self._post(headers, body)
        except PostFailed as error:
            done.failed.append(_Failed(row, str(error), is_final=False))
            return False
        if 200 <= status < 300:
            done.taken.append(row)
            return True
        done.is_gone = done.is_gone or status == GONE
        done.failed.append(_Failed(row, f"the receiver answered {status}", is_final=400 <= status < 500 and status not in _TRY_LATER))
        return False

    def _gives_up(self, failed: _Failed, done: _Round) -> bool:
        """Count a try that failed. Puts the notice aside, and returns True, if that was the last one, and the receiver takes others meanwhile: one that takes
        nothing has another fault, which is an alert, and in the end `give_up_ms` decides."""
        tries = self._tries[failed.row.id] = self._tries.get(failed.row.id, 0) + 1
        takes_others = self._now_ms() - self._took_last_ms <= TAKES_OTHERS_MS
        if tries < self._limits.tries_max or not (takes_others and (failed.is_final or done.taken)):
            return False
        done.aside.append((failed.row, f"{failed.error}, {tries} times"))
        return True


TAKES_OTHERS_MS: Final = 300_000
"""A receiver that has taken a notice so recently works."""
_HEADERS: Final = (("Content-Type", "application/json"), ("User-Agent", f"dockbridge/{__version__}"))


def body_of(row: NoticeRow, rules: NoticeRules) -> bytes:
    """A notice as it is posted: `type`, `timestamp` and `data` as Standard Webhooks have them."""
    at = datetime.fromtimestamp(row.told_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    plain: dict[str, Any] = {"type": f"order.{row.moment}", "timestamp": at, "data": notice_plain(row, rules)}
    return encode_json(plain)

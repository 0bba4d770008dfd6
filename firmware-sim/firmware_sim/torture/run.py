"""One run: publish, kill, start again, until everything is sent; then wait until everything is delivered, kill once more, and add the book up."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Final

from firmware_sim.errors import NotAdmitted, ServerEnded
from firmware_sim.link.packets import Delivery
from firmware_sim.torture.clients import Client, Gate, Login, Publisher, Subscriber
from firmware_sim.torture.ledger import Book, Id, Ledger, count, undelivered
from firmware_sim.torture.plan import DESK, Kill, Message, Plan, Taker
from firmware_sim.torture.server import Server

AT_RANDOM: Final = "random"
AT_REST: Final = "at rest"
LABEL_WAIT_S: Final = 10.0
"""A labelled point that is not reached in this time is given up, and the kill comes from outside."""
STUCK_S: Final = 30.0
"""Without a packet for this long nothing will come any more."""
QUIET_S: Final = 5.0
"""The same, when all is sent and only deliveries are missing."""
REST_QUIET_S: Final = 1.0
"""How long nothing must come after the kill at rest."""
LOOK_EVERY_S: Final = 0.005
COUNT_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is."""

    total: int
    answered: int
    kills: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tortured:
    """How a run went. `kills`: by where they came."""

    seed: int
    ledger: Ledger
    kills: dict[str, int]
    seconds: float


async def torture(
    plan: Plan,
    server: Server,
    passwords: Mapping[str, tuple[str, str]],
    *,
    token: str,
    on_progress: Callable[[Progress], None] | None = None,
) -> Tortured:
    """Carry a plan out.

    Args:
        passwords: username and password by client; who is not there connects without.
        token: makes the client ids this run's own, so that a broker's old sessions are not met.

    Raises:
        ServerEnded: the server does not start, or ends by itself.
        NotAdmitted: it refuses a client or a subscription.
    """
    run = _Run(plan, server, passwords, token, on_progress)
    started_s = time.monotonic()
    try:
        await run.work()
    finally:
        await run.leave()
    return Tortured(seed=plan.seed, ledger=count(run.book), kills=dict(run.kills), seconds=time.monotonic() - started_s)


class _Run:
    def __init__(
        self, plan: Plan, server: Server, passwords: Mapping[str, tuple[str, str]], token: str, on_progress: Callable[[Progress], None] | None
    ) -> None:
        self.book = Book()
        self.kills: Counter[str] = Counter()
        self._plan = plan
        self._server = server
        self._passwords = passwords
        self._token = token
        self._on_progress = on_progress
        self._told_s = 0.0
        self._gate = Gate()
        every = list(chain.from_iterable(plan.messages.values()))
        self._of_payload = {m.payload: m for m in every}
        self._of_order = {m.id.lane: m for m in every if m.event is not None}
        self._events = {m.event: m.id for m in every if m.event is not None}
        self._subscribers = [Subscriber(self._login(t.name), t, self.book, self._rng(t.name), self._reader(t)) for t in plan.takers]
        self._publishers = [Publisher(self._login(n), n, self.book, self._rng(n), messages, self._gate) for n, messages in plan.messages.items()]
        self._clients: list[Client] = [*self._subscribers, *self._publishers]

    # --- the course of a run ----------------------------------------------------------------------------------------------

    async def work(self) -> None:
        await self._server.start(None)
        for client in self._clients:
            client.start()
        await self._until(self._all_are_there, STUCK_S)
        kills = deque(self._plan.kills)
        while kills:
            await self._work_until_killed(kills.popleft())
            await self._start_again(kills)
        self._allow(self._plan.total)
        await self._until(lambda: all(p.is_finished for p in self._publishers), STUCK_S)
        await self._until(self._all_is_delivered, QUIET_S, look_every_s=COUNT_EVERY_S)
        if self._plan.is_killed_at_rest:
            self._killed(AT_REST)
            await self._start_again(kills)
            await self._until(self._all_are_there, STUCK_S)
            await self._until(lambda: False, REST_QUIET_S)

    async def leave(self) -> None:
        """Let the clients go, stop the server, and look into its log."""
        for client in self._clients:
            await client.stop()
        self._server.stop()
        if (stored := self._server.stored()) is not None:
            self.book.stored = Counter({self._events[e]: n for e, n in stored.items() if e in self._events})

    async def _work_until_killed(self, kill: Kill) -> None:
        """Publish what the kill's slice allows, until the kill comes: from outside, or from within at its label."""
        if kill.all_back:
            await self._until(self._all_are_there, STUCK_S)
        self._allow(kill.allowed)
        if kill.label is None:
            await self._until(lambda: self.book.answered >= kill.answered, STUCK_S)
            await asyncio.sleep(kill.pause_s)
            if self._server.is_dead:
                self._ended_by_itself(self._server.kill())
            self._killed(AT_RANDOM)
            return
        end_s = time.monotonic() + LABEL_WAIT_S
        await self._until(lambda: self._server.is_dead or self.book.answered >= kill.allowed or time.monotonic() > end_s, STUCK_S)
        self._killed(kill.label if self._server.is_dead else AT_RANDOM)

    async def _start_again(self, kills: deque[Kill]) -> None:
        """Start it, with the label of the next kill; where it passes that point before it says that it is ready, that was the kill."""
        while True:
            kill = kills[0] if kills else None
            if kill is not None and kill.label is not None:
                self._allow(kill.allowed)
            if await self._server.start(kill.kill_at if kill is not None else None):
                return
            self._killed(kills.popleft().label or AT_RANDOM)

    def _killed(self, where: str) -> None:
        """The server is dead, or dies now: what it acknowledged must be in its log."""
        code = self._server.kill()
        if code != -signal.SIGKILL:
            self._ended_by_itself(code)
        self.kills[where] += 1
        stored = self._server.stored()
        if stored is not None:
            ids = {self._events[e] for e in stored if e in self._events}
            self.book.vanished |= {i for i in self.book.acknowledged if i.lane in self._of_order} - ids

    def _ended_by_itself(self, code: int) -> None:
        raise ServerEnded(f"the server ended by itself with {code}, after {self.kills.total()} kills", fix="see why in its log")

    # --- waiting ----------------------------------------------------------------------------------------------------------

    async def _until(self, condition: Callable[[], bool], patience_s: float, *, look_every_s: float = LOOK_EVERY_S) -> bool:
        """Wait for a condition; False where nothing comes any more."""
        seen, seen_s = -1, time.monotonic()
        while not condition():
            for client in self._clients:
                if client.trouble is not None:
                    raise NotAdmitted(client.trouble)
            packets = sum(c.packets for c in self._clients)
            if packets != seen:
                seen, seen_s = packets, time.monotonic()
            elif time.monotonic() - seen_s > patience_s:
                return False
            self._tell()
            await asyncio.sleep(look_every_s)
        return True

    def _all_are_there(self) -> bool:
        return all(c.is_online for c in self._clients) and all(s.is_subscribed for s in self._subscribers)

    def _all_is_delivered(self) -> bool:
        return all(s.is_settled for s in self._subscribers) and not any(undelivered(self.book, s.name) for s in self._subscribers)

    def _allow(self, number: int) -> None:
        self._gate.allowed = number
        for publisher in self._publishers:
            publisher.pump()

    def _tell(self) -> None:
        now_s = time.monotonic()
        if self._on_progress is not None and now_s - self._told_s > 0.1:
            self._told_s = now_s
            self._on_progress(Progress(total=self._plan.total, answered=self.book.answered, kills=self.kills.total()))

    # --- who is who -------------------------------------------------------------------------------------------------------

    def _login(self, name: str) -> Login:
        username, password = self._passwords.get(name, (None, None))
        return Login(*self._server.address, client_id=f"torture-{self._token}-{name}", username=username, password=password)

    def _rng(self, name: str) -> Random:
        return Random(f"{self._plan.seed} {name} comes back")

    def _reader(self, taker: Taker) -> Callable[[Delivery], Id | None]:
        """Who sent a delivery: a plain message is known by its payload, a status by the order in its topic."""

        def plain(delivery: Delivery) -> Id | None:
            message: Message | None = self._of_payload.get(delivery.payload)
            return message.id if message is not None and message.topic == delivery.topic else None

        def status(delivery: Delivery) -> Id | None:
            levels = delivery.topic.split("/")
            message = self._of_order.get(levels[-2])
            return message.id if message is not None and levels[-1] == "status" else None

        return status if taker.name == DESK else plain


__all__ = ["Progress", "Tortured", "torture"]

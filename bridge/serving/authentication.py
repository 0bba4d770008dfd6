"""Checking passwords and certificates, away from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bridge.broker.authenticating import AUTHENTICATIONS_MAX, give_way
from bridge.domain.access import Identity
from bridge.passwords import hash_secret, new_secret
from bridge.store.claims import Claims
from bridge.store.registry import Registry
from devices.protocol.claims import CLAIM_PREFIX

T = TypeVar("T")


class Authentication:
    """Asks the registry on threads of its own, which give way to the event loop and the writer."""

    def __init__(self, registry: Registry, claims: Claims, now_ms: Callable[[], int]) -> None:
        self._registry = registry
        self._claims = claims
        self._now_ms = now_ms
        self._threads = ThreadPoolExecutor(AUTHENTICATIONS_MAX, thread_name_prefix="authenticate", initializer=give_way)

    async def by_password(self, device: str, secret: str) -> Identity | None:
        """The identity of a device, or of a client that redeems the claim of one; None if the secret is wrong."""
        if (claimed := _claimed(device)) is not None:
            return await self.off_loop(lambda: self._claims.verify(claimed, secret, now_ms=self._now_ms()))
        return await self.off_loop(lambda: self._registry.verify(device, secret))

    async def by_certificate(self, device: str, sha256: str) -> Identity | None:
        """The identity of a device; None if this is not its certificate."""
        return await self.off_loop(lambda: self._registry.verify_certificate(device, sha256))

    async def new_secret(self) -> tuple[str, str]:
        """A new secret, and its hash."""
        secret = new_secret()
        return secret, await self.off_loop(lambda: hash_secret(secret))

    async def is_admitted(self, name: str) -> bool:
        """Whether a device that may log in has this name, or a client that redeems its claim."""
        found = await self.off_loop(lambda: self._registry.find(_claimed(name) or name))
        return found is not None and found.is_admitted

    async def refusal(self, device: str) -> str:
        """Why a login under this name was refused."""
        if (claimed := _claimed(device)) is not None:
            return await self.off_loop(lambda: self._claims.refusal(claimed, now_ms=self._now_ms()))
        return await self.off_loop(lambda: self._registry.refusal(device))

    async def off_loop(self, work: Callable[[], T]) -> T:
        """Call a function on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self, *, wait: bool = True) -> None:
        self._threads.shutdown(wait=wait)


def _claimed(name: str) -> str | None:
    """The device whose claim a client redeems that logs in under this name; None if it redeems none."""
    return name.removeprefix(CLAIM_PREFIX) if name.startswith(CLAIM_PREFIX) else None

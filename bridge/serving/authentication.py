"""Checking passwords and certificates, away from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bridge.broker.authenticating import AUTHENTICATIONS_MAX, give_way
from bridge.domain.access import Identity
from bridge.store.registry import Registry

T = TypeVar("T")


class Authentication:
    """Asks the registry on threads of its own, which give way to the event loop and the writer."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._threads = ThreadPoolExecutor(AUTHENTICATIONS_MAX, thread_name_prefix="authenticate", initializer=give_way)

    async def by_password(self, device: str, secret: str) -> Identity | None:
        """The identity of a device; None if the secret is wrong."""
        return await self._off_loop(lambda: self._registry.verify(device, secret))

    async def by_certificate(self, device: str, sha256: str) -> Identity | None:
        """The identity of a device; None if this is not its certificate."""
        return await self._off_loop(lambda: self._registry.verify_certificate(device, sha256))

    async def is_enrolled(self, device: str) -> bool:
        return await self._off_loop(lambda: self._registry.is_enrolled(device))

    async def refusal(self, device: str) -> str:
        """Why a login under this name was refused."""
        return await self._off_loop(lambda: self._registry.refusal(device))

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self, *, wait: bool = True) -> None:
        self._threads.shutdown(wait=wait)

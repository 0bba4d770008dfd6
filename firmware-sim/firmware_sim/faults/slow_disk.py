"""A server whose disk is slow: acknowledgements wait for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from firmware_sim.faults.base import Fault, Milliseconds, World


class SlowDisk(Fault, tag="slow_disk"):
    """Each commit takes `commit_ms`, and up to `jitter_ms` more."""

    commit_ms: Milliseconds
    jitter_ms: Milliseconds = 0

    NEEDS_SERVER = True

    def begin(self, world: World, devices: Sequence[str], is_on: Callable[[], bool]) -> None:
        world.slow_disk(self.commit_ms, self.jitter_ms)

    def end(self, world: World, devices: Sequence[str]) -> None:
        world.slow_disk(0, 0)

"""A server that dies without a word, and is started again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from firmware_sim.faults.base import Fault, Seconds, World, again_and_again

POINTS = ("anywhere", "taken", "written", "committed", "shown", "acknowledged", "flushed")
Point = Literal["any", "anywhere", "taken", "written", "committed", "shown", "acknowledged", "flushed"]


class ServerKill(Fault, tag="server_kill"):
    """Once in `every_s` seconds on average the server is killed (SIGKILL) at `point` of its work (`any`: one by chance), and is away for up to `down_s`."""

    every_s: Seconds
    down_s: Seconds = 5.0
    point: Point = "any"

    NEEDS_SERVER = True

    def begin(self, world: World, devices: Sequence[str], is_on: Callable[[], bool]) -> None:
        def kill() -> None:
            point = world.rng.choice(POINTS) if self.point == "any" else self.point
            world.kill_server(point, round(1000 * world.rng.uniform(0.2, 1) * self.down_s))

        again_and_again(world, self.every_s, kill, is_on)

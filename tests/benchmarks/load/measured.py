"""The processor time of the generator, which must not be the bottleneck of its own measurement."""

from __future__ import annotations

import resource
import time


class Busy:
    """Processor time of this process since this object was made, and the time that passed."""

    def __init__(self) -> None:
        self._cpu_s = _cpu_s()
        self._wall_s = time.perf_counter()

    def plain(self) -> dict[str, float]:
        cpu_s, wall_s = _cpu_s() - self._cpu_s, time.perf_counter() - self._wall_s
        return {"cpu_s": round(cpu_s, 3), "wall_s": round(wall_s, 3), "share": round(cpu_s / wall_s, 3) if wall_s else 0.0}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime

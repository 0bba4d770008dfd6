"""The machine: which cores the server side and the load get, and how a report describes it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the whole server side and one for the load; None if there is no second core, or no way to pin a process."""

    server: int | None
    load: int | None

    @property
    def apart(self) -> bool:
        return self.server != self.load

    def pin_server(self) -> None:
        """Called in a process before it starts."""
        if self.server is not None:
            os.sched_setaffinity(0, {self.server})


def cores() -> Cores:
    """The first and the last core that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(None, None)
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[-1]) if len(usable) > 1 else Cores(None, None)


def machine() -> dict[str, str | int]:
    """What a reader must know to compare figures."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 0,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()

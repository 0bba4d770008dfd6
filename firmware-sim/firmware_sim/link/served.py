"""The server of a run over real sockets: `python -m firmware_sim.link.served DIR` is `dockbridge serve DIR` with a disk that does what it is told.

A line on stdin says what: `slow 150 100` (every commit takes 150 ms, and up to 100 more), `full 1`, `full 0`, `kill POINT` (SIGKILL at the next pass of this
point; `kill -` for none). The end of stdin ends the server: whoever started it is gone.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from bridge.entrypoints.cli.site import serve_site
from bridge.errors import BridgeError
from bridge.ingest.ports import StoreUnavailable
from bridge.interpreter import loop_runner

STOPPED_S = 20.0
"""How long a server that has lost its starter may take to end."""


class Disk:
    """What was said about the disk, and about dying. Said in one thread, heard in others."""

    def __init__(self) -> None:
        self.commit_ms = 0
        self.jitter_ms = 0
        self.is_full = False
        self.kill_at = ""

    def told(self, line: str) -> None:
        match line.split():
            case ["slow", commit_ms, jitter_ms]:
                self.commit_ms, self.jitter_ms = int(commit_ms), int(jitter_ms)
            case ["full", full]:
                self.is_full = full == "1"
            case ["kill", point]:
                self.kill_at = point

    def passed(self, label: str) -> None:
        """The bridge passes a point of its way; `written` is right before the commit, in the writer's thread."""
        if label == "written":
            if self.is_full:
                raise StoreUnavailable("database or disk is full", fix="make room on the disk")
            if self.commit_ms or self.jitter_ms:
                time.sleep((self.commit_ms + random.uniform(0, self.jitter_ms)) / 1000)
        if label == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def listen(disk: Disk, lines: TextIO) -> None:
    """Hear what is said, until nobody says anything any more."""
    for line in lines:
        disk.told(line)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOPPED_S)
    os.kill(os.getpid(), signal.SIGKILL)


def main(directory: Path) -> None:
    disk = Disk()
    threading.Thread(target=listen, args=(disk, sys.stdin), name="what is said", daemon=True).start()
    try:
        loop_runner()(serve_site(directory, as_json=True, passed=disk.passed))
    except (BridgeError, StoreUnavailable) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

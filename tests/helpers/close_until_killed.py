"""A list that is closed by a process that is killed: `python close_until_killed.py SITE CARRIER N` runs `dockbridge carriers handover CARRIER --close`.

It kills itself before its Nth step: a statement that changes lists, or the commit after one.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from sqlalchemy import Engine, event

from bridge.entrypoints.cli.main import main

CHANGES = ("INSERT INTO hand", "DELETE FROM hand")


def kill_before(nth: int) -> None:
    """Kill this process before its nth step."""
    steps: list[str] = []

    def step(what: str) -> None:
        steps.append(what)
        if len(steps) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    @event.listens_for(Engine, "before_cursor_execute")
    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(CHANGES):
            step(statement)

    @event.listens_for(Engine, "commit")
    def commit(_connection: Any) -> None:
        if steps:
            step("commit")


if __name__ == "__main__":
    folder, carrier, number = sys.argv[1:]
    os.environ["DOCKBRIDGE_SITE"] = folder
    sys.argv = ["dockbridge", "carriers", "handover", carrier, "--close"]
    kill_before(int(number))
    main()

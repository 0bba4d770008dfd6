"""An upgrade that is killed: `python upgrade_until_killed.py DATABASE N` migrates a database, and kills itself before its Nth statement that changes it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from bridge.store.migrate import migrate
from bridge.store.sqlite import open_engine

QUESTIONS = ("PRAGMA", "SELECT", "BEGIN")


def count_changes(engine: Engine | type[Engine], kill_at: int | None = None) -> list[str]:
    """The statements that change a database (or any, given the class), as they come. Before the one with this number the process is killed."""
    changes: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().startswith(QUESTIONS):
            changes.append(statement)
            if len(changes) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    return changes


if __name__ == "__main__":
    path = Path(sys.argv[1])
    engine = open_engine(path)
    count_changes(engine, int(sys.argv[2]))
    migrate(engine, path)

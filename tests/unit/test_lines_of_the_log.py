"""A line of the server's log is one line with its date, whatever a client calls itself."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime

import pytest

from bridge.entrypoints.cli.logs import LINES

NAME = "scan-1\n2026-01-01T00:00:00+0000 INFO all is well\x1b[2J 扫描枪"


def record(**other: object) -> logging.LogRecord:
    plain = {"created": 1_790_000_000.5, "levelname": "WARNING", "name": "dockbridge.broker", "msg": "a login as %s was refused", "args": (NAME,)}
    return logging.makeLogRecord({**plain, **other})


@pytest.mark.parametrize("form", LINES)
def test_a_name_begins_no_line_and_controls_no_terminal(form: str) -> None:
    line = LINES[form].format(record())
    assert line.count("\n") == 0
    assert "\x1b" not in line
    assert "扫描枪" in line


def test_a_line_for_programs_is_an_object() -> None:
    line = json.loads(LINES["json"].format(record()))
    assert line.keys() == {"at", "level", "logger", "message"}
    assert datetime.fromisoformat(line["at"]).timestamp() == 1_790_000_000.5
    assert (line["level"], line["logger"], line["message"]) == ("warning", "dockbridge.broker", f"a login as {NAME} was refused")


def test_a_traceback_stays_in_its_line() -> None:
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        text = LINES["json"].format(record(exc_info=sys.exc_info()))
    assert text.count("\n") == 0
    assert "RuntimeError: broken" in json.loads(text)["trace"]

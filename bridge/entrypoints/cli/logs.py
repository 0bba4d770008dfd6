"""The log, on stderr: for people (`console`), or for programs that collect logs (`json`). Every line has its date and its offset from UTC, and is one line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

NOISY: Final = ("amqtt", "websockets", "asyncio", "transitions", "uvicorn.error")
"""Libraries that log tracebacks for input that any client can send; the broker counts it and logs what matters."""


class ConsoleLine(logging.Formatter):
    """Time, level and sentence. What a client calls itself can't begin a line of its own, nor control a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- its name in logging
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in super().formatMessage(record))


class JsonLine(logging.Formatter):
    """One object: `at` (local time with its offset), `level`, `logger`, `message`, and `trace` if there is a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).astimezone().isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


LINES: Final[dict[str, logging.Formatter]] = {"console": ConsoleLine(), "json": JsonLine()}
"""The values of log.format."""


def start_log() -> None:
    """Log for people until `log_as` says otherwise."""
    handler = logging.StreamHandler(sys.stderr)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    handler.setFormatter(LINES["console"])
    logging.getLogger("dockbridge").setLevel(logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def log_as(form: str) -> None:
    """Log in this form from now on."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(LINES[form])


def is_json() -> bool:
    """Whether the log is for programs."""
    return any(isinstance(handler.formatter, JsonLine) for handler in logging.getLogger().handlers)

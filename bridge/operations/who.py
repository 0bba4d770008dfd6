"""In whose name operations are carried out."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

WHO: Final[ContextVar[str | None]] = ContextVar("who", default=None)
"""A user of the operating system; None if it is not known."""
PERSON: Final[ContextVar[str | None]] = ContextVar("person", default=None)
"""The person who gave the command under their own name (`--as`); None if it was the user of the system."""

"""In whose name operations are carried out."""

from __future__ import annotations

from collections.abc import Collection
from contextvars import ContextVar
from typing import Final

from bridge.operations.people_ports import Right

WHO: Final[ContextVar[str | None]] = ContextVar("who", default=None)
"""A user of the operating system; None if it is not known."""
MAY: Final[ContextVar[Collection[Right] | None]] = ContextVar("may", default=None)
"""The rights of the person in whose name is asked; None for the owner of the site's folder, who may do everything."""
PERSON: Final[ContextVar[str | None]] = ContextVar("person", default=None)
"""The person who gave the command under their own name (`--as`); None if it was the user of the system."""

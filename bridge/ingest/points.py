"""Labelled points in the pipeline at which `dockbridge torture` kills the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

Passed = Callable[[str], None]
"""Called with its label from `POINTS` at each of these points."""

POINTS: Final = ("taken", "written", "committed", "shown", "acknowledged", "flushed")
"""A batch was taken · its rows are written, before COMMIT · after COMMIT · the sessions have its messages · the connections have its
acknowledgements · the sockets have everything."""
CLAIM_STORED: Final = "claim_stored"
"""A device's new secret is stored, and not sent yet. Torture does not come by here."""


def ignore_point(label: str) -> None:
    """The `Passed` of production."""

"""Labelled points of the way through the pipeline, at which `dockbridge torture` kills the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

Passed = Callable[[str], None]
"""Called with a label of `POINTS` at each of these places."""

POINTS: Final = ("taken", "written", "committed", "shown", "acknowledged", "flushed")
"""A batch was taken · its rows are written, before COMMIT · after COMMIT · its messages are with the sessions · its acknowledgements are with the
connections · all of it is with the sockets."""


def nobody_looks(label: str) -> None:
    """What `Passed` is in production."""

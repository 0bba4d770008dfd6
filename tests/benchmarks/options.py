"""The options of the command line that every measurement gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import Cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`seconds` is about how long our part of a round takes; `quick` only shows that the measurement works: it is small, and its figures mean nothing."""

    rounds: int
    seconds: float
    quick: bool
    cores: Cores
    large: Path
    """The folder in which large databases are kept, to be reused."""
    say: Callable[[str], None]
    events: int = 10_000_000
    devices: tuple[int, ...] = ()
    only: tuple[str, ...] = ()
    """Contestants besides ours; an empty list means all."""

    def wants(self, name: str) -> bool:
        return not self.only or name in self.only

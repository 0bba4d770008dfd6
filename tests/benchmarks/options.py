"""What the command line says to every measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import Cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`seconds` is about how long our part of a round takes; `quick` is for trying whether it works: small, and its figures mean nothing."""

    rounds: int
    seconds: float
    quick: bool
    cores: Cores
    large: Path
    """Where large databases are kept, to be used again."""
    say: Callable[[str], None]
    events: int = 10_000_000
    devices: tuple[int, ...] = ()
    only: tuple[str, ...] = ()
    """Contestants besides ours; none is all."""

    def wants(self, name: str) -> bool:
        return not self.only or name in self.only

"""A scenario lived through in one call, and what its checkers say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from firmware_sim.checkers import judge
from firmware_sim.record import Finding, Record
from firmware_sim.run import run_simulated
from firmware_sim.scenario import Scenario
from firmware_sim.scenario_file import from_plain, read_scenario

SHOWN_MAX: Final = 20
UNNAMED: Final = {"name": "unnamed", "story": "Written in a test."}


@dataclass(frozen=True, slots=True, repr=False)
class Lived:
    """What came of a scenario. `ok`: every law was kept."""

    record: Record
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        return not self.findings

    def __repr__(self) -> str:
        first = f": {_line(self.findings[0])}" if self.findings else ""
        return f"<{self._headline()}{first}>"

    def told(self) -> str:
        """What was found, for a person."""
        more = len(self.findings) - SHOWN_MAX
        lines = [self._headline(), *map(_line, self.findings[:SHOWN_MAX])]
        return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)

    def _headline(self) -> str:
        return f"{self.record.scenario}, seed {self.record.seed}: {len(self.findings)} finding{'' if len(self.findings) == 1 else 's'}"


def live_through(scenario: str | Path | Mapping[str, Any], seed: int = 1, **overrides: Any) -> Lived:
    """Live through a scenario on the simulated link.

    Args:
        scenario: the name of one that comes with the program, the path of a file, or its tables as a dict.
        overrides: fields of the scenario that are to be others; a table given so changes only the keys that it has.

    Raises:
        BadScenario: it can't be read.
    """
    plain = {**UNNAMED, **scenario} if isinstance(scenario, Mapping) else msgspec.to_builtins(read_scenario(str(scenario)))
    for name, value in overrides.items():
        plain[name] = {**plain.get(name, {}), **value} if isinstance(value, Mapping) else value
    record = run_simulated(_made(plain), seed)
    return Lived(record, judge(record))


def _made(plain: dict[str, Any]) -> Scenario:
    return from_plain(plain, str(plain["name"]))


def _line(finding: Finding) -> str:
    return f"{finding.checker}: {finding.text}"

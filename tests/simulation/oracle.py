"""The oracle for every change that must not change what the product does: digests of simulated runs in canonical form, compared with `baseline.txt`.

    python tests/simulation/oracle.py                          # every shipped scenario, 20 seeds; names what differs
    python tests/simulation/oracle.py --seeds 2                # quickly, between two edits
    python tests/simulation/oracle.py --write                  # a new baseline, in a commit that says why
    python tests/simulation/oracle.py --show mixed 7 > a.txt   # one run, line by line, to compare with that of another checkout

A line of the baseline: scenario, seed, the digest of everything, the digest of what devices and subscribers can observe (`firmware_sim.canonical`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import cbor2

from firmware_sim import canonical
from firmware_sim.record import Record
from firmware_sim.run import run_simulated
from firmware_sim.scenario_file import names, read_scenario

BASELINE: Final = Path(__file__).with_name("baseline.txt")
SEEDS: Final = range(1, 21)
DIGEST_CHARS: Final = 12


class Digests(NamedTuple):
    """The digests of one run; `outcomes` may stay the same when `exact` changes."""

    scenario: str
    seed: int
    exact: str
    outcomes: str


@cache
def _scenario(name: str) -> Any:
    return read_scenario(name)


def digests(run: tuple[str, int]) -> Digests:
    """Simulates one run."""
    return digests_of(run_simulated(_scenario(run[0]), run[1]))


def digests_of(record: Record) -> Digests:
    return Digests(record.scenario, record.seed, _digest(canonical.exact, record), _digest(canonical.outcomes, record))


def _digest(form: Callable[[Record], Iterable[dict[str, Any]]], record: Record) -> str:
    digest = hashlib.sha256()
    for part in form(record):
        digest.update(cbor2.dumps(part))
    return digest.hexdigest()[:DIGEST_CHARS]


def baseline() -> dict[tuple[str, int], Digests]:
    """The digests of the runs when the baseline was written."""
    lines = (line.split() for line in BASELINE.read_text().splitlines() if not line.startswith("#"))
    return {(scenario, int(seed)): Digests(scenario, int(seed), exact, outcomes) for scenario, seed, exact, outcomes in lines}


def measured(runs: Iterable[tuple[str, int]]) -> Iterator[Digests]:
    """Runs the simulations on all cores."""
    with ProcessPoolExecutor() as pool:
        yield from pool.map(digests, runs, chunksize=2)


def _show(scenario: str, seed: int) -> None:
    for part in canonical.exact(run_simulated(_scenario(scenario), seed)):
        print(json.dumps(part, default=_readable, ensure_ascii=False))


def _readable(value: Any) -> str:
    try:
        return json.dumps(cbor2.loads(value), default=bytes.hex) if isinstance(value, bytes) and len(value) > 16 else value.hex()
    except (cbor2.CBORError, TypeError):
        return str(value.hex())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="only so many of each scenario's")
    parser.add_argument("--show", nargs=2, metavar=("SCENARIO", "SEED"))
    arguments = parser.parse_args()
    if arguments.show:
        _show(arguments.show[0], int(arguments.show[1]))
        return
    runs = [(name, seed) for name in names() for seed in SEEDS[: arguments.seeds]]
    now = list(measured(runs))
    if arguments.write:
        BASELINE.write_text("# scenario seed everything what-can-be-told-apart\n" + "".join(f"{' '.join(map(str, d))}\n" for d in now))
        return
    before = baseline()
    other = [d for d in now if before.get((d.scenario, d.seed)) != d]
    told_apart = [d for d in other if (d.scenario, d.seed) not in before or before[d.scenario, d.seed].outcomes != d.outcomes]
    for d in other:
        print(d.scenario, d.seed, "differs" if d in told_apart else "differs in its order only")
    print(f"{len(now)} runs: {len(other)} differ, {len(told_apart)} of them in what can be told apart")
    sys.exit(bool(other))


if __name__ == "__main__":
    main()

"""The scenarios that come with the program, run on the simulated link and checked."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from simulation import oracle

from firmware_sim import scenario_file as scenarios
from firmware_sim.checkers import judge
from firmware_sim.errors import BadScenario
from firmware_sim.faults import FAULTS
from firmware_sim.link.weather import kind_of
from firmware_sim.record import Acknowledged, Published, ServerKilled
from firmware_sim.run import run_simulated
from firmware_sim.sweep import shrink, sweep, try_seed

HERE = Path(__file__).parent
FIXED_SEEDS = (11,)
BASELINE = oracle.baseline()
OTHERWISE = "this run is not what it was; if that is meant: python tests/simulation/oracle.py --write"
SWEPT = range(1_000, 1_100)
"""The number of seeds that `.ci/run` runs of each scenario."""


def past_failures() -> Iterator[tuple[str, int]]:
    for line in (HERE / "seeds.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, seed, story = line.split(maxsplit=2)
            assert story
            yield name, int(seed)


# --- every law, in every scenario ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "seed"), [*((name, seed) for name in scenarios.names() for seed in FIXED_SEEDS), *past_failures()])
def test_every_law_is_kept(name: str, seed: int) -> None:
    record = run_simulated(scenarios.read_scenario(name), seed)
    assert judge(record) == []
    assert any(record.of(Acknowledged))
    if (name, seed) in BASELINE:
        assert oracle.digests_of(record) == BASELINE[name, seed], OTHERWISE


@pytest.mark.slow
def test_every_run_is_what_it_was() -> None:
    assert [d for d in oracle.measured(BASELINE) if d != BASELINE[d.scenario, d.seed]] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", scenarios.names())
def test_every_law_is_kept_over_a_hundred_seeds(name: str) -> None:
    outcomes = sweep(scenarios.read_scenario(name), SWEPT, jobs=multiprocessing.cpu_count())
    assert outcomes[-1].findings == (), f"firmware-sim replay {name} --seed {outcomes[-1].seed}"
    assert len(outcomes) == len(SWEPT)


def test_the_scenarios_that_were_promised_are_there_and_use_every_fault() -> None:
    promised = (
        "quiet-morning black-friday dead-zones clock-chaos wrong-clock shift-change power-cut old-firmware courier-tunnel cross-border returns-week mixed"
        " labels-only short-and-found pallets cross-dock swapped-labels"
    )
    assert set(promised.split()) <= set(scenarios.names())
    used = {kind_of(fault) for name in scenarios.names() for fault in scenarios.read_scenario(name).faults}
    assert used == {kind_of_class(kind) for kind in FAULTS} - {"noop"}


def kind_of_class(kind: type) -> str:
    return str(kind.__struct_config__.tag)  # type: ignore[attr-defined]


# --- the same seed is the same run --------------------------------------------------------------------------------------------

DIGEST = """
from firmware_sim.run import run_simulated
from firmware_sim.scenario_file import read_scenario
for name in ("mixed", "power-cut"):
    print(run_simulated(read_scenario(name), 5).digest)
"""


def test_a_seed_gives_the_same_bytes_whatever_pythons_hashes_are() -> None:
    digests = []
    for hash_seed in ("0", "4711"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        digests.append(subprocess.run([sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(digests[0].split()) == 2
    assert digests[0] == digests[1]


def test_another_seed_is_another_run() -> None:
    quiet = scenarios.read_scenario("quiet-morning")
    assert run_simulated(quiet, 1).digest == run_simulated(quiet, 1).digest != run_simulated(quiet, 2).digest


# --- a failure is found, said, and made small ---------------------------------------------------------------------------------

IMPOSSIBLE = """
name = "impossible"
story = "A dispatcher's alert is expected that nobody has a reason to raise."
day_s = 20

[orders]
count = 3

[[scanners]]
count = 2
unreadable = 0.1

[[couriers]]
count = 2

[[faults]]
kind = "jitter"
up_to_ms = 100

[[faults]]
kind = "disconnect"
every_s = 10

[expect]
raised = ["logins"]
"""


def test_a_sweep_stops_at_the_first_failure_and_makes_it_small() -> None:
    scenario = scenarios.parse(IMPOSSIBLE, "impossible.toml")
    outcomes = sweep(scenario, range(7, 50), jobs=1)
    assert [o.seed for o in outcomes] == [7]
    assert {f.checker for f in outcomes[0].findings} == {"alerts_are_true"}
    small = shrink(scenario, outcomes[0])
    assert small.scenario.faults == []
    assert small.scenario.orders.count == 1
    assert [g.count for g in (*small.scenario.scanners, *small.scenario.couriers)] == [1, 1]
    again = scenarios.parse(scenarios.render(small.scenario), "small.toml")
    assert again == small.scenario
    assert try_seed(again, small.outcome.seed).findings == small.outcome.findings


def test_kills_fall_where_they_are_asked_for() -> None:
    text = scenarios.render(scenarios.read_scenario("power-cut")).replace("every_s = 15.0", 'every_s = 15.0\npoint = "committed"')
    record = run_simulated(scenarios.parse(text, "x.toml"), 1)
    assert {k.point for k in record.of(ServerKilled)} == {"committed"}
    assert judge(record) == []


def test_the_belts_of_black_friday_keep_their_pace() -> None:
    record = run_simulated(scenarios.read_scenario("black-friday"), 1)
    told = [(p.at_ms - record.started_ms) / 1000 for p in record.of(Published) if "-lane-" in p.device and "/events/" in p.topic]
    burst = sum(45 <= s < 85 for s in told) / 40
    assert 9 < burst < 15  # 100 events a second, 30 times over, at the simulated load


# --- a mistake in a file is said with its line and field ----------------------------------------------------------------------

HEAD = 'name = "x"\nstory = "y"\nday_s = 5\n[[scanners]]\n[[couriers]]\n'


@pytest.mark.parametrize(
    ("text", "line", "field", "fix"),
    [
        ("name =", 0, "Invalid value", "firmware-sim new"),
        ('name = "x"\nstory = "y"\n[[scanners]]\n', 1, "day_s", "add day_s"),
        (HEAD.replace("[[couriers]]\n", ""), 1, "couriers", "add a [[couriers]]"),
        ('name = "x"\nstory = "y"\nday_s = 5\n[[couriers]]\n', 1, "scanners", "add a [[scanners]]"),
        ('name = "x"\nstory = "y"\nday_s = 5\n', 1, "there are no devices", "[belts]"),
        (HEAD + "[orders]\ncuont = 3\n", 7, "cuont", "take cuont out"),
        (HEAD + "[orders]\ncount = 0\n", 7, "orders.count", "README"),
        (HEAD + "[orders]\nfates = { delivred = 3 }\n", 7, "fates", "delivered"),
        (HEAD + '[[faults]]\nkind = "dorp"\n', 7, "faults[0].kind", "drop"),
        (HEAD + '[[faults]]\nkind = "noop"\n[[faults]]\nkind = "drop"\nshare = 2\n', 10, "faults[1].share", "README"),
        (HEAD + '[[faults]]\nkind = "drop"\n', 6, "share", "add share"),
        (HEAD + '[[faults]]\nkind = "noop"\non = "zz*"\n', 8, "faults[0].on", "scan-1"),
        (HEAD + '[[faults]]\nkind = "noop"\nfrom_s = 9\nto_s = 3\n', 9, "faults[0].to_s", "later than from_s"),
        (HEAD + '[expect]\nraised = ["fire"]\n', 7, "expect.raised", "README"),
        (HEAD + "[settings.broker]\nwindow = 0\n", 7, "broker.window", ""),
        (HEAD + "[settings.brokr]\nwindow = 3\n", 6, "brokr", ""),
    ],
)
def test_a_mistake_is_named_with_its_line_its_field_and_what_to_do(text: str, line: int, field: str, fix: str) -> None:
    with pytest.raises(BadScenario) as caught:
        scenarios.parse(text, "file.toml")
    assert field in str(caught.value)
    assert (f"file.toml, line {line}:" if line else "file.toml:") in str(caught.value)
    assert fix in str(caught.value.fix)


def test_every_scenario_reads_like_a_story_and_survives_being_written_again() -> None:
    for name in scenarios.names():
        scenario = scenarios.read_scenario(name)
        assert scenario.name == name
        assert len(scenario.story.split()) > 20
        assert scenarios.parse(scenarios.render(scenario), "again.toml") == scenario

"""`firmware-sim new`: a few questions, and a file that can be run unchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from firmware_sim.checkers import judge
from firmware_sim.commands.new import SETTINGS, Severity, new, written
from firmware_sim.errors import BadScenario
from firmware_sim.run import run_simulated
from firmware_sim.scenario_file import KINDS, parse, read_scenario

New = Callable[..., Result]


@pytest.fixture
def run_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> New:
    """Runs the command in a folder of its own; `answers` are typed in, line by line."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer()
    app.command()(new)
    return lambda *arguments, answers=(): CliRunner().invoke(app, [*map(str, arguments)], input="".join(f"{a}\n" for a in answers))


def test_every_question_is_asked_and_answered(run_new: New) -> None:
    done = run_new(answers=("wet-cellar", 5, 3, 1, "drop, server_kill", "bad"))
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("wet-cellar.toml\n")
    assert "next: firmware-sim run wet-cellar.toml" in done.stderr
    made = read_scenario("wet-cellar.toml")
    assert (made.name, made.orders.count, made.scanners[0].count, made.couriers[0].count) == ("wet-cellar", 5, 3, 1)
    assert [f.__struct_config__.tag for f in made.faults] == ["drop", "server_kill"]
    assert made.faults[0].share == 0.05


def test_a_wrong_answer_is_asked_again(run_new: New) -> None:
    done = run_new("mine", answers=("none", 0, 4, 1, 1, "rain", "none"))
    assert done.exit_code == 0, done.output
    assert "'none' is not a number from 1 to 10000" in done.stderr
    assert read_scenario("mine.toml").orders.count == 4


def test_yes_asks_nothing(run_new: New) -> None:
    done = run_new("--yes")
    assert (done.exit_code, done.stdout) == (0, "my-scenario.toml\n")
    assert [f.__struct_config__.tag for f in read_scenario("my-scenario.toml").faults] == ["disconnect", "jitter"]


def test_options_answer_everything(run_new: New, tmp_path: Path) -> None:
    options = ["--orders", "3", "--scanners", "1", "--couriers", "1", "--faults", "none", "--severity", "terrible", "--file"]
    assert run_new("calm", *options, "sub.toml").exit_code == 0
    assert not read_scenario("sub.toml").faults
    done = run_new("calm", *options, tmp_path / "nowhere" / "x.toml")
    assert isinstance(done.exception, BadScenario)
    assert "can't be written" in str(done.exception)


def test_nothing_is_overwritten(run_new: New, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("precious")
    done = run_new("mine", "--yes")
    assert isinstance(done.exception, BadScenario)
    assert "is there already" in str(done.exception)
    assert (tmp_path / "mine.toml").read_text() == "precious"


@pytest.mark.parametrize("wrong", [("Wet Cellar",), ("mine", "--faults", "rain"), ("mine", "--orders", "0"), ("mine", "--severity", "odd")])
def test_a_wrong_option_is_wrong_usage(run_new: New, wrong: tuple[str, ...]) -> None:
    done = run_new(*wrong, "--yes")
    assert done.exit_code == 2, done.output
    assert not list(Path().iterdir())


def test_every_fault_can_be_asked_for() -> None:
    assert tuple(SETTINGS) == KINDS


@pytest.mark.parametrize("severity", Severity)
def test_a_file_with_every_fault_is_a_scenario(severity: Severity) -> None:
    assert len(parse(written("all", 1, 1, 1, list(SETTINGS), severity), "all.toml").faults) == len(SETTINGS)


def test_what_is_written_can_be_lived_through() -> None:
    scenario = parse(written("usual", 4, 2, 1, ["disconnect", "jitter"], Severity.MILD), "usual.toml")
    assert judge(run_simulated(scenario, 1)) == []

"""The commands of `firmware-sim`: data to stdout, text to stderr; exit 0 if the laws are kept, 1 if one is broken, 2 for wrong usage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.forked import Forked

from firmware_sim.cli import main
from firmware_sim.scenario_file import names

SMALL = """
name = "small"
story = "Two orders."
day_s = 10
calm_s = 40

[orders]
count = 2

[[scanners]]
[[couriers]]
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments=[str(a) for a in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_run_judges_law_by_law_and_writes_a_page(run: Run, small: Path, tmp_path: Path) -> None:
    code, out, err = run("run", small, "--seed", "3", "--report", tmp_path / "out.html")
    assert code == 0
    assert out.count("kept") == 17
    assert "small, seed 3: 2 orders" in out
    assert "out.html" in err.replace("\n", "")
    page = (tmp_path / "out.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    assert f"firmware-sim run {small} --seed 3" in page


def test_run_as_data_is_the_same_every_time(run: Run, small: Path) -> None:
    code, first, _ = run("run", small, "--json")
    _, second, _ = run("run", small, "--json")
    assert code == 0
    assert json.loads(first) == json.loads(second)
    assert json.loads(first)["ok"] is True
    assert json.loads(first)["findings"] == []


def test_a_broken_law_is_told_with_the_way_to_see_it_again(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "hopeless.toml"
    path.write_text(SMALL + '\n[expect]\nraised = ["logins"]\n')
    code, out, err = run("run", path)
    assert code == 1
    assert "broken 1 times" in out
    assert f"once more: firmware-sim run {path} --seed 1" in err.replace("\n", "")
    code, out, err = run("sweep", path, "--seeds", "5", "--jobs", "1", "--into", tmp_path, "--json")
    told = json.loads(out)
    assert code == 1
    assert told["failed_seed"] == 1
    assert f"firmware-sim replay {path} --seed 1" in err
    code, _, err = run("replay", told["smallest"], "--seed", "1", "--about", "nothing has this in it")
    assert code == 1
    assert "alerts_are_true" in err


def test_replay_tells_what_happened_to_one(run: Run, small: Path) -> None:
    code, out, err = run("replay", small, "--seed", "3", "--about", "scan-1")
    assert code == 0
    assert all("scan-1" in line for line in out.splitlines())
    assert "Acknowledged" in out
    assert "every law was kept" in err
    _, out, _ = run("replay", small, "--seed", "3", "--json")
    assert {"Connected", "Committed", "Published"} <= {json.loads(line)["entry"] for line in out.splitlines()}


def test_sweep_says_what_it_lived_through(run: Run, small: Path) -> None:
    code, out, _ = run("sweep", small, "--seeds", "4", "--jobs", "2")
    assert code == 0
    assert out.startswith("small: 4 seeds")
    assert "every law was kept" in out


def test_list_and_devices(run: Run) -> None:
    code, out, _ = run("list", "--json")
    assert code == 0
    assert [s["name"] for s in json.loads(out)] == names()
    code, out, _ = run("devices", "cross-border")
    assert code == 0
    assert {"device,role,courier,orders", "shop-1,system,,all", "carrier-1,carrier,,", "scan-1,scanner,,", "phone-1,courier,courier-1,"} <= set(
        out.splitlines()
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nope"), "take one of"),
        (("run", "nope.toml"), "can't be read"),
        (("run", "quiet-morning", "--host", "127.0.0.1"), "--link mqtt"),
        (("run", "quiet-morning", "--link", "mqtt", "--host", "127.0.0.1"), "--credentials"),
        (("run", "quiet-morning", "--link", "simulated", "--client", "node firmware.js"), "--link mqtt"),
        (("run", "quiet-morning", "--client", " "), "--client"),
        (("run", "quiet-morning", "--client", "node firmware.js", "--host", "127.0.0.1"), "--credentials"),
        (("run", "quiet-morning", "--seed", "-1"), "--seed"),
        (("run", "quiet-morning", "--load", "0"), "--load"),
        (("sweep", "quiet-morning", "--seeds", "0"), "--seeds"),
        (("replay", "quiet-morning"), "--seed"),
        (("unheard-of",), "unheard-of"),
    ],
)
def test_wrong_usage_says_what_is_right(run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_every_command_has_help_with_an_example(run: Run) -> None:
    _, out, _ = run("--help")
    for command in ("list", "run", "sweep", "replay", "devices", "history", "new", "record", "train"):
        assert command in out
        code, told, _ = run(command, "--help")
        assert code == 0
        assert "Example:" in told


def test_dockbridge_sim_is_the_same(tmp_path: Path) -> None:
    done = Forked(["dockbridge", "sim", "list", "--json"])
    with done.stdout:
        assert [s["name"] for s in json.loads(done.stdout.read())] == names()
    assert done.wait() == 0
    done = Forked(["dockbridge", "sim", "run", "nope"], log=tmp_path / "said")
    done.stdout.close()
    assert done.wait() == 2
    assert "take one of" in (tmp_path / "said").read_text()

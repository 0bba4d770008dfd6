"""The command line as a user meets it: every command helps with an example, every wrong input gets one sentence and its fix, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from bridge.app import make_site
from bridge.cli.main import app, main
from bridge.config import Settings
from firmware_sim.demo import plan_demo

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "config" / "samples"
TIMEOUT_S = 60


class Shell:
    """Runs `dockbridge` for one site."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.environment = {**os.environ, "DOCKBRIDGE_SITE": str(site), "COLUMNS": "200"}

    def __call__(self, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "bridge.cli.main", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            env=self.environment,
            cwd=ROOT,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, (done.stdout, done.stderr)
        return done

    def data(self, *arguments: str | Path) -> Any:
        return json.loads(self(*arguments, "--json").stdout)

    def serve(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bridge.cli.main", "serve", "--json"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment, cwd=ROOT)
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["ready"] is True
        return server


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    run = Shell(tmp_path / "site")
    run("init", run.site, "--listen", "127.0.0.1:0", "--mqtts", "127.0.0.1:0")
    return run


@pytest.fixture(scope="module")
def a_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that is only looked at."""
    site = tmp_path_factory.mktemp("cli") / "site"
    make_site(site, Settings())
    return site


@pytest.fixture
def served(shell: Shell) -> Iterator[Shell]:
    server = shell.serve()
    yield shell
    server.send_signal(signal.SIGTERM)
    _, words = server.communicate(timeout=TIMEOUT_S)
    assert server.returncode == 0
    assert "Traceback" not in words


def commands() -> Iterator[tuple[str, ...]]:
    root: Any = typer.main.get_command(app)

    def walk(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*path, name))
            else:
                yield (*path, name), command

    yield from walk(root, ())  # type: ignore[misc]


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=lambda p: " ".join(p) if isinstance(p, tuple) else "")
def test_every_command_has_help_with_an_example(path: tuple[str, ...], command: Any) -> None:
    assert command.help, "no help"
    assert f"Example: `dockbridge {' '.join(path)}" in command.help
    reads = path[-1] in {"list", "show", "explain", "watch"} and path[0] != "contract"
    assert not reads or any("--json" in p.opts for p in command.params), "a read without --json"


def test_a_shift_at_the_command_line(served: Shell) -> None:
    made = served.data("device", "add", "scan-07", "--at", "dock-2")
    assert (made[0]["device"], made[0]["role"], len(made[0]["secret"])) == ("scan-07", "scanner", 24)
    imported = served.data("orders", "import", SAMPLES / "orders.csv", "--map", SAMPLES / "orders.toml")
    assert (imported["orders"], len(imported["bad_rows"])) == (24, 2)
    again = served.data("orders", "import", SAMPLES / "orders.csv", "--map", SAMPLES / "orders.toml")
    assert again["again"] == again["events"] == imported["events"]
    order = served.data("orders", "list", "--state", "approved")[0]["order"]
    assert served.data("orders", "show", order)["status"]["state"] == "approved"
    (job,) = served.data("jobs", "assign", order, "anna")
    assert served.data("jobs", "show", job["job"])["orders"] == {order: "approved"}
    served("jobs", "release", job["job"])
    assert served.data("jobs", "list")[0]["state"] == "released"
    story = served.data("orders", "explain", order)
    assert [e["type"] for e in story["events"]] == ["created", "paid", "approved", "assigned", "unassigned"]
    assert served.data("events", "list", "--order", order, "--type", "paid")[0]["outcome"] == "applied"
    assert served.data("db", "rebuild")["changed"] == []
    assert served.data("db", "check")["faults"] == []
    served("db", "backup", served.site / "copy.db")
    served("db", "backup", served.site / "copy.db", code=1)
    served("device", "rotate", "scan-07")
    served("device", "revoke", "scan-07")
    assert {d["device"]: d["state"] for d in served.data("device", "list")}["scan-07"] == "revoked"
    assert served("quarantine", "list").stdout.startswith("no")


def test_the_same_works_without_a_server(shell: Shell) -> None:
    shell("orders", "import", SAMPLES / "orders.csv", "--map", SAMPLES / "orders.toml")
    order = shell.data("orders", "list", "-n", "1")[0]["order"]
    shell("jobs", "assign", order, "anna")
    assert shell.data("db", "rebuild")["changed"] == []


def test_a_second_server_is_refused_with_a_sentence(served: Shell) -> None:
    refused = served("serve", code=1)
    assert "has this site open" in refused.stderr
    assert "fix:" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nonsense",), 2, "No such command"),
        (("device", "add"), 2, "Missing argument"),
        (("device", "add", "x", "--role", "king"), 2, "scanner, courier, system, desk"),
        (("device", "add", "bridge"), 1, "choose another name"),
        (("device", "show", "nobody"), 1, "there is no device nobody"),
        (("device", "rotate", "nobody"), 1, "there is no device nobody"),
        (("device", "import", "/nowhere.csv"), 1, "can't be read"),
        (("orders", "show", "nobody"), 1, "there is no order nobody"),
        (("orders", "explain", "nobody"), 1, "nothing is known"),
        (("orders", "import", "/nowhere.csv", "--map", "/nowhere.toml"), 1, "there is no /nowhere.toml"),
        (("orders", "list", "-n", "0"), 2, "Usage: dockbridge orders list"),
        (("jobs", "assign", "nobody", "anna"), 1, "there is no order nobody"),
        (("jobs", "release", "none"), 1, "there is no job none"),
        (("quarantine", "show", "7"), 1, "there is no entry 7"),
        (("quarantine", "replay", "7"), 1, "there is no entry 7"),
        (("events", "list", "--outcome", "lovely"), 2, "is not one of"),
        (("contract", "show", "xml"), 2, "is not one of"),
        (("config", "check", "--site", "/nowhere"), 1, "there is no /nowhere/bridge.toml"),
        (("db", "backup", "/nowhere/copy.db"), 1, "can't be written"),
        (("init", "/proc/nowhere"), 1, "can't be written"),
        (("init", "other", "--listen", "0.0.0.0:1883"), 1, "outside loopback without TLS"),
        (("init", "other", "--listen", "here"), 1, "host:port"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, tuple) else None,
)
def test_wrong_input_gets_a_sentence(
    a_site: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.setenv("DOCKBRIDGE_SITE", str(a_site))
    monkeypatch.setattr(sys, "argv", ["dockbridge", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert ended.value.code == code
    assert said in " ".join(err.replace("│", " ").split())
    assert out == ""


def test_no_site_says_how_to_make_one(tmp_path: Path) -> None:
    done = Shell(tmp_path)("orders", "list", code=1)
    assert "dockbridge init" in done.stderr


def test_a_damaged_setting_is_named(shell: Shell) -> None:
    config = shell.site / "bridge.toml"
    config.write_text(config.read_text().replace("window = 64", "window = 0"))
    done = shell("serve", code=1)
    assert "broker.window is 0, at least 1" in done.stderr


def test_the_demo_ends_as_planned() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bridge.cli.main", "demo", "--json", "--speed", "100"],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["ok"] is True
    assert {o["order"]: o["state"] for o in result["orders"]} == plan_demo(1).expected

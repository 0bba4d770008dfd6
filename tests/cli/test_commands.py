"""The command line as a user sees it: every command has an example in its help; wrong input is answered with one sentence and its fix, never a traceback."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer
from helpers.bench import Bench
from helpers.forked import Forked
from helpers.mqtt import MqttWire
from helpers.server import Server, ServerProcess
from helpers.shell import ROOT, TIMEOUT_S, Shell
from helpers.waiting import until

from bridge.config import Settings
from bridge.entrypoints.cli.main import app, main
from bridge.entrypoints.cli.output import print_details
from bridge.entrypoints.cli.torture import _first_line_of
from bridge.site_folder import make_site
from devices.protocol.vocabulary import Role
from firmware_sim.cli import app as simulator
from firmware_sim.demo import plan_demo

SAMPLES = ROOT / "config" / "samples"


@pytest.fixture(scope="module")
def initial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site as `dockbridge init` leaves it."""
    site = tmp_path_factory.mktemp("initial") / "site"
    Shell(site)("init", site, "--listen", "127.0.0.1:0", "--mqtts", "127.0.0.1:0")
    return site


@pytest.fixture
def shell(initial: Path, tmp_path: Path) -> Shell:
    """The shell of a site that one test may change."""
    return Shell(Path(shutil.copytree(initial, tmp_path / "site")))


@pytest.fixture(scope="module")
def a_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that tests only read."""
    site = tmp_path_factory.mktemp("cli") / "site"
    make_site(site, Settings())
    return site


@pytest.fixture
def served(shell: Shell) -> Iterator[Shell]:
    with Server(shell.site) as server:
        yield shell
        assert server.end() == 0
    assert not server.said("Traceback")


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
    reads = (
        path[-1] in {"list", "show", "explain", "watch", "stuck", "check", "verify", "status", "missing", "mispicks", "why", "who"} and path[0] != "contract"
    )
    assert not reads or any("--json" in p.opts for p in command.params), "a read without --json"


def groups() -> Iterator[tuple[str, Any]]:
    for name, group in (("dockbridge", typer.main.get_command(app)), ("firmware-sim", typer.main.get_command(simulator))):
        yield name, group
        for below, command in group.commands.items():  # type: ignore[attr-defined]
            if hasattr(command, "commands") or name == "firmware-sim":
                yield f"{name} {below}", command


@pytest.mark.parametrize(("name", "command"), list(groups()), ids=lambda v: v if isinstance(v, str) else "")
def test_every_group_and_the_simulator_have_help_with_an_example(name: str, command: Any) -> None:
    assert command.help, "no help"
    assert f"Example: `{name} " in command.help


def test_a_command_loads_nothing_that_only_a_server_is_made_of() -> None:
    """Importing it would double the time of a command."""
    heavy = ("amqtt", "alembic", "cryptography", "bridge.app", "bridge.serving", "bridge.broker", "bridge.ingest.pipeline", "firmware_sim.scenario")
    code = f"import sys, bridge.entrypoints.cli.main; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    assert done.stdout.strip() == "[]"


def test_watching_an_order_that_is_not_there_says_so(shell: Shell) -> None:
    said = shell("orders", "watch", "PO-404", code=1).stderr
    assert "there is no order PO-404" in said
    assert "--wait" in said


def test_watching_an_order_that_is_to_come_waits_for_it(served: Shell) -> None:
    command = [sys.executable, "-m", "bridge.entrypoints.cli.main", "orders", "watch", "shop1-100415", "--wait", "--json"]
    watcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=served.environment, cwd=ROOT)
    assert watcher.stdout is not None
    assert watcher.stderr is not None
    assert "there is no order shop1-100415 yet" in watcher.stderr.readline()
    assert "Watching" in watcher.stderr.readline()
    served("orders", "import", SAMPLES / "orders.csv", "--map", SAMPLES / "orders.toml")
    assert json.loads(watcher.stdout.readline())["order"] == "shop1-100415"
    watcher.send_signal(signal.SIGINT)
    watcher.communicate(timeout=TIMEOUT_S)


def test_one_thing_is_shown_with_its_dates_as_dates(shell: Shell) -> None:
    shell("device", "add", "scan-07")
    shown = shell("device", "show", "scan-07").stdout
    assert "enrolled (UTC)" in shown
    assert "_ms" not in shown


def test_the_points_of_a_phone_that_were_not_used_are_shown_by_reason(shell: Shell) -> None:
    shell("device", "add", "phone-1", "--role", "courier")
    assert shell.data("device", "show", "phone-1")["dropped_points"] == []
    with closing(sqlite3.connect(shell.site / "dockbridge.db")) as database, database:
        rows = [("phone-1", "no_fix", 12, 1_760_000_000_000, None), ("phone-1", "inaccurate", 3, 1_760_000_001_000, "accuracy_m 9000")]
        database.executemany("INSERT INTO dropped_points VALUES (?, ?, ?, ?, ?)", rows)
    shown = shell("device", "show", "phone-1").stdout
    assert re.search(r"^3 +inaccurate +accuracy_m 9000 +2025-10-09 08:53:21$", shown, re.MULTILINE)
    assert re.search(r"^12 +no_fix +2025-10-09 08:53:20$", shown, re.MULTILINE)
    assert shell.data("device", "show", "phone-1")["dropped_points"] == [
        {"reason": "inaccurate", "points": 3, "last_ms": 1_760_000_001_000, "detail": "accuracy_m 9000"},
        {"reason": "no_fix", "points": 12, "last_ms": 1_760_000_000_000, "detail": None},
    ]


def test_a_device_that_sent_microseconds_can_still_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_details({"at_ms": 1_790_000_000_000_000})
    assert "1790000000000000" in capsys.readouterr().out


def test_durations_are_no_dates(capsys: pytest.CaptureFixture[str]) -> None:
    print_details({"mono_ms": 90_000, "error_ms": None, "received_ms": 0})
    out = capsys.readouterr().out
    assert "1.5 min" in out
    assert "received (UTC)  1970-01-01 00:00:00" in out


def test_the_password_of_another_broker_comes_from_a_file(shell: Shell, tmp_path: Path) -> None:
    other = ("torture", "--against", "127.0.0.1:1", "--restart-with", "true", "--username", "x")
    assert "can't be read" in shell(*other, "--password-file", tmp_path / "none", code=2).stderr
    (tmp_path / "password").write_text("secret\n")
    assert _first_line_of(tmp_path / "password") == "secret"


def test_a_shift_at_the_command_line(served: Shell) -> None:
    made = served.data("device", "add", "scan-07", "--at", "dock-2")
    assert (made[0]["device"], made[0]["role"], len(made[0]["secret"])) == ("scan-07", "scanner", 24)
    imported = served.data("orders", "import", SAMPLES / "orders.csv", "--map", SAMPLES / "orders.toml")
    assert (imported["orders"], len(imported["bad_rows"])) == (24, 0)
    again = served.data("orders", "import", SAMPLES / "orders.csv", "--map", SAMPLES / "orders.toml")
    assert again["again"] == again["events"] == imported["events"]
    order = served.data("orders", "list", "--state", "approved")[0]["order"]
    assert served.data("orders", "show", order)["status"]["state"] == "approved"
    served("device", "add", "phone-anna", "--role", "courier", "--courier", "anna")
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
    assert len(served("device", "rotate", "scan-07", "--password-only").stdout.strip()) == 24
    served("device", "revoke", "scan-07")
    assert "--readmit" in served("device", "rotate", "scan-07", code=1).stderr
    served("device", "rotate", "scan-07", "--readmit")
    served("device", "revoke", "scan-07")
    assert {d["device"]: d["state"] for d in served.data("device", "list")}["scan-07"] == "revoked"
    assert served("quarantine", "list").stdout.startswith("no")


def test_a_device_is_online_by_its_connections_and_not_by_what_the_last_run_has_left(shell: Shell) -> None:
    shell("device", "add", "scan-08")
    with Server(shell.site) as server:
        server.enrol(Role.SCANNER, "scan-07")
        with server.client("scan-07"):
            until(lambda: shell.data("device", "show", "scan-07")["presence"] is not None, "its presence")
            assert {d["device"]: d["online"] for d in shell.data("device", "list")} == {"scan-07": True, "scan-08": False}
            server.end(signal.SIGKILL)
            shown = shell.data("device", "show", "scan-07")
            assert (shown["online"], shown["presence"]["online"]) == (False, True)


HEADER = "order_id,order_status,purchased,approved,handed_to_carrier,delivered,estimated_delivery,sku,qty,total\n"


def test_an_import_that_stops_early_says_at_which_line_and_fails(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "1,processing,2024-01-01 10:00:00,,,,,pen,1,1.00\n" + '"2,processing,2024-01-01 10:00:00,,,,,pen,1,1.00\n')
    done = shell("orders", "import", file, "--map", SAMPLES / "orders.toml", "--json", code=1)
    assert "Import stopped at line 3. Fix the file and run the import again." in done.stderr
    assert [(row["line"], row["ends_file"]) for row in json.loads(done.stdout)["bad_rows"]] == [(3, True)]
    assert shell.data("orders", "list") == []


def test_what_a_shop_writes_into_a_row_does_not_decide_how_an_import_ends(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "1,nothing behind it was read,2024-01-01 10:00:00,,,,,pen,1,1.00\n2,processing,2024-01-01 10:00:00,,,,,pen,1,1.00\n")
    done = shell("orders", "import", file, "--map", SAMPLES / "orders.toml", "--json", code=1)
    assert [(row["line"], row["ends_file"]) for row in json.loads(done.stdout)["bad_rows"]] == [(2, False)]
    assert "Import stopped" not in done.stderr


def test_a_first_mapping_asks_for_what_the_file_does_not_show(shell: Shell, tmp_path: Path) -> None:
    order_map = ("orders", "map", SAMPLES / "orders.csv", "--out", tmp_path / "map.toml", "--name", "shop1", "--timezone", "UTC")
    assert "--currency" in shell(*order_map, code=1).stderr
    assert "is not a known time zone" in shell(*order_map, "--currency", "EUR", "--timezone", "Mars", code=1).stderr
    assert "Check it, then try it" in shell(*order_map, "--currency", "EUR").stderr
    assert "exists already" in shell(*order_map, "--currency", "EUR", code=1).stderr
    assert "Would import" in shell("orders", "import", SAMPLES / "orders.csv", "--map", tmp_path / "map.toml", "--dry-run").stderr


def test_a_job_that_is_closed_already_is_not_released_again(shell: Shell) -> None:
    shell("articles", "import", SAMPLES / "articles.csv")
    assert len(shell.data("articles", "list")) == 5
    shell("orders", "import", SAMPLES / "orders.csv", "--map", SAMPLES / "orders.toml")
    order = shell.data("orders", "list", "--state", "approved")[0]["order"]
    shell("device", "add", "anna", "--role", "courier")
    (job,) = shell.data("jobs", "assign", order, "anna")
    released = shell("jobs", "release", job["job"], "--json")
    assert ("is released" in released.stderr, json.loads(released.stdout)) == (True, {"released": [job["job"]]})
    assert "was closed already" in shell("jobs", "release", job["job"]).stderr
    assert f"{job['job']}" in shell("jobs", "list").stdout
    assert order in shell("jobs", "show", job["job"]).stdout


def test_a_fleet_is_enrolled_from_a_file_whole_or_not_at_all_and_bad_lines_are_named(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    good = "device,role,courier,at\nscan-1,scanner,,dock-1\nphone-1,courier,anna,\n"
    file.write_text(f"{good}throne,king,,\n,scanner,,\nscan-2,,,\n")
    refused = shell("device", "import", file, "--json", code=1)
    assert refused.stdout == ""
    assert "line 4: 'king' is not a role; choose one of scanner, courier" in refused.stderr
    assert "line 5: device ''" in refused.stderr
    assert "line 6: its role is empty" in refused.stderr
    assert "3 lines can't be used; nothing was changed" in refused.stderr
    assert shell.data("device", "list") == []
    file.write_text(good)
    done = shell("device", "import", file, "--json")
    assert [(d["device"], d["role"], len(d["secret"])) for d in json.loads(done.stdout)] == [("scan-1", "scanner", 24), ("phone-1", "courier", 24)]
    assert "2 enrolled" in done.stderr
    assert {d["device"]: (d["courier"], d["at"]) for d in shell.data("device", "list")} == {"scan-1": (None, "dock-1"), "phone-1": ("anna", None)}
    (tmp_path / "other.csv").write_text("name,role\nscan-2,scanner\n")
    assert "has no column device" in shell("device", "import", tmp_path / "other.csv", code=1).stderr


def test_a_rejected_message_is_judged_again_and_dropped(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "1,processing,2024-01-01 10:00:00,2024-01-01 11:00:00,,,,pen,1,1.00\n")
    unsaid = "s" * 70  # a word of the contract has at most 64 characters
    (tmp_path / "orders.toml").write_text((SAMPLES / "orders.toml").read_text().replace('name = "shop1"', f'name = "{unsaid}"'))
    done = shell("orders", "import", file, "--map", tmp_path / "orders.toml", code=1)
    assert "1 event rejected: see `dockbridge quarantine list`" in done.stderr
    (entry,) = shell.data("quarantine", "list")
    assert shell.data("quarantine", "show", str(entry["no"]))["decoded"]["body"]["channel"] == unsaid
    assert "created" in shell("quarantine", "show", str(entry["no"])).stdout
    again = shell("quarantine", "replay", str(entry["no"]), "--json", code=1)
    assert (json.loads(again.stdout)["replayed"][0]["outcome"], f"entry {entry['no']}: rejected" in again.stderr) == ("rejected", True)
    dropped = shell("quarantine", "drop", str(entry["no"]), "--json")
    assert (f"Dropped entry {entry['no']}." in dropped.stderr, json.loads(dropped.stdout)) == (True, {"found": [entry["no"]], "dropped": 1})
    assert shell.data("quarantine", "list") == []


def test_an_order_shows_why_it_is_held_and_how_often_it_was_tried(shell: Shell) -> None:
    with Bench(shell.site / "dockbridge.db") as bench:
        bench.create("PO-1")
        bench.tell("desk", "held", "PO-1", {"reason": "wrong_address"})
        bench.tell("phone-anna", "attempt_failed", "PO-1", {"reason": "nobody_home"}, parcel="p1")
    shown = [line.split() for line in shell("orders", "show", "PO-1").stdout.splitlines()]
    assert ["holds", "wrong_address", "(by", "desk)"] in shown
    assert ["p1", "attempt_failed", "1"] in shown


def test_refused_scans_are_counted(shell: Shell) -> None:
    with Bench(shell.site / "dockbridge.db") as bench:
        bench.create("PO-1")
        for _ in range(2):
            bench.tell("scan-1", "pick", "PO-1", {"sku": "hat", "qty": 1}, by="w-17")
    assert shell.data("report", "mispicks") == [{"article": "hat", "reason": "wrong_sku", "count": 2}]
    by_place = shell("report", "mispicks", "--by", "place")
    assert by_place.stdout.split() == ["place", "reason", "times"]
    assert by_place.stderr == "Figures of fewer than 5 workers are left out (people.reports is off).\n", "one worker has scanned there"
    by_hour = shell("report", "mispicks", "--by", "hour", "--since", "2020-01-01").stdout
    assert by_hour.startswith("hour (UTC)")
    assert "w-17" not in by_hour
    assert shell.data("report", "mispicks", "--since", "2999-01-01") == []


def test_a_list_of_articles_comes_in_whole_or_not_at_all(served: Shell, tmp_path: Path) -> None:
    assert "Would store: 5 new, 0 changed, 0 the same." in served("articles", "import", SAMPLES / "articles.csv", "--dry-run").stderr
    assert served.data("articles", "list") == []
    assert "Stored: 5 new, 0 changed, 0 the same." in served("articles", "import", SAMPLES / "articles.csv").stderr
    assert served.data("articles", "import", SAMPLES / "articles.csv") == {"added": [], "changed": [], "same": 5, "taken": []}
    assert [a["sku"] for a in served.data("articles", "list", "-n", "2")] == ["GIFT-WRAP", "LAMP-30"]
    assert served.data("articles", "show", "19780201379621") == served.data("articles", "show", "WINE-75")
    assert "04006381333931 14006381333938=10" in served("articles", "show", "LAMP-30").stdout
    assert "蓝牙音箱" in served("articles", "list").stdout
    file = tmp_path / "articles.csv"
    file.write_text("sku,codes,flags\nNEW-1,4006381333931,\nNEW-2,,\n")
    refused = served("articles", "import", file, code=1).stderr
    assert "line 2, codes: 04006381333931 is a code of LAMP-30 already" in refused
    assert "1 fault; nothing was stored" in refused
    file.write_text("sku,codes,flags\n" + "NEW,,heavy\n" * 60)
    refused = served("articles", "import", file, code=1).stderr
    assert "line 2, flags: heavy is not a flag\n  fix: choose from serial, battery, age" in refused
    assert "and 10 more" in refused
    assert "NEW-2" not in served("articles", "list").stdout


def test_the_same_works_without_a_server(shell: Shell) -> None:
    shell("orders", "import", SAMPLES / "orders.csv", "--map", SAMPLES / "orders.toml")
    order = shell.data("orders", "list", "--state", "approved")[0]["order"]
    shell("device", "add", "anna", "--role", "courier")
    shell("jobs", "assign", order, "anna")
    assert shell.data("db", "rebuild")["changed"] == []


def test_certificates_at_the_command_line(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "site")
    made = shell("init", shell.site, "--listen", "127.0.0.1:0", "--mqtts", "127.0.0.1:0", "--host", "bridge.example.com")
    authority, server = shell.data("certificate", "show")
    assert f"SHA-256  {server['sha256']}" in made.stderr
    assert f"devices trust {shell.site / 'tls' / 'ca.pem'}" in made.stderr
    assert (authority["certificate"], server["certificate"]) == ("authority", "server")
    assert {"bridge.example.com", "localhost", "127.0.0.1", "::1"} <= set(server["names"])
    assert server["sha256"] in shell("certificate", "show").stdout
    shell("config", "check")
    shell("certificate", "renew")
    renewed = shell.data("certificate", "show")
    assert renewed[0] == authority
    assert (renewed[1]["names"], renewed[1]["sha256"] != server["sha256"]) == (server["names"], True)
    shell("certificate", "renew", "--host", "192.168.1.7")
    names = shell.data("certificate", "show")[1]["names"]
    assert "192.168.1.7" in names
    assert "bridge.example.com" not in names
    assert "can be used" in shell("certificate", "reload").stderr


@pytest.mark.parametrize("lost", [("ca.key",), ("ca.pem",), ("ca.key", "ca.pem")], ids=" and ".join)
def test_a_lost_authority_is_not_replaced_by_a_new_one(shell: Shell, lost: tuple[str, ...]) -> None:
    """A new authority would have to be given to every device."""
    tls = shell.site / "tls"
    for name in lost:
        (tls / name).rename(shell.site / name)
    before = {path.name: path.read_bytes() for path in tls.iterdir()}
    for command in (("certificate", "renew"), ("certificate", "renew", "--host", "bridge.example.com")):
        said = shell(*command, code=1).stderr
        assert "the site's authority" in said
        assert "restore ca.pem and ca.key from a backup" in said
    assert {path.name: path.read_bytes() for path in tls.iterdir()} == before
    for name in lost:
        (shell.site / name).rename(tls / name)
    shell("certificate", "renew")


def test_a_site_without_certificates_gets_them_by_name(shell: Shell) -> None:
    (shell.site / "tls").rename(shell.site / "old")
    assert "--host NAME" in shell("certificate", "renew", code=1).stderr
    shell("certificate", "renew", "--host", "bridge.example.com")
    assert [row["certificate"] for row in shell.data("certificate", "show")] == ["authority", "server"]


def test_a_device_gets_a_certificate_at_the_command_line(served: Shell, tmp_path: Path) -> None:
    served("device", "add", "scan-07")
    out = tmp_path / "for scan-07"
    done = served("device", "certificate", "scan-07", "--out", out)
    assert sorted(p.name for p in out.iterdir()) == ["ca.pem", "scan-07.key", "scan-07.pem"]
    assert (out / "scan-07.key").stat().st_mode & 0o777 == 0o600
    assert "does not ask for client certificates yet" in done.stderr
    recorded = served.data("device", "show", "scan-07")["certificate"]
    assert recorded.upper() == done.stderr.split("by the certificate ")[1].splitlines()[0].replace(":", "")
    served("certificate", "renew")
    assert "from now on" in served("certificate", "reload").stderr
    served("device", "add", "scan-08")
    assert "is for scan-07, not for scan-08" in served("device", "certificate", "scan-08", "--accept", out / "scan-07.pem", code=1).stderr
    served("device", "certificate", "scan-07", "--accept", out / "scan-07.pem")
    assert "for one device" in served("device", "certificate", "scan-07", "scan-08", "--accept", out / "scan-07.pem", code=2).stderr
    many = tmp_path / "many"
    assert "no device scan-09" in served("device", "certificate", "scan-08", "scan-09", "--out", many, code=1).stderr
    assert not many.exists()
    served("device", "certificate", "scan-07", "scan-08", "--out", many)
    assert sorted(p.name for p in many.iterdir()) == ["ca.pem", "scan-07.key", "scan-07.pem", "scan-08.key", "scan-08.pem"]
    served("device", "revoke", "scan-07")
    assert served.data("device", "show", "scan-07")["certificate"] is None
    assert "is shut out" in served("device", "certificate", "scan-07", "--out", out, code=1).stderr


def test_a_certificate_that_can_not_be_written_or_read_says_what_to_do(shell: Shell) -> None:
    shell("device", "add", "scan-07")
    there = shell.site / "bridge.toml"
    for out in (there, there / "below", Path("/proc/nowhere/scan-07")):
        said = shell("device", "certificate", "scan-07", "--out", out, code=1).stderr
        assert f"{out} can't be written" in said
        assert "give --out a folder" in said
    assert shell.data("device", "show", "scan-07")["certificate"] is None
    said = shell("device", "certificate", "scan-07", "--accept", shell.site / "none.pem", code=1).stderr
    assert "none.pem can't be read: No such file" in said
    assert "a file with the device's certificate (PEM)" in said


def test_an_address_in_use_is_named_with_its_setting_and_the_others_are_not(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "site")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = "{}:{}".format(*taken.getsockname())
        shell("init", shell.site, "--listen", "127.0.0.1:0", "--mqtts", "127.0.0.1:0", "--websocket", bind)
        said = shell("serve", code=1).stderr
    assert f"listen.websocket: can't listen on {bind}: Address already in use" in said
    assert "127.0.0.1:0" not in said
    assert "give listen.websocket another in bridge.toml" in said


def test_a_site_without_tls_says_so(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "site")
    made = shell("init", shell.site, "--listen", "127.0.0.1:0", "--mqtts", "").stderr
    assert f"made site site in {shell.site}" in made, "it is named by its folder"
    assert "no listener uses TLS" in shell("certificate", "reload", code=1).stderr
    (shell.site / "tls" / "server.pem").unlink()
    shell("config", "check")
    config = shell.site / "bridge.toml"
    config.write_text(config.read_text().replace('mqtts = ""', 'mqtts = "127.0.0.1:0"'))
    for command in (("config", "check"), ("serve",)):
        said = shell(*command, code=1).stderr
        assert "server.pem does not exist" in said
        assert "dockbridge certificate renew" in said
    assert "so its names are unknown" in shell("certificate", "renew", code=1).stderr
    assert not (shell.site / "tls" / "server.pem").exists()
    shell("certificate", "renew", "--host", "bridge.example.com")
    assert "bridge.example.com" in shell.data("certificate", "show")[1]["names"]
    shell("config", "check")
    config.write_text(config.read_text().replace("tls/server.pem", "/etc/ssl/bridge.pem"))
    assert "which dockbridge did not make" in shell("certificate", "renew", code=1).stderr


def test_what_looks_like_an_emoji_is_printed_as_it_is(shell: Shell) -> None:
    """rich takes `:AB:`, which occurs in fingerprints, for an emoji."""
    shell("device", "add", "x:AB:y")
    assert "x:AB:y" in shell("device", "list").stdout


def test_a_server_says_when_it_is_ready_and_where_it_listens(shell: Shell) -> None:
    server = Forked(["dockbridge", "serve"], environment=shell.environment)
    with server.stdout:
        assert "ready: site site, mqtt://127.0.0.1:" in server.stdout.readline()
        server.send_signal(signal.SIGTERM)
        assert server.wait(TIMEOUT_S) == 0


def test_a_second_server_is_refused_with_a_sentence(served: Shell) -> None:
    refused = served("serve", code=1)
    assert "serves this site" in refused.stderr
    assert "fix:" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nonsense",), 2, "No such command"),
        (("device", "add"), 2, "Missing argument"),
        (("device", "add", "x", "--role", "king"), 2, "scanner, courier, system, carrier, desk"),
        (("device", "add", "bridge"), 1, "choose another name"),
        (("device", "add", "shop1", "--role", "system"), 1, "--orders PREFIX"),
        (("device", "add", "scan-07", "--orders", "shop1-"), 1, "only a system has orders of its own"),
        (("device", "add", "dhl", "--role", "carrier", "--orders", "all"), 1, "only a system has orders of its own"),
        (("device", "add", "ada", "--role", "guest"), 2, "'guest' is not a role"),
        (("device", "show", "nobody"), 1, "there is no device nobody"),
        (("device", "rotate", "nobody"), 1, "there is no device nobody"),
        (("device", "import", "/nowhere.csv"), 1, "can't be read"),
        (("orders", "show", "nobody"), 1, "there is no order nobody"),
        (("orders", "explain", "nobody"), 1, "nothing is known"),
        (("orders", "import", "/nowhere.csv", "--map", "/nowhere.toml"), 1, "/nowhere.toml does not exist"),
        (("orders", "list", "-n", "0"), 2, "Usage: dockbridge orders list"),
        (("articles", "import", "/nowhere.csv"), 1, "/nowhere.csv can't be read"),
        (("articles", "show", "nothing"), 1, "no article has the SKU or the code nothing"),
        (("jobs", "assign", "nobody", "anna"), 1, "there is no order nobody"),
        (("jobs", "release", "none"), 1, "there is no job none"),
        (("quarantine", "show", "7"), 1, "there is no entry 7"),
        (("quarantine", "replay", "7"), 1, "there is no entry 7"),
        (("events", "list", "--outcome", "lovely"), 2, "is not one of"),
        (("contract", "show", "xml"), 2, "is not one of"),
        (("config", "check", "--site", "/nowhere"), 1, "/nowhere/bridge.toml does not exist"),
        (("db", "backup", "/nowhere/copy.db"), 1, "can't be written"),
        (("init", "/proc/nowhere"), 1, "can't be written"),
        (("init", "pyproject.toml"), 1, "pyproject.toml is a file; a site is a folder fix: choose another name"),
        (("init", "other", "--listen", "0.0.0.0:1883"), 1, "outside loopback without TLS"),
        (("init", "other", "--listen", "here"), 1, "host:port"),
        (("init", "other", "--mqtts", "8883"), 1, "listen.mqtts is '8883'; it must be host:port"),
        (("init", "other", "--host", "two words"), 1, "'two words' is not a host name or address"),
        (("device", "certificate", "nobody", "--out", "there"), 1, "there is no device nobody"),
        (("device", "certificate", "nobody"), 2, "give a folder for a new certificate"),
        (("certificate", "show"), 1, "has no certificates"),
        (("certificate", "show", "--site", "/nowhere"), 1, "/nowhere/bridge.toml does not exist"),
        (("certificate", "reload"), 1, "no listener uses TLS"),
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
    assert "broker.window is 0; the minimum is 1" in done.stderr


def test_the_demo_ends_as_planned() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bridge.entrypoints.cli.main", "demo", "--json", "--speed", "100"],
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


# --- who may do what ------------------------------------------------------------------------------------------------------------


def test_access_why_answers_with_the_rule(shell: Shell) -> None:
    shell("device", "add", "scan-07")
    yes = shell.data("access", "why", "scan-07", "publish", "v1/site/devices/scan-07/events/pack")
    assert (yes["allowed"], yes["rule"]) == (True, "role scanner sends pack")
    no = shell.data("access", "why", "scan-07", "subscribe", "v1/site/orders/#")
    assert no["allowed"] is False
    assert "receipts" in no["rule"]
    assert "nobody" in shell("access", "why", "nobody", "publish", "x", code=1).stderr
    assert "is not one of" in shell("access", "why", "scan-07", "read", "x", code=2).stderr


def test_a_system_is_enrolled_with_the_orders_that_it_serves(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "fleet.csv"
    lines = "device,role,orders\nerp,system,all\nshop2,system,shop2-\ndhl,carrier,\n"
    file.write_text(f"{lines}shop3,system,\n")
    shell("device", "add", "shop1", "--role", "system", "--orders", "shop1-")
    assert "line 5: which orders does this system serve?" in shell("device", "import", file, code=1).stderr
    file.write_text(lines)
    shell("device", "import", file)
    orders = {d["device"]: d["orders"] for d in shell.data("device", "list")}
    assert orders == {"shop1": "shop1-", "erp": "all", "shop2": "shop2-", "dhl": None}
    rule = shell.data("access", "why", "shop1", "publish", "v1/site/devices/shop1/events/cancelled")["rule"]
    assert rule == "role system sends cancelled, here about orders whose id begins with shop1-"
    for device, allowed in (("shop1", False), ("erp", True), ("shop2", True), ("dhl", False)):
        assert shell.data("access", "why", device, "subscribe", "v1/site/orders/shop2-7/status")["allowed"] is allowed


def test_access_why_says_that_a_revoked_device_gets_nowhere(shell: Shell) -> None:
    shell("device", "add", "scan-07")
    shell("device", "revoke", "scan-07")
    answer = shell.data("access", "why", "scan-07", "publish", "v1/site/devices/scan-07/events/pack")
    assert (answer["allowed"], answer["rule"]) == (False, "scan-07 can't log in: it is revoked")


def test_access_who_lists_readers_and_writers(shell: Shell) -> None:
    for device, role in (("scan-07", "scanner"), ("screen", "desk"), ("printer", "lab")):
        shell("device", "add", device, "--role", role)
    assert [(r["device"], r["reads"], r["writes"]) for r in shell.data("access", "who", "v1/site/orders/PO-1/status")] == [("screen", True, False)]
    assert [r["device"] for r in shell.data("access", "who", "v1/site/devices/scan-07/events/pack")] == ["scan-07"]
    assert [r["device"] for r in shell.data("access", "who", "labels/1")] == ["printer"]
    assert "give the name of one topic" in shell("access", "who", "v1/#", code=1).stderr


def test_device_list_marks_other_gear(shell: Shell) -> None:
    shell("device", "add", "printer", "--role", "lab")
    (row,) = shell.data("device", "list")
    assert (row["role"], row["state"], row["failed"]) == ("lab", "enrolled, outside v1/ only", 0)


def test_status_shows_what_the_server_has_to_do(served: Shell) -> None:
    found = served.data("status")
    assert found["running"] is True
    assert (found["counters"]["connected"], found["counters"]["faults"], found["alerts"]) == (0, 0, [])
    assert "connections now" in served("status").stdout


def test_status_without_a_server_says_so(shell: Shell) -> None:
    assert "No server runs" in shell("status", code=1).stderr


# --- a laboratory -----------------------------------------------------------------------------------------------------------------


def test_a_laboratory_lets_anybody_in_on_loopback_and_leaves_nothing(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {"TMPDIR": str(temporary)}
    with ServerProcess("--lab", "--listen", "127.0.0.1:0", log=tmp_path / "serve.log", environment=environment, is_fresh=True) as lab:
        with MqttWire(lab.address) as anybody:
            assert anybody.connect("anybody") == (False, 0)
            assert anybody.subscribe("#", "v1/lab/orders/#", "$dockbridge/none/x", "$dockbridge/none/#") == [1, 1, 0x80, 0x80]
        assert lab.end() == 0
    assert not lab.said("Traceback")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("site", "--lab"), "a laboratory is a temporary site"),
        (("--listen", "127.0.0.1:0"), "use it with --lab"),
        (("site", "--websocket", "127.0.0.1:0"), "use it with --lab"),
    ],
    ids=["a folder and --lab", "--listen alone", "--websocket alone"],
)
def test_an_option_of_serve_that_would_be_passed_over_is_wrong_usage(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    done = shell("serve", *arguments, code=2)
    assert said in done.stderr
    assert done.stdout == ""


def test_a_laboratory_outside_loopback_is_refused(shell: Shell) -> None:
    assert "not on loopback" in shell("serve", "--lab", "--listen", "0.0.0.0:0", code=2).stderr

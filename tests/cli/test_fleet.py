"""A fleet at the command line: many devices in one file, QR codes on a sheet, secrets that are never lost, and names that can be typed."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from helpers.shell import ROOT, TIMEOUT_S, Shell

from bridge.store.registry import Registry
from bridge.store.sqlite import open_engine
from bridge.store.tables import devices as table
from devices.protocol.claims import Claim, parse_claim

pytestmark = pytest.mark.slow

HEADER = "action,device,role,courier,at,orders\n"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    run = Shell(tmp_path / "site")
    run("init", run.site, "--host", "bridge.example.com", "--listen", "127.0.0.1:0", "--mqtts", "127.0.0.1:8883")
    return run


def fleet(shell: Shell, *lines: str, header: str = HEADER) -> Path:
    file = shell.site.parent / "fleet.csv"
    file.write_text(header + "".join(f"{line}\n" for line in lines))
    return file


def known(shell: Shell) -> dict[str, tuple[str, str | None, str | None, str]]:
    return {d["device"]: (d["role"], d["courier"], d["at"], d["state"]) for d in shell.data("device", "list")}


def test_a_file_adds_edits_and_removes_in_one_go(shell: Shell) -> None:
    for device in ("scan-1", "scan-2", "scan-3", "old-1"):
        shell("device", "add", device, "--at", "dock-1")
    shell("device", "add", "phone-1", "--role", "courier", "--courier", "anna")
    file = fleet(
        shell, "add,scan-9,scanner,,dock-9,", "edit,scan-1,,,dock-2,", "edit,scan-2,,,-,", "edit,phone-1,,ben,,", "revoke,scan-3,,,,", "remove,old-1,,,,"
    )
    assert "line 7: old-1 may still log in" in shell("device", "import", file, code=1).stderr
    before = known(shell)
    planned = shell("device", "import", file, "--revoke", "--dry-run", "--json")
    assert [row["action"] for row in json.loads(planned.stdout)] == ["add", "edit", "edit", "edit", "revoke", "remove"]
    assert known(shell) == before
    secrets = shell.site.parent / "passwords.csv"
    done = shell("device", "import", file, "--revoke", "--secrets", secrets, "--reason", "spring")
    assert "1 enrolled, 3 changed, 1 shut out, 1 removed." in done.stderr
    assert secrets.stat().st_mode & 0o777 == 0o600
    assert [(row["device"], len(row["password"])) for row in csv.DictReader(secrets.read_text().splitlines())] == [("scan-9", 24)]
    assert known(shell) == {
        "phone-1": ("courier", "ben", None, "enrolled"),
        "scan-1": ("scanner", None, "dock-2", "enrolled"),
        "scan-2": ("scanner", None, None, "enrolled"),
        "scan-3": ("scanner", None, "dock-1", "revoked"),
        "scan-9": ("scanner", None, "dock-9", "enrolled"),
    }
    (entry,) = [e for e in shell.data("audit", "list") if e["act"] == "device.change"]
    assert entry["reason"] == "spring"
    assert entry["details"] == {"add": ["scan-9"], "edit": ["scan-1", "scan-2", "phone-1"], "remove": ["old-1"], "revoke": ["scan-3"]}


def test_a_device_with_a_bad_name_of_an_earlier_version_can_still_be_shut_out_and_removed(shell: Shell) -> None:
    engine = open_engine(shell.site / "dockbridge.db")
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"device": name, "role": "scanner", "created_ms": 1} for name in ("-x", "a\nb", "a\0b", "a+b")])
    engine.dispose()
    shell("device", "revoke", "--", "-x")
    names = json.dumps([d for d in known(shell) if d != "-x"])
    shut_out = shell("device", "revoke", "a+b", "--names-json", names, "--json")
    assert r"a\nb is shut out." in shut_out.stderr
    assert {"device": "a\nb", "courier": None, "jobs": []} in json.loads(shut_out.stdout)
    shell("device", "remove", "--names-json", json.dumps(list(known(shell))))
    assert known(shell) == {}
    assert "not a JSON list of names" in shell("device", "remove", "--names-json", "x", code=2).stderr


# --- secrets that can't be written ----------------------------------------------------------------------------------------------


def test_nothing_is_enrolled_whose_secret_could_not_be_written(shell: Shell, tmp_path: Path) -> None:
    file = fleet(shell, "add,scan-1,scanner,,,")
    shell("device", "add", "scan-5")
    commands = (("import", str(file)), ("add", "scan-2"), ("add", "scan-3", "--password-only"), ("enrol", "scan-4"), ("rotate", "scan-5"))
    script = "from bridge.entrypoints.cli.main import main; main()"
    hash_before = hashes(shell)
    for command in commands:
        with Path("/dev/full").open("w") as full:
            arguments = [sys.executable, "-c", script, "device", *command]
            done = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S, env=shell.environment, cwd=ROOT, check=False)
        assert done.returncode == 1, done.stderr
        assert "nothing was changed" in done.stderr
        assert "Traceback" not in done.stderr
    taken = tmp_path / "passwords.csv"
    taken.write_text("mine")
    assert "exists already; nothing was changed" in shell("device", "import", file, "--secrets", taken, code=1).stderr
    assert taken.read_text() == "mine"
    assert "can't be written" in shell("device", "import", file, "--secrets", tmp_path / "no" / "folder.csv", code=1).stderr
    assert hashes(shell) == hash_before


def hashes(shell: Shell) -> list[tuple[str, str]]:
    engine = open_engine(shell.site / "dockbridge.db", read_only=True)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(table.select().with_only_columns(table.c.device, table.c.password_hash))]
    engine.dispose()
    return found  # type: ignore[return-value]


def test_secrets_that_were_shown_are_void_if_the_change_fails(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(Registry, "write", fail)
    assert "Nothing was changed: the password is void." in shell("device", "add", "scan-1", code=1).stderr
    secrets = tmp_path / "passwords.csv"
    shell("device", "import", fleet(shell, "add,scan-1,scanner,,,"), "--secrets", secrets, code=1)
    assert not secrets.exists()
    assert known(shell) == {}


def test_secrets_stay_valid_if_only_the_answer_was_lost(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Registry.write

    def write_and_fail(*arguments: object) -> None:
        write(*arguments)  # type: ignore[arg-type]
        raise OSError("the connection is gone")

    monkeypatch.setattr(Registry, "write", write_and_fail)
    assert "the password is valid" in shell("device", "add", "scan-1", code=1).stderr
    secrets, sheet = tmp_path / "passwords.csv", tmp_path / "cards.html"
    assert "each password is valid" in shell("device", "import", fleet(shell, "add,scan-2,scanner,,,"), "--secrets", secrets, code=1).stderr
    assert "each code is valid" in shell("device", "enrol", "scan-3", "--sheet", sheet, code=1).stderr
    assert secrets.exists()
    assert sheet.exists()
    assert list(known(shell)) == ["scan-1", "scan-2", "scan-3"]


# --- QR codes -------------------------------------------------------------------------------------------------------------------


def test_a_device_is_added_with_a_code_for_it(shell: Shell) -> None:
    done = shell("device", "add", "scan-07", "--at", "dock-2", "--qr")
    device, *code, short = done.stdout.rstrip("\n").split("\n")
    assert device == "scan-07"
    assert len({len(line) for line in code if line}) == 1
    claim = parse_claim(short)
    assert (claim.addresses[0], claim.site, claim.device, claim.tls) == (("bridge.example.com", 8883), "site", "scan-07", True)
    assert claim.accepts(bytes.fromhex(shell.data("certificate", "show")[0]["sha256"].replace(":", "")))
    assert [c["device"] for c in shell.data("device", "claims", "list")] == ["scan-07"]
    assert known(shell) == {"scan-07": ("scanner", None, "dock-2", "waits for its claim")}
    (entry,) = [e for e in shell.data("audit", "list") if e["act"] == "device.change"]
    assert claim.token not in json.dumps(entry)


def claims_in(sheet: Path) -> list[Claim]:
    texts = re.findall(r"bridge\.example\.com[^<]*/site/[^<]+", unescape(sheet.read_text()).replace("</text><text", "\n<text"))
    return [parse_claim(text) for text in texts]


def test_a_sheet_has_a_card_for_each_device_and_needs_no_other_file(shell: Shell, tmp_path: Path) -> None:
    sheet = tmp_path / "cards.html"
    shell("device", "add", "scan-02")
    done = shell("device", "enrol", "scan-01", "scan-02", "scan-03", "--sheet", sheet)
    assert "2 enrolled, 1 given a claim." in done.stderr
    assert sheet.stat().st_mode & 0o777 == 0o600
    page = sheet.read_text()
    assert page.count("<section>") == page.count("<svg ") == 3
    assert not re.search(r"(src|href)=|@import|<script", page)
    assert [c.device for c in claims_in(sheet)] == ["scan-01", "scan-02", "scan-03"]
    assert [state for *_, state in known(shell).values()] == ["waits for its claim", "enrolled", "waits for its claim"]
    picture = tmp_path / "cards.svg"
    file = fleet(shell, "add,scan-04,scanner,,,", "claim,scan-01,,,,")
    assert "name the file for the QR codes" in shell("device", "import", file, code=2).stderr
    shell("device", "import", file, "--sheet", picture)
    assert picture.read_text().count('class="qrline"') == 2
    assert "neither FILE.html nor FILE.svg" in shell("device", "enrol", "scan-05", "--sheet", tmp_path / "cards.pdf", code=2).stderr
    assert "2 claims revoked" in shell("device", "claims", "revoke", "scan-01", "scan-04").stderr
    assert "no claim of scan-04 is open" in shell("device", "claims", "revoke", "scan-04", code=1).stderr
    assert "2 claims revoked" in shell("device", "claims", "revoke", "--all").stderr


def test_a_code_that_no_device_could_use_is_not_made(shell: Shell, tmp_path: Path) -> None:
    here = Shell(tmp_path / "here")
    here("init", here.site, "--listen", "127.0.0.1:0", "--mqtts", "")
    assert "name it with --address HOST:PORT" in here("device", "add", "scan-1", "--qr", code=1).stderr
    plain = json.loads(here("device", "add", "scan-1", "--qr", "--address", "127.0.0.1:1883", "--json").stdout)[0]["claim"]
    assert parse_claim(plain).tls is False
    assert "is not a host name" in shell("device", "add", "scan-1", "--qr", "--address", "a b:1", code=1).stderr
    (shell.site / "tls" / "server.pem").write_text(
        (shell.site / "tls" / "server.pem").read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    )
    assert "dockbridge certificate renew" in shell("device", "add", "scan-1", "--qr", code=1).stderr
    assert known(shell) == {}

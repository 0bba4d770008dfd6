"""The server as a service of systemd: the unit gives it what it needs and no more, and the commands say what they did and what comes next."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from helpers.events import TOPICS
from helpers.mqtt import PUBACK
from helpers.new_site import new_site
from helpers.server import Server
from helpers.shell import Shell

from bridge import service, service_unit
from bridge.config import Settings
from bridge.config_file import parse
from bridge.errors import NoSite, Refused, SiteError
from bridge.service_unit import unit_of
from devices.protocol.vocabulary import Role

SRV: Final = Path("/srv/ams1")
PROGRAM: Final = ["/opt/dockbridge/bin/dockbridge"]
ME: Final = pwd.getpwuid(os.getuid()).pw_name


def keys(settings: Settings | None = None, directory: Path = SRV, program: list[str] = PROGRAM) -> dict[str, list[str]]:
    """The keys of a unit, each with its values in their order."""
    found: dict[str, list[str]] = {}
    for line in unit_of(settings or parse({"site": {"name": "ams1"}}), directory, "dockbridge", program).text.splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


# --- the unit ---------------------------------------------------------------------------------------------------------------

EXPECTED: Final = {
    "Type": "notify",
    "User": "dockbridge",
    "WorkingDirectory": "/srv/ams1",
    "ExecStart": "/opt/dockbridge/bin/dockbridge serve /srv/ams1",
    "ExecReload": "/bin/kill -HUP $MAINPID",
    "Restart": "on-failure",
    "StartLimitIntervalSec": "0",
    "TimeoutStartSec": "infinity",
    "TimeoutStopSec": "60",  # a stopping server waits 10 s for the store, at most three times
    "WatchdogSec": "60",
    "LimitNOFILE": "10048",
    "UMask": "0077",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "ReadWritePaths": "/srv/ams1 /srv/ams1.keys",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "ProtectProc": "invisible",
    "KeyringMode": "private",
    "WantedBy": "multi-user.target",
    **dict.fromkeys(("ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname"), "yes"),
    **dict.fromkeys(("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "RestrictSUIDSGID", "RestrictNamespaces", "RestrictRealtime"), "yes"),
    **dict.fromkeys(("LockPersonality", "MemoryDenyWriteExecute", "RemoveIPC"), "yes"),
}


def test_the_unit_of_a_site_with_the_defaults() -> None:
    found = keys()
    assert {key: value for key, (value, *_) in found.items() if key in EXPECTED} == EXPECTED
    assert found["SystemCallFilter"] == ["@system-service", "~@privileged"]
    assert "PrivateUsers" not in found, "the audit log needs the names of users"


@pytest.mark.parametrize(
    ("settings", "directory", "program", "key", "value"),
    [
        ({"broker": {"connections_max": 500}}, SRV, PROGRAM, "LimitNOFILE", "548"),
        ({"listen": {"mqtts": "0.0.0.0:443"}}, SRV, PROGRAM, "AmbientCapabilities", "CAP_NET_BIND_SERVICE"),
        ({"listen": {"mqtt": "127.0.0.1:0"}}, SRV, PROGRAM, "CapabilityBoundingSet", ""),
        ({"backup": {"folder": "/mnt/backup"}}, SRV, PROGRAM, "ReadWritePaths", "/srv/ams1 /srv/ams1.keys -/mnt/backup"),
        ({"backup": {"folder": ""}}, SRV, PROGRAM, "ReadWritePaths", "/srv/ams1 /srv/ams1.keys"),
        ({}, Path("/home/ada/ams1"), PROGRAM, "ProtectHome", "read-only"),
        ({}, SRV, ["/home/ada/venv/bin/dockbridge"], "ProtectHome", "read-only"),
        ({"listen": {"tls_cert_file": "/home/ada/cert.pem", "tls_key_file": "k"}}, SRV, PROGRAM, "ProtectHome", "read-only"),
        ({"backup": {"folder": "/root/backups"}}, SRV, PROGRAM, "ProtectHome", "read-only"),
        ({}, Path("/srv/my site"), PROGRAM, "ExecStart", '/opt/dockbridge/bin/dockbridge serve "/srv/my site"'),
        ({}, Path("/srv/100%$"), PROGRAM, "ReadWritePaths", "/srv/100%%$$ /srv/100%%$$.keys"),
        ({}, SRV, ["/usr/bin/python3", "-m", "bridge"], "ExecStart", "/usr/bin/python3 -m bridge serve /srv/ams1"),
        ({"site": {"name": "München/1"}}, SRV, PROGRAM, "Description", "Dockbridge site München/1"),
    ],
    ids=lambda v: str(v)[:40],
)
def test_what_the_settings_change_in_it(settings: dict[str, Any], directory: Path, program: list[str], key: str, value: str) -> None:
    assert keys(parse(settings), directory, program)[key] == [value]


@pytest.mark.parametrize("site", ["/tmp/ams1", "/var/tmp/x/ams1"])
def test_a_site_in_a_temporary_folder_is_refused(site: str) -> None:
    with pytest.raises(Refused, match=r"a service has a /(var/)?tmp of its own"):
        keys(directory=Path(site))


def test_the_name_of_the_unit_is_one_for_systemd() -> None:
    settings = replace(Settings(), site=replace(Settings().site, name="München/1"))
    assert unit_of(settings, SRV, "dockbridge", PROGRAM).name == "dockbridge-M_nchen_1.service"


# --- the commands -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(service_unit, "TEMPORARY", ())
    new_site(tmp_path / "ams1", parse({"site": {"name": "ams1"}}))
    (tmp_path / "units").mkdir()
    return tmp_path / "ams1"


def test_an_operator_installs_looks_and_uninstalls(site: Path, tmp_path: Path) -> None:
    dockbridge, unit = Shell(site), tmp_path / "units" / "dockbridge-ams1.service"
    folder = ("--unit-folder", tmp_path / "units")
    assert "would be written. Nothing was changed." in dockbridge("service", "install", "--user", ME, "--dry-run", *folder).stderr
    assert not unit.exists()
    said = dockbridge("service", "install", "--user", ME, *folder).stderr
    assert f"wrote {unit}" in said
    assert "next: sudo systemctl daemon-reload && sudo systemctl enable --now dockbridge-ams1.service" in said
    assert dockbridge("service", "install", "--user", ME, "--print").stdout == unit.read_text()
    assert dockbridge.data("service", "status", *folder)["service"]["is_current"] is True
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert f"removed {unit}" in dockbridge("service", "uninstall", *folder).stderr
    assert not unit.exists()


def test_a_unit_is_replaced_if_the_settings_ask_for_it_and_only_if_it_is_of_this_site(site: Path, tmp_path: Path) -> None:
    units = tmp_path / "units"
    unit = service.make_unit(site, ME)
    assert service.install(unit, units) is True
    assert service.install(unit, units) is False
    config = site / "bridge.toml"
    config.write_text(config.read_text().replace("connections_max = 10000", "connections_max = 20000"))
    wanted = service.make_unit(site, ME)
    assert service.state_of(wanted, units).is_current is False
    assert service.install(wanted, units) is True
    assert "LimitNOFILE=20048" in (units / unit.name).read_text()
    (units / unit.name).write_text("[Service]\nExecStart=/usr/bin/other\n")
    for change in (service.install, service.uninstall):
        with pytest.raises(Refused, match="is not the unit of this site"):
            change(unit, units)
    with pytest.raises(SiteError, match="can't be written: No such file"):
        service.install(unit, tmp_path / "gone")
    assert service.uninstall(unit, tmp_path / "gone") is False


def test_the_user_must_be_there_and_own_the_site(site: Path) -> None:
    with pytest.raises(Refused, match="there is no user nobody-there on this machine"):
        service.make_unit(site, "nobody-there")
    with pytest.raises(Refused, match=f"belongs to {ME}, not to nobody"):
        service.make_unit(site, "nobody")
    assert "User=nobody-there" in service.make_unit(site, "nobody-there", is_for_here=False).text
    if os.getuid() == 0:
        with pytest.raises(Refused, match="belongs to root, and the server needs no rights of root") as caught:
            service.make_unit(site, None)
        assert "useradd --system" in str(caught.value.fix)
    with pytest.raises(NoSite):
        service.make_unit(site / "nowhere", None)


PR_SET_MDWE: Final = 65
REFUSE_EXEC_GAIN: Final = 1


def forbid_memory_that_becomes_executable() -> None:
    """What MemoryDenyWriteExecute does (PR_SET_MDWE, Linux 6.3)."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


@pytest.mark.slow
def test_the_server_runs_without_memory_that_becomes_executable(tmp_path: Path) -> None:
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 3):
        pytest.skip("needs Linux 6.3")
    with Server(tmp_path / "site", prepare=forbid_memory_that_becomes_executable, backup={"folder": "backups"}) as served:
        served.enrol(Role.SCANNER, "scan-1")
        with served.client("scan-1") as scanner:
            scanner.publish(TOPICS.event("scan-1", "pack"), b"{}")
            assert scanner.expect(PUBACK).packet_id == 1
        assert served.end() == 0

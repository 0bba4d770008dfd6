"""Checks of the server, of the addresses on which it listens, and of clocks and backups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from bridge.addresses import is_loopback, split_address
from bridge.config import LISTENERS, Settings
from bridge.errors import BridgeError
from bridge.operations.doctor.findings import Finding, Trouble, Weight
from bridge.operations.doctor.patient import DatabaseState, Patient, Running
from bridge.words import counted

HOUR_MS: Final = 3_600_000
CLOCK_BEHIND_MS: Final = 60_000
"""How far this machine's clock may be behind the newest time in the database."""
BACKUP_LATE: Final = 2.0
"""A backup is too old after so many times `backup.every_h`."""
_EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 -- only compared
_LOOPBACK: Final = "127.0.0.1"


class _Listener(NamedTuple):
    """A listener that is on."""

    setting: str
    host: str
    port: int
    is_tls: bool = False
    is_for_devices: bool = True

    @property
    def here(self) -> str:
        """The address by which this machine reaches it."""
        return _LOOPBACK if self.host == _EVERY_ADDRESS else self.host


def _listeners(patient: Patient) -> Iterator[_Listener]:
    """Those that are on. One on port 0 has another port at each start, which only the server knows."""
    assert isinstance(patient.settings, Settings)
    for name, is_tls in LISTENERS.items():
        if bind := getattr(patient.settings.listen, name):
            host, port = split_address(f"listen.{name}", bind)
            yield _Listener(f"listen.{name}", host, port, is_tls)
    if bind := patient.settings.metrics.listen:
        yield _Listener("metrics.listen", *split_address("metrics.listen", bind), is_for_devices=False)


def server(patient: Patient) -> Iterable[Finding]:
    seen = patient.server
    says = seen.says
    if isinstance(says, Running):
        yield from _running(patient, says)
    elif seen.pid is None:
        if not patient.is_stopped and patient.database.state in (DatabaseState.READABLE, DatabaseState.OLDER):
            yield _not_running(patient)
    else:
        why = f": {says}" if isinstance(says, BridgeError) else " (or a command has it open just now)"
        yield Finding(
            code=Trouble.SERVER_SILENT,
            what=f"process {seen.pid} has the site open, and does not answer commands{why}",
            fix="Wait a minute and look again. If it stays so, stop that process and start the server again; what it has acknowledged is stored.",
        )


def _not_running(patient: Patient) -> Finding:
    if patient.server.has_left_socket:
        return Finding(
            code=Trouble.SERVER_KILLED,
            what="no server runs; the last one was killed, or the machine was switched off",
            fix="Start it: it goes on with what it had stored. Its log, or the system's, says why it ended.",
            command=patient.command("serve"),
        )
    return Finding(code=Trouble.SERVER_STOPPED, what="no server runs", fix="Start it.", command=patient.command("serve"))


def _running(patient: Patient, says: Running) -> Iterator[Finding]:
    if says.version != patient.version:
        yield Finding(
            code=Trouble.SERVER_OTHER_VERSION,
            what=f"the server has version {says.version}, and this program {patient.version}",
            fix="Restart the server: it has run since before the upgrade.",
        )
    if says.counters.get("store_failing"):
        yield Finding(
            code=Trouble.STORE_FAILING,
            what=f"the database can't be written: {counted(says.counters.get('unstored', 0), 'message')} wait, and nothing is acknowledged",
            fix="Read the reason in the server's log; most often the disk is full. The server tries again by itself.",
        )


def addresses(patient: Patient) -> Iterable[Finding]:
    listeners = list(_listeners(patient))
    for listener in [x for x in listeners if x.port]:
        if isinstance(patient.server.says, Running):
            yield from _reached(patient, listener)
        elif patient.server.pid is None:
            yield from _free(patient, listener)
    listeners = [x for x in listeners if x.is_for_devices]
    if outside := [x for x in listeners if not is_loopback(x.host)]:
        for listener in outside:
            if patient.machine.is_port_shut(listener.port):
                yield Finding(
                    code=Trouble.FIREWALL,
                    what=f"this machine's firewall lets nobody in to port {listener.port} ({listener.setting})",
                    fix="The administrator opens it.",
                    command=f"ufw allow {listener.port}/tcp",
                )
    elif listeners and any(device.can_log_in for device in patient.site.registry.list()):
        yield Finding(
            code=Trouble.ONLY_THIS_MACHINE,
            weight=Weight.NOTE,
            what=f"the server listens on this machine only ({', '.join(f'{x.host}:{x.port}' for x in listeners)}): devices in the network can't reach it",
            fix='If they shall, write mqtts = "0.0.0.0:8883" below [listen] in bridge.toml and restart the server.',
        )


def _free(patient: Patient, listener: _Listener) -> Iterator[Finding]:
    fault = patient.machine.bind_fault(listener.host, listener.port)
    if fault is None:
        return
    if (holder := fault.holder) is None:
        yield Finding(
            code=Trouble.ADDRESS_UNUSABLE,
            what=f"{listener.setting}: the server can't listen on {listener.host}:{listener.port}: {fault.reason}",
            fix=f"Give {listener.setting} an address of this machine ({', '.join((*patient.machine.addresses, _EVERY_ADDRESS))}), and a port from 1024 on.",
        )
    else:
        who = f"{holder.name} (process {holder.pid})" if holder.pid is not None else holder.name
        yield Finding(
            code=Trouble.PORT_TAKEN,
            what=f"{listener.setting}: {listener.host}:{listener.port} is taken by {who}",
            fix=f"End that program, or give {listener.setting} another address in bridge.toml.",
            command=patient.shell("kill", str(holder.pid)) if holder.pid is not None else None,
        )


def _reached(patient: Patient, listener: _Listener) -> Iterator[Finding]:
    machine = patient.machine
    if (fault := machine.connect_fault(listener.here, listener.port)) is not None:
        yield Finding(
            code=Trouble.UNREACHABLE,
            what=f"{listener.setting}: the server can't be reached at {listener.here}:{listener.port}: {fault}",
            fix="If bridge.toml was changed since its start, restart the server; if not, read its log.",
        )
        return
    file = patient.certificates.server
    if not listener.is_tls or file is None or patient.certificates.fault is not None:
        return
    shown = machine.certificate_at(listener.here, listener.port)
    if shown is None:
        yield Finding(
            code=Trouble.UNREACHABLE,
            what=f"{listener.setting}: what listens on {listener.here}:{listener.port} does not speak TLS",
            fix="If bridge.toml was changed since the server's start, restart it; if not, another program has that address.",
        )
    elif shown != file.sha256:
        yield Finding(
            code=Trouble.CERTIFICATE_NOT_IN_USE,
            what=f"{listener.setting}: the server still shows another certificate than the one in {file.file}",
            fix="Let it use the new one; no connection is closed.",
            command=patient.command("certificate", "reload"),
        )


def clock(patient: Patient) -> Iterable[Finding]:
    behind_ms = patient.database.newest_ms - patient.now_ms
    if behind_ms > CLOCK_BEHIND_MS:
        yield Finding(
            code=Trouble.CLOCK_BEHIND,
            what=f"this machine's clock is {_hours(behind_ms)} behind the newest time in the database",
            fix="The administrator sets the clock (`timedatectl set-ntp true` keeps it right), and restarts the server.",
        )


def backups(patient: Patient) -> Iterable[Finding]:
    assert isinstance(patient.settings, Settings)
    settings, made = patient.settings.backup, patient.backups
    late_ms = round(BACKUP_LATE * settings.every_h * HOUR_MS)
    if not settings.folder:
        yield Finding(
            code=Trouble.BACKUP_OFF,
            weight=Weight.NOTE,
            what="the server makes no backups (backup.folder is empty)",
            fix='If no other program does, write folder = "backups", or better a folder on another disk, below [backup] in bridge.toml.',
        )
    elif made and made[-1].made_ms < patient.now_ms - late_ms:
        yield Finding(
            code=Trouble.BACKUP_OLD,
            what=f"the last backup is {_hours(patient.now_ms - made[-1].made_ms)} old; one is due every {settings.every_h:g} h",
            fix="Make one. The server makes them while it runs; if it does, its log says why it could not.",
            command=patient.command("db", "backup"),
        )
    elif not made and (first_ms := patient.database.first_ms) is not None and first_ms < patient.now_ms - late_ms:
        yield Finding(code=Trouble.BACKUP_NONE, what="there is no backup of the database", fix="Make one.", command=patient.command("db", "backup"))


def _hours(ms: int) -> str:
    return f"{ms / 60_000:.0f} min" if ms < 2 * HOUR_MS else f"{ms / HOUR_MS:.0f} h" if ms < 72 * HOUR_MS else f"{ms / (24 * HOUR_MS):.0f} days"

"""Faults are planted in copies of one sound site: the doctor finds exactly the one that was planted, and what it names mends it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import cbor2
import pytest
from helpers.events import SITE
from helpers.server import Server, free_port
from helpers.shell import Shell
from helpers.site import Site

from bridge import certificates, site_certificates
from bridge.certificates import LEAF_VALID
from bridge.config import CONFIG_NAME, DATABASE_NAME, LOCK_NAME
from bridge.config_file import parse
from bridge.examination.files import SiteFolder
from bridge.examination.machine import ThisMachine
from bridge.examination.site import ExaminedSite
from bridge.operations.doctor.examine import Examined, examine
from bridge.operations.doctor.findings import Finding, Trouble, Weight
from bridge.operations.doctor.patient import Running
from bridge.operations.doctor.people import ALERTS
from bridge.site_folder import make_site, take_lock
from bridge.store.migrate import NEWEST
from bridge.vault import KeyFolder, Vault, folder_of_keys
from devices.protocol.vocabulary import AlertCode, Role

DAY_MS: Final = 86_400_000
PAGE_BYTES: Final = 4_096
T: Final = Trouble


class Case:
    """A copy of the sound site in which a fault is planted."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, life: ExitStack) -> None:
        self.folder = folder
        self.patch = patch
        self.life = life
        self.later_ms = 0
        self.root = Path("/")
        self.says: Running | None = None
        self.is_stopped = True
        self.undo: Callable[[], object] = lambda: None

    def look(self, *, deep: bool = False) -> Examined:
        now_ms = int(datetime.now(UTC).timestamp() * 1000) + self.later_ms
        patient = ExaminedSite(self.folder, lambda _: self.says, now_ms=now_ms, is_stopped=self.is_stopped)
        patient.machine = ThisMachine(self.root)
        return asyncio.run(examine(patient, deep=deep, on_check=lambda *_: None))

    def run(self, command: str) -> None:
        """Type a command that the doctor has named."""
        words = shlex.split(command)
        if words[0] == "dockbridge":
            done = Shell(self.folder).attempt(*words[1:])
            assert "error:" not in done.stderr, done.stderr
        else:
            subprocess.run(words, check=True, capture_output=True)

    def sql(self, statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(self.folder / DATABASE_NAME)) as connection:
            found = connection.execute(statement, values).fetchall()
            connection.commit()
            return found

    def setting(self, old: str, new: str) -> None:
        """Change the configuration; `undo` changes it back."""
        path = self.folder / CONFIG_NAME
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        self.undo = lambda: path.write_text(text)

    def alert(self, code: AlertCode, subject: str) -> None:
        self.sql("INSERT INTO alerts VALUES (?, ?, 'warning', 1, 'It is so.', 'Do this.')", code.value, subject)

    def certificate(self, *, days_ago: float, names: tuple[str, ...] = ("localhost",), folder: Path | None = None) -> None:
        """Give the server a certificate that was made some days ago."""
        certificates.issue_server(folder or self.folder / "tls", names, datetime.now(UTC) - timedelta(days=days_ago))

    def process(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        """Another program; it has printed a line when this returns."""
        program = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
        self.life.callback(program.wait)
        self.life.callback(program.kill)
        assert program.stdout is not None
        self.life.callback(program.stdout.close)
        assert program.stdout.readline()
        return program


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with TLS, two orders that have ended, two scanners, acts in the audit log and a backup."""
    folder = tmp_path_factory.mktemp("doctor") / "site"
    listen = {"mqtt": "127.0.0.1:0", "mqtts": "127.0.0.1:0"}
    make_site(folder, parse({"site": {"name": SITE}, "listen": listen}), also=lambda half: site_certificates.make(half, SITE, ["localhost", "127.0.0.1"]))
    with Site(folder) as site:
        site.create("PO-1", "PO-2")
        site.tell("shop1", Role.SYSTEM, "cancelled", *(site.event("shop1", n, f"PO-{n - 10}", {"reason": "buyer"}) for n in (11, 12)))
        site.enrol("scan-2")
    shell = Shell(folder)
    shell("device", "add", "scan-1", "--at", "dock-1")
    shell("keys", "backup")
    shell("db", "backup")
    return folder


@pytest.fixture
def case(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("site", "site.keys"):
        shutil.copytree(sound.with_name(name), tmp_path / name)
    with ExitStack() as life:
        yield Case(tmp_path / "site", monkeypatch, life)


class Fault(NamedTuple):
    """A way to make a site ill. With `mends` it is not the named command that mends it, but the person whom the finding names."""

    code: Trouble
    plant: Callable[[Case], object]
    mends: Callable[[Case], object] | None = None
    then: Callable[[Case], object] | None = None
    """What follows by itself after the command, such as the server's next checkpoint."""


def undo(case: Case) -> None:
    case.undo()


def remove(name: str) -> Callable[[Case], None]:
    """Remove a file; `undo` puts it back."""

    def plant(case: Case) -> None:
        path = case.folder / name
        data, mode = path.read_bytes(), path.stat().st_mode & 0o777
        path.unlink()
        case.undo = lambda: (path.write_bytes(data), path.chmod(mode))

    return plant


def sealed_row(case: Case) -> Path:
    """Something is sealed with the key of a site; returns the file of that key."""
    keys = KeyFolder(folder_of_keys(case.folder, ""), SITE)
    key = keys.make(now_ms=time.time_ns() // 1_000_000)
    vault = Vault(keys.keys)
    case.sql("INSERT INTO sealed (pos, order_id, received_ms, sealed, mac) VALUES (999999, NULL, 1, ?, x'')", vault.seal(b"someone", b"an order"))
    return keys.path / f"{key.id.hex()}.key"


def lost_key(case: Case) -> None:
    path = sealed_row(case)
    text = path.read_text()
    path.unlink()
    case.undo = lambda: (path.write_text(text.replace('"backed_up_ms": 0', '"backed_up_ms": 1')), path.chmod(0o600))


def empty_database(case: Case) -> None:
    for end in ("-wal", "-shm"):
        (case.folder / f"{DATABASE_NAME}{end}").unlink(missing_ok=True)
    (case.folder / DATABASE_NAME).write_bytes(b"")


def text_for_a_database(case: Case) -> None:
    empty_database(case)
    (case.folder / DATABASE_NAME).write_text("order;state\n" * 1_000)


def damaged_page(case: Case) -> None:
    ((page,),) = case.sql("SELECT pageno FROM dbstat WHERE name = 'receipts' AND pagetype = 'leaf' LIMIT 1")
    with (case.folder / DATABASE_NAME).open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(b"\xa5" * PAGE_BYTES)


def interrupted_restore(case: Case) -> None:
    aside = case.folder / "replaced-20260101T000000.000000Z"
    aside.mkdir(mode=0o700)
    for end in ("-shm", "-wal", ""):
        if (path := case.folder / f"{DATABASE_NAME}{end}").exists():
            path.rename(aside / path.name)


def interrupted_init(case: Case) -> None:
    (case.folder / ".init").mkdir()
    (case.folder / ".init" / DATABASE_NAME).touch(0o600)


def first_init_killed(case: Case) -> None:
    shutil.rmtree(case.folder)
    case.folder.mkdir(mode=0o750)
    interrupted_init(case)


def init_again(case: Case) -> None:
    (finding,) = case.look().findings
    case.run(f"{finding.command} --name {SITE} --listen 127.0.0.1:0 --mqtts ''")


def left_files(case: Case) -> None:
    for name in ("restoring.db", "verify-999999.db-wal", "tls/server.pem.part"):
        (case.folder / name).write_text("left")
        (case.folder / name).chmod(0o600)
        os.utime(case.folder / name, (1, 1))


def foreign_certificate(case: Case) -> None:
    other = case.folder.parent / "other"
    certificates.make_authority(other, "other", datetime.now(UTC))
    case.certificate(days_ago=0, folder=other)
    for name in ("server.pem", "server.key"):
        (other / name).replace(case.folder / "tls" / name)


def old_authority(case: Case) -> None:
    shutil.rmtree(case.folder / "tls")
    certificates.make_authority(case.folder / "tls", SITE, datetime.now(UTC) - certificates.AUTHORITY_VALID + timedelta(days=100))
    case.certificate(days_ago=0)


def new_authority(case: Case) -> None:
    (case.folder / "tls").rename(case.folder.parent / "old")
    Shell(case.folder)("certificate", "renew", "--host", "bridge.example.com")


def names_of_another_machine(case: Case) -> None:
    case.setting('mqtts = "127.0.0.1:0"', 'mqtts = "0.0.0.0:0"')
    case.certificate(days_ago=0, names=("elsewhere.invalid", "localhost"))


def age_backup(case: Case) -> None:
    (backup,) = (case.folder / "backups").iterdir()
    backup.rename(backup.with_name(f"{SITE}-20260101T000000Z.db"))


def no_backup(case: Case) -> None:
    shutil.rmtree(case.folder / "backups")
    case.sql("UPDATE batches SET now_ms = now_ms - ?", 3 * DAY_MS)


def owed_events(case: Case) -> None:
    case.sql("INSERT INTO ledger VALUES ('scan-1', x'0102030405060708', 9, 4, 0, ?, 1, 0)", cbor2.dumps([[1, 3], [8, 9]]))


def owed_after_restore(case: Case) -> None:
    owed_events(case)
    case.sql("INSERT INTO epochs VALUES (1, 1)")


def back_by_hand(case: Case) -> None:
    """A device is revoked; then somebody puts an old database in place without `db restore`."""
    before = case.sql("SELECT * FROM devices WHERE device = 'scan-1'")[0]
    Shell(case.folder)("device", "revoke", "scan-1", "--reason", "stolen")
    case.sql("DELETE FROM devices WHERE device = 'scan-1'")
    case.sql(f"INSERT INTO devices VALUES ({', '.join('?' * len(before))})", *before)


def new_device_gone(case: Case) -> None:
    Shell(case.folder)("device", "add", "phone-9", "--role", "courier", "--courier", "anna")
    case.sql("DELETE FROM devices WHERE device = 'phone-9'")


def changed_audit(case: Case) -> None:
    ((who,),) = case.sql("SELECT who FROM audit WHERE no = 1")
    case.sql("UPDATE audit SET who = 'somebody else' WHERE no = 1")
    case.undo = lambda: case.sql("UPDATE audit SET who = ? WHERE no = 1", who)


def pinned_log(case: Case) -> None:
    """Another program reads, and the server goes on writing."""
    case.setting("database_log_bytes = 67108864", "database_log_bytes = 1048576")
    path = str(case.folder / DATABASE_NAME)
    writer = sqlite3.connect(path)
    case.life.callback(writer.close)
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    code = "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN'); c.execute('SELECT count(*) FROM events').fetchall(); "
    reader = case.process(code + "print('reads', flush=True); time.sleep(600)", path)
    writer.execute("INSERT INTO retained VALUES ('gear/blob', zeroblob(3000000), 0)")
    writer.commit()

    def checkpoint() -> None:
        writer.execute("PRAGMA wal_checkpoint").fetchall()

    checkpoint()
    case.undo = lambda: (reader.wait(), checkpoint())


def taken_port(case: Case) -> None:
    port = free_port()
    case.setting('mqtt = "127.0.0.1:0"', f'mqtt = "127.0.0.1:{port}"')
    case.process(f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); print('listens', flush=True); time.sleep(600)")


def wait_for_the_end(case: Case) -> None:
    case.life.close()


def small_disk(case: Case) -> None:
    system = SiteFolder(case.folder).file_system._replace(free_bytes=1_000_000)
    undo_later(case, SiteFolder, "file_system", system)


def read_only(case: Case) -> None:
    undo_later(case, SiteFolder, "file_system", SiteFolder(case.folder).file_system._replace(is_read_only=True))


def network_disk(case: Case) -> None:
    undo_later(case, SiteFolder, "file_system", SiteFolder(case.folder).file_system._replace(kind="nfs4"))


def undo_later(case: Case, owner: type, name: str, value: object) -> None:
    """Let what the machine says be something else; `undo` ends that."""
    patch = pytest.MonkeyPatch()
    patch.setattr(owner, name, value)
    case.life.callback(patch.undo)
    case.undo = patch.undo


def another_machine(case: Case, **files: str) -> None:
    """A machine whose system files say something else; `undo` ends that."""
    case.root = case.folder.parent / "root"
    for name, text in files.items():
        path = case.root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    case.undo = lambda: setattr(case, "root", Path("/"))


def another_address(case: Case) -> None:
    case.certificate(days_ago=0, names=("192.0.2.7", "localhost"))
    case.setting('mqtts = "127.0.0.1:0"', 'mqtts = "192.0.2.7:8883"')


def shut_firewall(case: Case) -> None:
    case.setting('mqtts = "127.0.0.1:0"', f'mqtts = "0.0.0.0:{free_port()}"')
    case.certificate(days_ago=0, names=(os.uname().nodename, "localhost"))
    (etc := case.folder.parent / "root" / "etc" / "ufw").mkdir(parents=True)
    (etc / "ufw.conf").write_text("# on at boot\nENABLED=yes\n")
    (etc / "user.rules").write_text("### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in\n")
    (etc.parent / "default").mkdir()
    (etc.parent / "default" / "ufw").write_text('DEFAULT_INPUT_POLICY="DROP"\n')
    case.root = etc.parents[1]


def open_firewall(case: Case) -> None:
    """What `ufw allow PORT/tcp` does."""
    (finding,) = [f for f in case.look().findings if f.code is T.FIREWALL]
    port = str(finding.command).removeprefix("ufw allow ").removesuffix("/tcp")
    rules = case.root / "etc/ufw/user.rules"
    rules.write_text(rules.read_text() + f"### tuple ### allow tcp {port} 0.0.0.0/0 any 0.0.0.0/0 in\n")


def locked(case: Case, says: Running | None) -> None:
    """A process has the site open, and answers this."""
    lock = take_lock(case.folder / LOCK_NAME)
    case.says = says
    case.undo = lambda: (lock.close(), setattr(case, "says", None))
    case.life.callback(lock.close)


def old_form(case: Case) -> None:
    """The newest migration is undone."""
    assert NEWEST == "0019", "undo the one that is the newest now"
    case.sql("UPDATE alembic_version SET version_num = '0018'")
    for table in ("courier_shifts", "cash", "notices", "notices_aside", "places", "visits"):
        case.sql(f"DROP TABLE {table}")
    case.sql("ALTER TABLE cursors DROP COLUMN notice_no")
    case.sql("DROP INDEX ix_positions_event_ms")


def newer_form(case: Case) -> None:
    ((now,),) = case.sql("SELECT version_num FROM alembic_version")
    case.sql("UPDATE alembic_version SET version_num = '9999'")
    case.undo = lambda: case.sql("UPDATE alembic_version SET version_num = ?", now)


def start_and_stop(case: Case) -> None:
    with Site(case.folder):
        pass


def acknowledge(case: Case) -> None:
    for finding in case.look().findings:
        if finding.command is None and "`" in finding.fix:
            case.run(finding.fix.split("`")[-2].replace("…", "it is known"))


def given_away(case: Case) -> None:
    os.chown(case.folder / LOCK_NAME, 12_345, -1)


MEANT: Final = {T.ONLY_THIS_MACHINE}
"""What is noted of the sound site: it listens on loopback."""
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
FAST: Final = {
    "a key is readable": Fault(T.READABLE_BY_OTHERS, lambda case: (case.folder / "tls/server.key").chmod(0o644)),
    "a setting is unknown": Fault(T.CONFIG_WRONG, lambda case: case.setting("window = 64", "windwo = 64"), undo),
    "the certificate has ended": Fault(T.CERTIFICATE_EXPIRED, lambda case: case.certificate(days_ago=LEAF_VALID.days + 5)),
    "the database is gone": Fault(T.DATABASE_MISSING, lambda case: [path.unlink() for path in case.folder.glob(f"{DATABASE_NAME}*")]),
    "a state differs": Fault(T.STATES_DIFFER, lambda case: case.sql("UPDATE orders SET hash = x'01' WHERE order_id = 'PO-2'")),
    "the audit log was changed": Fault(T.AUDIT_BROKEN, changed_audit, undo),
    "no server runs": Fault(
        T.SERVER_STOPPED, lambda case: setattr(case, "is_stopped", False), lambda case: locked(case, Running(version="0.1.0", counters={}))
    ),
    "the database fails": Fault(T.STORE_FAILING, lambda case: locked(case, Running(version="0.1.0", counters={"store_failing": 1})), undo),
}
SLOW: Final = {
    "the zone is unknown": Fault(T.CONFIG_WRONG, lambda case: case.setting('timezone = "UTC"', 'timezone = "Mars/Olympus"'), undo),
    "the configuration is gone": Fault(T.CONFIG_MISSING, remove(CONFIG_NAME), undo),
    "another site's database": Fault(T.DATABASE_FOREIGN, lambda case: case.sql("UPDATE site SET name = 'rotterdam'")),
    "a key is lost": Fault(T.KEY_MISSING, lost_key, undo),
    "a key has no recovery sheet": Fault(T.KEY_WITHOUT_SHEET, sealed_row),
    "the clock is behind": Fault(T.CLOCK_BEHIND, lambda case: setattr(case, "later_ms", -DAY_MS // 24), lambda case: setattr(case, "later_ms", 0)),
    "a command was killed": Fault(T.LEFTOVERS, left_files),
    "the disk is nearly full": Fault(T.DISK_FULL, small_disk, undo),
    "an init was killed": Fault(T.INIT_INTERRUPTED, interrupted_init),
    "the first init was killed": Fault(T.INIT_INTERRUPTED, first_init_killed, init_again),
    "a restore was killed": Fault(T.RESTORE_INTERRUPTED, interrupted_restore),
    "a file is another user's": Fault(T.OWNER_DIFFERS, given_away),
    "the folder is another user's": Fault(T.FOLDER_NOT_YOURS, lambda case: undo_later(case, SiteFolder, "is_writable", False), undo),
    "the folder is read-only": Fault(T.FOLDER_READ_ONLY, read_only, undo),
    "the disk is in the network": Fault(T.NETWORK_DISK, network_disk, undo),
    "another time zone": Fault(T.ZONE_DIFFERS, lambda case: another_machine(case, etc__timezone="Europe/Amsterdam\n"), undo),
    "the key is gone": Fault(T.CERTIFICATE_UNUSABLE, remove("tls/server.key")),
    "the certificate ends soon": Fault(T.CERTIFICATE_ENDS_SOON, lambda case: case.certificate(days_ago=LEAF_VALID.days - 10)),
    "the certificate is of tomorrow": Fault(T.CERTIFICATE_NOT_YET_VALID, lambda case: case.certificate(days_ago=-9)),
    "the certificate is of another authority": Fault(T.CERTIFICATE_FOREIGN, foreign_certificate),
    "the certificate is another machine's": Fault(T.CERTIFICATE_NAMES, names_of_another_machine),
    "the authority's key is gone": Fault(T.AUTHORITY_UNUSABLE, remove("tls/ca.key"), undo),
    "the authority ends soon": Fault(T.AUTHORITY_ENDS_SOON, old_authority, new_authority),
    "the database is empty": Fault(T.DATABASE_EMPTY, empty_database),
    "the database is a text": Fault(T.DATABASE_UNREADABLE, text_for_a_database),
    "the database was not made whole": Fault(T.DATABASE_UNREADABLE, lambda case: case.sql("DELETE FROM alembic_version")),
    "the database is damaged": Fault(T.DATABASE_DAMAGED, damaged_page),
    "the database is of a newer version": Fault(T.DATABASE_NEWER, newer_form, undo),
    "the database is of an older version": Fault(T.DATABASE_OLDER, old_form, start_and_stop),
    "the write-ahead log is pinned": Fault(T.LOG_PINNED, pinned_log, then=undo),
    "an order is gone": Fault(T.RETAINED_WITHOUT_ORDER, lambda case: case.sql("INSERT INTO parcels VALUES ('PO-404', 'p1', 'packed', x'01', '', x'a0')")),
    "an alert is about nothing": Fault(T.RETAINED_WITHOUT_ORDER, lambda case: case.alert(AlertCode.LOST, "PO-404")),
    "a stolen scanner is back": Fault(T.REVOCATION_LOST, back_by_hand),
    "a new scanner is gone": Fault(T.REVOCATION_LOST, new_device_gone),
    "the server was killed": Fault(
        T.SERVER_KILLED,
        lambda case: (setattr(case, "is_stopped", False), (case.folder / "control.sock").touch()),
        lambda case: setattr(case, "is_stopped", True),
    ),
    "the server does not answer": Fault(T.SERVER_SILENT, lambda case: locked(case, None), undo),
    "the server is of another version": Fault(T.SERVER_OTHER_VERSION, lambda case: locked(case, Running(version="0.0.9", counters={})), undo),
    "the port is taken": Fault(T.PORT_TAKEN, taken_port, then=wait_for_the_end),
    "the address is another machine's": Fault(T.ADDRESS_UNUSABLE, another_address, undo),
    "the firewall is shut": Fault(T.FIREWALL, shut_firewall, open_firewall),
    "there is no backup": Fault(T.BACKUP_NONE, no_backup),
    "the backup is old": Fault(T.BACKUP_OLD, age_backup),
    "backups are off": Fault(T.BACKUP_OFF, lambda case: case.setting('folder = "backups"', 'folder = ""'), undo),
    "a scheduled backup failed": Fault(T.BACKUP_FAILS, lambda case: case.alert(AlertCode.BACKUP, SITE), then=start_and_stop),
    "a scanner owes events": Fault(T.DEVICE_OWES, owed_events),
    "a scanner owes events since a restore": Fault(T.OWED_SINCE_RESTORE, owed_after_restore),
    "a scanner's clock is wrong": Fault(T.DEVICE_CLOCK, lambda case: case.alert(AlertCode.CLOCK, "scan-1"), acknowledge),
    "two programs have one identity": Fault(T.TWO_PROGRAMS, lambda case: case.alert(AlertCode.CLIENT_ID, "scan-1"), then=start_and_stop),
    "logins fail": Fault(T.LOGINS_FAIL, lambda case: case.alert(AlertCode.LOGINS, "scan-1"), then=start_and_stop),
    "packets are too large": Fault(T.PACKET_TOO_LARGE, lambda case: case.alert(AlertCode.PACKET_SIZE, "scan-1"), acknowledge),
    "messages were dropped": Fault(T.MESSAGES_DROPPED, lambda case: case.alert(AlertCode.DROPPED, "scan-1"), acknowledge),
    "a phone has no position": Fault(T.NO_POSITION, lambda case: case.alert(AlertCode.NO_POSITION, "phone-1"), acknowledge),
    "a courier forgot to end a shift": Fault(T.SHIFT_FORGOTTEN, lambda case: case.alert(AlertCode.SHIFT_OPEN, "anna"), acknowledge),
    "cash was not counted": Fault(T.CASH_NOT_COUNTED, lambda case: case.alert(AlertCode.CASH_OPEN, "anna"), acknowledge),
    "a channel sends no files": Fault(T.CHANNEL_STALE, lambda case: case.alert(AlertCode.STALE_CHANNEL, "shop1"), acknowledge),
    "notices can't be sent": Fault(T.NOTICES_FAIL, lambda case: case.alert(AlertCode.NOTICES, SITE), then=start_and_stop),
    "a carrier contradicts a scan": Fault(
        T.CARRIER_CONTRADICTS,
        lambda case: case.alert(AlertCode.CONTRADICTION, "PO-1"),
        lambda case: case.sql("DELETE FROM alerts WHERE code = 'contradiction'"),  # as when the wrong event is voided
    ),
    "events wait for their order": Fault(T.EVENTS_PARKED, lambda case: case.alert(AlertCode.PARKED, "PO-9"), acknowledge),
    "a message is in quarantine": Fault(
        T.QUARANTINE, lambda case: case.sql("INSERT INTO quarantine VALUES (7, 'scan-1', 'pack', 1, 'malformed', 'no body', x'01', NULL, x'ff', 0, NULL, NULL)")
    ),
    "an order is on hold": Fault(T.ORDERS_STUCK, lambda case: held_order(case)),
}
MARKS: Final = {"a file is another user's": [needs_root]}


def held_order(case: Case) -> None:
    with Site(case.folder) as site:
        site.secrets["shop1"], site._seq = "", 20
        site.create("PO-21")
    Shell(case.folder)("orders", "hold", "PO-21", "--reason", "address")


def case_of(name: str, fault: Fault, *marks: Any) -> Any:
    return pytest.param(fault, id=name, marks=[*marks, *MARKS.get(name, [])])


ALL: Final = [*(case_of(n, f) for n, f in FAST.items()), *(case_of(n, f, pytest.mark.slow) for n, f in SLOW.items())]


@pytest.mark.parametrize("fault", ALL)
def test_a_fault_is_found_and_what_is_named_mends_it(case: Case, fault: Fault) -> None:
    fault.plant(case)
    files = contents(case.folder)
    found = case.look()
    assert contents(case.folder) == files, "the doctor changes nothing"
    assert codes(found) - MEANT == {fault.code}
    (finding,) = [f for f in found.findings if f.code is fault.code]
    assert found.healthy is (finding.weight is Weight.NOTE)
    assert reads_well(finding)
    if fault.mends is not None:
        fault.mends(case)
    else:
        assert finding.command is not None
        case.run(finding.command)
        if fault.then is not None:
            fault.then(case)
    after = case.look()
    assert codes(after) <= MEANT, [f.what for f in after.findings]
    assert after.healthy


def codes(found: Examined) -> set[Trouble]:
    assert not [c for c in found.checks if c.failed or (c.skipped and not found.findings)]
    return {finding.code for finding in found.findings}


def contents(folder: Path) -> dict[str, bytes]:
    """What is in every file, except SQLite's index of its log, and the log if it is empty: any reader makes these."""
    files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.endswith("-shm")}
    return {name: data for name, data in files.items() if data or not name.endswith("-wal")}


def reads_well(finding: Finding) -> bool:
    return not finding.what.endswith(".") and finding.fix[0].isupper() and finding.fix[-1] in ".:" and "None" not in finding.what + finding.fix


def test_at_least_forty_kinds_of_trouble_are_planted() -> None:
    planted = {fault.code for fault in (*FAST.values(), *SLOW.values())}
    elsewhere = {T.UNREACHABLE, T.CERTIFICATE_NOT_IN_USE, *MEANT}
    assert planted | elsewhere == set(Trouble)
    assert len(planted) >= 40


def test_every_alert_is_a_doctors_business_or_not() -> None:
    assert set(ALERTS) == set(AlertCode)


# --- at the command line ----------------------------------------------------------------------------------------------------

SECRETS: Final = ("anna-van-dijk", "lieve-groetjes", "PO-meneer-jansen", "geheim123", "klant@example.com", "/home/piet", "magazijn-kees", "argon2id$")
"""Names of people, and secrets, as they get into a site."""


def tell_secrets(case: Case) -> None:
    """Put something private into every place of a site that somebody or something may write to."""
    anna, greeting, order, password, mail, home, kees, _ = SECRETS
    shell = Shell(case.folder)
    shell("device", "add", anna, "--role", "courier")
    shell("device", "revoke", "scan-2", "--reason", greeting)
    case.setting('folder = "backups"', f'folder = "{home}/backups"  # {password}')
    case.sql("INSERT INTO quarantine VALUES (7, ?, 'pack', 1, 'malformed', ?, x'01', NULL, ?, 0, NULL, NULL)", anna, mail, password.encode())
    case.sql("INSERT INTO alerts VALUES ('parked', ?, 'warning', 1, ?, ?)", order, f"{order} of {mail} waits.", greeting)
    case.sql("INSERT INTO parcels VALUES (?, 'p1', 'packed', x'01', '', x'a0')", order)
    case.sql("UPDATE orders SET hash = x'01', status = ? WHERE order_id = 'PO-2'", mail.encode())
    case.sql("INSERT INTO retained VALUES (?, ?, 0)", f"gear/{kees}", mail.encode())
    case.sql("UPDATE audit SET who = ? WHERE no = 1", kees)
    case.sql("INSERT INTO ledger VALUES (?, x'0102030405060708', 9, 4, 0, ?, 1, 0)", anna, cbor2.dumps([[1, 3], [8, 9]]))


def unpacked(bundle: Path) -> dict[str, bytes]:
    if bundle.suffix == ".zip":
        with zipfile.ZipFile(bundle) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(bundle) as archive:
        return {entry.name: file.read() for entry in archive if (file := archive.extractfile(entry)) is not None}


@pytest.mark.parametrize("name", ["site.tar.gz", pytest.param("site.zip", marks=pytest.mark.slow)])
def test_a_bundle_for_support_names_nobody(case: Case, tmp_path: Path, name: str) -> None:
    tell_secrets(case)
    shell = Shell(case.folder)
    assert f"{name} is for support" in shell("doctor", "--stopped", "--bundle", tmp_path / name, code=1).stderr
    files = unpacked(tmp_path / name)
    assert sorted(f.removeprefix("dockbridge/") for f in files) == sorted(
        ["README.txt", "bridge.toml", "counts.json", "findings.json", "schema.sql", "status.json", "versions.json"]
    )
    told = b"\n".join([*files.values(), *map(str.encode, files), (tmp_path / name).read_bytes()]).lower()
    hashes = [h for (h,) in case.sql("SELECT password_hash FROM devices WHERE password_hash IS NOT NULL")]
    assert [s for s in (*SECRETS, *hashes, str(case.folder)) if s.lower().encode() in told] == []
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    counts = json.loads(files["dockbridge/counts.json"])
    assert (counts["rows"]["orders"], counts["quarantine"], counts["alerts"]) == (2, {"malformed": 1}, {"parked": 1})
    found = {f["code"] for f in json.loads(files["dockbridge/findings.json"])["findings"]}
    assert {"states_differ", "audit_broken", "device_owes", "quarantine", "retained_without_order"} <= found
    assert "exists already" in shell("doctor", "--bundle", tmp_path / name, code=1).stderr
    assert ".tar.gz" in shell("doctor", "--bundle", tmp_path / "site.rar", code=1).stderr


@pytest.mark.slow
@pytest.mark.parametrize("plant", [remove(CONFIG_NAME), empty_database, text_for_a_database], ids=["no configuration", "an empty database", "a text"])
def test_a_bundle_is_made_of_whatever_can_be_read(case: Case, tmp_path: Path, plant: Callable[[Case], None]) -> None:
    plant(case)
    Shell(case.folder)("doctor", "--bundle", tmp_path / "site.zip", code=1)
    files = unpacked(tmp_path / "site.zip")
    assert not json.loads(files["dockbridge/findings.json"])["healthy"]


def test_the_doctor_says_what_is_wrong_and_what_to_type(case: Case) -> None:
    (case.folder / "tls/server.key").chmod(0o644)
    shell = Shell(case.folder)
    done = shell("doctor", "--stopped", code=1)
    assert "WRONG readable_by_others: the rights of tls/server.key let everyone read it\n  Only the owner" in done.stdout
    assert f"\n  chmod o-rwx {case.folder}/tls/server.key\n" in done.stdout
    assert "ok    configuration, leftovers, disk" in done.stdout
    assert "1 fault, 1 note." in done.stderr
    case.run(f"chmod o-rwx {case.folder}/tls/server.key")
    assert shell.data("doctor", "--stopped")["healthy"]
    elsewhere = Shell(case.folder.parent)
    for named in ((case.folder,), ("--site", case.folder)):
        assert f"  dockbridge serve {case.folder}\n" in elsewhere("doctor", *named, code=1).stdout
    case.setting("window = 64", "windwo = 64")
    said = shell("doctor", code=1).stdout
    assert "not checked, because the configuration can't be read: certificates, database, server" in said
    assert "is not a site" in elsewhere("doctor", case.folder / "none", code=1).stderr


@pytest.mark.slow
def test_a_certificate_that_was_made_elsewhere_is_renewed_there(case: Case) -> None:
    """It may be of any authority, and no command of ours replaces it."""
    foreign_certificate(case)
    for end in ("pem", "key"):
        (case.folder / "tls" / f"server.{end}").rename(case.folder / f"own.{end}")
        case.setting(f"tls/server.{end}", f"own.{end}")
    assert codes(case.look()) == MEANT
    case.certificate(days_ago=LEAF_VALID.days + 5)
    for end in ("pem", "key"):
        (case.folder / "tls" / f"server.{end}").rename(case.folder / f"own.{end}")
    (finding,) = [f for f in case.look().findings if f.weight is Weight.WRONG]
    assert (finding.code, finding.command) == (T.CERTIFICATE_EXPIRED, None)
    assert "`dockbridge certificate reload`" in finding.fix
    (case.folder / "own.key").unlink()
    (finding,) = [f for f in case.look().findings if f.weight is Weight.WRONG]
    assert (finding.code, finding.command) == (T.CERTIFICATE_UNUSABLE, None)
    assert "own.key does not exist" in finding.what


@pytest.mark.slow
def test_a_running_server_is_reached_and_shows_its_certificate(case: Case) -> None:
    mqtt, mqtts = free_port(), free_port()
    case.setting('mqtt = "127.0.0.1:0"', f'mqtt = "127.0.0.1:{mqtt}"')
    case.setting('mqtts = "127.0.0.1:0"', f'mqtts = "127.0.0.1:{mqtts}"')
    shell = Shell(case.folder)
    with Server(case.folder) as server:
        assert shell.data("doctor")["healthy"]
        site_certificates.make(case.folder, SITE, ["localhost", "127.0.0.1"])
        (finding,) = wrong(shell)
        assert finding["code"] == "certificate_not_in_use"
        case.run(finding["command"])
        assert shell.data("doctor", "--deep")["healthy"]
        case.setting(f":{mqtt}", f":{free_port()}")
        (finding,) = wrong(shell)
        assert finding["code"] == "unreachable"
        server.restart()
        assert shell.data("doctor")["healthy"]
        server.end(signal.SIGKILL)
        (finding,) = wrong(shell)
        assert finding["code"] == "server_killed"
        server.start()
        assert shell.data("doctor")["healthy"]


def wrong(shell: Shell) -> list[dict[str, Any]]:
    return [f for check in shell.data("doctor", code=1)["checks"] for f in check["findings"] if f["weight"] == "wrong"]

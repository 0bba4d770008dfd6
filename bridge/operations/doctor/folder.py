"""Checks of the configuration and of the site's folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from bridge.config import CONFIG_NAME, CREDENTIALS_NAME, DATABASE_NAME, LOCK_NAME
from bridge.errors import BridgeError
from bridge.operations.doctor.findings import Finding, Trouble, Weight, named
from bridge.operations.doctor.patient import Patient, SiteFile

FREE_MIN_BYTES: Final = 500_000_000
"""Free space below which the disk is nearly full."""
FREE_MIN_SHARE: Final = 0.02
NETWORK_KINDS: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.glusterfs", "ceph", "afs"})
"""File systems on which SQLite's write-ahead log does not work: other machines can't share its memory."""
_OTHERS: Final = 0o007
QUIET_MS: Final = 600_000
"""A file that is being written changes more often than this."""
_PRIVATE: Final = re.compile(rf".*\.(db|db-wal|key)|{re.escape(CREDENTIALS_NAME)}")
"""Files that hold hashes of passwords, keys, or the orders of people."""
_WRITTEN: Final = re.compile(rf"{re.escape(DATABASE_NAME)}(-wal|-shm)?|{re.escape(CREDENTIALS_NAME)}|{re.escape(LOCK_NAME)}")
"""Files that the server writes to."""
_LEFT: Final = re.compile(r"(.*/)?[^/]+\.part|verify-\d+\.db(-wal|-shm)?|restoring\.db(-wal|-shm)?")


def configuration(patient: Patient) -> Iterable[Finding]:
    folder, settings = patient.folder, patient.settings
    if folder.half_made is not None:
        is_site = folder.has(CONFIG_NAME)
        yield Finding(
            code=Trouble.INIT_INTERRUPTED,
            what=f"an init was killed, and has left {folder.half_made}",
            fix="The site is complete without it." if is_site else "Run it again, with the same options: it begins anew.",
            command=patient.shell("rm", "-r", folder.half_made) if is_site else patient.shell("dockbridge", "init", folder.path),
        )
        if not is_site:
            return
    if not folder.has(CONFIG_NAME):
        yield Finding(
            code=Trouble.CONFIG_MISSING,
            what=f"{CONFIG_NAME} is missing in {folder.path}",
            fix="Put the copy of it back. If this is not the site's folder, name that.",
        )
    elif isinstance(settings, BridgeError):
        yield Finding(
            code=Trouble.CONFIG_WRONG,
            what=str(settings),
            fix=f"Whoever looks after the server corrects {folder.path / CONFIG_NAME}: {settings.fix}.",
        )
    elif (zone := patient.machine.zone) is not None and not _is_same_zone(settings.site.timezone, zone):
        yield Finding(
            code=Trouble.ZONE_DIFFERS,
            weight=Weight.NOTE,
            what=f"commands print times in {settings.site.timezone}, and this machine's time zone is {zone}",
            fix=f'If the site is in {zone}, write timezone = "{zone}" below [site] in {CONFIG_NAME}.',
        )


def _is_same_zone(one: str, other: str) -> bool:
    utc = {"UTC", "Etc/UTC", "Etc/GMT", "GMT", "Etc/Universal", "Etc/Zulu", "Universal", "Zulu"}
    return one == other or {one, other} <= utc


def put_aside(patient: Patient) -> list[str]:
    """The databases that restores have put aside, oldest first, if an interrupted restore has left none in their place."""
    if patient.folder.has(DATABASE_NAME):
        return []
    return sorted(f.name for f in patient.folder.files() if re.fullmatch(rf"replaced-[^/]+/{re.escape(DATABASE_NAME)}", f.name))


def leftovers(patient: Patient) -> Iterable[Finding]:
    folder = patient.folder
    if aside := put_aside(patient):
        yield Finding(
            code=Trouble.RESTORE_INTERRUPTED,
            what=f"a restore was interrupted: the database was put aside in {aside[-1]}, and no other took its place",
            fix="Run the restore again; or put the database back that was here before.",
            command=patient.command("db", "restore", folder.path / aside[-1]),
        )
        return
    left = [f.name for f in folder.files() if _LEFT.fullmatch(f.name) and f.changed_ms < patient.now_ms - QUIET_MS]
    if left:
        yield Finding(
            code=Trouble.LEFTOVERS,
            what=f"a command that was killed has left {named(left)}",
            fix="Nothing needs these files; they only take space.",
            command=patient.shell("rm", *left),
        )


def rights(patient: Patient) -> Iterable[Finding]:
    folder = patient.folder
    files = folder.files()
    if folder.file_system.is_read_only:
        what = f"the file system of {folder.path} is mounted read-only"
        yield Finding(code=Trouble.FOLDER_READ_ONLY, what=what, fix="The administrator mounts it read-write.")
    elif not folder.is_writable:
        yield Finding(
            code=Trouble.FOLDER_NOT_YOURS,
            what=f"this user may not use {folder.path}: it belongs to {folder.owner}",
            fix=f"Run the server and its commands, this one too, as {folder.owner}:",
            command=f"sudo -u {folder.owner} {patient.command('doctor')}",
        )
    if strange := [f for f in files if _WRITTEN.fullmatch(f.name) and f.owner != folder.owner]:
        yield Finding(
            code=Trouble.OWNER_DIFFERS,
            what=f"the folder belongs to {folder.owner}, and {named([f'{f.name} to {f.owner}' for f in strange])}: the server may not write to it",
            fix=f"A command was run as another user. The administrator gives its files to {folder.owner}; run commands as that user from now on.",
            command=patient.shell("chown", folder.owner, *[f.name for f in strange]),
        )
    if open_ := [f for f in files if _PRIVATE.fullmatch(f.name) and f.mode & _OTHERS]:
        yield _readable(patient, open_)


def _readable(patient: Patient, files: list[SiteFile]) -> Finding:
    names = [f.name for f in files]
    keys = [name for name in names if name.endswith(".key")]
    return Finding(
        code=Trouble.READABLE_BY_OTHERS,
        what=f"the rights of {named(names)} let everyone read {'it' if len(names) == 1 else 'them'}",
        fix="Only the owner has to." + (" If strangers use this machine, make a new certificate as well (`dockbridge certificate renew`)." if keys else ""),
        command=patient.shell("chmod", "o-rwx", *names),
    )


def disk(patient: Patient) -> Iterable[Finding]:
    system = patient.folder.file_system
    least = min(max(FREE_MIN_BYTES, round(system.all_bytes * FREE_MIN_SHARE)), system.all_bytes // 10)
    if system.free_bytes < least:
        yield Finding(
            code=Trouble.DISK_FULL,
            what=f"the disk of {patient.folder.path} has {system.free_bytes / 1e6:,.0f} MB free; once it is full, nothing is acknowledged any more",
            fix="Whoever looks after the server frees space there: old folders replaced-…, copies dockbridge-before-….db, and backups (backup.keep).",
        )
    if system.kind in NETWORK_KINDS:
        yield Finding(
            code=Trouble.NETWORK_DISK,
            what=f"{patient.folder.path} is on a network file system ({system.kind}), on which the database can be damaged",
            fix="Move the site's folder to a disk of this machine. Backups may stay on the network (backup.folder).",
        )

"""The systemd unit of a site (systemd.service(5), systemd.exec(5)): what the server may do on its machine, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.addresses import split_address
from bridge.bounds import DESCRIPTORS_KEPT
from bridge.config import LISTENERS, Settings
from bridge.errors import Refused
from bridge.vault import folder_of_keys

FIRST_FREE_PORT: Final = 1_024
"""Lower ports need a capability (capabilities(7))."""
_HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))
TEMPORARY: Final = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 -- only compared

_SERVICE: Final = """\
# Made by `dockbridge service install` for {directory}. For changes of your own: systemctl edit {name}
[Unit]
Description=Dockbridge site {site}
Wants=network-online.target
After=network-online.target time-sync.target
RequiresMountsFor={directory}
# The server starts again until it can: a warehouse waits for it.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={user}
WorkingDirectory={directory}
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5
# A start may migrate the database, and derive all orders anew.
TimeoutStartSec=infinity
TimeoutStopSec=60
WatchdogSec=60
# broker.connections_max, and what the server itself needs.
LimitNOFILE={descriptors}
UMask=0077

# It writes into its folder and that of its keys, and nowhere else.
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
ProtectProc=invisible
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes

# It gains no rights. PrivateUsers stays off: the audit log has the names of those who give commands.
NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
AmbientCapabilities={capabilities}
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit: its name with `.service`, and its text."""

    name: str
    text: str


def unit_of(settings: Settings, directory: Path, user: str, program: Sequence[str]) -> Unit:
    """The unit of a site.

    Args:
        directory: the site's folder, absolute.
        user: the user of the operating system that runs the server.
        program: `dockbridge` as it is called on this machine, absolute.

    Raises:
        Refused: if a service can't use the folder.
    """
    for temporary in TEMPORARY:
        if directory.is_relative_to(temporary):
            raise Refused(f"{directory} is below {temporary}, and a service has a {temporary} of its own", fix="move the site to a folder such as /srv/ams1")
    keys = folder_of_keys(directory, settings.privacy.keys_folder)
    folders = [directory, keys, *_backups_outside(settings, directory)]
    used = (*folders, Path(program[0]), *(directory / file for file in (settings.listen.tls_cert_file, settings.listen.tls_key_file)))
    name = f"dockbridge-{re.sub(r'[^A-Za-z0-9_.-]', '_', settings.site.name)}"
    text = _SERVICE.format(
        name=name,
        site=_escaped(settings.site.name),
        directory=_quoted(str(directory)),
        user=user,
        command=" ".join(_quoted(word) for word in (*program, "serve", str(directory))),
        descriptors=settings.broker.connections_max + DESCRIPTORS_KEPT,
        # A folder outside may be on a disk that is not mounted now: with a dash, the server starts all the same.
        writable=" ".join([_quoted(str(directory)), _quoted(str(keys)), *(_quoted(f"-{folder}") for folder in folders[2:])]),
        home="read-only" if any(path.is_relative_to(home) for path in used for home in _HOMES) else "yes",
        capabilities="CAP_NET_BIND_SERVICE" if _has_low_port(settings) else "",
    )
    return Unit(name=f"{name}.service", text=text)


def _backups_outside(settings: Settings, directory: Path) -> list[Path]:
    """The folder of the backups, if it is not inside the site's."""
    folder = directory / settings.backup.folder
    return [] if not settings.backup.folder or folder.is_relative_to(directory) else [folder]


def _has_low_port(settings: Settings) -> bool:
    binds = [(f"listen.{name}", getattr(settings.listen, name)) for name in LISTENERS]
    return any(0 < split_address(name, bind)[1] < FIRST_FREE_PORT for name, bind in binds if bind)


def _escaped(text: str) -> str:
    """A text in which systemd replaces nothing: % and $ begin what it would (systemd.unit(5))."""
    return text.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")


def _quoted(word: str) -> str:
    """A path or an argument as one word."""
    escaped = _escaped(word).replace('"', '\\"')
    return f'"{escaped}"' if re.search(r"[\s\"';]", word) else escaped


__all__ = ["Unit", "unit_of"]

"""The machine: its clock's zone, addresses, ports, processes and firewall, from what Linux tells every user."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

from bridge.addresses import is_loopback
from bridge.operations.doctor.patient import BindFault, Holder

CONNECT_S: Final = 3.0
_SIOCGIFADDR: Final = 0x8915
"""Asks for the address of a network interface (netdevice(7))."""
_LISTENING: Final = "0A"
_ANOTHER: Final = "another program"


class ThisMachine:
    """See `operations.doctor.patient.Machine`.

    Args:
        root: where the files of the system are.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    @property
    def zone(self) -> str | None:
        with suppress(OSError):
            if named := os.readlink(self._root / "etc/localtime").partition("zoneinfo/")[2]:
                return named
        with suppress(OSError):
            return (self._root / "etc/timezone").read_text().strip() or None
        return None

    @cached_property
    def addresses(self) -> Sequence[str]:
        found = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            for _, name in socket.if_nameindex():
                with suppress(OSError):
                    answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                    found.append(socket.inet_ntoa(answer[20:24]))
        return [address for address in found if not is_loopback(address)]

    def resolves(self, name: str) -> bool:
        if name == socket.gethostname():
            return True
        try:
            return bool(socket.getaddrinfo(name, None))
        except (OSError, UnicodeError):
            return False

    def bind_fault(self, host: str, port: int) -> BindFault | None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                is_taken = error.errno == errno.EADDRINUSE
                return BindFault(error.strerror or str(error), (self._listener(port) or Holder(None, _ANOTHER)) if is_taken else None)
        return None

    def _listener(self, port: int) -> Holder | None:
        inodes = set()
        for table in ("net/tcp", "net/tcp6"):
            with suppress(OSError):
                for line in (self._root / "proc" / table).read_text().splitlines()[1:]:
                    words = line.split()
                    if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                        inodes.add(f"socket:[{words[9]}]")
        return next((Holder(pid, name) for pid, name, target in open_files(self._root) if target in inodes), None)

    def connect_fault(self, host: str, port: int) -> str | None:
        try:
            socket.create_connection((host, port), CONNECT_S).close()
        except OSError as error:
            return error.strerror or str(error)
        return None

    def certificate_at(self, host: str, port: int) -> str | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is only compared with the one in the file
        try:
            with socket.create_connection((host, port), CONNECT_S) as plain, context.wrap_socket(plain) as wire:
                found = wire.getpeercert(binary_form=True)
        except OSError:
            return None
        return hashlib.sha256(found).digest().hex(":").upper() if found else None

    def is_port_shut(self, port: int) -> bool:
        """Known only of ufw, and only to a user who may read its rules."""
        with suppress(OSError):
            if not re.search(r"^ENABLED=yes", (self._root / "etc/ufw/ufw.conf").read_text(), re.MULTILINE):
                return False
            rules = (self._root / "etc/ufw/user.rules").read_text()
            defaults = (self._root / "etc/default/ufw").read_text()
            allowed = re.findall(r"^### tuple ### (?:allow|limit) (?:tcp|any) (\S+) ", rules, re.MULTILINE)
            return 'DEFAULT_INPUT_POLICY="ACCEPT"' not in defaults and not any(_covers(ports, port) for ports in allowed)
        return False


def open_files(root: Path = Path("/")) -> Iterator[tuple[int, str, str]]:
    """(process, its name, what it has open) for every open file of the processes that this user may look at."""
    for process in (root / "proc").glob("[0-9]*"):
        with suppress(OSError):
            name = (process / "comm").read_text().strip()
            for file in (process / "fd").iterdir():
                with suppress(OSError):
                    yield int(process.name), name, os.readlink(file)


def _covers(ports: str, port: int) -> bool:
    """Whether a port is in a list of ufw, such as `80,443,8000:9000`."""
    for part in ports.split(","):
        first, _, last = part.partition(":")
        if part == "any" or (first.isdecimal() and int(first) <= port <= int(last or first)):
            return True
    return False

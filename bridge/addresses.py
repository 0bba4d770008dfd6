"""Addresses to listen on, as the configuration names them."""

from __future__ import annotations

import ipaddress

from bridge.errors import ConfigError


def split_address(name: str, bind: str) -> tuple[str, int]:
    """Split a `host:port` into (host, port).

    Raises:
        ConfigError: if the text does not have this form.
    """
    host, _, port = bind.rpartition(":")
    if ":" in host:
        raise ConfigError(f"{name} is {bind!r}: the server can't listen on IPv6 addresses yet", fix="use an IPv4 address, such as 127.0.0.1:1883")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ConfigError(f"{name} is {bind!r}; it must be host:port", fix="for example 127.0.0.1:1883")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def overlap(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether two listeners can't both have their addresses: 0.0.0.0 means every address, port 0 any free port."""
    hosts = {"127.0.0.1" if host == "localhost" else host for host, _ in (one, other)}
    return one[1] == other[1] != 0 and (len(hosts) == 1 or "0.0.0.0" in hosts)  # noqa: S104 -- only compared

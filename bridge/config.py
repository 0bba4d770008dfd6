"""Every setting: its default, unit and a sentence. `config/bridge.toml` is written from here; a test compares them."""

from __future__ import annotations

import ipaddress
import math
import tomllib
from dataclasses import dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any, Final, get_type_hints

from bridge.errors import ConfigError
from devices.protocol.topics import escape

CONFIG_NAME: Final = "bridge.toml"
DATABASE_NAME: Final = "dockbridge.db"
SOCKET_NAME: Final = "control.sock"
LOCK_NAME: Final = "serve.lock"
LISTENERS: Final = {"mqtt": False, "mqtts": True, "websocket": False, "wss": True}
"""The settings of listeners, and whether each speaks TLS."""


def _setting(default: Any, about: str, *, least: float | None = None, most: float | None = None) -> Any:
    return field(default=default, metadata={"about": about, "least": least, "most": most})


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """Who we are."""

    name: str = _setting("main", "The site's name: the tenant in every topic, v1/{name}/…")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """Where devices connect. Port 0 takes a free one."""

    mqtt: str = _setting("127.0.0.1:1883", "host:port of MQTT over TCP, without TLS; empty for none.")
    mqtts: str = _setting("", "host:port of MQTT over TLS; empty for none.")
    websocket: str = _setting("", "host:port of MQTT over WebSocket, without TLS; empty for none.")
    wss: str = _setting("", "host:port of MQTT over WebSocket over TLS; empty for none.")
    tls_cert_file: str = _setting("tls/server.pem", "Certificate chain (PEM) for mqtts and wss. Relative files are relative to the site's folder.")
    tls_key_file: str = _setting("tls/server.key", "Private key (PEM) of that certificate.")
    tls_client_ca_file: str = _setting("", "Authority (PEM) of client certificates, tls/ca.pem for the site's own; empty for no client certificates.")
    allow_plain: bool = _setting(False, "Let mqtt and websocket listen outside loopback. Passwords then cross the network readable.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """Bounds of connections and sessions."""

    packet_bytes_max: int = _setting(262_144, "Largest MQTT packet, bytes.", least=1_024, most=268_435_455)
    window: int = _setting(64, "QoS 1 and 2 messages in flight to one client.", least=1, most=65_535)
    session_queue_max: int = _setting(10_000, "Messages that wait for one client; the oldest goes when there are more, and an alert is raised.", least=1)
    session_queue_bytes_max: int = _setting(16_777_216, "Bytes that wait in memory for one client without a persistent session.", least=65_536)
    session_queue_age_h: float = _setting(168.0, "Hours that a message waits for a client that is away.", least=0.001)
    session_expiry_days: float = _setting(30.0, "Days after which the session of a client that never came back ends.", least=0.001)
    sessions_max: int = _setting(20_000, "Sessions kept, connected or not.", least=1)
    sessions_per_device_max: int = _setting(8, "Sessions of one device; its oldest that is not connected goes, and an alert is raised.", least=1)
    subscriptions_max: int = _setting(100, "Subscriptions of one client.", least=1)
    connections_max: int = _setting(10_000, "Connections in all; also bounded by the file descriptors that the system gives.", least=1)
    connections_per_address_max: int = _setting(5_000, "Connections from one address.", least=1)
    topic_levels_max: int = _setting(32, "Levels of a topic or topic filter.", least=8, most=65_536)
    topic_bytes_max: int = _setting(1_024, "Length of a topic or topic filter, bytes.", least=512, most=65_535)
    publish_rate_max: int = _setting(2_000, "Messages and filters a second that one client may send over time; beyond it is read more slowly.", least=1)
    output_bytes_max: int = _setting(1_048_576, "Bytes on their way to one client; beyond it messages wait in its queue.", least=4_096)
    recent_bytes_max: int = _setting(8_388_608, "Bytes of the newest messages of persistent sessions that stay in memory.", least=0)
    recent_retained_max: int = _setting(50_000, "Topics of orders of which is remembered when they were published last; some 200 bytes each.", least=1)
    matches_max: int = _setting(200_000, "Pairs of topic and subscriber that are remembered until a subscription changes; some 100 bytes each.", least=0)
    message_log_max: int = _setting(
        1_000_000, "Messages that wait for all persistent sessions together; beyond it the longest queue gives some up.", least=1_000
    )
    retained_max: int = _setting(100_000, "Retained topics, those of orders left out, up to which gear outside v1/ may add more.", least=0)
    ack_flush_ms: int = _setting(200, "Milliseconds after which what a client has acknowledged is stored at the latest.", least=2, most=60_000)
    connect_timeout_s: float = _setting(5.0, "Time from the connection to a whole CONNECT, seconds.", least=0.1)
    authentication_timeout_s: float = _setting(60.0, "Time that checking a password may take when a whole fleet comes back at once, seconds.", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestSettings:
    """Bounds of the pipeline from PUBLISH to commit."""

    queue_messages_max: int = _setting(20_000, "Messages that wait for the store before reading pauses.", least=1)
    queue_bytes_max: int = _setting(67_108_864, "Bytes of payload that wait for the store before reading pauses.", least=262_144)
    batch_messages_max: int = _setting(1_000, "Messages in one transaction.", least=1, most=10_000)
    retry_first_s: float = _setting(0.1, "First pause when the store can't take writes, seconds; it doubles.", least=0.001)
    retry_max_s: float = _setting(5.0, "Longest pause between tries, seconds.", least=0.001)
    database_cache_bytes: int = _setting(33_554_432, "Bytes of the database that its writer keeps in memory.", least=1_048_576)
    database_log_bytes: int = _setting(
        67_108_864, "Bytes of the database's write-ahead log that are gathered under load before they are moved into the database.", least=1_048_576
    )
    orders_cached_max: int = _setting(20_000, "Orders kept in memory, those used last; some 17 kB each.", least=1)
    devices_cached_max: int = _setting(20_000, "Devices kept in memory.", least=1)
    quarantine_entries_max: int = _setting(10_000, "Messages kept in quarantine, equal ones of a device once; the oldest goes when there are more.", least=1)
    gap_alert_after_s: float = _setting(600.0, "Seconds without a word after which a device that owes events raises an alert.", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSettings:
    """How orders are kept and shown."""

    events_max: int = _setting(2_000, "Events of one order; what comes beyond is rejected.", least=10)
    parked_deadline_h: float = _setting(24.0, "Hours that an event may wait for its order before an alert is raised.", least=0.001)
    silent_after_h: float = _setting(72.0, "Hours without an event after which a shipped order is flagged silent.", least=0.001)
    status_keep_days: float = _setting(30.0, "Days that statuses of ended orders stay retained.", least=0.001)
    position_every_s: float = _setting(10.0, "Positions of one courier are stored at most this often, seconds.", least=0.0)
    positions_keep_days: float = _setting(30.0, "Days that couriers' stored positions are kept.", least=0.001)
    sweep_every_s: float = _setting(30.0, "How often deadlines are looked at, seconds.", least=0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings:
    """What the bridge publishes."""

    format: str = _setting("cbor", "cbor or json.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a site."""

    site: SiteSettings = field(default_factory=SiteSettings)
    listen: ListenSettings = field(default_factory=ListenSettings)
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    orders: OrderSettings = field(default_factory=OrderSettings)
    publish: PublishSettings = field(default_factory=PublishSettings)


_TYPE_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def load(path: Path) -> Settings:
    """Read a `bridge.toml`.

    Raises:
        ConfigError: naming the setting and the fix.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"there is no {path}", fix="give a site's folder with --site DIR, or make one with `dockbridge init DIR`") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", fix="mend the line; `dockbridge config show --defaults` prints a file that is right") from error
    return parse(data)


def parse(data: dict[str, Any]) -> Settings:
    """Settings from plain TOML data; what is left out has its default.

    Raises:
        ConfigError: naming the setting and the fix.
    """
    sections = get_type_hints(Settings)
    for name in data:
        if name not in sections:
            raise ConfigError(f"[{name}] is no section", fix=f"sections are {', '.join(sections)}")
    settings = Settings(**{name: _section(name, kind, data.get(name, {})) for name, kind in sections.items()})
    _check(settings)
    return settings


def _section(name: str, kind: type[Any], values: Any) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{name} is a section, not a value", fix=f"write [{name}] and its settings below it")
    known = {f.name: f for f in fields(kind)}
    types = get_type_hints(kind)
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{name}.{key} is no setting", fix=f"settings of [{name}] are {', '.join(known)}")
        _check_value(f"{name}.{key}", value, types[key], known[key].default, known[key].metadata)
    return kind(**{k: float(v) if types[k] is float else v for k, v in values.items()})


def _check_value(name: str, value: Any, kind: type[Any], default: Any, metadata: Any) -> None:
    fix = f"write {name.rpartition('.')[2]} = {_toml(default)}, the default, or what suits you: {metadata['about']}"
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    right = number if kind is float else type(value) is kind
    if not right:
        raise ConfigError(f"{name} is {value!r}, should be {_TYPE_WORDS[kind]}", fix=fix)
    if metadata["least"] is not None and value < metadata["least"]:
        raise ConfigError(f"{name} is {value}, at least {metadata['least']}", fix=fix)
    if metadata["most"] is not None and value > metadata["most"]:
        raise ConfigError(f"{name} is {value}, at most {metadata['most']}", fix=fix)


def _check(settings: Settings) -> None:
    if settings.publish.format not in ("cbor", "json"):
        raise ConfigError(f"publish.format is {settings.publish.format!r}", fix='write format = "cbor", or "json" for tools that read no CBOR')
    try:
        if not settings.site.name.isprintable():
            raise ValueError("expected characters that can be printed")
        escape(settings.site.name)
    except ValueError as error:
        raise ConfigError(f"site.name: {error}", fix="choose a short name, such as main") from error
    _check_listen(settings.listen)


def _check_listen(listen: ListenSettings) -> None:
    binds = {name: getattr(listen, name) for name in LISTENERS}
    if not any(binds.values()):
        raise ConfigError("every listener is empty", fix=f"give at least one of listen.{', listen.'.join(LISTENERS)} an address, such as 127.0.0.1:1883")
    for name in ("tls_cert_file", "tls_key_file"):
        if not getattr(listen, name) and (listen.mqtts or listen.wss or listen.tls_cert_file or listen.tls_key_file):
            raise ConfigError(f"listen.{name} is empty; listen.tls_cert_file and listen.tls_key_file come together", fix="give both: mqtts and wss need them")
    addresses: dict[str, tuple[str, int]] = {}
    for name, bind in binds.items():
        if not bind:
            continue
        host, _ = addresses[name] = split_address(f"listen.{name}", bind)
        if not (LISTENERS[name] or listen.allow_plain or is_loopback(host)):
            raise ConfigError(
                f"listen.{name} is {bind}: outside loopback without TLS",
                fix=f"use listen.{'mqtts' if name == 'mqtt' else 'wss'} (or, on a network that you trust, listen.allow_plain = true)",
            )
    for one, other in combinations(addresses, 2):
        if _overlap(addresses[one], addresses[other]):
            raise ConfigError(f"listen.{one} and listen.{other} have the same address, {binds[other]}", fix="give each listener a port of its own")


def _overlap(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether only one of two listeners can have its address: 0.0.0.0 is every address, port 0 any free one."""
    hosts = {"127.0.0.1" if host == "localhost" else host for host, _ in (one, other)}
    return one[1] == other[1] != 0 and (len(hosts) == 1 or "0.0.0.0" in hosts)  # noqa: S104 -- looks for it


def split_address(name: str, bind: str) -> tuple[str, int]:
    """(host, port) of a `host:port`.

    Raises:
        ConfigError: where it is none.
    """
    host, _, port = bind.rpartition(":")
    if ":" in host:
        raise ConfigError(f"{name} is {bind!r}: IPv6 addresses can't be listened on yet", fix="use an IPv4 address, such as 127.0.0.1:1883")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ConfigError(f"{name} is {bind!r}, should be host:port", fix="for example 127.0.0.1:1883")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def render(settings: Settings) -> str:
    """Settings as a commented TOML file; reading it back gives the same settings."""
    lines = ["# Dockbridge: every setting, with its default, unit and a sentence. A line that is left out has the value that stands here."]
    for section in fields(Settings):
        values = getattr(settings, section.name)
        lines += ["", f"[{section.name}]", f"# {type(values).__doc__}"]
        for setting in fields(values):
            lines += [f"# {setting.metadata['about']}", f"{setting.name} = {_toml(getattr(values, setting.name))}"]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)

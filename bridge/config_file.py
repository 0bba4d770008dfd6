"""A site's `bridge.toml`: read, checked and written. A mistake is named with its setting and the fix."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import fields
from datetime import UTC, tzinfo
from itertools import combinations
from pathlib import Path
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

from bridge.addresses import is_loopback, overlap, split_address, target_of
from bridge.carrier_settings import carrier_rules
from bridge.config import LISTENERS, LOG_FORMATS, NAME_A_SITE, REPORT_RULES, TOTP_RULES, UNPAID_RULES, ListenSettings, MetricsSettings, NoticeSettings, Settings
from bridge.errors import ConfigError
from devices.protocol.topics import escape

_SECTIONS = "sections"
_TYPE_WORDS = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


def load(path: Path) -> Settings:
    """Read a `bridge.toml`.

    Raises:
        ConfigError: if a setting is wrong. It names the setting and the fix.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist", fix=NAME_A_SITE) from None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}", fix="let the user who runs this command, or the server, read the file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", fix="fix that line; `dockbridge config show --defaults` prints a correct file") from error
    return parse(data)


def parse(data: dict[str, Any]) -> Settings:
    """Build settings from plain TOML data. A setting that is left out has its default.

    Raises:
        ConfigError: if a setting is wrong. It names the setting and the fix.
    """
    sections = get_type_hints(Settings)
    for name in data:
        if name not in sections:
            raise ConfigError(f"[{name}] is not a section", fix=f"the sections are {', '.join(sections)}")
    settings = Settings(**{name: _section(name, kind, data.get(name, {})) for name, kind in sections.items()})
    _check(settings)
    return settings


def _section(name: str, kind: type[Any], values: Any) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{name} is a section, not a value", fix=f"write [{name}] and its settings below it")
    known = {f.name: f for f in fields(kind) if _SECTIONS not in f.metadata}
    below = {f.name: f.metadata[_SECTIONS] for f in fields(kind) if _SECTIONS in f.metadata}
    types = get_type_hints(kind)
    plain = {key: value for key, value in values.items() if key in known or not (below and isinstance(value, dict))}
    for key, value in plain.items():
        if key not in known:
            fix = f"the settings of [{name}] are {', '.join(known)}" + (f"; a section for each carrier is [{name}.CARRIER]" if below else "")
            raise ConfigError(f"{name}.{key} is not a setting", fix=fix)
        _check_value(f"{name}.{key}", value, types[key], known[key].default, known[key].metadata)
    given = {k: float(v) if types[k] is float else v for k, v in plain.items()}
    for field, section in below.items():
        given[field] = {key: _section(f"{name}.{key}", section, value) for key, value in values.items() if key not in plain}
    return kind(**given)


def _check_value(name: str, value: Any, kind: type[Any], default: Any, metadata: Any) -> None:
    fix = f"write {name.rpartition('.')[2]} = {_toml(default)}, the default, or another value: {metadata['about']}"
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    right = number if kind is float else type(value) is kind
    if not right:
        raise ConfigError(f"{name} is {value!r}; it must be {_TYPE_WORDS[kind]}", fix=fix)
    if metadata["least"] is not None and value < metadata["least"]:
        raise ConfigError(f"{name} is {value}; the minimum is {metadata['least']}", fix=fix)
    if metadata["most"] is not None and value > metadata["most"]:
        raise ConfigError(f"{name} is {value}; the maximum is {metadata['most']}", fix=fix)


def _check(settings: Settings) -> None:
    if settings.publish.format not in ("cbor", "json"):
        raise ConfigError(f"publish.format is {settings.publish.format!r}; it must be cbor or json", fix='write format = "cbor" or format = "json"')
    for pattern in settings.codes.containers.split():
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(
                f"codes.containers: {pattern!r} is not a regular expression: {error}", fix='write prefixes such as containers = "TOTE- CAGE-"'
            ) from error
    try:
        hours_of_channels(settings.imports.stale_channels)
    except ValueError as error:
        raise ConfigError(f"imports.stale_channels: {error}", fix='write channels with their hours, such as stale_channels = "shop1=6 dhl=30"') from error
    if settings.payments.unpaid not in UNPAID_RULES:
        fix = f"choose one of {', '.join(UNPAID_RULES)}"
        raise ConfigError(f"payments.unpaid is {settings.payments.unpaid!r}, which is not a rule", fix=fix)
    if settings.people.reports not in REPORT_RULES:
        raise ConfigError(f"people.reports is {settings.people.reports!r}, which is not a rule", fix=f"choose one of {', '.join(REPORT_RULES)}")
    if settings.articles.language not in ("zh", "en"):
        raise ConfigError(f"articles.language is {settings.articles.language!r}; it must be zh or en", fix='write language = "zh" or language = "en"')
    try:
        zone_of(settings.site.timezone)
    except (KeyError, OSError, ValueError) as error:
        raise ConfigError(
            f"site.timezone is {settings.site.timezone!r}, which is not a time zone of this machine",
            fix='write timezone = "UTC", or a name such as "Europe/Amsterdam"; if the machine knows none, install tzdata',
        ) from error
    carrier_rules(settings.carriers, settings.cutoffs, zone_of(settings.site.timezone))
    try:
        if not settings.site.name.isprintable():
            raise ValueError("it contains a character that can't be printed")
        escape(settings.site.name)
    except ValueError as error:
        raise ConfigError(f"site.name: {error}", fix="choose a short name, such as main") from error
    _check_notices(settings.notices)
    if settings.log.format not in LOG_FORMATS:
        raise ConfigError(f"log.format is {settings.log.format!r}; it must be console or json", fix='write format = "console" or format = "json"')
    if settings.people.totp not in TOTP_RULES:
        raise ConfigError(f"people.totp is {settings.people.totp!r}; it must be one of {', '.join(TOTP_RULES)}", fix='write totp = "outside", if in doubt')
    _check_listen(settings.listen, settings.metrics)


def _check_notices(notices: NoticeSettings) -> None:
    if not notices.url:
        return
    try:
        scheme = target_of(notices.url).scheme
    except ValueError as error:
        raise ConfigError(f"notices.url: {error}", fix='write url = "https://shop.example/hooks/dockbridge", or url = "" for none') from error
    if scheme != "https" and not notices.allow_plain:
        raise ConfigError("notices.url is not https", fix="use https:// (or, on a network that you trust, set notices.allow_plain = true)")


def _check_listen(listen: ListenSettings, metrics: MetricsSettings) -> None:
    binds = {name: getattr(listen, name) for name in LISTENERS}
    if not any(binds.values()):
        raise ConfigError("every listener is off", fix=f"set an address, such as 127.0.0.1:1883, for at least one of listen.{', listen.'.join(LISTENERS)}")
    for name in ("tls_cert_file", "tls_key_file"):
        if not getattr(listen, name) and (listen.mqtts or listen.wss or listen.tls_cert_file or listen.tls_key_file):
            raise ConfigError(f"listen.{name} is empty; listen.tls_cert_file and listen.tls_key_file belong together", fix="set both: mqtts and wss need them")
    addresses: dict[str, tuple[str, int]] = {}
    for name, bind in binds.items():
        if not bind:
            continue
        host, _ = addresses[name] = split_address(f"listen.{name}", bind)
        if not (LISTENERS[name] or listen.allow_plain or is_loopback(host)):
            raise ConfigError(
                f"listen.{name} is {bind}, an address outside loopback without TLS",
                fix=f"use listen.{'mqtts' if name == 'mqtt' else 'wss'} (or, on a network that you trust, listen.allow_plain = true)",
            )
    named = {f"listen.{name}": address for name, address in addresses.items()}
    if metrics.listen:
        host, _ = named["metrics.listen"] = split_address("metrics.listen", metrics.listen)
        if not (metrics.allow_network or is_loopback(host)):
            fix = "listen on 127.0.0.1 (or, on a network that you trust, set metrics.allow_network = true)"
            raise ConfigError(f"metrics.listen is {metrics.listen}, an address outside loopback, and asks for no login", fix=fix)
    for one, other in combinations(named, 2):
        if overlap(named[one], named[other]):
            host, port = named[other]
            raise ConfigError(f"{one} and {other} have the same address, {host}:{port}", fix="give each listener its own port")


def hours_of_channels(text: str) -> dict[str, float]:
    """The hours of each channel in `imports.stale_channels`.

    Raises:
        ValueError: if the text is not of this form.
    """
    found = {}
    for word in text.split():
        channel, mark, hours = word.rpartition("=")
        if not (channel and mark and re.fullmatch(r"\d{1,5}(\.\d{1,3})?", hours)):
            raise ValueError(f"{word!r} is not a channel with its hours")
        found[channel] = float(hours)
    return found


def zone_of(name: str) -> tzinfo:
    """A time zone by its name. UTC needs no data of the machine.

    Raises:
        KeyError, OSError, ValueError: if the machine does not know it.
    """
    return UTC if name == "UTC" else ZoneInfo(name)


def render(settings: Settings) -> str:
    """Write settings as a commented TOML file. Reading the file gives the same settings."""
    lines = ["# Dockbridge: every setting with its default, unit and description. If you leave a line out, its setting has the default."]
    for section in fields(Settings):
        lines += ["", *_rendered(section.name, getattr(settings, section.name))]
    return "\n".join(lines) + "\n"


def _rendered(name: str, values: Any) -> list[str]:
    lines = [f"[{name}]", *(f"# {line.strip()}" for line in (type(values).__doc__ or "").splitlines() if line.strip())]
    below = [f for f in fields(values) if _SECTIONS in f.metadata]
    for setting in fields(values):
        if setting not in below:
            lines += [f"# {setting.metadata['about']}", f"{setting.name} = {_toml(getattr(values, setting.name))}"]
    for setting in below:
        sections: dict[str, Any] = getattr(values, setting.name)
        for key, section in sections.items():
            lines += ["", *_rendered(f"{name}.{_toml(key)}", section)]
        if not sections:
            example = _rendered(f"{name}.{setting.metadata['example']}", setting.metadata[_SECTIONS]())
            lines += [
                "",
                f"# {setting.metadata['about']}",
                *(f"# {line.removeprefix('# ')}" if not line.startswith("# ") else f"#   {line[2:]}" for line in example),
            ]
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)

"""An operator edits bridge.toml while the warehouse works. What can change holds at once, what can't is named, a fault in the file changes nothing, and no
device notices."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import socket
import ssl
import termios
import threading
from collections.abc import Iterator
from dataclasses import Field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGHUP, SIGTERM
from typing import Any, Final, Self

import cbor2
import pytest
from helpers.events import SITE, TOPICS
from helpers.mqtt import PUBACK, MqttWire
from helpers.server import Server
from helpers.shell import Shell
from helpers.site import Site
from helpers.waiting import DEADLINE_S, until

from bridge import certificates
from bridge.bounds import door_limits, login_rules, pipeline_limits, rules_of
from bridge.config import CONFIG_NAME, Settings
from bridge.config_file import parse, render
from bridge.errors import ConfigError
from bridge.operations import server
from bridge.operations.acts import carry_out
from bridge.operations.ports import Reloaded
from bridge.serving.reloading import RELOADABLE, merged
from devices.protocol.vocabulary import Role

EVERY: Final = [(section.name, setting) for section in fields(Settings) for setting in fields(getattr(Settings(), section.name))]
OTHERS: Final = {
    "texts_folder": str(Path(__file__).parents[2] / "config" / "notices"),
    "timezone": "Europe/Amsterdam",
    "unpaid": "warn",
    "language": "zh",
    "format": "json",
    "totp": "always",
    "holidays": "2026-12-25",
    "stale_channels": "shop1=6",
    "reports": "named",
}
READ_WHEN_NEEDED: Final = {
    *("site.timezone", "articles.articles_max", "articles.codes_per_article_max", "articles.file_bytes_max"),  # by commands
    *("places.places_max", "places.vertices_max", "places.radius_m_max", "places.file_bytes_max"),  # by commands
    *("carriers.handover_days", "carriers.handovers_keep_days"),  # by commands
    "imports.denials_max",  # by a command
    *("people.people_max", "people.tokens_max", "people.token_days", "people.password_chars_min", "people.reports"),  # by commands
    *("backup.folder", "backup.every_h", "backup.keep", "orders.sweep_every_s"),  # by tasks of the server, from the settings of the moment
    *("listen.tls_cert_file", "listen.tls_key_file"),  # by the reload itself
    # by the channel, which begins anew: see test_customers_hear_of_their_orders
    *(f"notices.{name}" for name in ("url", "secret_file", "texts_folder", "ca_file", "allow_private", "allow_plain", "batch_max", "connections_max")),
    *(f"notices.{name}" for name in ("timeout_s", "body_bytes_max", "response_bytes_max", "poll_s", "retry_first_s", "retry_max_s", "tries_max")),
    *("notices.give_up_h", "notices.alert_after_s"),
    "log.format",  # see test_sighup_the_command_and_what_the_service_manager_hears
    "broker.failed_names_per_address_max",  # see test_limits_hold_at_once_and_connections_stay
}


def other(setting: Field[Any]) -> Any:
    """Another value of a setting, within its bounds."""
    if "sections" in setting.metadata:
        return {"DHL": setting.metadata["sections"]()}
    value = setting.default
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return OTHERS.get(setting.name, f"{value}x")
    most = setting.metadata["most"]
    return value - 1 if most is not None and value + 1 > most else value + 1


def changed(section: str, setting: Field[Any]) -> Settings:
    defaults = Settings()
    return replace(defaults, **{section: replace(getattr(defaults, section), **{setting.name: other(setting)})})


# --- the table --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("section", "setting"), EVERY, ids=[f"{section}.{setting.name}" for section, setting in EVERY])
def test_each_setting_holds_at_once_or_is_said_to_need_a_restart(section: str, setting: Field[Any]) -> None:
    name, wanted = f"{section}.{setting.name}", changed(section, setting)
    now, done = merged(Settings(), wanted)
    if setting.name in RELOADABLE.get(section, ()):
        assert (now, done.applied, done.needs_restart) == (wanted, [name], [])
        made = [derive(wanted) != derive(Settings()) for derive in (rules_of, door_limits, pipeline_limits, login_rules)]
        assert any(made) or name in READ_WHEN_NEEDED, "nothing that is replaced knows it"
    else:
        assert (now, done.applied, done.needs_restart) == (Settings(), [], [name])


def test_the_table_names_settings_that_there_are() -> None:
    assert {f"{s}.{n}" for s, names in RELOADABLE.items() for n in names} <= {f"{section}.{setting.name}" for section, setting in EVERY}


# --- in a server ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("reload") / "site", listen={"mqtt": "127.0.0.1:0", "mqtts": "127.0.0.1:0"}) as served:
        yield served


def edit(served: Site, **sections: dict[str, Any]) -> Reloaded:
    """Change some settings in bridge.toml, and have it read again."""
    running = served.app.settings
    (served.directory / CONFIG_NAME).write_text(render(replace(running, **{s: replace(getattr(running, s), **new) for s, new in sections.items()})))
    done: Reloaded = served.wait_for(carry_out(served.app, "ada", server.reload, {}))
    return done


def test_limits_hold_at_once_and_connections_stay(site: Site) -> None:
    with site.client("scan-1") as scanner:
        done = edit(
            site, broker={"connections_per_address_max": 1, "failed_names_per_address_max": 7}, orders={"attempts_max": 5}, ingest={"batch_messages_max": 9}
        )
        assert set(done.applied) == {
            *("broker.connections_per_address_max", "broker.failed_names_per_address_max", "orders.attempts_max", "ingest.batch_messages_max")
        }
        assert (done.needs_restart, done.certificate) == ([], True)
        with site.stranger() as another:
            another.expect_closed()
        scanner.publish(TOPICS.event("scan-1", "pack"), site.event("scan-1", 1, "PO-1"))
        assert scanner.expect(PUBACK).packet_id == 1
        assert site.app.broker is not None
        assert site.app.broker.logins.unknown_names_max == 7
        assert site.app.pipeline.limits.batch_messages_max == 9
        edit(site, broker={"connections_per_address_max": 5_000})
        with site.client("scan-2"):
            scanner.ping()


def test_what_a_client_must_know_is_published_again(site: Site) -> None:
    with site.client("scan-1") as scanner:
        scanner.subscribe(TOPICS.bridge_state)
        assert cbor2.loads(scanner.receive().payload)["limits"]["publish_rate_max"] == 2_000
        edit(site, broker={"publish_rate_max": 500})
        assert cbor2.loads(scanner.receive().payload)["limits"]["publish_rate_max"] == 500


def test_what_needs_a_restart_is_named_until_there_was_one(site: Site) -> None:
    done = edit(site, listen={"websocket": "127.0.0.1:0"}, broker={"window": 9}, site={"timezone": "Asia/Shanghai"})
    assert (done.applied, done.needs_restart) == (["site.timezone"], ["listen.websocket", "broker.window"])
    again: Reloaded = site.wait_for(server.reload(site.app))
    assert (again.applied, again.needs_restart) == ([], ["listen.websocket", "broker.window"])
    edit(site)


def test_a_file_with_a_fault_changes_nothing_and_is_in_the_audit_log(site: Site) -> None:
    before = site.app.settings
    text = (site.directory / CONFIG_NAME).read_text()
    (site.directory / CONFIG_NAME).write_text(text.replace("attempts_max = ", "attempts_max = -"))
    with pytest.raises(ConfigError, match=r"orders.attempts_max is -\d; the minimum is 1 \(the server goes on with the settings that it has\)"):
        site.wait_for(carry_out(site.app, "ada", server.reload, {}))
    (site.directory / CONFIG_NAME).write_text("")  # an editor, or a full disk, has cut it
    with pytest.raises(ConfigError, match=r"site\.name is main, and this server serves ams1"):
        site.wait_for(carry_out(site.app, "ada", server.reload, {}))
    (site.directory / CONFIG_NAME).write_text(text)
    assert site.app.settings == before
    last = list(site.app.audit.entries())[:-5:-1]
    assert [(entry.who, entry.act) for entry in last] == [("ada", "server.reload")] * 4
    assert [text in (last[place].failed or "") for place, text in ((0, "site.name"), (2, "orders.attempts_max"))] == [True, True]


def test_another_certificate_is_used_for_those_who_come_and_one_that_does_not_fit_for_nobody(site: Site) -> None:
    now = datetime.now(UTC)
    (site.tls / "server.pem").rename(site.tls / "old.pem")
    (site.tls / "server.key").rename(site.tls / "old.key")
    certificates.issue_server(site.tls, ["elsewhere.example", "127.0.0.1"], now)
    with pytest.raises(ConfigError, match=r"listen.tls_key_file"):
        edit(site, listen={"tls_cert_file": "tls/old.pem"}, orders={"attempts_max": 8})
    assert site.app.settings.orders.attempts_max != 8
    edit(site)
    assert "elsewhere.example" in names_shown(site)
    edit(site, listen={"tls_cert_file": "tls/old.pem", "tls_key_file": "tls/old.key"})
    assert "elsewhere.example" not in names_shown(site)


def names_shown(site: Site) -> list[str]:
    """The names in the certificate that the server shows."""
    context = ssl.create_default_context(cafile=site.tls / "ca.pem")
    with MqttWire(site.addresses["mqtts"], context) as wire:
        assert isinstance(wire._socket, ssl.SSLSocket)
        shown: Any = wire._socket.getpeercert()
        return [name for _, name in shown["subjectAltName"]]


# --- as an operator does it -------------------------------------------------------------------------------------------------


class Manager:
    """The service manager: it hears what the server says to the socket in NOTIFY_SOCKET. Used as a context manager."""

    def __init__(self, path: Path) -> None:
        self.heard: list[str] = []
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "40000"}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, name="manager")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self.environment["NOTIFY_SOCKET"])
        self._thread.join(DEADLINE_S)
        self._socket.close()

    @property
    def states(self) -> list[str]:
        """What it heard, without the signs of life."""
        return [said for said in self.heard if said != "WATCHDOG=1"]

    def _listen(self) -> None:
        while said := self._socket.recv(4_096).decode():
            self.heard.append(re.sub(r"=\d{2,}", "=…", said))


def test_sighup_the_command_and_what_the_service_manager_hears(tmp_path: Path) -> None:
    site = tmp_path / "site"
    with Manager(tmp_path / "notify") as manager, Server(site, environment=manager.environment) as served:
        served.enrol(Role.SCANNER, "scan-1")
        until(lambda: manager.heard.count("WATCHDOG=1") >= 2, "two signs of life")
        with served.client("scan-1") as scanner:
            assert served.process is not None
            write(site, orders={"attempts_max": 4}, listen={"mqtt": "127.0.0.1:1"})
            served.process.send_signal(SIGHUP)
            until(lambda: bool(served.said("restart the server to apply listen.mqtt")), "the log")
            assert served.said("bridge.toml was read again: orders.attempts_max changed")
            write(site, log={"format": "json"})
            served.process.send_signal(SIGHUP)
            until(lambda: bool(served.said('"message": "bridge.toml was read again')), "a line for programs")
            write(site, orders={"attempts_max": 0}, log={"format": "json"})
            served.process.send_signal(SIGHUP)
            until(lambda: bool(served.said("SIGHUP: orders.attempts_max is 0; the minimum is 1")), "the log")
            scanner.ping()
        dockbridge = Shell(site)
        assert "orders.attempts_max is 0" in dockbridge("server", "reload", code=1).stderr
        write(site, orders={"attempts_max": 6})
        assert dockbridge.data("server", "reload") == {"applied": ["orders.attempts_max", "log.format"], "needs_restart": [], "certificate": False}
        assert [who.endswith(" (SIGHUP)") for (who,) in served.rows("SELECT who FROM audit ORDER BY no")] == [True, True, True, True, False, False, False]
        assert dockbridge.data("server", "health")["unstored"] == 0
        assert served.end(SIGTERM) == 0
        reload = ["RELOADING=1\nMONOTONIC_USEC=…", "READY=1"]
        assert manager.states == ["READY=1", *reload, *reload, *reload, "STOPPING=1"]
        assert "no server runs" in dockbridge("server", "health", code=1).stderr


def write(site: Path, **sections: dict[str, Any]) -> None:
    """Edit bridge.toml by hand: its faults are the operator's."""
    data = {"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}, **sections}
    text = "".join(f"[{name}]\n" + "".join(f"{key} = {value!r}\n" for key, value in values.items()) for name, values in data.items())
    (site / CONFIG_NAME).write_text(text)


def test_the_defaults_are_a_file_that_changes_nothing() -> None:
    assert merged(Settings(), parse({}))[1] == Reloaded(applied=[], needs_restart=[], certificate=False)


@pytest.mark.slow
def test_a_closed_terminal_stops_the_server_that_was_started_in_it(tmp_path: Path) -> None:
    terminal, line = pty.openpty()

    def take_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(line, termios.TIOCSCTTY, 0)

    with Server(tmp_path / "site", prepare=take_the_terminal) as served:
        os.close(line)
        assert served.process is not None
        served.process.send_signal(SIGHUP)
        until(lambda: bool(served.said("was read again")), "the log")
        os.close(terminal)
        assert served.ended() == 0

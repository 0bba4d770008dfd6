"""A server is watched from outside: health and metrics over HTTP. What is asked costs little, names no one, and is true; who asks badly costs nothing."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from helpers.events import CREATED
from helpers.full_disk import quota
from helpers.site import Site
from helpers.waiting import DEADLINE_S, until
from prometheus_client.parser import text_string_to_metric_families

from bridge.entrypoints.http.health import Health
from bridge.entrypoints.http.server import HttpServer
from bridge.entrypoints.http.serving import serve_metrics
from bridge.errors import SiteError
from bridge.ingest.ports import StoreUnavailable
from devices.protocol.vocabulary import Role

METRICS: Final = {"listen": "127.0.0.1:0", "connections_max": 4, "request_bytes_max": 2_048, "request_timeout_s": 0.25, "read_every_s": 0.0}
DASHBOARD: Final = Path(__file__).parents[2] / "config" / "grafana-dashboard.json"

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Watched:
    """A site with its HTTP server, as a program that watches it sees them."""

    def __init__(self, site: Site, server: HttpServer) -> None:
        self.site = site
        self.server = server

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(*self.server.address, timeout=DEADLINE_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def scrape(self) -> Series:
        """Each series with its value."""
        status, text = self.get("/metrics")
        assert status == 200
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in text_string_to_metric_families(text) for s in family.samples}

    def value(self, name: str, **labels: str) -> float:
        return self.scrape()[f"dockbridge_{name}", tuple(labels.items())]

    def connect(self) -> socket.socket:
        return socket.create_connection(self.server.address, timeout=DEADLINE_S)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with Site(tmp_path_factory.mktemp("watched") / "site", metrics=METRICS, listen={"mqtt": "127.0.0.1:0", "mqtts": "127.0.0.1:0"}) as site:
        server = site.wait_for(serve_metrics(site.app, site.directory))
        try:
            yield Watched(site, server)
        finally:
            site.wait_for(server.stop())


# --- health -----------------------------------------------------------------------------------------------------------------


def test_a_server_that_serves_is_alive_and_ready(watched: Watched) -> None:
    assert watched.get("/live") == (200, '{"live":true}')
    assert watched.get("/ready") == (200, '{"ready":true}')
    assert watched.get("/nothing")[0] == 404


def test_a_server_whose_disk_is_full_is_alive_and_not_ready_until_there_is_room(watched: Watched, tmp_path: Path) -> None:
    site = watched.site
    health = Health(site.app, site.app.failed.is_set, commit_timeout_s=DEADLINE_S)
    with quota(tmp_path) as disk:
        disk.fill()
        fault = site.wait_for(health.fault())  # though no device sends anything
        assert watched.get("/live")[0] == 200
        disk.make_room()
    assert fault is not None
    assert fault.startswith("the database can't take writes: ")
    assert site.wait_for(health.fault()) is None


def test_a_server_whose_commits_hang_is_not_ready(watched: Watched) -> None:
    site = watched.site
    health = Health(site.app, site.app.failed.is_set, commit_timeout_s=0.05)
    hangs = site.on_loop(lambda: site._loop.create_task(site.app.on_writer(lambda: time.sleep(0.2))))
    assert "has not committed for" in str(site.wait_for(health.fault()))
    until(hangs.done, "the end of the hang")
    site.wait_for(site.app.on_writer(lambda: None))
    assert site.wait_for(health.fault()) is None


def test_a_server_of_which_a_part_has_failed_or_that_is_starting_is_not_ready(watched: Watched, tmp_path: Path) -> None:
    assert "failed" in str(watched.site.wait_for(Health(watched.site.app, lambda: True, commit_timeout_s=1).fault()))

    class NotYet:
        figures = None

    assert watched.site.wait_for(Health(NotYet(), lambda: False, commit_timeout_s=1).fault()) == "the server is starting"  # type: ignore[arg-type]


def test_a_blocked_loop_does_not_answer(watched: Watched) -> None:
    watched.site._loop.call_soon_threadsafe(time.sleep, 0.15)
    began_s = time.monotonic()
    assert watched.get("/live")[0] == 200
    assert time.monotonic() - began_s > 0.1
    assert watched.value("loop_lag_seconds") > 0.01


# --- metrics ----------------------------------------------------------------------------------------------------------------


def test_metrics_say_what_happened(watched: Watched) -> None:
    site = watched.site
    before = watched.scrape()
    site.create("PO-1", "PO-2")
    site.tell("scan-1", Role.SCANNER, "pack", site.event("scan-1", 1, "PO-1", {"items": CREATED["lines"]}))
    with site.client("scan-1") as scanner, site.stranger() as stranger:
        scanner.ping()
        stranger.connect("who", "nobody", "wrong")
        now = watched.scrape()

    def value(name: str, **labels: str) -> float:
        return now[f"dockbridge_{name}", tuple(labels.items())]

    def more(name: str, **labels: str) -> float:
        return value(name, **labels) - before[f"dockbridge_{name}", tuple(labels.items())]

    assert more("events_total", outcome="applied") == 3
    assert more("commit_seconds_count") == more("batch_messages_count") >= 2
    assert more("batch_messages_sum") >= 3
    assert more("step_seconds_total", step="commit") > 0
    assert value("orders", state="packed") == 1
    assert value("devices", connection="on") == value("sessions") == 1
    assert more("received_bytes_total") > 0
    assert more("sent_bytes_total") > 0
    assert more("logins_refused_total") == 1
    assert value("store_readable") == 1
    assert value("database_bytes") == (site.directory / "dockbridge.db").stat().st_size
    assert ("dockbridge_last_backup_timestamp_seconds", ()) not in now, "there is none"


def test_the_number_of_series_does_not_grow_with_devices_orders_and_alerts(watched: Watched) -> None:
    site = watched.site
    watched.scrape()
    before = watched.scrape().keys()
    for number in range(12):
        site.enrol(f"planted-{number}", with_secret=False)
        gap = site.event(f"planted-{number}", 5, f"planted-order-{number}", {"dock": "dock-1"})  # four are missing, and there is no such order
        site.wait_for(site.app.submit(site.app.registry.identity(f"planted-{number}"), [("stage", gap)]))
    site.create(*(f"planted-order-x{number}" for number in range(12)))
    _, text = watched.get("/metrics")
    after = watched.scrape().keys()
    assert after == before
    assert "planted" not in text
    assert watched.value("devices_owing") >= 12
    assert watched.value("parked_events") >= 12


def test_each_metric_of_the_dashboard_exists(watched: Watched) -> None:
    text = DASHBOARD.read_text()
    queries = [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    used = {name for query in queries for name in re.findall(r"\b(?:dockbridge|process)_[a-z_]+", query)}
    there = {name for name, _ in watched.scrape()} | {"dockbridge_last_backup_timestamp_seconds"}
    assert len(queries) > 20
    assert used <= there, used - there


def test_metrics_are_read_from_the_database_not_more_often_than_is_set(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    site = watched.site
    reads: list[int] = []
    real = site.app.queries.figures

    def counting(**arguments: Any) -> Any:
        reads.append(1)
        return real(**arguments)

    monkeypatch.setattr(site.app.queries, "figures", counting)
    from bridge.entrypoints.http.gauges import GaugeReader

    reader = site.on_loop(lambda: GaugeReader(site.app, site.directory, every_s=60.0))
    for _ in range(5):
        assert site.wait_for(reader.read()) is not None
    assert len(reads) == 1


def test_figures_of_the_server_are_there_although_the_database_cant_be_read(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(**_: Any) -> Any:
        raise StoreUnavailable

    monkeypatch.setattr(watched.site.app.queries, "figures", unreadable)
    now = watched.scrape()
    assert now["dockbridge_store_readable", ()] == 0
    assert now["dockbridge_store_failing", ()] == 0
    assert ("dockbridge_orders_stuck", ()) not in now


# --- who asks badly ---------------------------------------------------------------------------------------------------------


def test_a_client_that_stops_in_the_middle_is_closed(watched: Watched) -> None:
    with watched.connect() as slow:
        slow.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n")
        assert slow.recv(100) == b""


def test_a_head_that_is_too_long_is_refused(watched: Watched) -> None:
    with watched.connect() as long:
        long.sendall(b"GET /live HTTP/1.1\r\nX: " + b"x" * 4_000)
        assert long.recv(100).startswith(b"HTTP/1.1 400 ")


def test_connections_beyond_the_limit_are_closed_and_the_others_are_served(watched: Watched) -> None:
    held = [watched.connect() for _ in range(METRICS["connections_max"])]  # type: ignore[call-overload]
    try:
        until(lambda: len(watched.server._server.server_state.connections) == len(held), "all of them are in")
        with watched.connect() as beyond, suppress(ConnectionError):
            assert beyond.recv(100) == b""
    finally:
        for one in held:
            one.close()
    until(lambda: not watched.server._server.server_state.connections, "room again")
    assert watched.get("/live")[0] == 200


def test_an_address_that_is_taken_is_named_with_its_setting(watched: Watched) -> None:
    host, port = watched.server.address
    with pytest.raises(SiteError, match=rf"metrics.listen: can't listen on {host}:{port}: Address already in use"):
        watched.site.wait_for(HttpServer.start("metrics.listen", f"{host}:{port}", [], watched.server.bounds))


def test_a_connection_is_for_one_request_and_its_body_is_not_read(watched: Watched) -> None:
    with watched.connect() as client:
        client.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        answers = b""
        while part := client.recv(4_096):
            answers += part
    assert answers.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in answers.lower()
    with watched.connect() as client:
        client.sendall(b"POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 405 ")
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            client.sendall(b"x" * 100_000_000)

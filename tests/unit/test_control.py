"""The protocol of the control socket: which calls are valid, and the sentence that answers any other."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from helpers.events import CREATED, SITE, event
from helpers.new_site import new_site

from bridge.app import Application
from bridge.config_file import parse
from bridge.entrypoints.control import server as control_server
from bridge.entrypoints.control import wire
from bridge.entrypoints.control.client import Caller, ask, call
from bridge.entrypoints.control.server import ControlServer
from bridge.errors import Refused
from bridge.operations import database, devices, imports, jobs, quarantine, server
from bridge.operations.devices import Enrolled
from bridge.operations.imports import ImportedEvent
from bridge.operations.ports import SiteContext
from devices.protocol.vocabulary import EventType, Role


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    new_site(tmp_path / "site", parse({"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}}))
    return tmp_path / "site"


def say(folder: Path, line: bytes) -> dict[str, Any]:
    """Serves a site, sends a line to its socket, and returns the answer."""

    async def served() -> bytes:
        async with await Application.open(folder) as app:
            control = ControlServer(app, folder)
            await control.start()
            try:
                return await asyncio.to_thread(_exchange, folder, line)
            finally:
                await control.stop()

    answer: dict[str, Any] = json.loads(asyncio.run(served()))
    return answer


def _exchange(folder: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        wire.at_socket(folder / "control.sock", connection.connect)
        connection.sendall(line)
        return connection.makefile("rb").readline()


def request(name: str, **arguments: Any) -> bytes:
    return json.dumps({"call": name, "with": arguments}).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"nonsense\n", "the server can't read the call"),
        (b"[]\n", "the server can't read the call"),
        (b'{"call": "devices.add"}\n', "the server can't read the call"),
        (b'{"call": 7, "with": {}}\n', "the server can't read the call"),
        (b'{"call": "devices.revoke", "with": {"device": "\xff"}}\n', "the server can't read the call"),
        (request("devices.paint", device="x"), "the server does not know the call 'devices.paint'"),
        (request("__class__"), "the server does not know the call '__class__'"),
        (request("devices.add", device="x"), "devices.add: role: missing"),
        (request("devices.add", device="x", role="king"), "devices.add: role: 'king' is not in the vocabulary"),
        (request("devices.add", device=7, role="scanner"), "devices.add: device: expected text, got integer"),
        (request("devices.add", device="x", role="scanner", colour="red"), "devices.add: Object contains unknown field `colour`"),
        (request("imports.submit", channel="x", events=[["created"]]), "imports.submit: events[0]: expected array of length 2"),
        (request("devices.revoke", device="nothing"), "there is no device nothing"),
    ],
    ids=lambda v: v.decode(errors="replace").strip() if isinstance(v, bytes) else "",
)
def test_what_is_not_a_call_gets_a_sentence_and_what_to_do(folder: Path, line: bytes, said: str) -> None:
    answer = say(folder, line)
    assert said in answer["error"]
    assert answer["fix"]
    assert "TypeError" not in answer["error"]
    assert "argument" not in answer["error"]


def test_a_call_carries_its_arguments_and_its_result_with_their_types() -> None:
    asked = wire.decode_call(wire.encode_call(None, devices.add, "scan-1", Role.SCANNER, at="dock-2"))
    assert (asked.operation, asked.arguments["role"], asked.arguments["courier"]) == (devices.add, Role.SCANNER, None)
    events = [ImportedEvent(EventType.CREATED, b"\x00\xff")]
    assert wire.decode_call(wire.encode_call(None, imports.submit, "shop1", events)).arguments == {"channel": "shop1", "events": events}
    enrolled = Enrolled(device="scan-1", role=Role.SCANNER, secret="s")
    assert wire.decode_answer(wire.encode_result(enrolled), devices.add) == enrolled
    assert wire.decode_answer(wire.encode_result(2), quarantine.drop) == 2


def test_an_error_comes_back_as_one() -> None:
    with pytest.raises(Refused, match="no such luck") as refused:
        wire.decode_answer(wire.encode_error("no such luck", "try again"), devices.add)
    assert refused.value.fix == "try again"
    with pytest.raises(Refused, match="answer can't be read"):
        wire.decode_answer(b'{"ok": 7}\n', devices.add)


@pytest.mark.parametrize("name", sorted(wire.CALLS))
def test_every_call_has_a_name_that_says_where_it_is_and_types_that_can_be_sent(name: str) -> None:
    operation = wire.CALLS[name]
    assert f"{operation.__module__}.{operation.__name__}" == f"bridge.operations.{name}"  # type: ignore[attr-defined]
    assert next(iter(get_type_hints(operation).values())) is SiteContext
    with pytest.raises(Refused, match=r"missing|unknown field"):
        wire.decode_call(request(name, no_argument_of_any=1))


def test_every_operation_that_changes_a_site_can_be_called() -> None:
    """Except for those that only other operations use."""
    own = {devices.ensure_channel}
    for module in (devices, jobs, imports, server):
        for operation in vars(module).values():
            if getattr(operation, "__module__", "") == module.__name__ and asyncio.iscoroutinefunction(operation):
                needs_context = next(iter(get_type_hints(operation).values())) is SiteContext
                assert (operation in wire.CALLS.values()) == (needs_context and operation not in own)


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """A site whose socket has a path that is too long for a socket address."""
    folder = tmp_path / ("deep" * 30) / "site"
    new_site(folder, parse({"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}}))
    return folder


def test_a_command_works_the_same_with_and_without_a_server(deep: Path) -> None:
    assert ask(deep, server.counters) is None
    assert call(deep, devices.add, "scan-1", Role.SCANNER, at="dock-2").device == "scan-1"

    async def served() -> None:
        async with await Application.open(deep) as app:
            control = ControlServer(app, deep)
            await control.start()
            assert (deep / "control.sock").stat().st_mode & 0o777 == 0o600
            await asyncio.to_thread(over_the_socket)
            await control.stop()

    def over_the_socket() -> None:
        with Caller(deep) as caller:
            assert len(caller.call(devices.rotate, "scan-1").secret) == 24
            with pytest.raises(Refused, match="there is no device scan-2"):
                caller.call(devices.revoke, "scan-2")
            caller.call(devices.revoke, "scan-1")
        assert ask(deep, server.counters) == {}

    asyncio.run(served())


# --- long work --------------------------------------------------------------------------------------------------------------


def test_a_rebuild_reports_its_progress_over_the_socket_and_in_this_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "PROGRESS_EVERY_S", 0.0)
    now_ms = 1_760_000_000_000
    created = [ImportedEvent(EventType.CREATED, event("shop1", n, f"PO-{n}", CREATED, at_ms=now_ms)) for n in (1, 2, 3)]
    with Caller(folder) as caller:
        caller.call(imports.open_channel, "shop1")
        for one in created:
            caller.call(imports.submit, "shop1", [one])
    here: list[tuple[int, int]] = []
    assert call(folder, database.rebuild, lambda done, total: here.append((done, total))).events == 3

    async def served() -> list[tuple[int, int]]:
        heard: list[tuple[int, int]] = []
        async with await Application.open(folder) as app:
            control = ControlServer(app, folder)
            await control.start()
            try:
                await asyncio.to_thread(call, folder, database.rebuild, lambda done, total: heard.append((done, total)))
            finally:
                await control.stop()
        return heard

    assert asyncio.run(served()) == here == [(1, 3), (2, 3), (3, 3)]

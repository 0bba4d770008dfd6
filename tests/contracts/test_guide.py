"""The guide for authors of clients: what it tells a reader to send is sent, and what it says that the server answers is what it answers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

import pytest
from contracts.example_site import RECEIVED_AFTER_MS, ExampleSite
from helpers.foreign_tools import needs
from helpers.site import Site
from msgspec import structs
from typer.main import get_command

from bridge.claim_terms import terms_of
from bridge.documents.guide import guide
from bridge.documents.walk import WALK
from bridge.entrypoints.cli.main import app
from bridge.operations import devices
from bridge.operations.fleet import NewClaim
from bridge.passwords import token_digest
from devices.protocol.claims import fingerprint_text
from devices.protocol.documents.event_examples import DEVICES, SITE
from devices.protocol.documents.texts import WIDTH
from devices.protocol.messages import EVENT_KINDS, MESSAGES, PayloadError, decode, load
from devices.protocol.vocabulary import EventType, Role

TEXT = guide()
FIRST_CHAPTER = TEXT.partition("\n## 2 ")[0]
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
JSON = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LOGIN_AND_TOPIC = re.compile(r"-u (\S+) .*?-t v1/ams1/devices/(\S+)/events/(\w+)", re.DOTALL)
HERE = re.compile(r"<<'(JSON|HEX)'.*?\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
COMMANDS = [block for block in SHELL.findall(FIRST_CHAPTER) if "mosquitto_pub" in block]


def published_by(command: str) -> tuple[Role, EventType, bytes]:
    """Who publishes what with a command of the guide."""
    found, here = LOGIN_AND_TOPIC.search(command), HERE.search(command)
    assert found is not None
    assert here is not None
    assert found[1] == found[2], "a device publishes below its own name"
    payload = bytes.fromhex(here[2]) if here[1] == "HEX" else here[2].encode()
    return next(role for role, device in DEVICES.items() if device == found[1]), EventType(found[3]), payload


def test_a_reader_who_sends_what_stands_there_gets_the_receipts_that_stand_there() -> None:
    site, commands = ExampleSite(), dict(zip(WALK, map(published_by, COMMANDS), strict=True))
    parked, applied, malformed = (load(text.encode()) for text in JSON.findall(FIRST_CHAPTER))

    def send(step: str) -> dict[str, Any]:
        role, event_type, payload = commands[step]
        (receipt,) = site.take([site.incoming(role, event_type, payload, WALK[step].payload["at_ms"] + RECEIVED_AFTER_MS)])
        return receipt

    assert send("pick") == parked
    assert send("created")["outcome"] == "applied"
    receipts = [load(m.payload) for m in site.published if m.topic == f"v1/{SITE}/devices/{DEVICES[Role.SCANNER]}/receipts"]
    assert receipts[-1] == applied
    assert send("pick") == {**applied, "again": True}
    assert send("broken") == malformed
    assert send("pack")["outcome"] == "applied"


def is_a(kind: Any, payload: bytes) -> bool:
    """Whether a payload is a message of this kind, without any other field."""
    try:
        decode(payload, kind)
    except PayloadError:
        return False
    return load(payload).keys() <= {field.encode_name for field in structs.fields(kind)}


def test_every_example_is_a_message_of_the_contract() -> None:
    blocks = JSON.findall(TEXT)
    assert len(blocks) == 11
    assert [text for text in blocks if not any(is_a(kind, text.encode()) for kind in (*MESSAGES, *EVENT_KINDS.values()))] == []


def test_it_is_filled_in_and_fits_into_a_terminal() -> None:
    assert "{{" not in TEXT
    assert [line for line in TEXT.splitlines() if sum(1 + (east_asian_width(c) in "WF") for c in line) > WIDTH] == []


def test_it_names_only_commands_that_there_are() -> None:
    root: Any = get_command(app)
    in_lines = re.findall(r"(?:^|[`( ])dockbridge ((?:[a-z-]+ ?)+)", re.sub(r"\n +", " ", TEXT), re.MULTILINE)
    named = {tuple(words.split()) for words in in_lines if not words.startswith("server ")}
    assert {("device", "add"), ("contract", "show")} <= {words[:2] for words in named}
    for words in named:
        command = root.commands[words[0]]
        assert not hasattr(command, "commands") or words[1] in command.commands, f"dockbridge {' '.join(words)}"


def test_its_contents_are_its_chapters() -> None:
    contents = " ".join(TEXT.partition("Contents: ")[2].partition("\n\n")[0].split()).split(" · ")
    chapters = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    assert len(contents) == len(chapters)
    assert [chapter for said, chapter in zip(contents, chapters, strict=True) if not chapter.startswith(said)] == []


@pytest.mark.slow
def test_a_claim_is_redeemed_with_its_commands(tmp_path: Path) -> None:
    """Only the right server gets the token."""
    for tool in ("mosquitto_sub", "openssl"):
        needs(tool)
    (block,) = [b for b in SHELL.findall(TEXT) if "credentials" in b]
    with Site(tmp_path / "site", listen={"mqtts": "127.0.0.1:0"}, publish={"format": "json"}) as site:
        host, port = site.addresses["mqtts"]
        claim = terms_of(site.directory, [f"{host}:{port}"]).claim("scan-07")
        site.wait_for(devices.add(site.app, "scan-07", Role.SCANNER, claim=NewClaim(token_sha256=token_digest(claim.token), valid_ms=3_600_000)))
        wrong = claim.text().replace(claim.fingerprint, fingerprint_text(bytes(32)))
        for text, folder, code in ((wrong, "wrong", 1), (claim.text(), "right", 0)):
            (tmp_path / folder).mkdir()
            environment = {**os.environ, "CLAIM": text}
            done = subprocess.run(["sh", "-c", block], cwd=tmp_path / folder, env=environment, capture_output=True, text=True, timeout=30, check=False)
            assert (done.returncode != 0) == code, done.stderr
        said = load(done.stdout.encode())
        assert (said["site"], said["device"]) == (SITE, "scan-07")
        assert site.app.registry.verify("scan-07", said["password"]) is not None
        assert site.on_loop(lambda: site.app.failed_logins) == {}


@pytest.mark.slow
def test_its_commands_do_what_it_says(tmp_path: Path) -> None:
    """The commands of the first chapter, typed as they stand, and the pick sent again at the end; only the port is another one."""
    needs("mosquitto_pub")
    needs("perl")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dockbridge = f'[ "$1" = init ] && set -- "$@" --listen 127.0.0.1:{port} --mqtts ""\nexec "{sys.executable}" -P -m bridge.entrypoints.cli.main'
    programs = {"dockbridge": dockbridge} | {name: f'exec "{shutil.which(name)}" -p {port}' for name in ("mosquitto_pub", "mosquitto_sub")}
    for name, command in programs.items():
        (tmp_path / name).write_text(f'#!/bin/sh\n{command} "$@"\n')
        (tmp_path / name).chmod(0o755)
    *blocks, last = SHELL.findall(FIRST_CHAPTER)
    script = "\n".join(("set -e", *blocks, COMMANDS[0], "sleep 1", last, "wait"))
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen(["bash", "-c", script], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True) as shell:
        try:
            output, _ = shell.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
    receipts = [load(line.encode()) for line in output.splitlines() if line.startswith("{")]
    assert [(r["type"], r["outcome"], r.get("again", False)) for r in receipts] == [
        ("pick", "parked", False),
        ("pick", "applied", False),
        ("pick", "rejected", False),
        ("pack", "applied", False),
        ("pick", "applied", True),
    ], output
    assert re.search(r"pack +applied -> packed", output), output

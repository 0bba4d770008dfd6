"""Devices that are someone else's program: what the program is told, what becomes of its answers, and what a user reads if it does not keep to the protocol."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.errors import ClientFailed
from firmware_sim.link import program as programs
from firmware_sim.link.program import Plain, Program
from firmware_sim.link.sockets import run_sockets
from firmware_sim.scenario_file import parse

SMALL = 'name = "small"\nstory = "One order."\nday_s = 10\n[orders]\ncount = 1\n[[scanners]]\n[[couriers]]\n'
ECHO = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"news": asked["n"]}))
    print(json.dumps({"n": asked["n"], "got": asked}), flush=True)
"""


class Talk:
    """A conversation with a program that a shell or Python runs."""

    def __init__(self) -> None:
        self.news: list[Plain] = []
        self.said: list[str] = []
        self.failures: list[ClientFailed] = []

    def with_program(self, *command: str, asked: tuple[tuple[str, dict[str, Any]], ...] = (("start", {}),), stop: bool = False) -> list[Plain]:
        async def talk() -> list[Plain]:
            program = Program("scan-1", command, on_news=self.news.append, on_said=self.said.append, on_failed=self.failures.append)
            try:
                await program.start()
                answers = [await program.ask(what, **fields) for what, fields in asked]
                if stop:
                    assert await program.stopped()
                return answers
            finally:
                await program.kill()

        return asyncio.run(talk())


def test_commands_are_numbered_lines_answers_repeat_the_number_and_the_rest_is_news() -> None:
    talk = Talk()
    answers = talk.with_program("python3", "-S", "-c", ECHO, asked=(("start", {"site": "main", "courier": None}), ("receipt", {"id": "00"})))
    assert [answer["got"] for answer in answers] == [{"do": "start", "n": 1, "site": "main"}, {"do": "receipt", "n": 2, "id": "00"}]
    assert talk.news == [{"news": 1}, {"news": 2}]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "scan-1 ended by itself, with 3"),
        ("echo no outbox >&2; sleep 0.1; exit 1", "with 1: no outbox"),
        ("read line; echo ready; cat", "a line that can't be read"),
        ("""read line; echo '{"m": 1}'; cat > /dev/null""", "did not answer to .*start"),
        ("""read line; echo '{"n": 1, "error": "the disk is full"}'; cat""", "the disk is full"),
    ],
)
def test_a_program_that_does_not_keep_to_the_protocol_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    monkeypatch.setattr(programs, "ANSWER_S", 0.1 if "did not answer" in said else 10.0)
    with pytest.raises(ClientFailed, match=said):
        Talk().with_program("sh", "-c", script)


def test_a_command_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(ClientFailed, match="no-such-firmware can't be started") as failed:
        Talk().with_program("no-such-firmware")
    assert "--client" in str(failed.value.fix)


def test_a_program_that_ends_after_it_was_told_to_has_not_failed_its_command() -> None:
    talk = Talk()
    (answer,) = talk.with_program("sh", "-c", """read line; echo '{"n": 1}'""", asked=(("stop", {}),), stop=True)
    assert answer == {"n": 1}


@pytest.mark.slow
def test_a_run_ends_with_the_words_of_a_program_that_failed(tmp_path: Path) -> None:
    told = tmp_path / "told"
    script = f"""read line; echo "$line" >> {told}; echo '{{"n": 1}}'; cat > /dev/null"""
    with pytest.raises(ClientFailed, match="an answer that can't be read: the field 'backlog' is missing"):
        run_sockets(parse(SMALL, "small.toml"), 1, speed=50, timeout_s=30, client=("sh", "-c", script))
    start = json.loads(told.read_text().splitlines()[0])
    assert start["do"] == "start"
    assert {"site", "device", "role", "host", "port", "password", "outbox", "boot", "booted_ms", "wall_off_ms", "events_max"} <= start.keys()
    assert len(bytes.fromhex(start["boot"])) == 8

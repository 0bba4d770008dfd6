"""The JavaScript client: its own tests, its types, its checks against the server's, and its firmware in the hands of simulated people.

It needs Node.js and the npm packages that its package.json names, beside it or in NODE_PATH; `.ci/run` installs them.
"""

from __future__ import annotations

import json
import queue
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest
from contracts.wire_strategies import faults, valid_event
from helpers.events import SITE
from helpers.javascript import laid_out
from helpers.site import Site
from helpers.waiting import DEADLINE_S
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from bridge import recovery
from bridge.app import ingest_of
from bridge.claim_terms import terms_of
from bridge.operations import devices
from bridge.operations.fleet import NewClaim
from bridge.passwords import token_digest
from devices.protocol.claims import fingerprint_text
from devices.protocol.device_messages import EVENT_KINDS, decode_event
from devices.protocol.encoding import PayloadError, encode_cbor
from devices.protocol.vocabulary import DEVELOPER_WARNINGS, EventType, Role, Warn
from firmware_sim.checkers import judge
from firmware_sim.link import eyes, foreign
from firmware_sim.link.sockets import run_sockets
from firmware_sim.record import Connected, Noted, Record, ServerKilled
from firmware_sim.scenario import Scenario
from firmware_sim.scenario_file import parse, read_scenario

HOUR: Final = """
name = "hour"
story = "A scanner and a phone with other people's firmware, which is killed, and lines that break."
day_s = 40
calm_s = 20
[settings.orders]
sweep_every_s = 1
[orders]
count = 1
every_s = 5
fates = { delivered = 1 }
[[scanners]]
bounce = 0.3
[[couriers]]
[[faults]]
kind = "reboot"
every_s = 15
[[faults]]
kind = "disconnect"
every_s = 15
"""
AFTERNOON: Final = (
    HOUR.replace("count = 1", "count = 6").replace("day_s = 40", "day_s = 200").replace("[[couriers]]", "[[couriers]]\nkilled_every_s = 2\nkilled_s = 0.1")
    + """
[[faults]]
kind = "server_kill"
every_s = 30
down_s = 10
from_s = 20
point = "committed"
"""
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return laid_out(tmp_path_factory.mktemp("javascript"))


@pytest.mark.slow
def test_a_claim_is_redeemed_once_from_the_right_server(client: Path, tmp_path: Path) -> None:
    """In Python and in JavaScript, a claim is read alike."""
    with Site(tmp_path / "site", listen={"mqtts": "127.0.0.1:0"}) as site:
        host, port = site.addresses["mqtts"]
        claim = terms_of(site.directory, [f"{host}:{port}"]).claim("scan-07")
        site.wait_for(devices.add(site.app, "scan-07", Role.SCANNER, claim=NewClaim(token_sha256=token_digest(claim.token), valid_ms=3_600_000)))
        wrong = replace(claim, fingerprint=fingerprint_text(bytes(32)))
        said = [_redeemed(client, text, tmp_path / "scan-07.json") for text in (wrong.text(), claim.short_text().lower(), claim.text(), "mqtts://x/y")]
        assert said == ["WrongServer", "redeemed scan-07 of ams1", "ClaimRefused", "InvalidClaim"]
        saved = json.loads((tmp_path / "scan-07.json").read_text())
        assert (tmp_path / "scan-07.json").stat().st_mode & 0o777 == 0o600
        assert site.app.registry.verify("scan-07", saved["password"]) is not None


def _redeemed(client: Path, text: str, store: Path) -> str:
    script = f"""
        import mqtt from 'mqtt';
        import {{ claimMeans }} from './node.js';
        import {{ redeem }} from './redeem.js';
        redeem({json.dumps(text)}, claimMeans(mqtt, {json.dumps(str(store))})).then(
            ({{ site, device }}) => console.log(`redeemed ${{device}} of ${{site}}`), (error) => console.log(error.name));
    """
    done = subprocess.run(["node", "--input-type=module", "-e", script], cwd=client, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


@pytest.fixture
def firmware(client: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The command that runs it. Devices do not wait for a silent network for longer than a test may take."""
    monkeypatch.setattr(foreign, "BACKOFF_MAX_MS", 400)
    monkeypatch.setattr(foreign, "ACK_PATIENCE_MS", 2_000)
    monkeypatch.setattr(eyes, "QUIET_S", 0.4)
    return ("node", str(client / "firmware.js"))


def lived_through(scenario: Scenario, firmware: tuple[str, ...], *, seed: int, speed: float) -> Record:
    """A record that keeps every law, of a run in which every device finished."""
    record = run_sockets(scenario, seed, speed=speed, timeout_s=240, client=firmware)
    assert judge(record) == []
    assert set(record.end.unsent.values()) == set(record.end.unanswered.values()) == {0}
    return record


def test_its_own_tests_pass(client: Path) -> None:
    done = subprocess.run(["node", "--test", "."], cwd=client.parents[2] / "tests" / "javascript", capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_its_types_hold(client: Path) -> None:
    compiler = client.parents[2] / "node_modules" / ".bin" / "tsc"
    done = subprocess.run([compiler, "--project", "jsconfig.json"], cwd=client, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_an_order_is_packed_and_carried_out_while_programs_are_killed(firmware: tuple[str, ...]) -> None:
    record = lived_through(parse(HOUR, "hour.toml"), firmware, seed=2, speed=40)
    killed = {e.device for e in record.of(Noted) if e.text == "its program is killed"}
    assert killed == {"scan-1", "phone-1"}
    assert {row["device"] for row in record.end.tables["events"]} >= killed
    assert {e.device for e in record.of(Connected)} >= killed


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_for_an_afternoon_while_the_server_dies_too(firmware: tuple[str, ...], seed: int) -> None:
    assert list(lived_through(parse(AFTERNOON, "afternoon.toml"), firmware, seed=seed, speed=20).of(ServerKilled))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quiet-morning", "dead-zones", "power-cut", "clock-chaos", "labels-only", "wrong-clock"])
def test_it_lives_through(firmware: tuple[str, ...], name: str) -> None:
    scenario = read_scenario(name)
    # Over sockets nobody sees an alert that was cleared before the end.
    seen_at_the_end = structs.replace(scenario, expect=structs.replace(scenario.expect, raised=[]))
    lived_through(seen_at_the_end, firmware, seed=1, speed=10 if name == "power-cut" else 40)


# --- a server that was restored ----------------------------------------------------------------------------------------------------


class Phone:
    """The firmware as a process, given commands as the simulator does."""

    def __init__(self, command: tuple[str, ...], **who: Any) -> None:
        self.news: dict[str, Any] = {}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._asked = 0
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = Thread(target=self._read, name="phone")
        self._reader.start()
        self.ask("start", **who)

    def ask(self, what: str, **fields: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._asked += 1
        self._process.stdin.write(json.dumps({"do": what, "n": self._asked, **fields}) + "\n")
        self._process.stdin.flush()
        while (line := self._line()).get("n") != self._asked:
            self.news |= line
        assert "error" not in line, line
        return line

    def hear(self, kind: str, is_it: Callable[[Any], bool]) -> Any:
        """Wait for news."""
        while not (kind in self.news and is_it(self.news[kind])):
            self.news |= self._line()
        return self.news[kind]

    def _line(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self._lines.get(timeout=DEADLINE_S))
        return line

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)

    def kill(self) -> None:
        assert self._process.stdin is not None
        self._process.kill()
        self._process.stdin.close()
        self._process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)


def test_it_sends_again_what_a_restored_server_lacks_also_after_it_was_killed(firmware: tuple[str, ...], tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        site.create("PO-1", "PO-2", "PO-3")
        site.tell("shop1", Role.SYSTEM, "paid", *(site.event("shop1", 10 + n, f"PO-{n}", {"amount_minor": 1, "currency": "EUR"}) for n in (1, 2, 3)))
        password = site.enrol("phone-1", Role.COURIER, courier="anna")
        patience = {"debounce_ms": 1, "events_max": 100, "backoff_max_ms": 100, "ack_timeout_ms": 2_000}
        clock = {"boot": "0102030405060708", "booted_ms": site.now_ms() - 60_000, "wall_off_ms": 0}
        who = {"site": SITE, "device": "phone-1", "courier": "anna", "password": password, "outbox": str(tmp_path / "outbox"), **patience, **clock}

        def started() -> Phone:
            host, port = site.addresses["mqtt"]
            return Phone(firmware, host=host, port=port, **who)

        def assigned(seq: int, order: str, job: str) -> None:
            site.tell("desk", Role.DESK, "assigned", site.event("desk", seq, order, {"courier": "anna", "job": job}))

        phone = started()
        assigned(1, "PO-1", "tour-1")
        jobs = phone.hear("jobs", bool)
        site.app.database.backup(tmp_path / "backup.db")
        claim = phone.ask("scan", type="claim", body={"job": "tour-1", "rev": jobs[0]["rev"]})
        assert phone.hear("receipt", lambda receipt: receipt["id"] == claim["id"])["outcome"] == "applied"
        assigned(2, "PO-3", "tour-2")
        phone.hear("jobs", lambda jobs: len(jobs) == 2)
        phone.kill()
        site.stop()
        assert recovery.restore(site.directory, tmp_path / "backup.db", ingest_of, lambda _step: None).epoch == 1
        site.start()

        phone = started()
        again = phone.hear("receipt", lambda receipt: receipt["id"] == claim["id"])
        assert (again["outcome"], again["n"], again["epoch"], "again" in again) == ("applied", 1, 1, False)
        (job,) = phone.hear("jobs", lambda jobs: [job["state"] for job in jobs] == ["accepted"])
        assert (job["job"], job["epoch"]) == ("tour-1", 1)
        phone.ask("stop")
        phone.kill()
        assert site.rows("SELECT seq, type FROM events WHERE device = 'phone-1'") == [(1, "claim")]


# --- what it refuses --------------------------------------------------------------------------------------------------------------


def test_it_hides_from_a_worker_what_concerns_its_developer(client: Path) -> None:
    words = [word.value for word in Warn]
    script = f"import {{ workerWarn }} from './device.js'; console.log(JSON.stringify(workerWarn({{ warn: {json.dumps(words)} }})))"
    done = subprocess.run(["node", "--input-type=module", "-e", script], cwd=client, capture_output=True, text=True, check=True, timeout=60)
    assert set(json.loads(done.stdout)) == set(Warn) - DEVELOPER_WARNINGS


@pytest.fixture(scope="module")
def verdicts(client: Path) -> Iterator[subprocess.Popen[str]]:
    script = client.parents[2] / "tests" / "javascript" / "verdicts.js"
    with subprocess.Popen(["node", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_it_refuses_what_the_server_would_refuse_and_nothing_else(verdicts: subprocess.Popen[str], data: st.DataObject) -> None:
    event_type = data.draw(st.sampled_from(EventType))
    # The client makes the time itself; a scan can't say it.
    value = {**data.draw(valid_event(event_type)), "at_ms": 1}
    told = [value, *(wrong for wrong, path in faults(EVENT_KINDS[event_type], value) if path != "at_ms")]
    payloads = [encode_cbor(_without_null(one)) for one in told if isinstance(one, dict)]
    assert verdicts.stdin is not None
    assert verdicts.stdout is not None
    verdicts.stdin.write("".join(f"{event_type} {payload.hex()}\n" for payload in payloads))
    verdicts.stdin.flush()
    said = [json.loads(verdicts.stdout.readline()) for _ in payloads]
    for payload, fault in zip(payloads, said, strict=True):
        assert bool(fault) is _is_refused(payload, event_type), (fault, payload.hex())


def _without_null(value: Any) -> Any:
    """The client leaves fields out that are null."""
    if isinstance(value, dict):
        return {name: _without_null(inner) for name, inner in value.items() if inner is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value


def _is_refused(payload: bytes, event_type: EventType) -> bool:
    try:
        decode_event(payload, event_type)
    except PayloadError:
        return True
    return False

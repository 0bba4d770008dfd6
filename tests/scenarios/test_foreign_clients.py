"""A stranger with an enrolled device's name and password, and a client that we did not write: mosquitto_pub and mosquitto_sub, and MQTT.js.

They need Debian's mosquitto-clients, and Node.js with the npm package `mqtt` (found through NODE_PATH); `.ci/run` installs them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest
from a_site import BOOT, TOPICS, Site, event, event_id, log_of
from foreign_tools import needs

from devices.protocol.vocabulary import Role

TIMEOUT_S = 20


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site", listen={"mqtt": "127.0.0.1:0", "websocket": "127.0.0.1:0"}) as served:
        served.enrol("desk", Role.DESK)
        served.enrol("scan-07")
        served.create("PO-17")
        yield served


def login(site: Site, device: str) -> list[str]:
    host, port = site.addresses["mqtt"]
    return ["-h", host, "-p", str(port), "-u", device, "-P", site.secrets[device], "-i", device]


def subscribed(arguments: list[str]) -> subprocess.Popen[str]:
    """A mosquitto_sub that has its SUBACK: -d makes it say so, and stdbuf makes it say so at once, into a pipe too."""
    process = subprocess.Popen(["stdbuf", "-oL", "mosquitto_sub", "-d", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    while line := process.stdout.readline():
        if "Subscribed" in line:
            return process
    raise AssertionError("mosquitto_sub ended before it was subscribed")


def payloads(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    with process.stdout as stream:  # not `communicate`: it passes over what was read ahead with the line before
        out = stream.read()
    assert process.wait(TIMEOUT_S) == 0, out
    return [line for line in out.splitlines() if not line.startswith(("Client ", "Subscribed"))]


@pytest.mark.parametrize(("as_json", "qos"), [(False, 1), (True, 2)], ids=["cbor-qos1", "json-qos2"])
def test_a_pack_made_by_hand_is_seen_as_receipt_and_as_retained_status(site: Site, tmp_path: Path, as_json: bool, qos: int) -> None:
    needs("mosquitto_pub")
    packed = tmp_path / "pack"
    packed.write_bytes(event("scan-07", 1, "PO-17", {"weight_g": 1250}, at_ms=site.app.clock.now_ms(), as_json=as_json))
    receipts = subscribed([*login(site, "scan-07"), "-c", "-q", "1", "-t", TOPICS.receipts("scan-07"), "-C", "1", "-W", str(TIMEOUT_S), "-F", "%x"])
    publish = ["mosquitto_pub", *login(site, "scan-07")[:-2], "-i", "scan-07-pub", "-q", str(qos), "-t", TOPICS.event("scan-07", "pack"), "-f", str(packed)]
    assert subprocess.run(publish, timeout=TIMEOUT_S, check=False).returncode == 0
    (receipt,) = (cbor2.loads(bytes.fromhex(p)) for p in payloads(receipts))
    assert (receipt["outcome"], receipt["tone"], receipt["state"]) == ("applied", "ok", "packed")
    assert receipt["id"] == event_id("scan-07", 1)

    watch = subscribed([*login(site, "desk"), "-q", "1", "-t", TOPICS.status("PO-17"), "-C", "1", "-W", str(TIMEOUT_S), "-F", "%r %x"])
    (line,) = payloads(watch)
    retained, _, payload = line.partition(" ")
    assert retained == "1"
    assert cbor2.loads(bytes.fromhex(payload))["state"] == "packed"


def test_a_wrong_password_is_told_so(site: Site) -> None:
    needs("mosquitto_pub")
    arguments = login(site, "scan-07")
    arguments[arguments.index("-P") + 1] = "guessed"
    done = subprocess.run(["mosquitto_pub", *arguments, "-t", "x", "-m", "x"], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 4
    assert "bad user name or password" in done.stderr.lower()


MQTT_JS = """
const mqtt = require('mqtt');
const job = JSON.parse(process.argv[1]);
const client = mqtt.connect(job.url, {username: job.device, password: job.secret, clientId: job.device, clean: false, protocolVersion: 4});
const desk = mqtt.connect(job.url, {username: 'desk', password: job.desk, clientId: 'desk', protocolVersion: 4});
const seen = {};
function done() {
  if (seen.receipt && seen.status) {
    console.log(JSON.stringify(seen));
    client.end(false, {}, () => desk.end(false, {}, () => process.exit(0)));
  }
}
client.on('message', (topic, payload) => { seen.receipt = payload.toString(); done(); });
desk.on('message', (topic, payload) => { const s = JSON.parse(payload); if (s.state === 'packed') { seen.status = s; done(); } });
desk.subscribe(job.status, {qos: 1}, () => client.subscribe(job.receipts, {qos: 1}, () => client.publish(job.topic, job.payload, {qos: 2})));
"""


@pytest.mark.parametrize("over", ["mqtt", "ws"])
def test_mqtt_js_packs_and_sees_it_in_json(tmp_path: Path, over: str) -> None:
    needs("node")
    settings = {"listen": {"mqtt": "127.0.0.1:0", "websocket": "127.0.0.1:0"}, "publish": {"format": "json"}}
    with Site(tmp_path / "site", **settings) as site:
        site.enrol("desk", Role.DESK)
        site.enrol("scan-07")
        site.create("PO-17")
        host, port = site.addresses[over]
        job = {
            "url": f"{over}://{host}:{port}",
            "device": "scan-07",
            "secret": site.secrets["scan-07"],
            "desk": site.secrets["desk"],
            "status": TOPICS.status("PO-17"),
            "receipts": TOPICS.receipts("scan-07"),
            "topic": TOPICS.event("scan-07", "pack"),
            "payload": event("scan-07", 1, "PO-17", {}, at_ms=site.app.clock.now_ms(), as_json=True).decode(),
        }
        done = subprocess.run(["node", "-e", MQTT_JS, json.dumps(job)], capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    seen = json.loads(done.stdout)
    receipt = json.loads(seen["receipt"])
    assert (receipt["outcome"], receipt["id"], receipt["log"]) == ("applied", event_id("scan-07", 1).hex(), log_of("scan-07").hex())
    assert seen["status"]["order"] == "PO-17"
    assert BOOT.hex() not in done.stdout

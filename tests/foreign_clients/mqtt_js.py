"""MQTT.js (the npm package `mqtt`, found through NODE_PATH). One Node.js process runs `mqtt_js.js`, which carries out the commands of all tests."""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
from pathlib import Path
from threading import Thread
from typing import Any

from foreign_clients.driver import DEADLINE_S, Heard, Inbox, Login, Refused, Will

SCRIPT = Path(__file__).with_name("mqtt_js.js")


class MqttJsListener:
    def __init__(self, driver: MqttJs, job: int, inbox: Inbox, *, session_present: bool) -> None:
        self.session_present = session_present
        self._driver = driver
        self._job = job
        self._inbox = inbox

    def receive(self) -> Heard:
        return self._inbox.receive()

    def leave(self) -> None:
        self._driver.ask("leave", listener=self._job)

    def vanish(self) -> None:
        self._driver.ask("vanish", listener=self._job)


class MqttJs:
    name = "MQTT.js"
    tool = "node"
    over = ("mqtt", "mqtts", "ws", "wss")

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._jobs = itertools.count(1)
        self._answers: dict[int, queue.Queue[dict[str, Any]]] = {}
        self._inboxes: dict[int, Inbox] = {}

    def listen(self, login: Login, topic_filter: str, *, qos: int, clean: bool = True, will: Will | None = None) -> MqttJsListener:
        job = next(self._jobs)
        inbox = self._inboxes[job] = Inbox()
        answer = self.ask("listen", job, **_login(login), filter=topic_filter, qos=qos, clean=clean, will=will)
        return MqttJsListener(self, job, inbox, session_present=answer["present"])

    def publish(self, login: Login, topic: str, *payloads: bytes, qos: int, retain: bool = False) -> None:
        self.ask("publish", **_login(login), topic=topic, payloads=[p.hex() for p in payloads], qos=qos, retain=retain)

    def ask(self, what: str, job: int = 0, **details: Any) -> dict[str, Any]:
        """Send the script a command; returns its answer."""
        job = job or next(self._jobs)
        answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._answers[job] = answers
        stdin = self._started().stdin
        assert stdin is not None
        stdin.write(json.dumps({"do": what, "job": job, **details}) + "\n")
        stdin.flush()
        try:
            answer = answers.get(timeout=DEADLINE_S)
        except queue.Empty:
            raise AssertionError(f"MQTT.js did not answer to {what} in time") from None
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(["node", str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._reader = Thread(target=self._read, args=(self._process,), name="MQTT.js")
            self._reader.start()
        return self._process

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                said = json.loads(line)
                if "heard" in said:
                    topic, payload, qos, retain = said["heard"]
                    self._inboxes[said["from"]].put(Heard(topic, bytes.fromhex(payload), qos, retain))
                else:
                    self._answers[said["job"]].put(said)

    def close(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(DEADLINE_S)
            self._reader.join(DEADLINE_S)


def _login(login: Login) -> dict[str, Any]:
    return {
        "over": login.over,
        "host": login.host,
        "port": login.port,
        "device": login.device,
        "secret": login.secret,
        "client_id": login.client_id,
        "ca": str(login.ca) if login.over in ("mqtts", "wss") else None,
    }

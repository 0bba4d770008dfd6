"""mosquitto_sub and mosquitto_pub (Debian's mosquitto-clients). They do not support WebSocket, and do not report whether a session was present."""

from __future__ import annotations

import queue
import subprocess
from threading import Thread

from foreign_clients.driver import DEADLINE_S, Heard, Inbox, Login, Refused, Will

MARK = "message"


class MosquittoListener:
    session_present = None

    def __init__(self, arguments: list[str]) -> None:
        # With -d it prints when it is subscribed; stdbuf makes it print at once, even into a pipe.
        command = ["stdbuf", "-oL", "mosquitto_sub", "-d", "-F", f"{MARK} %q %r %t %x", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._inbox = Inbox()
        self._said: queue.Queue[str | None] = queue.Queue()
        self._reader = Thread(target=self._read, name="mosquitto_sub")
        self._reader.start()
        while (line := self._said.get(timeout=DEADLINE_S)) is not None:
            if line.startswith("Subscribed"):
                return
            if "Refused" in line:
                self._end()
                raise Refused(line)
        self._end()
        raise AssertionError("mosquitto_sub ended before it was subscribed")

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                word, *rest = line.rstrip("\n").split(" ", 4)
                if word == MARK:
                    qos, retain, topic, payload = rest
                    self._inbox.put(Heard(topic, bytes.fromhex(payload), int(qos), retain == "1"))
                else:
                    self._said.put(line)
        self._said.put(None)
        self._inbox.put(None)

    def receive(self) -> Heard:
        return self._inbox.receive()

    def leave(self) -> None:
        self._process.terminate()  # it then sends DISCONNECT
        self._end()

    def vanish(self) -> None:
        self._process.kill()
        self._end()

    def _end(self) -> None:
        self._process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)


class Mosquitto:
    name = "mosquitto"
    tool = "mosquitto_pub"
    over = ("mqtt", "mqtts")

    def listen(self, login: Login, topic_filter: str, *, qos: int, clean: bool = True, will: Will | None = None) -> MosquittoListener:
        arguments = [*_login(login), "-q", str(qos), "-t", topic_filter]
        if not clean:
            arguments += ["-c"]
        if will is not None:
            arguments += ["--will-topic", will.topic, "--will-payload", will.payload, "--will-qos", "1"]
        return MosquittoListener(arguments)

    def publish(self, login: Login, topic: str, *payloads: bytes, qos: int, retain: bool = False) -> None:
        how = "-l" if len(payloads) > 1 else "-s" if payloads[0] else "-n"
        command = ["mosquitto_pub", *_login(login), "-q", str(qos), "-t", topic, how, *(["-r"] if retain else [])]
        subprocess.run(command, input=b"\n".join(payloads), timeout=DEADLINE_S, check=True)

    def close(self) -> None:
        """Every listener had a process of its own."""


def _login(login: Login) -> list[str]:
    who = ["-V", "mqttv311", "-h", login.host, "-p", str(login.port), "-u", login.device, "-P", login.secret, "-i", login.client_id]
    return [*who, "--cafile", str(login.ca)] if login.over == "mqtts" else who

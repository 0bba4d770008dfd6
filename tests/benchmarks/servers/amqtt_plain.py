"""Plain amqtt 0.12, as its authors ship it, with a consumer in the same process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from helpers.server import free_port

from benchmarks.machine import Cores
from benchmarks.servers.mosquitto import listens, start_consumer
from benchmarks.servers.ours import count_events
from benchmarks.servers.process import Server, wait_for
from devices.protocol.vocabulary import Role


class PlainAmqtt(Server):
    """A broker and a consumer in one process."""

    def __init__(self, folder: Path, roles: Mapping[str, Role], cores: Cores) -> None:
        self.port = free_port()
        self._database = folder / "consumer.db"
        super().__init__(cores)
        start_consumer(self._processes, "with_amqtt", self.port, self._database, roles, folder / "consumer.log")
        wait_for(lambda: listens(self.port), "amqtt")

    def stored(self) -> int:
        return count_events(self._database)

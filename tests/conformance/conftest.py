"""The broker that the tests of this folder talk to.

By default it is `dockbridge serve --lab`, started once and stopped at the end. `DOCKBRIDGE_CONFORMANCE=HOST:PORT` points the same tests at
another broker that takes anonymous clients, with `HOST:PORT,HOST:PORT` if it also listens for WebSockets. Tests of what Dockbridge decided where
the standard leaves a choice are skipped for other brokers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from conformance.lab import Broker, Lab
from helpers.mqtt import Address
from helpers.server import ServerProcess

ANOTHER = "DOCKBRIDGE_CONFORMANCE"


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that takes anonymous clients."""
    if named := os.environ.get(ANOTHER):
        mqtt, _, websocket = named.partition(",")
        yield Broker(address=_address(mqtt), websocket=_address(websocket) if websocket else None, is_ours=False)
        return
    log = tmp_path_factory.mktemp("lab") / "serve.log"
    with ServerProcess("--lab", "--listen", "127.0.0.1:0", "--websocket", "127.0.0.1:0", log=log) as server:
        yield Broker(address=server.addresses["mqtt"], websocket=server.addresses["ws"], is_ours=True)
        server.end()


def _address(named: str) -> Address:
    host, _, port = named.rpartition(":")
    return host, int(port)


@pytest.fixture
def lab(broker: Broker) -> Iterator[Lab]:
    """The clients of one test."""
    with Lab(broker) as opened:
        yield opened


@pytest.fixture
def ours(broker: Broker) -> Broker:
    """The broker, if it is Dockbridge; otherwise the test is skipped."""
    if not broker.is_ours:
        pytest.skip("what Dockbridge decided where the standard leaves a choice")
    return broker

"""The broker that the tests of this folder talk to.

Without anything said, it is `dockbridge serve --lab`, started once and stopped at the end. `DOCKBRIDGE_CONFORMANCE=HOST:PORT` points the same tests at
another broker that takes anonymous clients, with `HOST:PORT,HOST:PORT` where it also listens for WebSockets. What only Dockbridge decided (where the
standard leaves a choice) is not asked of others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from conformance.lab import Address, Broker, Lab

ANOTHER = "DOCKBRIDGE_CONFORMANCE"


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A broker that takes anonymous clients."""
    if named := os.environ.get(ANOTHER):
        mqtt, _, websocket = named.partition(",")
        yield Broker(address=_address(mqtt), websocket=_address(websocket) if websocket else None, is_ours=False)
        return
    command = (sys.executable, "-m", "bridge.entrypoints.cli.main", "serve", "--lab", "--json", "--listen", "127.0.0.1:0", "--websocket", "127.0.0.1:0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, "the lab did not start"
            addresses = json.loads(line)["addresses"]
            yield Broker(address=_address(addresses["mqtt"]), websocket=_address(addresses["ws"]), is_ours=True)
        finally:
            server.terminate()


def _address(url: str) -> Address:
    host, _, port = url.rpartition("/")[2].rpartition(":")
    return host, int(port)


@pytest.fixture
def lab(broker: Broker) -> Iterator[Lab]:
    """The clients of one test."""
    with Lab(broker) as opened:
        yield opened


@pytest.fixture
def ours(broker: Broker) -> Broker:
    """The broker, where it is Dockbridge."""
    if not broker.is_ours:
        pytest.skip("what Dockbridge decided where the standard leaves a choice")
    return broker

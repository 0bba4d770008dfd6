"""The names of amqtt that we use beyond its documented configuration still exist. If this fails, look at `bridge.broker` before you raise the pin."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from importlib.metadata import version
from typing import Any

import pytest
from amqtt.adapters import BufferReader
from amqtt.broker import Broker
from amqtt.mqtt.connect import ConnectPayload
from amqtt.session import Session

from bridge.broker.embedded import AMQTT_NAMES, EmbeddedBroker, SiteAuthentication


@pytest.fixture(scope="module")
def instances() -> dict[str, Any]:
    """An instance of each class whose attributes are made in its `__init__`."""

    async def make() -> Broker:
        plugin = f"{SiteAuthentication.__module__}.{SiteAuthentication.__name__}"
        return Broker({"listeners": {"default": {"type": "tcp", "bind": None}}, "plugins": {plugin: {}}})

    return {"amqtt.broker.Broker": asyncio.run(make()), "amqtt.session.Session": Session(), "amqtt.mqtt.connect.ConnectPayload": ConnectPayload()}


def find(name: str, instances: dict[str, Any]) -> Any:
    """The object that a dotted name refers to.

    Raises:
        AttributeError: if it does not exist.
    """
    module, owner, attribute = name.rsplit(".", 2)
    kind = getattr(importlib.import_module(module), owner)
    return getattr(instances.get(f"{module}.{owner}", kind), attribute)


@pytest.mark.parametrize("name", AMQTT_NAMES)
def test_a_name_that_we_use_exists(name: str, instances: dict[str, Any]) -> None:
    find(name, instances)


def test_a_name_that_is_gone_would_be_noticed(instances: dict[str, Any]) -> None:
    with pytest.raises(AttributeError):
        find("amqtt.broker.Broker._no_such_thing", instances)


def test_the_pin_holds() -> None:
    assert version("amqtt").startswith("0.12.")


@pytest.mark.parametrize("name", ["_create_server_instance", "ws_connected"])
def test_what_we_override_still_takes_the_same_arguments(name: str) -> None:
    ours, theirs = (list(inspect.signature(getattr(kind, name)).parameters) for kind in (EmbeddedBroker, Broker))
    assert ours == theirs


def test_packets_are_decoded_without_waiting() -> None:
    """Our decoder runs amqtt's coroutines to their end at once: over a whole buffer they never wait."""
    with pytest.raises(StopIteration) as done:
        BufferReader(b"whole").read(5).send(None)
    assert done.value.value == b"whole"

"""The AsyncAPI document is complete, agrees with the table of topics, and has payload schemas that agree with the code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from devices.protocol.describe import PARAMETERS, asyncapi, topic_table
from devices.protocol.messages import BYTES_FIELDS, MESSAGES
from devices.protocol.topics import TOPIC_TABLE, TopicRow
from devices.protocol.vocabulary import EventType

DOCUMENT = asyncapi()
every_row = pytest.mark.parametrize("row", TOPIC_TABLE, ids=lambda row: row.shape)


def resolve(ref: str) -> Any:
    found: Any = DOCUMENT
    for step in ref.removeprefix("#/").split("/"):
        found = found[step]
    return found


def maps(value: Any) -> Iterator[dict[str, Any]]:
    """Every map in a document, outermost first."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from maps(inner)


def channel_of(row: TopicRow) -> tuple[str, dict[str, Any]]:
    return next((name, channel) for name, channel in DOCUMENT["channels"].items() if channel["address"] == row.shape)


def test_it_has_what_asyncapi_3_requires():
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    assert all({"host", "protocol"} <= set(server) for server in DOCUMENT["servers"].values())
    assert all({"action", "channel"} <= set(operation) for operation in DOCUMENT["operations"].values())
    names = [*DOCUMENT["channels"], *DOCUMENT["operations"], *DOCUMENT["components"]["messages"], *DOCUMENT["components"]["schemas"]]
    assert [name for name in names if not re.fullmatch(r"[\w.-]+", name)] == []


def test_it_is_json_and_always_the_same():
    assert json.dumps(asyncapi()) == json.dumps(DOCUMENT)


def test_every_reference_leads_somewhere():
    for ref in [found["$ref"] for found in maps(DOCUMENT) if "$ref" in found]:
        assert isinstance(resolve(ref), dict), ref


def test_nothing_is_there_that_nobody_refers_to():
    used = {found["$ref"] for found in maps(DOCUMENT) if "$ref" in found}
    for section in ("messages", "schemas"):
        assert [name for name in DOCUMENT["components"][section] if f"#/components/{section}/{name}" not in used] == []


@every_row
def test_every_topic_is_a_channel_with_all_its_parameters(row: TopicRow):
    _, channel = channel_of(row)
    assert list(channel["parameters"]) == re.findall(r"{(\w+)}", row.shape)
    assert all(parameter["description"].startswith(PARAMETERS[name]) for name, parameter in channel["parameters"].items())


def test_there_are_as_many_channels_as_topics():
    assert len(DOCUMENT["channels"]) == len(TOPIC_TABLE)


@every_row
def test_every_channel_has_one_operation_from_the_bridges_side(row: TopicRow):
    name, channel = channel_of(row)
    [operation] = [o for o in DOCUMENT["operations"].values() if o["channel"]["$ref"] == f"#/channels/{name}"]
    assert operation["action"] == ("send" if "bridge" in row.publisher else "receive")
    assert [m["$ref"] for m in operation["messages"]] == [f"#/channels/{name}/messages/{m}" for m in channel["messages"]]
    assert str(operation["bindings"]["mqtt"]["qos"]) in row.qos
    assert operation["bindings"]["mqtt"]["retain"] == (row.retained != "no")


def test_every_event_type_and_message_is_there():
    messages = DOCUMENT["components"]["messages"]
    assert len(messages) == len(EventType) + len(MESSAGES)
    assert list(channel_of(TOPIC_TABLE[0])[1]["messages"]) == [f"event-{t.replace('_', '-')}" for t in EventType]
    assert all({"name", "contentType", "payload"} <= set(message) for message in messages.values())


def test_every_struct_field_has_a_type_and_required_fields_exist():
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema["type"] in ("object", "array", "string"), name
        assert set(schema.get("required", [])) <= set(schema.get("properties", {})), name
        for field in schema.get("properties", {}).values():
            assert {"type", "$ref", "anyOf"} & set(field)


def test_bytes_are_lowercase_hex():
    properties = [p for schema in DOCUMENT["components"]["schemas"].values() for p in schema.get("properties", {}).items()]
    shown = {name for name, field in properties for inner in maps(field) if "[0-9a-f]" in inner.get("pattern", "")}
    assert shown == BYTES_FIELDS
    assert DOCUMENT["components"]["schemas"]["event-pick"]["properties"]["id"] == {"type": "string", "pattern": "^[0-9a-f]{32}$"}


def test_every_limit_is_a_number():
    for found in maps(DOCUMENT["components"]["schemas"]):
        if found.get("type") == "integer":
            assert isinstance(found["minimum"], int)
            assert isinstance(found["maximum"], int)


@every_row
def test_the_table_shows_every_topic(row: TopicRow):
    assert f"| `{row.shape}` | {row.publisher} | {row.qos} | {row.retained} | `{row.payload}` |\n" in topic_table()

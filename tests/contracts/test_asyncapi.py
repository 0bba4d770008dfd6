"""The AsyncAPI document is complete, agrees with the table of topics, and has payload schemas that agree with the code."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.foreign_tools import needs

from devices.protocol.documents import examples, shapes
from devices.protocol.documents.asyncapi import PARAMETERS, asyncapi
from devices.protocol.documents.topics import topic_table
from devices.protocol.messages import BYTES_FIELDS, EVENT_KINDS, MESSAGES, decode, encode_json, plain
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
    assert [name for name in names if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", name)] == []
    assert [name for section in ("messages", "schemas") for name in DOCUMENT["components"][section] if not name[0].isupper()] == []


def test_every_list_of_words_and_every_map_has_a_name() -> None:
    """A generator gives a type without a name one such as `AnonymousSchema_17`."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        inner = [found for found in maps(schema) if found is not schema and ("enum" in found or found.get("type") == "object" or "properties" in found)]
        assert inner == [], name


def test_everything_has_a_description_and_every_message_an_example() -> None:
    components = DOCUMENT["components"]
    schemas = components["schemas"].values()
    described = [*DOCUMENT["channels"].values(), *schemas, *(field for schema in schemas for field in schema.get("properties", {}).values())]
    assert [found for found in described if not found["description"]] == []
    for name, message in components["messages"].items():
        assert message["summary"], name
        assert [example["payload"] for example in message["examples"]] == [examples.as_json(example.payload) for example in examples.of_message(name)]
        assert message["examples"], name


def test_every_example_is_a_message_of_its_kind() -> None:
    for name in DOCUMENT["components"]["messages"]:
        event_type = next((t for t in EventType if shapes.event_name(t) == name), None)
        kind = next(m for m in MESSAGES if m.__name__ == name) if event_type is None else EVENT_KINDS[event_type]
        for example in examples.of_message(name):
            assert plain(decode(encode_json(example.payload), kind)) == example.payload, example.name
            assert example.about.endswith("."), example.name


@pytest.mark.slow
def test_the_parser_of_asyncapi_finds_no_fault(tmp_path: Path) -> None:
    needs("asyncapi")
    (tmp_path / "asyncapi.json").write_text(json.dumps(DOCUMENT))
    script = """
        const { Parser } = require('@asyncapi/parser');
        new Parser().parse(require('fs').readFileSync(process.argv[1], 'utf8')).then(({ document, diagnostics }) => {
            const faults = diagnostics.filter(d => d.code !== 'asyncapi-latest-version').map(d => `${d.code} ${d.path.join('.')}: ${d.message}`);
            const names = document ? document.allMessages().all().map(m => m.id()) : [];
            console.log(JSON.stringify({ faults, names }));
        });
    """
    done = subprocess.run(["node", "-e", script, str(tmp_path / "asyncapi.json")], capture_output=True, text=True, check=True, timeout=120)
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert set(found["names"]) == set(DOCUMENT["components"]["messages"])


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
    assert list(channel_of(TOPIC_TABLE[0])[1]["messages"]) == [shapes.event_name(t) for t in EventType]
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
    assert DOCUMENT["components"]["schemas"]["PickEvent"]["properties"]["id"]["pattern"] == "^[0-9a-f]{32}$"


def test_every_limit_is_a_number():
    for found in maps(DOCUMENT["components"]["schemas"]):
        if found.get("type") == "integer":
            assert isinstance(found["minimum"], int)
            assert isinstance(found["maximum"], int)


@every_row
def test_the_table_shows_every_topic(row: TopicRow):
    assert f"| `{row.shape}` | {row.publisher} | {row.qos} | {row.retained} | `{row.payload}` |\n" in topic_table()

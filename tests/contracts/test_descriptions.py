"""Everything in the contract has a description, in the code, where it is."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from msgspec import inspect

import devices.protocol
from devices.protocol import bodies, reasons
from devices.protocol.bodies import BODIES
from devices.protocol.documents import descriptions, shapes
from devices.protocol.documents.asyncapi import PARAMETERS
from devices.protocol.messages import EVENT_KINDS
from devices.protocol.topics import TOPIC_TABLE
from devices.protocol.vocabulary import EventType, Role

STRUCTS = [*shapes.structs(), shapes.event(EventType.PICK)]
LISTS = [*dict.fromkeys((Role, EventType, *shapes.closed_lists(), *reasons.REASONS.values(), reasons.Condition))]
MODULES = sorted(f"devices.protocol.{path.stem}" for path in Path(devices.protocol.__file__).parent.glob("*.py") if path.stem != "__init__")


def is_text(text: str) -> bool:
    """A whole sentence, or some; a description that was begun and not ended is found."""
    return bool(re.fullmatch(r".*\w.*[.:]", text)) and text.count("`") % 2 == 0


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.cls.__name__)
def test_every_struct_and_each_of_its_fields_is_described(kind: inspect.StructType) -> None:
    assert is_text(descriptions.of_class(kind.cls))
    said = descriptions.of_fields(kind.cls)
    assert [field.name for field in kind.fields if not is_text(said.get(field.name, ""))] == []


@pytest.mark.parametrize("words", LISTS, ids=lambda words: words.__name__)
def test_every_closed_list_and_each_of_its_words_is_described(words: type) -> None:
    assert is_text(descriptions.of_class(words))
    said = descriptions.of_words(words)
    assert said.keys() == {word.value for word in words}
    is_whole = (lambda text: bool(text)) if words in (*reasons.REASONS.values(), reasons.Condition) else is_text
    assert [word for word, text in said.items() if not is_whole(text)] == []


def test_two_types_of_fields_with_the_same_limits_would_be_confused() -> None:
    kinds = list(shapes.NAMED.values())
    assert [name for place, (name, kind) in enumerate(shapes.NAMED.items()) if kinds.index(kind) != place] == []


@pytest.mark.parametrize("name", shapes.NAMED)
def test_every_type_of_fields_is_described(name: str) -> None:
    assert is_text(shapes.about_name(name))


@pytest.mark.parametrize("module", MODULES)
def test_every_limit_of_the_contract_is_described(module: str) -> None:
    limits = [name for name in vars(import_module(module)) if name.endswith("_MAX") and not name.startswith("_")]
    own = [name for name in limits if f"\n{name}" in Path(str(import_module(module).__file__)).read_text()]
    assert [name for name in own if not is_text(descriptions.of_name(module, name))] == []


def test_every_topic_and_each_of_its_parameters_is_described() -> None:
    assert [row.shape for row in TOPIC_TABLE if not is_text(row.about)] == []
    assert {name for row in TOPIC_TABLE for name in re.findall(r"{(\w+)}", row.shape)} == PARAMETERS.keys()
    assert [name for name, text in PARAMETERS.items() if not is_text(text)] == []


def test_only_the_text_right_below_a_name_describes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = 'class Odd:\n    told: int\n    """It is told."""\n    untold: int\n\n\nLIMIT_MAX = 3\n"""A limit."""\nOTHER_MAX = 4\n'
    (tmp_path / "module_of_this_test.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    odd = import_module("module_of_this_test").Odd
    assert descriptions.of_name(odd.__module__, "LIMIT_MAX") == "A limit."
    assert descriptions.of_name(odd.__module__, "OTHER_MAX") == ""


def test_events_of_every_type_inherit_the_texts_of_what_all_events_say() -> None:
    texts = descriptions.of_fields(EVENT_KINDS[EventType.VOID])
    assert texts["mono_ms"].startswith("The monotonic clock of `boot`")
    assert "ref" not in texts
    assert set(BODIES) == set(EventType)
    assert descriptions.of_fields(bodies.Void)["ref"] == "Its `id`."

"""The reference of event types: one page for each, in Markdown that reads well in a terminal."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from bridge.documents import effects
from bridge.ingest.accept import SCANNING
from devices.protocol.documents import descriptions, examples, shapes
from devices.protocol.documents.event_examples import EVENT_EXAMPLES, SITE
from devices.protocol.documents.texts import WIDTH, fields_of, item, paragraph
from devices.protocol.encoding import encode_cbor
from devices.protocol.reasons import REASONS
from devices.protocol.vocabulary import EventType, Reason, Role

_HEAD: Final = """\
# Events

One page for each event type. An event is published to
`v1/{site}/devices/{device}/events/{type}`, QoS 1 or 2, not retained. What every
event says beside its body, how to get its receipt, and what to do with it:
`dockbridge contract show guide`. One page alone:
`dockbridge contract show events pick`.

Any event may also be answered `malformed`, `unknown_type`, `forbidden`,
`id_reused`, `voided`, `repeated`, `too_many_events` or `poison`.

"""


def event_reference() -> str:
    """The pages of all event types."""
    return _HEAD + _index() + "\n" + "\n".join(event_page(event_type) for event_type in EventType)


def event_page(event_type: EventType) -> str:
    """The page of one event type."""
    return "\n".join(
        (
            f"## {event_type}\n",
            paragraph(descriptions.of_words(EventType)[event_type]),
            _facts(event_type),
            f"**Fields**\n\n{_fields(event_type)}",
            f"**Effect**\n\n{_effect(event_type)}",
            *([f"**If it does not count**\n\n{answers}"] if (answers := _answers(event_type)) else ()),
            _example(event_type),
        )
    )


def _index() -> str:
    by_role = [(role, [t for t in EventType if role in effects.senders(t)]) for role in Role]
    return "".join(item(f"role `{role}` sends " + (_listed(types) or "no events")) for role, types in by_role)


def _listed(words: Iterable[StrEnum | str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _facts(event_type: EventType) -> str:
    return item(f"sent by: {_listed(effects.senders(event_type))}") + item(_INSTRUCTION if effects.is_instruction(event_type) else _FACT)


_JSON_CHARS_MAX: Final = WIDTH - 16
"""Characters of a value beside the name of its field."""
_INSTRUCTION: Final = "it is an instruction: it binds from when the server receives it"
_FACT: Final = "it is a fact: it counts at the time when it happened"


# --- fields ---------------------------------------------------------------------------------------------------------------


def _fields(event_type: EventType) -> str:
    body = [item(f"`{f.path}`{'' if f.required else ', may be left out'}: {f.kind}. {f.about}") for f in fields_of(shapes.body(event_type), "body.")] or [
        item("`body`: an empty map.")
    ]
    if event_type in REASONS:
        body.append(item(f"words for `body.reason`: {_listed(REASONS[event_type])}"))
    return "".join((*map(item, _envelope(event_type)), *body))


def _envelope(event_type: EventType) -> list[str]:
    """What it says of order, parcel and code."""
    if event_type in effects.WITHOUT_AN_ORDER:
        return [_INSTEAD.get(event_type, "`order`, `parcel` and `code` are not used.")]
    if event_type is EventType.LABELLED:
        found = ["`order`: needed, unless `body.replaces` is a label of it. `code` is not used."]
    elif event_type in effects.BY_SCAN:
        found = ["`order` or `code`, or both: at least one has to say which order it is about."]
    else:
        found = ["`order`: needed."]
        if event_type in SCANNING:
            found.append(f"`code`, may be left out: {_CODE_OF[event_type]}")
    if event_type in effects.ABOUT_A_PARCEL:
        found.append("`parcel`, may be left out: needed only if nothing else says which parcel of the order is meant.")
    return found


_INSTEAD: Final = {
    EventType.CLAIM: "`order` and `code` are not used: `body.job` says what it is about.",
    EventType.DECLINE: "`order` and `code` are not used: `body.job` says what it is about.",
    EventType.UNASSIGNED: "`order` and `code` are not used: `body.job` says what it is about.",
    EventType.VOID: "`order` and `code` are not used: `body.ref` says what it is about.",
    EventType.AGGREGATED: "`order` and `code` are not used: `body.parent` and `body.children` say what it is about.",
    EventType.DISAGGREGATED: "`order` and `code` are not used: `body.parent` and `body.children` say what it is about.",
}
_CODE_OF: Final = {
    EventType.PICK: "the barcode of the article. It must be the article that `body.sku` names.",
    EventType.PACK: "the label that is on the parcel from now on.",
    EventType.UNPACK: "the label of the parcel.",
}


# --- effect ---------------------------------------------------------------------------------------------------------------


def _effect(event_type: EventType) -> str:
    lines = [item(_move(*move)) for move in effects.moves(event_type)]
    lines += [item(effects.ON_JOBS[event_type])] if event_type in effects.ON_JOBS else []
    for kind, (raised, ended) in (("flag", effects.flags(event_type)), ("alert", effects.alerts(event_type))):
        lines += [item(f"may raise {kind} {_listed(raised)}")] if raised else []
        lines += [item(f"may end {kind} {_listed(ended)}")] if ended else []
    return "".join(lines) or item("It moves no parcel, and raises no flag.")


def _move(case: str, before: Iterable[StrEnum], to: StrEnum) -> str:
    return f"parcel{f' ({case})' if case else ''}: {_listed(before)} → `{to}`; in any other state nothing moves"


def _answers(event_type: EventType) -> str:
    said = descriptions.of_words(Reason)
    steps = ((reason, effects.next_of(reason)) for reason in effects.reasons(event_type))
    return "".join(item(f"`{reason}`{f' (next: `{step}`)' if step else ''}: {said[reason]}") for reason, step in steps)


# --- example --------------------------------------------------------------------------------------------------------------


def _example(event_type: EventType) -> str:
    example = EVENT_EXAMPLES[event_type]
    plain, cbor = examples.as_json(example.payload), encode_cbor(example.payload).hex()
    after = paragraph(f"After {_listed(example.after)}:") + "\n" if example.after else ""
    return (
        f"**Example**\n\n{after}"
        f"topic `v1/{SITE}/devices/{example.device}/events/{event_type}`\n\n"
        f"```json\n{in_lines(plain)}\n```\n\n"
        f"```hex\n{textwrap.fill(cbor, WIDTH - 2)}\n```\n"
    )


def in_lines(value: object, indent: str = "") -> str:
    """JSON in lines of a terminal: what does not fit into one is spread over several. The whole has a line for each field."""
    text = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or (indent and len(indent) + len(text) <= _JSON_CHARS_MAX):
        return text
    inner = f"{indent}  "
    parts = [f"{json.dumps(k)}: {in_lines(v, inner)}" for k, v in value.items()] if isinstance(value, dict) else [in_lines(v, inner) for v in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(f"{inner}{part}" for part in parts) + f"\n{indent}{closing}"

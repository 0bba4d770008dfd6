"""The guide for authors of clients: `guide.md`, filled in with what the code knows."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import fields as settings_of
from enum import StrEnum
from importlib.resources import files
from typing import Any, Final

from bridge.config import Settings
from bridge.documents.events import in_lines
from bridge.documents.walk import ANSWERS, WALK
from bridge.domain import jobs
from bridge.ingest.receipt import FROZEN
from devices.protocol import bridge_messages, device_messages, encoding, fields, messages, topics
from devices.protocol.documents import descriptions, examples, shapes
from devices.protocol.documents.event_examples import SITE
from devices.protocol.documents.texts import WIDTH, fields_of, item, paragraph
from devices.protocol.encoding import encode_cbor
from devices.protocol.labels import KEPT_ASIDE, LABELS, Label
from devices.protocol.vocabulary import DEVELOPER_WARNINGS, EventType, Next, Outcome, Reason, Role, Tone, Warn

_FIELD: Final = re.compile(r"{{(\w+)(?: ([\w ]+))?}}")
_LISTS: Final[dict[str, type[StrEnum]]] = {words.__name__: words for words in (Role, Tone, Outcome, Next, Warn, Reason)}
_TOLD: Final = frozenset({Next, Warn, Reason})
"""Lists whose words a worker is told of."""
_STRUCTS: Final = {
    "event": shapes.event(EventType.LOST),
    "presence": shapes.struct(messages.Presence),
    "locations": shapes.struct(messages.LocationBatch),
    "receipt": shapes.struct(messages.Receipt),
}
_CONSTANTS: Final = (
    (messages, "PAYLOAD_BYTES_MAX"),
    (device_messages, "POINTS_MAX"),
    (encoding, "DEPTH_MAX"),
    (fields, "UINT_MAX"),
    (topics, "LEVEL_CHARS_MAX"),
    (bridge_messages, "HOLDS_MAX"),
    (jobs, "ORDERS_MAX"),
)
"""The limits of the contract: (module, name)."""
_SETTINGS: Final = (
    *("packet_bytes_max", "publish_rate_max", "window", "connect_timeout_s", "subscriptions_max", "topic_levels_max", "topic_bytes_max"),
    *("sessions_per_device_max", "session_expiry_days", "session_queue_max", "session_queue_age_h"),
)
"""The limits of a server that a client meets: settings of `[broker]`."""


def guide() -> str:
    """The whole guide."""
    template = files("bridge.documents").joinpath("guide.md").read_text(encoding="utf-8")
    return _FIELD.sub(lambda found: _PARTS[found[1]](found[2] or ""), template)


def _frozen(_: str) -> str:
    return paragraph(f"{', '.join(f'`{name}`' for name in FROZEN)}.", "  ", "  ").rstrip("\n")


def _words(name: str) -> str:
    words = _LISTS[name]
    if words is Warn:  # those for the developer stand in a list of their own
        return _list(words, lambda word: word not in DEVELOPER_WARNINGS)
    return _list(words, lambda word: True)


def _developer_warnings(_: str) -> str:
    return _list(Warn, lambda word: word in DEVELOPER_WARNINGS, are_shown=False)


def _list(words: type[StrEnum], is_told: Callable[[str], bool], *, are_shown: bool = True) -> str:
    """Words with what they mean, and what people read who are told of them."""
    texts = ((word, text) for word, text in descriptions.of_words(words).items() if is_told(word))
    return "".join(f"{item(f'`{word}`: {text}')}{_for_people(words, word) if are_shown else ''}" for word, text in texts).rstrip("\n")


def _for_people(words: type[StrEnum], word: str) -> str:
    if words not in _TOLD:
        return ""
    labels = [LABELS[words][word], *([KEPT_ASIDE] if word == Next.SET_ASIDE else [])]
    return "".join(map(_label, labels))


def _label(label: Label) -> str:
    """One line, or two if it does not fit into one."""
    texts = f'"{label.en}"{" (while not final)" if label is KEPT_ASIDE else ""}', label.zh
    fits = 6 + len(texts[0]) + 2 * len(label.zh) <= WIDTH
    return f"  {' · '.join(texts)}\n" if fits else f"  {texts[0]}\n  {texts[1]}\n"


def _fields(name: str) -> str:
    rows = (f for f in fields_of(_STRUCTS[name]) if not f.path.startswith("body."))
    return "".join(item(f"`{f.path}`{'' if f.required else ', may be left out'}: {_kind(f.kind)}. {f.about}") for f in rows).rstrip("\n")


def _kind(said: str) -> str:
    """What a field holds; long lists of words stand elsewhere in the guide."""
    return said if len(said) <= WIDTH else re.sub("one of .*", "a word", said)


def _limits(_: str) -> str:
    contract = ((f"`{name}`", getattr(module, name), descriptions.of_name(module.__name__, name)) for module, name in _CONSTANTS)
    settings = {setting.name: setting for setting in settings_of(Settings().broker)}
    server = ((f"`{name}`", settings[name].default, settings[name].metadata["about"]) for name in _SETTINGS)
    return f"Of the contract:\n\n{_rows(contract)}\nOf a server, unless its operator has set them otherwise:\n\n{_rows(server)}".rstrip("\n")


def _rows(rows: Iterable[tuple[str, Any, str]]) -> str:
    return "".join(item(f"{name} {value:,}: {text}") for name, value, text in rows)


# --- examples -------------------------------------------------------------------------------------------------------------


def _example(name: str) -> str:
    kind, _, which = name.partition(" ")
    example = next(e for e in examples.of_message(kind) if which in ("", e.name))
    return _json(example.payload)


def _json(payload: dict[str, Any]) -> str:
    return f"```json\n{in_lines(examples.as_json(payload))}\n```"


def _receipt(name: str) -> str:
    return _json(ANSWERS[name])


def _walk(name: str) -> str:
    """A command that publishes a payload of the walk."""
    step = WALK[name]
    login = f'-i {step.device}-out -u {step.device} -P "${step.password}" -q 1 -s'
    topic = f"-t v1/{SITE}/devices/{step.device}/events/{step.type}"
    if step.in_cbor:
        hexadecimal = textwrap.fill(encode_cbor(step.payload).hex(), WIDTH - 2)
        return f"```sh\nperl -ne 'chomp; print pack \"H*\", $_' <<'HEX' |\n{hexadecimal}\nHEX\nmosquitto_pub {login} \\\n  {topic}\n```"
    return f"```sh\nmosquitto_pub {login} \\\n  {topic} <<'JSON'\n{step.text}JSON\n```"


def _depth(_: str) -> str:
    return str(encoding.DEPTH_MAX)


_PARTS: Final[dict[str, Callable[[str], str]]] = {
    "depth": _depth,
    "developer_warnings": _developer_warnings,
    "example": _example,
    "fields": _fields,
    "frozen": _frozen,
    "limits": _limits,
    "receipt": _receipt,
    "walk": _walk,
    "words": _words,
}
"""What can stand in double braces in the text, each with its argument."""

"""No name, badge of a worker or courier's id is ever on the retained topics of an order."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.checkers.view import Broken, View, says, texts, unescaped


def check(view: View) -> Iterator[Broken]:
    secrets = sorted({s for cast in view.record.cast.values() for s in cast.secrets if s})
    orders = view.topics.base + "/orders/"
    shown = [(topic, payload, 0) for topic, payload in view.end.retained.items() if topic.startswith(orders)]
    shown += [(s.topic, s.payload, at_ms) for at_ms, s in view.sent if s.retain and s.topic.startswith(orders)]
    everything = b"\n".join([payload for _, payload, _ in shown])
    named = {topic for topic, _, _ in shown}
    levels = {level: unescaped(level) or level for level in {level for topic in named for level in topic.removeprefix(orders).split("/")}}
    topics = "\n".join(levels.values())
    for secret in secrets:
        # Nearly always there is nothing: one look at all of it, and a closer one only where that finds something.
        if secret.encode() in everything or secret in topics:
            yield from _closer(view, secret, shown, levels, orders)


def _closer(view: View, secret: str, shown: list[tuple[str, bytes, int]], levels: dict[str, str], orders: str) -> Iterator[Broken]:
    found: set[str] = set()
    for topic, payload, at_ms in shown:
        said = any(says(text, secret) for text in texts(view.plain(payload)))
        named = any(says(levels[level], secret) for level in topic.removeprefix(orders).split("/"))
        if (said or named) and topic not in found:
            found.add(topic)
            yield Broken(f"{secret!r} is about a person, and stands {'in what is retained on' if said else 'in the topic'} {topic}", at_ms)

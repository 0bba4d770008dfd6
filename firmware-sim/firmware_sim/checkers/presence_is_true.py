"""Presence follows connections: every device that was connected has a presence, and when all have left, each says that its device is offline."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.checkers.view import Broken, View
from firmware_sim.record import Connected, Lost


def check(view: View) -> Iterator[Broken]:
    """Without commits (real MQTT) it is not known when the server noticed an end: then it is not judged."""
    if not view.commits:
        return
    ends = [e for e in view.record.entries if isinstance(e, Connected | Lost)]
    is_connected = {e.device: isinstance(e, Connected) for e in ends}
    for device in dict.fromkeys(e.device for e in ends if isinstance(e, Connected)):
        presence = view.plain(view.end.retained.get(view.topics.presence(device), b""))
        if presence is None:
            yield Broken(f"{device} was connected, and has no presence")
        elif presence.get("online") is not is_connected[device]:
            yield Broken(f"the presence of {device} says online: {presence.get('online')}, and it is {'' if is_connected[device] else 'not '}connected")

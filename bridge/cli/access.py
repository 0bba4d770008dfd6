"""`dockbridge access`: who may do what, and which rule says so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Engine

from bridge.cli.output import JsonOption, SiteOption, emit, reader_of, say, table
from bridge.domain.access import OpenOrders, may_publish, may_subscribe
from bridge.errors import Refused
from bridge.store import queries
from bridge.store.registry import Registry
from devices.protocol.topics import topic_filter_fault, topic_name_fault

app = typer.Typer(
    no_args_is_help=True,
    help="Who may do what, and which rule says so.\n\nExample: `dockbridge access why scan-07 publish v1/main/devices/scan-07/events/pack`",
)

ACTIONS = ("publish", "subscribe")


@app.command()
def why(
    device: Annotated[str, typer.Argument(help="An enrolled device.")],
    action: Annotated[str, typer.Argument(help="publish or subscribe.")],
    topic: Annotated[str, typer.Argument(help="The topic, or for subscribe the topic filter.")],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Say whether a device may publish to a topic or subscribe to a filter, and by which rule.

    Example: `dockbridge access why scan-07 publish v1/main/devices/scan-07/events/pack`
    """
    if action not in ACTIONS:
        raise typer.BadParameter(f"{action!r} is neither publish nor subscribe", param_hint="action")
    reader, settings = reader_of(site)
    registry = Registry(reader, reader, settings.site.name)
    identity = registry.identity(device)
    state = registry.get(device)
    answer = may_publish(identity, topic)[0] if action == "publish" else may_subscribe(identity, topic, _open_orders(reader))
    allowed, rule = answer
    if allowed and not state.can_log_in:
        allowed, rule = False, f"{device} can't log in: it is {'revoked' if state.revoked_ms is not None else 'a channel without a login'}"
    if as_json:
        emit({"device": device, "role": identity.role.value, "action": action, "topic": topic, "allowed": allowed, "rule": rule})
        return
    table(("device", "role", "action", "allowed", "rule"), [(device, identity.role.value, action, "yes" if allowed else "no", rule)])


@app.command()
def who(
    topic: Annotated[str, typer.Argument(help="A topic (not a filter).")],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """List the devices that may read or write a topic, and by which rule.

    Example: `dockbridge access who v1/main/orders/PO-17/status`
    """
    if fault := topic_name_fault(topic) or topic_filter_fault(topic):
        raise Refused(f"{topic}: {fault}", fix="give the name of one topic")
    reader, settings = reader_of(site)
    registry = Registry(reader, reader, settings.site.name)
    in_open_job = _open_orders(reader)
    rows: list[dict[str, Any]] = []
    for device in registry.list():
        if not device.can_log_in:
            continue
        identity = registry.identity(device.device)
        read, write = may_subscribe(identity, topic, in_open_job), may_publish(identity, topic)[0]
        if read.allowed or write.allowed:
            rule = "; ".join(a.rule for a in (read, write) if a.allowed)
            rows.append({"device": device.device, "role": identity.role.value, "reads": read.allowed, "writes": write.allowed, "rule": rule})
    if as_json:
        emit(rows)
        return
    table(("device", "role", "reads", "writes", "rule"), [[_said(v) for v in r.values()] for r in rows])
    if not rows:
        say("no device reads or writes it; the bridge itself publishes everything that is not below a device's own topics")


def _said(value: Any) -> Any:
    return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value


def _open_orders(reader: Engine) -> OpenOrders:
    held = {(j["courier"], order) for j in queries.jobs(reader, only_open=True) for order in j["orders"]}
    return lambda courier, order: (courier, order) in held

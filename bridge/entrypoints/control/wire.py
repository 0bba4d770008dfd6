"""What goes over the control socket: one JSON object a line, over a Unix socket in the site's folder.

`{"call": name, "with": {…}}`, or `{"as": {"person": …, "token": …, "call": name}, "with": {…}}` in the name of a person, is answered by `{"ok": …}` or
`{"error": …, "fix": …}`. Arguments and results have the types of the operation's signature. An operation that takes `on_progress` is answered by any number
of lines `{"progress": [done, total]}` first.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple, get_type_hints

import msgspec

from bridge.errors import Refused
from bridge.operations import (
    alerts,
    articles,
    audit_log,
    carrier_files,
    contacts,
    couriers,
    database,
    devices,
    exports,
    exposure,
    forgetting,
    handovers,
    imports,
    jobs,
    keys,
    leaving,
    logins,
    missing,
    order_acts,
    people,
    places,
    quarantine,
    server,
    subjects,
    workers,
)
from bridge.operations.people_ports import Credential
from bridge.operations.ports import OnProgress
from devices.protocol.messages import explain

Operation = Callable[..., Awaitable[Any]]

CALLS: Final[Mapping[str, Operation]] = {
    "alerts.acknowledge": alerts.acknowledge,
    "alerts.silence": alerts.silence,
    "alerts.unsilence": alerts.unsilence,
    "articles.put": articles.put,
    "audit_log.look": audit_log.look,
    "forgetting.forget": forgetting.forget,
    "subjects.export_subject": subjects.export_subject,
    "keys.status": keys.status,
    "keys.backed_up": keys.backed_up,
    "keys.restored": keys.restored,
    "keys.rotate": keys.rotate,
    "keys.destroy": keys.destroy,
    "forgetting.legal_hold": forgetting.legal_hold,
    "forgetting.lift_legal_hold": forgetting.lift_legal_hold,
    "contacts.show": contacts.show,
    "contacts.find": contacts.find,
    "contacts.note": contacts.note,
    "devices.add": devices.add,
    "devices.edit": devices.edit,
    "devices.rotate": devices.rotate,
    "devices.remove": devices.remove,
    "devices.check": devices.check,
    "devices.apply": devices.apply,
    "devices.open_claims": devices.open_claims,
    "devices.revoke_claims": devices.revoke_claims,
    "devices.revoke": devices.revoke,
    "devices.certify": devices.certify,
    "handovers.close": handovers.close,
    "jobs.assign": jobs.assign,
    "jobs.release": jobs.release,
    "jobs.move": jobs.move,
    "order_acts.hold": order_acts.hold,
    "order_acts.release": order_acts.release,
    "order_acts.confirm": order_acts.confirm,
    "order_acts.cancel": order_acts.cancel,
    "order_acts.amend": order_acts.amend,
    "order_acts.complete": order_acts.complete,
    "order_acts.void": order_acts.void,
    "order_acts.relabel": order_acts.relabel,
    "carrier_files.open_channel": carrier_files.open_channel,
    "carrier_files.deny": carrier_files.deny,
    "exports.remember": exports.remember,
    "imports.open_channel": imports.open_channel,
    "imports.note_file": imports.note_file,
    "imports.remember_file": imports.remember_file,
    "imports.submit": imports.submit,
    "people.add": people.add,
    "people.edit": people.edit,
    "people.disable": people.disable,
    "people.enable": people.enable,
    "people.set_password": people.set_password,
    "people.add_token": people.add_token,
    "people.revoke_token": people.revoke_token,
    "people.set_totp": people.set_totp,
    "people.remove_totp": people.remove_totp,
    "logins.log_in": logins.log_in,
    "places.put": places.put,
    "places.visits": places.visits,
    "quarantine.look": quarantine.look,
    "quarantine.replay": quarantine.replay,
    "quarantine.drop": quarantine.drop,
    "quarantine.fix": quarantine.fix,
    "missing.give_up": missing.give_up,
    "database.rebuild": database.rebuild,
    "server.about": server.about,
    "server.connected": server.connected,
    "server.counters": server.counters,
    "server.figures": server.figures,
    "server.batch_times": server.batch_times,
    "server.failed_logins": server.failed_logins,
    "server.reload_certificate": server.reload_certificate,
    "server.reload": server.reload,
    "exposure.look": exposure.look,
    "couriers.look": couriers.look,
    "couriers.count": couriers.count,
    "couriers.end_shift": couriers.end_shift,
    "workers.list_workers": workers.list_workers,
    "workers.may_look": workers.may_look,
    "workers.name": workers.name,
    "workers.name_courier": workers.name_courier,
    "leaving.forget_worker": leaving.forget_worker,
    "leaving.forget_courier": leaving.forget_courier,
    "leaving.look": leaving.look,
}
"""What can be called, by name."""
_NAMES: Final = {operation: name for name, operation in CALLS.items()}

LINE_BYTES_MAX: Final = 67_108_864
SOCKET_PATH_BYTES_MAX: Final = 100
"""Unix socket paths are short (sun_path has 108 bytes); a longer one is reached through the folder's file descriptor."""
_ANOTHER_VERSION: Final = "use the same version of dockbridge for the command and the server: restart the server after an upgrade"


class Call(NamedTuple):
    """An operation with its arguments, by name, whether it reports its progress, and the person in whose name it is asked for."""

    operation: Operation
    arguments: dict[str, Any]
    has_progress: bool
    credential: Credential | None


class _InName(msgspec.Struct):
    person: str
    token: str
    call: str


class _Request(msgspec.Struct, rename={"arguments": "with", "in_name": "as"}):
    arguments: msgspec.Raw
    call: str | None = None
    in_name: _InName | None = None


class _Answer(msgspec.Struct):
    ok: msgspec.Raw = msgspec.Raw(b"null")
    progress: tuple[int, int] | None = None
    error: str | None = None
    fix: str | None = None


class _Signature(NamedTuple):
    arguments: type[msgspec.Struct]
    result: Any
    has_progress: bool


_PROGRESS: Final = "on_progress"
"""The argument that stays on this side of the socket."""


@cache
def _signature(operation: Operation) -> _Signature:
    """The types of an operation's arguments, the site left out, and of its result."""
    hints = get_type_hints(operation)
    fields: list[Any] = []
    parameters = inspect.signature(operation).parameters
    for parameter in [p for p in list(parameters.values())[1:] if p.name != _PROGRESS]:
        has_default = parameter.default is not inspect.Parameter.empty
        fields.append((parameter.name, hints[parameter.name], parameter.default) if has_default else (parameter.name, hints[parameter.name]))
    arguments = msgspec.defstruct(_NAMES[operation], fields, kw_only=True, forbid_unknown_fields=True)
    return _Signature(arguments, hints["return"], _PROGRESS in parameters)


def encode_call(credential: Credential | None, operation: Operation, *args: Any, **kwargs: Any) -> bytes:
    """A line that asks for an operation, given its arguments without the site."""
    bound = inspect.signature(operation).bind(None, *args, **kwargs).arguments
    arguments = {name: value for name, value in list(bound.items())[1:] if name != _PROGRESS}
    name = _NAMES[operation]
    # An older server, which knows no people, must not take it for a call of the owner: the name of the call is where it does not look.
    call = {"call": name} if credential is None else {"as": {"person": credential.person, "token": credential.token, "call": name}}
    return msgspec.json.encode({**call, "with": arguments}) + b"\n"


def progress_of(operation: Operation, *args: Any, **kwargs: Any) -> OnProgress | None:
    """The argument that hears of an operation's progress; None if it takes none."""
    on_progress: OnProgress | None = inspect.signature(operation).bind(None, *args, **kwargs).arguments.get(_PROGRESS)
    return on_progress


def decode_call(line: bytes) -> Call:
    """The operation that a line asks for.

    Raises:
        Refused: if the line is not a call, there is no such operation, or it does not take these arguments.
    """
    try:
        request = msgspec.json.decode(line, type=_Request)
    except msgspec.DecodeError as error:
        raise Refused(f"the server can't read the call: {error}", fix=_ANOTHER_VERSION) from error
    name = request.in_name.call if request.in_name is not None else request.call
    if name is None or (request.call is not None and request.in_name is not None):
        raise Refused("the server can't read the call: it names none, or two", fix=_ANOTHER_VERSION)
    operation = CALLS.get(name)
    if operation is None:
        raise Refused(f"the server does not know the call {name!r}", fix=_ANOTHER_VERSION)
    try:
        arguments = msgspec.json.decode(request.arguments, type=_signature(operation).arguments)
    except msgspec.ValidationError as error:
        raise Refused(f"{name}: {explain(error)}", fix=_ANOTHER_VERSION) from error
    except msgspec.DecodeError as error:
        raise Refused(f"the server can't read the call: {error}", fix=_ANOTHER_VERSION) from error
    credential = Credential(person=request.in_name.person, token=request.in_name.token) if request.in_name is not None else None
    return Call(operation, msgspec.structs.asdict(arguments), _signature(operation).has_progress, credential)


def encode_result(result: Any) -> bytes:
    return msgspec.json.encode({"ok": result}) + b"\n"


def encode_progress(done: int, total: int) -> bytes:
    return msgspec.json.encode({"progress": (done, total)}) + b"\n"


def encode_error(error: str, fix: str | None) -> bytes:
    return msgspec.json.encode({"error": error, "fix": fix}) + b"\n"


class Progress(NamedTuple):
    """An operation is under way."""

    done: int
    total: int


def decode_answer(line: bytes, operation: Operation) -> Any:
    """The result of an operation, or its `Progress`.

    Raises:
        Refused: if it could not be carried out, or the answer has another form.
    """
    try:
        answer = msgspec.json.decode(line, type=_Answer)
        if answer.error is not None:
            raise Refused(answer.error, fix=answer.fix)
        if answer.progress is not None:
            return Progress(*answer.progress)
        return msgspec.json.decode(answer.ok, type=_signature(operation).result)
    except msgspec.DecodeError as error:
        raise Refused(f"the server's answer can't be read: {error}", fix=_ANOTHER_VERSION) from error


def at_socket(path: Path, use: Callable[[str], Any]) -> None:
    """Bind or connect a Unix socket, even if the path to it is longer than a socket address can hold."""
    if len(os.fsencode(path.absolute())) <= SOCKET_PATH_BYTES_MAX:
        use(str(path.absolute()))
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        use(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)

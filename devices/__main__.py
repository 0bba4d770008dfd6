"""`python -m devices`: redeem a claim, look into the outbox of a device, or move it to another device. A handheld has no other command line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from devices.errors import DeviceError
from devices.outbox_rows import LOG_BYTES
from devices.outbox_tools import Shown, move, show
from devices.protocol.encoding import plain

MOVE: Final = """\
Gives an outbox to another device: because it was set up with the wrong site or name, or was enrolled anew under another name. Stop the application first.

The server knows an event by its site, its device and its id. Under the new device it is another event, though it keeps its id. So moving is safe if the server
has not stored the events for the old device: for example, because that one could never log in. If the old device was connected and the connection was lost
between the server's commit and its acknowledgement, an event counts twice, once for each device. Events that have a receipt are left out for this reason;
for the others, compare the last scans of the old device on the server.

The events that wait get the numbers of a new log. The rest belongs to the old device and is removed: receipts, jobs, and acknowledged events.
"""

REDEEM: Final = """\
Redeems a claim: checks that the server is the claim's, gets the device's password, stores it, and logs in with it. If it is interrupted, run it again.

    from devices import Scanner, redeem
    scanner = Scanner(**redeem(claim, "scan-07.json").settings("scan-07.json"), outbox="scan-07.db")
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command. Returns 0, or 1 if it failed; argparse exits with 2 if it was called wrongly."""
    given = _parser().parse_args(arguments)
    try:
        if given.command == "show":
            shown = show(given.outbox)
            print(json.dumps(_as_json(shown), indent=2) if given.json else _as_text(shown))
        elif given.command == "redeem":
            from devices.redeeming import redeem  # the others need no network

            redeemed = redeem(sys.stdin.read() if given.claim == "-" else given.claim, given.store, timeout_s=given.timeout)
            print(f"{redeemed.device} of site {redeemed.site} can log in at {redeemed.host}:{redeemed.port}. Its password is in {given.store}.")
        else:
            done = move(given.outbox, site=given.site, device=given.device, new_log=os.urandom(LOG_BYTES))
            print(f"{given.outbox} belongs to {done.owner} now, not to {done.before}. Events that wait: {done.moved}.")
            if done.left_out:
                print(f"Left out, because the server had stored them for {done.before}: {done.left_out}.")
    except (DeviceError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devices", description="Redeem a claim, look into an outbox, or move it to another device.")
    commands = parser.add_subparsers(dest="command", required=True)
    look = commands.add_parser("show", help="what is in an outbox", description="Shows what is in an outbox that is not in use. Nothing is changed.")
    look.add_argument("--json", action="store_true", help="as JSON")
    give = commands.add_parser("move", help="give an outbox to another device", description=MOVE, formatter_class=argparse.RawDescriptionHelpFormatter)
    give.add_argument("--site", required=True, help="site of the device that it is to belong to")
    give.add_argument("--device", required=True, help="name of the device that it is to belong to")
    take = commands.add_parser(
        "redeem", help="get a device's password for its QR code", description=REDEEM, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    take.add_argument("claim", metavar="CLAIM", help="the text of the code, or its short form; - reads it from standard input")
    take.add_argument("--store", required=True, type=Path, metavar="FILE", help="the file for the password (mode 0600)")
    take.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="how long to try (30)")
    for command in (look, give):
        command.add_argument("outbox", type=Path, metavar="OUTBOX", help="the outbox file")
    return parser


def _as_json(shown: Shown) -> dict[str, object]:
    oldest, server = shown.oldest, shown.server
    return {
        "owner": shown.owner,
        "log": shown.log,
        "last_seq": shown.last_seq,
        "backlog": shown.backlog,
        "too_large": shown.too_large,
        "oldest": None if oldest is None else {"seq": oldest.seq, "type": oldest.type, "at_ms": oldest.at_ms},
        "kept": shown.kept,
        "receipts": shown.receipts,
        "server": None if server is None else plain(server),
    }


def _as_text(shown: Shown) -> str:
    oldest, server = shown.oldest, shown.server
    lines = [
        ("owner", shown.owner),
        ("log", f"{shown.log}, {shown.last_seq} events made"),
        ("backlog", f"{shown.backlog} events wait for the server"),
    ]
    if oldest is not None:
        lines.append(("oldest", f"{oldest.type}, number {oldest.seq}, {datetime.fromtimestamp(oldest.at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"))
    if shown.too_large:
        lines.append(("too large", f"{shown.too_large} of them are larger than the server takes, and are not sent"))
    lines += [("kept", f"{shown.kept} acknowledged events, in case the server asks for them again"), ("receipts", str(shown.receipts))]
    if server is not None:
        limit = "" if server.limits is None else f", payloads up to {server.limits.payload_bytes_max:,} bytes"
        lines.append(("server", f"{server.version}, contract {server.contract}, epoch {server.epoch}{limit}"))
    return "\n".join(f"{name:<9} {said}" for name, said in lines)


if __name__ == "__main__":
    sys.exit(main())

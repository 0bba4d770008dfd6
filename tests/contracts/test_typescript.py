"""The TypeScript types: the file is what the code says, a compiler accepts them, and a program that uses them wrongly is refused."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from helpers.foreign_tools import needs, npm_package

import devices
from devices.protocol.documents import shapes
from devices.protocol.documents.typescript import typescript
from devices.protocol.messages import MESSAGES
from devices.protocol.topics import TOPIC_TABLE
from devices.protocol.vocabulary import EventType

FILE = Path(devices.__file__).parent / "examples" / "javascript" / "contract.d.ts"
READER = """\
import type { Assignment, EventOf, EventType, InJson, Open, Point, Receipt, ResendRequest, Tone, Topics, TypedEvent } from "./contract";

const eight = new Uint8Array(8);
const pick: EventOf<"pick"> = {
  id: new Uint8Array(16), log: eight, seq: 1, boot: eight, mono_ms: 1, at_ms: 2, sent_boot: eight, sent_mono_ms: 3, order: "PO-1",
  body: { sku: "A", qty: 1 },
};

export function beep(said: Receipt | ResendRequest): number {
  if ("resend" in said) return said.resend.from;
  switch (said.tone) {
    case "ok": return 1;
    case "warn": return 2;
    default: return later(said.tone);
  }
}
function later(tone: Open<Tone>): number { return tone === "stop" ? 3 : tone.length; }

export function dock(told: TypedEvent): string | undefined {
  return told.type === "stage" ? told.event.body.dock : undefined;
}
export const reason: string | undefined = ({} as EventOf<"held">).body?.reason;
export const inJson: InJson<Receipt> = { n: 1, final: true, outcome: "applied", tone: "hum", at_ms: 1, id: "00", warn: ["misload", "moonlight"] };
export const job: Topics["v1/{site}/couriers/{courier}/assignments/{job}"] = { job: "j", rev: 1, state: "assigned", stops: [] } satisfies Assignment;
export const fix: Point = [1, 2, 3, 4, null];
export const types: EventType[] = ["pick", "void"];
export { pick };
"""
WRONG = {
    "a field that the body does not have": 'import { pick } from "./reader";\npick.body.dock;',
    "a word that a device may not send": """\
        import type { EventOf } from "./contract";
        export const body: EventOf<"delivery">["body"] = { pod: { method: "telepathy" } };""",
    "a text for a number": """\
        import type { PickBody } from "./contract";
        export const body: PickBody = { sku: "A", qty: "1" };""",
    "an id in hex for CBOR": """\
        import type { Receipt } from "./contract";
        export const id: Receipt["id"] = "00ff";""",
    "an event type that there is not": """\
        import type { EventType } from "./contract";
        export const type: EventType = "pikc";""",
}


def compiled(folder: Path, name: str) -> str:
    """What the compiler says."""
    package = npm_package("typescript")
    assert package is not None
    options = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2022", "--skipLibCheck", "--module", "nodenext", "--pretty", "false"]
    done = subprocess.run(["node", package / "bin" / "tsc", *options, name], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


def test_the_file_is_what_the_code_says() -> None:
    assert FILE.read_text() == typescript(), "run `dockbridge contract show typescript` and write it to devices/examples/javascript/contract.d.ts"


def test_every_message_event_type_and_topic_is_there() -> None:
    text = typescript()
    names = re.findall(r"^export (?:interface|type) (\w+)", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert {m.__name__ for m in MESSAGES} | {shapes.struct_name(shapes.body(t)) for t in EventType} <= set(names)
    assert all(f"\n  {event_type}: " in text for event_type in EventType)
    assert all(f'\n  "{row.shape}": ' in text for row in TOPIC_TABLE)


def test_a_program_that_uses_the_types_compiles_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    needs("typescript")
    (tmp_path / "contract.ts").write_text(typescript())  # as a source, so that the types themselves are checked, too
    (tmp_path / "reader.ts").write_text(READER)
    assert compiled(tmp_path, "reader.ts") == ""
    for number, source in enumerate(WRONG.values()):
        (tmp_path / f"wrong_{number}.ts").write_text(source)
    (tmp_path / "all_wrong.ts").write_text("".join(f'export * as wrong_{number} from "./wrong_{number}";\n' for number in range(len(WRONG))))
    said = compiled(tmp_path, "all_wrong.ts")
    assert [about for number, about in enumerate(WRONG) if f"wrong_{number}.ts" not in said] == [], said

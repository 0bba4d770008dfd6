"""The contract in C: zcbor generates code from it, a compiler accepts that, it reads what the server sends, and the server applies what it writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from contracts.example_site import RECEIVED_AFTER_MS, ExampleSite
from helpers.foreign_tools import needs

from devices.protocol.documents import examples, shapes
from devices.protocol.documents.event_examples import EVENT_EXAMPLES
from devices.protocol.documents.zcbor import zcbor_cddl
from devices.protocol.messages import encode_cbor
from devices.protocol.vocabulary import EventType, Role

PROGRAM = Path(__file__).with_name("round_trip.c")
pytestmark = pytest.mark.slow


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)[:200]}: exit {done.returncode}\n{done.stderr[-2000:]}"
    return done.stdout


def generate(folder: Path, *entries: str) -> None:
    """Writes the C code of these messages, and zcbor's own, into the folder."""
    needs("zcbor")
    needs("cc")
    (folder / "contract.cddl").write_text(zcbor_cddl())
    files = ("-c", "contract.cddl", "--output-cmake", "contract.cmake", "--copy-sources")
    run(folder, "zcbor", "code", "-d", "-e", "-t", *entries, "--default-max-qty", "16", *files)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zcbor")
    generate(folder, "receipt", "event-pick")
    sources = [str(path) for path in sorted((folder / "src").glob("*.c"))]
    run(folder, "cc", "-DZCBOR_CANONICAL", "-Iinclude", "-o", "round-trip", *sources, str(PROGRAM))
    return folder / "round-trip"


@pytest.mark.parametrize("example", examples.MESSAGE_EXAMPLES["Receipt"], ids=lambda example: example.name)
def test_a_receipt_is_read_and_written_again_as_it_was(program: Path, tmp_path: Path, example: examples.Example) -> None:
    """A test of the reference shows that these are the receipts that the server sends."""
    payload = encode_cbor(example.payload)
    (tmp_path / "receipt").write_bytes(payload)
    run(tmp_path, str(program), "copy", "receipt", "again")
    assert (tmp_path / "again").read_bytes() == payload


def test_a_receipt_of_a_later_edition_is_read_field_by_field(program: Path, tmp_path: Path) -> None:
    payload = encode_cbor({**examples.MESSAGE_EXAMPLES["Receipt"][0].payload, "mood": "good", "tone": "hum"})
    (tmp_path / "receipt").write_bytes(payload)
    assert run(tmp_path, str(program), "tone", "receipt") == "hum\n"


def test_an_event_that_was_written_in_c_is_applied(program: Path, tmp_path: Path) -> None:
    run(tmp_path, str(program), "pick", "event")
    pick, site = EVENT_EXAMPLES[EventType.PICK], ExampleSite()
    site.send(*(EVENT_EXAMPLES[earlier] for earlier in pick.after))
    written = (tmp_path / "event").read_bytes()
    (receipt,) = site.take([site.incoming(Role.SCANNER, EventType.PICK, written, pick.at_ms + RECEIVED_AFTER_MS)])
    assert (receipt["outcome"], receipt["id"]) == ("applied", pick.payload["id"])


def test_code_is_generated_for_every_message_and_compiles(tmp_path: Path) -> None:
    messages = [shapes.kebab(name) for name in examples.MESSAGE_EXAMPLES]
    rules = [line.partition(" =")[0] for line in zcbor_cddl().splitlines() if line.endswith(("{", "[")) and " = " in line]
    entries = [rule for rule in rules if rule.startswith("event-") or rule.removesuffix("-map") in messages]
    assert len(entries) == len(EventType) + len(messages)
    generate(tmp_path, *entries)
    run(tmp_path, "cc", "-Iinclude", "-c", "src/contract_decode.c", "src/contract_encode.c")

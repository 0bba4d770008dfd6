"""A coverage-guided search for inputs to the targets of `targets.py`; run by hand.

    python tests/fuzz/coverage_guided.py --minutes 10

needs `pip install atheris`. It starts from the seeds and from the table of wire cases. An input that reaches a new branch is made as small as
possible and kept in `seeds/`; an input that fails is printed, and stays in the folder that the message names.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, Final

HERE: Final = Path(__file__).resolve()
ROOT: Final = HERE.parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "firmware-sim"), str(ROOT / "tests")]

TARGETS: Final = {"door": 1_024, "packet": 512, "payload": 1_024}
"""Each target, and the longest input that is tried."""
LOOKED_AT: Final = ("bridge/broker/", "bridge/domain/", "bridge/ingest/", "devices/protocol/", "amqtt/mqtt/", "amqtt/codecs")
KEPT_MAX: Final = 40
"""Seeds of one target."""
SHRINK_TRIES_MAX: Final = 300
INPUT_S_MAX: Final = 10

Arc = tuple[str, int, int]


def main() -> None:
    options = _options()
    if options.worker:
        _work(options.worker, options.rest)
        return
    failed = False
    for target in options.target or TARGETS:
        failed |= _search(target, options.minutes / len(options.target or TARGETS), keep=not options.dry)
    sys.exit(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all targets together")
    parser.add_argument("--target", choices=list(TARGETS), action="append", help="only this one; may be given again")
    parser.add_argument("--dry", action="store_true", help="leave seeds/ as it is")
    parser.add_argument("--worker", choices=list(TARGETS), help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", help=argparse.SUPPRESS)
    return parser.parse_args()


def _search(target: str, minutes: float, *, keep: bool) -> bool:
    """Run the fuzzer, print what it did, and keep the inputs that reach something new. Returns whether an input failed."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(_first_inputs(target)):
        (corpus / f"first-{number:03}").write_bytes(data)
    flags = [f"-max_total_time={minutes * 60:.0f}", f"-max_len={TARGETS[target]}", f"-timeout={INPUT_S_MAX}", "-print_final_stats=1", "-rss_limit_mb=4096"]
    command = [sys.executable, str(HERE), "--worker", target, "--", str(corpus), *flags, f"-artifact_prefix={folder}/"]
    begun = time.monotonic()
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    (folder / "log.txt").write_text(done.stderr)
    failures = [p for p in folder.iterdir() if re.match(r"(crash|timeout|oom|leak|slow-unit)-", p.name)]
    runs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    grown = re.search(r"peak_rss_mb:\s*(\d+)", done.stderr)
    found = [p.read_bytes() for p in corpus.iterdir()]
    figures = f"{runs[1] if runs else '?'} inputs in {time.monotonic() - begun:.0f} s, {len(found)} in the corpus, {grown[1] if grown else '?'} MB at most"
    print(f"{target}: {figures}, {len(failures)} failures", flush=True)
    for failure in failures:
        print(f"  {failure}: {failure.read_bytes().hex()}")
    if failures:
        print(f"  the log is {folder}/log.txt", flush=True)
    if not failures and done.returncode:
        print(f"  the fuzzer ended with {done.returncode}; the log is {folder}/log.txt", flush=True)
    elif not failures and keep:
        from fuzz import targets

        kept = smallest(target, [*targets.seeds(target), *found])
        targets.SEEDS.mkdir(exist_ok=True)
        named = [line for line in _lines(targets.SEEDS / f"{target}.txt") if "#" in line]
        lines = [*named, *sorted(x for x in (data.hex() for data in kept) if not any(n.startswith(x + " ") for n in named))]
        (targets.SEEDS / f"{target}.txt").write_text("".join(f"{line}\n" for line in lines))
        print(f"  {len(lines)} seeds are kept, {sum(map(len, kept))} bytes", flush=True)
    return bool(failures) or done.returncode != 0


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


# --- the fuzzer's own process -------------------------------------------------------------------------------------------------


def _work(target: str, arguments: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["bridge", "devices", "amqtt.mqtt", "amqtt.codecs_amqtt", "fuzz"], enable_loader_override=False):
        from fuzz import targets  # noqa: F401 -- instrumented here
    with tempfile.TemporaryDirectory(prefix="fuzz-bench-") as folder:
        mutator = {"custom_mutator": _mutate_payload} if target == "payload" else {}
        atheris.Setup([sys.argv[0], *arguments], _aim(target, Path(folder)), **mutator)
        atheris.Fuzz()


def _aim(target: str, folder: Path) -> Callable[[bytes], None]:
    from fuzz import targets

    if target == "payload":
        trial = targets.Trial(folder)
        return lambda data: targets.payload(trial, data)
    aim: Callable[[bytes], None] = getattr(targets, target)
    return aim


def _mutate_payload(data: bytes, size_max: int, seed: int) -> bytes:
    """Half of the time change bytes; otherwise change a value inside a payload, because after a change of bytes it can hardly ever be read."""
    import atheris
    from fuzz.targets import join_payloads, split_payloads

    from devices.protocol.messages import PayloadError, encode_cbor, load

    mutate: Callable[[bytes, int], bytes] = atheris.Mutate
    rng = random.Random(seed)
    parts = split_payloads(data[1:])
    if not parts or rng.random() < 0.5:
        return mutate(data, size_max)
    at = rng.randrange(len(parts))
    sender, kind, payload = parts[at]
    if rng.random() < 0.2:
        parts.insert(at, (rng.randrange(256), kind, payload))
    try:
        parts[at] = (sender, kind, encode_cbor(_changed(rng, load(payload))))
    except (PayloadError, ValueError, TypeError, OverflowError):
        return mutate(data, size_max)
    return (data[:1] + join_payloads(parts))[:size_max]


def _changed(rng: random.Random, value: Any) -> Any:
    """A plain value in which one element is changed, removed or added."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value, key=repr))
        changed = dict(value)
        if rng.random() < 0.15:
            del changed[key]
        elif rng.random() < 0.15:
            changed[rng.choice(_NAMES)] = rng.choice(_VALUES)
        else:
            changed[key] = _changed(rng, value[key])
        return changed
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return [*value[:place], _changed(rng, value[place]), *value[place + rng.randrange(2) :]]
    return rng.choice(_VALUES)


_NAMES: Final = ("order", "parcel", "code", "at", "by", "body", "tz_min", "items", "lines", "job", "courier", "collected", "corrective", "mono_ms")
_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, 2, 3, -1, 2**53 - 1, 2**53, 2**64, 1.5, "", "x", "\0", "PO-1", "PO-2", "WB-1", "job-1", "anna", "pen", "x" * 96, "é" * 97),
    *("4006381333931", "00340123450000000018", "]C100340123450000000018", "~", "a/b", "+", b"", bytes(8), b"8" * 8, b"boot-one", bytes(16)),
    *([], {}, [1], {"sku": "pen", "qty": 1}, [{"sku": "pen", "qty": 1}], {"method": "pin"}, {"amount_minor": 1, "currency": "EUR", "tender": "cash"}),
    *(1_760_000_000_000, 1_760_000_000_000 + 86_400_000, 3_600_000),
)


# --- where it starts --------------------------------------------------------------------------------------------------------


def _first_inputs(target: str) -> list[bytes]:
    from conformance.wire_cases import BAD, GOOD, Way
    from fuzz import targets
    from fuzz.targets import Act, Step, write_story

    inputs = targets.seeds(target)
    wires = [c.wire for c in GOOD if c.way is not Way.OUT and len(c.wire) < 200] + [c.wire for c in BAD if len(c.wire) < 200]
    if target == "packet":
        inputs += [bytes((flag,)) + wire for wire in wires for flag in (0, 1, 6)]
    elif target == "door":
        settled = [Step(Act.CHECK, 0), Step(Act.COMMIT, 0)]
        for flags in (0, 2, 5, 7, 0x87):
            inputs += [write_story([Step(Act.CONNECT, 0, bytes((flags,))), *settled, Step(Act.BYTES, 0, wire), *settled]) for wire in wires]
    else:
        inputs += _first_payloads()
    return inputs


def _first_payloads() -> list[bytes]:
    from fuzz.targets import write_payloads
    from helpers.events import CREATED, DELIVERY, event

    from devices.protocol.messages import encode_cbor

    line = {"items": [{"sku": "pen", "qty": 1}]}
    told: list[tuple[str, str, str | None, dict[str, Any]]] = [
        ("shop1", "created", "PO-2", CREATED),
        ("shop1", "paid", "PO-1", {"amount_minor": 1, "currency": "EUR"}),
        ("shop1", "amended", "PO-1", {"changed": ["lines"], "lines": [{"sku": "pen", "qty": 2}]}),
        ("shop1", "cancelled", "PO-1", {"reason": "r"}),
        ("desk", "held", "PO-1", {"reason": "r"}),
        ("desk", "assigned", "PO-1", {"courier": "anna"}),
        ("desk", "unassigned", "PO-1", {"job": "job-1", "reason": "r"}),
        ("scan-1", "pick", "PO-1", {"sku": "pen", "qty": 1}),
        ("scan-1", "pack", "PO-1", line),
        ("scan-1", "labelled", "PO-1", {"code": "WB-2", "kind": "waybill"}),
        ("scan-1", "load", "PO-1", {"vehicle": "v"}),
        ("scan-1", "void", None, {"ref": bytes(16), "reason": "did_not_occur"}),
        ("phone-anna", "claim", None, {"job": "job-1", "rev": 1}),
        ("phone-anna", "decline", None, {"job": "job-1", "reason": "r"}),
        ("phone-anna", "pickup", "PO-1", {}),
        ("phone-anna", "out_for_delivery", "PO-1", {}),
        ("phone-anna", "delivery", "PO-1", DELIVERY),
        ("phone-anna", "refused", "PO-1", {"reason": "r"}),
    ]
    out = []
    for number, (device, kind, order, body) in enumerate(told, 2):
        for as_json in (False, True):
            code = {"code": "WB-1"} if kind in ("load", "pickup") else {}
            out.append(write_payloads([(device, kind, event(device, number, order, body, as_json=as_json, **code))], as_json=as_json))
    eight = b"8" * 8
    out.append(write_payloads([("scan-1", "presence", encode_cbor({"online": True, "boot": eight, "at_ms": 1, "mono_ms": 2}))]))
    out.append(write_payloads([("phone-anna", "location", encode_cbor({"log": eight, "boot": eight, "sent_mono_ms": 9, "points": [[1, 2, 3, 4, None]]}))]))
    return out


# --- what is kept -----------------------------------------------------------------------------------------------------------


def smallest(target: str, inputs: list[bytes]) -> list[bytes]:
    """A few small inputs that together reach all, or nearly all, of what these inputs reach."""
    with tempfile.TemporaryDirectory(prefix="fuzz-bench-") as folder, nullcontext(_aim(target, Path(folder))) as aim:
        reached = {data: _arcs(aim, data) for data in sorted(set(inputs), key=lambda d: (len(d), d))}
        left = set().union(*reached.values()) if reached else set()
        kept: list[bytes] = []
        while left and len(kept) < KEPT_MAX:
            best = max(reached, key=lambda data: (len(reached[data] & left), -len(data)))
            gained = reached[best] & left
            if not gained:
                break
            left -= gained
            kept.append(_shrunk(aim, best, gained))
        return kept


def _shrunk(aim: Callable[[bytes], None], data: bytes, wanted: set[Arc]) -> bytes:
    """Remove parts for as long as the input still reaches all that is wanted."""
    size, tries = len(data) // 2, 0
    while size and tries < SHRINK_TRIES_MAX:
        at = 0
        while at < len(data) and tries < SHRINK_TRIES_MAX:
            tries += 1
            shorter = data[:at] + data[at + size :]
            if wanted <= _arcs(aim, shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _arcs(aim: Callable[[bytes], None], data: bytes) -> set[Arc]:
    """The steps from line to line that an input takes through the observed code; empty if it fails."""
    arcs: set[Arc] = set()

    def enter(frame: FrameType, event: str, argument: object) -> Any:
        name = frame.f_code.co_filename
        if not any(part in name for part in LOOKED_AT):
            return None
        last = 0

        def step(inner: FrameType, event: str, argument: object) -> Any:
            nonlocal last
            if event == "line":
                arcs.add((name, last, inner.f_lineno))
                last = inner.f_lineno
            return step

        return step

    sys.settrace(enter)
    try:
        aim(data)
    except Exception:  # noqa: BLE001 -- a part of a failing input may fail otherwise
        return set()
    finally:
        sys.settrace(None)
    return arcs


if __name__ == "__main__":
    main()

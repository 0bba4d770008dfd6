"""A receipt in words for a trainee. The words themselves are those of everyone: `devices/protocol/labels.py`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from devices.protocol.labels import label_of, next_label
from devices.protocol.vocabulary import DEVELOPER_WARNINGS, Outcome, Reason, Tone, Warn


def in_words(receipt: dict[str, Any]) -> str:
    """A receipt for a person: tone, what became of it, why, and what to do."""
    why = [_lowered(Reason, receipt["reason"])] if "reason" in receipt else []
    why += [_lowered(Warn, word) for word in receipt.get("warn", ()) if word not in DEVELOPER_WARNINGS]
    said = f"{_lowered(Tone, receipt['tone'])}. {_label(Outcome, receipt['outcome'])}"
    said += f": {'; '.join(why)}" if why else ""
    said += f" ({receipt['detail']})" if receipt.get("detail") else ""
    return f"{said}. {next_label(receipt['next'], final=receipt['final']).en}." if "next" in receipt else f"{said}."


def _label(words: type[StrEnum], word: str) -> str:
    return label_of(words, word).en


def _lowered(words: type[StrEnum], word: str) -> str:
    """A label inside a sentence."""
    label = _label(words, word)
    return label[0].lower() + label[1:]

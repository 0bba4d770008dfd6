"""The texts for customers, as a whole: every moment in every language, with nothing in them but what is meant to be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import bridge
from bridge.config_file import zone_of
from bridge.domain.notice_texts import PLACEHOLDERS, TEXT_CHARS_MAX, Language, filled, parse_language, values_of
from bridge.domain.notices import NEVER_CORRECTED, OF_ORDERS
from bridge.errors import ConfigError
from bridge.notice_files import own_texts, texts_in
from devices.protocol.states import Moment

OWN = Path(bridge.__file__).parent / "notice_texts"
SHOWN = Path(__file__).parents[2] / "config" / "notices"
WHOLE: dict[str, dict[str, str]] = {
    moment.value: {"text": "Order {order}."} | ({} if moment in NEVER_CORRECTED else {"correction": "Not so: {order}."}) for moment in Moment
}
EVERY = [(language, moment) for language in Language for moment in Moment]
VALUES = values_of("PO-17", "box-1", 1_760_000_000_000, 2, zone_of("Asia/Shanghai"))


def parse(data: dict[str, Any]) -> object:
    return parse_language(data, of_orders=OF_ORDERS, never_corrected=NEVER_CORRECTED)


@pytest.mark.parametrize(("language", "moment"), EVERY)
def test_every_moment_is_told_in_every_language_and_taken_back_if_it_can_be(language: Language, moment: Moment) -> None:
    wording = own_texts()[language][moment]
    assert (wording.correction is None) == (moment in NEVER_CORRECTED)
    for text in filter(None, wording):
        assert "{order}" in text
        assert ("{parcel}" in text) == (moment not in OF_ORDERS)
        assert bool(re.search("[\u4e00-\u9fff]", text)) == (language is Language.ZH)
        assert len(text.format(**PLACEHOLDERS)) <= TEXT_CHARS_MAX
    for is_correction in (False, True):
        shown = filled(wording, VALUES, correction=is_correction)
        assert "PO-17" in shown
        assert not re.search("[{}]", shown)


def test_times_are_those_of_the_site() -> None:
    shown = filled(own_texts()[Language.EN][Moment.DELIVERED], VALUES, correction=False)
    assert shown.endswith("was delivered on 2025-10-09 at 16:53.")


def test_config_shows_the_texts_that_come_with_the_program() -> None:
    assert {path.name for path in SHOWN.iterdir()} == {path.name for path in OWN.iterdir()} == {f"{language}.toml" for language in Language}
    assert [(SHOWN / path.name).read_text() for path in OWN.iterdir()] == [path.read_text() for path in OWN.iterdir()]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda d: d.pop("packed"), "[packed] must have text and correction", id="a moment is missing"),
        pytest.param(lambda d: d["packed"].pop("correction"), "[packed] must have text and correction", id="a correction is missing"),
        pytest.param(lambda d: d["late"].update(correction="x"), "[late] must have text, and nothing else", id="a correction too many"),
        pytest.param(lambda d: d.update(eaten={"text": "x"}), "[eaten] is not a moment", id="a moment too many"),
        pytest.param(lambda d: d["packed"].update(text=" "), "packed.text must be a text", id="an empty text"),
        pytest.param(lambda d: d["packed"].update(text=7), "packed.text must be a text", id="no text"),
        pytest.param(lambda d: d["packed"].update(text="Dear {name}"), "packed.text: {name} is not a placeholder", id="a name"),
        pytest.param(lambda d: d["late"].update(text="{parcel}"), "late.text: {parcel} is not a placeholder", id="a parcel of an order"),
        pytest.param(lambda d: d["packed"].update(text="{order.__class__}"), "is not a placeholder", id="an attribute"),
        pytest.param(lambda d: d["packed"].update(text="{order!r}"), "is not a placeholder", id="a conversion"),
        pytest.param(lambda d: d["packed"].update(text="{order:>9999}"), "is not a placeholder", id="a format"),
        pytest.param(lambda d: d["packed"].update(text="{}"), "is not a placeholder", id="a place without a name"),
        pytest.param(lambda d: d["packed"].update(text="x" * 500 + "{order}"), "has up to 596 characters", id="a long text"),
    ],
)
def test_texts_that_are_not_whole_are_refused(change: Any, said: str) -> None:
    data = {moment: dict(texts) for moment, texts in WHOLE.items()}
    assert parse(data)
    change(data)
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(data)


def test_a_site_has_its_own_texts_or_is_told_what_is_wrong_with_them(tmp_path: Path) -> None:
    for language in Language:
        (tmp_path / f"{language}.toml").write_text((SHOWN / f"{language}.toml").read_text().replace("your order", "your purchase"))
    assert "your purchase" in texts_in(tmp_path)[Language.EN][Moment.PACKED].text
    (tmp_path / "zh.toml").write_text("[packed]\ntext = 'x'\n")
    with pytest.raises(ConfigError, match=r"zh\.toml: \[packed\] must have"):
        texts_in(tmp_path)
    (tmp_path / "zh.toml").unlink()
    with pytest.raises(ConfigError, match=r"zh\.toml can't be read"):
        texts_in(tmp_path)

"""What is kept about people, with the settings of a site."""

from __future__ import annotations

from msgspec import Struct

from bridge.config import Settings
from bridge.domain.codes.rules import DAY_MS
from bridge.operations.retention import TABLE, Kept, Whose


class Row(Struct, frozen=True, kw_only=True):
    """A kind of personal data, as a site keeps it. `days` is how long, if a setting says so; `warning` says what is wrong with that."""

    what: str
    whose: Whose
    columns: list[str]
    form: str
    purpose: str
    basis: str
    readers: str
    days: float | None
    kept: str
    warning: str | None


def rows_of(settings: Settings) -> list[Row]:
    """The table of retention with a site's settings."""
    return [_row(kept, settings) for kept in TABLE]


def _row(kept: Kept, settings: Settings) -> Row:
    days = days_of(kept, settings)
    is_long = days is not None and kept.longest_days is not None and days > kept.longest_days
    return Row(
        what=kept.what,
        whose=kept.whose,
        columns=list(kept.columns),
        form=kept.form,
        purpose=kept.purpose,
        basis=kept.basis,
        readers=kept.readers,
        days=days,
        kept=f"{days:g} days after {kept.after}" if days is not None else f"until {kept.after}",
        warning=f"{kept.setting} = {days:g} is longer than the {kept.longest_days:g} days that its basis carries" if is_long else None,
    )


def days_of(kept: Kept, settings: Settings) -> float | None:
    """For how many days something is kept; None if no setting says so."""
    if kept.setting is None:
        return None
    section, _, name = kept.setting.partition(".")
    return float(getattr(getattr(settings, section), name))


def keep_ms(kept: Kept, settings: Settings) -> int:
    """For how long something is kept that a setting limits, in ms."""
    days = days_of(kept, settings)
    assert days is not None
    return int(days * DAY_MS)

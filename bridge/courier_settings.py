"""What a site sets about its couriers, for `bridge.toml`."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.setting import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class CourierSettings:
    """Couriers: their shifts, and the cash that they collect (`dockbridge couriers`)."""

    tours: bool = setting(True, "Whether a parcel in no job that a courier on shift takes along goes into the courier's own job.")
    shift_longest_h: float = setting(14.0, "Hours after which a shift that nobody ended counts as ended, with an alert.", least=1.0, most=48.0)
    cash_count_within_h: float = setting(
        12.0, "Hours after the end of a shift within which its cash is to be counted; an alert follows.", least=0.1, most=720.0
    )

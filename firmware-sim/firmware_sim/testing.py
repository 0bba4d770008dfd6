"""A pytest plugin for authors of firmware or of an app against Dockbridge: a real site, simulated devices in your test's hand, and scenarios.

It costs a test run that does not use it nothing: everything is imported by the fixture that needs it. `firmware-sim/README.md` has an example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from firmware_sim.handheld import Handheld
    from firmware_sim.lived import Lived
    from firmware_sim.served import Site


@pytest.fixture
def site_settings() -> dict[str, dict[str, Any]]:
    """Sections of `bridge.toml` for `site`. Override it in your module: `return {"broker": {"window": 2}}`."""
    return {}


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, site_settings: dict[str, dict[str, Any]]) -> Iterator[Site]:
    """A Dockbridge site of this test's own, on a free port of this machine."""
    from firmware_sim.served import Site

    with Site(tmp_path_factory.mktemp("dockbridge") / "site", settings=site_settings) as served:
        yield served


@pytest.fixture
def scanner(site: Site) -> Handheld:
    """A simulated handheld, enrolled at `site` as `scanner-1`, and connected."""
    return site.device("scanner-1", "scanner")


@pytest.fixture
def courier(site: Site) -> Handheld:
    """A simulated phone, enrolled at `site` as `phone-1` of the courier `courier-1`, and connected."""
    return site.device("phone-1", "courier", "courier-1")


@pytest.fixture
def run_scenario(request: pytest.FixtureRequest) -> Callable[..., Lived]:
    """Lives through a scenario in virtual time: `run_scenario(name, path or dict, seed=1, **overrides)`. What its checkers find is told with the failure."""

    def run(scenario: str | Path | Mapping[str, Any], seed: int = 1, **overrides: Any) -> Lived:
        from firmware_sim.lived import live_through

        lived = live_through(scenario, seed, **overrides)
        if not lived.ok:
            request.node.add_report_section("call", "dockbridge", lived.told())
        return lived

    return run

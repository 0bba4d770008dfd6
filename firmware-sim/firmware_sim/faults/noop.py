"""Nothing goes wrong. Copy this file to write a fault."""

from __future__ import annotations

from firmware_sim.faults.base import Fault


class Noop(Fault, tag="noop"):
    """Nothing."""

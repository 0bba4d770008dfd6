"""A run as one page of HTML: what was done, what broke, what became of every order, and how long things took.

| module | what it has |
|---|---|
| `measures` | a record's figures: one walk, no drawing |
| `words` | times, durations, counts and hostile text as a page shows them |
| `charts` | the axis that all pictures of time share; histogram and step lines, in SVG |
| `timeline` | lanes: faults, server, findings, orders, devices |
| `tables` | everything that is rows |
| `look` | colours and CSS |
| `page` | puts them together |
"""

from __future__ import annotations

from firmware_sim.report.page import render_report

__all__ = ["render_report"]

"""What people and their logins need of a site that is opened for writing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from bridge.operations.login_brake import LoginBrake
from bridge.operations.people_ports import People

T = TypeVar("T")


class LoginContext(Protocol):
    """The part of `ports.SiteContext` that is about people."""

    @property
    def people(self) -> People: ...

    @property
    def logins(self) -> LoginBrake: ...

    async def off_loop(self, work: Callable[[], T]) -> T:
        """Call a function on one of the threads on which passwords are checked: few, and they give way to everything else."""
        ...

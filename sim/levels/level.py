"""The interface of a memory level to its neighbours."""

from __future__ import annotations

from typing import Protocol

from memgrain.hwmodels.spec import Core, Scope
from memgrain.sim.levels.request import Request

PS = 10**12
"""Picoseconds in a second."""


class Level(Protocol):
    """A passive component that answers when the data of a request will be there."""

    name: str
    """Prefix of its counters."""
    latency: int
    """Unloaded time of a read that this level or a nearer one answers at best, in ps."""
    queue: int
    """Of the runs served last: the longest time, in ps, that a piece of them waited for this level."""
    first: int
    """Of the runs served last: when (ps) the first bytes are there of those that came from the farthest level."""
    came: int
    """Of the runs served last: bytes that came from the farthest level; 0 if all were nearer."""

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        """When (ps) the last byte of the request's runs at that repeat is there; `core` requests them at time `now`
        (ps)."""
        ...

    def counters(self) -> dict[str, int]:
        """Counts so far, by name without the level's prefix."""
        ...

    def forget(self) -> None:
        """Start counting and the clock anew, keeping what the level holds."""
        ...


def instances(scope: Scope, core: Core) -> tuple[int, int]:
    """How many of a level there are, and how many cores of its kind share one."""
    share = {"core": 1, "cluster": core.cores_per_cluster, "chip": core.count}[scope]
    return core.count // share, share

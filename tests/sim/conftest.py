"""Chips and levels for the tests of this folder."""

from __future__ import annotations

import numpy as np

from memgrain import hwmodels
from memgrain.sim.cache.cache import Cache
from memgrain.sim.levels.request import NO_INDEX, Request
from memgrain.workloads.trace import RUN


class Sink:
    """A level that answers after `delay` ps and keeps the requests that it received."""

    name, latency, queue, first, came = "sink", 0, 0, 0, 0

    def __init__(self) -> None:
        self.requests: list[tuple[int, int, int]] = []
        self.delay = 0

    def serve(self, request, repeat, core, now) -> int:
        self.requests += [
            (int(run["base"]), int(run["bytes"]), int(run["op"])) for run in request.runs[: request.count]
        ]
        return now + self.delay

    def counters(self) -> dict[str, int]:
        return {}

    def forget(self) -> None:
        self.requests.clear()


def pieces(accesses) -> np.ndarray:
    """Runs of one piece each from (address, bytes, op[, tensor])."""
    runs = np.zeros(len(accesses), RUN)
    for i, (address, size, op, *tensor) in enumerate(accesses):
        runs[i] = (address, 0, 1, size, -1, 0, op, tensor[0] if tensor else 0, 1)
    return runs


def ask(runs: np.ndarray) -> Request:
    """A request for all of `runs`."""
    return Request(runs, NO_INDEX, 0, len(runs))


BASE = {
    "kind": "cache",
    "name": "l2",
    "scope": "chip",
    "capacity": "1 MiB",
    "line": "128 B",
    "sector": "32 B",
    "fill_granule": "64 B",
    "ways": 16,
    "replacement": "lru",
    "set_hash": "none",
    "write_policy": "back",
    "write_allocate": True,
    "partitions": 1,
    "slices": 4,
    "bandwidth": "256 GB/s",
    "latency": "100 ns",
}


def cache_of(**keys: object) -> tuple[Cache, Sink]:
    """A cache for tensors X and Y with some keys changed, above a sink."""
    sink = Sink()
    return Cache(hwmodels.Cache.model_validate({**BASE, **keys}), (1, 4), sink, ("X", "Y"), 1 << 20), sink

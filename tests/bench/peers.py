"""Other cache simulators on the accesses that ours is measured on: pycachesim, which has sets and ways like ours, and
libcachesim, which has neither: its LRU keeps as many lines as the whole cache, any line anywhere."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.bench.figure import seconds

SLICE = 1 << 22
"""Addresses that pycachesim is given at a time: as Python integers they take ten times the memory of an array."""


@dataclass(frozen=True)
class Peer:
    """What another simulator did."""

    rate: float
    """Million accesses a second."""
    hits: int | None
    """Hits of the first pass, from an empty cache; None where they would differ from ours by intention."""


def peers(lines: NDArray[np.int32], sets: int, ways: int, line: int) -> dict[str, Peer]:
    """Every peer that is installed, by name, in LRU caches of that size; `line` in bytes."""
    found = {"pycachesim": _pycachesim(lines, sets, ways, line), "libcachesim": _libcachesim(lines, sets * ways)}
    return {name: peer for name, peer in found.items() if peer is not None}


def _installed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        return None


def _pycachesim(lines: NDArray[np.int32], sets: int, ways: int, line: int) -> Peer | None:
    """Lists of integers are what its loop in C reads fastest; they are made outside the measured time."""
    package = _installed("cachesim")
    if package is None:
        return None
    memory, cache = package.MainMemory(), package.Cache("L2", sets, ways, line, "LRU")
    memory.load_to(cache)
    memory.store_from(cache)
    simulator = package.CacheSimulator(cache, memory)

    def walk() -> float:
        wall = 0.0
        for first in range(0, len(lines), SLICE):
            addresses = (lines[first : first + SLICE].astype(np.int64) * line).tolist()
            begin = perf_counter()
            simulator.load(addresses, length=1)
            wall += perf_counter() - begin
        return wall

    walk()
    hits = cache.backend.HIT_count
    return Peer(len(lines) / sorted(walk() for _ in range(3))[1] / 1e6, hits)


def _libcachesim(lines: NDArray[np.int32], objects: int) -> Peer | None:
    """Its own loop in C over a binary trace of 4 bytes an access (its pages stay in memory after the first read); a
    fifth of the trace warms it up. Objects have size 1."""
    package = _installed("libcachesim")
    if package is None:
        return None
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.bin"
        (lines.astype("<u4") + np.uint32(1)).tofile(path)  # 0 is no object
        fields = package.ReaderInitParam(
            binary_fmt_str="<I", ignore_obj_size=True, obj_id_is_num=True, obj_id_is_num_set=True
        )
        fields.obj_id_field = 1
        reader = package.TraceReader(str(path), package.TraceType.BIN_TRACE, fields)
        cache = package.LRU(objects)
        cache.process_trace(reader, 0, len(lines) // 5)

        def walk() -> None:
            reader.reset()
            cache.process_trace(reader)

        wall = seconds(walk, patience=1.0)  # its one run takes longer than all of the others
        # no reader.close(): the reader frees itself, and would do so twice
    return Peer(len(lines) / wall / 1e6, None)

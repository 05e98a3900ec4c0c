"""A memory layout for traces of objects, which have names and sizes but no addresses: no two objects overlap.

An object takes the bytes of its largest access and begins at a multiple of a granule, so that two objects never share a
granule. Objects lie in the order of their first accesses. An access moves the bytes of its own record: if an object's
size changes, an access to a smaller version reads its first bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.formats.flat import LIMIT
from memgrain.workloads.trace import Records

_OBJECT = np.dtype([("id", "u8"), ("size", "u8"), ("first", "i8")])
_WAITING = 1 << 20
"""Fewest accesses that are buffered before they are merged with the known objects."""


@dataclass(frozen=True, eq=False)
class Objects:
    """The positions of objects."""

    ids: NDArray[np.uint64]
    """Their ids, ascending."""
    bases: NDArray[np.uint64]
    """The first byte of each."""

    def addresses(self, ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The first byte of each object, by id."""
        found: NDArray[np.uint64] = self.bases[np.searchsorted(self.ids, ids)]
        return found


def place(accesses: Iterable[tuple[NDArray[np.uint64], NDArray[np.uint32]]], granule: int) -> Objects:
    """Lay out the objects of accesses, given in blocks of (ids, bytes), at multiples of `granule` bytes.

    Memory grows with the number of objects, not of accesses. Raises WorkloadError if the objects need more than 2**62
    bytes.
    """
    known, waiting, kept, first = np.zeros(0, _OBJECT), [], 0, 0
    for ids, sizes in accesses:
        part = np.zeros(len(ids), _OBJECT)
        part["id"], part["size"], part["first"] = ids, sizes, np.arange(first, first + len(ids))
        waiting.append(part)
        first, kept = first + len(ids), kept + len(ids)
        if kept > max(len(known), _WAITING):
            known, waiting, kept = _merged([known, *waiting]), [], 0
    known = _merged([known, *waiting])
    order = np.argsort(known["first"])
    slots = -(-known["size"].astype(np.int64)[order] // granule) * granule
    if float(slots.sum(dtype=np.float64)) >= LIMIT:
        raise WorkloadError(f"{len(known)} objects need 2**62 bytes or more; lower the granule or cut the trace")
    bases = np.zeros(len(known), np.uint64)
    bases[order] = np.cumsum(slots) - slots
    return Objects(known["id"].copy(), bases)


def _merged(parts: list[Records]) -> Records:
    """One record for each id, in id order, with its largest size and first access. Parts are in access order."""
    every = np.concatenate(parts)
    every = every[np.argsort(every["id"], kind="stable")]
    heads = np.flatnonzero(np.append(True, every["id"][1:] != every["id"][:-1])[: len(every)])
    merged: Records = every[heads]
    if len(heads):
        merged["size"] = np.maximum.reduceat(every["size"], heads)
    return merged

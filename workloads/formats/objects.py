"""Objects laid out in memory: what a trace of names and sizes says about addresses, which is that no two objects meet.

An object takes the bytes of its largest access, from a multiple of a granule on, so that two never share a granule.
Objects lie in the order of their first accesses, one behind the other. An access moves the bytes that its own record
says: where the size of an object changes, the access to a smaller version reads the first bytes of the place.
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
"""Accesses that are kept at least before they are put together with the objects known."""


@dataclass(frozen=True, eq=False)
class Objects:
    """Where objects lie."""

    ids: NDArray[np.uint64]
    """Their ids, ascending."""
    bases: NDArray[np.uint64]
    """The first byte of each."""

    def addresses(self, ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The first bytes of objects by id."""
        found: NDArray[np.uint64] = self.bases[np.searchsorted(self.ids, ids)]
        return found


def place(accesses: Iterable[tuple[NDArray[np.uint64], NDArray[np.uint32]]], granule: int) -> Objects:
    """Lay out the objects of accesses, given as (ids, bytes) in stretches, from multiples of `granule` bytes on.

    Holds some numbers for each object in memory, however many accesses there are. Raises WorkloadError if the objects
    need more than 2**62 bytes.
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
    """One record for each id, in their order: its largest size and first access. Parts are in the order of accesses."""
    every = np.concatenate(parts)
    every = every[np.argsort(every["id"], kind="stable")]
    heads = np.flatnonzero(np.append(True, every["id"][1:] != every["id"][:-1])[: len(every)])
    merged: Records = every[heads]
    if len(heads):
        merged["size"] = np.maximum.reduceat(every["size"], heads)
    return merged

"""Reuse of an access stream: distinct lines and LRU stack distances.

The stack distance of an access is the number of other lines used since the last use of its line. A fully associative
LRU cache hits if it has more lines than that (Mattson et al., IBM Systems Journal 9(2), 1970). A bitmap over accesses
marks the last access of each line, and a Fenwick tree over the bitmap's words counts the marks since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from memgrain.workloads.formats.lines import LineTable
from memgrain.workloads.trace import Records

WORD = 32
"""Accesses of a word of the bitmap."""
WORDS = 1 << 15
"""Initial words of the bitmap."""
BUCKETS = 64


@dataclass(frozen=True)
class Reuse:
    """Reuse of an access stream at one line size."""

    granule: int
    """Bytes of a line."""
    reads: int
    """Accesses that read."""
    writes: int
    """Accesses that write."""
    lines: tuple[int, ...]
    """Distinct lines by number of the tensor."""
    distances: tuple[int, ...]
    """Accesses that use a line again, by stack distance: 0, 1, 2 to 3, 4 to 7 and so on by powers of two."""

    @property
    def distinct(self) -> int:
        """Distinct lines: the accesses without a stack distance."""
        return sum(self.lines)

    @property
    def uses(self) -> float:
        """Mean accesses to a line."""
        return (self.reads + self.writes) / max(1, self.distinct)


def measure(blocks: Iterable[Records], granule: int, tensors: int) -> Reuse:
    """The reuse of an access stream (FLAT blocks of one granule) over `tensors` tensors."""
    table, histogram, lines = LineTable(), np.zeros(BUCKETS, np.int64), np.zeros(max(1, tensors), np.int64)
    bits, tree, now, live = np.zeros(WORDS, np.int64), np.zeros(WORDS + 1, np.int64), 0, 0
    reads = writes = 0
    for block in blocks:
        writes += int(np.count_nonzero(block["write"]))
        reads += int(np.count_nonzero(~block["write"]))
        positions, done = table.positions(block["address"].astype(np.int64) // granule), 0
        while True:
            done, now, live = _walk(
                positions, block["tensor"], done, now, live, table.pool, bits, tree, histogram, lines
            )
            if done == len(positions):
                break
            words = len(bits)
            while words * WORD < 2 * live + WORDS:
                words *= 2
            _renumber(table.pool, bits)
            bits, now = _full(words, live), live
            tree = _tree(bits)
    last = int(np.flatnonzero(histogram).max(initial=-1)) + 1
    return Reuse(granule, reads, writes, tuple(lines.tolist()), tuple(histogram[:last].tolist()))


def _full(words: int, live: int) -> NDArray[np.int64]:
    """A bitmap with the first `live` accesses marked."""
    bits = np.zeros(words, np.int64)
    bits[: live // WORD] = (1 << WORD) - 1
    bits[live // WORD] = (1 << live % WORD) - 1
    return bits


def _tree(bits: NDArray[np.int64]) -> NDArray[np.int64]:
    """The Fenwick tree over the marks of each word: entry k holds the sum of the k & -k words that end with word k."""
    sums = np.cumsum(np.append(0, _count_marks(bits)))
    k = np.arange(len(sums))
    tree: NDArray[np.int64] = sums - sums[k - (k & -k)]
    return tree


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function when it is first called; the result is cached beside the source, its only dependency."""
    compiled: Callable[..., Any] = njit(cache=True, error_model="numpy")(function)
    return compiled


def _count_marks(word: Any) -> Any:
    """Set bits of a word of 32 (Warren, Hacker's Delight, 5-1); of each word, if it is an array."""
    word = word - ((word >> 1) & 0x55555555)
    word = (word & 0x33333333) + ((word >> 2) & 0x33333333)
    word = (word + (word >> 4)) & 0x0F0F0F0F
    return ((word * 0x01010101) >> 24) & 0xFF


_marks = _compiled(_count_marks)


def _walk_accesses(
    positions: Any,
    tensors: Any,
    done: int,
    now: int,
    live: int,
    pool: Any,
    bits: Any,
    tree: Any,
    histogram: Any,
    lines: Any,
) -> tuple[int, int, int]:
    """Process accesses from number `done` until the bitmap is full. Returns the number processed, the next position in
    the bitmap and the number of lines."""
    size = len(bits)
    for i in range(done, len(positions)):
        if now == size * WORD:
            return i, now, live
        before = pool[positions[i]]
        if before >= 0:
            word, mask = before // WORD, np.int64(1) << (before % WORD)
            seen = _marks(bits[word] & (2 * mask - 1))
            k = word
            while k > 0:
                seen += tree[k]
                k &= k - 1
            distance, bucket = live - seen, 0
            while distance > 0:
                distance >>= 1
                bucket += 1
            histogram[bucket] += 1
            bits[word] ^= mask
            k = word + 1
            while k <= size:
                tree[k] -= 1
                k += k & -k
        else:
            live += 1
            lines[tensors[i]] += 1
        bits[now // WORD] |= np.int64(1) << (now % WORD)
        k = now // WORD + 1
        while k <= size:
            tree[k] += 1
            k += k & -k
        pool[positions[i]] = now
        now += 1
    return len(positions), now, live


def _renumber_accesses(pool: Any, bits: Any) -> None:
    """Renumber the marked accesses from 0 without gaps."""
    before = np.zeros(len(bits) + 1, np.int64)
    for word in range(len(bits)):
        before[word + 1] = before[word] + _marks(bits[word])
    for at in range(len(pool)):
        if pool[at] >= 0:
            word, bit = pool[at] // WORD, pool[at] % WORD
            pool[at] = before[word] + _marks(bits[word] & ((np.int64(1) << bit) - 1))


_walk = _compiled(_walk_accesses)
_renumber = _compiled(_renumber_accesses)

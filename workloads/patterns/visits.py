"""Tokens that a tile of queries reads: fixed ranges, and a range of candidates for a selection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Range = tuple[int, int]


@dataclass(frozen=True)
class Visits:
    """Tokens of one q tile; `ranges` and `candidates` are disjoint."""

    ranges: tuple[Range, ...]
    """(start, stop) of tokens read whole, sorted, neither touching nor overlapping."""
    candidates: Range = (0, 0)
    """(start, stop) of the tokens that a selection chooses from; empty where nothing is chosen."""

    @property
    def tokens(self) -> int:
        """Tokens of the ranges."""
        return sum(stop - start for start, stop in self.ranges)


@dataclass(frozen=True, eq=False)
class Seen:
    """Tokens that each query reads for itself: int64 arrays with one entry a query."""

    tokens: NDArray[np.int64]
    """Tokens that are always read."""
    start: NDArray[np.int64]
    """First candidate of the selection."""
    stop: NDArray[np.int64]
    """First token after the candidates; equal to `start` if there are none."""


def always(tokens: NDArray[np.int64]) -> Seen:
    """Queries that read `tokens` tokens without a selection."""
    return Seen(tokens, np.zeros_like(tokens), np.zeros_like(tokens))


def open_to_all(kv_len: int, queries: NDArray[np.int64], selecting: bool) -> Seen:
    """Queries that read all tokens, or with `selecting` choose among all."""
    tokens = np.full_like(queries, kv_len)
    return Seen(np.zeros_like(tokens), np.zeros_like(tokens), tokens) if selecting else always(tokens)


def window_and_sinks(at: NDArray[np.int64], window: int, sinks: int) -> NDArray[np.int64]:
    """Tokens of the window and of the first `sinks` tokens that queries at positions `at` read."""
    start = np.maximum(0, at - window + 1)
    return at + 1 - start + np.minimum(start, sinks)


def merged(ranges: list[Range]) -> tuple[Range, ...]:
    """The union of `ranges` as sorted ranges that do not touch."""
    union: list[Range] = []
    for start, stop in sorted(r for r in ranges if r[0] < r[1]):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(stop, union[-1][1]))
        else:
            union.append((start, stop))
    return tuple(union)


def in_units(visits: Visits, unit: int) -> Visits:
    """`visits` with candidates cut to whole aligned units of `unit` tokens.

    The remainders at the edges are always read, as Quest and MoBA read the incomplete block.
    """
    start, stop = visits.candidates
    first, last = -(-start // unit) * unit, stop // unit * unit
    if first >= last:
        return Visits(merged([*visits.ranges, (start, stop)]))
    return Visits(merged([*visits.ranges, (start, first), (last, stop)]), (first, last))


def seen_in_units(seen: Seen, unit: int) -> Seen:
    """`in_units` for queries one by one."""
    first, last = -(-seen.start // unit) * unit, seen.stop // unit * unit
    none = first >= last
    first, last = np.where(none, seen.start, first), np.where(none, seen.start, last)
    return Seen(seen.tokens + (seen.stop - seen.start) - (last - first), first, last)

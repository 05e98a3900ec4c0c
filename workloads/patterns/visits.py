"""What a tile of queries reads: token ranges that it always reads, and a range that a selection chooses from."""

from __future__ import annotations

from dataclasses import dataclass

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

    What is left at the edges is read always, as Quest and MoBA read the block that is not full yet.
    """
    start, stop = visits.candidates
    first, last = -(-start // unit) * unit, stop // unit * unit
    if first >= last:
        return Visits(merged([*visits.ranges, (start, stop)]))
    return Visits(merged([*visits.ranges, (start, first), (last, stop)]), (first, last))

"""FlashMLA's deal: the tiles of all sequences in a row, cut into equal parts, each the walk of one program.

A program may end one sequence, take others whole and begin another; sequences that are cut have splits, which are
merged (github deepseek-ai/FlashMLA, csrc/sm90/get_mla_metadata.cu).
"""

from __future__ import annotations

from dataclasses import dataclass

OVERHEAD = 5
"""Tiles that a sequence counts for beside its own, in each program that takes some of it."""


@dataclass(frozen=True)
class Segment:
    """Tiles of one sequence that a program walks."""

    sequence: int
    """Number of the sequence."""
    first: int
    """First tile."""
    last: int
    """Tile behind the last one."""
    split: int
    """Which split of the sequence it is."""


def deal(sequences: int, tiles: int, parts: int) -> tuple[tuple[Segment, ...], ...]:
    """The segments of each program, of `sequences` sequences of `tiles` tiles each; programs that get none are last."""
    payload = -(-sequences * (tiles + OVERHEAD) // parts) + OVERHEAD
    found: list[tuple[Segment, ...]] = []
    sequence = tile = split = 0
    for _ in range(parts):
        own, left = [], payload
        while sequence < sequences and left >= tiles - tile + OVERHEAD:
            own.append(Segment(sequence, tile, tiles, split))
            left -= tiles - tile + OVERHEAD
            sequence, tile, split = sequence + 1, 0, 0
        if sequence < sequences and left > OVERHEAD:
            own.append(Segment(sequence, tile, tile + left - OVERHEAD, split))
            tile, split = tile + left - OVERHEAD, split + 1
        found.append(tuple(own))
    return tuple(found)


def splits_of(dealt: tuple[tuple[Segment, ...], ...]) -> tuple[int, ...]:
    """Splits of each sequence."""
    counts: dict[int, int] = {}
    for segment in (segment for own in dealt for segment in own):
        counts[segment.sequence] = segment.split + 1
    return tuple(counts[sequence] for sequence in sorted(counts))

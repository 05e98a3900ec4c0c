"""FlashMLA's schedule: the tiles of all sequences in a row, cut into equal parts, one for each program.

A program may finish one sequence, process others whole and begin another. A sequence that is cut has splits, which are
merged (github deepseek-ai/FlashMLA, csrc/sm90/get_mla_metadata.cu).
"""

from __future__ import annotations

from dataclasses import dataclass

OVERHEAD = 5
"""Fixed cost of a sequence in tiles, added in each program that takes a part of it."""


@dataclass(frozen=True)
class Segment:
    """Tiles of one sequence that a program processes."""

    sequence: int
    """Number of the sequence."""
    first: int
    """First tile."""
    last: int
    """First tile after the segment."""
    split: int
    """Number of the split of the sequence."""


def deal(sequences: int, tiles: int, parts: int) -> tuple[tuple[Segment, ...], ...]:
    """The segments of each program for `sequences` sequences of `tiles` tiles each; programs without a segment come
    last."""
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

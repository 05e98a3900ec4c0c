"""Requests of a DMA engine for rows, where the address of a row decides how it is cut."""

import numpy as np

from memgrain.sim.native.jit import compiled


@compiled
def piece_of(low, largest, smallest):
    """The largest power of two, `largest` at most and `smallest` at least, that address `low` is a multiple of."""
    piece = largest
    while piece > smallest and low & (piece - 1):
        piece >>= 1
    return piece


@compiled
def requests_of(low, size, piece):
    """Requests of `piece` bytes for a row: the aligned units of them that it touches."""
    return (low + size - 1) // piece - low // piece + 1 if size else np.int64(0)


@compiled
def count_requests(runs, indices, first, count, largest, smallest):
    """Requests of `count` runs from `first` on, at their first repeat.

    A row is cut into pieces by its address, see `piece_of`. Rows without a gap between them are one row.
    """
    total = 0
    for r in range(first, first + count):
        run = runs[r]
        base, stride = np.int64(run["base"]), np.int64(run["stride"])
        size, rows = np.int64(run["bytes"]), np.int64(run["count"])
        index = np.int64(run["index"])
        if index < 0 and stride == size:
            size, rows = size * rows, np.int64(1)
        for i in range(rows):
            low = base + (indices[index + i] if index >= 0 else i) * stride
            piece = piece_of(low, largest, smallest)
            total += requests_of(low, size, piece)
    return total


@compiled
def count_pieces(runs, indices, first, count, piece):
    """Pieces of `piece` bytes of the rows of `count` runs from `first` on, at their first repeat, whose address is no
    multiple of it."""
    total = 0
    for r in range(first, first + count):
        run = runs[r]
        base, stride, index = np.int64(run["base"]), np.int64(run["stride"]), np.int64(run["index"])
        of_row = (np.int64(run["bytes"]) + piece - 1) // piece
        for i in range(np.int64(run["count"])):
            if (base + (indices[index + i] if index >= 0 else i) * stride) % piece:
                total += of_row
    return total

"""Sizes of a transfer, counted without a lookup of lines: bytes, lines, DMA commands."""

from memgrain.sim.native.jit import compiled
from memgrain.workloads.trace import JOINED, WRITE


@compiled
def count_transfer(runs, first, count, alignment, rows_per_command):
    """Bytes rounded up row by row to `alignment`, and DMA commands, of `count` runs from `first` on.

    A strided run moves up to `rows_per_command` rows with one command, a gathered one up to its `block`; see
    `memgrain.workloads.trace.count_commands`.
    """
    moved, commands = 0, 0
    for r in range(first, first + count):
        rows, size = int(runs[r]["count"]), int(runs[r]["bytes"])
        moved += rows * ((size + alignment - 1) // alignment * alignment)
        block = int(runs[r]["block"])
        most = rows_per_command
        if runs[r]["index"] >= 0:
            most = max(1, min(block, rows_per_command))
        if block != JOINED:
            commands += (rows + most - 1) // most
    return moved, commands


@compiled
def count_slow_rows(runs, first, count, rows_per_command, access):
    """Rows of strided commands beyond their first, where rows are apart, and rows written of less than `access` bytes,
    of `count` runs from `first` on."""
    apart, partial = 0, 0
    for r in range(first, first + count):
        rows, size = int(runs[r]["count"]), int(runs[r]["bytes"])
        gathered, most = runs[r]["index"] >= 0, rows_per_command
        if gathered:
            most = max(1, min(int(runs[r]["block"]), rows_per_command))
        if gathered or int(runs[r]["stride"]) != size:
            apart += rows - (rows + most - 1) // most
        if runs[r]["op"] == WRITE and size < access:
            partial += rows
    return apart, partial


@compiled
def count_bytes(runs, first, count):
    """Bytes of `count` runs from `first` on."""
    total = 0
    for r in range(first, first + count):
        total += int(runs[r]["count"]) * int(runs[r]["bytes"])
    return total


@compiled
def count_lines(runs, first, count, line_bytes):
    """Most lines that `count` runs from `first` on can touch."""
    lines = 0
    for r in range(first, first + count):
        lines += int(runs[r]["count"]) * ((int(runs[r]["bytes"]) + line_bytes - 2) // line_bytes + 1)
    return lines

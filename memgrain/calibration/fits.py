"""Which numbers of a chip are fitted, in which order, on which rows: each on those whose time it decides.

What is not listed is not fitted: capacities, ways, channels and peaks are the vendor's or stand for a hypothesis,
`program_start` and `max_bytes_in_flight` are measured by kernels of their own, and `hbm.window` cannot be told apart
from tFAW: its effect on every row is the same. A number is fitted within the `range` of the chip's YAML.
"""

from __future__ import annotations

from dataclasses import dataclass

from memgrain.validation.records import Record

MIB = 1 << 20
EMPTY = "empty"
"""The family of kernels that do nothing (rows with `grid` and a time, and no family)."""
DIRTY = "cold_dirty"
"""The state of a row whose time is that from dirty caches."""
ATTENTION = ("decode", "prefill")
"""Families that no chip may be fitted to."""


@dataclass(frozen=True)
class RowFilter:
    """A kind of rows."""

    family: str
    """stream, gather, gather_step or empty."""
    state: str | None = None
    """State of the L2 before; any if None."""
    mib: tuple[float, float] = (0, float("inf"))
    """Least and most useful bytes, in MiB."""
    row_bytes: tuple[int, int] = (1, 1 << 62)
    """Least and most bytes of a row."""
    programs: tuple[int, int] = (1, 1 << 62)
    """Least and most programs of the launch."""
    overlap: tuple[float, float] = (0, 1)
    """Least and most share of a step's rows that the step before has read."""

    def match(self, record: Record) -> bool:
        """Whether `record` is of this kind."""
        if record.text("family") != self.family or self.state not in (None, record.cells.get("l2_state", "cold")):
            return False
        row_bytes = record.whole("row_bytes", 1)
        useful = record.maybe("useful_bytes") or row_bytes * record.whole("n_rows", 0)
        return (
            self.mib[0] <= useful / MIB <= self.mib[1]
            and self.row_bytes[0] <= row_bytes <= self.row_bytes[1]
            and self.programs[0] <= record.whole("grid", 1) <= self.programs[1]
            and self.overlap[0] <= (record.real("step_overlap") or 0) <= self.overlap[1]
        )


@dataclass(frozen=True)
class Fit:
    """A number and the rows that it is fitted on."""

    key: str
    """Its dotted name, as in an override."""
    rows: tuple[tuple[RowFilter, ...], ...]
    """Kinds of rows, in order of preference: the first entry of which a file has any is used."""
    why: str
    """Why these rows speak of it."""


FITS = (
    Fit(
        "launch_overhead",
        ((RowFilter(EMPTY, programs=(1, 1)),), (RowFilter("stream", "warm", mib=(0, 8)),)),
        "the time of a kernel that does nothing, or next to nothing",
    ),
    Fit("dispatch", ((RowFilter(EMPTY, programs=(4096, 1 << 62)),),), "empty programs, more than start at once"),
    Fit(
        "l2.bandwidth",
        (
            (
                RowFilter("stream", "warm", mib=(12, 28)),
                RowFilter("gather_step", "prev_step", mib=(12, 28), overlap=(1, 1)),
            ),
        ),
        "hits only, of more bytes than a launch can hide",
    ),
    Fit(
        "l2.far_latency",
        (
            (
                RowFilter("stream", "warm", mib=(4, 16)),
                RowFilter("gather_step", "prev_step", mib=(4, 16), overlap=(1, 1)),
            ),
        ),
        "small kernels whose data are in the L2, half of them in the far partition",
    ),
    Fit(
        "hbm.standard.timings.tFAW",
        ((RowFilter("gather", "cold", mib=(8, 256), row_bytes=(1, 64)),),),
        "random rows of one access each: an activation a row",
    ),
    Fit(
        "hbm.standard.timings.tRTRS",
        ((RowFilter("gather", "cold", mib=(48, 256), row_bytes=(128, 512)),),),
        "random rows of a few accesses each: every other one is of another rank",
    ),
    Fit(
        "hbm.standard.timings.tRFC",
        ((RowFilter("gather", "cold", mib=(96, 160), row_bytes=(256, 2048)), RowFilter("stream", mib=(96, 160))),),
        "bandwidth of long reads: what refreshes leave of the peak",
    ),
    Fit(
        "l2.dirty_share",
        ((RowFilter("gather", DIRTY, mib=(8, 256)),),),
        "cold reads after a buffer was rewritten: the lines that have to be written back first",
    ),
)
"""The numbers, in the order in which they are fitted."""

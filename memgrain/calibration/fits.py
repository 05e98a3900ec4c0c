"""The fitted parameters of a chip, their order, and their rows: each is fitted on rows whose time it determines.

Other parameters are not fitted: capacities, ways, channels and peaks come from the vendor or represent a hypothesis,
`program_start` and `max_bytes_in_flight` are measured by dedicated kernels, and `hbm.window` cannot be distinguished
from tFAW, because its effect on every row is the same. A parameter is fitted within the `range` of the chip's YAML.
"""

from __future__ import annotations

from dataclasses import dataclass

from memgrain.validation.records import Record

MIB = 1 << 20
EMPTY = "empty"
"""Family of empty kernels (rows with `grid` and a time, and no family)."""
DIRTY = "cold_dirty"
"""State of a row whose time is measured from dirty caches."""
ATTENTION = ("decode", "prefill")
"""Families to which no chip may be fitted."""


@dataclass(frozen=True)
class RowFilter:
    """A filter of rows."""

    family: str
    """stream, gather, gather_step or empty."""
    state: str | None = None
    """State of the L2 before; None: any."""
    mib: tuple[float, float] = (0, float("inf"))
    """Smallest and largest number of useful bytes, in MiB."""
    row_bytes: tuple[int, int] = (1, 1 << 62)
    """Smallest and largest number of bytes per row."""
    programs: tuple[int, int] = (1, 1 << 62)
    """Smallest and largest number of programs in the launch."""
    overlap: tuple[float, float] = (0, 1)
    """Smallest and largest fraction of a step's rows that the step before has read."""

    def match(self, record: Record) -> bool:
        """Whether `record` passes the filter."""
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
    """A parameter and the rows on which it is fitted."""

    key: str
    """Dotted name, as in an override."""
    rows: tuple[tuple[RowFilter, ...], ...]
    """Filters in order of preference: the first entry that matches any row of the files is used."""
    why: str
    """Why these rows determine the parameter."""


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
"""The parameters, in the order of fitting."""

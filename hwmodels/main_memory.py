"""The chip's main memory: channels of a DRAM standard, clocked so that they carry the chip's bandwidth."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, model_validator

from memgrain.hwmodels.record import Spec
from memgrain.hwmodels.standard import PS, DramStandard
from memgrain.hwmodels.units import Bandwidth, Bytes, Count, Latency
from memgrain.inputs.quantities import format_bandwidth, format_duration

Channels = Annotated[Count, Field(le=65536)]
Window = Annotated[Count, Field(le=1024)]
MOST_PENDING = 2**24
"""Most requests that the reorder windows of all banks may hold: their state must fit into the host's memory."""
RATE_ROUNDING = 1.005
"""Largest ratio of a bandwidth to that of the fastest speed bin: publishers round both numbers."""


class Dram(Spec):
    """The chip's main memory: a number of channels of one DRAM standard.

    The bandwidth sets the clock of the channels: `bandwidth / channels` is the peak of one channel, and at its command
    clock the standard's bursts carry that peak.
    """

    kind: Literal["dram"]
    name: str = Field(description="name of the level: prefix of its counters and overrides")
    standard: DramStandard = Field(
        description="organisation and timings of a channel; in YAML the name of a file in hwmodels/dram"
    )
    capacity: Bytes = Field(description="bytes in all channels together")
    channels: Channels = Field(description="independent channels (pseudo-channels where the standard has them)")
    bandwidth: Bandwidth = Field(
        description="peak bytes per second of all channels together; with channels it sets the data rate"
    )
    latency: Latency = Field(description="unloaded time of a read with its row closed, measured at the core")
    interleave: Bytes = Field(description="consecutive bytes that lie in one channel before the next one follows")
    channel_hash: bool = Field(
        description="whether the row number is folded into channel and bank, so that strides spread"
    )
    smallest_access: Bytes = Field(description="bytes that the smallest transfer moves; at least the standard's burst")
    window: Window = Field(description="requests per bank that the controller can reorder (FR-FCFS)")
    page_policy: Literal["open", "closed"] = Field(description="whether a row stays open after its last pending access")
    write_batch: Window = Field(description="writes collected for one turnaround of the bus")

    @property
    def at_rate(self) -> DramStandard:
        """The standard at the clock at which its channels carry the bandwidth."""
        return self.standard.carrying(Fraction(self.bandwidth, self.channels))

    @property
    def closed_row_time(self) -> int:
        """Picoseconds from the activation of a row to the end of the first burst: the banks' part of the latency."""
        standard = self.at_rate
        return standard.delay("bank", "ACT", "RD") + standard.timings["tCL"] + self.burst_time

    @property
    def burst_time(self) -> int:
        """Picoseconds for which the smallest access occupies a channel's data bus."""
        return self.smallest_access * PS * self.channels // self.bandwidth

    @model_validator(mode="after")
    def _consistent(self) -> Dram:
        if self.smallest_access % self.standard.burst or self.interleave % self.smallest_access:
            raise ValueError(
                f"burst {self.standard.burst} of {self.standard.name}, smallest_access {self.smallest_access} and "
                f"interleave {self.interleave} must divide one another; use powers of two"
            )
        if self.standard.row % self.interleave:
            raise ValueError(
                f"interleave {self.interleave} must divide the row of {self.standard.row} bytes; change interleave"
            )
        pending = self.channels * self.standard.banks * self.window
        if pending > MOST_PENDING:
            raise ValueError(
                f"{self.channels} channels of {self.standard.banks} banks with a window of {self.window} hold "
                f"{pending} requests, at most {MOST_PENDING} are simulated; lower {self.name}.window or "
                f"{self.name}.channels"
            )
        self._check_rate()
        if self.latency < self.closed_row_time:
            raise ValueError(
                f"latency {self.latency} ps is below the {self.closed_row_time} ps that a closed row takes (tRCD + tCL "
                f"of {self.standard.name} and {self.smallest_access} B at "
                f"{format_bandwidth(self.bandwidth / self.channels)} a channel); raise latency or bandwidth"
            )
        return self

    def _check_rate(self) -> None:
        """Refuse a bandwidth beyond the fastest speed bin, and one at which a burst does not end between two refreshes.

        A bandwidth below the slowest speed bin is allowed: memories are clocked down to save power.
        """
        standard, name = self.standard, self.name
        most = self.channels * standard.fastest.peak
        if self.bandwidth > most * RATE_ROUNDING:
            enough = -(-self.bandwidth // standard.fastest.peak)
            raise ValueError(
                f"{self.channels} channels of {standard.name} carry at most {format_bandwidth(most)}, {name}.bandwidth "
                f"is {format_bandwidth(self.bandwidth)}; raise {name}.channels to {enough} or change {name}.standard"
            )
        free = standard.latency(standard.refresh.interval) - standard.latency(standard.refresh.duration)
        if self.burst_time >= free:
            least = self.smallest_access * PS * self.channels // free + 1
            raise ValueError(
                f"{self.smallest_access} B take {format_duration(self.burst_time)} on one of {self.channels} channels "
                f"at {format_bandwidth(self.bandwidth)}, longer than the {format_duration(free)} between refreshes; "
                f"raise {name}.bandwidth to {format_bandwidth(least)} or lower {name}.channels"
            )

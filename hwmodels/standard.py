"""A DRAM standard: the organisation of one channel, its timings and its constraint table.

The table follows JEDEC in the notation of Ramulator: after command `preceding`, command `following` waits `latency` on
the same `level`. With `window` n the wait counts from the n-th last such command; tFAW is `ACT -> ACT, rank, window 4`.

Timings are given in clocks or in nanoseconds, as JEDEC defines them. At another clock, timings in clocks scale and
timings in nanoseconds stay. In a chip, nanoseconds are not rounded up to whole clocks: the published HBM timings are
nanoseconds that the memory reaches, and without rounding a faster clock never lengthens a timing. For comparisons with
a cycle-level simulator they are rounded (`in_whole_clocks`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from memgrain.hwmodels.record import Spec
from memgrain.hwmodels.units import Bytes, Count, Duration
from memgrain.inputs.quantities import amount, format_duration, parse_duration

PS = 10**12
"""Picoseconds in a second."""
PERIODS = (100, 100_000)
"""Shortest and longest command-clock period of a DRAM, in ps: 10 GHz to 10 MHz."""
Few = Annotated[Count, Field(le=64)]
"""A number of ranks, bank groups or banks: above any standard's, and small enough for the host's memory."""

Command = Literal["ACT", "PRE", "RD", "WR"]
DramLevel = Literal["channel", "other_rank", "rank", "bank_group", "bank"]
_Wait = tuple[DramLevel, Command, Command, int]
"""A row of the constraint table: level, preceding and following command, window."""


class Constraint(Spec):
    """One row of the table: a minimum distance between two commands on one level."""

    level: DramLevel = Field(
        description="level of which both commands use the same instance; other_rank: different ranks of a channel"
    )
    preceding: Command = Field(description="the earlier command")
    following: Command = Field(description="the command that waits")
    latency: str = Field(description="a timing name, or a sum of names such as 'tRAS + tRP'")
    window: Count = Field(default=1, description="number of preceding commands from which the wait counts")


class Refresh(Spec):
    """How the channel is refreshed."""

    kind: Literal["all_bank", "per_rank", "per_bank"] = Field(
        description="whether a refresh blocks the channel, one rank or one bank; ranks and banks take turns"
    )
    interval: str = Field(
        description="timing name of the mean distance of refreshes (of one rank's or bank's turns, if they take turns)"
    )
    duration: str = Field(description="timing name of the time that one refresh takes")


class DramStandard(Spec):
    """One channel of a DRAM standard."""

    name: str = Field(description="name of the file")
    title: str = Field(description="name in tables and figures")
    clock_period: Duration = Field(
        description="command clock of a channel by itself; in a chip the clock follows from the bandwidth of a "
        "channel. Timings given as '14 nCK' scale with the clock, those in ns stay"
    )
    shortest_clock: Duration | None = Field(
        default=None,
        description="command clock of the fastest speed bin, which bounds the bandwidth of a channel; absent: "
        "clock_period",
    )
    burst: Bytes = Field(description="bytes that one column command moves")
    ranks: Few = Field(description="ranks of a channel")
    bank_groups: Few = Field(description="bank groups of a rank")
    banks_per_group: Few = Field(description="banks of a bank group")
    row: Bytes = Field(description="bytes of one row of one bank (the page)")
    address_map: str = Field(
        description="fields from the top: row, rank, bank_group, bank, channel, column; the bytes of one "
        "interleave lie below them all"
    )
    timings: dict[str, Duration] = Field(description="named durations: tRCD, tRP, tRAS, tCL, tCCD_S, ...")
    constraints: list[Constraint] = Field(description="the table of minimum distances")
    refresh: Refresh = Field(description="how the channel is refreshed")
    clocked: SkipJsonSchema[tuple[str, ...]] = Field(
        default=(), description="timings given in clocks, as recorded by the loader"
    )

    @property
    def banks(self) -> int:
        """Banks of a channel, over all ranks and bank groups."""
        return self.ranks * self.bank_groups * self.banks_per_group

    @property
    def fields(self) -> list[str]:
        """The address map as a list, from the top."""
        return self.address_map.split()

    def latency(self, text: str) -> int:
        """Picoseconds of a timing name or a sum of names."""
        return sum(self.timings[name.strip()] for name in text.split("+"))

    def delay(self, level: DramLevel, preceding: Command, following: Command) -> int:
        """Picoseconds that `following` waits after `preceding` on the same `level`; 0 without such a row.

        >>> # the row cycle of a bank: standard.delay("bank", "ACT", "ACT")
        """
        rows = [
            row
            for row in self.constraints
            if (row.level, row.preceding, row.following) == (level, preceding, following) and row.window == 1
        ]
        return max((self.latency(row.latency) for row in rows), default=0)

    def service(self, level: DramLevel, command: Command) -> int:
        """Picoseconds per `command` on one instance of `level` in a steady stream: the table read as a server.

        A row `command -> command` with latency L and window w admits w commands in L.
        """
        rows = [row for row in self.constraints if row.level == level and row.preceding == row.following == command]
        return max((-(-self.latency(row.latency) // row.window) for row in rows), default=0)

    @property
    def burst_time(self) -> int:
        """Picoseconds from one burst to the next on the data bus: the longer of tCCD_S and tBL."""
        return max(self.service("rank", "RD"), self.timings.get("tBL", 0))

    @property
    def peak(self) -> int:
        """Bytes per second of one channel at this clock."""
        return self.burst * PS // self.burst_time

    @property
    def fastest(self) -> DramStandard:
        """The standard at the clock of its fastest speed bin."""
        return self.at(Fraction(self.shortest_clock or self.clock_period))

    def at(self, clock: Fraction) -> DramStandard:
        """The standard at a command clock of `clock` ps: timings in clocks scale, timings in nanoseconds stay."""
        scale = clock / self.clock_period
        timings = {name: int(time * scale) if name in self.clocked else time for name, time in self.timings.items()}
        return self.model_copy(update={"clock_period": max(1, round(clock)), "timings": timings})

    def in_whole_clocks(self) -> DramStandard:
        """The standard with every timing rounded to whole clocks, as a controller programs it: up, unless it exceeds a
        whole number by less than 2.6 % of a clock (JEDEC JESD79-4, rounding algorithms)."""
        clock = self.clock_period
        timings = {name: (time * 1000 // clock + 974) // 1000 * clock for name, time in self.timings.items()}
        return self.model_copy(update={"timings": timings})

    def carrying(self, bandwidth: Fraction) -> DramStandard:
        """The standard at the clock at which one channel's peak is `bandwidth`, in bytes per second."""
        return self.at(self.clock_period * (self.burst * PS / bandwidth) / self.burst_time)

    @model_validator(mode="before")
    @classmethod
    def _resolve_clocks(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("timings"), dict):
            return raw
        period = parse_duration(raw.get("clock_period"))
        timings, clocked = {}, []
        for name, text in raw["timings"].items():
            clocks = amount(text, "nCK")
            if clocks is None or not clocks.is_integer():
                timings[name] = text
                continue
            timings[name] = f"{int(clocks) * period} ps"
            clocked.append(name)
        return {**raw, "timings": timings, "clocked": tuple(clocked)}

    @model_validator(mode="after")
    def _consistent(self) -> DramStandard:
        wanted = {"row", "rank", "bank_group", "bank", "channel", "column"}
        if set(self.fields) != wanted or len(self.fields) != len(wanted):
            raise ValueError(
                f"address_map {self.address_map!r} must name each of {', '.join(sorted(wanted))} once; correct it"
            )
        named = [row.latency for row in self.constraints] + [
            self.refresh.interval,
            self.refresh.duration,
            "tCL",
            "tCWL",
        ]
        unknown = {name.strip() for text in named for name in text.split("+")} - set(self.timings)
        if unknown:
            raise ValueError(f"timings lack {', '.join(sorted(unknown))}; add them to timings")
        self._check_clocks()
        self._check_commands()
        self._check_refresh()
        return self

    def _check_clocks(self) -> None:
        """Refuse clocks outside PERIODS, and a burst that takes no time."""
        low, high = (format_duration(period) for period in PERIODS)
        for name, period in (("clock_period", self.clock_period), ("shortest_clock", self.shortest_clock)):
            if period is not None and not PERIODS[0] <= period <= PERIODS[1]:
                raise ValueError(
                    f"{name} {format_duration(period)} is no command clock of a DRAM, which takes {low} to {high}; "
                    "correct it"
                )
        if self.shortest_clock is not None and self.shortest_clock > self.clock_period:
            raise ValueError(
                f"shortest_clock {format_duration(self.shortest_clock)} is longer than clock_period "
                f"{format_duration(self.clock_period)}; lower shortest_clock, or leave it out"
            )
        if self.burst_time < 1:
            raise ValueError("tBL and the wait from RD to RD of a rank are both 0, but a burst takes time; raise tBL")

    def _check_commands(self) -> None:
        """Refuse contradicting waits, such as a row that closes before it can be read."""
        self._ordered(("bank", "ACT", "RD", 1), ("bank", "ACT", "PRE", 1), "a row would close before it can be read")
        for row in self.constraints:
            if row.window > 1:
                one, all_ = (row.preceding, row.following, 1), (row.preceding, row.following, row.window)
                why = f"{row.window} such commands take longer than one"
                self._ordered(("rank", *one), (row.level, *all_), why)

    def _ordered(self, shorter: _Wait, longer: _Wait, why: str) -> None:
        """Refuse a `longer` wait below the `shorter` one; a wait that the table lacks is not checked."""
        low, high = self._row(shorter), self._row(longer)
        if low and high and self.latency(high) < self.latency(low):
            times = [format_duration(self.latency(name)) for name in (high, low)]
            raise ValueError(f"{high} {times[0]} is below {low} {times[1]}, but {why}; raise {high} or lower {low}")

    def _row(self, wait: _Wait) -> str | None:
        """The timings of the longest latency in the table for this wait."""
        level, preceding, following, window = wait
        found = [
            row.latency
            for row in self.constraints
            if (row.level, row.preceding, row.following, row.window) == (level, preceding, following, window)
        ]
        return max(found, key=self.latency, default=None)

    def _check_refresh(self) -> None:
        """Refuse refreshes between which no row can be opened and read."""
        interval, duration = self.latency(self.refresh.interval), self.latency(self.refresh.duration)
        cycle = self.delay("bank", "ACT", "PRE") + self.delay("bank", "PRE", "ACT")
        cycle = max(self.delay("bank", "ACT", "ACT"), cycle)
        if interval <= duration + cycle + self.burst_time:
            every, takes, row = (format_duration(time) for time in (interval, duration, cycle))
            raise ValueError(
                f"{self.refresh.interval} {every} leaves no time to open a row ({row}) between refreshes of "
                f"{self.refresh.duration} {takes}; raise {self.refresh.interval} or lower {self.refresh.duration}"
            )

"""What a DRAM standard is: the organisation of one channel, its timings and its constraint table.

The table follows the JEDEC habit as Ramulator writes it down: "after `preceding`, `following` must wait `latency` on
the same `level`"; with `window` n the wait counts from the n-th last such command (tFAW is `ACT -> ACT, rank, window
4`).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from hwmodels.record import Spec
from hwmodels.units import Bytes, Count, Duration, parse_duration

Command = Literal["ACT", "PRE", "RD", "WR"]
DramLevel = Literal["channel", "other_rank", "rank", "bank_group", "bank"]


class Constraint(Spec):
    """One row of the table: a minimum distance between two commands on one level."""

    level: DramLevel = Field(
        description="the commands meet on the same instance of this level; other_rank: on different ranks of a channel"
    )
    preceding: Command = Field(description="the earlier command")
    following: Command = Field(description="the command that has to wait")
    latency: str = Field(description="a timing name, or a sum of names such as 'tRAS + tRP'")
    window: Count = Field(default=1, description="count back this many preceding commands")


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
    title: str = Field(description="name as people say it")
    clock_period: Duration = Field(description="command clock; timings may be given as '14 nCK' of it")
    burst: Bytes = Field(description="bytes that one column command moves")
    ranks: Count = Field(description="ranks of a channel")
    bank_groups: Count = Field(description="bank groups of a rank")
    banks_per_group: Count = Field(description="banks of a bank group")
    row: Bytes = Field(description="bytes of one row of one bank (the page)")
    address_map: str = Field(
        description="fields from the top: row, rank, bank_group, bank, channel, column; the bytes of one "
        "interleave lie below them all"
    )
    timings: dict[str, Duration] = Field(description="named durations: tRCD, tRP, tRAS, tCL, tCCD_S, ...")
    constraints: list[Constraint] = Field(description="the table of minimum distances")
    refresh: Refresh = Field(description="how the channel is refreshed")

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
        """Picoseconds of one `command` on one instance of `level` in a steady stream: the table read as a server.

        A row `command -> command` with latency L and window w lets w commands pass in L.
        """
        rows = [row for row in self.constraints if row.level == level and row.preceding == row.following == command]
        return max((-(-self.latency(row.latency) // row.window) for row in rows), default=0)

    @model_validator(mode="before")
    @classmethod
    def _resolve_clocks(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or not isinstance(raw.get("timings"), dict):
            return raw
        period = parse_duration(raw.get("clock_period"))
        timings = {}
        for name, text in raw["timings"].items():
            number = text.removesuffix("nCK").strip() if isinstance(text, str) and text.endswith("nCK") else ""
            timings[name] = f"{int(number) * period} ps" if number.isdigit() else text
        return {**raw, "timings": timings}

    @model_validator(mode="after")
    def _consistent(self) -> DramStandard:
        wanted = {"row", "rank", "bank_group", "bank", "channel", "column"}
        if set(self.fields) != wanted or len(self.fields) != len(wanted):
            raise ValueError(f"address_map {self.address_map!r} must name each of {', '.join(sorted(wanted))} once")
        named = [row.latency for row in self.constraints] + [
            self.refresh.interval,
            self.refresh.duration,
            "tCL",
            "tCWL",
        ]
        unknown = {name.strip() for text in named for name in text.split("+")} - set(self.timings)
        if unknown:
            raise ValueError(f"timings lack {', '.join(sorted(unknown))}; add them to timings")
        return self

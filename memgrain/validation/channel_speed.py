"""The DRAM standard and the channel speed of a row of a cycle-level simulator."""

from __future__ import annotations

import re
from fractions import Fraction

from memgrain.hwmodels import DramStandard
from memgrain.validation.records import Record

STANDARDS = {
    "hbm2_8gb_x128_2gbps": "hbm2",
    "hbm2_8gb_x128": "hbm2",
    "hbm2_4gb_x128": "hbm2",
    "lpddr4_8gb_x16": "lpddr4",
    "ddr4_8gb_x8": "ddr4",
    "ddr4_8gb_x4": "ddr4_8gb_x4",
    "ddr4_8gb_x16": "ddr4_8gb_x16",
    "ddr4_4gb_x4": "ddr4_4gb_x4",
    "ddr4_4gb_x8": "ddr4_4gb_x8",
    "ddr4_4gb_x16": "ddr4_4gb_x16",
}
"""Shipped standards by the names of the other simulator's configurations, in lower case and without the speed."""
_SPEED = re.compile(r"^(?P<config>.+?)_(?P<speed>[0-9]{4,5})(?:_[0-9])?$")
"""Pattern of a configuration's name that ends with its data rate in MT/s, and optionally the number of a speed bin."""
SAME_SPEED = 0.03
"""Tolerated relative difference between two statements of one speed: clocks are published with two digits (0.63 ns for
0.625)."""


def known_standard(config: str) -> str | None:
    """The shipped standard of a configuration, independent of its speed."""
    name = config.lower()
    speed = _SPEED.match(name)
    return STANDARDS.get(name) or STANDARDS.get(speed["config"] if speed else "")


def at_speed(record: Record, config: str, standard: DramStandard) -> tuple[DramStandard, float]:
    """The standard at the speed that the row states, and the row's clock in ps.

    The speed follows from tck_ns, else from peak_gb_s, else from the data rate in the configuration's name, else from
    the standard's own clock. Timings in clocks scale; timings in ns are rounded up to clocks. Raises MemgrainError if
    the statements contradict one another, or the standard has no such speed.
    """
    period, peak, named = record.real("tck_ns"), record.real("peak_gb_s"), _SPEED.match(config.lower())
    for column, value in (("tck_ns", period), ("peak_gb_s", peak)):
        if value is not None and value <= 0:
            raise record.error(f"{column} is {value:g}, must be above 0; correct the cell")
    rate = 2e6 / int(named["speed"]) if named and known_standard(config) else None
    if period is not None:
        clock = period * 1000
    elif peak is not None:
        clock = standard.clock_period * standard.peak / (peak * 1e9)
    else:
        clock = rate or standard.clock_period
    if rate is not None and abs(clock / rate - 1) > SAME_SPEED:
        raise record.error(
            f"{config} has a clock of {rate / 1000:.4g} ns, the row has one of {clock / 1000:.4g} ns; correct tck_ns, "
            "peak_gb_s or dram"
        )
    found = standard.at(Fraction(clock))
    shortest = standard.shortest_clock or standard.clock_period
    if clock < shortest * (1 - SAME_SPEED):
        raise record.error(
            f"a clock of {clock / 1000:.4g} ns is faster than {standard.name} goes, {shortest / 1000:.4g} ns; name "
            "another standard"
        )
    if record.real("bandwidth_gb_s") is not None and peak is not None and abs(found.peak / 1e9 / peak - 1) > SAME_SPEED:
        raise record.error(
            f"peak_gb_s is {peak:g}, but a channel of {standard.name} with a clock of {clock / 1000:.4g} ns carries "
            f"{found.peak / 1e9:.4g}; correct peak_gb_s or tck_ns, or name another standard"
        )
    return found.in_whole_clocks(), clock

"""The metrics: each a function of a result, with its unit and a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from memgrain.sim.result import Result

Value = float | int | str | None
Better = Literal["less", "more", ""]
"""Which of two values of a metric is the better one; empty where neither is."""


@dataclass(frozen=True)
class Metric:
    """A figure made of a result's counters and times."""

    name: str
    """Its column."""
    unit: str
    """Its unit; empty for a ratio, 'name' for a text."""
    sentence: str
    """What it is."""
    function: Callable[[Result], Value]
    """How it is made."""
    better: Better
    """Whether less of it is better, or more."""


METRICS: dict[str, Metric] = {}


def metric(
    unit: str, sentence: str, better: Better = ""
) -> Callable[[Callable[[Result], Value]], Callable[[Result], Value]]:
    """Enter the decorated function into METRICS under its own name."""

    def enter(function: Callable[[Result], Value]) -> Callable[[Result], Value]:
        METRICS[function.__name__] = Metric(function.__name__, unit, sentence, function, better)
        return function

    return enter


@metric("us", "Simulated time of the kernel, launch included.", "less")
def time_us(result: Result) -> Value:
    return result.time / 1e6


@metric("B", "Bytes read from DRAM.", "less")
def dram_read_bytes(result: Result) -> Value:
    return result.counters[f"{result.dram}.read_bytes"]


@metric("B", "Bytes that the last cache read for the first time; none without one that all cores share.")
def first_read_bytes(result: Result) -> Value:
    return result.counters.get(f"{result.cache}.first_bytes")


@metric("B", "Bytes that the last cache read again, having lost them; none without one that all cores share.", "less")
def repeated_read_bytes(result: Result) -> Value:
    return result.counters.get(f"{result.cache}.repeated_bytes")


@metric("B", "Bytes written to DRAM while the kernel ran.", "less")
def dram_write_bytes(result: Result) -> Value:
    return result.counters[f"{result.dram}.write_bytes"]


@metric("", "Share of read requests that the last cache answered; none without a cache.", "more")
def l2_hit_rate(result: Result) -> Value:
    if result.cache is None:
        return None
    hits, misses = result.counters[f"{result.cache}.hits"], result.counters[f"{result.cache}.misses"]
    return hits / (hits + misses) if hits + misses else None


@metric(
    "", "Share of sector lookups that hit, over all partitions, as GPU counters give it; none without a cache.", "more"
)
def l2_sector_hit_rate(result: Result) -> Value:
    if result.cache is None or not result.counters[f"{result.cache}.sector_lookups"]:
        return None
    return result.counters[f"{result.cache}.sector_hits"] / result.counters[f"{result.cache}.sector_lookups"]


@metric("B", "Distinct bytes of queries, keys and values that the algorithm needs.")
def useful_bytes(result: Result) -> Value:
    return result.useful_bytes


@metric("", "Bytes read from DRAM for each useful byte.", "less")
def amplification(result: Result) -> Value:
    return result.counters[f"{result.dram}.read_bytes"] / result.useful_bytes if result.useful_bytes else None


@metric("name", "What sets the lower bound of the time: a level, or a unit.")
def bound(result: Result) -> Value:
    return result.bounds.name


@metric("us", "Lower bound of the time: the roofline over all levels and units.", "less")
def bound_time_us(result: Result) -> Value:
    return result.bounds.time / 1e6


@metric("", "The lower bound as a share of the time: 1 is as fast as can be.", "more")
def bound_share(result: Result) -> Value:
    return result.bounds.time / result.time if result.time else None


@metric("GB/s", "Useful bytes per second.", "more")
def effective_bandwidth_gb_s(result: Result) -> Value:
    return result.useful_bytes / result.time * 1e3 if result.time else None


@metric("", "Useful bytes per second as a share of the DRAM's peak.", "more")
def effective_bandwidth_share(result: Result) -> Value:
    return result.useful_bytes * 1e12 / (result.time * result.dram_bandwidth) if result.time else None


@metric("GB/s", "Bytes read from DRAM per second.")
def dram_bandwidth_gb_s(result: Result) -> Value:
    return result.counters[f"{result.dram}.read_bytes"] / result.time * 1e3 if result.time else None


@metric("", "Share of DRAM accesses that found their row open or pending.", "more")
def dram_row_hit_rate(result: Result) -> Value:
    accesses = result.counters[f"{result.dram}.accesses"]
    return result.counters[f"{result.dram}.row_hits"] / accesses if accesses else None


@metric("TFLOP/s", "Useful floating-point operations per second (two a multiply-accumulate, no padding).", "more")
def tflop_s(result: Result) -> Value:
    return 2 * result.macs / result.time if result.time else None


@metric("", "Multiply-accumulates issued for each useful one: padding of tiles, rows and head dimensions.", "less")
def padding(result: Result) -> Value:
    return result.counters["core.issued_macs"] / result.macs if result.macs else None


@metric("name", "The resource that needs most time for this design's requests: DMA commands, a level, a unit.")
def limit(result: Result) -> Value:
    return max(result.limits, key=lambda name: result.limits[name], default=None)


@metric(
    "us", "Time that the limit needs: the design's own roofline, with its bytes, commands, instructions and padding."
)
def limit_time_us(result: Result) -> Value:
    return max(result.limits.values(), default=0) / 1e6


@metric("", "The limit's time as a share of the time.")
def limit_share(result: Result) -> Value:
    return max(result.limits.values(), default=0) / result.time if result.time else None


@metric("B", "Bytes of loads under way at a time, the mean over the kernel, on all cores.")
def bytes_in_flight(result: Result) -> Value:
    return result.counters["core.flight_byte_ns"] * 1000 // result.time if result.time else None


@metric("", "DMA commands for the tensors of the kernel; none where cores load without DMA.", "less")
def dma_commands(result: Result) -> Value:
    return _summed(result, ".commands")


@metric("", "DMA commands that would do for the same tiles, if the rows of each load lay at one regular distance.")
def fewest_dma_commands(result: Result) -> Value:
    return _summed(result, ".fewest_commands")


def _summed(result: Result, ending: str) -> int | None:
    """Sum of the counters of a tensor (LEVEL.TENSOR.NAME) with that ending; None where there are none."""
    found = [value for name, value in result.counters.items() if name.endswith(ending) and name.count(".") == 2]
    return sum(found) if found else None


@metric("name", "The cause that would give most time back, were it gone; 'memgrain explain' says what it is.")
def bottleneck(result: Result) -> Value:
    return next(iter(result.causes), None)


@metric("name", "What the bottleneck comes from, and what to change.")
def advice(result: Result) -> Value:
    return next((f"{name}: {cause}" for name, cause in result.causes.items()), None)

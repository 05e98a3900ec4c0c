"""The metrics: each a function of a result, with its unit and a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.result import Result

Value = float | int | str | None


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


METRICS: dict[str, Metric] = {}


def metric(unit: str, sentence: str) -> Callable[[Callable[[Result], Value]], Callable[[Result], Value]]:
    """Enter the decorated function into METRICS under its own name."""

    def enter(function: Callable[[Result], Value]) -> Callable[[Result], Value]:
        METRICS[function.__name__] = Metric(function.__name__, unit, sentence, function)
        return function

    return enter


@metric("us", "Simulated time of the kernel, launch included.")
def time_us(result: Result) -> Value:
    return result.time / 1e6


@metric("B", "Bytes read from DRAM.")
def dram_read_bytes(result: Result) -> Value:
    return result.counters[f"{result.dram}.read_bytes"]


@metric("B", "Bytes that the last cache read for the first time; none without one that all cores share.")
def first_read_bytes(result: Result) -> Value:
    return result.counters.get(f"{result.cache}.first_bytes")


@metric("B", "Bytes that the last cache read again, having lost them; none without one that all cores share.")
def repeated_read_bytes(result: Result) -> Value:
    return result.counters.get(f"{result.cache}.repeated_bytes")


@metric("B", "Bytes written to DRAM while the kernel ran.")
def dram_write_bytes(result: Result) -> Value:
    return result.counters[f"{result.dram}.write_bytes"]


@metric("", "Share of read requests that the last cache answered; none without a cache.")
def l2_hit_rate(result: Result) -> Value:
    if result.cache is None:
        return None
    hits, misses = result.counters[f"{result.cache}.hits"], result.counters[f"{result.cache}.misses"]
    return hits / (hits + misses) if hits + misses else None


@metric("", "Share of sector lookups that hit, over all partitions, as GPU counters give it; none without a cache.")
def l2_sector_hit_rate(result: Result) -> Value:
    if result.cache is None or not result.counters[f"{result.cache}.sector_lookups"]:
        return None
    return result.counters[f"{result.cache}.sector_hits"] / result.counters[f"{result.cache}.sector_lookups"]


@metric("B", "Distinct bytes of queries, keys and values that the algorithm needs.")
def useful_bytes(result: Result) -> Value:
    return result.useful_bytes


@metric("", "Bytes read from DRAM for each useful byte.")
def amplification(result: Result) -> Value:
    return result.counters[f"{result.dram}.read_bytes"] / result.useful_bytes if result.useful_bytes else None


@metric("name", "What sets the lower bound of the time: a level, or a unit.")
def bound(result: Result) -> Value:
    return result.bounds.name


@metric("us", "Lower bound of the time: the roofline over all levels and units.")
def bound_time_us(result: Result) -> Value:
    return result.bounds.time / 1e6


@metric("", "The lower bound as a share of the time: 1 is as fast as can be.")
def bound_share(result: Result) -> Value:
    return result.bounds.time / result.time if result.time else None


@metric("GB/s", "Useful bytes per second.")
def effective_bandwidth_gb_s(result: Result) -> Value:
    return result.useful_bytes / result.time * 1e3 if result.time else None


@metric("", "Useful bytes per second as a share of the DRAM's peak.")
def effective_bandwidth_share(result: Result) -> Value:
    return result.useful_bytes * 1e12 / (result.time * result.dram_bandwidth) if result.time else None


@metric("GB/s", "Bytes read from DRAM per second.")
def dram_bandwidth_gb_s(result: Result) -> Value:
    return result.counters[f"{result.dram}.read_bytes"] / result.time * 1e3 if result.time else None


@metric("", "Share of DRAM accesses that found their row open or pending.")
def dram_row_hit_rate(result: Result) -> Value:
    accesses = result.counters[f"{result.dram}.accesses"]
    return result.counters[f"{result.dram}.row_hits"] / accesses if accesses else None


@metric("TFLOP/s", "Useful floating-point operations per second (two a multiply-accumulate, no padding).")
def tflop_s(result: Result) -> Value:
    return 2 * result.macs / result.time if result.time else None


@metric("", "Multiply-accumulates executed for each useful one: what padding costs.")
def padding(result: Result) -> Value:
    return result.counters["core.macs"] / result.macs if result.macs else None


@metric("name", "What the time went to most, launch and idle places aside.")
def bottleneck(result: Result) -> Value:
    parts = {name: time for name, time in result.breakdown.items() if name not in ("launch", "idle", "start")}
    return max(parts, key=lambda name: parts[name]) if parts else None

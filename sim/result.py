"""What happened: the time, integer counters that add, where the time went, and the bounds beside it."""

from __future__ import annotations

import html
from dataclasses import dataclass

from sim.bounds import Bounds
from sim.core import Interval
from sim.metrics import METRICS, Value
from sim.version import MODEL_VERSION


@dataclass(frozen=True)
class Result:
    """One trace on one chip."""

    chip: str
    """Name of the chip."""
    workload: str
    """Name of the trace."""
    time: int
    """Simulated time in ps, launch included."""
    counters: dict[str, int]
    """Counts by dotted name: `l2.hits`, `l2.K.misses`, `hbm.read_bytes`, `core.macs`."""
    breakdown: dict[str, int]
    """Where the time went, in ps, averaged over the places for programs: launch, units, stalls by cause, idle. Sums
    to `time`."""
    bounds: Bounds
    """Lower bounds of the time."""
    useful_bytes: int
    """Distinct bytes of queries, keys and values that the algorithm needs."""
    macs: int
    """Multiply-accumulates that the algorithm needs."""
    dram: str
    """Name of the DRAM level: prefix of its counters."""
    dram_bandwidth: int
    """Peak of the DRAM in bytes per second."""
    cache: str | None
    """Name of the last cache before the DRAM, if there is one."""
    intervals: tuple[Interval, ...] | None = None
    """What each program did when, if asked for."""

    def row(self) -> dict[str, Value]:
        """Metrics, model version, bounds, breakdown and counters, flat: a row of a sweep."""
        return {
            "chip": self.chip,
            "workload": self.workload,
            **{name: metric.function(self) for name, metric in METRICS.items()},
            "model_version": MODEL_VERSION,
            **{f"bound.{name}_us": time / 1e6 for name, time in self.bounds.items.items()},
            **{f"time.{name}_us": time / 1e6 for name, time in self.breakdown.items()},
            **self.counters,
        }

    def metrics(self) -> dict[str, Value]:
        """All metrics by name."""
        return {name: metric.function(self) for name, metric in METRICS.items()}

    def lines(self) -> list[tuple[str, str, str]]:
        """Name, value with unit, and explanation of each metric, as people read it."""
        found = []
        for name, metric in METRICS.items():
            value = metric.function(self)
            unit = "" if metric.unit == "name" else f" {metric.unit}"
            text = (
                "none"
                if value is None
                else value
                if isinstance(value, str)
                else f"{value:,.4g}{unit}"
                if isinstance(value, float)
                else f"{value:,}{unit}"
            )
            found.append((name, text.rstrip(), metric.sentence))
        return found

    def table(self) -> str:
        """The metrics and the breakdown as text."""
        rows = [f"{self.workload} on {self.chip}", ""]
        rows += [f"  {name:<26} {text:>20}" for name, text, _ in self.lines()]
        rows += ["", "  where the time went"]
        rows += [
            f"  {name:<26} {time / 1e6:>17,.3f} us {100 * time / self.time:6.1f} %"
            for name, time in self.breakdown.items()
        ]
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        def cell(text: str) -> str:
            return f"<td style='text-align:right'>{html.escape(text)}</td>"

        metrics = "".join(
            f"<tr><td title='{html.escape(sentence)}'>{html.escape(name)}</td>{cell(text)}</tr>"
            for name, text, sentence in self.lines()
        )
        bar = "<td><div style='background:#4477aa;height:0.8em;width:{}px'></div></td>"
        parts = "".join(
            f"<tr><td>{html.escape(name)}</td>{cell(f'{time / 1e6:,.3f} us')}"
            f"{bar.format(round(120 * time / self.time))}</tr>"
            for name, time in self.breakdown.items()
        )
        return (
            f"<div><b>{html.escape(self.workload)}</b> on <b>{html.escape(self.chip)}</b>"
            f"<div style='display:flex;gap:2em;align-items:flex-start'><table>{metrics}</table>"
            f"<table><caption>where the time went</caption>{parts}</table></div></div>"
        )

"""The result of a run: the time, integer counters that add, where the time went, and bounds."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from memgrain.sim.breakdown.bounds import Bounds
from memgrain.sim.breakdown.causes import Cause, causes_together
from memgrain.sim.engine_protocol import Activity
from memgrain.sim.metrics import METRICS, Value
from memgrain.sim.version import MODEL_VERSION


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
    """Counts by dotted name: `l2.hits`, `l2.K.misses`, `hbm.read_bytes`; `core.macs` are those that the algorithm
    needs, `core.issued_macs` those executed, padding by kernel and chip included."""
    breakdown: dict[str, int]
    """Where the time went, in ps, averaged over the slots for programs: launch, units, stalls by cause, idle. Sums
    to `time`."""
    bounds: Bounds
    """Lower bounds of the time: what no implementation can beat on the chip."""
    limits: dict[str, int]
    """Time that each resource needs for this design's requests, in ps: see `memgrain.sim.breakdown.limits`."""
    causes: dict[str, Cause]
    """Causes of the time, each with its facts and the change that would reduce it, from the largest gain on: see
    `memgrain.sim.breakdown.causes`."""
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
    intervals: tuple[Activity, ...] | None = None
    """The activities of all programs, if they were recorded."""
    kernels: tuple[Result, ...] = ()
    """The kernels of a sequence in order, if it is one."""

    def row(self) -> dict[str, Value]:
        """Metrics, model version, bounds, breakdown and counters, flat: a row of a sweep."""
        return {
            "chip": self.chip,
            "workload": self.workload,
            **{name: metric.function(self) for name, metric in METRICS.items()},
            "model_version": MODEL_VERSION,
            **{f"bound.{name}_us": time / 1e6 for name, time in self.bounds.items.items()},
            **{f"limit.{name}_us": time / 1e6 for name, time in self.limits.items()},
            **{f"time.{name}_us": time / 1e6 for name, time in self.breakdown.items()},
            **self._kernel_times(),
            **self.counters,
        }

    def _kernel_times(self) -> dict[str, Value]:
        """Times of the kernels of a sequence by name; kernels of one name together."""
        sums = Counter[str]()
        for kernel in self.kernels:
            sums[f"kernel.{kernel.workload}_us"] += kernel.time
        return {name: time / 1e6 for name, time in sums.items()}

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
        texts = {name: text for name, text, _ in self.lines()}
        rows = [f"{self.workload} on {self.chip}", texts.pop("advice"), ""]
        rows += [f"  {name:<26} {text:>20}" for name, text in texts.items()]
        rows += ["", "  where the time went"]
        rows += [
            f"  {name:<26} {time / 1e6:>17,.3f} us {100 * time / self.time:6.1f} %"
            for name, time in self.breakdown.items()
        ]
        rows += ["", "  kernels"] if self.kernels else []
        rows += [
            f"  {kernel.workload:<26} {kernel.time / 1e6:>17,.3f} us {100 * kernel.time / self.time:6.1f} %"
            for kernel in self.kernels
        ]
        return "\n".join(rows)

    def _repr_html_(self) -> str:
        def cell(text: str) -> str:
            return f"<td style='text-align:right'>{html.escape(text)}</td>"

        metrics = "".join(
            f"<tr><td title='{html.escape(sentence)}'>{html.escape(name)}</td>{cell(text)}</tr>"
            for name, text, sentence in self.lines()
            if name != "advice"
        )
        advice = html.escape(str(self.metrics()["advice"]))
        bar = "<td><div style='background:#4477aa;height:0.8em;width:{}px'></div></td>"
        parts = "".join(
            f"<tr><td>{html.escape(name)}</td>{cell(f'{time / 1e6:,.3f} us')}"
            f"{bar.format(round(120 * time / self.time))}</tr>"
            for name, time in self.breakdown.items()
        )
        return (
            f"<div><b>{html.escape(self.workload)}</b> on <b>{html.escape(self.chip)}</b><p>{advice}</p>"
            f"<div style='display:flex;gap:2em;align-items:flex-start'><table>{metrics}</table>"
            f"<table><caption>where the time went</caption>{parts}</table></div></div>"
        )


def together(name: str, kernels: Sequence[Result]) -> Result:
    """The results of a sequence as one: times, counters, breakdowns and bounds add. Resident programs and the bound of
    the launch are the largest of any kernel, since one kernel may do all."""
    first, counters, breakdown = kernels[0], Counter[str](), Counter[str]()
    items, limits, intervals, begin = Counter[str](), Counter[str](), [], 0
    for kernel in kernels:
        counters.update(kernel.counters)
        breakdown.update(kernel.breakdown)
        items.update(kernel.bounds.items)
        limits.update(kernel.limits)
        intervals += [replace(i, start=i.start + begin, end=i.end + begin) for i in kernel.intervals or ()]
        begin += kernel.time
    if "launch" in items:
        items["launch"] = max(kernel.bounds.items["launch"] for kernel in kernels)
    counters["core.resident"] = max(kernel.counters["core.resident"] for kernel in kernels)
    return replace(
        first,
        workload=name,
        time=begin,
        counters=dict(counters),
        breakdown=dict(breakdown),
        bounds=Bounds(dict(items), sum(kernel.bounds.compulsory_bytes for kernel in kernels)),
        limits=dict(limits),
        causes=causes_together([(kernel.workload, kernel.causes) for kernel in kernels]),
        useful_bytes=sum(kernel.useful_bytes for kernel in kernels),
        macs=sum(kernel.macs for kernel in kernels),
        intervals=tuple(intervals) if first.intervals is not None else None,
        kernels=tuple(kernels),
    )

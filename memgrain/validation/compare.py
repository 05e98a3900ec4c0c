"""Comparison of predictions with measurements: errors by family and overall, and rank agreement over head
dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

TOUCHED = 0.1
"""Smallest base of relative errors of DRAM bytes, as a fraction of the useful bytes: a kernel that hits the cache reads
almost nothing, and a ratio to that is meaningless."""
Summary = dict[str, float | int | None]


def with_errors(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the columns *_error: relative errors (time, DRAM bytes, roofline) or a difference (L2 hit rate)."""
    out = frame.copy()
    time = out["kernel_time_us"]
    out["time_error"] = out["predicted_time_us"] / time - 1
    out["time_dirty_error"] = out["predicted_time_dirty_us"] / out["kernel_time_dirty_us"] - 1
    out["roofline_error"] = out["roofline_time_us"] / time - 1
    base = np.maximum(out["dram_read_bytes"], TOUCHED * out["useful_bytes"])
    out["dram_bytes_error"] = (out["predicted_dram_read_bytes"] - out["dram_read_bytes"]) / base
    measured = out["l2_read_hit_sectors_32b"] / out["l2_read_sectors_32b"]
    predicted = out["predicted_l2_read_hit_sectors_32b"] / out["predicted_l2_read_sectors_32b"]
    out["l2_hit_rate_error"] = predicted - measured
    return out


def summarise(frame: pd.DataFrame) -> Summary:
    """The figures of a report over rows from `with_errors`; None if nothing could be compared."""
    time, dram = frame["time_error"].abs(), frame["dram_bytes_error"].abs()
    efficiency = frame["roofline_time_us"]
    figures = {
        "time_mape": time.mean(),
        "time_median": time.median(),
        "time_p90": time.quantile(0.9),
        "time_worst": time.max(),
        "time_bias": frame["time_error"].mean(),
        "time_spread": frame["time_error"].std(),
        "time_dirty_mape": frame["time_dirty_error"].abs().mean(),
        "dram_bytes_median_error": dram.median(),
        "dram_bytes_mean_error": dram.mean(),
        "l2_hit_rate_mae": frame["l2_hit_rate_error"].abs().mean(),
        "kendall_tau": _tau(frame, frame["kernel_time_us"], frame["predicted_time_us"]),
        "kendall_tau_efficiency": _tau(
            frame, efficiency / frame["kernel_time_us"], efficiency / frame["predicted_time_us"]
        ),
        "roofline_time_mape": frame["roofline_error"].abs().mean(),
    }
    return {"rows": len(frame)} | {
        name: float(value) if math.isfinite(value) else None for name, value in figures.items()
    }


def report(frame: pd.DataFrame) -> dict[str, Any]:
    """The content of `--json`: figures of every family and of all rows, and errors of time by pattern and head
    dimension."""
    cells = breakdown(frame)
    plain = cells.astype(object).where(cells.notna(), None)
    return {
        "families": {str(name): summarise(rows) for name, rows in frame.groupby("family", sort=False)},
        "overall": summarise(frame),
        "head_dims": plain.to_dict("records") if frame["head_dim"].notna().any() else [],
    }


def breakdown(frame: pd.DataFrame) -> pd.DataFrame:
    """Errors of time by kernel, pattern and head dimension: rows, bias (mean), spread (standard deviation) and worst,
    as signed fractions. Only rows with a head dimension count."""
    known = frame.dropna(subset=["time_error", "head_dim"])
    found = known.groupby(["family", "kernel", "pattern", "head_dim"], sort=True)["time_error"].agg(
        rows="size", time_bias="mean", time_spread="std", time_worst=lambda errors: max(errors, key=abs, default=None)
    )
    return found.reset_index().astype({"head_dim": int, "rows": int})


def kendall_tau(pairs: Iterator[tuple[float, float]]) -> float:
    """Kendall's tau of pairs of differences: (pairs of equal sign - pairs of unequal sign) ÷ all pairs; ties count
    0."""
    agreed = total = 0.0
    for first, second in pairs:
        agreed += math.copysign(1.0, first * second) if first * second else 0.0
        total += 1
    return agreed / total if total else math.nan


def _tau(frame: pd.DataFrame, measured: pd.Series[Any], predicted: pd.Series[Any]) -> float:
    """Kendall's tau over all pairs of rows that differ only in the head dimension."""
    known = frame.assign(measured=measured, predicted=predicted).dropna(subset=["measured", "predicted", "head_dim"])
    return kendall_tau(
        (float(a[1]) - float(b[1]), float(a[2]) - float(b[2]))
        for _, rows in known.groupby("alike")
        for a, b in itertools.combinations(rows[["head_dim", "measured", "predicted"]].to_numpy().tolist(), 2)
        if a[0] != b[0]
    )

"""Labels of keys, values and metrics, with units, for axes, tables and verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from memgrain.errors import MemgrainError
from memgrain.inputs.spelling import suggest
from memgrain.runs.overrides import CHIP
from memgrain.sim import METRICS
from memgrain.sim.metrics import Better

SHARE = "effective_bandwidth_share"
"""The metric of a sweep's figures unless another is named: useful bytes ÷ time, as a share of the DRAM's peak."""
_IN_WORDS = {
    SHARE: "effective bandwidth (% of DRAM peak)",
    "bound_share": "lower bound ÷ time (%)",
    "dram_row_hit_rate": "DRAM row hits (%)",
    "l2_hit_rate": "hits in the last cache (%)",
    "l2_sector_hit_rate": "sector hits in the last cache (%)",
    "amplification": "DRAM bytes read per useful byte",
    "time_us": "time (µs)",
    "dram_read_bytes": "bytes read from DRAM",
    "dram_write_bytes": "bytes written to DRAM",
}

_NAMES = {
    "shape.head_dim": ("head dimension", "elements"),
    "shape.kv_len": ("context", "tokens"),
    "shape.q_len": ("query length", "tokens"),
    "shape.batch": ("batch", "sequences"),
    "shape.q_heads": ("query heads", ""),
    "shape.kv_heads": ("key/value heads", ""),
    "selection.ratio": ("tokens selected", "%"),
    "tiling.block_kv": ("tile", "tokens"),
    "chip": ("chip", ""),
    "chip_title": ("chip", ""),
}


def key_label(key: str) -> str:
    """A swept key as the label of an axis, with its unit."""
    name, unit = _NAMES.get(key, (key.removeprefix(CHIP), ""))
    return f"{name} ({unit})" if unit else name


def key_name(key: str) -> str:
    """A swept key without its unit."""
    return _NAMES.get(key, (key.removeprefix(CHIP), ""))[0]


def value_text(key: str, value: Any) -> str:
    """A value of a swept key as a tick: ratios in per cent, powers of two as 128K and 1M; None as none."""
    if key == "selection.ratio" and isinstance(value, Real):
        return f"{float(value) * 100:g}"
    if isinstance(value, Real) and not isinstance(value, bool) and float(value).is_integer():
        number = int(float(value))
        for scale, suffix in ((2**20, "M"), (2**10, "K")):
            if number >= 8 * 2**10 and number % scale == 0:
                return f"{number // scale}{suffix}"
        return str(number)
    if isinstance(value, Real) and not isinstance(value, bool):
        return f"{float(value):g}"
    return "none" if value is None else str(value)


def words(key: str, value: Any) -> str:
    """A value of a key as a person reads it; of a mapping, its values."""
    if isinstance(value, Mapping):
        return " ".join(words(f"{key}.{name}", item) for name, item in value.items())
    return value_text(key, value)


def setting(key: str, value: Any) -> str:
    """A key and its value in words: 'context 1M tokens', 'l2.ways 32'."""
    unit = _NAMES.get(key, ("", ""))[1]
    return f"{key_name(key)} {value_text(key, value)} {unit}".rstrip()


def scale(metric: str) -> float:
    """Factor from a metric to its label's unit: shares and rates are shown in per cent."""
    return 100.0 if metric in METRICS and not METRICS[metric].unit and metric.endswith(("_share", "_rate")) else 1.0


def metric_label(metric: str) -> str:
    """A metric or a counter as the label of an axis, with its unit."""
    if metric in _IN_WORDS:
        return _IN_WORDS[metric]
    if metric in METRICS:
        unit = "%" if scale(metric) > 1 else METRICS[metric].unit.replace("us", "µs")
        return f"{metric.replace('_', ' ')} ({unit})" if unit else metric.replace("_", " ")
    for suffix, unit in (("_us", "µs"), ("bytes", "bytes")):
        if metric.endswith(suffix):
            return f"{metric.removesuffix(suffix).rstrip('._')} ({unit})"
    return metric


_COSTS = (".misses", ".evictions", ".activates", ".row_conflicts", "_bytes", "_us", "_ps", "_j")
"""Ends of counters and times of which less is better, whatever they count."""


def better(metric: str) -> Better:
    """Whether less of a metric or a counter is better, or more; empty where neither is, as for needed bytes."""
    if metric in METRICS:
        return METRICS[metric].better
    return "less" if metric.startswith("stall.") or metric.endswith(_COSTS) else ""


def directed_label(metric: str) -> str:
    """A metric as the label of an axis, with its unit and which way is better."""
    way = better(metric)
    return f"{metric_label(metric)}, {way} is better" if way else metric_label(metric)


def check_metric(metric: str, columns: Iterable[str]) -> None:
    """Raise MemgrainError if rows with these columns do not hold the metric."""
    known = [*map(str, columns)]
    if metric not in known:
        raise MemgrainError(
            f"no metric '{metric}' in these rows{suggest(metric, known)}; known: "
            f"{', '.join(name for name in METRICS if name in known)}, and every counter by its dotted name"
        )

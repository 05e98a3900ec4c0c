"""The verdict on rows of one chip: the best value of each swept key by a metric, its margin, whether the margin exceeds
the model's error, and whether a head dimension of 96 is good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from memgrain.runs.intervals import HIGH, LOW
from memgrain.runs.labels import SHARE, better, key_name, metric_label, words
from memgrain.runs.pivot import ARTICLE_HEAD_DIM, HEAD_DIM, comparable, series, table_of, varying
from memgrain.runs.quantities import numbers
from memgrain.sim import METRICS

FLAT = 0.01
"""Values within this relative difference count as equal."""
DIP = 0.03
"""Relative distance from the line between its neighbours above which 96 counts as off the trend."""
PRESENT = 0.5
"""Fraction of the points at which a value must have a row to be compared with others."""
RATIO = "selection.ratio"
ASKING = ("shape.kv_len", "shape.q_len", "shape.batch", RATIO)
"""Keys that define the problem rather than its implementation; no value of theirs is called best."""
SUBJECT, BOUND = "validated_subject", "measured_over_predicted_low"
"""Columns with the subject of a prediction and the lower end of its error; see `memgrain.runs.validated`."""
SAMPLED = 32
"""Number of points at which errors of ratios are evaluated; those of one sweep differ little."""
TIMED = ("_us", "_gb_s", "tflop_s", "bound_share", SHARE)
"""Suffixes of metrics that depend on simulated time, whose error is validated."""


@dataclass(frozen=True)
class Error:
    """The error of a metric, as far as it is known."""

    size: float | None
    """Relative error; None if the rows have none."""
    words: str
    """Description as part of a sentence; empty for a metric without an error."""


@dataclass(frozen=True)
class Standing:
    """The values of one key compared at points where all other keys are equal."""

    key: str
    """The key."""
    values: list[Any]
    """The compared values in the order of an axis, at least two."""
    scores: NDArray[np.float64]
    """Score of each value: the geometric mean of the metric over the points, or the arithmetic mean if it is not always
    positive."""
    cells: NDArray[np.float64]
    """The metric: [value, point]."""
    omitted: list[Any]
    """Values with rows at too few points."""
    all_points: int
    """Number of points at which any value has a row."""

    @property
    def points(self) -> int:
        """Number of points at which all values have a row."""
        return int(self.cells.shape[1])

    def text(self, index: int) -> str:
        """A value in words."""
        return words(self.key, self.values[index]) + (" %" if self.key == RATIO else "")


def verdict(frame: pd.DataFrame, metric: str = SHARE, keys: list[str] | None = None) -> str:
    """The verdict on the rows of one chip: one line for each of `keys`, or for each key that varies, the head dimension
    first. It is empty if the rows do not allow a comparison.

    Values of a key are compared at the points (combinations of the other keys) at which all of them have a row. Raises
    MemgrainError if the rows lack the metric.
    """
    vary = varying(frame)
    lines, noted = [], False
    for key in sorted(keys or vary, key=lambda name: name != HEAD_DIM):
        others = [other for other in vary if other != key]
        found = standing(frame, metric, key, others)
        if found is None:
            continue
        error = error_in(frame, metric, others)
        if error.size is None and noted:
            error = Error(None, "")
        noted = noted or error.size is None
        lines.append(_best(found, metric, error))
        if key == HEAD_DIM and ARTICLE_HEAD_DIM in found.values and better(metric):
            lines.append(_article_line(found, metric, error, frame))
    return "\n".join(lines)


def error_in(frame: pd.DataFrame, metric: str, others: list[str]) -> Error:
    """The relative error of a difference in a metric between values of a key; `others` are the other keys that vary. It
    is half the width of the rows' intervals if there are any, else the validated error of a ratio of simulated
    times."""
    if {LOW, HIGH} <= set(frame.columns) and frame[LOW].notna().any():
        half = (frame[HIGH] - frame[LOW]).abs() / 2 / pd.to_numeric(frame[metric], errors="coerce").abs()
        size = float(half.replace(np.inf, np.nan).median())
        return Error(size, f"half the interval from 5 to 95 %, ± {size:.1%}")
    if metric not in METRICS and not metric.endswith("_us"):
        return Error(None, "")
    if metric.startswith(("bound_time", "limit_time")) or not metric.endswith(TIMED):
        return Error(None, "")
    ratio = _of_ratios(frame, others)
    if ratio is None:
        return Error(None, "the model's error here is not known")
    return Error(ratio, f"the model's error of a ratio, ± {ratio:.1%}")


def _of_ratios(frame: pd.DataFrame, others: list[str]) -> float | None:
    """The median error of the ratio over all pairs of rows that agree in `others`; None if the rows have no subject, or
    their times have no bounded error."""
    from memgrain.runs.validated import HIGH as LEVEL
    from memgrain.runs.validated import from_text, law

    if SUBJECT not in frame or frame[[SUBJECT, BOUND]].isna().any(axis=None):
        return None
    alike = frame.groupby([frame[other].astype(str) for other in others]) if others else [("", frame)]
    found = []
    for _, rows in list(alike)[:SAMPLED]:
        subjects = [from_text(text) for text in rows[SUBJECT]]
        found.append(law().joint(subjects).ratios(LEVEL)[np.triu_indices(len(subjects), 1)])
    pairs = np.concatenate(found)
    return float(np.expm1(np.median(pairs))) if len(pairs) else None


def standing(frame: pd.DataFrame, metric: str, key: str, others: list[str]) -> Standing | None:
    """Compare the values of a key; None if fewer than two can be compared at any point."""
    data = pd.DataFrame({"key": comparable(frame, key), "value": series(frame, metric)})
    columns = [comparable(frame, other).map(lambda value, name=other: words(name, value)) for other in others]
    data["point"] = list(map(" ".join, zip(*columns, strict=True))) if columns else ""
    data = data[np.isfinite(data["value"])].dropna(subset=["key"])
    if data.duplicated(["key", "point"]).any():
        return None
    table = table_of(data, "key", "point")
    kept = table[table.notna().sum(axis="columns") >= PRESENT * table.shape[1]]
    whole = kept.dropna(axis="columns")
    if len(whole) < 2 or not whole.shape[1]:
        return None
    cells = whole.to_numpy(float)
    scores = np.exp(np.log(cells).mean(axis=1)) if (cells > 0).all() else cells.mean(axis=1)
    omitted = [value for value in table.index if value not in whole.index]
    return Standing(key, list(whole.index), scores, cells, omitted, table.shape[1])


def _best(found: Standing, metric: str, error: Error) -> str:
    """The line on the best value, the distance of the others, and whether it exceeds the error."""
    name, direction, what = key_name(found.key), better(metric), _short(metric)
    low, high = int(np.argmin(found.scores)), int(np.argmax(found.scores))
    apart = _beyond(found.scores[low], found.scores[high])
    ends = f"{found.scores[low]:.4g} at {found.text(low)} to {found.scores[high]:.4g} at {found.text(high)}"
    judged = bool(direction) and found.key not in ASKING
    head = f"Best {name} by {what}: none, " if judged else f"{_sentence(what)} by {name}: "
    if apart <= FLAT:
        flat = "the same" if apart == 0 else f"flat within {_percent(apart)}"
        return f"{head}{flat} from {found.text(0)} to {found.text(len(found.values) - 1)}; {_over(found)}"
    if not judged:
        return f"{head}{ends}; {_over(found)}"
    order = _order(found, direction)
    gaps = [_beyond(found.scores[order[0]], found.scores[index]) for index in order]
    if error.size is not None and gaps[-1] <= error.size:
        tie = f"{head.removesuffix(', ')} that the model can tell: {ends}, {_percent(gaps[-1])} apart"
        return f"{tie}, within {error.words}; {_over(found)}"
    limit = max(error.size or 0.0, FLAT)
    alike = sorted(index for index, gap in zip(order, gaps, strict=True) if gap <= limit)
    text = f"Best {name} by {what}: {', '.join(map(found.text, alike))}"
    if len(alike) > 1:
        text += f", within {error.words if limit > FLAT else _percent(FLAT)}"
    else:
        text += _edge(found, alike[0])
    if len(alike) < len(order) - 1:
        text += f"; next {found.text(order[len(alike)])} ({_behind(gaps[len(alike)], direction)})"
    text += f"; worst {found.text(order[-1])} ({_behind(gaps[-1], direction)}); {_over(found)}"
    extreme = found.cells.min(axis=0) if direction == "less" else found.cells.max(axis=0)
    won = int((found.cells[alike] == extreme).any(axis=0).sum())
    if won < found.points:
        text += f", best at {won} of them"
    return f"{text}; {error.words}" if error.size is None and error.words else text


def _order(found: Standing, direction: str) -> list[int]:
    """Indices of the values, the best first."""
    signed = found.scores if direction == "less" else -found.scores
    return [int(index) for index in np.argsort(signed, kind="stable")]


def _article_line(found: Standing, metric: str, error: Error, frame: pd.DataFrame) -> str:
    """The line on a head dimension of 96: compared with the best value, and with the line between its neighbours."""
    direction, index = better(metric), found.values.index(ARTICLE_HEAD_DIM)
    best = _order(found, direction)[0]
    gap = _beyond(found.scores[best], found.scores[index])
    dip = _dip(found, index, direction)
    behind = f"{_behind(gap, direction)} than {found.text(best)}".replace("as much than", "as much as")
    trend = f"{_percent(abs(dip))} {'worse' if dip > 0 else 'better'} than its neighbours lead one to expect"
    if index == best:
        text = "Yes, the best"
    elif gap <= FLAT:
        text = "Yes, as good as any" if gap == 0 else f"Yes, as good as the best: {behind}"
    elif dip > max(DIP, error.size or 0.0):
        text = f"No, off the trend: {behind}, {trend}"
    elif error.size is not None and gap <= error.size:
        text = f"Yes, as far as the model can tell: {behind}, within {error.words}"
    else:
        text = f"{'On the trend, but ' if abs(dip) <= DIP else ''}{found.text(best)} is better: {behind}"
        text += f", {trend}" if abs(dip) > DIP else ""
    rows = frame[frame[HEAD_DIM] == ARTICLE_HEAD_DIM]
    causes = rows["bottleneck"].dropna() if "bottleneck" in frame else pd.Series()
    cause = f"; most time: {causes.mode()[0]}" if len(causes) else ""
    return f"Is {ARTICLE_HEAD_DIM} good here? {text}{cause}"


def _dip(found: Standing, index: int, direction: str) -> float:
    """Relative distance of a value from the line between its neighbours, positive if it is worse; 0 at an end."""
    at = numbers(found.values)
    if at is None or not 0 < index < len(at) - 1:
        return 0.0
    expected = float(np.interp(at[index], [at[index - 1], at[index + 1]], found.scores[[index - 1, index + 1]]))
    if not expected:
        return 0.0
    off = float(found.scores[index]) / expected - 1
    return off if direction == "less" else -off


def _beyond(best: float, other: float) -> float:
    """Distance of a score from the best one relative to the best; infinite if the best is zero."""
    if best == other:
        return 0.0
    return abs(float(other - best)) / abs(float(best)) if best else float("inf")


def _over(found: Standing) -> str:
    """The number of compared points in words."""
    text = f"{found.points} point{'s' if found.points > 1 else ''}"
    if found.points < found.all_points:
        text += f" of {found.all_points}, where all have one"
    if found.omitted:
        text += f" (too few of {', '.join(words(found.key, value) for value in found.omitted)})"
    return text


def _edge(found: Standing, best: int) -> str:
    """A note if the best value is the smallest or largest of at least three numbers."""
    at = numbers(found.values)
    if at is None or len(at) < 3 or best not in (0, len(at) - 1):
        return ""
    return ", the smallest tried" if best == 0 else ", the largest tried"


def _short(metric: str) -> str:
    """Label of a metric without its unit."""
    return metric_label(metric).partition(" (")[0]


def _percent(share: float) -> str:
    """Format a relative difference."""
    return f"{share:.1%}" if share >= 0.0005 else f"{100 * share:.1g}%"


def _behind(gap: float, direction: str) -> str:
    """A distance from the best in words: in per cent, or as a multiple from twice as much on."""
    if direction == "more":
        return f"{_percent(gap)} less"
    if not np.isfinite(gap):
        return "more than none"
    return f"{_percent(gap)} more" if gap < 1 else f"{1 + gap:.3g} times as much"


def _sentence(text: str) -> str:
    """Capitalise the first letter, unless the text begins with a dotted counter."""
    return text if "." in text.split()[0] else text[:1].upper() + text[1:]

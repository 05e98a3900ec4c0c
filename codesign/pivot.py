"""Rows as a figure needs them: which keys vary, a metric as a series, panels of rows × columns, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from codesign.errors import CodesignError
from codesign.explore.quantity import words
from codesign.labels import SHARE, check_metric, scale

ASKED = 96
"""The head dimension that the verdict is about."""
HEAD_DIM = "shape.head_dim"
_STALE = "the workload, the chip file or the model's version (rows of an earlier sweep: use a fresh -o)"
GOOD, FAIR = 0.97, 0.90
"""Shares of what its neighbours lead one to expect from which a head dimension is called good, or fair."""


@dataclass(frozen=True)
class Panel:
    """One table of a figure: the metric by row value and column value."""

    value: Any
    """Value of the panel key; None if there is only one panel."""
    table: pd.DataFrame
    """Index: row values; columns: column values; NaN where the sweep has no row."""


def varying(frame: pd.DataFrame) -> list[str]:
    """The overridden keys that take more than one value: the workload's, then the chip's, as the sweep names them."""
    names: dict[str, None] = {}
    for keys in frame["overrides"]:
        names.update(dict.fromkeys(keys))
    return [key for key in names if comparable(frame, key).nunique(dropna=False) > 1]


def comparable(frame: pd.DataFrame, key: str) -> pd.Series:
    """The values of a key, which can be compared and sorted into groups: mappings, such as layouts, in words."""
    return frame[key].map(lambda value: words(key, value) if isinstance(value, Mapping) else value)


def series(frame: pd.DataFrame, metric: str) -> pd.Series:
    """A metric over all rows, shares in per cent; raises CodesignError if rows lack it or it is no number."""
    check_metric(metric, frame.columns)
    values = pd.to_numeric(frame[metric], errors="coerce")
    if values.isna().all() and not frame[metric].isna().all():
        raise CodesignError(f"'{metric}' is no number, so it cannot be drawn; choose another --metric")
    return values.astype(float) * scale(metric)


def panels(frame: pd.DataFrame, metric: str, rows: str, columns: str, by: str | None) -> list[Panel]:
    """The metric as tables of `rows` × `columns`, one for each value of `by`.

    Raises CodesignError where a cell would have several rows.
    """
    keys = [rows, columns, *([by] if by else [])]
    for key in keys:
        if key not in frame.columns:
            raise CodesignError(f"no key '{key}' in these rows; keys that vary: {', '.join(varying(frame)) or 'none'}")
    data = frame[keys].assign(**{key: comparable(frame, key) for key in keys}, value=series(frame, metric))
    if data.duplicated(keys).any():
        others = [key for key in varying(frame) if key not in keys]
        raise CodesignError(
            f"several rows for one {' × '.join(keys)}; these vary too: {', '.join(others) or _STALE}; "
            "keep one value of each with --where KEY=VALUE"
        )
    groups = [(None, data)] if by is None else [(value, data[data[by] == value]) for value in _sorted(data[by])]
    return [Panel(value, group.pivot(index=rows, columns=columns, values="value")) for value, group in groups]


def where(frame: pd.DataFrame, fixed: dict[str, Any]) -> pd.DataFrame:
    """The rows in which each key has the given value; raises CodesignError if there are none."""
    for key, value in fixed.items():
        if key not in frame.columns:
            raise CodesignError(f"no key '{key}' in these rows; keys that vary: {', '.join(varying(frame)) or 'none'}")
        known = comparable(frame, key)
        kept = frame[known == value]
        if kept.empty:
            raise CodesignError(f"no row with {key}={value}; values there: {', '.join(map(str, _sorted(known)))}")
        frame = kept
    return frame


def verdict(frame: pd.DataFrame) -> str:
    """Whether 96 is a good head dimension on the chip of these rows, in one sentence; empty if the rows cannot say.

    The measure is effective bandwidth. The trend is what 64 and 128 lead one to expect of the dimension half way
    between them; a chip on which every row costs alike is on it and yet far from 128. Medians are over every
    combination of the other keys.
    """
    if HEAD_DIM not in frame.columns:
        return ""
    others = [key for key in varying(frame) if key != HEAD_DIM]
    data = frame.assign(**{key: comparable(frame, key) for key in others}, value=series(frame, SHARE), everything=0)
    table = data.pivot_table(index=HEAD_DIM, columns=others or "everything", values="value")
    # A search tries few points: those with only one or two of the three head dimensions say nothing.
    table = table.reindex([64, ASKED, 128]).dropna(axis="columns")
    if table.empty:
        return ""
    points = table.shape[1]
    below, asked, above = table.to_numpy(float)
    share = float(np.median(asked / ((below + above) / 2)))
    against = float(np.median(asked / above))
    if share < GOOD:
        word = "So-so, a little below the trend" if share >= FAIR else "No, below the trend"
    else:
        word = "Yes" if against >= FAIR else "On the trend, but larger is faster"
    text = f"Is {ASKED} good here? {word}: {against:.0%} of 128's effective bandwidth, "
    text += f"{share:.0%} of the trend from 64 to 128 (median of {points} point{'s' * (points > 1)})"
    causes = frame.loc[frame[HEAD_DIM] == ASKED, "bottleneck"].dropna() if "bottleneck" in frame else pd.Series()
    return f"{text}; most time: {causes.mode()[0]}" if len(causes) else text


def _sorted(values: pd.Series) -> list[Any]:
    found = list(values.dropna().unique())
    try:
        return sorted(found)
    except TypeError:
        return found

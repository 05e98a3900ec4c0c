"""Rows as a figure needs them: which keys vary and in which order, a metric as a series, panels of rows × columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from memgrain.errors import MemgrainError
from memgrain.runs.labels import check_metric, scale, words
from memgrain.runs.quantities import identity, measure, ordered

ARTICLE_HEAD_DIM = 96
"""The head dimension of the article's claim."""
HEAD_DIM = "shape.head_dim"
_STALE = "the workload, the chip file or the model's version (rows of an earlier sweep: use a fresh folder)"


@dataclass(frozen=True)
class Panel:
    """One table of a figure: the metric by row value and column value."""

    value: Any
    """Value of the panel key; None if there is only one panel."""
    table: pd.DataFrame
    """Index: row values; columns: column values, each in the order of `ordered`; NaN where the sweep has no row."""


def varying(frame: pd.DataFrame) -> list[str]:
    """The overridden keys that take more than one value: the workload's, then the chip's, as the sweep names them."""
    names: dict[str, None] = {}
    for keys in frame["overrides"]:
        names.update(dict.fromkeys(keys))
    return [key for key in names if comparable(frame, key).nunique(dropna=False) > 1]


def comparable(frame: pd.DataFrame, key: str) -> pd.Series:
    """The values of a key, which can be compared and grouped: mappings and lists in words, None of a row that sets the
    key to nothing as 'none'; NaN where a row does not set it."""

    def known(value: Any, set_: list[str]) -> Any:
        if isinstance(value, Mapping | list):
            return words(key, value)
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        return (words(key, None) if key in set_ else math.nan) if missing else value

    pairs = zip(frame[key].tolist(), frame["overrides"], strict=True)
    return pd.Series([known(value, set_) for value, set_ in pairs], index=frame.index, dtype=object, name=key)


def values_of(column: pd.Series) -> list[Any]:
    """The distinct values of a column of `comparable` in the order of an axis; see `quantities.ordered`."""
    return ordered(column.dropna())


def table_of(data: pd.DataFrame, rows: str, columns: str, whole: pd.DataFrame | None = None) -> pd.DataFrame:
    """The column `value` of `data` by the values of two others, each in the order of an axis; NaN where there is no
    row. The axes are those of `whole` if it is given."""
    sides = [values_of((data if whole is None else whole)[key]) for key in (rows, columns)]
    places = [{identity(known): place for place, known in enumerate(side)} for side in sides]
    cells = np.full([len(side) for side in sides], np.nan)
    for row, column, cell in data[[rows, columns, "value"]].dropna(subset=[rows, columns]).itertuples(index=False):
        cells[places[0][identity(row)], places[1][identity(column)]] = cell
    return pd.DataFrame(cells, pd.Index(sides[0], dtype=object), pd.Index(sides[1], dtype=object))


def in_order(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The rows by their values of the keys, the first key first, each in the order of an axis."""
    ranks = []
    for key in keys:
        texts = (words(key, value) if isinstance(value, Mapping | list) else value for value in frame[key].tolist())
        column = [None if isinstance(value, float) and math.isnan(value) else value for value in texts]
        places = {identity(value): place for place, value in enumerate(ordered(column))}
        ranks.append([places[identity(value)] for value in column])
    rows = sorted(range(len(frame)), key=lambda row: [rank[row] for rank in ranks])
    return frame.iloc[rows].reset_index(drop=True)


def series(frame: pd.DataFrame, metric: str) -> pd.Series:
    """A metric over all rows, shares in per cent; raises MemgrainError if rows lack it or it is no number."""
    check_metric(metric, frame.columns)
    values = pd.to_numeric(frame[metric], errors="coerce")
    if values.isna().all() and not frame[metric].isna().all():
        raise MemgrainError(f"'{metric}' is no number, so it cannot be drawn; choose another metric")
    return values.astype(float) * scale(metric)


def panels(frame: pd.DataFrame, metric: str, rows: str, columns: str, by: str | None) -> list[Panel]:
    """The metric as tables of `rows` × `columns`, one for each value of `by`, all with the same axes.

    Raises MemgrainError where a cell would have several rows.
    """
    keys = [rows, columns, *([by] if by else [])]
    for key in keys:
        if key not in frame.columns:
            raise MemgrainError(f"no key '{key}' in these rows; keys that vary: {', '.join(varying(frame)) or 'none'}")
    data = frame[keys].assign(**{key: comparable(frame, key) for key in keys}, value=series(frame, metric))
    if data.duplicated(keys).any():
        others = [key for key in varying(frame) if key not in keys]
        raise MemgrainError(
            f"several rows for one {' × '.join(keys)}; these vary too: {', '.join(others) or _STALE}; "
            "keep rows with one value of each (where KEY=VALUE)"
        )
    if by is None:
        return [Panel(None, table_of(data, rows, columns))]
    which = data[by].map(identity)
    return [
        Panel(value, table_of(data[which == identity(value)], rows, columns, data)) for value in values_of(data[by])
    ]


def where(frame: pd.DataFrame, fixed: dict[str, Any]) -> pd.DataFrame:
    """The rows in which each key has the given value; raises MemgrainError if there are none."""
    for key, value in fixed.items():
        if key not in frame.columns:
            raise MemgrainError(f"no key '{key}' in these rows; keys that vary: {', '.join(varying(frame)) or 'none'}")
        known = comparable(frame, key) if "overrides" in frame else frame[key]
        kept = frame[[_same(key, own, value) for own in known]]
        if kept.empty:
            there = ", ".join(words(key, own) for own in values_of(known))
            raise MemgrainError(f"no row with {key}={words(key, value)}; values there: {there or 'none'}")
        frame = kept
    return frame


def _same(key: str, own: Any, wanted: Any) -> bool:
    """Whether a row's value equals the wanted one, however it is written: "0.5 MiB" is "512 KiB"."""
    if identity(own) == identity(wanted) or (measure(own) is not None and measure(own) == measure(wanted)):
        return True
    return not isinstance(own, float) and words(key, own) == words(key, wanted)

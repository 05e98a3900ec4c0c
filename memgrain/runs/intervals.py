"""intervals.csv: the intervals of a sweep's points, written and read beside its rows."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from memgrain.errors import MemgrainError

if TYPE_CHECKING:
    import pandas as pd

NAME = "intervals.csv"
"""Name of the file, in the sweep's folder."""
ENDS = ("low", "median", "high")
"""Columns of an interval: 5, 50 and 95 %."""
LOW, HIGH = "interval.low", "interval.high"
"""Columns of a frame of rows that hold the ends of a metric's intervals, for figures."""


def write_intervals(frame: pd.DataFrame, folder: Path) -> Path:
    """Replace the file atomically."""
    path = folder / NAME
    try:
        part = path.with_suffix(".part")
        frame.to_csv(part, index=False)
        os.replace(part, path)
    except OSError as error:
        raise MemgrainError(f"cannot write {path} ({error.strerror}); choose another folder") from None
    return path


def read_intervals(folder: Path, metric: str) -> Mapping[str, tuple[float, float]]:
    """Lower and upper end of a metric by id of the row, of the file in that folder; none if it holds another metric."""
    import pandas as pd

    path = folder / NAME
    if not path.exists():
        return {}
    try:
        frame = pd.read_csv(path)
        known = frame[(frame["metric"] == metric) & frame["low"].notna()]
        return {str(name): (float(low), float(high)) for name, low, high in known[["id", "low", "high"]].to_numpy()}
    except (OSError, ValueError, KeyError) as error:
        raise MemgrainError(
            f"{path} is no file of intervals ({' '.join(str(error).split())}); delete it, or write it again by a "
            "sweep with uncertainty"
        ) from None


def with_intervals(frame: pd.DataFrame, folder: Path, metric: str) -> pd.DataFrame:
    """Rows with the ends of their intervals in columns LOW and HIGH; unchanged if the folder has no intervals."""
    known = read_intervals(folder, metric)
    if not known.keys() & set(frame["id"]):
        return frame
    ends = [known.get(name, (math.nan, math.nan)) for name in frame["id"]]
    return frame.assign(**{LOW: [low for low, _ in ends], HIGH: [high for _, high in ends]})

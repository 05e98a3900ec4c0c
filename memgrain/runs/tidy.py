"""Tidy frames for users: quantities as numbers beside their texts, ids short and last."""

from __future__ import annotations

import pandas as pd

from memgrain.runs.quantities import measure

ID_DIGITS = 12
"""Hexadecimal digits of an id in a frame; the file of rows has all 64."""
LAST = ("overrides", "id")
"""Columns that come last."""
SUFFIX = {"size": "_bytes", "bandwidth": "_bytes_per_s", "duration": "_ps", "frequency": "_hz"}
"""What is added to the name of a key for the column of its numbers, by what the key measures."""


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column of numbers in base units behind each key that is set to quantities in text form
    ("chip.l2.capacity" and "chip.l2.capacity_bytes"), and with short ids in the last column. Rows keep their order."""
    found = frame.copy()
    for key in _keys(frame):
        known = [measure(value) if isinstance(value, str) else None for value in frame[key].tolist()]
        kinds = {kind[0] for kind in known if kind is not None}
        if len(kinds) == 1 and (suffix := SUFFIX.get(*kinds)) and key + suffix not in found:
            numbers = [float("nan") if kind is None else kind[1] for kind in known]
            found.insert(list(found.columns).index(key) + 1, key + suffix, numbers)
    if "id" in found:
        found["id"] = found["id"].str[:ID_DIGITS]
    last = [name for name in LAST if name in found]
    return found[[name for name in found.columns if name not in last] + last]


def _keys(frame: pd.DataFrame) -> list[str]:
    """Columns of overridden keys."""
    named = {key for keys in frame["overrides"] for key in keys} if "overrides" in frame else set(frame.columns)
    return [key for key in frame.columns if key in named and "." in key]

"""Validation labels of many rows in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any


def trust_lines(rows: Iterable[Mapping[Any, Any]]) -> list[str]:
    """How many of the rows are validated, at which level, and how far measured times may lie from predicted ones; empty
    if rows say nothing of it, as those of older versions."""
    known = [row for row in rows if isinstance(row.get("validated_level"), str)]
    if not known:
        return []
    counts = Counter(str(row["validated_level"]) for row in known)
    levels = ", ".join(f"{count} {level}" for level, count in counts.most_common())
    lows = [row["measured_over_predicted_low"] for row in known]
    highs = [row["measured_over_predicted_high"] for row in known]
    if any(low != low or low is None for low in lows):
        return [f"trust: {levels}; some have no interval"]
    reach = f"times that are measured are expected at {min(lows):.2f} to {max(highs):.2f} times the predicted ones"
    return [f"trust: {levels}; {reach} (9 of 10; column `validated` has the evidence of each)"]

"""The table of selections: which of the candidate tokens a sparse step reads."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from memgrain.workloads.selection.columns import ColumnSelection
from memgrain.workloads.selection.local import LocalSelection
from memgrain.workloads.selection.random_units import RandomSelection, redraw, sample
from memgrain.workloads.selection.recorded import RecordedSelection
from memgrain.workloads.selection.share import Share, list_of, lists_of

AnySelection = RandomSelection | RecordedSelection | LocalSelection | ColumnSelection
Selection = Annotated[AnySelection, Field(discriminator="kind")]

SELECTIONS: dict[str, type[AnySelection]] = {
    "random": RandomSelection,
    "recorded": RecordedSelection,
    "local": LocalSelection,
    "columns": ColumnSelection,
}
"""Every selection by its `kind`."""

__all__ = [
    "SELECTIONS",
    "ColumnSelection",
    "LocalSelection",
    "RandomSelection",
    "RecordedSelection",
    "Selection",
    "Share",
    "list_of",
    "lists_of",
    "redraw",
    "sample",
]

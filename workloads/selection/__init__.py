"""The table of selections: which of the candidate tokens a sparse step reads."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from workloads.selection.random_units import RandomSelection, redraw, sample
from workloads.selection.recorded import RecordedSelection
from workloads.selection.share import Share, list_of, lists_of

Selection = Annotated[RandomSelection | RecordedSelection, Field(discriminator="kind")]

SELECTIONS: dict[str, type[RandomSelection] | type[RecordedSelection]] = {
    "random": RandomSelection,
    "recorded": RecordedSelection,
}
"""Every selection by its `kind`."""

__all__ = [
    "SELECTIONS",
    "RandomSelection",
    "RecordedSelection",
    "Selection",
    "Share",
    "list_of",
    "lists_of",
    "redraw",
    "sample",
]

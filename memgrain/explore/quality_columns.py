"""Quality columns of a search: the published score at a point's budget, and the recalled attention mass.

Objectives and constraints may use them like the row's columns, but they are not written into the row. A point without a
published score or measured mass is refused.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from memgrain.errors import MemgrainError
from memgrain.quality import floor, recall
from memgrain.runs.task import Point, attention_of

SCORE, MASS = "quality.score", "quality.mass"
"""Columns: the lowest score of the sources, in points of 100; the recalled fraction of attention mass, mean over layers
and texts."""


class ScoreSelection(BaseModel):
    """The published scores of one method, model and benchmark."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field(description="selection method, as in 'memgrain quality'")
    model: str = Field(description="language model, as in 'memgrain quality'")
    benchmark: str = Field(description="benchmark, as in 'memgrain quality'")
    task: str = Field(default="average", description="one task of the benchmark, or the average of all")
    context: int | None = Field(
        default=None, gt=0, description="context in tokens, if there are scores of several contexts"
    )


class MassSelection(BaseModel):
    """A selection whose recalled mass was measured. Its page is the point's selection.unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    selection: str = Field(description="tokens, pages_sum, pages_max, pages_bound or window")
    share: str = Field(default="group", description="sharing of the list: head, group or layer")
    context: int | None = Field(default=None, gt=0, description="context in tokens; absent: the longest measured")


class Quality(BaseModel):
    """Sources of the quality columns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: ScoreSelection | None = Field(default=None, description="published score at the point's selection.ratio")
    mass: MassSelection | None = Field(
        default=None, description="recalled attention mass at selection.ratio (not a score)"
    )

    def columns(self, point: Point) -> dict[str, float]:
        """The columns of a point. Raises MemgrainError if it has no selection ratio, or nothing is known at its
        ratio."""
        attended = attention_of(point.workload)
        selection = attended.selection if attended is not None else None
        ratio = getattr(selection, "ratio", None)
        if attended is None or ratio is None:
            raise MemgrainError(f"{point.workload.name}: quality is looked up by selection.ratio; give it one")
        found = {}
        if self.score is not None:
            source = self.score
            found[SCORE] = floor(source.method, ratio, source.benchmark, source.model, source.context, source.task).low
        if self.mass is not None:
            found[MASS] = recall(ratio, self.mass.selection, attended.unit, self.mass.share, self.mass.context).mean
        return found

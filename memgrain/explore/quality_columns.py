"""Quality as columns of a search: a published score at a point's budget, and the attention mass that it recalls.

They stand beside the row's columns for objectives and constraints; neither is written into the row. A point at which
nothing was published or measured is refused.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from memgrain.errors import MemgrainError
from memgrain.quality import floor, recall
from memgrain.runs.task import Point, attention_of

SCORE, MASS = "quality.score", "quality.mass"
"""Columns: points of 100, the lowest of the sources; share of the attention mass, mean of layers and texts."""


class ScoreSelection(BaseModel):
    """A row of the published scores, but for its budget."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field(description="how tokens are selected, as in 'memgrain quality'")
    model: str = Field(description="the language model, as there")
    benchmark: str = Field(description="what was asked, as there")
    task: str = Field(default="average", description="one task of it, or the average of all")
    context: int | None = Field(default=None, gt=0, description="tokens, where there are rows of several contexts")


class MassSelection(BaseModel):
    """A selection whose recalled mass was measured; its page is the point's selection.unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    selection: str = Field(description="tokens, pages_sum, pages_max, pages_bound or window")
    share: str = Field(default="group", description="whose list it is: head, group or layer")
    context: int | None = Field(default=None, gt=0, description="tokens; absent: the longest measured")


class Quality(BaseModel):
    """Where quality is looked up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: ScoreSelection | None = Field(default=None, description="published score at the point's selection.ratio")
    mass: MassSelection | None = Field(default=None, description="attention mass recalled at it, which is no score")

    def columns(self, point: Point) -> dict[str, float]:
        """The columns of a point; raises MemgrainError where it has no ratio, or nothing is known at its ratio."""
        attended = attention_of(point.workload)
        selection = attended.selection if attended is not None else None
        ratio = getattr(selection, "ratio", None)
        if attended is None or ratio is None:
            raise MemgrainError(f"{point.workload.name}: quality is looked up by selection.ratio; give it one")
        found = {}
        if self.score is not None:
            asked = self.score
            found[SCORE] = floor(asked.method, ratio, asked.benchmark, asked.model, asked.context, asked.task).low
        if self.mass is not None:
            found[MASS] = recall(ratio, self.mass.selection, attended.unit, self.mass.share, self.mass.context).mean
        return found

"""Model quality: published benchmark scores, interpolation between them, and recalled attention mass (not a score)."""

from memgrain.quality.head_dim import CONDITIONS, holds_size, size_notes
from memgrain.quality.recall import NOT_A_SCORE, Recalled, recall
from memgrain.quality.tables import PublishedFinding, PublishedScore, Score, SourceScore, findings, floor, published

__all__ = [
    "CONDITIONS",
    "NOT_A_SCORE",
    "PublishedFinding",
    "PublishedScore",
    "Recalled",
    "Score",
    "SourceScore",
    "findings",
    "floor",
    "holds_size",
    "published",
    "recall",
    "size_notes",
]

"""Attention mass recalled by a selection, measured on recorded attention of a small real model. It is not a score.

recall.csv holds the mean over heads and the last 256 steps of a text, by text, context, selection, page, share and
layer, a column a ratio; `record.py` made it. A blank is a budget below one page, or below sinks and one newest token.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memgrain.errors import MemgrainError

MODEL = "SmolLM2-135M-Instruct (Q4_1)"
"""The recorded model: 30 layers, 9 q heads on 3 kv heads, head dimension 64, at most 8,192 tokens."""
RATIOS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Budgets that were measured, as shares of the tokens (or pages) that a step sees."""
KEYS = ("text", "context", "selection", "page", "share", "layer")
"""What a row of recall.csv is of."""
COLUMNS = (*KEYS, *(f"{ratio:g}" for ratio in RATIOS))
"""Columns of recall.csv."""
SELECTIONS = {
    "tokens": "the tokens of highest probability, exactly",
    "pages_sum": "whole pages by their summed probability, exactly",
    "pages_max": "whole pages by their highest probability, exactly",
    "pages_bound": "whole pages by Quest's bound from lowest and highest key elements",
    "window": "the first 4 tokens and the newest",
}
"""What is selected, by name."""
SHARES = {"head": "a list for each q head", "group": "one for a kv head's group", "layer": "one for all heads"}
"""Whose list it is; one that several share is chosen by the mean of their probabilities."""
NOT_A_SCORE = "Recalled mass is not a score: no source ties it to RULER, LongBench or any other benchmark."
"""What every output says."""
SMALL = f"Measured on {MODEL}, dense, exact probabilities; a large or natively sparse model may differ."
"""What every output says of the model."""

Curves = dict[tuple[str, int, str, int, str], NDArray[np.float64]]


@dataclass(frozen=True)
class Recalled:
    """Mass that a selection recalls at a ratio; shares of 1."""

    selection: str
    """A key of SELECTIONS."""
    page: int
    """Tokens of a page; 1 for tokens."""
    share: str
    """A key of SHARES."""
    context: int
    """Tokens of the text."""
    ratio: float
    """Share of the tokens or pages that a step sees."""
    layers: tuple[float, ...]
    """By layer, the mean of the texts."""
    texts: dict[str, float]
    """By text, the mean of the layers."""
    between: tuple[float, ...]
    """The measured ratio, or the two that `ratio` lies between."""

    @property
    def mean(self) -> float:
        """Mean of layers and texts."""
        return float(np.mean(self.layers))

    @property
    def low(self) -> tuple[float, int]:
        """The lowest layer's mass, and which layer."""
        return min((mass, layer) for layer, mass in enumerate(self.layers))

    @property
    def high(self) -> tuple[float, int]:
        """The highest layer's mass, and which layer."""
        return max((mass, layer) for layer, mass in enumerate(self.layers))


@lru_cache
def curves() -> Curves:
    """recall.csv as arrays [layer, ratio] by text, context, selection, page and share; nan where it is blank."""
    found: dict[tuple[str, int, str, int, str], list[list[float]]] = {}
    with (Path(__file__).parent / "recall.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            key = (line["text"], int(line["context"]), line["selection"], int(line["page"]), line["share"])
            found.setdefault(key, []).append([float(line[column] or "nan") for column in COLUMNS[len(KEYS) :]])
    return {key: np.array(rows) for key, rows in found.items()}


def recall(
    ratio: float, selection: str = "tokens", page: int = 1, share: str = "head", context: int | None = None
) -> Recalled:
    """Mass recalled at `ratio`; linear in log(ratio) between measured ratios, never outside.

    `context` is the longest that was measured if left out. Raises MemgrainError where nothing was measured.
    """
    known = sorted({key[1] for key in curves()})
    context = known[-1] if context is None else context
    if context not in known:
        raise MemgrainError(f"context {context} was not measured; choose one of {', '.join(map(str, known))}")
    found = {key[0]: rows for key, rows in curves().items() if key[1:] == (context, selection, page, share)}
    if not found:
        raise MemgrainError(_unmeasured(selection, page, share))
    if not RATIOS[0] <= ratio <= RATIOS[-1]:
        raise MemgrainError(f"ratio {ratio:g} was not measured; choose one from {RATIOS[0]:g} to {RATIOS[-1]:g}")
    by_text = {text: _at(rows, ratio) for text, rows in found.items()}
    if any(np.isnan(masses).any() for masses in by_text.values()):
        least = next(at for at, mass in zip(RATIOS, next(iter(found.values()))[0], strict=True) if not math.isnan(mass))
        raise MemgrainError(
            f"ratio {ratio:g} of {context} tokens is below {_least(selection, page)}; choose {least:g} or more"
        )
    between = [at for at in RATIOS if math.isclose(at, ratio)] or _neighbours(ratio)
    layers = np.mean(list(by_text.values()), axis=0)
    return Recalled(
        selection,
        page,
        share,
        context,
        ratio,
        tuple(layers.tolist()),
        {text: float(masses.mean()) for text, masses in by_text.items()},
        tuple(between),
    )


def _at(rows: NDArray[np.float64], ratio: float) -> NDArray[np.float64]:
    """Each layer's mass at a ratio."""
    return np.array([np.interp(math.log(ratio), np.log(RATIOS), row) for row in rows])


def _neighbours(ratio: float) -> list[float]:
    return [max(at for at in RATIOS if at < ratio), min(at for at in RATIOS if at > ratio)]


def _least(selection: str, page: int) -> str:
    if selection == "window":
        return "the 4 sinks and a newest token"
    return f"one page of {page}" if page > 1 else "one token"


def _unmeasured(selection: str, page: int, share: str) -> str:
    known = sorted({key[2:] for key in curves()})
    if selection not in SELECTIONS:
        return f"selection '{selection}' was not measured; choose one of {', '.join(SELECTIONS)}"
    of_it = [key for key in known if key[0] == selection]
    pages = sorted({key[1] for key in of_it})
    if page not in pages:
        return f"page {page} of selection '{selection}' was not measured; choose one of {', '.join(map(str, pages))}"
    shares = ", ".join(key[2] for key in of_it if key[1] == page)
    return f"share '{share}' of selection '{selection}' was not measured; choose one of {shares}"

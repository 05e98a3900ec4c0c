"""Recalled attention mass of a selection, measured on recorded attention of a small real model. It is not a score.

recall.csv holds the mean over heads and the last 256 steps of a text, by text, context, selection, page, share and
layer, with one column per ratio. `record.py` writes it. A blank is a budget below one page, or below the sinks plus one
newest token.
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
"""Measured budgets, as fractions of the tokens (or pages) that a step attends to."""
KEYS = ("text", "context", "selection", "page", "share", "layer")
"""Columns that identify a row of recall.csv."""
COLUMNS = (*KEYS, *(f"{ratio:g}" for ratio in RATIOS))
"""Columns of recall.csv."""
SELECTIONS = {
    "tokens": "the tokens of highest probability, exactly",
    "pages_sum": "whole pages by their summed probability, exactly",
    "pages_max": "whole pages by their highest probability, exactly",
    "pages_bound": "whole pages by Quest's bound from lowest and highest key elements",
    "window": "the first 4 tokens and the newest",
}
"""Selections by name, with descriptions."""
SHARES = {"head": "a list for each q head", "group": "one for a kv head's group", "layer": "one for all heads"}
"""Sharing of the selected list. A shared list is selected by the mean of the heads' probabilities."""
NOT_A_SCORE = "Recalled mass is not a score: no source ties it to RULER, LongBench or any other benchmark."
"""Note printed with every output."""
SMALL = f"Measured on {MODEL}, dense, exact probabilities; a large or natively sparse model may differ."
"""Note on the model, printed with every output."""

Curves = dict[tuple[str, int, str, int, str], NDArray[np.float64]]


@dataclass(frozen=True)
class Recalled:
    """Attention mass recalled by a selection at a ratio, as fractions of 1."""

    selection: str
    """A key of SELECTIONS."""
    page: int
    """Tokens per page; 1 if single tokens are selected."""
    share: str
    """A key of SHARES."""
    context: int
    """Context length in tokens."""
    ratio: float
    """Selected fraction of the tokens or pages that a step attends to."""
    layers: tuple[float, ...]
    """Mean over texts, by layer."""
    texts: dict[str, float]
    """Mean over layers, by text."""
    between: tuple[float, ...]
    """The measured ratio, or the two measured ratios around `ratio`."""

    @property
    def mean(self) -> float:
        """Mean of layers and texts."""
        return float(np.mean(self.layers))

    @property
    def low(self) -> tuple[float, int]:
        """The lowest mass of a layer and that layer's index."""
        return min((mass, layer) for layer, mass in enumerate(self.layers))

    @property
    def high(self) -> tuple[float, int]:
        """The highest mass of a layer and that layer's index."""
        return max((mass, layer) for layer, mass in enumerate(self.layers))


@lru_cache
def curves() -> Curves:
    """recall.csv as arrays [layer, ratio] by text, context, selection, page and share; blanks are nan."""
    found: dict[tuple[str, int, str, int, str], list[list[float]]] = {}
    with (Path(__file__).parent / "recall.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            key = (line["text"], int(line["context"]), line["selection"], int(line["page"]), line["share"])
            found.setdefault(key, []).append([float(line[column] or "nan") for column in COLUMNS[len(KEYS) :]])
    return {key: np.array(rows) for key, rows in found.items()}


def recall(
    ratio: float, selection: str = "tokens", page: int = 1, share: str = "head", context: int | None = None
) -> Recalled:
    """Mass recalled at `ratio`, interpolated linearly in log(ratio) between measured ratios, never extrapolated.

    `context` defaults to the longest measured one. Raises MemgrainError if nothing was measured for these arguments.
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

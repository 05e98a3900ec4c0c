"""Measure recalled attention mass on a small real model and write recall.csv; docs/quality.md describes the run.

python -m memgrain.quality.record MODEL.gguf NAME=TEXT.txt... -o recall.csv
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from memgrain.quality.mass import Float32Array, TokenCounts, paged, recalled, shared, windowed
from memgrain.quality.recall import COLUMNS, RATIOS
from memgrain.quality.small_model import Attended, SmallModel

STEPS = 256
"""Number of last positions of a text that are measured."""
CONTEXTS = (8192, 2048)
"""Context lengths in tokens; the model's longest is 8,192."""
PAGES = (16, 64, 128)
"""Page sizes in tokens."""


def main() -> None:
    """Parse the arguments, measure each text at each context, write the table."""
    parser = argparse.ArgumentParser(description="Measure recalled attention mass.")
    parser.add_argument("model", type=Path)
    parser.add_argument("texts", nargs="+", metavar="NAME=TEXT.txt")
    parser.add_argument("-o", "--out", type=Path, required=True)
    chosen = parser.parse_args()
    model = SmallModel(chosen.model)
    with chosen.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, _, path in (text.partition("=") for text in chosen.texts):
            text = Path(path).read_text(encoding="utf-8")
            print(f"{name}: SHA-256 {hashlib.sha256(text.encode()).hexdigest()}", file=sys.stderr)
            tokens = model.encode(text)
            for context in CONTEXTS:
                for row in _rows(model, tokens[:context]):
                    writer.writerow([name, context, *row])
                file.flush()


def _rows(model: SmallModel, tokens: list[int]) -> Iterator[list[object]]:
    """Yield selection, page, share and layer of each measurement, followed by its mass for each ratio."""
    seen = np.arange(len(tokens) - STEPS + 1, len(tokens) + 1)
    losses: list[float] = []
    for layer, attended in enumerate(model.attended(tokens, STEPS, losses)):
        for selection, page, share, mass in _measured(attended, seen):
            yield [selection, page, share, layer, *("" if math.isnan(m) else f"{m:.4f}" for m in mass)]
    print(f"{len(tokens)} tokens: perplexity {math.exp(losses[0]):.2f}", file=sys.stderr)


def _measured(attended: Attended, seen: TokenCounts) -> Iterator[tuple[str, int, str, list[float]]]:
    """Yield the mass of every selection on one layer."""
    probabilities = attended.probabilities
    heads, group = len(probabilities), len(probabilities) // len(attended.keys)
    yield "window", 1, "layer", windowed(shared(probabilities, heads), seen, RATIOS)
    for share, together in {"head": 1, "group": group, "layer": heads}.items():
        chosen = shared(probabilities, together)
        yield "tokens", 1, share, recalled(chosen, chosen, seen, 1, RATIOS)
        for page in PAGES:
            mass = paged(chosen, page)
            yield "pages_sum", page, share, recalled(mass, mass, seen, page, RATIOS)
            yield "pages_max", page, share, recalled(mass, paged(chosen, page, True), seen, page, RATIOS)
    for page in PAGES:
        mass = paged(probabilities, page)
        yield "pages_bound", page, "head", recalled(mass, _bounds(attended, seen, page), seen, page, RATIOS)


def _bounds(attended: Attended, seen: TokenCounts, page: int) -> Float32Array:
    """Quest's score of a page [head, step, page]: the largest possible product of the query with a key whose elements
    lie between the page's lowest and highest (Tang et al., 2406.10774); -inf for pages that a step does not attend to.

    The bounds of a step's last page include keys past its own token, at most `page` - 1.
    """
    queries, keys = attended.queries, attended.keys
    starts = np.arange(0, keys.shape[1], page)
    low, high = np.minimum.reduceat(keys, starts, axis=1), np.maximum.reduceat(keys, starts, axis=1)
    group = len(queries) // len(keys)
    found = np.stack(
        [
            np.maximum(query, 0) @ high[head // group].T + np.minimum(query, 0) @ low[head // group].T
            for head, query in enumerate(queries)
        ]
    )
    found[:, starts >= seen[:, None]] = -np.inf
    return found


if __name__ == "__main__":
    main()

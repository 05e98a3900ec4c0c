"""Growth of a decode step's cost with the context length: bytes, operations and time of attention mechanisms.

The article that this project tests says that hierarchical sparse attention is O(n log n) for a sequence, so that a step
costs O(log n). The exponent e of a step is fitted as cost ~ n^e over the longer contexts: 0 means that the cost of a
step does not grow, 1 that the step reads everything, which is n^2 for a sequence. Between 64K and 1M tokens log n grows
as n^0.08.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from memgrain.errors import MemgrainError
from memgrain.runs.execute import run_points
from memgrain.runs.options import RunOptions
from memgrain.runs.rows import read_rows
from memgrain.runs.task import Point, Task

CONTEXTS = tuple(1 << power for power in range(12, 21, 2))
"""Contexts of the study: 4K to 1M tokens."""
FITTED_FROM = 1 << 16
"""Smallest context for fitting exponents: below it, launches and idle cores hide the growth."""
COSTS = {"read_bytes": "bytes from DRAM", "operations": "operations", "time_us": "time"}
"""Cost columns and their titles."""
WINDOW = 128
"""Number of newest tokens that DeepSeek V4's layers read uncompressed; their rows follow the compressed ones."""


@dataclass(frozen=True)
class Mechanism:
    """A decode step as a function of the context length."""

    name: str
    """Name in the table and the figure."""
    workload: str
    """Name of the example workload that it is based on."""
    at: Callable[[int], dict[str, Any]]
    """Overrides for a context of that many tokens."""
    claim: str
    """Cost of a step by its authors' description; n is the context."""


MECHANISMS = (
    Mechanism("dense", "decode_dense", lambda n: {"shape.kv_len": n}, "n"),
    Mechanism(
        "window 4K",
        "decode_dense",
        lambda n: {"shape.kv_len": n, "pattern.kind": "sliding_window", "pattern.window": 4096},
        "1",
    ),
    Mechanism(
        "hierarchical (article)",
        "decode_hierarchical",
        lambda n: {"shape.kv_len": n, "shape.head_dim": 96, "selection.ratio": 0.05},
        "log n",
    ),
    Mechanism(
        "article, scan",
        "decode_article_scan",
        lambda n: {"attention.shape.kv_len": n},
        "log n",
    ),
    Mechanism(
        "article, tree",
        "decode_article_tree",
        lambda n: {"attention.shape.kv_len": n},
        "log n",
    ),
    Mechanism("StreamingLLM", "decode_streaming", lambda n: {"attention.pattern.context": n}, "1"),
    Mechanism("H2O", "decode_h2o", lambda n: {"attention.pattern.context": n}, "n, a fifth"),
    Mechanism("DSA", "decode_dsa", lambda n: {"attention.shape.kv_len": n}, "n, 132 B each"),
    Mechanism("CSA (V4)", "decode_csa", lambda n: {"attention.shape.kv_len": n // 4 + WINDOW}, "n, 17 B each"),
    Mechanism("HCA (V4)", "decode_hca", lambda n: {"attention.shape.kv_len": n // 128 + WINDOW}, "n, 4.6 B each"),
)
"""The compared mechanisms. The article's pattern reads 5 to 10 % of the distant tokens; the study uses 5.
"hierarchical" is the attention alone. The two entries after it include token selection: by a scan of one index row per
token, as in released models, and by a tree search that reads O(log n) rows."""


@dataclass(frozen=True)
class Scaling:
    """Result of the study."""

    rows: pd.DataFrame
    """One row per mechanism and context: `mechanism`, `context`, and the COSTS."""
    failures: list[str] = field(default_factory=list)
    """A line for each point that failed."""

    def exponents(self) -> pd.DataFrame:
        """The exponent of each cost of each mechanism from FITTED_FROM tokens on, by least squares of the
        logarithms."""
        found = []
        for name, rows in self.rows[self.rows["context"] >= FITTED_FROM].groupby("mechanism", sort=False):
            line: dict[str, Any] = {"mechanism": name}
            for cost in COSTS:
                logs = np.log(rows.loc[rows[cost] > 0, ["context", cost]].to_numpy(dtype=float))
                line[cost] = (
                    round(float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0]), 4) + 0.0 if len(logs) > 1 else math.nan
                )
            found.append(line)
        return pd.DataFrame(found)


def scaling(
    chip: str,
    contexts: Sequence[int] = CONTEXTS,
    mechanisms: Sequence[Mechanism] = MECHANISMS,
    options: RunOptions = RunOptions(),
) -> Scaling:
    """Simulate mechanisms at every context on `chip`.

    Raises MemgrainError if a context is below 4,096 tokens, HardwareError if there is no such chip.
    """
    if small := [context for context in contexts if context < CONTEXTS[0]]:
        raise MemgrainError(f"context {small[0]} is below {CONTEXTS[0]}, the window of the study; leave it out")
    points: dict[str, tuple[str, int]] = {}
    resolved: list[Point] = []
    refused: list[str] = []
    for mechanism in mechanisms:
        for context in contexts:
            try:
                point = Task(chip, {}, mechanism.workload, mechanism.at(context)).resolve()
            except MemgrainError as error:
                refused.append(f"{mechanism.name} at {context}: {error}")
                continue
            points[point.id()] = mechanism.name, context
            resolved.append(point)
    with options.folder() as folder:
        outcome = run_points(resolved, refused, folder, options)
        answers = [row for row in read_rows(outcome.path) if row["id"] in points]
    found: list[dict[str, Any]] = [
        {
            "mechanism": points[row["id"]][0],
            "context": points[row["id"]][1],
            "read_bytes": row["dram_read_bytes"],
            "operations": 2 * row["core.macs"],
            "time_us": row["time_us"],
        }
        for row in answers
    ]
    order = [mechanism.name for mechanism in mechanisms]
    found.sort(key=lambda row: (order.index(row["mechanism"]), row["context"]))
    return Scaling(pd.DataFrame(found), outcome.failures)

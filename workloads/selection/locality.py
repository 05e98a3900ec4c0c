"""Statistics of a recorded or synthetic selection: how much is selected again, when, and where it lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LAGS = (1, 2, 4, 8, 16, 32, 64, 128, 255)
"""Lags at which the overlap is reported; those of the recording in tests/workloads/data go to 255."""
CAPACITIES = (1.0, 1.5, 2.0, 3.0, 4.0)
"""Entries of the LRU cache, as multiples of the tokens of a list."""
PAGES = (16, 64, 128)
"""Tokens of a page."""
WINDOW = 128
"""Newest tokens that count as the window."""
SINKS = 4
"""First tokens that count as sinks."""


@dataclass(frozen=True)
class Locality:
    """Statistics of a sequence of lists [step, K] of one layer, one step apart."""

    overlap: dict[int, float]
    """Share of a list that was in the list `lag` steps earlier: the mean over all such pairs, by lag."""
    misses: dict[float, float]
    """Miss ratio of an LRU cache of a multiple of K entries, empty at first, over all selected tokens."""
    pages: dict[int, float]
    """Share of the context's aligned pages that a list touches, by page size: the mean over all steps."""
    run_length: float
    """Mean length of runs of neighbouring selected tokens."""
    union: float
    """Share of the context that any of the lists selects."""
    popularity: float
    """Zipf exponent: minus the slope of log(times selected) over log(rank), least squares over all tokens selected."""
    window: float
    """Share of a list that is among the WINDOW newest tokens."""
    sinks: float
    """Share of a list that is among the SINKS first tokens."""


def locality(lists: NDArray[np.integer], stops: NDArray[np.integer]) -> Locality:
    """The statistics of `lists` [step, K], distinct sorted tokens, where step t sees tokens [0, stops[t])."""
    tokens = np.asarray(lists, np.int64)
    end, size = int(stops[-1]), tokens.shape[1]
    times = np.sort(np.bincount(tokens.ravel()))[::-1]
    times = times[times > 0]
    depth = reuse_depths(tokens)
    return Locality(
        overlap={lag: float(overlap) for lag, overlap in enumerate(overlaps(tokens), 1) if lag in LAGS},
        misses={times_k: float((depth >= int(times_k * size)).mean()) for times_k in CAPACITIES},
        pages={page: pages_touched(tokens, stops, page) for page in PAGES},
        run_length=size / float((np.diff(tokens, axis=1) != 1).sum(axis=1).mean() + 1),
        union=len(times) / end,
        popularity=float(-np.polyfit(np.log(np.arange(1, len(times) + 1)), np.log(times), 1)[0])
        if len(times) > 1
        else 0.0,
        window=float((tokens >= np.asarray(stops)[:, None] - WINDOW).mean()),
        sinks=float((tokens < SINKS).mean()),
    )


def overlaps(lists: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean overlap at every lag from 1 to the number of steps less one."""
    steps, size = lists.shape
    marked = np.zeros((steps, int(lists.max()) + 1), np.float32)
    marked[np.arange(steps)[:, None], lists] = 1
    common = marked @ marked.T
    return np.array([np.diagonal(common, lag).mean() / size for lag in range(1, steps)])


def pages_touched(lists: NDArray[np.int64], stops: NDArray[np.integer], page: int) -> float:
    """Mean share of the pages of `page` tokens of the context that a list touches."""
    touched = (np.diff(lists // page, axis=1) != 0).sum(axis=1) + 1
    return float((touched / -(-np.asarray(stops) // page)).mean())


def reuse_depths(lists: NDArray[np.int64]) -> NDArray[np.int64]:
    """LRU stack distances [step, K]: other tokens selected since the token was last; a huge number at the first time.

    Lists are read in order. A cache of C entries misses where the distance is C or more (Mattson et al., 1970,
    "Evaluation techniques for storage hierarchies").
    """
    steps, size = lists.shape
    last = np.full(int(lists.max()) + 1, -1, np.int64)
    found = np.full((steps, size), np.iinfo(np.int64).max)
    for step, now in enumerate(lists):
        before = last[now]
        seen = before >= 0
        later = np.sort(last[last >= 0])
        since = len(later) - np.searchsorted(later, before, side="right")
        # Tokens read earlier in this step also count, unless they were counted before.
        raised = np.tril(before[:, None] > before[None, :], -1).sum(axis=1)
        found[step, seen] = (since + raised)[seen]
        last[now] = step * size + np.arange(size)
    return found


def ages_selected(lists: NDArray[np.int64], stops: NDArray[np.integer]) -> dict[int, float]:
    """Share of the tokens that are selected, by age in tokens (1 is the newest), of all ages within half an octave.

    For ages of 16, 32, 64 ... as long as the half octave begins within the context.
    """
    ages = np.asarray(stops)[:, None] - lists
    found: dict[int, float] = {}
    age = 16
    while age == 16 or np.ceil(age / 2**0.5) < stops[0]:
        low, high = int(np.ceil(age / 2**0.5)), min(int(np.ceil(age * 2**0.5)), max(int(stops[0]), 13))
        found[age] = float(((ages >= low) & (ages < high)).sum(axis=1).mean() / (high - low))
        age *= 2
    return found


def average(found: Sequence[Locality]) -> Locality:
    """The mean of each statistic."""

    def mean(value: Callable[[Locality], float]) -> float:
        return float(np.mean([value(one) for one in found]))

    first = found[0]
    return Locality(
        overlap={lag: mean(lambda one, at=lag: one.overlap[at]) for lag in first.overlap},  # type: ignore[misc]
        misses={size: mean(lambda one, at=size: one.misses[at]) for size in first.misses},  # type: ignore[misc]
        pages={page: mean(lambda one, at=page: one.pages[at]) for page in first.pages},  # type: ignore[misc]
        run_length=mean(lambda one: one.run_length),
        union=mean(lambda one: one.union),
        popularity=mean(lambda one: one.popularity),
        window=mean(lambda one: one.window),
        sinks=mean(lambda one: one.sinks),
    )

"""A synthetic top-k with the locality of trained models: it repeats earlier choices, prefers recent tokens, and
clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from memgrain.workloads.errors import WorkloadError
from memgrain.workloads.selection.chance import Chances, Floats, amplitude
from memgrain.workloads.selection.scores import Words, drawn, mixed, spread_evenly, uniform
from memgrain.workloads.selection.share import Share

CONSTANTS = (1, 4, 16, 64, 256, 1024)
"""Periods, in steps, at which parts of a score are redrawn; mixed, they let the overlap decay with the logarithm of the
lag."""
LAGS = (1, 4, 16, 64, 256)
"""Lags at which a single `overlap` and its `decay` hold."""
SURE = 2**24
"""Score of the first sink; each later sink scores one less, and all score above other units."""
LEAST_BURST = 1e-3
"""Value of `burst` below which all steps are alike."""
TOGETHER = 32
"""Steps whose scores are in memory at a time."""


@dataclass(frozen=True)
class _Tuned:
    """Derived parameters for a length of context."""

    context: int
    """Units of the context, a power of two."""
    newest: int
    """Newest units that can all be selected."""
    pool: float
    """Share of earlier segments whose units can be selected."""
    chances: Chances
    """Chances by age."""
    shares: Floats
    """Share of the variance for each of CONSTANTS, and of the part that is never redrawn."""


class LocalSelection(BaseModel):
    """The K units with the highest scores; parts of a score last for 1, 4, 16 ... steps, one part forever.

    Score = level by age + normal number. The number is a sum of parts, each redrawn at its own period, so that lists at
    any lag have the requested overlap; units of a segment share a part of it, which makes clusters. Every part is a
    hash of unit and period number, so a step is computed without earlier ones. A q tile counts as a step. The age of a
    unit is counted from the last candidate, so the window moves if kv_len grows with the step. Defaults are the mean of
    30 layers of SmolLM2-135M-Instruct, top 5 % of 8,192 tokens, heads of a layer together; those of heads, groups and
    layers are from the same run, head by head. Trained indexers differ (DeepSeek V3.2 at 70K: 0.35 to 0.5 at lag 1,
    GVR, arXiv 2604.22312).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local"]
    """Name in the table of selections."""
    ratio: float | None = Field(default=None, gt=0, le=1)
    """Share of the candidates that is read (rounded down to whole units, at least one); this or `tokens`."""
    tokens: int | None = Field(default=None, ge=1, le=2**31 - 1)
    """Tokens read (rounded down to whole units, at least one; all candidates if there are fewer); this or `ratio`."""
    unit: int | None = Field(default=None, ge=1, le=2**20)
    """Tokens of a unit, aligned to its size; where absent the pattern's block, or 1."""
    share: Share = "all"
    """Owner of a list: each q head, each KV head's group, or all heads of a batch entry."""
    order: Literal["sorted", "random"] = "sorted"
    """Order in which the kernel reads the units."""
    step: int = Field(default=0, ge=0, le=2**31)
    """Number of the decode step."""
    overlap: float | dict[int, float] = 0.74
    """Share of a list that was in the list one step earlier; or such shares by lag in steps. The overlap from `recency`
    alone (the newest tokens are always selected) is the lower bound."""
    decay: float = Field(default=0.05, ge=0, le=1)
    """Decrease of the overlap with each doubling of the lag, if `overlap` is one number."""
    recency: dict[int, float] = {16: 0.98, 64: 0.85, 256: 0.48, 1024: 0.063, 4096: 0.006}
    """Chance of selection by age in tokens (1 is the newest). Between given ages its normal quantile is linear in log
    age, outside constant. If the chances do not sum to K, all are shifted alike."""
    sinks: int = Field(default=1, ge=0, le=2**20)
    """First units that are always selected."""
    burst: float = Field(default=0.1, ge=0, le=0.9)
    """Variation between steps: the variance, from step to step, of the lasting part of a score, relative to the largest
    that its mean allows. Steps with a small lasting part select unusual and distant units."""
    popularity: float = Field(default=0.0, ge=-2, le=2)
    """How much longer scores of unlikely units last than those of likely ones. A larger value gives fewer, more popular
    distant units and a steeper Zipf curve; 0: all alike."""
    cluster: float = Field(default=0.4, ge=0, le=1)
    """Share of a score's variance that units of a segment have in common."""
    segment: int = Field(default=16, ge=1, le=2**20)
    """Units of a segment; the seed decides where segments begin."""
    pool: float = Field(default=16.0, ge=2, le=2**20)
    """Units that can be selected at all, as a multiple of K: half of them the newest, half in random earlier segments
    (assumed; 256 steps of the recording select 3.5 to 12.4 times K, by layer)."""
    group: int = Field(default=1, ge=1, le=2**16)
    """Neighbouring lists of one KV head, to which `within_group` applies (with share head: q heads of a KV head)."""
    within_group: float = Field(default=0.52, ge=0, le=1)
    """Overlap of lists of one kv head."""
    between_groups: float = Field(default=0.36, ge=0, le=1)
    """Overlap of lists of different kv heads."""
    layer: int = Field(default=0, ge=0, le=2**16)
    """Number of the layer."""
    between_layers: float = Field(default=0.54, ge=0, le=1)
    """Overlap of lists of any two layers at the same step (measured of adjacent ones)."""
    seed: int = Field(default=0, ge=0)
    """Seed of all hashes; batch entry and list are mixed in."""

    @model_validator(mode="after")
    def _dials(self) -> LocalSelection:
        if (self.ratio is None) == (self.tokens is None):
            given = "both" if self.ratio is not None else "neither"
            raise WorkloadError(f"selection has {given} of ratio and tokens, must have one; set ratio or tokens")
        by_lag = self.overlap if isinstance(self.overlap, dict) else {1: self.overlap}
        for name, by in (("overlap", by_lag), ("recency", self.recency)):
            if not by:
                raise WorkloadError(f"selection.{name} is empty; give one entry at least")
            for at, share in by.items():
                if at < 1 or not 0 <= share <= 1:
                    raise WorkloadError(
                        f"selection.{name} has {share} at {at}, must be 0 to 1 at 1 or more; mend that entry"
                    )
        return self

    def count(self, candidates: int, unit: int) -> int:
        """Tokens chosen out of `candidates` tokens in units of `unit` (which divides `candidates`)."""
        if candidates == 0:
            return 0
        wanted = self.tokens if self.ratio is None else int(self.ratio * candidates + 1e-9)
        return max(1, min(wanted or 0, candidates) // unit) * unit

    def choose(self, batch: int, number: int, tile: int, candidates: tuple[int, int], unit: int) -> NDArray[np.int32]:
        """First tokens of the chosen units, int32, of list `number` of batch entry `batch` for q tile `tile`."""
        return self.sequence(batch, number, candidates[0], [candidates[1]], [tile], unit)[0]

    def sequence(
        self, batch: int, number: int, start: int, stops: Sequence[int], tiles: Sequence[int], unit: int
    ) -> list[NDArray[np.int32]]:
        """The result of `choose` for each of `tiles`, with candidates from `start` to the one of `stops`; much faster
        than single calls."""
        found: list[NDArray[np.int32]] = []
        tuned: _Tuned | None = None
        at = 0
        while at < len(stops):
            context = _nominal((stops[at] - start) // unit)
            if tuned is None or tuned.context != context:
                tuned = self._tuned(context, unit)
            to = at + 1
            while to < min(len(stops), at + TOGETHER) and _nominal((stops[to] - start) // unit) == context:
                to += 1
            ends = np.array([stop // unit for stop in stops[at:to]], np.int64)
            steps = np.array([self.step + tile for tile in tiles[at:to]], np.int64)
            counts = [self.count(stop - start, unit) // unit for stop in stops[at:to]]
            lists = self._lists(tuned, (batch, number), start // unit, ends, steps, counts)
            for units, step in zip(lists, steps, strict=True):
                if self.order == "random":
                    np.random.Generator(np.random.PCG64((self.seed, batch, number, int(step)))).shuffle(units)
                found.append((units * unit).astype(np.int32))
            at = to
        return found

    def _tuned(self, context: int, unit: int) -> _Tuned:
        """Derived parameters for contexts that count as `context` units."""
        wanted = self.count(context * unit, unit) // unit
        newest = int(wanted * self.pool / 2)
        pool = min(1.0, newest / max(1, context - newest))
        chances = Chances(self.recency, context, wanted, unit, newest, pool)
        overlap = self.overlap
        if not isinstance(overlap, dict):
            overlap = {lag: max(0.0, overlap - self.decay * float(np.log2(lag))) for lag in LAGS}
        return _Tuned(context, newest, pool, chances, chances.shares(overlap, CONSTANTS, self.popularity))

    def _lists(
        self,
        tuned: _Tuned,
        whose: tuple[int, int],
        first: int,
        ends: NDArray[np.int64],
        steps: NDArray[np.int64],
        counts: Sequence[int],
    ) -> list[NDArray[np.int64]]:
        """The sorted units of some steps, with candidates from unit `first` to those of `ends`."""
        base = np.random.SeedSequence((self.seed, whose[0])).generate_state(3, np.uint64)
        offset = int(base[0] % np.uint64(self.segment))
        segments = np.arange((first + offset) // self.segment, (int(ends.max()) - 1 + offset) // self.segment + 1)
        lucky = uniform(base[1], segments) < tuned.pool
        # Enough of the newest units for every step, since the nominal length of its context is rounded.
        reach = max(tuned.newest, *counts)
        near = (segments + 1) * self.segment - offset > int(ends.min()) - reach
        units = (segments[lucky | near, None] * self.segment - offset + np.arange(self.segment)).ravel()
        units = np.union1d(units, first + np.arange(self.sinks))
        units = units[(units >= first) & (units < ends.max())]
        segment = (units + offset) // self.segment
        ages = ends[:, None] - units
        sink = units < first + self.sinks
        inside = (ages >= 1) & (lucky[segment - segments[0]] | (ages <= reach) | sink)
        by_age = tuned.chances.level(np.maximum(np.arange(int(ages.max()) + 1.0), 1)).astype(np.float32)
        level = by_age[np.maximum(ages, 0)]
        seeds = self._seeds(base[2], whose[1], segment, tuned.chances)
        score = self._scores(tuned.shares, seeds, units, segment, steps, level, base[2])
        score[:, sink] = SURE - (units[sink] - first)
        score[~inside] = -np.inf
        return [units[np.sort(np.argpartition(-row, k - 1)[:k])] for row, k in zip(score, counts, strict=True)]

    def _scores(
        self,
        shares: Floats,
        seeds: Words,
        units: NDArray[np.int64],
        segment: NDArray[np.int64],
        steps: NDArray[np.int64],
        level: NDArray[np.float32],
        base: np.uint64,
    ) -> NDArray[np.float32]:
        """The scores, [step, unit], from the levels by age."""
        fresh, lasting = (np.zeros((len(steps), len(units)), np.float32) for _ in range(2))
        for salt, (name, part) in enumerate(((units, 1 - self.cluster), (segment, self.cluster))):
            for order, (share, constant) in enumerate(zip(shares, (*CONSTANTS, 0), strict=True)):
                weight = part * (1.0 if order == 0 else share / max(1 - shares[0], 1e-9))
                if share * weight > 0:
                    salted = mixed(seeds, np.full(1, 2 * order + salt))
                    target = fresh if order == 0 else lasting
                    target += np.float32(np.sqrt(weight)) * drawn(salted, name, steps, constant)
        mean = float(np.sqrt(1 - shares[0]))
        kept = np.full(len(steps), mean)
        if self.burst >= LEAST_BURST and 0 < mean < 1 - 1e-6:
            sure = 1 / self.burst - 1
            kept = scipy.special.betaincinv(mean * sure, (1 - mean) * sure, spread_evenly(int(base), steps))
        kept = np.maximum(kept, 0.1)
        factor = amplitude(kept[:, None], level, self.popularity).astype(np.float32)
        # A smaller lasting part widens the scores, so levels by age have less weight in such a step.
        spread = (mean / kept).astype(np.float32)[:, None]
        scores: NDArray[np.float32] = level + spread * (factor * lasting + np.sqrt(1 - factor**2) * fresh)
        return scores

    def _seeds(self, base: np.uint64, number: int, segment: NDArray[np.int64], chances: Chances) -> Words:
        """A seed for each unit: of the list and layer, or one that lists or layers share."""
        luck_of_list, luck_of_layer = (uniform(base, segment, number) for number in (1, 2))
        of_all, of_group = chances.common(self.between_groups), chances.common(self.within_group)
        group, head = number // self.group, number % self.group
        lists = np.where(luck_of_list < of_all, 0, 1 + group)
        lists = np.where(luck_of_list < max(of_all, of_group), lists, (1 + group) * 2**20 + 1 + head)
        layers = np.where(luck_of_layer < chances.common(self.between_layers), 0, 1 + self.layer)
        return mixed(mixed(np.full(1, base), lists), layers)


def _nominal(context: int) -> int:
    """The power of two that represents a context, so that its parameters do not change from step to step."""
    return int(2 ** round(float(np.log2(max(1, context)))))

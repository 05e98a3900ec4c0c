"""How errors carry over between subjects: a linear mixed model of the logarithm of measured / predicted time.

The logarithm of a row's factor is a common mean plus an independent normal component for each property:

    family                    decode, prefill, step, ...
    chip                      a chip, in all that runs on it
    kernel                    a kernel, with or without pages (of steps: where the chips are)
    kernel on chip            the two together
    element type              of a kernel: what another type than one of 16 bits changes
    pattern                   of a kernel in a type (so are the next four, and size): which tokens are read
    head dimension            of a kernel
    pattern, head dimension   of a kernel, the two together
    pattern, head dim., chip  the three together
    caches                    of a kernel: what the caches hold before
    size                      of a kernel and pattern: a random walk of one step for each factor of 4 below the largest
    short call                of a kernel: what it takes before and after its loop (see below)
    short prefill             the same in prefill, where a kernel is named
    short call, row           the same, of a row alone
    row                       what nothing else explains
    row, code not measured    the same, in addition, where cycles of the kernel's code were not measured
    prefill without code      of a chip: in prefill the kernel's code decides, and calls that name no kernel have none
    no kernel, head dimension of attention calls that name no kernel, whose tiles are chosen automatically

An error that does not grow with the call (a launch, a prologue, first loads, a merge) is absolute: relative to the time
it falls as the time grows. So the components of short calls are weighted by FLOOR / (FLOOR + predicted time): fully in
a call that takes no time, by 2.7 % at 180 us. In prefill a program takes longer to begin and to end than a whole short
decode, so prefill has its own component.

Two subjects share the components of their common properties. So a measured subject has a narrow distribution, centred
on its own bias; a subject that shares only some properties with measured rows has a wider one, by the standard
deviations of the components that it does not share; and in a ratio of two subjects the shared components cancel.

No kernel has been measured in two element types, so the component of the type cannot be estimated. It is assumed to be
as large as all components that distinguish two kernels together, because another type means other code.

The standard deviations are estimated from evidence.csv by restricted maximum likelihood (Patterson and Thompson, 1971)
and stored in components.csv; `make validation` writes both. Given these, the distribution of any subjects is the best
linear unbiased prediction (Henderson, 1975; in geostatistics: universal kriging).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from memgrain.runs.validated.evidence import Evidence, evidence
from memgrain.runs.validated.subject import MEASURED, UNKNOWN, Subject

COMPONENTS = Path(__file__).parent / "components.csv"
FAMILY, CHIP, KERNEL, KERNEL_CHIP = "family", "chip", "kernel", "kernel on chip"
TYPE = "element type"
SHORT, SHORT_PREFILL, SHORT_ROW = "short call", "short prefill", "short call, row"
PATTERN, HEAD_DIM, BOTH, CACHES = "pattern", "head dimension", "pattern, head dimension", "caches"
BOTH_CHIP = "pattern, head dimension, chip"
NO_CODE, NO_KERNEL_HEAD_DIM = "prefill without code", "no kernel, head dimension"
SIZE, ROW, ROW_SOURCES = "size", "row", "row, code not measured"
OF_KERNEL = (KERNEL, KERNEL_CHIP, PATTERN, HEAD_DIM, BOTH, BOTH_CHIP, CACHES)
"""Components that distinguish two kernels."""
SHARED = (FAMILY, CHIP, TYPE, *OF_KERNEL, NO_CODE, NO_KERNEL_HEAD_DIM, SHORT, SHORT_PREFILL)
"""Components shared by subjects with an equal key."""
PARTS = (*SHARED, SIZE, ROW, ROW_SOURCES, SHORT_ROW)
"""All components of a row's error."""
STEP = 4
"""Factor of bytes per step of the random walk over sizes."""
FLOOR = 5.0
"""Predicted time in us at which errors of short calls have half weight. Among 2, 5 and 10 us it has the highest
restricted likelihood for a third of the rows."""
BASE = ("", "16-bit")
"""Element types in which kernels were measured; other types have a component of their own."""
Float64Array = NDArray[np.float64]
Keys = dict[str, tuple[object, ...] | None]


@dataclass(frozen=True)
class Joint:
    """Joint normal distribution of the logarithms of measured / predicted time of several subjects."""

    mean: Float64Array
    """Means of the logarithms."""
    covariance: Float64Array
    """Covariance of the logarithms."""

    def quantile(self, level: float, powers: Sequence[float] = (1.0,)) -> float:
        """The quantile at `level` of the product of measured / predicted times raised to `powers`: (1, -1) is a ratio
        of two."""
        weights = np.asarray(powers)
        deviation = math.sqrt(float(weights @ self.covariance @ weights))
        return math.exp(float(weights @ self.mean) + NormalDist().inv_cdf(level) * deviation)

    def ratios(self, level: float) -> Float64Array:
        """For every two subjects, how far measured / predicted of their ratio may lie from 1 at `level`, as a
        logarithm: [subject, subject], symmetric, 0 on the diagonal."""
        variances = np.diag(self.covariance)
        spread = np.sqrt(np.maximum(np.add.outer(variances, variances) - 2 * self.covariance, 0))
        away = np.abs(np.subtract.outer(self.mean, self.mean))
        return np.asarray(np.where(np.eye(len(variances), dtype=bool), 0, away + NormalDist().inv_cdf(level) * spread))


@dataclass(frozen=True)
class Parts:
    """The components' standard deviations, and the covariance of two subjects that follows from them."""

    deviations: Mapping[str, float]
    """Standard deviation of each component."""
    largest: int
    """Bytes at which the random walk over sizes begins."""

    def covariance(self, first: Sequence[Subject], second: Sequence[Subject]) -> Float64Array:
        """Covariance of rows of the `first` subjects with different rows of the `second` ones."""
        ours, theirs = [_keys(subject) for subject in first], [_keys(subject) for subject in second]
        found = np.zeros((len(first), len(second)))
        for part in SHARED:
            if self.deviations[part]:
                weights = (
                    np.multiply.outer(_shortness(first), _shortness(second)) if part in (SHORT, SHORT_PREFILL) else 1.0
                )
                found += self.deviations[part] ** 2 * weights * _equal(part, ours, theirs)
        depths = np.minimum.outer([self.depth(s) for s in first], [self.depth(s) for s in second])
        return found + self.deviations[SIZE] ** 2 * _equal(PATTERN, ours, theirs) * depths

    def noise(self, subjects: Sequence[Subject]) -> Float64Array:
        """Variance that a row shares with no other row."""
        more = np.array([subject.code != MEASURED for subject in subjects])
        short = self.deviations[SHORT_ROW] ** 2 * _shortness(subjects) ** 2
        return self.deviations[ROW] ** 2 + self.deviations[ROW_SOURCES] ** 2 * more + short

    def depth(self, subject: Subject) -> int:
        """Number of factors of 4 by which a subject is smaller than the largest row; 0 if its bytes are unknown."""
        return max(0, round(math.log(self.largest / subject.bytes, STEP))) if subject.bytes else 0


class Law:
    """The mixed model, conditioned on measured rows."""

    def __init__(self, rows: Sequence[Evidence], deviations: Mapping[str, float]) -> None:
        self.parts = Parts(deviations, largest(rows))
        """The components."""
        self._subjects = tuple(row.subject for row in rows)
        own = self.parts.covariance(self._subjects, self._subjects) + np.diag(self.parts.noise(self._subjects))
        logs = np.array([row.log_factor for row in rows])
        self._inverse = np.linalg.inv(own)
        self._ones = self._inverse.sum(axis=1)
        self._mean = float(self._ones @ logs) / float(self._ones.sum())
        self._weights = self._inverse @ (logs - self._mean)

    def joint(self, subjects: Sequence[Subject]) -> Joint:
        """The joint distribution of new rows of these subjects."""
        across = self.parts.covariance(subjects, self._subjects)
        own = self.parts.covariance(subjects, subjects) + np.diag(self.parts.noise(subjects))
        left = 1 - across @ self._ones
        covariance = own - across @ self._inverse @ across.T + np.outer(left, left) / float(self._ones.sum())
        return Joint(self._mean + across @ self._weights, covariance)


def largest(rows: Sequence[Evidence]) -> int:
    """Bytes of the largest row."""
    return max(row.subject.bytes for row in rows)


@lru_cache(maxsize=8192)
def _keys(subject: Subject) -> Keys:
    """Key of each component; two subjects with an equal key share it. None: the subject has no such component."""
    kernel = (subject.family, subject.kernel, subject.pages, subject.links)
    typed = (*kernel, subject.dtype)
    size, generic = (subject.head_dim, subject.value_dim), subject.code == UNKNOWN
    prefill = subject.family == "prefill"
    return {
        FAMILY: (subject.family,),
        CHIP: (subject.chip,),
        KERNEL: kernel,
        KERNEL_CHIP: (*kernel, subject.chip),
        TYPE: None if subject.dtype in BASE else typed,
        PATTERN: (*typed, subject.pattern),
        HEAD_DIM: (*typed, *size),
        BOTH: (*typed, subject.pattern, *size),
        BOTH_CHIP: (*typed, subject.pattern, *size, subject.chip),
        CACHES: (*typed, subject.caches),
        NO_CODE: (subject.chip,) if generic and prefill else None,
        NO_KERNEL_HEAD_DIM: (*typed, *size) if generic else None,
        SHORT: None if prefill else kernel,
        SHORT_PREFILL: kernel if prefill and not generic else None,
    }


def _equal(part: str, first: Sequence[Keys], second: Sequence[Keys]) -> Float64Array:
    """1 where two subjects share a component, else 0."""
    number: dict[tuple[object, ...] | None, int] = {None: -1}
    ours, theirs = (
        np.array([number.setdefault(keys[part], len(number)) for keys in subjects]) for subjects in (first, second)
    )
    return np.asarray(np.equal.outer(ours, theirs) & (ours >= 0)[:, None], float)


def _shortness(subjects: Sequence[Subject]) -> Float64Array:
    """Weights of the components of short calls; 0 if the time is unknown."""
    times = np.array([subject.predicted_us for subject in subjects])
    return np.where(times > 0, FLOOR / (FLOOR + times), 0.0)


def read_components(path: Path) -> dict[str, float]:
    """Standard deviations of the components."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["part"]: float(row["deviation"]) for row in csv.DictReader(file)}


@lru_cache(maxsize=1)
def law() -> Law:
    """The mixed model conditioned on the shipped rows."""
    return Law(evidence(), read_components(COMPONENTS))

"""How errors carry over: a linear mixed model of the logarithm of measured / predicted time.

The logarithm of a row's factor is a mean that all rows share, plus an independent normal part for each property:

    family                    decode, prefill, step, ...
    chip                      a chip, in all that runs on it
    kernel                    a kernel with an element size, with or without pages (of steps: where the chips are)
    kernel on chip            the two together
    pattern                   of a kernel: which tokens are read
    head dimension            of a kernel
    pattern, head dimension   of a kernel, the two together
    pattern, head dim., chip  the three together
    caches                    of a kernel: what the caches hold before
    size                      of a kernel and pattern: a random walk of one step for each factor of 4 below the largest
    row                       what nothing else explains
    row, code not measured    the same, in addition, where cycles of the kernel's code were not measured
    prefill without code      of a chip: in prefill the kernel's code decides, and calls that name no kernel have none
    no kernel, head dimension of attention calls that name no kernel, whose tiles are chosen automatically

Two subjects share the parts of the properties that they have in common. So a subject that was measured has a narrow
law, centred on its own bias; one that shares only some properties with measured rows has a wider one, by the standard
deviations of the parts that it does not share; and in a ratio of two subjects the shared parts cancel.

The standard deviations are estimated from evidence.csv by restricted maximum likelihood (Patterson and Thompson, 1971)
and stand in components.csv; `make validation` writes both. Given these, the law of any subjects is the best linear
unbiased prediction (Henderson, 1975; in geostatistics: universal kriging).
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
PATTERN, HEAD_DIM, BOTH, CACHES = "pattern", "head dimension", "pattern, head dimension", "caches"
BOTH_CHIP = "pattern, head dimension, chip"
NO_CODE, NO_KERNEL_HEAD_DIM = "prefill without code", "no kernel, head dimension"
SIZE, ROW, ROW_SOURCES = "size", "row", "row, code not measured"
SHARED = (FAMILY, CHIP, KERNEL, KERNEL_CHIP, PATTERN, HEAD_DIM, BOTH, BOTH_CHIP, CACHES, NO_CODE, NO_KERNEL_HEAD_DIM)
"""Parts that subjects share whose key is equal."""
PARTS = (*SHARED, SIZE, ROW, ROW_SOURCES)
"""All parts of a row's error."""
STEP = 4
"""Factor of bytes that is one step of the walk over sizes."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Joint:
    """The law of the logarithms of measured / predicted of some subjects: normal."""

    mean: Floats
    """Their means."""
    covariance: Floats
    """Their covariance."""

    def quantile(self, level: float, powers: Sequence[float] = (1.0,)) -> float:
        """At that level, the product of measured / predicted times to these powers: (1, -1) is a ratio of two."""
        weights = np.asarray(powers)
        deviation = math.sqrt(float(weights @ self.covariance @ weights))
        return math.exp(float(weights @ self.mean) + NormalDist().inv_cdf(level) * deviation)

    def ratios(self, level: float) -> Floats:
        """Of every two subjects, how far measured over predicted of their ratio may lie from 1 at that level, as a
        logarithm: [subject, subject], symmetric, 0 on the diagonal."""
        variances = np.diag(self.covariance)
        spread = np.sqrt(np.maximum(np.add.outer(variances, variances) - 2 * self.covariance, 0))
        away = np.abs(np.subtract.outer(self.mean, self.mean))
        return np.asarray(np.where(np.eye(len(variances), dtype=bool), 0, away + NormalDist().inv_cdf(level) * spread))


@dataclass(frozen=True)
class Parts:
    """Variances of the parts, and what two subjects share of them."""

    deviations: Mapping[str, float]
    """Standard deviation of each part."""
    largest: int
    """Bytes at which the walk over sizes begins."""

    def covariance(self, first: Sequence[Subject], second: Sequence[Subject]) -> Floats:
        """Covariance of rows of the first subjects with other rows of the second ones."""
        found = np.zeros((len(first), len(second)))
        for part in SHARED:
            if self.deviations[part]:
                found += self.deviations[part] ** 2 * _equal(part, first, second)
        depths = np.minimum.outer([self.depth(s) for s in first], [self.depth(s) for s in second])
        return found + self.deviations[SIZE] ** 2 * _equal(PATTERN, first, second) * depths

    def noise(self, subjects: Sequence[Subject]) -> Floats:
        """Variance that a row shares with no other one."""
        more = np.array([subject.code != MEASURED for subject in subjects])
        return self.deviations[ROW] ** 2 + self.deviations[ROW_SOURCES] ** 2 * more

    def depth(self, subject: Subject) -> int:
        """Factors of 4 by which a subject is smaller than the largest row; 0 where its bytes are not known."""
        return max(0, round(math.log(self.largest / subject.bytes, STEP))) if subject.bytes else 0

    def cell(self, subject: Subject) -> tuple[object, ...]:
        """What rows have in common that differ in nothing but their own part."""
        return (*_keys(subject).values(), self.depth(subject), subject.code == MEASURED)


@dataclass(frozen=True)
class Cells:
    """Rows that differ in nothing but their own part, as one."""

    subjects: tuple[Subject, ...]
    """Of each cell one."""
    means: Floats
    """Mean of the logarithms of measured / predicted."""
    counts: Floats
    """Rows."""
    squares: Floats
    """Sum of the squared distances from the mean."""

    @classmethod
    def of(cls, rows: Sequence[Evidence]) -> Cells:
        """The cells of some rows."""
        parts, found = Parts({}, largest(rows)), dict[tuple[object, ...], list[Evidence]]()
        for row in rows:
            found.setdefault(parts.cell(row.subject), []).append(row)
        values = [np.array([row.log_factor for row in cell]) for cell in found.values()]
        return cls(
            tuple(cell[0].subject for cell in found.values()),
            np.array([value.mean() for value in values]),
            np.array([float(len(value)) for value in values]),
            np.array([((value - value.mean()) ** 2).sum() for value in values]),
        )


class Law:
    """The mixed model, conditioned on measured rows."""

    def __init__(self, rows: Sequence[Evidence], deviations: Mapping[str, float]) -> None:
        self.parts = Parts(deviations, largest(rows))
        """What the parts are."""
        cells = Cells.of(rows)
        noise = self.parts.noise(cells.subjects) / cells.counts
        self._subjects = cells.subjects
        self._inverse = np.linalg.inv(self.parts.covariance(self._subjects, self._subjects) + np.diag(noise))
        self._ones = self._inverse.sum(axis=1)
        self._mean = float(self._ones @ cells.means) / float(self._ones.sum())
        self._weights = self._inverse @ (cells.means - self._mean)

    def joint(self, subjects: Sequence[Subject]) -> Joint:
        """The law of new rows of these subjects."""
        across = self.parts.covariance(subjects, self._subjects)
        own = self.parts.covariance(subjects, subjects) + np.diag(self.parts.noise(subjects))
        left = 1 - across @ self._ones
        covariance = own - across @ self._inverse @ across.T + np.outer(left, left) / float(self._ones.sum())
        return Joint(self._mean + across @ self._weights, covariance)


def largest(rows: Sequence[Evidence]) -> int:
    """Bytes of the largest row."""
    return max(row.subject.bytes for row in rows)


@lru_cache(maxsize=8192)
def _keys(subject: Subject) -> dict[str, tuple[object, ...] | None]:
    """By part, what two subjects share that share it; None if the subject has no such part."""
    kernel = (subject.family, subject.kernel, subject.dtype, subject.pages, subject.links)
    size, generic = (subject.head_dim, subject.value_dim), subject.code == UNKNOWN
    return {
        FAMILY: (subject.family,),
        CHIP: (subject.chip,),
        KERNEL: kernel,
        KERNEL_CHIP: (*kernel, subject.chip),
        PATTERN: (*kernel, subject.pattern),
        HEAD_DIM: (*kernel, *size),
        BOTH: (*kernel, subject.pattern, *size),
        BOTH_CHIP: (*kernel, subject.pattern, *size, subject.chip),
        CACHES: (*kernel, subject.caches),
        NO_CODE: (subject.chip,) if generic and subject.family == "prefill" else None,
        NO_KERNEL_HEAD_DIM: (*kernel, *size) if generic else None,
    }


def _equal(part: str, first: Sequence[Subject], second: Sequence[Subject]) -> Floats:
    """1 where two subjects share a part, else 0."""
    number: dict[tuple[object, ...] | None, int] = {None: -1}
    ours, theirs = (
        np.array([number.setdefault(_keys(subject)[part], len(number)) for subject in subjects])
        for subjects in (first, second)
    )
    return np.asarray(np.equal.outer(ours, theirs) & (ours >= 0)[:, None], float)


def read_components(path: Path) -> dict[str, float]:
    """Standard deviations of the parts."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["part"]: float(row["deviation"]) for row in csv.DictReader(file)}


@lru_cache(maxsize=1)
def law() -> Law:
    """The law that the shipped rows give."""
    return Law(evidence(), read_components(COMPONENTS))

"""Random numbers by name and time as 64-bit hashes, so that each is computed without earlier ones."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Words = NDArray[np.uint64]

STRETCH = 64
"""Steps over which `spread_evenly` spreads its values, so that a few hundred steps resemble any others."""


def mixed(seed: Words | np.uint64, name: NDArray[np.int64], period: int = 0) -> Words:
    """A hash of seed, name and period, element by element (the finalizer of SplitMix64, Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        word = name.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + seed * np.uint64(0xD1B54A32D192ED03)
        word = word + np.uint64(period) * np.uint64(0x8CB92BA72F3D8DD7)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: Words = word ^ (word >> np.uint64(31))
    return found


def uniform(seed: Words | np.uint64, name: NDArray[np.int64], period: int = 0) -> NDArray[np.float32]:
    """Numbers in (0, 1), 24 bits each, less the last step of a float32."""
    high = (mixed(seed, name, period) >> np.uint64(41)).astype(np.float32)
    return (high + np.float32(0.5)) * np.float32(2**-23)


def drawn(
    seed: Words | np.uint64, name: NDArray[np.int64], steps: NDArray[np.int64], constant: int
) -> NDArray[np.float32]:
    """Normal numbers [step, name], each redrawn every `constant` steps at its own phase; with 0 never."""
    if constant == 0:
        return np.asarray(scipy.special.ndtri(uniform(seed, name)))[None, :]
    with np.errstate(over="ignore"):
        phase = (mixed(seed + np.uint64(1), name) % np.uint64(constant)).astype(np.int64)
    periods = (steps[:, None] + phase) // constant
    first = int(periods.min())
    values = np.array(
        [scipy.special.ndtri(uniform(seed, name, period)) for period in range(first, int(periods.max()) + 1)]
    )
    found: NDArray[np.float32] = values[periods - first, np.arange(len(name))]
    return found


def spread_evenly(seed: int, steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number in (0, 1) for each step, spread evenly over every aligned stretch of STRETCH steps, in random order."""
    found = np.zeros(len(steps))
    for stretch in np.unique(steps // STRETCH):
        rng = np.random.Generator(np.random.PCG64((seed, int(stretch))))
        numbers = (rng.permutation(STRETCH) + rng.random(STRETCH)) / STRETCH
        here = steps // STRETCH == stretch
        found[here] = numbers[steps[here] % STRETCH]
    return np.clip(found, 1e-9, 1 - 1e-9)

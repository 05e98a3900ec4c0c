"""Assignment of tokens to experts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LARGEST = 1 << 24
"""Random numbers drawn at once."""


def routed(tokens: int, experts: int, active: int, seed: int) -> NDArray[np.int64]:
    """Tokens of each expert, [experts], if each of `tokens` uses `active` different experts, all equally likely.

    Routers are trained for balance (DeepSeek-V3, arXiv 2412.19437, section 2.1.2); the tokens of a single sequence may
    still favour some experts.
    """
    random, found = np.random.Generator(np.random.PCG64(seed)), np.zeros(experts, np.int64)
    batch = max(1, LARGEST // experts)
    for first in range(0, tokens, batch):
        keys = random.random((min(batch, tokens - first), experts))
        chosen = np.argpartition(keys, active - 1, axis=1)[:, :active]
        found += np.bincount(chosen.ravel(), minlength=experts)
    return found


def busiest(loads: NDArray[np.int64], chips: int) -> NDArray[np.int64]:
    """The loads of the experts of the busiest chip: the one that reads most experts, and among those processes most
    tokens. Experts are dealt to the chips in order."""
    shares = loads.reshape(chips, -1)
    hit, tokens = (shares > 0).sum(axis=1), shares.sum(axis=1)
    found: NDArray[np.int64] = shares[max(range(chips), key=lambda chip: (int(hit[chip]), int(tokens[chip])))]
    return found

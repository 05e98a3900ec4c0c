"""Time of parts of programs that share the units of a core: mean-value analysis of a closed queueing network."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1 << 16)
def response(demands: tuple[int, ...], customers: int) -> int:
    """Mean time in ps of a round through units that each serve one customer after the other.

    `demands` are the times that a round needs of each unit, one unit after the other; `customers` rounds are always
    under way, and meet at random. Reiser and Lavenberg, Mean-value analysis of closed multichain queuing networks,
    JACM 27 (1980).
    """
    waiting = [0.0] * len(demands)
    total = 0.0
    for number in range(1, customers + 1):
        times = [demand * (1.0 + queue) for demand, queue in zip(demands, waiting, strict=True)]
        total = sum(times)
        waiting = [number * time / total for time in times]
    return round(total)

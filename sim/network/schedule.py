"""The messages of a collective: which chip sends how many bytes to which, step by step, for each algorithm.

The algorithms are those of Thakur, Rabenseifner and Gropp, Optimization of Collective Communication Operations in
MPICH, 2005: ring, recursive halving and doubling, pairwise exchange, and everything at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from memgrain.hwmodels.interconnect import Algorithm

SWITCH = -1
"""The switch as a sender or receiver."""


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes from one chip to another; chips are numbered among those that take part."""

    source: int
    """The sender; SWITCH for the switch itself."""
    target: int
    """The receiver; SWITCH for the switch itself."""
    size: int
    """Bytes."""


MessageStep = list[Message]
"""Messages that are sent at once. A chip's next step begins when its messages of this one have left and those to it
have arrived."""


def blocks(size: int, chips: int) -> list[int]:
    """Bytes cut into as many parts, as even as whole bytes allow."""
    ends = [size * end // chips for end in range(chips + 1)]
    return [end - start for start, end in pairwise(ends)]


def _ring(parts: Sequence[int], directions: Sequence[int], first: int) -> list[MessageStep]:
    """Every chip passes a part to its neighbour N - 1 times; parts are cut evenly over the directions of the ring."""
    chips = len(parts)
    return [
        [
            Message(
                chip,
                (chip + direction) % chips,
                blocks(parts[(chip - direction * (step + first)) % chips], len(directions))[part],
            )
            for chip in range(chips)
            for part, direction in enumerate(directions)
        ]
        for step in range(chips - 1)
    ]


def _ring_gather(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    return _ring(blocks(size, chips), directions, 0)


def _ring_scatter(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    return _ring(blocks(size, chips), directions, 1)


def _doubling(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    """Partners at distance 1, 2, 4 ... exchange all that they have gathered."""
    ends = [0, *accumulate(blocks(size, chips))]
    steps, distance = [], 1
    while distance < chips:
        step = []
        for chip in range(chips):
            first = chip & ~(distance - 1)
            step.append(Message(chip, chip ^ distance, ends[first + distance] - ends[first]))
        steps.append(step)
        distance *= 2
    return steps


def _halving(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    """Partners at distance N/2, N/4 ... exchange the half that the other one continues with: doubling, backwards."""
    return [
        [Message(message.target, message.source, message.size) for message in step]
        for step in reversed(_doubling(size, chips, directions))
    ]


def _everyone(parts: Sequence[int], to: Callable[[int, int], int]) -> MessageStep:
    """Each chip to each other one at once, in an order in which no port is used twice in a row."""
    chips = len(parts)
    return [
        Message(chip, (chip + away) % chips, parts[to(chip, (chip + away) % chips)])
        for away in range(1, chips)
        for chip in range(chips)
    ]


def _direct_gather(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    return [_everyone(blocks(size, chips), lambda source, target: source)]


def _direct_scatter(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    return [_everyone(blocks(size, chips), lambda source, target: target)]


def _one_shot(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    return [_everyone([size] * chips, lambda source, target: source)]


def _pairwise(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    whole = _direct_scatter(size, chips, directions)[0]
    return [whole[start : start + chips] for start in range(0, len(whole), chips)]


def _reduce_in_switch(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    parts = blocks(size, chips)
    return [[*(Message(i, SWITCH, size) for i in range(chips)), *(Message(SWITCH, i, n) for i, n in enumerate(parts))]]


def _gather_in_switch(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    parts = blocks(size, chips)
    return [[*(Message(i, SWITCH, n) for i, n in enumerate(parts)), *(Message(SWITCH, i, size) for i in range(chips))]]


def _all_in_switch(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    """Each chip has its part reduced and sent to all, piece by piece: what returns need not wait for what goes out."""
    return [_reduce_in_switch(size, chips, directions)[0] + _gather_in_switch(size, chips, directions)[0]]


def _binomial(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    """Chips that have the message send it on: 1, 2, 4 ... have it."""
    steps, having = [], 1
    while having < chips:
        steps.append([Message(chip, chip + having, size) for chip in range(min(having, chips - having))])
        having *= 2
    return steps


def _scatter_ring(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    """The first chip scatters parts, which a ring then gathers (van de Geijn's broadcast)."""
    deal = [Message(0, chip, part) for chip, part in enumerate(blocks(size, chips)) if chip]
    return [deal, *_ring_gather(size, chips, directions)]


def _to_all(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    return [[Message(0, chip, size) for chip in range(1, chips)]]


def _multicast(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    return [[Message(0, SWITCH, size), *(Message(SWITCH, chip, size) for chip in range(1, chips))]]


def _send(size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    return [[Message(0, 1, size)]]


_Maker = Callable[[int, int, Sequence[int]], list[MessageStep]]


def _both(first: _Maker, second: _Maker) -> _Maker:
    return lambda size, chips, directions: first(size, chips, directions) + second(size, chips, directions)


MAKERS: dict[str, dict[Algorithm, _Maker]] = {
    "all_reduce": {
        "ring": _both(_ring_scatter, _ring_gather),
        "tree": _both(_halving, _doubling),
        "direct": _both(_direct_scatter, _direct_gather),
        "one_shot": _one_shot,
        "in_network": _all_in_switch,
    },
    "all_gather": {
        "ring": _ring_gather,
        "tree": _doubling,
        "direct": _direct_gather,
        "in_network": _gather_in_switch,
    },
    "reduce_scatter": {
        "ring": _ring_scatter,
        "tree": _halving,
        "direct": _direct_scatter,
        "in_network": _reduce_in_switch,
    },
    "all_to_all": {"direct": _direct_scatter, "pairwise": _pairwise},
    "broadcast": {"ring": _scatter_ring, "tree": _binomial, "direct": _to_all, "in_network": _multicast},
    "send": {"direct": _send},
}
"""The operations, and the algorithms of each.

Bytes are those of nccl-tests: of the vector that is reduced, of the whole result of an all-gather, of the whole input
of a reduce-scatter, of all that one chip has for the others and itself in an all-to-all, of the message otherwise.
"""
EXCHANGES = ("all_to_all", "send")
"""Operations of messages between two chips, for which libraries have other rules."""
POWERS_ONLY = {"all_reduce", "all_gather", "reduce_scatter"}
"""Operations whose tree needs a power of two of chips."""


def schedule(op: str, algorithm: Algorithm, size: int, chips: int, directions: Sequence[int]) -> list[MessageStep]:
    """The steps of an operation; `directions` are those of a ring (1 and -1 where both can be used at once)."""
    return MAKERS[op][algorithm](size, chips, directions)

"""Collectives over several chips: each step's messages reserve the links on their path, by alpha + bytes / beta.

`auto` takes the fastest algorithm and protocol that the chip's library has, as NCCL's cost model does. Over two tiers
an operation consists of operations within nodes and between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from memgrain.hwmodels import Chip
from memgrain.hwmodels.interconnect import Algorithm, Interconnect, Tier
from memgrain.sim.errors import SimulationError
from memgrain.sim.network.schedule import EXCHANGES, MAKERS, POWERS_ONLY, SWITCH, Message, MessageStep, schedule

PLAIN = "simple"
"""The protocol of large messages: that of the tier itself."""
AUTO = "auto"
SECOND = 10**12
"""Picoseconds."""
LARGEST = 1024
"""Chips of a group, or nodes: everyone to everyone is a million messages then."""


@dataclass(frozen=True)
class TierOperation:
    """One operation on one tier."""

    tier: str
    """node or network."""
    op: str
    """The operation."""
    algorithm: Algorithm
    """The algorithm of its steps."""
    protocol: str
    """The protocol of its messages: one of the tier, or simple."""
    chips: int
    """Chips of each of the groups that run it at once."""
    steps: int
    """Steps of the algorithm."""
    time: int
    """From its beginning to when the last chip is done, in ps."""
    sent_bytes: int
    """Bytes that the busiest chip sends."""


@dataclass(frozen=True)
class CollectiveRun:
    """A collective operation that was simulated."""

    op: str
    """The operation."""
    bytes: int
    """Its size, as MAKERS says."""
    chips: int
    """How many chips take part."""
    time: int
    """From its launch to when the last chip is done, in ps."""
    startup: int
    """Share of the time beside messages and copies, in ps."""
    copy: int
    """Share of the time in which a chip copies its own part into the result, in ps."""
    phases: tuple[TierOperation, ...]
    """The operations on tiers that it consists of, in order."""

    @property
    def sent_bytes(self) -> int:
        """Bytes that the busiest chip sends, over all tiers."""
        return sum(phase.sent_bytes for phase in self.phases)

    @property
    def steps(self) -> int:
        """Steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    @property
    def algorithm(self) -> str:
        """The algorithms of the phases."""
        return " + ".join(phase.algorithm for phase in self.phases)

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers that it crosses."""
        return tuple(dict.fromkeys(phase.tier for phase in self.phases))


def collective(chip: Chip, op: str, size: int, chips: int, algorithm: str = AUTO) -> CollectiveRun:
    """Time and traffic of an operation of `size` bytes over `chips` chips.

    Raises SimulationError if the chip has no interconnect or links for fewer chips, if the operation or the algorithm
    is unknown, or if the size is below 1.
    """
    links = chip.interconnect
    if links is None:
        raise SimulationError(f"{chip.name} has no interconnect; describe one in its file, or choose another chip")
    if op not in MAKERS:
        raise SimulationError(f"no operation '{op}'; choose one of {', '.join(MAKERS)}")
    if size < 1:
        raise SimulationError(f"an {op} of {size} bytes moves nothing; ask for at least 1 byte")
    known = dict.fromkeys(name for makers in MAKERS.values() for name in makers)
    if algorithm != AUTO and algorithm not in known:
        raise SimulationError(f"no algorithm '{algorithm}'; choose one of {', '.join([AUTO, *known])}")
    parts = _parts(chip.name, links, op, size, chips)
    if (most := max(members for *_, members in parts)) > LARGEST:
        raise SimulationError(f"{most} chips or nodes in one group are too many messages; ask for at most {LARGEST}")
    phases = tuple(
        min(_candidates(chip.name, links, tier, kind, part, members, algorithm), key=lambda phase: phase.time)
        for tier, kind, part, members in parts
    )
    copied = -(-size // chips) if op in ("all_gather", "reduce_scatter", "all_to_all") else 0
    copy = -(-copied * SECOND // links.copy_bandwidth) if links.copy_bandwidth else 0
    time = links.startup + sum(phase.time for phase in phases) + copy
    return CollectiveRun(op, size, chips, time, links.startup, copy, phases)


def _parts(name: str, links: Interconnect, op: str, size: int, chips: int) -> list[tuple[str, str, int, int]]:
    """The operations on tiers that an operation consists of: tier, operation, bytes, chips of a group."""
    near = cast(int, links.node.chips)
    if chips < 2:
        raise SimulationError(f"a collective needs at least 2 chips, got {chips}; ask for more")
    if chips <= near:
        return [("node", op, size, chips)]
    if links.network is None:
        raise SimulationError(f"{name} has links for {near} chips, got {chips}; ask for fewer, or describe a network")
    if links.network.chips is not None and chips > links.network.chips:
        raise SimulationError(f"{name} has links for {links.network.chips} chips, got {chips}; ask for fewer")
    if op == "send":
        return [("network", op, size, 2)]
    if chips % near:
        raise SimulationError(f"{chips} chips are no whole nodes of {near}; ask for a multiple of {near}")
    nodes, piece = chips // near, -(-size // near)
    return {
        "all_reduce": [
            ("node", "reduce_scatter", size, near),
            ("network", "all_reduce", piece, nodes),
            ("node", "all_gather", size, near),
        ],
        "all_gather": [("network", op, piece, nodes), ("node", op, size, near)],
        "reduce_scatter": [("node", op, size, near), ("network", op, piece, nodes)],
        "all_to_all": [("node", op, size, near), ("network", op, size, nodes)],
        "broadcast": [("network", op, size, nodes), ("node", op, size, near)],
    }[op]


def _candidates(
    name: str, links: Interconnect, tier: str, op: str, size: int, chips: int, algorithm: str
) -> Iterator[TierOperation]:
    """An operation on a tier by every algorithm and protocol that may be chosen."""
    spec: Tier = getattr(links, tier)
    wanted = list(links.algorithms if algorithm == AUTO else [cast(Algorithm, algorithm)])
    able = {item: _why_not(spec, op, item, chips) for item in dict.fromkeys([*wanted, *MAKERS[op]])}
    chosen = [item for item in wanted if able[item] is None]
    if not chosen and algorithm != AUTO:
        raise SimulationError(f"{name}, {tier}: {able[wanted[0]]}")
    if not chosen:
        chosen = [item for item in MAKERS[op] if able[item] is None]
    for item in chosen:
        # Both directions of a ring of links carry half each; a port to a switch is filled by one.
        steps = schedule(op, item, size, chips, (1, -1) if spec.topology == "ring" and chips > 2 else (1,))
        for protocol, before, latency, share in _protocols(spec, op, item, size, chips):
            time, sent = _send_all(steps, spec, chips, latency, share)
            yield TierOperation(tier, op, item, protocol, chips, len(steps), before + time, sent)


def _why_not(spec: Tier, op: str, algorithm: Algorithm, chips: int) -> str | None:
    """Why an algorithm cannot carry out an operation; None if it can."""
    if algorithm not in MAKERS[op]:
        return f"there is no {algorithm} {op}; choose one of {', '.join(MAKERS[op])}"
    if algorithm == "in_network" and spec.in_network is None:
        return "its switch computes nothing; describe in_network, or choose another algorithm"
    if algorithm == "tree" and op in POWERS_ONLY and chips & (chips - 1):
        return f"a tree {op} needs a power of two of chips, got {chips}; choose another algorithm"
    return None


def _protocols(
    spec: Tier, op: str, algorithm: Algorithm, size: int, chips: int
) -> Iterator[tuple[str, int, int, float]]:
    """Name, time before, latency and share of the bandwidth of each protocol for the messages of an operation."""
    if algorithm == "in_network" and spec.in_network is not None:
        yield PLAIN, 0, spec.in_network.latency, spec.in_network.share
        return
    yield PLAIN, spec.fence or 0, spec.latency, 1.0
    message = size if op == "send" else -(-size // chips)
    for name, protocol in spec.protocols.items():
        if op not in EXCHANGES or message <= (protocol.largest_exchange or 0):
            yield name, 0, protocol.latency, protocol.share


def _send_all(steps: list[MessageStep], spec: Tier, chips: int, latency: int, share: float) -> tuple[int, int]:
    """When the last chip is done, in ps, and the bytes that the busiest one has sent."""
    free: dict[tuple[str, int, int], int] = {}
    ready, sent = [0] * chips, [0] * chips
    port = max(1, int(spec.bandwidth * share))
    pair = max(1, int((spec.pair_bandwidth or spec.bandwidth) * share))
    for step in steps:
        begin, everyone = list(ready), max(ready)
        for message in step:
            source, target, size = message.source, message.target, message.size
            start = everyone if SWITCH in (source, target) else begin[source]
            path, hops = _path(message, spec, chips)
            left = start
            for link in path:
                rate = port if link[0] in ("out", "in") else pair
                free[link] = max(free.get(link, 0), start) - (-size * SECOND // rate)
                left = max(left, free[link])
            if source != SWITCH:
                ready[source] = max(ready[source], left)
                sent[source] += size
            if target != SWITCH:
                ready[target] = max(ready[target], left + latency * hops)
    return max(ready), max(sent)


def _path(message: Message, spec: Tier, chips: int) -> tuple[list[tuple[str, int, int]], int]:
    """The links that a message takes, and how many latencies it waits; on a ring in the shorter direction."""
    source, target = message.source, message.target
    ends = [("out", source, 0)] * (source != SWITCH) + [("in", target, 0)] * (target != SWITCH)
    if SWITCH in (source, target) or (spec.topology == "switch" and spec.pair_bandwidth is None):
        return ends, 1
    if spec.topology != "ring":
        return [*ends, ("pair", source, target)], 1
    ahead = (target - source) % chips
    direction, hops = (1, ahead) if ahead <= chips - ahead else (-1, chips - ahead)
    return [*ends, *(("hop", (source + direction * hop) % chips, direction) for hop in range(hops))], hops

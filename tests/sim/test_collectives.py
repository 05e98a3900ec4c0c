"""Do collectives take the time of their closed forms, and do all bytes get where they are due?

The forms are those of Thakur, Rabenseifner and Gropp, 2005: alpha a message, beta a byte.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import ceil, log2
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgrain.hwmodels import Chip, HardwareError, load_chip
from memgrain.sim import SimulationError
from memgrain.sim.network.collectives import collective
from memgrain.sim.network.schedule import MAKERS, SWITCH, schedule

ALPHA = {"1 us": 10**6, "300 ns": 300_000, "0 ns": 0}
BETA = {"1 GB/s": 1000, "10 GB/s": 100, "250 GB/s": 4}
"""Picoseconds a byte, whole so that the forms hold to the picosecond."""
STARTUP = 10**6
TOY = load_chip("toy")
NODE = {"topology": "switch", "chips": 4, "bandwidth": "10 GB/s", "latency": "1 us"}
SWITCHED = {"latency": "1 us", "share": 1.0}

Form = Callable[[int, int, int, int], int]
FORMS: dict[tuple[str, str], Form] = {
    ("all_gather", "ring"): lambda k, n, a, b: (k - 1) * (a + n // k * b),
    ("all_gather", "tree"): lambda k, n, a, b: int(log2(k)) * a + (k - 1) * n // k * b,
    ("all_gather", "direct"): lambda k, n, a, b: a + (k - 1) * n // k * b,
    ("all_gather", "in_network"): lambda k, n, a, b: a + n * b,
    ("reduce_scatter", "ring"): lambda k, n, a, b: (k - 1) * (a + n // k * b),
    ("reduce_scatter", "tree"): lambda k, n, a, b: int(log2(k)) * a + (k - 1) * n // k * b,
    ("reduce_scatter", "direct"): lambda k, n, a, b: a + (k - 1) * n // k * b,
    ("all_reduce", "ring"): lambda k, n, a, b: 2 * (k - 1) * (a + n // k * b),
    ("all_reduce", "tree"): lambda k, n, a, b: 2 * int(log2(k)) * a + 2 * (k - 1) * n // k * b,
    ("all_reduce", "direct"): lambda k, n, a, b: 2 * (a + (k - 1) * n // k * b),
    ("all_reduce", "one_shot"): lambda k, n, a, b: a + (k - 1) * n * b,
    ("all_reduce", "in_network"): lambda k, n, a, b: a + (n + n // k) * b,
    ("all_to_all", "pairwise"): lambda k, n, a, b: (k - 1) * (a + n // k * b),
    ("all_to_all", "direct"): lambda k, n, a, b: a + (k - 1) * n // k * b,
    ("broadcast", "tree"): lambda k, n, a, b: ceil(log2(k)) * (a + n * b),
    ("broadcast", "direct"): lambda k, n, a, b: a + (k - 1) * n * b,
    ("broadcast", "ring"): lambda k, n, a, b: k * a + 2 * (k - 1) * n // k * b,
    ("send", "direct"): lambda k, n, a, b: a + n * b,
}


def node(latency: str = "1 us", bandwidth: str = "10 GB/s", **others: Any) -> Chip:
    """A chip with one tier of 64 chips behind a switch, messages of one kind and no copies."""
    usual = NODE | {
        "chips": 64,
        "latency": latency,
        "bandwidth": bandwidth,
        "in_network": SWITCHED | {"latency": latency},
    }
    return toy(node=usual | others, network=None, copy_bandwidth=None)


@cache
def plain(latency: str, bandwidth: str) -> Chip:
    """The same, read once."""
    return node(latency, bandwidth)


def toy(**changes: Any) -> Chip:
    """The toy with other keys in its interconnect."""
    return load_chip("toy", {f"interconnect.{key}": value for key, value in changes.items()})


@given(
    case=st.sampled_from(sorted(FORMS)),
    power=st.integers(1, 4),
    part=st.integers(1, 10**6),
    latency=st.sampled_from(sorted(ALPHA)),
    bandwidth=st.sampled_from(sorted(BETA)),
)
def test_closed_forms(case: tuple[str, str], power: int, part: int, latency: str, bandwidth: str) -> None:
    op, algorithm = case
    chips, size = 2**power, 2**power * part
    done = collective(plain(latency, bandwidth), op, size, chips, algorithm)
    assert done.time == STARTUP + FORMS[case](chips, size, ALPHA[latency], BETA[bandwidth])
    assert done.sent_bytes * BETA[bandwidth] <= done.time


@given(chips=st.integers(2, 13), size=st.integers(1, 10**6), ways=st.sampled_from([(1,), (1, -1)]))
def test_everyone_gets_all_that_it_lacks(chips: int, size: int, ways: tuple[int, ...]) -> None:
    parts = [size * (i + 1) // chips - size * i // chips for i in range(chips)]
    for op, way in (("all_gather", "target"), ("reduce_scatter", "source")):
        for algorithm in ("ring", "direct", *(["tree"] if chips & (chips - 1) == 0 else [])):
            moved = [0] * chips
            for step in schedule(op, algorithm, size, chips, ways):  # type: ignore[arg-type]
                for message in step:
                    moved[getattr(message, way)] += message.size
            assert moved == [size - part for part in parts], (op, algorithm)


@given(chips=st.integers(2, 40), size=st.integers(1, 1000))
def test_a_broadcast_reaches_everyone_from_those_who_have_it(chips: int, size: int) -> None:
    have = {0}
    for step in schedule("broadcast", "tree", size, chips, (1,)):
        assert {message.source for message in step} <= have
        have |= {message.target for message in step}
    assert have == set(range(chips))


def test_a_mesh_uses_its_links_side_by_side_and_a_ring_both_directions() -> None:
    mesh = node(topology="full_mesh", chips=8, bandwidth="100 GB/s", pair_bandwidth="10 GB/s", in_network=None)
    assert collective(mesh, "all_gather", 8000, 8, "direct").time == STARTUP + 10**6 + 1000 * 100
    assert collective(mesh, "all_gather", 8000, 8, "ring").time == STARTUP + 7 * (10**6 + 1000 * 100)
    narrow = node(topology="full_mesh", chips=8, bandwidth="10 GB/s", pair_bandwidth="10 GB/s", in_network=None)
    assert collective(narrow, "all_gather", 8000, 8, "direct").time == STARTUP + 10**6 + 7 * 1000 * 100
    ring = node(topology="ring", chips=8, bandwidth="20 GB/s", pair_bandwidth="10 GB/s", in_network=None)
    assert collective(ring, "all_gather", 8000, 8, "ring").time == STARTUP + 7 * (10**6 + 500 * 100)
    assert collective(ring, "all_gather", 8000, 8, "direct").time >= STARTUP + 4 * 10**6 + 10 * 1000 * 100
    assert collective(ring, "send", 1000, 2).time == STARTUP + 10**6 + 1000 * 100


@pytest.mark.parametrize("size", [1, 8000, 10**6])
def test_two_tiers_are_the_sum_of_their_phases(size: int) -> None:
    chip = toy(**{"node.protocols": {}})
    done = collective(chip, "all_reduce", size, 16)
    assert [(phase.tier, phase.op, phase.chips) for phase in done.phases] == [
        ("node", "reduce_scatter", 4),
        ("network", "all_reduce", 4),
        ("node", "all_gather", 4),
    ]
    assert done.time == done.startup + sum(phase.time for phase in done.phases)
    part = -(-size // 4)
    apart = collective(toy(**{"node.protocols": {}}), "reduce_scatter", size, 4)
    assert done.phases[0].time == apart.phases[0].time
    assert done.phases[1].time >= 10**7 + part * 3 // 4 * 1000
    assert done.tiers == ("node", "network")


@given(op=st.sampled_from(sorted(MAKERS)), size=st.integers(1, 10**8), chips=st.sampled_from([2, 3, 4, 8, 16]))
def test_auto_is_the_quickest_of_what_the_library_has(op: str, size: int, chips: int) -> None:
    chip = TOY
    auto = collective(chip, op, size, chips)
    assert chip.interconnect is not None
    for algorithm in chip.interconnect.algorithms:
        try:
            assert auto.time <= collective(chip, op, size, chips, algorithm).time
        except SimulationError:
            continue
    assert collective(chip, op, size + 10**6, chips).time >= auto.time


def test_small_messages_go_by_the_protocol_that_is_quick_for_them() -> None:
    chip = load_chip("toy")
    assert [collective(chip, "send", size, 2).phases[0].protocol for size in (1, 4096, 4097)] == [
        "short",
        "short",
        "simple",
    ]
    assert [collective(chip, "all_reduce", size, 2, "ring").phases[0].protocol for size in (100, 10**6)] == [
        "short",
        "simple",
    ]
    gather = collective(chip, "all_gather", 10**6, 4)
    assert gather.copy == 250_000 * 10
    assert gather.time == gather.startup + gather.phases[0].time + gather.copy


def test_in_the_switch_only_the_chips_are_counted() -> None:
    (step,) = schedule("all_reduce", "in_network", 800, 8, (1,))
    assert sum(message.size for message in step if message.source != SWITCH) == 8 * 900
    assert collective(node(), "all_reduce", 800, 8, "in_network").sent_bytes == 900


@pytest.mark.parametrize(
    ("chip", "op", "size", "chips", "algorithm", "words"),
    [
        ("mlu370_x4", "all_reduce", 1, 2, "auto", "mlu370_x4 has no interconnect; describe one"),
        ("toy", "reduce", 1, 2, "auto", "no operation 'reduce'; choose one of all_reduce"),
        ("toy", "all_reduce", 0, 2, "auto", "of 0 bytes moves nothing"),
        ("toy", "all_reduce", 1, 1, "auto", "needs at least 2 chips, got 1"),
        ("toy", "all_reduce", 1, 68, "auto", "links for 64 chips, got 68; ask for fewer"),
        ("toy", "all_reduce", 1, 6, "auto", "6 chips are no whole nodes of 4; ask for a multiple of 4"),
        ("tpu_v5p", "all_reduce", 1, 17, "auto", "links for 16 chips, got 17; ask for fewer, or describe a network"),
        ("ascend_950pr", "send", 1, 1025, "auto", "1025 chips or nodes in one group are too many messages"),
        ("toy", "all_reduce", 1, 3, "tree", "needs a power of two of chips, got 3"),
        ("toy", "all_reduce", 1, 2, "quick", "no algorithm 'quick'; choose one of auto, ring"),
        ("toy", "send", 1, 2, "ring", "there is no ring send; choose one of direct"),
        ("a100_sxm", "all_reduce", 1, 2, "in_network", "its switch computes nothing"),
    ],
)
def test_what_cannot_be_asked(chip: str, op: str, size: int, chips: int, algorithm: str, words: str) -> None:
    with pytest.raises(SimulationError) as raised:
        collective(load_chip(chip), op, size, chips, algorithm)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"node": NODE | {"topology": "full_mesh"}}, "add pair_bandwidth"),
        (
            {"node": NODE | {"topology": "ring", "pair_bandwidth": "1 GB/s", "in_network": SWITCHED}},
            "in_network is for a switch",
        ),
        ({"node": NODE | {"pair_bandwidth": "11 GB/s"}}, "exceeds the chip's bandwidth"),
        ({"network.chips": 66}, "network.chips 66 is no multiple of the 4 chips of a node"),
        ({"node.chips": None}, "node.chips says how many chips a node has; add it"),
        ({"node.bandwith": "1 GB/s"}, "did you mean 'bandwidth'?"),
    ],
)
def test_links_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(HardwareError) as raised:
        toy(**changes)
    assert words in str(raised.value)

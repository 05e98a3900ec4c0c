"""Edges of collectives that only planted faults showed to be untested."""

from __future__ import annotations

from memgrain.sim.network.collectives import collective
from tests.sim.test_collectives import STARTUP, node

MICROSECOND = 10**6
SIZE = 1 << 20


def test_what_a_switch_computes_takes_its_own_latency_and_share() -> None:
    chip = node(in_network={"latency": "4 us", "share": 0.5})
    found = collective(chip, "all_reduce", SIZE, 4, "in_network")
    assert found.time == STARTUP + 4 * MICROSECOND + (SIZE + SIZE // 4) * 200
    assert (found.op, found.algorithm) == ("all_reduce", "in_network")


def test_a_pair_of_chips_behind_a_switch_may_be_slower_than_their_ports() -> None:
    chip = node(pair_bandwidth="1 GB/s")
    assert collective(chip, "send", SIZE, 2).time == STARTUP + MICROSECOND + SIZE * 1000
    assert collective(node(), "send", SIZE, 2).time == STARTUP + MICROSECOND + SIZE * 100


def test_an_operation_that_no_listed_algorithm_does_takes_the_quickest_of_all() -> None:
    chip = node()
    listed = chip.interconnect.model_copy(update={"algorithms": ["one_shot"]})
    found = collective(chip.model_copy(update={"interconnect": listed}), "all_to_all", SIZE, 4)
    each = [collective(chip, "all_to_all", SIZE, 4, way) for way in ("pairwise", "direct")]
    assert found.time == min(one.time for one in each)


def test_a_protocol_has_a_largest_message_of_an_exchange_among_several() -> None:
    """The part of each chip counts, rounded up, however quick the protocol would be beyond."""
    short = {"latency": "100 ns", "share": 1.0, "largest_exchange": "4 KiB"}
    chip = node(protocols={"short": short})
    found = [collective(chip, "all_to_all", 4 * 4096 + more, 4) for more in (0, 1)]
    assert [one.phases[0].protocol for one in found] == ["short", "simple"]

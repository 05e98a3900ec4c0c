"""The lookup loop does what a cache does: equal to a reference of dictionaries, to worked sequences, and to an
outside simulator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.conftest import ask, cache_of, pieces
from tests.sim.reference import ReferenceCache
from workloads.trace import READ, WRITE


@pytest.mark.parametrize("policy", ["lru", "fifo", "plru", "srrip"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_equals_the_reference(policy: str, data: st.DataObject) -> None:
    sector = data.draw(st.sampled_from([32, 64, 128]))
    granule = data.draw(st.sampled_from([s for s in (32, 64, 128) if s >= sector]))
    ways = data.draw(st.sampled_from([1, 2, 4, 8]))
    sets = data.draw(st.sampled_from([1, 2, 3, 8]))
    cache, sink = cache_of(
        capacity=f"{128 * ways * sets} B",
        sector=f"{sector} B",
        fill_granule=f"{granule} B",
        ways=ways,
        replacement=policy,
        slices=1,
    )
    reference = ReferenceCache(128, sector, granule, sets, ways, policy)
    accesses = data.draw(
        st.lists(
            st.tuples(st.integers(0, 6000), st.integers(1, 400), st.sampled_from([READ, READ, WRITE])),
            min_size=1,
            max_size=120,
        )
    )
    for access in accesses:
        cache.serve(ask(pieces([access])), 0, 0, 0)
        reference.access(access[0], access[1], access[2] == WRITE)
    found = cache.counters()
    assert (found["hits"], found["misses"], found["write_hits"], found["write_misses"], found["writebacks"]) == (
        reference.hits,
        reference.misses,
        reference.write_hits,
        reference.write_misses,
        reference.writebacks,
    )
    assert sum(size for _, size, op in sink.asked if op == READ) == found["misses"] * granule
    assert sum(size for _, size, op in sink.asked if op == WRITE) == found["writebacks"] * granule


@pytest.mark.parametrize("policy", ["LRU", "FIFO"])
def test_outside_referee(policy: str) -> None:
    """pycachesim counts the same misses on a long random trace with locality."""
    cachesim = pytest.importorskip("cachesim")
    sets, ways, line = 64, 8, 128
    rng = np.random.default_rng(5)
    numbers = np.where(
        rng.random(200_000) < 0.5, rng.integers(0, sets * ways // 2, 200_000), rng.integers(0, 4 * sets * ways, 200_000)
    )
    memory = cachesim.MainMemory()
    outside = cachesim.Cache("L2", sets, ways, line, policy)
    memory.load_to(outside)
    memory.store_from(outside)
    simulator = cachesim.CacheSimulator(outside, memory)
    simulator.load((numbers * line).tolist(), length=1)
    cache, _ = cache_of(
        capacity=f"{sets * ways * line} B", ways=ways, sector="128 B", fill_granule="128 B", replacement=policy.lower()
    )
    for part in np.array_split(numbers, 200):
        cache.serve(ask(pieces([(int(n) * line, 1, READ) for n in part])), 0, 0, 0)
    assert cache.counters()["misses"] == outside.stats()["MISS_count"]


def letters(policy: str, sequence: str, ways: int = 4) -> str:
    """Hits (.) and misses (letter) of a sequence of lines in one set."""
    cache, _ = cache_of(
        capacity=f"{128 * ways} B", ways=ways, sector="128 B", fill_granule="128 B", replacement=policy, slices=1
    )
    out, misses = "", 0
    for letter in sequence:
        cache.serve(ask(pieces([(128 * ord(letter), 128, READ)])), 0, 0, 0)
        now = cache.counters()["misses"]
        out += letter if now > misses else "."
        misses = now
    return out


@pytest.mark.parametrize(
    ("policy", "sequence", "expected"),
    [
        ("lru", "abcdaebcd", "abcd.ebcd"),  # e evicts b, then each evicts the next to come
        ("fifo", "abcdaea", "abcd.ea"),  # the hit on a does not save it
        ("plru", "abcdaeb", "abcd.e."),  # after a, the arrows point right, to c: b stays
        ("srrip", "abacadaeab", "ab.c.d.e.b"),  # a, hit again and again, survives the scan; b ages out first
    ],
)
def test_worked_sequences(policy: str, sequence: str, expected: str) -> None:
    assert letters(policy, sequence) == expected


def test_random_replacement_leaves_some() -> None:
    """A cyclic sweep over 1.5 capacities: LRU keeps nothing, random keeps h = exp(-(1 - h) 1.5) = 42 % (hardware.md's
    formula)."""
    hits = {}
    for policy in ("lru", "random"):
        cache, _ = cache_of(capacity="1 MiB", ways=16, sector="128 B", fill_granule="128 B", replacement=policy)
        run = pieces([(0, 3 << 19, READ)])
        for _ in range(4):
            cache.serve(ask(run), 0, 0, 0)
        before = cache.counters()
        for _ in range(8):
            cache.serve(ask(run), 0, 0, 0)
        after = cache.counters()
        hits[policy] = (after["hits"] - before["hits"]) / (8 * 12288)
    assert hits["lru"] == 0
    assert hits["random"] == pytest.approx(0.417, abs=0.02)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), hashed=st.sampled_from(["none", "xor"]))
def test_more_ways_never_lose_an_lru_hit(seed: int, hashed: str) -> None:
    rng = np.random.default_rng(seed)
    runs = pieces([(int(a) * 32, 32, READ) for a in rng.zipf(1.2, 400) % 5000])
    hits = []
    for ways in (1, 2, 3, 5, 8):
        cache, _ = cache_of(capacity=f"{128 * 16 * ways} B", ways=ways, set_hash=hashed, slices=1)
        cache.serve(ask(runs), 0, 0, 0)
        hits.append(cache.counters()["hits"])
    assert hits == sorted(hits)


def test_tensors_add_up_and_evictions_know_their_owner() -> None:
    cache, sink = cache_of(capacity="8 KiB", ways=4, slices=1)
    cache.serve(ask(pieces([(0, 8192, WRITE, 0), (1 << 20, 8192, READ, 1)])), 0, 0, 0)
    found = cache.counters()
    assert found["X.writebacks"] == found["writebacks"] == 8192 // 64
    assert found["X.evictions"] == 64
    for name in ("hits", "misses", "sector_lookups", "write_misses"):
        assert found[name] == found.get(f"X.{name}", 0) + found.get(f"Y.{name}", 0)
    assert sum(size for _, size, op in sink.asked if op == WRITE) == 8192


def test_far_partition_is_looked_up_twice_and_copied() -> None:
    """A cold stream by one core reads 1.5 sectors per sector of data over two partitions; read again, all of it is
    near."""
    cache, _ = cache_of(capacity="1 MiB", partitions=2, slices=4, replicate=True, far_latency="150 ns")
    run = pieces([(0, 1 << 18, READ)])
    cache.serve(ask(run), 0, 0, 0)
    found = cache.counters()
    assert found["sector_lookups"] / (2**18 / 32) == pytest.approx(1.5, abs=0.05)
    assert found["misses"] == 2**18 // 64
    cache.serve(ask(run), 0, 0, 0)
    again = cache.counters()
    assert again["read_hits"] - found["read_hits"] == 2**18 // 64
    cache.serve(ask(run), 0, 3, 0)  # the core beside the other partition finds half of it at home there, half far
    assert cache.counters()["far_hits"] / (2**18 / 64) == pytest.approx(0.5, abs=0.05)


def test_write_through_and_no_allocate() -> None:
    cache, sink = cache_of(write_policy="through", write_allocate=False)
    cache.serve(ask(pieces([(0, 256, WRITE), (0, 256, READ)])), 0, 0, 0)
    assert sink.asked == [(0, 128, WRITE), (128, 128, WRITE), (0, 256, READ)]
    cache, sink = cache_of(write_policy="through", write_allocate=True)
    cache.serve(ask(pieces([(0, 256, WRITE), (0, 256, READ)])), 0, 0, 0)
    assert [op for _, _, op in sink.asked] == [WRITE, WRITE]

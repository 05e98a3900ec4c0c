"""The lookup loop does what a cache does: equal to a reference of dictionaries, to worked sequences, and to an
outside simulator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain.sim.errors import SimulationError
from memgrain.sim.levels.request import Request
from memgrain.sim.native.address import mix, scale
from memgrain.workloads.trace import READ, RUN, WRITE
from tests.sim.conftest import ask, cache_of, pieces
from tests.sim.reference import ReferenceCache

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("policy", ["lru", "fifo", "plru", "srrip"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_equals_the_reference(policy: str, data: st.DataObject) -> None:
    sector = data.draw(st.sampled_from([32, 64, 128]))
    granule = data.draw(st.sampled_from([s for s in (32, 64, 128) if s >= sector]))
    ways = data.draw(st.sampled_from([1, 2, 4, 8, 32]))
    sets, hashed = data.draw(st.sampled_from([1, 2, 3, 8])), data.draw(st.booleans())
    share = data.draw(st.sampled_from([None, None, 0.1, 0.5, 0.75]))
    cache, sink = cache_of(
        capacity=f"{128 * ways * sets} B",
        sector=f"{sector} B",
        fill_granule=f"{granule} B",
        ways=ways,
        replacement=policy,
        set_hash="xor" if hashed else "none",
        slices=1,
        dirty_share=share,
    )
    limit = ways if share is None else int(share * ways)
    reference = ReferenceCache(128, sector, granule, sets, ways, policy, limit, hashed)
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
    assert sum(size for _, size, op in sink.requests if op == READ) == found["misses"] * granule
    assert found["first_bytes"] == reference.first_fetches * granule
    assert found["repeated_bytes"] == (found["misses"] - reference.first_fetches) * granule
    assert sum(size for _, size, op in sink.requests if op == WRITE) == found["writebacks"] * granule


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
    assert found["X.evictions"] == found["X.evicted_by.Y"] == 64
    assert "Y.evicted_by.X" not in found
    for name in ("hits", "misses", "sector_lookups", "write_misses"):
        assert found[name] == found.get(f"X.{name}", 0) + found.get(f"Y.{name}", 0)
    assert sum(size for _, size, op in sink.requests if op == WRITE) == 8192


@settings(max_examples=40, deadline=None)
@given(asked=st.lists(st.tuples(st.integers(0, 511), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_every_eviction_has_one_that_it_made_room_for(asked: list[tuple[int, int, int]]) -> None:
    """Counted by a list of lines in order of age, whose owner is the tensor that fetched or last wrote them."""
    cache, _ = cache_of(capacity="512 B", ways=4, slices=1, set_hash="none")
    held: list[tuple[int, str]] = []
    expected: dict[str, int] = {}
    for line, op, tensor in asked:
        cache.serve(ask(pieces([(line * 128, 128, op, tensor)])), 0, 0, 0)
        name = "XY"[tensor]
        former = [owner for number, owner in held if number == line]
        held = [(number, owner) for number, owner in held if number != line]
        if not former and len(held) == 4:
            pair = f"{held.pop(0)[1]}.evicted_by.{name}"
            expected[pair] = expected.get(pair, 0) + 1
        held.append((line, name if op == WRITE or not former else former[0]))
    assert {key: count for key, count in cache.counters().items() if "evicted_by" in key} == expected


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
    assert sink.requests == [(0, 128, WRITE), (128, 128, WRITE), (0, 256, READ)]
    cache, sink = cache_of(write_policy="through", write_allocate=True)
    cache.serve(ask(pieces([(0, 256, WRITE), (0, 256, READ)])), 0, 0, 0)
    assert [op for _, _, op in sink.requests] == [WRITE, WRITE]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_quick_way_does_what_the_general_one_does(data: st.DataObject) -> None:
    """Sent down, counted and answered the same, over partitions, sectors, time, and lines dirty and in flight."""
    partitions = data.draw(st.sampled_from([1, 2, 3]))
    ways, sets = data.draw(st.sampled_from([1, 3, 16])), data.draw(st.sampled_from([1, 5, 16]))
    keys: dict[str, object] = {"replacement": data.draw(st.sampled_from(["lru", "fifo"]))}
    keys |= {
        "ways": ways,
        "capacity": f"{128 * ways * sets * partitions} B",
        "slices": 2 * partitions,
        "partitions": partitions,
    }
    keys |= {"set_hash": data.draw(st.sampled_from(["none", "xor"]))}
    if partitions > 1:
        keys |= {"replicate": data.draw(st.booleans()), "far_latency": "150 ns"}
    caches = [cache_of(**keys) for _ in range(2)]
    caches[1][0].config.quick = 0
    for cache, sink in caches:
        sink.delay = 900_000
        if keys["replacement"] == "lru":
            cache.fill_with(dirty=True)
    piece = st.tuples(st.integers(0, 20_000), st.integers(1, 700), st.sampled_from([READ, READ, WRITE]))
    requests = st.tuples(st.lists(piece, min_size=1, max_size=4), st.integers(0, 3), st.integers(0, 600_000))
    now = 0
    for accesses, core, later in data.draw(st.lists(requests, min_size=1, max_size=60)):
        now += later
        quick, general = (cache.serve(ask(pieces(accesses)), 0, core, now) for cache, _ in caches)
        assert quick == general
        assert caches[0][0].queue == caches[1][0].queue
    (quick_cache, quick_sink), (general_cache, general_sink) = caches
    assert quick_sink.requests == general_sink.requests
    assert quick_cache.counters() == general_cache.counters()


def line_at_home(partition: int) -> int:
    """A line whose home is that partition of two."""
    return next(line for line in range(0, 1 << 20, 32) if scale(mix(line >> 5), 2) == partition)


def test_who_hits_a_line_in_flight_waits_for_it() -> None:
    """Arrivals are rounded up to 1,024 ps; a line that is asked for twice by one request is in flight all the same."""
    cache, sink = cache_of(slices=1)
    sink.delay = 900_000
    assert cache.serve(ask(pieces([(0, 128, READ), (0, 128, READ)])), 0, 0, 0) == 900_000
    assert cache.serve(ask(pieces([(0, 128, READ)])), 0, 0, 500_000) == 879 * 1024
    assert cache.serve(ask(pieces([(0, 128, READ)])), 0, 0, 900_000) == 1_000_000
    assert cache.serve(ask(pieces([(0, 128, READ)])), 0, 0, 950_000) == 1_050_000


def test_a_copy_waits_for_what_it_is_copied_from() -> None:
    """Half of a line is in flight to its home, the reader fetches the other half: its copy is there when both are, and
    what it fetches besides is there earlier."""
    cache, sink = cache_of(partitions=2, replicate=True, far_latency="150 ns", slices=2)
    away, here = 128 * line_at_home(1), 128 * line_at_home(0)
    sink.delay = 2_000_000
    assert cache.serve(ask(pieces([(away + 64, 64, READ)])), 0, 2, 0) == 2_000_000
    sink.delay = 500_000
    both = ask(pieces([(away, 64, READ), (away + 64, 64, READ), (here, 128, READ)]))
    assert cache.serve(both, 0, 0, 1_000) == 1954 * 1024
    assert cache.serve(ask(pieces([(here, 128, READ)])), 0, 0, 600_000) == 700_000
    assert cache.serve(ask(pieces([(away, 128, READ)])), 0, 0, 600_000) == 1954 * 1024


def test_a_write_takes_copies_away() -> None:
    cache, _ = cache_of(partitions=2, replicate=True, far_latency="150 ns", slices=2)
    read, write = (ask(pieces([(128 * line_at_home(1), 128, op)])) for op in (READ, WRITE))
    for now in (0, 10**6):
        cache.serve(read, 0, 0, now)
    assert cache.serve(read, 0, 0, 2 * 10**6) == 2_100_000
    cache.serve(write, 0, 0, 3 * 10**6)
    assert cache.serve(read, 0, 0, 4 * 10**6) == 4_150_000
    assert cache.counters()["far_hits"] == 2


def test_runs_are_what_their_pieces_are() -> None:
    """Strided, gathered and repeated runs, over and under the lines that the loop takes at a time."""
    indices = np.random.default_rng(3).integers(0, 2000, 600)
    runs = np.zeros(2, RUN)
    runs[0] = (96, 160, 500, 96, -1, 32, READ, 0, 1)
    runs[1] = (0, 192, 600, 192, 0, 0, READ, 1, 1)
    (whole, sent), (parts, sent_by_piece) = cache_of(slices=1), cache_of(slices=1)
    for repeat in range(2):
        whole.serve(Request(runs, indices, 0, 2), repeat, 0, 0)
        first = [(96 + 32 * repeat + 160 * i, 96, READ, 0) for i in range(500)]
        for piece in first + [(192 * int(i), 192, READ, 1) for i in indices]:
            parts.serve(ask(pieces([piece])), 0, 0, 0)
    assert whole.counters() == parts.counters()
    granules = [
        [address // 64 + i for address, size, _ in sink.requests for i in range(size // 64)]
        for sink in (sent, sent_by_piece)
    ]
    assert granules[0] == granules[1]


def test_only_a_share_of_a_set_is_dirty() -> None:
    """Lines beyond the share are written back early and stay; of a buffer rewritten before, some of every age are
    dirty."""
    cache, sink = cache_of(capacity="2 KiB", ways=16, slices=1, dirty_share=0.25)
    cache.serve(ask(pieces([(0, 2048, WRITE)])), 0, 0, 0)
    assert sink.requests == [(128 * i, 128, WRITE) for i in range(12)]
    cache.serve(ask(pieces([(0, 2048, READ)])), 0, 0, 0)
    assert cache.counters()["hits"] == 32
    cache, sink = cache_of(capacity="2 KiB", ways=16, slices=1, dirty_share=0.25)
    cache.fill_with(dirty=True)
    written = []
    for line in range(16):
        cache.serve(ask(pieces([(128 * line, 128, READ)])), 0, 0, 0)
        written.append(cache.counters()["writebacks"])
    assert written == [2 * ((line + 1) // 4) for line in range(16)]


def test_addresses_that_cannot_be_distinguished_are_refused() -> None:
    cache, _ = cache_of(capacity="128 B", ways=1, sector="128 B", fill_granule="128 B", slices=1)
    cache.serve(ask(pieces([((1 << 24) * 128 - 384, 128, READ)])), 0, 0, 0)
    with pytest.raises(
        SimulationError, match="address 2147483520 lies beyond the 2147483392 bytes that l2 distinguishes"
    ):
        cache.serve(ask(pieces([((1 << 24) * 128 - 128, 128, READ)])), 0, 0, 0)


def test_plain_python_does_what_the_compiled_loop_does() -> None:
    """The loops of the cache and of curves also run, slowly, without Numba's compiler."""
    program = (
        "from tests.sim.conftest import ask, cache_of, pieces; import numpy as np; rng = np.random.default_rng(1)\n"
        "cache, sink = cache_of(capacity='24 KiB', ways=3, partitions=2, replicate=True, far_latency='150 ns',"
        " set_hash='xor', dirty_share=0.5)\n"
        "for now in range(0, 4000000, 100000):\n"
        "    sizes = rng.integers(1, 500, 4)\n"
        "    parts = [(int(rng.integers(0, 9**5)), int(size), int(size) % 5 == 0) for size in sizes]\n"
        "    print(int(cache.serve(ask(pieces(parts)), 0, now % 3, now)))\n"
        "print(sink.requests, cache.counters())\n"
        "from memgrain.sim import count_lru\n"
        "print(*[count_lru(rng.integers(0, 400, 900).astype(np.int32), 24, ways, 2).tolist() for ways in (16, 40)])"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **mode},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for mode in ({"NUMBA_DISABLE_JIT": "1"}, {"NUMBA_DISABLE_JIT": "0"})
    ]
    assert printed[0] == printed[1]


def test_importing_makes_no_cache_folder(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    program = "import memgrain.sim; from memgrain.sim.native import jit; print(jit.fresh(), jit.cache_folder())"
    for number, lines in enumerate(("import memgrain.sim", program)):
        found = subprocess.run(
            [sys.executable, "-c", lines],
            env={**os.environ, "MEMGRAIN_CACHE_DIR": str(folder)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert folder.exists() == bool(number)
    assert found.stdout.split() == ["True", str(next(folder.iterdir()))]

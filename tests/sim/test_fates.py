"""Set groups against single lines: adjacent sets with identical history are simulated once, with the same result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memgrain import hwmodels
from memgrain.sim.cache import ways
from memgrain.sim.cache.cache import Cache
from memgrain.sim.cache.fast import resident_runs, set_groups
from memgrain.sim.levels.request import Request
from memgrain.sim.native.address import mix, scale
from memgrain.workloads.trace import READ, RUN, WRITE
from tests.sim.conftest import BASE, Sink, ask, pieces

LINE = 128
FOOTPRINT = 200_000
"""Bytes whose first fetches are counted: not of all lines that are asked for."""
BLOCKS = (1, 2, 4, 8, 16, 32)


class Below(Sink):
    """A level that keeps whole runs, and says when the first bytes came."""

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        self.requests += request.runs[: request.count].tolist()
        self.first, self.came = now + self.delay // 2, int(request.runs["bytes"][: request.count].sum())
        return now + self.delay


def cache_with(block: int, keys: dict[str, object], dirty: bool) -> tuple[Cache, Below]:
    """A cache for two tensors that four cores share, above such a level. With `block` 0 it has no fast paths; otherwise
    runs of two lines may be resident."""
    below = Below()
    spec = hwmodels.Cache.model_validate(BASE | keys)
    cache = Cache(spec, (1, 4), below, ("X", "Y"), FOOTPRINT, fast_paths=bool(block), block_lines=block)
    cache.config.min_run_lines = min(2, cache.config.min_run_lines)
    if dirty:
        cache.fill_with(dirty=True)
    return cache, below


def content(cache: Cache) -> list[NDArray[np.int64]]:
    """What decides what a cache will do, of every set: quotients in order (with the way of a line from before the
    trace), their states, and the policy's notes."""
    for group in range(cache.set_total if cache.sets[0, cache.config.clock_at] else 0):
        resident_runs.sort_set(group, cache.sets[0], cache.config)
    words, spec = cache._words()[..., : cache.spec.ways].astype(np.int64), cache.spec
    quotients, way = words >> ways.TAG_BITS, words & ways.WAY
    states = np.take_along_axis(cache._slots()[..., ways.STATUS], way, 2)
    notes = cache.sets[:, cache.slots_at :][:, : cache.set_total * cache.width].reshape(1, cache.set_total, -1)
    return [quotients, np.where(quotients == ways.FORMER, way, 0), states, notes[..., ways.SLOT * spec.ways :]]


@st.composite
def specs(draw: st.DrawFn) -> dict[str, object]:
    """What a cache has that is no default."""
    partitions, count = draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 3, 16, 20]))
    policy = draw(st.sampled_from(["lru", "lru", "lru", "fifo", "srrip", "plru", "random"]))
    count = {"plru": 8}.get(policy, count)
    sets, sector = draw(st.sampled_from([4, 24, 32, 96])), draw(st.sampled_from([32, 64, 128]))
    granule = draw(st.sampled_from([size for size in (32, 64, 128) if size >= sector]))
    keys: dict[str, object] = {
        "replacement": policy,
        "ways": count,
        "capacity": f"{LINE * count * sets * partitions} B",
        "sector": f"{sector} B",
        "fill_granule": f"{granule} B",
        "partitions": partitions,
        "slices": partitions * draw(st.sampled_from([1, 3, 40])),
        "set_hash": draw(st.sampled_from(["none", "xor"])),
        "write_policy": draw(st.sampled_from(["back", "back", "through"])),
        "write_allocate": draw(st.booleans()),
        "bandwidth": draw(st.sampled_from(["64 GB/s", "2 TB/s"])),
    }
    if partitions > 1:
        keys |= {"replicate": draw(st.booleans()), "far_latency": "150 ns"}
    if keys["write_policy"] == "back":
        keys |= {"dirty_share": draw(st.sampled_from([None, 0.4]))}
    return keys


@st.composite
def run(draw: st.DrawFn, lines: int) -> tuple[int, ...]:
    """A run over so many lines of memory, mostly of whole aligned stretches of lines."""
    size = draw(st.sampled_from([1, 2, 8, 32, 64])) * LINE
    first = draw(st.integers(0, lines * LINE // size)) * size
    shape = draw(st.sampled_from(["tile", "tile", "rows", "gathered", "odd"]))
    op, tensor = draw(st.sampled_from([READ, READ, READ, WRITE])), draw(st.integers(0, 1))
    if shape == "tile":
        return (first, 0, 1, size * draw(st.integers(1, 6)), -1, size, op, tensor, 1)
    if shape == "rows":
        return (first, 2 * size, draw(st.integers(1, 6)), size, -1, 32 * LINE, op, tensor, 1)
    if shape == "gathered":
        return (0, size, 4, size, draw(st.integers(0, 20)), 2, op, tensor, 1)
    return (
        *draw(st.tuples(st.integers(0, lines * LINE), st.just(0), st.just(1), st.integers(1, 700))),
        -1,
        32,
        op,
        tensor,
        1,
    )


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_set_groups_change_nothing(data: st.DataObject) -> None:
    """Answers, counts, what goes down and in which order, and what the sets hold are those of single lines, whatever
    is asked for, over several kernels."""
    keys, dirty = data.draw(specs()), data.draw(st.booleans())
    plain, plain_below = cache_with(0, keys, dirty)
    cache, below = cache_with(data.draw(st.sampled_from(BLOCKS)), keys, dirty)
    lines = 2 * keys_lines(plain)
    indices = np.random.default_rng(data.draw(st.integers(0, 9))).integers(0, 40, 30)
    for _ in range(data.draw(st.integers(1, 3))):
        now = 0
        requests = st.tuples(
            st.lists(run(lines), min_size=1, max_size=3),
            st.integers(0, 3),
            st.integers(0, 1),
            st.integers(0, 300_000),
            st.sampled_from([0, 200_000, 900_000]),
        )
        for runs, core, repeat, later, delay in data.draw(st.lists(requests, min_size=1, max_size=25)):
            now += later
            plain_below.delay = below.delay = delay
            request = Request(np.array(runs, RUN), indices, 0, len(runs))
            assert plain.serve(request, repeat, core, now) == cache.serve(request, repeat, core, now)
            assert (plain.queue, plain.first, plain.came) == (cache.queue, cache.first, cache.came)
            assert plain_below.requests == below.requests
        assert plain.counters() == cache.counters()
        assert (plain.counts == cache.counts).all()
        assert (plain.busy == cache.busy).all()
        plain.forget(), cache.forget(), plain_below.forget(), below.forget()
    for first in range(0, cache.set_total if cache.block_lines > 1 else 0, cache.block_lines):
        set_groups.split(first, cache.sets[0], cache.config)
    assert all(np.array_equal(a, b) for a, b in zip(content(plain), content(cache), strict=True))


def keys_lines(cache: Cache) -> int:
    """Lines that a cache holds."""
    return cache.spec.capacity // cache.line


@pytest.mark.parametrize("was_split", [False, True])
def test_lines_of_a_copied_block_arrive_one_by_one(was_split: bool) -> None:
    """A block is copied from the far partition, whose one slice serves its 32 lines over 128 ns. Requested one by one,
    each line has its own arrival, also where the set group was split before and is compared again meanwhile."""
    keys = {"partitions": 2, "replicate": True, "far_latency": "1 us", "slices": 2, "bandwidth": "64 GB/s"}
    block = next(number for number in range(64) if scale(mix(number), 2) == 1) * 32 * LINE
    for size in BLOCKS:
        cache, _ = cache_with(size, keys, False)
        whole = ask(pieces([(block, 32 * LINE, READ)]))
        cache.serve(whole, 0, 2, 0)
        for i in range(32 * was_split):
            cache.serve(ask(pieces([(block + cache.spec.sets * LINE + i * LINE, LINE, READ)])), 0, 0, 0)
        assert cache.serve(whole, 0, 0, 10**6) == 10**6 + 124_000 + 10**6
        flags = cache.sets[0, cache.config.groups_at + 1 : cache.config.arrivals_at]
        flags[flags > 0] = 1
        assert cache.serve(whole, 0, 0, 10**6) == -(-(2 * 10**6 + 124_000) // 1024) * 1024
        singly = [cache.serve(ask(pieces([(block + i * LINE, LINE, READ)])), 0, 0, 10**6) for i in (0, 31)]
        assert singly == [-(-(2 * 10**6 + i * 4000) // 1024) * 1024 for i in (0, 31)]


def test_a_copy_of_what_is_there_in_part_waits_for_the_rest() -> None:
    """Half of every line of a block is at home; the other half is fetched when the block is copied."""
    keys = {"partitions": 2, "replicate": True, "far_latency": "1 us", "slices": 2, "bandwidth": "64 GB/s"}
    block = next(number for number in range(64) if scale(mix(number), 2) == 1) * 32 * LINE
    for size in BLOCKS:
        cache, below = cache_with(size, keys, False)
        for i in range(32):
            cache.serve(ask(pieces([(block + i * LINE, LINE // 2, READ)])), 0, 2, 0)
        flags = cache.sets[0, cache.config.groups_at + 1 : cache.config.arrivals_at]
        flags[flags > 0] = 1
        below.delay = 5 * 10**6
        assert cache.serve(ask(pieces([(block, 32 * LINE, READ)])), 0, 0, 10**6) == 6 * 10**6
        assert cache.serve(ask(pieces([(block, LINE, READ)])), 0, 0, 10**6) == -(-6 * 10**6 // 1024) * 1024


def test_a_set_group_is_split_and_merges() -> None:
    """A request for one line splits the set group; once that line has gone, requests for whole blocks merge it."""
    cache, _ = cache_with(32, {"ways": 4, "capacity": f"{LINE * 4 * 64} B"}, False)
    for block in range(8):
        cache.serve(ask(pieces([(block * 32 * LINE, 32 * LINE, READ)])), 0, 0, 0)
    assert lockstep_groups(cache) == 2
    cache.serve(ask(pieces([(0, LINE, READ)])), 0, 0, 0)
    assert lockstep_groups(cache) == 1
    for block in range(32):
        cache.serve(ask(pieces([(block * 32 * LINE, 32 * LINE, READ)])), 0, 0, 0)
    assert lockstep_groups(cache) == 2


def lockstep_groups(cache: Cache) -> int:
    """Set groups in lock-step."""
    return int(cache.sets[0, cache.config.groups_at])

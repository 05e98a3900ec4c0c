"""Sets that share one fate are simulated once, and nothing can tell: grains of any size against single lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memgrain import hwmodels
from memgrain.sim.cache import state as bk
from memgrain.sim.cache import ways
from memgrain.sim.cache.cache import Cache
from memgrain.sim.cache.fast import resident_runs as bundles
from memgrain.sim.levels.request import Request
from memgrain.sim.native.address import mix, scale
from memgrain.workloads.trace import READ, RUN, WRITE
from tests.sim.conftest import BASE, Sink, ask, pieces

LINE = 128
FOOTPRINT = 200_000
"""Bytes whose first fetches are counted: not of all lines that are asked for."""
GRAINS = (1, 2, 4, 8, 16, 32)


class Below(Sink):
    """A level that keeps whole runs, and says when the first bytes came."""

    def serve(self, request: Request, repeat: int, core: int, now: int) -> int:
        self.call += request.runs[: request.count].tolist()
        self.first, self.came = now + self.delay // 2, int(request.runs["bytes"][: request.count].sum())
        return now + self.delay


def cache_with(grain: int, keys: dict[str, object], dirty: bool) -> tuple[Cache, Below]:
    """A cache for two tensors that four cores share, above such a level; with grains of one line, every line is looked
    up for itself, otherwise runs of two lines may be bundles."""
    below = Below()
    cache = Cache(hwmodels.Cache.model_validate(BASE | keys), (1, 4), below, ("X", "Y"), FOOTPRINT)
    cache.set_grain(grain)
    cache.book[bk.FEWEST] = min(2 * (grain > 1), cache.book[bk.FEWEST])
    if dirty:
        cache.fill_with(dirty=True)
    return cache, below


def content(cache: Cache) -> list[NDArray[np.int64]]:
    """What decides what a cache will do, of every set: quotients in order (with the way of a line from before the
    trace), their states, and the policy's notes."""
    for group in range(cache.groups if cache.sets[0, cache.book[bk.BUNDLES]] else 0):
        bundles.order(group, cache.sets[0], cache.book)
    words, spec = cache._words()[..., : cache.spec.ways].astype(np.int64), cache.spec
    quotients, way = words >> ways.TAG_BITS, words & ways.WAY
    states = np.take_along_axis(cache._slots()[..., ways.STATE], way, 2)
    notes = cache.sets[:, cache.slots_at :][:, : cache.groups * cache.width].reshape(1, cache.groups, -1)
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
def run(draw: st.DrawFn, lines: int) -> tuple[int, int, int, int, int, int, int, int]:
    """A run over so many lines of memory, mostly of whole aligned stretches of lines."""
    size = draw(st.sampled_from([1, 2, 8, 32, 64])) * LINE
    first = draw(st.integers(0, lines * LINE // size)) * size
    shape = draw(st.sampled_from(["tile", "tile", "rows", "gathered", "odd"]))
    op, tensor = draw(st.sampled_from([READ, READ, READ, WRITE])), draw(st.integers(0, 1))
    if shape == "tile":
        return (first, 0, 1, size * draw(st.integers(1, 6)), -1, size, op, tensor)
    if shape == "rows":
        return (first, 2 * size, draw(st.integers(1, 6)), size, -1, 32 * LINE, op, tensor)
    if shape == "gathered":
        return (0, size, 4, size, draw(st.integers(0, 20)), 2, op, tensor)
    return (
        *draw(st.tuples(st.integers(0, lines * LINE), st.just(0), st.just(1), st.integers(1, 700))),
        -1,
        32,
        op,
        tensor,
    )


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_grains_change_nothing(data: st.DataObject) -> None:
    """Answers, counts, what goes down and in which order, and what the sets hold are those of single lines, whatever
    is asked for, over kernels that look up different grains at once."""
    keys, dirty = data.draw(specs()), data.draw(st.booleans())
    plain, plain_below = cache_with(1, keys, dirty)
    cache, below = cache_with(data.draw(st.sampled_from(GRAINS)), keys, dirty)
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
            assert plain_below.call == below.call
        assert plain.counters() == cache.counters()
        booked = [level.book[level.slices_at :] for level in (plain, cache)]
        assert np.array_equal(*booked)
        plain.forget(), cache.forget(), plain_below.forget(), below.forget()
        cache.set_grain(data.draw(st.sampled_from(GRAINS)))
    cache.set_grain(1)
    assert all(np.array_equal(a, b) for a, b in zip(content(plain), content(cache), strict=True))


def keys_lines(cache: Cache) -> int:
    """Lines that a cache holds."""
    return cache.spec.capacity // cache.line


@pytest.mark.parametrize("apart", [False, True])
def test_lines_of_a_copied_grain_arrive_one_by_one(apart: bool) -> None:
    """A grain is copied from the far partition, whose one slice serves its 32 lines over 128 ns; asked for one by one,
    each has its own time, also where the cohort has been taken apart before and is looked at again meanwhile."""
    keys = {"partitions": 2, "replicate": True, "far_latency": "1 us", "slices": 2, "bandwidth": "64 GB/s"}
    grain = next(number for number in range(64) if scale(mix(number), 2) == 1) * 32 * LINE
    for size in GRAINS:
        cache, _ = cache_with(size, keys, False)
        whole = ask(pieces([(grain, 32 * LINE, READ)]))
        cache.serve(whole, 0, 2, 0)
        for i in range(32 * apart):
            cache.serve(ask(pieces([(grain + cache.spec.sets * LINE + i * LINE, LINE, READ)])), 0, 0, 0)
        assert cache.serve(whole, 0, 0, 10**6) == 10**6 + 124_000 + 10**6
        flags = cache.sets[0, cache.book[bk.COHORTS] + 1 : cache.book[bk.ARRIVALS]]
        flags[flags > 0] = 1
        assert cache.serve(whole, 0, 0, 10**6) == -(-(2 * 10**6 + 124_000) // 1024) * 1024
        singly = [cache.serve(ask(pieces([(grain + i * LINE, LINE, READ)])), 0, 0, 10**6) for i in (0, 31)]
        assert singly == [-(-(2 * 10**6 + i * 4000) // 1024) * 1024 for i in (0, 31)]


def test_a_copy_of_what_is_there_in_part_waits_for_the_rest() -> None:
    """Of every line of a grain, half is at home, and the other half is fetched when the grain is copied."""
    keys = {"partitions": 2, "replicate": True, "far_latency": "1 us", "slices": 2, "bandwidth": "64 GB/s"}
    grain = next(number for number in range(64) if scale(mix(number), 2) == 1) * 32 * LINE
    for size in GRAINS:
        cache, below = cache_with(size, keys, False)
        for i in range(32):
            cache.serve(ask(pieces([(grain + i * LINE, LINE // 2, READ)])), 0, 2, 0)
        flags = cache.sets[0, cache.book[bk.COHORTS] + 1 : cache.book[bk.ARRIVALS]]
        flags[flags > 0] = 1
        below.delay = 5 * 10**6
        assert cache.serve(ask(pieces([(grain, 32 * LINE, READ)])), 0, 0, 10**6) == 6 * 10**6
        assert cache.serve(ask(pieces([(grain, LINE, READ)])), 0, 0, 10**6) == -(-6 * 10**6 // 1024) * 1024


def test_a_cohort_is_taken_apart_and_comes_together() -> None:
    """One line of a grain takes the cohort apart; once that is gone from the set, whole grains bring it together."""
    cache, _ = cache_with(32, {"ways": 4, "capacity": f"{LINE * 4 * 64} B"}, False)
    for grain in range(8):
        cache.serve(ask(pieces([(grain * 32 * LINE, 32 * LINE, READ)])), 0, 0, 0)
    assert in_step(cache) == 2
    cache.serve(ask(pieces([(0, LINE, READ)])), 0, 0, 0)
    assert in_step(cache) == 1
    for grain in range(32):
        cache.serve(ask(pieces([(grain * 32 * LINE, 32 * LINE, READ)])), 0, 0, 0)
    assert in_step(cache) == 2


def in_step(cache: Cache) -> int:
    """Cohorts in step."""
    return int(cache.sets[0, cache.book[bk.COHORTS]])

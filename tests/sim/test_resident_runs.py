"""Resident runs against single lines: runs that are read again are answered at once, with the same result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgrain.sim.cache.cache import Cache
from memgrain.sim.cache.fast import resident_runs
from memgrain.sim.cache.fast.by_age import sort_by_age
from memgrain.sim.levels.request import Request
from memgrain.sim.native.jit import compiled
from memgrain.workloads.trace import READ, RUN, WRITE
from tests.sim.conftest import ask, pieces
from tests.sim.test_fates import LINE, Below, cache_with, content

SPECS = st.fixed_dictionaries(
    {
        "replacement": st.sampled_from(["lru", "lru", "lru", "fifo"]),
        "ways": st.sampled_from([1, 2, 4, 16]),
        "partitions": st.sampled_from([1, 2]),
        "slices": st.sampled_from([2, 6, 80]),
        "set_hash": st.sampled_from(["none", "xor"]),
        "dirty_share": st.sampled_from([None, 0.4]),
    }
)
ROW = st.tuples(st.integers(0, 40), st.sampled_from([96, 128, 192, 256]), st.sampled_from([256, 1024, 4096]))


def caches(keys: dict[str, object], sets: int) -> tuple[Cache, Below, Cache, Below]:
    """The same cache twice: looking up line by line, and with resident runs of two lines and more."""
    keys = keys | {"capacity": f"{LINE * int(keys['ways']) * sets * int(keys['partitions'])} B"}  # type: ignore[call-overload]
    if keys["partitions"] == 2:
        keys |= {"replicate": True, "far_latency": "150 ns"}
    plain, plain_below = cache_with(0, keys, False)
    cache, below = cache_with(1, keys, False)
    return plain, plain_below, cache, below


@settings(max_examples=200, deadline=None)
@given(keys=SPECS, data=st.data())
def test_resident_runs_change_nothing(keys: dict[str, object], data: st.DataObject) -> None:
    """A few runs of rows that overlap or not are read in any order, between writes, single lines and new kernels:
    answers, counts, what goes down, bookings and what the sets hold at the end are those of single lines."""
    plain, plain_below, cache, below = caches(keys, data.draw(st.sampled_from([4, 24, 32])))
    runs = [
        (first * 64, stride, rows, size, -1, 0, READ, i % 2, 1)
        for i, ((first, size, stride), rows) in enumerate(
            data.draw(st.lists(st.tuples(ROW, st.integers(2, 12)), min_size=2, max_size=5))
        )
    ]
    choices = st.one_of(
        st.sampled_from(runs),
        st.sampled_from(runs),
        st.sampled_from(runs),
        st.tuples(st.integers(0, 8000), st.sampled_from([32, 128, 300]), st.sampled_from([READ, WRITE])).map(
            lambda piece: (piece[0], 0, 1, piece[1], -1, 0, piece[2], 0, 1)
        ),
    )
    for _ in range(data.draw(st.integers(1, 2))):
        now = 0
        requests = st.tuples(st.lists(choices, min_size=1, max_size=2), st.integers(0, 3), st.integers(0, 300_000))
        for asked, core, later in data.draw(st.lists(requests, min_size=1, max_size=40)):
            now, delay = now + later, data.draw(st.sampled_from([0, 400_000]))
            plain_below.delay = below.delay = delay
            request = Request(np.array(asked, RUN), np.zeros(1, np.int64), 0, len(asked))
            assert plain.serve(request, 0, core, now) == cache.serve(request, 0, core, now)
            assert (plain.queue, plain.first, plain.came) == (cache.queue, cache.first, cache.came)
            assert plain_below.requests == below.requests
        assert plain.counters() == cache.counters()
        assert (plain.counts == cache.counts).all()
        assert (plain.busy == cache.busy).all()
        plain.forget(), cache.forget(), plain_below.forget(), below.forget()
    assert all(np.array_equal(a, b) for a, b in zip(content(plain), content(cache), strict=True))


def test_a_run_that_is_read_again_is_resident_until_a_line_of_it_goes() -> None:
    """It is fetched, then found line by line and registered, then read at once; one foreign line ends that."""
    _, _, cache, _ = caches({"ways": 2, "partitions": 1}, 32)
    tile = Request(np.array([(0, 2 * LINE, 8, LINE, -1, 0, READ, 0, 1)], RUN), np.zeros(1, np.int64), 0, 1)
    clocks = []
    for request in (tile, tile, tile, ask(pieces([(i * 32 * LINE, LINE, READ) for i in (1, 2)])), tile, tile):
        cache.serve(request, 0, 0, 0)
        clocks.append(int(cache.sets[0, cache.config.clock_at]))
    assert clocks == [0, 2, 3, 3, 3, 4]


@compiled
def sort(array, base, ways, way_mask, members, read_at, since, bits):  # type: ignore[no-untyped-def]
    """An intrinsic cannot be called from Python."""
    return sort_by_age(array, base, ways, way_mask, members, read_at, since, bits)


@pytest.mark.parametrize("ways", [3, 16])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_words_come_in_order_of_age(ways: int, data: st.DataObject) -> None:
    """The run read last comes first, in a run the last position; words of no run read since keep their order behind."""
    read = data.draw(st.lists(st.integers(0, 9), min_size=6, max_size=6, unique=True))
    notes = data.draw(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4000)), min_size=ways, max_size=ways, unique=True)
    )
    words = data.draw(st.permutations(range(ways)))
    array = np.zeros(64, np.int32)
    array[:ways] = [1000 * 64 + way for way in words]
    array[ways:16] = -1
    array[16 : 16 + ways] = [number << resident_runs.MOST_BITS | position for number, position in notes]
    array[40:46] = [0, *read[1:]]
    found = sort(array, 0, ways, 63, 16, 40, 4, resident_runs.MOST_BITS)
    since = [notes[way][0] and read[notes[way][0]] > 4 for way in words]
    pending = sorted(
        (way for way, some in zip(words, since, strict=True) if some),
        key=lambda way: (read[notes[way][0]], notes[way][1]),
        reverse=True,
    )
    rest = [way for way, some in zip(words, since, strict=True) if not some]
    assert [int(word) & 63 for word in array[:ways]] == pending + rest
    assert (array[ways:16] == -1).all()
    assert bool(found) == bool(pending)

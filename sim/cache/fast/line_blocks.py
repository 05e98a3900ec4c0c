"""A whole block of lines read or written at once, its set groups being in lock-step: the representative is looked up,
the outcome is counted for each line, and its fetches and write-backs are repeated for each line."""

import numpy as np

from memgrain.sim.cache.expand import FAR, FIRST, MASK, TENSOR, WRITES, entry
from memgrain.sim.cache.fast.quick import quick_read
from memgrain.sim.cache.fast.set_groups import representative
from memgrain.sim.cache.general import read_line, write_line
from memgrain.sim.cache.outgoing import PATTERN, repeat_for_block
from memgrain.sim.cache.slices import reserve_block
from memgrain.sim.cache.ways import SETTLED, STATUS, TAG_BITS, find, index, slot_of
from memgrain.sim.native.jit import compiled, inlined
from memgrain.sim.native.simd import population


@inlined
def enqueue_block(line, request, home, first, set_index, quotient, queue, config, state):
    """Make a block of lines the only entry of the queue, with the representatives of its set groups as its sets."""
    size = config.set_count
    near = representative(first * size + set_index, config)
    queue.line[0], queue.request[0], queue.home[0], queue.key[0] = line, request, home, quotient << TAG_BITS
    queue.set_index[0], queue.to_home[0] = (
        near,
        representative(home * size + set_index, config) - near if home != first else 0,
    )
    if first != state.near:
        queue.request[0] |= FAR
    state.within = set_index & (config.block_lines - 1)


@inlined
def partly_present(key, mask, set_index, sets, config):
    """Whether a set has a line, but not all sectors of `mask`."""
    at = find(key, set_index, sets, config)
    if at < 0:
        return False
    word = np.int64(sets[index(set_index * config.positions + at)])
    return word & SETTLED == 0 and mask & ~np.int64(sets[index(slot_of(word, set_index, config) + STATUS)]) != 0


@inlined
def serve_block(sets, arrivals, out, queue, config, state, busy):
    """Read or write the block that is the queue's only entry.

    Returns False, with nothing done, if its lines must be served one by one: copies of lines that are present in part
    may arrive at different times.
    """
    request, set_index, to_home = entry(queue.request, 0), entry(queue.set_index, 0), entry(queue.to_home, 0)
    mask, tensor, key = request & MASK, (request >> TENSOR) & 0xFF, entry(queue.key, 0)
    copies = to_home and request & WRITES == 0
    if copies and (
        partly_present(key, mask, set_index, sets, config)
        or partly_present(key, mask, set_index + to_home, sets, config)
    ):
        return False
    if request & FIRST:
        state.last_end = -1
    if request & WRITES:
        serve_generally(np.int64(0), sets, arrivals, out, queue, config, state, busy)
        return True
    first = state.near if config.replicate else entry(queue.home, 0)
    start = reserve_block(entry(queue.line, 0), first, population(mask), queue, config, state, busy)
    state.latest = max(state.latest, start)
    if config.quick and request & FAR == 0:
        state.lines = config.block_lines
        done, _ = quick_read(
            np.int64(0),
            config.block_lines,
            mask,
            tensor,
            start,
            True,
            sets,
            arrivals,
            out,
            queue,
            config,
            state,
            busy,
        )
        state.lines = 1
        if done >= 0:
            state.done = max(state.done, done)
            return True
    serve_generally(start, sets, arrivals, out, queue, config, state, busy)
    return True


@compiled
def serve_generally(start, sets, arrivals, out, queue, config, state, busy):
    """Write the block that is the queue's only entry, or read it; its slices serve the last line at `start`.

    The runs for its first line go to the end of `out` first, and are repeated from there.
    """
    last, end, sent, pattern = state.last_read, state.last_end, state.out, len(out) - PATTERN
    state.out, state.last_end, state.lines = pattern, -1, config.block_lines
    if entry(queue.request, 0) & WRITES:
        write_line(np.int64(0), sets, arrivals, out, queue, config, state, busy)
    else:
        read_line(np.int64(0), start, sets, arrivals, out, queue, config, state, busy)
    until = state.out
    state.out, state.last_read, state.last_end, state.lines = sent, last, end, 1
    repeat_for_block(pattern, until, state.within, out, config, state)

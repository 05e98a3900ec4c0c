"""The tables of the event loop: what their entries mean, the work that is to be done, and how far it is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ENDED, MORE_PROGRAMS, MORE_ROOM, BEYOND, SERVE, WAIT, GO_ON = range(7)
"""Why the loop returns: all has ended; programs are used up; a cache has no room for what waits; a line lies beyond
what a cache tells apart. And what a place comes to at its turn: it asks the levels; it waits; it
goes on at once."""
(
    # what does not change: cores, their chains, how far ahead, limits and times of the chip
    CORES,
    OWN,
    VECTOR_CHAIN,
    STAGES,
    LISTS_AHEAD,
    MOST_IN_FLIGHT,
    TOP_LATENCY,
    DISPATCH,
    PROGRAM_START,
    EXCHANGES,
    DIRECT,
    SHARE,
    WORKSPACE_BASE,
    WORKSPACE,
    MAX_PROGRAMS,
    LEVELS,
    SCORE_BYTES,
    PROBABILITY_BYTES,
    ROOM,
    # where it stands
    NOW,
    ORDER,
    EVENTS,
    GENERATION,
    FIRST_WAITING,
    WAITING,
    NEXT,
    EXHAUSTED,
    PENDING,
    TOLD,
    OLDEST,
    DISPATCHED,
    # what the levels are asked, and what they answered
    WAY,
    FIRST,
    COUNT,
    REPEAT,
    NUMBER,
    ANSWER,
    ANSWER_CAUSE,
    AT_HAND,
    # what it counts
    END,
    PROGRAMS,
    MERGING,
    TILES,
    FLIGHT_BYTES,
    FLIGHT_BYTE_NS,
    OVERSIZE_BYTES,
    ISSUE_TIME,
    MACS,
    MERGE_BEGAN,
    STANDING,
) = range(50)
FIRST_STEP, STEPS, CHUNK, PROGRAM = range(4)
"""Entries of a program: its first step, how many, and its chunk."""
BARRIER, COSTS, ONCE, OPENS, RUNNING, LEFT, BEGUN, CHUNK_FIELDS = range(8)
"""Entries of a chunk: whether it waits for the earlier ones, what that costs in ps, the work outside its programs'
steps, when it opens (-1: not yet), how many of its programs run, how many have not ended, whether one has begun."""
FIRST_RUN, INDEX_RUNS, LOAD_RUNS, STORE_RUNS, REPEATS, STEP_WORK, ROWS, COLUMNS, IN_FLIGHT, STEP = range(10)
"""Entries of a step: its runs, repeats, work, score tile, and what its load counts for among bytes in flight."""
(
    # of a place: its state, what it runs, when it began to wait and for what
    STATE,
    PLACE_CHUNK,
    BEGAN,
    CAUSE,
    WAKE,
    BEGIN,
    LAST_STEP,
    # how many of its program's steps there are, have been issued and computed; the rings of what was asked for
    TOTAL,
    ISSUED,
    COMPUTED,
    LOADED_FIRST,
    LOADED,
    LISTED_FIRST,
    LISTED,
    # step and repeat that are issued, asked for ahead, and computed next
    ISSUE_STEP,
    ISSUE_REPEAT,
    AHEAD_STEP,
    AHEAD_REPEAT,
    COMPUTE_STEP,
    COMPUTE_REPEAT,
    # when the units are done; of an exchange of scores: how many parts were asked for, when the last one is across
    END_OF_WORK,
    CROSSING,
    LAST,
    PLACE,
) = range(24)
(
    IDLE,
    AT_BARRIER,
    OPENED,
    STARTED,
    AT_WORK,
    ISSUING,
    LISTED_NOW,
    LOADED_NOW,
    DECIDING,
    CROSSES,
    CROSSED,
    PRODUCTS_DONE,
    CODE_DONE,
    STORED,
    WAITED,
) = range(15)
"""States of a place: what it does when its turn comes."""
LATENCY, INDEX, FLIGHT, BARRIER_STALL, START, MATMUL, VECTOR, CODE, COMPUTE, EXCHANGE, COMMANDS, CAUSES = range(12)
"""What time is spent on, from entry `levels` of `spent` on; before, the stalls for each level."""


class Work(NamedTuple):
    """What is to be done, as arrays."""

    programs: NDArray[np.int64]
    """[program, PROGRAM] in launch order."""
    chunks: NDArray[np.int64]
    """[chunk, CHUNK_FIELDS]."""
    steps: NDArray[np.int64]
    """[step, STEP]."""
    runs: NDArray[np.void]
    """RUN records of all steps."""
    indices: NDArray[np.int64]
    """What gathered runs point to."""
    works: NDArray[np.int64]
    """[work, units.WORK]."""
    rounds: NDArray[np.int64]
    """Times of rounds through the units, in ps."""


class Stand(NamedTuple):
    """How far the kernel is, as arrays."""

    facts: NDArray[np.int64]
    """[STANDING]."""
    places: NDArray[np.int64]
    """[place, PLACE]; place = slot x cores + core."""
    loaded: NDArray[np.int64]
    """[place, stages, 2]: when tiles asked for are there, and what they wait for."""
    listed: NDArray[np.int64]
    """[place, lists_ahead + 1]: when index lists asked for are there."""
    flights: NDArray[np.int64]
    """[core, 1 + n, 3]: how many are in flight and their bytes; a heap of arrival, cause of the wait, and bytes."""
    units: NDArray[np.int64]
    """[core, units.FREE + slots]."""
    heap: NDArray[np.int64]
    """The agenda."""
    waiting: NDArray[np.int64]
    """[places, 2]: who waits for the end of a chunk, and for which one: a ring."""
    spent: NDArray[np.int64]
    """[levels + CAUSES]: ps."""
    crossing: NDArray[np.void]
    """One run: a part of a tile of scores on its way."""

"""The event loop: places on cores that take programs, load tiles ahead of time, compute and store. The same, event by
event, as `sim.core`, which is the one to read first.

A place is in one of the states below when its turn comes; it goes on until it waits for something. The loop returns to
Python when it needs more programs, when a cache needs more room, and when all has ended.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sim.compiled import agenda, chain, units
from sim.compiled.jit import compiled, inlined

ENDED, MORE_PROGRAMS, MORE_ROOM, BEYOND, WINDOW_ENDED, SERVE, WAIT, GO_ON = range(8)
"""Why the loop returns: all has ended; programs are used up; a cache has no room for what waits; a line lies beyond
what a cache tells apart; a window has ended. And what a place comes to at its turn: it asks the levels; it waits; it
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
    # repeats issued so far, and at how many of them a window ends
    REPEATED,
    WINDOW,
    # what it counts
    END,
    PROGRAMS,
    MERGING,
    TILES,
    MACS,
    STANDING,
) = range(47)
FIRST_STEP, STEPS, CHUNK, PROGRAM = range(4)
"""Entries of a program: its first step, how many, and its chunk."""
BARRIER, COSTS, ONCE, OPENS, RUNNING, LEFT, CHUNK_FIELDS = range(7)
"""Entries of a chunk: whether it waits for the earlier ones, what that costs in ps, the work outside its programs'
steps, when it opens (-1: not yet), how many of its programs run, how many have not ended."""
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
LATENCY, INDEX, FLIGHT, BARRIER_STALL, START, MATMUL, VECTOR, CODE, COMPUTE, EXCHANGE, CAUSES = range(11)
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
    """[core, 1 + n, 2]: how many are in flight and their bytes; a heap of arrival and bytes."""
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


@inlined
def schedule(time, who, facts, heap):
    """Let a place (or with -1: those that wait for the end of a chunk) have its turn at `time`."""
    agenda.enter(time, facts[ORDER], who, facts[EVENTS], heap)
    facts[ORDER] += 1
    facts[EVENTS] += 1


@inlined
def spend(what, time, stand):
    """Note that a place spent time on something."""
    stand.spent[stand.facts[LEVELS] + what] += time


@inlined
def longest_wait(asked, done, levels):
    """What the request served last waited for most: the longest queue, if it was longer than all the rest."""
    longest, cause = (done - asked) // 2, len(levels.table) + LATENCY
    for i in range(len(levels.table)):
        if levels.table[i, chain.QUEUE] > longest:
            longest, cause = levels.table[i, chain.QUEUE], i
    return cause


@inlined
def ask(way, first, count, repeat, number, place, answered, stand):
    """Let the loop ask a chain of levels for `count` runs from `first` on; the place goes on in state `answered`."""
    facts = stand.facts
    facts[WAY], facts[FIRST], facts[COUNT], facts[REPEAT], facts[NUMBER] = way, first, count, repeat, number
    stand.places[place, STATE] = answered
    return SERVE


@inlined
def next_repeat(place, step, repeat, work, places):
    """Move one of a place's positions, kept in its entries `step` and `repeat`, on by one."""
    places[place, repeat] += 1
    if places[place, repeat] == work.steps[places[place, step], REPEATS]:
        places[place, repeat] = 0
        places[place, step] += 1
        skip_empty(place, step, work, places)


@inlined
def skip_empty(place, step, work, places):
    """Move a position past steps that are never executed."""
    while places[place, step] < places[place, LAST_STEP] and work.steps[places[place, step], REPEATS] == 0:
        places[place, step] += 1


@inlined
def has_room(core, size, stand):
    """Whether the core may have `size` more bytes in flight; what has arrived by now makes room."""
    flights, now = stand.flights[core], stand.facts[NOW]
    while flights[0, 0] and flights[1, 0] <= now:
        flights[0, 1] -= flights[1, 1]
        flights[0, 0] -= 1
        drop_first(flights)
    return flights[0, 0] == 0 or flights[0, 1] + size <= stand.facts[MOST_IN_FLIGHT]


@inlined
def drop_first(flights):
    """Close the gap that the first of a heap of flights left; their number is that without it."""
    count = flights[0, 0]
    time, size = flights[1 + count, 0], flights[1 + count, 1]
    hole = np.int64(1)
    while True:
        child = 2 * hole
        if child > count:
            break
        if child < count and flights[child + 1, 0] < flights[child, 0]:
            child += 1
        if time <= flights[child, 0]:
            break
        flights[hole, 0], flights[hole, 1] = flights[child, 0], flights[child, 1]
        hole = child
    flights[hole, 0], flights[hole, 1] = time, size


@inlined
def take_off(core, time, size, stand):
    """A load of `size` bytes is in flight until `time`."""
    flights = stand.flights[core]
    flights[0, 0] += 1
    flights[0, 1] += size
    hole = flights[0, 0]
    while hole > 1 and time < flights[hole >> 1, 0]:
        flights[hole, 0], flights[hole, 1] = flights[hole >> 1, 0], flights[hole >> 1, 1]
        hole >>= 1
    flights[hole, 0], flights[hole, 1] = time, size


@inlined
def issue(place, core, work, stand):
    """Ask for index lists as far ahead as the kernel does, and for tiles as far as may be; at the end, what keeps the
    program from issuing more is in its entries WAKE (0: nothing) and CAUSE."""
    places, facts, steps = stand.places, stand.facts, work.steps
    ahead = places[place, ISSUED] - places[place, COMPUTED]
    if places[place, ISSUED] == places[place, TOTAL] or ahead >= facts[STAGES]:
        places[place, STATE] = DECIDING
        return GO_ON
    left = places[place, TOTAL] - places[place, ISSUED]
    if places[place, LISTED] <= facts[LISTS_AHEAD] and places[place, LISTED] < left:
        step = places[place, AHEAD_STEP]
        if steps[step, INDEX_RUNS]:
            facts[TILES] += 1
            first, count, repeat = steps[step, FIRST_RUN], steps[step, INDEX_RUNS], places[place, AHEAD_REPEAT]
            return ask(facts[OWN], first, count, repeat, core, place, LISTED_NOW, stand)
        note_list(place, facts[NOW], work, stand)
        return GO_ON
    listed = stand.listed[place, places[place, LISTED_FIRST]]
    if listed > facts[NOW]:
        places[place, WAKE], places[place, CAUSE] = listed, facts[LEVELS] + INDEX
        places[place, STATE] = DECIDING
        return GO_ON
    step = places[place, ISSUE_STEP]
    if not has_room(core, steps[step, IN_FLIGHT], stand):
        places[place, WAKE], places[place, CAUSE] = stand.flights[core, 1, 0], facts[LEVELS] + FLIGHT
        places[place, STATE] = DECIDING
        return GO_ON
    places[place, LISTED_FIRST] = (places[place, LISTED_FIRST] + 1) % stand.listed.shape[1]
    places[place, LISTED] -= 1
    if steps[step, LOAD_RUNS]:
        facts[TILES] += 1
        first, repeat = steps[step, FIRST_RUN] + steps[step, INDEX_RUNS], places[place, ISSUE_REPEAT]
        return ask(facts[OWN], first, steps[step, LOAD_RUNS], repeat, core, place, LOADED_NOW, stand)
    note_load(place, core, facts[NOW], -1, work, stand)
    return GO_ON


@inlined
def note_list(place, done, work, stand):
    """An index list will be there at `done`."""
    places, ring = stand.places, stand.listed.shape[1]
    stand.listed[place, (places[place, LISTED_FIRST] + places[place, LISTED]) % ring] = done
    places[place, LISTED] += 1
    next_repeat(place, AHEAD_STEP, AHEAD_REPEAT, work, places)
    places[place, STATE] = ISSUING


@inlined
def note_load(place, core, done, cause, work, stand):
    """A tile will be there at `done`, having waited for `cause`."""
    places, facts = stand.places, stand.facts
    size = work.steps[places[place, ISSUE_STEP], IN_FLIGHT]
    if size > facts[MOST_IN_FLIGHT] and done > facts[NOW]:
        done = max(done, facts[NOW] + facts[TOP_LATENCY] * size // facts[MOST_IN_FLIGHT])
    if size:
        take_off(core, done, size, stand)
    at = (places[place, LOADED_FIRST] + places[place, LOADED]) % stand.loaded.shape[1]
    stand.loaded[place, at, 0], stand.loaded[place, at, 1] = done, cause
    places[place, LOADED] += 1
    places[place, ISSUED] += 1
    facts[REPEATED] += 1
    next_repeat(place, ISSUE_STEP, ISSUE_REPEAT, work, places)
    places[place, STATE] = ISSUING


@inlined
def decide(place, core, work, stand):
    """Nothing more can be issued now: compute what is there, or wait."""
    places, facts, steps, works = stand.places, stand.facts, work.steps, work.works
    now, first = facts[NOW], stand.loaded[place, places[place, LOADED_FIRST], 0]
    if places[place, LOADED] and first <= now:
        step = places[place, COMPUTE_STEP]
        of = steps[step, STEP_WORK]
        places[place, STATE] = PRODUCTS_DONE
        if works[of, units.ALONE]:
            begin_work(place, core, of, work, stand)
            if facts[EXCHANGES] and steps[step, COLUMNS]:
                places[place, STATE], places[place, CROSSING] = CROSSES, 0
                places[place, LAST], places[place, CAUSE] = now, facts[LEVELS] + EXCHANGE
                return GO_ON
            schedule(places[place, END_OF_WORK], place, facts, stand.heap)
            return WAIT
        return GO_ON
    if places[place, LOADED] and (not places[place, WAKE] or first < places[place, WAKE]):
        places[place, WAKE], places[place, CAUSE] = first, stand.loaded[place, places[place, LOADED_FIRST], 1]
    places[place, STATE], places[place, BEGAN] = WAITED, now
    schedule(places[place, WAKE], place, facts, stand.heap)
    return WAIT


@inlined
def begin_work(place, core, of, work, stand):
    """Book the units for a work; its end is in the place's entry END_OF_WORK."""
    facts, works = stand.facts, work.works
    alone, matmul, vector = works[of, units.ALONE], works[of, units.MATMUL], works[of, units.VECTOR]
    facts[MACS] += works[of, units.MACS]
    end = units.reserve(core, of, facts[NOW], works, work.rounds, stand.units)
    stand.places[place, END_OF_WORK] = end
    spend(MATMUL, matmul, stand)
    spend(VECTOR, vector, stand)
    spend(CODE, alone - matmul - vector, stand)
    spend(COMPUTE, end - facts[NOW] - alone, stand)


@inlined
def cross(place, core, slot, work, stand):
    """Ask for the next part of an exchange of scores and probabilities between matrix and vector cores, or wait until
    the last one is across and computed."""
    places, facts, steps = stand.places, stand.facts, work.steps
    share, number, step = facts[SHARE], places[place, CROSSING], places[place, COMPUTE_STEP]
    if number == 2 * (share + 1):
        across = places[place, LAST] + work.works[steps[step, STEP_WORK], units.ALONE]
        end = max(places[place, END_OF_WORK], across)
        stand.spent[places[place, CAUSE]] += end - places[place, END_OF_WORK]
        places[place, STATE] = PRODUCTS_DONE
        schedule(end, place, facts, stand.heap)
        return WAIT
    inward, turn = number // (share + 1), number % (share + 1)
    ours = turn == (share if inward else 0)
    places[place, CROSSING] += 1
    if ours and facts[DIRECT]:
        return GO_ON
    i, rows = turn - 1 + inward, steps[step, ROWS]
    part, width = (rows + share - 1) // share, steps[step, COLUMNS] * facts[SCORE_BYTES]
    address = facts[WORKSPACE_BASE] + (core * facts[MAX_PROGRAMS] + slot) * facts[WORKSPACE]
    if inward:
        address += facts[WORKSPACE] // 2
        width = steps[step, COLUMNS] * facts[PROBABILITY_BYTES]
    run = stand.crossing[0]
    run["base"] = np.uint64(address if ours else address + i * part * width)
    run["stride"], run["count"] = width, np.uint32(rows if ours else part)
    run["bytes"], run["op"] = np.uint32(width), np.uint8(ours != (inward == 1))
    way, whose = (facts[OWN], core) if ours else (facts[VECTOR_CHAIN], core * share + i)
    return ask(way, -1, 1, 0, whose, place, CROSSED, stand)


@inlined
def note_crossed(place, stand):
    """A part of an exchange is across at the time that was answered."""
    places, facts = stand.places, stand.facts
    if facts[ANSWER] > places[place, LAST]:
        levels, cause = facts[LEVELS], facts[ANSWER_CAUSE]
        places[place, LAST] = facts[ANSWER]
        places[place, CAUSE] = levels + EXCHANGE if cause == levels + LATENCY else cause
    places[place, STATE] = CROSSES


@inlined
def earlier_run(number, facts, chunks):
    """Whether programs of a chunk before `number` run."""
    while facts[OLDEST] < number and chunks[facts[OLDEST], LEFT] == 0:
        facts[OLDEST] += 1
    other = facts[OLDEST]
    while other < number and chunks[other, RUNNING] == 0:
        other += 1
    return other < number


@inlined
def take_program(place, work, stand):
    """Give a place the next program."""
    places, facts, steps = stand.places, stand.facts, work.steps
    program = work.programs[facts[NEXT]]
    facts[NEXT] += 1
    first, last = program[FIRST_STEP], program[FIRST_STEP] + program[STEPS]
    places[place, PLACE_CHUNK], places[place, LAST_STEP] = program[CHUNK], last
    total = np.int64(0)
    for step in range(first, last):
        total += steps[step, REPEATS]
    places[place, TOTAL] = total
    for entry in (ISSUED, COMPUTED, LOADED_FIRST, LOADED, LISTED_FIRST, LISTED):
        places[place, entry] = 0
    for entry in (ISSUE_STEP, AHEAD_STEP, COMPUTE_STEP):
        places[place, entry] = first
        places[place, entry + 1] = 0
        skip_empty(place, entry, work, places)
    places[place, BEGAN] = facts[NOW]


@inlined
def pass_barrier(place, work, stand):
    """Go past the barrier of a place's chunk, or wait there."""
    places, facts, chunks = stand.places, stand.facts, work.chunks
    number = places[place, PLACE_CHUNK]
    if chunks[number, BARRIER] and earlier_run(number, facts, chunks):
        at = (facts[FIRST_WAITING] + facts[WAITING]) % len(stand.waiting)
        stand.waiting[at, 0], stand.waiting[at, 1] = place, facts[GENERATION]
        facts[WAITING] += 1
        places[place, STATE] = AT_BARRIER
        return WAIT
    chunks[number, RUNNING] += 1
    facts[PROGRAMS] += 1
    facts[MERGING] += chunks[number, BARRIER]
    places[place, STATE] = OPENED
    if chunks[number, COSTS]:
        if chunks[number, OPENS] < 0:
            chunks[number, OPENS] = facts[NOW] + chunks[number, COSTS]
        schedule(max(facts[NOW], chunks[number, OPENS]), place, facts, stand.heap)
        return WAIT
    return GO_ON


@inlined
def start(place, stand):
    """Let a place's program be dispatched, and wait until it starts."""
    places, facts = stand.places, stand.facts
    spend(BARRIER_STALL, facts[NOW] - places[place, BEGAN], stand)
    places[place, BEGAN] = facts[NOW]
    facts[DISPATCHED] = max(facts[DISPATCHED], facts[NOW]) + facts[DISPATCH]
    wait = facts[DISPATCHED] - facts[NOW] + places[place, BEGIN]
    places[place, BEGIN] = facts[PROGRAM_START]
    places[place, STATE] = STARTED
    if wait:
        schedule(facts[NOW] + wait, place, facts, stand.heap)
        return WAIT
    return GO_ON


@inlined
def end_program(place, work, stand):
    """A place's program has ended; who waits for the end of its chunk is told."""
    facts, chunks, number = stand.facts, work.chunks, stand.places[place, PLACE_CHUNK]
    chunks[number, RUNNING] -= 1
    chunks[number, LEFT] -= 1
    if not chunks[number, RUNNING]:
        last = (facts[FIRST_WAITING] + facts[WAITING] - 1) % len(stand.waiting)
        if facts[WAITING] and stand.waiting[last, 1] == facts[GENERATION]:
            schedule(facts[NOW], -1 - facts[GENERATION], facts, stand.heap)
        facts[GENERATION] += 1
    stand.places[place, STATE] = IDLE


@inlined
def after_products(place, core, work, stand):
    """The products of a step are done: run the code outside the steps where it belongs."""
    places, facts, steps = stand.places, stand.facts, work.steps
    step = places[place, COMPUTE_STEP]
    stores = steps[step, STORE_RUNS]
    idle = not (steps[step, INDEX_RUNS] or steps[step, LOAD_RUNS] or stores)
    idle = idle and not work.works[steps[step, STEP_WORK], units.ALONE]
    places[place, STATE] = CODE_DONE
    once = work.chunks[places[place, PLACE_CHUNK], ONCE]
    if (stores or idle) and work.works[once, units.ALONE]:
        begin_work(place, core, once, work, stand)
        schedule(places[place, END_OF_WORK], place, facts, stand.heap)
        return WAIT
    return GO_ON


@inlined
def after_code(place, core, work, stand):
    """A step is computed: store what it made, and go on to the next one."""
    places, facts, steps = stand.places, stand.facts, work.steps
    step, repeat = places[place, COMPUTE_STEP], places[place, COMPUTE_REPEAT]
    stores = steps[step, STORE_RUNS]
    first = steps[step, FIRST_RUN] + steps[step, INDEX_RUNS] + steps[step, LOAD_RUNS]
    places[place, LOADED_FIRST] = (places[place, LOADED_FIRST] + 1) % stand.loaded.shape[1]
    places[place, LOADED] -= 1
    places[place, COMPUTED] += 1
    next_repeat(place, COMPUTE_STEP, COMPUTE_REPEAT, work, places)
    if stores:
        return ask(facts[OWN], first, stores, repeat, core, place, STORED, stand)
    places[place, STATE] = AT_WORK
    return GO_ON


@inlined
def have_turn(place, work, stand):
    """Let a place do what its state says: whether it goes on, waits, or needs levels or programs."""
    places, facts = stand.places, stand.facts
    core, slot, state = place % facts[CORES], place // facts[CORES], places[place, STATE]
    if state == ISSUING:
        return issue(place, core, work, stand)
    if state == LOADED_NOW:
        note_load(place, core, facts[ANSWER], facts[ANSWER_CAUSE], work, stand)
    elif state == LISTED_NOW:
        note_list(place, facts[ANSWER], work, stand)
    elif state == DECIDING:
        return decide(place, core, work, stand)
    elif state == CROSSES:
        return cross(place, core, slot, work, stand)
    elif state == CROSSED:
        note_crossed(place, stand)
    elif state == PRODUCTS_DONE:
        return after_products(place, core, work, stand)
    elif state == CODE_DONE:
        return after_code(place, core, work, stand)
    elif state == STORED:
        facts[END] = max(facts[END], facts[ANSWER])
        places[place, STATE] = AT_WORK
    elif state == WAITED:
        stand.spent[places[place, CAUSE]] += facts[NOW] - places[place, BEGAN]
        places[place, STATE] = AT_WORK
    elif state == IDLE:
        if facts[NEXT] == facts[AT_HAND]:
            return WAIT if facts[EXHAUSTED] else MORE_PROGRAMS
        take_program(place, work, stand)
        return pass_barrier(place, work, stand)
    elif state == AT_BARRIER:
        return pass_barrier(place, work, stand)
    elif state == OPENED:
        return start(place, stand)
    elif state == STARTED:
        spend(START, facts[NOW] - places[place, BEGAN], stand)
        places[place, STATE] = AT_WORK
    elif facts[REPEATED] >= facts[WINDOW]:
        return WINDOW_ENDED
    elif places[place, COMPUTED] == places[place, TOTAL]:
        end_program(place, work, stand)
    else:
        places[place, STATE], places[place, WAKE] = ISSUING, 0
    return GO_ON


@inlined
def chunk_ended(generation, facts, waiting):
    """The next place that waited for the end of a chunk of that generation, or -1."""
    first = facts[FIRST_WAITING]
    if not facts[WAITING] or waiting[first, 1] != generation:
        return np.int64(-1)
    facts[FIRST_WAITING] = (first + 1) % len(waiting)
    facts[WAITING] -= 1
    return waiting[first, 0]


@inlined
def next_place(facts, heap, waiting):
    """Whose turn it is, or -1 if all has ended; that of one who waited for the end of a chunk comes before the next
    event."""
    while True:
        if facts[TOLD] >= 0:
            place = chunk_ended(facts[TOLD], facts, waiting)
            if place >= 0:
                return place
            facts[TOLD] = -1
        if not facts[EVENTS]:
            return np.int64(-1)
        time, who = agenda.leave(facts[EVENTS], heap)
        facts[EVENTS] -= 1
        facts[NOW] = time
        if who >= 0:
            return who
        facts[TOLD] = -1 - who


@compiled
def turn(work, stand):
    """Let places have their turns until something is needed: SERVE, MORE_PROGRAMS, or ENDED."""
    facts = stand.facts
    while True:
        if facts[PENDING] < 0:
            facts[PENDING] = next_place(facts, stand.heap, stand.waiting)
            if facts[PENDING] < 0:
                return ENDED
        what = have_turn(facts[PENDING], work, stand)
        if what == WAIT:
            facts[PENDING] = -1
        elif what != GO_ON:
            return what


@compiled
def run(work, stand, levels):
    """Run until all has ended, or until something is needed: why, see ENDED and the like."""
    facts = stand.facts
    while True:
        what = turn(work, stand)
        if what != SERVE:
            return what
        runs, first = work.runs, facts[FIRST]
        if first < 0:
            runs, first = stand.crossing, np.int64(0)
        now, count, repeat = facts[NOW], facts[COUNT], facts[REPEAT]
        done = chain.serve(facts[WAY], runs, work.indices, first, count, repeat, facts[NUMBER], now, levels)
        if done == chain.NEVER:
            return BEYOND
        facts[ANSWER], facts[ANSWER_CAUSE] = done, longest_wait(now, done, levels)
        if chain.room_left(levels) < facts[ROOM]:
            return MORE_ROOM

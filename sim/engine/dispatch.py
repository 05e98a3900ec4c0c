"""Places take programs: barriers between chunks, dispatch, and who is told when a chunk has ended."""

import numpy as np

from memgrain.sim.engine import event_queue as agenda
from memgrain.sim.engine import tables as tb
from memgrain.sim.native.jit import inlined


@inlined
def schedule(time, who, facts, heap):
    """Let a place have its turn at `time`, or with -1 - n those that wait for the end of a chunk, of generation n."""
    agenda.enter(time, facts[tb.ORDER], who, facts[tb.EVENTS], heap)
    facts[tb.ORDER] += 1
    facts[tb.EVENTS] += 1


@inlined
def spend(what, time, stand):
    """Note that a place spent time on something."""
    stand.spent[stand.facts[tb.LEVELS] + what] += time


@inlined
def skip_empty(place, step, work, places):
    """Move a position past steps that are never executed."""
    while places[place, step] < places[place, tb.LAST_STEP] and work.steps[places[place, step], tb.REPEATS] == 0:
        places[place, step] += 1


@inlined
def earlier_run(number, facts, chunks):
    """Whether programs of a chunk before `number` run."""
    while facts[tb.OLDEST] < number and chunks[facts[tb.OLDEST], tb.LEFT] == 0:
        facts[tb.OLDEST] += 1
    other = facts[tb.OLDEST]
    while other < number and chunks[other, tb.RUNNING] == 0:
        other += 1
    return other < number


@inlined
def take_program(place, work, stand):
    """Give a place the next program."""
    places, facts, steps = stand.places, stand.facts, work.steps
    program = work.programs[facts[tb.NEXT]]
    facts[tb.NEXT] += 1
    first, last = program[tb.FIRST_STEP], program[tb.FIRST_STEP] + program[tb.STEPS]
    places[place, tb.PLACE_CHUNK], places[place, tb.LAST_STEP] = program[tb.CHUNK], last
    total = np.int64(0)
    for step in range(first, last):
        total += steps[step, tb.REPEATS]
    places[place, tb.TOTAL] = total
    for entry in (tb.ISSUED, tb.COMPUTED, tb.LOADED_FIRST, tb.LOADED, tb.LISTED_FIRST, tb.LISTED):
        places[place, entry] = 0
    for entry in (tb.ISSUE_STEP, tb.AHEAD_STEP, tb.COMPUTE_STEP):
        places[place, entry] = first
        places[place, entry + 1] = 0
        skip_empty(place, entry, work, places)
    places[place, tb.BEGAN] = facts[tb.NOW]


@inlined
def pass_barrier(place, work, stand):
    """Go past the barrier of a place's chunk, or wait there."""
    places, facts, chunks = stand.places, stand.facts, work.chunks
    number = places[place, tb.PLACE_CHUNK]
    if chunks[number, tb.BARRIER] and earlier_run(number, facts, chunks):
        at = (facts[tb.FIRST_WAITING] + facts[tb.WAITING]) % len(stand.waiting)
        stand.waiting[at, 0], stand.waiting[at, 1] = place, facts[tb.GENERATION]
        facts[tb.WAITING] += 1
        places[place, tb.STATE] = tb.AT_BARRIER
        return tb.WAIT
    if chunks[number, tb.BARRIER] and not chunks[number, tb.BEGUN]:
        facts[tb.MERGE_BEGAN] = facts[tb.NOW]
    chunks[number, tb.BEGUN] = 1
    chunks[number, tb.RUNNING] += 1
    facts[tb.PROGRAMS] += 1
    facts[tb.MERGING] += chunks[number, tb.BARRIER]
    places[place, tb.STATE] = tb.OPENED
    if chunks[number, tb.COSTS]:
        if chunks[number, tb.OPENS] < 0:
            chunks[number, tb.OPENS] = facts[tb.NOW] + chunks[number, tb.COSTS]
        schedule(max(facts[tb.NOW], chunks[number, tb.OPENS]), place, facts, stand.heap)
        return tb.WAIT
    return tb.GO_ON


@inlined
def start(place, stand):
    """Let a place's program be dispatched, and wait until it starts."""
    places, facts = stand.places, stand.facts
    spend(tb.BARRIER_STALL, facts[tb.NOW] - places[place, tb.BEGAN], stand)
    places[place, tb.BEGAN] = facts[tb.NOW]
    facts[tb.DISPATCHED] = max(facts[tb.DISPATCHED], facts[tb.NOW]) + facts[tb.DISPATCH]
    wait = facts[tb.DISPATCHED] - facts[tb.NOW] + places[place, tb.BEGIN]
    places[place, tb.BEGIN] = facts[tb.PROGRAM_START]
    places[place, tb.STATE] = tb.STARTED
    if wait:
        schedule(facts[tb.NOW] + wait, place, facts, stand.heap)
        return tb.WAIT
    return tb.GO_ON


@inlined
def end_program(place, work, stand):
    """A place's program has ended; who waits for the end of its chunk is told."""
    facts, chunks, number = stand.facts, work.chunks, stand.places[place, tb.PLACE_CHUNK]
    chunks[number, tb.RUNNING] -= 1
    chunks[number, tb.LEFT] -= 1
    if not chunks[number, tb.RUNNING]:
        last = (facts[tb.FIRST_WAITING] + facts[tb.WAITING] - 1) % len(stand.waiting)
        if facts[tb.WAITING] and stand.waiting[last, 1] == facts[tb.GENERATION]:
            schedule(facts[tb.NOW], -1 - facts[tb.GENERATION], facts, stand.heap)
        facts[tb.GENERATION] += 1
    stand.places[place, tb.STATE] = tb.IDLE


@inlined
def chunk_ended(generation, facts, waiting):
    """The next place that waited for the end of a chunk of that generation, or -1."""
    first = facts[tb.FIRST_WAITING]
    if not facts[tb.WAITING] or waiting[first, 1] != generation:
        return np.int64(-1)
    facts[tb.FIRST_WAITING] = (first + 1) % len(waiting)
    facts[tb.WAITING] -= 1
    return waiting[first, 0]


@inlined
def next_place(facts, heap, waiting):
    """Whose turn it is, or -1 if all has ended; that of one who waited for the end of a chunk comes before the next
    event."""
    while True:
        if facts[tb.TOLD] >= 0:
            place = chunk_ended(facts[tb.TOLD], facts, waiting)
            if place >= 0:
                return place
            facts[tb.TOLD] = -1
        if not facts[tb.EVENTS]:
            return np.int64(-1)
        time, who = agenda.leave(facts[tb.EVENTS], heap)
        facts[tb.EVENTS] -= 1
        facts[tb.NOW] = time
        if who >= 0:
            return who
        facts[tb.TOLD] = -1 - who

"""The event loop: places on cores that take programs, load tiles ahead of time, compute and store. The same, event by
event, as `memgrain.sim.reference.engine`, which is the one to read first.

A place is in one of the states below when its turn comes; it goes on until it waits for something. The loop returns to
Python when it needs more programs, when a cache needs more room, and when all has ended.
"""

import numpy as np

from memgrain.sim.engine import memory_path as chain
from memgrain.sim.engine import tables as tb
from memgrain.sim.engine import units
from memgrain.sim.engine.dispatch import (
    end_program,
    next_place,
    pass_barrier,
    schedule,
    skip_empty,
    spend,
    start,
    take_program,
)
from memgrain.sim.engine.outstanding import has_room, room_waits_for, take_off
from memgrain.sim.native.jit import compiled, inlined


@inlined
def longest_wait(asked, done, levels):
    """What the request served last waited for most: the longest queue, if it was longer than all the rest; at a
    scratchpad that of a DMA engine for commands, or that of the banks."""
    number = len(levels.table)
    longest, cause = (done - asked) // 2, number + tb.LATENCY
    for i in range(number):
        if levels.table[i, chain.QUEUE] > longest:
            longest = levels.table[i, chain.QUEUE]
            cause = number + tb.COMMANDS if levels.table[i, chain.FOR_ENGINE] else i
    return cause


@inlined
def ask(way, first, count, repeat, number, place, answered, stand):
    """Let the loop ask a chain of levels for `count` runs from `first` on; the place goes on in state `answered`."""
    facts = stand.facts
    facts[tb.WAY], facts[tb.FIRST], facts[tb.COUNT], facts[tb.REPEAT], facts[tb.NUMBER] = (
        way,
        first,
        count,
        repeat,
        number,
    )
    stand.places[place, tb.STATE] = answered
    return tb.SERVE


@inlined
def next_repeat(place, step, repeat, work, places):
    """Move one of a place's positions, kept in its entries `step` and `repeat`, on by one."""
    places[place, repeat] += 1
    if places[place, repeat] == work.steps[places[place, step], tb.REPEATS]:
        places[place, repeat] = 0
        places[place, step] += 1
        skip_empty(place, step, work, places)


@inlined
def issue(place, core, work, stand):
    """Ask for index lists as far ahead as the kernel does, and for tiles as far as may be; at the end, what keeps the
    program from issuing more is in its entries WAKE (0: nothing) and CAUSE."""
    places, facts, steps = stand.places, stand.facts, work.steps
    ahead = places[place, tb.ISSUED] - places[place, tb.COMPUTED]
    if places[place, tb.ISSUED] == places[place, tb.TOTAL] or ahead >= facts[tb.STAGES]:
        places[place, tb.STATE] = tb.DECIDING
        return tb.GO_ON
    left = places[place, tb.TOTAL] - places[place, tb.ISSUED]
    if places[place, tb.LISTED] <= facts[tb.LISTS_AHEAD] and places[place, tb.LISTED] < left:
        step = places[place, tb.AHEAD_STEP]
        if steps[step, tb.INDEX_RUNS]:
            facts[tb.TILES] += 1
            first, count, repeat = steps[step, tb.FIRST_RUN], steps[step, tb.INDEX_RUNS], places[place, tb.AHEAD_REPEAT]
            return ask(facts[tb.OWN], first, count, repeat, core, place, tb.LISTED_NOW, stand)
        note_list(place, facts[tb.NOW], work, stand)
        return tb.GO_ON
    listed = stand.listed[place, places[place, tb.LISTED_FIRST]]
    if listed > facts[tb.NOW]:
        places[place, tb.WAKE], places[place, tb.CAUSE] = listed, facts[tb.LEVELS] + tb.INDEX
        places[place, tb.STATE] = tb.DECIDING
        return tb.GO_ON
    step = places[place, tb.ISSUE_STEP]
    if not has_room(core, steps[step, tb.IN_FLIGHT], stand):
        places[place, tb.WAKE], places[place, tb.CAUSE] = stand.flights[core, 1, 0], room_waits_for(core, stand)
        places[place, tb.STATE] = tb.DECIDING
        return tb.GO_ON
    places[place, tb.LISTED_FIRST] = (places[place, tb.LISTED_FIRST] + 1) % stand.listed.shape[1]
    places[place, tb.LISTED] -= 1
    if steps[step, tb.LOAD_RUNS]:
        facts[tb.TILES] += 1
        first, repeat = steps[step, tb.FIRST_RUN] + steps[step, tb.INDEX_RUNS], places[place, tb.ISSUE_REPEAT]
        return ask(facts[tb.OWN], first, steps[step, tb.LOAD_RUNS], repeat, core, place, tb.LOADED_NOW, stand)
    note_load(place, core, facts[tb.NOW], -1, work, stand)
    return tb.GO_ON


@inlined
def note_list(place, done, work, stand):
    """An index list will be there at `done`."""
    places, ring = stand.places, stand.listed.shape[1]
    stand.listed[place, (places[place, tb.LISTED_FIRST] + places[place, tb.LISTED]) % ring] = done
    places[place, tb.LISTED] += 1
    next_repeat(place, tb.AHEAD_STEP, tb.AHEAD_REPEAT, work, places)
    places[place, tb.STATE] = tb.ISSUING


@inlined
def note_load(place, core, done, cause, work, stand):
    """A tile will be there at `done`, having waited for `cause`."""
    places, facts = stand.places, stand.facts
    size = work.steps[places[place, tb.ISSUE_STEP], tb.IN_FLIGHT]
    if size > facts[tb.MOST_IN_FLIGHT] and done > facts[tb.NOW]:
        facts[tb.OVERSIZE_BYTES] += size
        turns = facts[tb.NOW] + facts[tb.TOP_LATENCY] * size // facts[tb.MOST_IN_FLIGHT]
        if turns > done:
            done, cause = turns, facts[tb.LEVELS] + tb.FLIGHT
    if size:
        facts[tb.FLIGHT_BYTES] += size
        facts[tb.FLIGHT_BYTE_NS] += size * (done - facts[tb.NOW]) // 1000
        take_off(core, done, cause, size, stand)
    at = (places[place, tb.LOADED_FIRST] + places[place, tb.LOADED]) % stand.loaded.shape[1]
    stand.loaded[place, at, 0], stand.loaded[place, at, 1] = done, cause
    places[place, tb.LOADED] += 1
    places[place, tb.ISSUED] += 1
    next_repeat(place, tb.ISSUE_STEP, tb.ISSUE_REPEAT, work, places)
    places[place, tb.STATE] = tb.ISSUING


@inlined
def decide(place, core, work, stand):
    """Nothing more can be issued now: compute what is there, or wait."""
    places, facts, steps, works = stand.places, stand.facts, work.steps, work.works
    now, first = facts[tb.NOW], stand.loaded[place, places[place, tb.LOADED_FIRST], 0]
    if places[place, tb.LOADED] and first <= now:
        step = places[place, tb.COMPUTE_STEP]
        of = steps[step, tb.STEP_WORK]
        places[place, tb.STATE] = tb.PRODUCTS_DONE
        if works[of, units.ALONE]:
            begin_work(place, core, of, work, stand)
            if facts[tb.EXCHANGES] and steps[step, tb.COLUMNS]:
                places[place, tb.STATE], places[place, tb.CROSSING] = tb.CROSSES, 0
                places[place, tb.LAST], places[place, tb.CAUSE] = now, facts[tb.LEVELS] + tb.EXCHANGE
                return tb.GO_ON
            schedule(places[place, tb.END_OF_WORK], place, facts, stand.heap)
            return tb.WAIT
        return tb.GO_ON
    if places[place, tb.LOADED] and (not places[place, tb.WAKE] or first < places[place, tb.WAKE]):
        places[place, tb.WAKE], places[place, tb.CAUSE] = first, stand.loaded[place, places[place, tb.LOADED_FIRST], 1]
    places[place, tb.STATE], places[place, tb.BEGAN] = tb.WAITED, now
    schedule(places[place, tb.WAKE], place, facts, stand.heap)
    return tb.WAIT


@inlined
def begin_work(place, core, of, work, stand):
    """Book the units for a work; its end is in the place's entry END_OF_WORK."""
    facts, works = stand.facts, work.works
    alone, matmul, vector = works[of, units.ALONE], works[of, units.MATMUL], works[of, units.VECTOR]
    facts[tb.MACS] += works[of, units.MACS]
    facts[tb.ISSUE_TIME] += works[of, units.ISSUE]
    end = units.reserve(core, of, facts[tb.NOW], works, work.rounds, stand.units)
    stand.places[place, tb.END_OF_WORK] = end
    spend(tb.MATMUL, matmul, stand)
    spend(tb.VECTOR, vector, stand)
    spend(tb.CODE, alone - matmul - vector, stand)
    spend(tb.COMPUTE, end - facts[tb.NOW] - alone, stand)


@inlined
def cross(place, core, slot, work, stand):
    """Ask for the next part of an exchange of scores and probabilities between matrix and vector cores, or wait until
    the last one is across and computed."""
    places, facts, steps = stand.places, stand.facts, work.steps
    share, number, step = facts[tb.SHARE], places[place, tb.CROSSING], places[place, tb.COMPUTE_STEP]
    if number == 2 * (share + 1):
        across = places[place, tb.LAST] + work.works[steps[step, tb.STEP_WORK], units.ALONE]
        end = max(places[place, tb.END_OF_WORK], across)
        stand.spent[places[place, tb.CAUSE]] += end - places[place, tb.END_OF_WORK]
        places[place, tb.STATE] = tb.PRODUCTS_DONE
        schedule(end, place, facts, stand.heap)
        return tb.WAIT
    inward, turn = number // (share + 1), number % (share + 1)
    ours = turn == (share if inward else 0)
    places[place, tb.CROSSING] += 1
    if ours and facts[tb.DIRECT]:
        return tb.GO_ON
    i, rows = turn - 1 + inward, steps[step, tb.ROWS]
    part, width = (rows + share - 1) // share, steps[step, tb.COLUMNS] * facts[tb.SCORE_BYTES]
    address = facts[tb.WORKSPACE_BASE] + (core * facts[tb.MAX_PROGRAMS] + slot) * facts[tb.WORKSPACE]
    if inward:
        address += facts[tb.WORKSPACE] // 2
        width = steps[step, tb.COLUMNS] * facts[tb.PROBABILITY_BYTES]
    run = stand.crossing[0]
    run["base"] = np.uint64(address if ours else address + i * part * width)
    run["stride"], run["count"] = width, np.uint32(rows if ours else part)
    run["bytes"], run["op"] = np.uint32(width), np.uint8(ours != (inward == 1))
    way, whose = (facts[tb.OWN], core) if ours else (facts[tb.VECTOR_CHAIN], core * share + i)
    return ask(way, -1, 1, 0, whose, place, tb.CROSSED, stand)


@inlined
def note_crossed(place, stand):
    """A part of an exchange is across at the time that was answered."""
    places, facts = stand.places, stand.facts
    if facts[tb.ANSWER] > places[place, tb.LAST]:
        levels, cause = facts[tb.LEVELS], facts[tb.ANSWER_CAUSE]
        places[place, tb.LAST] = facts[tb.ANSWER]
        places[place, tb.CAUSE] = levels + tb.EXCHANGE if cause == levels + tb.LATENCY else cause
    places[place, tb.STATE] = tb.CROSSES


@inlined
def after_products(place, core, work, stand):
    """The products of a step are done: run the code outside the steps where it belongs."""
    places, facts, steps = stand.places, stand.facts, work.steps
    step = places[place, tb.COMPUTE_STEP]
    stores = steps[step, tb.STORE_RUNS]
    idle = not (steps[step, tb.INDEX_RUNS] or steps[step, tb.LOAD_RUNS] or stores)
    idle = idle and not work.works[steps[step, tb.STEP_WORK], units.ALONE]
    places[place, tb.STATE] = tb.CODE_DONE
    once = work.chunks[places[place, tb.PLACE_CHUNK], tb.ONCE]
    if (stores or idle) and work.works[once, units.ALONE]:
        begin_work(place, core, once, work, stand)
        schedule(places[place, tb.END_OF_WORK], place, facts, stand.heap)
        return tb.WAIT
    return tb.GO_ON


@inlined
def after_code(place, core, work, stand):
    """A step is computed: store what it made, and go on to the next one."""
    places, facts, steps = stand.places, stand.facts, work.steps
    step, repeat = places[place, tb.COMPUTE_STEP], places[place, tb.COMPUTE_REPEAT]
    stores = steps[step, tb.STORE_RUNS]
    first = steps[step, tb.FIRST_RUN] + steps[step, tb.INDEX_RUNS] + steps[step, tb.LOAD_RUNS]
    places[place, tb.LOADED_FIRST] = (places[place, tb.LOADED_FIRST] + 1) % stand.loaded.shape[1]
    places[place, tb.LOADED] -= 1
    places[place, tb.COMPUTED] += 1
    next_repeat(place, tb.COMPUTE_STEP, tb.COMPUTE_REPEAT, work, places)
    if stores:
        return ask(facts[tb.OWN], first, stores, repeat, core, place, tb.STORED, stand)
    places[place, tb.STATE] = tb.AT_WORK
    return tb.GO_ON


@inlined
def have_turn(place, work, stand):
    """Let a place do what its state says: whether it goes on, waits, or needs levels or programs."""
    places, facts = stand.places, stand.facts
    core, slot, state = place % facts[tb.CORES], place // facts[tb.CORES], places[place, tb.STATE]
    if state == tb.ISSUING:
        return issue(place, core, work, stand)
    if state == tb.LOADED_NOW:
        note_load(place, core, facts[tb.ANSWER], facts[tb.ANSWER_CAUSE], work, stand)
    elif state == tb.LISTED_NOW:
        note_list(place, facts[tb.ANSWER], work, stand)
    elif state == tb.DECIDING:
        return decide(place, core, work, stand)
    elif state == tb.CROSSES:
        return cross(place, core, slot, work, stand)
    elif state == tb.CROSSED:
        note_crossed(place, stand)
    elif state == tb.PRODUCTS_DONE:
        return after_products(place, core, work, stand)
    elif state == tb.CODE_DONE:
        return after_code(place, core, work, stand)
    elif state == tb.STORED:
        facts[tb.END] = max(facts[tb.END], facts[tb.ANSWER])
        places[place, tb.STATE] = tb.AT_WORK
    elif state == tb.WAITED:
        stand.spent[places[place, tb.CAUSE]] += facts[tb.NOW] - places[place, tb.BEGAN]
        places[place, tb.STATE] = tb.AT_WORK
    elif state == tb.IDLE:
        if facts[tb.NEXT] == facts[tb.AT_HAND]:
            return tb.WAIT if facts[tb.EXHAUSTED] else tb.MORE_PROGRAMS
        take_program(place, work, stand)
        return pass_barrier(place, work, stand)
    elif state == tb.AT_BARRIER:
        return pass_barrier(place, work, stand)
    elif state == tb.OPENED:
        return start(place, stand)
    elif state == tb.STARTED:
        spend(tb.START, facts[tb.NOW] - places[place, tb.BEGAN], stand)
        places[place, tb.STATE] = tb.AT_WORK
    elif places[place, tb.COMPUTED] == places[place, tb.TOTAL]:
        end_program(place, work, stand)
    else:
        places[place, tb.STATE], places[place, tb.WAKE] = tb.ISSUING, 0
    return tb.GO_ON


@inlined
def turn(work, stand):
    """Let places have their turns until something is needed: SERVE, MORE_PROGRAMS, or ENDED."""
    facts = stand.facts
    while True:
        if facts[tb.PENDING] < 0:
            facts[tb.PENDING] = next_place(facts, stand.heap, stand.waiting)
            if facts[tb.PENDING] < 0:
                return tb.ENDED
        what = have_turn(facts[tb.PENDING], work, stand)
        if what == tb.WAIT:
            facts[tb.PENDING] = -1
        elif what != tb.GO_ON:
            return what


@compiled
def run(work, stand, levels):
    """Run until all has ended, or until something is needed: why, see ENDED and the like."""
    facts = stand.facts
    while True:
        what = turn(work, stand)
        if what != tb.SERVE:
            return what
        runs, first = work.runs, facts[tb.FIRST]
        if first < 0:
            runs, first = stand.crossing, np.int64(0)
        now, count, repeat = facts[tb.NOW], facts[tb.COUNT], facts[tb.REPEAT]
        done = chain.serve(facts[tb.WAY], runs, work.indices, first, count, repeat, facts[tb.NUMBER], now, levels)
        if done == chain.NEVER:
            return tb.BEYOND
        facts[tb.ANSWER], facts[tb.ANSWER_CAUSE] = done, longest_wait(now, done, levels)
        if chain.room_left(levels) < facts[tb.ROOM]:
            return tb.MORE_ROOM
